/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/* os.h on FreeBSD. */

#include "os.h"

#include <sys/types.h>

#include <sys/procctl.h>
#include <sys/sysctl.h>

#include <unistd.h>

void
os_set_name(const char *name, const char *role)
{
	setproctitle(
	    "-%s%s%s", name, role == NULL ? "" : " ", role == NULL ? "" : role);
}

void
os_no_trace(void)
{
	int how = PROC_TRACE_CTL_DISABLE;

	(void)procctl(P_PID, getpid(), PROC_TRACE_CTL, &how);
}

bool
os_self(char *path, size_t len)
{
	static const int mib[] = { CTL_KERN, KERN_PROC, KERN_PROC_PATHNAME,
		-1 };

	return (sysctl(mib, sizeof(mib) / sizeof(mib[0]), path, &len, NULL,
		    0) == 0);
}
