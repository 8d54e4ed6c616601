/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/*
 * What the daemon does in each system's own way (dm_linux.c, dm_freebsd.c),
 * beside lock and record (dm_record*.c) and recovery (dm_recover*.c).
 */

#ifndef _DM_OS_H_
#define _DM_OS_H_

#include <signal.h>

#include "dm.h"

/* A descriptor of the signals in set, which are blocked; -1 and errno. */
int dm_os_signals(const sigset_t *set);
/* The next signal that came, 0: none. */
unsigned dm_os_signal(int fd);

/* What of its starter's descriptors could hold it up is closed. */
void dm_os_only_fds(void);

void dm_os_lock_memory(void);

/* A working directory that is on no disk. */
const char *dm_os_dir(const struct dm *dm);

/* Gives up what the daemon does not need once it serves. */
void dm_os_confine(void);

/* Who is at the other end of a connected socket; -1 and errno. */
int dm_os_peer(int sock, uid_t *uid);

/*
 * Runs the worker or guard, with its socket as FRZ_CONTROL_FD and no other
 * descriptor, in a session of its own.  Its handle is a descriptor that can be
 * read when it has ended.  Returns 0 or an errno.
 */
int dm_os_spawn(
    char *const argv[], int sock, enum dm_role role, pid_t *pid, int *handle);

/* SIGKILL: it works on stopped processes. */
void dm_os_kill(int handle);

/*
 * Whether the worker is one thread, whose death thaws what it froze: then it is
 * silent for as long as a freeze takes, and a hold that it does not end itself
 * was broken.
 */
extern const bool dm_os_death_thaws;

/* The worker has ended: what follows from that for what it froze. */
void dm_os_worker_ended(struct dm *dm);

/* Neither worker nor guard is left, and something may be frozen. */
void dm_os_last_resort(struct dm *dm);

/* Says who has the device, as far as that can be known. */
void dm_os_device_holder(const char *device, char *buf, size_t len);

#endif /* _DM_OS_H_ */
