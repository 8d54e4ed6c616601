/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/*
 * Many applications for the bench: bench_apps NUMBER [DEVICE] opens the device
 * so often, each open a client of its own, and agrees to everything at once.
 * It says "ready" when all take part.  One process: what is measured is the
 * driver, not the scheduler.  With NUMBER 0 it prints how many microseconds one
 * READ takes that finds nothing, and ends.
 */

#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/resource.h>

#include <dev/hyperv/hv_snapshot.h>
#include <err.h>
#include <fcntl.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define EVENTS_MAX 64
#define READS	   2000

/* Takes one notification and answers it. */
static void
answer(int fd)
{
	struct hv_vss_opt_msg msg;

	if (ioctl(fd, IOCHVVSSREAD, &msg) != 0)
		err(1, "IOCHVVSSREAD");
	if (msg.status != VSS_SUCCESS)
		return;
	if (ioctl(fd, IOCHVVSSWRITE, &msg) != 0)
		warn("IOCHVVSSWRITE");
}

static void
open_one(int ep, const char *device)
{
	struct epoll_event ev = { .events = EPOLLIN };
	struct pollfd pfd;

	pfd.fd = ev.data.fd = open(device, O_RDWR | O_CLOEXEC);
	if (pfd.fd == -1)
		err(1, "%s", device);
	/* A client takes part from its first poll. */
	pfd.events = POLLIN;
	(void)poll(&pfd, 1, 0);
	if (epoll_ctl(ep, EPOLL_CTL_ADD, pfd.fd, &ev) != 0)
		err(1, "epoll");
}

static int
time_reads(const char *device)
{
	struct hv_vss_opt_msg msg;
	struct timespec begin, end;
	int fd = open(device, O_RDWR | O_CLOEXEC);

	if (fd == -1)
		err(1, "%s", device);
	(void)clock_gettime(CLOCK_MONOTONIC, &begin);
	for (int i = 0; i < READS; i++)
		if (ioctl(fd, IOCHVVSSREAD, &msg) != 0)
			err(1, "IOCHVVSSREAD");
	(void)clock_gettime(CLOCK_MONOTONIC, &end);
	(void)printf("%.3f\n",
	    ((double)(end.tv_sec - begin.tv_sec) * 1e6 +
		(double)(end.tv_nsec - begin.tv_nsec) / 1e3) /
		READS);
	return (0);
}

int
main(int argc, char *argv[])
{
	const char *device = argc > 2 ? argv[2] : VSS_DEV(APP_VSS_DEV_NAME);
	struct epoll_event got[EVENTS_MAX];
	struct rlimit rl = { 4096, 4096 };
	int ep = epoll_create1(EPOLL_CLOEXEC), n;

	if (argc < 2 || ep == -1)
		errx(1, "usage: bench_apps NUMBER [DEVICE]");
	if (strtol(argv[1], NULL, 10) == 0)
		return (time_reads(device));
	(void)setrlimit(RLIMIT_NOFILE, &rl);
	for (long i = strtol(argv[1], NULL, 10); i > 0; i--)
		open_one(ep, device);
	(void)printf("ready\n");
	(void)fflush(stdout);
	for (;;) {
		n = epoll_wait(ep, got, EVENTS_MAX, -1);
		for (int i = 0; i < n; i++) {
			if ((got[i].events & (EPOLLERR | EPOLLHUP)) != 0)
				errx(1, "the driver is gone");
			answer(got[i].data.fd);
		}
	}
}
