/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/*
 * Works out what a mount table means: which mounts belong to one file system,
 * where a path leads, what lies on what.  Touches no file.
 */

#include "fs_table.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fs_types.h"

/* True if a path is that directory or below it. */
static bool
below(const char *path, const char *dir)
{
	size_t len = strlen(dir);

	if (len == 1 && dir[0] == '/')
		return (path[0] == '/');
	return (strncmp(path, dir, len) == 0 &&
	    (path[len] == '/' || path[len] == '\0'));
}

/* A mount, by a number of it. */
struct key {
	uint64_t ky_value;
	unsigned int ky_mount;
};

static int
compare_values(const void *a, const void *b)
{
	const struct key *x = a, *y = b;

	return (x->ky_value < y->ky_value ? -1 : x->ky_value > y->ky_value);
}

/* Those of one number in the order of the mount table. */
static int
compare_keys(const void *a, const void *b)
{
	const struct key *x = a, *y = b;
	int order = compare_values(a, b);

	if (order != 0)
		return (order);
	return (x->ky_mount < y->ky_mount ? -1 : x->ky_mount > y->ky_mount);
}

static uint64_t
id_of(const struct fs_mount *m)
{
	return (m->fm_id);
}

static uint64_t
device_of(const struct fs_mount *m)
{
	return ((uint64_t)m->fm_major << 32 | m->fm_minor);
}

static struct key *
sorted_by(
    const struct fs_table *ft, uint64_t (*number)(const struct fs_mount *))
{
	struct key *keys = calloc(ft->ft_nmounts + 1, sizeof(*keys));

	if (keys == NULL)
		return (NULL);
	for (unsigned int i = 0; i < ft->ft_nmounts; i++)
		keys[i] = (struct key) { number(&ft->ft_mounts[i]), i };
	qsort(keys, ft->ft_nmounts, sizeof(*keys), compare_keys);
	return (keys);
}

int
fs_table_parents(struct fs_table *ft, const uint64_t *parents)
{
	struct key *keys = sorted_by(ft, id_of), *ky;

	if (keys == NULL)
		return (ENOMEM);
	for (unsigned int i = 0; i < ft->ft_nmounts; i++) {
		struct key want = { parents[i], 0 };

		ky = bsearch(
		    &want, keys, ft->ft_nmounts, sizeof(*keys), compare_values);
		ft->ft_mounts[i].fm_parent = ky == NULL || ky->ky_mount == i ?
		    FS_NONE :
		    ky->ky_mount;
	}
	free(keys);
	return (0);
}

/* File systems are numbered in the order of their first mounts. */
int
fs_table_group(struct fs_table *ft)
{
	struct key *keys = sorted_by(ft, device_of);
	struct fs_mount *m;

	ft->ft_fs = calloc(ft->ft_nmounts + 1, sizeof(*ft->ft_fs));
	if (ft->ft_fs == NULL || keys == NULL) {
		free(keys);
		return (ENOMEM);
	}
	/* For now every mount knows the first one of its device. */
	for (unsigned int i = 0; i < ft->ft_nmounts; i++) {
		m = &ft->ft_mounts[keys[i].ky_mount];
		m->fm_fs = i > 0 && keys[i].ky_value == keys[i - 1].ky_value ?
		    ft->ft_mounts[keys[i - 1].ky_mount].fm_fs :
		    keys[i].ky_mount;
	}
	free(keys);
	for (unsigned int i = 0; i < ft->ft_nmounts; i++) {
		m = &ft->ft_mounts[i];
		if (m->fm_fs == i) {
			m->fm_fs = ft->ft_nfs++;
			ft->ft_fs[m->fm_fs].fy_first = i;
			ft->ft_fs[m->fm_fs].fy_upper = FS_NONE;
		} else
			m->fm_fs = ft->ft_mounts[m->fm_fs].fm_fs;
		ft->ft_fs[m->fm_fs].fy_nmounts++;
	}
	return (0);
}

/* A mount as a path comes to it: from another one, at a name. */
struct fs_table_way {
	unsigned int fw_from;
	const char *fw_point;
	unsigned int fw_mount;
};

/* By the first len bytes of the name, if that is not 0. */
static int
compare_way(const struct fs_table_way *fw, unsigned int from, const char *point,
    size_t len)
{
	int order;

	if (fw->fw_from != from)
		return (fw->fw_from < from ? -1 : 1);
	order = strncmp(fw->fw_point, point, len);
	return (order != 0 ? order : fw->fw_point[len] != '\0');
}

static int
compare_ways(const void *a, const void *b)
{
	const struct fs_table_way *x = a, *y = b;
	int order;

	order = compare_way(x, y->fw_from, y->fw_point, strlen(y->fw_point));
	if (order != 0)
		return (order);
	return (x->fw_mount < y->fw_mount ? -1 : x->fw_mount > y->fw_mount);
}

