/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/* Children for what may block: one at a time, and nobody waits for long. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include "apart.h"

#define LONG_MS 20000

/* Begins a child that ends with that status. */
static void
t_begin(struct apart *ap, int status)
{
	pid_t pid = apart_begin(ap);

	if (pid == 0)
		_exit(status);
	assert_true(pid > 0);
	assert_int_equal(ap->ap_pid, pid);
}

static void
what_the_child_says_is_told_once(void **state)
{
	struct apart ap = { 0 };

	(void)state;
	assert_int_equal(apart_end(&ap, 0), 0);
	t_begin(&ap, ENOSPC);
	assert_int_equal(apart_end(&ap, LONG_MS), ENOSPC);
	assert_int_equal(ap.ap_pid, 0);
	assert_int_equal(apart_end(&ap, LONG_MS), 0);
	t_begin(&ap, 0);
	assert_int_equal(apart_end(&ap, LONG_MS), 0);
	assert_int_equal(ap.ap_pid, 0);
}

static void
there_is_no_second_while_the_first_is_out(void **state)
{
	struct apart ap = { 0 };
	pid_t pid;

	(void)state;
	pid = apart_begin(&ap);
	if (pid == 0)
		for (;;)
			(void)pause();
	assert_true(pid > 0);
	assert_int_equal(apart_end(&ap, 0), -1);
	assert_int_equal(apart_end(&ap, 5), -1);
	assert_int_equal(apart_begin(&ap), -1);
	assert_int_equal(ap.ap_pid, pid);
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(apart_end(&ap, LONG_MS), EINTR);
	t_begin(&ap, 0);
	assert_int_equal(apart_end(&ap, LONG_MS), 0);
}

static void
one_that_has_ended_makes_room_for_the_next(void **state)
{
	struct apart ap = { 0 };

	(void)state;
	t_begin(&ap, 0);
	/* The next one begins as soon as that has ended, unasked for. */
	for (unsigned int i = 0; i < LONG_MS; i++) {
		pid_t pid = apart_begin(&ap);

		if (pid == 0)
			_exit(0);
		if (pid > 0)
			break;
		(void)usleep(1000);
	}
	assert_int_equal(apart_end(&ap, LONG_MS), 0);
}

static void
the_child_has_no_descriptors_and_hears_signals(void **state)
{
	struct apart ap = { 0 };
	sigset_t term, was;
	int fd = dup(STDERR_FILENO);
	pid_t pid;

	(void)state;
	assert_true(fd > STDERR_FILENO);
	sigemptyset(&term);
	sigaddset(&term, SIGTERM);
	assert_int_equal(sigprocmask(SIG_BLOCK, &term, &was), 0);
	pid = apart_begin(&ap);
	if (pid == 0) {
		if (fcntl(fd, F_GETFD) != -1 ||
		    fcntl(STDERR_FILENO, F_GETFD) == -1)
			_exit(1);
		if (sigprocmask(SIG_BLOCK, NULL, &term) != 0 ||
		    sigismember(&term, SIGTERM) != 0)
			_exit(2);
		_exit(0);
	}
	assert_int_equal(apart_end(&ap, LONG_MS), 0);
	assert_int_equal(sigprocmask(SIG_SETMASK, &was, NULL), 0);
	(void)close(fd);
}

int
main(void)
{
	static const struct CMUnitTest cases[] = {
		cmocka_unit_test(what_the_child_says_is_told_once),
		cmocka_unit_test(there_is_no_second_while_the_first_is_out),
		cmocka_unit_test(one_that_has_ended_makes_room_for_the_next),
		cmocka_unit_test(
		    the_child_has_no_descriptors_and_hears_signals),
	};

	return (cmocka_run_group_tests(cases, NULL, NULL));
}
