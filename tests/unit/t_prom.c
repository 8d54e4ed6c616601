/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/* The figures for Prometheus: counted on, and whole whatever was there. */

#include <errno.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "prom.h"
#include "scratch.h"

static char dir[SCRATCH_LEN], file[PATH_MAX], err[256];
static char text[16384];
static struct ckpt ck;

static int
set_up(void **state)
{
	(void)state;
	if (scratch_make(dir, "prom") != 0)
		return (-1);
	snprintf(file, sizeof(file), "%s/hv_vss.prom", dir);
	memset(&ck, 0, sizeof(ck));
	ck.ck_id = 1;
	ck.ck_wall_ms = 1700000000500;
	ck.ck_begin_ns = 1;
	ck.ck_end_ns = 2000000001;
	ck.ck_napps = 1;
	return (0);
}

static int
tear_down(void **state)
{
	(void)state;
	(void)unlink(file);
	return (rmdir(dir));
}

static void
update(void)
{
	FILE *fp;
	size_t n;

	assert_int_equal(prom_update(file, &ck, 1, err, sizeof(err)), 0);
	fp = fopen(file, "r");
	assert_non_null(fp);
	n = fread(text, 1, sizeof(text) - 1, fp);
	text[n] = '\0';
	(void)fclose(fp);
}

#define assert_line(line) assert_non_null(strstr(text, "\n" line "\n"))

static void
a_success_and_a_failure_are_counted_apart(void **state)
{
	(void)state;
	update();
	assert_line("hv_vss_last_success_timestamp_seconds 1700000000.500");
	assert_line("hv_vss_last_checkpoint_success 1.000");
	assert_line("hv_vss_last_checkpoint_application_consistent 1.000");
	assert_line("hv_vss_last_checkpoint_duration_seconds 2.000");
	assert_line("hv_vss_checkpoints_total{outcome=\"ok\"} 1");
	ck.ck_id = 2;
	ck.ck_wall_ms += 1000;
	ck.ck_outcome = CKPT_FAILED;
	ck.ck_why.er_cause = VSS_ENGINE_CAUSE_NO_DAEMON;
	update();
	assert_line("hv_vss_last_success_timestamp_seconds 1700000000.500");
	assert_line("hv_vss_last_checkpoint_timestamp_seconds 1700000001.500");
	assert_line("hv_vss_last_checkpoint_success 0.000");
	assert_line("hv_vss_checkpoints_total{outcome=\"ok\"} 1");
	assert_line("hv_vss_checkpoints_total{outcome=\"failed\"} 1");
	assert_line("hv_vss_failures_total{reason=\"no-daemon\"} 1");
	assert_line("hv_vss_failures_total{reason=\"refused\"} 0");
}

static void
what_is_told_again_is_counted_once(void **state)
{
	(void)state;
	update();
	ck.ck_id = 0;
	update();
	assert_line("hv_vss_checkpoints_total{outcome=\"ok\"} 1");
	/* Written to the history, but not here before a crash. */
	ck.ck_wall_ms += 1000;
	update();
	assert_line("hv_vss_checkpoints_total{outcome=\"ok\"} 2");
}

static void
a_check_alone_that_is_told_again_is_counted_once(void **state)
{
	(void)state;
	update();
	ck.ck_id = 2;
	ck.ck_wall_ms += 1000;
	ck.ck_outcome = CKPT_CHECKED;
	update();
	ck.ck_id = 0;
	update();
	update();
	assert_line("hv_vss_checkpoints_total{outcome=\"checked\"} 1");
	assert_line("hv_vss_last_checkpoint_timestamp_seconds 1700000000.500");
}

static void
one_that_failed_within_another_is_counted_once(void **state)
{
	(void)state;
	ck.ck_wall_ms += 1000;
	ck.ck_outcome = CKPT_FAILED;
	ck.ck_why.er_cause = VSS_ENGINE_CAUSE_BUSY;
	update();
	/* What it came into began before it. */
	ck.ck_id = 2;
	ck.ck_wall_ms -= 1000;
	ck.ck_outcome = CKPT_OK;
	update();
	ck.ck_id = 0;
	ck.ck_wall_ms += 1000;
	ck.ck_outcome = CKPT_FAILED;
	update();
	assert_line("hv_vss_checkpoints_total{outcome=\"failed\"} 1");
	assert_line("hv_vss_checkpoints_total{outcome=\"ok\"} 1");
}

static void
a_file_of_an_older_version_is_counted_on(void **state)
{
	FILE *fp = fopen(file, "w");

	(void)state;
	assert_non_null(fp);
	fputs("hv_vss_last_checkpoint_timestamp_seconds 1700000000.500\n"
	      "hv_vss_checkpoints_total{outcome=\"ok\"} 1\n",
	    fp);
	(void)fclose(fp);
	ck.ck_id = 0;
	update();
	assert_line("hv_vss_checkpoints_total{outcome=\"ok\"} 1");
}

static void
a_test_is_no_checkpoint(void **state)
{
	(void)state;
	ck.ck_test = true;
	update();
	assert_line("hv_vss_checkpoints_total{outcome=\"ok\"} 0");
	assert_line("hv_vss_last_checkpoint_timestamp_seconds 0.000");
}

static void
garbage_in_the_file_counts_as_nothing(void **state)
{
	FILE *fp = fopen(file, "w");

	(void)state;
	assert_non_null(fp);
	fputs("hv_vss_checkpoints_total{outcome=\"ok\nhv_vss_checkpoints_total"
	      "{\nhv_vss_last_success_timestamp_seconds\n\xff\n",
	    fp);
	(void)fclose(fp);
	update();
	assert_line("hv_vss_checkpoints_total{outcome=\"ok\"} 1");
}

static void
where_it_cannot_be_written_the_remedy_is_said(void **state)
{
	(void)state;
	assert_int_equal(
	    prom_update("/proc/nowhere/x.prom", &ck, 1, err, sizeof(err)),
	    ENOENT);
	assert_non_null(strstr(err, "the setting prometheus"));
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
		T(a_success_and_a_failure_are_counted_apart),
		T(what_is_told_again_is_counted_once),
		T(a_check_alone_that_is_told_again_is_counted_once),
		T(one_that_failed_within_another_is_counted_once),
		T(a_file_of_an_older_version_is_counted_on),
		T(a_test_is_no_checkpoint),
		T(garbage_in_the_file_counts_as_nothing),
		T(where_it_cannot_be_written_the_remedy_is_said),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
