/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/* Datagrams and shared memory of daemon, worker and guard, and bad ones. */

#include <sys/mman.h>
#include <sys/socket.h>

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "frz_msg.h"

static int pair[2];

static int
set_up(void **state)
{
	(void)state;
	return (socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair));
}

static int
tear_down(void **state)
{
	(void)state;
	(void)close(pair[0]);
	(void)close(pair[1]);
	return (0);
}

static struct frz_msg
message(enum frz_op op)
{
	struct frz_msg fm;

	memset(&fm, 0, sizeof(fm));
	fm.fm_op = op;
	strcpy(fm.fm_path, "/srv");
	return (fm);
}

/* Sends bytes as they are. */
static void
send_raw(const void *data, size_t len)
{
	assert_int_equal(send(pair[0], data, len, 0), (ssize_t)len);
}

static void
a_message_arrives_with_its_descriptors(void **state)
{
	struct frz_msg fm = message(FRZ_HOLD), got;
	struct frz_fds ff = { { pair[0], pair[1] }, 2 }, fds;

	(void)state;
	assert_int_equal(frz_send(pair[0], &fm, &ff), 0);
	assert_int_equal(frz_recv(pair[1], &got, &fds), 0);
	assert_memory_equal(&got, &fm, sizeof(fm));
	assert_int_equal(fds.ff_count, 2);
	assert_true(fcntl(fds.ff_fd[0], F_GETFD) == FD_CLOEXEC);
	frz_fds_close(&fds);
	assert_int_equal(frz_recv(pair[1], &got, &fds), EAGAIN);
}

static void
one_of_another_size_is_not_for_us(void **state)
{
	struct frz_msg fm = message(FRZ_PING), got;
	char longer[sizeof(fm) + 1];
	struct frz_fds fds;

	(void)state;
	send_raw(&fm, sizeof(fm) - 1);
	memset(longer, 0, sizeof(longer));
	memcpy(longer, &fm, sizeof(fm));
	send_raw(longer, sizeof(longer));
	assert_int_equal(frz_recv(pair[1], &got, &fds), EBADMSG);
	assert_int_equal(frz_recv(pair[1], &got, &fds), EBADMSG);
}

static void
an_unknown_operation_is_not_for_us(void **state)
{
	struct frz_msg fm = message(FRZ_NOPS), got;
	struct frz_fds fds;

	(void)state;
	send_raw(&fm, sizeof(fm));
	fm.fm_op = 0;
	send_raw(&fm, sizeof(fm));
	assert_int_equal(frz_recv(pair[1], &got, &fds), EBADMSG);
	assert_int_equal(frz_recv(pair[1], &got, &fds), EBADMSG);
}

static void
a_path_without_end_is_not_for_us(void **state)
{
	struct frz_msg fm = message(FRZ_OPEN), got;
	struct frz_fds fds;

	(void)state;
	memset(fm.fm_path, 'x', sizeof(fm.fm_path));
	send_raw(&fm, sizeof(fm));
	assert_int_equal(frz_recv(pair[1], &got, &fds), EBADMSG);
}

static void
levels_are_met_from_the_highest_to_the_lowest(void **state)
{
	static struct frz_page page;
	uint32_t level = FRZ_FS_MAX;

	(void)state;
	page.pg_slots[0].fs_level = 3;
	page.pg_slots[1].fs_level = 1;
	page.pg_slots[FRZ_FS_MAX - 1].fs_level = FRZ_FS_MAX - 1;
	page.pg_slots[2].fs_level = 1;
	for (size_t i = 0; i < 4; i++) {
		static const uint32_t want[] = { FRZ_FS_MAX - 1, 3, 1, 0 };

		assert_true(frz_page_level_below(&page, &level));
		assert_int_equal(level, want[i]);
	}
	assert_false(frz_page_level_below(&page, &level));
}

static void
descriptors_of_a_bad_message_are_closed(void **state)
{
	struct frz_msg fm = message(FRZ_NOPS), got;
	struct frz_fds ff = { { pair[0] }, 1 }, fds;
	int next = dup(pair[0]);

	(void)state;
	(void)close(next);
	assert_int_equal(frz_send(pair[0], &fm, &ff), 0);
	assert_int_equal(frz_recv(pair[1], &got, &fds), EBADMSG);
	assert_int_equal(fds.ff_count, 0);
	assert_int_equal(fcntl(next, F_GETFD), -1);
}

static void
more_descriptors_than_there_may_be_are_not_for_us(void **state)
{
	struct frz_msg fm = message(FRZ_HOLD), got;
	struct iovec iov = { &fm, sizeof(fm) };
	union {
		struct cmsghdr hdr;
		char space[CMSG_SPACE((FRZ_FDS_MAX + 1) * sizeof(int))];
	} cm;
	struct msghdr mh = { .msg_iov = &iov, .msg_iovlen = 1 };
	struct frz_fds fds;
	int i;

	(void)state;
	memset(&cm, 0, sizeof(cm));
	mh.msg_control = &cm;
	mh.msg_controllen = sizeof(cm.space);
	cm.hdr.cmsg_level = SOL_SOCKET;
	cm.hdr.cmsg_type = SCM_RIGHTS;
	cm.hdr.cmsg_len = CMSG_LEN((FRZ_FDS_MAX + 1) * sizeof(int));
	for (i = 0; i < FRZ_FDS_MAX + 1; i++)
		memcpy(CMSG_DATA(&cm.hdr) + i * (int)sizeof(int), &pair[0],
		    sizeof(int));
	assert_true(sendmsg(pair[0], &mh, 0) > 0);
	assert_int_equal(frz_recv(pair[1], &got, &fds), EBADMSG);
	assert_int_equal(fds.ff_count, 0);
}

