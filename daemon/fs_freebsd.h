/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/* What the parts of fs_read() on FreeBSD share. */

#ifndef _FS_FREEBSD_H_
#define _FS_FREEBSD_H_

#include "fs.h"

/* True if a path is that directory or below it. */
bool fs_below(const char *path, const char *dir);

/*
 * The mount that a path led to when `before' mounts were there: whatever was
 * mounted since can hide it.  FS_NONE if there is none.
 */
unsigned int fs_earlier(
    const struct fs_table *ft, unsigned int before, const char *path);

/* A sysctl that is text, as long as it may be; NULL where there is none. */
char *fs_sysctl_text(const char *name);

/*
 * The numbers of a disk, since its device file is not asked: its driver's name,
 * or the first letters of that, and its unit.
 */
void fs_geom_number(const char *name, uint32_t *driver, uint32_t *unit);

/*
 * Finds what a file system on /dev/PROVIDER lies on: through whatever GEOM has
 * in between down to disks, md(4) devices and the files that hold their images.
 * conftxt is kern.geom.conftxt, or NULL if that could not be read.
 */
int fs_geom_ground(struct fs_table *ft, unsigned int mount,
    const char *provider, const char *conftxt);

/* Finds a disk, so that a plan without any can be doubted. */
void fs_geom_disk(struct fs_table *ft);

#endif /* _FS_FREEBSD_H_ */
