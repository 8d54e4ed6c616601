/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/*
 * A recorded FreeBSD machine, which answers getfsstat(), sysctlbyname() and
 * /dev/xpt0 on any system; for the tests of FreeBSD's side of the plan.  It is
 * made of lines:
 *
 *	mount FSID TYPE ro|rw FROM ON	in the order of the kernel's list
 *	geom LINE			of kern.geom.conftxt
 *	disks LIST			kern.disks
 *	storvsc UNIT TEXT		dev.storvsc.UNIT.%pnpinfo
 *	bus PATH NAME UNIT		of cam(4), in the order of its list,
 *	periph PATH TARGET LUN NAME UNIT	and what is on the bus before it
 *	xpt absent|fails|changes TIMES	that list cannot be had, or not at once
 *	jailed
 *
 * The test says with FBSD_CHECK(e) what becomes of a call that is not as the
 * kernel wants it.
 */

#ifndef _FBSD_MACHINE_H_
#define _FBSD_MACHINE_H_

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "fbsd.h"

#define FBSD_MOUNTS 64
#define FBSD_TEXT   8192
#define FBSD_UNITS  16
#define FBSD_CAM    64

/* Results of cam(4) in one call, so that there are several. */
#define FBSD_CAM_AT_ONCE 4

static struct {
	struct fbsd_statfs fm_mounts[FBSD_MOUNTS];
	int fm_nmounts;
	int fm_late; /* mounts that come while the table is read */
	char fm_geom[FBSD_TEXT];
	char fm_disks[256];
	int fm_jailed;
	const char *fm_leaving; /* type of one that is being unmounted */
	int fm_leaves;		/* looks until it is gone */
	const char *fm_storvsc[FBSD_UNITS];
	struct dev_match_result fm_cam[FBSD_CAM];
	unsigned int fm_ncam;
	const char *fm_xpt; /* "absent", "fails" or NULL */
	int fm_xpt_changes;
	int fm_xpt_fd;
} fbsd_machine;

int
getfsstat(struct fbsd_statfs *buf, long bufsize, int mode)
{
	struct fbsd_statfs *have = fbsd_machine.fm_mounts;
	int count = fbsd_machine.fm_nmounts;
	int room = (int)(bufsize / (long)sizeof(*buf));

	FBSD_CHECK(mode == MNT_NOWAIT);
	/* One that is being unmounted is counted, and not in the list. */
	if (buf == NULL)
		return (count + (fbsd_machine.fm_leaves-- > 0 ? 1 : 0));
	for (int i = fbsd_machine.fm_late; i > 0; i--) {
		have[fbsd_machine.fm_nmounts] = have[count - 1];
		have[fbsd_machine.fm_nmounts++].f_fsid.val[0] += i;
	}
	fbsd_machine.fm_late = 0;
	count = fbsd_machine.fm_nmounts < room ? fbsd_machine.fm_nmounts : room;
	memcpy(buf, have, (size_t)count * sizeof(*buf));
	return (count);
}

int
getvfsbyname(const char *name, struct xvfsconf *xv)
{
	const char *type;
	size_t len = strlen(name);

	memset(xv, 0, sizeof(*xv));
	/* fusefs.sshfs is of type fusefs. */
	for (int i = 0; i < fbsd_machine.fm_nmounts; i++) {
		type = fbsd_machine.fm_mounts[i].f_fstypename;
		xv->vfc_refcount += strcspn(type, ".") == len &&
		    strncmp(type, name, len) == 0;
	}
	if (fbsd_machine.fm_leaves > 0 &&
	    strcmp(fbsd_machine.fm_leaving, name) == 0)
		xv->vfc_refcount++;
	if (xv->vfc_refcount > 0)
		return (0);
	errno = ENOENT;
	return (-1);
}

