/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/*
 * The state machine: what makes a hold LOST and what clears that, and what
 * happens when a limit passes.  Virtual time, no file system.
 */

#include "engine_fixture.h"

static void
hold_expiry_is_lost_and_sticky(void **state)
{
	uint64_t xid;

	(void)state;
	hold(fs, app);
	tick(60 * S);
	assert_true(lost());
	xid = send(H_THAW);
	answer(fs, THAW, 0);
	answer(app, THAW, 0);
	assert_fail(xid);
	assert_cause(HOLD_EXPIRED);
	assert_fail(send(H_THAW));
	assert_fail(send(H_THAW));
	close_it(fs); /* re-opening does not clear it */
	fs = open_fs();
	assert_fail(send(H_THAW));
	assert_ok(send(H_COMPLETE));
	assert_ok(send(H_THAW));
}

static void
lost_is_cleared_when_a_freeze_begins(void **state)
{
	(void)state;
	hold(fs, app);
	tick(60 * S);
	answer(fs, THAW, 0);
	answer(app, THAW, 0);
	assert_true(lost());
	hold(fs, app);
	assert_false(lost());
	thaw_ok(fs, app);
}

static void
backup_complete_clears_lost_in_idle_alone(void **state)
{
	(void)state;
	hold(fs, app);
	close_it(app);
	assert_true(lost());
	assert_ok(send(H_COMPLETE));
	assert_true(lost());
	answer(fs, THAW, 0);
	assert_state("IDLE");
	assert_ok(send(H_COMPLETE));
	assert_false(lost());
}

/* Ways to break a hold while it lasts. */
static void
could_not_stay_quiesced_is_lost_and_undone(void **state)
{
	uint64_t id, xid;

	(void)state;
	xid = send(H_FREEZE);
	id = answer(app, FREEZE, 0);
	answer(fs, FREEZE, 0);
	assert_ok(xid);
	vss_engine_reason(&eng, app, "power cut");
	assert_int_equal(put(app, FREEZE, id, 1), 0);
	assert_true(lost());
	assert_state("UNDO_FS_THAWING");
	answer(fs, THAW, 0);
	answer(app, THAW, 0);
	assert_fail(send(H_THAW));
	assert_cause(BROKEN);
	assert_string_equal(last_reply.ey_reason.er_text, "power cut");
}

static void
taking_freeze_back_while_freezing_fails_it_but_is_not_lost(void **state)
{
	uint64_t id, xid;

	(void)state;
	xid = send(H_FREEZE);
	id = answer(app, FREEZE, 0);
	assert_int_equal(put(app, FREEZE, id, 1), 0);
	assert_fail(xid);
	assert_cause(BROKEN);
	assert_false(lost());
	answer(app, THAW, 0);
	assert_state("IDLE");
}

static void
closing_after_acknowledging_breaks_what_is_under_way(void **state)
{
	uint64_t xid;

	(void)state;
	xid = send(H_FREEZE);
	answer(app, FREEZE, 0);
	close_it(app);
	assert_fail(xid);
	assert_cause(LEFT);
	assert_false(lost());
	assert_state("IDLE");

	app = open_app();
	hold(fs, app);
	close_it(app);
	assert_true(lost());
	answer(fs, THAW, 0);
	assert_state("IDLE");

	/* In the fs stage of THAW too, until THAW was queued for it. */
	app = open_app();
	hold(fs, app);
	xid = send(H_THAW);
	close_it(app);
	answer(fs, THAW, 0);
	assert_fail(xid);
	assert_cause(LEFT);

	app = open_app();
	hold(fs, app);
	xid = send(H_THAW);
	answer(fs, THAW, 0);
	close_it(app);
	assert_ok(xid);
	assert_false(lost());
}

static void
a_failure_on_thaw_by_anybody_is_lost(void **state)
{
	uint64_t xid;

	(void)state;
	hold(fs, app);
	xid = send(H_THAW);
	vss_engine_reason(&eng, fs, "/srv: thawed by somebody else");
	answer(fs, THAW, 1);
	answer(app, THAW, 0);
	assert_fail(xid);
	assert_cause(BROKEN);
	assert_string_equal(
	    last_reply.ey_reason.er_text, "/srv: thawed by somebody else");
	assert_true(lost());
	hold(fs, app);
	xid = send(H_THAW);
	answer(fs, THAW, 0);
	answer(app, THAW, 1);
	assert_fail(xid);
	assert_true(lost());
}

static void
the_daemon_closing_is_lost_and_applications_are_resumed(void **state)
{
	uint64_t xid;

	(void)state;
	hold(fs, app);
	close_it(fs);
	assert_true(lost());
	answer(app, THAW, 0); /* at once */
	assert_state("IDLE");
	assert_fail(send(H_THAW));

	fs = open_fs();
	hold(fs, app);
	xid = send(H_THAW);
	close_it(fs);
	answer(app, THAW, 0);
	assert_fail(xid);

	fs = open_fs();
	xid = send(H_FREEZE);
	answer(app, FREEZE, 0);
	(void)get(fs, FREEZE);
	close_it(fs);
	assert_fail(xid);
	answer(app, THAW, 0);
	assert_state("IDLE");
	assert_false(lost());
}

