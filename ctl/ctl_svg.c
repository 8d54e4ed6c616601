/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/* Draws a checkpoint's chart as SVG: one file, nothing outside of it. */

#include <string.h>

#include "ctl_chart.h"
#include "ctl_view.h"

#define SVG_WIDTH  1040
#define SVG_LABELS 210 /* the column of names */
#define SVG_MARGIN 20
#define SVG_HEAD   92 /* above the first row */
#define SVG_ROW	   24
#define SVG_BAR	   14
#define SVG_FOOT   64
#define SVG_CHART  (SVG_WIDTH - SVG_LABELS - SVG_MARGIN)
#define SVG_CHAR   7 /* about a letter's width */

static const char *const svg_colours[CHART_NKINDS] = {
	[CHART_CHECK] = "#8fa3b5",
	[CHART_PREPARE] = "#7fb069",
	[CHART_DOWN] = "#e6a23c",
	[CHART_REST] = "#4a7fb5",
	[CHART_UP] = "#59b3a5",
};

#define SVG_BAD "#c0392b"

/* At most max letters. */
static void
svg_text(FILE *fp, const char *s, size_t max)
{
	size_t n, shown = 0;

	for (; *s != '\0' && shown < max; s += n, shown++) {
		n = json_utf8(s);
		if (n == 0)
			n = 1, (void)fputc('?', fp);
		else if (*s == '<')
			(void)fputs("&lt;", fp);
		else if (*s == '>')
			(void)fputs("&gt;", fp);
		else if (*s == '&')
			(void)fputs("&amp;", fp);
		else if (*s == '"')
			(void)fputs("&quot;", fp);
		else if (n == 1 && (*s < ' ' || *s == 127))
			(void)fputc('?', fp);
		else
			(void)fwrite(s, 1, n, fp);
	}
	if (*s != '\0')
		(void)fputs("…", fp);
}

static void
svg_put(FILE *fp, double x, double y, const char *class, const char *text,
    size_t max)
{
	(void)fprintf(
	    fp, "<text x=\"%.1f\" y=\"%.1f\" class=\"%s\">", x, y, class);
	svg_text(fp, text, max);
	(void)fputs("</text>\n", fp);
}

static double
svg_x(double at)
{
	return (SVG_LABELS + at * SVG_CHART);
}

static void
svg_head(const struct chart *ch, FILE *fp, double height)
{
	const struct ckpt *ck = ch->ch_ckpt;
	char when[CTL_TIME_MAX], stall[CTL_TIME_MAX], hold[CTL_TIME_MAX];
	char text[512];

	ctl_when(ck->ck_wall_ms, when);
	ctl_duration(ckpt_stall_ns(ck), stall);
	ctl_duration(ckpt_hold_ns(ck), hold);
	(void)fprintf(fp,
	    "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" "
	    "height=\"%.0f\" viewBox=\"0 0 %d %.0f\">\n<style>"
	    "text{font-family:'DejaVu Sans',Helvetica,Arial,sans-serif;"
	    "font-size:12px;fill:#222}"
	    ".t{font-size:16px;font-weight:bold}.s{fill:#555}"
	    ".n{text-anchor:end}.m{text-anchor:middle}"
	    ".d{text-anchor:middle;fill:#777;font-size:10px}"
	    ".w{fill:" SVG_BAD "}</style>\n"
	    "<rect width=\"100%%\" height=\"100%%\" fill=\"#fff\"/>\n",
	    SVG_WIDTH, height, SVG_WIDTH, height);
	(void)snprintf(text, sizeof(text), "%s %llu, %s",
	    ck->ck_test ? "Test" : "Checkpoint", (unsigned long long)ck->ck_id,
	    when);
	svg_put(fp, SVG_MARGIN, 28, "t", text, 80);
	(void)snprintf(text, sizeof(text),
	    "%s%s%s; stall %s, of it hold %s%s%s",
	    ckpt_outcome_name(ck->ck_outcome),
	    ck->ck_outcome == CKPT_OK ? ", consistent: " : "",
	    ck->ck_outcome == CKPT_OK ? ckpt_consistency(ck) : "", stall, hold,
	    ck->ck_ndisks != 0 ? "; disks named: " : "", ck->ck_disks);
	svg_put(fp, SVG_MARGIN, 48,
	    ck->ck_outcome == CKPT_OK || ck->ck_outcome == CKPT_CHECKED ? "s" :
									  "w",
	    text, 120);
}

