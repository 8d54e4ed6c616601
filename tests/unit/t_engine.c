/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/*
 * The engine's calls: which packets are dropped, refused, answered; who may
 * open; limits that cannot be honoured; what the caller is told to do.
 */

#include "engine_fixture.h"

/* Sends bytes as they are; true when a reply came, its status in *status. */
static bool
send_raw(const uint8_t *pkt, uint32_t len, uint32_t *status)
{
	uint8_t *buf;

	buf = vss_engine_rx_buf(&eng);
	assert_non_null(buf);
	memcpy(buf, pkt, len);
	vss_engine_rx(&eng, len, ++last_xid, now);
	if (!vss_engine_reply(&eng, &last_reply))
		return (false);
	assert_int_equal(last_reply.ey_xactid, last_xid);
	assert_int_equal(last_reply.ey_len, len);
	*status = last_reply.ey_status;
	vss_engine_sent(&eng);
	return (true);
}

/* A VSS request of op with body bytes behind the IC header. */
static uint32_t
vss_packet(uint8_t *pkt, uint8_t op, uint32_t body)
{
	memset(pkt, 0, VMBUS_ICMSG_PKT_MAX);
	vmbus_icmsg_put32(pkt + VMBUS_ICMSG_O_PIPE_TYPE, 1);
	vmbus_icmsg_put32(
	    pkt + VMBUS_ICMSG_O_PIPE_SIZE, VMBUS_ICMSG_HDR_LEN + body);
	vmbus_icmsg_put16(pkt + VMBUS_ICMSG_O_FRAMEWORK, 3);
	vmbus_icmsg_put16(pkt + VMBUS_ICMSG_O_TYPE, VMBUS_ICMSG_VSS);
	vmbus_icmsg_put16(pkt + VMBUS_ICMSG_O_VERSION, 5);
	vmbus_icmsg_put16(pkt + VMBUS_ICMSG_O_SIZE, (uint16_t)body);
	pkt[VMBUS_ICMSG_O_FLAGS] = 3;
	pkt[VMBUS_ICMSG_O_BODY] = op;
	return (VMBUS_ICMSG_HDRS_LEN + body);
}

static uint8_t pkt[VMBUS_ICMSG_PKT_MAX];

static void
operations_without_work_are_ok_and_unknown_ones_not_supported(void **state)
{
	uint32_t len, op, status;

	(void)state;
	for (op = 0; op < 256; op++) {
		if (op == H_CHECK || op == H_FREEZE || op == H_THAW)
			continue;
		len = vss_packet(pkt, (uint8_t)op, 12);
		pkt[VMBUS_ICMSG_O_BODY + 8] = 0x77;
		assert_true(send_raw(pkt, len, &status));
		assert_int_equal(
		    status, op <= 7 ? 0 : VMBUS_ICMSG_S_NOT_SUPPORTED);
		if (op > 7)
			assert_cause(NOT_SUPPORTED);
		assert_int_equal(vss_wire_get_flags(last_reply.ey_pkt),
		    op == VSS_WIRE_GET_DM_INFO ? 0 : 0x77);
		assert_int_equal(last_reply.ey_pkt[VMBUS_ICMSG_O_FLAGS], 5);
		assert_state("IDLE");
	}
}

static void
what_is_not_whole_is_dropped_and_counted(void **state)
{
	struct vss_engine_status es;
	uint32_t len, n, status;

	(void)state;
	n = 0;
	(void)vss_packet(pkt, VSS_WIRE_GET_DM_INFO, 12);
	for (len = 0; len < VSS_WIRE_MIN_LEN; len++, n++)
		assert_false(send_raw(pkt, len, &status));
	assert_true(send_raw(pkt, len, &status));
	/* Neither VSS nor NEGOTIATE. */
	vmbus_icmsg_put16(pkt + VMBUS_ICMSG_O_TYPE, VMBUS_ICMSG_SHUTDOWN);
	assert_false(send_raw(pkt, len, &status));
	vss_engine_rx_dropped(&eng, 20000, now);
	vss_engine_status(&eng, &es);
	assert_int_equal(es.es_dropped, n + 2);
	assert_int_equal(es.es_requests, 1);
}

