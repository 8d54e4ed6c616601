/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/*
 * The work behind a participant's answers: either a shell command for each
 * operation, or one co-process that is told the operation as a line and answers
 * "ok" or "fail REASON".  One piece of work is under way at a time.
 *
 * The caller polls cw_out and calls ctl_work_event() when it is readable or a
 * child has ended; the work is over when that gives true.  ctl_work_cancel()
 * asks what runs to end, and ctl_work_kill() ends it; both go to the process
 * group.  Commands are started without a copy of this process (posix_spawn),
 * and nothing here is written to a disk.
 */

#ifndef _CTL_WORK_H_
#define _CTL_WORK_H_

#include <sys/types.h>

#include <dev/hyperv/hv_vss_ext.h>
#include <stdbool.h>

struct ctl_work {
	/* Set by the caller before ctl_work_start(): CMD or NULL. */
	const char *cw_cmds[HV_VSS_PREPARE + 1]; /* by operation */
	const char *cw_coprocess;
	/* The rest is ctl_work's. */
	pid_t cw_pid; /* of what runs; 0: nothing */
	int cw_in;    /* the co-process's standard input, or -1 */
	int cw_out;   /* its output, or -1 */
	bool cw_busy;
	bool cw_ended;	    /* the co-process is no more */
	uint32_t cw_op;	    /* what is under way */
	const char *cw_why; /* it is being ended, and this is why */
	/* The result, once ctl_work_event() gave true. */
	bool cw_ok;
	char cw_reason[HV_VSS_REASON_MAX];
	size_t cw_len; /* of the line that is being read */
	char cw_line[512];
};

const char *ctl_work_op_name(uint32_t op);

/* Starts the co-process, if there is one.  0 or an errno. */
int ctl_work_start(struct ctl_work *cw);

/* Whether there is anything to do for an operation. */
bool ctl_work_has(const struct ctl_work *cw, uint32_t op);

/*
 * Begins the work for op.  An error is a result too: the next
 * ctl_work_event() gives it.
 */
void ctl_work_begin(
    struct ctl_work *cw, uint32_t op, uint64_t msgid, uint64_t left_ms);

bool ctl_work_event(struct ctl_work *cw);

/* Ends what runs because of why; the result is then a failure. */
void ctl_work_cancel(struct ctl_work *cw, const char *why);
void ctl_work_kill(struct ctl_work *cw, const char *why);

/* Lets the co-process go: end of file, then SIGTERM, then SIGKILL. */
void ctl_work_stop(struct ctl_work *cw);

#endif /* _CTL_WORK_H_ */
