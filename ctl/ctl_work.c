/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/* Commands and co-processes of a participant; ctl_work.h has the contract. */

#include <sys/wait.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ctl.h"
#include "ctl_work.h"
#include "report.h"

#define STOP_STEP_MS 2000
#define NENV	     3

extern char **environ;

static const char *const op_names[HV_VSS_PREPARE + 1] = {
	[HV_VSS_CHECK] = "check",
	[HV_VSS_FREEZE] = "freeze",
	[HV_VSS_THAW] = "thaw",
	[HV_VSS_PREPARE] = "prepare",
};

const char *
ctl_work_op_name(uint32_t op)
{
	return (op <= HV_VSS_PREPARE && op_names[op] != NULL ? op_names[op] :
							       "unknown");
}

bool
ctl_work_has(const struct ctl_work *cw, uint32_t op)
{
	if (op > HV_VSS_PREPARE || op_names[op] == NULL)
		return (false);
	return (cw->cw_coprocess != NULL || cw->cw_cmds[op] != NULL);
}

/*
 * Runs cmd through the shell in a process group of its own, with the signals as
 * they usually are; in is its standard input, out its output, err its standard
 * error, or -1 to leave it.
 */
static int
spawn(const char *cmd, char *const *envp, int in, int out, int err, pid_t *pid)
{
	char shell[] = "sh", dash_c[] = "-c";
	char *argv[] = { shell, dash_c, NULL, NULL };
	posix_spawn_file_actions_t fa;
	posix_spawnattr_t attr;
	sigset_t none, usual;
	int error;

	/* posix_spawn does not write to its arguments. */
	memcpy(&argv[2], &cmd, sizeof(cmd));
	sigemptyset(&none);
	sigfillset(&usual);
	posix_spawnattr_init(&attr);
	posix_spawnattr_setflags(&attr,
	    POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK |
		POSIX_SPAWN_SETSIGDEF);
	posix_spawnattr_setpgroup(&attr, 0);
	posix_spawnattr_setsigmask(&attr, &none);
	posix_spawnattr_setsigdefault(&attr, &usual);
	posix_spawn_file_actions_init(&fa);
	posix_spawn_file_actions_adddup2(&fa, in, STDIN_FILENO);
	posix_spawn_file_actions_adddup2(&fa, out, STDOUT_FILENO);
	if (err >= 0)
		posix_spawn_file_actions_adddup2(&fa, err, STDERR_FILENO);
	error = posix_spawn(pid, "/bin/sh", &fa, &attr, argv, envp);
	posix_spawn_file_actions_destroy(&fa);
	posix_spawnattr_destroy(&attr);
	return (error);
}

/* A command for one operation; its output is read for the reason. */
static int
begin_command(struct ctl_work *cw, uint64_t msgid, uint64_t left_ms)
{
	char vars[NENV][64];
	char **envp;
	size_t n = 0;
	int error, null, out[2];

	while (environ[n] != NULL)
		n++;
	envp = calloc(n + NENV + 1, sizeof(*envp));
	if (envp == NULL)
		return (ENOMEM);
	snprintf(vars[0], sizeof(vars[0]), "HV_VSS_OP=%s",
	    ctl_work_op_name(cw->cw_op));
	snprintf(
	    vars[1], sizeof(vars[1]), "HV_VSS_MSGID=%ju", (uintmax_t)msgid);
	snprintf(vars[2], sizeof(vars[2]), "HV_VSS_TIME_LEFT_MS=%ju",
	    (uintmax_t)left_ms);
	/* The first of two of the same name is the one that counts. */
	for (size_t i = 0; i < NENV; i++)
		envp[i] = vars[i];
	memcpy(envp + NENV, environ, n * sizeof(*envp));

	error = 0;
	null = open("/dev/null", O_RDONLY | O_CLOEXEC);
	if (null < 0 || pipe2(out, O_CLOEXEC) != 0) {
		error = errno;
	} else {
		error = spawn(cw->cw_cmds[cw->cw_op], envp, null, out[1],
		    out[1], &cw->cw_pid);
		close(out[1]);
		cw->cw_out = out[0];
		(void)fcntl(out[0], F_SETFL, O_NONBLOCK);
	}
	if (null >= 0)
		close(null);
	free(envp);
	return (error);
}

