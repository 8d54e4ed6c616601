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
 * Given the path of the file-system device, it stands in for the freeze daemon
 * and freezes nothing.
 */

#include <dev/hyperv/hv_snapshot.h>
#include <err.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <sys/ioctl.h>

static uint32_t
work(const struct hv_vss_opt_msg *msg)
{
	switch (msg->opt) {
	case HV_VSS_CHECK:
		printf("check\n");
		break;
	case HV_VSS_FREEZE:
		printf("freeze\n");
		break;
	case HV_VSS_THAW:
		printf("thaw\n");
		break;
	default:
		/* What this program does not know it does not agree to. */
		return (VSS_FAIL);
	}
	fflush(stdout);
	return (VSS_SUCCESS);
}

int
main(int argc, char **argv)
{
	const char *path = argc > 1 ? argv[1] : VSS_DEV(APP_VSS_DEV_NAME);
	struct hv_vss_opt_msg msg;
	struct pollfd pfd;

	pfd.fd = open(path, O_RDWR);
	if (pfd.fd < 0)
		err(1, "%s", path);
	pfd.events = POLLIN | POLLRDNORM;
	for (;;) {
		if (poll(&pfd, 1, -1) < 0)
			err(1, "poll");
		if (ioctl(pfd.fd, IOCHVVSSREAD, &msg) != 0)
			err(1, "read of a notification");
		/* Nothing waits: it was withdrawn. */
		if (msg.status != VSS_SUCCESS)
			continue;
		msg.status = work(&msg);
		if (ioctl(pfd.fd, IOCHVVSSWRITE, &msg) != 0)
			err(1, "write of an answer");
	}
}
