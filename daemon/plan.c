/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/*
 * Decides for each file system what a backup does with it, and puts what is
 * frozen in an order that cannot deadlock.  Knows no system: what is mounted
 * comes from fs.h.
 */

#include "plan.h"

#include <errno.h>
#include <fnmatch.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "frz_proto.h"
#include "fs.h"
#include "fs_table.h"
#include "fs_types.h"

/* What was decided for one file system. */
struct verdict {
	enum plan_action vd_action;
	bool vd_made;
	bool vd_depth_made;
	unsigned int vd_mount; /* the one that is opened, or stands for all */
	unsigned int vd_depth; /* how many that come after it lie below it */
	const char *vd_reason;
	const char *vd_remedy[PLAN_NREMEDIES];
};

struct text {
	struct text *tx_next;
	char tx_text[];
};

/* A plan in the making; it lives on as the plan's memory. */
struct making {
	const struct plan_policy *mk_policy;
	const char *mk_root;
	struct fs_table mk_ft;
	struct verdict *mk_verdicts;	  /* by file system */
	const struct lun_disks *mk_disks; /* NULL: all are named */
	struct text *mk_texts;
	bool mk_nomem;
};

static const char *const action_names[PLAN_NACTIONS] = { "freeze", "sync",
	"veto", "leave" };

const char *
plan_action_name(enum plan_action action)
{
	return (action_names[action]);
}

/*
 * A line of text that lives as long as the plan.  It goes to logs and to the
 * host's administrator: mount points in it are others' text.
 */
__attribute__((format(printf, 2, 3))) static const char *
text(struct making *mk, const char *fmt, ...)
{
	struct text *tx;
	va_list ap;
	int len;

	va_start(ap, fmt);
	len = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	tx = len < 0 ? NULL : malloc(sizeof(*tx) + (size_t)len + 1);
	if (tx == NULL) {
		mk->mk_nomem = true;
		return ("out of memory");
	}
	va_start(ap, fmt);
	(void)vsnprintf(tx->tx_text, (size_t)len + 1, fmt, ap);
	va_end(ap);
	for (char *p = tx->tx_text; *p != '\0'; p++)
		if ((unsigned char)*p < ' ' || *p == 127)
			*p = '?';
	tx->tx_next = mk->mk_texts;
	mk->mk_texts = tx;
	return (tx->tx_text);
}

void
plan_policy_set(struct plan_policy *pp, const struct conf *cf)
{
	memset(pp, 0, sizeof(*pp));
	pp->pp_strict = cf->cf_strict;
	pp->pp_empty = cf->cf_empty;
	pp->pp_exclude = cf->cf_exclude;
	pp->pp_nexclude = cf->cf_nexclude;
	pp->pp_rules = cf->cf_rules;
	pp->pp_nrules = cf->cf_nrules;
	pp->pp_namespaces = cf->cf_namespaces;
	pp->pp_most = FRZ_FS_MAX;
}

/*
 * A glob that matches a mount point, to be put in the configuration: what would
 * not be taken for itself there is matched by a '?'.
 */
static const char *
glob_of(struct making *mk, const char *point)
{
	const char *glob = text(mk, "%s", point);
	int pid = 0;

	if (mk->mk_nomem)
		return (glob);
	for (char *p = mk->mk_texts->tx_text; *p != '\0'; p++)
		if (strchr("*?[]\\#\"", *p) != NULL ||
		    (*p == ' ' && p[1] == '\0'))
			*p = '?';
	/* The process is another one the next time. */
	(void)sscanf(glob, "/proc/%*u/root%n", &pid);
	if (pid != 0)
		return (text(mk, "/proc/*/root%s", glob + pid));
	return (glob);
}

static void
decide(struct verdict *vd, enum plan_action action, const char *reason)
{
	vd->vd_action = action;
	vd->vd_reason = reason;
}

/*
 * A veto.  Why is the beginning of a sentence that goes on with what the
 * administrator may do: leave it out, and, if other is not NULL, another
 * setting.
 */
