/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/*
 * The ring front end: a listening socket, one guest at a time on the ring link,
 * packets in and out.  A guest that leaves before it opened the channel was
 * none; one that leaves or breaks the rules afterwards ends the run.
 */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "emulink.h"
#include "host.h"

struct host_ring {
	struct host *hg_host;
	struct emulink hg_link;
	int hg_listen;
	char hg_absent[192];
	uint8_t hg_buf[VMBUS_ICMSG_PKT_MAX];
};

/* Indices of what is polled; the last two only while there is a link. */
enum { RING_FD_LISTEN, RING_FD_SOCK, RING_FD_EVENT };

static nfds_t
ring_pollfds(void *front, struct pollfd *pfd)
{
	struct host_ring *hg = front;
	nfds_t n;

	for (n = 0; n < 3; n++) {
		pfd[n].fd = -1;
		pfd[n].events = POLLIN;
		pfd[n].revents = 0;
	}
	if (hg->hg_link.el_state == EMULINK_CLOSED)
		pfd[RING_FD_LISTEN].fd = hg->hg_listen;
	else
		pfd[RING_FD_SOCK].fd = hg->hg_link.el_sock;
	if (hg->hg_link.el_state == EMULINK_OPEN)
		pfd[RING_FD_EVENT].fd = hg->hg_link.el_event;
	return (n);
}

static void
ring_lost(struct host_ring *hg, const char *why)
{
	host_link_lost(hg->hg_host, why);
	emulink_close(&hg->hg_link);
}

static void
ring_signal(struct host_ring *hg, bool signal)
{
	if (signal && hg->hg_link.el_state == EMULINK_OPEN &&
	    emulink_signal(&hg->hg_link) != 0)
		ring_lost(hg, hg->hg_link.el_why);
}

/*
 * Takes every packet out of the ring; whether there was one.  It ends: each
 * packet answers a request that was sent, or breaks the link.
 */
static bool
ring_drain(struct host_ring *hg)
{
	struct vmbus_ring_pkt rp;
	bool any = false, signal = false;
	char why[96];
	int error;

	while (hg->hg_link.el_state == EMULINK_OPEN && !hg->hg_host->ho_lost) {
		error = vmbus_ring_recv(&hg->hg_link.el_rx, &rp, hg->hg_buf,
		    sizeof(hg->hg_buf), &signal);
		if (error == EAGAIN)
			break;
		any = true;
		why[0] = '\0';
		if (error == ENOBUFS)
			snprintf(why, sizeof(why),
			    "the guest sent a packet of %u bytes, over %d",
			    rp.rp_len, VMBUS_ICMSG_PKT_MAX);
		else if (error != 0)
			snprintf(
			    why, sizeof(why), "the guest corrupted its ring");
		else if (rp.rp_type != VMBUS_RING_INBAND)
			snprintf(why, sizeof(why),
			    "the guest sent a packet of type %u", rp.rp_type);
		if (why[0] != '\0')
			ring_lost(hg, why);
		else
			host_packet(
			    hg->hg_host, rp.rp_xactid, hg->hg_buf, rp.rp_len);
	}
	if (hg->hg_host->ho_lost)
		emulink_close(&hg->hg_link);
	ring_signal(hg, signal);
	return (any);
}

static void
ring_accept(struct host_ring *hg)
{
	int error;

	error = emulink_accept(&hg->hg_link, hg->hg_listen, EMULINK_PAGES);
	if (error != 0 && error != EAGAIN && error != EINTR)
		snprintf(hg->hg_absent, sizeof(hg->hg_absent),
		    "a guest came, but %s", hg->hg_link.el_why);
}

static void
ring_input(struct host_ring *hg)
{
	enum emulink_state before;
	int error;

	before = hg->hg_link.el_state;
	/*
	 * What the guest wrote before it left is still a reply, and may be the
	 * last one that was wanted: its leaving is then nobody's concern.
	 */
	if (before == EMULINK_OPEN && ring_drain(hg))
		return;
	error = emulink_input(&hg->hg_link);
	if (error != 0 && before == EMULINK_OPEN)
		ring_lost(hg, hg->hg_link.el_why);
	else if (error != 0)
		snprintf(hg->hg_absent, sizeof(hg->hg_absent),
		    "a guest came, but did not open the channel: %s",
		    hg->hg_link.el_why);
	else if (before == EMULINK_WAITING &&
	    hg->hg_link.el_state == EMULINK_OPEN)
		host_link_opened(hg->hg_host);
}

