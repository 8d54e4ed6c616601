/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/*
 * The settings of driver and daemon: one table of keys for both, so that a
 * limit is written down once.  A setting is "KEY=VALUE".  Nothing is allocated:
 * strings point into the arguments, which must stay.
 *
 * Order of calls: conf_default(), conf_set() for each setting, conf_check(),
 * then read the fields or call conf_engine().
 */

#ifndef _CONF_H_
#define _CONF_H_

#include <sys/types.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "engine.h"

#define CONF_ERR_MAX	 256 /* what an error message needs, with NUL */
#define CONF_EXCLUDE_MAX 64  /* patterns */

/* Limits of ENGINE.md section 4. */
enum conf_limit {
	CONF_CHECK,
	CONF_FREEZE,
	CONF_PREPARE,
	CONF_QUIESCE,
	CONF_FS,
	CONF_HOLD,
	CONF_THAW,
	CONF_THAW_FS,
	CONF_LEVEL,
	CONF_NLIMITS
};

/* Who may open a device file. */
struct conf_node {
	mode_t cn_mode;
	uid_t cn_owner;
	gid_t cn_group;
};

struct conf {
	uint32_t cf_limit_ms[CONF_NLIMITS]; /* by enum conf_limit */
	bool cf_limit_set[CONF_NLIMITS];    /* it was given, not derived */
	uint32_t cf_max_clients;
	uint32_t cf_max_clients_per_uid;
	bool cf_max_per_uid_set;
	bool cf_besteffort;	/* apps=besteffort */
	struct conf_node cf_fs; /* the file-system device */
	struct conf_node cf_app;
	const char *cf_trace; /* NULL: no trace file */
	bool cf_strict;	      /* policy=strict */
	const char *cf_exclude[CONF_EXCLUDE_MAX];
	unsigned cf_nexclude;
	const char *cf_freezer; /* NULL: where it is installed */
	const char *cf_run_dir;
	const char *cf_guard; /* NULL: the daemon starts its own */
};

void conf_default(struct conf *cf);

/*
 * Takes one "KEY=VALUE".  Returns 0, or EINVAL with one line in err that says
 * which key, what was wrong and what is allowed; *cf is unchanged then.
 */
int conf_set(struct conf *cf, const char *arg, char *err, size_t errlen);

/*
 * Looks at the settings together, once, after the last conf_set().  Limits that
 * were not given follow those that were: prepare is freeze less 20 s, or half
 * of freeze where less than 1 s would be left; quiesce, fs and thaw_fs shrink
 * to what they are part of.  A given one that cannot be honoured is refused:
 * EINVAL with a line in err.
 */
int conf_check(struct conf *cf, char *err, size_t errlen);

/* The engine's part of it; conf_check() must have returned 0. */
void conf_engine(const struct conf *cf, struct vss_engine_conf *ec);

/* The name of a limit's key. */
const char *conf_limit_name(enum conf_limit limit);

/* Prints the keys, one a line with what is allowed and the default. */
void conf_help(FILE *fp);

#endif /* _CONF_H_ */