static void
refuse(struct making *mk, struct verdict *vd, const char *why,
    const char *point, const char *other)
{
	vd->vd_remedy[0] = text(mk, "exclude=%s", glob_of(mk, point));
	vd->vd_remedy[1] = other;
	decide(vd, PLAN_VETO,
	    text(mk, "%s leave it out with %s%s%s", why, vd->vd_remedy[0],
		other == NULL ? "" : ", or set ", other == NULL ? "" : other));
}

static const struct fs_mount *
standing_for(const struct making *mk, unsigned int fs)
{
	return (&mk->mk_ft.ft_mounts[mk->mk_verdicts[fs].vd_mount]);
}

/* The whole of a file system, if that is mounted anywhere, stands for it. */
static unsigned int
first_whole(const struct fs_table *ft, unsigned int fs)
{
	for (unsigned int i = ft->ft_fs[fs].fy_first; i < ft->ft_nmounts; i++)
		if (ft->ft_mounts[i].fm_fs == fs &&
		    strcmp(ft->ft_mounts[i].fm_root, "/") == 0)
			return (i);
	return (ft->ft_fs[fs].fy_first);
}

/*
 * Which mount can be opened: one whose path leads to it, is not too long and
 * leads through nothing that may hang; the whole of the file system is a
 * directory for certain, others are asked.  FS_NONE if there is none.
 */
static unsigned int
openable(const struct making *mk, unsigned int fs)
{
	const struct fs_table *ft = &mk->mk_ft;
	unsigned int part = FS_NONE;

	for (unsigned int i = ft->ft_fs[fs].fy_first; i < ft->ft_nmounts; i++) {
		const struct fs_mount *m = &ft->ft_mounts[i];

		if (m->fm_fs != fs || m->fm_hidden || m->fm_detour ||
		    strlen(m->fm_point) >= FRZ_PATH_MAX)
			continue;
		if (strcmp(m->fm_root, "/") == 0)
			return (i);
		/* Elsewhere nothing is asked: the freezer finds out. */
		if (part == FS_NONE &&
		    (m->fm_pid != 0 ||
			fs_kind(mk->mk_root, m->fm_point) == FS_KIND_OPENABLE))
			part = i;
	}
	return (part);
}

/* Why none of a file system's mounts can be opened. */
static const char *
why_not_openable(const struct making *mk, unsigned int fs)
{
	const struct fs_mount *m = standing_for(mk, fs);

	if (m->fm_hidden)
		return ("other mounts hide it, so that it cannot be opened; "
			"unmount those, or");
	if (m->fm_detour)
		return ("the way to it leads through a mount that may hang; "
			"mount it elsewhere, or");
	if (strlen(m->fm_point) >= FRZ_PATH_MAX)
		return ("the name of its mount point is too long; mount it "
			"elsewhere, or");
	return ("only mounted on what is neither a directory nor a file; "
		"mount it as a whole, or");
}

static const char *
excluded_by(const struct making *mk, const char *point)
{
	const struct plan_policy *pp = mk->mk_policy;

	for (unsigned int i = 0; i < pp->pp_nexclude; i++)
		if (fnmatch(pp->pp_exclude[i], point, 0) == 0)
			return (pp->pp_exclude[i]);
	return (NULL);
}

/* The last that matches, or NULL. */
static const struct conf_rule *
rule_of(const struct making *mk, const char *name, bool mount)
{
	const struct plan_policy *pp = mk->mk_policy;
	const struct conf_rule *cr;

	for (unsigned int i = pp->pp_nrules; i-- > 0;) {
		cr = &pp->pp_rules[i];
		if (cr->cr_mount == mount && fnmatch(cr->cr_name, name, 0) == 0)
			return (cr);
	}
	return (NULL);
}

/*
 * For what is written to and is frozen or flushed: by its type, or by a rule.
 */
static void
decide_ours(
    struct making *mk, unsigned int fs, enum plan_action action, const char *by)
{
	const struct fs_mount *m = standing_for(mk, fs);
	struct verdict *vd = &mk->mk_verdicts[fs];
	unsigned int mount = openable(mk, fs);

