/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/*
 * The work behind a participant's answers: shell commands, one for an
 * operation; or the hooks of a directory, one after the other for freeze, and
 * back for thaw; or one co-process that is told the operation as a line and
 * answers "ok" or "fail REASON".  One operation is under way at a time.
 *
 * The caller polls what ctl_work_polls() gives, until ctl_work_when() at most,
 * and calls ctl_work_event() when anything is readable, a child has ended or
 * that time has come, and again as long as it gives true: an operation is over
 * then.  ctl_work_cancel() asks what runs to end, and ctl_work_kill() ends it;
 * both go to the process group.  Commands are started without a copy of this
 * process (posix_spawn), and nothing here is written to a disk.
 *
 * What was begun for freeze is also told to thaw: a hook that failed or was
 * killed half-way as well.  A thaw goes on to the next hook when one fails, and
 * asked for again, it is tried with those that failed.
 */

#ifndef _CTL_WORK_H_
#define _CTL_WORK_H_

#include <sys/types.h>

#include <dev/hyperv/hv_vss_ext.h>
#include <stdbool.h>

#include "ctl_child.h"
#include "ctl_hookdir.h"
#include "report.h"

#define CTL_WORK_FDS (CTL_CHILD_MAX + 1)
#define CTL_NEVER    UINT64_MAX

/* An operation that is asked for. */
struct ctl_ask {
	uint32_t aq_op;
	uint64_t aq_id;
	uint64_t aq_left_ms; /* for it; 0: as long as it likes */
	uint64_t aq_hold_ms;
};

/* The co-process, if there is one. */
struct ctl_coproc {
	struct ctl_child *co_child; /* NULL: it does not run */
	int co_in;		    /* its standard input */
	int co_out;		    /* its answers, or -1 */
	struct ctl_lines co_lines;
};

struct ctl_work {
	/* Set by the caller before anything else; commands: CMD or NULL. */
	const char *cw_cmds[HV_VSS_PREPARE + 1]; /* by operation */
	const char *cw_coprocess;
	struct ctl_hookdir *cw_hooks;
	bool cw_vmware; /* hooks hear of a freeze that failed */
	const char *cw_name;
	uint32_t cw_level;

	/* The rest is ctl_work's. */
	char cw_seen[REPORT_LINE_MAX]; /* the hooks, in words */
	struct ctl_children cw_children;
	struct ctl_coproc cw_co;
	bool cw_busy;
	struct ctl_ask cw_ask;
	uint64_t cw_until_ms;
	bool cw_froze;		    /* the last freeze was success */
	bool cw_recover;	    /* what to thaw is not known yet */
	const char *cw_why;	    /* it is being ended, and this is why */
	struct ctl_child *cw_child; /* the command that runs */
	int cw_at;		    /* which of the hooks that is */
	bool cw_failed;
	bool cw_late;		 /* it is ended for a limit of its own */
	uint64_t cw_limit_at_ms; /* when the limit of its own passes */
	uint64_t cw_gone_ms;	 /* when it must have ended: it was killed */

	/* The result, once ctl_work_event() gave true. */
	bool cw_ok;
	bool cw_starved; /* something could not be started for want of room */
	char cw_reason[HV_VSS_REASON_MAX];
	/* The co-process could not stay quiesced; the caller takes it back. */
	bool cw_lost;
	char cw_lost_why[HV_VSS_REASON_MAX];
};

const char *ctl_work_op_name(uint32_t op);

/* Starts the co-process, if there is one.  0 or an errno. */
int ctl_work_start(struct ctl_work *cw);

/*
 * Whether there is anything to take part with: hooks come and go.  Says what
 * there is when that has changed.  Not while a thaw is owed.
 */
bool ctl_work_look(struct ctl_work *cw);

/*
 * A freeze was somebody else's, who is no more: thaw is for all hooks that are
 * there then, and fails, as if starved, as long as they cannot be run.
 */
void ctl_work_recover(struct ctl_work *cw);

/* Whether there is anything to do for an operation. */
bool ctl_work_has(const struct ctl_work *cw, uint32_t op);

/*
 * Begins the work for an operation.  An error is a result too: the next
 * ctl_work_event() gives it.
 */
void ctl_work_begin(struct ctl_work *cw, const struct ctl_ask *aq);

bool ctl_work_event(struct ctl_work *cw);

/* Descriptors to poll, at most CTL_WORK_FDS; returns how many. */
size_t ctl_work_polls(const struct ctl_work *cw, struct pollfd *fds);

/* When ctl_work_event() is due at the latest, or CTL_NEVER. */
uint64_t ctl_work_when(const struct ctl_work *cw);

/* Ends what runs because of why; the result is then a failure. */
void ctl_work_cancel(struct ctl_work *cw, const char *why);
void ctl_work_kill(struct ctl_work *cw, const char *why);

/* Lets the co-process go: end of file, then SIGTERM, then SIGKILL. */
void ctl_work_stop(struct ctl_work *cw);

#endif /* _CTL_WORK_H_ */