static void
what_is_dropped_is_traced_with_its_length(void **state)
{
	struct vss_trace_event te;
	uint32_t status;

	(void)state;
	vss_trace_init(&trace, events, VSS_NELEM(events));
	now += 5;
	assert_false(send_raw(pkt, 27, &status));
	now += 5;
	vss_engine_rx_dropped(&eng, 20000, now);
	assert_true(vss_trace_get(&trace, &te));
	assert_int_equal(te.te_kind, VSS_TRACE_DROPPED);
	assert_int_equal(te.te_arg, 27);
	assert_int_equal(te.te_ns, now - 5);
	assert_true(vss_trace_get(&trace, &te));
	assert_int_equal(te.te_kind, VSS_TRACE_DROPPED);
	assert_int_equal(te.te_arg, 20000);
	assert_int_equal(te.te_id, 0);
	assert_int_equal(te.te_ns, now);
	assert_false(vss_trace_get(&trace, &te));
}

static void
what_is_whole_but_wrong_is_answered_fail_and_nothing_runs(void **state)
{
	uint32_t len, status;

	(void)state;
	fs = open_fs();
	/* A LUN count where the length has no list. */
	len = vss_packet(pkt, H_FREEZE, 44);
	vmbus_icmsg_put32(pkt + VMBUS_ICMSG_O_BODY + 16, 1);
	assert_true(send_raw(pkt, len, &status));
	assert_int_equal(status, FAIL_S);
	assert_cause(MALFORMED);
	/* More LUNs than there can be. */
	len = vss_packet(pkt, H_FREEZE, VSS_WIRE_MESSAGE2_BODY);
	vmbus_icmsg_put32(pkt + VMBUS_ICMSG_O_BODY + 16, 261);
	assert_true(send_raw(pkt, len, &status));
	assert_int_equal(status, FAIL_S);
	assert_state("IDLE");
	assert_false(readable(fs));
	/* A right one runs. */
	len = vss_packet(pkt, H_FREEZE, VSS_WIRE_MESSAGE2_BODY);
	vmbus_icmsg_put32(pkt + VMBUS_ICMSG_O_BODY + 16, 260);
	assert_false(send_raw(pkt, len, &status));
	answer(fs, FREEZE, 0);
	assert_ok(last_xid);
	assert_int_equal(last_reply.ey_len, len);
}

static void
a_malformed_negotiate_fails_and_disturbs_nothing(void **state)
{
	uint32_t len, status;

	(void)state;
	fs = open_fs();
	hold(fs, 0);
	len = vss_packet(pkt, 0, 12);
	vmbus_icmsg_put16(pkt + VMBUS_ICMSG_O_TYPE, VMBUS_ICMSG_NEGOTIATE);
	vmbus_icmsg_put16(pkt + VMBUS_ICMSG_O_BODY, 90);
	vmbus_icmsg_put16(pkt + VMBUS_ICMSG_O_BODY + 2, 90);
	assert_true(send_raw(pkt, len, &status));
	assert_int_equal(status, FAIL_S);
	assert_cause(MALFORMED);
	assert_state("HOLDING");
	assert_false(lost());
}

static void
a_negotiate_that_is_not_whole_is_dropped(void **state)
{
	struct vss_engine_status es;
	uint32_t len, status;

	(void)state;
	(void)vss_packet(pkt, 0, 8);
	vmbus_icmsg_put16(pkt + VMBUS_ICMSG_O_TYPE, VMBUS_ICMSG_NEGOTIATE);
	/* It has headers, and ends within its counts of versions. */
	for (len = VMBUS_ICMSG_HDRS_LEN; len < 36; len++)
		assert_false(send_raw(pkt, len, &status));
	vss_engine_status(&eng, &es);
	assert_int_equal(es.es_dropped, 36 - VMBUS_ICMSG_HDRS_LEN);
	assert_int_equal(es.es_requests, 0);
	assert_true(send_raw(pkt, len, &status));
	assert_int_equal(status, FAIL_S);
}

