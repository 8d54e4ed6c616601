/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/*
 * Stand-in for the Linux kernel's /dev/vmbus/hv_vss (PROTOCOL.md section 7.1):
 * a FUSE file system of one file, mounted on an existing empty file; or, where
 * nothing is at a path below /dev and the kernel has CUSE, a character device
 * as the kernel's is one.  One program at a time opens it, registers, and is
 * handed one request after another.
 *
 * Where the kernel lets read sleep, this answers EAGAIN: a request that FUSE
 * holds unanswered cannot be killed, and who polls first never notices.
 */

#define FUSE_USE_VERSION 31

#include <sys/mount.h>
#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <fuse3/cuse_lowlevel.h>
#include <fuse3/fuse_log.h>
#include <fuse3/fuse_lowlevel.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "host.h"

#define UTILS_CUSE	"/dev/cuse"
#define UTILS_DEV	"/dev/"

#define UTILS_MSG_LEN	12
#define UTILS_REGISTER	128 /* old form: no handshake */
#define UTILS_REGISTER1 129
#define UTILS_VERSION	129U /* what the handshake says */

enum utils_state {
	UTILS_CLOSED,
	UTILS_OPEN,	 /* not registered */
	UTILS_HANDSHAKE, /* registered, the handshake is not read yet */
	UTILS_READY
};

struct host_utils {
	struct host *hu_host;
	struct fuse_session *hu_session;
	struct fuse_buf hu_buf;
	struct fuse_pollhandle *hu_poll;
	enum utils_state hu_state;
	struct host_req *hu_req; /* given to the program, not answered */
	uint8_t hu_msg[UTILS_MSG_LEN];
	uint32_t hu_msg_len; /* queued for read, 0: nothing */
	bool hu_mounted;
};

static void
utils_wake(struct host_utils *hu)
{
	if (hu->hu_poll == NULL)
		return;
	fuse_lowlevel_notify_poll(hu->hu_poll);
	fuse_pollhandle_destroy(hu->hu_poll);
	hu->hu_poll = NULL;
}

static uint8_t
utils_wire_op(enum host_op op)
{
	switch (op) {
	case HOST_FREEZE:
		return (VSS_WIRE_FREEZE);
	case HOST_THAW:
		return (VSS_WIRE_THAW);
	default:
		return (VSS_WIRE_CHECK_HOT_BACKUP);
	}
}

static struct host_req *
utils_req(const struct host *ho, const struct host_req *hr)
{
	return (ho->ho_reqs[hr->hr_xactid - 1]);
}

/* The request is over with this status; nothing of it stays queued. */
static void
utils_end(struct host_utils *hu, uint32_t status)
{
	struct host_req *hr;

	hr = hu->hu_req;
	if (hr == NULL)
		return;
	hu->hu_req = NULL;
	hu->hu_msg_len = 0;
	host_done(hu->hu_host, hr, status);
}

static void
utils_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct stat st;

	(void)fi;
	memset(&st, 0, sizeof(st));
	st.st_ino = ino;
	st.st_mode = S_IFREG | 0600;
	st.st_nlink = 1;
	fuse_reply_attr(req, &st, 0);
}

/* A device's size and times do not change; O_TRUNC is no error. */
static void
utils_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *attr, int to_set,
    struct fuse_file_info *fi)
{
	(void)attr;
	(void)to_set;
	utils_getattr(req, ino, fi);
}

static void
utils_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct host_utils *hu = fuse_req_userdata(req);

	(void)ino;
	if (hu->hu_state != UTILS_CLOSED) {
		fuse_reply_err(req, EBUSY);
		return;
	}
	fi->direct_io = 1;
	fi->nonseekable = 1;
	/* If the caller was killed meanwhile no release follows. */
	if (fuse_reply_open(req, fi) == 0)
		hu->hu_state = UTILS_OPEN;
}

static void
utils_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct host_utils *hu = fuse_req_userdata(req);

	(void)ino;
	(void)fi;
	fuse_reply_err(req, 0);
	hu->hu_state = UTILS_CLOSED;
	hu->hu_msg_len = 0;
	utils_wake(hu);
	utils_end(hu, VMBUS_ICMSG_S_FAIL);
}

