/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/*
 * The ring link's two messages, as either end may get them: any bytes, any
 * descriptors, more of them, and a peer that changes them later.  Nothing that
 * is wrong is used, every descriptor that came is closed, and a link that is
 * closed says why.
 */

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <sys/un.h>

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "emulink.h"
#include "fuzz.h"
#include "icmsg.h"

#define FDS_MAX 20

struct msg {
	uint8_t ms_data[64];
	size_t ms_len;
	int ms_fds[FDS_MAX];
	unsigned int ms_nfds;
};

static int
make_memory(uint32_t len, unsigned int seals)
{
	int fd = memfd_create("rings", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	FUZZ_CHECK(fd != -1 && ftruncate(fd, len) == 0);
	(void)fcntl(fd, F_ADD_SEALS, seals);
	return (fd);
}

/* A descriptor that may be what is wanted, or anything else. */
static int
make_fd(uint8_t kind, uint32_t len)
{
	const unsigned int seals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;

	switch (kind % 12) {
	case 1:
		return (make_memory(len, F_SEAL_SHRINK | F_SEAL_SEAL));
	case 2:
		return (make_memory(len + kind, seals));
	case 3:
		return (make_memory(len, seals | F_SEAL_FUTURE_WRITE));
	case 4:
		return (eventfd(0, EFD_CLOEXEC));
	case 5:
		return (timerfd_create(
		    CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK));
	case 6:
		return (epoll_create1(EPOLL_CLOEXEC));
	case 7:
		return (socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0));
	case 8:
	case 9:
		return (eventfd(UINT32_MAX, EFD_CLOEXEC | EFD_NONBLOCK));
	case 10:
		return (make_memory(len, seals));
	default:
		return (eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
	}
}

static void
send_msg(int sock, const struct msg *ms)
{
	char control[CMSG_SPACE(FDS_MAX * sizeof(int))];
	struct iovec iov = { (void *)(uintptr_t)ms->ms_data, ms->ms_len };
	struct msghdr mh = { .msg_iov = &iov, .msg_iovlen = 1 };
	struct cmsghdr *ch = (void *)control;
	unsigned int i;

	if (ms->ms_nfds != 0) {
		memset(control, 0, sizeof(control));
		mh.msg_control = control;
		mh.msg_controllen = CMSG_SPACE(ms->ms_nfds * sizeof(int));
		ch->cmsg_level = SOL_SOCKET;
		ch->cmsg_type = SCM_RIGHTS;
		ch->cmsg_len = CMSG_LEN(ms->ms_nfds * sizeof(int));
		memcpy(CMSG_DATA(ch), ms->ms_fds, ms->ms_nfds * sizeof(int));
	}
	(void)!sendmsg(sock, &mh, MSG_DONTWAIT | MSG_NOSIGNAL);
	for (i = 0; i < ms->ms_nfds; i++)
		if (i < 1 || i > 2)
			(void)close(ms->ms_fds[i]);
}

/* A right message, and then what the input does to it. */
static void
spoil(struct fuzz_in *fi, struct msg *ms)
{
	uint8_t n = fuzz_u8(fi) % 8, at;

	while (n-- > 3) {
		at = fuzz_u8(fi);
		ms->ms_data[at % sizeof(ms->ms_data)] = fuzz_u8(fi);
	}
	at = fuzz_u8(fi);
	if (at >= 192)
		ms->ms_len = at % sizeof(ms->ms_data);
	at = fuzz_u8(fi);
	while (at >= 224 && ms->ms_nfds < FDS_MAX && fi->fi_left != 0) {
		ms->ms_fds[ms->ms_nfds++] = make_fd(fuzz_u8(fi), 4096);
		at = fuzz_u8(fi);
	}
}

static void
put_header(struct msg *ms, uint32_t type, size_t len)
{
	vmbus_icmsg_put32(ms->ms_data, EMULINK_MAGIC);
	vmbus_icmsg_put32(ms->ms_data + 4, EMULINK_VERSION);
	vmbus_icmsg_put32(ms->ms_data + 8, type);
	ms->ms_len = len;
}

static void
check_input(struct emulink *el)
{
	int error;

	error = emulink_input(el);
	FUZZ_CHECK(error == 0 || error == ECONNRESET || error == EPROTO);
	FUZZ_CHECK((error == 0) == (el->el_state != EMULINK_CLOSED));
	FUZZ_CHECK(memchr(el->el_why, '\0', sizeof(el->el_why)) != NULL);
	if (error != 0)
		FUZZ_CHECK(el->el_why[0] != '\0' && el->el_sock == -1 &&
		    el->el_mem == NULL && el->el_event == -1);
}

/* The link is open: what the other end may still do. */
static void
use(struct fuzz_in *fi, struct emulink *el, int peer_event, int peer_signal)
{
	static uint8_t buf[VMBUS_ICMSG_PKT_MAX];
	struct vmbus_ring_pkt rp;
	bool signal = false;
	uint32_t v;
	int error;

	FUZZ_CHECK(el->el_len >= 4 * VMBUS_RING_PAGE);
	while (fi->fi_left != 0 && el->el_state == EMULINK_OPEN) {
		switch (fuzz_u8(fi) % 6) {
		case 0:
			v = fuzz_u32(fi);
			memcpy((uint8_t *)el->el_mem +
				fuzz_u32(fi) % (el->el_len - 4) / 4 * 4,
			    &v, 4);
			break;
		case 1:
			(void)vmbus_ring_recv(
			    &el->el_rx, &rp, buf, sizeof(buf), &signal);
			break;
		case 2:
			rp = (struct vmbus_ring_pkt) { VMBUS_RING_INBAND, 0, 1,
				fuzz_u16(fi) % sizeof(buf) };
			(void)vmbus_ring_send(&el->el_tx, &rp, buf, &signal);
			break;
		case 3:
			(void)fcntl(fuzz_u8(fi) % 2 ? peer_event : peer_signal,
			    F_SETFL, fuzz_u8(fi) % 4 == 0 ? 0 : O_NONBLOCK);
			break;
		case 4:
			error = emulink_signal(el);
			if (error == 0)
				error = emulink_clear(el);
			FUZZ_CHECK(error == 0 || error == EPROTO);
			break;
		default:
			check_input(el);
			break;
		}
	}
}

static void
as_guest(struct fuzz_in *fi)
{
	struct msg ms = { .ms_nfds = 3 };
	struct emulink el;
	uint32_t g2h, h2g;
	unsigned int i;
	int sv[2];

	g2h = (2U + fuzz_u8(fi) % 4) * VMBUS_RING_PAGE;
	h2g = (2U + fuzz_u8(fi) % 4) * VMBUS_RING_PAGE;
	put_header(&ms, EMULINK_HELLO, EMULINK_HELLO_LEN);
	vmbus_icmsg_put32(ms.ms_data + 16, g2h);
	vmbus_icmsg_put32(ms.ms_data + 20, h2g);
	/* 0 is what is right. */
	for (i = 0; i < 3; i++) {
		uint8_t kind = fuzz_u8(fi);

		ms.ms_fds[i] = make_fd(
		    kind < 128 ? (i == 0 ? 10 : 0) : kind, g2h + h2g);
	}
	spoil(fi, &ms);
	FUZZ_CHECK(
	    socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC,
		0, sv) == 0);
	emulink_init(&el);
	el.el_sock = sv[0];
	el.el_state = EMULINK_WAITING;
	send_msg(sv[1], &ms);
	if (fuzz_u8(fi) % 16 == 1)
		send_msg(sv[1], &(struct msg) { .ms_len = 5 });
	if (fuzz_u8(fi) % 16 == 1)
		(void)shutdown(sv[1], SHUT_RDWR);
	check_input(&el);
	if (el.el_state == EMULINK_OPEN) {
		FUZZ_CHECK(ms.ms_len == EMULINK_HELLO_LEN && ms.ms_nfds == 3 &&
		    el.el_len == (size_t)g2h + h2g);
		use(fi, &el, ms.ms_fds[1], ms.ms_fds[2]);
	}
	emulink_close(&el);
	(void)close(sv[1]);
	(void)close(ms.ms_fds[1]);
	(void)close(ms.ms_fds[2]);
}

