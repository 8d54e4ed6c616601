/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/*
 * The state machine: what each request does in each state, the order of stages
 * and levels; LOST and limits are in t_stage_lost.c.  Virtual time, no file
 * system.
 */

#include "engine_fixture.h"

/*
 * Each state is reached the way it is reached in life; then the pair's request
 * comes.  xid of the request under way is left in cur, 0 when there is none.
 */
static uint64_t cur;

static void
reach(enum vss_engine_state st)
{
	uint64_t xid;

	vss_engine_conf_default(&conf);
	start();
	fs = open_fs();
	app = open_level(10, true);
	cur = 0;
	switch (st) {
	case VSS_ENGINE_IDLE:
		break;
	case VSS_ENGINE_APPS_CHECKING:
		cur = send(H_CHECK);
		break;
	case VSS_ENGINE_FS_CHECKING:
		cur = send(H_CHECK);
		answer(app, CHECK, 0);
		break;
	case VSS_ENGINE_PREPARING:
		cur = send(H_FREEZE);
		break;
	case VSS_ENGINE_APPS_QUIESCING:
		cur = send(H_FREEZE);
		answer(app, PREPARE, 0);
		break;
	case VSS_ENGINE_FS_FREEZING:
		cur = send(H_FREEZE);
		answer(app, PREPARE, 0);
		answer(app, FREEZE, 0);
		(void)get(fs, FREEZE);
		break;
	case VSS_ENGINE_HOLDING:
	case VSS_ENGINE_FS_THAWING:
	case VSS_ENGINE_APPS_RESUMING:
		xid = send(H_FREEZE);
		answer(app, PREPARE, 0);
		answer(app, FREEZE, 0);
		answer(fs, FREEZE, 0);
		assert_ok(xid);
		if (st == VSS_ENGINE_HOLDING)
			break;
		cur = send(H_THAW);
		if (st == VSS_ENGINE_APPS_RESUMING)
			answer(fs, THAW, 0);
		break;
	case VSS_ENGINE_UNDO_FS_THAWING:
	case VSS_ENGINE_UNDO_APPS_RESUMING:
		xid = send(H_FREEZE);
		answer(app, PREPARE, 0);
		answer(app, FREEZE, 0);
		(void)get(fs, FREEZE);
		tick(10 * S);
		assert_fail(xid);
		if (st == VSS_ENGINE_UNDO_APPS_RESUMING)
			answer(fs, THAW, 0);
		break;
	case VSS_ENGINE_NSTATES:
	default:
		fail();
	}
	assert_state(vss_engine_state_name(st));
	assert_silence();
}

static void
every_state_is_reached(void **state)
{
	uint32_t st;

	(void)state;
	for (st = 0; st < VSS_ENGINE_NSTATES; st++)
		reach(st);
}

static void
check_in_idle_asks_apps_then_fs(void **state)
{
	uint64_t xid;

	(void)state;
	reach(VSS_ENGINE_IDLE);
	xid = send(H_CHECK);
	assert_false(readable(fs));
	answer(app, CHECK, 0);
	answer(fs, CHECK, 0);
	assert_ok(xid);
	assert_int_equal(
	    vss_wire_get_flags(last_reply.ey_pkt), VSS_WIRE_NO_AUTO_RECOVERY);
	assert_state("IDLE");
}

static void
check_elsewhere_is_refused_and_disturbs_nothing(void **state)
{
	static const enum vss_engine_state sts[] = { VSS_ENGINE_APPS_CHECKING,
		VSS_ENGINE_FS_CHECKING, VSS_ENGINE_PREPARING,
		VSS_ENGINE_APPS_QUIESCING, VSS_ENGINE_FS_FREEZING,
		VSS_ENGINE_HOLDING, VSS_ENGINE_FS_THAWING,
		VSS_ENGINE_APPS_RESUMING };
	uint32_t i;

	(void)state;
	for (i = 0; i < VSS_NELEM(sts); i++) {
		reach(sts[i]);
		assert_fail(send(H_CHECK));
		assert_cause(BUSY);
		assert_state(vss_engine_state_name(sts[i]));
		assert_silence();
	}
}