static void
the_end_comes_after_what_was_sent(void **state)
{
	struct frz_msg fm = message(FRZ_RELEASE), got;
	struct frz_fds fds;

	(void)state;
	assert_int_equal(frz_send(pair[0], &fm, NULL), 0);
	(void)close(pair[0]);
	assert_int_equal(frz_recv(pair[1], &got, &fds), 0);
	assert_int_equal(got.fm_op, FRZ_RELEASE);
	assert_int_equal(frz_recv(pair[1], &got, &fds), EPIPE);
	assert_int_equal(frz_send(pair[1], &fm, NULL), EPIPE);
	pair[0] = -1;
}

static uint32_t taken[4], ntaken;

static void
take(void *ctx, struct frz_msg *fm, struct frz_fds *ff)
{
	assert_ptr_equal(ctx, pair);
	assert_true(ntaken < 4);
	taken[ntaken++] = fm->fm_op;
	assert_int_equal(ff->ff_count, fm->fm_op == FRZ_HOLD);
}

static void
all_that_waits_is_taken_in_order(void **state)
{
	struct frz_msg hold = message(FRZ_HOLD), ping = message(FRZ_PING);
	struct frz_fds ff = { { pair[0] }, 1 };
	int free_fd = dup(pair[0]);

	(void)state;
	assert_int_equal(close(free_fd), 0);
	ntaken = 0;
	assert_true(frz_take_all(pair[1], take, pair));
	assert_int_equal(ntaken, 0);
	assert_int_equal(frz_send(pair[0], &hold, &ff), 0);
	send_raw(&ping, sizeof(ping) - 1);
	assert_int_equal(frz_send(pair[0], &ping, NULL), 0);
	assert_true(frz_take_all(pair[1], take, pair));
	assert_int_equal(ntaken, 2);
	assert_int_equal(taken[0], FRZ_HOLD);
	assert_int_equal(taken[1], FRZ_PING);
	assert_int_equal(fcntl(free_fd, F_GETFD), -1); /* none is kept */
	assert_int_equal(frz_send(pair[0], &ping, NULL), 0);
	(void)close(pair[0]);
	pair[0] = -1;
	assert_false(frz_take_all(pair[1], take, pair));
	assert_int_equal(ntaken, 3);
}

static void
a_peer_that_does_not_read_blocks_nobody(void **state)
{
	struct frz_msg fm = message(FRZ_PING);
	int error, n = 0;

	(void)state;
	while ((error = frz_send(pair[0], &fm, NULL)) == 0)
		n++;
	assert_int_equal(error, EAGAIN);
	assert_true(n > 0);
}

static void
both_see_one_page(void **state)
{
	struct frz_page *a, *b;
	int fd;

	(void)state;
	assert_int_equal(frz_page_create(&fd, &a), 0);
	assert_int_equal(frz_page_map(fd, &b), 0);
	frz_page_begin(a, 7, 3);
	assert_int_equal(atomic_load(&b->pg_gen), 7);
	assert_int_equal(atomic_load(&b->pg_count), 3);
	frz_page_unmap(a);
	frz_page_unmap(b);
	(void)close(fd);
}

/* A file of a size, sealed or not, that says what it is. */
static int
memory(size_t size, bool sealed, uint32_t magic, uint32_t version)
{
	const uint32_t head[2] = { magic, version };
	int fd;

	fd = memfd_create("t", MFD_ALLOW_SEALING);
	assert_true(fd != -1);
	assert_int_equal(write(fd, head, sizeof(head)), sizeof(head));
	assert_int_equal(ftruncate(fd, (off_t)size), 0);
	if (sealed)
		assert_int_equal(fcntl(fd, F_ADD_SEALS,
				     F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL),
		    0);
	return (fd);
}