static void
utils_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
    struct fuse_file_info *fi)
{
	struct host_utils *hu = fuse_req_userdata(req);
	uint32_t len;

	(void)ino;
	(void)off;
	(void)fi;
	len = hu->hu_msg_len;
	if (len == 0) {
		fuse_reply_err(req, EAGAIN);
		return;
	}
	if (size < len) {
		fuse_reply_err(req, EINVAL);
		return;
	}
	hu->hu_msg_len = 0;
	fuse_reply_buf(req, (const char *)hu->hu_msg, len);
	if (hu->hu_state == UTILS_HANDSHAKE) {
		hu->hu_state = UTILS_READY;
		host_link_opened(hu->hu_host);
	}
}

/* Registers; 0 or EINVAL. */
static int
utils_register(struct host_utils *hu, uint8_t op)
{
	if (hu->hu_req != NULL)
		return (EINVAL);
	if (op == UTILS_REGISTER) {
		hu->hu_state = UTILS_READY;
		host_link_opened(hu->hu_host);
		return (0);
	}
	vmbus_icmsg_put32(hu->hu_msg, UTILS_VERSION);
	hu->hu_msg_len = 4;
	hu->hu_state = UTILS_HANDSHAKE;
	utils_wake(hu);
	return (0);
}

static void
utils_write(fuse_req_t req, fuse_ino_t ino, const char *buf, size_t size,
    off_t off, struct fuse_file_info *fi)
{
	struct host_utils *hu = fuse_req_userdata(req);
	uint8_t msg[UTILS_MSG_LEN];
	int error;

	(void)ino;
	(void)off;
	(void)fi;
	if (size != UTILS_MSG_LEN) {
		fuse_reply_err(req, EINVAL);
		return;
	}
	memcpy(msg, buf, sizeof(msg));
	if (msg[0] == UTILS_REGISTER || msg[0] == UTILS_REGISTER1)
		error = utils_register(hu, msg[0]);
	else
		error = hu->hu_req != NULL ? 0 : EINVAL;
	if (error != 0) {
		fuse_reply_err(req, error);
		return;
	}
	fuse_reply_write(req, size);
	if (msg[0] != UTILS_REGISTER && msg[0] != UTILS_REGISTER1)
		utils_end(hu, vmbus_icmsg_get32(msg));
}

static void
utils_poll(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi,
    struct fuse_pollhandle *ph)
{
	struct host_utils *hu = fuse_req_userdata(req);

	(void)ino;
	(void)fi;
	if (ph != NULL) {
		if (hu->hu_poll != NULL)
			fuse_pollhandle_destroy(hu->hu_poll);
		hu->hu_poll = ph;
	}
	fuse_reply_poll(req, hu->hu_msg_len != 0 ? POLLIN | POLLRDNORM : 0);
}

static const struct fuse_lowlevel_ops utils_ops = {
	.getattr = utils_getattr,
	.setattr = utils_setattr,
	.open = utils_open,
	.release = utils_release,
	.read = utils_read,
	.write = utils_write,
	.poll = utils_poll,
};

/* The same as a character device. */
static void
utils_dev_open(fuse_req_t req, struct fuse_file_info *fi)
{
	utils_open(req, FUSE_ROOT_ID, fi);
}

static void
utils_dev_release(fuse_req_t req, struct fuse_file_info *fi)
{
	utils_release(req, FUSE_ROOT_ID, fi);
}

static void
utils_dev_read(
    fuse_req_t req, size_t size, off_t off, struct fuse_file_info *fi)
{
	utils_read(req, FUSE_ROOT_ID, size, off, fi);
}

static void
utils_dev_write(fuse_req_t req, const char *buf, size_t size, off_t off,
    struct fuse_file_info *fi)
{
	utils_write(req, FUSE_ROOT_ID, buf, size, off, fi);
}

static void
utils_dev_poll(
    fuse_req_t req, struct fuse_file_info *fi, struct fuse_pollhandle *ph)
{
	utils_poll(req, FUSE_ROOT_ID, fi, ph);
}

static const struct cuse_lowlevel_ops utils_dev_ops = {
	.open = utils_dev_open,
	.release = utils_dev_release,
	.read = utils_dev_read,
	.write = utils_dev_write,
	.poll = utils_dev_poll,
};

