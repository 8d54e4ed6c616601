/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/*
 * The transport to the emulator: ring memory and two event descriptors over a
 * UNIX socket (emulink.h).  What goes wrong on it is a rescind of the channel.
 */

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "drv_ring.h"
#include "report.h"

static void
link_emu_failed(struct link *ln, int error, uint64_t now_ns)
{
	const char *why = ln->ln_emu.el_why;

	if (error == ECONNRESET)
		why = "the host closed the link";
	else if (*why == '\0')
		why = strerror(error);
	link_lost(ln, why, now_ns);
}

static void
link_emu_connect(struct link *ln, uint64_t now_ns)
{
	int error;

	error = emulink_connect(&ln->ln_emu, ln->ln_path);
	if (error != 0)
		link_lost(ln, strerror(error), now_ns);
	else
		ln->ln_retry_ns = VSS_ENGINE_NEVER;
}

static int
link_emu_start(struct link *ln, uint64_t now_ns, char *err)
{
	(void)err;
	link_emu_connect(ln, now_ns);
	return (0);
}

static int
link_emu_caps(const struct conf *cf, char *err)
{
	(void)cf;
	(void)err;
	return (0);
}

static unsigned
link_emu_poll(const struct link *ln, struct pollfd *fds)
{
	const struct emulink *el = &ln->ln_emu;

	if (el->el_state == EMULINK_CLOSED)
		return (0);
	fds[0].fd = el->el_sock;
	fds[0].events = POLLIN;
	if (el->el_state == EMULINK_WAITING)
		return (1);
	fds[1].fd = el->el_event;
	fds[1].events = POLLIN;
	return (2);
}

static void
link_emu_event(
    struct link *ln, const struct pollfd *fds, unsigned nfds, uint64_t now_ns)
{
	int error = 0;

	if (ln->ln_emu.el_state == EMULINK_CLOSED) {
		if (now_ns >= ln->ln_retry_ns)
			link_emu_connect(ln, now_ns);
		return;
	}
	/* What waited for room is sent after every event. */
	if (now_ns >= ln->ln_retry_ns)
		ln->ln_retry_ns = VSS_ENGINE_NEVER;
	if (nfds > 1 && fds[1].revents != 0)
		error = emulink_clear(&ln->ln_emu);
	if (error == 0 && nfds > 0 && fds[0].revents != 0)
		error = emulink_input(&ln->ln_emu);
	if (error != 0)
		link_emu_failed(ln, error, now_ns);
	else if (!ln->ln_up && ln->ln_emu.el_state == EMULINK_OPEN)
		link_up(ln);
}

/* Passes a signal on where the ring asked for one. */
static int
link_emu_finish(struct link *ln, int error, bool signal, uint64_t now_ns)
{
	int failed = 0;

	if (error == EIO) {
		link_lost(ln, "the ring is corrupt", now_ns);
		return (ENOTCONN);
	}
	if (signal)
		failed = emulink_signal(&ln->ln_emu);
	if (failed != 0) {
		link_emu_failed(ln, failed, now_ns);
		return (ENOTCONN);
	}
	return (error);
}

static int
link_emu_recv(struct link *ln, uint8_t *buf, uint32_t *len, uint64_t *xactid,
    uint64_t now_ns)
{
	bool signal = false;
	int error;

	error = link_ring_recv(&ln->ln_emu.el_rx, buf, len, xactid, &signal);
	return (link_emu_finish(ln, error, signal, now_ns));
}

static int
link_emu_send(
    struct link *ln, const struct vss_engine_reply *ey, uint64_t now_ns)
{
	bool signal = false;
	int error;

	error = link_ring_send(
	    ln, &ln->ln_emu.el_tx, &ln->ln_emu.el_rx, ey, now_ns, &signal);
	return (link_emu_finish(ln, error, signal, now_ns));
}

static void
link_emu_close(struct link *ln)
{
	emulink_close(&ln->ln_emu);
}

const struct link_ops link_emu_ops = {
	.lo_name = "emu",
	.lo_start = link_emu_start,
	.lo_caps = link_emu_caps,
	.lo_poll = link_emu_poll,
	.lo_event = link_emu_event,
	.lo_recv = link_emu_recv,
	.lo_send = link_emu_send,
	.lo_close = link_emu_close,
};
