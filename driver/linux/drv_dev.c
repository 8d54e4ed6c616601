/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/*
 * The calls of the device files (ENGINE.md section 6), whether they come
 * through FUSE or CUSE: from the kernel's request to the engine and back.
 */

#include "drv_dev.h"

#include <dev/hyperv/hv_snapshot.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "dev_calls.h"

/* What the kernel may take to greet. */
#define DEV_GREET_MS 5000

/* So many requests of one device, then the host and the timers have a turn. */
#define DEV_TURN 64

static struct dev *
dev_of(fuse_req_t req)
{
	return (fuse_req_userdata(req));
}

/*
 * The command name of a process; empty when it cannot be had.  /proc never
 * waits for a disk, and a process's comm for no lock of its memory.
 */
static void
dev_comm(const struct dev_ctx *dc, pid_t pid, char *comm, size_t len)
{
	char path[32];
	ssize_t n;
	int fd;

	comm[0] = '\0';
	snprintf(path, sizeof(path), "%d/comm", (int)pid);
	fd = openat(dc->dc_proc, path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return;
	n = read(fd, comm, len - 1);
	close(fd);
	comm[n > 0 ? n : 0] = '\0';
	comm[strcspn(comm, "\n")] = '\0';
}

static void
dev_forget_poll(struct dev_open *dop)
{
	if (dop->do_ph != NULL)
		fuse_pollhandle_destroy(dop->do_ph);
	dop->do_ph = NULL;
}

static void
dev_close(struct dev_ctx *dc, uint32_t slot)
{
	dev_forget_poll(&dc->dc_open[slot]);
	dc->dc_open[slot].do_used = false;
	log_closing(dc->dc_log, slot);
	vss_engine_close(dc->dc_engine, slot, dc->dc_now());
}

/*
 * The engine's slot of an open file, as open put it there.  Should a kernel
 * name another one, that request fails.
 */
static bool
dev_slot(const struct dev *dv, const struct fuse_file_info *fi, uint32_t *slot)
{
	const struct dev_ctx *dc = dv->dv_ctx;

	if (fi == NULL || fi->fh >= dc->dc_nopen ||
	    !dc->dc_open[fi->fh].do_used ||
	    dc->dc_open[fi->fh].do_kind != (uint8_t)dv->dv_kind)
		return (false);
	*slot = (uint32_t)fi->fh;
	return (true);
}

void
dev_call_open(fuse_req_t req, struct fuse_file_info *fi)
{
	const struct fuse_ctx *ctx = fuse_req_ctx(req);
	struct dev *dv = dev_of(req);
	struct dev_ctx *dc = dv->dv_ctx;
	struct vss_engine_who who;
	uint32_t slot;
	int error;

	memset(&who, 0, sizeof(who));
	who.ew_pid = (uint64_t)ctx->pid;
	who.ew_uid = ctx->uid;
	dev_comm(dc, ctx->pid, who.ew_comm, sizeof(who.ew_comm));
	error = vss_engine_open(
	    dc->dc_engine, dv->dv_kind, &who, dc->dc_now(), &slot);
	if (error != 0) {
		fuse_reply_err(req, error);
		return;
	}
	VSS_ASSERT(slot < dc->dc_nopen && !dc->dc_open[slot].do_used);
	dc->dc_open[slot].do_used = true;
	dc->dc_open[slot].do_kind = (uint8_t)dv->dv_kind;
	fi->fh = slot;
	fi->direct_io = 1;
	fi->nonseekable = 1;
	/*
	 * close(2) of a FUSE file does not wait for a driver that is stopped.
	 * The last one of a CUSE device does, whatever is said here.
	 */
#if FUSE_VERSION >= FUSE_MAKE_VERSION(3, 11)
	fi->noflush = 1;
#endif
	/* No release follows an open that its caller did not live to see. */
	if (fuse_reply_open(req, fi) == -ENOENT)
		dev_close(dc, slot);
}

void
dev_call_release(fuse_req_t req, struct fuse_file_info *fi)
{
	struct dev *dv = dev_of(req);
	uint32_t slot;

	if (dev_slot(dv, fi, &slot))
		dev_close(dv->dv_ctx, slot);
	fuse_reply_err(req, 0);
}

/*
 * The structure of an ioctl has the length that its number says; libfuse hands
 * over what the kernel copied in.
 */
void
dev_call_ioctl(fuse_req_t req, unsigned int cmd, struct fuse_file_info *fi,
    const void *in, size_t in_len)
{
	struct dev *dv = dev_of(req);
	struct dev_ctx *dc = dv->dv_ctx;
	uint64_t arg[DEV_CALLS_MAX / sizeof(uint64_t)];
	uint32_t slot;
	size_t len = _IOC_SIZE(cmd);
	int error = ENOTTY;

	if (!dev_slot(dv, fi, &slot)) {
		fuse_reply_err(req, EBADF);
		return;
	}
	if (len <= sizeof(arg) &&
	    in_len == ((_IOC_DIR(cmd) & _IOC_WRITE) != 0 ? len : 0)) {
		if (in_len != 0)
			memcpy(arg, in, in_len);
		error = dev_calls_ioctl(
		    dc->dc_engine, slot, dc->dc_now(), cmd, arg);
	}
	if (error != 0)
		fuse_reply_err(req, error);
	else if ((_IOC_DIR(cmd) & _IOC_READ) != 0)
		fuse_reply_ioctl(req, 0, arg, len);
	else
		fuse_reply_ioctl(req, 0, NULL, 0);
}

/* The last poll handle of an open file wakes all who poll it. */
void
dev_call_poll(
    fuse_req_t req, struct fuse_file_info *fi, struct fuse_pollhandle *ph)
{
	struct dev *dv = dev_of(req);
	struct dev_ctx *dc = dv->dv_ctx;
	unsigned revents = 0;
	uint32_t slot;

	if (!dev_slot(dv, fi, &slot)) {
		if (ph != NULL)
			fuse_pollhandle_destroy(ph);
		fuse_reply_err(req, EBADF);
		return;
	}
	if (ph != NULL) {
		dev_forget_poll(&dc->dc_open[slot]);
		dc->dc_open[slot].do_ph = ph;
	}
	if (vss_engine_poll(dc->dc_engine, slot, dc->dc_now()))
		revents = POLLIN | POLLRDNORM;
	fuse_reply_poll(req, revents);
}

void
dev_wake(struct dev_ctx *dc, uint32_t slot)
{
	struct dev_open *dop = &dc->dc_open[slot];

	VSS_ASSERT(slot < dc->dc_nopen);
	if (dop->do_ph == NULL)
		return;
	fuse_lowlevel_notify_poll(dop->do_ph);
	dev_forget_poll(dop);
}

int
dev_greet(struct dev *dv)
{
	struct pollfd pfd = { .fd = dv->dv_fd, .events = POLLIN };

	while (!dv->dv_ready) {
		if (poll(&pfd, 1, DEV_GREET_MS) != 1)
			return (ETIMEDOUT);
		if (dev_serve(dv) != 0)
			return (ENODEV);
	}
	return (0);
}

int
dev_start(struct dev *dv, struct dev_ctx *dc, enum vss_engine_kind kind,
    const char *dir, char *err)
{
	int n;

	memset(dv, 0, sizeof(*dv));
	dv->dv_ctx = dc;
	dv->dv_kind = kind;
	dv->dv_fd = -1;
	dv->dv_node = kind == VSS_ENGINE_FS ? &dc->dc_conf->cf_fs :
					      &dc->dc_conf->cf_app;
	n = snprintf(dv->dv_path, sizeof(dv->dv_path), "%s/%s", dir,
	    kind == VSS_ENGINE_FS ? FS_VSS_DEV_NAME : APP_VSS_DEV_NAME);
	if (n < 0 || (size_t)n >= sizeof(dv->dv_path)) {
		snprintf(err, DEV_ERR_MAX, "--dev-dir %.60s...: too long", dir);
		return (ENAMETOOLONG);
	}
	dv->dv_cuse = dev_cuse_usable(dir);
	return (
	    dv->dv_cuse ? dev_cuse_start(dv, err) : dev_fuse_start(dv, err));
}

/* The kernel cut the connection: no release will come for what was open. */
static int
dev_gone(struct dev *dv)
{
	struct dev_ctx *dc = dv->dv_ctx;
	uint32_t slot;

	for (slot = 0; slot < dc->dc_nopen; slot++)
		if (dc->dc_open[slot].do_used &&
		    dc->dc_open[slot].do_kind == (uint8_t)dv->dv_kind)
			dev_close(dc, slot);
	dev_stop(dv);
	return (ENODEV);
}

int
dev_serve(struct dev *dv)
{
	struct fuse_buf buf;
	ssize_t n;
	int turn;

	for (turn = 0; turn < DEV_TURN; turn++) {
		n = read(dv->dv_fd, dv->dv_ctx->dc_buf, DEV_BUF_LEN);
		if (n < 0 && errno == EAGAIN)
			return (0);
		/* ENOENT: who asked has gone before we read it. */
		if (n < 0 && (errno == ENOENT || errno == EINTR))
			continue;
		if (n <= 0)
			return (dev_gone(dv));
		memset(&buf, 0, sizeof(buf));
		buf.size = (size_t)n;
		buf.mem = dv->dv_ctx->dc_buf;
		fuse_session_process_buf(dv->dv_se, &buf);
		if (fuse_session_exited(dv->dv_se))
			return (dev_gone(dv));
	}
	return (0);
}

void
dev_stop(struct dev *dv)
{
	if (dv->dv_se == NULL)
		return;
	if (dv->dv_cuse)
		dev_cuse_stop(dv);
	else
		dev_fuse_stop(dv);
	dv->dv_se = NULL;
	dv->dv_fd = -1;
}

void
dev_remove(struct dev *dv)
{
	dev_stop(dv);
	if (!dv->dv_cuse)
		dev_fuse_unplace(dv->dv_path);
}