static void
negotiation_chooses_what_both_know(void **state)
{
	static const struct vmbus_icmsg_version fw[] = { { 1, 0 }, { 3, 0 } };
	static const struct vmbus_icmsg_version ms[] = { { 7, 0 }, { 6, 0 },
		{ 5, 0 } };
	struct vmbus_icmsg_versions v = { fw, ms, 2, 3 };
	struct vmbus_icmsg_agreed agreed;
	uint32_t len, status;

	(void)state;
	len = vmbus_icmsg_offer(pkt, sizeof(pkt), &v);
	assert_true(send_raw(pkt, len, &status));
	assert_int_equal(status, 0);
	assert_int_equal(
	    vmbus_icmsg_answer(last_reply.ey_pkt, last_reply.ey_len, &agreed),
	    0);
	assert_int_equal(agreed.ia_framework.iv_major, 3);
	assert_int_equal(agreed.ia_message.iv_major, 5);

	v.ivs_framework = ms;
	len = vmbus_icmsg_offer(pkt, sizeof(pkt), &v);
	assert_true(send_raw(pkt, len, &status));
	assert_int_equal(
	    vmbus_icmsg_answer(last_reply.ey_pkt, last_reply.ey_len, &agreed),
	    ENOTSUP);
	v.ivs_framework = fw;

	conf.ec_later_versions = true;
	start();
	len = vmbus_icmsg_offer(pkt, sizeof(pkt), &v);
	assert_true(send_raw(pkt, len, &status));
	assert_int_equal(
	    vmbus_icmsg_answer(last_reply.ey_pkt, last_reply.ey_len, &agreed),
	    0);
	assert_int_equal(agreed.ia_message.iv_major, 7);

	conf.ec_later_versions = false;
	start();
	v.ivs_nmessage = 2;
	len = vmbus_icmsg_offer(pkt, sizeof(pkt), &v);
	assert_true(send_raw(pkt, len, &status));
	assert_int_equal(
	    vmbus_icmsg_answer(last_reply.ey_pkt, last_reply.ey_len, &agreed),
	    ENOTSUP);
}

static void
a_later_packet_does_not_change_an_earlier_ones_reply(void **state)
{
	uint32_t len, status;
	uint64_t xid;

	(void)state;
	fs = open_fs();
	len = vss_packet(pkt, H_CHECK, 100);
	memset(pkt + VMBUS_ICMSG_O_BODY + 12, 0xaa, 88);
	assert_false(send_raw(pkt, len, &status));
	xid = last_xid;
	len = vss_packet(pkt, VSS_WIRE_GET_DM_INFO, 200);
	memset(pkt + VMBUS_ICMSG_O_BODY + 12, 0xbb, 188);
	assert_true(send_raw(pkt, len, &status));
	answer(fs, CHECK, 0);
	assert_ok(xid);
	assert_int_equal(last_reply.ey_len, 128);
	assert_int_equal(last_reply.ey_pkt[VMBUS_ICMSG_O_BODY + 12], 0xaa);
	assert_int_equal(last_reply.ey_pkt[127], 0xaa);
}

static void
replies_that_find_no_room_stop_the_reading_and_none_is_lost(void **state)
{
	uint32_t i;

	(void)state;
	for (i = 0; i < VSS_ENGINE_MAX_REQUESTS; i++)
		(void)send(H_THAW);
	assert_null(vss_engine_rx_buf(&eng));
	for (i = 0; i < VSS_ENGINE_MAX_REQUESTS; i++)
		assert_ok(i + 1);
	assert_silence();
	assert_non_null(vss_engine_rx_buf(&eng));
}

/* A reply waits for room when the channel goes away. */
static void
lose_the_channel_with_a_reply(void)
{
	(void)send(VSS_WIRE_GET_DM_INFO);
	vss_engine_channel_lost(&eng, now);
	assert_silence();
	vss_engine_channel_opened(&eng, now);
	assert_silence();
	assert_int_equal(vss_request_count(&eng.e_requests, VSS_REQUEST_FREE),
	    VSS_ENGINE_MAX_REQUESTS);
}

