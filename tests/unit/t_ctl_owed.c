/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/* The record that a thaw is owed.  Writes in a directory of its own in /tmp. */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "ctl_owed.h"

static char t_dir[32], t_path[CTL_OWED_PATH];

static int
fresh(void **state)
{
	(void)state;
	strcpy(t_dir, "/tmp/t_ctl_owed.XXXXXX");
	if (mkdtemp(t_dir) == NULL)
		return (-1);
	snprintf(t_path, sizeof(t_path), "%s/hv_vss/run.shop", t_dir);
	return (0);
}

static int
clean(void **state)
{
	char cmd[80];

	(void)state;
	snprintf(cmd, sizeof(cmd), "rm -rf %s", t_dir);
	return (system(cmd));
}

static void
a_name_and_another_device_make_one_file_name(void **state)
{
	char path[CTL_OWED_PATH];

	(void)state;
	assert_true(ctl_owed_path(path, "/r", "shop", "", sizeof(path)));
	assert_string_equal(path, "/r/run.shop");
	assert_true(ctl_owed_path(path, "/r", "../a b", "/d/e", sizeof(path)));
	assert_string_equal(path, "/r/run..._a_b_d_e");
	assert_true(ctl_owed_path(path, "/r", "shop", "", 12));
	assert_false(ctl_owed_path(path, "/r", "shop", "", 11));
}

static void
what_was_written_is_found_by_a_successor(void **state)
{
	bool owed = true;
	int fd;

	(void)state;
	assert_int_equal(ctl_owed_open(t_path, &fd, &owed), 0);
	assert_false(owed);
	assert_int_equal(ctl_owed_set(fd, true), 0);
	assert_int_equal(ctl_owed_set(fd, true), 0);
	close(fd);
	assert_int_equal(ctl_owed_open(t_path, &fd, &owed), 0);
	assert_true(owed);
	assert_int_equal(ctl_owed_set(fd, false), 0);
	close(fd);
	assert_int_equal(ctl_owed_open(t_path, &fd, &owed), 0);
	assert_false(owed);
	close(fd);
}

static void
only_one_has_it(void **state)
{
	bool owed = false;
	int fd, other;

	(void)state;
	assert_int_equal(ctl_owed_open(t_path, &fd, &owed), 0);
	assert_int_equal(ctl_owed_set(fd, true), 0);
	assert_int_equal(ctl_owed_open(t_path, &other, &owed), EWOULDBLOCK);
	assert_int_equal(other, -1);
	assert_false(owed);
	close(fd);
}

static void
a_link_is_not_followed_and_no_record_is_no_error(void **state)
{
	bool owed = false;
	int fd;

	(void)state;
	assert_int_equal(ctl_owed_open(t_path, &fd, &owed), 0);
	close(fd);
	assert_int_equal(unlink(t_path), 0);
	assert_int_equal(symlink("elsewhere", t_path), 0);
	assert_int_equal(ctl_owed_open(t_path, &fd, &owed), ELOOP);
	assert_int_equal(ctl_owed_set(-1, true), 0);
	assert_int_equal(ctl_owed_set(-1, false), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_name_and_another_device_make_one_file_name),
		cmocka_unit_test_setup_teardown(
		    what_was_written_is_found_by_a_successor, fresh, clean),
		cmocka_unit_test_setup_teardown(only_one_has_it, fresh, clean),
		cmocka_unit_test_setup_teardown(
		    a_link_is_not_followed_and_no_record_is_no_error, fresh,
		    clean),
	};

	return (cmocka_run_group_tests_name("ctl_owed", tests, NULL, NULL));
}
