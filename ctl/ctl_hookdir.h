/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/*
 * A directory of hooks: which of its files are run, in which order, and whether
 * they can be trusted.
 *
 * ctl_hookdir_scan() reads it, for one freeze and the thaw after it.  Each hook
 * is held by a descriptor from then on: what is written over, removed or added
 * meanwhile changes nothing about who is asked to thaw.
 *
 * Whoever may write a hook, or the directory, decides what is run here: if that
 * is anybody but root and the caller, nothing is run at all, since a backup
 * without that hook would not be what the administrator asked for.
 */

#ifndef _CTL_HOOKDIR_H_
#define _CTL_HOOKDIR_H_

#include <sys/stat.h>

#include <stdbool.h>
#include <stddef.h>

#include "conf.h"

#define CTL_HOOKS_DIR HV_SYSCONFDIR "/hv_vss/hooks.d"
#define CTL_HOOKS_MAX 64

struct ctl_hook {
	char *hk_name;
	char *hk_path;
	int hk_fd;
	uint64_t hk_limit_ms;
	bool hk_owes; /* it was run for freeze, and not for thaw */
};

struct ctl_hookdir {
	/* Set by the caller. */
	const char *hd_path;
	const struct conf *hd_conf; /* the limits */
	/* Of the last scan. */
	struct ctl_hook hd_hooks[CTL_HOOKS_MAX]; /* as freeze runs them */
	unsigned hd_nhooks;
};

/*
 * Looks at the directory anew.  0; or an errno, with one line in why that says
 * what to do about it, and no hooks.
 */
int ctl_hookdir_scan(struct ctl_hookdir *hd, char *why, size_t whylen);

void ctl_hookdir_release(struct ctl_hookdir *hd);

/*
 * Whether the hook's path still leads to what the scan has found there; if it
 * does not, or may be written by others now, *refusal says so (NULL: it may be
 * run all the same, by its descriptor).
 */
bool ctl_hookdir_same(const struct ctl_hook *hk, const char **refusal);

/* Names that editors, package managers and version control leave behind. */
bool ctl_hookdir_leftover(const char *name);

/* Why a hook or the directory cannot be trusted; NULL: it can. */
const char *ctl_hookdir_refusal(const struct stat *st, uid_t self);

#endif /* _CTL_HOOKDIR_H_ */
