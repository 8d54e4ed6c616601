/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/*
 * The loop front end, on FreeBSD: the host's end of the channel is a device of
 * the kernel module's test build, which takes and gives one packet a call.
 * While it is open the guest has a channel.
 */

#include <sys/types.h>
#include <sys/uio.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "host.h"
#include "hv_vss_loop.h"

struct host_loop {
	struct host *hl_host;
	int hl_fd; /* -1: the channel was taken away */
	union {
		struct hv_vss_loop hl_head;
		uint8_t hl_bytes[HV_VSS_LOOP_MAX];
	} hl_buf;
};

static nfds_t
loop_pollfds(void *front, struct pollfd *pfd)
{
	struct host_loop *hl = front;

	pfd[0] = (struct pollfd) { hl->hl_fd, POLLIN, 0 };
	return (1);
}

static void
loop_lost(struct host_loop *hl, const char *why)
{
	host_link_lost(hl->hl_host, why);
	(void)close(hl->hl_fd);
	hl->hl_fd = -1;
}

/* Takes every packet that the guest has sent. */
static void
loop_drain(struct host_loop *hl)
{
	const struct hv_vss_loop *head = &hl->hl_buf.hl_head;
	ssize_t n;

	while (hl->hl_fd != -1 && !hl->hl_host->ho_lost) {
		n = read(hl->hl_fd, &hl->hl_buf, sizeof(hl->hl_buf));
		if (n == -1 && errno == EAGAIN)
			return;
		if (n < (ssize_t)sizeof(*head) ||
		    (size_t)n - sizeof(*head) != head->hl_len)
			loop_lost(hl, "the loop device is gone");
		else
			host_packet(hl->hl_host, head->hl_xactid,
			    hl->hl_buf.hl_bytes + sizeof(*head), head->hl_len);
	}
}

static void
loop_service(void *front, const struct pollfd *pfd, nfds_t n)
{
	struct host_loop *hl = front;

	if (n == 1 && pfd[0].revents != 0)
		loop_drain(hl);
}

static int
loop_open(struct host_loop *hl)
{
	hl->hl_fd = open(hl->hl_host->ho_path, O_RDWR | O_CLOEXEC);
	if (hl->hl_fd == -1)
		return (errno);
	host_link_opened(hl->hl_host);
	return (0);
}

/* After a rescind the channel is offered anew when it is wanted. */
static bool
loop_ready(void *front)
{
	struct host_loop *hl = front;

	return (hl->hl_fd != -1 || loop_open(hl) == 0);
}

static int
loop_send(void *front, const struct host_req *hr)
{
	struct host_loop *hl = front;
	struct hv_vss_loop head = { .hl_xactid = hr->hr_xactid,
		.hl_len = hr->hr_len };
	uint8_t *packet = hl->hl_buf.hl_bytes;

	if (hl->hl_fd == -1)
		return (EIO);
	if (hr->hr_len > HV_VSS_LOOP_PAYLOAD)
		return (EMSGSIZE);
	memcpy(packet, &head, sizeof(head));
	memcpy(packet + sizeof(head), hr->hr_pkt, hr->hr_len);
	if (write(hl->hl_fd, packet, sizeof(head) + hr->hr_len) != -1)
		return (0);
	if (errno == EAGAIN || errno == EMSGSIZE)
		return (errno);
	loop_lost(hl, strerror(errno));
	return (EIO);
}

static void
loop_rescind(void *front)
{
	struct host_loop *hl = front;

	/* Replies that are there already were sent before the rescind. */
	loop_drain(hl);
	if (hl->hl_fd != -1)
		(void)close(hl->hl_fd);
	hl->hl_fd = -1;
}

static const char *
loop_absent(void *front)
{
	(void)front;
	return ("the loop device cannot be opened; is another hv_vss_host "
		"running?");
}

static void
loop_fini(void *front)
{
	struct host_loop *hl = front;

	if (hl->hl_fd != -1)
		(void)close(hl->hl_fd);
	free(hl);
}

static const struct host_front loop_front = {
	.hf_pollfds = loop_pollfds,
	.hf_service = loop_service,
	.hf_ready = loop_ready,
	.hf_send = loop_send,
	.hf_rescind = loop_rescind,
	.hf_absent = loop_absent,
	.hf_fini = loop_fini,
};

static int
host_loop_init(struct host *ho)
{
	struct host_loop *hl = calloc(1, sizeof(*hl));
	int error = hl == NULL ? ENOMEM : 0;

	if (hl != NULL) {
		hl->hl_host = ho;
		error = loop_open(hl);
	}
	if (error != 0) {
		host_warn(ho, "%s%s", strerror(error),
		    error == ENOENT ? " (is a test build of the kernel module "
				      "loaded?)" :
			error == EBUSY ? " (another program is the host)" :
					 "");
		free(hl);
		return (error);
	}
	ho->ho_front = &loop_front;
	ho->ho_front_arg = hl;
	return (0);
}

const struct host_own host_own = {
	.hw_option = "loop",
	.hw_usage = "  --loop PATH        be the host of the kernel module's "
		    "loop device\n",
	.hw_hvutils = false,
	.hw_init = host_loop_init,
};