static nfds_t
utils_pollfds(void *front, struct pollfd *pfd)
{
	struct host_utils *hu = front;

	pfd[0].fd = fuse_session_fd(hu->hu_session);
	pfd[0].events = POLLIN;
	pfd[0].revents = 0;
	return (1);
}

static void
utils_service(void *front, const struct pollfd *pfd, nfds_t n)
{
	struct host_utils *hu = front;
	int rc;

	(void)n;
	if (pfd[0].revents == 0)
		return;
	rc = fuse_session_receive_buf(hu->hu_session, &hu->hu_buf);
	if (rc > 0)
		fuse_session_process_buf(hu->hu_session, &hu->hu_buf);
	if (rc == 0 || fuse_session_exited(hu->hu_session))
		host_link_lost(hu->hu_host, "somebody unmounted it");
	else if (rc < 0 && rc != -EAGAIN && rc != -EINTR)
		host_link_lost(hu->hu_host, strerror(-rc));
}

static bool
utils_ready(void *front)
{
	struct host_utils *hu = front;

	return (hu->hu_state == UTILS_READY);
}

/* Like the kernel: one at a time, and failure at once where nobody serves. */
static int
utils_send(void *front, const struct host_req *hr)
{
	struct host_utils *hu = front;

	if (hu->hu_req != NULL)
		return (EBUSY);
	hu->hu_req = utils_req(hu->hu_host, hr);
	if (hu->hu_state != UTILS_READY) {
		utils_end(hu, VMBUS_ICMSG_S_FAIL);
		return (0);
	}
	memset(hu->hu_msg, 0, sizeof(hu->hu_msg));
	hu->hu_msg[0] = utils_wire_op(hr->hr_op);
	hu->hu_msg_len = UTILS_MSG_LEN;
	utils_wake(hu);
	return (0);
}

/* From now on an answer to it is refused. */
static void
utils_cancel(void *front, const struct host_req *hr)
{
	struct host_utils *hu = front;

	if (hu->hu_req != hr)
		return;
	hu->hu_req = NULL;
	hu->hu_msg_len = 0;
}

static const char *
utils_absent(void *front)
{
	struct host_utils *hu = front;

	if (hu->hu_state == UTILS_CLOSED)
		return ("no program opened it; start hv_vss_driver with "
			"--transport hv_utils: and this path");
	return ("a program opened it, but did not register");
}

static void
utils_fini(void *front)
{
	struct host_utils *hu = front;

	if (hu->hu_poll != NULL)
		fuse_pollhandle_destroy(hu->hu_poll);
	if (hu->hu_mounted)
		fuse_session_unmount(hu->hu_session);
	if (hu->hu_session != NULL)
		fuse_session_destroy(hu->hu_session);
	free(hu->hu_buf.mem);
	free(hu);
}

static const struct host_front utils_front = {
	.hf_pollfds = utils_pollfds,
	.hf_service = utils_service,
	.hf_ready = utils_ready,
	.hf_send = utils_send,
	.hf_cancel = utils_cancel,
	.hf_absent = utils_absent,
	.hf_fini = utils_fini,
};

/*
 * Whether the path can be mounted on.  What a stand-in that was killed left
 * mounted there is taken away.
 */
static int
utils_check_path(const struct host *ho)
{
	struct stat st;
	int error;

	error = stat(ho->ho_path, &st) == 0 ? 0 : errno;
	if (error == ENOTCONN || error == ECONNABORTED) {
		umount2(ho->ho_path, MNT_DETACH);
		error = stat(ho->ho_path, &st) == 0 ? 0 : errno;
	}
	if (error != 0)
		host_warn(ho,
		    "%s; give an existing empty file (create it "
		    "first)",
		    strerror(error));
	else if (!S_ISREG(st.st_mode) || st.st_size != 0) {
		host_warn(ho, "is not an empty file; give one to mount on");
		error = EINVAL;
	}
	return (error);
}

/* What libfuse says of a failure is more than one line, and less than ours. */
static void __attribute__((format(printf, 2, 0)))
utils_no_log(enum fuse_log_level level, const char *fmt, va_list ap)
{
	(void)level;
	(void)fmt;
	(void)ap;
}

