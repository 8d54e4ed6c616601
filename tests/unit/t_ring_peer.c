/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/*
 * Unit tests of core/ring.c against an other end that breaks the rules: every
 * check of PROTOCOL.md section 4.9, and memory that changes between two looks.
 */

#include "ring_pair.h"

static uint32_t nloads_in;

/* Writes a descriptor of these u16 at off and sets in to what is written. */
static void
forge(uint32_t off, uint16_t type, uint16_t offset8, uint16_t length8)
{
	memset(data(off), 0, 24);
	vmbus_icmsg_put16(data(off), type);
	vmbus_icmsg_put16(data(off) + 2, offset8);
	vmbus_icmsg_put16(data(off) + 4, length8);
	set_ctl(VMBUS_RING_O_IN, (off + length8 * 8U + 8) % DATA);
}

static void
expect_corrupt(void)
{
	struct vmbus_ring_pkt rp;
	bool signal = false;
	uint32_t out;

	out = ctl(VMBUS_RING_O_OUT);
	assert_int_equal(recv_any(&rp, &signal), EIO);
	assert_int_equal(pair->rx.vr_error, EIO);
	assert_int_equal(ctl(VMBUS_RING_O_OUT), out);
	/* For good: a ring put right afterwards has lost its boundaries. */
	set_ctl(VMBUS_RING_O_IN, out);
	assert_int_equal(recv_any(&rp, &signal), EIO);
	assert_true(vmbus_ring_readable(&pair->rx));
	assert_true(vmbus_ring_unmask(&pair->rx));
	assert_false(signal);
}

static void
a_bad_write_index_stops_the_consumer(void **state)
{
	static const uint32_t bad[] = { 4, DATA, DATA + 8, 0x7ffffff8,
		UINT32_MAX, 0xfffffff8, 1, 8 /* less than a packet */, 16 };
	uint32_t i;

	(void)state;
	for (i = 0; i < VSS_NELEM(bad); i++) {
		start_at(0);
		set_ctl(VMBUS_RING_O_IN, bad[i]);
		expect_corrupt();
		set_ctl(VMBUS_RING_O_IN, 0);
	}
}

static void
a_bad_read_index_stops_the_producer(void **state)
{
	static const uint32_t bad[] = { 4, DATA, UINT32_MAX, 0xfffffff8 };
	bool signal;
	uint32_t i;

	(void)state;
	for (i = 0; i < VSS_NELEM(bad); i++) {
		start_at(0);
		set_ctl(VMBUS_RING_O_OUT, bad[i]);
		signal = false;
		assert_int_equal(send_len(8, 1, &signal), EIO);
		assert_int_equal(ctl(VMBUS_RING_O_IN), 0);
		set_ctl(VMBUS_RING_O_OUT, 0);
		assert_int_equal(send_len(8, 1, &signal), EIO);
		assert_false(signal);
	}
}

static void
a_descriptor_that_cannot_be_is_refused(void **state)
{
	static const struct {
		uint16_t type, offset8, length8;
	} bad[] = {
		{ 6, 0, 3 }, { 6, 1, 3 }, /* payload inside the descriptor */
		{ 6, 2, 1 }, { 6, 2, 0 }, /* shorter than itself */
		{ 6, 4, 3 }, { 6, 0xffff, 3 }, /* payload beyond the end */
		{ 0, 2, 3 }, { 1, 2, 3 }, { 4, 2, 3 }, { 5, 2, 3 }, { 8, 2, 3 },
		{ 10, 2, 3 }, { 12, 2, 3 }, { 0xffff, 2, 3 }, /* types */
	};
	uint32_t i;

	(void)state;
	for (i = 0; i < VSS_NELEM(bad); i++) {
		start_at(0);
		forge(0, bad[i].type, bad[i].offset8, bad[i].length8);
		set_ctl(VMBUS_RING_O_IN, 64);
		expect_corrupt();
		set_ctl(VMBUS_RING_O_IN, 0);
	}
}

