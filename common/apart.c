/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/* Children for what may block (apart.h). */

#include "apart.h"

#include <sys/wait.h>

#include <errno.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

pid_t
apart_begin(struct apart *ap)
{
	sigset_t none;
	pid_t pid;

	if (apart_end(ap, 0) == -1)
		return (-1);
	pid = fork();
	if (pid == 0) {
		sigemptyset(&none);
		(void)sigprocmask(SIG_SETMASK, &none, NULL);
		(void)close_range(STDERR_FILENO + 1, ~0U, 0);
	} else if (pid > 0)
		ap->ap_pid = pid;
	return (pid);
}

int
apart_end(struct apart *ap, unsigned int ms)
{
	static const struct timespec moment = { 0, 1000000 };
	int status;
	pid_t pid;

	if (ap->ap_pid == 0)
		return (0);
	while ((pid = waitpid(ap->ap_pid, &status, WNOHANG)) == 0 && ms-- > 0)
		(void)nanosleep(&moment, NULL);
	if (pid == 0)
		return (-1);
	ap->ap_pid = 0;
	if (pid == -1)
		return (errno);
	return (WIFEXITED(status) ? WEXITSTATUS(status) : EINTR);
}
