/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/* Reads and writes attributes of sysfs (sysfs.h). */

#include "sysfs.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static bool
sysfs_path(char path[PATH_MAX], const char *dir, const char *name)
{
	int n = snprintf(path, PATH_MAX, "%s/%s", dir, name);

	return (n >= 0 && n < PATH_MAX);
}

bool
sysfs_line(const char *dir, const char *name, char *line, size_t len)
{
	char path[PATH_MAX];
	FILE *f;
	int error;
	bool ok;

	if (!sysfs_path(path, dir, name)) {
		errno = ENAMETOOLONG;
		return (false);
	}
	f = fopen(path, "re");
	if (f == NULL)
		return (false);
	errno = 0;
	ok = fgets(line, (int)len, f) != NULL;
	error = errno;
	(void)fclose(f);
	errno = error;
	if (ok)
		line[strcspn(line, "\n")] = '\0';
	return (ok);
}

int
sysfs_write(const char *dir, const char *name, const char *text)
{
	char path[PATH_MAX];
	int error = 0, fd;

	if (!sysfs_path(path, dir, name))
		return (ENAMETOOLONG);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd == -1)
		return (errno);
	if (write(fd, text, strlen(text)) == -1)
		error = errno;
	(void)close(fd);
	return (error);
}
