/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/*
 * A checkpoint as a chart: an axis on which every stage can be seen, however
 * long the others are, and a row of bars for the host, each application and
 * each file system.  What is drawn of it is ctl_timeline.c's and ctl_svg.c's.
 */

#ifndef _CTL_CHART_H_
#define _CTL_CHART_H_

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "ckpt.h"

#define CHART_STAGES 16 /* stages, and what lies between them */
#define CHART_BARS   8
#define CHART_NOTE   160

/* A stretch of the axis, from cs_from to cs_to of 0 to 1. */
struct chart_stage {
	const char *cs_name; /* "" between stages */
	uint64_t cs_begin_ns;
	uint64_t cs_end_ns;
	double cs_from;
	double cs_to;
};

/* What a bar shows, for applications and file systems alike. */
enum chart_kind {
	CHART_CHECK,
	CHART_PREPARE, /* prepare, flush */
	CHART_DOWN,    /* quiesce, freeze */
	CHART_REST,    /* at rest */
	CHART_UP,      /* resume, thaw */
	CHART_NKINDS
};

struct chart_bar {
	enum chart_kind cb_kind;
	bool cb_bad; /* it failed */
	uint64_t cb_begin_ns;
	uint64_t cb_end_ns;
};

struct chart_row {
	char cr_label[CKPT_POINT_MAX];
	char cr_note[CHART_NOTE]; /* how long each took */
	bool cr_group;		  /* the first of its kind: a rule above */
	unsigned cr_nbars;
	struct chart_bar cr_bars[CHART_BARS];
};

struct chart {
	const struct ckpt *ch_ckpt;
	unsigned ch_nstages;
	struct chart_stage ch_stages[CHART_STAGES];
	size_t ch_nrows;
	struct chart_row *ch_rows;
};

/* False: no memory.  The checkpoint must stay. */
bool chart_make(struct chart *ch, const struct ckpt *ck);
void chart_free(struct chart *ch);
/* Where a time is on the axis, from 0 to 1. */
double chart_at(const struct chart *ch, uint64_t ns);
const char *chart_kind_name(enum chart_kind kind);

/* ctl_svg.c: draws it; false if it could not be written. */
bool chart_svg(const struct chart *ch, FILE *fp);

#endif /* _CTL_CHART_H_ */
