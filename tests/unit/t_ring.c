/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/*
 * Unit tests of core/ring.c: framing by the worked examples of PROTOCOL.md,
 * wraps, full and empty, signals, pending send.  What a hostile other end may
 * do is in t_ring_peer.c.
 */

#include "dumps.h"
#include "ring_pair.h"

static void
expect_empty(void)
{
	struct vmbus_ring_pkt rp;
	bool signal = false;

	assert_int_equal(recv_any(&rp, &signal), EAGAIN);
	assert_false(signal);
	assert_false(vmbus_ring_readable(&pair->rx));
}

/* One example packet: sent at its offset it has its bytes, and back. */
static void
check_dump(const uint8_t *dump, uint32_t size, uint32_t at, uint32_t len)
{
	struct vmbus_ring_pkt rp = { .rp_type = VMBUS_RING_INBAND,
		.rp_len = len };
	bool signal = false;

	start_at(at);
	assert_int_equal(
	    vmbus_ring_send(&pair->tx, &rp, dump + DUMP_PAYLOAD, &signal), 0);
	assert_int_equal(ctl(VMBUS_RING_O_IN), at + size);
	assert_memory_equal(data(at), dump, size);

	start_at(at);
	memset(data(0), 0, DATA);
	memcpy(data(at), dump, size);
	set_ctl(VMBUS_RING_O_IN, at + size);
	assert_int_equal(recv_any(&rp, &signal), 0);
	assert_int_equal(rp.rp_type, VMBUS_RING_INBAND);
	assert_int_equal(rp.rp_len, size - 24);
	assert_memory_equal(buf, dump + DUMP_PAYLOAD, size - 24);
	assert_int_equal(ctl(VMBUS_RING_O_OUT), at + size);
}

static void
the_example_packets_have_their_bytes_in_both_directions(void **state)
{
	(void)state;
#define DUMP(d, at, len) check_dump(dump_##d, sizeof(dump_##d), at, len)
	DUMP(negotiate_request, 0, 56);
	DUMP(negotiate_tight, 0, 44);
	DUMP(negotiate_echo, 0, 56);
	DUMP(check_request, 0x50, 40);
	DUMP(check_reply, 0x50, 40);
	DUMP(freeze_request, 0x90, 40);
	DUMP(freeze_ok, 0x90, 40);
	DUMP(freeze_fail, 0x90, 40);
#undef DUMP
}

static void
the_example_conversation_lies_where_it_should(void **state)
{
	static const struct {
		const uint8_t *bytes;
		uint32_t len, at;
	} talk[] = { { dump_negotiate_echo, 56, 0 },
		{ dump_check_reply, 40, 0x50 }, { dump_freeze_ok, 40, 0x90 } };
	struct vmbus_ring_pkt rp = { .rp_type = VMBUS_RING_INBAND };
	bool signal = false;
	uint32_t i;

	(void)state;
	for (i = 0; i < VSS_NELEM(talk); i++) {
		rp.rp_len = talk[i].len;
		assert_int_equal(vmbus_ring_send(&pair->tx, &rp,
				     talk[i].bytes + DUMP_PAYLOAD, &signal),
		    0);
	}
	for (i = 0; i < VSS_NELEM(talk); i++)
		assert_memory_equal(
		    data(talk[i].at), talk[i].bytes, talk[i].len + 24);
}

static void
a_ring_of_wrong_size_or_alignment_is_refused(void **state)
{
	struct vmbus_ring vr;

	(void)state;
	assert_int_equal(vmbus_ring_init_tx(&vr, pair->mem, PAGE), EINVAL);
	assert_int_equal(vmbus_ring_init_tx(&vr, pair->mem, 0), EINVAL);
	assert_int_equal(
	    vmbus_ring_init_rx(&vr, pair->mem, 2 * PAGE - 8), EINVAL);
	assert_int_equal(
	    vmbus_ring_init_rx(&vr, pair->mem, 0x80000000U), EINVAL);
	assert_int_equal(
	    vmbus_ring_init_rx(&vr, pair->mem + 4, 2 * PAGE), EINVAL);
}

