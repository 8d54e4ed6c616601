/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/*
 * The types of file systems that are known.  A type that is missing is UNKNOWN,
 * and then a writable one is a veto: better one question to the administrator
 * than a backup that nobody can restore.
 */

#include "fs_types.h"

#include <stddef.h>
#include <string.h>

static const char *const freezable[] = { "ext2", "ext3", "ext4", "xfs", "btrfs",
	"f2fs", "jfs", "reiserfs", "nilfs2", "gfs2", NULL };

/* ZFS is always consistent on disk; the others have no freeze call. */
static const char *const sync_only[] = { "zfs", "vfat", "msdos", "exfat",
	"ntfs3", "fuseblk", NULL };

static const char *const read_only[] = { "squashfs", "erofs", "iso9660",
	"cramfs", "romfs", NULL };

static const char *const pseudo[] = { "proc", "sysfs", "devpts", "devtmpfs",
	"cgroup", "cgroup2", "cpuset", "securityfs", "selinuxfs", "smackfs",
	"apparmorfs", "debugfs", "tracefs", "configfs", "fusectl", "mqueue",
	"autofs", "binfmt_misc", "rpc_pipefs", "nfsd", "efivarfs", "pstore",
	"bpf", "nsfs", "resctrl", "binder", "dlmfs", "ocfs2_dlmfs",
	"functionfs", "gadgetfs", "spufs", "xenfs", "usbfs", "usbdevfs",
	"pipefs", "sockfs", "bdev", "anon_inodefs", "balloon_xenfs",
	"guest_memfd", "secretmem", "pidfs", "drm", NULL };

static const char *const memory[] = { "tmpfs", "ramfs", "rootfs", "hugetlbfs",
	NULL };

static const char *const network[] = { "nfs", "nfs4", "cifs", "smb3", "smbfs",
	"ncpfs", "ceph", "9p", "afs", "coda", "lustre", "orangefs", "pvfs2",
	"gpfs", "beegfs", "panfs", "acfs", "davfs", "vboxsf", "vmhgfs",
	"prl_fs", "virtiofs", NULL };

static const struct {
	enum fs_class ty_class;
	const char *const *ty_names;
} classes[] = {
	{ FS_CLASS_FREEZE, freezable },
	{ FS_CLASS_SYNC, sync_only },
	{ FS_CLASS_READONLY, read_only },
	{ FS_CLASS_PSEUDO, pseudo },
	{ FS_CLASS_MEMORY, memory },
	{ FS_CLASS_NETWORK, network },
};

enum fs_class
fs_class(const char *type)
{
	for (size_t i = 0; i < sizeof(classes) / sizeof(classes[0]); i++)
		for (size_t j = 0; classes[i].ty_names[j] != NULL; j++)
			if (strcmp(type, classes[i].ty_names[j]) == 0)
				return (classes[i].ty_class);
	if (strncmp(type, "fuseblk.", 8) == 0)
		return (FS_CLASS_SYNC);
	if (strcmp(type, "fuse") == 0 || strncmp(type, "fuse.", 5) == 0)
		return (FS_CLASS_FUSE);
	if (strcmp(type, "overlay") == 0 || strcmp(type, "overlayfs") == 0)
		return (FS_CLASS_OVERLAY);
	if (strcmp(type, "ecryptfs") == 0)
		return (FS_CLASS_STACKED);
	return (FS_CLASS_UNKNOWN);
}

bool fs_class_may_hang(enum fs_class class)
{
	return (class == FS_CLASS_NETWORK || class == FS_CLASS_FUSE);
}
