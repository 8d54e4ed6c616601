/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/*
 * Commands and co-processes of `hv_vssctl run`: their results, reasons,
 * environment and ends.  Runs small shell commands; writes nothing.
 */

#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "ctl.h"
#include "ctl_work.h"
#include "report.h"

#define BOUND_MS 20000

/* Goes on until the work has ended; fails when that takes for ever. */
static void
finish(struct ctl_work *cw)
{
	uint64_t until = ctl_now_ms() + BOUND_MS;

	while (!ctl_work_event(cw)) {
		struct pollfd fds[CTL_WORK_FDS];
		size_t n = ctl_work_polls(cw, fds);

		assert_true(ctl_now_ms() < until);
		(void)poll(fds, (nfds_t)n, 5);
	}
	assert_false(cw->cw_busy);
}

static struct ctl_work t_work;

static struct ctl_work *
fresh(void)
{
	memset(&t_work, 0, sizeof(t_work));
	t_work.cw_name = "t";
	t_work.cw_level = 7;
	return (&t_work);
}

static struct ctl_work *
command(uint32_t op, const char *cmd)
{
	struct ctl_work *cw = fresh();

	cw->cw_cmds[op] = cmd;
	assert_int_equal(ctl_work_start(cw), 0);
	return (cw);
}

static struct ctl_work *
coprocess(const char *cmd)
{
	struct ctl_work *cw = fresh();

	cw->cw_coprocess = cmd;
	assert_int_equal(ctl_work_start(cw), 0);
	return (cw);
}

static void
begin(struct ctl_work *cw, uint32_t op, uint64_t id, uint64_t left_ms)
{
	ctl_work_begin(cw,
	    &(struct ctl_ask) { .aq_op = op,
		.aq_id = id,
		.aq_left_ms = left_ms,
		.aq_hold_ms = 60000 });
}

static void
a_command_that_exits_with_0_is_success(void **state)
{
	struct ctl_work *cw = command(HV_VSS_FREEZE, "exit 0");

	(void)state;
	begin(cw, HV_VSS_FREEZE, 1, 1000);
	finish(cw);
	assert_true(cw->cw_ok);
}

static void
the_last_line_of_a_failing_command_is_the_reason(void **state)
{
	struct ctl_work *cw = command(
	    HV_VSS_FREEZE, "echo first; echo the disk is on fire >&2; exit 4");

	(void)state;
	begin(cw, HV_VSS_FREEZE, 1, 1000);
	finish(cw);
	assert_false(cw->cw_ok);
	assert_string_equal(cw->cw_reason, "the disk is on fire");
}

static void
a_line_without_newline_counts_and_a_long_one_is_cut(void **state)
{
	struct ctl_work *cw = command(
	    HV_VSS_CHECK, "printf '%0600d' 7; exit 1");

	(void)state;
	begin(cw, HV_VSS_CHECK, 1, 1000);
	finish(cw);
	assert_false(cw->cw_ok);
	assert_int_equal(strlen(cw->cw_reason), sizeof(cw->cw_reason) - 1);
}

static void
a_silent_failure_gives_its_exit_status_as_the_reason(void **state)
{
	struct ctl_work *cw = command(HV_VSS_THAW, "exit 7");

	(void)state;
	begin(cw, HV_VSS_THAW, 1, 1000);
	finish(cw);
	assert_false(cw->cw_ok);
	assert_string_equal(cw->cw_reason, "thaw: exit status 7");
}

static void
the_environment_says_what_is_asked_and_how_long_it_may_take(void **state)
{
	struct ctl_work *cw = command(HV_VSS_PREPARE,
	    "echo $HV_VSS_NAME $HV_VSS_LEVEL $HV_VSS_OP $HV_VSS_MSGID "
	    "$HV_VSS_TIME_LEFT_MS $HV_VSS_HOLD_MS $HV_VSS_X; exit 1");
	unsigned left, hold;
	int len;

	(void)state;
	setenv("HV_VSS_X", "not ours", 1);
	setenv("HV_VSS_NAME", "of an outer one", 1);
	begin(cw, HV_VSS_PREPARE, 42, 7500000);
	finish(cw);
	assert_int_equal(
	    sscanf(cw->cw_reason, "t 7 prepare 42 %u %u%n", &left, &hold, &len),
	    2);
	/* Starting it took less than a minute. */
	assert_in_range(left, 7440000, 7500000);
	assert_int_equal(hold, 60000);
	assert_int_equal(cw->cw_reason[len], '\0');
}

