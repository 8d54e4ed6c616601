/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/* The types of file systems that Linux has. */

#include <stddef.h>

#include "fs_types.h"

const char *const fs_names_freeze[] = { "ext2", "ext3", "ext4", "xfs", "btrfs",
	"f2fs", "jfs", "reiserfs", "nilfs2", "gfs2", NULL };

/* ZFS is always consistent on disk; the others have no freeze call. */
const char *const fs_names_sync[] = { "zfs", "vfat", "msdos", "exfat", "ntfs3",
	"fuseblk", "fuseblk.*", NULL };

const char *const fs_names_readonly[] = { "squashfs", "erofs", "iso9660",
	"cramfs", "romfs", NULL };

const char *const fs_names_pseudo[] = { "proc", "sysfs", "devpts", "devtmpfs",
	"cgroup", "cgroup2", "cpuset", "securityfs", "selinuxfs", "smackfs",
	"apparmorfs", "debugfs", "tracefs", "configfs", "fusectl", "mqueue",
	"autofs", "binfmt_misc", "rpc_pipefs", "nfsd", "efivarfs", "pstore",
	"bpf", "nsfs", "resctrl", "binder", "dlmfs", "ocfs2_dlmfs",
	"functionfs", "gadgetfs", "spufs", "xenfs", "usbfs", "usbdevfs",
	"pipefs", "sockfs", "bdev", "anon_inodefs", "balloon_xenfs",
	"guest_memfd", "secretmem", "pidfs", "drm", "oracleasmfs", NULL };

const char *const fs_names_memory[] = { "tmpfs", "ramfs", "rootfs", "hugetlbfs",
	NULL };

const char *const fs_names_network[] = { "nfs", "nfs4", "cifs", "smb3", "smbfs",
	"ncpfs", "ceph", "9p", "afs", "coda", "lustre", "orangefs", "pvfs2",
	"gpfs", "beegfs", "panfs", "acfs", "davfs", "vboxsf", "vmhgfs",
	"prl_fs", "virtiofs", NULL };

const char *const fs_names_fuse[] = { "fuse", "fuse.*", NULL };

const char *const fs_names_overlay[] = { "overlay", "overlayfs", NULL };

const char *const fs_names_stacked[] = { "ecryptfs", NULL };

const char *const fs_names_served[] = { "nbd*", "ublkb*", NULL };
