/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/*
 * What class a type of file system is of, by the system's list of names.  A
 * type that is missing there is UNKNOWN, and then a writable one is a veto:
 * better one question to the administrator than a backup that nobody can
 * restore.
 */

#include "fs_types.h"

#include <stddef.h>
#include <string.h>

/* A name that ends in a '*' stands for all that begin so. */
static bool
is_called(const char *type, const char *name)
{
	size_t len = strlen(name);

	if (len > 0 && name[len - 1] == '*')
		return (strncmp(type, name, len - 1) == 0);
	return (strcmp(type, name) == 0);
}

enum fs_class
fs_class(const char *type)
{
	static const char *const *const names[FS_CLASS_UNKNOWN] = {
		[FS_CLASS_FREEZE] = fs_names_freeze,
		[FS_CLASS_SYNC] = fs_names_sync,
		[FS_CLASS_READONLY] = fs_names_readonly,
		[FS_CLASS_PSEUDO] = fs_names_pseudo,
		[FS_CLASS_MEMORY] = fs_names_memory,
		[FS_CLASS_NETWORK] = fs_names_network,
		[FS_CLASS_FUSE] = fs_names_fuse,
		[FS_CLASS_OVERLAY] = fs_names_overlay,
		[FS_CLASS_STACKED] = fs_names_stacked,
	};

	for (enum fs_class fc = 0; fc < FS_CLASS_UNKNOWN; fc++)
		for (size_t i = 0; names[fc][i] != NULL; i++)
			if (is_called(type, names[fc][i]))
				return (fc);
	return (FS_CLASS_UNKNOWN);
}

bool
fs_is_served(const char *device)
{
	for (size_t i = 0; fs_names_served[i] != NULL; i++)
		if (is_called(device, fs_names_served[i]))
			return (true);
	return (false);
}

bool fs_class_may_hang(enum fs_class class)
{
	return (class == FS_CLASS_NETWORK || class == FS_CLASS_FUSE);
}
