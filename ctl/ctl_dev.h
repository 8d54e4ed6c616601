/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/*
 * A participant's device, held by a thread of its own: a device call can hang
 * for as long as the driver is stopped, and what is quiesced must be let go all
 * the same.  The thread opens the device, and again whenever the driver was
 * restarted, says HELLO, and passes notifications on; the caller passes answers
 * back.  Both go as records through the socket that ctl_dev_start() returns:
 * nothing is shared.
 *
 * Each open has a number of its own (its generation); an answer to an earlier
 * open's notification is dropped.
 */

#ifndef _CTL_DEV_H_
#define _CTL_DEV_H_

#include <dev/hyperv/hv_vss_ext.h>
#include <stdbool.h>

enum ctl_dev_kind {
	CTL_DEV_WAITING, /* it cannot be opened (cd_error); tried again */
	CTL_DEV_FATAL,	 /* nor will it be: the thread has ended */
	CTL_DEV_OPENED,
	CTL_DEV_GONE,	/* it failed (cd_error): treat it as THAW */
	CTL_DEV_NOTIFY, /* cd_op, cd_id, cd_left_ms and cd_hold_ms */
	CTL_DEV_PONG	/* the driver answers */
};

struct ctl_dev_event {
	enum ctl_dev_kind cd_kind;
	int cd_error;
	uint32_t cd_gen;
	bool cd_ext; /* the driver knows hv_vss_ext.h */
	uint32_t cd_op;
	uint64_t cd_id;
	uint64_t cd_left_ms; /* of the limit that runs */
	uint64_t cd_hold_ms; /* that a hold may last */
};

struct ctl_dev_answer {
	bool ca_ping; /* asks for a PONG; nothing else is looked at */
	uint32_t ca_gen;
	uint32_t ca_op;
	uint32_t ca_status;
	uint64_t ca_id;
	char ca_reason[HV_VSS_REASON_MAX]; /* empty: none */
};

/*
 * Starts the thread; path and *hello stay the caller's until the end.  *sock is
 * non-blocking; shutting it down for writing ends the thread once it has passed
 * the answers on, which the caller sees as end of file.
 */
int ctl_dev_start(
    const char *path, const struct hv_vss_hello *hello, int *sock);

#endif /* _CTL_DEV_H_ */
