/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/*
 * What makes the driver a process that a freeze cannot block: memory locked, no
 * core dumps, last to be killed when memory is short, working directory on no
 * disk.  And how it becomes a daemon.
 */

#ifndef _DRV_PROC_H_
#define _DRV_PROC_H_

#include <stdbool.h>

/*
 * Goes on in a child that is its own session, with standard input, output and
 * error on /dev/null; the parent exits 0.  Returns 0 or an errno.
 */
int proc_daemonise(void);

/*
 * Gives up what is not needed once host and devices are there; but for mounts,
 * if the devices are FUSE files.  From then on the driver is the user's, if
 * there is one of that name (NULL: it stays root); he is given what is opened
 * again later: the files in again, NULL at its end.
 */
void proc_confine(bool mounts, const char *user, const char *const again[]);

/* Call when everything is set up; each failure is reported and harmless. */
void proc_harden(void);

#endif /* _DRV_PROC_H_ */
