/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/* What hv_vss_daemon --check prints, and its exit status. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <sys/stat.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "check.h"
#include "scratch.h"

static const char two_disks[] =
    "24 1 8:1 / / rw,relatime - ext4 /dev/sda1 rw\n"
    "25 24 8:17 / /srv rw,relatime - xfs /dev/sdb1 rw\n"
    "26 24 0:41 / /run rw,relatime - tmpfs tmpfs rw\n";

static const char unknown_type[] =
    "24 1 8:1 / / rw,relatime - ext4 /dev/sda1 rw\n"
    "25 24 8:17 / /new rw,relatime - newfs /dev/sdb1 rw\n";

static const char strange_name[] =
    "24 1 8:1 / / rw,relatime - ext4 /dev/sda1 rw\n"
    "25 24 8:17 / /a\\012b rw,relatime - xfs /dev/sdb1 rw\n";

static const char long_name[] =
    "24 1 8:1 / / rw,relatime - ext4 /dev/sda1 rw\n"
    "25 24 0:41 / /a/path/that/is/longer/than/its/column rw - tmpfs t rw\n";

static const char two_loops[] =
    "24 1 0:20 / / rw,relatime - tmpfs tmpfs rw\n"
    "25 24 7:0 / /a rw,relatime - xfs /dev/loop0 rw\n"
    "26 24 7:1 / /b rw,relatime - xfs /dev/loop1 rw\n";

static char out_text[4096];
static char err_text[4096];

/* Runs it on a mount table, or without one; fills out_text and err_text. */
static int
run_as(const char *mountinfo, enum check_form form)
{
	char root[SCRATCH_LEN], path[SCRATCH_LEN + 32];
	struct plan_policy pp = { .pp_root = root };
	FILE *out, *err, *f;
	int status;

	assert_int_equal(scratch_make(root, "t_check"), 0);
	(void)snprintf(path, sizeof(path), "%s/proc", root);
	assert_int_equal(mkdir(path, 0700), 0);
	(void)strcat(path, "/self");
	assert_int_equal(mkdir(path, 0700), 0);
	(void)strcat(path, "/mountinfo");
	if (mountinfo != NULL) {
		f = fopen(path, "we");
		assert_non_null(f);
		(void)fputs(mountinfo, f);
		assert_int_equal(fclose(f), 0);
	}
	out_text[0] = err_text[0] = '\0';
	out = fmemopen(out_text, sizeof(out_text), "w");
	err = fmemopen(err_text, sizeof(err_text), "w");
	status = check_print(&pp, form, out, err);
	(void)fclose(out);
	(void)fclose(err);
	scratch_remove(root);
	return (status);
}

static int
run(const char *mountinfo)
{
	return (run_as(mountinfo, CHECK_TEXT));
}

static void
a_plan_that_works_says_how_much_is_frozen(void **state)
{
	(void)state;
	assert_int_equal(run(two_disks), 0);
	assert_string_equal(out_text,
	    "freeze  /     ext4   /dev/sda1  written to; /sys does not "
	    "show what it lies on\n"
	    "freeze  /srv  xfs    /dev/sdb1  written to; /sys does not "
	    "show what it lies on\n"
	    "leave   /run  tmpfs  tmpfs      in memory, keeps nothing\n"
	    "A backup would work: 2 frozen, 0 flushed, 1 left alone.\n");
}

static void
where_the_order_matters_the_steps_are_counted(void **state)
{
	(void)state;
	assert_int_equal(run(two_loops), 0);
	assert_non_null(strstr(out_text, "freeze 1  /b  xfs    /dev/loop1  a"));
	assert_non_null(strstr(out_text, "freeze 2  /a  xfs    /dev/loop0  a"));
	assert_non_null(strstr(out_text,
	    "\nA backup would work: 2 frozen in 2 steps, in that order, "));
}

static void
a_plan_that_is_refused_ends_with_the_remedy_and_status_1(void **state)
{
	(void)state;
	assert_int_equal(run(unknown_type), 1);
	assert_non_null(strstr(out_text,
	    "\nA backup would be refused: /new: it is not known whether newfs "
	    "can be frozen; leave it out with exclude=/new, or set "
	    "type.newfs=sync\n"));
}

