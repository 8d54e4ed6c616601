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
#define MNT_SUJ	   0x0000000100000000ULL
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

struct xvfsconf {
	char vfc_name[MFSNAMELEN];
	int vfc_refcount; /* mounts of that type */
};

int getvfsbyname(const char *name, struct xvfsconf *xv);

/* sys/sysctl.h */
int sysctlbyname(const char *name, void *oldp, size_t *oldlenp,
    const void *newp, size_t newlen);

/* cam/cam.h */
typedef unsigned int path_id_t;
typedef unsigned int target_id_t;
typedef uint64_t lun_id_t;

#define CAM_XPT_PATH_ID	    ((path_id_t)~0)
#define CAM_TARGET_WILDCARD ((target_id_t)~0)
#define CAM_LUN_WILDCARD    (~0U)
#define CAM_REQ_CMP	    0x01

/* cam/cam_ccb.h */
#define XPT_DEV_MATCH 0x07
#define DEV_IDLEN     16

struct ccb_hdr {
	int func_code;
	uint32_t status;
	path_id_t path_id;
	target_id_t target_id;
	lun_id_t target_lun;
};

struct periph_match_result {
	char periph_name[DEV_IDLEN];
	uint32_t unit_number;
	path_id_t path_id;
	target_id_t target_id;
	lun_id_t target_lun;
};

struct bus_match_result {
	path_id_t path_id;
	char dev_name[DEV_IDLEN];
	uint32_t unit_number;
};

struct dev_match_result {
	enum { DEV_MATCH_PERIPH, DEV_MATCH_DEVICE, DEV_MATCH_BUS } type;
	union {
		struct periph_match_result periph_result;
		struct bus_match_result bus_result;
	} result;
};

struct ccb_dev_match {
	struct ccb_hdr ccb_h;
	enum {
		CAM_DEV_MATCH_LAST,
		CAM_DEV_MATCH_MORE,
		CAM_DEV_MATCH_LIST_CHANGED,
		CAM_DEV_MATCH_SIZE_ERROR,
		CAM_DEV_MATCH_ERROR
	} status;
	uint32_t num_patterns;
	uint32_t num_matches;
	uint32_t match_buf_len;
	struct dev_match_result *matches;
	size_t pos; /* for the kernel, to go on from */
};

union ccb {
	struct ccb_hdr ccb_h;
	struct ccb_dev_match cdm;
};

/* cam/scsi/scsi_pass.h */
#define CAMIOCOMMAND 2

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
