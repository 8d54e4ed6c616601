/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/*
 * The transport through the kernel's hv_utils: a device that answers each call
 * as the input says, with any bytes of any length and any error.  What comes
 * out of it is always a whole request that the engine decodes, and a device
 * that fails is closed and opened again later.
 */

#include <sys/stat.h>
#include <sys/vfs.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include "fuzz.h"

#define DEVICE_FD 1000

static int fuzz_open(const char *path, int flags);
static int fuzz_close(int fd);
static ssize_t fuzz_read(int fd, void *buf, size_t len);
static ssize_t fuzz_write(int fd, const void *buf, size_t len);
static int fuzz_poll(struct pollfd *pfd, nfds_t n, int timeout);
static int fuzz_fstat(int fd, struct stat *st);
static int fuzz_fstatfs(int fd, struct statfs *fs);

#define open		fuzz_open
#define close		fuzz_close
#define read		fuzz_read
#define write		fuzz_write
#define poll		fuzz_poll
#define fstat(fd, st)	fuzz_fstat(fd, st)
#define fstatfs(fd, fs) fuzz_fstatfs(fd, fs)
#include "drv_utils.c"
#undef open
#undef close
#undef read
#undef write
#undef poll
#undef fstat
#undef fstatfs

static struct {
	struct fuzz_in fz_in;
	struct link fz_link;
	bool fz_open;
	uint8_t fz_op; /* of the last message read */
} fz;

static const int errors[] = { EAGAIN, EINTR, EINVAL, ENODEV, EIO, EBUSY, ENXIO,
	EFAULT, ENOENT, EPERM };

/* Most calls go well. */
static bool
fails(void)
{
	uint8_t how = fuzz_u8(&fz.fz_in);

	if (how < 224)
		return (false);
	errno = errors[how % VSS_NELEM(errors)];
	return (true);
}

void
report(enum report_level level, const char *fmt, ...)
{
	(void)level;
	(void)fmt;
}

static int
fuzz_open(const char *path, int flags)
{
	FUZZ_CHECK(strcmp(path, "/dev/vmbus/hv_vss") == 0 && !fz.fz_open &&
	    (flags & (O_NONBLOCK | O_CLOEXEC)) == (O_NONBLOCK | O_CLOEXEC));
	if (fails())
		return (-1);
	fz.fz_open = true;
	return (DEVICE_FD);
}

static int
fuzz_close(int fd)
{
	FUZZ_CHECK(fd == DEVICE_FD && fz.fz_open);
	fz.fz_open = false;
	return (0);
}

static ssize_t
fuzz_read(int fd, void *buf, size_t len)
{
	uint8_t n;

	FUZZ_CHECK(fd == DEVICE_FD && fz.fz_open && len == UTILS_MSG_LEN);
	if (fails())
		return (-1);
	n = fuzz_u8(&fz.fz_in);
	if (n >= 128)
		n = fz.fz_link.ln_utils_state == UTILS_READY ?
		    UTILS_MSG_LEN :
		    UTILS_HANDSHAKE_LEN;
	n = n > len ? (uint8_t)len : n;
	fuzz_bytes(&fz.fz_in, buf, n);
	if (n != 0)
		fz.fz_op = *(uint8_t *)buf;
	return (n);
}

static ssize_t
fuzz_write(int fd, const void *buf, size_t len)
{
	FUZZ_CHECK(fd == DEVICE_FD && fz.fz_open && len == UTILS_MSG_LEN &&
	    buf != NULL);
	if (fails())
		return (-1);
	return (fuzz_u8(&fz.fz_in) == 255 ? 4 : (ssize_t)len);
}

static int
fuzz_poll(struct pollfd *pfd, nfds_t n, int timeout)
{
	uint8_t how = fuzz_u8(&fz.fz_in);

	/* Nothing may wait. */
	FUZZ_CHECK(
	    n == 1 && timeout == 0 && pfd->fd == DEVICE_FD && fz.fz_open);
	pfd->revents = how < 192 ? POLLIN : how < 224 ? 0 : POLLHUP | POLLIN;
	return (pfd->revents != 0);
}

static int
fuzz_fstat(int fd, struct stat *st)
{
	FUZZ_CHECK(fd == DEVICE_FD && fz.fz_open);
	if (fails())
		return (-1);
	memset(st, 0, sizeof(*st));
	st->st_mode = fuzz_u8(&fz.fz_in) < 128 ? S_IFCHR : S_IFREG;
	return (0);
}