static void
a_ring_that_starts_with_impossible_indices_is_refused(void **state)
{
	struct vmbus_ring vr;

	(void)state;
	set_ctl(VMBUS_RING_O_IN, DATA);
	assert_int_equal(vmbus_ring_init_tx(&vr, pair->mem, 2 * PAGE), EIO);
	assert_int_equal(vmbus_ring_init_rx(&vr, pair->mem, 2 * PAGE), EIO);
	set_ctl(VMBUS_RING_O_IN, 0);
	set_ctl(VMBUS_RING_O_OUT, 4);
	assert_int_equal(vmbus_ring_init_tx(&vr, pair->mem, 2 * PAGE), EIO);
	assert_int_equal(vmbus_ring_init_rx(&vr, pair->mem, 2 * PAGE), EIO);
}

static void
an_end_takes_over_where_its_predecessor_was(void **state)
{
	struct vmbus_ring rx, tx;

	(void)state;
	set_ctl(VMBUS_RING_O_IN, 64);
	set_ctl(VMBUS_RING_O_OUT, 32);
	set_ctl(VMBUS_RING_O_PENDING, 100);
	set_ctl(VMBUS_RING_O_MASK, 1);
	memset(&tx, 0xff, sizeof(tx));
	memset(&rx, 0xff, sizeof(rx));
	assert_int_equal(vmbus_ring_init_tx(&tx, pair->mem, 2 * PAGE), 0);
	assert_int_equal(ctl(VMBUS_RING_O_PENDING), 0);
	assert_int_equal(vmbus_ring_init_rx(&rx, pair->mem, 2 * PAGE), 0);
	assert_int_equal(ctl(VMBUS_RING_O_MASK), 0);
	assert_int_equal(tx.vr_index, 64);
	assert_int_equal(rx.vr_index, 32);
	assert_false(tx.vr_waiting || rx.vr_waiting);
	assert_int_equal(tx.vr_error, 0);
	/* Of the largest ring its first page alone is looked at. */
	assert_int_equal(
	    vmbus_ring_init_tx(&tx, pair->mem, VMBUS_RING_LEN_MAX), 0);
	assert_int_equal(tx.vr_size, VMBUS_RING_LEN_MAX - PAGE);
	assert_int_equal(
	    vmbus_ring_init_tx(&tx, pair->mem, VMBUS_RING_LEN_MAX + PAGE),
	    EINVAL);
}

static void
a_ring_that_was_refused_stays_so(void **state)
{
	struct vmbus_ring_pkt rp = { .rp_type = VMBUS_RING_INBAND };
	struct vmbus_ring vr;
	bool signal = false;

	(void)state;
	memset(&vr, 0, sizeof(vr));
	assert_int_equal(vmbus_ring_init_tx(&vr, pair->mem, PAGE), EINVAL);
	assert_int_equal(vmbus_ring_send(&vr, &rp, buf, &signal), EIO);
	memset(&vr, 0, sizeof(vr));
	assert_int_equal(vmbus_ring_init_rx(&vr, pair->mem, PAGE), EINVAL);
	assert_int_equal(
	    vmbus_ring_recv(&vr, &rp, buf, sizeof(buf), &signal), EIO);
	assert_true(vmbus_ring_readable(&vr));
	assert_true(vmbus_ring_unmask(&vr));
	assert_false(vmbus_ring_peer_wakes(&vr));
	vmbus_ring_mask(&vr);
	assert_false(signal);
}

static void
the_producer_promises_to_honour_pending_sends(void **state)
{
	(void)state;
	assert_int_equal(ctl(VMBUS_RING_O_FEATURES), 1);
	assert_true(vmbus_ring_peer_wakes(&pair->rx));
	set_ctl(VMBUS_RING_O_FEATURES, 0);
	assert_false(vmbus_ring_peer_wakes(&pair->rx));
}

