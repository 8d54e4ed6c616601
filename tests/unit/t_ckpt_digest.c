/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/* What becomes of an engine's trace: the checkpoints that are remembered. */

#include "ckpt_digest.h"
#include "engine_fixture.h"

static struct ckpt_digest dg;

static int
set_up(void **state)
{
	(void)setup_both(state);
	ckpt_digest_init(&dg, 42);
	ckpt_digest_clock(&dg, 5000 * S, now);
	return (0);
}

/* As the driver does in idle. */
static void
drain(void)
{
	struct vss_trace_event te;
	struct ckpt_client who;

	while (vss_trace_get(&trace, &te)) {
		memset(&who, 0, sizeof(who));
		snprintf(who.cc_name, sizeof(who.cc_name), "%s",
		    te.te_client == 1 ? "daemon" : "app");
		who.cc_daemon = te.te_client == 1;
		ckpt_digest_event(&dg, &te, te.te_client != 0 ? &who : NULL);
	}
}

static uint32_t
answered(uint64_t xid)
{
	uint32_t status = reply(xid);

	if (status != NOREPLY)
		ckpt_digest_reply(&dg, &last_reply);
	return (status);
}

static void
checked(void)
{
	uint64_t xid = send(H_CHECK);

	tick(MS);
	answer(app, CHECK, 0);
	answer(fs, CHECK, 0);
	assert_int_equal(answered(xid), 0);
}

static void
held(void)
{
	uint64_t xid = send(H_FREEZE);

	tick(2 * MS);
	answer(app, FREEZE, 0);
	tick(3 * MS);
	answer(fs, FREEZE, 0);
	assert_int_equal(answered(xid), 0);
}

static void
thaw_it(void)
{
	uint64_t xid = send(H_THAW);

	tick(MS);
	answer(fs, THAW, 0);
	tick(MS);
	answer(app, THAW, 0);
	assert_int_equal(answered(xid), 0);
}

static const struct ckpt *
last(uint64_t seq)
{
	const struct ckpt *ck;

	drain();
	assert_int_equal(dg.dg_seq, seq);
	ck = ckpt_digest_find(&dg, seq);
	assert_non_null(ck);
	return (ck);
}

/* The checkpoint of a number, which failed. */
static const struct ckpt *
failed(uint64_t seq, enum vss_engine_cause cause)
{
	const struct ckpt *ck = last(seq);

	assert_int_equal(ck->ck_outcome, CKPT_FAILED);
	assert_int_equal(ck->ck_why.er_cause, cause);
	return (ck);
}

#define assert_span(cp, at, took, what)                                        \
	do {                                                                   \
		assert_int_equal((cp)->cp_begin_ns - ck->ck_begin_ns, (at));   \
		assert_int_equal((cp)->cp_end_ns - (cp)->cp_begin_ns, (took)); \
		assert_int_equal((cp)->cp_result, (what));                     \
	} while (0)

static void
check_freeze_and_thaw_are_one_checkpoint(void **state)
{
	const struct ckpt *ck;

	(void)state;
	checked();
	drain();
	assert_int_equal(dg.dg_seq, 0);
	tick(10 * MS);
	held();
	tick(100 * MS);
	thaw_it();
	ck = last(1);
	assert_int_equal(ck->ck_run, 42);
	assert_int_equal(ck->ck_wall_ms, 5000 * 1000);
	assert_int_equal(ck->ck_outcome, CKPT_OK);
	assert_string_equal(ckpt_consistency(ck), "application");
	assert_int_equal(ck->ck_end_ns - ck->ck_begin_ns, 118 * MS);
	assert_int_equal(ckpt_hold_ns(ck), 100 * MS);
	assert_int_equal(ckpt_stall_ns(ck), 107 * MS);
	assert_span(&ck->ck_asked[CKPT_CHECK], 0, MS, CKPT_R_OK);
	assert_span(&ck->ck_asked[CKPT_FREEZE], 11 * MS, 5 * MS, CKPT_R_OK);
	assert_span(&ck->ck_asked[CKPT_THAW], 116 * MS, 2 * MS, CKPT_R_OK);
	assert_span(
	    &ck->ck_stages[CKPT_S_QUIESCE], 11 * MS, 2 * MS, CKPT_R_NONE);
	assert_int_equal(ck->ck_nclients, 2);
	assert_string_equal(ck->ck_clients[0].cc_name, "app");
	assert_span(&ck->ck_clients[0].cc_spans[CKPT_FREEZE], 11 * MS, 2 * MS,
	    CKPT_R_OK);
	assert_span(
	    &ck->ck_clients[1].cc_spans[CKPT_THAW], 116 * MS, MS, CKPT_R_OK);
	assert_int_equal(ck->ck_why.er_cause, VSS_ENGINE_CAUSE_NONE);
}

