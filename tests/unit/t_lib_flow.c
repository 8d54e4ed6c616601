/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/*
 * What a participant does next: each event in each situation, and in random
 * order.  Above all that one resume follows each quiesce.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib_flow.h"

static struct flow_act
next(struct flow *fl)
{
	struct flow_act fa;

	flow_next(fl, &fa);
	return (fa);
}

/* The next thing to do is that callback; gives its ticket. */
static uint64_t
called(struct flow *fl, uint32_t op)
{
	struct flow_act fa = next(fl);

	assert_int_equal(fa.fa_do, FLOW_CALL);
	assert_int_equal(fa.fa_op, op);
	assert_true(fa.fa_ticket != 0);
	return (fa.fa_ticket);
}

/* The next thing to do is to cancel that one. */
static void
cancels(struct flow *fl, uint64_t ticket)
{
	struct flow_act fa = next(fl);

	assert_int_equal(fa.fa_do, FLOW_CANCEL);
	assert_int_equal(fa.fa_ticket, ticket);
}

static void
writes(struct flow *fl, uint32_t op, uint64_t id, uint32_t status,
    const char *reason)
{
	struct flow_act fa = next(fl);

	assert_int_equal(fa.fa_do, FLOW_WRITE);
	assert_int_equal(fa.fa_op, op);
	assert_int_equal(fa.fa_id, id);
	assert_int_equal(fa.fa_status, status);
	assert_string_equal(fa.fa_reason, reason);
}

static void
rests(struct flow *fl)
{
	assert_int_equal(next(fl).fa_do, FLOW_NOTHING);
}

/* A quiesce that was answered with success; gives its ticket. */
static uint64_t
hold(struct flow *fl, uint64_t id)
{
	uint64_t ticket;

	flow_notify(fl, HV_VSS_FREEZE, id);
	ticket = called(fl, HV_VSS_FREEZE);
	flow_answer(fl, ticket, true, NULL);
	assert_true(fl->fl_held);
	writes(fl, HV_VSS_FREEZE, id, VSS_SUCCESS, "");
	rests(fl);
	return (ticket);
}

static void
a_backup_goes_through_check_prepare_quiesce_and_resume(void **state)
{
	static const uint32_t ops[] = { HV_VSS_CHECK, HV_VSS_PREPARE,
		HV_VSS_FREEZE, HV_VSS_THAW };
	struct flow fl = { 0 };

	(void)state;
	for (uint64_t i = 0; i < 4; i++) {
		rests(&fl);
		flow_notify(&fl, ops[i], 10 + i);
		flow_answer(&fl, called(&fl, ops[i]), true, NULL);
		writes(&fl, ops[i], 10 + i, VSS_SUCCESS, "");
	}
	rests(&fl);
	assert_false(flow_end(&fl));
}

static void
a_refusal_has_its_reason_and_is_followed_by_resume(void **state)
{
	struct flow fl = { 0 };
	uint64_t ticket;

	(void)state;
	flow_notify(&fl, HV_VSS_FREEZE, 1);
	flow_answer(&fl, called(&fl, HV_VSS_FREEZE), false, "the till is open");
	writes(&fl, HV_VSS_FREEZE, 1, VSS_FAIL, "the till is open");
	ticket = called(&fl, HV_VSS_THAW);
	flow_notify(&fl, HV_VSS_THAW, 2);
	flow_answer(&fl, ticket, true, NULL);
	writes(&fl, HV_VSS_THAW, 2, VSS_SUCCESS, "");
	rests(&fl);
}

static void
a_thaw_that_nobody_needs_is_answered_without_a_callback(void **state)
{
	struct flow fl = { 0 };

	(void)state;
	flow_notify(&fl, HV_VSS_THAW, 3);
	writes(&fl, HV_VSS_THAW, 3, VSS_SUCCESS, "");
	rests(&fl);
}

static void
a_thaw_during_quiesce_cancels_it_and_resume_waits_for_its_answer(void **state)
{
	struct flow fl = { 0 };
	uint64_t ticket;

	(void)state;
	flow_notify(&fl, HV_VSS_FREEZE, 1);
	ticket = called(&fl, HV_VSS_FREEZE);
	flow_notify(&fl, HV_VSS_THAW, 2);
	cancels(&fl, ticket);
	rests(&fl);
	flow_answer(&fl, ticket, true, NULL);
	assert_false(fl.fl_held);
	flow_answer(&fl, called(&fl, HV_VSS_THAW), true, NULL);
	writes(&fl, HV_VSS_THAW, 2, VSS_SUCCESS, "");
	rests(&fl);
}

