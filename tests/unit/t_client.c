/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/*
 * One open of a device: what READ and WRITE say, who takes part and when,
 * leaving and refusing, staleness.  Virtual time.
 */

#include "engine_fixture.h"

static void
read_with_nothing_waiting_says_so(void **state)
{
	uint64_t id;

	(void)state;
	app = open_app();
	assert_int_equal(get_id(app, &id), NONE);
}

static void
write_of_what_was_never_given_is_einval(void **state)
{
	uint64_t id;

	(void)state;
	assert_int_equal(put(app, CHECK, 1, 0), EINVAL);
	(void)send(H_CHECK);
	assert_int_equal(put(app, CHECK, 1, 0), EINVAL); /* not READ yet */
	id = get(app, CHECK);
	assert_int_equal(put(app, FREEZE, id, 0), EINVAL);
	assert_int_equal(put(app, NONE, id, 0), EINVAL);
	assert_int_equal(put(app, CHECK, id + 1, 0), EINVAL);
	assert_int_equal(put(app, CHECK, 0, 0), EINVAL);
	assert_int_equal(put(fs, CHECK, id, 0), EINVAL); /* another's id */
	assert_state("APPS_CHECKING");
	assert_int_equal(put(app, CHECK, id, 0), 0);
	assert_state("FS_CHECKING");
}

static void
ids_count_up_from_1(void **state)
{
	(void)state;
	(void)send(H_CHECK);
	assert_int_equal(answer(app, CHECK, 0), 1);
	assert_int_equal(answer(fs, CHECK, 0), 2);
}

static void
an_answer_given_twice_is_ignored(void **state)
{
	uint64_t id, xid;

	(void)state;
	xid = send(H_CHECK);
	id = answer(app, CHECK, 0);
	assert_int_equal(put(app, CHECK, id, 1), 0);
	answer(fs, CHECK, 0);
	assert_ok(xid);
	assert_int_equal(put(app, CHECK, id, 1), 0);
}

static void
a_withdrawn_notification_cannot_be_answered(void **state)
{
	uint64_t xid;

	(void)state;
	xid = send(H_CHECK);
	tick(10 * S);
	assert_fail(xid);
	assert_false(readable(app));
	assert_int_equal(put(app, CHECK, 1, 0), EINVAL);
}

static void
the_last_8_ids_are_known_and_no_more(void **state)
{
	uint64_t first;
	uint32_t i;

	(void)state;
	first = 0;
	for (i = 0; i < VSS_ENGINE_IDS; i++) {
		(void)send(H_CHECK);
		if (i == 0)
			first = answer(app, CHECK, 0);
		else
			answer(app, CHECK, 0);
		answer(fs, CHECK, 0);
		assert_ok(last_xid);
	}
	assert_int_equal(put(app, CHECK, first, 0), 0);
	(void)send(H_CHECK);
	answer(app, CHECK, 0);
	assert_int_equal(put(app, CHECK, first, 0), EINVAL);
}

static void
freeze_and_thaw_are_answered_each_by_itself(void **state)
{
	uint64_t freeze, thaw, xid;

	(void)state;
	xid = send(H_FREEZE);
	freeze = get(app, FREEZE);
	tick(10 * S);
	assert_fail(xid);
	thaw = get(app, THAW);
	assert_int_equal(put(app, FREEZE, freeze, 0), 0);
	assert_state("UNDO_APPS_RESUMING");
	assert_int_equal(put(app, THAW, thaw, 0), 0);
	assert_state("IDLE");
}

static void
taking_freeze_back_after_thaw_was_queued_is_ignored(void **state)
{
	uint64_t freeze, xid;

	(void)state;
	(void)send(H_FREEZE);
	freeze = answer(app, FREEZE, 0);
	answer(fs, FREEZE, 0);
	assert_ok(last_xid);
	xid = send(H_THAW);
	answer(fs, THAW, 0);
	assert_int_equal(put(app, FREEZE, freeze, 1), 0);
	assert_false(lost());
	answer(app, THAW, 0);
	assert_ok(xid);
}

