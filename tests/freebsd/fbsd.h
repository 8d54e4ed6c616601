/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/*
 * Stands in for FreeBSD's system headers where what is FreeBSD's alone is
 * tested on another system: just those declarations that it uses.  In the build
 * each header that another system lacks, or has otherwise, includes this one.
 */

#ifndef _FBSD_H_
#define _FBSD_H_

#include <sys/types.h>

#include <stddef.h>
#include <stdint.h>

/* sys/mount.h */
#define MFSNAMELEN 16
#define MNAMELEN   1024

#define MNT_RDONLY 0x0000000000000001ULL
#define MNT_LOCAL  0x0000000000001000ULL
#define MNT_NOWAIT 2

struct fbsd_fsid {
	int32_t val[2];
};

#define statfs fbsd_statfs
struct fbsd_statfs {
	uint64_t f_flags;
	struct fbsd_fsid f_fsid;
	char f_fstypename[MFSNAMELEN];
	char f_mntfromname[MNAMELEN];
	char f_mntonname[MNAMELEN];
};

int getfsstat(struct fbsd_statfs *buf, long bufsize, int mode);

/* sys/sysctl.h */
int sysctlbyname(const char *name, void *oldp, size_t *oldlenp,
    const void *newp, size_t newlen);

#endif /* _FBSD_H_ */
