/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/*
 * FreeBSD's side of the plan on recorded machines, on any system: getfsstat()
 * and sysctlbyname() are answered here.  Each machine is a file of
 * data/freebsd/:
 *
 *	mount FSID TYPE ro|rw FROM ON	in the order of the kernel's list
 *	geom LINE			of kern.geom.conftxt
 *	disks LIST			kern.disks
 *	jailed
 *	set KEY=VALUE			of the configuration
 *
 * and the lines of expect.h.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>

#include "expect.h"
#include "fbsd.h"
#include "fs.h"

#define MOUNTS_MAX 64
#define TEXT_MAX   8192

static struct {
	struct fbsd_statfs ma_mounts[MOUNTS_MAX];
	int ma_nmounts;
	int ma_late; /* mounts that come while the table is read */
	char ma_geom[TEXT_MAX];
	char ma_disks[256];
	int ma_jailed;
	struct expect ma_expect;
	struct conf ma_conf;
	struct plan_policy ma_policy;
	char *ma_text;
} ma;

int
getfsstat(struct fbsd_statfs *buf, long bufsize, int mode)
{
	int count = ma.ma_nmounts, room = (int)(bufsize / (long)sizeof(*buf));

	assert_int_equal(mode, MNT_NOWAIT);
	if (buf == NULL)
		return (count);
	for (; ma.ma_late > 0; ma.ma_late--) {
		ma.ma_mounts[ma.ma_nmounts] = ma.ma_mounts[count - 1];
		ma.ma_mounts[ma.ma_nmounts].f_fsid.val[0] += ma.ma_late;
		ma.ma_nmounts++;
	}
	count = ma.ma_nmounts < room ? ma.ma_nmounts : room;
	memcpy(buf, ma.ma_mounts, (size_t)count * sizeof(*buf));
	return (count);
}

int
sysctlbyname(const char *name, void *oldp, size_t *oldlenp, const void *newp,
    size_t newlen)
{
	const void *value = NULL;
	size_t len = 0;

	assert_null(newp);
	assert_int_equal(newlen, 0);
	if (strcmp(name, "security.jail.jailed") == 0) {
		value = &ma.ma_jailed;
		len = sizeof(ma.ma_jailed);
	} else if (strcmp(name, "kern.disks") == 0) {
		value = ma.ma_disks;
		len = strlen(ma.ma_disks) + 1;
	} else if (strcmp(name, "kern.geom.conftxt") == 0 &&
	    ma.ma_geom[0] != '\0') {
		value = ma.ma_geom;
		len = strlen(ma.ma_geom) + 1;
	}
	if (value == NULL) {
		errno = ENOENT;
		return (-1);
	}
	if (oldp != NULL) {
		assert_true(*oldlenp >= len);
		memcpy(oldp, value, len);
	}
	*oldlenp = len;
	return (0);
}

static void
take_mount(char *line)
{
	struct fbsd_statfs *sf = &ma.ma_mounts[ma.ma_nmounts++];
	unsigned int fsid;
	char mode[3];

	assert_true(ma.ma_nmounts < MOUNTS_MAX);
	assert_int_equal(
	    sscanf(line, "%x %15s %2s %1023s %1023[^\n]", &fsid,
		sf->f_fstypename, mode, sf->f_mntfromname, sf->f_mntonname),
	    5);
	sf->f_fsid.val[0] = (int32_t)fsid;
	sf->f_fsid.val[1] = 7;
	sf->f_flags = MNT_LOCAL | (strcmp(mode, "ro") == 0 ? MNT_RDONLY : 0);
}

static void
take_line(char *line)
{
	char err[CONF_ERR_MAX];

	if (strncmp(line, "mount ", 6) == 0)
		take_mount(line + 6);
	else if (strncmp(line, "geom ", 5) == 0) {
		assert_true(strlen(ma.ma_geom) + strlen(line) < TEXT_MAX);
		strcat(ma.ma_geom, line + 5);
		/* As the kernel writes it. */
		if (strcmp(line + strlen(line) - 6, " label") == 0)
			strcat(ma.ma_geom, " ");
		strcat(ma.ma_geom, "\n");
	} else if (strncmp(line, "disks ", 6) == 0)
		(void)snprintf(
		    ma.ma_disks, sizeof(ma.ma_disks), "%s", line + 6);
	else if (strcmp(line, "jailed") == 0)
		ma.ma_jailed = 1;
	else if (strncmp(line, "set ", 4) == 0) {
		if (conf_set(&ma.ma_conf, line + 4, err, sizeof(err)) != 0)
			fail_msg("%s", err);
	} else
		expect_take(&ma.ma_expect, line);
}

static void
load(const char *name)
{
	char *rest, *line;

	memset(&ma, 0, sizeof(ma));
	conf_default(&ma.ma_conf);
	ma.ma_text = expect_read(__FILE__, "freebsd", name);
	rest = ma.ma_text;
	while ((line = strsep(&rest, "\n")) != NULL)
		take_line(line);
	plan_policy_set(&ma.ma_policy, &ma.ma_conf);
}

static void
unload(void)
{
	conf_free(&ma.ma_conf);
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
without_geom_nothing_is_said_of_the_ground(void **state)
{
	(void)state;
	try("nogeom");
}

static void
nullfs_and_unionfs_go_with_what_they_write_to(void **state)
{
	(void)state;
	try("stacked");
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
in_a_jail_it_says_why_it_cannot_work(void **state)
{
	char err[256] = "";
	struct plan pn;

	(void)state;
	load("ufs");
	ma.ma_jailed = 1;
	assert_int_equal(
	    plan_make(&pn, &ma.ma_policy, err, sizeof(err)), EPERM);
	assert_non_null(strstr(err, "in a jail"));
	assert_non_null(strstr(err, "run hv_vss_daemon outside"));
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
	few = (size_t)ma.ma_nmounts;
	ma.ma_late = 20;
	assert_int_equal(plan_make(&pn, &ma.ma_policy, err, sizeof(err)), 0);
	assert_int_equal(pn.pn_nlines, few + 20);
	plan_free(&pn);
	unload();
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
		    images_on_md_devices_are_frozen_before_what_they_lie_on),
		cmocka_unit_test(
		    mirrors_and_labels_are_followed_down_to_each_disk),
		cmocka_unit_test(without_geom_nothing_is_said_of_the_ground),
		cmocka_unit_test(nullfs_and_unionfs_go_with_what_they_write_to),
		cmocka_unit_test(policy_strict_refuses_what_is_not_ufs),
		cmocka_unit_test(strict_is_content_with_ufs_alone),
		cmocka_unit_test(unknown_types_are_refused_with_a_remedy),
		cmocka_unit_test(hidden_mounts_are_frozen_by_their_fsid),
		cmocka_unit_test(
		    a_machine_that_freezes_nothing_is_doubted_for_its_disk),
		cmocka_unit_test(in_a_jail_it_says_why_it_cannot_work),
		cmocka_unit_test(
		    mounts_that_come_while_the_table_is_read_are_not_lost),
		cmocka_unit_test(a_mount_is_named_by_its_own_fsid),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
