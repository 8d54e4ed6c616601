/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/* FreeBSD's file systems, found, flushed, frozen and thawed. */

#include "frz_ufs.h"

#include <sys/ioctl.h>
#include <sys/sysctl.h>

#include <ufs/ffs/fs.h>

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "frz_fs.h"

#define FRZ_SUSPEND	   "/dev/ufssuspend"

#define FRZ_NV_UNIQUE_NAME 1
#define FRZ_SETTLE_MS	   50 /* for what is on its way to the disks */

/*
 * What is taken of libzfs_core and of libnvpair, which comes with it: opened
 * when a pool is first met, while nothing is frozen, they stay.  They use
 * functions of libpthread and do not name it: the program is linked with that.
 */
static struct {
	int (*fz_init)(void);
	int (*fz_sync)(const char *pool, void *innvl, void **outnvl);
	int (*fz_alloc)(void **nvl, unsigned int flags, int sleep);
	int (*fz_add)(void *nvl, const char *name, int value);
	void *fz_how;	/* what the kernel is to be told with each sync */
	int fz_highest; /* of the descriptors when the library had its own */
	bool fz_ready;
} frz_zfs = { .fz_highest = -1 };

int
frz_fs_init(void)
{
	return (0);
}

/*
 * The kernel refuses a sync that does not say whether it is to write as well
 * where nothing has changed.
 */
static int
frz_zfs_start(void)
{
	int error = frz_zfs.fz_alloc(&frz_zfs.fz_how, FRZ_NV_UNIQUE_NAME, 0);

	if (error == 0)
		error = frz_zfs.fz_add(frz_zfs.fz_how, "force", 0);
	if (error == 0)
		error = frz_zfs.fz_init();
	for (int fd = 0; fd < FRZ_FDS_WANTED; fd++)
		if (fcntl(fd, F_GETFD) != -1)
			frz_zfs.fz_highest = fd;
	return (error);
}

/*
 * ENOSYS without the library: sync(2) commits what was written with a dataset's
 * own calls, but nothing says that a volume of a pool is on disk.
 */
static int
frz_zfs_open(void)
{
	static const char *const names[] = { "libzfs_core.so.4",
		"libzfs_core.so.3", "libzfs_core.so.2", "libzfs_core.so" };
	void *lib = NULL;

	if (frz_zfs.fz_ready)
		return (0);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]) && lib == NULL;
	     i++)
		lib = dlopen(names[i], RTLD_NOW);
	if (lib == NULL)
		return (ENOSYS);
	*(void **)&frz_zfs.fz_init = dlsym(lib, "libzfs_core_init");
	*(void **)&frz_zfs.fz_sync = dlsym(lib, "lzc_sync");
	*(void **)&frz_zfs.fz_alloc = dlsym(lib, "nvlist_alloc");
	*(void **)&frz_zfs.fz_add = dlsym(lib, "nvlist_add_boolean_value");
	frz_zfs.fz_ready = frz_zfs.fz_init != NULL && frz_zfs.fz_sync != NULL &&
	    frz_zfs.fz_alloc != NULL && frz_zfs.fz_add != NULL &&
	    frz_zfs_start() == 0;
	return (frz_zfs.fz_ready ? 0 : ENOSYS);
}

/* The mount of that fsid; ENOENT if there is none.  No file system is asked. */
static int
frz_ufs_find(uint64_t id, struct statfs *found)
{
	struct statfs *all;
	int count = getfsstat(NULL, 0, MNT_NOWAIT), error = ENOENT;

	if (count == -1)
		return (errno);
	all = calloc((size_t)count, sizeof(*all));
	if (all == NULL)
		return (ENOMEM);
	count = getfsstat(
	    all, (long)((size_t)count * sizeof(*all)), MNT_NOWAIT);
	for (int i = 0; i < count && error == ENOENT; i++)
		if ((uint32_t)all[i].f_fsid.val[0] == id >> 32 &&
		    (uint32_t)all[i].f_fsid.val[1] == (uint32_t)id) {
			*found = all[i];
			error = 0;
		}
	free(all);
	return (error);
}

/* Its own, or that of the volume it lies on, which need not be mounted. */
static int
frz_ufs_pool(const struct statfs *sf, struct frz_ufs *fu)
{
	static const char zvol[] = "/dev/zvol/";
	const char *name = sf->f_mntfromname;

	if (strncmp(name, zvol, sizeof(zvol) - 1) == 0)
		name += sizeof(zvol) - 1;
	else if (strcmp(sf->f_fstypename, "zfs") != 0)
		return (0);
	memcpy(fu->fu_pool, name, strcspn(name, "/"));
	return (frz_zfs_open());
}

int
frz_ufs_open(const struct frz_msg *fm, struct frz_ufs *fu)
{
	static struct statfs sf;
	int error;

	memset(fu, 0, sizeof(*fu));
	fu->fu_fd = -1;
	error = frz_ufs_find(fm->fm_mnt_id, &sf);
	if (error == ENOENT ||
	    (error == 0 && strcmp(sf.f_mntonname, fm->fm_path) != 0))
		return (ESTALE);
	if (error != 0)
		return (error);
	fu->fu_fsid = sf.f_fsid;
	fu->fu_journaled = (sf.f_flags & MNT_SUJ) != 0;
	error = frz_ufs_pool(&sf, fu);
	if (error != 0)
		return (error);
	if ((fm->fm_flags & FRZ_F_SYNC_ONLY) != 0)
		return (0);
	if (strcmp(sf.f_fstypename, "ufs") != 0)
		return (EOPNOTSUPP);
	fu->fu_fd = open(FRZ_SUSPEND, O_RDWR | O_CLOEXEC);
	return (fu->fu_fd == -1 ? errno : 0);
}

void
frz_ufs_close(struct frz_ufs *fu)
{
	if (fu->fu_fd != -1)
		(void)close(fu->fu_fd);
	fu->fu_fd = -1;
}

void
frz_ufs_flush(void)
{
	sync();
}

int
frz_ufs_flush_pool(const struct frz_ufs *fu)
{
	if (fu->fu_pool[0] == '\0')
		return (0);
	return (frz_zfs.fz_sync(fu->fu_pool, frz_zfs.fz_how, NULL));
}

int
frz_ufs_highest_fd(void)
{
	return (frz_zfs.fz_highest);
}

/*
 * With a journal the block of an inode that was unlinked while open stays dirty
 * until a superblock that leads to it is on disk, and the kernel's freeze
 * writes the block 10,000 times before it comes to the superblock (13.2): half
 * a minute where it should be milliseconds, for one such file, and then EAGAIN.
 * So first the block is written, and then the superblock.
 */
static void
frz_ufs_settle(void)
{
	const struct timespec ms = { .tv_nsec = 1000000 };
	long running;
	size_t len;

	sync();
	for (int i = 0; i < FRZ_SETTLE_MS; i++) {
		running = 0;
		len = sizeof(running);
		if (sysctlbyname(
			"vfs.runningbufspace", &running, &len, NULL, 0) == -1 ||
		    running == 0)
			break;
		(void)nanosleep(&ms, NULL);
	}
	sync();
}

int
frz_ufs_freeze(const struct frz_ufs *fu)
{
	struct fsid fsid = fu->fu_fsid;

	if (fu->fu_journaled)
		frz_ufs_settle();
	return (ioctl(fu->fu_fd, UFSSUSPEND, &fsid) == -1 ? errno : 0);
}

int
frz_ufs_thaw(const struct frz_ufs *fu)
{
	if (ioctl(fu->fu_fd, UFSRESUME) == 0)
		return (0);
	return (errno == ENOENT ? EINVAL : errno);
}