static void
a_file_system_that_does_not_thaw_fails_thaw_but_is_not_lost(void **state)
{
	uint64_t xid;

	(void)state;
	hold(fs, app);
	xid = send(H_THAW);
	tick(5 * S);
	assert_fail(xid);
	assert_cause(SILENT);
	assert_false(lost());
	answer(app, THAW, 0); /* sent all the same */
	assert_state("UNDO_APPS_RESUMING");
	answer(fs, THAW, 0);
	assert_state("IDLE");
	assert_ok(send(H_THAW));
}

static void
an_application_that_does_not_resume_fails_thaw_at_its_limit(void **state)
{
	uint64_t xid;

	(void)state;
	hold(fs, app);
	xid = send(H_THAW);
	answer(fs, THAW, 0);
	tick(10 * S);
	assert_fail(xid);
	assert_cause(SILENT);
	assert_string_equal(last_reply.ey_reason.er_name, "app");
	assert_state("IDLE"); /* it had its THAW for 5 s */
	assert_true(readable(app));
	answer(app, THAW, 0);
}

static void
limits_end_check_and_freeze(void **state)
{
	uint64_t xid;

	(void)state;
	xid = send(H_CHECK);
	answer(app, CHECK, 0);
	tick(10 * S - 1);
	assert_silence();
	tick(1);
	assert_fail(xid);
	assert_cause(SILENT);
	assert_false(readable(fs)); /* withdrawn */

	xid = send(H_FREEZE);
	tick(10 * S);
	assert_fail(xid);
	assert_state("IDLE");
	assert_false(readable(app)); /* not READ: withdrawn, nothing owed */

	xid = send(H_FREEZE);
	answer(app, FREEZE, 0);
	tick(10 * S);
	assert_fail(xid);
	assert_int_equal(last_reply.ey_reason.er_kind, VSS_ENGINE_FS);
	assert_false(readable(fs));
	answer(app, THAW, 0);
	assert_state("IDLE");
}

static void
all_levels_share_one_limit(void **state)
{
	uint32_t low;
	uint64_t xid;

	(void)state;
	fs = open_fs();
	low = open_level(1, false);
	app = open_level(2, false);
	xid = send(H_FREEZE);
	tick(6 * S);
	answer(low, FREEZE, 0);
	tick(4 * S - 1);
	assert_silence();
	tick(1);
	assert_fail(xid);
	answer(low, THAW, 0);
	assert_state("IDLE");
}

static void
an_undo_ends_without_an_application_after_5_s(void **state)
{
	uint64_t xid;

	(void)state;
	xid = send(H_FREEZE);
	answer(app, FREEZE, 0);
	answer(fs, FREEZE, 1);
	assert_fail(xid);
	answer(fs, THAW, 0);
	assert_state("UNDO_APPS_RESUMING");
	tick(5 * S - 1);
	assert_state("UNDO_APPS_RESUMING");
	tick(1);
	assert_state("IDLE");
	/* Its THAW stays until it is READ; a newer notification behind it. */
	xid = send(H_CHECK);
	answer(app, THAW, 0);
	answer(app, CHECK, 0);
	answer(fs, CHECK, 0);
	assert_ok(xid);
}

static void
in_one_wake_the_ring_comes_before_the_timers(void **state)
{
	uint64_t xid;

	(void)state;
	hold(fs, app);
	now += 61 * S; /* both are due; the caller serves the ring first */
	xid = send(H_THAW);
	vss_engine_timer(&eng, now);
	answer(fs, THAW, 0);
	answer(app, THAW, 0);
	assert_ok(xid);
}

static void
time_left_is_that_of_the_running_limit(void **state)
{
	(void)state;
	assert_int_equal(vss_engine_time_left(&eng, now), 0);
	(void)send(H_FREEZE);
	tick(3 * S);
	assert_int_equal(vss_engine_time_left(&eng, now), 7 * S);
	answer(app, FREEZE, 0);
	assert_int_equal(vss_engine_time_left(&eng, now), 10 * S);
	answer(fs, FREEZE, 0);
	assert_int_equal(vss_engine_time_left(&eng, now), 60 * S);
}

int
main(void)
{
#define T(f) cmocka_unit_test_setup(f, setup)
#define B(f) cmocka_unit_test_setup(f, setup_both)
	const struct CMUnitTest tests[] = {
		B(hold_expiry_is_lost_and_sticky),
		B(lost_is_cleared_when_a_freeze_begins),
		B(backup_complete_clears_lost_in_idle_alone),
		B(could_not_stay_quiesced_is_lost_and_undone),
		B(taking_freeze_back_while_freezing_fails_it_but_is_not_lost),
		B(closing_after_acknowledging_breaks_what_is_under_way),
		B(a_failure_on_thaw_by_anybody_is_lost),
		B(the_daemon_closing_is_lost_and_applications_are_resumed),
		B(a_file_system_that_does_not_thaw_fails_thaw_but_is_not_lost),
		B(an_application_that_does_not_resume_fails_thaw_at_its_limit),
		B(limits_end_check_and_freeze),
		T(all_levels_share_one_limit),
		B(an_undo_ends_without_an_application_after_5_s),
		B(in_one_wake_the_ring_comes_before_the_timers),
		B(time_left_is_that_of_the_running_limit),
	};

	return (cmocka_run_group_tests_name("stage_lost", tests, NULL, NULL));
}