/* Whether FUSE can be used at all: 0, or an errno after saying why not. */
static int
utils_check_fuse(const struct host *ho)
{
	int error, fd;

	if (geteuid() != 0) {
		host_warn(ho, "mounting with FUSE needs root; run as root");
		return (EPERM);
	}
	fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);
	if (fd < 0) {
		error = errno;
		host_warn(ho,
		    "cannot mount with FUSE: /dev/fuse: %s; load the "
		    "fuse module (modprobe fuse)",
		    strerror(error));
		return (error);
	}
	close(fd);
	return (0);
}

static int
utils_mount(struct host_utils *hu, const char *path)
{
	char name[] = "hv_vss_host", opt[] = "-o",
	     how[] = "allow_other,default_permissions,fsname=hv_vss_host";
	char *argv[] = { name, opt, how, NULL };
	struct fuse_args args = FUSE_ARGS_INIT(3, argv);
	int fd;

	fuse_set_log_func(utils_no_log);
	hu->hu_session = fuse_session_new(
	    &args, &utils_ops, sizeof(utils_ops), hu);
	fuse_opt_free_args(&args);
	if (hu->hu_session == NULL)
		return (ENOMEM);
	errno = EIO;
	if (fuse_session_mount(hu->hu_session, path) != 0)
		return (errno);
	hu->hu_mounted = true;
	/* A request can be withdrawn between poll and read. */
	fd = fuse_session_fd(hu->hu_session);
	if (fcntl(fd, F_SETFL, O_NONBLOCK) != 0 ||
	    fcntl(fd, F_SETFD, FD_CLOEXEC) != 0)
		return (errno);
	return (0);
}

/* Whether it is to be a device of the kernel's, which nobody has yet. */
static bool
utils_is_dev(const char *path)
{
	return (strncmp(path, UTILS_DEV, strlen(UTILS_DEV)) == 0 &&
	    access(path, F_OK) != 0 && errno == ENOENT &&
	    access(UTILS_CUSE, F_OK) == 0);
}

/* It appears when the kernel's first request has been served. */
static int
utils_device(struct host_utils *hu, const char *path)
{
	char arg[] = "hv_vss_host", fd[32], name[128];
	char *argv[] = { arg, NULL };
	const char *info[] = { name };
	struct fuse_args args = FUSE_ARGS_INIT(1, argv);
	struct cuse_info ci = { .dev_info_argc = 1, .dev_info_argv = info };
	int n;

	snprintf(name, sizeof(name), "DEVNAME=%s", path + strlen(UTILS_DEV));
	fuse_set_log_func(utils_no_log);
	hu->hu_session = cuse_lowlevel_new(&args, &ci, &utils_dev_ops, hu);
	fuse_opt_free_args(&args);
	if (hu->hu_session == NULL)
		return (ENOMEM);
	n = open(UTILS_CUSE, O_RDWR | O_CLOEXEC | O_NONBLOCK);
	if (n < 0)
		return (errno);
	snprintf(fd, sizeof(fd), "/dev/fd/%d", n);
	errno = EIO;
	if (fuse_session_mount(hu->hu_session, fd) != 0)
		return (errno);
	return (0);
}

static int
host_hvutils_init(struct host *ho)
{
	struct host_utils *hu;
	bool dev = utils_is_dev(ho->ho_path);
	int error;

	error = utils_check_fuse(ho);
	if (error == 0 && !dev)
		error = utils_check_path(ho);
	if (error != 0)
		return (error);
	hu = calloc(1, sizeof(*hu));
	if (hu == NULL) {
		host_warn(NULL, "%s", strerror(ENOMEM));
		return (ENOMEM);
	}
	hu->hu_host = ho;
	error = dev ? utils_device(hu, ho->ho_path) :
		      utils_mount(hu, ho->ho_path);
	if (error != 0) {
		host_warn(ho, "cannot mount with FUSE: %s", strerror(error));
		utils_fini(hu);
		return (error);
	}
	ho->ho_front = &utils_front;
	ho->ho_front_arg = hu;
	return (0);
}

const struct host_own host_own = {
	.hw_option = "hv-utils",
	.hw_usage =
	    "  --hv-utils PATH    stand in for Linux's /dev/vmbus/hv_vss at "
	    "PATH, an\n"
	    "                     existing empty file\n",
	.hw_hvutils = true,
	.hw_init = host_hvutils_init,
};
