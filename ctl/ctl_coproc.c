/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/* The co-process of a participant; ctl_coproc.h has the contract. */

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "ctl.h"
#include "ctl_coproc.h"
#include "report.h"

#define STOP_STEP_MS 2000
/* After the end of its output, its own follows. */
#define END_MS 100

int
ctl_coproc_start(struct ctl_work *cw)
{
	struct ctl_coproc *co = &cw->cw_co;
	const char *const argv[] = { "sh", "-c", cw->cw_coprocess, NULL };
	struct ctl_child_how ce = { .ce_label = "co-process",
		.ce_path = "/bin/sh",
		.ce_argv = argv,
		.ce_keep = -1,
		.ce_vars = {
		    .cv_name = cw->cw_name, .cv_level = cw->cw_level } };
	int error, in[2], out[2];

	if (co->co_child != NULL)
		return (0);
	if (pipe2(in, O_CLOEXEC) != 0)
		return (errno);
	if (pipe2(out, O_CLOEXEC) != 0) {
		error = errno;
		close(in[0]);
		close(in[1]);
		return (error);
	}
	ce.ce_in = in[0];
	ce.ce_out = out[1];
	error = ctl_child_start(&cw->cw_children, &ce, &co->co_child);
	close(in[0]);
	close(out[1]);
	if (error != 0) {
		close(in[1]);
		close(out[0]);
		return (error);
	}
	co->co_in = in[1];
	co->co_out = out[0];
	memset(&co->co_lines, 0, sizeof(co->co_lines));
	(void)fcntl(co->co_in, F_SETFL, O_NONBLOCK);
	(void)fcntl(co->co_out, F_SETFL, O_NONBLOCK);
	return (0);
}

static int
send_line(struct ctl_coproc *co, const char *line)
{
	size_t len = strlen(line);
	ssize_t n = write(co->co_in, line, len);

	return (n == (ssize_t)len ? 0 : n < 0 ? errno : EAGAIN);
}

int
ctl_coproc_ask(struct ctl_work *cw)
{
	char line[16];
	int error;

	error = ctl_coproc_start(cw);
	if (error != 0)
		return (error);
	ctl_child_recount(cw->cw_co.co_child);
	cw->cw_co.co_child->ch_last[0] = '\0';
	snprintf(
	    line, sizeof(line), "%s\n", ctl_work_op_name(cw->cw_ask.aq_op));
	error = send_line(&cw->cw_co, line);
	/* EPIPE: its end will be seen, and says why. */
	return (error == EPIPE ? 0 : error);
}

/* It is no more: what it owed has failed, and what it held is lost. */
bool
ctl_coproc_gone(struct ctl_work *cw, const char *why)
{
	struct ctl_coproc *co = &cw->cw_co;
	bool busy = cw->cw_busy && !cw->cw_failed;

	close(co->co_in);
	close(co->co_out);
	co->co_out = -1;
	ctl_child_kill(co->co_child, SIGKILL);
	co->co_child = NULL;
	report(REPORT_NOTICE, "%s", why);
	if (!busy || cw->cw_ask.aq_op == HV_VSS_THAW) {
		cw->cw_lost = true;
		snprintf(cw->cw_lost_why, sizeof(cw->cw_lost_why), "%.*s",
		    (int)sizeof(cw->cw_lost_why) - 1, why);
	}
	if (!busy)
		return (false);
	cw->cw_failed = true;
	snprintf(cw->cw_reason, sizeof(cw->cw_reason), "%.*s",
	    (int)sizeof(cw->cw_reason) - 1, why);
	return (true);
}

/* It has ended, or closed its output and cannot answer any more. */
static bool
ended(struct ctl_work *cw)
{
	struct ctl_child *ch = cw->cw_co.co_child;
	uint64_t until = ctl_now_ms() + END_MS;
	char fate[64] = "it has closed its output", why[HV_VSS_REASON_MAX + 96];

	while (ch->ch_pid != 0 && ctl_now_ms() < until) {
		(void)poll(NULL, 0, 2);
		ctl_child_drain(&cw->cw_children);
	}
	if (ch->ch_pid == 0)
		ctl_child_fate(ch, fate, sizeof(fate));
	snprintf(why, sizeof(why), "the co-process has ended: %s",
	    ch->ch_last[0] != '\0' ? ch->ch_last : fate);
	return (ctl_coproc_gone(cw, why));
}

/*
 * A line that says nothing.  What it answers from now on could be an answer to
 * anything, so that is all from this one.
 */
static bool
mistake(struct ctl_work *cw, const char *line)
{
	char why[CTL_LINE_MAX + 96];

	snprintf(why, sizeof(why),
	    "the co-process is killed: it wrote \"%.100s\"%s", line,
	    cw->cw_busy && !cw->cw_failed ?
		", which is neither ok nor fail REASON" :
		" unasked");
	return (ctl_coproc_gone(cw, why));
}

