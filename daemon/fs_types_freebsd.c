/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/*
 * The types of file systems that FreeBSD has, by the names of getfsstat(2).
 * UFS is the only one that can be frozen.
 */

#include <stddef.h>

#include "fs_types.h"

const char *const fs_names_freeze[] = { "ufs", NULL };

/* ZFS is always consistent on disk; the others have no freeze call. */
const char *const fs_names_sync[] = { "zfs", "msdosfs", "ext2fs", NULL };

const char *const fs_names_readonly[] = { "cd9660", "udf", "tarfs", NULL };

const char *const fs_names_pseudo[] = { "devfs", "fdescfs", "procfs",
	"linprocfs", "linsysfs", "lindebugfs", "mqueuefs", "autofs", NULL };

const char *const fs_names_memory[] = { "tmpfs", NULL };

const char *const fs_names_network[] = { "nfs", "oldnfs", "smbfs", "p9fs",
	"virtfs", NULL };

const char *const fs_names_fuse[] = { "fusefs", "fusefs.*", NULL };

const char *const fs_names_overlay[] = { NULL };

const char *const fs_names_stacked[] = { "nullfs", "unionfs", NULL };

const char *const fs_names_served[] = { "ggate*", NULL };
