/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/*
 * Output of commands, cut into lines: blank ones are left out, long ones cut
 * off, and what a terminal would act upon is replaced by '?'.
 */

#ifndef _CTL_LINES_H_
#define _CTL_LINES_H_

#include <sys/types.h>

#include <stdbool.h>

#define CTL_LINE_MAX 512 /* with NUL */

/* All zero is the beginning. */
struct ctl_lines {
	size_t cl_len; /* of the line that has not ended yet */
	char cl_line[CTL_LINE_MAX];
	size_t cl_at, cl_end; /* of what was read, what is still to be cut */
	char cl_buf[1024];
};

/* Reads once; as read(2).  All lines that were read before must be taken. */
ssize_t ctl_lines_read(struct ctl_lines *cl, int fd);

/* The next whole line of what was read, valid until the next call, or NULL. */
const char *ctl_lines_next(struct ctl_lines *cl);

/* At the end of the output: a line without its newline, or NULL. */
const char *ctl_lines_rest(struct ctl_lines *cl);

#endif /* _CTL_LINES_H_ */
