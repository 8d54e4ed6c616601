/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/*
 * The ring link, both ends: sockets, descriptors and shared memory.  See
 * emulink.h for its bytes and rules.  Nothing here blocks but for what it says
 * of signals, and nothing that the other end sends is used before it was
 * checked.
 */

#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "emulink.h"
#include "icmsg.h"
#include "os.h"

/* Offsets in hello and opened. */
#define LINK_O_MAGIC	0
#define LINK_O_VERSION	4
#define LINK_O_TYPE	8
#define LINK_O_RESERVED 12
#define LINK_O_G2H_LEN	16
#define LINK_O_H2G_LEN	20
#define LINK_O_REST	24

/* The memory may neither shrink (SIGBUS) nor have this changed. */
#define LINK_SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)

#define LINK_FDS_MAX                                            \
	16 /* descriptors taken from one message, to close them \
	    */

/* What came with one message. */
struct link_msg {
	uint8_t lm_data[EMULINK_HELLO_LEN + 1];
	ssize_t lm_len;
	int lm_flags;
	int lm_fds[LINK_FDS_MAX];
	unsigned int lm_nfds;
};

static void
close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

void
emulink_init(struct emulink *el)
{
	memset(el, 0, sizeof(*el));
	el->el_sock = el->el_event = el->el_signal = -1;
}

void
emulink_close(struct emulink *el)
{
	close_fd(&el->el_sock);
	close_fd(&el->el_event);
	close_fd(&el->el_signal);
	if (el->el_mem != NULL)
		munmap(el->el_mem, el->el_len);
	el->el_mem = NULL;
	el->el_len = 0;
	memset(&el->el_tx, 0, sizeof(el->el_tx));
	memset(&el->el_rx, 0, sizeof(el->el_rx));
	el->el_tx.vr_error = el->el_rx.vr_error = EIO;
	el->el_state = EMULINK_CLOSED;
}

/* Notes why, closes, returns error. */
static int __attribute__((format(printf, 3, 4)))
link_fail(struct emulink *el, int error, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(el->el_why, sizeof(el->el_why), fmt, ap);
	va_end(ap);
	emulink_close(el);
	return (error);
}

static int
link_address(const char *path, struct sockaddr_un *sun)
{
	size_t len;

	len = strlen(path);
	memset(sun, 0, sizeof(*sun));
	sun->sun_family = AF_UNIX;
	if (len == 0)
		return (ENOENT);
	if (len >= sizeof(sun->sun_path))
		return (ENAMETOOLONG);
	memcpy(sun->sun_path, path, len + 1);
	return (0);
}

/* A socket connected to path in *fd, or an errno. */
static int
link_connect(const char *path, int *fd)
{
	struct sockaddr_un sun;
	int error;

	error = link_address(path, &sun);
	if (error != 0)
		return (error);
	*fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (*fd < 0)
		return (errno);
	if (connect(*fd, (const struct sockaddr *)&sun, sizeof(sun)) == 0)
		return (0);
	error = errno;
	close_fd(fd);
	return (error);
}

int
emulink_connect(struct emulink *el, const char *path)
{
	int error;

	emulink_close(el);
	el->el_host = false;
	el->el_why[0] = '\0';
	error = link_connect(path, &el->el_sock);
	if (error != 0)
		return (link_fail(el, error, "connect: %s", strerror(error)));
	el->el_state = EMULINK_WAITING;
	return (0);
}

/*
 * Makes the name free if what has it is a socket without a listener, which its
 * owner left behind.
 */
static int
link_clear_stale(const char *path)
{
	struct stat st;
	int error, fd;

	if (lstat(path, &st) != 0)
		return (errno == ENOENT ? 0 : errno);
	if (!S_ISSOCK(st.st_mode))
		return (EEXIST);
	error = link_connect(path, &fd);
	if (error == 0)
		close(fd);
	if (error != ECONNREFUSED)
		return (error == ENOENT ? 0 : EADDRINUSE);
	return (unlink(path) == 0 ? 0 : errno);
}

int
emulink_listen(const char *path, int *fd)
{
	struct sockaddr_un sun;
	mode_t mask;
	int error, rc;

	error = link_address(path, &sun);
	if (error == 0)
		error = link_clear_stale(path);
	if (error != 0)
		return (error);
	*fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (*fd < 0)
		return (errno);
	mask = umask(0177);
	rc = bind(*fd, (const struct sockaddr *)&sun, sizeof(sun));
	error = errno;
	umask(mask);
	if (rc == 0 && listen(*fd, 8) == 0)
		return (0);
	if (rc == 0)
		error = errno;
	close_fd(fd);
	return (error);
}

