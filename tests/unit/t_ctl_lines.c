/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/* Output cut into lines, however it is read. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "ctl_lines.h"

static struct ctl_lines t_lines;

/* As if one read had given this. */
static void
given(const char *text, size_t len)
{
	int fds[2];

	assert_int_equal(pipe(fds), 0);
	assert_int_equal(write(fds[1], text, len), (ssize_t)len);
	assert_int_equal(ctl_lines_read(&t_lines, fds[0]), (ssize_t)len);
	close(fds[0]);
	close(fds[1]);
}

static int
fresh(void **state)
{
	(void)state;
	memset(&t_lines, 0, sizeof(t_lines));
	return (0);
}

static void
each_line_is_given_once_and_in_order(void **state)
{
	(void)state;
	given("one\ntwo\n", 8);
	assert_string_equal(ctl_lines_next(&t_lines), "one");
	assert_string_equal(ctl_lines_next(&t_lines), "two");
	assert_null(ctl_lines_next(&t_lines));
	assert_null(ctl_lines_rest(&t_lines));
}

static void
a_line_that_comes_in_pieces_is_one(void **state)
{
	(void)state;
	given("o", 1);
	assert_null(ctl_lines_next(&t_lines));
	given("n", 1);
	assert_null(ctl_lines_next(&t_lines));
	given("e\nt", 3);
	assert_string_equal(ctl_lines_next(&t_lines), "one");
	assert_null(ctl_lines_next(&t_lines));
	assert_string_equal(ctl_lines_rest(&t_lines), "t");
	assert_null(ctl_lines_rest(&t_lines));
}

static void
blank_lines_are_none_and_blanks_at_the_end_are_cut_off(void **state)
{
	(void)state;
	given("\n \t\r\n  ok \r\n", 13);
	assert_string_equal(ctl_lines_next(&t_lines), "  ok");
	assert_null(ctl_lines_next(&t_lines));
}

static void
a_long_line_is_cut_off_and_the_next_one_is_whole(void **state)
{
	char text[1000];
	const char *line;

	(void)state;
	memset(text, 'x', sizeof(text));
	given(text, sizeof(text));
	assert_null(ctl_lines_next(&t_lines));
	given("y\nnext\n", 7);
	line = ctl_lines_next(&t_lines);
	assert_int_equal(strlen(line), CTL_LINE_MAX - 1);
	assert_int_equal(line[CTL_LINE_MAX - 2], 'x');
	assert_string_equal(ctl_lines_next(&t_lines), "next");
}

static void
what_a_terminal_would_act_upon_is_replaced(void **state)
{
	(void)state;
	given("a\033[2Jb\0c\td\177\303\244\n", 14);
	assert_string_equal(ctl_lines_next(&t_lines), "a?[2Jb?c d?\303\244");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(
		    each_line_is_given_once_and_in_order, fresh),
		cmocka_unit_test_setup(
		    a_line_that_comes_in_pieces_is_one, fresh),
		cmocka_unit_test_setup(
		    blank_lines_are_none_and_blanks_at_the_end_are_cut_off,
		    fresh),
		cmocka_unit_test_setup(
		    a_long_line_is_cut_off_and_the_next_one_is_whole, fresh),
		cmocka_unit_test_setup(
		    what_a_terminal_would_act_upon_is_replaced, fresh),
	};

	return (cmocka_run_group_tests_name("ctl_lines", tests, NULL, NULL));
}
