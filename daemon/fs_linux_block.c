/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/*
 * Walks block devices in sysfs, from the one that is mounted down to the disks
 * and image files.  A directory of sysfs is named by its path; every path
 * starts with the root directory that the caller gave.  Opens no device.
 */

#include "fs_linux.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fs_table.h"
#include "fs_types.h"
#include "sysfs.h"

#define PATH_LEN   4096
#define DEPTH_MAX  16 /* layers of block devices */
#define LOOP_MAJOR 7

/* One walk. */
struct walk {
	struct fs_table *wk_ft;
	unsigned int wk_fs;
	const char *wk_root;
	unsigned int wk_depth;
};

/* DIR/NAME; false if that is too long. */
static bool
join(char *path, size_t len, const char *dir, const char *name)
{
	int n = snprintf(path, len, "%s/%s", dir, name);

	return (n >= 0 && (size_t)n < len);
}

/* What cannot be looked at is noted, unless it is not there. */
static void
note(struct fs_table *ft, int error)
{
	if (error != 0 && !fs_is_gone(error))
		ft->ft_error = error;
}

static bool
exists(struct fs_table *ft, const char *dir, const char *name)
{
	char path[PATH_LEN];

	if (!join(path, sizeof(path), dir, name))
		return (false);
	if (access(path, F_OK) == 0)
		return (true);
	/* Of a name that a mount table gave. */
	if (errno != ENAMETOOLONG)
		note(ft, errno);
	return (false);
}

static bool
line_of(struct fs_table *ft, const char *dir, const char *name, char *line,
    size_t len)
{
	if (sysfs_line(dir, name, line, len))
		return (true);
	note(ft, errno);
	return (false);
}

static DIR *
open_list(struct fs_table *ft, const char *path)
{
	DIR *d = opendir(path);

	if (d == NULL)
		note(ft, errno);
	return (d);
}

static struct dirent *
next_of(struct fs_table *ft, DIR *d)
{
	struct dirent *de;

	errno = 0;
	de = readdir(d);
	if (de == NULL)
		note(ft, errno);
	return (de);
}

/*
 * Whether that path does not lead to anything.  Symbolic links are not
 * followed: none is in a path that the kernel says, and they lead where it may
 * hang.
 */
