/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/* Unit tests of core/icmsg.c, the worked examples of PROTOCOL.md included. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "dumps.h"
#include "icmsg.h"

static const struct vmbus_icmsg_version framework_both[] = { { 3, 0 },
	{ 1, 0 } };
static const struct vmbus_icmsg_version message_567[] = { { 7, 0 }, { 6, 0 },
	{ 5, 0 } };
static const struct vmbus_icmsg_version message_54[] = { { 5, 0 }, { 4, 0 } };

static const struct vmbus_icmsg_versions host = { framework_both, message_567,
	2, 3 };
static const struct vmbus_icmsg_versions guest = { framework_both, message_54,
	2, 2 };

/* A copy of exactly len bytes, so that one read beyond is noticed. */
static uint8_t *
exact(const uint8_t *from, uint32_t len)
{
	uint8_t *p;

	p = malloc(len == 0 ? 1 : len);
	assert_non_null(p);
	memcpy(p, from, len);
	return (p);
}

/* A NEGOTIATE request with these counts, in len bytes. */
static uint8_t *
negotiate(uint16_t nframework, uint16_t nmessage, uint32_t len)
{
	uint8_t *p;

	p = calloc(1, len);
	assert_non_null(p);
	memcpy(p, dump_negotiate_request + DUMP_PAYLOAD, 28);
	vmbus_icmsg_put32(p + VMBUS_ICMSG_O_PIPE_SIZE, len - 8);
	vmbus_icmsg_put16(p + VMBUS_ICMSG_O_SIZE, (uint16_t)(len - 28));
	vmbus_icmsg_put16(p + 28, nframework);
	vmbus_icmsg_put16(p + 30, nmessage);
	return (p);
}

static void
integers_are_little_endian_at_any_alignment(void **state)
{
	uint8_t b[8] = { 0 };

	(void)state;
	vmbus_icmsg_put32(b + 1, 0x80070032);
	assert_memory_equal(b, "\0\x32\0\x07\x80\0\0\0", 8);
	assert_int_equal(vmbus_icmsg_get32(b + 1), 0x80070032);
	vmbus_icmsg_put16(b + 3, 0xfffe);
	assert_memory_equal(b, "\0\x32\0\xfe\xff\0\0\0", 8);
	assert_int_equal(vmbus_icmsg_get16(b + 3), 0xfffe);
}

static void
the_headers_of_the_examples_decode_and_encode_to_the_same(void **state)
{
	static const struct {
		const uint8_t *bytes;
		uint32_t len, pipe_size, status;
		uint16_t type, size, major;
		uint8_t flags;
	} cases[] = {
		{ dump_negotiate_request, 80, 0x30, 0, 0, 0x1c, 0, 3 },
		{ dump_negotiate_tight, 72, 0x24, 0, 0, 0x10, 0, 5 },
		{ dump_negotiate_echo, 80, 0x30, 0, 0, 0x10, 0, 5 },
		{ dump_check_request, 64, 0x20, 0, 5, 12, 5, 3 },
		{ dump_check_reply, 64, 0x20, 0, 5, 12, 5, 5 },
		{ dump_freeze_request, 64, 0x20, 0, 5, 12, 5, 3 },
		{ dump_freeze_ok, 64, 0x20, 0, 5, 12, 5, 5 },
		{ dump_freeze_fail, 64, 0x20, 0x80004005, 5, 12, 5, 5 },
	};
	struct vmbus_icmsg im;
	uint8_t out[28], *pkt;
	uint32_t i, len;

	(void)state;
	for (i = 0; i < VSS_NELEM(cases); i++) {
		len = cases[i].len - 24;
		pkt = exact(cases[i].bytes + DUMP_PAYLOAD, len);
		assert_int_equal(vmbus_icmsg_decode(pkt, len, &im), 0);
		assert_int_equal(im.im_pipe_type, VMBUS_ICMSG_PIPE_DATA);
		assert_int_equal(im.im_pipe_size, cases[i].pipe_size);
		assert_int_equal(im.im_len, 8 + cases[i].pipe_size);
		assert_int_equal(im.im_type, cases[i].type);
		assert_int_equal(im.im_size, cases[i].size);
		assert_int_equal(im.im_version.iv_major, cases[i].major);
		assert_int_equal(im.im_version.iv_minor, 0);
		assert_int_equal(im.im_framework.iv_major, im.im_type ? 3 : 0);
		assert_int_equal(im.im_status, cases[i].status);
		assert_int_equal(im.im_flags, cases[i].flags);
		assert_int_equal(im.im_xid, 0);
		memset(out, 0xaa, sizeof(out));
		vmbus_icmsg_encode(out, &im);
		assert_memory_equal(out, pkt, sizeof(out));
		free(pkt);
	}
}

