/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/*
 * Unit tests of core/vss_wire.c, and of the device interface's layout, with the
 * worked examples of PROTOCOL.md.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>
#include <dev/hyperv/hv_snapshot.h>

#include "dumps.h"
#include "vss_wire.h"

_Static_assert(sizeof(struct hv_vss_opt_msg) == 64, "size");
_Static_assert(offsetof(struct hv_vss_opt_msg, opt) == 0, "opt");
_Static_assert(offsetof(struct hv_vss_opt_msg, status) == 4, "status");
_Static_assert(offsetof(struct hv_vss_opt_msg, msgid) == 8, "msgid");
_Static_assert(offsetof(struct hv_vss_opt_msg, reserved) == 16, "reserved");
#ifdef __linux__
_Static_assert(IOCHVVSSREAD == 0x80407602, "READ");
_Static_assert(IOCHVVSSWRITE == 0x40407603, "WRITE");
#else
_Static_assert(IOCHVVSSREAD == 0x40407602, "READ");
_Static_assert(IOCHVVSSWRITE == 0x80407603, "WRITE");
#endif

static const struct vmbus_icmsg_agreed agreed = { { 3, 0 }, { 5, 0 } };

static const uint8_t scsi_guid[16] = { 0x1a, 0x78, 0xb3, 0xf8, 0x82, 0x1e, 0x18,
	0x48, 0xa1, 0xc3, 0x63, 0xd8, 0x06, 0xec, 0x15, 0xbb };

/* A request of this operation with a body of claim bytes in a len packet. */
static uint8_t *
request(uint8_t op, uint32_t claim, uint32_t len)
{
	uint8_t *p;

	p = calloc(1, len);
	assert_non_null(p);
	memcpy(p, dump_check_request + DUMP_PAYLOAD, 28);
	vmbus_icmsg_put32(p + VMBUS_ICMSG_O_PIPE_SIZE, len - 8);
	vmbus_icmsg_put16(p + VMBUS_ICMSG_O_SIZE, (uint16_t)claim);
	if (len > 28)
		p[28] = op;
	return (p);
}

static int
decode(const uint8_t *pkt, uint32_t len, struct vss_wire_request *wr)
{
	struct vmbus_icmsg im;

	assert_int_equal(vmbus_icmsg_decode(pkt, len, &im), 0);
	return (vss_wire_decode(pkt, len, &im, wr));
}

/* The decode of a request with these body length and LUN count. */
static int
decode_counted(
    uint8_t op, uint32_t body, uint32_t nluns, struct vss_wire_request *wr)
{
	uint8_t *pkt;
	int error;

	pkt = request(op, body, 28 + body);
	vmbus_icmsg_put32(pkt + 44, nluns);
	error = decode(pkt, 28 + body, wr);
	free(pkt);
	return (error);
}

static void
the_example_requests_decode_and_encode_to_the_same(void **state)
{
	static const struct {
		const uint8_t *bytes;
		uint8_t op;
	} cases[] = { { dump_check_request, VSS_WIRE_CHECK_HOT_BACKUP },
		{ dump_freeze_request, VSS_WIRE_FREEZE } };
	struct vss_wire_request wr;
	uint8_t out[40];
	uint32_t i;

	(void)state;
	for (i = 0; i < VSS_NELEM(cases); i++) {
		assert_int_equal(
		    decode(cases[i].bytes + DUMP_PAYLOAD, 40, &wr), 0);
		assert_int_equal(wr.wr_op, cases[i].op);
		assert_int_equal(wr.wr_form, VSS_WIRE_SHORT);
		assert_int_equal(wr.wr_flags, 0);
		assert_int_equal(wr.wr_nluns, 0);
		memset(out, 0xaa, sizeof(out));
		assert_int_equal(
		    vss_wire_encode(out, sizeof(out), &agreed, &wr, NULL), 40);
		assert_memory_equal(out, cases[i].bytes + DUMP_PAYLOAD, 40);
	}
	assert_int_equal(vss_wire_encode(out, 39, &agreed, &wr, NULL), 0);
}

static void
the_answer_to_check_says_no_auto_recovery(void **state)
{
	uint8_t pkt[40];

	(void)state;
	memcpy(pkt, dump_check_request + DUMP_PAYLOAD, 40);
	vmbus_icmsg_reply(pkt, VMBUS_ICMSG_S_OK);
	vss_wire_put_flags(pkt, VSS_WIRE_NO_AUTO_RECOVERY);
	assert_memory_equal(pkt, dump_check_reply + DUMP_PAYLOAD, 40);
	assert_int_equal(vss_wire_get_flags(pkt), 5);
}

