/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/* Block devices as sysfs shows them, for fs_linux.c. */

#ifndef _FS_LINUX_H_
#define _FS_LINUX_H_

#include "fs.h"

/*
 * Finds what a file system on a block device lies on, through partitions,
 * device mapper, md and loop devices down to the files that hold images.
 */
int fs_block_ground(struct fs_table *ft, unsigned int fs, const char *root);

/* Finds a writable disk, so that a plan without any can be doubted. */
void fs_block_disk(struct fs_table *ft, const char *root);

#endif /* _FS_LINUX_H_ */