static void
headers_that_are_not_whole_are_refused(void **state)
{
	struct vmbus_icmsg im;
	uint8_t *pkt;
	uint32_t len;

	(void)state;
	for (len = 0; len <= 40; len++) {
		pkt = exact(dump_check_request + DUMP_PAYLOAD, len);
		assert_int_equal(
		    vmbus_icmsg_decode(pkt, len, &im), len < 28 ? EBADMSG : 0);
		free(pkt);
	}
}

static void
the_pipe_header_can_shorten_a_packet_but_not_lengthen_it(void **state)
{
	struct vmbus_icmsg im;
	uint8_t pkt[40];

	(void)state;
	memcpy(pkt, dump_check_request + DUMP_PAYLOAD, 40);
	vmbus_icmsg_put32(pkt + VMBUS_ICMSG_O_PIPE_SIZE, 19);
	assert_int_equal(vmbus_icmsg_decode(pkt, 40, &im), EBADMSG);
	vmbus_icmsg_put32(pkt + VMBUS_ICMSG_O_PIPE_SIZE, 20);
	assert_int_equal(vmbus_icmsg_decode(pkt, 40, &im), 0);
	assert_int_equal(im.im_len, 28);
	vmbus_icmsg_put32(pkt + VMBUS_ICMSG_O_PIPE_SIZE, 33);
	assert_int_equal(vmbus_icmsg_decode(pkt, 40, &im), 0);
	assert_int_equal(im.im_len, 40);
	vmbus_icmsg_put32(pkt + VMBUS_ICMSG_O_PIPE_SIZE, UINT32_MAX);
	assert_int_equal(vmbus_icmsg_decode(pkt, 40, &im), 0);
	assert_int_equal(im.im_len, 40);
}

static void
a_reply_changes_status_and_flags_alone(void **state)
{
	uint8_t pkt[40];

	(void)state;
	memcpy(pkt, dump_freeze_request + DUMP_PAYLOAD, 40);
	vmbus_icmsg_reply(pkt, VMBUS_ICMSG_S_OK);
	assert_memory_equal(pkt, dump_freeze_ok + DUMP_PAYLOAD, 40);
	vmbus_icmsg_reply(pkt, VMBUS_ICMSG_S_FAIL);
	assert_memory_equal(pkt, dump_freeze_fail + DUMP_PAYLOAD, 40);
}

static void
the_host_offers_its_versions_ascending(void **state)
{
	uint8_t pkt[56];
	uint32_t len;

	(void)state;
	memset(pkt, 0xaa, sizeof(pkt));
	len = vmbus_icmsg_offer(pkt, sizeof(pkt), &host);
	assert_int_equal(len, 56);
	assert_memory_equal(pkt, dump_negotiate_request + DUMP_PAYLOAD, 56);
	assert_int_equal(vmbus_icmsg_offer(pkt, 55, &host), 0);
}

static void
the_guest_answers_negotiate_in_place_and_at_full_length(void **state)
{
	struct vmbus_icmsg_agreed agreed;
	uint8_t pkt[56];

	(void)state;
	memcpy(pkt, dump_negotiate_request + DUMP_PAYLOAD, 56);
	assert_int_equal(vmbus_icmsg_negotiate(pkt, 56, &guest, &agreed), 0);
	assert_memory_equal(pkt, dump_negotiate_echo + DUMP_PAYLOAD, 56);
	assert_int_equal(agreed.ia_framework.iv_major, 3);
	assert_int_equal(agreed.ia_message.iv_major, 5);
	assert_int_equal(agreed.ia_message.iv_minor, 0);
}

