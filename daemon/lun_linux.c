/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/*
 * The disks behind the VMBus in sysfs: those of a controller lie below its
 * device, whose directory is named by the GUID that the host uses for it, at
 * hostN/targetN:C:T/N:C:T:L/block/NAME (PROTOCOL.md section 6.8).
 */

#include <errno.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lun.h"
#include "sysfs.h"

#define PATH_LEN 4096

/* A disk by its path below the directory of devices; false if it is none. */
static bool
lun_take(struct lun_disk *ld, const char *devices, const char *path)
{
	char guid[40], dir[PATH_LEN + sizeof(guid)], line[64];
	unsigned int channel;

	memset(ld, 0, sizeof(*ld));
	if (sscanf(path,
		"%39[^/]/host%*u/target%*[^/]/%*u:%u:%u:%u/block/%31[^/]", guid,
		&channel, &ld->ld_target, &ld->ld_lun, ld->ld_name) != 5 ||
	    channel != 0 || !guid_parse(guid, ld->ld_controller))
		return (false);
	(void)snprintf(dir, sizeof(dir), "%s%s", devices, guid);
	ld->ld_ide = sysfs_line(dir, "class_id", line, sizeof(line)) &&
	    lun_is_ide(line);
	(void)snprintf(dir, sizeof(dir), "%s%s", devices, path);
	return (sysfs_line(dir, "dev", line, sizeof(line)) &&
	    sscanf(line, "%u:%u", &ld->ld_major, &ld->ld_minor) == 2);
}

int
lun_disks_read(struct lun_disks *ls, const char *root)
{
	char devices[PATH_LEN], pattern[PATH_LEN + 64];
	glob_t found;
	int error;

	memset(ls, 0, sizeof(*ls));
	(void)snprintf(
	    devices, sizeof(devices), "%s/sys/bus/vmbus/devices/", root);
	(void)snprintf(pattern, sizeof(pattern),
	    "%s*/host*/target*/*:*:*:*/block/*", devices);
	error = glob(pattern, 0, NULL, &found);
	if (error == GLOB_NOSPACE)
		return (ENOMEM);
	if (error != 0)
		return (0);
	ls->ls_disks = calloc(found.gl_pathc, sizeof(*ls->ls_disks));
	if (ls->ls_disks == NULL)
		error = ENOMEM;
	for (size_t i = 0; i < found.gl_pathc && error == 0; i++)
		ls->ls_ndisks += lun_take(&ls->ls_disks[ls->ls_ndisks], devices,
		    found.gl_pathv[i] + strlen(devices));
	globfree(&found);
	return (error);
}
