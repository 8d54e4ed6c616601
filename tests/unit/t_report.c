/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/* Messages: where they go, and that none is written while held back. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "report.h"

static int t_pipe[2];
static int t_stderr;
static char t_text[65536];

/* Standard error is a pipe that does not block during a case. */
static int
t_setup(void **state)
{
	(void)state;
	if (pipe2(t_pipe, O_NONBLOCK) != 0)
		return (-1);
	t_stderr = dup(STDERR_FILENO);
	dup2(t_pipe[1], STDERR_FILENO);
	report_init("prog", REPORT_NOTICE);
	return (0);
}

static int
t_teardown(void **state)
{
	(void)state;
	report_release();
	dup2(t_stderr, STDERR_FILENO);
	close(t_stderr);
	close(t_pipe[0]);
	close(t_pipe[1]);
	return (0);
}

/* What was written since the last look. */
static const char *
t_written(void)
{
	ssize_t n;

	n = read(t_pipe[0], t_text, sizeof(t_text) - 1);
	t_text[n > 0 ? n : 0] = '\0';
	return (t_text);
}

static void
a_message_is_one_line_with_the_programs_name(void **state)
{
	(void)state;
	errno = E2BIG;
	report(REPORT_ERROR, "%s: %d", "/srv", 5);
	assert_int_equal(errno, E2BIG);
	assert_string_equal(t_written(), "prog: /srv: 5\n");
	report(REPORT_NOTICE, "two");
	report(REPORT_DEBUG, "not at this level");
	assert_string_equal(t_written(), "prog: two\n");
	report_init("other", REPORT_DEBUG);
	report(REPORT_DEBUG, "three");
	assert_string_equal(t_written(), "other: three\n");
}

static void
others_text_does_not_make_lines_of_its_own(void **state)
{
	(void)state;
	report(REPORT_ERROR, "%s", "/srv/a\nprog: b\r\033[2J\x7f\xc3\xbc");
	assert_string_equal(
	    t_written(), "prog: /srv/a?prog: b??[2J?\xc3\xbc\n");
}

static void
a_long_message_is_cut(void **state)
{
	char text[2 * REPORT_LINE_MAX];

	(void)state;
	memset(text, 'x', sizeof(text));
	text[sizeof(text) - 1] = '\0';
	report(REPORT_ERROR, "%s", text);
	assert_int_equal(strlen(t_written()),
	    strlen("prog: ") + REPORT_LINE_MAX - 1 + strlen("\n"));
}

static void
nothing_is_written_while_messages_are_held_back(void **state)
{
	(void)state;
	report(REPORT_ERROR, "before");
	assert_string_equal(t_written(), "prog: before\n");
	report_hold();
	report(REPORT_ERROR, "one");
	report_hold();
	report(REPORT_NOTICE, "%s", "");
	report(REPORT_DEBUG, "not at this level");
	report(REPORT_WARNING, "two");
	assert_string_equal(t_written(), "");
	report_release();
	assert_string_equal(t_written(), "prog: one\nprog: \nprog: two\n");
	report_release();
	assert_string_equal(t_written(), "");
	report(REPORT_ERROR, "after");
	assert_string_equal(t_written(), "prog: after\n");
}

static void
what_does_not_fit_is_counted_and_the_next_hold_starts_empty(void **state)
{
	static const char lost[] = "messages were lost";
	char text[1000];
	int i;

	(void)state;
	memset(text, 'y', sizeof(text));
	text[sizeof(text) - 1] = '\0';
	report_hold();
	for (i = 0; i < 30; i++)
		report(REPORT_ERROR, "%s", text);
	assert_string_equal(t_written(), "");
	report_release();
	assert_non_null(strstr(t_written(), lost));
	assert_true(strlen(t_text) > 10 * sizeof(text));
	report_hold();
	report(REPORT_ERROR, "fits");
	report_release();
	assert_string_equal(t_written(), "prog: fits\n");
}

static void
a_reader_that_does_not_read_does_not_stop_the_program(void **state)
{
	static const char page[4096];
	size_t n = 0;

	(void)state;
	while (write(t_pipe[1], page, sizeof(page)) > 0)
		n++;
	/* A write would wait from now on. */
	fcntl(t_pipe[1], F_SETFL, 0);
	report(REPORT_ERROR, "one");
	report(REPORT_ERROR, "two");
	for (; n > 0; n--)
		t_written();
	report(REPORT_ERROR, "three");
	assert_string_equal(
	    t_written(), "prog: 2 messages were lost\nprog: three\n");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
		    a_message_is_one_line_with_the_programs_name, t_setup,
		    t_teardown),
		cmocka_unit_test_setup_teardown(
		    others_text_does_not_make_lines_of_its_own, t_setup,
		    t_teardown),
		cmocka_unit_test_setup_teardown(
		    a_long_message_is_cut, t_setup, t_teardown),
		cmocka_unit_test_setup_teardown(
		    nothing_is_written_while_messages_are_held_back, t_setup,
		    t_teardown),
		cmocka_unit_test_setup_teardown(
		    what_does_not_fit_is_counted_and_the_next_hold_starts_empty,
		    t_setup, t_teardown),
		cmocka_unit_test_setup_teardown(
		    a_reader_that_does_not_read_does_not_stop_the_program,
		    t_setup, t_teardown),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
