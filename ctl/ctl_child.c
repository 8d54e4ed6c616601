/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/* Processes of a participant; ctl_child.h has the contract. */

#include <sys/wait.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ctl_child.h"
#include "report.h"

/* A full pipe and more: what was written before an end is seen with it. */
#define DRAIN_READS 128
#define VAR_LEN	    64
/* What runs on in the background and writes more than that is let go. */
#define LEFT_LOG 100000

extern char **environ;

/* A free place: a new one, or that of whose output nobody may want any more. */
static struct ctl_child *
place(struct ctl_children *cc)
{
	struct ctl_child *ch, *old = NULL;

	for (size_t i = 0; i < CTL_CHILD_MAX; i++) {
		ch = &cc->cc_child[i];
		if (ch->ch_pid != 0)
			continue;
		if (!ch->ch_begun || ch->ch_fd < 0)
			return (ch);
		if (old == NULL || ch->ch_no < old->ch_no)
			old = ch;
	}
	if (old != NULL)
		close(old->ch_fd);
	return (old);
}

static size_t
variables(const struct ctl_child_vars *cv, char vars[][VAR_LEN])
{
	const struct {
		const char *name;
		uint64_t value;
	} numbers[] = { { "MSGID", cv->cv_id },
		{ "TIME_LEFT_MS", cv->cv_left_ms },
		{ "HOLD_MS", cv->cv_hold_ms } };
	size_t n = 0;

	snprintf(vars[n++], VAR_LEN, "HV_VSS_NAME=%.40s", cv->cv_name);
	snprintf(vars[n++], VAR_LEN, "HV_VSS_LEVEL=%u", cv->cv_level);
	if (cv->cv_op == NULL)
		return (n);
	snprintf(vars[n++], VAR_LEN, "HV_VSS_OP=%s", cv->cv_op);
	for (size_t i = 0; i < 3; i++)
		snprintf(vars[n++], VAR_LEN, "HV_VSS_%s=%ju", numbers[i].name,
		    (uintmax_t)numbers[i].value);
	return (n);
}

/* Our environment with these in place of any of their kind; free() it. */
static char **
environment(char vars[][VAR_LEN], size_t nvars)
{
	char **envp;
	size_t n = 0;

	while (environ[n] != NULL)
		n++;
	envp = calloc(n + nvars + 1, sizeof(*envp));
	if (envp == NULL)
		return (NULL);
	for (n = 0; n < nvars; n++)
		envp[n] = vars[n];
	for (char **e = environ; *e != NULL; e++) {
		if (strncmp(*e, "HV_VSS_", 7) != 0)
			envp[n++] = *e;
	}
	return (envp);
}

static int
spawn(const struct ctl_child_how *ce, char *const *envp, const int stdio[3],
    pid_t *pid)
{
	posix_spawn_file_actions_t fa;
	posix_spawnattr_t attr;
	char *argv[5] = { NULL };
	sigset_t none, usual;
	int error;

	/* posix_spawn does not write to its arguments. */
	for (size_t i = 0; i < 4 && ce->ce_argv[i] != NULL; i++)
		memcpy(&argv[i], &ce->ce_argv[i], sizeof(argv[i]));
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
	for (int fd = 0; fd < 3; fd++)
		posix_spawn_file_actions_adddup2(&fa, stdio[fd], fd);
	if (ce->ce_keep >= 0)
		posix_spawn_file_actions_adddup2(&fa, ce->ce_keep, ce->ce_keep);
	error = posix_spawn(pid, ce->ce_path, &fa, &attr, argv, envp);
	posix_spawn_file_actions_destroy(&fa);
	posix_spawnattr_destroy(&attr);
	return (error);
}

int
ctl_child_start(struct ctl_children *cc, const struct ctl_child_how *ce,
    struct ctl_child **child)
{
	char vars[CTL_CHILD_NVARS][VAR_LEN];
	struct ctl_child *ch = place(cc);
	char **envp = NULL;
	int error, null, out[2];
	pid_t pid;

