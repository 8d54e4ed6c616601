/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/* Speaks to the service manager: sd_notify(3)'s protocol, one datagram each. */

#include "notify.h"

#include <sys/socket.h>
#include <sys/un.h>

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct {
	int ns_fd;
	uint64_t ns_every_ns; /* 0: nobody watches */
	uint64_t ns_due_ns;
} notify_state = { .ns_fd = -1, .ns_due_ns = NOTIFY_NEVER };

/* A socket that sends to the manager's, or -1. */
static int
notify_connect(const char *path)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	size_t len = path == NULL ? 0 : strlen(path);
	int fd;

	if (len == 0 || len >= sizeof(sun.sun_path) ||
	    (path[0] != '/' && path[0] != '@'))
		return (-1);
	memcpy(sun.sun_path, path, len);
	/* An abstract address begins with NUL and ends where it is said to. */
	if (path[0] == '@')
		sun.sun_path[0] = '\0';
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd != -1 &&
	    connect(fd, (const struct sockaddr *)&sun,
		(socklen_t)(offsetof(struct sockaddr_un, sun_path) + len)) ==
		-1) {
		(void)close(fd);
		fd = -1;
	}
	return (fd);
}

/* How often the manager wants to hear of this very process; 0: it does not. */
static uint64_t
notify_every_ns(const char *pid, const char *usec)
{
	unsigned long long n;
	char *end;

	if (usec == NULL ||
	    (pid != NULL && strtoll(pid, NULL, 10) != (long long)getpid()))
		return (0);
	errno = 0;
	n = strtoull(usec, &end, 10);
	if (errno != 0 || end == usec || *end != '\0' ||
	    n > UINT64_MAX / 1000 || usec[0] == '-')
		return (0);
	/* A third of it: one that is late or lost does no harm. */
	return (n * 1000 / 3);
}

void
notify_init(uint64_t now_ns)
{
	notify_state.ns_fd = notify_connect(getenv("NOTIFY_SOCKET"));
	notify_state.ns_every_ns = notify_state.ns_fd == -1 ?
	    0 :
	    notify_every_ns(getenv("WATCHDOG_PID"), getenv("WATCHDOG_USEC"));
	notify_state.ns_due_ns = notify_state.ns_every_ns == 0 ? NOTIFY_NEVER :
								 now_ns;
	(void)unsetenv("NOTIFY_SOCKET");
	(void)unsetenv("WATCHDOG_PID");
	(void)unsetenv("WATCHDOG_USEC");
}

int
notify_say(const char *text)
{
	if (notify_state.ns_fd == -1)
		return (0);
	if (send(notify_state.ns_fd, text, strlen(text), MSG_NOSIGNAL) == -1)
		return (errno);
	return (0);
}

uint64_t
notify_due(void)
{
	return (notify_state.ns_due_ns);
}

void
notify_alive(uint64_t now_ns)
{
	if (now_ns < notify_state.ns_due_ns)
		return;
	(void)notify_say("WATCHDOG=1");
	notify_state.ns_due_ns = now_ns + notify_state.ns_every_ns;
}