static void
a_success_taken_back_makes_thaw_fail_too(void **state)
{
	struct flow fl = { 0 };
	uint64_t ticket;

	(void)state;
	ticket = hold(&fl, 1);
	flow_answer(&fl, ticket + 1, false, "another one");
	rests(&fl);
	flow_answer(&fl, ticket, false, "disk full");
	writes(&fl, HV_VSS_FREEZE, 1, VSS_FAIL, "disk full");
	flow_answer(&fl, called(&fl, HV_VSS_THAW), true, NULL);
	flow_answer(&fl, ticket, false, "once more");
	rests(&fl);
	flow_notify(&fl, HV_VSS_THAW, 2);
	writes(&fl, HV_VSS_THAW, 2, VSS_FAIL, "disk full");
	rests(&fl);
	hold(&fl, 3);
	flow_notify(&fl, HV_VSS_THAW, 4);
	flow_answer(&fl, called(&fl, HV_VSS_THAW), true, NULL);
	writes(&fl, HV_VSS_THAW, 4, VSS_SUCCESS, "");
}

static void
a_hold_that_expires_is_resumed_and_its_thaw_fails(void **state)
{
	struct flow fl = { 0 };

	(void)state;
	flow_expired(&fl, "too long");
	rests(&fl);
	hold(&fl, 1);
	flow_expired(&fl, "too long");
	flow_answer(&fl, called(&fl, HV_VSS_THAW), true, NULL);
	rests(&fl);
	flow_notify(&fl, HV_VSS_THAW, 2);
	writes(&fl, HV_VSS_THAW, 2, VSS_FAIL, "too long");
	rests(&fl);
}

static void
a_driver_that_is_gone_means_resume_and_no_answer(void **state)
{
	struct flow fl = { 0 };
	uint64_t ticket;

	(void)state;
	flow_notify(&fl, HV_VSS_THAW, 9);
	flow_gone(&fl);
	rests(&fl);
	hold(&fl, 1);
	flow_gone(&fl);
	flow_answer(&fl, called(&fl, HV_VSS_THAW), true, NULL);
	rests(&fl);
	/* The successor's ids begin anew. */
	flow_notify(&fl, HV_VSS_FREEZE, 1);
	ticket = called(&fl, HV_VSS_FREEZE);
	flow_gone(&fl);
	cancels(&fl, ticket);
	flow_notify(&fl, HV_VSS_CHECK, 1);
	rests(&fl);
	flow_answer(&fl, ticket, true, NULL);
	flow_answer(&fl, called(&fl, HV_VSS_THAW), true, NULL);
	flow_answer(&fl, called(&fl, HV_VSS_CHECK), true, NULL);
	writes(&fl, HV_VSS_CHECK, 1, VSS_SUCCESS, "");
	rests(&fl);
}

static void
a_new_request_without_thaw_resumes_first(void **state)
{
	struct flow fl = { 0 };

	(void)state;
	hold(&fl, 1);
	flow_notify(&fl, HV_VSS_FREEZE, 2);
	flow_answer(&fl, called(&fl, HV_VSS_THAW), true, NULL);
	flow_answer(&fl, called(&fl, HV_VSS_FREEZE), true, NULL);
	writes(&fl, HV_VSS_FREEZE, 2, VSS_SUCCESS, "");
	rests(&fl);
	assert_true(flow_end(&fl));
	assert_false(flow_end(&fl));
}

static void
a_late_prepare_is_overtaken_by_freeze(void **state)
{
	struct flow fl = { 0 };
	uint64_t ticket;

	(void)state;
	flow_notify(&fl, HV_VSS_PREPARE, 1);
	ticket = called(&fl, HV_VSS_PREPARE);
	flow_notify(&fl, HV_VSS_FREEZE, 2);
	cancels(&fl, ticket);
	rests(&fl);
	/* Begun too late: its THAW came before. */
	flow_notify(&fl, HV_VSS_THAW, 3);
	writes(&fl, HV_VSS_THAW, 3, VSS_SUCCESS, "");
	flow_answer(&fl, ticket, true, NULL);
	writes(&fl, HV_VSS_PREPARE, 1, VSS_SUCCESS, "");
	rests(&fl);
}

static void
a_success_that_came_too_late_is_resumed(void **state)
{
	struct flow fl = { 0 };

	(void)state;
	hold(&fl, 1);
	flow_rejected(&fl);
	flow_answer(&fl, called(&fl, HV_VSS_THAW), true, NULL);
	rests(&fl);
}