static void
packets_of_every_length_wrap_at_every_offset(void **state)
{
	bool signal = false;
	uint32_t at, len;

	(void)state;
	for (at = 0; at < DATA; at += 8) {
		start_at(at);
		for (len = 0; len <= 72; len += 3) {
			assert_int_equal(send_len(len, at + len, &signal), 0);
			recv_len(len, at + len);
		}
		start_at(at);
		len = vmbus_ring_payload_max(&pair->tx);
		assert_int_equal(send_len(len, at, &signal), 0);
		recv_len(len, at);
		expect_empty();
	}
}

static void
the_trailer_names_the_packets_own_start(void **state)
{
	bool signal = false;
	uint32_t at;

	(void)state;
	for (at = 0; at < DATA; at += 8) {
		start_at(at);
		assert_int_equal(send_len(8, 1, &signal), 0);
		assert_int_equal(vmbus_icmsg_get32(data((at + 24) % DATA)), 0);
		assert_int_equal(
		    vmbus_icmsg_get32(data((at + 24) % DATA) + 4), at);
	}
}

static void
transaction_ids_of_64_bits_and_the_completion_flag_pass(void **state)
{
	struct vmbus_ring_pkt rp = { .rp_type = VMBUS_RING_COMPLETION,
		.rp_flags = VMBUS_RING_PKT_F_COMPLETION,
		.rp_xactid = 0x8000000180000002,
		.rp_len = 0 };
	bool signal = false;

	(void)state;
	assert_int_equal(vmbus_ring_send(&pair->tx, &rp, NULL, &signal), 0);
	memset(&rp, 0, sizeof(rp));
	assert_int_equal(recv_any(&rp, &signal), 0);
	assert_int_equal(rp.rp_type, VMBUS_RING_COMPLETION);
	assert_int_equal(rp.rp_flags, VMBUS_RING_PKT_F_COMPLETION);
	assert_true(rp.rp_xactid == 0x8000000180000002);
	assert_int_equal(rp.rp_len, 0);
}

static void
a_full_ring_keeps_eight_bytes_free(void **state)
{
	bool signal = false;
	uint32_t at, i;

	(void)state;
	for (at = 0; at < DATA; at += 1000) {
		start_at(at);
		/* 127 of 32 bytes leave 32; the 128th would leave nothing. */
		for (i = 0; i < 127; i++)
			assert_int_equal(send_len(8, i, &signal), 0);
		assert_int_equal(send_len(8, 99, &signal), EAGAIN);
		assert_int_equal(send_len(0, 127, &signal), 0);
		assert_int_equal(send_len(0, 99, &signal), EAGAIN);
		for (i = 0; i < 127; i++)
			recv_len(8, i);
		recv_len(0, 127);
		expect_empty();
	}
}

static void
the_largest_payload_fits_and_one_more_byte_never_does(void **state)
{
	bool signal = false;
	uint32_t max;

	(void)state;
	max = vmbus_ring_payload_max(&pair->tx);
	assert_int_equal(max, DATA - 32);
	assert_int_equal(send_len(max + 1, 1, &signal), EMSGSIZE);
	assert_int_equal(send_len(UINT32_MAX, 1, &signal), EMSGSIZE);
	assert_int_equal(send_len(max, 1, &signal), 0);
	recv_len(max, 1);
}

static void
a_large_ring_is_bounded_by_the_descriptor(void **state)
{
	(void)state;
	free(pair->mem);
	pair_init(PAGE + 1024 * 1024);
	assert_int_equal(vmbus_ring_payload_max(&pair->tx), 524264);
}

static void
a_packet_larger_than_the_buffer_is_skipped_and_said(void **state)
{
	struct vmbus_ring_pkt rp;
	bool signal = false;

	(void)state;
	send_len(100, 7, &signal);
	send_len(16, 8, &signal);
	memset(buf, 0xaa, sizeof(buf));
	assert_int_equal(
	    vmbus_ring_recv(&pair->rx, &rp, buf, 103, &signal), ENOBUFS);
	assert_int_equal(rp.rp_len, 104);
	assert_int_equal(rp.rp_xactid, 7);
	assert_int_equal(buf[0], 0xaa);
	recv_len(16, 8);
	expect_empty();
	send_len(100, 9, &signal);
	assert_int_equal(vmbus_ring_recv(&pair->rx, &rp, buf, 104, &signal), 0);
}

