/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/*
 * Unit tests of emu/emulink.c: both ends against each other, the guest's end
 * against a host that breaks the rules, and the reverse.  Everything happens in
 * this process: no call of the link blocks.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "emulink.h"
#include "icmsg.h"

#define RING  (2U * VMBUS_RING_PAGE)
#define SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)

static char dir[] = "/tmp/hv.XXXXXX";
static char path[sizeof(dir) + 8];
static int listen_fd;
static struct emulink guest;
static struct emulink host;

/* What a hostile host says, and with which descriptors. */
static uint8_t hello[EMULINK_HELLO_LEN + 8];
static size_t hello_len;
static int hello_fds[8];
static unsigned int hello_nfds;

static int
setup(void **state)
{
	(void)state;
	memcpy(dir, "/tmp/hv.XXXXXX", sizeof(dir));
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/s", dir);
	emulink_init(&guest);
	emulink_init(&host);
	assert_int_equal(emulink_listen(path, &listen_fd), 0);
	return (0);
}

static int
teardown(void **state)
{
	(void)state;
	emulink_close(&guest);
	emulink_close(&host);
	close(listen_fd);
	unlink(path);
	rmdir(dir);
	return (0);
}

static int
make_memory(off_t len, unsigned int seals)
{
	int fd;

	fd = memfd_create("t_emulink", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, len), 0);
	assert_int_equal(fcntl(fd, F_ADD_SEALS, seals), 0);
	return (fd);
}

/* A hello in which nothing is wrong yet. */
static void
good_hello(void)
{
	memset(hello, 0, sizeof(hello));
	hello_len = EMULINK_HELLO_LEN;
	vmbus_icmsg_put32(hello, EMULINK_MAGIC);
	vmbus_icmsg_put32(hello + 4, EMULINK_VERSION);
	vmbus_icmsg_put32(hello + 8, EMULINK_HELLO);
	vmbus_icmsg_put32(hello + 16, RING);
	vmbus_icmsg_put32(hello + 20, RING);
	hello_nfds = 3;
	hello_fds[0] = make_memory(2 * RING, SEALS);
	hello_fds[1] = eventfd(0, EFD_NONBLOCK);
	hello_fds[2] = eventfd(0, EFD_NONBLOCK);
}

static void
replace_fd(unsigned int i, int fd)
{
	assert_true(fd >= 0);
	close(hello_fds[i]);
	hello_fds[i] = fd;
}

