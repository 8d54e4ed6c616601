/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/*
 * FreeBSD's side of the plan on recorded machines, on any system.  Each is a
 * file of data/freebsd/, of the lines of fbsd_machine.h, named.h and expect.h,
 * and
 *
 *	set KEY=VALUE	of the configuration
 *	as FILE		what is to see there, to begin with
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "expect.h"
#include "fs.h"
#include "named.h"

#define FBSD_CHECK(e) assert_true(e)
#include "fbsd_machine.h"

static struct {
	struct named ma_named;
	struct expect ma_expect;
	struct conf ma_conf;
	struct plan_policy ma_policy;
	char *ma_text;
	char *ma_other; /* the machine that it is as */
} ma;

static void take_lines(char **text, const char *name);

static void
take_line(char *line)
{
	char err[CONF_ERR_MAX];
	int taken = fbsd_take(line);

	if (taken == -1)
		fail_msg("%s: not understood", line);
	if (taken == 1 || named_take(&ma.ma_named, line))
		return;
	if (strncmp(line, "as ", 3) == 0)
		take_lines(&ma.ma_other, line + 3);
	else if (strncmp(line, "set ", 4) == 0) {
		if (conf_set(&ma.ma_conf, line + 4, err, sizeof(err)) != 0)
			fail_msg("%s", err);
	} else
		expect_take(&ma.ma_expect, line);
}

/* The text must stay. */
static void
take_lines(char **text, const char *name)
{
	char *rest, *line;

	assert_null(*text);
	*text = expect_read(__FILE__, "freebsd", name);
	rest = *text;
	while ((line = strsep(&rest, "\n")) != NULL)
		take_line(line);
}

static void
load(const char *name)
{
	memset(&ma, 0, sizeof(ma));
	memset(&fbsd_machine, 0, sizeof(fbsd_machine));
	conf_default(&ma.ma_conf);
	take_lines(&ma.ma_text, name);
	plan_policy_set(&ma.ma_policy, &ma.ma_conf);
	ma.ma_policy.pp_disks = named_choose(&ma.ma_named, name, "");
	if (fbsd_machine.fm_xpt_fd > 0)
		assert_int_equal(fcntl(fbsd_machine.fm_xpt_fd, F_GETFD), -1);
}

static void
unload(void)
{
	conf_free(&ma.ma_conf);
	lun_disks_free(&ma.ma_named.nm_disks);
	free(ma.ma_other);
	free(ma.ma_text);
}

static void
try(const char *name)
{
	char err[256] = "";
	struct plan pn;

	load(name);
	if (plan_make(&pn, &ma.ma_policy, err, sizeof(err)) != 0)
		fail_msg("%s: %s", name, err);
	expect_plan(name, &ma.ma_expect, &pn);
	assert_int_equal(pn.pn_by_disk, named_kept(&ma.ma_named));
	plan_free(&pn);
	unload();
}

static void
a_plain_ufs_machine_freezes_what_is_written_to(void **state)
{
	(void)state;
	try("ufs");
}

static void
the_datasets_of_a_zfs_pool_are_flushed_as_one(void **state)
{
	(void)state;
	try("zfs");
}

static void
what_lies_on_a_pool_is_frozen_before_the_others(void **state)
{
	(void)state;
	try("pools");
	try("poolabove");
}

static void
what_may_be_above_or_below_a_pool_is_a_veto(void **state)
{
	(void)state;
	try("eitherpool");
}

/* Its flush waits for ever while what it lies on is frozen. */
static void
a_pool_is_flushed_before_what_is_on_no_pool_is_frozen(void **state)
{
	unsigned int flushed = 0, tried = 0;
	char err[256] = "";
	struct plan pn;

	(void)state;
	load("poolabove");
	assert_int_equal(plan_make(&pn, &ma.ma_policy, err, sizeof(err)), 0);
	for (size_t i = 0; i < pn.pn_nlines; i++)
		if (pn.pn_lines[i].pl_action == PLAN_SYNC)
			flushed = pn.pn_lines[i].pl_level;
	for (size_t i = 0; i < pn.pn_nlines; i++)
		if (pn.pn_lines[i].pl_action == PLAN_FREEZE &&
		    strcmp(pn.pn_lines[i].pl_point, "/vol") != 0) {
			assert_true(pn.pn_lines[i].pl_level > flushed);
			tried++;
		}
	assert_int_equal(tried, 3);
	plan_free(&pn);
	unload();
}

