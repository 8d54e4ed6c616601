/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/*
 * FreeBSD's kernel for the freezer under test, as far as that can tell: each
 * open of /dev/ufssuspend is a connection to the test (FBSD_KERNEL, a socket),
 * which keeps what is frozen by it and thaws at its end, as the kernel does at
 * the last close.  The mounts are in the file FBSD_MOUNTS, "FSID TYPE FROM ON"
 * a line; TYPE ufs,suj is UFS with a journal of soft updates.
 *
 * What the kernel asks of who freezes is asked here as well: one thread, no
 * hole in the table of descriptors, and no file in it.
 */

#include "fbsd.h"

#undef open
#undef ioctl
#undef statfs

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FBSD_SYNC	3
#define FBSD_POOL	4
#define FBSD_NAME_LEN	64
#define FBSD_MOUNTS_MAX 1100

/* What the kernel is asked; it answers with an errno. */
struct fbsd_call {
	uint32_t fc_op;
	int32_t fc_fsid[2];
	char fc_name[FBSD_NAME_LEN];
};

static int
fbsd_connect(void)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	const char *path = getenv("FBSD_KERNEL");
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	(void)snprintf(
	    sun.sun_path, sizeof(sun.sun_path), "%s", path == NULL ? "" : path);
	if (fd != -1 &&
	    connect(fd, (struct sockaddr *)&sun, sizeof(sun)) == -1) {
		(void)close(fd);
		return (-1);
	}
	return (fd);
}

/* 0, or -1 with errno, as a system call. */
static int
fbsd_ask(int fd, const struct fbsd_call *fc)
{
	int32_t error;

	if (send(fd, fc, sizeof(*fc), MSG_NOSIGNAL) != sizeof(*fc) ||
	    recv(fd, &error, sizeof(error), 0) != sizeof(error))
		error = ENXIO;
	errno = error;
	return (error == 0 ? 0 : -1);
}

static int
fbsd_ask_once(const struct fbsd_call *fc)
{
	int error, fd = fbsd_connect();

	if (fd == -1)
		return (ENXIO);
	error = fbsd_ask(fd, fc) == 0 ? 0 : errno;
	(void)close(fd);
	return (error);
}

int
fbsd_open(const char *path, int flags)
{
	if (strcmp(path, "/dev/ufssuspend") == 0)
		return (fbsd_connect());
	return (open(path, flags));
}

static bool
fbsd_is_file(int fd)
{
	struct stat st;

	return (fstat(fd, &st) == 0 &&
	    (S_ISREG(st.st_mode) || S_ISDIR(st.st_mode)));
}

/* How many entries a directory of /proc/self has, and the highest number. */
static int
fbsd_count(const char *path, int *highest)
{
	struct dirent *de;
	DIR *d = opendir(path);
	int count = 0;

	*highest = -1;
	while (d != NULL && (de = readdir(d)) != NULL) {
		if (de->d_name[0] == '.' || atoi(de->d_name) == dirfd(d))
			continue;
		count++;
		if (atoi(de->d_name) > *highest)
			*highest = atoi(de->d_name);
	}
	if (d != NULL)
		(void)closedir(d);
	return (count);
}

/* EDEADLK, and in place of a panic the end of the process. */
static int
fbsd_may_suspend(void)
{
	int highest, count = fbsd_count("/proc/self/fd", &highest);

	for (int fd = 0; fd <= highest; fd++)
		if (fbsd_is_file(fd))
			return (EDEADLK);
	if (count != highest + 1)
		abort();
	return (fbsd_count("/proc/self/task", &highest) == 1 ? 0 : EDEADLK);
}

int
fbsd_ioctl(int fd, unsigned long request, ...)
{
	struct fbsd_call fc = { .fc_op = (uint32_t)request };
	const struct fsid *fsid;
	va_list ap;

	if (request == UFSSUSPEND) {
		va_start(ap, request);
		fsid = va_arg(ap, const struct fsid *);
		va_end(ap);
		memcpy(fc.fc_fsid, fsid->val, sizeof(fc.fc_fsid));
		errno = fbsd_may_suspend();
		if (errno != 0)
			return (-1);
	}
	return (fbsd_ask(fd, &fc));
}