static void
a_lun_list_encodes_and_decodes_as_the_example(void **state)
{
	struct vss_wire_request in, out;
	struct vss_wire_lun lun, back;
	static uint8_t pkt[VMBUS_ICMSG_PKT_MAX];
	uint32_t len;

	(void)state;
	memset(&in, 0, sizeof(in));
	in.wr_op = VSS_WIRE_FREEZE;
	in.wr_form = VSS_WIRE_MESSAGE2;
	in.wr_nluns = 1;
	memset(&lun, 0, sizeof(lun));
	memcpy(lun.wl_controller, scsi_guid, 16);
	lun.wl_lun = 3;
	memset(pkt, 0xaa, sizeof(pkt));
	len = vss_wire_encode(pkt, sizeof(pkt), &agreed, &in, &lun);
	assert_int_equal(len, 28 + 6260);
	assert_memory_equal(pkt + 28, dump_lun_body, sizeof(dump_lun_body));
	assert_int_equal(decode(pkt, len, &out), 0);
	assert_memory_equal(&in, &out, sizeof(in));
	vss_wire_lun(pkt, 0, &back);
	assert_memory_equal(&lun, &back, sizeof(lun));
	assert_ptr_equal(vss_wire_luns(pkt), pkt + 48);
	assert_int_equal(vss_wire_encode(pkt, len - 1, &agreed, &in, &lun), 0);
}

static void
the_largest_list_keeps_every_lun_in_its_place(void **state)
{
	static struct vss_wire_lun luns[2 * VSS_WIRE_LUN_MAX];
	struct vss_wire_request in, out;
	struct vss_wire_lun back;
	uint8_t *pkt;
	uint32_t i;

	(void)state;
	for (i = 0; i < VSS_NELEM(luns); i++) {
		luns[i].wl_bus_type = (uint8_t)(i >> 8);
		memset(luns[i].wl_controller, (int)i & 0xff, 16);
		luns[i].wl_port = 1;
		luns[i].wl_target = (uint8_t)(i & 1);
		luns[i].wl_lun = (uint8_t)i;
	}
	memset(&in, 0, sizeof(in));
	in.wr_op = VSS_WIRE_AUTO_RECOVER;
	in.wr_form = VSS_WIRE_MESSAGE2EX;
	in.wr_backup_type = 7;
	in.wr_lun_flags = 0x01020304;
	in.wr_nluns = VSS_WIRE_LUN_MAX;
	pkt = malloc(28 + 12500);
	assert_non_null(pkt);
	assert_int_equal(
	    vss_wire_encode(pkt, 28 + 12500, &agreed, &in, luns), 28 + 12500);
	assert_int_equal(decode(pkt, 28 + 12500, &out), 0);
	assert_memory_equal(&in, &out, sizeof(in));
	for (i = 0; i < VSS_WIRE_LUN_MAX; i++) {
		vss_wire_lun(pkt, i, &back);
		assert_memory_equal(&luns[i], &back, sizeof(back));
		vss_wire_shadow_lun(pkt, i, &back);
		assert_memory_equal(
		    &luns[VSS_WIRE_LUN_MAX + i], &back, sizeof(back));
	}
	free(pkt);
}

static void
more_luns_than_260_are_refused(void **state)
{
	struct vss_wire_request wr;

	(void)state;
	assert_int_equal(decode_counted(VSS_WIRE_FREEZE, 6260, 260, &wr), 0);
	assert_int_equal(wr.wr_nluns, 260);
	assert_int_equal(
	    decode_counted(VSS_WIRE_FREEZE, 6260, 261, &wr), EINVAL);
	assert_int_equal(wr.wr_op, VSS_WIRE_FREEZE);
	assert_int_equal(wr.wr_form, VSS_WIRE_SHORT);
	assert_int_equal(wr.wr_nluns, 0);
	assert_int_equal(
	    decode_counted(VSS_WIRE_FREEZE, 12500, UINT32_MAX, &wr), EINVAL);
	assert_int_equal(
	    decode_counted(VSS_WIRE_AUTO_RECOVER, 12500, 261, &wr), EINVAL);
}