/* What waited is not begun, also if it comes while the program leaves. */
static void
who_leaves_is_cancelled_and_begins_nothing(void **state)
{
	struct flow fl = { 0 };
	uint64_t ticket;

	(void)state;
	flow_notify(&fl, HV_VSS_PREPARE, 1);
	ticket = called(&fl, HV_VSS_PREPARE);
	flow_notify(&fl, HV_VSS_FREEZE, 2);
	cancels(&fl, ticket);
	flow_leave(&fl);
	rests(&fl); /* once is enough */
	flow_answer(&fl, ticket, true, NULL);
	writes(&fl, HV_VSS_PREPARE, 1, VSS_SUCCESS, "");
	flow_notify(&fl, HV_VSS_CHECK, 3);
	rests(&fl);
	assert_false(flow_end(&fl));

	memset(&fl, 0, sizeof(fl));
	flow_notify(&fl, HV_VSS_FREEZE, 1);
	ticket = called(&fl, HV_VSS_FREEZE);
	flow_leave(&fl);
	cancels(&fl, ticket);
	flow_answer(&fl, ticket, true, NULL);
	assert_false(fl.fl_held);
	writes(&fl, HV_VSS_FREEZE, 1, VSS_FAIL, "it left");
	flow_answer(&fl, called(&fl, HV_VSS_THAW), true, NULL);
	rests(&fl);
	assert_false(flow_end(&fl));
}

static void
a_resume_is_not_cancelled_by_leaving(void **state)
{
	struct flow fl = { 0 };

	(void)state;
	hold(&fl, 1);
	flow_notify(&fl, HV_VSS_THAW, 2);
	called(&fl, HV_VSS_THAW);
	flow_leave(&fl);
	rests(&fl);
	assert_false(flow_end(&fl));
}

static void
an_unknown_request_is_refused(void **state)
{
	struct flow fl = { 0 };

	(void)state;
	flow_notify(&fl, 77, 5);
	writes(&fl, 77, 5, VSS_FAIL, "this program does not know it");
	rests(&fl);
}

/* What has been seen in a random run. */
struct seen {
	uint64_t sn_ticket; /* of the callback under way; 0: none */
	uint32_t sn_op;
	unsigned sn_quiesced, sn_resumed;
};

static void
step(struct flow *fl, struct seen *sn)
{
	static const uint32_t ops[] = { HV_VSS_CHECK, HV_VSS_FREEZE,
		HV_VSS_THAW, HV_VSS_PREPARE };
	static uint64_t id;

	switch (rand() % 8) {
	case 0:
		flow_gone(fl);
		break;
	case 1:
		flow_expired(fl, "expired");
		break;
	case 2:
		flow_answer(
		    fl, fl->fl_ticket - (uint64_t)(rand() % 2), false, "no");
		sn->sn_ticket = 0;
		if (fl->fl_cur.fn_op != HV_VSS_NONE)
			sn->sn_ticket = fl->fl_ticket;
		break;
	case 3:
	case 4:
		flow_answer(fl, sn->sn_ticket, rand() % 4 != 0, "no");
		sn->sn_ticket = 0;
		break;
	default:
		flow_notify(fl, ops[rand() % 4], ++id);
		break;
	}
}

static void
in_any_order_one_resume_follows_each_quiesce(void **state)
{
	struct flow fl = { 0 };
	struct seen sn = { 0 };
	struct flow_act fa;

	(void)state;
	srand(1);
	for (unsigned i = 0; i < 200000; i++) {
		step(&fl, &sn);
		while ((fa = next(&fl)).fa_do != FLOW_NOTHING) {
			if (fa.fa_do != FLOW_CALL)
				continue;
			assert_int_equal(sn.sn_ticket, 0);
			sn.sn_ticket = fa.fa_ticket;
			sn.sn_quiesced += fa.fa_op == HV_VSS_FREEZE;
			sn.sn_resumed += fa.fa_op == HV_VSS_THAW;
			assert_true(sn.sn_resumed == sn.sn_quiesced ||
			    sn.sn_resumed + 1 == sn.sn_quiesced);
		}
		assert_true(!fl.fl_held || sn.sn_resumed < sn.sn_quiesced);
	}
	assert_true(sn.sn_quiesced > 10000);
	assert_int_equal(sn.sn_quiesced - sn.sn_resumed, flow_end(&fl));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
		    a_backup_goes_through_check_prepare_quiesce_and_resume),
		cmocka_unit_test(
		    a_refusal_has_its_reason_and_is_followed_by_resume),
		cmocka_unit_test(
		    a_thaw_that_nobody_needs_is_answered_without_a_callback),
		cmocka_unit_test(
		    a_thaw_during_quiesce_cancels_it_and_resume_waits_for_its_answer),
		cmocka_unit_test(a_success_taken_back_makes_thaw_fail_too),
		cmocka_unit_test(
		    a_hold_that_expires_is_resumed_and_its_thaw_fails),
		cmocka_unit_test(
		    a_driver_that_is_gone_means_resume_and_no_answer),
		cmocka_unit_test(a_new_request_without_thaw_resumes_first),
		cmocka_unit_test(a_late_prepare_is_overtaken_by_freeze),
		cmocka_unit_test(a_success_that_came_too_late_is_resumed),
		cmocka_unit_test(who_leaves_is_cancelled_and_begins_nothing),
		cmocka_unit_test(a_resume_is_not_cancelled_by_leaving),
		cmocka_unit_test(an_unknown_request_is_refused),
		cmocka_unit_test(in_any_order_one_resume_follows_each_quiesce),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
