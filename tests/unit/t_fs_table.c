/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/* What a mount table means, on tables made here. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fs_table.h"

#define MOUNTS_MAX 8

static struct fs_mount mounts[MOUNTS_MAX];
static struct fs_table table;

static int
begin(void **state)
{
	(void)state;
	memset(&table, 0, sizeof(table));
	memset(mounts, 0, sizeof(mounts));
	table.ft_mounts = mounts;
	return (0);
}

static int
end(void **state)
{
	(void)state;
	table.ft_mounts = NULL;
	table.ft_nmounts = 0;
	fs_table_free(&table);
	return (0);
}

/* One more mount, of device 8:minor; its index. */
static unsigned int
add(unsigned int parent, const char *point, const char *type,
    unsigned int minor)
{
	struct fs_mount *m = &mounts[table.ft_nmounts];

	m->fm_parent = parent;
	m->fm_point = point;
	m->fm_type = type;
	m->fm_source = "";
	m->fm_root = "/";
	m->fm_major = 8;
	m->fm_minor = minor;
	return (table.ft_nmounts++);
}

static void
finish(void)
{
	assert_int_equal(fs_table_group(&table), 0);
	assert_int_equal(fs_table_hide(&table), 0);
}

static void
mounts_of_one_device_are_one_file_system(void **state)
{
	(void)state;
	(void)add(FS_NONE, "/", "ext4", 1);
	(void)add(0, "/a", "xfs", 2);
	(void)add(0, "/b", "ext4", 1);
	finish();
	assert_int_equal(table.ft_nfs, 2);
	assert_int_equal(mounts[2].fm_fs, mounts[0].fm_fs);
	assert_int_equal(table.ft_fs[0].fy_nmounts, 2);
	assert_int_equal(table.ft_fs[1].fy_first, 1);
}

static void
a_path_leads_to_the_mount_that_is_met_and_not_to_the_longest(void **state)
{
	(void)state;
	(void)add(FS_NONE, "/", "ext4", 1);
	(void)add(0, "/a/b", "ext4", 2);
	(void)add(0, "/a", "ext4", 3);
	finish();
	assert_int_equal(fs_table_resolve(&table, "/a/b/file"), 2);
	assert_int_equal(fs_table_resolve(&table, "/ab"), 0);
	assert_int_equal(fs_table_resolve(&table, "/"), 0);
	assert_int_equal(fs_table_resolve(&table, "relative"), FS_NONE);
	assert_true(mounts[1].fm_hidden);
	assert_false(mounts[2].fm_hidden);
}

static void
a_long_path_is_followed_to_its_end(void **state)
{
	(void)state;
	(void)add(FS_NONE, "/", "ext4", 1);
	(void)add(0, "/a/b/c/d/e/f", "ext4", 2);
	finish();
	assert_int_equal(fs_table_resolve(&table, "/a/b/c/d/e/f/g"), 1);
	assert_int_equal(fs_table_resolve(&table, "/a/b/c/d/e/fg"), 0);
	assert_int_equal(fs_table_resolve(&table, "/a/b/c/d/e"), 0);
	assert_int_equal(fs_table_resolve(&table, "//a"), 0);
	assert_false(mounts[1].fm_hidden);
}

static void
of_two_mounts_at_one_place_the_later_is_met(void **state)
{
	(void)state;
	(void)add(FS_NONE, "/", "ext4", 1);
	(void)add(0, "/a", "ext4", 2);
	(void)add(0, "/a", "ext4", 3);
	finish();
	assert_int_equal(fs_table_resolve(&table, "/a"), 2);
	assert_true(mounts[1].fm_hidden);
}

static void
parents_are_found_by_their_ids(void **state)
{
	static const uint64_t parents[] = { 7, 30, 30, 20, 99 };
	static const uint64_t ids[] = { 30, 20, 21, 22, 99 };

	(void)state;
	for (unsigned int i = 0; i < 5; i++)
		mounts[add(0, "/", "ext4", i)].fm_id = ids[i];
	assert_int_equal(fs_table_parents(&table, parents), 0);
	assert_int_equal(mounts[0].fm_parent, FS_NONE);
	assert_int_equal(mounts[1].fm_parent, 0);
	assert_int_equal(mounts[2].fm_parent, 0);
	assert_int_equal(mounts[3].fm_parent, 1);
	/* Not on itself, whatever the table says. */
	assert_int_equal(mounts[4].fm_parent, FS_NONE);
}

static void
a_mount_on_a_mount_hides_it(void **state)
{
	(void)state;
	(void)add(FS_NONE, "/", "ext4", 1);
	(void)add(0, "/a", "ext4", 2);
	(void)add(1, "/a", "ext4", 3);
	(void)add(2, "/a/b", "ext4", 4);
	finish();
	assert_true(mounts[1].fm_hidden);
	assert_false(mounts[2].fm_hidden);
	assert_false(mounts[3].fm_hidden);
}

static void
a_mount_on_the_root_is_met_by_no_path(void **state)
{
	(void)state;
	(void)add(FS_NONE, "/", "ext4", 1);
	(void)add(0, "/a", "ext4", 2);
	(void)add(0, "/", "ext4", 3);
	(void)add(2, "/c", "ext4", 4);
	finish();
	assert_false(mounts[0].fm_hidden);
	assert_false(mounts[1].fm_hidden);
	assert_true(mounts[2].fm_hidden);
	assert_true(mounts[3].fm_hidden);
	assert_int_equal(fs_table_resolve(&table, "/c"), 0);
}

