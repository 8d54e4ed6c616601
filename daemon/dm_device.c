/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/*
 * The file-system device: opened, read, answered.  The driver may be the one of
 * this project, with its extensions, or a plain one.  A call may hang while the
 * driver is stopped; nothing that must be done in time waits behind one.
 */

#include <sys/ioctl.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "dm.h"
#include "dm_os.h"

/*
 * Says who we are; a driver without extensions refuses that.  What it has asked
 * already is in msg.
 */
static int
dm_device_hello(struct dm *dm, struct hv_vss_opt_msg *msg)
{
	struct hv_vss_hello hello;

	memset(msg, 0, sizeof(*msg));
	memset(&hello, 0, sizeof(hello));
	snprintf(hello.hh_name, sizeof(hello.hh_name), "hv_vss_daemon");
	hello.hh_level = HV_VSS_LEVEL_DEFAULT;
	hello.hh_flags = HV_VSS_WANT_PREPARE;
	dm->dm_ext = ioctl(dm->dm_fd, IOCHVVSSHELLO, &hello) == 0;
	if (dm->dm_ext)
		return (0);
	if (errno != ENOTTY && errno != EINVAL && errno != ENOSYS)
		return (errno);
	/* A file that is no device at all knows no READ either. */
	return (ioctl(dm->dm_fd, IOCHVVSSREAD, msg) == -1 ? errno : 0);
}

/* Takes what was read from the device; false if there was nothing. */
static bool
dm_device_take(struct dm *dm, const struct hv_vss_opt_msg *msg)
{
	struct dm_request dq = { msg->opt, msg->msgid };

	if (msg->status != VSS_SUCCESS || msg->msgid == 0)
		return (false);
	dm_txn_request(dm, &dq);
	return (true);
}

int
dm_device_open(struct dm *dm, char *err, size_t errlen)
{
	struct hv_vss_opt_msg first;
	char why[128] = "";
	int error;

	dm->dm_fd = open(dm->dm_device, O_RDWR | O_CLOEXEC | O_NONBLOCK);
	if (dm->dm_fd == -1) {
		error = errno;
		if (error == EBUSY)
			dm_os_device_holder(dm->dm_device, why, sizeof(why));
		else
			snprintf(why, sizeof(why), "is hv_vss_driver running?");
		snprintf(err, errlen, "%s: %s (%s)", dm->dm_device,
		    strerror(error), why);
		return (error);
	}
	error = dm_device_hello(dm, &first);
	if (error == 0) {
		(void)dm_device_take(dm, &first);
	} else {
		snprintf(err, errlen,
		    "%s: %s (not the device of a running hv_vss driver)",
		    dm->dm_device, strerror(error));
		dm_device_close(dm);
	}
	return (error);
}

void
dm_device_close(struct dm *dm)
{
	if (dm->dm_fd != -1)
		(void)close(dm->dm_fd);
	dm->dm_fd = -1;
}

void
dm_device_read(struct dm *dm)
{
	struct hv_vss_opt_msg msg;

	for (;;) {
		memset(&msg, 0, sizeof(msg));
		if (ioctl(dm->dm_fd, IOCHVVSSREAD, &msg) == -1) {
			if (errno != EINTR)
				dm_device_lost(dm);
			return;
		}
		if (!dm_device_take(dm, &msg))
			return;
		if (dm->dm_fd == -1 || dm->dm_txn.tx_phase == DM_RELEASING)
			return;
	}
}

int
dm_device_answer(
    struct dm *dm, const struct dm_request *dq, bool ok, const char *reason)
{
	struct hv_vss_opt_msg msg;
	struct hv_vss_reason why;

	if (dm->dm_fd == -1)
		return (ENODEV);
	if (!ok && dm->dm_ext && reason != NULL && reason[0] != '\0') {
		memset(&why, 0, sizeof(why));
		snprintf(why.hr_text, sizeof(why.hr_text), "%s", reason);
		(void)ioctl(dm->dm_fd, IOCHVVSSREASON, &why);
	}
	memset(&msg, 0, sizeof(msg));
	msg.opt = dq->dq_opt;
	msg.msgid = dq->dq_msgid;
	msg.status = ok ? VSS_SUCCESS : VSS_FAIL;
	if (ioctl(dm->dm_fd, IOCHVVSSWRITE, &msg) == -1)
		return (errno);
	return (0);
}

void
dm_device_limits(struct dm *dm, uint64_t *left_ms, uint64_t *hold_ms)
{
	struct hv_vss_time_left tl;

	memset(&tl, 0, sizeof(tl));
	if (dm->dm_fd == -1 || !dm->dm_ext ||
	    ioctl(dm->dm_fd, IOCHVVSSTIMELEFT, &tl) == -1)
		return;
	if (tl.ht_left_ms != 0 && tl.ht_left_ms < *left_ms)
		*left_ms = tl.ht_left_ms;
	if (tl.ht_hold_ms != 0 && tl.ht_hold_ms <= DM_LIMIT_MAX_MS)
		*hold_ms = tl.ht_hold_ms;
}
