/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/* A program's messages where they may have to wait (relay.h). */

#include "relay.h"

#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <unistd.h>

#include "apart.h"
#include "os.h"

#define RELAY_MOMENT_MS 1000

static struct apart relay_child;

/* Pipes and sockets are asked first whether they would block (report.c). */
static bool
relay_may_block(int fd)
{
	struct stat st;

	return (fstat(fd, &st) == 0 && (S_ISREG(st.st_mode) || isatty(fd)));
}

static void
relay_nowhere(int fd)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	if (null == -1)
		return;
	(void)dup2(null, fd);
	(void)close(null);
}

/* Copies until all writers are gone.  It may block; the program does not. */
static void
relay_copy(void)
{
	static const int deaf[] = { SIGINT, SIGTERM, SIGHUP, SIGPIPE };
	char buf[4096];
	ssize_t done, n, w;
	size_t i;

	for (i = 0; i < sizeof(deaf) / sizeof(deaf[0]); i++)
		(void)signal(deaf[i], SIG_IGN);
	os_set_name("hv_vss_output", NULL);
	(void)!chdir("/");
	relay_nowhere(STDOUT_FILENO);
	while ((n = read(STDIN_FILENO, buf, sizeof(buf))) != 0) {
		if (n == -1 && errno == EINTR)
			continue;
		if (n == -1)
			break;
		for (done = 0; done < n; done += w) {
			w = write(
			    STDERR_FILENO, buf + done, (size_t)(n - done));
			if (w == -1 && errno == EINTR)
				w = 0;
			else if (w == -1)
				break;
		}
	}
	_exit(0);
}

/* The child keeps nothing but 0 to 2: with a lock of the program it would keep
 * the next one from starting until it has seen the pipe's end. */
static void
relay_fork(void)
{
	int fds[2];
	pid_t pid;

	if (pipe2(fds, O_CLOEXEC) == -1)
		return;
	(void)dup2(fds[0], STDIN_FILENO);
	(void)close(fds[0]);
	pid = apart_begin(&relay_child);
	if (pid == 0)
		relay_copy();
	if (pid > 0 && fcntl(fds[1], F_SETFL, O_NONBLOCK) != -1)
		(void)dup2(fds[1], STDERR_FILENO);
	(void)close(fds[1]);
	relay_nowhere(STDIN_FILENO);
}

void
relay_begin(void)
{
	int fd;

	for (fd = STDIN_FILENO; fd < STDERR_FILENO; fd++)
		if (relay_may_block(fd))
			relay_nowhere(fd);
	if (relay_may_block(STDERR_FILENO))
		relay_fork();
}

void
relay_end(void)
{
	if (relay_child.ap_pid == 0)
		return;
	relay_nowhere(STDERR_FILENO);
	(void)apart_end(&relay_child, RELAY_MOMENT_MS);
}