static void
images_on_md_devices_are_frozen_before_what_they_lie_on(void **state)
{
	(void)state;
	try("images");
}

static void
mirrors_and_labels_are_followed_down_to_each_disk(void **state)
{
	(void)state;
	try("geom");
}

static void
without_geom_what_was_mounted_later_comes_first(void **state)
{
	(void)state;
	try("nogeom");
	try("othername");
}

static void
nullfs_and_unionfs_go_with_what_they_write_to(void **state)
{
	(void)state;
	try("stacked");
}

static void
what_jails_and_linux_programs_mount_refuses_nothing(void **state)
{
	(void)state;
	try("jails");
}

static void
an_encrypted_mirror_and_images_are_frozen_in_their_order(void **state)
{
	(void)state;
	try("geli");
}

static void
policy_strict_refuses_what_is_not_ufs(void **state)
{
	(void)state;
	try("strict");
}

static void
strict_is_content_with_ufs_alone(void **state)
{
	(void)state;
	try("strict-ufs");
}

static void
unknown_types_are_refused_with_a_remedy(void **state)
{
	(void)state;
	try("unknown");
}

static void
hidden_mounts_are_frozen_by_their_fsid(void **state)
{
	(void)state;
	try("hidden");
}

static void
a_machine_that_freezes_nothing_is_doubted_for_its_disk(void **state)
{
	(void)state;
	try("diskless");
	try("unmounted");
}

static void
what_lies_on_no_disk_that_the_host_names_is_left_alone(void **state)
{
	(void)state;
	try("gen2");
	try("gen2-one-disk");
	try("gen2-part-of-a-volume");
	try("gen2-root");
	try("gen2-foreign");
	try("gen1-one-disk");
}

static void
a_list_that_is_not_understood_means_all_disks(void **state)
{
	(void)state;
	try("gen2-unknown-disk");
	try("gen2-unknown-port");
	try("gen2-not-a-disk");
	try("gen2-not-its-bus");
	try("gen2-nothing-mounted");
}

static void
without_the_list_of_cam_all_disks_are_meant(void **state)
{
	(void)state;
	try("gen2-no-xpt");
	try("gen2-xpt-fails");
	try("gen2-xpt-changes");
	try("gen2-xpt-never-ends");
	try("gen2-no-guid");
}

static void
in_a_jail_it_says_why_it_cannot_work(void **state)
{
	char err[256] = "";
	struct plan pn;

	(void)state;
	load("ufs");
	fbsd_machine.fm_jailed = 1;
	assert_int_equal(
	    plan_make(&pn, &ma.ma_policy, err, sizeof(err)), EPERM);
	assert_non_null(strstr(err, "in a jail"));
	assert_non_null(strstr(err, "run hv_vss_daemon outside"));
	plan_free(&pn);
	unload();
}

/* The kernel keeps the fsid of each from who is not root. */
static void
who_has_no_rights_is_told_the_same(void **state)
{
	char err[256] = "";
	struct plan pn;

	(void)state;
	load("ufs");
	for (int i = 0; i < fbsd_machine.fm_nmounts; i++)
		memset(&fbsd_machine.fm_mounts[i].f_fsid, 0,
		    sizeof(fbsd_machine.fm_mounts[i].f_fsid));
	assert_int_equal(plan_make(&pn, &ma.ma_policy, err, sizeof(err)), 0);
	expect_plan("ufs", &ma.ma_expect, &pn);
	plan_free(&pn);
	unload();
}

static void
mounts_that_come_while_the_table_is_read_are_not_lost(void **state)
{
	char err[256] = "";
	struct plan pn;
	size_t few;

	(void)state;
	load("ufs");
	few = (size_t)fbsd_machine.fm_nmounts;
	fbsd_machine.fm_late = 20;
	assert_int_equal(plan_make(&pn, &ma.ma_policy, err, sizeof(err)), 0);
	assert_int_equal(pn.pn_nlines, few + 20);
	plan_free(&pn);
	unload();
}