static void
only_the_packet_that_ends_emptiness_is_signalled(void **state)
{
	bool signal = false;

	(void)state;
	send_len(8, 1, &signal);
	assert_true(signal);
	signal = false;
	send_len(8, 2, &signal);
	assert_false(signal);
	recv_len(8, 1);
	send_len(8, 3, &signal);
	assert_false(signal);
	recv_len(8, 2);
	recv_len(8, 3);
	send_len(8, 4, &signal);
	assert_true(signal);
	/* It is never taken back: a batch needs one look. */
	send_len(8, 5, &signal);
	assert_true(signal);
}

static void
a_masked_consumer_is_not_signalled_and_looks_again(void **state)
{
	bool signal = false;

	(void)state;
	vmbus_ring_mask(&pair->rx);
	assert_int_equal(ctl(VMBUS_RING_O_MASK), 1);
	assert_false(vmbus_ring_unmask(&pair->rx));
	vmbus_ring_mask(&pair->rx);
	send_len(8, 1, &signal);
	assert_false(signal);
	assert_true(vmbus_ring_unmask(&pair->rx));
	assert_int_equal(ctl(VMBUS_RING_O_MASK), 0);
	recv_len(8, 1);
	send_len(8, 2, &signal);
	assert_true(signal);
}

static void
a_producer_without_room_leaves_its_wish_and_is_woken_once(void **state)
{
	struct vmbus_ring_pkt rp;
	bool signal = false;

	(void)state;
	fill();
	/* 24 + 40 bytes: needs more than 64 free. */
	assert_int_equal(send_len(40, 200, &signal), EAGAIN);
	assert_int_equal(ctl(VMBUS_RING_O_PENDING), 64);
	assert_int_equal(recv_any(&rp, &signal), 0); /* 64 free */
	assert_false(signal);
	assert_int_equal(recv_any(&rp, &signal), 0); /* 96 free */
	assert_true(signal);
	signal = false;
	assert_int_equal(recv_any(&rp, &signal), 0);
	assert_false(signal);
	assert_int_equal(send_len(40, 200, &signal), 0);
	assert_int_equal(ctl(VMBUS_RING_O_PENDING), 0);
}

static void
wishes_of_other_producers_are_understood(void **state)
{
	struct vmbus_ring_pkt rp;
	bool signal = false;

	(void)state;
	/* One that stores its size less 1. */
	fill();
	set_ctl(VMBUS_RING_O_PENDING, 63);
	assert_int_equal(recv_any(&rp, &signal), 0);
	assert_false(signal);
	assert_int_equal(recv_any(&rp, &signal), 0);
	assert_true(signal);
	/* Those that want it empty, with their size or that less 1. */
	for (uint32_t less = 2; less-- > 0;) {
		signal = false;
		set_ctl(VMBUS_RING_O_PENDING, pair->rx.vr_size - less);
		while (vmbus_ring_readable(&pair->rx)) {
			assert_false(signal);
			assert_int_equal(recv_any(&rp, &signal), 0);
		}
		assert_true(signal);
		set_ctl(VMBUS_RING_O_PENDING, 0);
		fill();
	}
	/* One that made no promise, and one that wants the impossible. */
	signal = false;
	set_ctl(VMBUS_RING_O_PENDING, 64);
	set_ctl(VMBUS_RING_O_FEATURES, 0);
	assert_int_equal(recv_any(&rp, &signal), 0);
	assert_int_equal(recv_any(&rp, &signal), 0);
	assert_false(signal);
	set_ctl(VMBUS_RING_O_FEATURES, 1);
	set_ctl(VMBUS_RING_O_PENDING, UINT32_MAX);
	while (recv_any(&rp, &signal) == 0)
		assert_false(signal);
	assert_int_equal(pair->rx.vr_error, 0);
}

static void
the_mask_plays_no_part_in_waking_the_producer(void **state)
{
	struct vmbus_ring_pkt rp;
	bool signal = false;

	(void)state;
	fill();
	assert_int_equal(send_len(8, 200, &signal), EAGAIN);
	vmbus_ring_mask(&pair->rx);
	signal = false;
	assert_int_equal(recv_any(&rp, &signal), 0);
	assert_true(signal);
}