static void
freeze_in_freezing_holding_thawing_is_refused(void **state)
{
	static const enum vss_engine_state sts[] = { VSS_ENGINE_PREPARING,
		VSS_ENGINE_APPS_QUIESCING, VSS_ENGINE_FS_FREEZING,
		VSS_ENGINE_HOLDING, VSS_ENGINE_FS_THAWING,
		VSS_ENGINE_APPS_RESUMING };
	uint32_t i;

	(void)state;
	for (i = 0; i < VSS_NELEM(sts); i++) {
		reach(sts[i]);
		assert_fail(send(H_FREEZE));
		assert_cause(BUSY);
		assert_state(vss_engine_state_name(sts[i]));
		assert_silence();
	}
}

static void
freeze_in_checking_overtakes_the_check(void **state)
{
	uint64_t id, xid;
	uint32_t i;

	(void)state;
	for (i = 0; i < 2; i++) {
		reach(
		    i == 0 ? VSS_ENGINE_APPS_CHECKING : VSS_ENGINE_FS_CHECKING);
		id = i == 0 ? get(app, CHECK) : 0;
		xid = send(H_FREEZE);
		assert_fail(cur);
		assert_cause(OVERTAKEN);
		assert_state("PREPARING");
		/* The late answer to CHECK is ignored, also a refusal. */
		if (i == 0)
			assert_int_equal(put(app, CHECK, id, 1), 0);
		answer(app, PREPARE, 0);
		answer(app, FREEZE, 0);
		answer(fs, FREEZE, 0);
		assert_ok(xid);
	}
}

static void
thaw_in_idle_and_checking_is_ok_and_check_goes_on(void **state)
{
	(void)state;
	reach(VSS_ENGINE_IDLE);
	assert_ok(send(H_THAW));
	reach(VSS_ENGINE_APPS_CHECKING);
	assert_ok(send(H_THAW));
	answer(app, CHECK, 0);
	assert_ok(send(H_THAW));
	answer(fs, CHECK, 0);
	assert_ok(cur);
}

static void
thaw_in_freezing_fails_the_freeze_and_waits_for_the_undo(void **state)
{
	uint64_t xid;

	(void)state;
	reach(VSS_ENGINE_PREPARING);
	xid = send(H_THAW);
	assert_fail(cur);
	assert_cause(OVERTAKEN);
	assert_ok(xid); /* nobody owes anything: the undo is over at once */
	assert_state("IDLE");

	reach(VSS_ENGINE_FS_FREEZING);
	xid = send(H_THAW);
	assert_fail(cur);
	assert_silence();
	answer(fs, THAW, 0);
	assert_silence();
	answer(app, THAW, 0);
	assert_ok(xid);
	assert_false(lost());
	assert_state("IDLE");
}

static void
thaw_in_thawing_gets_the_first_ones_result(void **state)
{
	uint64_t xid;

	(void)state;
	reach(VSS_ENGINE_FS_THAWING);
	xid = send(H_THAW);
	assert_silence();
	answer(fs, THAW, 0);
	answer(app, THAW, 0);
	assert_ok(cur);
	assert_ok(xid);

	reach(VSS_ENGINE_APPS_RESUMING);
	xid = send(H_THAW);
	answer(app, THAW, 1);
	assert_fail(cur);
	assert_fail(xid);
	assert_true(lost());
}

static void
joined_thaws_leave_room_for_negotiate(void **state)
{
	uint64_t xid;
	uint32_t i, refused;

	(void)state;
	reach(VSS_ENGINE_FS_THAWING);
	for (i = refused = 0; i < 40; i++) {
		xid = send(H_THAW);
		if (vss_engine_reply(&eng, &last_reply)) {
			assert_fail(xid);
			assert_cause(QUEUE_FULL);
			refused++;
		}
	}
	assert_int_equal(refused, 40 - (VSS_ENGINE_MAX_REQUESTS - 2));
	xid = negotiate();
	assert_fail(cur);
	assert_cause(NEGOTIATED);
	for (i = 0; i < VSS_ENGINE_MAX_REQUESTS - 2; i++)
		assert_fail(cur + 1 + i);
	assert_ok(xid);
	assert_true(lost());
}

