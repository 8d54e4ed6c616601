/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/* Commands and hooks of a participant; ctl_work.h has the contract. */

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "ctl.h"
#include "ctl_coproc.h"
#include "ctl_work.h"
#include "report.h"

/* What was killed and is there still hangs in the kernel. */
#define GONE_MS 1000

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
	if (cw->cw_hooks != NULL)
		return (op != HV_VSS_PREPARE);
	return (cw->cw_coprocess != NULL || cw->cw_cmds[op] != NULL);
}

bool
ctl_work_look(struct ctl_work *cw)
{
	struct ctl_hookdir *hd = cw->cw_hooks;
	char text[REPORT_LINE_MAX] = "", why[HV_VSS_REASON_MAX];
	bool error;
	size_t len;

	if (hd == NULL)
		return (true);
	error = ctl_hookdir_scan(hd, why, sizeof(why)) != 0;
	if (error)
		snprintf(text, sizeof(text),
		    "%s; backups are refused until it is mended", why);
	else if (hd->hd_nhooks == 0)
		snprintf(text, sizeof(text),
		    "no hooks in %s; takes no part until there are",
		    hd->hd_path);
	else
		snprintf(text, sizeof(text), "%u hook%s in %s:", hd->hd_nhooks,
		    hd->hd_nhooks == 1 ? "" : "s", hd->hd_path);
	len = strlen(text);
	for (unsigned i = 0; i < hd->hd_nhooks && len < sizeof(text); i++)
		len += (size_t)snprintf(text + len, sizeof(text) - len, " %s",
		    hd->hd_hooks[i].hk_name);
	if (strcmp(text, cw->cw_seen) != 0) {
		strcpy(cw->cw_seen, text);
		report(error ? REPORT_ERROR : REPORT_NOTICE, "%s", text);
	}
	return (error || hd->hd_nhooks > 0);
}

int
ctl_work_start(struct ctl_work *cw)
{
	return (cw->cw_coprocess != NULL ? ctl_coproc_start(cw) : 0);
}

void
ctl_work_recover(struct ctl_work *cw)
{
	cw->cw_recover = cw->cw_hooks != NULL;
}

/*
 * Which hooks the predecessor has frozen is not known: all are asked.  If they
 * cannot be trusted, or looked for, that is mended or passes, as want does.
 */
static void
recover(struct ctl_work *cw)
{
	struct ctl_hookdir *hd = cw->cw_hooks;

	if (hd->hd_nhooks == 0 &&
	    ctl_hookdir_scan(hd, cw->cw_reason, sizeof(cw->cw_reason)) != 0) {
		cw->cw_failed = cw->cw_starved = true;
		return;
	}
	for (unsigned i = 0; i < hd->hd_nhooks; i++)
		hd->hd_hooks[i].hk_owes = true;
	cw->cw_recover = false;
}

static bool
is_thaw(const struct ctl_work *cw)
{
	return (cw->cw_ask.aq_op == HV_VSS_THAW);
}

/* The hook that is under way, or NULL. */
static struct ctl_hook *
hook(const struct ctl_work *cw)
{
	return (
	    cw->cw_hooks != NULL ? &cw->cw_hooks->hd_hooks[cw->cw_at] : NULL);
}

/* What messages about the step that is under way begin with. */
static void
label(const struct ctl_work *cw, char *buf, size_t len)
{
	const struct ctl_hook *hk = hook(cw);

	snprintf(buf, len, "%s%s%s", hk != NULL ? hk->hk_name : "",
	    hk != NULL ? ": " : "", ctl_work_op_name(cw->cw_ask.aq_op));
}

/*
 * The step has failed.  What it wrote itself is a better reason than what
 * became of it; the first failure of several is the one that is told.
 */
static void
step_failed(struct ctl_work *cw, const char *fate, const char *wrote)
{
	const struct ctl_hook *hk = hook(cw);
	char about[CTL_CHILD_LABEL], reason[CTL_CHILD_LABEL + REPORT_LINE_MAX];

	label(cw, about, sizeof(about));
	if (hk != NULL || wrote == NULL)
		report(REPORT_NOTICE, "%s: %s", about, fate);
	if (wrote == NULL || *wrote == '\0')
		snprintf(reason, sizeof(reason), "%s: %s", about, fate);
	else
		snprintf(reason, sizeof(reason), "%s%s%s",
		    hk != NULL ? hk->hk_name : "", hk != NULL ? ": " : "",
		    wrote);
	if (!cw->cw_failed)
		snprintf(cw->cw_reason, sizeof(cw->cw_reason), "%.*s",
		    (int)sizeof(cw->cw_reason) - 1, reason);
	cw->cw_failed = true;
}

/* Want of processes, descriptors or memory passes. */
static void
note_want(struct ctl_work *cw, int error)
{
	if (error == EAGAIN || error == ENOMEM || error == EMFILE ||
	    error == ENFILE)
		cw->cw_starved = true;
}