/* What a plan says while one of that type is being unmounted, so many looks. */
static int
plan_while_one_leaves(const char *type, int looks, char *err, size_t len)
{
	struct plan pn;
	int error;

	load("ufs");
	fbsd_machine.fm_leaving = type;
	fbsd_machine.fm_leaves = looks;
	error = plan_make(&pn, &ma.ma_policy, err, len);
	if (error == 0) {
		expect_plan("ufs", &ma.ma_expect, &pn);
		plan_free(&pn);
	}
	unload();
	return (error);
}

static void
what_is_being_unmounted_is_waited_for_and_is_no_part_of_a_good_copy(
    void **state)
{
	static const char *const others[] = { "nfs", "fusefs", "tmpfs",
		"nullfs" };
	char err[256] = "";

	(void)state;
	assert_int_equal(plan_while_one_leaves("ufs", 3, err, sizeof(err)), 0);
	assert_int_equal(
	    plan_while_one_leaves("ufs", 100000, err, sizeof(err)), EBUSY);
	assert_non_null(strstr(err, "a file system is being unmounted"));
	/* A server that is gone may keep it for days. */
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		assert_int_equal(
		    plan_while_one_leaves(others[i], 100000, err, sizeof(err)),
		    0);
}

static void
a_mount_is_named_by_its_own_fsid(void **state)
{
	char err[256] = "";
	struct plan pn;

	(void)state;
	load("zfs");
	assert_int_equal(plan_make(&pn, &ma.ma_policy, err, sizeof(err)), 0);
	for (size_t i = 0; i < pn.pn_nlines; i++)
		if (strcmp(pn.pn_lines[i].pl_point, "/usr/home") == 0) {
			assert_int_equal(
			    pn.pn_lines[i].pl_mnt_id, (0x21ULL << 32) + 7);
			assert_int_equal(pn.pn_lines[i].pl_major, 0x20);
		}
	plan_free(&pn);
	unload();
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
		    a_plain_ufs_machine_freezes_what_is_written_to),
		cmocka_unit_test(the_datasets_of_a_zfs_pool_are_flushed_as_one),
		cmocka_unit_test(
		    what_lies_on_a_pool_is_frozen_before_the_others),
		cmocka_unit_test(what_may_be_above_or_below_a_pool_is_a_veto),
		cmocka_unit_test(
		    a_pool_is_flushed_before_what_is_on_no_pool_is_frozen),
		cmocka_unit_test(
		    images_on_md_devices_are_frozen_before_what_they_lie_on),
		cmocka_unit_test(
		    mirrors_and_labels_are_followed_down_to_each_disk),
		cmocka_unit_test(
		    without_geom_what_was_mounted_later_comes_first),
		cmocka_unit_test(nullfs_and_unionfs_go_with_what_they_write_to),
		cmocka_unit_test(
		    what_jails_and_linux_programs_mount_refuses_nothing),
		cmocka_unit_test(
		    an_encrypted_mirror_and_images_are_frozen_in_their_order),
		cmocka_unit_test(policy_strict_refuses_what_is_not_ufs),
		cmocka_unit_test(strict_is_content_with_ufs_alone),
		cmocka_unit_test(unknown_types_are_refused_with_a_remedy),
		cmocka_unit_test(hidden_mounts_are_frozen_by_their_fsid),
		cmocka_unit_test(
		    a_machine_that_freezes_nothing_is_doubted_for_its_disk),
		cmocka_unit_test(
		    what_lies_on_no_disk_that_the_host_names_is_left_alone),
		cmocka_unit_test(a_list_that_is_not_understood_means_all_disks),
		cmocka_unit_test(without_the_list_of_cam_all_disks_are_meant),
		cmocka_unit_test(in_a_jail_it_says_why_it_cannot_work),
		cmocka_unit_test(who_has_no_rights_is_told_the_same),
		cmocka_unit_test(
		    mounts_that_come_while_the_table_is_read_are_not_lost),
		cmocka_unit_test(
		    what_is_being_unmounted_is_waited_for_and_is_no_part_of_a_good_copy),
		cmocka_unit_test(a_mount_is_named_by_its_own_fsid),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
