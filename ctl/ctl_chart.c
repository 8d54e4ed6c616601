/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/* The axis and the rows of a checkpoint's chart (ctl_chart.h). */

#include "ctl_chart.h"

#include <stdlib.h>
#include <string.h>

#include "ctl_view.h"

/* What is shorter is not a stretch of its own. */
#define CHART_SHORT_NS 10000U

const char *
chart_kind_name(enum chart_kind kind)
{
	static const char *const names[CHART_NKINDS] = {
		[CHART_CHECK] = "check",
		[CHART_PREPARE] = "prepare, flush",
		[CHART_DOWN] = "quiesce, freeze",
		[CHART_REST] = "at rest",
		[CHART_UP] = "resume, thaw",
	};

	return (names[kind]);
}

static void
add_stage(struct chart *ch, const char *name, uint64_t begin, uint64_t end)
{
	if (end <= begin || end - begin < CHART_SHORT_NS ||
	    ch->ch_nstages == CHART_STAGES)
		return;
	ch->ch_stages[ch->ch_nstages++] = (struct chart_stage) {
		.cs_name = name, .cs_begin_ns = begin, .cs_end_ns = end
	};
}

/* 1, and 1 more for each time that it is twice 0.1 ms. */
static double
room(uint64_t ns)
{
	double units = 1;

	for (ns /= 50000; ns > 1; ns /= 2)
		units++;
	return (units);
}

/*
 * Stages in their order in time, and what lies between them.  Each gets room by
 * how long it is, but logarithmically: a hold of a minute leaves room for a
 * freeze of a millisecond.
 */
static void
make_axis(struct chart *ch)
{
	const struct ckpt *ck = ch->ch_ckpt;
	const struct ckpt_span *cp;
	uint64_t at = ck->ck_begin_ns;
	double sum = 0, x = 0;

	for (uint32_t i = 0; i < CKPT_NSTAGES; i++) {
		cp = &ck->ck_stages[i];
		if (cp->cp_begin_ns < at || cp->cp_end_ns < cp->cp_begin_ns)
			continue;
		add_stage(ch, "", at, cp->cp_begin_ns);
		add_stage(
		    ch, ckpt_stage_name(i), cp->cp_begin_ns, cp->cp_end_ns);
		at = cp->cp_end_ns;
	}
	add_stage(ch, "", at, ck->ck_end_ns);
	for (unsigned i = 0; i < ch->ch_nstages; i++) {
		struct chart_stage *cs = &ch->ch_stages[i];

		cs->cs_to = room(cs->cs_end_ns - cs->cs_begin_ns);
		sum += cs->cs_to;
	}
	for (unsigned i = 0; i < ch->ch_nstages; i++) {
		ch->ch_stages[i].cs_from = x / sum;
		x += ch->ch_stages[i].cs_to;
		ch->ch_stages[i].cs_to = x / sum;
	}
}

double
chart_at(const struct chart *ch, uint64_t ns)
{
	const struct chart_stage *cs = ch->ch_stages;
	double part;

	for (unsigned i = 0; i < ch->ch_nstages; i++, cs++) {
		if (ns < cs->cs_begin_ns)
			return (cs->cs_from);
		if (ns > cs->cs_end_ns)
			continue;
		part = (double)(ns - cs->cs_begin_ns) /
		    (double)(cs->cs_end_ns - cs->cs_begin_ns);
		return (cs->cs_from + part * (cs->cs_to - cs->cs_from));
	}
	return (1);
}

static void
add_bar(struct chart_row *cr, enum chart_kind kind, const char *what,
    const struct ckpt_span *cp)
{
	char took[CTL_TIME_MAX];
	size_t used = strlen(cr->cr_note);
	bool bad = cp->cp_result == CKPT_R_FAILED ||
	    cp->cp_result == CKPT_R_SILENT || cp->cp_result == CKPT_R_GONE;

	if (cp->cp_begin_ns == 0 || cr->cr_nbars == CHART_BARS)
		return;
	cr->cr_bars[cr->cr_nbars++] = (struct chart_bar) { .cb_kind = kind,
		.cb_bad = bad,
		.cb_begin_ns = cp->cp_begin_ns,
		.cb_end_ns = cp->cp_end_ns > cp->cp_begin_ns ?
		    cp->cp_end_ns :
		    cp->cp_begin_ns };
	ctl_duration(
	    cr->cr_bars[cr->cr_nbars - 1].cb_end_ns - cp->cp_begin_ns, took);
	(void)snprintf(cr->cr_note + used, sizeof(cr->cr_note) - used,
	    "%s%s %s%s%s", used > 0 ? ", " : "", what, took, bad ? " " : "",
	    bad ? ckpt_result_name(cp->cp_result) : "");
}