static void
an_old_freeze_cannot_break_a_later_hold(void **state)
{
	uint64_t old;

	(void)state;
	(void)send(H_FREEZE);
	old = answer(app, FREEZE, 0);
	answer(fs, FREEZE, 0);
	assert_ok(last_xid);
	thaw_ok(fs, app);
	hold(fs, app);
	assert_int_equal(put(app, FREEZE, old, 1), 0);
	assert_false(lost());
	assert_state("HOLDING");
}

static void
an_open_takes_part_from_its_first_poll_or_read(void **state)
{
	uint32_t idle_one;
	uint64_t id, xid;

	(void)state;
	fs = open_fs();
	assert_int_equal(try_open(VSS_ENGINE_APP, 0, &idle_one), 0);
	check_ok(fs, 0);
	assert_int_equal(get_id(idle_one, &id), NONE);
	xid = send(H_CHECK);
	answer(idle_one, CHECK, 0);
	answer(fs, CHECK, 0);
	assert_ok(xid);
}

static void
who_joins_while_a_request_runs_takes_part_in_the_next(void **state)
{
	uint32_t late;
	uint64_t xid;

	(void)state;
	xid = send(H_FREEZE);
	late = open_level(99, false);
	answer(app, FREEZE, 0);
	assert_false(readable(late));
	answer(fs, FREEZE, 0);
	assert_ok(xid);
	close_it(late); /* breaks nothing */
	thaw_ok(fs, app);
	assert_false(lost());
}

static void
hello_holds_from_the_next_request_on(void **state)
{
	uint32_t other;
	uint64_t xid;

	(void)state;
	fs = open_fs();
	app = open_level(10, false);
	other = open_level(20, false);
	xid = send(H_FREEZE);
	assert_int_equal(vss_engine_hello(&eng, other, "", 5, true), 0);
	answer(app, FREEZE, 0);
	answer(other, FREEZE, 0);
	answer(fs, FREEZE, 0);
	assert_ok(xid);
	xid = send(H_THAW);
	answer(fs, THAW, 0);
	assert_true(readable(other) && !readable(app)); /* still level 20 */
	answer(other, THAW, 0);
	answer(app, THAW, 0);
	assert_ok(xid);
	(void)send(H_FREEZE);
	answer(other, PREPARE, 0);
	assert_true(readable(other) && !readable(app));
}

static void
closing_with_a_notification_unread_is_leaving(void **state)
{
	uint64_t xid;

	(void)state;
	xid = send(H_CHECK);
	close_it(app);
	answer(fs, CHECK, 0);
	assert_ok(xid);

	app = open_app();
	xid = send(H_FREEZE);
	close_it(app);
	answer(fs, FREEZE, 0);
	assert_ok(xid);
	thaw_ok(fs, 0);
}

static void
closing_between_read_and_write_is_refusing(void **state)
{
	uint64_t xid;

	(void)state;
	xid = send(H_CHECK);
	(void)get(app, CHECK);
	close_it(app);
	assert_fail(xid);
	assert_cause(CLOSED);
	assert_int_equal(last_reply.ey_reason.er_op, CHECK);

	app = open_app();
	xid = send(H_FREEZE);
	(void)get(app, FREEZE);
	close_it(app);
	assert_fail(xid);
	assert_state("IDLE");

	app = open_level(50, true);
	xid = send(H_FREEZE);
	(void)get(app, PREPARE);
	close_it(app);
	assert_fail(xid);
	assert_state("IDLE");
}

static void
closing_after_prepare_and_before_freeze_was_read_is_leaving(void **state)
{
	uint64_t xid;

	(void)state;
	fs = open_fs();
	app = open_level(50, true);
	xid = send(H_FREEZE);
	answer(app, PREPARE, 0);
	assert_true(readable(app));
	close_it(app);
	answer(fs, FREEZE, 0);
	assert_ok(xid);
}

/* Two CHECKs in which app is silent. */
static void
make_stale(void)
{
	uint32_t i;

	for (i = 0; i < 2; i++) {
		assert_false(clients[app].cl_stale);
		(void)send(H_CHECK);
		tick(10 * S);
		assert_fail(last_xid);
		assert_cause(SILENT);
	}
	assert_true(clients[app].cl_stale);
}

