/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/*
 * Reads the mount table of FreeBSD: getfsstat(2), which asks no file system
 * anything, and sysctls.  Opens nothing and looks up no path.
 *
 * UFS is frozen by its fsid, so that a mount that others hide, or whose path
 * leads through what may hang, can be frozen as well as any.  The kernel lists
 * mounts in the order in which they were made: what a file system lies on comes
 * before it.
 *
 * All datasets of a ZFS pool are one file system here, since a pool is what is
 * flushed.  Their device number is the fsid of the first; fm_id is each one's
 * own.
 */

#include "fs_freebsd.h"

#include <sys/mount.h>
#include <sys/param.h>
#include <sys/sysctl.h>
#include <sys/types.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "fs_table.h"
#include "fs_types.h"

/* Mounts that may be made between counting and reading them. */
#define SPARE 8

/* What is being unmounted is waited for: a second. */
#define WHOLE_TRIES    100
#define WHOLE_PAUSE_NS 10000000

const char fs_topology[] = "GEOM";

/* Keeps the table's strings alive; one for each mount. */
struct memory {
	int me_count;
	struct statfs *me_mounts;
};

char *
fs_sysctl_text(const char *name)
{
	size_t len = 0;
	char *text;

	if (sysctlbyname(name, NULL, &len, NULL, 0) == -1)
		return (NULL);
	/* It may grow meanwhile. */
	len += len / 4 + 256;
	text = malloc(len + 1);
	if (text == NULL || sysctlbyname(name, text, &len, NULL, 0) == -1) {
		free(text);
		return (NULL);
	}
	text[len] = '\0';
	return (text);
}

static bool
is_jailed(void)
{
	size_t len = sizeof(int);
	int jailed = 0;

	return (
	    sysctlbyname("security.jail.jailed", &jailed, &len, NULL, 0) == 0 &&
	    jailed != 0);
}

bool
fs_below(const char *path, const char *dir)
{
	size_t len = strlen(dir);

	if (len > 0 && dir[len - 1] == '/')
		len--;
	return (strncmp(path, dir, len) == 0 &&
	    (path[len] == '/' || path[len] == '\0'));
}

/*
 * A mount hides what was mounted below its point before, so that the last one
 * counts.  What is mounted on the root is not met: a path starts beneath it.
 */
unsigned int
fs_earlier(const struct fs_table *ft, unsigned int before, const char *path)
{
	unsigned int root = FS_NONE;

	for (unsigned int i = before; i-- > 0;)
		if (strcmp(ft->ft_mounts[i].fm_point, "/") == 0)
			root = i;
		else if (fs_below(path, ft->ft_mounts[i].fm_point))
			return (i);
	return (root);
}

/*
 * How many of these types are in use and not in the list: being unmounted.  For
 * the root's type 15 says one too many, for ever.
 */
static int
left_out_of(const struct memory *me, const char *const *types)
{
	struct xvfsconf xv;
	const char *type;
	size_t len;
	int sum = 0;

	for (; *types != NULL; types++) {
		/* Its module is not there. */
		if (getvfsbyname(*types, &xv) != 0)
			continue;
		len = strlen(*types);
		for (int i = 0; i < me->me_count; i++) {
			type = me->me_mounts[i].f_fstypename;
			if (strncmp(type, *types, len) == 0 &&
			    (type[len] == '\0' || type[len] == '.'))
				xv.vfc_refcount--;
		}
		if (xv.vfc_refcount > 0)
			sum += xv.vfc_refcount;
	}
	return (sum);
}

/*
 * Whether the list is whole.  It leaves out what is being unmounted, which
 * stays if that fails in the end; the number of mounts does not.  What no plan
 * touches is of no matter: where the server is gone it may hang so for days,
 * and a large tmpfs takes its time.
 */
static bool
is_whole(const struct memory *me)
{
	static const char *const *const untouched[] = { fs_names_network,
		fs_names_fuse, fs_names_memory, fs_names_stacked };
	int missing = getfsstat(NULL, 0, MNT_NOWAIT) - me->me_count;

	for (size_t i = 0;
	     i < sizeof(untouched) / sizeof(untouched[0]) && missing > 0; i++)
		missing -= left_out_of(me, untouched[i]);
	return (missing <= 0);
}

