/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/*
 * Opens, identifies, flushes, freezes and thaws one file system.
 *
 * A mount point may be unmounted between the plan and the freeze; then its path
 * leads to the file system beneath it, the root in the worst case.  So the
 * mount id of what was opened is compared with the plan's, twice: of the path
 * (O_PATH opens nothing) and of the descriptor that is kept.
 *
 * A build for tests (FRZ_TEST) touches nothing but the devices listed in the
 * environment variable HV_VSS_TEST_DEVICES and does not run without it.  Other
 * builds do not contain that code and look at no environment.
 */

#include "frz_fs.h"

#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/fs.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#ifdef FRZ_TEST

static dev_t frz_test_devs[FRZ_FS_MAX];
static unsigned frz_test_ndevs;

/* The list is "MAJOR:MINOR,MAJOR:MINOR...", as in mountinfo. */
int
frz_fs_init(void)
{
	const char *p = getenv("HV_VSS_TEST_DEVICES");
	unsigned major, minor;
	int n;

	if (p == NULL)
		return (EPERM);
	while (frz_test_ndevs < FRZ_FS_MAX &&
	    sscanf(p, "%u:%u%n", &major, &minor, &n) == 2) {
		frz_test_devs[frz_test_ndevs++] = makedev(major, minor);
		p += n;
		if (*p == ',')
			p++;
	}
	return (*p == '\0' ? 0 : EINVAL);
}

static dev_t
frz_test_find(const char *mountinfo, uint64_t mnt_id)
{
	char line[4096];
	unsigned long long id;
	unsigned major, minor;
	dev_t dev = 0;
	FILE *fp;

	fp = fopen(mountinfo, "re");
	if (fp == NULL)
		return (0);
	while (fgets(line, sizeof(line), fp) != NULL)
		if (sscanf(line, "%llu %*u %u:%u", &id, &major, &minor) == 3 &&
		    id == mnt_id)
			dev = makedev(major, minor);
	fclose(fp);
	return (dev);
}

/*
 * The superblock's device by any process's mounts (ids are the same for all),
 * for btrfs, whose st_dev is another.
 */
static dev_t
frz_test_dev(uint64_t mnt_id)
{
	char path[sizeof("/proc//mountinfo") + NAME_MAX];
	dev_t dev = frz_test_find("/proc/self/mountinfo", mnt_id);
	struct dirent *de;
	DIR *d = opendir("/proc");

	while (d != NULL && dev == 0 && (de = readdir(d)) != NULL) {
		if (de->d_name[0] < '1' || de->d_name[0] > '9')
			continue;
		snprintf(path, sizeof(path), "/proc/%s/mountinfo", de->d_name);
		dev = frz_test_find(path, mnt_id);
	}
	if (d != NULL)
		closedir(d);
	return (dev);
}

static bool
frz_test_listed(dev_t dev)
{
	for (unsigned i = 0; i < frz_test_ndevs; i++)
		if (dev == frz_test_devs[i])
			return (true);
	return (false);
}

int
frz_fs_allowed(int fd)
{
	struct statx sx;

	if (statx(fd, "", AT_EMPTY_PATH, STATX_MNT_ID, &sx) == -1)
		return (errno);
	/* It may have been torn away meanwhile: its own word comes first. */
	if (frz_test_listed(makedev(sx.stx_dev_major, sx.stx_dev_minor)) ||
	    frz_test_listed(frz_test_dev(sx.stx_mnt_id)))
		return (0);
	return (EPERM);
}

#else

int
frz_fs_init(void)
{
	return (0);
}

int
frz_fs_allowed(int fd)
{
	(void)fd;
	return (0);
}

#endif /* FRZ_TEST */