static void
silence_twice_in_a_row_makes_stale_and_backups_work(void **state)
{
	uint64_t xid;

	(void)state;
	make_stale();
	check_ok(fs, 0);
	xid = send(H_FREEZE);
	assert_false(readable(app)); /* withdrawn with its level */
	answer(fs, FREEZE, 0);
	assert_ok(xid);
	assert_int_equal(last_reply.ey_napps, 0);
	assert_int_equal(last_reply.ey_nstale, 1);
	thaw_ok(fs, 0);
	assert_false(readable(app));
}

static void
an_answer_in_between_keeps_a_client_from_being_stale(void **state)
{
	(void)state;
	check_silent();
	check_ok(fs, app);
	check_silent();
	assert_false(clients[app].cl_stale);
}

static void
a_stale_client_comes_back_by_answering(void **state)
{
	(void)state;
	make_stale();
	check_ok(fs, 0);
	/* The CHECK was left for it; its answer counts for nothing else. */
	answer(app, CHECK, 1);
	assert_false(clients[app].cl_stale);
	hold(fs, app);
	thaw_ok(fs, app);
}

static void
a_stale_client_that_read_freeze_is_owed_thaw(void **state)
{
	uint32_t slow;
	uint64_t id, xid;

	(void)state;
	make_stale();
	slow = open_app();
	xid = send(H_FREEZE);
	id = get(app, FREEZE);
	answer(slow, FREEZE, 0);
	answer(fs, FREEZE, 0);
	assert_ok(xid);
	assert_int_equal(last_reply.ey_nstale, 1);
	/* After its level's end: ignored, and the end of its staleness. */
	assert_int_equal(put(app, FREEZE, id, 0), 0);
	assert_false(clients[app].cl_stale);
	xid = send(H_THAW);
	answer(fs, THAW, 0);
	answer(slow, THAW, 0);
	answer(app, THAW, 0);
	assert_ok(xid);
}

static void
who_comes_back_too_late_is_still_said_to_be_missing(void **state)
{
	uint32_t slow;
	uint64_t id, xid;

	(void)state;
	(void)send(H_CHECK);
	id = get(app, CHECK);
	tick(10 * S);
	assert_fail(last_xid);
	check_silent();
	slow = open_app();
	xid = send(H_FREEZE);
	(void)get(app, FREEZE);
	assert_int_equal(put(app, CHECK, id, 0), 0);
	assert_false(clients[app].cl_stale);
	answer(slow, FREEZE, 0);
	answer(fs, FREEZE, 0);
	assert_ok(xid);
	assert_int_equal(last_reply.ey_napps, 1);
	assert_int_equal(last_reply.ey_nstale, 1);
}

static void
a_stale_clients_refusal_before_its_levels_end_counts(void **state)
{
	uint32_t slow;
	uint64_t xid;

	(void)state;
	make_stale();
	slow = open_app();
	xid = send(H_FREEZE);
	answer(app, FREEZE, 1);
	assert_fail(xid);
	assert_cause(REFUSED);
	assert_false(readable(slow));
	assert_state("IDLE");
}

static void
a_stale_client_that_closes_in_the_hold_breaks_nothing(void **state)
{
	uint32_t slow;
	uint64_t xid;

	(void)state;
	make_stale();
	slow = open_app();
	xid = send(H_FREEZE);
	(void)get(app, FREEZE);
	answer(slow, FREEZE, 0);
	answer(fs, FREEZE, 0);
	assert_ok(xid);
	close_it(app);
	assert_false(lost());
	thaw_ok(fs, slow);
}

static void
besteffort_lets_silent_applications_go_at_once(void **state)
{
	uint32_t high;
	uint64_t xid;

	(void)state;
	conf.ec_besteffort = true;
	start();
	fs = open_fs();
	app = open_level(1, false);
	high = open_level(2, false);
	xid = send(H_CHECK);
	answer(high, CHECK, 0);
	tick(5 * S);
	assert_true(clients[app].cl_stale);
	answer(fs, CHECK, 0);
	assert_ok(xid);

	clients[app].cl_stale = false;
	xid = send(H_FREEZE);
	(void)get(app, FREEZE);
	tick(5 * S); /* half of the time for two levels */
	answer(high, FREEZE, 0);
	answer(fs, FREEZE, 0);
	assert_ok(xid);
	assert_int_equal(last_reply.ey_napps, 1);
	assert_int_equal(last_reply.ey_nstale, 1);
	xid = send(H_THAW);
	answer(fs, THAW, 0);
	answer(high, THAW, 0);
	assert_true(readable(app));
	assert_ok(xid);
}

