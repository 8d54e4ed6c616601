/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/* frz_os.h on Linux. */

#include "frz_os.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

int
frz_os_protect(void)
{
	static const char score[] = "-1000";
	ssize_t n;
	int error, fd;

	fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
	if (fd == -1)
		return (errno);
	n = write(fd, score, sizeof(score) - 1);
	error = n == -1 ? errno : 0;
	(void)close(fd);
	return (error);
}

int
frz_os_leave(void)
{
	return (chdir("/proc") == -1 && chdir("/dev") == -1 ? errno : 0);
}