static void
negotiate_is_always_answered_behind_what_it_ends(void **state)
{
	uint32_t st;
	uint64_t xid;

	(void)state;
	for (st = 0; st < VSS_ENGINE_NSTATES; st++) {
		reach(st);
		xid = negotiate();
		if (cur != 0) {
			assert_fail(cur);
			assert_cause(NEGOTIATED);
		}
		assert_ok(xid);
		assert_true(last_reply.ey_negotiate);
		assert_int_equal(lost(),
		    st == VSS_ENGINE_HOLDING || st == VSS_ENGINE_FS_THAWING ||
			st == VSS_ENGINE_APPS_RESUMING);
	}
}

static void
negotiate_fails_what_waits(void **state)
{
	uint64_t a, b, xid;

	(void)state;
	reach(VSS_ENGINE_UNDO_FS_THAWING);
	a = send(H_CHECK);
	b = send(H_THAW);
	xid = negotiate();
	assert_fail(a);
	assert_fail(b);
	assert_ok(xid);
	assert_state("UNDO_FS_THAWING");
}

static void
a_lost_channel_answers_nothing_and_undoes(void **state)
{
	uint32_t st;

	(void)state;
	for (st = 0; st < VSS_ENGINE_NSTATES; st++) {
		reach(st);
		vss_engine_channel_lost(&eng, now);
		assert_silence();
		assert_int_equal(lost(),
		    st == VSS_ENGINE_HOLDING || st == VSS_ENGINE_FS_THAWING ||
			st == VSS_ENGINE_APPS_RESUMING);
		close_it(fs);
		close_it(app);
		assert_state("IDLE");
		assert_silence();
	}
}

static void
requests_wait_for_the_undo_in_order(void **state)
{
	uint64_t check, freeze;

	(void)state;
	reach(VSS_ENGINE_UNDO_FS_THAWING);
	check = send(H_CHECK);
	freeze = send(H_FREEZE);
	assert_silence();
	answer(fs, THAW, 0);
	answer(app, THAW, 0);
	/* As if they had just come: FREEZE overtakes CHECK and runs. */
	assert_fail(check);
	assert_cause(OVERTAKEN);
	answer(app, PREPARE, 0);
	answer(app, FREEZE, 0);
	answer(fs, FREEZE, 0);
	assert_ok(freeze);
}

static void
a_freeze_that_waits_never_runs_when_thaw_comes_behind(void **state)
{
	uint64_t freeze, thaw;

	(void)state;
	reach(VSS_ENGINE_UNDO_APPS_RESUMING);
	freeze = send(H_FREEZE);
	thaw = send(H_THAW);
	assert_fail(freeze);
	assert_cause(OVERTAKEN);
	assert_silence();
	answer(app, THAW, 0);
	assert_ok(thaw);
	assert_state("IDLE");
	assert_false(readable(app));
}

static void
a_fifth_waiting_request_fails(void **state)
{
	uint32_t i;

	(void)state;
	reach(VSS_ENGINE_UNDO_FS_THAWING);
	for (i = 0; i < VSS_ENGINE_MAX_WAITING; i++)
		(void)send(H_CHECK);
	assert_silence();
	assert_fail(send(H_CHECK));
	assert_cause(QUEUE_FULL);
}

static void
an_old_undo_fails_what_waits_and_what_comes(void **state)
{
	uint64_t thaw;

	(void)state;
	reach(VSS_ENGINE_UNDO_FS_THAWING);
	thaw = send(H_THAW);
	tick(5 * S);
	assert_fail(thaw);
	assert_cause(STUCK_UNDO);
	assert_int_equal(last_reply.ey_reason.er_kind, VSS_ENGINE_FS);
	assert_fail(send(H_FREEZE));
	assert_cause(STUCK_UNDO);
	answer(app, THAW, 0);
	assert_state("UNDO_APPS_RESUMING");
	tick(100 * S);
	assert_state("UNDO_APPS_RESUMING"); /* the daemon has not thawed */
	answer(fs, THAW, 0);
	assert_state("IDLE");
	assert_ok(send(H_THAW));
}

static void
a_waiting_request_keeps_its_own_limit(void **state)
{
	uint64_t check;

	(void)state;
	conf.ec_check_ns = 2 * S;
	start();
	fs = open_fs();
	app = open_app();
	cur = send(H_FREEZE);
	answer(app, FREEZE, 0);
	(void)get(fs, FREEZE);
	tick(10 * S);
	assert_fail(cur);
	check = send(H_CHECK);
	tick(2 * S - 1);
	assert_silence();
	tick(1);
	assert_fail(check);
}