static int
fuzz_fstatfs(int fd, struct statfs *fs)
{
	FUZZ_CHECK(fd == DEVICE_FD && fz.fz_open);
	if (fails())
		return (-1);
	memset(fs, 0, sizeof(*fs));
	fs->f_type = fuzz_u8(&fz.fz_in) < 128 ? FUSE_SUPER_MAGIC : 0;
	return (0);
}

static void
check_link(const struct link *ln, uint64_t now_ns)
{
	FUZZ_CHECK(fz.fz_open == (ln->ln_utils_fd >= 0));
	FUZZ_CHECK(fz.fz_open == (ln->ln_utils_state != UTILS_CLOSED));
	FUZZ_CHECK(ln->ln_up == (ln->ln_utils_state == UTILS_READY));
	/* Down is not for ever. */
	FUZZ_CHECK(fz.fz_open ||
	    (ln->ln_retry_ns > now_ns &&
		ln->ln_retry_ns <= now_ns + VSS_NS_PER_S));
}

static void
receive(struct link *ln, uint64_t now_ns)
{
	uint8_t *buf = fuzz_exact(VMBUS_ICMSG_PKT_MAX);
	struct vss_wire_request wr;
	struct vmbus_icmsg im;
	uint64_t xactid;
	uint32_t len;
	int error;

	error = link_utils_ops.lo_recv(ln, buf, &len, &xactid, now_ns);
	FUZZ_CHECK(error == 0 || error == EAGAIN || error == ENOTCONN);
	FUZZ_CHECK((error == ENOTCONN) == (ln->ln_utils_fd < 0));
	if (error == 0) {
		FUZZ_CHECK(vmbus_icmsg_decode(buf, len, &im) == 0);
		FUZZ_CHECK(vss_wire_decode(buf, len, &im, &wr) == 0);
		FUZZ_CHECK(wr.wr_op == fz.fz_op && wr.wr_nluns == 0);
		FUZZ_CHECK(xactid == ln->ln_utils_xactid);
	}
	free(buf);
}

/* Limits that the kernel would not wait for are refused. */
static void
check_caps(struct link *ln)
{
	char err[LINK_ERR_MAX] = "";
	struct conf cf;
	bool ok;

	conf_default(&cf);
	cf.cf_limit_ms[CONF_CHECK] = fuzz_u8(&fz.fz_in) * 1000U;
	cf.cf_limit_ms[CONF_THAW] = fuzz_u8(&fz.fz_in) * 1000U;
	ok = cf.cf_limit_ms[CONF_CHECK] <= 30000 &&
	    cf.cf_limit_ms[CONF_THAW] <= 30000;
	FUZZ_CHECK((ln->ln_ops->lo_caps(&cf, err) == 0) == ok &&
	    (err[0] == '\0') == ok);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct vss_engine_reply ey = { 0 };
	struct link *ln = &fz.fz_link;
	struct pollfd pfd[LINK_NFDS];
	char err[LINK_ERR_MAX];
	uint64_t now_ns = VSS_NS_PER_S;
	unsigned int n;

	memset(&fz, 0, sizeof(fz));
	fz.fz_in.fi_next = data;
	fz.fz_in.fi_left = size;
	FUZZ_CHECK(link_init(ln, "hv_utils", false, err) == 0);
	check_caps(ln);
	err[0] = '\0';
	if (ln->ln_ops->lo_start(ln, now_ns, err) != 0) {
		FUZZ_CHECK(err[0] != '\0' && !fz.fz_open);
		return (0);
	}
	check_link(ln, now_ns);
	while (fz.fz_in.fi_left != 0) {
		now_ns += fuzz_u8(&fz.fz_in) * 10 * VSS_NS_PER_MS;
		n = ln->ln_ops->lo_poll(ln, pfd);
		FUZZ_CHECK(n == fz.fz_open);
		if (n != 0)
			pfd[0].revents = fuzz_u8(&fz.fz_in) % 4 ? POLLIN : 0;
		if (fuzz_u8(&fz.fz_in) % 4 == 0 || !ln->ln_up)
			ln->ln_ops->lo_event(ln, pfd, n, now_ns);
		else if (fuzz_u8(&fz.fz_in) % 2 == 0)
			receive(ln, now_ns);
		else {
			ey.ey_op = fuzz_u8(&fz.fz_in) % 9;
			ey.ey_status = fuzz_u8(&fz.fz_in) % 2 ?
			    VMBUS_ICMSG_S_FAIL :
			    0;
			(void)ln->ln_ops->lo_send(ln, &ey, now_ns);
		}
		if (now_ns < ln->ln_retry_ns || fz.fz_open)
			check_link(ln, now_ns);
	}
	ln->ln_ops->lo_close(ln);
	FUZZ_CHECK(!fz.fz_open);
	return (0);
}
