/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/*
 * A program with a loop of its own that takes part in backups: it appends
 * numbered lines to a file, and while it is at rest the file is complete on the
 * disk and nothing is added to it.
 *
 *	cc -o participant participant.c $(pkg-config --cflags --libs libhv_vss)
 *	participant FILE [DEVICE]
 */

#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <hv_vss.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define TICK_MS 10

struct ledger {
	int lg_fd;
	unsigned long lg_lines;
	bool lg_at_rest;
};

static volatile sig_atomic_t ended;

static void
on_signal(int sig)
{
	(void)sig;
	ended = 1;
}

static int
quiesce(struct hv_vss *v, const struct hv_vss_request *vr, void *ctx)
{
	struct ledger *lg = ctx;

	(void)vr;
	if (fsync(lg->lg_fd) != 0)
		return (hv_vss_not_now(v, strerror(errno)));
	lg->lg_at_rest = true;
	printf("at rest with %lu lines\n", lg->lg_lines);
	return (HV_VSS_YES);
}

static int
resume(struct hv_vss *v, const struct hv_vss_request *vr, void *ctx)
{
	struct ledger *lg = ctx;

	(void)v;
	(void)vr;
	lg->lg_at_rest = false;
	printf("goes on\n");
	return (HV_VSS_YES);
}

static void
link_changed(struct hv_vss *v, int error, void *ctx)
{
	(void)v;
	(void)ctx;
	printf("%s\n", error == 0 ? "takes part" : strerror(error));
}

static void
append(struct ledger *lg)
{
	if (!lg->lg_at_rest &&
	    dprintf(lg->lg_fd, "line %lu\n", ++lg->lg_lines) < 0)
		err(1, "write");
}

int
main(int argc, char **argv)
{
	struct hv_vss_ops ops = { .vo_quiesce = quiesce,
		.vo_resume = resume,
		.vo_link = link_changed,
		.vo_device = argc > 2 ? argv[2] : NULL };
	struct ledger lg = { 0 };
	struct hv_vss *v;
	struct pollfd pfd;
	int error;

	if (argc < 2)
		errx(1, "usage: participant FILE [DEVICE]");
	setvbuf(stdout, NULL, _IOLBF, 0);
	signal(SIGTERM, on_signal);
	signal(SIGINT, on_signal);
	lg.lg_fd = open(argv[1], O_WRONLY | O_CREAT | O_APPEND, 0666);
	if (lg.lg_fd < 0)
		err(1, "%s", argv[1]);
	error = hv_vss_open(&v, "ledger", HV_VSS_APP_LEVEL, &ops, &lg);
	if (error != 0)
		errx(1, "cannot take part in backups: %s", strerror(error));
	pfd.fd = hv_vss_fd(v);
	pfd.events = POLLIN;
	while (!ended) {
		if (poll(&pfd, 1, TICK_MS) > 0)
			hv_vss_dispatch(v);
		append(&lg);
	}
	hv_vss_close(v);
	return (0);
}
