/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/*
 * The writers of the bench, whose stalls are what a backup costs.
 *
 *	bench_writer dirty MIB FILE	leaves so much unwritten data behind
 *	bench_writer pace MIB_S FILE LOG
 *
 * pace writes blocks of 64 KiB (4 KiB below 16 MiB/s) at that rate (0: as fast
 *as it goes) until SIGTERM, then writes LOG: a JSON list of [from, to],
 *nanoseconds of CLOCK_BOOTTIME, of every write that took longer than half a
 *millisecond, reckoned from when it was due.  It holds what it notes in locked
 *memory, and neither opens nor allocates while it runs.
 */

#include <sys/mman.h>

#include <err.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define BLOCK	   65536
#define SMALL	   4096
#define SMALL_RATE 16
#define FILE_LEN   (128 * 1024 * 1024) /* then from the start again */
#define SMALL_LEN  (8 * 1024 * 1024)
#define GAPS_MAX   65536
#define GAP_MIN_NS 500000
#define NS_PER_S   1000000000ULL

struct gap {
	uint64_t gp_from;
	uint64_t gp_to;
};

static struct gap gaps[GAPS_MAX];
static size_t ngaps;
static char block[BLOCK];
static volatile sig_atomic_t ended;

static void
on_term(int sig)
{
	(void)sig;
	ended = 1;
}

static uint64_t
now_ns(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_BOOTTIME, &ts);
	return ((uint64_t)ts.tv_sec * NS_PER_S + (uint64_t)ts.tv_nsec);
}

static void
wait_until(uint64_t ns)
{
	struct timespec ts = { .tv_sec = (time_t)(ns / NS_PER_S),
		.tv_nsec = (long)(ns % NS_PER_S) };

	(void)clock_nanosleep(CLOCK_BOOTTIME, TIMER_ABSTIME, &ts, NULL);
}

/* Data that no file system can leave out. */
static void
fill_block(void)
{
	uint64_t x = now_ns() | 1;

	for (size_t i = 0; i < BLOCK; i += sizeof(x)) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		memcpy(block + i, &x, sizeof(x));
	}
}

static void
put(int fd, off_t at, size_t len)
{
	if (pwrite(fd, block, len, at) != (ssize_t)len)
		err(1, "write");
}

static int
dirty(int fd, uint64_t mib)
{
	for (uint64_t at = 0; at < mib << 20; at += BLOCK)
		put(fd, (off_t)at, BLOCK);
	return (0);
}

static void
note(uint64_t from, uint64_t to)
{
	if (to - from > GAP_MIN_NS && ngaps < GAPS_MAX)
		gaps[ngaps++] = (struct gap) { from, to };
}

static void
pace(int fd, uint64_t rate)
{
	bool small = rate > 0 && rate < SMALL_RATE;
	size_t len = small ? SMALL : BLOCK;
	off_t end = small ? SMALL_LEN : FILE_LEN;
	uint64_t interval = rate > 0 ? NS_PER_S * len / (rate << 20) : 0;
	uint64_t due = now_ns(), done;

	for (off_t at = 0; !ended; at = (at + (off_t)len) % end) {
		if (interval > 0)
			wait_until(due);
		put(fd, at, len);
		done = now_ns();
		note(due, done);
		/* What a stall kept from being written is not made up for. */
		due = due + interval > done ? due + interval : done;
	}
}

static int
report(const char *path)
{
	FILE *f = fopen(path, "we");

	if (f == NULL)
		err(1, "%s", path);
	for (size_t i = 0; i < ngaps; i++)
		(void)fprintf(f, "%s[%" PRIu64 ", %" PRIu64 "]",
		    i == 0 ? "[" : ",\n", gaps[i].gp_from, gaps[i].gp_to);
	(void)fprintf(f, "%s]\n", ngaps == 0 ? "[" : "");
	return (fclose(f) == 0 ? 0 : 1);
}

int
main(int argc, char *argv[])
{
	struct sigaction sa = { .sa_handler = on_term };
	uint64_t amount;
	int fd;

	if (argc != 4 + (argc > 1 && strcmp(argv[1], "pace") == 0))
		errx(1,
		    "usage: bench_writer dirty MIB FILE | "
		    "pace MIB_S FILE LOG");
	amount = strtoull(argv[2], NULL, 10);
	fd = open(argv[3], O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	if (fd == -1)
		err(1, "%s", argv[3]);
	fill_block();
	if (argc == 4)
		return (dirty(fd, amount));
	memset(gaps, 0, sizeof(gaps));
	if (mlockall(MCL_CURRENT | MCL_FUTURE) != 0)
		err(1, "locking memory");
	(void)sigaction(SIGTERM, &sa, NULL);
	pace(fd, amount);
	return (report(argv[4]));
}