static void
a_list_is_refused_in_a_length_that_holds_none(void **state)
{
	static const uint32_t bodies[] = { 20, 24, 32, 44, 6256, 6264, 7312,
		7320, 12496, 12504 };
	struct vss_wire_request wr;
	uint32_t i;

	(void)state;
	for (i = 0; i < VSS_NELEM(bodies); i++) {
		assert_int_equal(
		    decode_counted(VSS_WIRE_FREEZE, bodies[i], 1, &wr), EINVAL);
		assert_int_equal(
		    decode_counted(VSS_WIRE_AUTO_RECOVER, bodies[i], 1, &wr),
		    EINVAL);
		assert_int_equal(
		    decode_counted(VSS_WIRE_FREEZE, bodies[i], 0, &wr), 0);
		assert_int_equal(wr.wr_form, VSS_WIRE_SHORT);
		/* Only these two operations have lists. */
		assert_int_equal(
		    decode_counted(VSS_WIRE_THAW, bodies[i], 1, &wr), 0);
		assert_int_equal(wr.wr_form, VSS_WIRE_SHORT);
		assert_int_equal(wr.wr_nluns, 0);
	}
}

static void
a_body_that_claims_more_than_is_there_is_refused(void **state)
{
	struct vss_wire_request wr;
	uint8_t *pkt;

	(void)state;
	pkt = request(VSS_WIRE_THAW, 13, 40);
	assert_int_equal(decode(pkt, 40, &wr), EINVAL);
	assert_int_equal(wr.wr_op, VSS_WIRE_THAW);
	free(pkt);
	pkt = request(VSS_WIRE_FREEZE, 6260, 6287);
	assert_int_equal(decode(pkt, 6287, &wr), EINVAL);
	free(pkt);
	/* The ring's padding is not part of the message. */
	pkt = request(VSS_WIRE_THAW, 20, 48);
	vmbus_icmsg_put32(pkt + VMBUS_ICMSG_O_PIPE_SIZE, 39);
	assert_int_equal(decode(pkt, 48, &wr), EINVAL);
	free(pkt);
}

static void
flags_are_decoded_and_none_are_left_of_what_is_refused(void **state)
{
	struct vss_wire_request wr;
	struct vmbus_icmsg im;
	uint8_t pkt[VMBUS_ICMSG_O_BODY + 20];

	(void)state;
	memset(pkt, 0, sizeof(pkt));
	vmbus_icmsg_put32(
	    pkt + VMBUS_ICMSG_O_PIPE_SIZE, sizeof(pkt) - VMBUS_ICMSG_PIPE_LEN);
	vmbus_icmsg_put16(pkt + VMBUS_ICMSG_O_SIZE, 20);
	vss_wire_put_flags(pkt, 0x12345678);
	pkt[28] = VSS_WIRE_FREEZE;
	assert_int_equal(vmbus_icmsg_decode(pkt, sizeof(pkt), &im), 0);
	assert_int_equal(vss_wire_decode(pkt, sizeof(pkt), &im, &wr), 0);
	assert_int_equal(wr.wr_flags, 0x12345678);
	assert_int_equal(wr.wr_form, VSS_WIRE_SHORT);
	/* A list is claimed that this length cannot hold. */
	vmbus_icmsg_put32(pkt + 44, 1);
	assert_int_equal(vss_wire_decode(pkt, sizeof(pkt), &im, &wr), EINVAL);
	assert_int_equal(wr.wr_flags, 0);
	assert_int_equal(wr.wr_form, VSS_WIRE_SHORT);
	assert_int_equal(wr.wr_nluns, 0);
}

static void
an_encoded_list_ends_where_its_count_says(void **state)
{
	static const struct vss_wire_lun luns[] = { { .wl_lun = 1 },
		{ .wl_lun = 2 }, { .wl_lun = 3 }, { .wl_lun = 4 } };
	static uint8_t pkt[VMBUS_ICMSG_PKT_MAX];
	struct vss_wire_request wr = { .wr_op = VSS_WIRE_FREEZE };
	struct vss_wire_lun wl;
	uint32_t i, len;

	(void)state;
	wr.wr_flags = 5;
	len = vss_wire_encode(pkt, sizeof(pkt), &agreed, &wr, NULL);
	assert_int_equal(len, VSS_WIRE_MIN_LEN);
	assert_int_equal(vss_wire_get_flags(pkt), 5);

	wr.wr_nluns = 1;
	wr.wr_form = VSS_WIRE_MESSAGE2;
	memset(pkt, 0xaa, sizeof(pkt));
	len = vss_wire_encode(pkt, sizeof(pkt), &agreed, &wr, luns);
	assert_int_equal(len, VMBUS_ICMSG_O_BODY + VSS_WIRE_MESSAGE2_BODY);
	vss_wire_lun(pkt, 0, &wl);
	assert_int_equal(wl.wl_lun, 1);
	vss_wire_lun(pkt, 1, &wl);
	assert_int_equal(wl.wl_lun, 0);
	for (i = len; i < sizeof(pkt); i++)
		assert_int_equal(pkt[i], 0xaa);

	wr.wr_form = VSS_WIRE_MESSAGE2EX;
	(void)vss_wire_encode(pkt, sizeof(pkt), &agreed, &wr, luns);
	vss_wire_lun(pkt, 1, &wl);
	assert_int_equal(wl.wl_lun, 0);
	vss_wire_shadow_lun(pkt, 0, &wl);
	assert_int_equal(wl.wl_lun, 2);
	vss_wire_shadow_lun(pkt, 1, &wl);
	assert_int_equal(wl.wl_lun, 0);
}

