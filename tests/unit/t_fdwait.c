/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/* Waiting as poll(2) does, and under a limit that poll(2) does not take. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <sys/resource.h>
#include <sys/select.h>

#include <errno.h>
#include <unistd.h>

#include "fdwait.h"

enum { EMPTY, FULL, ENDED, ROOM, ABSENT, NFDS };

static int t_empty[2], t_full[2], t_ended[2];
static struct rlimit t_usual;

static int
t_setup(void **state)
{
	(void)state;
	if (pipe(t_empty) != 0 || pipe(t_full) != 0 || pipe(t_ended) != 0 ||
	    write(t_full[1], "x", 1) != 1)
		return (-1);
	(void)close(t_ended[1]);
	return (getrlimit(RLIMIT_NOFILE, &t_usual));
}

static int
t_teardown(void **state)
{
	(void)state;
	(void)close(t_empty[0]);
	(void)close(t_empty[1]);
	(void)close(t_full[0]);
	(void)close(t_full[1]);
	(void)close(t_ended[0]);
	return (setrlimit(RLIMIT_NOFILE, &t_usual));
}

/* From here on poll(2) says EINVAL. */
static void
t_limit(void)
{
	struct rlimit few = { 0, t_usual.rlim_max };
	struct pollfd pfd = { -1, 0, 0 };

	assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
	assert_int_equal(poll(&pfd, 1, 0), -1);
	assert_int_equal(errno, EINVAL);
}

static void
t_ask(struct pollfd *fds)
{
	fds[EMPTY] = (struct pollfd) { t_empty[0], POLLIN, -1 };
	fds[FULL] = (struct pollfd) { t_full[0], POLLIN, -1 };
	fds[ENDED] = (struct pollfd) { t_ended[0], POLLIN, -1 };
	fds[ROOM] = (struct pollfd) { t_empty[1], POLLOUT, -1 };
	fds[ABSENT] = (struct pollfd) { -1, POLLIN, -1 };
}

static void
what_is_ready_is_told(void **state)
{
	struct pollfd fds[NFDS];

	(void)state;
	t_ask(fds);
	assert_int_equal(fdwait(fds, NFDS, 0), 3);
	assert_int_equal(fds[EMPTY].revents, 0);
	assert_int_equal(fds[FULL].revents, POLLIN);
	assert_int_equal(fds[ENDED].revents, POLLHUP);
	assert_int_equal(fds[ROOM].revents, POLLOUT);
	assert_int_equal(fds[ABSENT].revents, 0);
}

static void
it_is_told_without_descriptors_as_well(void **state)
{
	struct pollfd fds[NFDS];

	(void)state;
	t_ask(fds);
	t_limit();
	assert_int_equal(fdwait(fds, NFDS, -1), 3);
	assert_int_equal(fds[EMPTY].revents, 0);
	assert_int_equal(fds[FULL].revents, POLLIN);
	assert_int_equal(fds[ENDED].revents, POLLIN);
	assert_int_equal(fds[ROOM].revents, POLLOUT);
	assert_int_equal(fds[ABSENT].revents, 0);
}

static void
time_passes_without_descriptors_as_well(void **state)
{
	struct pollfd pfd = { t_empty[0], POLLIN, -1 };

	(void)state;
	t_limit();
	assert_int_equal(fdwait(&pfd, 1, 0), 0);
	assert_int_equal(pfd.revents, 0);
	assert_int_equal(fdwait(&pfd, 1, 20), 0);
	assert_int_equal(pfd.revents, 0);
}

static void
what_was_not_asked_for_is_not_told(void **state)
{
	struct pollfd pfd = { t_full[0], 0, -1 };

	(void)state;
	t_limit();
	assert_int_equal(fdwait(&pfd, 1, 0), 0);
	assert_int_equal(pfd.revents, 0);
}

static void
a_number_that_no_set_has_is_an_error(void **state)
{
	struct pollfd fds[2] = { { t_full[0], POLLIN, 0 },
		{ FD_SETSIZE, POLLIN, 0 } };

	(void)state;
	t_limit();
	assert_int_equal(fdwait(fds, 2, 0), -1);
	assert_int_equal(errno, EINVAL);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, t_setup, t_teardown)

int
main(void)
{
	static const struct CMUnitTest cases[] = {
		CASE(what_is_ready_is_told),
		CASE(it_is_told_without_descriptors_as_well),
		CASE(time_passes_without_descriptors_as_well),
		CASE(what_was_not_asked_for_is_not_told),
		CASE(a_number_that_no_set_has_is_an_error),
	};

	return (cmocka_run_group_tests(cases, NULL, NULL));
}