static void
replies_that_were_not_sent_go_with_their_channel(void **state)
{

	(void)state;
	lose_the_channel_with_a_reply();
	fs = open_fs();
	hold(fs, 0);
	lose_the_channel_with_a_reply();
	assert_state("UNDO_FS_THAWING");
	lose_the_channel_with_a_reply();
	answer(fs, THAW, 0);
	(void)send(H_CHECK);
	lose_the_channel_with_a_reply();
	assert_state("IDLE");
	(void)send(H_FREEZE);
	lose_the_channel_with_a_reply();
	assert_state("IDLE");
	hold(fs, 0);
	(void)send(H_THAW);
	lose_the_channel_with_a_reply();
	assert_state("UNDO_FS_THAWING");
}

static void
the_file_system_device_is_one_programs(void **state)
{
	uint32_t slot;

	(void)state;
	fs = open_fs();
	assert_int_equal(try_open(VSS_ENGINE_FS, 0, &slot), EBUSY);
	close_it(fs);
	(void)open_fs();
}

static void
opens_are_limited_in_all_and_for_each_user_but_root(void **state)
{
	struct vss_engine_status es;
	uint32_t i, slot;

	(void)state;
	for (i = 0; i < 16; i++)
		assert_int_equal(try_open(VSS_ENGINE_APP, 1000, &slot), 0);
	assert_int_equal(try_open(VSS_ENGINE_APP, 1000, &slot), EMFILE);
	assert_int_equal(try_open(VSS_ENGINE_APP, 1001, &slot), 0);
	for (i = 17; i < 64; i++)
		assert_int_equal(try_open(VSS_ENGINE_APP, 0, &slot), 0);
	assert_int_equal(try_open(VSS_ENGINE_APP, 0, &slot), EMFILE);
	close_it(20);
	assert_int_equal(try_open(VSS_ENGINE_APP, 0, &slot), 0);
	assert_int_equal(slot, 20);
	vss_engine_status(&eng, &es);
	assert_int_equal(es.es_turned_away, 2);
}

static void
a_serial_number_is_never_0(void **state)
{
	uint32_t slot;

	(void)state;
	eng.e_last_serial = UINT32_MAX - 1;
	assert_int_equal(try_open(VSS_ENGINE_APP, 0, &slot), 0);
	assert_int_equal(clients[slot].cl_serial, UINT32_MAX);
	assert_int_equal(try_open(VSS_ENGINE_APP, 0, &slot), 0);
	assert_int_equal(clients[slot].cl_serial, 1);
}

static void
hello_refuses_bad_names_and_levels(void **state)
{
	char name[VSS_ENGINE_NAME_MAX];
	(void)state;
	app = open_app();
	memset(name, 'x', sizeof(name));
	assert_int_equal(vss_engine_hello(&eng, app, name, 1, false), EINVAL);
	name[31] = '\0';
	assert_int_equal(vss_engine_hello(&eng, app, name, 100, false), EINVAL);
	assert_int_equal(vss_engine_hello(&eng, app, "a\n", 1, false), EINVAL);
	assert_string_equal(clients[app].cl_name, "app");
	assert_int_equal(vss_engine_hello(&eng, app, name, 99, false), 0);
	assert_string_equal(clients[app].cl_name, name);
	assert_int_equal(vss_engine_hello(&eng, app, "", 0, false), 0);
	assert_string_equal(clients[app].cl_name, name);
}

static void
who_is_notified_is_woken_once(void **state)
{
	uint32_t slot;

	(void)state;
	(void)open_fs();
	app = open_app();
	assert_false(vss_engine_wake(&eng, &slot));
	(void)send(H_CHECK);
	assert_true(vss_engine_wake(&eng, &slot));
	assert_int_equal(slot, app);
	assert_false(vss_engine_wake(&eng, &slot));
}