	if (ch == NULL)
		return (EAGAIN);
	memset(ch, 0, sizeof(*ch));
	ch->ch_fd = -1;
	ch->ch_begun = true;
	ch->ch_no = ++cc->cc_no;
	snprintf(ch->ch_label, sizeof(ch->ch_label), "%s", ce->ce_label);
	null = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (null < 0)
		return (errno);
	if (pipe2(out, O_CLOEXEC) != 0) {
		error = errno;
		close(null);
		return (error);
	}
	error = ENOMEM;
	envp = environment(vars, variables(&ce->ce_vars, vars));
	if (envp != NULL)
		error = spawn(ce, envp,
		    (int[]) { ce->ce_in < 0 ? null : ce->ce_in,
			ce->ce_out < 0 ? out[1] : ce->ce_out, out[1] },
		    &pid);
	free(envp);
	close(null);
	close(out[1]);
	if (error != 0) {
		close(out[0]);
		return (error);
	}
	(void)fcntl(out[0], F_SETFL, O_NONBLOCK);
	ch->ch_fd = out[0];
	ch->ch_pid = pid;
	*child = ch;
	return (0);
}

void
ctl_child_say(struct ctl_child *ch, const char *line)
{
	snprintf(ch->ch_last, sizeof(ch->ch_last), "%.*s",
	    (int)sizeof(ch->ch_last) - 1, line);
	if (ch->ch_nlines++ < CTL_CHILD_LOG)
		report(REPORT_NOTICE, "%s: %s", ch->ch_label, line);
}

void
ctl_child_recount(struct ctl_child *ch)
{
	if (ch->ch_nlines > CTL_CHILD_LOG)
		report(REPORT_NOTICE, "%s: %u more lines are left out",
		    ch->ch_label, ch->ch_nlines - CTL_CHILD_LOG);
	ch->ch_nlines = 0;
}

static void
take_output(struct ctl_child *ch)
{
	const char *line;
	ssize_t n;

	for (int i = 0; i < DRAIN_READS; i++) {
		n = ctl_lines_read(&ch->ch_lines, ch->ch_fd);
		while ((line = ctl_lines_next(&ch->ch_lines)) != NULL)
			ctl_child_say(ch, line);
		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (n > 0 && (ch->ch_pid != 0 || ch->ch_nlines < LEFT_LOG))
			continue;
		line = ctl_lines_rest(&ch->ch_lines);
		if (line != NULL)
			ctl_child_say(ch, line);
		close(ch->ch_fd);
		ch->ch_fd = -1;
		ctl_child_recount(ch);
		return;
	}
}

void
ctl_child_drain(struct ctl_children *cc)
{
	for (size_t i = 0; i < CTL_CHILD_MAX; i++) {
		struct ctl_child *ch = &cc->cc_child[i];
		const char *line;
		bool ended = false;

		if (!ch->ch_begun)
			continue;
		if (ch->ch_pid != 0)
			ended = waitpid(ch->ch_pid, &ch->ch_status, WNOHANG) ==
			    ch->ch_pid;
		if (ch->ch_fd >= 0)
			take_output(ch);
		if (!ended)
			continue;
		ch->ch_pid = 0;
		/* What it left running will not end its line for it. */
		line = ctl_lines_rest(&ch->ch_lines);
		if (line != NULL)
			ctl_child_say(ch, line);
	}
}

size_t
ctl_child_polls(const struct ctl_children *cc, struct pollfd *fds)
{
	size_t n = 0;

	for (size_t i = 0; i < CTL_CHILD_MAX; i++) {
		if (cc->cc_child[i].ch_begun && cc->cc_child[i].ch_fd >= 0)
			fds[n++] = (struct pollfd) {
				.fd = cc->cc_child[i].ch_fd, .events = POLLIN
			};
	}
	return (n);
}

void
ctl_child_kill(const struct ctl_child *ch, int sig)
{
	if (ch->ch_pid > 0)
		(void)kill(-ch->ch_pid, sig);
}

void
ctl_child_fate(const struct ctl_child *ch, char *buf, size_t len)
{
	if (ch->ch_pid != 0)
		snprintf(buf, len, "it does not end, not even killed");
	else if (WIFEXITED(ch->ch_status))
		snprintf(
		    buf, len, "exit status %d", WEXITSTATUS(ch->ch_status));
	else
		snprintf(
		    buf, len, "ended by signal %d", WTERMSIG(ch->ch_status));
}