static void
a_command_that_ignores_sigterm_is_killed_with_all_its_children(void **state)
{
	struct ctl_work *cw = command(
	    HV_VSS_FREEZE, "trap '' TERM; sleep 60 & echo $!; wait; sleep 60");
	uint64_t until = ctl_now_ms() + BOUND_MS;
	pid_t child;

	(void)state;
	begin(cw, HV_VSS_FREEZE, 1, 1000);
	/* Its first line says that the trap is set. */
	while (cw->cw_child->ch_last[0] == '\0') {
		assert_true(ctl_now_ms() < until);
		assert_false(ctl_work_event(cw));
		(void)poll(NULL, 0, 1);
	}
	child = (pid_t)strtol(cw->cw_child->ch_last, NULL, 10);
	assert_true(child > 1);
	ctl_work_cancel(cw, "overtaken");
	assert_false(ctl_work_event(cw));
	ctl_work_kill(cw, "not done in time");
	finish(cw);
	assert_false(cw->cw_ok);
	assert_string_equal(cw->cw_reason, "freeze: overtaken");
	while (kill(child, 0) == 0) {
		assert_true(ctl_now_ms() < until);
		(void)poll(NULL, 0, 5);
	}
}

static void
what_a_command_leaves_running_does_not_delay_its_end(void **state)
{
	struct ctl_work *cw = command(
	    HV_VSS_FREEZE, "sleep 60 & echo $! >&2; exit 0");
	const struct ctl_child *ch;
	pid_t left;

	(void)state;
	begin(cw, HV_VSS_FREEZE, 1, 1000);
	ch = cw->cw_child;
	finish(cw);
	assert_true(cw->cw_ok);
	left = (pid_t)strtol(ch->ch_last, NULL, 10);
	assert_true(left > 1);
	assert_int_equal(kill(left, SIGKILL), 0);
}

static void
a_co_process_answers_one_line_to_each_operation(void **state)
{
	struct ctl_work *cw = coprocess(
	    "while read op; do case $op in "
	    "freeze) echo fail no room in $op;; *) echo ok;; esac; done");

	(void)state;
	begin(cw, HV_VSS_CHECK, 1, 1000);
	finish(cw);
	assert_true(cw->cw_ok);
	begin(cw, HV_VSS_FREEZE, 2, 1000);
	finish(cw);
	assert_false(cw->cw_ok);
	assert_string_equal(cw->cw_reason, "no room in freeze");
	begin(cw, HV_VSS_THAW, 3, 1000);
	finish(cw);
	assert_true(cw->cw_ok);
	ctl_work_stop(cw);
}

static void
a_co_process_that_ends_is_a_failure_and_is_said_to_have_ended(void **state)
{
	struct ctl_work *cw = coprocess("read op; exit 0");

	(void)state;
	begin(cw, HV_VSS_FREEZE, 1, 1000);
	finish(cw);
	assert_false(cw->cw_ok);
	assert_null(cw->cw_co.co_child);
	assert_string_equal(
	    cw->cw_reason, "the co-process has ended: exit status 0");
}

static void
a_co_process_that_hangs_is_killed(void **state)
{
	struct ctl_work *cw = coprocess("trap '' TERM; sleep 60; sleep 60");

	(void)state;
	begin(cw, HV_VSS_FREEZE, 1, 1000);
	assert_false(ctl_work_event(cw));
	ctl_work_kill(cw, "not done in time");
	finish(cw);
	assert_null(cw->cw_co.co_child);
	assert_string_equal(cw->cw_reason, "freeze: not done in time");
}

static void
an_operation_without_a_command_has_nothing_to_do(void **state)
{
	struct ctl_work *cw = command(HV_VSS_FREEZE, "exit 0");

	(void)state;
	assert_true(ctl_work_has(cw, HV_VSS_FREEZE));
	assert_false(ctl_work_has(cw, HV_VSS_CHECK));
	assert_false(ctl_work_has(cw, 4));
	assert_false(ctl_work_has(cw, 4000000000));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_command_that_exits_with_0_is_success),
		cmocka_unit_test(
		    the_last_line_of_a_failing_command_is_the_reason),
		cmocka_unit_test(
		    a_line_without_newline_counts_and_a_long_one_is_cut),
		cmocka_unit_test(
		    a_silent_failure_gives_its_exit_status_as_the_reason),
		cmocka_unit_test(
		    the_environment_says_what_is_asked_and_how_long_it_may_take),
		cmocka_unit_test(
		    a_command_that_ignores_sigterm_is_killed_with_all_its_children),
		cmocka_unit_test(
		    what_a_command_leaves_running_does_not_delay_its_end),
		cmocka_unit_test(
		    a_co_process_answers_one_line_to_each_operation),
		cmocka_unit_test(
		    a_co_process_that_ends_is_a_failure_and_is_said_to_have_ended),
		cmocka_unit_test(a_co_process_that_hangs_is_killed),
		cmocka_unit_test(
		    an_operation_without_a_command_has_nothing_to_do),
	};

	signal(SIGPIPE, SIG_IGN);
	report_init("t_ctl_work", REPORT_ERROR);
	return (cmocka_run_group_tests_name("ctl_work", tests, NULL, NULL));
}