static void
limits_that_cannot_be_honoured_are_refused(void **state)
{
	static const struct {
		size_t off;
		uint64_t bad;
	} cases[] = {
		{ offsetof(struct vss_engine_conf, ec_check_ns), 0 },
		{ offsetof(struct vss_engine_conf, ec_hold_ns), 901 * S },
		{ offsetof(struct vss_engine_conf, ec_prepare_ns), 121 * S },
		{ offsetof(struct vss_engine_conf, ec_quiesce_ns), 121 * S },
		{ offsetof(struct vss_engine_conf, ec_fs_ns), 121 * S },
		{ offsetof(struct vss_engine_conf, ec_thaw_fs_ns), 11 * S },
	};
	uint32_t i;

	(void)state;
	for (i = 0; i < VSS_NELEM(cases); i++) {
		vss_engine_conf_default(&conf);
		memcpy((char *)&conf + cases[i].off, &cases[i].bad, 8);
		assert_int_equal(
		    vss_engine_init(&eng, &conf, clients, &trace), EINVAL);
	}
	vss_engine_conf_default(&conf);
	conf.ec_max_clients = VSS_ENGINE_MAX_CLIENTS + 1;
	assert_int_equal(vss_engine_init(&eng, &conf, clients, &trace), EINVAL);
	conf.ec_max_clients = 0;
	assert_int_equal(vss_engine_init(&eng, &conf, clients, &trace), EINVAL);
	vss_engine_conf_default(&conf);
	conf.ec_max_per_uid = 0;
	assert_int_equal(vss_engine_init(&eng, &conf, clients, &trace), EINVAL);
	vss_engine_conf_default(&conf);
}

static void
a_limit_may_be_as_long_as_what_it_is_part_of(void **state)
{
	(void)state;
	conf.ec_check_ns = conf.ec_hold_ns = conf.ec_level_ns = 900 * S;
	conf.ec_freeze_ns = conf.ec_prepare_ns = 900 * S;
	conf.ec_quiesce_ns = conf.ec_fs_ns = 900 * S;
	conf.ec_thaw_ns = conf.ec_thaw_fs_ns = 900 * S;
	conf.ec_max_clients = VSS_ENGINE_MAX_CLIENTS;
	conf.ec_max_per_uid = 1;
	assert_int_equal(vss_engine_init(&eng, &conf, clients, &trace), 0);
	conf.ec_hold_ns++;
	assert_int_equal(vss_engine_init(&eng, &conf, clients, &trace), EINVAL);
	vss_engine_conf_default(&conf);
}

static void
defaults_are_those_of_the_manual(void **state)
{
	(void)state;
	memset(&conf, 0xff, sizeof(conf));
	vss_engine_conf_default(&conf);
	assert_int_equal(conf.ec_check_ns, 10 * S);
	assert_int_equal(conf.ec_freeze_ns, 120 * S);
	assert_int_equal(conf.ec_prepare_ns, 100 * S);
	assert_int_equal(conf.ec_quiesce_ns, 10 * S);
	assert_int_equal(conf.ec_fs_ns, 10 * S);
	assert_int_equal(conf.ec_hold_ns, 60 * S);
	assert_int_equal(conf.ec_thaw_ns, 10 * S);
	assert_int_equal(conf.ec_thaw_fs_ns, 5 * S);
	assert_int_equal(conf.ec_level_ns, 1 * S);
	assert_int_equal(conf.ec_max_clients, 64);
	assert_int_equal(conf.ec_max_per_uid, 16);
	assert_false(conf.ec_besteffort || conf.ec_later_versions);
}

static void
status_says_frozen_from_the_first_freeze_to_idle(void **state)
{
	struct vss_engine_status es;

	(void)state;
	fs = open_fs();
	app = open_level(50, true);
	(void)send(H_FREEZE);
	vss_engine_status(&eng, &es);
	assert_false(es.es_frozen);
	answer(app, PREPARE, 0);
	vss_engine_status(&eng, &es);
	assert_true(es.es_frozen);
	answer(app, FREEZE, 0);
	answer(fs, FREEZE, 0);
	assert_ok(last_xid);
	thaw_ok(fs, app);
	vss_engine_status(&eng, &es);
	assert_false(es.es_frozen);
}

