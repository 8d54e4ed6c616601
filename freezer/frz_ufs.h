/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/*
 * FreeBSD's file systems, for the worker: found by their fsid, flushed, frozen
 * and thawed.  The only code that calls UFSSUSPEND and UFSRESUME.
 *
 * A freeze belongs to the open file of /dev/ufssuspend that it was made
 * through, one file system each, and ends with its last close: also when the
 * process is killed.  The kernel refuses it (EDEADLK) to a process of several
 * threads or with a file open for writing on that file system, and panics
 * (13.2) over a hole in the table of descriptors: so the worker has one thread
 * and nothing in its table but these, its socket and /dev/null.
 *
 * Functions return 0 or an errno, and may block for as long as the kernel
 * likes.
 */

#ifndef _FRZ_UFS_H_
#define _FRZ_UFS_H_

#include <sys/mount.h>
#include <sys/param.h>

#include <stdbool.h>

#include "frz_msg.h"

struct frz_ufs {
	int fu_fd; /* /dev/ufssuspend, -1: flushed only */
	struct fsid fu_fsid;
	bool fu_journaled;
	char fu_pool[MNAMELEN]; /* what is flushed with it, or "" */
};

/*
 * Finds what an OPEN order names, and opens what freezing it takes, but nothing
 * on any file system.  ESTALE if it is not mounted there any more.
 */
int frz_ufs_open(const struct frz_msg *fm, struct frz_ufs *fu);
void frz_ufs_close(struct frz_ufs *fu);

/* Begins to write out what waits, everywhere. */
void frz_ufs_flush(void);

/* Waits until all that was written to its pool is on disk. */
int frz_ufs_flush_pool(const struct frz_ufs *fu);

/* The highest of those that stay open for flushing may be this; -1: none do. */
int frz_ufs_highest_fd(void);

/*
 * EAGAIN from freeze: the kernel gave up, another one may do better.  EINVAL
 * from thaw: it is not frozen, or not through this descriptor.
 */
int frz_ufs_freeze(const struct frz_ufs *fu);
int frz_ufs_thaw(const struct frz_ufs *fu);

#endif /* _FRZ_UFS_H_ */