	if (fs_table_reaches(&mk->mk_ft, fs, fs)) {
		refuse(mk, vd,
		    "its image seems to lie on itself by way of others, so "
		    "that no order is safe;",
		    m->fm_point, NULL);
		return;
	}
	if (mk->mk_ft.ft_fs[fs].fy_ground == FS_GROUND_EITHER &&
	    action == PLAN_FREEZE) {
		refuse(mk, vd,
		    text(mk,
			"%s does not show what it lies on, a volume of a ZFS "
			"pool perhaps; mount it by its path in /dev/zvol, or",
			fs_topology),
		    m->fm_point, NULL);
		return;
	}
	if (action == PLAN_SYNC && by == NULL && mk->mk_policy->pp_strict) {
		refuse(mk, vd, "cannot be frozen and policy=strict;",
		    m->fm_point, text(mk, "type.%s=sync", m->fm_type));
		return;
	}
	if (mount == FS_NONE && m->fm_pid != 0 &&
	    mk->mk_policy->pp_namespaces == CONF_NS_IGNORE) {
		decide(vd, PLAN_LEAVE,
		    "mounted in another mount namespace only, where it cannot "
		    "be opened; left out by namespaces=ignore");
		return;
	}
	if (mount == FS_NONE) {
		refuse(mk, vd, why_not_openable(mk, fs), m->fm_point,
		    m->fm_pid == 0 ? NULL : "namespaces=ignore");
		return;
	}
	vd->vd_mount = mount;
	decide(vd, action,
	    by == NULL ? "cannot be frozen, only flushed" :
			 text(mk, "only flushed, by %s", by));
}

static void decide_fs(struct making *mk, unsigned int fs);

/* An overlay and its like freeze with what they are written through to. */
static void
decide_stacked(struct making *mk, unsigned int fs)
{
	struct verdict *vd = &mk->mk_verdicts[fs];
	unsigned int upper = mk->mk_ft.ft_fs[fs].fy_upper;
	const char *point = standing_for(mk, fs)->fm_point;
	static const char *const what[PLAN_NACTIONS] = {
		[PLAN_FREEZE] = "which is frozen",
		[PLAN_SYNC] = "which is flushed",
		[PLAN_VETO] = "which is refused",
		[PLAN_LEAVE] = "which is left alone",
	};

	if (upper == FS_NONE) {
		refuse(mk, vd,
		    "where it is written to is not in this mount table;", point,
		    text(mk, "mount.%s=sync", glob_of(mk, point)));
		return;
	}
	/* Should it lead back here, this is what it finds. */
	decide(vd, PLAN_VETO, "its upper layer is on itself");
	decide_fs(mk, upper);
	decide(vd, PLAN_LEAVE,
	    text(mk, "its upper layer is on %s (%s), %s",
		standing_for(mk, upper)->fm_point,
		standing_for(mk, upper)->fm_type,
		what[mk->mk_verdicts[upper].vd_action]));
}

static void
decide_type(struct making *mk, unsigned int fs, enum fs_class class)
{
	struct verdict *vd = &mk->mk_verdicts[fs];
	const struct fs_mount *m = standing_for(mk, fs);

	switch (class) {
	case FS_CLASS_FREEZE:
		decide_ours(mk, fs, PLAN_FREEZE, NULL);
		break;
	case FS_CLASS_SYNC:
		decide_ours(mk, fs, PLAN_SYNC, NULL);
		break;
	case FS_CLASS_OVERLAY:
	case FS_CLASS_STACKED:
		decide_stacked(mk, fs);
		break;
	default:
		refuse(mk, vd,
		    text(mk, "it is not known whether %s can be frozen;",
			m->fm_type),
		    m->fm_point, text(mk, "type.%s=sync", m->fm_type));
		break;
	}
}

/* By the administrator's word. */
static void
decide_rule(struct making *mk, unsigned int fs, enum fs_class class,
    const struct conf_rule *cr)
{
	struct verdict *vd = &mk->mk_verdicts[fs];
	const char *point = standing_for(mk, fs)->fm_point;
	const char *by = text(mk, "%s%s=%s", cr->cr_mount ? "mount." : "type.",
	    cr->cr_name, conf_action_name(cr->cr_action));

	switch (cr->cr_action) {
	case CONF_DO_IGNORE:
		decide(vd, PLAN_LEAVE, text(mk, "left out by %s", by));
		break;
	case CONF_DO_SYNC:
		decide_ours(mk, fs, PLAN_SYNC, by);
		break;
	case CONF_DO_FREEZE:
		if (class != FS_CLASS_OVERLAY && class != FS_CLASS_STACKED)
			decide_ours(mk, fs, PLAN_FREEZE, by);
		else
			refuse(mk, vd,
			    text(mk,
				"%s, but only its upper layer can be frozen;",
				by),
			    point,
			    text(mk, "mount.%s=sync", glob_of(mk, point)));
		break;
	case CONF_DO_VETO:
		refuse(mk, vd, text(mk, "refused by %s;", by), point, NULL);
		break;
	}
}

