/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/* Waiting for descriptors (fdwait.h), by pselect(2) where poll(2) refuses. */

#include "fdwait.h"

#include <sys/select.h>

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <time.h>

/* The sets and the highest number in them; false if one is too high for them.
 */
static bool
fdwait_ask(
    const struct pollfd *fds, nfds_t nfds, fd_set *in, fd_set *out, int *most)
{
	nfds_t i;

	FD_ZERO(in);
	FD_ZERO(out);
	*most = -1;
	for (i = 0; i < nfds; i++) {
		if (fds[i].fd < 0)
			continue;
		if (fds[i].fd >= FD_SETSIZE)
			return (false);
		if ((fds[i].events & POLLIN) != 0)
			FD_SET(fds[i].fd, in);
		if ((fds[i].events & POLLOUT) != 0)
			FD_SET(fds[i].fd, out);
		if (fds[i].fd > *most)
			*most = fds[i].fd;
	}
	return (true);
}

static int
fdwait_select(struct pollfd *fds, nfds_t nfds, int timeout_ms)
{
	const struct timespec ts = { timeout_ms / 1000,
		timeout_ms % 1000 * 1000000L };
	int most, ready = 0;
	fd_set in, out;
	nfds_t i;

	if (!fdwait_ask(fds, nfds, &in, &out, &most)) {
		errno = EINVAL;
		return (-1);
	}
	if (pselect(most + 1, &in, &out, NULL, timeout_ms < 0 ? NULL : &ts,
		NULL) == -1)
		return (-1);
	for (i = 0; i < nfds; i++) {
		fds[i].revents = 0;
		if (fds[i].fd < 0)
			continue;
		if (FD_ISSET(fds[i].fd, &in))
			fds[i].revents |= POLLIN;
		if (FD_ISSET(fds[i].fd, &out))
			fds[i].revents |= POLLOUT;
		ready += fds[i].revents != 0;
	}
	return (ready);
}

int
fdwait(struct pollfd *fds, nfds_t nfds, int timeout_ms)
{
	int ready = poll(fds, nfds, timeout_ms);

	if (ready == -1 && errno == EINVAL)
		return (fdwait_select(fds, nfds, timeout_ms));
	return (ready);
}