/* The text of a sysctl, or NULL. */
static const char *
fbsd_sysctl(const char *name)
{
	unsigned int unit;
	char end[16];

	if (strcmp(name, "kern.disks") == 0)
		return (fbsd_machine.fm_disks);
	if (strcmp(name, "kern.geom.conftxt") == 0 &&
	    fbsd_machine.fm_geom[0] != '\0')
		return (fbsd_machine.fm_geom);
	if (sscanf(name, "dev.storvsc.%u.%15s", &unit, end) == 2 &&
	    strcmp(end, "%pnpinfo") == 0 && unit < FBSD_UNITS)
		return (fbsd_machine.fm_storvsc[unit]);
	return (NULL);
}

int
sysctlbyname(const char *name, void *oldp, size_t *oldlenp, const void *newp,
    size_t newlen)
{
	const void *value = fbsd_sysctl(name);
	size_t len = value == NULL ? 0 : strlen(value) + 1;

	FBSD_CHECK(newp == NULL && newlen == 0);
	if (strcmp(name, "security.jail.jailed") == 0) {
		value = &fbsd_machine.fm_jailed;
		len = sizeof(fbsd_machine.fm_jailed);
	}
	if (value == NULL) {
		errno = ENOENT;
		return (-1);
	}
	if (oldp != NULL) {
		FBSD_CHECK(*oldlenp >= len);
		memcpy(oldp, value, len);
	}
	*oldlenp = len;
	return (0);
}

#undef open
int
fbsd_open(const char *path, int flags)
{
	FBSD_CHECK(strcmp(path, "/dev/xpt0") == 0);
	FBSD_CHECK((flags & O_ACCMODE) == O_RDWR);
	FBSD_CHECK(fbsd_machine.fm_xpt_fd == 0);
	if (fbsd_machine.fm_xpt != NULL &&
	    strcmp(fbsd_machine.fm_xpt, "absent") == 0) {
		errno = ENOENT;
		return (-1);
	}
	fbsd_machine.fm_xpt_fd = open("/dev/null", flags);
	return (fbsd_machine.fm_xpt_fd);
}

/* XPT_DEV_MATCH, of everything there is. */
int
fbsd_ioctl(int fd, unsigned long request, ...)
{
	unsigned int n = fbsd_machine.fm_ncam;
	struct ccb_dev_match *cdm;
	union ccb *ccb;
	va_list ap;

	va_start(ap, request);
	ccb = va_arg(ap, union ccb *);
	va_end(ap);
	cdm = &ccb->cdm;
	FBSD_CHECK(fd == fbsd_machine.fm_xpt_fd && request == CAMIOCOMMAND);
	FBSD_CHECK(ccb->ccb_h.func_code == XPT_DEV_MATCH);
	FBSD_CHECK(cdm->num_patterns == 0);
	FBSD_CHECK(
	    cdm->match_buf_len / sizeof(*cdm->matches) >= FBSD_CAM_AT_ONCE);
	if (fbsd_machine.fm_xpt != NULL) {
		errno = EINVAL;
		return (-1);
	}
	ccb->ccb_h.status = CAM_REQ_CMP;
	cdm->num_matches = 0;
	/* It changes when a part of it was told. */
	if (cdm->pos != 0 && fbsd_machine.fm_xpt_changes-- > 0) {
		cdm->status = CAM_DEV_MATCH_LIST_CHANGED;
		return (0);
	}
	while (cdm->num_matches < FBSD_CAM_AT_ONCE && cdm->pos < n)
		cdm->matches[cdm->num_matches++] =
		    fbsd_machine.fm_cam[cdm->pos++];
	cdm->status = cdm->pos < n ? CAM_DEV_MATCH_MORE : CAM_DEV_MATCH_LAST;
	return (0);
}

static bool
fbsd_take_bus(const char *line)
{
	struct dev_match_result match = { .type = DEV_MATCH_BUS };
	struct bus_match_result *bus = &match.result.bus_result;

	if (fbsd_machine.fm_ncam == FBSD_CAM ||
	    sscanf(line, "%u %15s %u", &bus->path_id, bus->dev_name,
		&bus->unit_number) != 3)
		return (false);
	fbsd_machine.fm_cam[fbsd_machine.fm_ncam++] = match;
	return (true);
}