static void
a_packet_longer_than_what_is_there_is_refused(void **state)
{
	uint32_t at;

	(void)state;
	for (at = 0; at < DATA; at += 512) {
		start_at(at);
		forge(at, VMBUS_RING_INBAND, 2, 3);
		/* All there but the trailer. */
		set_ctl(VMBUS_RING_O_IN, (at + 24) % DATA);
		expect_corrupt();
		start_at(at);
		forge(at, VMBUS_RING_INBAND, 2, 0xffff);
		set_ctl(VMBUS_RING_O_IN, (at + 32) % DATA);
		expect_corrupt();
		set_ctl(VMBUS_RING_O_IN, at);
	}
}

static void
unknown_packet_flags_are_refused(void **state)
{
	(void)state;
	forge(0, VMBUS_RING_INBAND, 2, 3);
	vmbus_icmsg_put16(data(6), 2);
	expect_corrupt();
}

static void
an_extra_header_is_stepped_over(void **state)
{
	struct vmbus_ring_pkt rp;
	bool signal = false;
	uint32_t at;

	(void)state;
	for (at = 0; at < DATA; at += 8) {
		start_at(at);
		memset(data(0), 0, DATA);
		vmbus_icmsg_put16(data(at), VMBUS_RING_XFER_PAGES);
		vmbus_icmsg_put16(data(at) + 2, 4);
		vmbus_icmsg_put16(data(at) + 4, 5);
		vmbus_icmsg_put32(data((at + 16) % DATA) + 4, 1);
		memset(data((at + 32) % DATA), 0x5a, 8);
		set_ctl(VMBUS_RING_O_IN, (at + 48) % DATA);
		assert_int_equal(recv_any(&rp, &signal), 0);
		assert_int_equal(rp.rp_type, VMBUS_RING_XFER_PAGES);
		assert_int_equal(rp.rp_len, 8);
		assert_int_equal(buf[0], 0x5a);
		assert_int_equal(buf[7], 0x5a);
	}
}

static void
transfer_page_ranges_beyond_their_header_are_refused(void **state)
{
	static const struct {
		uint16_t offset8;
		uint32_t nranges;
	} bad[] = { { 2, 0 }, { 3, 1 }, { 4, 2 }, { 4, UINT32_MAX } };
	uint32_t i;

	(void)state;
	for (i = 0; i < VSS_NELEM(bad); i++) {
		start_at(0);
		memset(data(0), 0, 64);
		forge(0, VMBUS_RING_XFER_PAGES, bad[i].offset8, 5);
		vmbus_icmsg_put32(data(20), bad[i].nranges);
		expect_corrupt();
		set_ctl(VMBUS_RING_O_IN, 0);
	}
}

static void
transfer_pages_without_a_range_are_stepped_over(void **state)
{
	struct vmbus_ring_pkt rp;
	bool signal = false;

	(void)state;
	start_at(0);
	memset(data(0), 0, 64);
	forge(0, VMBUS_RING_XFER_PAGES, 3, 5);
	assert_int_equal(recv_any(&rp, &signal), 0);
	assert_int_equal(rp.rp_len, 16);
}

/* The ring is full of good ranges, and more of them are claimed than fit it. */
static void
gpa_ranges_are_not_walked_beyond_their_header(void **state)
{
	uint32_t off;

	(void)state;
	start_at(0);
	for (off = 0; off + 16 <= DATA; off += 16) {
		vmbus_icmsg_put32(data(off + 8), 8);
		vmbus_icmsg_put32(data(off + 12), 0);
	}
	forge(0, VMBUS_RING_GPA_DIRECT, 5, 10);
	vmbus_icmsg_put32(data(20), UINT32_MAX);
	/* Once around, the transaction id is taken for one. */
	vmbus_icmsg_put32(data(8), 8);
	expect_corrupt();
}

