/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/* What kind of file system a type is. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "fs_types.h"

static void
the_usual_disks_can_be_frozen(void **state)
{
	(void)state;
	assert_int_equal(fs_class("ext4"), FS_CLASS_FREEZE);
	assert_int_equal(fs_class("xfs"), FS_CLASS_FREEZE);
	assert_int_equal(fs_class("btrfs"), FS_CLASS_FREEZE);
	assert_int_equal(fs_class("f2fs"), FS_CLASS_FREEZE);
}

static void
a_name_is_taken_as_a_whole(void **state)
{
	(void)state;
	assert_int_equal(fs_class("ext"), FS_CLASS_UNKNOWN);
	assert_int_equal(fs_class("ext45"), FS_CLASS_UNKNOWN);
	assert_int_equal(fs_class(""), FS_CLASS_UNKNOWN);
	assert_int_equal(fs_class("EXT4"), FS_CLASS_UNKNOWN);
}

static void
fuse_on_a_block_device_is_flushed_and_other_fuse_is_not_touched(void **state)
{
	(void)state;
	assert_int_equal(fs_class("fuseblk"), FS_CLASS_SYNC);
	assert_int_equal(fs_class("fuseblk.ntfs"), FS_CLASS_SYNC);
	assert_int_equal(fs_class("fuse"), FS_CLASS_FUSE);
	assert_int_equal(fs_class("fuse.hv_vss"), FS_CLASS_FUSE);
	assert_int_equal(fs_class("fusectl"), FS_CLASS_PSEUDO);
	assert_int_equal(fs_class("fuseblkx"), FS_CLASS_UNKNOWN);
}

static void
network_and_fuse_may_hang_and_disks_are_taken_not_to(void **state)
{
	(void)state;
	assert_true(fs_class_may_hang(fs_class("nfs4")));
	assert_true(fs_class_may_hang(fs_class("cifs")));
	assert_true(fs_class_may_hang(fs_class("fuse.sshfs")));
	assert_false(fs_class_may_hang(fs_class("ext4")));
	assert_false(fs_class_may_hang(fs_class("tmpfs")));
	assert_false(fs_class_may_hang(fs_class("overlay")));
}

static void
devices_that_a_process_serves_are_told_by_their_names(void **state)
{
	(void)state;
	assert_true(fs_is_served("nbd0"));
	assert_true(fs_is_served("nbd12p3"));
	assert_true(fs_is_served("ublkb0"));
	assert_false(fs_is_served("sda"));
	assert_false(fs_is_served("rbd0"));
	assert_false(fs_is_served("nb"));
	assert_false(fs_is_served(""));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_usual_disks_can_be_frozen),
		cmocka_unit_test(a_name_is_taken_as_a_whole),
		cmocka_unit_test(
		    fuse_on_a_block_device_is_flushed_and_other_fuse_is_not_touched),
		cmocka_unit_test(
		    network_and_fuse_may_hang_and_disks_are_taken_not_to),
		cmocka_unit_test(
		    devices_that_a_process_serves_are_told_by_their_names),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
