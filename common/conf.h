/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/*
 * The settings of driver and daemon: one table of keys for both, so that a
 * limit is written down once.  A setting is "KEY=VALUE", on the command line
 * and, one a line, in hv_vss.conf(5).  Strings are copied.
 *
 * Order of calls: conf_args_add() for each option, conf_load(), then read the
 * fields or call conf_engine(); conf_free().  conf_load() does what
 * conf_check() and those before it do, in their order.
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
#define CONF_RULES_MAX	 128
#define CONF_HOOKS_MAX	 64 /* limits of their own */
#define CONF_ARGS_MAX	 256
#define CONF_KEYS_MAX	 40

#ifndef HV_SYSCONFDIR
#define HV_SYSCONFDIR "/etc"
#endif
#ifndef HV_RUNDIR
#define HV_RUNDIR "/run/hv_vss"
#endif
#ifndef HV_STATEDIR
#define HV_STATEDIR "/var/lib/hv_vss"
#endif
#define CONF_FILE HV_SYSCONFDIR "/hv_vss.conf"

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

/* What is to be done with a file system. */
enum conf_action { CONF_DO_FREEZE, CONF_DO_SYNC, CONF_DO_IGNORE, CONF_DO_VETO };

/* "type.NAME=ACTION", "mount.GLOB=ACTION" */
struct conf_rule {
	bool cr_mount; /* it is of mount points, otherwise of types */
	enum conf_action cr_action;
	const char *cr_name; /* the type, or the glob */
};

/* "hook.GLOB=SECONDS" */
struct conf_hook {
	const char *ch_glob;
	uint32_t ch_limit_ms;
};

/* What is not frozen here, because it is mounted elsewhere only. */
enum conf_namespaces {
	CONF_NS_VETO,	/* frozen; what cannot be opened is a veto */
	CONF_NS_IGNORE, /* frozen; what cannot be opened is left alone */
	CONF_NS_OFF	/* not looked for */
};

struct conf_text;

struct conf {
	uint32_t cf_limit_ms[CONF_NLIMITS]; /* by enum conf_limit */
	bool cf_limit_set[CONF_NLIMITS];    /* it was given, not derived */
	uint32_t cf_max_clients;
	uint32_t cf_max_clients_per_uid;
	bool cf_max_per_uid_set;
	bool cf_besteffort;	/* apps=besteffort */
	struct conf_node cf_fs; /* the file-system device */
	struct conf_node cf_app;
	struct conf_node cf_status; /* the driver's status socket */
	const char *cf_trace;	    /* NULL: no trace file */
	bool cf_strict;		    /* policy=strict */
	bool cf_empty;	   /* empty=allow: a plan may have nothing in it */
	bool cf_lun_aware; /* lun_aware=on */
	bool cf_no_rcu;	   /* rcu_expedited=never */
	enum conf_namespaces cf_namespaces;
	const char *cf_exclude[CONF_EXCLUDE_MAX];
	unsigned cf_nexclude;
	struct conf_rule cf_rules[CONF_RULES_MAX]; /* as given */
	unsigned cf_nrules;
	uint32_t cf_threads;	/* of the freezer */
	const char *cf_freezer; /* NULL: where it is installed */
	const char *cf_run_dir;
	const char *cf_state_dir;  /* of the history */
	const char *cf_prometheus; /* a file; NULL: none */
	const char *cf_guard;	   /* NULL: the daemon starts its own */
	uint32_t cf_hook_ms;	   /* hook_timeout */
	struct conf_hook cf_hooks[CONF_HOOKS_MAX];
	unsigned cf_nhooks;
	/* Where settings come from, for messages and for what is doubled. */
	const char *cf_file;		  /* the file, NULL: there was none */
	unsigned cf_line;		  /* being read; 0: none, not a file */
	unsigned cf_given[CONF_KEYS_MAX]; /* line of each key, 0: none */
	struct conf_text *cf_texts;	  /* conf_free()'s */
	bool cf_nomem;
};

/* What the command line says, in its order; the strings must stay. */
struct conf_args {
	const char *ca_file; /* NULL: CONF_FILE, if that is there */
	const char *ca_sets[CONF_ARGS_MAX];
	unsigned ca_nsets;
};

/*
 * "-c FILE": made absolute, so that it is found again from another directory.
 * Returns 0, or an errno with a line in err.
 */
int conf_args_file(
    struct conf_args *ca, const char *path, char *err, size_t errlen);
/* "--set KEY=VALUE", which is looked at by conf_load(). */
int conf_args_set(
    struct conf_args *ca, const char *arg, char *err, size_t errlen);

/*
 * The defaults, the file, the arguments (which win over the file), and
 * conf_check().  Returns 0; or an errno with one line in err, and *cf is empty.
 */
int conf_load(
    struct conf *cf, const struct conf_args *ca, char *err, size_t errlen);
void conf_free(struct conf *cf);

void conf_default(struct conf *cf);

/*
 * Takes the settings of a file: one a line, "KEY = VALUE", "#" begins a comment
 * at the beginning of a line or after a blank.  A file that others than its
 * owner may write, or that is neither root's nor the caller's, is refused.  If
 * it is not there: 0 if it may be missing.  Returns 0, or an errno with a line
 * in err that begins with the file's name and the line's number.
 */
int conf_read(
    struct conf *cf, const char *path, bool may_miss, char *err, size_t errlen);

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

/* How long a hook may take, by its file's name. */
uint32_t conf_hook_ms(const struct conf *cf, const char *name);

/* "freeze", "sync", "ignore", "veto". */
const char *conf_action_name(enum conf_action action);

/* The name of a limit's key. */
const char *conf_limit_name(enum conf_limit limit);

/* Prints the keys, one a line with what is allowed and the default. */
void conf_help(FILE *fp);

#endif /* _CONF_H_ */