static void
status_says_what_was_agreed_and_counted(void **state)
{
	struct vss_engine_status es;
	uint32_t status;

	(void)state;
	(void)negotiate();
	assert_ok(last_xid);
	vss_engine_status(&eng, &es);
	assert_true(es.es_channel);
	assert_int_equal(es.es_agreed.ia_framework.iv_major, 3);
	assert_int_equal(es.es_agreed.ia_message.iv_major, 5);
	assert_int_equal(es.es_requests, 1);
	assert_int_equal(es.es_replies, 1);
	assert_false(es.es_daemon);
	fs = open_fs();
	(void)open_app();
	assert_int_equal(try_open(VSS_ENGINE_FS, 9, &status), EBUSY);
	/* It neither polled nor READ yet. */
	assert_int_equal(try_open(VSS_ENGINE_APP, 9, &status), 0);
	clients[status].cl_stale = true;
	vss_engine_status(&eng, &es);
	assert_true(es.es_daemon);
	assert_int_equal(es.es_napps, 1);
	assert_int_equal(es.es_nstale, 1);
	assert_int_equal(es.es_turned_away, 1);
	close_it(fs);
	vss_engine_channel_lost(&eng, now);
	vss_engine_status(&eng, &es);
	assert_false(es.es_daemon || es.es_channel);
	assert_int_equal(es.es_agreed.ia_framework.iv_major, 0);
	assert_int_equal(es.es_agreed.ia_message.iv_major, 0);
	assert_int_equal(es.es_dropped, 0);
}

static void
the_channels_coming_and_going_is_traced(void **state)
{
	struct vss_trace_event te;
	uint32_t i;

	(void)state;
	vss_trace_init(&trace, events, VSS_NELEM(events));
	now += 5;
	vss_engine_channel_lost(&eng, now);
	now += 5;
	vss_engine_channel_opened(&eng, now);
	for (i = 0; i < 2; i++) {
		do
			assert_true(vss_trace_get(&trace, &te));
		while (te.te_kind != VSS_TRACE_CHANNEL);
		assert_int_equal(te.te_arg, i);
		assert_int_equal(te.te_id, 0);
		assert_int_equal(te.te_ns, i == 0 ? now - 5 : now);
	}
}

/* The next event of the trace, which is of this kind and of now. */
static void
traced(enum vss_trace_kind kind)
{
	struct vss_trace_event te;

	assert_true(vss_trace_get(&trace, &te));
	assert_int_equal(te.te_kind, kind);
	assert_int_equal(te.te_ns, now);
	while (vss_trace_get(&trace, &te))
		assert_int_equal(te.te_ns, now);
	now += 7;
}

static void
what_clients_do_is_traced_when_they_do_it(void **state)
{
	uint64_t id;
	uint32_t other;

	(void)state;
	vss_trace_init(&trace, events, VSS_NELEM(events));
	now += 7;
	(void)open_fs();
	traced(VSS_TRACE_OPEN);
	assert_int_equal(try_open(VSS_ENGINE_FS, 0, &other), EBUSY);
	traced(VSS_TRACE_TURNED_AWAY);
	app = open_app();
	traced(VSS_TRACE_OPEN);
	(void)send(H_CHECK);
	traced(VSS_TRACE_REQUEST);
	id = get(app, CHECK);
	traced(VSS_TRACE_READ);
	assert_int_equal(put(app, CHECK, id, 0), 0);
	traced(VSS_TRACE_WRITE);
	close_it(app);
	traced(VSS_TRACE_CLOSE);
}

static void
a_name_may_be_of_anything_printable(void **state)
{
	(void)state;
	assert_int_equal(
	    vss_engine_hello(&eng, open_app(), "my ~app !", 0, false), 0);
	assert_int_equal(
	    vss_engine_hello(&eng, open_app(), "\x1f", 0, false), EINVAL);
	assert_int_equal(
	    vss_engine_hello(&eng, open_app(), "\x7f", 0, false), EINVAL);
}

static void
the_last_slot_is_a_client_like_any_other(void **state)
{
	struct vss_engine_status es;
	uint32_t slot;

	(void)state;
	conf.ec_max_clients = 1;
	start();
	(void)open_fs();
	app = open_app();
	assert_int_equal(app, 1);
	(void)send(H_CHECK);
	assert_true(vss_engine_wake(&eng, &slot));
	assert_int_equal(slot, app);
	vss_engine_status(&eng, &es);
	assert_int_equal(es.es_napps, 1);
}