/* Whether a type may keep what is written on disks that are not seen. */
static bool
keeps_data(const char *type)
{
	switch (fs_class(type)) {
	case FS_CLASS_READONLY:
	case FS_CLASS_PSEUDO:
	case FS_CLASS_MEMORY:
	case FS_CLASS_OVERLAY: /* what they lie on tells */
	case FS_CLASS_STACKED:
		return (false);
	default:
		return (true);
	}
}

/*
 * Whether the host may be about to snapshot what is right below a file system:
 * what it lies on is not known, or has a disk that is named, or one that is not
 * behind the VMBus, of which the host's list cannot tell.
 */
static bool
touches_named(const struct making *mk, unsigned int fs)
{
	const struct fs_system *fy = &mk->mk_ft.ft_fs[fs];
	const struct fs_device *fv;
	const struct lun_disk *ld;

	if (fy->fy_ground != FS_GROUND_KNOWN)
		return (true);
	if (!fy->fy_block)
		return (keeps_data(mk->mk_ft.ft_mounts[fy->fy_first].fm_type));
	if (fy->fy_ndevices == 0)
		return (true);
	for (unsigned int i = 0; i < fy->fy_ndevices; i++) {
		fv = &fy->fy_devices[i];
		ld = lun_disk_of(mk->mk_disks, fv->fv_major, fv->fv_minor);
		if (ld == NULL ? fv->fv_hardware : ld->ld_named)
			return (true);
	}
	return (false);
}

/* The same, at whatever depth. */
static bool
on_named(const struct making *mk, unsigned int fs)
{
	if (mk->mk_disks == NULL || touches_named(mk, fs))
		return (true);
	for (unsigned int low = 0; low < mk->mk_ft.ft_nfs; low++)
		if (fs_table_reaches(&mk->mk_ft, fs, low) &&
		    touches_named(mk, low))
			return (true);
	return (false);
}

/* A list that names the disk of no file system is not believed. */
static void
believe_disks(struct making *mk)
{
	const struct fs_table *ft = &mk->mk_ft;

	mk->mk_disks = mk->mk_policy->pp_disks;
	for (unsigned int fs = 0; fs < ft->ft_nfs; fs++)
		if (ft->ft_fs[fs].fy_block && !ft->ft_fs[fs].fy_readonly &&
		    on_named(mk, fs))
			return;
	mk->mk_disks = NULL;
}

static void
decide_fs(struct making *mk, unsigned int fs)
{
	static const char *const left[] = {
		[FS_CLASS_READONLY] = "read-only",
		[FS_CLASS_PSEUDO] = "keeps nothing (a view of the kernel)",
		[FS_CLASS_MEMORY] = "in memory, keeps nothing",
		[FS_CLASS_NETWORK] = "network, not on a disk of this machine",
		[FS_CLASS_FUSE] = "fuse, never touched (a process serves it)",
		[FS_CLASS_UNKNOWN] = NULL,
	};
	struct verdict *vd = &mk->mk_verdicts[fs];
	const struct fs_system *fy = &mk->mk_ft.ft_fs[fs];
	const struct conf_rule *cr;
	const struct fs_mount *m;
	enum fs_class class;
	const char *glob;

	if (vd->vd_made)
		return;
	vd->vd_made = true;
	vd->vd_mount = first_whole(&mk->mk_ft, fs);
	m = standing_for(mk, fs);
	class = fs_class(m->fm_type);
	if (left[class] != NULL) {
		decide(vd, PLAN_LEAVE, left[class]);
		return;
	}
	if (fy->fy_readonly) {
		decide(vd, PLAN_LEAVE,
		    class == FS_CLASS_OVERLAY ?
			"no upper layer, nothing is written to it" :
			"read-only");
		return;
	}
	if (!on_named(mk, fs)) {
		decide(vd, PLAN_LEAVE,
		    "on no disk that the host is about to snapshot, and "
		    "lun_aware=on");
		return;
	}
	glob = excluded_by(mk, m->fm_point);
	cr = rule_of(mk, m->fm_point, true);
	if (cr == NULL)
		cr = rule_of(mk, m->fm_type, false);
	if (glob != NULL)
		decide(
		    vd, PLAN_LEAVE, text(mk, "left out by exclude=%s", glob));
	else if (cr != NULL)
		decide_rule(mk, fs, class, cr);
	else
		decide_type(mk, fs, class);
}