static void
a_check_without_a_freeze_is_told_when_another_comes(void **state)
{
	const struct ckpt *ck;

	(void)state;
	checked();
	checked();
	ck = last(1);
	assert_int_equal(ck->ck_outcome, CKPT_CHECKED);
	vss_engine_channel_lost(&eng, now);
	ck = last(2);
	assert_int_equal(ck->ck_outcome, CKPT_CHECKED);
}

static void
a_refused_freeze_keeps_who_refused(void **state)
{
	const struct ckpt *ck;
	uint64_t xid;

	(void)state;
	xid = send(H_FREEZE);
	vss_engine_reason(&eng, app, "no room");
	answer(app, FREEZE, 1);
	assert_int_equal(answered(xid), FAIL_S);
	ck = failed(1, VSS_ENGINE_CAUSE_REFUSED);
	assert_string_equal(ck->ck_why.er_text, "no room");
	assert_int_equal(
	    ck->ck_clients[0].cc_spans[CKPT_FREEZE].cp_result, CKPT_R_FAILED);
	assert_string_equal(ckpt_consistency(ck), "none");
}

static void
a_silent_application_is_told(void **state)
{
	const struct ckpt *ck;
	uint64_t xid;

	(void)state;
	xid = send(H_FREEZE);
	(void)get(app, FREEZE);
	tick(10 * S);
	assert_int_equal(answered(xid), FAIL_S);
	answer(app, THAW, 0);
	ck = failed(1, VSS_ENGINE_CAUSE_SILENT);
	assert_int_equal(
	    ck->ck_clients[0].cc_spans[CKPT_FREEZE].cp_result, CKPT_R_SILENT);
}

static void
a_lost_hold_is_lost_and_the_late_thaw_is_no_checkpoint(void **state)
{
	const struct ckpt *ck;
	uint64_t xid;

	(void)state;
	held();
	tick(61 * S);
	ckpt_digest_lost(&dg, &eng.e_lost_why);
	answer(fs, THAW, 0);
	answer(app, THAW, 0);
	ck = last(1);
	assert_int_equal(ck->ck_outcome, CKPT_LOST);
	assert_int_equal(ck->ck_why.er_cause, VSS_ENGINE_CAUSE_HOLD_EXPIRED);
	xid = send(H_THAW);
	assert_int_equal(answered(xid), FAIL_S);
	(void)last(1);
}

static void
a_request_that_comes_meanwhile_is_a_failure_of_its_own(void **state)
{
	const struct ckpt *ck;
	uint64_t xid;

	(void)state;
	held();
	xid = send(H_CHECK);
	assert_int_equal(answered(xid), FAIL_S);
	ck = failed(1, VSS_ENGINE_CAUSE_BUSY);
	thaw_it();
	ck = last(2);
	assert_int_equal(ck->ck_outcome, CKPT_OK);
}

static void
without_a_daemon_a_check_is_a_failure(void **state)
{
	const struct ckpt *ck;
	uint64_t xid;

	(void)state;
	close_it(fs);
	xid = send(H_CHECK);
	assert_int_equal(answered(xid), FAIL_S);
	ck = last(1);
	assert_int_equal(ck->ck_why.er_cause, VSS_ENGINE_CAUSE_NO_DAEMON);
}