static void
less_than_40_bytes_is_no_message(void **state)
{
	struct vss_wire_request wr;
	uint8_t *pkt;
	uint32_t len;

	(void)state;
	for (len = 28; len < 40; len++) {
		pkt = request(VSS_WIRE_THAW, 0, len);
		assert_int_equal(decode(pkt, len, &wr), EBADMSG);
		free(pkt);
	}
	pkt = request(VSS_WIRE_THAW, 0, 40);
	assert_int_equal(decode(pkt, 40, &wr), 0);
	vmbus_icmsg_put32(pkt + VMBUS_ICMSG_O_PIPE_SIZE, 31);
	assert_int_equal(decode(pkt, 40, &wr), EBADMSG);
	free(pkt);
}

static void
every_length_and_operation_decodes_without_a_read_beyond(void **state)
{
	struct vss_wire_request wr;
	uint8_t *pkt;
	uint32_t len, op;
	int error;

	(void)state;
	for (op = 0; op < 10; op++) {
		for (len = 28; len < 120; len++) {
			pkt = request((uint8_t)op, len - 28, len);
			error = decode(pkt, len, &wr);
			assert_int_equal(error, len < 40 ? EBADMSG : 0);
			if (error == 0)
				assert_int_equal(wr.wr_op, op);
			free(pkt);
		}
	}
}

static void
operations_have_the_names_that_hosts_use(void **state)
{
	(void)state;
	assert_string_equal(vss_wire_op_name(0), "CREATE");
	assert_string_equal(vss_wire_op_name(2), "CHECK_HOT_BACKUP");
	assert_string_equal(vss_wire_op_name(5), "FREEZE");
	assert_string_equal(
	    vss_wire_op_name(8), "QUERY_GUEST_CLUSTER_INFORMATION");
	assert_string_equal(vss_wire_op_name(9), "unknown");
	assert_string_equal(vss_wire_op_name(255), "unknown");
}

static void
the_device_structure_has_the_example_bytes(void **state)
{
	struct hv_vss_opt_msg msg;

	(void)state;
	memset(&msg, 0, sizeof(msg));
	msg.opt = HV_VSS_FREEZE;
	msg.status = VSS_SUCCESS;
	msg.msgid = 0x0102030405060708;
	assert_int_equal(sizeof(dump_device_freeze), sizeof(msg));
	assert_memory_equal(&msg, dump_device_freeze, sizeof(msg));
	memcpy(&msg, dump_device_freeze, sizeof(msg));
	assert_int_equal(msg.opt, HV_VSS_FREEZE);
	assert_int_equal(msg.status, 0);
	assert_true(msg.msgid == 0x0102030405060708);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
		    the_example_requests_decode_and_encode_to_the_same),
		cmocka_unit_test(the_answer_to_check_says_no_auto_recovery),
		cmocka_unit_test(a_lun_list_encodes_and_decodes_as_the_example),
		cmocka_unit_test(the_largest_list_keeps_every_lun_in_its_place),
		cmocka_unit_test(more_luns_than_260_are_refused),
		cmocka_unit_test(a_list_is_refused_in_a_length_that_holds_none),
		cmocka_unit_test(
		    a_body_that_claims_more_than_is_there_is_refused),
		cmocka_unit_test(
		    flags_are_decoded_and_none_are_left_of_what_is_refused),
		cmocka_unit_test(an_encoded_list_ends_where_its_count_says),
		cmocka_unit_test(less_than_40_bytes_is_no_message),
		cmocka_unit_test(
		    every_length_and_operation_decodes_without_a_read_beyond),
		cmocka_unit_test(operations_have_the_names_that_hosts_use),
		cmocka_unit_test(the_device_structure_has_the_example_bytes),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
