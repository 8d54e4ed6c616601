/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/*
 * A device file as a real character device, where the kernel has CUSE.  Its
 * ioctls are asked for restricted to what their numbers say, as on a FUSE file,
 * so that nothing differs but how the file is made.
 */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "drv_dev.h"

#include <fuse3/cuse_lowlevel.h>

#define DEV_CUSE_KERNEL "/dev/cuse"
#define DEV_CUSE_DIR	"/dev"

static void
dev_cuse_init(void *userdata, struct fuse_conn_info *conn)
{
	(void)userdata;
	conn->max_write = DEV_IOCTL_MAX;
}

/* The reply has been sent, so the kernel has made the device. */
static void
dev_cuse_init_done(void *userdata)
{
	struct dev *dv = userdata;

	dv->dv_ready = true;
}

static void
dev_cuse_read(fuse_req_t req, size_t size, off_t off, struct fuse_file_info *fi)
{
	(void)size;
	(void)off;
	(void)fi;
	fuse_reply_err(req, ENODEV);
}

static void
dev_cuse_write(fuse_req_t req, const char *buf, size_t size, off_t off,
    struct fuse_file_info *fi)
{
	(void)buf;
	dev_cuse_read(req, size, off, fi);
}

static void
dev_cuse_ioctl(fuse_req_t req, int cmd, void *arg, struct fuse_file_info *fi,
    unsigned int flags, const void *in_buf, size_t in_bufsz, size_t out_bufsz)
{
	(void)arg;
	(void)flags;
	(void)out_bufsz;
	dev_call_ioctl(req, (unsigned int)cmd, fi, in_buf, in_bufsz);
}

static const struct cuse_lowlevel_ops dev_cuse_ops = {
	.init = dev_cuse_init,
	.init_done = dev_cuse_init_done,
	.open = dev_call_open,
	.release = dev_call_release,
	.read = dev_cuse_read,
	.write = dev_cuse_write,
	.ioctl = dev_cuse_ioctl,
	.poll = dev_call_poll,
};

bool
dev_cuse_usable(const char *dir)
{
	return (strcmp(dir, DEV_CUSE_DIR) == 0 &&
	    access(DEV_CUSE_KERNEL, F_OK) == 0);
}

static int
dev_cuse_session(struct dev *dv)
{
	char *argv[] = { (char[]) { "hv_vss_driver" }, NULL };
	struct fuse_args args = FUSE_ARGS_INIT(1, argv);
	char fd[32], name[64];
	const char *info[] = { name };
	struct cuse_info ci;

	snprintf(
	    name, sizeof(name), "DEVNAME=%s", strrchr(dv->dv_path, '/') + 1);
	memset(&ci, 0, sizeof(ci));
	ci.dev_info_argc = 1;
	ci.dev_info_argv = info;
	dv->dv_se = cuse_lowlevel_new(&args, &ci, &dev_cuse_ops, dv);
	fuse_opt_free_args(&args);
	if (dv->dv_se == NULL)
		return (ENOMEM);
	snprintf(fd, sizeof(fd), "/dev/fd/%d", dv->dv_fd);
	if (fuse_session_mount(dv->dv_se, fd) != 0) {
		fuse_session_destroy(dv->dv_se);
		dv->dv_se = NULL;
		return (ENOMEM);
	}
	return (0);
}

/* Serves the greeting, then gives the node its mode and owner. */
static int
dev_cuse_appear(struct dev *dv)
{
	struct stat st;
	int error;

	error = dev_greet(dv);
	if (error != 0)
		return (error);
	if (lstat(dv->dv_path, &st) != 0)
		return (errno);
	if (!S_ISCHR(st.st_mode))
		return (EEXIST);
	if (chown(dv->dv_path, dv->dv_node->cn_owner, dv->dv_node->cn_group) !=
		0 ||
	    chmod(dv->dv_path, dv->dv_node->cn_mode) != 0)
		return (errno);
	return (0);
}

int
dev_cuse_start(struct dev *dv, char *err)
{
	struct stat st;
	int error;

	/* What a driver that used FUSE files left, before cuse was there. */
	error = dev_fuse_recover(dv->dv_path, err);
	if (error != 0)
		return (error);
	if (lstat(dv->dv_path, &st) == 0) {
		if (!S_ISREG(st.st_mode) || st.st_size != 0) {
			snprintf(err, DEV_ERR_MAX,
			    "%s: another driver has it; stop that one",
			    dv->dv_path);
			return (EBUSY);
		}
		unlink(dv->dv_path);
	}
	dv->dv_fd = open(DEV_CUSE_KERNEL, O_RDWR | O_CLOEXEC | O_NONBLOCK);
	if (dv->dv_fd < 0) {
		error = errno;
		snprintf(err, DEV_ERR_MAX, "%s: %s; run as root",
		    DEV_CUSE_KERNEL, strerror(error));
		return (error);
	}
	error = dev_cuse_session(dv);
	if (error == 0)
		error = dev_cuse_appear(dv);
	if (error == 0)
		return (0);
	snprintf(err, DEV_ERR_MAX, "%s: cannot make the device: %s",
	    dv->dv_path, strerror(error));
	if (dv->dv_se != NULL)
		dev_cuse_stop(dv);
	else if (dv->dv_fd >= 0)
		close(dv->dv_fd);
	dv->dv_se = NULL;
	dv->dv_fd = -1;
	return (error);
}

/* The kernel removes the node with the descriptor. */
void
dev_cuse_stop(struct dev *dv)
{
	fuse_session_destroy(dv->dv_se);
}