void
fbsd_sync(void)
{
	struct fbsd_call fc = { .fc_op = FBSD_SYNC };

	(void)fbsd_ask_once(&fc);
}

/* Nothing is on its way to the disks. */
int
sysctlbyname(const char *name, void *oldp, size_t *oldlenp, const void *newp,
    size_t newlen)
{
	long running = 0;

	if (strcmp(name, "vfs.runningbufspace") != 0 || newp != NULL ||
	    newlen != 0 || *oldlenp != sizeof(running)) {
		errno = ENOENT;
		return (-1);
	}
	memcpy(oldp, &running, sizeof(running));
	return (0);
}

/* libzfs_core, as far as the kernel's side of it can tell. */
static int fbsd_nvlist = -1; /* the value of "force" in the only one */

static int
fbsd_nvlist_alloc(void **nvl, unsigned int flags, int sleep)
{
	(void)sleep;
	*nvl = &fbsd_nvlist;
	return (flags == 1 ? 0 : EINVAL);
}

static int
fbsd_nvlist_add(void *nvl, const char *name, int value)
{
	if (nvl != &fbsd_nvlist || strcmp(name, "force") != 0)
		return (EINVAL);
	fbsd_nvlist = value;
	return (0);
}

/* It has /dev/zfs open from then on. */
static int
fbsd_zfs_init(void)
{
	return (open("/dev/null", O_RDWR | O_CLOEXEC) == -1 ? errno : 0);
}

static int
fbsd_zfs_sync(const char *pool, void *innvl, void **outnvl)
{
	struct fbsd_call fc = { .fc_op = FBSD_POOL };

	/* ZFS_ERR_IOC_ARG_REQUIRED */
	if (innvl != &fbsd_nvlist || fbsd_nvlist != 0 || outnvl != NULL)
		return (1031);
	(void)snprintf(fc.fc_name, sizeof(fc.fc_name), "%s", pool);
	return (fbsd_ask_once(&fc));
}

/* FreeBSD 13's is the only one that is there, if one is. */
void *
fbsd_dlopen(const char *name)
{
	static int lib;

	if (getenv("FBSD_NO_ZFS") != NULL)
		return (NULL);
	return (strcmp(name, "libzfs_core.so.2") == 0 ? &lib : NULL);
}

void *
fbsd_dlsym(const char *name)
{
	if (strcmp(name, "libzfs_core_init") == 0)
		return ((void *)(uintptr_t)fbsd_zfs_init);
	if (strcmp(name, "lzc_sync") == 0)
		return ((void *)(uintptr_t)fbsd_zfs_sync);
	if (strcmp(name, "nvlist_alloc") == 0)
		return ((void *)(uintptr_t)fbsd_nvlist_alloc);
	if (strcmp(name, "nvlist_add_boolean_value") == 0)
		return ((void *)(uintptr_t)fbsd_nvlist_add);
	return (NULL);
}

int
getfsstat(struct fbsd_statfs *buf, long bufsize, int mode)
{
	struct fbsd_statfs sf = { 0 };
	const char *path = getenv("FBSD_MOUNTS");
	FILE *f = path == NULL ? NULL : fopen(path, "re");
	int count = 0, room = (int)(bufsize / (long)sizeof(*buf));

	(void)mode;
	if (f == NULL)
		return (-1);
	while ((buf == NULL || count < room) && count < FBSD_MOUNTS_MAX &&
	    fscanf(f, "%d %15s %1023s %1023s", &sf.f_fsid.val[0],
		sf.f_fstypename, sf.f_mntfromname, sf.f_mntonname) == 4) {
		sf.f_fsid.val[1] = 7;
		sf.f_flags = MNT_LOCAL |
		    (strstr(sf.f_fstypename, ",suj") != NULL ? MNT_SUJ : 0);
		sf.f_fstypename[strcspn(sf.f_fstypename, ",")] = '\0';
		if (buf != NULL)
			buf[count] = sf;
		count++;
	}
	(void)fclose(f);
	return (count);
}

int
pdkill(int fd, int sig)
{
	return ((int)syscall(SYS_pidfd_send_signal, fd, sig, NULL, 0));
}

int
procctl(int idtype, int id, int cmd, void *arg)
{
	(void)idtype;
	(void)id;
	(void)cmd;
	(void)arg;
	return (0);
}
