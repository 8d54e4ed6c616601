/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/*
 * The disks that the host names in FREEZE, as disks of this machine
 * (PROTOCOL.md section 6.8).  No host was seen to send such a list: whatever is
 * not understood to the last field means all disks.
 */

#ifndef _LUN_H_
#define _LUN_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <dev/hyperv/hv_vss_ext.h>

#include "guid.h"

#define LUN_NAME_MAX 32

/* A disk behind a controller that is a device of the VMBus. */
struct lun_disk {
	uint8_t ld_controller[GUID_LEN];
	bool ld_ide; /* the controller is of the IDE class: it has one disk */
	uint32_t ld_target;
	uint32_t ld_lun;
	uint32_t ld_major; /* of the whole disk, as in struct fs_device */
	uint32_t ld_minor;
	char ld_name[LUN_NAME_MAX]; /* "sda" */
	bool ld_named;
};

struct lun_disks {
	struct lun_disk *ls_disks;
	size_t ls_ndisks;
};

/*
 * lun_linux.c, lun_freebsd.c: the disks that are there now; root as in
 * fs_read().  Returns 0 or ENOMEM.
 */
int lun_disks_read(struct lun_disks *ls, const char *root);

/* Whether a class, as text, is the IDE one. */
bool lun_is_ide(const char *class);

void lun_disks_free(struct lun_disks *ls);

/*
 * Marks those that the host names.  Returns false if the list does not say
 * which they are, with the reason in why: then all are to be taken.
 */
bool lun_choose(
    struct lun_disks *ls, const struct hv_vss_luns *hs, char *why, size_t len);

/* "sda, sdc", and controllers and numbers of what is not there. */
void lun_list(const struct lun_disks *ls, const struct hv_vss_luns *hs,
    char *text, size_t len);

/* The disk of that device number; NULL if it is none of them. */
const struct lun_disk *lun_disk_of(
    const struct lun_disks *ls, uint32_t major, uint32_t minor);

#endif /* _LUN_H_ */
