/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/*
 * The least that a program does to take part in backups: it needs nothing but
 * the interface header, and is the same on FreeBSD and on Linux.
 *
 *	appvss_client [DEVICE]
 *
 * It says what it is asked and always agrees.  A real program puts its work in
 * the place of the messages: at check it says whether a backup could work now,
 * at freeze it brings its files to rest and keeps them so, at thaw it goes on.
 * When the driver is gone that is a thaw too, and the device is opened again.
 * Given the path of the file-system device, it stands in for the freeze daemon
 * and freezes nothing.
 */

#include <dev/hyperv/hv_snapshot.h>
#include <err.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <unistd.h>

static bool at_rest;

static uint32_t
work(uint32_t opt)
{
	switch (opt) {
	case HV_VSS_CHECK:
		printf("check\n");
		break;
	case HV_VSS_FREEZE:
		at_rest = true;
		printf("freeze\n");
		break;
	case HV_VSS_THAW:
		at_rest = false;
		printf("thaw\n");
		break;
	default:
		/* What this program does not know it does not agree to. */
		return (VSS_FAIL);
	}
	fflush(stdout);
	return (VSS_SUCCESS);
}

/* Does what it is asked until the driver is gone. */
static void
take_part(int fd)
{
	struct pollfd pfd = { .fd = fd, .events = POLLIN | POLLRDNORM };
	struct hv_vss_opt_msg msg;

	for (;;) {
		(void)poll(&pfd, 1, -1);
		if (ioctl(fd, IOCHVVSSREAD, &msg) != 0)
			return;
		/* Nothing waits: it was withdrawn. */
		if (msg.status != VSS_SUCCESS)
			continue;
		msg.status = work(msg.opt);
		if (ioctl(fd, IOCHVVSSWRITE, &msg) != 0)
			return;
	}
}

int
main(int argc, char **argv)
{
	const char *path = argc > 1 ? argv[1] : VSS_DEV(APP_VSS_DEV_NAME);
	int fd;

	fd = open(path, O_RDWR);
	if (fd < 0)
		err(1, "%s", path);
	for (;;) {
		take_part(fd);
		/* Nobody will say it any more. */
		if (at_rest)
			work(HV_VSS_THAW);
		warnx("%s: the driver is gone", path);
		close(fd);
		do {
			sleep(1);
			fd = open(path, O_RDWR);
		} while (fd < 0);
	}
}
