/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/*
 * Finds what a provider of GEOM lies on, in the text of kern.geom.conftxt: a
 * line for each provider of disks and md(4) devices, and below it, by one
 * higher a level at the line's beginning, those of what is made out of it.  A
 * provider that is made out of several devices is there several times.
 *
 *	LEVEL CLASS PROVIDER MEDIASIZE SECTORSIZE WORD...
 *	0 MD md0 67108864 512 u 0 s 512 ... t vnode file /a/b c label
 */

#include "fs_freebsd.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fs_table.h"
#include "fs_types.h"

/* One line, taken apart; the parts are not ended by a NUL. */
struct line {
	unsigned int li_level;
	const char *li_class;
	const char *li_provider;
	const char *li_rest;
	const char *li_end;
};

static bool
is_word(const char *text, const char *word)
{
	size_t len = strlen(word);

	return (strncmp(text, word, len) == 0 &&
	    (text[len] == ' ' || text[len] == '\n' || text[len] == '\0'));
}

/* The word after the next blank, or the line's end. */
static const char *
next_word(const char *p, const char *end)
{
	while (p < end && *p != ' ')
		p++;
	return (p < end ? p + 1 : end);
}

/* Takes the next line apart; returns where the one after it begins, or NULL. */
static const char *
next_line(const char *text, struct line *li)
{
	char *after;

	if (text[0] == '\0')
		return (NULL);
	li->li_end = text + strcspn(text, "\n");
	li->li_level = (unsigned int)strtoul(text, &after, 10);
	li->li_class = next_word(after, li->li_end);
	li->li_provider = next_word(li->li_class, li->li_end);
	li->li_rest = next_word(li->li_provider, li->li_end);
	return (*li->li_end == '\n' ? li->li_end + 1 : li->li_end);
}

void
fs_geom_number(const char *name, uint32_t *driver, uint32_t *unit)
{
	unsigned int shift = 0;

	*driver = 0;
	for (; isalpha((unsigned char)*name); name++, shift += 8)
		if (shift < 32)
			*driver |= (uint32_t)(unsigned char)*name << shift;
	*unit = (uint32_t)strtoul(name, NULL, 10);
}

/* Notes the disk, or the md(4) device, that a provider is made out of. */
static int
lies_on_device(struct fs_table *ft, unsigned int mount, const struct line *root)
{
	struct fs_device fv = { .fv_hardware = !is_word(root->li_class, "MD") };

	fs_geom_number(root->li_provider, &fv.fv_major, &fv.fv_minor);
	return (fs_table_device(ft, ft->ft_mounts[mount].fm_fs, &fv));
}

/*
 * The path of a vnode-backed md(4) device's image, to be freed; NULL for other
 * devices.  It stands between "file" and the last "label", both of which it may
 * contain.
 */
static char *
image_of(const struct line *li, bool *nomem)
{
	static const char vnode[] = " t vnode file ", label[] = " label ";
	const char *from, *to;
	char *path;

	if (!is_word(li->li_class, "MD"))
		return (NULL);
	from = strstr(li->li_rest, vnode);
	if (from == NULL || from >= li->li_end)
		return (NULL);
	from += sizeof(vnode) - 1;
	to = li->li_end;
	for (const char *p = from; p + sizeof(label) - 1 <= li->li_end; p++)
		if (strncmp(p, label, sizeof(label) - 1) == 0)
			to = p;
	path = strndup(from, (size_t)(to - from));
	*nomem = path == NULL;
	return (path);
}

/*
 * An image is a file on what was mounted before.  Mounts can hide one another,
 * so that any of those above its path may be the one it is on; the likely one
 * is noted first.
 */
static int
lies_on_image(struct fs_table *ft, unsigned int mount, char *path)
{
	unsigned int fs = ft->ft_mounts[mount].fm_fs;
	unsigned int on = fs_earlier(ft, mount, path);
	int error = 0;

	ft->ft_fs[fs].fy_loop = true;
	free(ft->ft_fs[fs].fy_image);
	ft->ft_fs[fs].fy_image = path;
	if (on == FS_NONE) {
		ft->ft_fs[fs].fy_ground = FS_GROUND_IMAGE;
		return (0);
	}
	error = fs_table_lies_on(ft, fs, ft->ft_mounts[on].fm_fs);
	for (unsigned int i = 0; i < mount && error == 0; i++)
		if (fs_below(path, ft->ft_mounts[i].fm_point))
			error = fs_table_lies_on(
			    ft, fs, ft->ft_mounts[i].fm_fs);
	return (error);
}

int
fs_geom_ground(struct fs_table *ft, unsigned int mount, const char *provider,
    const char *conftxt)
{
	struct fs_system *fy = &ft->ft_fs[ft->ft_mounts[mount].fm_fs];
	struct line li, root = { 0 };
	const char *text = conftxt == NULL ? "" : conftxt;
	bool found = false, nomem = false;
	char *path;
	int error = 0;

	while (error == 0 && (text = next_line(text, &li)) != NULL) {
		if (li.li_level == 0)
			root = li;
		if (!is_word(li.li_provider, provider) || root.li_class == NULL)
			continue;
		found = true;
		error = lies_on_device(ft, mount, &root);
		if (error != 0)
			break;
		path = image_of(&root, &nomem);
		if (path != NULL)
			error = lies_on_image(ft, mount, path);
		else if (nomem)
			error = ENOMEM;
	}
	if (found || error != 0)
		return (error);
	if (fs_is_served(provider))
		fs_table_served(ft, ft->ft_mounts[mount].fm_fs, provider);
	else
		fy->fy_ground = FS_GROUND_UNSEEN;
	return (0);
}

void
fs_geom_disk(struct fs_table *ft)
{
	char *disks = fs_sysctl_text("kern.disks"), *rest = disks, *name;

	while ((name = strsep(&rest, " \n")) != NULL)
		if (name[0] != '\0' && strncmp(name, "md", 2) != 0 &&
		    strncmp(name, "cd", 2) != 0) {
			(void)snprintf(ft->ft_disk, sizeof(ft->ft_disk),
			    "/dev/%.24s", name);
			break;
		}
	free(disks);
}
