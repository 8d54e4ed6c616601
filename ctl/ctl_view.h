/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/*
 * What the commands that look at something share: their options, how times are
 * written, and colour, which only terminals get.
 */

#ifndef _CTL_VIEW_H_
#define _CTL_VIEW_H_

#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>

#include "ckpt.h"
#include "conf.h"
#include "status_read.h"

/* -c, --set and --json, which they all know. */
#define CTL_VIEW_LONGS                               \
	{ "json", no_argument, NULL, 'j' },          \
	    { "set", required_argument, NULL, 's' }, \
	{                                            \
		NULL, 0, NULL, 0                     \
	}

struct ctl_view {
	struct conf_args vw_args;
	struct conf vw_conf;
	bool vw_json;
	char vw_err[512]; /* room for a message */
};

/* Takes 'c', 's' or 'j'; false: another option, or a mistake, in vw_err. */
bool ctl_view_option(struct ctl_view *vw, int c, const char *arg);
/* Reads the settings; false with a message in vw_err. */
bool ctl_view_load(struct ctl_view *vw);
/* Says vw_err, on standard error; the exit status for that. */
int ctl_view_fail(const struct ctl_view *vw);
/* An option's value is not allowed: so says vw_err.  Gives false. */
bool ctl_view_refuse(struct ctl_view *vw, const char *option, const char *value,
    const char *allowed);
/*
 * Says what is wrong with the command line: vw_err, or the argument of it that
 * nobody asked for, or what getopt(3) has said, if it is NULL.  The exit status
 * for that.
 */
int ctl_view_misused(
    struct ctl_view *vw, const char *command, const char *extra);
/* After all that was printed: the exit status, that of failure if it is cut. */
int ctl_view_end(int status);

enum ctl_colour { CTL_PLAIN, CTL_BOLD, CTL_GOOD, CTL_BAD, CTL_WARN };
/* Prints in a colour, if fp is a terminal. */
void ctl_colour(FILE *fp, enum ctl_colour colour, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
bool ctl_is_terminal(FILE *fp);

#define CTL_TIME_MAX 32
/* "2026-11-22 13:20:01", local time, and "1.234 s" or "12.3 ms". */
void ctl_when(uint64_t wall_ms, char *buf);
void ctl_duration(uint64_t ns, char *buf);

/* "ok", "FAILED", in its colour; and how good the copy is, in words. */
void ctl_outcome(FILE *fp, const struct ckpt *ck, int width);
const char *ctl_consistency(const struct ckpt *ck);
/* One line about a checkpoint, and one with the reason if it failed. */
void ctl_ckpt_line(FILE *fp, const struct ckpt *ck);

#endif /* _CTL_VIEW_H_ */