/* What follows a word in a line, or NULL if that is not its first. */
static const char *
after(const char *line, const char *word)
{
	size_t len = strlen(word);

	if (strncmp(line, word, len) != 0 ||
	    (line[len] != '\0' && line[len] != ' '))
		return (NULL);
	return (line + len + strspn(line + len, " "));
}

static bool
say_left(struct ctl_work *cw)
{
	uint64_t now = ctl_now_ms(), left = 0;
	char line[64];

	if (cw->cw_until_ms == CTL_NEVER)
		left = CTL_NEVER;
	else if (cw->cw_until_ms > now)
		left = cw->cw_until_ms - now;
	snprintf(line, sizeof(line), "left %ju %ju\n", (uintmax_t)left,
	    (uintmax_t)cw->cw_ask.aq_hold_ms);
	if (send_line(&cw->cw_co, line) == 0)
		return (false);
	return (ctl_coproc_gone(
	    cw, "the co-process is killed: it asks and does not read"));
}

static bool
lost(struct ctl_work *cw, const char *why)
{
	cw->cw_lost = true;
	snprintf(cw->cw_lost_why, sizeof(cw->cw_lost_why), "%.*s",
	    (int)sizeof(cw->cw_lost_why) - 1,
	    *why != '\0' ? why : "the co-process could not");
	return (false);
}

static bool
take_line(struct ctl_work *cw, const char *line)
{
	bool asked = cw->cw_busy && !cw->cw_failed;
	const char *rest;

	if (line[0] == '#') {
		ctl_child_say(
		    cw->cw_co.co_child, line + 1 + strspn(line + 1, " "));
		return (false);
	}
	if (asked && strcmp(line, "ok") == 0)
		return (true);
	if (asked && strcmp(line, "left") == 0)
		return (say_left(cw));
	if (asked && (rest = after(line, "fail")) != NULL) {
		cw->cw_failed = true;
		snprintf(cw->cw_reason, sizeof(cw->cw_reason), "%.*s",
		    (int)sizeof(cw->cw_reason) - 1,
		    *rest != '\0' ? rest : "the co-process says fail");
		return (true);
	}
	rest = after(line, "lost");
	if (rest != NULL && (!asked || cw->cw_ask.aq_op == HV_VSS_THAW))
		return (lost(cw, rest));
	return (mistake(cw, line));
}

bool
ctl_coproc_event(struct ctl_work *cw)
{
	struct ctl_coproc *co = &cw->cw_co;
	const char *line;
	ssize_t n;

	while (co->co_child != NULL) {
		line = ctl_lines_next(&co->co_lines);
		if (line != NULL) {
			if (take_line(cw, line))
				return (true);
			if (cw->cw_lost)
				return (false);
			continue;
		}
		n = ctl_lines_read(&co->co_lines, co->co_out);
		if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
			/* Its end counts, whoever has its output still. */
			if (co->co_child->ch_pid != 0)
				return (false);
			return (ended(cw));
		}
		if (n <= 0)
			return (ended(cw));
	}
	return (false);
}

/* Waits for its end, not for ever. */
static bool
ends(struct ctl_work *cw, struct ctl_child *ch)
{
	uint64_t until = ctl_now_ms() + STOP_STEP_MS;
	struct pollfd fds[CTL_CHILD_MAX + 1];
	char buf[256];
	size_t n;

	while (ch->ch_pid != 0 && ctl_now_ms() < until) {
		n = ctl_child_polls(&cw->cw_children, fds);
		fds[n++] = (struct pollfd) { .fd = cw->cw_co.co_out,
			.events = POLLIN };
		(void)poll(fds, (nfds_t)n, 20);
		ctl_child_drain(&cw->cw_children);
		/* Nobody asks any more: its answers are nothing. */
		if (cw->cw_co.co_out >= 0 &&
		    read(cw->cw_co.co_out, buf, sizeof(buf)) == 0) {
			close(cw->cw_co.co_out);
			cw->cw_co.co_out = -1;
		}
	}
	return (ch->ch_pid == 0);
}

void
ctl_coproc_stop(struct ctl_work *cw)
{
	static const int signals[] = { 0, SIGTERM, SIGKILL };
	struct ctl_child *ch = cw->cw_co.co_child;

	if (ch == NULL)
		return;
	close(cw->cw_co.co_in);
	for (size_t i = 0; i < 3; i++) {
		if (signals[i] != 0)
			ctl_child_kill(ch, signals[i]);
		if (ends(cw, ch))
			break;
	}
	if (cw->cw_co.co_out >= 0)
		close(cw->cw_co.co_out);
	cw->cw_co.co_out = -1;
	cw->cw_co.co_child = NULL;
}