/*
 * Whether what lies on it comes before it: it is frozen, or a pool, whose flush
 * writes out what the freeze of that wrote to it.
 */
static bool
has_step(const struct making *mk, unsigned int fs)
{
	enum plan_action action = mk->mk_verdicts[fs].vd_action;

	return (action == PLAN_FREEZE ||
	    (action == PLAN_SYNC &&
		strcmp(standing_for(mk, fs)->fm_type, "zfs") == 0));
}

/* How many of those lie below one another under this one. */
static unsigned int
find_depth(struct making *mk, unsigned int fs)
{
	struct verdict *vd = &mk->mk_verdicts[fs];
	const struct fs_system *fy = &mk->mk_ft.ft_fs[fs];
	unsigned int depth;

	if (vd->vd_depth_made)
		return (vd->vd_depth);
	vd->vd_depth_made = true;
	for (unsigned int i = 0; i < fy->fy_nlower; i++) {
		depth = find_depth(mk, fy->fy_lower[i]);
		if (has_step(mk, fy->fy_lower[i]))
			depth++;
		if (depth > vd->vd_depth)
			vd->vd_depth = depth;
	}
	return (vd->vd_depth);
}

static const char *
why_frozen(struct making *mk, unsigned int fs)
{
	const struct fs_system *fy = &mk->mk_ft.ft_fs[fs];

	if (fy->fy_served[0] != '\0')
		return (text(mk,
		    "on %s, which a process serves, out of any file perhaps: "
		    "taken to lie on every earlier mount",
		    fy->fy_served));
	if (fy->fy_loop && fy->fy_ground == FS_GROUND_UNSEEN)
		return (text(mk,
		    "a loop device, and without /sys its image is "
		    "not known: taken to lie on every earlier mount"));
	if (fy->fy_loop && fy->fy_ground == FS_GROUND_SERVED)
		return (text(mk,
		    "image %s, a file on %s (%s), which may keep it anywhere: "
		    "taken to lie on every earlier mount",
		    fy->fy_image, standing_for(mk, fy->fy_lower[0])->fm_point,
		    standing_for(mk, fy->fy_lower[0])->fm_type));
	if (fy->fy_loop &&
	    (fy->fy_ground == FS_GROUND_IMAGE || fy->fy_nlower == 0))
		return (text(mk,
		    "a loop device whose image is not in any "
		    "mount: taken to lie on every other"));
	if (fy->fy_loop)
		return (text(mk, "image %s, a file on %s%s", fy->fy_image,
		    standing_for(mk, fy->fy_lower[0])->fm_point,
		    mk->mk_verdicts[fy->fy_lower[0]].vd_action == PLAN_FREEZE ?
			", which is frozen after it" :
			""));
	if (fy->fy_ground == FS_GROUND_UNSEEN)
		return (text(mk, "written to; %s does not show what it lies on",
		    fs_topology));
	return ("written to");
}

static const char *
where_frozen(struct making *mk, unsigned int fs)
{
	const struct fs_mount *m = standing_for(mk, fs);
	const char *why = why_frozen(mk, fs);

	if (m->fm_pid == 0)
		return (why);
	return (text(mk, "%s; mounted in the mount namespace of process %u",
	    why, m->fm_pid));
}