static unsigned int
count_fds(void)
{
	unsigned int n = 0;
	int fd;

	for (fd = 0; fd < 256; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return (n);
}

static void
send_hello(int sock)
{
	char control[CMSG_SPACE(sizeof(hello_fds))];
	struct cmsghdr *cmsg;
	struct msghdr msg;
	struct iovec iov;

	iov.iov_base = hello;
	iov.iov_len = hello_len;
	memset(&msg, 0, sizeof(msg));
	memset(control, 0, sizeof(control));
	msg.msg_iov = &iov;
	msg.msg_iovlen = 1;
	if (hello_nfds != 0) {
		msg.msg_control = control;
		msg.msg_controllen = CMSG_SPACE(hello_nfds * sizeof(int));
		cmsg = CMSG_FIRSTHDR(&msg);
		cmsg->cmsg_level = SOL_SOCKET;
		cmsg->cmsg_type = SCM_RIGHTS;
		cmsg->cmsg_len = CMSG_LEN(hello_nfds * sizeof(int));
		memcpy(CMSG_DATA(cmsg), hello_fds, hello_nfds * sizeof(int));
	}
	assert_true(sendmsg(sock, &msg, 0) == (ssize_t)hello_len);
}

/*
 * The guest is told the hello that was prepared.  Returns what it makes of it;
 * an error must leave nothing open.
 */
static int
told(void)
{
	unsigned int before, i;
	int error, sock;

	emulink_close(&guest);
	before = count_fds() - hello_nfds;
	assert_int_equal(emulink_connect(&guest, path), 0);
	sock = accept(listen_fd, NULL, NULL);
	assert_true(sock >= 0);
	send_hello(sock);
	for (i = 0; i < hello_nfds; i++)
		close(hello_fds[i]);
	error = emulink_input(&guest);
	if (error != 0) {
		assert_int_equal(guest.el_state, EMULINK_CLOSED);
		assert_string_not_equal(guest.el_why, "");
		assert_int_equal(count_fds(), before + 1);
	}
	close(sock);
	return (error);
}

static void
connected(void)
{
	assert_int_equal(emulink_connect(&guest, path), 0);
	assert_int_equal(guest.el_state, EMULINK_WAITING);
	assert_int_equal(emulink_accept(&host, listen_fd, EMULINK_PAGES), 0);
	assert_int_equal(host.el_state, EMULINK_WAITING);
	assert_int_equal(emulink_input(&guest), 0);
	assert_int_equal(guest.el_state, EMULINK_OPEN);
	assert_int_equal(emulink_input(&host), 0);
	assert_int_equal(host.el_state, EMULINK_OPEN);
}

/* One packet from one end to the other, signals included. */
static void
passes(struct emulink *from, struct emulink *to)
{
	struct vmbus_ring_pkt rp = {
		.rp_type = VMBUS_RING_INBAND, .rp_xactid = 77, .rp_len = 12528
	};
	static uint8_t in[12528], out[12528];
	bool signal = false;
	uint64_t n;

	memset(out, 0x5a, sizeof(out));
	assert_int_equal(vmbus_ring_send(&from->el_tx, &rp, out, &signal), 0);
	assert_true(signal);
	assert_int_equal(emulink_signal(from), 0);
	assert_int_equal(emulink_clear(to), 0);
	assert_true(read(to->el_event, &n, sizeof(n)) < 0 && errno == EAGAIN);
	memset(in, 0, sizeof(in));
	assert_int_equal(
	    vmbus_ring_recv(&to->el_rx, &rp, in, sizeof(in), &signal), 0);
	assert_int_equal(rp.rp_xactid, 77);
	assert_memory_equal(in, out, sizeof(in));
}

static void
the_largest_messages_pass_in_both_directions(void **state)
{
	(void)state;
	connected();
	passes(&host, &guest);
	passes(&guest, &host);
	assert_true(vmbus_ring_peer_wakes(&host.el_rx));
	assert_true(vmbus_ring_peer_wakes(&guest.el_rx));
}

static void
signals_without_a_reader_never_block(void **state)
{
	uint64_t full = UINT64_MAX - 1;

	(void)state;
	connected();
	assert_int_equal(write(guest.el_signal, &full, sizeof(full)), 8);
	assert_int_equal(emulink_signal(&guest), 0);
	assert_int_equal(emulink_clear(&guest), 0);
	assert_int_equal(emulink_clear(&guest), 0);
}

static void
who_connects_where_no_host_is_may_try_again(void **state)
{
	(void)state;
	close(listen_fd);
	assert_int_equal(emulink_connect(&guest, path), ECONNREFUSED);
	assert_int_equal(guest.el_state, EMULINK_CLOSED);
	unlink(path);
	assert_int_equal(emulink_connect(&guest, path), ENOENT);
	assert_int_equal(emulink_listen(path, &listen_fd), 0);
	connected();
}

static void
a_path_that_fits_no_address_is_refused(void **state)
{
	char longer[200];
	int fd;

	(void)state;
	memset(longer, 'x', sizeof(longer) - 1);
	longer[sizeof(longer) - 1] = '\0';
	assert_int_equal(emulink_connect(&guest, longer), ENAMETOOLONG);
	assert_int_equal(emulink_listen(longer, &fd), ENAMETOOLONG);
	assert_int_equal(emulink_listen("", &fd), ENOENT);
}

static void
a_listener_keeps_its_path_and_a_dead_ones_is_taken(void **state)
{
	struct stat st;
	int fd;

	(void)state;
	assert_int_equal(emulink_listen(path, &fd), EADDRINUSE);
	close(listen_fd);
	assert_int_equal(emulink_listen(path, &listen_fd), 0);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	connected();
	unlink(path);
	fd = open(path, O_CREAT | O_WRONLY, 0600);
	close(fd);
	assert_int_equal(emulink_listen(path, &fd), EEXIST);
}

static void
nobody_waits_at_accept_is_no_failure_of_the_link(void **state)
{
	(void)state;
	assert_int_equal(
	    emulink_accept(&host, listen_fd, EMULINK_PAGES), EAGAIN);
	assert_int_equal(host.el_state, EMULINK_CLOSED);
}

static void
either_end_sees_at_once_that_the_other_closed(void **state)
{
	(void)state;
	connected();
	assert_int_equal(emulink_input(&guest), 0);
	emulink_close(&host);
	assert_int_equal(emulink_input(&guest), ECONNRESET);
	assert_string_equal(guest.el_why, "the host closed the connection");
	connected();
	emulink_close(&guest);
	assert_int_equal(emulink_input(&host), ECONNRESET);
	assert_string_equal(host.el_why, "the guest closed the connection");
	/* A closed link says so for ever, and its rings are dead. */
	assert_int_equal(emulink_input(&host), ECONNRESET);
	assert_int_equal(host.el_rx.vr_error, EIO);
}

static void
words_after_opening_are_a_breach(void **state)
{
	(void)state;
	connected();
	assert_int_equal(send(host.el_sock, "x", 1, 0), 1);
	assert_int_equal(emulink_input(&guest), EPROTO);
	connected();
	assert_int_equal(send(guest.el_sock, "x", 1, 0), 1);
	assert_int_equal(emulink_input(&host), EPROTO);
}

static void
a_good_hello_is_taken(void **state)
{
	(void)state;
	good_hello();
	assert_int_equal(told(), 0);
	assert_int_equal(guest.el_state, EMULINK_OPEN);
	assert_int_equal(guest.el_len, 2 * RING);
}

static void
a_hello_with_a_wrong_field_is_refused(void **state)
{
	static const struct {
		unsigned int at;
		uint32_t value;
	} bad[] = { { 0, EMULINK_MAGIC + 1 }, { 4, 2 }, { 8, EMULINK_OPENED },
		{ 12, 1 }, { 16, RING - 8 }, { 16, VMBUS_RING_PAGE }, { 16, 0 },
		{ 16, UINT32_MAX }, { 16, 0x80000000U }, { 20, RING + 4096 },
		{ 20, 1025 * 4096 }, { 20, 4097 }, { 24, 1 }, { 28, 1 } };
	size_t i;

	(void)state;
	for (i = 0; i < VSS_NELEM(bad); i++) {
		good_hello();
		vmbus_icmsg_put32(hello + bad[i].at, bad[i].value);
		assert_int_equal(told(), EPROTO);
	}
}

static void
a_hello_of_another_length_is_refused(void **state)
{
	size_t len;

	(void)state;
	for (len = 1; len <= sizeof(hello); len++) {
		good_hello();
		hello_len = len;
		assert_int_equal(told(), len == EMULINK_HELLO_LEN ? 0 : EPROTO);
	}
}

static void
any_other_number_of_descriptors_is_refused(void **state)
{
	unsigned int n;

	(void)state;
	for (n = 0; n <= 8; n++) {
		good_hello();
		while (hello_nfds > n)
			close(hello_fds[--hello_nfds]);
		while (hello_nfds < n)
			hello_fds[hello_nfds++] = eventfd(0, EFD_NONBLOCK);
		assert_int_equal(told(), n == 3 ? 0 : EPROTO);
	}
}

static void
memory_that_lacks_a_seal_is_refused(void **state)
{
	static const unsigned int bad[] = { 0, F_SEAL_SHRINK,
		SEALS & ~F_SEAL_SHRINK, SEALS & ~F_SEAL_GROW,
		SEALS & ~F_SEAL_SEAL, SEALS | F_SEAL_WRITE };
	size_t i;

	(void)state;
	for (i = 0; i < VSS_NELEM(bad); i++) {
		good_hello();
		replace_fd(0, make_memory(2 * RING, bad[i]));
		assert_int_equal(told(), EPROTO);
	}
}

static void
memory_of_another_size_is_refused(void **state)
{
	static const off_t bad[] = { 0, RING, 2 * RING - 4096, 2 * RING - 1,
		2 * RING + 1, 2 * RING + 4096 };
	size_t i;

	(void)state;
	for (i = 0; i < VSS_NELEM(bad); i++) {
		good_hello();
		replace_fd(0, make_memory(bad[i], SEALS));
		assert_int_equal(told(), EPROTO);
	}
}

static void
memory_that_is_no_memfd_is_refused(void **state)
{
	int fd;

	(void)state;
	good_hello();
	replace_fd(0, open("/dev/zero", O_RDWR));
	assert_int_equal(told(), EPROTO);
	good_hello();
	fd = open(dir, O_RDONLY | O_DIRECTORY);
	replace_fd(0, fd);
	assert_int_equal(told(), EPROTO);
	good_hello();
	replace_fd(0, eventfd(0, EFD_NONBLOCK));
	assert_int_equal(told(), EPROTO);
}

static void
an_event_that_is_none_or_can_block_is_refused(void **state)
{
	unsigned int i;
	int fds[2];

	(void)state;
	for (i = 1; i <= 2; i++) {
		good_hello();
		replace_fd(i, eventfd(0, 0));
		assert_int_equal(told(), EPROTO);
		good_hello();
		replace_fd(i, make_memory(RING, SEALS));
		assert_int_equal(told(), EPROTO);
		good_hello();
		assert_int_equal(pipe2(fds, O_NONBLOCK), 0);
		close(fds[0]);
		replace_fd(i, fds[1]);
		assert_int_equal(told(), EPROTO);
		good_hello();
		assert_int_equal(
		    socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds),
		    0);
		close(fds[0]);
		replace_fd(i, fds[1]);
		assert_int_equal(told(), EPROTO);
	}
}

