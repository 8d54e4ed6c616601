/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/* Processes of a participant: what they inherit, their output, their places. */

#include <errno.h>
#include <fcntl.h>
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
#include "ctl_child.h"
#include "report.h"

#define BOUND_MS 20000

static struct ctl_children t_children;

static int
fresh(void **state)
{
	(void)state;
	memset(&t_children, 0, sizeof(t_children));
	return (0);
}

static struct ctl_child *
start(const char *cmd)
{
	const char *const argv[] = { "sh", "-c", cmd, NULL };
	const struct ctl_child_how ce = { .ce_label = "c",
		.ce_path = "/bin/sh",
		.ce_argv = argv,
		.ce_keep = -1,
		.ce_in = -1,
		.ce_out = -1,
		.ce_vars = { .cv_name = "n", .cv_level = 3 } };
	struct ctl_child *ch = NULL;

	assert_int_equal(ctl_child_start(&t_children, &ce, &ch), 0);
	return (ch);
}

static void
until_ended(const struct ctl_child *ch)
{
	uint64_t until = ctl_now_ms() + BOUND_MS;

	for (;;) {
		ctl_child_drain(&t_children);
		if (ch->ch_pid == 0)
			return;
		assert_true(ctl_now_ms() < until);
		(void)poll(NULL, 0, 2);
	}
}

static void
it_has_a_group_three_descriptors_and_no_input(void **state)
{
	const struct ctl_child *ch;
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

	(void)state;
	assert_true(fd > 2);
	ch = start("read x && exit 1; [ ! -e /proc/self/fd/3 ] || exit 2; "
		   "[ $$ = $(cut -d' ' -f5 /proc/$$/stat) ] || exit 3");
	until_ended(ch);
	close(fd);
	assert_int_equal(ch->ch_status, 0);
}

static void
signals_are_as_they_usually_are(void **state)
{
	const struct ctl_child *ch;
	char fate[64];

	(void)state;
	/* This process ignores it. */
	ch = start("kill -PIPE $$; exit 0");
	until_ended(ch);
	ctl_child_fate(ch, fate, sizeof(fate));
	assert_string_equal(fate, "ended by signal 13");
}

static void
variables_of_a_kind_are_ours_alone(void **state)
{
	const struct ctl_child *ch;

	(void)state;
	setenv("HV_VSS_OP", "outer", 1);
	setenv("HV_VSS_LEVEL", "9", 1);
	setenv("OTHER", "kept", 1);
	ch = start("echo $HV_VSS_NAME $HV_VSS_LEVEL $OTHER $HV_VSS_OP");
	until_ended(ch);
	assert_string_equal(ch->ch_last, "n 3 kept");
}

static void
all_lines_count_and_the_last_one_is_remembered(void **state)
{
	const struct ctl_child *ch;

	(void)state;
	ch = start("i=0; while [ $i -lt 1000 ]; do i=$((i+1)); echo $i; done; "
		   "printf end");
	until_ended(ch);
	assert_string_equal(ch->ch_last, "end");
	assert_int_equal(ch->ch_fd, -1);
}

static void
who_has_the_output_still_does_not_delay_the_end(void **state)
{
	const struct ctl_child *ch;
	pid_t left;

	(void)state;
	ch = start("sleep 600 & echo $!");
	until_ended(ch);
	assert_true(ch->ch_fd >= 0);
	left = (pid_t)strtol(ch->ch_last, NULL, 10);
	assert_true(left > 1);
	assert_int_equal(kill(left, SIGKILL), 0);
}

static void
the_oldest_output_gives_way_when_there_are_too_many(void **state)
{
	pid_t left[CTL_CHILD_MAX + 1];
	const struct ctl_child *first = NULL, *ch = NULL;

	(void)state;
	for (int i = 0; i < CTL_CHILD_MAX + 1; i++) {
		ch = start("sleep 600 & echo $!");
		if (i == 0)
			first = ch;
		until_ended(ch);
		left[i] = (pid_t)strtol(ch->ch_last, NULL, 10);
	}
	assert_ptr_equal(first, ch);
	assert_int_equal(ch->ch_no, CTL_CHILD_MAX + 1);
	for (int i = 0; i < CTL_CHILD_MAX + 1; i++)
		assert_int_equal(kill(left[i], SIGKILL), 0);
}

static void
what_cannot_be_run_is_an_error_and_takes_no_place(void **state)
{
	const char *const argv[] = { "x", NULL };
	const struct ctl_child_how ce = { .ce_label = "c",
		.ce_path = "/no/such/program",
		.ce_argv = argv,
		.ce_keep = -1,
		.ce_in = -1,
		.ce_out = -1,
		.ce_vars = { .cv_name = "n" } };
	struct pollfd fds[CTL_CHILD_MAX];
	struct ctl_child *ch = NULL;

	(void)state;
	for (int i = 0; i < 2 * CTL_CHILD_MAX; i++)
		assert_int_equal(
		    ctl_child_start(&t_children, &ce, &ch), ENOENT);
	assert_null(ch);
	assert_int_equal(ctl_child_polls(&t_children, fds), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(
		    it_has_a_group_three_descriptors_and_no_input, fresh),
		cmocka_unit_test_setup(signals_are_as_they_usually_are, fresh),
		cmocka_unit_test_setup(
		    variables_of_a_kind_are_ours_alone, fresh),
		cmocka_unit_test_setup(
		    all_lines_count_and_the_last_one_is_remembered, fresh),
		cmocka_unit_test_setup(
		    who_has_the_output_still_does_not_delay_the_end, fresh),
		cmocka_unit_test_setup(
		    the_oldest_output_gives_way_when_there_are_too_many, fresh),
		cmocka_unit_test_setup(
		    what_cannot_be_run_is_an_error_and_takes_no_place, fresh),
	};

	signal(SIGPIPE, SIG_IGN);
	report_init("t_ctl_child", REPORT_ERROR);
	return (cmocka_run_group_tests_name("ctl_child", tests, NULL, NULL));
}
