/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/* What the service manager is told, and when. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <sys/socket.h>
#include <sys/un.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "notify.h"

static int t_sock;
static char t_text[256];

/* A manager that listens on an abstract address. */
static int
t_setup(void **state)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	char name[40];
	int len;

	(void)state;
	len = snprintf(name, sizeof(name), "@t_notify.%d", (int)getpid());
	memcpy(sun.sun_path + 1, name + 1, (size_t)len - 1);
	t_sock = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0);
	if (bind(t_sock, (struct sockaddr *)&sun,
		(socklen_t)(offsetof(struct sockaddr_un, sun_path) +
		    (size_t)len)) != 0)
		return (-1);
	setenv("NOTIFY_SOCKET", name, 1);
	unsetenv("WATCHDOG_PID");
	unsetenv("WATCHDOG_USEC");
	return (0);
}

static int
t_teardown(void **state)
{
	(void)state;
	close(t_sock);
	unsetenv("NOTIFY_SOCKET");
	notify_init(0);
	return (0);
}

static const char *
t_heard(void)
{
	ssize_t n;

	n = recv(t_sock, t_text, sizeof(t_text) - 1, 0);
	t_text[n > 0 ? n : 0] = '\0';
	return (t_text);
}

static void
each_text_is_a_datagram(void **state)
{
	(void)state;
	notify_init(0);
	assert_int_equal(notify_say("READY=1"), 0);
	assert_int_equal(notify_say("STATUS=x"), 0);
	assert_string_equal(t_heard(), "READY=1");
	assert_string_equal(t_heard(), "STATUS=x");
	assert_string_equal(t_heard(), "");
}

static void
without_a_manager_nothing_is_said(void **state)
{
	(void)state;
	unsetenv("NOTIFY_SOCKET");
	setenv("WATCHDOG_USEC", "1000000", 1);
	notify_init(5);
	assert_int_equal(notify_say("READY=1"), 0);
	assert_true(notify_due() == NOTIFY_NEVER);
	notify_alive(6);
	assert_string_equal(t_heard(), "");
}

static void
a_child_does_not_take_itself_for_the_service(void **state)
{
	(void)state;
	setenv("WATCHDOG_USEC", "1000000", 1);
	notify_init(0);
	assert_null(getenv("NOTIFY_SOCKET"));
	assert_null(getenv("WATCHDOG_USEC"));
}

static void
it_says_that_it_lives_three_times_in_the_time_it_has(void **state)
{
	(void)state;
	setenv("WATCHDOG_USEC", "3000000", 1);
	notify_init(7);
	assert_true(notify_due() == 7);
	notify_alive(6);
	assert_string_equal(t_heard(), "");
	notify_alive(8);
	assert_string_equal(t_heard(), "WATCHDOG=1");
	assert_true(notify_due() == 1000000008ULL);
}

static void
who_is_not_watched_does_not_say_that_it_lives(void **state)
{
	static const char *const usec[] = { "", "x", "-3", "3x",
		"99999999999999999999" };
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(usec) / sizeof(usec[0]); i++) {
		setenv("NOTIFY_SOCKET", "@nobody", 1);
		t_teardown(NULL);
		assert_int_equal(t_setup(NULL), 0);
		setenv("WATCHDOG_USEC", usec[i], 1);
		notify_init(0);
		assert_true(notify_due() == NOTIFY_NEVER);
	}
	setenv("NOTIFY_SOCKET", "@nobody", 1);
	assert_int_equal(t_teardown(NULL), 0);
	assert_int_equal(t_setup(NULL), 0);
	setenv("WATCHDOG_USEC", "3000000", 1);
	setenv("WATCHDOG_PID", "1", 1);
	notify_init(0);
	assert_true(notify_due() == NOTIFY_NEVER);
}

static void
a_manager_that_does_not_read_blocks_nobody(void **state)
{
	int error, i;

	(void)state;
	notify_init(0);
	for (i = 0, error = 0; i < 100000 && error == 0; i++)
		error = notify_say("WATCHDOG=1");
	assert_int_equal(error, EAGAIN);
}

int
main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, t_setup, t_teardown)
	static const struct CMUnitTest tests[] = {
		T(each_text_is_a_datagram),
		T(without_a_manager_nothing_is_said),
		T(a_child_does_not_take_itself_for_the_service),
		T(it_says_that_it_lives_three_times_in_the_time_it_has),
		T(who_is_not_watched_does_not_say_that_it_lives),
		T(a_manager_that_does_not_read_blocks_nobody),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