static int
load(struct memory *me)
{
	int count = getfsstat(NULL, 0, MNT_NOWAIT);

	if (count == -1)
		return (errno);
	count += SPARE;
	me->me_mounts = calloc((size_t)count, sizeof(*me->me_mounts));
	if (me->me_mounts == NULL)
		return (ENOMEM);
	me->me_count = getfsstat(me->me_mounts,
	    (long)((size_t)count * sizeof(*me->me_mounts)), MNT_NOWAIT);
	if (me->me_count == -1)
		return (errno);
	return (me->me_count == count ? EAGAIN : 0);
}

static int
load_whole(struct memory *me)
{
	const struct timespec pause = { 0, WHOLE_PAUSE_NS };
	int error;

	for (int tries = 0; tries < WHOLE_TRIES; tries++) {
		do {
			free(me->me_mounts);
			error = load(me);
		} while (error == EAGAIN);
		if (error != 0)
			return (error);
		if (is_whole(me))
			return (0);
		(void)nanosleep(&pause, NULL);
	}
	return (EBUSY);
}

static bool
is_zfs(const struct fs_mount *m)
{
	return (strcmp(m->fm_type, "zfs") == 0);
}

/* "zroot" and "zroot/usr/home" are of one pool. */
static bool
same_pool(const struct fs_mount *a, const struct fs_mount *b)
{
	size_t len = strcspn(a->fm_source, "/");

	return (is_zfs(a) && is_zfs(b) && strcspn(b->fm_source, "/") == len &&
	    strncmp(a->fm_source, b->fm_source, len) == 0);
}

static void
add_mount(struct fs_table *ft, const struct statfs *sf)
{
	unsigned int i = ft->ft_nmounts++;
	struct fs_mount *m = &ft->ft_mounts[i];

	m->fm_point = sf->f_mntonname;
	m->fm_type = sf->f_fstypename;
	m->fm_source = sf->f_mntfromname;
	m->fm_root = "/";
	m->fm_major = (uint32_t)sf->f_fsid.val[0];
	m->fm_minor = (uint32_t)sf->f_fsid.val[1];
	/* Told to root only; others ask for a plan to read it. */
	if (m->fm_major == 0 && m->fm_minor == 0)
		m->fm_minor = i + 1;
	m->fm_id = (uint64_t)m->fm_major << 32 | m->fm_minor;
	m->fm_parent = fs_earlier(ft, i, m->fm_point);
	for (unsigned int j = 0; j < i; j++)
		if (same_pool(&ft->ft_mounts[j], m)) {
			m->fm_major = ft->ft_mounts[j].fm_major;
			m->fm_minor = ft->ft_mounts[j].fm_minor;
			break;
		}
}

/* A pool is written to if any of its datasets is. */
static void
set_flags(struct fs_table *ft, const struct memory *me)
{
	for (unsigned int fs = 0; fs < ft->ft_nfs; fs++)
		ft->ft_fs[fs].fy_readonly = true;
	for (unsigned int i = 0; i < ft->ft_nmounts; i++)
		if ((me->me_mounts[i].f_flags & MNT_RDONLY) == 0)
			ft->ft_fs[ft->ft_mounts[i].fm_fs].fy_readonly = false;
}

/*
 * What nullfs and unionfs write to.  The source is a directory; unionfs puts
 * before it whether that is above the mount point's own directory, which makes
 * it the one that is written to, or below it.
 */
static int
stacked_ground(struct fs_table *ft, unsigned int mount)
{
	const struct fs_mount *m = &ft->ft_mounts[mount];
	const char *dir = m->fm_source;
	unsigned int upper;

	if (strncmp(dir, "<above>:", 8) == 0)
		dir += 8;
	else if (strncmp(dir, "<below>:", 8) == 0)
		dir = m->fm_point;
	upper = dir[0] == '/' ? fs_earlier(ft, mount, dir) : FS_NONE;
	if (upper == FS_NONE) {
		ft->ft_fs[m->fm_fs].fy_ground = FS_GROUND_FOREIGN;
		return (0);
	}
	ft->ft_fs[m->fm_fs].fy_upper = ft->ft_mounts[upper].fm_fs;
	return (fs_table_lies_on(ft, m->fm_fs, ft->ft_mounts[upper].fm_fs));
}

