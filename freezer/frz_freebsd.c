/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/* frz_os.h on FreeBSD. */

#include "frz_os.h"

#include <sys/procctl.h>
#include <sys/types.h>

#include <errno.h>
#include <unistd.h>

int
frz_os_protect(void)
{
	int how = PPROT_SET;

	return (
	    procctl(P_PID, getpid(), PROC_SPROTECT, &how) == -1 ? errno : 0);
}

/* /proc may be a directory like any other here. */
int
frz_os_leave(void)
{
	return (chdir("/dev") == -1 ? errno : 0);
}

/* What there is to freeze with are the descriptors it has. */
int
frz_os_confine(bool guard)
{
	(void)guard;
	return (0);
}
