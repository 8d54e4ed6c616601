/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/*
 * One file system: opening its mount point, making sure that it is the planned
 * one, flushing, freezing and thawing it.  The only code of the project that
 * calls FIFREEZE and FITHAW.  All of it may block for as long as the kernel
 * likes.  Functions return 0 or an errno.
 */

#ifndef _FRZ_FS_H_
#define _FRZ_FS_H_

#include "frz_msg.h"

/*
 * Opens what an OPEN order names and checks it against the order: ENOTDIR for a
 * mount point that is neither directory nor regular file (it is not opened: a
 * FIFO would block, a device would act), ESTALE if another file system is there
 * than the planned one.  Fills fm_major and fm_minor with the device.
 */
int frz_fs_open(struct frz_msg *fm, int *fd);

/* Whether this build may touch it: 0, or EPERM in a build for tests. */
int frz_fs_allowed(int fd);

/* Reads what a build for tests may touch; 0 in all others. */
int frz_fs_init(void);

int frz_fs_flush(int fd);
int frz_fs_freeze(int fd);
int frz_fs_thaw(int fd);

#endif /* _FRZ_FS_H_ */
