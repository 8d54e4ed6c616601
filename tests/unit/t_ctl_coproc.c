/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/* Line for line, what a co-process may write, and what it may not. */

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "ctl.h"
#include "ctl_coproc.h"

#define BOUND_MS 20000

static struct ctl_work t_work;

/* One that is asked and then does this; it goes on until end of file. */
static struct ctl_work *
which(const char *does)
{
	static char cmd[512];

	memset(&t_work, 0, sizeof(t_work));
	t_work.cw_name = "t";
	snprintf(
	    cmd, sizeof(cmd), "while read -r op; do %s; done; exit 7", does);
	t_work.cw_coprocess = cmd;
	assert_int_equal(ctl_work_start(&t_work), 0);
	return (&t_work);
}

static void
wait_a_little(struct ctl_work *cw, uint64_t until)
{
	struct pollfd fds[CTL_WORK_FDS];
	size_t n = ctl_work_polls(cw, fds);

	assert_true(ctl_now_ms() < until);
	(void)poll(fds, (nfds_t)n, 5);
}

/* Asks, and waits for what comes of it; false: it was refused. */
static bool
ask(struct ctl_work *cw, uint32_t op)
{
	uint64_t until = ctl_now_ms() + BOUND_MS;

	ctl_work_begin(cw,
	    &(struct ctl_ask) {
		.aq_op = op, .aq_left_ms = 600000, .aq_hold_ms = 777 });
	while (!ctl_work_event(cw))
		wait_a_little(cw, until);
	return (cw->cw_ok);
}

static void
until_lost(struct ctl_work *cw)
{
	uint64_t until = ctl_now_ms() + BOUND_MS;

	while (!cw->cw_lost) {
		assert_false(ctl_work_event(cw));
		wait_a_little(cw, until);
	}
}

static void
ok_and_fail_are_answers(void **state)
{
	struct ctl_work *cw = which("case $op in check) echo ok;; "
				    "freeze) echo fail;; "
				    "*) echo 'fail  two  words ';; esac");

	(void)state;
	assert_true(ask(cw, HV_VSS_CHECK));
	assert_false(ask(cw, HV_VSS_FREEZE));
	assert_string_equal(cw->cw_reason, "the co-process says fail");
	assert_false(ask(cw, HV_VSS_THAW));
	assert_string_equal(cw->cw_reason, "two  words");
	ctl_work_stop(cw);
}

static void
left_is_answered_before_the_request_is(void **state)
{
	struct ctl_work *cw = which("echo left; read -r word ms hold; "
				    "echo fail $word $ms $hold");
	unsigned left, hold;

	(void)state;
	assert_false(ask(cw, HV_VSS_FREEZE));
	assert_int_equal(sscanf(cw->cw_reason, "left %u %u", &left, &hold), 2);
	assert_in_range(left, 600000 - BOUND_MS, 600000);
	assert_int_equal(hold, 777);
	ctl_work_stop(cw);
}

static void
messages_and_blank_lines_are_no_answers(void **state)
{
	struct ctl_work *cw = which("echo; echo '# one'; echo '#'; echo ok");

	(void)state;
	assert_true(ask(cw, HV_VSS_FREEZE));
	assert_non_null(cw->cw_co.co_child);
	assert_false(cw->cw_lost);
	ctl_work_stop(cw);
}

static void
lost_is_told_between_the_answers_to_freeze_and_thaw(void **state)
{
	struct ctl_work *cw = which("case $op in freeze) echo ok; "
				    "echo lost the link;; "
				    "*) echo lost; echo ok;; esac");

	(void)state;
	assert_true(ask(cw, HV_VSS_FREEZE));
	until_lost(cw);
	assert_string_equal(cw->cw_lost_why, "the link");
	assert_non_null(cw->cw_co.co_child);
	cw->cw_lost = false;
	assert_true(ask(cw, HV_VSS_THAW));
	assert_true(cw->cw_lost);
	ctl_work_stop(cw);
}