int
ctl_work_start(struct ctl_work *cw)
{
	int error, in[2], out[2];

	cw->cw_in = cw->cw_out = -1;
	if (cw->cw_coprocess == NULL)
		return (0);
	if (pipe2(in, O_CLOEXEC) != 0)
		return (errno);
	if (pipe2(out, O_CLOEXEC) != 0) {
		error = errno;
		close(in[0]);
		close(in[1]);
		return (error);
	}
	error = spawn(
	    cw->cw_coprocess, environ, in[0], out[1], -1, &cw->cw_pid);
	close(in[0]);
	close(out[1]);
	cw->cw_in = in[1];
	cw->cw_out = out[0];
	(void)fcntl(cw->cw_in, F_SETFL, O_NONBLOCK);
	(void)fcntl(cw->cw_out, F_SETFL, O_NONBLOCK);
	return (error);
}

static bool
done(struct ctl_work *cw, bool ok)
{
	cw->cw_busy = false;
	cw->cw_ok = ok && cw->cw_why == NULL;
	if (cw->cw_why != NULL)
		snprintf(cw->cw_reason, sizeof(cw->cw_reason), "%s: %s",
		    ctl_work_op_name(cw->cw_op), cw->cw_why);
	return (true);
}

void
ctl_work_begin(
    struct ctl_work *cw, uint32_t op, uint64_t msgid, uint64_t left_ms)
{
	char line[16];
	int error = 0, len;

	cw->cw_busy = true;
	cw->cw_op = op;
	cw->cw_why = NULL;
	cw->cw_reason[0] = '\0';
	cw->cw_len = 0;
	if (cw->cw_coprocess == NULL) {
		error = begin_command(cw, msgid, left_ms);
	} else {
		len = snprintf(
		    line, sizeof(line), "%s\n", ctl_work_op_name(op));
		if (write(cw->cw_in, line, (size_t)len) != len)
			error = errno;
	}
	if (error != 0) {
		report(REPORT_NOTICE, "%s: cannot be run: %s",
		    ctl_work_op_name(op), strerror(error));
		cw->cw_why = "it could not be run";
		if (cw->cw_coprocess != NULL)
			kill(-cw->cw_pid, SIGKILL);
	}
}

/* A whole line of output; false for an empty one. */
static bool
line_read(struct ctl_work *cw)
{
	cw->cw_line[cw->cw_len] = '\0';
	cw->cw_len = 0;
	if (cw->cw_line[strspn(cw->cw_line, " \t\r")] == '\0')
		return (false);
	snprintf(cw->cw_reason, sizeof(cw->cw_reason), "%.*s",
	    (int)sizeof(cw->cw_reason) - 1, cw->cw_line);
	if (cw->cw_coprocess == NULL)
		report(REPORT_NOTICE, "%s: %s", ctl_work_op_name(cw->cw_op),
		    cw->cw_line);
	return (true);
}

/*
 * Reads what there is, up to the co-process's answer: true when that has come,
 * or at the end of the output.
 */
static bool
read_output(struct ctl_work *cw, bool *eof)
{
	char c;
	ssize_t n;

	*eof = false;
	while ((n = read(cw->cw_out, &c, 1)) == 1) {
		if (c == '\n') {
			if (line_read(cw) && cw->cw_coprocess != NULL)
				return (true);
		} else if (cw->cw_len < sizeof(cw->cw_line) - 1) {
			cw->cw_line[cw->cw_len++] = c;
		}
	}
	*eof = n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR);
	if (*eof && cw->cw_len > 0)
		line_read(cw);
	return (*eof);
}

