/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/*
 * hv_vssctl timeline: one checkpoint of the history as a chart of letters, or
 * as a picture.
 */

#include <sys/ioctl.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ctl.h"
#include "ctl_chart.h"
#include "ctl_view.h"
#include "history.h"

#define TIMELINE_LABELS 20
#define TIMELINE_MIN	40 /* of the chart, in letters */
#define TIMELINE_MAX	240

struct ctl_timeline {
	struct ctl_view ct_view;
	const char *ct_svg; /* NULL: as text */
	uint64_t ct_id;	    /* 0: the last */
	char *ct_line;	    /* as it is in the history */
	bool ct_nomem;
};

static bool
timeline_find(void *arg, struct ckpt *ck, const char *line)
{
	struct ctl_timeline *ct = arg;

	if (ct->ct_id != 0 && ck->ck_id != ct->ct_id)
		return (true);
	free(ct->ct_line);
	ct->ct_line = strdup(line);
	ct->ct_nomem = ct->ct_line == NULL;
	return (ct->ct_id == 0 && !ct->ct_nomem);
}

static int
timeline_width(void)
{
	const char *columns = getenv("COLUMNS");
	struct winsize ws;
	int width = 80;

	if (columns != NULL && atoi(columns) > 0)
		width = atoi(columns);
	else if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &ws) == 0 && ws.ws_col > 0)
		width = ws.ws_col;
	width -= TIMELINE_LABELS + 1;
	return (width < TIMELINE_MIN ? TIMELINE_MIN :
		width > TIMELINE_MAX ? TIMELINE_MAX :
				       width);
}

/* Names of stages, and their lengths below, where there is room. */
static void
timeline_axis(const struct chart *ch, int width, bool names)
{
	const struct chart_stage *cs;
	char line[TIMELINE_MAX + 1], took[CTL_TIME_MAX];
	const char *text;
	int from, room;

	memset(line, ' ', (size_t)width);
	line[width] = '\0';
	for (unsigned i = 0; i < ch->ch_nstages; i++) {
		cs = &ch->ch_stages[i];
		from = (int)(cs->cs_from * width);
		room = (int)(cs->cs_to * width) - from;
		ctl_duration(cs->cs_end_ns - cs->cs_begin_ns, took);
		text = names ? cs->cs_name : took;
		if (room > 0)
			line[from] = '|';
		if ((int)strlen(text) + 1 < room)
			memcpy(line + from + 1, text, strlen(text));
	}
	printf("%*s%s\n", TIMELINE_LABELS + 1, "", line);
}

static void
timeline_row(const struct chart *ch, const struct chart_row *cr, int width)
{
	static const char letters[CHART_NKINDS] = { [CHART_CHECK] = 'c',
		[CHART_PREPARE] = 'p',
		[CHART_DOWN] = '>',
		[CHART_REST] = '#',
		[CHART_UP] = '<' };
	char line[TIMELINE_MAX + 1];
	const struct chart_bar *cb;
	int from, to;

	memset(line, ' ', (size_t)width);
	line[width] = '\0';
	for (unsigned i = 0; i < cr->cr_nbars; i++) {
		cb = &cr->cr_bars[i];
		from = (int)(chart_at(ch, cb->cb_begin_ns) * (width - 1));
		to = (int)(chart_at(ch, cb->cb_end_ns) * (width - 1));
		memset(
		    line + from, letters[cb->cb_kind], (size_t)(to - from + 1));
		if (cb->cb_bad)
			line[to] = '!';
	}
	if (strlen(cr->cr_label) > TIMELINE_LABELS)
		printf("...%s ",
		    cr->cr_label + strlen(cr->cr_label) - TIMELINE_LABELS + 3);
	else
		printf("%-*s ", TIMELINE_LABELS, cr->cr_label);
	printf("%s\n%*s%s\n", line, TIMELINE_LABELS + 1, "", cr->cr_note);
}

