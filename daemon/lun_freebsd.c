/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/*
 * The disks behind the VMBus as cam(4) has them.  Each controller is a device
 * of storvsc and a bus of CAM; both have the same unit, and what the device
 * says of itself has the GUID that the host uses for it (PROTOCOL.md
 * section 6.8).  Asks the kernel for its list of peripherals (XPT_DEV_MATCH),
 * which asks no disk.
 */

#include <sys/param.h>

#include <sys/ioctl.h>
#include <sys/types.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* They want <stdio.h>. */
#include <cam/cam.h>
#include <cam/cam_ccb.h>
#include <cam/scsi/scsi_pass.h>

#include "fs_freebsd.h"
#include "lun.h"

#define LUN_XPT	    "/dev/xpt0"
#define LUN_MATCHES 64 /* that are asked for at once */
#define LUN_TRIES   8  /* while disks come and go */

/* The list as it is gone through: a bus comes before what is on it. */
struct walk {
	struct lun_disks *wk_disks;
	bool wk_ours; /* the last bus was one of the VMBus */
	path_id_t wk_path;
	struct lun_disk wk_disk; /* its controller */
};

/* A bus: whether it is a controller of the VMBus, and which. */
static void
lun_bus(struct walk *wk, const struct bus_match_result *bus)
{
	char name[48], class[GUID_TEXT], guid[GUID_TEXT], *text;

	wk->wk_ours = false;
	wk->wk_path = bus->path_id;
	/* Of the IDE class the bus has another name than the device. */
	if (strncmp(bus->dev_name, "storvsc", DEV_IDLEN) != 0 &&
	    strncmp(bus->dev_name, "blkvsc", DEV_IDLEN) != 0)
		return;
	(void)snprintf(name, sizeof(name), "dev.storvsc.%u.%%pnpinfo",
	    (unsigned int)bus->unit_number);
	text = fs_sysctl_text(name);
	if (text == NULL)
		return;
	if (sscanf(text, "classid=%36s deviceid=%36s", class, guid) == 2 &&
	    guid_parse(guid, wk->wk_disk.ld_controller)) {
		wk->wk_disk.ld_ide = lun_is_ide(class);
		wk->wk_ours = true;
	}
	free(text);
}

static int
lun_periph(struct walk *wk, const struct periph_match_result *periph)
{
	struct lun_disks *ls = wk->wk_disks;
	struct lun_disk *more, *ld;

	if (!wk->wk_ours || periph->path_id != wk->wk_path ||
	    strncmp(periph->periph_name, "da", DEV_IDLEN) != 0 ||
	    periph->target_lun > UINT32_MAX)
		return (0);
	more = realloc(ls->ls_disks, (ls->ls_ndisks + 1) * sizeof(*more));
	if (more == NULL)
		return (ENOMEM);
	ls->ls_disks = more;
	ld = &more[ls->ls_ndisks++];
	*ld = wk->wk_disk;
	ld->ld_target = periph->target_id;
	ld->ld_lun = (uint32_t)periph->target_lun;
	(void)snprintf(ld->ld_name, sizeof(ld->ld_name), "da%u",
	    (unsigned int)periph->unit_number);
	fs_geom_number(ld->ld_name, &ld->ld_major, &ld->ld_minor);
	return (0);
}

/* What the kernel told at once. */
static int
lun_take(struct walk *wk, const struct ccb_dev_match *cdm)
{
	const struct dev_match_result *match = cdm->matches;
	int error = 0;

	for (uint32_t i = 0; i < cdm->num_matches && error == 0; i++, match++)
		if (match->type == DEV_MATCH_BUS)
			lun_bus(wk, &match->result.bus_result);
		else if (match->type == DEV_MATCH_PERIPH)
			error = lun_periph(wk, &match->result.periph_result);
	return (error);
}

/* EAGAIN: the list has changed meanwhile; ENODEV: there is none. */
static int
lun_walk(
    struct lun_disks *ls, int fd, union ccb *ccb, struct dev_match_result *room)
{
	struct walk wk = { .wk_disks = ls };
	struct ccb_dev_match *cdm = &ccb->cdm;
	int error;

	memset(ccb, 0, sizeof(*ccb));
	ccb->ccb_h.path_id = CAM_XPT_PATH_ID;
	ccb->ccb_h.target_id = CAM_TARGET_WILDCARD;
	ccb->ccb_h.target_lun = CAM_LUN_WILDCARD;
	ccb->ccb_h.func_code = XPT_DEV_MATCH;
	cdm->matches = room;
	cdm->match_buf_len = LUN_MATCHES * sizeof(*room);
	do {
		if (ioctl(fd, CAMIOCOMMAND, ccb) == -1 ||
		    ccb->ccb_h.status != CAM_REQ_CMP)
			return (ENODEV);
		if (cdm->status == CAM_DEV_MATCH_LIST_CHANGED)
			return (EAGAIN);
		if ((cdm->status != CAM_DEV_MATCH_LAST &&
			cdm->status != CAM_DEV_MATCH_MORE) ||
		    cdm->num_matches > LUN_MATCHES)
			return (ENODEV);
		error = lun_take(&wk, cdm);
	} while (error == 0 && cdm->status == CAM_DEV_MATCH_MORE &&
	    cdm->num_matches != 0);
	return (error);
}

int
lun_disks_read(struct lun_disks *ls, const char *root)
{
	struct dev_match_result *room;
	int error = EAGAIN, fd;
	union ccb *ccb;

	/* There is one machine, and no way to record one. */
	(void)root;
	memset(ls, 0, sizeof(*ls));
	fd = open(LUN_XPT, O_RDWR | O_CLOEXEC);
	if (fd == -1)
		return (0);
	ccb = malloc(sizeof(*ccb));
	room = calloc(LUN_MATCHES, sizeof(*room));
	if (ccb == NULL || room == NULL)
		error = ENOMEM;
	for (int i = 0; i < LUN_TRIES && error == EAGAIN; i++) {
		lun_disks_free(ls);
		error = lun_walk(ls, fd, ccb, room);
	}
	free(room);
	free(ccb);
	(void)close(fd);
	/* A part of them would do for none. */
	if (error != 0)
		lun_disks_free(ls);
	return (error == ENOMEM ? ENOMEM : 0);
}
