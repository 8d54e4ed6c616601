/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/* One-line messages; holds them back while something is frozen. */

#include "report.h"

#include <sys/socket.h>
#include <sys/un.h>

#include <errno.h>
#include <fcntl.h>
#include <paths.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <syslog.h>
#include <unistd.h>

/* Lines of a few transactions; what does not fit is counted. */
#define REPORT_HELD_MAX 16384

/* A held line is its level as a byte, its text and a NUL. */
static struct {
	const char *rs_prog;
	enum report_level rs_upto;
	bool rs_syslog;
	int rs_log; /* the log service's socket, or -1 */
	bool rs_holding;
	size_t rs_used;
	unsigned rs_dropped;
	char rs_held[REPORT_HELD_MAX];
} report_state = {
	.rs_prog = "hv_vss", .rs_upto = REPORT_NOTICE, .rs_log = -1
};

static int
report_priority(enum report_level level)
{
	switch (level) {
	case REPORT_ERROR:
		return (LOG_ERR);
	case REPORT_WARNING:
		return (LOG_WARNING);
	case REPORT_NOTICE:
		return (LOG_NOTICE);
	case REPORT_DEBUG:
		break;
	}
	return (LOG_DEBUG);
}

/*
 * One write(2) a line, so that lines of several processes do not mix.  Who
 * reads a pipe may be blocked, by a freeze of somebody else's as well: a line
 * that would have to wait for it is dropped.
 */
static bool
report_stderr(const char *text)
{
	struct pollfd pfd = { .fd = STDERR_FILENO, .events = POLLOUT };
	char line[REPORT_LINE_MAX + 64];
	size_t done, len;
	ssize_t n;
	int r;

	r = snprintf(
	    line, sizeof(line), "%s: %s\n", report_state.rs_prog, text);
	if (r < 0 || poll(&pfd, 1, 0) == 0)
		return (false);
	len = (size_t)r < sizeof(line) ? (size_t)r : sizeof(line) - 1;
	for (done = 0; done < len; done += (size_t)n) {
		n = write(STDERR_FILENO, line + done, len - done);
		if (n < 0 && errno == EINTR)
			n = 0;
		else if (n <= 0)
			break; /* Nobody left to tell. */
	}
	return (true);
}

static int
report_log_open(void)
{
	static const struct sockaddr_un to = { .sun_family = AF_UNIX,
		.sun_path = _PATH_LOG };
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd == -1 ||
	    connect(fd, (const struct sockaddr *)&to, sizeof(to)) == 0)
		return (fd);
	(void)close(fd);
	return (-1);
}

/*
 * What syslog(3) does, which waits for the log service; and that may stand,
 * because its disk is frozen by somebody else for instance.  It may have been
 * started anew: then the connection is.
 */
static bool
report_log(enum report_level level, const char *text)
{
	char line[REPORT_LINE_MAX + 64];
	int fresh, r;

	r = snprintf(line, sizeof(line), "<%d>%s[%d]: %s",
	    LOG_DAEMON | report_priority(level), report_state.rs_prog,
	    (int)getpid(), text);
	if (r < 0)
		return (true);
	if ((size_t)r >= sizeof(line))
		r = (int)sizeof(line) - 1;
	for (fresh = 0; fresh < 2; fresh++) {
		if (report_state.rs_log == -1)
			report_state.rs_log = report_log_open();
		if (report_state.rs_log == -1)
			break; /* Nobody to tell. */
		if (send(report_state.rs_log, line, (size_t)r, MSG_NOSIGNAL) >=
		    0)
			break;
		if (errno == EAGAIN || errno == ENOBUFS)
			return (false);
		(void)close(report_state.rs_log);
		report_state.rs_log = -1;
	}
	return (true);
}

static bool
report_out(enum report_level level, const char *text)
{
	return (report_state.rs_syslog ? report_log(level, text) :
					 report_stderr(text));
}

static void
report_lost(void)
{
	char text[64];

	if (report_state.rs_dropped == 0)
		return;
	snprintf(text, sizeof(text), "%u messages were lost",
	    report_state.rs_dropped);
	if (report_out(REPORT_WARNING, text))
		report_state.rs_dropped = 0;
}

static void
report_write(enum report_level level, const char *text)
{
	report_lost();
	if (!report_out(level, text))
		report_state.rs_dropped++;
}

static void
report_keep(enum report_level level, const char *text)
{
	size_t len;
	char *p;

	len = strlen(text) + 1;
	if (1 + len > sizeof(report_state.rs_held) - report_state.rs_used) {
		report_state.rs_dropped++;
		return;
	}
	p = report_state.rs_held + report_state.rs_used;
	*p = (char)level;
	memcpy(p + 1, text, len);
	report_state.rs_used += 1 + len;
}

int
report_own_files(void)
{
	int fd;

	do {
		fd = open("/dev/null", O_RDWR);
	} while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd < 0)
		return (errno);
	(void)close(fd);
	return (0);
}

void
report_init(const char *prog, enum report_level upto)
{
	report_state.rs_prog = prog;
	report_state.rs_upto = upto;
}

void
report_to_syslog(void)
{
	report_state.rs_log = report_log_open();
	report_state.rs_syslog = true;
}

void
report(enum report_level level, const char *fmt, ...)
{
	char text[REPORT_LINE_MAX];
	int saved;
	va_list ap;

	if (level > report_state.rs_upto)
		return;
	saved = errno;
	va_start(ap, fmt);
	if (vsnprintf(text, sizeof(text), fmt, ap) < 0)
		text[0] = '\0';
	va_end(ap);
	/* Mount points and names in it are others' text. */
	for (char *p = text; *p != '\0'; p++)
		if ((unsigned char)*p < ' ' || *p == 127)
			*p = '?';
	if (report_state.rs_holding)
		report_keep(level, text);
	else
		report_write(level, text);
	errno = saved;
}

void
report_hold(void)
{
	report_state.rs_holding = true;
}

void
report_release(void)
{
	unsigned dropped;
	const char *p;
	size_t at;

	if (!report_state.rs_holding)
		return;
	report_state.rs_holding = false;
	/* Those that were kept came first. */
	dropped = report_state.rs_dropped;
	report_state.rs_dropped = 0;
	for (at = 0; at < report_state.rs_used; at += 1 + strlen(p + 1) + 1) {
		p = report_state.rs_held + at;
		report_write((enum report_level) * p, p + 1);
	}
	report_state.rs_used = 0;
	report_state.rs_dropped += dropped;
	report_lost();
}

void
report_drop(void)
{
	report_state.rs_holding = false;
	report_state.rs_used = 0;
	report_state.rs_dropped = 0;
}
