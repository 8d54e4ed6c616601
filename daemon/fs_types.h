/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/* What kind of file system a type is, by its name in the mount table. */

#ifndef _FS_TYPES_H_
#define _FS_TYPES_H_

#include <stdbool.h>

enum fs_class {
	FS_CLASS_FREEZE,   /* can be frozen */
	FS_CLASS_SYNC,	   /* cannot, flushing is what there is */
	FS_CLASS_READONLY, /* never written to */
	FS_CLASS_PSEUDO,   /* a window to the kernel, nothing is kept */
	FS_CLASS_MEMORY,   /* gone after a restart */
	FS_CLASS_NETWORK,  /* kept elsewhere, may hang */
	FS_CLASS_FUSE,	   /* served by a process, may hang */
	FS_CLASS_OVERLAY,  /* written through to another: upperdir= */
	FS_CLASS_STACKED,  /* the same: its source is the directory */
	FS_CLASS_UNKNOWN
};

/* What each system has (fs_types_linux.c); a NULL ends each list. */
extern const char *const fs_names_freeze[];
extern const char *const fs_names_sync[];
extern const char *const fs_names_readonly[];
extern const char *const fs_names_pseudo[];
extern const char *const fs_names_memory[];
extern const char *const fs_names_network[];
extern const char *const fs_names_fuse[];
extern const char *const fs_names_overlay[];
extern const char *const fs_names_stacked[];
extern const char *const fs_names_served[]; /* block devices */

enum fs_class fs_class(const char *type);

/*
 * Whether a process of this machine may serve the block device of that name,
 * without /dev: out of any file.
 */
bool fs_is_served(const char *device);

/* Whether looking up a path on such a file system may hang. */
bool fs_class_may_hang(enum fs_class class);

#endif /* _FS_TYPES_H_ */