static void
a_check_that_freeze_overtook_spoils_nothing(void **state)
{
	const struct ckpt *ck;
	uint64_t check, xid;

	(void)state;
	check = send(H_CHECK);
	xid = send(H_FREEZE);
	assert_int_equal(answered(check), FAIL_S);
	answer(app, FREEZE, 0);
	answer(fs, FREEZE, 0);
	assert_int_equal(answered(xid), 0);
	thaw_it();
	ck = last(1);
	assert_int_equal(ck->ck_outcome, CKPT_OK);
	assert_int_equal(ck->ck_why.er_cause, VSS_ENGINE_CAUSE_NONE);
}

static void
a_channel_that_goes_away_ends_it(void **state)
{
	(void)state;
	(void)send(H_FREEZE);
	vss_engine_channel_lost(&eng, now);
	(void)failed(1, VSS_ENGINE_CAUSE_CHANNEL_LOST);
}

static void
who_closes_instead_of_answering_is_gone(void **state)
{
	const struct ckpt *ck;
	uint64_t xid;

	(void)state;
	xid = send(H_FREEZE);
	(void)get(app, FREEZE);
	close_it(app);
	assert_int_equal(answered(xid), FAIL_S);
	ck = last(1);
	assert_int_equal(
	    ck->ck_clients[0].cc_spans[CKPT_FREEZE].cp_result, CKPT_R_GONE);
	assert_int_equal(ck->ck_why.er_cause, VSS_ENGINE_CAUSE_CLOSED);
}

static void
only_the_last_ones_are_remembered(void **state)
{
	(void)state;
	for (int i = 0; i < CKPT_KEEP + 3; i++) {
		held();
		thaw_it();
		drain();
	}
	assert_int_equal(dg.dg_seq, CKPT_KEEP + 3);
	assert_int_equal(ckpt_digest_first(&dg), 4);
	assert_null(ckpt_digest_find(&dg, 3));
	assert_int_equal(ckpt_digest_find(&dg, 4)->ck_seq, 4);
	assert_null(ckpt_digest_find(&dg, CKPT_KEEP + 4));
}

static void
more_clients_than_there_is_room_for_are_counted(void **state)
{
	const struct ckpt *ck;

	(void)state;
	conf.ec_max_clients = 200;
	start();
	fs = open_fs();
	for (int i = 0; i < 150; i++)
		(void)open_app();
	(void)send(H_FREEZE);
	vss_engine_channel_lost(&eng, now);
	ck = last(1);
	assert_int_equal(ck->ck_nclients, CKPT_CLIENTS_MAX);
	assert_int_equal(ck->ck_nleft, 150 - CKPT_CLIENTS_MAX);
}

static void
its_json_reads_back_the_same(void **state)
{
	static char text[65536], again[65536];
	static struct ckpt copy;
	const struct ckpt *ck;
	struct json_out jo;

	(void)state;
	checked();
	held();
	tick(61 * S);
	ckpt_digest_lost(&dg, &eng.e_lost_why);
	answer(fs, THAW, 0);
	answer(app, THAW, 0);
	ck = last(1);
	json_out_init(&jo, text, sizeof(text));
	ckpt_json(&jo, ck);
	assert_false(jo.jo_full);
	assert_true(jo.jo_len < ckpt_json_max(ck));
	assert_true(ckpt_parse(&copy, text, jo.jo_len));
	json_out_init(&jo, again, sizeof(again));
	ckpt_json(&jo, &copy);
	assert_string_equal(text, again);
	ckpt_free(&copy);
	assert_false(ckpt_parse(&copy, "{}", 2));
	assert_false(ckpt_parse(&copy, "{\"seq\":1", 8));
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup(name, set_up)
		T(check_freeze_and_thaw_are_one_checkpoint),
		T(a_check_without_a_freeze_is_told_when_another_comes),
		T(a_refused_freeze_keeps_who_refused),
		T(a_silent_application_is_told),
		T(a_lost_hold_is_lost_and_the_late_thaw_is_no_checkpoint),
		T(a_request_that_comes_meanwhile_is_a_failure_of_its_own),
		T(without_a_daemon_a_check_is_a_failure),
		T(a_check_that_freeze_overtook_spoils_nothing),
		T(a_channel_that_goes_away_ends_it),
		T(who_closes_instead_of_answering_is_gone),
		T(only_the_last_ones_are_remembered),
		T(more_clients_than_there_is_room_for_are_counted),
		T(its_json_reads_back_the_same),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
