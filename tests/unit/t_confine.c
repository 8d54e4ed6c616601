/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/* What a table allows and refuses, each tried in a child of its own. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <sys/syscall.h>
#include <sys/wait.h>

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "confine.h"

#define N(table) (sizeof(table) / sizeof((table)[0]))

/* What the child needs to say what it saw. */
#define END CONFINE_CALL(exit_group), CONFINE_CALL(write)

/* The errno of a call, with its low half and its high half of argument 1. */
static int
t_try(const struct confine_rule *rules, size_t n, long call, long a, long b)
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		if (confine_calls(rules, n) != 0)
			_exit(255);
		_exit(syscall(call, a, b, 0) == -1 ? errno : 0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return (WEXITSTATUS(status));
}

static void
what_is_not_in_the_table_is_refused_and_kills_nobody(void **state)
{
	static const struct confine_rule rules[] = { END,
		CONFINE_CALL(getppid) };

	(void)state;
	assert_int_equal(t_try(rules, N(rules), SYS_getppid, 0, 0), 0);
	assert_int_equal(t_try(rules, N(rules), SYS_chdir, 0, 0), EPERM);
	assert_int_equal(t_try(rules, N(rules), 100000, 0, 0), EPERM);
}

static void
an_argument_is_looked_at_by_its_low_half(void **state)
{
	static const struct confine_rule rules[] = { END,
		CONFINE_IF(dup3, 1, CONFINE_EQUALS, 7),
		CONFINE_IF(dup3, 1, CONFINE_EQUALS, 9) };

	(void)state;
	assert_int_equal(t_try(rules, N(rules), SYS_dup3, 99, 7), EBADF);
	assert_int_equal(t_try(rules, N(rules), SYS_dup3, 99, 9), EBADF);
	assert_int_equal(t_try(rules, N(rules), SYS_dup3, 99, 8), EPERM);
	assert_int_equal(
	    t_try(rules, N(rules), SYS_dup3, 99, 7L | 1L << 40), EBADF);
}

static void
none_of_some_bits_may_be_set(void **state)
{
	static const struct confine_rule rules[] = { END,
		CONFINE_IF(dup3, 1, CONFINE_NONE_OF, 6) };

	(void)state;
	assert_int_equal(t_try(rules, N(rules), SYS_dup3, 99, 1), EBADF);
	assert_int_equal(t_try(rules, N(rules), SYS_dup3, 99, 2), EPERM);
	assert_int_equal(t_try(rules, N(rules), SYS_dup3, 99, 4), EPERM);
	assert_int_equal(t_try(rules, N(rules), SYS_dup3, 99, 7), EPERM);
}

static void
a_process_can_be_told_from_others(void **state)
{
	static const struct confine_rule rules[] = { END,
		CONFINE_IF(kill, 0, CONFINE_SELF, 0) };

	(void)state;
	assert_int_equal(t_try(rules, N(rules), SYS_kill, getpid(), 0), EPERM);
}

static void
a_call_can_look_as_if_the_kernel_had_none(void **state)
{
	static const struct confine_rule rules[] = { END,
		{ SYS_getppid, CONFINE_ENOSYS, 0, 0 } };

	(void)state;
	assert_int_equal(t_try(rules, N(rules), SYS_getppid, 0, 0), ENOSYS);
}

#ifdef __x86_64__
/* x32 has the same calls under other numbers. */
static void
what_is_refused_is_so_under_its_other_number(void **state)
{
	int status;
	pid_t pid = fork();

	(void)state;
	if (pid == 0) {
		if (confine_never(0) != 0)
			_exit(255);
		_exit(syscall(0x40000000 | SYS_unshare, 0) == -1 ? errno : 0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(WEXITSTATUS(status), EPERM);
}
#endif

static void
a_table_that_is_too_long_changes_nothing(void **state)
{
	static struct confine_rule rules[300];

	(void)state;
	assert_int_equal(confine_calls(rules, N(rules)), E2BIG);
	assert_int_equal(close(dup(0)), 0);
}

static void
capabilities_can_be_given_up_and_not_taken(void **state)
{
	int status;
	pid_t pid;

	(void)state;
	if (geteuid() != 0)
		skip();
	pid = fork();
	if (pid == 0) {
		if (confine_caps(CONFINE_CAP(CAP_CHOWN)) != 0)
			_exit(1);
		/* Root, that may give away a file, but no more than that. */
		if (chown("/proc/self/none", 1, 1) == -1 && errno != ENOENT)
			_exit(2);
		if (chroot("/") == 0 || errno != EPERM)
			_exit(3);
		if (confine_caps(~0ULL) != 0)
			_exit(4);
		_exit(chroot("/") == 0 ? 5 : 0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(WEXITSTATUS(status), 0);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(
		    what_is_not_in_the_table_is_refused_and_kills_nobody),
		cmocka_unit_test(an_argument_is_looked_at_by_its_low_half),
		cmocka_unit_test(none_of_some_bits_may_be_set),
		cmocka_unit_test(a_process_can_be_told_from_others),
		cmocka_unit_test(a_call_can_look_as_if_the_kernel_had_none),
#ifdef __x86_64__
		cmocka_unit_test(what_is_refused_is_so_under_its_other_number),
#endif
		cmocka_unit_test(a_table_that_is_too_long_changes_nothing),
		cmocka_unit_test(capabilities_can_be_given_up_and_not_taken),
	};

	if (!CONFINE_WANTED) {
		printf("built with a sanitizer, whose calls no table has\n");
		return (77);
	}
	return (cmocka_run_group_tests(tests, NULL, NULL));
}