/* Compares an open file with the order. */
static int
frz_fs_check(const struct frz_msg *fm, int fd, struct statx *sx)
{
	if (statx(fd, "", AT_EMPTY_PATH | AT_NO_AUTOMOUNT,
		STATX_TYPE | STATX_MNT_ID, sx) == -1)
		return (errno);
	if (!S_ISDIR(sx->stx_mode) && !S_ISREG(sx->stx_mode))
		return (ENOTDIR);
	if ((fm->fm_flags & FRZ_F_ANY_MOUNT) == 0 &&
	    ((sx->stx_mask & STATX_MNT_ID) == 0 ||
		sx->stx_mnt_id != fm->fm_mnt_id))
		return (ESTALE);
	if ((fm->fm_flags & FRZ_F_ANY_DEV) == 0 &&
	    (sx->stx_dev_major != fm->fm_major ||
		sx->stx_dev_minor != fm->fm_minor))
		return (ESTALE);
	return (0);
}

/* Opens for reading what an O_PATH descriptor stands for, and nothing else. */
static int
frz_fs_reopen(int pathfd, bool dir, int *fd)
{
	char name[40];
	int flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY;

	if (dir) {
		*fd = openat(pathfd, ".", flags | O_DIRECTORY);
	} else {
		snprintf(name, sizeof(name), "/proc/self/fd/%d", pathfd);
		*fd = open(name, flags);
	}
	return (*fd == -1 ? errno : 0);
}

/* What a path leads to from a directory, by no link and not upwards. */
static int
frz_fs_walk(int dir, char *path)
{
	char *name, *save;
	int error, next;

	name = strtok_r(path, "/", &save);
	for (; name != NULL && dir != -1; name = strtok_r(NULL, "/", &save)) {
		next = -1;
		errno = EXDEV;
		/* A link on the way is opened itself, and leads nowhere. */
		if (strcmp(name, "..") != 0)
			next = openat(
			    dir, name, O_PATH | O_CLOEXEC | O_NOFOLLOW);
		error = errno;
		(void)close(dir);
		errno = error;
		dir = next;
	}
	return (dir);
}

/*
 * What is mounted in another mount namespace only is found by way of a process
 * there, /proc/PID/root.  Behind that, paths are in others' hands: no link is
 * followed, and nothing leads out.
 */
static int
frz_fs_path(const char *path)
{
	char root[sizeof("/proc/4294967295/root")];
	char rest[sizeof(((struct frz_msg *)NULL)->fm_path)];
	int len = 0;

	(void)sscanf(path, "/proc/%*9u/root%n", &len);
	if (len == 0 || path[len] != '/')
		return (open(path, O_PATH | O_CLOEXEC | O_NOFOLLOW));
	snprintf(root, sizeof(root), "%.*s", len, path);
	snprintf(rest, sizeof(rest), "%s", path + len);
	return (
	    frz_fs_walk(open(root, O_PATH | O_DIRECTORY | O_CLOEXEC), rest));
}

int
frz_fs_open(struct frz_msg *fm, int *fd)
{
	struct statx sx;
	int error, pathfd;

	*fd = -1;
	pathfd = frz_fs_path(fm->fm_path);
	if (pathfd == -1)
		return (errno);
	error = frz_fs_check(fm, pathfd, &sx);
	if (error == 0)
		error = frz_fs_reopen(pathfd, S_ISDIR(sx.stx_mode), fd);
	(void)close(pathfd);
	if (error != 0)
		return (error);
	error = frz_fs_check(fm, *fd, &sx);
	if (error == 0)
		error = frz_fs_allowed(*fd);
	if (error != 0) {
		(void)close(*fd);
		*fd = -1;
		return (error);
	}
	fm->fm_major = sx.stx_dev_major;
	fm->fm_minor = sx.stx_dev_minor;
	return (0);
}

int
frz_fs_flush(int fd)
{
	return (syncfs(fd) == -1 ? errno : 0);
}

int
frz_fs_freeze(int fd)
{
	return (ioctl(fd, FIFREEZE, 0) == -1 ? errno : 0);
}

int
frz_fs_thaw(int fd)
{
	return (ioctl(fd, FITHAW, 0) == -1 ? errno : 0);
}
