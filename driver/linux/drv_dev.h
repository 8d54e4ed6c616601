/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/*
 * The two device files.  One set of calls (drv_dev.c) serves both ways of
 * making them: a FUSE file system mounted on the path itself, its root a
 * regular file (drv_fuse.c), and a character device through CUSE where the
 * kernel has it (drv_cuse.c).
 *
 * Every request of the kernel is answered at once: one that is held would leave
 * its caller beyond SIGKILL.
 */

#ifndef _DRV_DEV_H_
#define _DRV_DEV_H_

#define FUSE_USE_VERSION 35

#include <fuse3/fuse_lowlevel.h>
#include <stdbool.h>
#include <stdint.h>

#include "conf.h"
#include "drv_log.h"
#include "engine.h"

#define DEV_ERR_MAX  512
#define DEV_PATH_MAX 256

/* An ioctl's number has 14 bits for its size; then there are headers. */
#define DEV_IOCTL_MAX 16384
#define DEV_BUF_LEN   (2 * DEV_IOCTL_MAX)

/* One open file, by the engine's slot. */
struct dev_open {
	bool do_used;
	uint8_t do_kind;	       /* enum vss_engine_kind */
	struct fuse_pollhandle *do_ph; /* who sleeps in poll; or NULL */
};

/* What both devices share. */
struct dev_ctx {
	struct vss_engine *dc_engine;
	struct log *dc_log;
	const struct conf *dc_conf;
	struct dev_open *dc_open; /* dc_nopen entries */
	uint32_t dc_nopen;
	int dc_proc; /* /proc, for the names of processes */
	uint64_t (*dc_now)(void);
	uint8_t *dc_buf; /* DEV_BUF_LEN bytes */
};

struct dev {
	struct dev_ctx *dv_ctx;
	enum vss_engine_kind dv_kind;
	const struct conf_node *dv_node;
	char dv_path[DEV_PATH_MAX];
	bool dv_cuse;
	bool dv_ready; /* the kernel and libfuse have greeted each other */
	struct fuse_session *dv_se; /* NULL: it is gone */
	int dv_fd;
	int dv_mount; /* its number in the mount table, of a FUSE file */
};

/* drv_dev.c: the calls, for either. */
void dev_call_open(fuse_req_t req, struct fuse_file_info *fi);
void dev_call_release(fuse_req_t req, struct fuse_file_info *fi);
void dev_call_ioctl(fuse_req_t req, unsigned int cmd, struct fuse_file_info *fi,
    const void *in, size_t in_len);
void dev_call_poll(
    fuse_req_t req, struct fuse_file_info *fi, struct fuse_pollhandle *ph);

/*
 * Serves the kernel's greeting, before anybody can open the device.  Returns 0,
 * ETIMEDOUT or ENODEV.
 */
int dev_greet(struct dev *dv);

/*
 * Makes the device file of kind in dir.  Returns 0, or an errno with a line in
 * err; nothing is left behind then.
 */
int dev_start(struct dev *dv, struct dev_ctx *dc, enum vss_engine_kind kind,
    const char *dir, char *err);

/*
 * Carries out what waits on dv_fd, some requests at most.  Returns 0, or ENODEV
 * when the device is gone: its opens are closed then, as if their processes had
 * done it.
 */
int dev_serve(struct dev *dv);

/* Wakes who polls the open file of this slot. */
void dev_wake(struct dev_ctx *dc, uint32_t slot);

/*
 * Ends the device: who has it open gets errors from now on.  It touches no
 * disk: the empty file that a FUSE file was mounted on stays, for the next
 * dev_start() or for dev_remove(), which removes it as well.
 */
void dev_stop(struct dev *dv);
void dev_remove(struct dev *dv);

/* drv_fuse.c */
int dev_fuse_start(struct dev *dv, char *err);
void dev_fuse_stop(struct dev *dv);
/* Clears the path of what a dead driver left there; EBUSY: a live one has it.
 */
int dev_fuse_recover(const char *path, char *err);
/* Removes an empty file that a driver made. */
void dev_fuse_unplace(const char *path);

/* drv_cuse.c */
bool dev_cuse_usable(const char *dir);
int dev_cuse_start(struct dev *dv, char *err);
void dev_cuse_stop(struct dev *dv);

#endif /* _DRV_DEV_H_ */