static void
without_a_daemon_check_and_freeze_fail_at_once(void **state)
{
	(void)state;
	app = open_app();
	assert_fail(send(H_CHECK));
	assert_cause(NO_DAEMON);
	assert_fail(send(H_FREEZE));
	assert_ok(send(H_THAW));
	assert_false(readable(app));
}

static void
without_applications_file_systems_alone_are_frozen(void **state)
{
	uint64_t xid;

	(void)state;
	fs = open_fs();
	xid = send(H_FREEZE);
	answer(fs, FREEZE, 0);
	assert_ok(xid);
	assert_int_equal(last_reply.ey_napps, 0);
	thaw_ok(fs, 0);
}

static void
levels_quiesce_from_low_to_high_and_resume_back(void **state)
{
	uint32_t front, db, db2;
	uint64_t xid;

	(void)state;
	fs = open_fs();
	db = open_level(90, false);
	front = open_level(0, false);
	db2 = open_level(90, false);
	xid = send(H_FREEZE);
	assert_true(readable(front));
	assert_false(readable(db) || readable(db2) || readable(fs));
	answer(front, FREEZE, 0);
	assert_true(readable(db) && readable(db2));
	assert_false(readable(fs));
	answer(db, FREEZE, 0);
	assert_false(readable(fs));
	answer(db2, FREEZE, 0);
	answer(fs, FREEZE, 0);
	assert_ok(xid);
	assert_int_equal(last_reply.ey_napps, 3);
	xid = send(H_THAW);
	assert_false(readable(front) || readable(db));
	answer(fs, THAW, 0);
	assert_true(readable(db) && readable(db2) && !readable(front));
	answer(db, THAW, 0);
	assert_false(readable(front));
	tick(1 * S); /* a level's time on the way up */
	assert_true(readable(front));
	answer(front, THAW, 0);
	assert_silence();
	answer(db2, THAW, 0);
	assert_ok(xid);
}

static void
prepare_comes_first_to_who_asked_for_it(void **state)
{
	uint32_t plain, keen;
	uint64_t xid;

	(void)state;
	fs = open_fs();
	assert_int_equal(vss_engine_hello(&eng, fs, "", 0, true), 0);
	plain = open_app();
	keen = open_level(5, true);
	xid = send(H_FREEZE);
	assert_false(readable(plain));
	answer(keen, PREPARE, 0);
	assert_false(readable(plain));
	answer(fs, PREPARE, 0);
	answer(keen, FREEZE, 0);
	answer(plain, FREEZE, 0);
	answer(fs, FREEZE, 0);
	assert_ok(xid);
}

static void
silence_in_prepare_lets_an_application_go_but_not_the_daemon(void **state)
{
	uint64_t xid;

	(void)state;
	fs = open_fs();
	app = open_level(50, true);
	xid = send(H_FREEZE);
	(void)get(app, PREPARE);
	tick(100 * S);
	assert_state("APPS_QUIESCING");
	assert_int_equal(clients[app].cl_silences, 0);
	answer(app, FREEZE, 0);
	answer(fs, FREEZE, 0);
	assert_ok(xid);
	thaw_ok(fs, app);

	assert_int_equal(vss_engine_hello(&eng, fs, "", 0, true), 0);
	xid = send(H_FREEZE);
	answer(app, PREPARE, 0);
	tick(100 * S);
	assert_fail(xid);
	assert_cause(SILENT);
	assert_state("IDLE"); /* who saw only PREPARE gets no THAW */
	assert_false(readable(app) && readable(fs));
}

static void
a_refused_prepare_fails_the_freeze_and_is_not_undone(void **state)
{
	uint64_t xid;

	(void)state;
	fs = open_fs();
	app = open_level(50, true);
	xid = send(H_FREEZE);
	vss_engine_reason(&eng, app, "disk\tfull");
	answer(app, PREPARE, 1);
	assert_fail(xid);
	assert_cause(REFUSED);
	assert_string_equal(last_reply.ey_reason.er_text, "disk?full");
	assert_string_equal(last_reply.ey_reason.er_name, "named");
	assert_state("IDLE");
	assert_false(readable(app));
}

