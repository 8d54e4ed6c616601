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

int
fs_table_group(struct fs_table *ft)
{
	struct fs_mount *m;
	unsigned int fs;

	ft->ft_fs = calloc(ft->ft_nmounts + 1, sizeof(*ft->ft_fs));
	if (ft->ft_fs == NULL)
		return (ENOMEM);
	for (unsigned int i = 0; i < ft->ft_nmounts; i++) {
		m = &ft->ft_mounts[i];
		for (fs = 0; fs < ft->ft_nfs; fs++) {
			struct fs_mount *first =
			    &ft->ft_mounts[ft->ft_fs[fs].fy_first];

			if (first->fm_major == m->fm_major &&
			    first->fm_minor == m->fm_minor)
				break;
		}
		if (fs == ft->ft_nfs) {
			ft->ft_nfs++;
			ft->ft_fs[fs].fy_first = i;
			ft->ft_fs[fs].fy_upper = FS_NONE;
		}
		m->fm_fs = fs;
		ft->ft_fs[fs].fy_nmounts++;
	}
	return (0);
}

/*
 * Follows the path from the root as the kernel does: of the mounts on the one
 * reached so far, the one met first has the shortest mount point.  What is
 * mounted on the root is not met: a path starts beneath it.
 */
unsigned int
fs_table_resolve(const struct fs_table *ft, const char *path)
{
	unsigned int at = FS_NONE, next, steps = 0;
	size_t len, best;

	do {
		next = FS_NONE;
		best = SIZE_MAX;
		for (unsigned int i = 0; i < ft->ft_nmounts; i++) {
			const struct fs_mount *m = &ft->ft_mounts[i];

			if (m->fm_parent != at || i == at ||
			    !below(path, m->fm_point))
				continue;
			len = strlen(m->fm_point);
			if (len == 1 && at != FS_NONE)
				continue;
			if (len <= best) {
				best = len;
				next = i;
			}
		}
		if (next != FS_NONE)
			at = next;
	} while (next != FS_NONE && ++steps <= ft->ft_nmounts);
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

void
fs_table_hide(struct fs_table *ft)
{
	for (unsigned int i = 0; i < ft->ft_nmounts; i++) {
		struct fs_mount *m = &ft->ft_mounts[i];

		m->fm_hidden = fs_table_resolve(ft, m->fm_point) != i;
		m->fm_detour = takes_detour(ft, i);
	}
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
	/* Hidden by its own mount, and nothing else is there. */
	if (error == 0 && ft->ft_fs[fs].fy_nlower == 0)
		ft->ft_fs[fs].fy_ground = FS_GROUND_IMAGE;
	return (error);
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
