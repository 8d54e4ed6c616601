/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/* os.h on Linux. */

#include "os.h"

#include <sys/prctl.h>

#include <unistd.h>

void
os_set_name(const char *name, const char *role)
{
	(void)role;
	(void)prctl(PR_SET_NAME, name);
}

void
os_no_trace(void)
{
	(void)prctl(PR_SET_DUMPABLE, 0);
}

bool
os_self(char *path, size_t len)
{
	ssize_t n = readlink("/proc/self/exe", path, len - 1);

	path[n > 0 ? n : 0] = '\0';
	return (n > 0);
}