static unsigned int
set_levels(struct making *mk)
{
	const struct fs_table *ft = &mk->mk_ft;
	struct verdict *vd;
	unsigned int deepest = 0, levels = 0;

	for (unsigned int fs = 0; fs < ft->ft_nfs; fs++) {
		vd = &mk->mk_verdicts[fs];
		if (has_step(mk, fs) && find_depth(mk, fs) > deepest)
			deepest = vd->vd_depth;
		if (vd->vd_action == PLAN_FREEZE)
			vd->vd_reason = where_frozen(mk, fs);
	}
	/* The highest stack goes first; what lies on nothing goes last. */
	for (unsigned int fs = 0; fs < ft->ft_nfs; fs++) {
		vd = &mk->mk_verdicts[fs];
		vd->vd_depth = deepest - vd->vd_depth;
		if (vd->vd_action == PLAN_FREEZE && vd->vd_depth >= levels)
			levels = vd->vd_depth + 1;
	}
	return (levels);
}

static const char *
same_as(struct making *mk, unsigned int mount)
{
	static const char *const what[PLAN_NACTIONS] = { "is frozen",
		"is flushed", "is refused", "is left alone" };
	unsigned int fs = mk->mk_ft.ft_mounts[mount].fm_fs;
	const char *point = mk->mk_ft.ft_mounts[mount].fm_point;

	return (text(mk, "the same file system as %s, which %s%s",
	    standing_for(mk, fs)->fm_point, what[mk->mk_verdicts[fs].vd_action],
	    excluded_by(mk, point) == NULL && rule_of(mk, point, true) == NULL ?
		"" :
		"; this one cannot be treated by itself"));
}

static void
add_line(struct making *mk, struct plan *pn, unsigned int mount)
{
	const struct fs_mount *m = &mk->mk_ft.ft_mounts[mount];
	const struct verdict *vd = &mk->mk_verdicts[m->fm_fs];
	struct plan_line *pl = &pn->pn_lines[pn->pn_nlines++];

	pl->pl_action = vd->vd_action;
	pl->pl_reason = vd->vd_reason;
	if (vd->vd_action != PLAN_LEAVE && vd->vd_mount != mount) {
		pl->pl_action = PLAN_LEAVE;
		pl->pl_reason = same_as(mk, mount);
	}
	pl->pl_level = pl->pl_action != PLAN_LEAVE && has_step(mk, m->fm_fs) ?
	    vd->vd_depth :
	    0;
	pl->pl_order = mount;
	pl->pl_mnt_id = m->fm_id;
	pl->pl_major = m->fm_major;
	pl->pl_minor = m->fm_minor;
	if (pl->pl_action == PLAN_FREEZE || pl->pl_action == PLAN_SYNC)
		pl->pl_disk = fs_table_disk(&mk->mk_ft, m->fm_fs);
	pl->pl_any_dev = mk->mk_ft.ft_fs[m->fm_fs].fy_any_dev;
	pl->pl_point = m->fm_point;
	pl->pl_type = m->fm_type;
	pl->pl_device = m->fm_source;
	if (pl->pl_action == PLAN_VETO)
		memcpy(pl->pl_remedy, vd->vd_remedy, sizeof(pl->pl_remedy));
	pn->pn_count[pl->pl_action]++;
}

static int
compare_lines(const void *a, const void *b)
{
	const struct plan_line *x = a, *y = b;

	if (x->pl_action != y->pl_action)
		return (x->pl_action < y->pl_action ? -1 : 1);
	if (x->pl_level != y->pl_level)
		return (x->pl_level < y->pl_level ? -1 : 1);
	return (x->pl_order < y->pl_order ? -1 : x->pl_order > y->pl_order);
}

/* A writable disk that the plan leaves out, or NULL. */
static const char *
left_out(const struct making *mk)
{
	const struct fs_table *ft = &mk->mk_ft;

	for (unsigned int fs = 0; fs < ft->ft_nfs; fs++)
		if (ft->ft_fs[fs].fy_block && !ft->ft_fs[fs].fy_readonly)
			return (standing_for(mk, fs)->fm_source);
	return (ft->ft_disk[0] == '\0' ? NULL : ft->ft_disk);
}

