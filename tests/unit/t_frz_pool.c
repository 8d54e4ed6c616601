/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/* Threads that do what they are given, and none where there may be no more. */

#include <sys/resource.h>
#include <sys/wait.h>

#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "frz_pool.h"

static struct frz_pool pool;
static atomic_uint done;

static void
job(void *ctx, uint32_t index)
{
	(void)ctx;
	atomic_fetch_add(&done, index);
}

static void
every_job_is_done_once(void **state)
{
	struct pollfd pfd;
	uint64_t n, ended = 0;

	(void)state;
	assert_int_equal(frz_pool_init(&pool), 0);
	frz_pool_limit(&pool, 3);
	assert_int_equal(frz_pool_grow(&pool, 8), 0);
	assert_int_equal(pool.fp_threads, 3);
	for (uint32_t i = 1; i <= 100; i++)
		frz_pool_put(&pool, job, NULL, i);
	pfd = (struct pollfd) { .fd = pool.fp_done, .events = POLLIN };
	while (ended < 100) {
		assert_int_equal(poll(&pfd, 1, 10000), 1);
		assert_int_equal(read(pool.fp_done, &n, sizeof(n)), sizeof(n));
		ended += n;
	}
	assert_int_equal(atomic_load(&done), 5050);
}

static unsigned
mappings(void)
{
	FILE *f = fopen("/proc/self/maps", "r");
	unsigned n = 0;
	int c;

	while ((c = getc(f)) != EOF)
		n += c == '\n';
	fclose(f);
	return (n);
}

/* In a process that may have no more threads; its exit status. */
static int
refused(void)
{
	static struct frz_pool small;
	struct rlimit none = { 0, 0 };
	unsigned before;

	/* Nothing limits root. */
	if ((geteuid() == 0 && setresuid(65534, 65534, 65534) != 0) ||
	    setrlimit(RLIMIT_NPROC, &none) != 0)
		return (77);
	if (frz_pool_init(&small) != 0 || frz_pool_grow(&small, 1) != EAGAIN)
		return (1);
	before = mappings();
	for (int i = 0; i < 50; i++)
		if (frz_pool_grow(&small, 1) != EAGAIN)
			return (2);
	return (mappings() == before ? 0 : 3);
}

static void
a_thread_that_is_refused_leaves_nothing(void **state)
{
	int status;
	pid_t pid;

	(void)state;
#ifdef __SANITIZE_ADDRESS__
	skip(); /* its own pthread_create() maps, too */
#endif
	pid = fork();
	assert_int_not_equal(pid, -1);
	if (pid == 0)
		_exit(refused());
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	if (WEXITSTATUS(status) == 77)
		skip();
	assert_int_equal(WEXITSTATUS(status), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_thread_that_is_refused_leaves_nothing),
		cmocka_unit_test(every_job_is_done_once),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