static int
start(struct ctl_work *cw, const char *path, const char *const *argv, int keep)
{
	char about[CTL_CHILD_LABEL];
	struct ctl_child_how ce = { .ce_label = about,
		.ce_path = path,
		.ce_argv = argv,
		.ce_keep = keep,
		.ce_in = -1,
		.ce_out = -1,
		.ce_vars = { .cv_name = cw->cw_name,
		    .cv_level = cw->cw_level,
		    .cv_op = ctl_work_op_name(cw->cw_ask.aq_op),
		    .cv_id = cw->cw_ask.aq_id,
		    .cv_hold_ms = cw->cw_ask.aq_hold_ms } };
	uint64_t now = ctl_now_ms(), until = cw->cw_until_ms;
	int error;

	if (cw->cw_limit_at_ms < until)
		until = cw->cw_limit_at_ms;
	ce.ce_vars.cv_left_ms = until == CTL_NEVER ? CTL_NEVER :
	    until > now				   ? until - now :
						     0;
	label(cw, about, sizeof(about));
	error = ctl_child_start(&cw->cw_children, &ce, &cw->cw_child);
	note_want(cw, error);
	return (error);
}

/*
 * Runs a hook: what the scan has found there, whatever is there now.  Without a
 * "#!" line it is the shell's, as with execvp(3).
 */
static void
start_hook(struct ctl_work *cw)
{
	struct ctl_hook *hk = hook(cw);
	const char *op = ctl_work_op_name(cw->cw_ask.aq_op), *refusal;
	char held[40], fate[128];
	const char *path = hk->hk_path;
	int error, keep = -1;

	if (is_thaw(cw) && cw->cw_vmware && !cw->cw_froze)
		op = "freezeFail";
	cw->cw_limit_at_ms = ctl_now_ms() + hk->hk_limit_ms;
	if (!ctl_hookdir_same(hk, &refusal) && refusal == NULL) {
		report(REPORT_NOTICE,
		    "%s: no longer what it was; %s runs what it was",
		    hk->hk_name, op);
		keep = hk->hk_fd;
		snprintf(held, sizeof(held), CTL_FD_PATH "%d", keep);
		path = held;
	}
	if (refusal != NULL) {
		step_failed(cw, refusal, NULL);
		return;
	}
	error = start(cw, path, (const char *[]) { path, op, NULL }, keep);
	if (error == ENOEXEC)
		error = start(cw, "/bin/sh",
		    (const char *[]) { "sh", path, op, NULL }, keep);
	if (error == 0) {
		hk->hk_owes = true;
		return;
	}
	snprintf(fate, sizeof(fate), "cannot be run: %s%s", strerror(error),
	    error == ENOENT ? " (is its interpreter there?)" : "");
	step_failed(cw, fate, NULL);
}

static void
start_command(struct ctl_work *cw)
{
	char fate[128];
	int error;

	error = start(cw, "/bin/sh",
	    (const char *[]) {
		"sh", "-c", cw->cw_cmds[cw->cw_ask.aq_op], NULL },
	    -1);
	if (error == 0)
		return;
	snprintf(fate, sizeof(fate), "cannot be run: %s", strerror(error));
	step_failed(cw, fate, NULL);
}

/* The next step, if there is one and it is still wanted. */
static void
step_next(struct ctl_work *cw)
{
	int n = cw->cw_hooks != NULL ? (int)cw->cw_hooks->hd_nhooks : 1;

	cw->cw_gone_ms = cw->cw_limit_at_ms = CTL_NEVER;
	cw->cw_late = false;
	while (cw->cw_child == NULL && cw->cw_why == NULL &&
	    (is_thaw(cw) || !cw->cw_failed)) {
		cw->cw_at += is_thaw(cw) ? -1 : 1;
		if (cw->cw_at < 0 || cw->cw_at >= n)
			break;
		if (cw->cw_hooks == NULL)
			start_command(cw);
		else if (!is_thaw(cw) || hook(cw)->hk_owes)
			start_hook(cw);
	}
}

static void
steps_begin(struct ctl_work *cw)
{
	if (cw->cw_hooks != NULL && !is_thaw(cw))
		cw->cw_failed = ctl_hookdir_scan(cw->cw_hooks, cw->cw_reason,
				    sizeof(cw->cw_reason)) != 0;
	if (cw->cw_hooks != NULL && cw->cw_ask.aq_op == HV_VSS_CHECK)
		ctl_hookdir_release(cw->cw_hooks);
	if (cw->cw_recover && is_thaw(cw))
		recover(cw);
	cw->cw_at = !is_thaw(cw) ? -1 :
	    cw->cw_hooks != NULL ? (int)cw->cw_hooks->hd_nhooks :
				   1;
	step_next(cw);
}

