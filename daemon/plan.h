/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/*
 * The plan: what a backup does with each mount, in which order, and why.
 *
 * Made from the mount table and the topology of block devices alone.  Nothing
 * that may hang is opened, resolved or asked: no network file system, no fuse,
 * nothing below them.
 *
 * Lines come in this order: FREEZE by level, then SYNC, VETO, LEAVE, and among
 * equals as in the mount table.  There is a line for every mount; of several
 * mounts of one file system at most one is FREEZE or SYNC, the others are LEAVE
 * and name it.
 */

#ifndef _PLAN_H_
#define _PLAN_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "conf.h"
#include "lun.h"

enum plan_action {
	PLAN_FREEZE,
	PLAN_SYNC, /* flushed, not frozen */
	PLAN_VETO, /* as things are a backup is refused */
	PLAN_LEAVE,
	PLAN_NACTIONS
};

#define PLAN_NREMEDIES 2

struct plan_line {
	enum plan_action pl_action;
	unsigned int pl_level; /* from low to high, thaw the reverse */
	unsigned int pl_order; /* place in the mount table */
	uint64_t pl_mnt_id;    /* as statx(2) says it */
	uint32_t pl_major;     /* device number, as the mount table says it */
	uint32_t pl_minor;
	bool pl_any_dev;      /* st_dev is another than that (btrfs) */
	uint32_t pl_disk;     /* what it lies on is the same as of others */
	const char *pl_point; /* mount point, by which it can be opened */
	const char *pl_type;
	const char *pl_device; /* mount source, for people */
	const char *pl_reason; /* in words; a veto's with the remedy */
	/* VETO: settings each of which allows it; NULL where there is none. */
	const char *pl_remedy[PLAN_NREMEDIES];
};

struct plan {
	struct plan_line *pn_lines;
	size_t pn_nlines;
	size_t pn_count[PLAN_NACTIONS];
	unsigned int pn_nlevels; /* levels of FREEZE are 0 to this less 1 */
	/*
	 * NULL, or why a backup is refused: the first VETO, or that there is
	 * nothing to freeze where there should be.  One line with the remedy.
	 */
	const char *pn_veto;
	bool pn_by_disk; /* what lies on no named disk was left out */
	void *pn_memory; /* plan_free()'s */
};

struct plan_policy {
	bool pp_strict;
	bool pp_empty;		       /* a plan may have nothing in it */
	const char *const *pp_exclude; /* globs of mount points */
	unsigned int pp_nexclude;
	const struct conf_rule *pp_rules; /* the last that matches counts */
	unsigned int pp_nrules;
	enum conf_namespaces pp_namespaces;
	/*
	 * NULL, or the disks that the host is about to snapshot are marked in
	 * it: what lies on no such disk is left alone.  If that is everything,
	 * the list is not believed.
	 */
	const struct lun_disks *pp_disks;
	unsigned int pp_most; /* file systems that can be frozen, 0: any */
	/*
	 * Where proc and sys are found, for tests: NULL is the running system,
	 * otherwise a directory with recorded ones.
	 */
	const char *pp_root;
};

/* The policy of the settings, which must stay. */
void plan_policy_set(struct plan_policy *pp, const struct conf *cf);

/*
 * Makes the plan.  Returns 0, also when the plan is a veto, or an errno with a
 * line in err when the mount table cannot be read; then *pn is empty.
 */
int plan_make(
    struct plan *pn, const struct plan_policy *pp, char *err, size_t errlen);

/* Whether two plans freeze and flush the same, in the same order. */
bool plan_same(const struct plan *a, const struct plan *b);

/* Frees what the plan needed; *pn is empty afterwards, and may be so before. */
void plan_free(struct plan *pn);

/* "freeze", "sync", "veto", "leave". */
const char *plan_action_name(enum plan_action action);

#endif /* _PLAN_H_ */
