/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/* A participant's open device; lib_dev.h has the contract. */

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "lib_dev.h"

int
lib_dev_open(
    struct lib_dev *ld, const char *path, const struct hv_vss_hello *hello)
{
	int error, fd;

	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return (errno);
	ld->ld_ext = ioctl(fd, IOCHVVSSHELLO, hello) == 0;
	if (!ld->ld_ext && errno != ENOTTY) {
		error = errno;
		close(fd);
		return (error);
	}
	ld->ld_fd = fd;
	return (0);
}

int
lib_dev_read(struct lib_dev *ld, struct flow_note *fn)
{
	struct hv_vss_opt_msg msg;

	memset(&msg, 0, sizeof(msg));
	fn->fn_op = HV_VSS_NONE;
	fn->fn_id = 0;
	if (ioctl(ld->ld_fd, IOCHVVSSREAD, &msg) != 0)
		return (errno);
	if (msg.status == VSS_SUCCESS) {
		fn->fn_op = msg.opt;
		fn->fn_id = msg.msgid;
	}
	return (0);
}

int
lib_dev_write(struct lib_dev *ld, const struct flow_act *fa)
{
	struct hv_vss_opt_msg msg;
	struct hv_vss_reason hr;

	if (ld->ld_ext && fa->fa_reason[0] != '\0') {
		memset(&hr, 0, sizeof(hr));
		memcpy(hr.hr_text, fa->fa_reason, sizeof(hr.hr_text) - 1);
		if (ioctl(ld->ld_fd, IOCHVVSSREASON, &hr) != 0 &&
		    errno != EINVAL)
			return (errno);
	}
	memset(&msg, 0, sizeof(msg));
	msg.opt = fa->fa_op;
	msg.status = fa->fa_status;
	msg.msgid = fa->fa_id;
	return (ioctl(ld->ld_fd, IOCHVVSSWRITE, &msg) != 0 ? errno : 0);
}

/* One with extensions that does not say how long FREEZE takes. */
#define UNSAID_FREEZE_MS 120000

void
lib_dev_times(struct lib_dev *ld, struct lib_times *lt)
{
	/* A plain driver says nothing: less than any known one grants. */
	static const struct lib_times plain = {
		.lt_left = 8000,
		.lt_hold = 60000,
		.lt_freeze = 30000,
	};
	struct hv_vss_time_left ht;

	*lt = plain;
	if (ld->ld_fd < 0 || !ld->ld_ext)
		return;
	memset(&ht, 0, sizeof(ht));
	if (ioctl(ld->ld_fd, IOCHVVSSTIMELEFT, &ht) != 0)
		return;
	lt->lt_left = ht.ht_left_ms;
	lt->lt_hold = ht.ht_hold_ms;
	lt->lt_freeze = ht.ht_freeze_ms != 0 ? ht.ht_freeze_ms :
					       UNSAID_FREEZE_MS;
}

void
lib_dev_close(struct lib_dev *ld)
{
	if (ld->ld_fd >= 0)
		close(ld->ld_fd);
	ld->ld_fd = -1;
}