static void
the_host_reads_the_tight_and_the_echoed_answer(void **state)
{
	struct vmbus_icmsg_agreed agreed;

	(void)state;
	assert_int_equal(vmbus_icmsg_answer(
			     dump_negotiate_tight + DUMP_PAYLOAD, 48, &agreed),
	    0);
	assert_int_equal(agreed.ia_framework.iv_major, 3);
	assert_int_equal(agreed.ia_message.iv_major, 5);
	assert_int_equal(
	    vmbus_icmsg_answer(dump_negotiate_echo + DUMP_PAYLOAD, 56, &agreed),
	    0);
	assert_int_equal(agreed.ia_framework.iv_major, 3);
	assert_int_equal(agreed.ia_message.iv_major, 5);
}

/* Negotiates our versions with one message version offered. */
static int
offered_one(uint16_t major, uint16_t minor, struct vmbus_icmsg_agreed *agreed)
{
	uint8_t *pkt;
	int error;

	pkt = negotiate(1, 1, 44);
	vmbus_icmsg_put16(pkt + 36, 1);
	vmbus_icmsg_put16(pkt + 40, major);
	vmbus_icmsg_put16(pkt + 42, minor);
	error = vmbus_icmsg_negotiate(pkt, 44, &guest, agreed);
	if (agreed->ia_message.iv_major == 0) {
		assert_int_equal(vmbus_icmsg_get32(pkt + 28), 0);
		assert_int_equal(vmbus_icmsg_get32(pkt + 20), 0);
		assert_int_equal(pkt[VMBUS_ICMSG_O_FLAGS], 5);
		assert_int_equal(vmbus_icmsg_answer(pkt, 44, agreed), ENOTSUP);
	}
	free(pkt);
	return (error);
}

static void
the_guest_takes_the_first_of_its_own_that_is_offered_exactly(void **state)
{
	struct vmbus_icmsg_agreed agreed;

	(void)state;
	assert_int_equal(offered_one(4, 0, &agreed), 0);
	assert_int_equal(agreed.ia_framework.iv_major, 1);
	assert_int_equal(agreed.ia_message.iv_major, 4);
	assert_int_equal(offered_one(5, 1, &agreed), 0);
	assert_int_equal(agreed.ia_message.iv_major, 0);
	assert_int_equal(offered_one(6, 0, &agreed), 0);
	assert_int_equal(agreed.ia_message.iv_major, 0);
	assert_int_equal(agreed.ia_framework.iv_major, 0);
}

static void
counts_of_none_or_beyond_the_packet_are_answered_with_failure(void **state)
{
	static const struct {
		uint16_t nframework, nmessage;
		uint32_t len;
	} cases[] = { { 0, 1, 44 }, { 1, 0, 44 }, { 0, 0, 36 }, { 1, 1, 43 },
		{ 1, 2, 44 }, { 2, 3, 55 }, { 0xffff, 0xffff, 56 },
		{ 0xffff, 1, 60 } };
	struct vmbus_icmsg_agreed agreed;
	uint8_t *before, *pkt;
	uint32_t i;

	(void)state;
	for (i = 0; i < VSS_NELEM(cases); i++) {
		pkt = negotiate(
		    cases[i].nframework, cases[i].nmessage, cases[i].len);
		before = exact(pkt, cases[i].len);
		assert_int_equal(
		    vmbus_icmsg_negotiate(pkt, cases[i].len, &guest, &agreed),
		    EINVAL);
		assert_int_equal(agreed.ia_message.iv_major, 0);
		assert_int_equal(
		    vmbus_icmsg_get32(pkt + 20), VMBUS_ICMSG_S_FAIL);
		assert_int_equal(pkt[VMBUS_ICMSG_O_FLAGS], 5);
		assert_memory_equal(pkt + 28, before + 28, cases[i].len - 28);
		free(before);
		free(pkt);
	}
}

