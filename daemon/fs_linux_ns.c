/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/*
 * Finds file systems on local disks that are mounted in other mount namespaces
 * only, those of containers for instance: by /proc/PID/mountinfo, of one
 * process for each namespace and each root that processes have there.  They are
 * opened by way of /proc/PID/root.
 *
 * Nothing but /proc is read.  What is in a container is in others' hands: no
 * path in it is looked up here.
 */

#include <dirent.h>
#include <errno.h>
#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fs_linux.h"
#include "fs_table.h"
#include "fs_types.h"

#define PATH_LEN 4096
#define NS_LEN	 40 /* of "mnt:[4026531841]" */
#define VIEW_LEN (NS_LEN + PATH_LEN)
#define PID_LEN	 12

static bool
is_pid(const char *name)
{
	size_t len = strlen(name);

	return (
	    name[0] != '0' && len < 10 && strspn(name, "0123456789") == len);
}

/*
 * What a process sees: "mnt:[4026531841] /", its namespace, and the root that
 * it has there, since it is told of no mount that cannot be reached from that.
 * 0 or an errno: fs_is_gone() if it may not be looked at, or has ended.
 */
static int
view_of(char *view, const char *root, const char *pid)
{
	char path[PATH_LEN];
	ssize_t n, more;

	(void)snprintf(path, sizeof(path), "%s/proc/%s/ns/mnt", root, pid);
	n = readlink(path, view, NS_LEN - 1);
	if (n == -1)
		return (errno);
	view[n++] = ' ';
	(void)snprintf(path, sizeof(path), "%s/proc/%s/root", root, pid);
	more = readlink(path, view + n, PATH_LEN - 1);
	view[n + (more > 0 ? more : 0)] = '\0';
	/* Who has such a root may be anybody. */
	if (more == -1 && !fs_is_gone(errno) && errno != ENAMETOOLONG)
		return (errno);
	return (0);
}

/* All of this one's own namespace is known. */
static bool
is_own(const char *own, const char *view)
{
	size_t len = strcspn(own, " ") + 1;

	return (strncmp(own, view, len) == 0);
}

static int
compare_views(const void *a, const void *b)
{
	return (strcmp(a, b));
}

/* What is local and may be written to. */
static bool
counts(const struct fs_table *other, unsigned int fs)
{
	const struct fs_mount *m = &other->ft_mounts[other->ft_fs[fs].fy_first];

	switch (fs_class(m->fm_type)) {
	case FS_CLASS_FREEZE:
	case FS_CLASS_SYNC:
		return (!other->ft_fs[fs].fy_readonly);
	case FS_CLASS_UNKNOWN:
		/* Without a block device it is some view of the kernel. */
		return (!other->ft_fs[fs].fy_readonly &&
		    (m->fm_major != 0 ||
			strncmp(m->fm_source, "/dev/", 5) == 0));
	default:
		return (false);
	}
}

static bool
is_known(const struct fs_table *ft, const struct fs_mount *m)
{
	for (unsigned int i = 0; i < ft->ft_nmounts; i++)
		if (ft->ft_mounts[i].fm_major == m->fm_major &&
		    ft->ft_mounts[i].fm_minor == m->fm_minor)
			return (true);
	return (false);
}

/* The mount that can be opened best. */
static const struct fs_mount *
best(const struct fs_table *other, unsigned int fs)
{
	const struct fs_mount *m, *part = NULL;

	for (unsigned int i = 0; i < other->ft_nmounts; i++) {
		m = &other->ft_mounts[i];
		if (m->fm_fs != fs || m->fm_hidden || m->fm_detour)
			continue;
		if (strcmp(m->fm_root, "/") == 0)
			return (m);
		if (part == NULL)
			part = m;
	}
	if (part != NULL)
		return (part);
	return (&other->ft_mounts[other->ft_fs[fs].fy_first]);
}

/* Four strings in one piece of memory. */
static int
copy_texts(struct fs_mount *to, const struct fs_mount *from, const char *pid)
{
	size_t point = strlen(pid) + strlen("/proc//root") +
	    strlen(from->fm_point) + 1;
	size_t type = strlen(from->fm_type) + 1;
	size_t source = strlen(from->fm_source) + 1;
	char *p = malloc(point + type + source + strlen(from->fm_root) + 1);

	if (p == NULL)
		return (ENOMEM);
	to->fm_text = p;
	to->fm_point = p;
	(void)snprintf(p, point, "/proc/%s/root%s", pid, from->fm_point);
	to->fm_type = memcpy(p + point, from->fm_type, type);
	to->fm_source = memcpy(p + point + type, from->fm_source, source);
	to->fm_root = strcpy(p + point + type + source, from->fm_root);
	return (0);
}

static int
add(struct fs_table *ft, const struct fs_table *other, unsigned int fs,
    const char *pid)
{
	const struct fs_mount *from = best(other, fs);
	struct fs_mount *mounts, *m;
	struct fs_system *systems, *fy;

	mounts = realloc(ft->ft_mounts, (ft->ft_nmounts + 1) * sizeof(*mounts));
	if (mounts == NULL)
		return (ENOMEM);
	ft->ft_mounts = mounts;
	systems = realloc(ft->ft_fs, (ft->ft_nfs + 1) * sizeof(*systems));
	if (systems == NULL)
		return (ENOMEM);
	ft->ft_fs = systems;
	m = &mounts[ft->ft_nmounts];
	*m = *from;
	m->fm_parent = FS_NONE;
	m->fm_fs = ft->ft_nfs;
	m->fm_pid = (unsigned int)strtoul(pid, NULL, 10);
	if (copy_texts(m, from, pid) != 0)
		return (ENOMEM);
	fy = &systems[ft->ft_nfs++];
	memset(fy, 0, sizeof(*fy));
	fy->fy_first = ft->ft_nmounts++;
	fy->fy_nmounts = 1;
	fy->fy_any_dev = other->ft_fs[fs].fy_any_dev;
	fy->fy_upper = FS_NONE;
	return (0);
}

