/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/* Requests of the loop transport's host, and their replies. */

#include "loophost.h"

#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "vss_wire.h"

int
loophost_ask(int fd, uint8_t op, uint64_t xactid)
{
	struct {
		struct hv_vss_loop hl;
		uint8_t pkt[VSS_WIRE_MIN_LEN];
	} req;
	struct vmbus_icmsg im;

	memset(&req, 0, sizeof(req));
	memset(&im, 0, sizeof(im));
	im.im_pipe_type = VMBUS_ICMSG_PIPE_DATA;
	im.im_pipe_size = VSS_WIRE_MIN_LEN - VMBUS_ICMSG_PIPE_LEN;
	im.im_framework.iv_major = 3;
	im.im_type = VMBUS_ICMSG_VSS;
	im.im_version.iv_major = 5;
	im.im_size = VSS_WIRE_SHORT_BODY;
	im.im_flags = VMBUS_ICMSG_F_TRANSACTION | VMBUS_ICMSG_F_REQUEST;
	vmbus_icmsg_encode(req.pkt, &im);
	vmbus_icmsg_put32(req.pkt + VMBUS_ICMSG_O_BODY, op);
	req.hl.hl_xactid = xactid;
	req.hl.hl_len = sizeof(req.pkt);
	return (write(fd, &req, sizeof(req)) == (ssize_t)sizeof(req) ? 0 : -1);
}

uint32_t
loophost_reply(int fd, uint64_t xactid, int ms)
{
	static union {
		struct hv_vss_loop hl;
		uint8_t bytes[HV_VSS_LOOP_MAX];
	} ans;
	struct pollfd pfd = { fd, POLLIN, 0 };

	if (poll(&pfd, 1, ms) != 1 ||
	    read(fd, &ans, sizeof(ans)) < (ssize_t)sizeof(ans.hl) + 28 ||
	    ans.hl.hl_xactid != xactid)
		return (UINT32_MAX);
	return (vmbus_icmsg_get32(
	    ans.bytes + sizeof(ans.hl) + VMBUS_ICMSG_O_STATUS));
}
