/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/*
 * Sets the time of day of the programs that it is preloaded into, and no other
 * clock: it is off by the seconds in the first eight bytes of the file
 * CLOCKSHIM_FILE, which may change at any time.
 */

#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define SHIM_EXPORT __attribute__((visibility("default")))

static const volatile int64_t *shim_off;

__attribute__((constructor)) static void
shim_init(void)
{
	int fd = open(getenv("CLOCKSHIM_FILE"), O_RDONLY | O_CLOEXEC);
	const void *p = mmap(
	    NULL, sizeof(*shim_off), PROT_READ, MAP_SHARED, fd, 0);

	if (p == MAP_FAILED)
		abort();
	shim_off = p;
	(void)close(fd);
}

SHIM_EXPORT int
clock_gettime(clockid_t clock, struct timespec *ts)
{
	if (syscall(SYS_clock_gettime, clock, ts) != 0)
		return (-1);
	if (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)
		ts->tv_sec += *shim_off;
	return (0);
}

SHIM_EXPORT int
gettimeofday(struct timeval *restrict tv, void *restrict zone)
{
	struct timespec ts;

	(void)zone;
	(void)clock_gettime(CLOCK_REALTIME, &ts);
	tv->tv_sec = ts.tv_sec;
	tv->tv_usec = ts.tv_nsec / 1000;
	return (0);
}

SHIM_EXPORT time_t
time(time_t *t)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_REALTIME, &ts);
	if (t != NULL)
		*t = ts.tv_sec;
	return (ts.tv_sec);
}