static void
a_reason_is_for_the_next_answer_alone(void **state)
{
	(void)state;
	(void)open_fs();
	app = open_app();
	vss_engine_reason(&eng, app, "the first");
	(void)send(H_CHECK);
	answer(app, CHECK, 1);
	assert_fail(last_xid);
	assert_string_equal(last_reply.ey_reason.er_text, "the first");
	(void)send(H_CHECK);
	answer(app, CHECK, 1);
	assert_fail(last_xid);
	assert_string_equal(last_reply.ey_reason.er_text, "");
}

/* A FREEZE that names n disks, the last of them with that number. */
static void
send_list(uint32_t n, uint8_t last)
{
	static struct vss_wire_lun luns[VSS_WIRE_LUN_MAX];
	struct vmbus_icmsg_agreed agreed = { { 3, 0 }, { 5, 0 } };
	struct vss_wire_request wr = { 0 };
	uint8_t *buf;
	uint32_t len;

	wr.wr_op = H_FREEZE;
	wr.wr_form = VSS_WIRE_MESSAGE2;
	wr.wr_nluns = n;
	wr.wr_backup_type = 7;
	luns[n - 1].wl_lun = last;
	buf = vss_engine_rx_buf(&eng);
	assert_non_null(buf);
	len = vss_wire_encode(buf, VMBUS_ICMSG_PKT_MAX, &agreed, &wr, luns);
	vss_engine_rx(&eng, len, ++last_xid, now);
}

static void
the_hosts_list_of_disks_is_there_while_freeze_is_answered(void **state)
{
	struct vss_trace_event te;
	struct vss_wire_request wr;
	const uint8_t *luns;

	(void)state;
	fs = open_fs();
	app = open_app();
	assert_false(vss_engine_luns(&eng, &wr, &luns));
	(void)send(H_CHECK);
	assert_false(vss_engine_luns(&eng, &wr, &luns));
	answer(app, CHECK, 0);
	answer(fs, CHECK, 0);
	assert_ok(last_xid);
	while (vss_trace_get(&trace, &te))
		;
	send_list(260, 9);
	assert_true(vss_trace_get(&trace, &te));
	assert_int_equal(te.te_kind, VSS_TRACE_REQUEST);
	assert_int_equal(te.te_arg, H_FREEZE);
	assert_int_equal(te.te_id, last_xid);
	assert_int_equal(te.te_value, 28 + 6260);
	assert_true(vss_engine_luns(&eng, &wr, &luns));
	assert_int_equal(wr.wr_form, VSS_WIRE_MESSAGE2);
	assert_int_equal(wr.wr_backup_type, 7);
	assert_int_equal(wr.wr_nluns, 260);
	assert_int_equal(luns[259 * VSS_WIRE_LUN_LEN + 22], 9);
	answer(app, FREEZE, 0);
	assert_true(vss_engine_luns(&eng, &wr, &luns));
	answer(fs, FREEZE, 0);
	assert_false(vss_engine_luns(&eng, &wr, &luns));
	assert_ok(last_xid);
	(void)send(H_THAW);
	assert_false(vss_engine_luns(&eng, &wr, &luns));
}

static void
a_freeze_of_the_short_form_has_no_list(void **state)
{
	struct vss_wire_request wr;
	const uint8_t *luns;

	(void)state;
	(void)open_fs();
	(void)send(H_FREEZE);
	assert_true(vss_engine_luns(&eng, &wr, &luns));
	assert_int_equal(wr.wr_form, VSS_WIRE_SHORT);
	assert_int_equal(wr.wr_nluns, 0);
}

static void
names_are_known_and_others_unknown(void **state)
{
	(void)state;
	assert_string_equal(
	    vss_engine_state_name(VSS_ENGINE_HOLDING), "HOLDING");
	assert_string_equal(
	    vss_engine_state_name(VSS_ENGINE_NSTATES), "unknown");
	assert_string_equal(
	    vss_engine_event_name(VSS_ENGINE_EV_LIMIT), "LIMIT");
	assert_string_equal(
	    vss_engine_event_name(VSS_ENGINE_NEVENTS), "unknown");
	assert_string_equal(
	    vss_engine_cause_text(VSS_ENGINE_NCAUSES), "unknown");
	assert_string_equal(
	    vss_engine_cause_text(VSS_ENGINE_CAUSE_REFUSED), "refused");
}