static void
link_header(uint8_t *p, uint32_t type)
{
	vmbus_icmsg_put32(p + LINK_O_MAGIC, EMULINK_MAGIC);
	vmbus_icmsg_put32(p + LINK_O_VERSION, EMULINK_VERSION);
	vmbus_icmsg_put32(p + LINK_O_TYPE, type);
	vmbus_icmsg_put32(p + LINK_O_RESERVED, 0);
}

static bool
link_header_ok(const uint8_t *p, uint32_t type)
{
	return (vmbus_icmsg_get32(p + LINK_O_MAGIC) == EMULINK_MAGIC &&
	    vmbus_icmsg_get32(p + LINK_O_VERSION) == EMULINK_VERSION &&
	    vmbus_icmsg_get32(p + LINK_O_TYPE) == type &&
	    vmbus_icmsg_get32(p + LINK_O_RESERVED) == 0);
}

/*
 * Maps the memory and takes this end of each ring in it.  MAP_POPULATE: who
 * freezes file systems should not first touch a page then.
 */
static int
link_map(struct emulink *el, int fd, uint32_t g2h_len, uint32_t h2g_len)
{
	uint8_t *g2h, *h2g;
	int error;

	el->el_len = (size_t)g2h_len + h2g_len;
	el->el_mem = mmap(NULL, el->el_len, PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_POPULATE, fd, 0);
	if (el->el_mem == MAP_FAILED) {
		el->el_mem = NULL;
		return (errno);
	}
	g2h = el->el_mem;
	h2g = g2h + g2h_len;
	if (el->el_host) {
		error = vmbus_ring_init_rx(&el->el_rx, g2h, g2h_len);
		if (error == 0)
			error = vmbus_ring_init_tx(&el->el_tx, h2g, h2g_len);
	} else {
		error = vmbus_ring_init_tx(&el->el_tx, g2h, g2h_len);
		if (error == 0)
			error = vmbus_ring_init_rx(&el->el_rx, h2g, h2g_len);
	}
	return (error);
}

