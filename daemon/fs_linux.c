/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/*
 * Reads the mount table of Linux: /proc/self/mountinfo, by libmount without any
 * canonicalisation of paths, since that would look them up.  Reads nothing else
 * than that file, those of other mount namespaces (fs_linux_ns.c) and sysfs
 * (fs_linux_block.c).
 */

#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <errno.h>
#include <fcntl.h>
#include <libmount/libmount.h>
#include <malloc.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fs_linux.h"
#include "fs_table.h"
#include "fs_types.h"

#define PATH_LEN 4096

const char fs_topology[] = "/sys";

/* What libmount keeps alive for the table's strings. */
struct memory {
	struct libmnt_table *me_table;
	uint64_t *me_parents; /* mount id of each mount's parent */
};

static const char *
or_empty(const char *s)
{
	return (s == NULL ? "" : s);
}

static int
load(struct fs_table *ft, struct memory *me)
{
	struct libmnt_iter *it = mnt_new_iter(MNT_ITER_FORWARD);
	struct libmnt_fs *fs;
	unsigned int n = (unsigned int)mnt_table_get_nents(me->me_table);

	ft->ft_mounts = calloc(n + 1, sizeof(*ft->ft_mounts));
	me->me_parents = calloc(n + 1, sizeof(*me->me_parents));
	if (it == NULL || ft->ft_mounts == NULL || me->me_parents == NULL) {
		mnt_free_iter(it);
		return (ENOMEM);
	}
	while (ft->ft_nmounts < n &&
	    mnt_table_next_fs(me->me_table, it, &fs) == 0) {
		struct fs_mount *m = &ft->ft_mounts[ft->ft_nmounts];
		dev_t dev = mnt_fs_get_devno(fs);

		m->fm_point = or_empty(mnt_fs_get_target(fs));
		m->fm_type = or_empty(mnt_fs_get_fstype(fs));
		m->fm_source = or_empty(mnt_fs_get_source(fs));
		m->fm_root = or_empty(mnt_fs_get_root(fs));
		m->fm_id = (uint64_t)mnt_fs_get_id(fs);
		m->fm_major = major(dev);
		m->fm_minor = minor(dev);
		me->me_parents[ft->ft_nmounts++] = (uint64_t)
		    mnt_fs_get_parent_id(fs);
	}
	mnt_free_iter(it);
	return (0);
}

/* The options of the superblock, the last field of mountinfo. */
static void
read_options(struct fs_table *ft, struct memory *me)
{
	struct libmnt_iter *it = mnt_new_iter(MNT_ITER_FORWARD);
	struct libmnt_fs *fs;
	struct fs_system *fy;
	const char *options;

	for (unsigned int i = 0; i < ft->ft_nmounts && it != NULL &&
	     mnt_table_next_fs(me->me_table, it, &fs) == 0;
	     i++) {
		fy = &ft->ft_fs[ft->ft_mounts[i].fm_fs];
		if (fy->fy_first != i)
			continue;
		options = or_empty(mnt_fs_get_fs_options(fs));
		fy->fy_readonly = mnt_optstr_get_option(
				      options, "ro", NULL, NULL) == 0;
		fy->fy_any_dev = strcmp(ft->ft_mounts[i].fm_type, "btrfs") == 0;
	}
	mnt_free_iter(it);
}

/*
 * A directory that a stacked file system writes to, as its mounter named it.
 * If that leads to the file system itself, it was named in another root.
 */
static int
stand_on(struct fs_table *ft, unsigned int fs, const char *dir)
{
	struct fs_system *fy = &ft->ft_fs[fs];
	unsigned int upper = dir[0] == '/' ? fs_of_path(ft, dir) : FS_NONE;

	if (upper == FS_NONE || upper == fs) {
		fy->fy_ground = FS_GROUND_FOREIGN;
		return (0);
	}
	fy->fy_upper = upper;
	return (fs_table_lies_on(ft, fs, upper));
}

static int
overlay_ground(struct fs_table *ft, unsigned int fs, struct libmnt_fs *entry)
{
	const char *options = or_empty(mnt_fs_get_fs_options(entry));
	char dir[PATH_LEN], *value;
	size_t len;

	/* Without an upper layer nothing is written. */
	if (mnt_optstr_get_option(options, "upperdir", &value, &len) != 0) {
		ft->ft_fs[fs].fy_readonly = true;
		return (0);
	}
	(void)snprintf(dir, sizeof(dir), "%.*s", (int)len, value);
	return (stand_on(ft, fs, dir));
}