static void
what_is_called_off_is_undone_and_the_host_is_served_next(void **state)
{
	struct vss_trace_event te;
	struct vss_engine_status es;
	uint64_t n, xid;

	(void)state;
	fs = open_fs();
	app = open_app();
	xid = negotiate();
	assert_false(vss_engine_quiet(&eng));
	assert_ok(xid);
	assert_true(vss_engine_quiet(&eng));
	(void)send(H_FREEZE);
	assert_false(vss_engine_quiet(&eng));
	answer(app, FREEZE, 0);
	answer(fs, FREEZE, 0);
	assert_false(vss_engine_quiet(&eng));
	while (vss_trace_get(&trace, &te))
		;
	now += MS;
	vss_engine_cancel(&eng, VSS_ENGINE_CAUSE_CANCELLED, now);
	assert_silence();
	assert_state("UNDO_FS_THAWING");
	for (n = 0; vss_trace_get(&trace, &te); n++)
		assert_int_equal(te.te_ns, now);
	assert_true(n > 0);
	vss_engine_status(&eng, &es);
	assert_true(es.es_channel && es.es_agreed.ia_message.iv_major == 5);
	assert_true(es.es_lost);
	assert_int_equal(eng.e_lost_why.er_cause, VSS_ENGINE_CAUSE_CANCELLED);
	/* What comes now waits, and runs when all is let go. */
	xid = send(H_FREEZE);
	answer(fs, THAW, 0);
	answer(app, THAW, 0);
	assert_state("APPS_QUIESCING");
	answer(app, FREEZE, 0);
	answer(fs, FREEZE, 0);
	assert_ok(xid);
	thaw_ok(fs, app);
	assert_true(vss_engine_quiet(&eng));
	vss_engine_cancel(&eng, VSS_ENGINE_CAUSE_CANCELLED, now);
	assert_state("IDLE");
}

int
main(void)
{
#define T(f) cmocka_unit_test_setup(f, setup)
	const struct CMUnitTest tests[] = {
		T(operations_without_work_are_ok_and_unknown_ones_not_supported),
		T(what_is_not_whole_is_dropped_and_counted),
		T(what_is_dropped_is_traced_with_its_length),
		T(what_is_whole_but_wrong_is_answered_fail_and_nothing_runs),
		T(a_malformed_negotiate_fails_and_disturbs_nothing),
		T(a_negotiate_that_is_not_whole_is_dropped),
		T(negotiation_chooses_what_both_know),
		T(a_later_packet_does_not_change_an_earlier_ones_reply),
		T(replies_that_find_no_room_stop_the_reading_and_none_is_lost),
		T(replies_that_were_not_sent_go_with_their_channel),
		T(the_file_system_device_is_one_programs),
		T(opens_are_limited_in_all_and_for_each_user_but_root),
		T(a_serial_number_is_never_0),
		T(hello_refuses_bad_names_and_levels),
		T(who_is_notified_is_woken_once),
		T(limits_that_cannot_be_honoured_are_refused),
		T(a_limit_may_be_as_long_as_what_it_is_part_of),
		T(defaults_are_those_of_the_manual),
		T(status_says_frozen_from_the_first_freeze_to_idle),
		T(status_says_what_was_agreed_and_counted),
		T(the_channels_coming_and_going_is_traced),
		T(what_clients_do_is_traced_when_they_do_it),
		T(a_name_may_be_of_anything_printable),
		T(the_last_slot_is_a_client_like_any_other),
		T(a_reason_is_for_the_next_answer_alone),
		T(the_hosts_list_of_disks_is_there_while_freeze_is_answered),
		T(a_freeze_of_the_short_form_has_no_list),
		T(names_are_known_and_others_unknown),
		T(what_is_called_off_is_undone_and_the_host_is_served_next),
	};

	return (cmocka_run_group_tests_name("engine", tests, NULL, NULL));
}