/* Host: the sealed memory of two rings, each of len bytes, in *fd. */
static int
link_make_memory(uint32_t len, int *fd)
{
	*fd = memfd_create("hv_vss_rings", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (*fd < 0)
		return (errno);
	if (ftruncate(*fd, (off_t)len * 2) == 0 &&
	    fcntl(*fd, F_ADD_SEALS, LINK_SEALS) == 0)
		return (0);
	return (errno);
}

static int
link_send_hello(struct emulink *el, uint32_t len, int memfd)
{
	union {
		struct cmsghdr u_align;
		char u_buf[CMSG_SPACE(EMULINK_NFDS * sizeof(int))];
	} control;
	const int fds[EMULINK_NFDS] = { memfd, el->el_signal, el->el_event };
	uint8_t hello[EMULINK_HELLO_LEN];
	struct cmsghdr *cmsg;
	struct msghdr msg;
	struct iovec iov;

	memset(hello, 0, sizeof(hello));
	link_header(hello, EMULINK_HELLO);
	vmbus_icmsg_put32(hello + LINK_O_G2H_LEN, len);
	vmbus_icmsg_put32(hello + LINK_O_H2G_LEN, len);
	iov.iov_base = hello;
	iov.iov_len = sizeof(hello);
	memset(&msg, 0, sizeof(msg));
	memset(&control, 0, sizeof(control));
	msg.msg_iov = &iov;
	msg.msg_iovlen = 1;
	msg.msg_control = control.u_buf;
	msg.msg_controllen = sizeof(control.u_buf);
	cmsg = CMSG_FIRSTHDR(&msg);
	cmsg->cmsg_level = SOL_SOCKET;
	cmsg->cmsg_type = SCM_RIGHTS;
	cmsg->cmsg_len = CMSG_LEN(sizeof(fds));
	memcpy(CMSG_DATA(cmsg), fds, sizeof(fds));
	if (sendmsg(el->el_sock, &msg, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
		return (errno);
	return (0);
}

int
emulink_accept(struct emulink *el, int listen_fd, uint32_t pages)
{
	uint32_t len;
	int error, memfd;

	emulink_close(el);
	el->el_host = true;
	el->el_why[0] = '\0';
	len = pages * VMBUS_RING_PAGE;
	el->el_sock = accept4(
	    listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (el->el_sock < 0)
		return (link_fail(el, errno, "accept: %s", strerror(errno)));
	el->el_event = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	el->el_signal = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (el->el_event < 0 || el->el_signal < 0)
		return (link_fail(el, errno, "eventfd: %s", strerror(errno)));
	error = link_make_memory(len, &memfd);
	if (error == 0)
		error = link_map(el, memfd, len, len);
	if (error == 0)
		error = link_send_hello(el, len, memfd);
	close_fd(&memfd);
	if (error != 0)
		return (link_fail(el, error, "hello: %s", strerror(error)));
	el->el_state = EMULINK_WAITING;
	return (0);
}

/* Receives one message with its descriptors.  Returns 0 or an errno. */
static int
link_recv(int sock, struct link_msg *lm)
{
	union {
		struct cmsghdr u_align;
		char u_buf[CMSG_SPACE(LINK_FDS_MAX * sizeof(int))];
	} control;
	struct cmsghdr *cmsg;
	struct msghdr msg;
	struct iovec iov;
	size_t len;

	memset(lm, 0, sizeof(*lm));
	iov.iov_base = lm->lm_data;
	iov.iov_len = sizeof(lm->lm_data);
	memset(&msg, 0, sizeof(msg));
	msg.msg_iov = &iov;
	msg.msg_iovlen = 1;
	msg.msg_control = control.u_buf;
	msg.msg_controllen = sizeof(control.u_buf);
	lm->lm_len = recvmsg(sock, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	if (lm->lm_len < 0)
		return (errno);
	lm->lm_flags = msg.msg_flags;
	for (cmsg = CMSG_FIRSTHDR(&msg); cmsg != NULL;
	     cmsg = CMSG_NXTHDR(&msg, cmsg)) {
		if (cmsg->cmsg_level != SOL_SOCKET ||
		    cmsg->cmsg_type != SCM_RIGHTS)
			continue;
		len = cmsg->cmsg_len - CMSG_LEN(0);
		memcpy(&lm->lm_fds[lm->lm_nfds], CMSG_DATA(cmsg), len);
		lm->lm_nfds += (unsigned int)(len / sizeof(int));
	}
	return (0);
}

static void
link_msg_close(struct link_msg *lm)
{
	unsigned int i;

	for (i = 0; i < lm->lm_nfds; i++)
		close_fd(&lm->lm_fds[i]);
}

/*
 * Whether fd is an eventfd that cannot block us.  An anonymous inode has no
 * file type; of those only an eventfd takes 8 bytes of 0, which changes nothing
 * there.
 */
static bool
link_is_event(int fd)
{
	static const uint64_t zero;
	struct stat st;
	int flags;

	flags = fcntl(fd, F_GETFL);
	return (flags >= 0 && (flags & O_NONBLOCK) != 0 &&
	    (flags & O_ACCMODE) == O_RDWR && fstat(fd, &st) == 0 &&
	    (st.st_mode & S_IFMT) == 0 &&
	    write(fd, &zero, sizeof(zero)) == (ssize_t)sizeof(zero));
}

static bool
link_ring_len_ok(uint32_t len)
{
	return (len % VMBUS_RING_PAGE == 0 && len >= VMBUS_RING_LEN_MIN &&
	    len <= EMULINK_PAGES_MAX * VMBUS_RING_PAGE);
}

/* What is wrong with a hello, or NULL. */
static const char *
link_hello_breach(const struct link_msg *lm)
{
	uint32_t g2h_len, h2g_len;
	struct stat st;
	int seals;

	if ((lm->lm_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0 ||
	    lm->lm_len != EMULINK_HELLO_LEN)
		return ("hello has not its length");
	if (!link_header_ok(lm->lm_data, EMULINK_HELLO))
		return ("hello is not of this protocol and version");
	if (vmbus_icmsg_get32(lm->lm_data + LINK_O_REST) != 0 ||
	    vmbus_icmsg_get32(lm->lm_data + LINK_O_REST + 4) != 0)
		return ("hello says what this version does not know");
	if (lm->lm_nfds != EMULINK_NFDS)
		return ("hello has not three descriptors");
	g2h_len = vmbus_icmsg_get32(lm->lm_data + LINK_O_G2H_LEN);
	h2g_len = vmbus_icmsg_get32(lm->lm_data + LINK_O_H2G_LEN);
	if (!link_ring_len_ok(g2h_len) || !link_ring_len_ok(h2g_len))
		return ("a ring's size is not 2 to 1024 whole pages");
	seals = fcntl(lm->lm_fds[0], F_GET_SEALS);
	if (seals < 0)
		return ("the memory is not a memfd");
	if ((seals & LINK_SEALS) != LINK_SEALS)
		return ("the memory is not sealed");
	if (fstat(lm->lm_fds[0], &st) != 0 ||
	    st.st_size != (off_t)g2h_len + (off_t)h2g_len)
		return ("the memory is not of the rings' size");
	if (!link_is_event(lm->lm_fds[1]) || !link_is_event(lm->lm_fds[2]))
		return ("an event is not a non-blocking eventfd");
	return (NULL);
}

/* Guest: what a checked hello brought becomes the link's. */
static int
link_take_hello(struct emulink *el, struct link_msg *lm)
{
	uint8_t opened[EMULINK_OPENED_LEN];
	const char *breach;
	int error;

	breach = link_hello_breach(lm);
	if (breach != NULL)
		return (link_fail(el, EPROTO, "%s", breach));
	error = link_map(el, lm->lm_fds[0],
	    vmbus_icmsg_get32(lm->lm_data + LINK_O_G2H_LEN),
	    vmbus_icmsg_get32(lm->lm_data + LINK_O_H2G_LEN));
	if (error != 0)
		return (link_fail(
		    el, EPROTO, "cannot map the rings: %s", strerror(error)));
	el->el_event = lm->lm_fds[1];
	el->el_signal = lm->lm_fds[2];
	lm->lm_fds[1] = lm->lm_fds[2] = -1;
	link_header(opened, EMULINK_OPENED);
	if (send(el->el_sock, opened, sizeof(opened),
		MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
		return (link_fail(
		    el, ECONNRESET, "the host closed the connection at once"));
	el->el_state = EMULINK_OPEN;
	return (0);
}

/* Host: the guest has mapped the rings. */
static int
link_take_opened(struct emulink *el, const struct link_msg *lm)
{
	if (lm->lm_len != EMULINK_OPENED_LEN || lm->lm_nfds != 0 ||
	    (lm->lm_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0 ||
	    !link_header_ok(lm->lm_data, EMULINK_OPENED))
		return (link_fail(el, EPROTO,
		    "the guest's answer to hello is not of this protocol"));
	el->el_state = EMULINK_OPEN;
	return (0);
}

int
emulink_input(struct emulink *el)
{
	struct link_msg lm;
	int error;

	if (el->el_state == EMULINK_CLOSED)
		return (ECONNRESET);
	error = link_recv(el->el_sock, &lm);
	if (error == EAGAIN || error == EINTR)
		return (0);
	if (error != 0 || lm.lm_len == 0)
		error = link_fail(el, ECONNRESET,
		    "the %s closed the connection",
		    el->el_host ? "guest" : "host");
	else if (el->el_state == EMULINK_OPEN)
		error = link_fail(el, EPROTO,
		    "the %s sent a message where none belongs",
		    el->el_host ? "guest" : "host");
	else if (el->el_host)
		error = link_take_opened(el, &lm);
	else
		error = link_take_hello(el, &lm);
	link_msg_close(&lm);
	return (error);
}

/*
 * The other end can clear O_NONBLOCK on an event, which both hold.  It is
 * looked at before each use, so that this end does not sleep in there.
 */
static int
link_event_usable(struct emulink *el, int fd)
{
	int flags;

	flags = fcntl(fd, F_GETFL);
	if (flags >= 0 && (flags & O_NONBLOCK) != 0)
		return (0);
	snprintf(el->el_why, sizeof(el->el_why),
	    "the %s made an event blocking", el->el_host ? "guest" : "host");
	return (EPROTO);
}

int
emulink_signal(struct emulink *el)
{
	static const uint64_t one = 1;

	if (link_event_usable(el, el->el_signal) != 0)
		return (EPROTO);
	/* A counter that is full already says what this would. */
	if (write(el->el_signal, &one, sizeof(one)) < 0 && errno != EAGAIN) {
		snprintf(el->el_why, sizeof(el->el_why), "eventfd: %s",
		    strerror(errno));
		return (EPROTO);
	}
	return (0);
}

int
emulink_clear(struct emulink *el)
{
	uint64_t count;

	if (link_event_usable(el, el->el_event) != 0)
		return (EPROTO);
	if (read(el->el_event, &count, sizeof(count)) < 0 && errno != EAGAIN) {
		snprintf(el->el_why, sizeof(el->el_why), "eventfd: %s",
		    strerror(errno));
		return (EPROTO);
	}
	return (0);
}
