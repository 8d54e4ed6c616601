/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/*
 * The processes that a participant starts, and what they write.
 *
 * A child is over when its process has ended, whoever holds its output still.
 * It keeps its place in the table until the output has ended too, so that what
 * it left running in the background can write without harm, and until a killed
 * one has really ended.  ctl_child_drain() takes what there is, of all of them,
 * and passes lines on as messages; of one that writes without end, the first
 * CTL_CHILD_LOG.
 */

#ifndef _CTL_CHILD_H_
#define _CTL_CHILD_H_

#include <sys/types.h>

#include <dev/hyperv/hv_vss_ext.h>
#include <poll.h>
#include <stdbool.h>

#include "ctl_lines.h"

#define CTL_CHILD_MAX	72
#define CTL_CHILD_LOG	40  /* lines */
#define CTL_CHILD_LABEL 300 /* a file's name and an operation */
#define CTL_CHILD_NVARS 6

struct ctl_child {
	pid_t ch_pid;	/* 0: there is none, or it has ended */
	int ch_fd;	/* its output, or -1 */
	int ch_status;	/* as of waitpid(2), once it has ended */
	bool ch_begun;	/* this place was ever used */
	uint64_t ch_no; /* they are numbered */
	unsigned ch_nlines;
	char ch_label[CTL_CHILD_LABEL];
	char ch_last[HV_VSS_REASON_MAX]; /* the last line it wrote */
	struct ctl_lines ch_lines;
};

struct ctl_children {
	struct ctl_child cc_child[CTL_CHILD_MAX];
	uint64_t cc_no;
};

/* A file by one of our descriptors. */
#ifdef __linux__
#define CTL_FD_PATH "/proc/self/fd/"
#else
#define CTL_FD_PATH "/dev/fd/"
#endif

/* What HV_VSS_* says; what is 0 or NULL is left out. */
struct ctl_child_vars {
	const char *cv_name;
	uint32_t cv_level;
	const char *cv_op;
	uint64_t cv_id;
	uint64_t cv_left_ms;
	uint64_t cv_hold_ms;
};

struct ctl_child_how {
	const char *ce_label; /* what messages begin with */
	const char *ce_path;
	const char *const *ce_argv;
	int ce_keep; /* a descriptor that it needs as it is, or -1 */
	int ce_in;   /* its standard input; -1: /dev/null */
	int ce_out;  /* its output; -1: as standard error, to the log */
	struct ctl_child_vars ce_vars;
};

/*
 * Starts a process in a group of its own, with the signals as they usually
 * are and no other descriptor.  0, or an errno: EAGAIN when too many hang.
 */
int ctl_child_start(struct ctl_children *cc, const struct ctl_child_how *ce,
    struct ctl_child **child);

/* Looks who has ended, takes their output, reports it. */
void ctl_child_drain(struct ctl_children *cc);

/* A line of it: reported, if it is not one of too many, and remembered. */
void ctl_child_say(struct ctl_child *ch, const char *line);

/* Says how many lines were too many, and counts anew. */
void ctl_child_recount(struct ctl_child *ch);

/* Descriptors to poll: adds at most CTL_CHILD_MAX, returns how many. */
size_t ctl_child_polls(const struct ctl_children *cc, struct pollfd *fds);

/* To the whole group, while its leader is there. */
void ctl_child_kill(const struct ctl_child *ch, int sig);

/* Puts what became of it into words: "exit status 1". */
void ctl_child_fate(const struct ctl_child *ch, char *buf, size_t len);

#endif /* _CTL_CHILD_H_ */
