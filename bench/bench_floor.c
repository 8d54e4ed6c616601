/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/*
 * The floor that the bench measures against: bench_floor MOUNT... freezes all
 * of them at once, one thread each, thaws them at once, and prints when, in
 * nanoseconds of CLOCK_BOOTTIME.  Nobody is asked, nothing is flushed or
 * checked before.  It runs in the isolated root alone, and freezes only what is
 * scratch there.
 */

#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <err.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/fs.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define MOUNTS_MAX 1024

static int fds[MOUNTS_MAX];
static uint64_t begin_ns[2][MOUNTS_MAX], end_ns[2][MOUNTS_MAX];
static pthread_barrier_t barrier;

static uint64_t
now_ns(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_BOOTTIME, &ts);
	return ((uint64_t)ts.tv_sec * 1000000000ULL + (uint64_t)ts.tv_nsec);
}

static void
refuse_elsewhere(void)
{
	char exe[64] = "";

	if (getenv("ISOROOT") == NULL ||
	    readlink("/proc/1/exe", exe, sizeof(exe) - 1) == -1 ||
	    strcmp(exe, "/iso/isoinit") != 0)
		errx(1,
		    "freezes in the isolated root only; run it through "
		    "tests/isoroot/isoroot");
}

/* By the device that mountinfo names: a btrfs has another in stat(). */
static int
open_scratch(const char *mount)
{
	char type[32], point[128];
	FILE *f = fopen("/iso/table", "re");
	int fd = -1;

	while (f != NULL && fd == -1 &&
	    fscanf(f, "%*s %31s %127s %*s %*s", type, point) == 2)
		if (strcmp(point, mount) == 0)
			fd = open(mount, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (f != NULL)
		(void)fclose(f);
	if (fd == -1)
		errx(1, "%s: is not a scratch file system", mount);
	return (fd);
}

static void *
work(void *arg)
{
	static const unsigned long steps[] = { FIFREEZE, FITHAW };
	size_t i = (size_t)(uintptr_t)arg;

	for (int step = 0; step < 2; step++) {
		(void)pthread_barrier_wait(&barrier);
		begin_ns[step][i] = now_ns();
		if (ioctl(fds[i], steps[step], 0) != 0)
			warn("%s", step == 0 ? "freeze" : "thaw");
		end_ns[step][i] = now_ns();
	}
	return (NULL);
}

int
main(int argc, char *argv[])
{
	static const char *const names[] = { "freeze", "thaw" };
	pthread_t threads[MOUNTS_MAX];
	size_t n = (size_t)argc - 1;
	uint64_t begin, end;

	refuse_elsewhere();
	if (n == 0 || n > MOUNTS_MAX)
		errx(1, "usage: bench_floor MOUNT...");
	(void)pthread_barrier_init(&barrier, NULL, (unsigned int)n);
	for (size_t i = 0; i < n; i++) {
		fds[i] = open_scratch(argv[i + 1]);
		if (pthread_create(
			&threads[i], NULL, work, (void *)(uintptr_t)i) != 0)
			err(1, "thread");
	}
	for (size_t i = 0; i < n; i++)
		(void)pthread_join(threads[i], NULL);
	for (int step = 0; step < 2; step++) {
		begin = UINT64_MAX;
		end = 0;
		for (size_t i = 0; i < n; i++) {
			if (begin_ns[step][i] < begin)
				begin = begin_ns[step][i];
			if (end_ns[step][i] > end)
				end = end_ns[step][i];
		}
		(void)printf("%s\"%s\":[%" PRIu64 ",%" PRIu64 "]%s",
		    step == 0 ? "{" : ",", names[step], begin, end,
		    step == 0 ? "" : "}\n");
	}
	return (0);
}