static void
rings_with_impossible_indices_are_refused(void **state)
{
	static const uint32_t bad = 12345;

	(void)state;
	good_hello();
	assert_int_equal(pwrite(hello_fds[0], &bad, 4, RING), 4);
	assert_int_equal(told(), EPROTO);
}

static void
an_event_made_blocking_afterwards_is_not_slept_in(void **state)
{
	int flags;

	(void)state;
	connected();
	flags = fcntl(host.el_signal, F_GETFL);
	assert_int_equal(
	    fcntl(host.el_signal, F_SETFL, flags & ~O_NONBLOCK), 0);
	assert_int_equal(emulink_clear(&guest), EPROTO);
	assert_string_equal(guest.el_why, "the host made an event blocking");
	flags = fcntl(guest.el_signal, F_GETFL);
	assert_int_equal(
	    fcntl(guest.el_signal, F_SETFL, flags & ~O_NONBLOCK), 0);
	assert_int_equal(emulink_clear(&host), EPROTO);
	assert_int_equal(emulink_signal(&guest), EPROTO);
}

static void
an_answer_to_hello_that_is_none_is_refused(void **state)
{
	uint8_t msg[EMULINK_OPENED_LEN + 1];
	size_t len, i;

	(void)state;
	memset(msg, 0, sizeof(msg));
	vmbus_icmsg_put32(msg, EMULINK_MAGIC);
	vmbus_icmsg_put32(msg + 4, EMULINK_VERSION);
	vmbus_icmsg_put32(msg + 8, EMULINK_OPENED);
	for (len = 1; len <= sizeof(msg); len++) {
		for (i = 0; i < 16; i += 4) {
			assert_int_equal(emulink_connect(&guest, path), 0);
			assert_int_equal(
			    emulink_accept(&host, listen_fd, 2), 0);
			msg[i] ^= 1;
			assert_true(send(guest.el_sock, msg, len, 0) > 0);
			msg[i] ^= 1;
			assert_int_equal(emulink_input(&host), EPROTO);
			assert_int_equal(host.el_state, EMULINK_CLOSED);
		}
	}
}