static void
who_is_stale_already_does_not_become_it_again(void **state)
{
	struct vss_engine_client cl = { .cl_serial = 1 };

	(void)state;
	assert_false(vss_client_silent(&cl, false));
	assert_true(vss_client_silent(&cl, false));
	assert_true(cl.cl_stale);
	assert_false(vss_client_silent(&cl, false));
	assert_false(vss_client_silent(&cl, true));
	memset(&cl, 0, sizeof(cl));
	assert_true(vss_client_silent(&cl, true));
}

static void
silence_to_thaw_counts(void **state)
{
	uint32_t i;

	(void)state;
	for (i = 0; i < 2; i++) {
		assert_int_equal(clients[app].cl_silences, 0);
		hold(fs, app);
		(void)send(H_THAW);
		answer(fs, THAW, 0);
		tick(10 * S);
		assert_fail(last_xid);
		assert_int_equal(clients[app].cl_silences, 1);
		answer(app, THAW, 0);
	}
}

static void
an_unread_thaw_is_one_whatever_happens(void **state)
{
	uint64_t id, xid;

	(void)state;
	hold(fs, app);
	tick(60 * S);
	answer(fs, THAW, 0);
	tick(5 * S);
	assert_state("IDLE");
	xid = send(H_FREEZE);
	id = get(app, THAW);
	answer(app, FREEZE, 0);
	/* The old THAW's answer is nothing to the new hold. */
	assert_int_equal(put(app, THAW, id, 1), 0);
	answer(fs, FREEZE, 0);
	assert_ok(xid);
	assert_false(lost());
	thaw_ok(fs, app);
	assert_int_equal(get_id(app, &id), NONE);
}

static void
an_old_thaws_answer_does_not_stand_for_a_new_one(void **state)
{
	uint64_t id, xid;

	(void)state;
	hold(fs, app);
	tick(60 * S);
	answer(fs, THAW, 0);
	id = get(app, THAW);
	tick(5 * S);
	assert_state("IDLE");
	hold(fs, app);
	xid = send(H_THAW);
	answer(fs, THAW, 0);
	assert_int_equal(put(app, THAW, id, 0), 0);
	assert_state("APPS_RESUMING");
	answer(app, THAW, 0);
	assert_ok(xid);
}

static void
text_is_cut_and_cleaned(void **state)
{
	char to[5];

	(void)state;
	vss_client_copy_text(to, sizeof(to), "a\x7f\xffxyz", 64);
	assert_string_equal(to, "a??x");
	vss_client_copy_text(to, sizeof(to), "abcdef", 2);
	assert_string_equal(to, "ab");
	vss_client_copy_text(to, sizeof(to), " ~\x1f\x7f", 64);
	assert_string_equal(to, " ~??");
}

static void
an_open_begins_clean_under_a_name_that_can_be_shown(void **state)
{
	struct vss_engine_client cl;
	struct vss_engine_who who = { .ew_uid = 7, .ew_pid = 8 };

	(void)state;
	memset(&cl, 0xff, sizeof(cl));
	memset(who.ew_comm, 'x', sizeof(who.ew_comm));
	memcpy(who.ew_comm, "a\nb", 3);
	vss_client_open(&cl, 5, VSS_ENGINE_APP, &who);
	assert_int_equal(strlen(cl.cl_who.ew_comm), VSS_ENGINE_NAME_MAX - 1);
	assert_memory_equal(cl.cl_who.ew_comm, "a?bx", 4);
	assert_string_equal(cl.cl_name, cl.cl_who.ew_comm);
	assert_int_equal(cl.cl_serial, 5);
	assert_int_equal(cl.cl_who.ew_uid, 7);
	assert_int_equal(cl.cl_who.ew_pid, 8);
	assert_int_equal(cl.cl_level, VSS_ENGINE_LEVEL_PLAIN);
	assert_int_equal(cl.cl_next_level, VSS_ENGINE_LEVEL_PLAIN);
	assert_false(vss_client_readable(&cl) || vss_client_outstanding(&cl));
	assert_false(cl.cl_active || cl.cl_stale || cl.cl_counted);
	assert_int_equal(cl.cl_silences, 0);
}