/*
 * Every path leads through the root.  That of this machine does not count, as
 * elsewhere; a container's may be served by a process of it.
 */
static void
find_detours(const struct fs_table *ft, struct fs_table *other)
{
	unsigned int own = fs_table_resolve(ft, "/");
	unsigned int root = fs_table_resolve(other, "/");
	const struct fs_mount *m;

	if (root == FS_NONE)
		return;
	m = &other->ft_mounts[root];
	if (!fs_class_may_hang(fs_class(m->fm_type)) ||
	    (own != FS_NONE && ft->ft_mounts[own].fm_major == m->fm_major &&
		ft->ft_mounts[own].fm_minor == m->fm_minor))
		return;
	for (unsigned int i = 0; i < other->ft_nmounts; i++)
		other->ft_mounts[i].fm_detour = true;
}

/*
 * A process may end at any time; then another may still tell of it (ESRCH).
 * EINVAL is of one that nobody has waited for.
 */
static int
read_one(struct fs_table *ft, const char *root, const char *pid)
{
	struct fs_table other;
	char path[PATH_LEN];
	int error;

	(void)snprintf(path, sizeof(path), "%s/proc/%s/mountinfo", root, pid);
	error = fs_mounts_read(&other, path);
	if (error != 0) {
		fs_mounts_free(&other);
		return (fs_is_gone(error) || error == EINVAL ? ESRCH : error);
	}
	find_detours(ft, &other);
	for (unsigned int fs = 0; fs < other.ft_nfs && error == 0; fs++)
		if (counts(&other, fs) &&
		    !is_known(ft, &other.ft_mounts[other.ft_fs[fs].fy_first]))
			error = add(ft, &other, fs, pid);
	fs_mounts_free(&other);
	return (error);
}

static int
compare_pids(const void *a, const void *b)
{
	unsigned long x = strtoul(a, NULL, 10), y = strtoul(b, NULL, 10);

	return (x < y ? -1 : x > y);
}

/* All processes, the oldest of a container likely first. */
static int
list_pids(const char *root, char (**pids)[PID_LEN], size_t *npids)
{
	char path[PATH_LEN], (*more)[PID_LEN];
	struct dirent *de;
	size_t room = 0;
	int error;
	DIR *d;

	(void)snprintf(path, sizeof(path), "%s/proc", root);
	d = opendir(path);
	if (d == NULL)
		return (errno);
	while (errno = 0, (de = readdir(d)) != NULL) {
		if (!is_pid(de->d_name))
			continue;
		if (*npids == room) {
			room = room == 0 ? 256 : 2 * room;
			more = realloc(*pids, room * PID_LEN);
			if (more == NULL)
				break;
			*pids = more;
		}
		(void)snprintf(
		    (*pids)[(*npids)++], PID_LEN, "%.10s", de->d_name);
	}
	error = errno;
	(void)closedir(d);
	if (*npids > 0)
		qsort(*pids, *npids, PID_LEN, compare_pids);
	return (error);
}

/* What a process sees, if no other saw the same. */
static int
read_new(struct fs_table *ft, const char *root, const char *pid,
    const char *own, void **seen)
{
	char view[VIEW_LEN], *copy, **node;
	int error;

	error = view_of(view, root, pid);
	if (error != 0)
		return (fs_is_gone(error) ? 0 : error);
	if (is_own(own, view))
		return (0);
	copy = strdup(view);
	node = copy == NULL ? NULL : tsearch(copy, seen, compare_views);
	if (node != NULL && *node == copy) {
		error = read_one(ft, root, pid);
		if (error != ESRCH)
			return (error);
		(void)tdelete(copy, seen, compare_views);
	}
	free(copy);
	return (node == NULL ? ENOMEM : 0);
}

int
fs_ns_read(struct fs_table *ft, const char *root)
{
	char own[VIEW_LEN] = "";
	char(*pids)[PID_LEN] = NULL;
	size_t npids = 0;
	void *seen = NULL;
	int error;

	/* Not known, it is read like any other, and adds nothing. */
	(void)view_of(own, root, "self");
	error = list_pids(root, &pids, &npids);
	for (size_t i = 0; i < npids && error == 0; i++)
		error = read_new(ft, root, pids[i], own, &seen);
	tdestroy(seen, free);
	free(pids);
	return (error);
}

int
fs_ns_doubt(struct fs_table *ft)
{
	int error = 0;

	for (unsigned int on = 0; on < ft->ft_nfs; on++) {
		if (ft->ft_mounts[ft->ft_fs[on].fy_first].fm_pid == 0)
			continue;
		for (unsigned int fs = 0; fs < ft->ft_nfs && error == 0; fs++)
			if (ft->ft_fs[fs].fy_loop &&
			    !fs_table_reaches(ft, on, fs))
				error = fs_table_lies_on(ft, fs, on);
	}
	return (error);
}