static void
the_pipe_header_bounds_the_counts_too(void **state)
{
	struct vmbus_icmsg_agreed agreed;
	uint8_t pkt[56];

	(void)state;
	memcpy(pkt, dump_negotiate_request + DUMP_PAYLOAD, 56);
	vmbus_icmsg_put32(pkt + VMBUS_ICMSG_O_PIPE_SIZE, 0x2c);
	assert_int_equal(
	    vmbus_icmsg_negotiate(pkt, 56, &guest, &agreed), EINVAL);
}

static void
what_is_not_a_whole_negotiate_is_left_untouched(void **state)
{
	struct vmbus_icmsg_agreed agreed;
	uint8_t before[56], pkt[56];
	uint32_t len;

	(void)state;
	memcpy(before, dump_negotiate_request + DUMP_PAYLOAD, 56);
	for (len = 0; len < 36; len++) {
		memcpy(pkt, before, 56);
		assert_int_equal(
		    vmbus_icmsg_negotiate(pkt, len, &guest, &agreed), EBADMSG);
		assert_memory_equal(pkt, before, 56);
	}
	memcpy(pkt, dump_check_request + DUMP_PAYLOAD, 40);
	assert_int_equal(
	    vmbus_icmsg_negotiate(pkt, 40, &guest, &agreed), EBADMSG);
	assert_memory_equal(pkt, dump_check_request + DUMP_PAYLOAD, 40);
}

static void
the_host_refuses_answers_that_are_none(void **state)
{
	static const struct {
		uint32_t at;
		uint8_t value;
		int error;
	} cases[] = {
		{ 12, 5, EBADMSG },    /* another type */
		{ 19, 0x80, EBADMSG }, /* body larger than the packet */
		{ 18, 15, EBADMSG },   /* too small for two versions */
		{ 20, 1, ENOTSUP },    /* failure status */
		{ 25, 3, EBADMSG },    /* a request's flags */
		{ 25, 1, EBADMSG },    /* no response */
		{ 28, 2, EBADMSG },    /* two framework versions */
		{ 30, 0, EBADMSG },    /* no message version, but a framework */
		{ 4, 27, EBADMSG },    /* counts outside the pipe message */
		{ 18, 21, EBADMSG },   /* body one byte larger than the rest */
	};
	struct vmbus_icmsg_agreed agreed;
	uint8_t pkt[48];
	uint32_t i;

	(void)state;
	for (i = 0; i < VSS_NELEM(cases); i++) {
		memcpy(pkt, dump_negotiate_tight + DUMP_PAYLOAD, 48);
		pkt[cases[i].at] = cases[i].value;
		assert_int_equal(
		    vmbus_icmsg_answer(pkt, 48, &agreed), cases[i].error);
		assert_int_equal(agreed.ia_message.iv_major, 0);
	}
	memcpy(pkt, dump_negotiate_tight + DUMP_PAYLOAD, 48);
	assert_int_equal(vmbus_icmsg_answer(pkt, 27, &agreed), EBADMSG);
	assert_int_equal(vmbus_icmsg_answer(pkt, 35, &agreed), EBADMSG);
	/* Counts of 0 and nothing behind them: it knows no version of ours. */
	vmbus_icmsg_put16(pkt + VMBUS_ICMSG_O_SIZE, 8);
	vmbus_icmsg_put32(pkt + 28, 0);
	assert_int_equal(vmbus_icmsg_answer(pkt, 36, &agreed), ENOTSUP);
}

static void
an_offer_may_fill_a_packet_and_no_more(void **state)
{
	static struct vmbus_icmsg_version many[VMBUS_ICMSG_PKT_MAX / 4];
	static uint8_t pkt[VMBUS_ICMSG_PKT_MAX + 4];
	struct vmbus_icmsg_versions v = { many, many, 1, 0 };

	(void)state;
	v.ivs_nmessage = (VMBUS_ICMSG_PKT_MAX - 36) / 4 - 1;
	assert_int_equal(
	    vmbus_icmsg_offer(pkt, sizeof(pkt), &v), VMBUS_ICMSG_PKT_MAX);
	assert_int_equal(
	    vmbus_icmsg_offer(pkt, VMBUS_ICMSG_PKT_MAX - 1, &v), 0);
	v.ivs_nmessage++;
	assert_int_equal(vmbus_icmsg_offer(pkt, sizeof(pkt), &v), 0);
}