static void
a_line_that_is_no_answer_ends_it(void **state)
{
	static const char *const bad[] = { "OK", "okay", "ok now", "failed",
		"Connected.", "lost it", "left 5" };
	char does[64];
	struct ctl_work *cw;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		snprintf(does, sizeof(does), "echo '%s'; echo ok", bad[i]);
		cw = which(does);
		assert_false(ask(cw, HV_VSS_FREEZE));
		assert_non_null(strstr(cw->cw_reason, bad[i]));
		assert_non_null(strstr(cw->cw_reason, "killed"));
		assert_null(cw->cw_co.co_child);
	}
}

static void
an_answer_to_nothing_ends_it_and_what_it_holds_is_lost(void **state)
{
	struct ctl_work *cw = which("echo ok; echo ok");

	(void)state;
	assert_true(ask(cw, HV_VSS_FREEZE));
	until_lost(cw);
	assert_non_null(strstr(cw->cw_lost_why, "wrote \"ok\" unasked"));
	assert_null(cw->cw_co.co_child);
}

static void
its_end_is_told_with_the_last_that_it_wrote(void **state)
{
	struct ctl_work *cw = which("echo no such database >&2; exit 3");

	(void)state;
	assert_false(ask(cw, HV_VSS_CHECK));
	assert_string_equal(
	    cw->cw_reason, "the co-process has ended: no such database");
	cw = which("exit 3");
	assert_false(ask(cw, HV_VSS_CHECK));
	assert_string_equal(
	    cw->cw_reason, "the co-process has ended: exit status 3");
	cw = which("exec >&-; sleep 60");
	assert_false(ask(cw, HV_VSS_CHECK));
	assert_string_equal(cw->cw_reason,
	    "the co-process has ended: it has closed its output");
}

static void
it_is_started_again_when_it_is_asked_again(void **state)
{
	struct ctl_work *cw = which("[ $op = freeze ] && exit 1; echo ok");

	(void)state;
	assert_false(ask(cw, HV_VSS_FREEZE));
	assert_null(cw->cw_co.co_child);
	assert_true(ask(cw, HV_VSS_THAW));
	assert_non_null(cw->cw_co.co_child);
	ctl_work_stop(cw);
}

static void
its_end_in_the_hold_is_a_loss_and_in_freeze_is_not(void **state)
{
	struct ctl_work *cw = which("echo ok; exit 0");

	(void)state;
	assert_true(ask(cw, HV_VSS_FREEZE));
	until_lost(cw);
	cw = which("exit 0");
	assert_false(ask(cw, HV_VSS_FREEZE));
	assert_false(cw->cw_lost);
}

static void
at_the_end_it_is_given_end_of_file(void **state)
{
	struct ctl_work *cw = which("echo ok");
	const struct ctl_child *ch = cw->cw_co.co_child;
	char fate[64];

	(void)state;
	assert_true(ask(cw, HV_VSS_CHECK));
	ctl_work_stop(cw);
	ctl_child_fate(ch, fate, sizeof(fate));
	assert_string_equal(fate, "exit status 7");
	assert_null(cw->cw_co.co_child);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ok_and_fail_are_answers),
		cmocka_unit_test(left_is_answered_before_the_request_is),
		cmocka_unit_test(messages_and_blank_lines_are_no_answers),
		cmocka_unit_test(
		    lost_is_told_between_the_answers_to_freeze_and_thaw),
		cmocka_unit_test(a_line_that_is_no_answer_ends_it),
		cmocka_unit_test(
		    an_answer_to_nothing_ends_it_and_what_it_holds_is_lost),
		cmocka_unit_test(its_end_is_told_with_the_last_that_it_wrote),
		cmocka_unit_test(it_is_started_again_when_it_is_asked_again),
		cmocka_unit_test(
		    its_end_in_the_hold_is_a_loss_and_in_freeze_is_not),
		cmocka_unit_test(at_the_end_it_is_given_end_of_file),
	};

	signal(SIGPIPE, SIG_IGN);
	report_init("t_ctl_coproc", REPORT_ERROR);
	return (cmocka_run_group_tests_name("ctl_coproc", tests, NULL, NULL));
}
