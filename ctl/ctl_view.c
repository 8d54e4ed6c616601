/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/* Options, times and colours of the commands that look (ctl_view.h). */

#include "ctl_view.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

bool
ctl_view_option(struct ctl_view *vw, int c, const char *arg)
{
	vw->vw_err[0] = '\0';
	switch (c) {
	case 'j':
		vw->vw_json = true;
		return (true);
	case 's':
		return (conf_args_set(&vw->vw_args, arg, vw->vw_err,
			    sizeof(vw->vw_err)) == 0);
	case 'c':
		return (conf_args_file(&vw->vw_args, arg, vw->vw_err,
			    sizeof(vw->vw_err)) == 0);
	default:
		return (false);
	}
}

bool
ctl_view_load(struct ctl_view *vw)
{
	return (conf_load(&vw->vw_conf, &vw->vw_args, vw->vw_err,
		    sizeof(vw->vw_err)) == 0);
}

int
ctl_view_fail(const struct ctl_view *vw)
{
	(void)fprintf(stderr, "hv_vssctl: %s\n", vw->vw_err);
	return (1);
}

bool
ctl_view_refuse(struct ctl_view *vw, const char *option, const char *value,
    const char *allowed)
{
	(void)snprintf(vw->vw_err, sizeof(vw->vw_err),
	    "%s%s%.200s: not allowed; %s", option, *option != '\0' ? " " : "",
	    value, allowed);
	return (false);
}

int
ctl_view_misused(struct ctl_view *vw, const char *command, const char *extra)
{
	(void)fprintf(stderr, "hv_vssctl: %s: ", command);
	if (vw->vw_err[0] != '\0')
		(void)fprintf(stderr, "%s\n", vw->vw_err);
	else
		(void)fprintf(stderr,
		    "%s%s`hv_vssctl %s --help' lists the options\n",
		    extra != NULL ? extra : "",
		    extra != NULL ? ": not understood; " : "", command);
	return (1);
}

int
ctl_view_end(int status)
{
	bool ok = fflush(stdout) == 0;

	if (ok && ferror(stdout) == 0)
		return (status);
	(void)fprintf(stderr,
	    "hv_vssctl: standard output cannot be written; what is there is "
	    "not the whole\n");
	return (1);
}

bool
ctl_is_terminal(FILE *fp)
{
	const char *term = getenv("TERM"), *no = getenv("NO_COLOR");

	return (isatty(fileno(fp)) == 1 && (no == NULL || *no == '\0') &&
	    term != NULL && strcmp(term, "dumb") != 0);
}

void
ctl_colour(FILE *fp, enum ctl_colour colour, const char *fmt, ...)
{
	static const char *const codes[] = {
		[CTL_PLAIN] = "0",
		[CTL_BOLD] = "1",
		[CTL_GOOD] = "32",
		[CTL_BAD] = "1;31",
		[CTL_WARN] = "33",
	};
	bool coloured = colour != CTL_PLAIN && ctl_is_terminal(fp);
	va_list ap;

	if (coloured)
		(void)fprintf(fp, "\033[%sm", codes[colour]);
	va_start(ap, fmt);
	(void)vfprintf(fp, fmt, ap);
	va_end(ap);
	if (coloured)
		(void)fputs("\033[0m", fp);
}

void
ctl_when(uint64_t wall_ms, char *buf)
{
	time_t t = (time_t)(wall_ms / 1000);
	struct tm tm;

	if (localtime_r(&t, &tm) == NULL ||
	    strftime(buf, CTL_TIME_MAX, "%Y-%m-%d %H:%M:%S", &tm) == 0)
		(void)snprintf(buf, CTL_TIME_MAX, "?");
}

void
ctl_duration(uint64_t ns, char *buf)
{
	double ms = (double)ns / 1e6;

	if (ms >= 60000)
		(void)snprintf(buf, CTL_TIME_MAX, "%.0f s", ms / 1e3);
	else if (ms >= 1000)
		(void)snprintf(buf, CTL_TIME_MAX, "%.2f s", ms / 1e3);
	else
		(void)snprintf(buf, CTL_TIME_MAX, "%.1f ms", ms);
}

void
ctl_outcome(FILE *fp, const struct ckpt *ck, int width)
{
	static const struct {
		const char *ow_text;
		enum ctl_colour ow_colour;
	} words[CKPT_NOUTCOMES] = {
		[CKPT_OK] = { "ok", CTL_GOOD },
		[CKPT_CHECKED] = { "checked", CTL_PLAIN },
		[CKPT_FAILED] = { "FAILED", CTL_BAD },
		[CKPT_LOST] = { "LOST", CTL_BAD },
	};

	ctl_colour(fp, words[ck->ck_outcome].ow_colour, "%-*s", width,
	    words[ck->ck_outcome].ow_text);
}

const char *
ctl_consistency(const struct ckpt *ck)
{
	if (ck->ck_outcome != CKPT_OK)
		return ("-");
	return (strcmp(ckpt_consistency(ck), "application") == 0 ?
		"application" :
		"file system");
}

void
ctl_ckpt_line(FILE *fp, const struct ckpt *ck)
{
	char when[CTL_TIME_MAX], stall[CTL_TIME_MAX], hold[CTL_TIME_MAX];
	char why[CKPT_REASON_MAX];

	ctl_when(ck->ck_wall_ms, when);
	ctl_duration(ckpt_stall_ns(ck), stall);
	ctl_duration(ckpt_hold_ns(ck), hold);
	(void)fprintf(fp, "%s  ", when);
	ctl_outcome(fp, ck, 0);
	if (ck->ck_test)
		(void)fprintf(fp, " (a test)");
	if (ck->ck_outcome == CKPT_OK)
		(void)fprintf(fp, ", %s consistent; stall %s, of it hold %s",
		    ctl_consistency(ck), stall, hold);
	(void)fputc('\n', fp);
	if (ck->ck_why.er_cause == VSS_ENGINE_CAUSE_NONE)
		return;
	ckpt_reason(&ck->ck_why, why, sizeof(why));
	(void)fprintf(fp, "  %s\n", why);
}