static void
gpa_ranges_are_walked_to_their_end(void **state)
{
	static const struct {
		uint16_t offset8;
		uint32_t nranges, bytes, offset;
		bool ok;
	} cases[] = {
		{ 5, 1, 4096, 0, true },
		{ 5, 1, 4096, 1, false },
		{ 6, 1, 4097, 0, true },
		{ 5, 1, 0x18, 0x100, true },
		{ 5, 0, 4096, 0, false },
		{ 5, 1, 0, 0, false },
		{ 5, 1, 8, 4096, false },
		{ 6, 1, 8, 4096, false },
		{ 6, 1, 8, 4095, true },
		{ 5, 2, 8, 0, false },
		{ 7, 2, 8, 0, true },
		{ 5, 1, UINT32_MAX, 4095, false },
		{ 5, UINT32_MAX, 8, 0, false },
		{ 4, 1, 8, 0, false },
		{ 2, 1, 8, 0, false },
	};
	struct vmbus_ring_pkt rp;
	bool signal = false;
	uint32_t i, r;

	(void)state;
	for (i = 0; i < VSS_NELEM(cases); i++) {
		start_at(0);
		memset(data(0), 0, 128);
		forge(0, VMBUS_RING_GPA_DIRECT, cases[i].offset8, 10);
		vmbus_icmsg_put32(data(20), cases[i].nranges);
		for (r = 0; r < 2; r++) {
			vmbus_icmsg_put32(data(24 + 16 * r), cases[i].bytes);
			vmbus_icmsg_put32(data(28 + 16 * r), cases[i].offset);
		}
		if (cases[i].ok)
			assert_int_equal(recv_any(&rp, &signal), 0);
		else
			expect_corrupt();
		set_ctl(VMBUS_RING_O_IN, 0);
		set_ctl(VMBUS_RING_O_OUT, 0);
	}
}

static void
our_own_index_in_shared_memory_is_never_read_back(void **state)
{
	bool signal = false;

	(void)state;
	send_len(8, 1, &signal);
	set_ctl(VMBUS_RING_O_OUT, 1234);
	recv_len(8, 1);
	assert_int_equal(ctl(VMBUS_RING_O_OUT), 32);
	set_ctl(VMBUS_RING_O_IN, 4321);
	send_len(8, 2, &signal);
	assert_int_equal(ctl(VMBUS_RING_O_IN), 64);
	recv_len(8, 2);
}

/* Makes the write index impossible the second time it is looked at. */
static void
spoil_in_on_second_load(const void *p)
{
	if (p == pair->mem + VMBUS_RING_O_IN && ++nloads_in == 2)
		set_ctl(VMBUS_RING_O_IN, 0xfffffff0);
}

static void
an_index_changed_after_the_check_is_not_looked_at_again(void **state)
{
	bool signal = false;

	(void)state;
	send_len(8, 1, &signal);
	nloads_in = 0;
	on_load = spoil_in_on_second_load;
	recv_len(8, 1);
	assert_int_equal(nloads_in, 1);
	assert_int_equal(pair->rx.vr_error, 0);
}

static void
an_index_spoilt_while_a_wish_is_weighed_stops_the_next_call(void **state)
{
	struct vmbus_ring_pkt rp;
	bool signal = false;

	(void)state;
	fill();
	assert_int_equal(send_len(8, 200, &signal), EAGAIN);
	nloads_in = 0;
	on_load = spoil_in_on_second_load;
	signal = false;
	assert_int_equal(recv_any(&rp, &signal), 0);
	assert_int_equal(nloads_in, 2);
	assert_false(signal);
	assert_int_equal(recv_any(&rp, &signal), EIO);
}

/* Between two packets, four bytes from where it was. */
static void
unalign_in_on_second_load(const void *p)
{
	if (p == pair->mem + VMBUS_RING_O_IN && ++nloads_in == 2)
		set_ctl(VMBUS_RING_O_IN, ctl(VMBUS_RING_O_IN) ^ 4);
}

static void
a_wish_is_not_weighed_against_an_impossible_index(void **state)
{
	struct vmbus_ring_pkt rp;
	bool signal = false;

	(void)state;
	fill();
	assert_int_equal(send_len(8, 200, &signal), EAGAIN);
	signal = false;
	nloads_in = 0;
	on_load = unalign_in_on_second_load;
	assert_int_equal(recv_any(&rp, &signal), 0);
	assert_int_equal(nloads_in, 2);
	assert_false(signal);
}