/* A listening socket without a name in any directory. */
static int
listener(struct sockaddr_un *sun, socklen_t *len)
{
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0);

	memset(sun, 0, sizeof(*sun));
	sun->sun_family = AF_UNIX;
	*len = sizeof(*sun);
	FUZZ_CHECK(fd != -1 &&
	    bind(fd, (const struct sockaddr *)sun, sizeof(sa_family_t)) == 0 &&
	    listen(fd, 4) == 0 &&
	    getsockname(fd, (struct sockaddr *)sun, len) == 0);
	return (fd);
}

static void
as_host(struct fuzz_in *fi)
{
	struct msg ms = { 0 };
	struct sockaddr_un sun;
	struct emulink el;
	socklen_t len;
	int fd, listen_fd;

	listen_fd = listener(&sun, &len);
	emulink_init(&el);
	FUZZ_CHECK(emulink_accept(&el, listen_fd, 2) == EAGAIN);
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0);
	FUZZ_CHECK(fd != -1 && connect(fd, (struct sockaddr *)&sun, len) == 0);
	FUZZ_CHECK(emulink_accept(&el, listen_fd, 2 + fuzz_u8(fi) % 4) == 0);
	ms.ms_fds[1] = ms.ms_fds[2] = -1;
	put_header(&ms, EMULINK_OPENED, EMULINK_OPENED_LEN);
	spoil(fi, &ms);
	check_input(&el);
	send_msg(fd, &ms);
	if (ms.ms_nfds > 1)
		(void)close(ms.ms_fds[1]);
	if (ms.ms_nfds > 2)
		(void)close(ms.ms_fds[2]);
	check_input(&el);
	if (fuzz_u8(fi) % 16 == 1)
		(void)shutdown(fd, SHUT_RDWR);
	if (el.el_state == EMULINK_OPEN) {
		FUZZ_CHECK(ms.ms_len == EMULINK_OPENED_LEN && ms.ms_nfds == 0);
		use(fi, &el, el.el_event, el.el_signal);
	}
	emulink_close(&el);
	(void)close(fd);
	(void)close(listen_fd);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_in fi = { data, size };
	int lowest = fuzz_next_fd();

	if (fuzz_u8(&fi) % 2 == 0)
		as_guest(&fi);
	else
		as_host(&fi);
	FUZZ_CHECK(fuzz_next_fd() == lowest);
	return (0);
}