static int
find_ground(struct fs_table *ft, struct memory *me, const char *root)
{
	struct libmnt_iter *it = mnt_new_iter(MNT_ITER_FORWARD);
	struct libmnt_fs *entry;
	int error = it == NULL ? ENOMEM : 0;

	for (unsigned int i = 0; i < ft->ft_nmounts && error == 0 &&
	     mnt_table_next_fs(me->me_table, it, &entry) == 0;
	     i++) {
		struct fs_mount *m = &ft->ft_mounts[i];

		if (ft->ft_fs[m->fm_fs].fy_first != i)
			continue;
		switch (fs_class(m->fm_type)) {
		case FS_CLASS_OVERLAY:
			error = overlay_ground(ft, m->fm_fs, entry);
			break;
		case FS_CLASS_STACKED:
			error = stand_on(ft, m->fm_fs, m->fm_source);
			break;
		case FS_CLASS_PSEUDO:
		case FS_CLASS_MEMORY:
		case FS_CLASS_NETWORK:
		case FS_CLASS_FUSE:
			break;
		default:
			error = fs_block_ground(ft, m->fm_fs, root);
			break;
		}
	}
	mnt_free_iter(it);
	/* What is mounted elsewhere is behind the table's. */
	for (unsigned int fs = 0; fs < ft->ft_nfs && error == 0; fs++)
		if (ft->ft_mounts[ft->ft_fs[fs].fy_first].fm_pid != 0)
			error = fs_block_ground(ft, fs, root);
	return (error);
}

bool
fs_is_gone(int error)
{
	switch (error) {
	case ENOENT:
	case ENOTDIR:
	case ENODEV:
	case ESRCH:
	case EACCES:
	case EPERM:
		return (true);
	default:
		return (false);
	}
}

/* What libmount takes for the end of the table may be a read that failed. */
static int
parse(struct memory *me, const char *path)
{
	FILE *f = fopen(path, "re");
	int error;

	if (f == NULL)
		return (errno);
	error = -mnt_table_parse_stream(me->me_table, f, path);
	if (ferror(f) != 0)
		error = EIO;
	(void)fclose(f);
	return (error);
}

int
fs_mounts_read(struct fs_table *ft, const char *path)
{
	struct memory *me = calloc(1, sizeof(*me));
	int error;

	memset(ft, 0, sizeof(*ft));
	if (me == NULL)
		return (ENOMEM);
	ft->ft_memory = me;
	me->me_table = mnt_new_table();
	if (me->me_table == NULL)
		return (ENOMEM);
	error = parse(me, path);
	if (error == 0)
		error = load(ft, me);
	if (error != 0)
		return (error);
	error = fs_table_parents(ft, me->me_parents);
	if (error == 0)
		error = fs_table_group(ft);
	if (error != 0)
		return (error);
	read_options(ft, me);
	return (fs_table_hide(ft));
}

/* All but this mount namespace's table. */
static int
read_rest(struct fs_table *ft, const char *root, bool elsewhere)
{
	int error = elsewhere ? fs_ns_read(ft, root) : 0;

	if (error == 0)
		error = find_ground(ft, ft->ft_memory, root);
	if (error == 0)
		error = fs_table_guess(ft);
	if (error == 0)
		error = fs_ns_doubt(ft);
	if (error == 0)
		fs_block_disk(ft, root);
	return (error != 0 ? error : ft->ft_error);
}

int
fs_read(struct fs_table *ft, const char *root, bool elsewhere, char *err,
    size_t errlen)
{
	char path[PATH_LEN];
	int error;

	(void)snprintf(path, sizeof(path), "%s/proc/self/mountinfo", root);
	error = fs_mounts_read(ft, path);
	if (error != 0)
		(void)snprintf(err, errlen,
		    "%s: cannot be read: %s (is /proc mounted?)", path,
		    strerror(error));
	else {
		error = read_rest(ft, root, elsewhere);
		if (error != 0)
			(void)snprintf(err, errlen,
			    "%s/proc and /sys: what is mounted cannot be told: "
			    "%s (raise the limits of the service or system)",
			    root, strerror(error));
	}
	if (error != 0)
		fs_free(ft);
	return (error);
}

void
fs_mounts_free(struct fs_table *ft)
{
	struct memory *me = ft->ft_memory;

	fs_table_free(ft);
	if (me != NULL) {
		mnt_unref_table(me->me_table);
		free(me->me_parents);
		free(me);
	}
	memset(ft, 0, sizeof(*ft));
}

void
fs_free(struct fs_table *ft)
{
	fs_mounts_free(ft);
	/* Between backups the daemon is small. */
	(void)malloc_trim(0);
}

int
fs_watch(void)
{
	return (open("/proc/self/mountinfo", O_RDONLY | O_CLOEXEC));
}

/* poll(2) of that file tells it, and by that begins anew. */
bool
fs_changed(int watch)
{
	struct pollfd pfd = { watch, POLLPRI, 0 };

	return (watch != -1 && poll(&pfd, 1, 0) == 1 &&
	    (pfd.revents & (POLLPRI | POLLERR)) != 0);
}

enum fs_kind
fs_kind(const char *root, const char *path)
{
	char full[PATH_LEN];
	struct statx sx;

	(void)snprintf(full, sizeof(full), "%s%s", root, path);
	if (statx(AT_FDCWD, full,
		AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | AT_STATX_DONT_SYNC,
		STATX_TYPE, &sx) != 0)
		return (FS_KIND_UNKNOWN);
	return (S_ISDIR(sx.stx_mode) || S_ISREG(sx.stx_mode) ?
		FS_KIND_OPENABLE :
		FS_KIND_SPECIAL);
}
