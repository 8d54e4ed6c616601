/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/* The record that a thaw is owed; ctl_owed.h has the contract. */

#include <sys/file.h>
#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "ctl_owed.h"

bool
ctl_owed_path(char *path, const char *dir, const char *name, const char *device,
    size_t len)
{
	char *tail;
	int n;

	n = snprintf(path, len, "%s/run.%s%s", dir, name, device);
	if (n < 0 || (size_t)n >= len)
		return (false);
	/* What is after the directory is one name. */
	for (tail = path + strlen(dir) + 1; *tail != '\0'; tail++) {
		if (*tail == '/' || *tail == ' ')
			*tail = '_';
	}
	return (true);
}

int
ctl_owed_open(const char *path, int *fd, bool *owed)
{
	char dir[CTL_OWED_PATH], c;
	int error;

	snprintf(dir, sizeof(dir), "%s", path);
	*strrchr(dir, '/') = '\0';
	if (mkdir(dir, 0755) != 0 && errno != EEXIST)
		return (errno);
	*fd = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (*fd < 0)
		return (errno);
	if (flock(*fd, LOCK_EX | LOCK_NB) == 0) {
		*owed = pread(*fd, &c, 1, 0) == 1;
		return (0);
	}
	error = errno;
	close(*fd);
	*fd = -1;
	return (error);
}

int
ctl_owed_set(int fd, bool owed)
{
	static const char text[] = "a thaw is owed\n";

	if (fd < 0)
		return (0);
	if (!owed)
		return (ftruncate(fd, 0) != 0 ? errno : 0);
	return (pwrite(fd, text, sizeof(text) - 1, 0) < 1 ? errno : 0);
}
