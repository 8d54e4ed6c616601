/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/*
 * Messages to the administrator, one line each, to standard error or to syslog.
 *
 * While anything is frozen nothing may be written: between report_hold() and
 * report_release() lines are kept in memory of this module, in order, and
 * written by report_release().  When that memory is full, further lines are
 * dropped and counted, and so are lines that nobody takes; the count is written
 * with the next line that is.  Control characters become '?'.  Nothing
 * allocates.  One thread.
 */

#ifndef _REPORT_H_
#define _REPORT_H_

#include <stdbool.h>

#define REPORT_LINE_MAX 1024 /* with NUL; longer lines are cut */

enum report_level {
	REPORT_ERROR,	/* something does not work */
	REPORT_WARNING, /* it works, but not as it should */
	REPORT_NOTICE,	/* what an administrator wants in the log */
	REPORT_DEBUG
};

/*
 * Opens those of standard input, output and error that are closed, so that no
 * message goes to a descriptor that is opened later.  Returns 0 or an errno.
 */
int report_own_files(void);

/*
 * Messages go to standard error as "PROG: TEXT" up to this level.  prog must
 * stay.  Callable again, to change the level.
 */
void report_init(const char *prog, enum report_level upto);

/*
 * From now on they go to syslog (facility daemon).  A log service that takes no
 * more is waited for as little as the reader of a pipe.
 */
void report_to_syslog(void);

void report(enum report_level level, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

void report_hold(void);
void report_release(void);

/* Forgets what is held and holds no longer: for a child process. */
void report_drop(void);

#endif /* _REPORT_H_ */