static void
numbers_are_those_that_users_are_told(void **state)
{
	(void)state;
	assert_int_equal(VSS_ENGINE_IDS, 8);
	assert_int_equal(VSS_ENGINE_LEVEL_MAX, 99);
	assert_int_equal(VSS_ENGINE_LEVEL_PLAIN, 50);
	assert_int_equal(VSS_CLIENT_SILENCES, 2);
	assert_int_equal(VSS_ENGINE_MAX_WAITING, 4);
	assert_int_equal(VSS_ENGINE_REASON_MAX, 256);
}

/* It is told THAW, says nothing, and is let go; the next freeze is another. */
static void
an_unanswered_thaw_does_not_hold_up_a_later_undo(void **state)
{
	uint32_t low;
	uint64_t xid;

	(void)state;
	low = open_level(10, false);
	xid = send(H_FREEZE);
	answer(low, FREEZE, 0);
	answer(app, FREEZE, 0);
	answer(fs, FREEZE, 0);
	assert_ok(xid);
	xid = send(H_THAW);
	answer(fs, THAW, 0);
	tick(1 * S);
	answer(low, THAW, 0);
	tick(9 * S);
	assert_fail(xid);
	assert_state("IDLE");
	xid = send(H_FREEZE);
	answer(low, FREEZE, 1);
	assert_fail(xid);
	assert_state("IDLE");
}

int
main(void)
{
#define T(f) cmocka_unit_test_setup(f, setup)
#define B(f) cmocka_unit_test_setup(f, setup_both)
	const struct CMUnitTest tests[] = {
		T(read_with_nothing_waiting_says_so),
		B(write_of_what_was_never_given_is_einval),
		B(ids_count_up_from_1),
		B(an_answer_given_twice_is_ignored),
		B(a_withdrawn_notification_cannot_be_answered),
		B(the_last_8_ids_are_known_and_no_more),
		B(freeze_and_thaw_are_answered_each_by_itself),
		B(taking_freeze_back_after_thaw_was_queued_is_ignored),
		B(an_old_freeze_cannot_break_a_later_hold),
		T(an_open_takes_part_from_its_first_poll_or_read),
		B(who_joins_while_a_request_runs_takes_part_in_the_next),
		T(hello_holds_from_the_next_request_on),
		B(closing_with_a_notification_unread_is_leaving),
		B(closing_between_read_and_write_is_refusing),
		T(closing_after_prepare_and_before_freeze_was_read_is_leaving),
		B(silence_twice_in_a_row_makes_stale_and_backups_work),
		B(an_answer_in_between_keeps_a_client_from_being_stale),
		B(a_stale_client_comes_back_by_answering),
		B(a_stale_client_that_read_freeze_is_owed_thaw),
		B(who_comes_back_too_late_is_still_said_to_be_missing),
		B(a_stale_clients_refusal_before_its_levels_end_counts),
		B(a_stale_client_that_closes_in_the_hold_breaks_nothing),
		T(besteffort_lets_silent_applications_go_at_once),
		T(who_is_stale_already_does_not_become_it_again),
		B(silence_to_thaw_counts),
		B(an_unread_thaw_is_one_whatever_happens),
		B(an_old_thaws_answer_does_not_stand_for_a_new_one),
		T(text_is_cut_and_cleaned),
		T(an_open_begins_clean_under_a_name_that_can_be_shown),
		T(numbers_are_those_that_users_are_told),
		B(an_unanswered_thaw_does_not_hold_up_a_later_undo),
	};

	return (cmocka_run_group_tests_name("client", tests, NULL, NULL));
}