static bool
fbsd_take_periph(const char *line)
{
	struct dev_match_result match = { .type = DEV_MATCH_PERIPH };
	struct periph_match_result *periph = &match.result.periph_result;
	unsigned long long lun;

	if (fbsd_machine.fm_ncam == FBSD_CAM ||
	    sscanf(line, "%u %u %llu %15s %u", &periph->path_id,
		&periph->target_id, &lun, periph->periph_name,
		&periph->unit_number) != 5)
		return (false);
	periph->target_lun = lun;
	fbsd_machine.fm_cam[fbsd_machine.fm_ncam++] = match;
	return (true);
}

static bool
fbsd_take_storvsc(const char *line)
{
	unsigned int unit;
	int n;

	if (sscanf(line, "%u %n", &unit, &n) != 1 || unit >= FBSD_UNITS)
		return (false);
	fbsd_machine.fm_storvsc[unit] = line + n;
	return (true);
}

static bool
fbsd_take_mount(const char *line)
{
	struct fbsd_statfs *sf;
	unsigned int fsid;
	char mode[3];

	if (fbsd_machine.fm_nmounts == FBSD_MOUNTS)
		return (false);
	sf = &fbsd_machine.fm_mounts[fbsd_machine.fm_nmounts];
	if (sscanf(line, "%x %15s %2s %1023s %1023[^\n]", &fsid,
		sf->f_fstypename, mode, sf->f_mntfromname,
		sf->f_mntonname) != 5)
		return (false);
	sf->f_fsid.val[0] = (int32_t)fsid;
	sf->f_fsid.val[1] = 7;
	sf->f_flags = MNT_LOCAL | (strcmp(mode, "ro") == 0 ? MNT_RDONLY : 0);
	fbsd_machine.fm_nmounts++;
	return (true);
}

static bool
fbsd_take_geom(const char *line)
{
	static const char label[] = " label";
	size_t len = strlen(line), used = strlen(fbsd_machine.fm_geom);

	if (used + len + 3 > FBSD_TEXT)
		return (false);
	/* As the kernel writes it. */
	(void)snprintf(fbsd_machine.fm_geom + used, FBSD_TEXT - used, "%s%s\n",
	    line,
	    len >= sizeof(label) - 1 &&
		    strcmp(line + len - (sizeof(label) - 1), label) == 0 ?
		" " :
		"");
	return (true);
}

/* Takes a line, which must stay: 1, 0 if it is none of these, -1 if wrong. */
static int
fbsd_take(const char *line)
{
	static const struct {
		const char *ki_word;
		bool (*ki_take)(const char *line);
	} kinds[] = {
		{ "mount ", fbsd_take_mount },
		{ "geom ", fbsd_take_geom },
		{ "storvsc ", fbsd_take_storvsc },
		{ "bus ", fbsd_take_bus },
		{ "periph ", fbsd_take_periph },
	};
	size_t len;

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		len = strlen(kinds[i].ki_word);
		if (strncmp(line, kinds[i].ki_word, len) == 0)
			return (kinds[i].ki_take(line + len) ? 1 : -1);
	}
	if (strncmp(line, "disks ", 6) == 0)
		(void)snprintf(fbsd_machine.fm_disks,
		    sizeof(fbsd_machine.fm_disks), "%s", line + 6);
	else if (strcmp(line, "jailed") == 0)
		fbsd_machine.fm_jailed = 1;
	else if (strncmp(line, "xpt ", 4) == 0) {
		if (sscanf(line, "xpt changes %d",
			&fbsd_machine.fm_xpt_changes) != 1)
			fbsd_machine.fm_xpt = line + 4;
	} else
		return (0);
	return (1);
}

#endif /* _FBSD_MACHINE_H_ */
