/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/*
 * FreeBSD's side of the plan on recorded machines, on any system: getfsstat(),
 * sysctlbyname() and /dev/xpt0 are answered here.  Each machine is a file of
 * data/freebsd/:
 *
 *	mount FSID TYPE ro|rw FROM ON	in the order of the kernel's list
 *	geom LINE			of kern.geom.conftxt
 *	disks LIST			kern.disks
 *	storvsc UNIT TEXT		dev.storvsc.UNIT.%pnpinfo
 *	bus PATH NAME UNIT		of cam(4), in the order of its list,
 *	periph PATH TARGET LUN NAME UNIT	and what is on the bus before it
 *	xpt absent|fails|changes TIMES	that list cannot be had, or not at once
 *	jailed
 *	set KEY=VALUE			of the configuration
 *	as FILE				what is to see there, to begin with
 *
 * and the lines of named.h and expect.h.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdarg.h>

#include "expect.h"
#include "fbsd.h"
#include "fs.h"
#include "named.h"

#define MOUNTS_MAX  64
#define TEXT_MAX    8192
#define MATCHES_MAX 64
#define UNITS_MAX   16

/* Results of cam(4) in one call, so that there are several. */
#define MATCHES_AT_ONCE 4

static struct {
	struct fbsd_statfs ma_mounts[MOUNTS_MAX];
	int ma_nmounts;
	int ma_late; /* mounts that come while the table is read */
	char ma_geom[TEXT_MAX];
	char ma_disks[256];
	const char *ma_storvsc[UNITS_MAX];
	struct dev_match_result ma_matches[MATCHES_MAX];
	unsigned int ma_nmatches;
	const char *ma_xpt; /* "absent", "fails" or NULL */
	int ma_xpt_changes;
	int ma_xpt_fd;
	struct named ma_named;
	int ma_jailed;
	struct expect ma_expect;
	struct conf ma_conf;
	struct plan_policy ma_policy;
	char *ma_text;
	char *ma_other; /* the machine that it is as */
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
	unsigned int unit;
	char end[16];
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
	} else if (sscanf(name, "dev.storvsc.%u.%15s", &unit, end) == 2 &&
	    strcmp(end, "%pnpinfo") == 0 && unit < UNITS_MAX &&
	    ma.ma_storvsc[unit] != NULL) {
		value = ma.ma_storvsc[unit];
		len = strlen(ma.ma_storvsc[unit]) + 1;
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

#undef open
int
fbsd_open(const char *path, int flags)
{
	assert_string_equal(path, "/dev/xpt0");
	assert_int_equal(flags & O_ACCMODE, O_RDWR);
	assert_int_equal(ma.ma_xpt_fd, 0);
	if (ma.ma_xpt != NULL && strcmp(ma.ma_xpt, "absent") == 0) {
		errno = ENOENT;
		return (-1);
	}
	ma.ma_xpt_fd = open("/dev/null", flags);
	return (ma.ma_xpt_fd);
}

/* XPT_DEV_MATCH, of everything there is. */
int
fbsd_ioctl(int fd, unsigned long request, ...)
{
	struct ccb_dev_match *cdm;
	union ccb *ccb;
	va_list ap;

	va_start(ap, request);
	ccb = va_arg(ap, union ccb *);
	va_end(ap);
	cdm = &ccb->cdm;
	assert_int_equal(fd, ma.ma_xpt_fd);
	assert_int_equal(request, CAMIOCOMMAND);
	assert_int_equal(ccb->ccb_h.func_code, XPT_DEV_MATCH);
	assert_int_equal(cdm->num_patterns, 0);
	assert_true(
	    cdm->match_buf_len / sizeof(*cdm->matches) >= MATCHES_AT_ONCE);
	if (ma.ma_xpt != NULL) {
		errno = EINVAL;
		return (-1);
	}
	ccb->ccb_h.status = CAM_REQ_CMP;
	cdm->num_matches = 0;
	/* It changes when a part of it was told. */
	if (cdm->pos != 0 && ma.ma_xpt_changes-- > 0) {
		cdm->status = CAM_DEV_MATCH_LIST_CHANGED;
		return (0);
	}
	while (cdm->num_matches < MATCHES_AT_ONCE && cdm->pos < ma.ma_nmatches)
		cdm->matches[cdm->num_matches++] = ma.ma_matches[cdm->pos++];
	cdm->status = cdm->pos < ma.ma_nmatches ? CAM_DEV_MATCH_MORE :
						  CAM_DEV_MATCH_LAST;
	return (0);
}

static void
take_bus(const char *line)
{
	struct dev_match_result *match = &ma.ma_matches[ma.ma_nmatches++];
	struct bus_match_result *bus = &match->result.bus_result;

	assert_true(ma.ma_nmatches < MATCHES_MAX);
	match->type = DEV_MATCH_BUS;
	assert_int_equal(sscanf(line, "%u %15s %u", &bus->path_id,
			     bus->dev_name, &bus->unit_number),
	    3);
}

static void
take_periph(const char *line)
{
	struct dev_match_result *match = &ma.ma_matches[ma.ma_nmatches++];
	struct periph_match_result *periph = &match->result.periph_result;
	unsigned long long lun;

	assert_true(ma.ma_nmatches < MATCHES_MAX);
	match->type = DEV_MATCH_PERIPH;
	assert_int_equal(sscanf(line, "%u %u %llu %15s %u", &periph->path_id,
			     &periph->target_id, &lun, periph->periph_name,
			     &periph->unit_number),
	    5);
	periph->target_lun = lun;
}

static void
take_storvsc(char *line)
{
	unsigned int unit;
	int n;

	assert_int_equal(sscanf(line, "%u %n", &unit, &n), 1);
	assert_true(unit < UNITS_MAX);
	ma.ma_storvsc[unit] = line + n;
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

static void take_lines(char **text, const char *name);

static void
take_line(char *line)
{
	char err[CONF_ERR_MAX];

	if (named_take(&ma.ma_named, line))
		return;
	if (strncmp(line, "as ", 3) == 0)
		take_lines(&ma.ma_other, line + 3);
	else if (strncmp(line, "storvsc ", 8) == 0)
		take_storvsc(line + 8);
	else if (strncmp(line, "bus ", 4) == 0)
		take_bus(line + 4);
	else if (strncmp(line, "periph ", 7) == 0)
		take_periph(line + 7);
	else if (sscanf(line, "xpt changes %d", &ma.ma_xpt_changes) == 1)
		;
	else if (strncmp(line, "xpt ", 4) == 0)
		ma.ma_xpt = line + 4;
	else if (strncmp(line, "mount ", 6) == 0)
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
	conf_default(&ma.ma_conf);
	take_lines(&ma.ma_text, name);
	plan_policy_set(&ma.ma_policy, &ma.ma_conf);
	ma.ma_policy.pp_disks = named_choose(&ma.ma_named, name, "");
	if (ma.ma_xpt_fd > 0)
		assert_int_equal(fcntl(ma.ma_xpt_fd, F_GETFD), -1);
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
what_lies_on_no_disk_that_the_host_names_is_left_alone(void **state)
{
	(void)state;
	try("gen2");
	try("gen2-one-disk");
	try("gen2-part-of-a-volume");
	try("gen2-root");
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
		cmocka_unit_test(
		    what_lies_on_no_disk_that_the_host_names_is_left_alone),
		cmocka_unit_test(a_list_that_is_not_understood_means_all_disks),
		cmocka_unit_test(without_the_list_of_cam_all_disks_are_meant),
		cmocka_unit_test(in_a_jail_it_says_why_it_cannot_work),
		cmocka_unit_test(
		    mounts_that_come_while_the_table_is_read_are_not_lost),
		cmocka_unit_test(a_mount_is_named_by_its_own_fsid),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