/* Makes room as soon as the producer has said what it waits for. */
static void
consume_after_wish(const void *p)
{
	if (p == pair->mem + VMBUS_RING_O_OUT && ctl(VMBUS_RING_O_PENDING) != 0)
		set_ctl(VMBUS_RING_O_OUT, 320);
}

static void
room_made_before_the_wish_was_seen_is_noticed(void **state)
{
	bool signal = false;

	(void)state;
	fill();
	on_load = consume_after_wish;
	assert_int_equal(send_len(40, 200, &signal), 0);
	assert_int_equal(ctl(VMBUS_RING_O_PENDING), 0);
}

static void
no_load_overtakes_a_store_that_the_other_end_waits_for(void **state)
{
	bool signal = false;

	(void)state;
	nloads_unfenced = 0;
	fence_is_due = false;
	assert_int_equal(send_len(8, 1, &signal), 0);
	assert_int_equal(nloads_unfenced, 0);
	fence_is_due = false;
	recv_len(8, 1);
	assert_int_equal(nloads_unfenced, 0);
	fill();
	nloads_unfenced = 0;
	fence_is_due = false;
	assert_int_equal(send_len(8, 200, &signal), EAGAIN);
	assert_int_equal(nloads_unfenced, 0);
	fence_is_due = false;
	assert_true(vmbus_ring_unmask(&pair->rx));
	assert_int_equal(nloads_unfenced, 0);
}

static void
no_wish_is_told(const void *p)
{
	(void)p;
	assert_int_equal(ctl(VMBUS_RING_O_PENDING), 0);
}

static void
a_producer_with_room_tells_no_wish(void **state)
{
	bool signal = false;

	(void)state;
	on_load = no_wish_is_told;
	assert_int_equal(send_len(8, 1, &signal), 0);
	assert_false(pair->tx.vr_waiting);
}

/* Makes the read index impossible when the wish is there. */
static void
spoil_out_after_wish(const void *p)
{
	if (p == pair->mem + VMBUS_RING_O_OUT && ctl(VMBUS_RING_O_PENDING) != 0)
		set_ctl(VMBUS_RING_O_OUT, 0xfffffff0);
}

static void
an_index_spoilt_behind_a_wish_stops_the_producer_at_once(void **state)
{
	bool signal = false;

	(void)state;
	fill();
	on_load = spoil_out_after_wish;
	assert_int_equal(send_len(8, 200, &signal), EIO);
	assert_int_equal(pair->tx.vr_error, EIO);
}

int
main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(the_example_packets_have_their_bytes_in_both_directions),
		T(the_example_conversation_lies_where_it_should),
		T(a_ring_of_wrong_size_or_alignment_is_refused),
		T(a_ring_that_starts_with_impossible_indices_is_refused),
		T(an_end_takes_over_where_its_predecessor_was),
		T(a_ring_that_was_refused_stays_so),
		T(the_producer_promises_to_honour_pending_sends),
		T(packets_of_every_length_wrap_at_every_offset),
		T(the_trailer_names_the_packets_own_start),
		T(transaction_ids_of_64_bits_and_the_completion_flag_pass),
		T(a_full_ring_keeps_eight_bytes_free),
		T(the_largest_payload_fits_and_one_more_byte_never_does),
		T(a_large_ring_is_bounded_by_the_descriptor),
		T(a_packet_larger_than_the_buffer_is_skipped_and_said),
		T(only_the_packet_that_ends_emptiness_is_signalled),
		T(a_masked_consumer_is_not_signalled_and_looks_again),
		T(a_producer_without_room_leaves_its_wish_and_is_woken_once),
		T(wishes_of_other_producers_are_understood),
		T(the_mask_plays_no_part_in_waking_the_producer),
		T(room_made_before_the_wish_was_seen_is_noticed),
		T(no_load_overtakes_a_store_that_the_other_end_waits_for),
		T(a_producer_with_room_tells_no_wish),
		T(an_index_spoilt_behind_a_wish_stops_the_producer_at_once),
	};
#undef T

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