/* The name of its device below /dev, "" if it has none there. */
static const char *
provider_of(const struct fs_mount *m)
{
	return (strncmp(m->fm_source, "/dev/", 5) == 0 ? m->fm_source + 5 : "");
}

static bool
on_volume(const char *provider)
{
	return (strncmp(provider, "zvol/", 5) == 0);
}

/* Of a volume GEOM does not show the pool, which need not be mounted. */
static int
device_ground(struct fs_table *ft, unsigned int mount, const char *provider,
    const char *conftxt)
{
	struct fs_system *fy = &ft->ft_fs[ft->ft_mounts[mount].fm_fs];
	struct fs_mount pool = { .fm_type = "zfs" };

	fy->fy_block = true;
	if (!on_volume(provider))
		return (fs_geom_ground(ft, mount, provider, conftxt));
	pool.fm_source = strchr(provider, '/') + 1;
	fy->fy_ground = FS_GROUND_UNSEEN;
	for (unsigned int i = 0; i < ft->ft_nmounts; i++)
		if (same_pool(&ft->ft_mounts[i], &pool)) {
			fy->fy_ground = FS_GROUND_KNOWN;
			return (fs_table_lies_on(ft, ft->ft_mounts[mount].fm_fs,
			    ft->ft_mounts[i].fm_fs));
		}
	return (0);
}

static int
find_ground(struct fs_table *ft, const char *conftxt)
{
	int error = 0;

	for (unsigned int i = 0; i < ft->ft_nmounts && error == 0; i++) {
		const struct fs_mount *m = &ft->ft_mounts[i];
		const char *provider = provider_of(m);

		switch (fs_class(m->fm_type)) {
		case FS_CLASS_STACKED:
			error = stacked_ground(ft, i);
			break;
		case FS_CLASS_FREEZE:
		case FS_CLASS_SYNC:
		case FS_CLASS_UNKNOWN:
			if (provider[0] != '\0')
				error = device_ground(ft, i, provider, conftxt);
			else if (is_zfs(m))
				ft->ft_fs[m->fm_fs].fy_block = true;
			else if (fs_class(m->fm_type) == FS_CLASS_FREEZE) {
				/* By another name of its device. */
				ft->ft_fs[m->fm_fs].fy_block = true;
				ft->ft_fs[m->fm_fs].fy_ground =
				    FS_GROUND_UNSEEN;
			}
			break;
		default:
			break;
		}
	}
	return (error);
}

static bool
is_pool(const struct fs_table *ft, unsigned int fs)
{
	return (is_zfs(&ft->ft_mounts[ft->ft_fs[fs].fy_first]));
}

static bool
is_on_pool(const struct fs_table *ft, unsigned int fs)
{
	for (unsigned int on = 0; on < ft->ft_nfs; on++)
		if (is_pool(ft, on) && fs_table_reaches(ft, fs, on))
			return (true);
	return (false);
}

/*
 * Has a pool, or what is on a volume of one, lie on every stack that is not on
 * a pool itself.  What lies on nothing is in the last step, where the worker
 * takes pools and their volumes first.
 */
static int
lies_on_stacks(struct fs_table *ft, unsigned int fs)
{
	int error = 0;

	for (unsigned int on = 0; on < ft->ft_nfs && error == 0; on++)
		if (ft->ft_fs[on].fy_block && ft->ft_fs[on].fy_nlower != 0 &&
		    !is_pool(ft, on) && !fs_table_reaches(ft, on, fs) &&
		    (is_pool(ft, fs) || !is_on_pool(ft, on)))
			error = fs_table_lies_on(ft, fs, on);
	return (error);
}