static void
memory_that_could_shrink_or_is_none_of_ours_is_refused(void **state)
{
	static const struct {
		size_t size;
		bool sealed;
		uint32_t magic, version;
	} bad[] = {
		{ sizeof(struct frz_page), false, FRZ_PAGE_MAGIC, FRZ_VERSION },
		{ sizeof(struct frz_page) - 1, true, FRZ_PAGE_MAGIC,
		    FRZ_VERSION },
		{ sizeof(struct frz_page) + 4096, true, FRZ_PAGE_MAGIC,
		    FRZ_VERSION },
		{ sizeof(struct frz_page), true, FRZ_PAGE_MAGIC + 1,
		    FRZ_VERSION },
		{ sizeof(struct frz_page), true, FRZ_PAGE_MAGIC,
		    FRZ_VERSION + 1 },
	};
	struct frz_page *pg;
	size_t i;
	int fd;

	(void)state;
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		fd = memory(
		    bad[i].size, bad[i].sealed, bad[i].magic, bad[i].version);
		assert_int_equal(frz_page_map(fd, &pg), EINVAL);
		(void)close(fd);
	}
	fd = memory(sizeof(*pg), true, FRZ_PAGE_MAGIC, FRZ_VERSION);
	assert_int_equal(frz_page_map(fd, &pg), 0);
	frz_page_unmap(pg);
	(void)close(fd);
	assert_int_equal(frz_page_map(pair[0], &pg), EINVAL);
}

static void
what_may_be_frozen_is_armed_and_an_accident_as_well(void **state)
{
	static const bool armed[FRZ_NSTATES] = {
		[FRZ_FREEZING] = true,
		[FRZ_FROZEN] = true,
		[FRZ_THAWING] = true,
	};
	struct frz_slot fs;
	uint32_t i;

	(void)state;
	memset(&fs, 0, sizeof(fs));
	for (i = 0; i < FRZ_NSTATES; i++) {
		atomic_store(&fs.fs_state, i);
		assert_int_equal(frz_slot_armed(&fs), armed[i]);
	}
	atomic_store(&fs.fs_state, 0xdeadbeef);
	assert_true(frz_slot_armed(&fs));
}

static void
a_state_moves_only_from_what_it_is(void **state)
{
	struct frz_slot fs;

	(void)state;
	memset(&fs, 0, sizeof(fs));
	assert_false(frz_slot_move(&fs, FRZ_OPENED, FRZ_FREEZING));
	assert_true(frz_slot_move(&fs, FRZ_PLANNED, FRZ_OPENED));
	assert_true(frz_slot_move(&fs, FRZ_OPENED, FRZ_FREEZING));
	assert_false(frz_slot_move(&fs, FRZ_OPENED, FRZ_THAWED));
	assert_int_equal(atomic_load(&fs.fs_state), FRZ_FREEZING);
}

/* The clock goes on: only what does not depend on how fast is asked. */
static void
a_wait_is_rounded_up_and_bounded(void **state)
{
	uint64_t now = frz_now_ns();

	(void)state;
	assert_int_equal(frz_wait_ms(UINT64_MAX), -1);
	assert_int_equal(frz_wait_ms(0), 0);
	assert_int_equal(frz_wait_ms(now), 0);
	assert_int_equal(frz_wait_ms(UINT64_MAX - 1), 3600000);
	assert_int_equal(frz_wait_ms(now + 4000000ULL * 1000000), 3600000);
	assert_in_range(
	    frz_wait_ms(now + 3000000ULL * 1000000), 2000000, 3000001);
}

static void
a_transaction_begins_with_a_clean_page(void **state)
{
	struct frz_page *pg;
	int fd;

	(void)state;
	assert_int_equal(frz_page_create(&fd, &pg), 0);
	atomic_store(&pg->pg_stop, 1);
	atomic_store(&pg->pg_swept, 1);
	atomic_store(&pg->pg_worker_lease_ns, 5);
	atomic_store(&pg->pg_guard_lease_ns, 6);
	atomic_store(&pg->pg_slots[FRZ_FS_MAX - 1].fs_state, FRZ_THAWED);
	frz_page_begin(pg, 7, 3);
	assert_int_equal(atomic_load(&pg->pg_stop), 0);
	assert_int_equal(atomic_load(&pg->pg_swept), 0);
	assert_int_equal(atomic_load(&pg->pg_worker_lease_ns), 0);
	assert_int_equal(atomic_load(&pg->pg_guard_lease_ns), 0);
	assert_int_equal(atomic_load(&pg->pg_gen), 7);
	assert_int_equal(atomic_load(&pg->pg_count), 3);
	assert_int_equal(
	    atomic_load(&pg->pg_slots[FRZ_FS_MAX - 1].fs_state), FRZ_PLANNED);
	frz_page_unmap(pg);
	(void)close(fd);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(a_message_arrives_with_its_descriptors),
		CASE(one_of_another_size_is_not_for_us),
		CASE(an_unknown_operation_is_not_for_us),
		CASE(a_path_without_end_is_not_for_us),
		CASE(descriptors_of_a_bad_message_are_closed),
		CASE(more_descriptors_than_there_may_be_are_not_for_us),
		CASE(the_end_comes_after_what_was_sent),
		CASE(all_that_waits_is_taken_in_order),
		CASE(a_peer_that_does_not_read_blocks_nobody),
		CASE(both_see_one_page),
		CASE(memory_that_could_shrink_or_is_none_of_ours_is_refused),
		CASE(levels_are_met_from_the_highest_to_the_lowest),
		CASE(what_may_be_frozen_is_armed_and_an_accident_as_well),
		CASE(a_state_moves_only_from_what_it_is),
		CASE(a_wait_is_rounded_up_and_bounded),
		CASE(a_transaction_begins_with_a_clean_page),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