static void
timeline_text(const struct chart *ch)
{
	int width = timeline_width();

	printf("%s %llu: ", ch->ch_ckpt->ck_test ? "test" : "checkpoint",
	    (unsigned long long)ch->ch_ckpt->ck_id);
	ctl_ckpt_line(stdout, ch->ch_ckpt);
	printf("\n");
	if (ch->ch_ckpt->ck_ndisks != 0)
		printf("the host named %u disk(s): %s\n",
		    ch->ch_ckpt->ck_ndisks, ch->ch_ckpt->ck_disks);
	timeline_axis(ch, width, true);
	timeline_axis(ch, width, false);
	for (size_t i = 0; i < ch->ch_nrows; i++) {
		if (ch->ch_rows[i].cr_group)
			printf("\n");
		timeline_row(ch, &ch->ch_rows[i], width);
	}
	printf("\nc check  p prepare, flush  > quiesce, freeze  # at rest  "
	       "< resume, thaw  ! failed\n");
}

/* "-" is standard output. */
static int
timeline_svg(struct ctl_view *vw, const struct chart *ch, const char *path)
{
	FILE *fp = strcmp(path, "-") == 0 ? stdout : fopen(path, "we");
	bool ok;

	ok = fp != NULL && chart_svg(ch, fp);
	if (fp != NULL && fp != stdout)
		ok = fclose(fp) == 0 && ok;
	if (ok)
		return (0);
	(void)snprintf(vw->vw_err, sizeof(vw->vw_err),
	    "%.400s: cannot be written: %s", path, strerror(errno));
	return (ctl_view_fail(vw));
}

static int
timeline_show(struct ctl_timeline *ct)
{
	static struct ckpt ck;
	struct chart ch;
	int status = 0;

	if (!ckpt_parse(&ck, ct->ct_line, strlen(ct->ct_line)) ||
	    !chart_make(&ch, &ck)) {
		(void)snprintf(ct->ct_view.vw_err, sizeof(ct->ct_view.vw_err),
		    "out of memory");
		return (ctl_view_fail(&ct->ct_view));
	}
	if (ct->ct_svg != NULL)
		status = timeline_svg(&ct->ct_view, &ch, ct->ct_svg);
	else
		timeline_text(&ch);
	chart_free(&ch);
	ckpt_free(&ck);
	return (status);
}

static int
timeline_none(struct ctl_timeline *ct)
{
	struct ctl_view *vw = &ct->ct_view;

	if (ct->ct_nomem)
		(void)snprintf(vw->vw_err, sizeof(vw->vw_err), "out of memory");
	else if (ct->ct_id == 0)
		(void)snprintf(vw->vw_err, sizeof(vw->vw_err),
		    "no checkpoints in %.400s yet", vw->vw_conf.cf_state_dir);
	else
		(void)snprintf(vw->vw_err, sizeof(vw->vw_err),
		    "%llu: no such checkpoint; `hv_vssctl history' lists them",
		    (unsigned long long)ct->ct_id);
	return (ctl_view_fail(vw));
}

static int
timeline_run(struct ctl_timeline *ct)
{
	struct ctl_view *vw = &ct->ct_view;
	int status = 0;
	size_t torn;

	if (history_read(vw->vw_conf.cf_state_dir, timeline_find, ct, &torn,
		vw->vw_err, sizeof(vw->vw_err)) != 0)
		return (ctl_view_fail(vw));
	if (ct->ct_line == NULL)
		return (timeline_none(ct));
	if (vw->vw_json)
		printf("%s\n", ct->ct_line);
	else
		status = timeline_show(ct);
	free(ct->ct_line);
	return (ctl_view_end(status));
}

int
ctl_timeline_main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "svg", required_argument, NULL, 'S' }, CTL_VIEW_LONGS
	};
	static struct ctl_timeline ct;
	struct ctl_view *vw = &ct.ct_view;
	bool ok = true;
	int c;

	while (ok && (c = getopt_long(argc, argv, "c:", options, NULL)) != -1)
		if (c == 'S')
			ct.ct_svg = optarg;
		else
			ok = ctl_view_option(vw, c, optarg);
	if (ok && optind + 1 == argc) {
		if (strcmp(argv[optind], "last") != 0 &&
		    !ctl_number(argv[optind], &ct.ct_id))
			ok = ctl_view_refuse(vw, "", argv[optind],
			    "a checkpoint's number, or last");
		optind++;
	}
	if (!ok || optind < argc)
		return (
		    ctl_view_misused(vw, "timeline", ok ? argv[optind] : NULL));
	if (!ctl_view_load(vw))
		return (ctl_view_fail(vw));
	c = timeline_run(&ct);
	conf_free(&vw->vw_conf);
	return (c);
}
