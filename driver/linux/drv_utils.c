/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/*
 * The transport through the stock kernel's hv_utils: its device hands over one
 * request at a time in 12 bytes and takes the result in 12 (PROTOCOL.md section
 * 7.1).  Ring, negotiation and the host's overlapping requests are the
 * kernel's; each request becomes an IC packet here, so that the engine need not
 * know the difference.
 */

#include <sys/stat.h>
#include <sys/vfs.h>

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "drv_link.h"
#include "report.h"

#define UTILS_MSG_LEN	    12
#define UTILS_O_RESULT	    0 /* written: i32; read: u8 operation */
#define UTILS_O_FLAGS	    8
#define UTILS_HANDSHAKE_LEN 4
#define UTILS_REGISTER	    129

/* What the kernel allows before it answers the host itself. */
#define UTILS_FREEZE_MAX_MS 900000U
#define UTILS_OTHER_MAX_MS  30000U

static void
link_utils_lost(struct link *ln, const char *what, int error, uint64_t now_ns)
{
	if (!ln->ln_told)
		report(REPORT_WARNING, "%s: %s: %s; trying again", ln->ln_path,
		    what, strerror(error));
	ln->ln_told = true;
	link_down(ln, now_ns);
}

static void
link_utils_close(struct link *ln)
{
	if (ln->ln_utils_fd >= 0)
		close(ln->ln_utils_fd);
	ln->ln_utils_fd = -1;
	ln->ln_utils_state = UTILS_CLOSED;
}

static int
link_utils_write(struct link *ln, uint32_t result, uint32_t flags)
{
	uint8_t msg[UTILS_MSG_LEN];
	ssize_t n;

	memset(msg, 0, sizeof(msg));
	vmbus_icmsg_put32(msg + UTILS_O_RESULT, result);
	vmbus_icmsg_put32(msg + UTILS_O_FLAGS, flags);
	n = write(ln->ln_utils_fd, msg, sizeof(msg));
	if (n < 0)
		return (errno);
	return (n == (ssize_t)sizeof(msg) ? 0 : EIO);
}

/*
 * Whether there is a device behind fd: the kernel's, or a stand-in's file.  The
 * empty file that a stand-in will mount itself on is none, and must stay empty.
 */
static bool
link_utils_is_device(int fd)
{
	struct stat st;
	struct statfs fs;

	if (fstat(fd, &st) != 0)
		return (false);
	return (S_ISCHR(st.st_mode) ||
	    (fstatfs(fd, &fs) == 0 && fs.f_type == FUSE_SUPER_MAGIC));
}

/*
 * Opens the device and registers; the kernel's answer comes by poll.  It
 * refuses to register while it still waits for the answer of who had it before;
 * that is tried again.
 */
static int
link_utils_open(struct link *ln, uint64_t now_ns)
{
	int error;

	ln->ln_utils_fd = open(ln->ln_path, O_RDWR | O_NONBLOCK | O_CLOEXEC);
	if (ln->ln_utils_fd < 0)
		return (errno);
	ln->ln_retry_ns = VSS_ENGINE_NEVER;
	ln->ln_utils_state = UTILS_REGISTERING;
	if (!link_utils_is_device(ln->ln_utils_fd)) {
		link_utils_lost(ln, "open", ENODEV, now_ns);
		return (0);
	}
	error = link_utils_write(ln, UTILS_REGISTER, 0);
	if (error != 0)
		link_utils_lost(ln, "registering", error, now_ns);
	return (0);
}

static int
link_utils_start(struct link *ln, uint64_t now_ns, char *err)
{
	const char *remedy;
	int error;

	error = link_utils_open(ln, now_ns);
	if (error == 0)
		return (0);
	switch (error) {
	case ENOENT:
	case ENXIO:
	case ENODEV:
		remedy = "on Hyper-V, load the module hv_utils and enable the "
			 "guest's backup (volume shadow copy) service";
		break;
	case EBUSY:
		remedy = "another program serves it; stop and disable the "
			 "kernel tools' hv_vss_daemon (hyperv-daemons)";
		break;
	case EACCES:
	case EPERM:
		remedy = "run as root";
		break;
	default:
		remedy = "see the kernel's log";
		break;
	}
	snprintf(err, LINK_ERR_MAX, "%.100s: %s; %s", ln->ln_path,
	    strerror(error), remedy);
	return (error);
}

static int
link_utils_caps(const struct conf *cf, char *err)
{
	static const struct {
		enum conf_limit uc_limit;
		uint32_t uc_max_ms;
	} caps[] = {
		{ CONF_CHECK, UTILS_OTHER_MAX_MS },
		{ CONF_FREEZE, UTILS_FREEZE_MAX_MS },
		{ CONF_THAW, UTILS_OTHER_MAX_MS },
	};
	size_t i;

	for (i = 0; i < VSS_NELEM(caps); i++) {
		if (cf->cf_limit_ms[caps[i].uc_limit] <= caps[i].uc_max_ms)
			continue;
		snprintf(err, LINK_ERR_MAX,
		    "%s: longer than %u s, after which the kernel's hv_utils "
		    "answers the host itself",
		    conf_limit_name(caps[i].uc_limit),
		    caps[i].uc_max_ms / 1000);
		return (EINVAL);
	}
	return (0);
}