static void
a_path_through_what_may_hang_is_a_detour(void **state)
{
	(void)state;
	(void)add(FS_NONE, "/", "nfs", 1);
	(void)add(0, "/a", "fuse.x", 2);
	(void)add(1, "/a/b", "ext4", 3);
	(void)add(2, "/a/b/c", "ext4", 4);
	(void)add(0, "/d", "ext4", 5);
	finish();
	assert_false(mounts[1].fm_detour);
	assert_true(mounts[2].fm_detour);
	assert_true(mounts[3].fm_detour);
	assert_false(mounts[4].fm_detour);
}

static void
parents_that_go_round_in_circles_end(void **state)
{
	(void)state;
	(void)add(1, "/", "ext4", 1);
	(void)add(0, "/", "ext4", 2);
	finish();
	assert_int_equal(fs_table_resolve(&table, "/x"), FS_NONE);
	assert_true(mounts[0].fm_hidden);
}

static void
what_lies_on_what_is_followed_to_the_bottom(void **state)
{
	(void)state;
	(void)add(FS_NONE, "/", "ext4", 1);
	(void)add(0, "/a", "ext4", 2);
	(void)add(0, "/b", "ext4", 3);
	finish();
	assert_int_equal(fs_table_lies_on_file(&table, 2, "/a/img"), 0);
	assert_int_equal(fs_table_lies_on_file(&table, 1, "/img"), 0);
	assert_int_equal(table.ft_fs[2].fy_lower[0], 1);
	assert_string_equal(table.ft_fs[2].fy_image, "/a/img");
	assert_true(fs_table_reaches(&table, 2, 0));
	assert_false(fs_table_reaches(&table, 0, 2));
	assert_false(fs_table_reaches(&table, 2, 2));
}

static void
a_disk_is_found_below_images_and_mappings(void **state)
{
	static const struct fs_device disk = { 8, 16, true };
	static const struct fs_device mapping = { 254, 1, false };

	(void)state;
	for (unsigned int i = 0; i < 4; i++)
		(void)add(i == 0 ? FS_NONE : 0, "/", "ext4", i);
	finish();
	assert_int_equal(fs_table_device(&table, 0, &mapping), 0);
	assert_int_equal(fs_table_device(&table, 0, &disk), 0);
	assert_int_equal(fs_table_device(&table, 1, &mapping), 0);
	assert_int_equal(fs_table_lies_on(&table, 1, 3), 0);
	assert_int_equal(fs_table_lies_on(&table, 3, 1), 0);
	assert_int_equal(fs_table_lies_on(&table, 3, 0), 0);
	assert_int_equal(fs_table_disk(&table, 0), 8 << 20 | 16);
	assert_int_equal(fs_table_disk(&table, 1), 8 << 20 | 16);
	assert_int_equal(fs_table_disk(&table, 2), 0);
	assert_int_equal(fs_table_device(&table, 2, &mapping), 0);
	assert_int_equal(fs_table_disk(&table, 2), 254 << 20 | 1);
	table.ft_fs[2].fy_loop = true;
	assert_int_equal(fs_table_disk(&table, 2), 0);
}

static void
an_image_hidden_by_its_own_mount_lies_on_what_is_beneath(void **state)
{
	(void)state;
	(void)add(FS_NONE, "/", "ext4", 1);
	(void)add(0, "/a", "ext4", 2);
	finish();
	assert_int_equal(fs_table_lies_on_file(&table, 1, "/a/img"), 0);
	assert_int_equal(table.ft_fs[1].fy_nlower, 1);
	assert_int_equal(table.ft_fs[1].fy_lower[0], 0);
	assert_int_equal(table.ft_fs[1].fy_ground, FS_GROUND_KNOWN);
}

static void
of_images_that_are_not_known_the_later_lies_on_the_earlier(void **state)
{
	(void)state;
	(void)add(FS_NONE, "/", "ext4", 1);
	(void)add(0, "/a", "ext4", 2);
	(void)add(0, "/b", "ext4", 3);
	finish();
	for (unsigned int i = 0; i < 3; i++)
		table.ft_fs[i].fy_block = true;
	assert_int_equal(fs_table_lies_on_file(&table, 1, "memfd"), 0);
	assert_int_equal(fs_table_lies_on_file(&table, 2, "memfd"), 0);
	assert_int_equal(table.ft_fs[1].fy_ground, FS_GROUND_IMAGE);
	assert_int_equal(fs_table_guess(&table), 0);
	assert_true(fs_table_reaches(&table, 2, 1));
	assert_true(fs_table_reaches(&table, 1, 0));
	assert_false(fs_table_reaches(&table, 1, 2));
	assert_false(fs_table_reaches(&table, 1, 1));
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, begin, end)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(mounts_of_one_device_are_one_file_system),
		CASE(
		    a_path_leads_to_the_mount_that_is_met_and_not_to_the_longest),
		CASE(a_long_path_is_followed_to_its_end),
		CASE(of_two_mounts_at_one_place_the_later_is_met),
		CASE(parents_are_found_by_their_ids),
		CASE(a_mount_on_a_mount_hides_it),
		CASE(a_mount_on_the_root_is_met_by_no_path),
		CASE(a_path_through_what_may_hang_is_a_detour),
		CASE(parents_that_go_round_in_circles_end),
		CASE(what_lies_on_what_is_followed_to_the_bottom),
		CASE(a_disk_is_found_below_images_and_mappings),
		CASE(an_image_hidden_by_its_own_mount_lies_on_what_is_beneath),
		CASE(
		    of_images_that_are_not_known_the_later_lies_on_the_earlier),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