static void
ring_service(void *front, const struct pollfd *pfd, nfds_t n)
{
	struct host_ring *hg = front;

	(void)n;
	if (pfd[RING_FD_LISTEN].revents != 0)
		ring_accept(hg);
	if (pfd[RING_FD_EVENT].revents != 0 &&
	    hg->hg_link.el_state == EMULINK_OPEN) {
		if (emulink_clear(&hg->hg_link) != 0)
			ring_lost(hg, hg->hg_link.el_why);
		if (ring_drain(hg))
			return;
	}
	if (pfd[RING_FD_SOCK].revents != 0 &&
	    hg->hg_link.el_state != EMULINK_CLOSED)
		ring_input(hg);
}

static bool
ring_ready(void *front)
{
	struct host_ring *hg = front;

	return (hg->hg_link.el_state == EMULINK_OPEN);
}

static int
ring_send(void *front, const struct host_req *hr)
{
	struct host_ring *hg = front;
	struct vmbus_ring_pkt rp;
	bool signal = false;
	int error;

	memset(&rp, 0, sizeof(rp));
	rp.rp_type = VMBUS_RING_INBAND;
	rp.rp_xactid = hr->hr_xactid;
	rp.rp_len = hr->hr_len;
	if (hg->hg_link.el_state != EMULINK_OPEN)
		return (EIO);
	error = vmbus_ring_send(&hg->hg_link.el_tx, &rp, hr->hr_pkt, &signal);
	if (error == EIO)
		ring_lost(hg, "the guest corrupted the host's ring");
	ring_signal(hg, signal);
	return (error);
}

static void
ring_rescind(void *front)
{
	struct host_ring *hg = front;

	/* Replies that are there already were sent before the rescind. */
	ring_drain(hg);
	emulink_close(&hg->hg_link);
}

static const char *
ring_absent(void *front)
{
	struct host_ring *hg = front;

	if (hg->hg_link.el_state == EMULINK_WAITING)
		return ("a guest connected, but did not open the channel");
	if (hg->hg_absent[0] != '\0')
		return (hg->hg_absent);
	return ("no guest connected; start hv_vss_driver with --transport "
		"emu: and this path");
}

static void
ring_fini(void *front)
{
	struct host_ring *hg = front;

	emulink_close(&hg->hg_link);
	close(hg->hg_listen);
	unlink(hg->hg_host->ho_path);
	free(hg);
}

static const struct host_front ring_front = {
	.hf_pollfds = ring_pollfds,
	.hf_service = ring_service,
	.hf_ready = ring_ready,
	.hf_send = ring_send,
	.hf_rescind = ring_rescind,
	.hf_absent = ring_absent,
	.hf_fini = ring_fini,
};

static const char *
ring_listen_text(int error)
{
	switch (error) {
	case EADDRINUSE:
		return ("another program listens there; stop it or choose "
			"another path");
	case EEXIST:
		return ("exists and is not a socket; choose another path");
	case ENAMETOOLONG:
		return ("too long for a socket's path (107 bytes at most)");
	default:
		return (strerror(error));
	}
}

int
host_ring_init(struct host *ho)
{
	struct host_ring *hg;
	int error;

	hg = calloc(1, sizeof(*hg));
	if (hg == NULL) {
		host_warn(NULL, "%s", strerror(ENOMEM));
		return (ENOMEM);
	}
	hg->hg_host = ho;
	emulink_init(&hg->hg_link);
	error = emulink_listen(ho->ho_path, &hg->hg_listen);
	if (error != 0) {
		host_warn(ho, "listen: %s", ring_listen_text(error));
		free(hg);
		return (error);
	}
	ho->ho_front = &ring_front;
	ho->ho_front_arg = hg;
	return (0);
}
