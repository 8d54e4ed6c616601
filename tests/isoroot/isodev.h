/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/*
 * A cgroup in which no block device but loop devices can be opened, whatever
 * node somebody finds or mounts.
 */

#ifndef _ISODEV_H_
#define _ISODEV_H_

#include <stdbool.h>

/*
 * Makes it; -1 where the kernel cannot (no cgroup2 mounted, no BPF).  To be
 * called while the machine's own mounts are there.
 */
int isodev_make(void);

/* Puts the calling process, and what comes of it, into it. */
bool isodev_enter(int cgroup);

/* Removes it; every process in it must have ended. */
void isodev_remove(void);

#endif /* _ISODEV_H_ */
