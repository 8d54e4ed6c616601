/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/* The driver's answer, by the status socket (status_read.h). */

#include "status_read.h"

#include <sys/socket.h>
#include <sys/un.h>

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define STATUS_CHUNK 16384

static const char *
status_remedy(int error)
{
	switch (error) {
	case ENOENT:
	case ECONNREFUSED:
		return ("is hv_vss_driver running?");
	case EACCES:
	case EPERM:
		return ("run it as root, or as a member of status_group");
	case EAGAIN:
		return ("the driver does not answer; is it stopped?");
	default:
		return ("is it the driver's?");
	}
}

int
status_request(
    const char *run_dir, const char *request, char *err, size_t errlen)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	size_t len = strlen(request);
	int error, fd;

	if (snprintf(sun.sun_path, sizeof(sun.sun_path), "%s/status.sock",
		run_dir) >= (int)sizeof(sun.sun_path)) {
		(void)snprintf(
		    err, errlen, "%s: %s", run_dir, strerror(ENAMETOOLONG));
		return (-1);
	}
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd >= 0 &&
	    connect(fd, (const struct sockaddr *)&sun, sizeof(sun)) == 0 &&
	    send(fd, request, len, MSG_NOSIGNAL) == (ssize_t)len)
		return (fd);
	error = errno;
	(void)snprintf(err, errlen, "%s: %s (%s)", sun.sun_path,
	    strerror(error), status_remedy(error));
	if (fd >= 0)
		(void)close(fd);
	errno = error;
	return (-1);
}

static int64_t
status_now_ms(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return ((int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000);
}

/* Reads up to and with the first newline; 0 or an errno. */
static int
status_read_line(struct status_doc *sd, int fd)
{
	int64_t end = status_now_ms() + STATUS_WAIT_MS, left;
	struct pollfd pfd = { .fd = fd, .events = POLLIN };
	char *more;
	ssize_t n;

	while (sd->sd_len == 0 || sd->sd_text[sd->sd_len - 1] != '\n') {
		left = end - status_now_ms();
		if (left <= 0)
			return (ETIMEDOUT);
		(void)poll(&pfd, 1, (int)left);
		if (sd->sd_len + STATUS_CHUNK > STATUS_DOC_MAX)
			return (EFBIG);
		more = realloc(sd->sd_text, sd->sd_len + STATUS_CHUNK + 1);
		if (more == NULL)
			return (ENOMEM);
		sd->sd_text = more;
		n = recv(fd, more + sd->sd_len, STATUS_CHUNK, MSG_DONTWAIT);
		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			n = 0;
		else if (n <= 0)
			return (n == 0 ? ECONNRESET : errno);
		sd->sd_len += (size_t)n;
		more[sd->sd_len] = '\0';
	}
	return (0);
}

int
status_text(
    struct status_doc *sd, const char *run_dir, char *err, size_t errlen)
{
	int error, fd;

	fd = status_request(run_dir, "status\n", err, errlen);
	if (fd < 0)
		return (errno);
	error = status_read_line(sd, fd);
	(void)close(fd);
	if (error != 0)
		(void)snprintf(err, errlen, "%s/status.sock: %s (%s)", run_dir,
		    strerror(error),
		    error == ETIMEDOUT ?
			"the driver does not answer; is it stopped?" :
			error == ECONNRESET ?
			"too many ask at once; try again" :
			"is it the driver's?");
	return (error);
}
