/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/* The chart of a checkpoint: its axis, its rows, and the picture. */

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "ctl_chart.h"

#define MS VSS_NS_PER_MS
#define B  (1000 * VSS_NS_PER_S)

static struct ckpt ck;
static struct ckpt_fs fs[2];
static struct chart ch;

static struct ckpt_span
span(uint64_t at_ms, uint64_t to_ms, enum ckpt_result result)
{
	return ((struct ckpt_span) {
	    .cp_begin_ns = B + at_ms * MS,
	    .cp_end_ns = B + to_ms * MS,
	    .cp_result = result,
	});
}

/* A check, a second's pause, a freeze of 10 ms in a hold of a minute. */
static int
set_up(void **state)
{
	(void)state;
	memset(&ck, 0, sizeof(ck));
	memset(fs, 0, sizeof(fs));
	ck.ck_id = 7;
	ck.ck_begin_ns = B;
	ck.ck_end_ns = B + 61020 * MS;
	ck.ck_stages[CKPT_S_CHECK] = span(0, 1, CKPT_R_NONE);
	ck.ck_stages[CKPT_S_FREEZE] = span(1000, 1010, CKPT_R_NONE);
	ck.ck_stages[CKPT_S_HOLD] = span(1010, 61010, CKPT_R_NONE);
	ck.ck_stages[CKPT_S_THAW] = span(61010, 61020, CKPT_R_NONE);
	ck.ck_nclients = 1;
	strcpy(ck.ck_clients[0].cc_name, "a<b>&\"c");
	ck.ck_clients[0].cc_spans[CKPT_FREEZE] = span(1000, 1002, CKPT_R_OK);
	ck.ck_clients[0].cc_spans[CKPT_THAW] = span(61010, 61015, CKPT_R_OK);
	ck.ck_nfs = 2;
	ck.ck_fs = fs;
	strcpy(fs[0].cf_point, "/srv");
	fs[0].cf_spans[CKPT_FS_FREEZE] = span(1002, 1009, CKPT_R_OK);
	strcpy(fs[1].cf_point, "/\xff\xc3\xa4\n");
	fs[1].cf_spans[CKPT_FS_FREEZE] = span(1003, 1004, CKPT_R_FAILED);
	return (chart_make(&ch, &ck) ? 0 : -1);
}

static int
tear_down(void **state)
{
	(void)state;
	chart_free(&ch);
	return (0);
}

static void
each_stage_has_room_whatever_the_others_last(void **state)
{
	static const char *const names[] = { "check", "", "freeze", "hold",
		"thaw" };

	(void)state;
	assert_int_equal(ch.ch_nstages, 5);
	for (unsigned i = 0; i < 5; i++) {
		assert_string_equal(ch.ch_stages[i].cs_name, names[i]);
		assert_true(
		    ch.ch_stages[i].cs_to - ch.ch_stages[i].cs_from > 0.05);
	}
}

static void
times_are_in_order_on_the_axis(void **state)
{
	double last = -1, at;

	(void)state;
	for (uint64_t ms = 0; ms <= 61020; ms += 5) {
		at = chart_at(&ch, B + ms * MS);
		assert_true(at >= last && at >= 0 && at <= 1);
		last = at;
	}
	assert_true(chart_at(&ch, 0) < 0.001);
	assert_true(chart_at(&ch, B + 61020 * MS) > 0.999);
	assert_true(chart_at(&ch, UINT64_MAX) > 0.999);
}

static void
who_was_at_rest_has_a_bar_until_he_is_told_to_go_on(void **state)
{
	const struct chart_row *cr = &ch.ch_rows[1];

	(void)state;
	assert_int_equal(ch.ch_nrows, 4);
	assert_true(cr->cr_group);
	assert_int_equal(cr->cr_nbars, 3);
	assert_int_equal(cr->cr_bars[1].cb_kind, CHART_REST);
	assert_int_equal(cr->cr_bars[1].cb_begin_ns, B + 1002 * MS);
	assert_int_equal(cr->cr_bars[1].cb_end_ns, B + 61010 * MS);
	assert_string_equal(cr->cr_note, "quiesce 2.0 ms, resume 5.0 ms");
	/* One that was not seen to thaw: to the end. */
	cr = &ch.ch_rows[2];
	assert_true(cr->cr_group);
	assert_int_equal(cr->cr_bars[1].cb_end_ns, ck.ck_end_ns);
}

static void
what_failed_was_not_at_rest(void **state)
{
	const struct chart_row *cr = &ch.ch_rows[3];

	(void)state;
	assert_int_equal(cr->cr_nbars, 1);
	assert_true(cr->cr_bars[0].cb_bad);
	assert_string_equal(cr->cr_note, "freeze 1.0 ms failed");
}

static void
the_picture_is_well_formed_whatever_the_names_are(void **state)
{
	char *text = NULL;
	size_t len = 0;
	FILE *fp = open_memstream(&text, &len);

	(void)state;
	ck.ck_why.er_cause = VSS_ENGINE_CAUSE_REFUSED;
	memset(ck.ck_why.er_text, 'x', sizeof(ck.ck_why.er_text) - 1);
	assert_true(chart_svg(&ch, fp));
	(void)fclose(fp);
	assert_non_null(strstr(text, "a&lt;b&gt;&amp;&quot;c"));
	assert_non_null(strstr(text, "/?\xc3\xa4?"));
	assert_null(strstr(text, "\xff"));
	assert_string_equal(text + len - strlen("</svg>\n"), "</svg>\n");
	free(text);
}

static void
a_checkpoint_without_any_stage_is_drawn(void **state)
{
	(void)state;
	chart_free(&ch);
	memset(&ck, 0, sizeof(ck));
	ck.ck_begin_ns = ck.ck_end_ns = B;
	assert_true(chart_make(&ch, &ck));
	assert_int_equal(ch.ch_nstages, 0);
	assert_true(chart_at(&ch, B) <= 1);
	assert_int_equal(ch.ch_nrows, 1);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
		T(each_stage_has_room_whatever_the_others_last),
		T(times_are_in_order_on_the_axis),
		T(who_was_at_rest_has_a_bar_until_he_is_told_to_go_on),
		T(what_failed_was_not_at_rest),
		T(the_picture_is_well_formed_whatever_the_names_are),
		T(a_checkpoint_without_any_stage_is_drawn),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
