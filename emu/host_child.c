/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/*
 * The snapshot command: sh -c CMD in a process group of its own, so that an
 * interrupted run can end all of it.  With --json its standard output goes to
 * standard error, where it cannot mix with the results.
 */

#include <sys/wait.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "host.h"

extern char **environ;

static int
child_attributes(posix_spawnattr_t *attr)
{
	sigset_t all, none;
	int error;

	sigemptyset(&none);
	sigfillset(&all);
	error = posix_spawnattr_setflags(attr,
	    POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGDEF |
		POSIX_SPAWN_SETSIGMASK);
	if (error == 0)
		error = posix_spawnattr_setpgroup(attr, 0);
	if (error == 0)
		error = posix_spawnattr_setsigdefault(attr, &all);
	if (error == 0)
		error = posix_spawnattr_setsigmask(attr, &none);
	return (error);
}

static int
child_files(const struct host *ho, posix_spawn_file_actions_t *files)
{
	int error;

	error = posix_spawn_file_actions_addopen(
	    files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
	if (error == 0 && ho->ho_json)
		error = posix_spawn_file_actions_adddup2(
		    files, STDERR_FILENO, STDOUT_FILENO);
	return (error);
}

int
host_child_start(struct host *ho, const char *cmd)
{
	char sh[] = "sh", dash_c[] = "-c";
	char *argv[4] = { sh, dash_c, NULL, NULL };
	posix_spawn_file_actions_t files;
	posix_spawnattr_t attr;
	int error;

	argv[2] = strdup(cmd);
	if (argv[2] == NULL)
		return (ENOMEM);
	posix_spawnattr_init(&attr);
	posix_spawn_file_actions_init(&files);
	error = child_attributes(&attr);
	if (error == 0)
		error = child_files(ho, &files);
	if (error == 0)
		error = posix_spawn(
		    &ho->ho_child, "/bin/sh", &files, &attr, argv, environ);
	if (error != 0)
		ho->ho_child = 0;
	posix_spawn_file_actions_destroy(&files);
	posix_spawnattr_destroy(&attr);
	free(argv[2]);
	return (error);
}

void
host_child_reap(struct host *ho)
{
	if (ho->ho_child == 0)
		return;
	if (waitpid(ho->ho_child, &ho->ho_child_status, WNOHANG) ==
	    ho->ho_child)
		ho->ho_child = 0;
}

void
host_child_kill(const struct host *ho, int sig)
{
	if (ho->ho_child != 0)
		kill(-ho->ho_child, sig);
}
