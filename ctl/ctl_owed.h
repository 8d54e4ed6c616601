/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/*
 * The record that a participant owes a thaw: a file that says so, locked as
 * long as its writer lives.  Who starts after one that was killed while its
 * application was at rest finds it there, and lets that go on.
 *
 * It is opened once and written before freeze and after thaw only, so that
 * nothing is written while anything is frozen, wherever the file lies.
 */

#ifndef _CTL_OWED_H_
#define _CTL_OWED_H_

#include <stdbool.h>
#include <stddef.h>

#include "conf.h"

#define CTL_OWED_DIR  HV_RUNDIR

#define CTL_OWED_PATH 256

/*
 * The path of the record of a name on a device; false if it would be too long.
 */
bool ctl_owed_path(char *path, const char *dir, const char *name,
    const char *device, size_t len);

/*
 * Opens and locks the record, and makes its directory: *fd, and whether a
 * thaw is owed.  0 or an errno, EWOULDBLOCK when somebody else has it.
 */
int ctl_owed_open(const char *path, int *fd, bool *owed);

/* Writes it; fd -1: there is none.  0 or an errno. */
int ctl_owed_set(int fd, bool owed);

#endif /* _CTL_OWED_H_ */
