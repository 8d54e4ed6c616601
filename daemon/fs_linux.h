/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/* What the parts of fs_read() on Linux share. */

#ifndef _FS_LINUX_H_
#define _FS_LINUX_H_

#include "fs.h"

/*
 * Whether the errno of a call on /proc or /sys says that there is nothing, or
 * nothing that may be looked at.  Any other makes the plan fail: it would leave
 * out what was not seen.
 */
bool fs_is_gone(int error);

/*
 * Reads one mount table: mounts, their file systems and which are hidden, but
 * not what they lie on.  Returns 0 or an errno; EINVAL if the process ends.
 */
int fs_mounts_read(struct fs_table *ft, const char *path);
void fs_mounts_free(struct fs_table *ft);

/* Adds what is mounted in other mount namespaces only (fs_linux_ns.c). */
int fs_ns_read(struct fs_table *ft, const char *root);

/* Every image may lie on what is elsewhere: its path does not tell. */
int fs_ns_doubt(struct fs_table *ft);

/*
 * Finds what a file system on a block device lies on, through partitions,
 * device mapper, md and loop devices down to the files that hold images.
 */
int fs_block_ground(struct fs_table *ft, unsigned int fs, const char *root);

/* Finds a writable disk, so that a plan without any can be doubted. */
void fs_block_disk(struct fs_table *ft, const char *root);

#endif /* _FS_LINUX_H_ */