static void
every_field_of_the_headers_is_carried(void **state)
{
	static const struct vmbus_icmsg want = {
		.im_pipe_type = 0x01020304,
		.im_pipe_size = 0x0506,
		.im_framework = { 7, 8 },
		.im_type = 9,
		.im_version = { 10, 11 },
		.im_size = 12,
		.im_status = 0x0d0e0f10,
		.im_xid = 17,
		.im_flags = 18,
		.im_len = VMBUS_ICMSG_HDRS_LEN,
	};
	struct vmbus_icmsg im;
	uint8_t pkt[VMBUS_ICMSG_HDRS_LEN];

	(void)state;
	vmbus_icmsg_encode(pkt, &want);
	memset(&im, 0, sizeof(im));
	assert_int_equal(vmbus_icmsg_decode(pkt, sizeof(pkt), &im), 0);
	assert_memory_equal(&im, &want, sizeof(im));
}

/* The neighbours of both lists would match if they were looked at. */
static void
neither_list_of_versions_is_read_beyond_its_end(void **state)
{
	static const struct vmbus_icmsg_version fw[] = { { 1, 0 }, { 3, 0 } };
	static const struct vmbus_icmsg_version ms[] = { { 5, 0 } };
	struct vmbus_icmsg_versions few = { fw, ms, 1, 1 };
	struct vmbus_icmsg_agreed agreed;
	uint8_t *pkt;

	(void)state;
	/* Ours has one framework, and behind it the one that is offered. */
	pkt = negotiate(1, 1, 44);
	vmbus_icmsg_put16(pkt + 36, 3);
	vmbus_icmsg_put16(pkt + 38, 0);
	vmbus_icmsg_put16(pkt + 40, 5);
	vmbus_icmsg_put16(pkt + 42, 0);
	assert_int_equal(vmbus_icmsg_negotiate(pkt, 44, &few, &agreed), 0);
	assert_int_equal(vmbus_icmsg_get16(pkt + 28), 0);
	free(pkt);
	/* It offers no framework of ours, and behind it such a message. */
	pkt = negotiate(1, 1, 44);
	vmbus_icmsg_put16(pkt + 36, 9);
	vmbus_icmsg_put16(pkt + 38, 0);
	vmbus_icmsg_put16(pkt + 40, 1);
	vmbus_icmsg_put16(pkt + 42, 0);
	few.ivs_message = fw;
	assert_int_equal(vmbus_icmsg_negotiate(pkt, 44, &few, &agreed), 0);
	assert_int_equal(vmbus_icmsg_get16(pkt + 28), 0);
	free(pkt);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(integers_are_little_endian_at_any_alignment),
		cmocka_unit_test(
		    the_headers_of_the_examples_decode_and_encode_to_the_same),
		cmocka_unit_test(headers_that_are_not_whole_are_refused),
		cmocka_unit_test(
		    the_pipe_header_can_shorten_a_packet_but_not_lengthen_it),
		cmocka_unit_test(a_reply_changes_status_and_flags_alone),
		cmocka_unit_test(the_host_offers_its_versions_ascending),
		cmocka_unit_test(
		    the_guest_answers_negotiate_in_place_and_at_full_length),
		cmocka_unit_test(
		    the_host_reads_the_tight_and_the_echoed_answer),
		cmocka_unit_test(
		    the_guest_takes_the_first_of_its_own_that_is_offered_exactly),
		cmocka_unit_test(
		    counts_of_none_or_beyond_the_packet_are_answered_with_failure),
		cmocka_unit_test(the_pipe_header_bounds_the_counts_too),
		cmocka_unit_test(
		    what_is_not_a_whole_negotiate_is_left_untouched),
		cmocka_unit_test(the_host_refuses_answers_that_are_none),
		cmocka_unit_test(an_offer_may_fill_a_packet_and_no_more),
		cmocka_unit_test(every_field_of_the_headers_is_carried),
		cmocka_unit_test(
		    neither_list_of_versions_is_read_beyond_its_end),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