/* The stages, every other one shaded, with name and length. */
static void
svg_axis(const struct chart *ch, FILE *fp, double bottom)
{
	const struct chart_stage *cs;
	char took[CTL_TIME_MAX];
	double middle, width;

	for (unsigned i = 0; i < ch->ch_nstages; i++) {
		cs = &ch->ch_stages[i];
		width = svg_x(cs->cs_to) - svg_x(cs->cs_from);
		middle = svg_x(cs->cs_from) + width / 2;
		(void)fprintf(fp,
		    "<rect x=\"%.1f\" y=\"%d\" width=\"%.1f\" "
		    "height=\"%.1f\" fill=\"%s\"/>\n",
		    svg_x(cs->cs_from), SVG_HEAD - 34, width,
		    bottom - SVG_HEAD + 34, i % 2 == 0 ? "#f3f5f7" : "#e8ecf0");
		ctl_duration(cs->cs_end_ns - cs->cs_begin_ns, took);
		if (width > SVG_CHAR * (double)strlen(cs->cs_name))
			svg_put(
			    fp, middle, SVG_HEAD - 20, "m", cs->cs_name, 16);
		if (width > SVG_CHAR * (double)strlen(took))
			svg_put(fp, middle, SVG_HEAD - 7, "d", took, 16);
	}
}

static void
svg_bar(const struct chart *ch, FILE *fp, const struct chart_bar *cb, double y)
{
	double from = svg_x(chart_at(ch, cb->cb_begin_ns));
	double width = svg_x(chart_at(ch, cb->cb_end_ns)) - from;

	(void)fprintf(fp,
	    "<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%d\" "
	    "rx=\"2\" fill=\"%s\"/>\n",
	    from, y + (SVG_ROW - SVG_BAR) / 2.0, width < 2 ? 2 : width, SVG_BAR,
	    cb->cb_bad ? SVG_BAD : svg_colours[cb->cb_kind]);
}

static void
svg_row(const struct chart *ch, FILE *fp, const struct chart_row *cr, double y)
{
	if (cr->cr_group)
		(void)fprintf(fp,
		    "<line x1=\"%d\" y1=\"%.1f\" x2=\"%d\" y2=\"%.1f\" "
		    "stroke=\"#c5ccd3\"/>\n",
		    SVG_MARGIN, y, SVG_WIDTH - SVG_MARGIN, y);
	(void)fputs("<g><title>", fp);
	svg_text(fp, cr->cr_label, 200);
	(void)fputs(": ", fp);
	svg_text(fp, cr->cr_note, CHART_NOTE);
	(void)fputs("</title>\n", fp);
	svg_put(
	    fp, SVG_LABELS - 10, y + SVG_ROW / 2.0 + 4, "n", cr->cr_label, 27);
	for (unsigned i = 0; i < cr->cr_nbars; i++)
		svg_bar(ch, fp, &cr->cr_bars[i], y);
	(void)fputs("</g>\n", fp);
}

static void
svg_legend(FILE *fp, double y)
{
	double x = SVG_LABELS;

	for (int i = 0; i <= CHART_NKINDS; i++) {
		const char *name = i < CHART_NKINDS ?
		    chart_kind_name((enum chart_kind)i) :
		    "failed";

		(void)fprintf(fp,
		    "<rect x=\"%.1f\" y=\"%.1f\" width=\"12\" height=\"12\" "
		    "rx=\"2\" fill=\"%s\"/>\n",
		    x, y - 10, i < CHART_NKINDS ? svg_colours[i] : SVG_BAD);
		svg_put(fp, x + 18, y, "s", name, 32);
		x += 44 + SVG_CHAR * (double)strlen(name);
	}
}

/* Why it failed, in lines that fit. */
static void
svg_why(FILE *fp, const char *why, double y)
{
	char line[160];
	size_t len, fits = (SVG_WIDTH - 2 * SVG_MARGIN) / SVG_CHAR;

	for (; *why != '\0'; why += len, y += 16) {
		while (*why == ' ')
			why++;
		len = strlen(why);
		if (len > fits)
			for (len = fits; len > fits / 2 && why[len] != ' ';)
				len--;
		(void)snprintf(line, sizeof(line), "%.*s", (int)len, why);
		svg_put(fp, SVG_MARGIN, y, "w", line, sizeof(line));
	}
}

bool
chart_svg(const struct chart *ch, FILE *fp)
{
	char why[CKPT_REASON_MAX] = "";
	double bottom = SVG_HEAD + (double)ch->ch_nrows * SVG_ROW, foot;

	if (ch->ch_ckpt->ck_why.er_cause != VSS_ENGINE_CAUSE_NONE)
		ckpt_reason(&ch->ch_ckpt->ck_why, why, sizeof(why));
	foot = SVG_FOOT + 16.0 * (double)(strlen(why) / 100 + (*why != '\0'));
	svg_head(ch, fp, bottom + foot);
	svg_axis(ch, fp, bottom);
	for (size_t i = 0; i < ch->ch_nrows; i++)
		svg_row(
		    ch, fp, &ch->ch_rows[i], SVG_HEAD + (double)i * SVG_ROW);
	svg_legend(fp, bottom + 26);
	svg_why(fp, why, bottom + 50);
	(void)fputs("</svg>\n", fp);
	return (fflush(fp) == 0 && ferror(fp) == 0);
}
