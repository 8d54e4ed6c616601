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

#include <sys/ioctl.h>
#include <sys/types.h>

#include <dlfcn.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

/* sys/mount.h */
#define MFSNAMELEN 16
#define MNAMELEN   1024

#define MNT_RDONLY 0x0000000000000001ULL
#define MNT_LOCAL  0x0000000000001000ULL
#define MNT_NOWAIT 2

struct fsid {
	int32_t val[2];
};

#define statfs fbsd_statfs
struct fbsd_statfs {
	uint64_t f_flags;
	struct fsid f_fsid;
	char f_fstypename[MFSNAMELEN];
	char f_mntfromname[MNAMELEN];
	char f_mntonname[MNAMELEN];
};

int getfsstat(struct fbsd_statfs *buf, long bufsize, int mode);

/* sys/sysctl.h */
int sysctlbyname(const char *name, void *oldp, size_t *oldlenp,
    const void *newp, size_t newlen);

/*
 * For the freezer: fbsd_kernel.c asks the test, which plays the kernel.
 *
 * ufs/ffs/fs.h
 */
#define UFSSUSPEND 1
#define UFSRESUME  2

#define open(...)  fbsd_open(__VA_ARGS__)
#define ioctl(...) fbsd_ioctl(__VA_ARGS__)
#define sync()	   fbsd_sync()
int fbsd_open(const char *path, int flags);
int fbsd_ioctl(int fd, unsigned long request, ...);
void fbsd_sync(void);

/* dlfcn.h, of libzfs_core alone */
#define dlopen(name, how) fbsd_dlopen(name)
#define dlsym(lib, name)  fbsd_dlsym(name)
void *fbsd_dlopen(const char *name);
void *fbsd_dlsym(const char *name);

/* sys/procdesc.h */
int pdkill(int fd, int sig);

/* sys/procctl.h */
#define P_PID	      1
#define PROC_SPROTECT 1
#define PPROT_SET     1
int procctl(int idtype, int id, int cmd, void *arg);

#endif /* _FBSD_H_ */