static void
step_over(struct ctl_work *cw)
{
	const struct ctl_child *ch = cw->cw_child;
	struct ctl_hook *hk = hook(cw);
	bool ok = ch->ch_pid == 0 && ch->ch_status == 0;
	char fate[64];

	ctl_child_fate(ch, fate, sizeof(fate));
	cw->cw_child = NULL;
	if (cw->cw_late && hk != NULL)
		snprintf(fate, sizeof(fate), "not done in %ju.%03u s",
		    (uintmax_t)hk->hk_limit_ms / 1000,
		    (unsigned)(hk->hk_limit_ms % 1000));
	if (cw->cw_why != NULL)
		step_failed(cw, cw->cw_why, NULL);
	else if (cw->cw_late)
		step_failed(cw, fate, NULL);
	else if (!ok)
		step_failed(cw, fate, ch->ch_last);
	else if (hk != NULL && is_thaw(cw))
		hk->hk_owes = false;
}

/* Whether the step that runs is over, one way or the other. */
static bool
is_over(struct ctl_work *cw)
{
	uint64_t now = ctl_now_ms();

	if (cw->cw_child->ch_pid == 0 || now >= cw->cw_gone_ms)
		return (true);
	if (now >= cw->cw_limit_at_ms) {
		cw->cw_late = true;
		cw->cw_limit_at_ms = CTL_NEVER;
		cw->cw_gone_ms = now + GONE_MS;
		ctl_child_kill(cw->cw_child, SIGKILL);
	}
	return (false);
}

/* The operation is over; the step that was ended has told why. */
static bool
done(struct ctl_work *cw)
{
	cw->cw_busy = false;
	cw->cw_ok = !cw->cw_failed && cw->cw_why == NULL;
	if (cw->cw_ask.aq_op == HV_VSS_FREEZE)
		cw->cw_froze = cw->cw_ok;
	if (cw->cw_why != NULL && (!cw->cw_failed || cw->cw_coprocess != NULL))
		snprintf(cw->cw_reason, sizeof(cw->cw_reason), "%s: %s",
		    ctl_work_op_name(cw->cw_ask.aq_op), cw->cw_why);
	return (true);
}

static bool
steps_event(struct ctl_work *cw)
{
	while (cw->cw_child != NULL) {
		if (!is_over(cw))
			return (false);
		step_over(cw);
		step_next(cw);
	}
	return (done(cw));
}

void
ctl_work_begin(struct ctl_work *cw, const struct ctl_ask *aq)
{
	int error;

	cw->cw_busy = true;
	cw->cw_ask = *aq;
	cw->cw_until_ms = aq->aq_left_ms == 0 ? CTL_NEVER :
						ctl_now_ms() + aq->aq_left_ms;
	cw->cw_why = NULL;
	cw->cw_reason[0] = '\0';
	cw->cw_failed = cw->cw_starved = false;
	cw->cw_gone_ms = CTL_NEVER;
	if (cw->cw_coprocess == NULL) {
		steps_begin(cw);
		return;
	}
	error = ctl_coproc_ask(cw);
	if (error != 0) {
		note_want(cw, error);
		cw->cw_failed = true;
		snprintf(cw->cw_reason, sizeof(cw->cw_reason),
		    "the co-process cannot be %s: %s",
		    cw->cw_co.co_child == NULL ? "started" : "asked",
		    strerror(error));
	}
}

bool
ctl_work_event(struct ctl_work *cw)
{
	ctl_child_drain(&cw->cw_children);
	if (cw->cw_coprocess == NULL)
		return (cw->cw_busy && steps_event(cw));
	if (cw->cw_busy && cw->cw_failed)
		return (done(cw));
	if (ctl_coproc_event(cw))
		return (done(cw));
	if (cw->cw_busy && ctl_now_ms() >= cw->cw_gone_ms) {
		ctl_coproc_gone(cw,
		    "the co-process does not end, not even "
		    "killed");
		return (done(cw));
	}
	return (false);
}

size_t
ctl_work_polls(const struct ctl_work *cw, struct pollfd *fds)
{
	size_t n = ctl_child_polls(&cw->cw_children, fds);

	if (cw->cw_co.co_child != NULL)
		fds[n++] = (struct pollfd) { .fd = cw->cw_co.co_out,
			.events = POLLIN };
	return (n);
}

uint64_t
ctl_work_when(const struct ctl_work *cw)
{
	uint64_t when = CTL_NEVER;

	if (cw->cw_busy)
		when = cw->cw_gone_ms;
	if (cw->cw_busy && cw->cw_child != NULL && cw->cw_limit_at_ms < when)
		when = cw->cw_limit_at_ms;
	return (when);
}

static void
end(struct ctl_work *cw, const char *why, int sig)
{
	const struct ctl_child *ch = cw->cw_coprocess != NULL ?
	    cw->cw_co.co_child :
	    cw->cw_child;

	if (cw->cw_why == NULL)
		cw->cw_why = why;
	if (ch != NULL)
		ctl_child_kill(ch, sig);
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
	cw->cw_gone_ms = ctl_now_ms() + GONE_MS;
}

void
ctl_work_stop(struct ctl_work *cw)
{
	if (cw->cw_coprocess != NULL)
		ctl_coproc_stop(cw);
	else if (cw->cw_hooks != NULL)
		ctl_hookdir_release(cw->cw_hooks);
}