/* Between going down and going up it was at rest. */
static void
add_rest(struct chart_row *cr, const struct ckpt_span *down,
    const struct ckpt_span *up, uint64_t end_ns)
{
	if (down->cp_result != CKPT_R_OK || down->cp_end_ns == 0 ||
	    cr->cr_nbars == CHART_BARS)
		return;
	if (up->cp_begin_ns != 0)
		end_ns = up->cp_begin_ns;
	cr->cr_bars[cr->cr_nbars++] = (struct chart_bar) {
		.cb_kind = CHART_REST,
		.cb_begin_ns = down->cp_end_ns,
		.cb_end_ns = end_ns > down->cp_end_ns ? end_ns : down->cp_end_ns
	};
}

static void
host_row(struct chart_row *cr, const struct ckpt *ck)
{
	(void)snprintf(cr->cr_label, sizeof(cr->cr_label), "%s",
	    ck->ck_test ? "test" : "host");
	add_bar(cr, CHART_CHECK, "check", &ck->ck_asked[CKPT_CHECK]);
	add_bar(cr, CHART_DOWN, "freeze", &ck->ck_asked[CKPT_FREEZE]);
	add_bar(cr, CHART_UP, "thaw", &ck->ck_asked[CKPT_THAW]);
}

static void
client_row(
    struct chart_row *cr, const struct ckpt *ck, const struct ckpt_client *cc)
{
	const struct ckpt_span *cp = cc->cc_spans;

	(void)snprintf(cr->cr_label, sizeof(cr->cr_label), "%s",
	    cc->cc_daemon ? "freeze daemon" : cc->cc_name);
	add_bar(cr, CHART_CHECK, "check", &cp[CKPT_CHECK]);
	add_bar(cr, CHART_PREPARE, "prepare", &cp[CKPT_PREPARE]);
	add_bar(cr, CHART_DOWN, cc->cc_daemon ? "freeze" : "quiesce",
	    &cp[CKPT_FREEZE]);
	add_rest(cr, &cp[CKPT_FREEZE], &cp[CKPT_THAW], ck->ck_end_ns);
	add_bar(
	    cr, CHART_UP, cc->cc_daemon ? "thaw" : "resume", &cp[CKPT_THAW]);
}

static void
fs_row(struct chart_row *cr, const struct ckpt *ck, const struct ckpt_fs *cf)
{
	const struct ckpt_span *cp = cf->cf_spans;

	(void)snprintf(cr->cr_label, sizeof(cr->cr_label), "%s", cf->cf_point);
	add_bar(cr, CHART_PREPARE, "flush", &cp[CKPT_FS_FLUSH]);
	add_bar(cr, CHART_DOWN, "freeze", &cp[CKPT_FS_FREEZE]);
	add_rest(cr, &cp[CKPT_FS_FREEZE], &cp[CKPT_FS_THAW], ck->ck_end_ns);
	add_bar(cr, CHART_UP, "thaw", &cp[CKPT_FS_THAW]);
}

bool
chart_make(struct chart *ch, const struct ckpt *ck)
{
	struct chart_row *cr;
	uint32_t i;

	memset(ch, 0, sizeof(*ch));
	ch->ch_ckpt = ck;
	make_axis(ch);
	ch->ch_nrows = (size_t)1 + ck->ck_nclients + ck->ck_nfs;
	ch->ch_rows = calloc(ch->ch_nrows, sizeof(*ch->ch_rows));
	if (ch->ch_rows == NULL)
		return (false);
	cr = ch->ch_rows;
	host_row(cr++, ck);
	if (ck->ck_nclients > 0)
		cr->cr_group = true;
	for (i = 0; i < ck->ck_nclients; i++)
		client_row(cr++, ck, &ck->ck_clients[i]);
	if (ck->ck_nfs > 0)
		cr->cr_group = true;
	for (i = 0; i < ck->ck_nfs; i++)
		fs_row(cr++, ck, &ck->ck_fs[i]);
	return (true);
}

void
chart_free(struct chart *ch)
{
	free(ch->ch_rows);
	ch->ch_rows = NULL;
}