static void
set_veto(struct making *mk, struct plan *pn)
{
	const struct plan_line *pl = pn->pn_lines;
	size_t ours = pn->pn_count[PLAN_FREEZE] + pn->pn_count[PLAN_SYNC];
	unsigned int most = mk->mk_policy->pp_most;
	const char *disk;

	if (pn->pn_count[PLAN_VETO] > 0) {
		while (pl->pl_action != PLAN_VETO)
			pl++;
		pn->pn_veto = text(mk, "%s: %s", pl->pl_point, pl->pl_reason);
		return;
	}
	if (most != 0 && ours > most) {
		pn->pn_veto = text(mk,
		    "%zu file systems to freeze or flush, and %u at most can "
		    "be; leave some out with exclude=GLOB",
		    ours, most);
		return;
	}
	disk = left_out(mk);
	if (ours == 0 && disk != NULL && !mk->mk_policy->pp_empty)
		pn->pn_veto = text(mk,
		    "nothing to freeze, though %s is a writable disk; look "
		    "whether excludes, or the service's own view of the mounts, "
		    "hide it, or set empty=allow",
		    disk);
}

int
plan_make(
    struct plan *pn, const struct plan_policy *pp, char *err, size_t errlen)
{
	struct making *mk = calloc(1, sizeof(*mk));
	int error;

	memset(pn, 0, sizeof(*pn));
	pn->pn_memory = mk;
	if (mk == NULL)
		goto nomem;
	mk->mk_policy = pp;
	mk->mk_root = pp->pp_root == NULL ? "" : pp->pp_root;
	error = fs_read(&mk->mk_ft, mk->mk_root,
	    pp->pp_namespaces != CONF_NS_OFF, err, errlen);
	if (error != 0) {
		plan_free(pn);
		return (error);
	}
	mk->mk_verdicts = calloc(
	    mk->mk_ft.ft_nfs + 1, sizeof(*mk->mk_verdicts));
	pn->pn_lines = calloc(mk->mk_ft.ft_nmounts + 1, sizeof(*pn->pn_lines));
	if (mk->mk_verdicts == NULL || pn->pn_lines == NULL)
		goto nomem;
	believe_disks(mk);
	for (unsigned int fs = 0; fs < mk->mk_ft.ft_nfs; fs++)
		decide_fs(mk, fs);
	pn->pn_by_disk = mk->mk_disks != NULL;
	pn->pn_nlevels = set_levels(mk);
	for (unsigned int i = 0; i < mk->mk_ft.ft_nmounts; i++)
		add_line(mk, pn, i);
	qsort(
	    pn->pn_lines, pn->pn_nlines, sizeof(*pn->pn_lines), compare_lines);
	set_veto(mk, pn);
	if (!mk->mk_nomem)
		return (0);
nomem:
	(void)snprintf(err, errlen, "plan: %s", strerror(ENOMEM));
	plan_free(pn);
	return (ENOMEM);
}

/* FREEZE and SYNC are the first lines. */
bool
plan_same(const struct plan *a, const struct plan *b)
{
	const struct plan_line *x = a->pn_lines, *y = b->pn_lines;
	size_t n = a->pn_count[PLAN_FREEZE] + a->pn_count[PLAN_SYNC];

	if (a->pn_count[PLAN_FREEZE] != b->pn_count[PLAN_FREEZE] ||
	    a->pn_count[PLAN_SYNC] != b->pn_count[PLAN_SYNC] ||
	    (a->pn_veto == NULL) != (b->pn_veto == NULL))
		return (false);
	for (size_t i = 0; i < n; i++)
		if (x[i].pl_mnt_id != y[i].pl_mnt_id ||
		    x[i].pl_major != y[i].pl_major ||
		    x[i].pl_minor != y[i].pl_minor ||
		    x[i].pl_level != y[i].pl_level ||
		    strcmp(x[i].pl_point, y[i].pl_point) != 0)
			return (false);
	return (true);
}

void
plan_free(struct plan *pn)
{
	struct making *mk = pn->pn_memory;
	struct text *tx;

	free(pn->pn_lines);
	if (mk != NULL) {
		while ((tx = mk->mk_texts) != NULL) {
			mk->mk_texts = tx->tx_next;
			free(tx);
		}
		free(mk->mk_verdicts);
		fs_free(&mk->mk_ft);
		free(mk);
	}
	memset(pn, 0, sizeof(*pn));
}