static int
find_ways(struct fs_table *ft)
{
	const struct fs_mount *m = ft->ft_mounts;

	ft->ft_ways = calloc(ft->ft_nmounts + 1, sizeof(*ft->ft_ways));
	if (ft->ft_ways == NULL)
		return (ENOMEM);
	ft->ft_nways = ft->ft_nmounts;
	for (unsigned int i = 0; i < ft->ft_nways; i++, m++)
		ft->ft_ways[i] = (struct fs_table_way) { m->fm_parent,
			m->fm_point, i };
	qsort(ft->ft_ways, ft->ft_nways, sizeof(*ft->ft_ways), compare_ways);
	return (0);
}

/* What is met at those bytes of the path, the last of several; or FS_NONE. */
static unsigned int
met(const struct fs_table *ft, unsigned int from, const char *path, size_t len)
{
	const struct fs_table_way *fw = ft->ft_ways;
	size_t low = 0, high = ft->ft_nways, middle;

	while (low < high) {
		middle = (low + high) / 2;
		if (compare_way(&fw[middle], from, path, len) <= 0)
			low = middle + 1;
		else
			high = middle;
	}
	if (low == 0 || compare_way(&fw[low - 1], from, path, len) != 0)
		return (FS_NONE);
	return (fw[low - 1].fw_mount);
}

/*
 * Follows the path from the root as the kernel does, directory by directory,
 * and from each mount to those on it.  What is mounted on the root is not met:
 * a path starts beneath it.
 */
unsigned int
fs_table_resolve(const struct fs_table *ft, const char *path)
{
	unsigned int at = FS_NONE, next, steps = 0;
	const char *end = path;
	size_t len = 1;

	if (path[0] != '/')
		return (FS_NONE);
	for (;;) {
		while ((len > 1 || at == FS_NONE) && steps <= ft->ft_nmounts &&
		    (next = met(ft, at, path, len)) != FS_NONE) {
			at = next;
			steps++;
		}
		if (*end == '\0')
			break;
		end += 1 + strcspn(end + 1, "/");
		len = (size_t)(end - path);
	}
	return (at);
}

unsigned int
fs_of_path(const struct fs_table *ft, const char *path)
{
	unsigned int m = fs_table_resolve(ft, path);

	return (m == FS_NONE ? FS_NONE : ft->ft_mounts[m].fm_fs);
}

/*
 * The root's own mount does not count: if that hangs, so does everything on the
 * machine.
 */
static bool
takes_detour(const struct fs_table *ft, unsigned int mount)
{
	const struct fs_mount *m = &ft->ft_mounts[mount];
	unsigned int steps = 0;

	while (m->fm_parent != FS_NONE && steps++ <= ft->ft_nmounts) {
		m = &ft->ft_mounts[m->fm_parent];
		if (strcmp(m->fm_point, "/") != 0 &&
		    fs_class_may_hang(fs_class(m->fm_type)))
			return (true);
	}
	return (false);
}

int
fs_table_hide(struct fs_table *ft)
{
	int error = find_ways(ft);

	for (unsigned int i = 0; i < ft->ft_nmounts && error == 0; i++) {
		struct fs_mount *m = &ft->ft_mounts[i];

		m->fm_hidden = fs_table_resolve(ft, m->fm_point) != i;
		m->fm_detour = takes_detour(ft, i);
	}
	return (error);
}

void
fs_table_free(struct fs_table *ft)
{
	for (unsigned int i = 0; i < ft->ft_nfs; i++) {
		free(ft->ft_fs[i].fy_lower);
		free(ft->ft_fs[i].fy_image);
		free(ft->ft_fs[i].fy_devices);
	}
	for (unsigned int i = 0; i < ft->ft_nmounts; i++)
		free(ft->ft_mounts[i].fm_text);
	free(ft->ft_ways);
	free(ft->ft_fs);
	free(ft->ft_mounts);
}

int
fs_table_lies_on(struct fs_table *ft, unsigned int fs, unsigned int lower)
{
	struct fs_system *fy = &ft->ft_fs[fs];
	unsigned int *more;

	if (lower == fs)
		return (0);
	for (unsigned int i = 0; i < fy->fy_nlower; i++)
		if (fy->fy_lower[i] == lower)
			return (0);
	more = realloc(fy->fy_lower, (fy->fy_nlower + 1) * sizeof(*more));
	if (more == NULL)
		return (ENOMEM);
	more[fy->fy_nlower++] = lower;
	fy->fy_lower = more;
	return (0);
}

int
fs_table_device(
    struct fs_table *ft, unsigned int fs, const struct fs_device *fv)
{
	struct fs_system *fy = &ft->ft_fs[fs];
	struct fs_device *more;

	more = realloc(fy->fy_devices, (fy->fy_ndevices + 1) * sizeof(*more));
	if (more == NULL)
		return (ENOMEM);
	more[fy->fy_ndevices++] = *fv;
	fy->fy_devices = more;
	return (0);
}