static void
descriptors_that_a_guest_sends_are_not_kept(void **state)
{
	unsigned int before;

	(void)state;
	good_hello();
	vmbus_icmsg_put32(hello + 8, EMULINK_OPENED);
	hello_len = EMULINK_OPENED_LEN;
	assert_int_equal(emulink_connect(&guest, path), 0);
	assert_int_equal(emulink_accept(&host, listen_fd, 2), 0);
	before = count_fds();
	send_hello(guest.el_sock);
	assert_int_equal(emulink_input(&host), EPROTO);
	/* Its socket and events are gone as well, nothing came. */
	assert_int_equal(count_fds(), before - 3);
	while (hello_nfds > 0)
		close(hello_fds[--hello_nfds]);
}

int
main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(the_largest_messages_pass_in_both_directions),
		T(signals_without_a_reader_never_block),
		T(who_connects_where_no_host_is_may_try_again),
		T(a_path_that_fits_no_address_is_refused),
		T(a_listener_keeps_its_path_and_a_dead_ones_is_taken),
		T(nobody_waits_at_accept_is_no_failure_of_the_link),
		T(either_end_sees_at_once_that_the_other_closed),
		T(words_after_opening_are_a_breach),
		T(a_good_hello_is_taken),
		T(a_hello_with_a_wrong_field_is_refused),
		T(a_hello_of_another_length_is_refused),
		T(any_other_number_of_descriptors_is_refused),
		T(memory_that_lacks_a_seal_is_refused),
		T(memory_of_another_size_is_refused),
		T(memory_that_is_no_memfd_is_refused),
		T(an_event_that_is_none_or_can_block_is_refused),
		T(rings_with_impossible_indices_are_refused),
		T(an_event_made_blocking_afterwards_is_not_slept_in),
		T(an_answer_to_hello_that_is_none_is_refused),
		T(descriptors_that_a_guest_sends_are_not_kept),
	};
#undef T

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