static bool
coprocess_event(struct ctl_work *cw)
{
	bool eof;
	int status;

	if (!read_output(cw, &eof))
		return (false);
	if (eof) {
		close(cw->cw_out);
		cw->cw_out = -1;
		cw->cw_ended = true;
		/* What has closed its output cannot answer any more. */
		kill(-cw->cw_pid, SIGKILL);
		(void)waitpid(cw->cw_pid, &status, 0);
		cw->cw_pid = 0;
		if (cw->cw_busy && cw->cw_why == NULL)
			cw->cw_why = "the co-process has ended";
		return (cw->cw_busy && done(cw, false));
	}
	if (!cw->cw_busy) {
		report(REPORT_NOTICE, "co-process: unasked: %s", cw->cw_reason);
		return (false);
	}
	if (strcmp(cw->cw_reason, "ok") == 0) {
		cw->cw_reason[0] = '\0';
		return (done(cw, true));
	}
	if (strncmp(cw->cw_reason, "fail", 4) == 0) {
		size_t skip = 4 + strspn(cw->cw_reason + 4, " ");

		memmove(cw->cw_reason, cw->cw_reason + skip,
		    strlen(cw->cw_reason + skip) + 1);
	}
	return (done(cw, false));
}

/* A command is over when it has ended, whoever holds its output still. */
static bool
command_event(struct ctl_work *cw)
{
	bool eof;
	int status;

	if (cw->cw_out >= 0 && read_output(cw, &eof)) {
		close(cw->cw_out);
		cw->cw_out = -1;
	}
	if (cw->cw_pid > 0) {
		if (waitpid(cw->cw_pid, &status, WNOHANG) != cw->cw_pid)
			return (false);
		cw->cw_pid = 0;
		if (cw->cw_out >= 0) {
			if (!read_output(cw, &eof) && cw->cw_len > 0)
				line_read(cw);
			close(cw->cw_out);
			cw->cw_out = -1;
		}
	} else {
		status = -1; /* It could not be run. */
	}
	if (cw->cw_why == NULL && status != 0 && cw->cw_reason[0] == '\0')
		snprintf(cw->cw_reason, sizeof(cw->cw_reason),
		    WIFEXITED(status) ? "%s: exit status %d" :
					"%s: ended by signal %d",
		    ctl_work_op_name(cw->cw_op),
		    WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status));
	return (done(cw, status == 0));
}

bool
ctl_work_event(struct ctl_work *cw)
{
	if (cw->cw_coprocess != NULL) {
		if (cw->cw_ended)
			return (cw->cw_busy && done(cw, false));
		return (coprocess_event(cw));
	}
	return (cw->cw_busy && command_event(cw));
}

static void
end(struct ctl_work *cw, const char *why, int sig)
{
	if (cw->cw_why == NULL)
		cw->cw_why = why;
	if (cw->cw_pid > 0)
		kill(-cw->cw_pid, sig);
}

void
ctl_work_cancel(struct ctl_work *cw, const char *why)
{
	/* A co-process may still be holding something: it is waited for. */
	if (cw->cw_coprocess == NULL)
		end(cw, why, SIGTERM);
}

void
ctl_work_kill(struct ctl_work *cw, const char *why)
{
	end(cw, why, SIGKILL);
}

/* Waits for the co-process until it has ended or the time is over. */
static bool
ended_by(struct ctl_work *cw, uint64_t until)
{
	struct pollfd pfd = { .fd = cw->cw_out, .events = POLLIN };
	char buf[256];

	while (waitpid(cw->cw_pid, NULL, WNOHANG) == 0) {
		if (ctl_now_ms() >= until)
			return (false);
		(void)poll(&pfd, 1, 20);
		if (read(pfd.fd, buf, sizeof(buf)) == 0)
			pfd.fd = -1;
	}
	return (true);
}

void
ctl_work_stop(struct ctl_work *cw)
{
	static const int signals[] = { 0, SIGTERM, SIGKILL };

	if (cw->cw_coprocess == NULL || cw->cw_pid == 0)
		return;
	close(cw->cw_in);
	cw->cw_in = -1;
	for (size_t i = 0; i < 3; i++) {
		if (signals[i] != 0)
			kill(-cw->cw_pid, signals[i]);
		if (ended_by(cw, ctl_now_ms() + STOP_STEP_MS))
			break;
	}
	cw->cw_pid = 0;
}
