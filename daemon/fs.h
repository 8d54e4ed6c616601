/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/*
 * What the plan wants to know of the system: its mounts, which of them are of
 * one file system, and which file system lies on which other.  Implemented once
 * for each system (fs_linux.c, fs_freebsd.c); plan.c decides.
 *
 * A *file system* here is what freezes as one: a superblock.  It lies on
 * another when its blocks are kept in a file of that one (a loop device),
 * however many layers of block devices are in between; an overlay lies on its
 * upper layer.
 */

#ifndef _FS_H_
#define _FS_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FS_NONE (~0U) /* no index */

struct fs_mount {
	const char *fm_point; /* mount point */
	const char *fm_type;
	const char *fm_source; /* device or what stands in its place */
	const char *fm_root;   /* which directory (or file) of it is mounted */
	uint64_t fm_id;
	unsigned int
	    fm_parent;	   /* index of the mount it is mounted on, FS_NONE */
	uint32_t fm_major; /* of the file system */
	uint32_t fm_minor;
	unsigned int fm_fs; /* index into ft_fs */
	bool fm_hidden;	    /* other mounts hide it: its path leads elsewhere */
	bool fm_detour;	    /* the path leads through what may hang */
	/*
	 * 0, or it is mounted in another mount namespace only, a process of
	 * which this is; fm_point then begins with /proc/PID/root.
	 */
	unsigned int fm_pid;
	char *fm_text; /* what the strings are in then */
};

/* What is known of the ground that a file system lies on. */
enum fs_ground {
	FS_GROUND_KNOWN,   /* fy_lower is the whole of it */
	FS_GROUND_UNSEEN,  /* it is not shown what a block device is made of */
	FS_GROUND_IMAGE,   /* a loop device, its image cannot be located */
	FS_GROUND_SERVED,  /* a process or server keeps it or its image */
	FS_GROUND_EITHER,  /* it may lie on a ZFS pool, or that on it */
	FS_GROUND_FOREIGN, /* an upper layer that is not in the mount table */
};

/*
 * A block device that a file system lies on, at whatever depth.  On FreeBSD its
 * numbers are made of its name, by fs_geom_number().
 */
struct fs_device {
	uint32_t fv_major;
	uint32_t fv_minor;
	bool fv_hardware; /* a disk of the machine, not made of anything */
};

struct fs_system {
	unsigned int fy_first; /* first mount, index into ft_mounts */
	unsigned int fy_nmounts;
	bool fy_readonly; /* the superblock is, not only a mount */
	bool fy_any_dev;  /* files have other device numbers than it */
	bool fy_block;	  /* lives on a block device of this machine */
	bool fy_loop;	  /* on a loop device or fy_served, at whatever depth */
	enum fs_ground fy_ground;
	char fy_served[32];	/* "", or the device that a process serves */
	char *fy_image;		/* NULL, or the image's path */
	unsigned int fy_upper;	/* of an overlay: the file system written to */
	unsigned int fy_nlower; /* what it lies on, indices into ft_fs */
	unsigned int *fy_lower;
	unsigned int fy_ndevices; /* whole disks, not their partitions */
	struct fs_device *fy_devices;
};

struct fs_table_way; /* fs_table.c's */

struct fs_table {
	struct fs_mount *ft_mounts;
	unsigned int ft_nmounts;
	struct fs_system *ft_fs;
	unsigned int ft_nfs;
	char ft_disk[32]; /* a writable disk of the machine, "" if none is seen
			   */
	int ft_error;	  /* 0, or why something that is there was not seen */
	struct fs_table_way *ft_ways; /* where paths lead, fs_table.c's */
	unsigned int ft_nways;
	void *ft_memory;
};

/* What a mount point is. */
enum fs_kind {
	FS_KIND_OPENABLE, /* a directory or a regular file */
	FS_KIND_SPECIAL,  /* FIFO, socket, device: opening it acts or blocks */
	FS_KIND_UNKNOWN	  /* gone, or not to be asked */
};

/*
 * Reads it all, below the directory root ("" for the running system); with
 * elsewhere also, once each, file systems on local disks that are mounted in
 * other mount namespaces only, as far as those may be looked at.  Returns 0 or
 * an errno, with a line in err.
 */
int fs_read(struct fs_table *ft, const char *root, bool elsewhere, char *err,
    size_t errlen);

void fs_free(struct fs_table *ft);

/*
 * A descriptor that notes whether anything was mounted, remounted or unmounted
 * since the last fs_changed(), or -1.  Where the system tells too little of
 * that, it may always have been.
 */
int fs_watch(void);
bool fs_changed(int watch);

/* What shows on which other a file system lies, for messages. */
extern const char fs_topology[];

/* Asks without opening and without mounting anything; not of a detour. */
enum fs_kind fs_kind(const char *root, const char *path);

/* The file system that a path leads to, by the mount table; or FS_NONE. */
unsigned int fs_of_path(const struct fs_table *ft, const char *path);

#endif /* _FS_H_ */
