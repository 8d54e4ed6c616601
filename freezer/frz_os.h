/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/*
 * What the freezer does in each system's own way as it starts (frz_linux.c,
 * frz_freebsd.c).  Functions return 0 or an errno.
 */

#ifndef _FRZ_OS_H_
#define _FRZ_OS_H_

#include <stdbool.h>

/* Where memory is short, it is not what is killed for it. */
int frz_os_protect(void);

/* Leaves for a directory that is on no disk. */
int frz_os_leave(void);

/*
 * Gives up what worker or guard do not need once they are set up; what cannot
 * be given up is kept.
 */
int frz_os_confine(bool guard);

#endif /* _FRZ_OS_H_ */
