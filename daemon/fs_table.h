/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/*
 * Building a struct fs_table, for the implementations of fs_read(): they fill
 * in the mounts in the order of the mount table, with fm_fs still unset and the
 * parents beside it, and call these in this order: fs_table_parents(),
 * fs_table_group(), fs_table_hide(), then fs_table_lies_on() for what they know
 * of the ground, and fs_table_guess(); and at last fs_table_free().  A machine
 * may have thousands of mounts, in many mount namespaces: nothing here but the
 * guess looks at every mount for each.
 */

#ifndef _FS_TABLE_H_
#define _FS_TABLE_H_

#include "fs.h"

/* Follows mount ids: parents[i] is that of what mount i is mounted on. */
int fs_table_parents(struct fs_table *ft, const uint64_t *parents);

/* Makes the file systems out of the mounts: one for each device number. */
int fs_table_group(struct fs_table *ft);

/* Finds which mounts are hidden and which paths lead through what may hang. */
int fs_table_hide(struct fs_table *ft);

/* Frees mounts and file systems, and what belongs to them. */
void fs_table_free(struct fs_table *ft);

/* Notes that a file system lies on another; on itself is ignored. */
int fs_table_lies_on(struct fs_table *ft, unsigned int fs, unsigned int lower);

/* Notes that it lies on a block device. */
int fs_table_device(
    struct fs_table *ft, unsigned int fs, const struct fs_device *fv);

/*
 * Notes that a file system's image is the file of that path.  Other mounts may
 * hide the one that the file is on, so that every mount above the path may be
 * it; all of them are noted, the likely one first.  Sets the ground to IMAGE if
 * there is none, or no path (""), and to SERVED if that is network or fuse: who
 * serves it may keep it on a disk of this machine.
 */
int fs_table_lies_on_file(
    struct fs_table *ft, unsigned int fs, const char *path);

/* Notes that a process serves the device it is on, out of a file perhaps. */
void fs_table_served(struct fs_table *ft, unsigned int fs, const char *device);

/*
 * Where the ground of a loop device is not known, it is taken to lie on every
 * other file system that is not known to lie on it; of several such the later
 * mounted on the earlier ones.  Frozen in that order they cannot deadlock
 * unless mounts were moved since.
 */
int fs_table_guess(struct fs_table *ft);

/* Whether a file system lies, at whatever depth, on another (or on itself). */
bool fs_table_reaches(
    const struct fs_table *ft, unsigned int fs, unsigned int lower);

/*
 * A number for the disk that a file system lies on, the first found of several;
 * 0 where none is known.
 */
uint32_t fs_table_disk(const struct fs_table *ft, unsigned int fs);

/* The mount that a path leads to, or FS_NONE. */
unsigned int fs_table_resolve(const struct fs_table *ft, const char *path);

#endif /* _FS_TABLE_H_ */