static void
what_is_not_printable_is_a_question_mark(void **state)
{
	(void)state;
	assert_int_equal(run(strange_name), 0);
	assert_non_null(strstr(out_text, "freeze  /a?b  xfs   /dev/sdb1  "));
}

static void
a_long_mount_point_keeps_its_distance(void **state)
{
	(void)state;
	assert_int_equal(run(long_name), 0);
	assert_non_null(strstr(
	    out_text, "/a/path/that/is/longer/than/its/column  tmpfs  "));
}

static void
without_a_mount_table_there_is_one_line_and_status_1(void **state)
{
	(void)state;
	assert_int_equal(run(NULL), 1);
	assert_string_equal(out_text, "");
	assert_non_null(strstr(err_text, "mountinfo: cannot be read: "));
	assert_ptr_equal(strchr(err_text, '\n'), strrchr(err_text, '\n'));
}

static void
json_is_one_object_with_a_line_a_mount(void **state)
{
	(void)state;
	assert_int_equal(run_as(two_loops, CHECK_JSON), 0);
	assert_non_null(strstr(out_text,
	    "{\"works\":true,\"refused\":null,\"freeze\":2,\"sync\":0,"
	    "\"veto\":0,\"leave\":1,\"steps\":2,\"mounts\":[\n"
	    "{\"action\":\"freeze\",\"step\":1,\"mount\":\"/b\",\"type\":"
	    "\"xfs\",\"device\":\"/dev/loop1\",\"major\":7,\"minor\":1,"
	    "\"reason\":\"a loop device"));
	assert_non_null(strstr(out_text, "keeps nothing\"}]}\n"));
}

static void
json_has_the_remedies_of_a_veto(void **state)
{
	(void)state;
	assert_int_equal(run_as(unknown_type, CHECK_JSON), 1);
	assert_non_null(strstr(
	    out_text, "{\"works\":false,\"refused\":\"/new: it is not known"));
	assert_non_null(strstr(
	    out_text, "\"remedies\":[\"exclude=/new\",\"type.newfs=sync\"]}"));
}

static void
json_is_json_whatever_mounts_are_called(void **state)
{
	static const char odd[] =
	    "24 1 8:1 / / rw,relatime - ext4 /dev/sda1 rw\n"
	    "25 24 0:41 / /a\\012\"\\134\xc3\xa9\xff\xe2\x82 rw - tmpfs t rw\n";

	(void)state;
	assert_int_equal(run_as(odd, CHECK_JSON), 0);
	assert_non_null(strstr(out_text,
	    "\"mount\":\"/a\\u000a\\\"\\\\\xc3\xa9\\ufffd\\ufffd\\ufffd\""));
}

static void
json_without_a_mount_table_says_so(void **state)
{
	(void)state;
	assert_int_equal(run_as(NULL, CHECK_JSON), 1);
	assert_non_null(strstr(out_text, "{\"works\":false,\"refused\":\"/"));
	assert_non_null(strstr(out_text, "\"mounts\":[]}\n"));
	assert_non_null(strstr(err_text, "cannot be read"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_plan_that_works_says_how_much_is_frozen),
		cmocka_unit_test(where_the_order_matters_the_steps_are_counted),
		cmocka_unit_test(
		    a_plan_that_is_refused_ends_with_the_remedy_and_status_1),
		cmocka_unit_test(what_is_not_printable_is_a_question_mark),
		cmocka_unit_test(a_long_mount_point_keeps_its_distance),
		cmocka_unit_test(
		    without_a_mount_table_there_is_one_line_and_status_1),
		cmocka_unit_test(json_is_one_object_with_a_line_a_mount),
		cmocka_unit_test(json_has_the_remedies_of_a_veto),
		cmocka_unit_test(json_is_json_whatever_mounts_are_called),
		cmocka_unit_test(json_without_a_mount_table_says_so),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