/* It is the base system's then, which leaves frozen what it had frozen. */
static void
a_daemon_that_knows_no_prepare_and_refused_is_sent_thaw(void **state)
{
	uint64_t xid;

	(void)state;
	fs = open_fs();
	app = open_app();
	xid = send(H_FREEZE);
	answer(app, FREEZE, 0);
	answer(fs, FREEZE, 1);
	assert_fail(xid);
	assert_state("UNDO_FS_THAWING");
	assert_false(readable(app));
	answer(fs, THAW, 1);
	answer(app, THAW, 0);
	assert_state("IDLE");

	assert_int_equal(vss_engine_hello(&eng, fs, "", 0, true), 0);
	xid = send(H_FREEZE);
	answer(fs, PREPARE, 0);
	answer(app, FREEZE, 0);
	answer(fs, FREEZE, 1);
	assert_fail(xid);
	assert_false(readable(fs));
	answer(app, THAW, 0);
	assert_state("IDLE");
}

static void
the_first_refusal_ends_check_and_the_daemon_is_not_asked(void **state)
{
	uint32_t other;
	uint64_t xid;

	(void)state;
	other = open_app();
	xid = send(H_CHECK);
	answer(app, CHECK, 1);
	assert_fail(xid);
	assert_int_equal(vss_wire_get_flags(last_reply.ey_pkt), 0);
	assert_false(readable(fs) || readable(other));
	assert_state("IDLE");
}

static void
a_refused_freeze_is_undone_for_who_acknowledged_or_may(void **state)
{
	uint32_t early, slow, unread, late;
	uint64_t id, xid;

	(void)state;
	fs = open_fs();
	early = open_level(1, false);
	app = open_level(2, false);
	slow = open_level(2, false);
	unread = open_level(2, false);
	late = open_level(3, false);
	xid = send(H_FREEZE);
	answer(early, FREEZE, 0);
	id = get(slow, FREEZE);
	answer(app, FREEZE, 1);
	assert_fail(xid);
	/* Levels up: slow first, then early; the others owe nothing. */
	assert_false(readable(app) || readable(unread) || readable(late));
	assert_false(readable(early) || readable(fs));
	assert_int_equal(put(slow, FREEZE, id, 0), 0); /* ignored */
	answer(slow, THAW, 0);
	answer(early, THAW, 1); /* a failure in an undo is ignored */
	assert_state("IDLE");
	assert_false(lost());
	assert_ok(send(H_THAW));
}

int
main(void)
{
#define T(f) cmocka_unit_test_setup(f, setup)
#define B(f) cmocka_unit_test_setup(f, setup_both)
	const struct CMUnitTest tests[] = {
		T(every_state_is_reached),
		T(check_in_idle_asks_apps_then_fs),
		T(check_elsewhere_is_refused_and_disturbs_nothing),
		T(freeze_in_freezing_holding_thawing_is_refused),
		T(freeze_in_checking_overtakes_the_check),
		T(thaw_in_idle_and_checking_is_ok_and_check_goes_on),
		T(thaw_in_freezing_fails_the_freeze_and_waits_for_the_undo),
		T(thaw_in_thawing_gets_the_first_ones_result),
		T(joined_thaws_leave_room_for_negotiate),
		T(negotiate_is_always_answered_behind_what_it_ends),
		T(negotiate_fails_what_waits),
		T(a_lost_channel_answers_nothing_and_undoes),
		T(requests_wait_for_the_undo_in_order),
		T(a_freeze_that_waits_never_runs_when_thaw_comes_behind),
		T(a_fifth_waiting_request_fails),
		T(an_old_undo_fails_what_waits_and_what_comes),
		T(a_waiting_request_keeps_its_own_limit),
		T(without_a_daemon_check_and_freeze_fail_at_once),
		T(without_applications_file_systems_alone_are_frozen),
		T(levels_quiesce_from_low_to_high_and_resume_back),
		T(prepare_comes_first_to_who_asked_for_it),
		T(silence_in_prepare_lets_an_application_go_but_not_the_daemon),
		T(a_refused_prepare_fails_the_freeze_and_is_not_undone),
		T(a_daemon_that_knows_no_prepare_and_refused_is_sent_thaw),
		B(the_first_refusal_ends_check_and_the_daemon_is_not_asked),
		T(a_refused_freeze_is_undone_for_who_acknowledged_or_may),
	};

	return (cmocka_run_group_tests_name("stage", tests, NULL, NULL));
}