static int
lies_on_earlier(struct fs_table *ft, unsigned int fs)
{
	int error = 0;

	for (unsigned int on = 0; on < fs && error == 0; on++)
		if (ft->ft_fs[on].fy_block && !fs_table_reaches(ft, on, fs))
			error = fs_table_lies_on(ft, fs, on);
	return (error);
}

/*
 * What is on a device that GEOM does not show is taken to lie on what was
 * mounted before it.  A pool may lie on anything, and its flush waits while
 * that is frozen, beyond SIGKILL.  What may be above a pool or below it has no
 * order that is safe.
 */
static int
guess_unseen(struct fs_table *ft)
{
	struct fs_system *fy;
	bool pools = false;
	int error = 0;

	for (unsigned int fs = 0; fs < ft->ft_nfs; fs++)
		pools = pools || is_pool(ft, fs);
	for (unsigned int fs = ft->ft_nfs; fs-- > 0 && error == 0;) {
		fy = &ft->ft_fs[fs];
		if (!fy->fy_block || fy->fy_loop ||
		    fy->fy_ground != FS_GROUND_UNSEEN)
			continue;
		if (on_volume(provider_of(&ft->ft_mounts[fy->fy_first])))
			error = lies_on_stacks(ft, fs);
		else if (pools)
			fy->fy_ground = FS_GROUND_EITHER;
		else
			error = lies_on_earlier(ft, fs);
	}
	for (unsigned int fs = 0; fs < ft->ft_nfs && error == 0; fs++)
		if (is_pool(ft, fs))
			error = lies_on_stacks(ft, fs);
	return (error);
}

static int
read_table(struct fs_table *ft, struct memory *me)
{
	char *conftxt;
	int error;

	error = load_whole(me);
	if (error != 0)
		return (error);
	ft->ft_mounts = calloc(
	    (size_t)me->me_count + 1, sizeof(*ft->ft_mounts));
	if (ft->ft_mounts == NULL)
		return (ENOMEM);
	for (int i = 0; i < me->me_count; i++)
		add_mount(ft, &me->me_mounts[i]);
	error = fs_table_group(ft);
	if (error != 0)
		return (error);
	set_flags(ft, me);
	conftxt = fs_sysctl_text("kern.geom.conftxt");
	error = find_ground(ft, conftxt);
	free(conftxt);
	if (error == 0)
		error = fs_table_guess(ft);
	if (error == 0)
		error = guess_unseen(ft);
	if (error == 0)
		fs_geom_disk(ft);
	return (error);
}

int
fs_read(struct fs_table *ft, const char *root, bool elsewhere, char *err,
    size_t errlen)
{
	int error;

	/* There is one mount table, and no way to record one. */
	(void)root;
	(void)elsewhere;
	memset(ft, 0, sizeof(*ft));
	if (is_jailed()) {
		(void)snprintf(err, errlen,
		    "in a jail the kernel lets no file system be frozen; run "
		    "hv_vss_daemon outside, on the machine itself");
		return (EPERM);
	}
	ft->ft_memory = calloc(1, sizeof(struct memory));
	error = ft->ft_memory == NULL ? ENOMEM : read_table(ft, ft->ft_memory);
	if (error == EBUSY)
		(void)snprintf(err, errlen,
		    "a file system is being unmounted, and stays if that "
		    "fails; try again when umount(8) has ended");
	else if (error != 0)
		(void)snprintf(err, errlen, "mount table: %s", strerror(error));
	if (error != 0)
		fs_free(ft);
	return (error);
}

void
fs_free(struct fs_table *ft)
{
	struct memory *me = ft->ft_memory;

	fs_table_free(ft);
	if (me != NULL)
		free(me->me_mounts);
	free(me);
	memset(ft, 0, sizeof(*ft));
}

/*
 * The kernel tells of mounts and unmounts (EVFILT_FS), but not of remounts.
 * Reading the table anew costs little.
 */
int
fs_watch(void)
{
	return (-1);
}

bool
fs_changed(int watch)
{
	(void)watch;
	return (true);
}

/* Mount points are not opened: what they are does not matter. */
enum fs_kind
fs_kind(const char *root, const char *path)
{
	(void)root;
	(void)path;
	return (FS_KIND_OPENABLE);
}