static bool
leads_nowhere(const char *root, char *path)
{
	int at = open(
	    root[0] == '\0' ? "/" : root, O_PATH | O_DIRECTORY | O_CLOEXEC);
	char *name;
	int next;

	while (at != -1 && (name = strsep(&path, "/")) != NULL) {
		if (name[0] == '\0')
			continue;
		next = openat(at, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
		(void)close(at);
		at = next;
	}
	if (at == -1)
		return (errno == ENOENT || errno == ENOTDIR);
	(void)close(at);
	return (false);
}

/*
 * Whether there is no such file, as far as that may be asked.  Of one on a
 * mount that was unmounted lazily, or is in another mount namespace, the kernel
 * says the path from there, and here it leads elsewhere.
 */
static bool
is_missing(const struct walk *wk, const char *file)
{
	unsigned int on = fs_table_resolve(wk->wk_ft, file);
	const struct fs_mount *m;
	char path[PATH_LEN];

	if (on == FS_NONE || strlen(file) >= sizeof(path))
		return (false);
	m = &wk->wk_ft->ft_mounts[on];
	if (m->fm_detour || fs_class_may_hang(fs_class(m->fm_type)))
		return (false);
	memcpy(path, file, strlen(file) + 1);
	return (leads_nowhere(wk->wk_root, path));
}

/* An image's path; the kernel marks a file that was deleted. */
static int
walk_image(struct walk *wk, char *file)
{
	static const char deleted[] = " (deleted)";
	size_t len = strlen(file);

	if (len > sizeof(deleted) &&
	    strcmp(file + len - (sizeof(deleted) - 1), deleted) == 0)
		file[len - (sizeof(deleted) - 1)] = '\0';
	else if (is_missing(wk, file))
		return (fs_table_lies_on_file(wk->wk_ft, wk->wk_fs, ""));
	return (fs_table_lies_on_file(wk->wk_ft, wk->wk_fs, file));
}

/*
 * Notes the device of a directory.  EEXIST: it was met on another way, with all
 * that is below it.  There may be as many ways as two to the number of layers.
 */
static int
walk_note(struct walk *wk, const char *dir)
{
	struct fs_system *fy = &wk->wk_ft->ft_fs[wk->wk_fs];
	struct fs_device fv = { .fv_hardware = exists(
				    wk->wk_ft, dir, "device") };
	char line[32];

	if (!line_of(wk->wk_ft, dir, "dev", line, sizeof(line)) ||
	    sscanf(line, "%u:%u", &fv.fv_major, &fv.fv_minor) != 2) {
		fy->fy_ground = FS_GROUND_UNSEEN;
		return (EEXIST);
	}
	for (unsigned int i = 0; i < fy->fy_ndevices; i++)
		if (fy->fy_devices[i].fv_major == fv.fv_major &&
		    fy->fy_devices[i].fv_minor == fv.fv_minor)
			return (EEXIST);
	return (fs_table_device(wk->wk_ft, wk->wk_fs, &fv));
}

static int walk_device(struct walk *wk, const char *dir);

/* What a device is put together from. */
static int
walk_parts(struct walk *wk, const char *dir, const char *list)
{
	char path[PATH_LEN];
	struct dirent *de;
	DIR *d;
	int error = 0;

	if (!join(path, sizeof(path), dir, list))
		return (0);
	d = open_list(wk->wk_ft, path);
	if (d == NULL)
		return (0);
	while (error == 0 && (de = next_of(wk->wk_ft, d)) != NULL) {
		char part[PATH_LEN];

		if (de->d_name[0] == '.')
			continue;
		if (join(part, sizeof(part), path, de->d_name))
			error = walk_device(wk, part);
	}
	(void)closedir(d);
	return (error);
}

/* The directory below sys of a device that is known by its name in /dev. */
static bool
find_by_name(struct fs_table *ft, const char *root, const char *source,
    char *dir, size_t len)
{
	char base[PATH_LEN], name[256];
	struct dirent *de;
	DIR *d;
	bool found = false;

	(void)snprintf(base, sizeof(base), "%s/sys/class/block", root);
	if (strncmp(source, "/dev/mapper/", 12) != 0) {
		return (join(dir, len, base, strrchr(source, '/') + 1) &&
		    exists(ft, dir, "dev"));
	}
	d = open_list(ft, base);
	if (d == NULL)
		return (false);
	while (!found && (de = next_of(ft, d)) != NULL) {
		found = join(dir, len, base, de->d_name) &&
		    line_of(ft, dir, "dm/name", name, sizeof(name)) &&
		    strcmp(name, source + 12) == 0;
	}
	(void)closedir(d);
	return (found);
}

/*
 * A device that a process serves, or a partition of one, is told by its name;
 * so is a volume of a ZFS pool, of which nothing shows the pool's disks.
 */
static void
walk_name(struct walk *wk, const char *dir)
{
	char to[PATH_LEN];
	ssize_t n = readlink(dir, to, sizeof(to) - 1);
	const char *name = n > 0 ? to : dir;

	if (n > 0)
		to[n] = '\0';
	else if (errno != EINVAL) /* no link */
		note(wk->wk_ft, errno);
	if (strrchr(name, '/') != NULL)
		name = strrchr(name, '/') + 1;
	if (fs_is_served(name))
		fs_table_served(wk->wk_ft, wk->wk_fs, name);
	else if (strncmp(name, "zd", 2) == 0)
		wk->wk_ft->ft_fs[wk->wk_fs].fy_ground = FS_GROUND_UNSEEN;
}

/*
 * What a device is made of: others, an image, or one device that stands in the
 * place of an image: a loop device may have that, and a zram that writes back
 * ("none" where it does not) is no part of it.
 */
static int
walk_below(struct walk *wk, const char *dir)
{
	char file[PATH_LEN], whole[PATH_LEN];
	bool loop, named;
	int error;

	loop = line_of(wk->wk_ft, dir, "loop/backing_file", file, sizeof(file));
	named = (loop ||
		    line_of(
			wk->wk_ft, dir, "backing_dev", file, sizeof(file))) &&
	    strncmp(file, "/dev/", 5) == 0 &&
	    find_by_name(wk->wk_ft, wk->wk_root, file, whole, sizeof(whole));
	if (loop && !named)
		return (walk_image(wk, file));
	error = walk_parts(wk, dir, "slaves");
	return (error == 0 && named ? walk_device(wk, whole) : error);
}

/* A device by its directory, or by a link to that. */
static int
walk_device(struct walk *wk, const char *dir)
{
	struct fs_system *fy = &wk->wk_ft->ft_fs[wk->wk_fs];
	char whole[PATH_LEN];
	int error;

	if (wk->wk_depth == DEPTH_MAX) {
		fy->fy_ground = FS_GROUND_UNSEEN;
		return (0);
	}
	walk_name(wk, dir);
	/* The directory of a partition is in that of its disk. */
	if (exists(wk->wk_ft, dir, "partition") &&
	    join(whole, sizeof(whole), dir, ".."))
		dir = whole;
	error = walk_note(wk, dir);
	if (error != 0)
		return (error == EEXIST ? 0 : error);
	wk->wk_depth++;
	error = walk_below(wk, dir);
	wk->wk_depth--;
	return (error);
}

/* Whether a directory of links to devices has one of that number. */
static bool
lists_device(struct fs_table *ft, const char *list, const char *number)
{
	char one[PATH_LEN], have[32];
	struct dirent *de;
	DIR *d = open_list(ft, list);
	bool found = false;

	if (d == NULL)
		return (false);
	while (!found && (de = next_of(ft, d)) != NULL) {
		if (de->d_name[0] == '.' ||
		    !join(one, sizeof(one), list, de->d_name))
			continue;
		found = line_of(ft, one, "dev", have, sizeof(have)) &&
		    strcmp(have, number) == 0;
	}
	(void)closedir(d);
	return (found);
}

/* btrfs spreads over several devices; one of them is the mount's source. */
static int
walk_btrfs(struct walk *wk, const char *dir)
{
	char base[PATH_LEN], list[PATH_LEN], number[32];
	struct fs_table *ft = wk->wk_ft;
	struct dirent *de;
	DIR *d;
	bool found = false;

	(void)snprintf(base, sizeof(base), "%s/sys/fs/btrfs", wk->wk_root);
	d = open_list(ft, base);
	if (d == NULL || !line_of(ft, dir, "dev", number, sizeof(number))) {
		if (d != NULL)
			(void)closedir(d);
		return (walk_device(wk, dir));
	}
	while (!found && (de = next_of(ft, d)) != NULL)
		if (de->d_name[0] != '.' &&
		    snprintf(list, sizeof(list), "%s/%s/devices", base,
			de->d_name) < (int)sizeof(list))
			found = lists_device(ft, list, number);
	(void)closedir(d);
	return (found ? walk_parts(wk, list, ".") : walk_device(wk, dir));
}

int
fs_block_ground(struct fs_table *ft, unsigned int fs, const char *root)
{
	struct fs_system *fy = &ft->ft_fs[fs];
	const struct fs_mount *m = &ft->ft_mounts[fy->fy_first];
	struct walk wk = { .wk_ft = ft, .wk_fs = fs, .wk_root = root };
	char dir[PATH_LEN];
	bool seen;

	if (m->fm_major != 0) {
		fy->fy_block = true;
		(void)snprintf(dir, sizeof(dir), "%s/sys/dev/block/%u:%u", root,
		    m->fm_major, m->fm_minor);
		seen = exists(ft, dir, "dev");
	} else if (strncmp(m->fm_source, "/dev/", 5) == 0) {
		fy->fy_block = true;
		seen = find_by_name(ft, root, m->fm_source, dir, sizeof(dir));
	} else
		return (0);
	if (!seen) {
		fy->fy_ground = FS_GROUND_UNSEEN;
		fy->fy_loop = m->fm_major == LOOP_MAJOR ||
		    strncmp(m->fm_source, "/dev/loop", 9) == 0;
		if (strncmp(m->fm_source, "/dev/", 5) == 0 &&
		    fs_is_served(m->fm_source + 5))
			fs_table_served(ft, fs, m->fm_source + 5);
		return (0);
	}
	if (fy->fy_any_dev)
		return (walk_btrfs(&wk, dir));
	return (walk_device(&wk, dir));
}

/* A disk of the machine, not what is made in memory or from other devices. */
static bool
is_disk(struct fs_table *ft, const char *base, const char *name)
{
	static const char *const others[] = { "loop", "ram", "zram", "sr", "fd",
		"dm-", "md" };
	char dir[PATH_LEN], line[64];

	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		if (strncmp(name, others[i], strlen(others[i])) == 0)
			return (false);
	if (!join(dir, sizeof(dir), base, name))
		return (false);
	if (!line_of(ft, dir, "ro", line, sizeof(line)) ||
	    strcmp(line, "0") != 0)
		return (false);
	if (line_of(ft, dir, "removable", line, sizeof(line)) &&
	    strcmp(line, "0") != 0)
		return (false);
	return (line_of(ft, dir, "size", line, sizeof(line)) &&
	    strtoull(line, NULL, 10) > 0);
}

void
fs_block_disk(struct fs_table *ft, const char *root)
{
	char base[PATH_LEN];
	struct dirent *de;
	DIR *d;

	(void)snprintf(base, sizeof(base), "%s/sys/block", root);
	d = open_list(ft, base);
	if (d == NULL)
		return;
	while (ft->ft_disk[0] == '\0' && (de = next_of(ft, d)) != NULL)
		if (de->d_name[0] != '.' && is_disk(ft, base, de->d_name))
			(void)snprintf(ft->ft_disk, sizeof(ft->ft_disk),
			    "%.31s", de->d_name);
	(void)closedir(d);
}