int
fs_table_lies_on_file(struct fs_table *ft, unsigned int fs, const char *path)
{
	unsigned int likely;
	int error = 0;

	ft->ft_fs[fs].fy_loop = true;
	free(ft->ft_fs[fs].fy_image);
	ft->ft_fs[fs].fy_image = strdup(path);
	if (ft->ft_fs[fs].fy_image == NULL)
		return (ENOMEM);
	likely = path[0] == '/' ? fs_of_path(ft, path) : FS_NONE;
	if (likely == FS_NONE) {
		ft->ft_fs[fs].fy_ground = FS_GROUND_IMAGE;
		return (0);
	}
	error = fs_table_lies_on(ft, fs, likely);
	for (unsigned int i = 0; i < ft->ft_nmounts && error == 0; i++)
		if (below(path, ft->ft_mounts[i].fm_point))
			error = fs_table_lies_on(
			    ft, fs, ft->ft_mounts[i].fm_fs);
	if (fs_class_may_hang(
		fs_class(ft->ft_mounts[ft->ft_fs[likely].fy_first].fm_type)))
		ft->ft_fs[fs].fy_ground = FS_GROUND_SERVED;
	/* Hidden by its own mount, and nothing else is there. */
	if (error == 0 && ft->ft_fs[fs].fy_nlower == 0)
		ft->ft_fs[fs].fy_ground = FS_GROUND_IMAGE;
	return (error);
}

void
fs_table_served(struct fs_table *ft, unsigned int fs, const char *device)
{
	struct fs_system *fy = &ft->ft_fs[fs];

	fy->fy_loop = true;
	fy->fy_ground = FS_GROUND_SERVED;
	(void)snprintf(fy->fy_served, sizeof(fy->fy_served), "%.31s", device);
}

/* Depth first; seen keeps it from going round in circles. */
static bool
search(
    const struct fs_table *ft, unsigned int fs, unsigned int lower, bool *seen)
{
	const struct fs_system *fy = &ft->ft_fs[fs];

	if (seen[fs])
		return (false);
	seen[fs] = true;
	for (unsigned int i = 0; i < fy->fy_nlower; i++)
		if (fy->fy_lower[i] == lower ||
		    search(ft, fy->fy_lower[i], lower, seen))
			return (true);
	return (false);
}

bool
fs_table_reaches(const struct fs_table *ft, unsigned int fs, unsigned int lower)
{
	bool *seen, found;

	if (ft->ft_fs[fs].fy_nlower == 0)
		return (false);
	seen = calloc(ft->ft_nfs, sizeof(*seen));
	/* Out of memory: what cannot be excluded is assumed. */
	if (seen == NULL)
		return (true);
	found = search(ft, fs, lower, seen);
	free(seen);
	return (found);
}

static uint32_t
number_of(const struct fs_device *fv)
{
	return (fv->fv_major << 20 | fv->fv_minor);
}

/* What is no image and has nothing below it is a disk too (rbd). */
static uint32_t
find_disk(const struct fs_table *ft, unsigned int fs, bool *seen)
{
	const struct fs_system *fy = &ft->ft_fs[fs];
	uint32_t disk = 0;

	if (seen[fs])
		return (0);
	seen[fs] = true;
	for (unsigned int i = 0; i < fy->fy_ndevices; i++)
		if (fy->fy_devices[i].fv_hardware)
			return (number_of(&fy->fy_devices[i]));
	for (unsigned int i = 0; i < fy->fy_nlower && disk == 0; i++)
		disk = find_disk(ft, fy->fy_lower[i], seen);
	if (disk == 0 && fy->fy_ndevices > 0 && !fy->fy_loop)
		disk = number_of(&fy->fy_devices[fy->fy_ndevices - 1]);
	return (disk);
}

uint32_t
fs_table_disk(const struct fs_table *ft, unsigned int fs)
{
	bool *seen = calloc(ft->ft_nfs, sizeof(*seen));
	uint32_t disk;

	if (seen == NULL)
		return (0);
	disk = find_disk(ft, fs, seen);
	free(seen);
	return (disk);
}

static bool
unsure(const struct fs_system *fy)
{
	return (fy->fy_loop && fy->fy_ground != FS_GROUND_KNOWN);
}

int
fs_table_guess(struct fs_table *ft)
{
	int error = 0;

	/* Later ones first, so that they come to lie on the earlier ones. */
	for (unsigned int fs = ft->ft_nfs; fs-- > 0 && error == 0;) {
		if (!unsure(&ft->ft_fs[fs]))
			continue;
		for (unsigned int on = 0; on < ft->ft_nfs && error == 0; on++)
			if (ft->ft_fs[on].fy_block &&
			    !fs_table_reaches(ft, on, fs))
				error = fs_table_lies_on(ft, fs, on);
	}
	return (error);
}