static unsigned
link_utils_poll(const struct link *ln, struct pollfd *fds)
{
	if (ln->ln_utils_state == UTILS_CLOSED)
		return (0);
	fds[0].fd = ln->ln_utils_fd;
	fds[0].events = POLLIN;
	return (1);
}

/*
 * Reads what poll announced.  The kernel's read waits for a message even with
 * O_NONBLOCK, so nothing is read that was not announced just now.
 */
static int
link_utils_read(struct link *ln, uint8_t *msg, ssize_t *len)
{
	struct pollfd pfd = { .fd = ln->ln_utils_fd, .events = POLLIN };

	if (poll(&pfd, 1, 0) <= 0)
		return (EAGAIN);
	if ((pfd.revents & (POLLERR | POLLHUP | POLLNVAL)) != 0)
		return (ENODEV);
	*len = read(ln->ln_utils_fd, msg, UTILS_MSG_LEN);
	if (*len < 0)
		return (errno == EINTR ? EAGAIN : errno);
	return (0);
}

static void
link_utils_handshake(struct link *ln, uint64_t now_ns)
{
	uint8_t msg[UTILS_MSG_LEN];
	ssize_t len;
	int error;

	error = link_utils_read(ln, msg, &len);
	if (error == EAGAIN)
		return;
	if (error == 0 &&
	    (len != UTILS_HANDSHAKE_LEN ||
		vmbus_icmsg_get32(msg) != UTILS_REGISTER))
		error = EPROTO;
	if (error != 0) {
		link_utils_lost(ln, "registering", error, now_ns);
		return;
	}
	ln->ln_utils_state = UTILS_READY;
	link_up(ln);
}

static void
link_utils_event(
    struct link *ln, const struct pollfd *fds, unsigned nfds, uint64_t now_ns)
{
	int error;

	if (ln->ln_utils_state == UTILS_CLOSED) {
		if (now_ns < ln->ln_retry_ns)
			return;
		error = link_utils_open(ln, now_ns);
		if (error != 0)
			link_utils_lost(ln, "open", error, now_ns);
		return;
	}
	if (nfds > 0 && fds[0].revents != 0 &&
	    ln->ln_utils_state == UTILS_REGISTERING)
		link_utils_handshake(ln, now_ns);
}

/* The IC packet that the host's request would have been. */
static uint32_t
link_utils_packet(uint8_t op, uint8_t *buf)
{
	static const struct vmbus_icmsg_agreed agreed = {
		.ia_framework = { 3, 0 },
		.ia_message = { 5, 0 },
	};
	struct vss_wire_request wr;

	memset(&wr, 0, sizeof(wr));
	wr.wr_op = op;
	wr.wr_form = VSS_WIRE_SHORT;
	return (vss_wire_encode(buf, VMBUS_ICMSG_PKT_MAX, &agreed, &wr, NULL));
}

static int
link_utils_recv(struct link *ln, uint8_t *buf, uint32_t *len, uint64_t *xactid,
    uint64_t now_ns)
{
	uint8_t msg[UTILS_MSG_LEN];
	ssize_t n;
	int error;

	error = link_utils_read(ln, msg, &n);
	if (error == EAGAIN)
		return (EAGAIN);
	if (error == 0 && n != UTILS_MSG_LEN)
		error = EPROTO;
	if (error != 0) {
		link_utils_lost(ln, "read", error, now_ns);
		return (ENOTCONN);
	}
	*len = link_utils_packet(msg[0], buf);
	*xactid = ++ln->ln_utils_xactid;
	return (0);
}

/*
 * The kernel takes one result for its one request.  EINVAL says that it waits
 * for none any more: its own time is over, or the machine was suspended; what
 * was answered never reached the host, so the transaction is lost.
 */
static int
link_utils_send(
    struct link *ln, const struct vss_engine_reply *ey, uint64_t now_ns)
{
	uint32_t flags = 0;
	int error;

	if (ey->ey_op == VSS_WIRE_CHECK_HOT_BACKUP &&
	    ey->ey_status == VMBUS_ICMSG_S_OK)
		flags = VSS_WIRE_NO_AUTO_RECOVERY;
	error = link_utils_write(ln, ey->ey_status, flags);
	if (error == 0)
		return (0);
	if (error == EINVAL)
		report(REPORT_WARNING,
		    "%s: the kernel no longer waits for the answer to %s; the "
		    "transaction is lost",
		    ln->ln_path, vss_wire_op_name(ey->ey_op));
	link_utils_lost(ln, "write", error, now_ns);
	return (ENOTCONN);
}

const struct link_ops link_utils_ops = {
	.lo_name = "hv_utils",
	.lo_start = link_utils_start,
	.lo_caps = link_utils_caps,
	.lo_poll = link_utils_poll,
	.lo_event = link_utils_event,
	.lo_recv = link_utils_recv,
	.lo_send = link_utils_send,
	.lo_close = link_utils_close,
};
