/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/*
 * Directories of tests: made beside the program, so that those of a test that
 * is killed go with the build, and taken away with all that is in them.
 */

#ifndef _SCRATCH_H_
#define _SCRATCH_H_

#include <sys/stat.h>

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SCRATCH_LEN 512

/* Makes "BUILD/obj/NAME.XXXXXX"; 0, or -1 with errno. */
static inline int
scratch_make(char path[SCRATCH_LEN], const char *name)
{
	ssize_t n = readlink("/proc/self/exe", path, SCRATCH_LEN / 2);
	size_t len;

	path[n > 0 ? n : 0] = '\0';
	if (strrchr(path, '/') == NULL)
		strcpy(path, "/tmp/");
	else
		strrchr(path, '/')[1] = '\0';
	len = strlen(path);
	(void)snprintf(path + len, SCRATCH_LEN - len, "%s.XXXXXX", name);
	return (mkdtemp(path) == NULL ? -1 : 0);
}

static inline int
scratch_remove_one(
    const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
	(void)st;
	(void)flag;
	(void)ftw;
	return (remove(path));
}

static inline void
scratch_remove(const char *path)
{
	(void)nftw(path, scratch_remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

#endif /* _SCRATCH_H_ */