static void
a_packet_before_an_impossible_index_is_not_taken(void **state)
{
	struct vmbus_ring_pkt rp;
	bool signal = false;

	(void)state;
	assert_int_equal(send_len(8, 1, &signal), 0);
	set_ctl(VMBUS_RING_O_IN, ctl(VMBUS_RING_O_IN) + 4);
	assert_int_equal(recv_any(&rp, &signal), EIO);
	assert_int_equal(ctl(VMBUS_RING_O_OUT), 0);
}

/* Scribbles over the shared memory at every load, from a fixed seed. */
static void
scribble(const void *p)
{
	static const uint32_t fields[] = { VMBUS_RING_O_IN, VMBUS_RING_O_OUT,
		VMBUS_RING_O_MASK, VMBUS_RING_O_PENDING,
		VMBUS_RING_O_FEATURES };
	static uint32_t seed = 20261122;
	uint32_t i;

	(void)p;
	for (i = 0; i < 3; i++) {
		seed = seed * 1664525 + 1013904223;
		switch (seed >> 29) {
		case 0:
		case 1:
		case 2:
			set_ctl(
			    fields[(seed >> 8) % 5], (seed >> 11) % DATA & ~7U);
			break;
		case 3:
			if ((seed & 0x1f00) == 0)
				set_ctl(fields[(seed >> 8) % 5], seed);
			break;
		default:
			/* Plausible small numbers where descriptors lie. */
			data((seed >> 8) % DATA)[0] = (uint8_t)(seed >> 20) & 7;
			break;
		}
	}
}

static void
a_hostile_other_end_can_only_make_it_stop(void **state)
{
	struct vmbus_ring_pkt rp;
	bool signal = false;
	uint32_t nfull, ngood, nstop, round;
	int error;

	(void)state;
	ngood = nstop = nfull = 0;
	for (round = 0; round < 200000; round++) {
		on_load = scribble;
		error = vmbus_ring_recv(&pair->rx, &rp, buf, 512, &signal);
		assert_true(error == 0 || error == EAGAIN || error == EIO ||
		    error == ENOBUFS);
		if (error == 0) {
			assert_true(rp.rp_len <= 512);
			ngood++;
		} else if (error == ENOBUFS)
			assert_true(rp.rp_len > 512);
		else if (error == EIO)
			nstop++;
		error = send_len(round % 300, round, &signal);
		assert_true(error == 0 || error == EAGAIN || error == EIO);
		if (error == EAGAIN)
			nfull++;
		assert_true(pair->tx.vr_index < DATA);
		assert_true(pair->rx.vr_index < DATA);
		if (pair->rx.vr_error != 0 || pair->tx.vr_error != 0) {
			on_load = NULL;
			start_at(round % (DATA / 8) * 8);
		}
	}
	/* It was not all refused at the first look. */
	assert_true(ngood > 1000 && nstop > 1000 && nfull > 100);
}

int
main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(a_bad_write_index_stops_the_consumer),
		T(a_bad_read_index_stops_the_producer),
		T(a_descriptor_that_cannot_be_is_refused),
		T(a_packet_longer_than_what_is_there_is_refused),
		T(unknown_packet_flags_are_refused),
		T(an_extra_header_is_stepped_over),
		T(transfer_page_ranges_beyond_their_header_are_refused),
		T(transfer_pages_without_a_range_are_stepped_over),
		T(gpa_ranges_are_not_walked_beyond_their_header),
		T(gpa_ranges_are_walked_to_their_end),
		T(our_own_index_in_shared_memory_is_never_read_back),
		T(an_index_changed_after_the_check_is_not_looked_at_again),
		T(an_index_spoilt_while_a_wish_is_weighed_stops_the_next_call),
		T(a_wish_is_not_weighed_against_an_impossible_index),
		T(a_packet_before_an_impossible_index_is_not_taken),
		T(a_hostile_other_end_can_only_make_it_stop),
	};
#undef T

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
