/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/*
 * The plan on recorded machines.  Each is a file of data/plan/, which says what
 * there is to see and what the plan must be, a line each:
 *
 *	mount LINE		of /proc/self/mountinfo
 *	file PATH TEXT		below the recorded root
 *	link PATH TARGET
 *	dir PATH
 *	fifo PATH
 *	set KEY=VALUE		of the configuration
 *	as FILE			what is to see there, to begin with
 *
 * and the lines of named.h and expect.h.  The trees are made below a temporary
 * directory.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <sys/resource.h>
#include <sys/stat.h>

#include <errno.h>
#include <unistd.h>

#include "expect.h"
#include "fs_linux.h"
#include "named.h"
#include "scratch.h"

struct machine {
	char ma_root[SCRATCH_LEN];
	struct expect ma_expect;
	struct conf ma_conf;
	struct plan_policy ma_policy;
	struct named ma_named;
	char *ma_text; /* the whole file, which the rest points into */
};

/* PATH below the root, with the directories above it. */
static void
make_path(const struct machine *ma, const char *path, char *full, size_t len)
{
	assert_true(snprintf(full, len, "%s/%s", ma->ma_root, path) < (int)len);
	for (char *p = full + strlen(ma->ma_root) + 1; *p != '\0'; p++)
		if (*p == '/') {
			*p = '\0';
			(void)mkdir(full, 0700);
			*p = '/';
		}
}

static void
append(const struct machine *ma, const char *path, const char *text)
{
	char full[PATH_MAX];
	FILE *f;

	make_path(ma, path, full, sizeof(full));
	f = fopen(full, "ae");
	assert_non_null(f);
	(void)fprintf(f, "%s\n", text);
	assert_int_equal(fclose(f), 0);
}

static void
make_other(const struct machine *ma, const char *word, const char *path,
    const char *rest)
{
	char full[PATH_MAX];

	make_path(ma, path, full, sizeof(full));
	if (strcmp(word, "link") == 0)
		assert_int_equal(symlink(rest, full), 0);
	else if (strcmp(word, "dir") == 0)
		assert_int_equal(mkdir(full, 0700), 0);
	else
		assert_int_equal(mkfifo(full, 0600), 0);
}

static void
set(struct machine *ma, const char *setting)
{
	char err[CONF_ERR_MAX];

	if (conf_set(&ma->ma_conf, setting, err, sizeof(err)) != 0)
		fail_msg("%s", err);
	plan_policy_set(&ma->ma_policy, &ma->ma_conf);
	ma->ma_policy.pp_root = ma->ma_root;
}

static void take_line(struct machine *ma, char *line);

static void
take_lines(struct machine *ma, char *rest)
{
	char *line;

	while ((line = strsep(&rest, "\n")) != NULL)
		take_line(ma, line);
}

/* What there is to see on another machine. */
static void
take_other(struct machine *ma, const char *name)
{
	char *text = expect_read(__FILE__, "plan", name);

	take_lines(ma, text);
	assert_int_equal(ma->ma_expect.ex_nlines, 0);
	free(text);
}

/* One line of a machine's file; it is cut up in place. */
static void
take_line(struct machine *ma, char *line)
{
	char *whole = line, *word, *path;

	if (named_take(&ma->ma_named, line))
		return;
	word = strsep(&line, " ");
	if (line == NULL)
		expect_take(&ma->ma_expect, word);
	else if (strcmp(word, "mount") == 0)
		append(ma, "proc/self/mountinfo", line);
	else if (strcmp(word, "set") == 0)
		set(ma, line);
	else if (strcmp(word, "as") == 0)
		take_other(ma, line);
	else if (strcmp(word, "file") == 0) {
		path = strsep(&line, " ");
		/* As in mountinfo. */
		while ((word = strstr(path, "\\040")) != NULL) {
			*word = ' ';
			memmove(word + 1, word + 4, strlen(word + 4) + 1);
		}
		append(ma, path, line == NULL ? "" : line);
	} else if (strcmp(word, "link") == 0 || strcmp(word, "dir") == 0 ||
	    strcmp(word, "fifo") == 0) {
		path = strsep(&line, " ");
		make_other(ma, word, path, line);
	} else {
		line[-1] = ' ';
		expect_take(&ma->ma_expect, whole);
	}
}

static void
load(struct machine *ma, const char *name)
{
	assert_int_equal(scratch_make(ma->ma_root, "t_plan"), 0);
	conf_default(&ma->ma_conf);
	set(ma, "policy=normal");
	append(ma, "proc/empty", "");
	ma->ma_text = expect_read(__FILE__, "plan", name);
	take_lines(ma, ma->ma_text);
	ma->ma_policy.pp_disks = named_choose(&ma->ma_named, name, ma->ma_root);
}

static void
unload(struct machine *ma)
{
	scratch_remove(ma->ma_root);
	conf_free(&ma->ma_conf);
	lun_disks_free(&ma->ma_named.nm_disks);
	free(ma->ma_text);
}

static const struct plan_line *
line_of(const struct plan *pn, const char *point)
{
	for (size_t i = 0; i < pn->pn_nlines; i++)
		if (strcmp(pn->pn_lines[i].pl_point, point) == 0)
			return (&pn->pn_lines[i]);
	return (NULL);
}

/* With that setting the veto of that mount is gone. */
static void
try_remedy(const char *name, const char *setting, const char *point)
{
	struct machine ma = { .ma_text = NULL };
	char err[256] = "";
	struct plan pn;

	load(&ma, name);
	set(&ma, setting);
	assert_int_equal(plan_make(&pn, &ma.ma_policy, err, sizeof(err)), 0);
	assert_non_null(line_of(&pn, point));
	if (line_of(&pn, point)->pl_action == PLAN_VETO)
		fail_msg("%s: %s does not allow %s: %s", name, setting, point,
		    line_of(&pn, point)->pl_reason);
	plan_free(&pn);
	unload(&ma);
}

static unsigned int
try_remedies(const char *name, const struct plan_line *pl)
{
	unsigned int tried = 0;

	for (unsigned int i = 0; i < PLAN_NREMEDIES; i++) {
		if (pl->pl_remedy[i] == NULL)
			continue;
		assert_non_null(strstr(pl->pl_reason, pl->pl_remedy[i]));
		try_remedy(name, pl->pl_remedy[i], pl->pl_point);
		tried++;
	}
	return (tried);
}

/* What is to be opened is named as the mount table of this process does it. */
static void
check_names(const struct machine *ma, const struct plan *pn)
{
	unsigned int id, major, minor, found = 0, ours = 0;
	const struct plan_line *pl = pn->pn_lines;
	char path[PATH_MAX], line[4096];
	FILE *f;

	for (size_t i = 0; i < pn->pn_nlines; i++)
		ours += strncmp(pl[i].pl_point, "/proc/", 6) != 0;
	(void)snprintf(
	    path, sizeof(path), "%s/proc/self/mountinfo", ma->ma_root);
	f = fopen(path, "re");
	assert_non_null(f);
	while (fgets(line, sizeof(line), f) != NULL) {
		if (sscanf(line, "%u %*u %u:%u", &id, &major, &minor) != 3)
			continue;
		for (size_t i = 0; i < pn->pn_nlines; i++)
			if (strncmp(pl[i].pl_point, "/proc/", 6) != 0 &&
			    pl[i].pl_mnt_id == id) {
				assert_int_equal(pl[i].pl_major, major);
				assert_int_equal(pl[i].pl_minor, minor);
				found++;
			}
	}
	assert_int_equal(fclose(f), 0);
	assert_int_equal(found, ours);
}

static void
try(const char *name)
{
	struct machine ma = { .ma_text = NULL };
	char err[256] = "";
	struct plan pn;

	load(&ma, name);
	if (plan_make(&pn, &ma.ma_policy, err, sizeof(err)) != 0)
		fail_msg("%s: %s", name, err);
	expect_plan(name, &ma.ma_expect, &pn);
	check_names(&ma, &pn);
	assert_int_equal(pn.pn_by_disk, named_kept(&ma.ma_named));
	plan_free(&pn);
	unload(&ma);
}

static void
a_plain_server_freezes_its_disks_and_flushes_its_boot_partition(void **state)
{
	(void)state;
	try("server");
}

static void
logical_volumes_on_one_disk_are_frozen_at_once(void **state)
{
	(void)state;
	try("lvm");
}

static void
raid_and_encryption_beneath_do_not_matter(void **state)
{
	(void)state;
	try("raid");
}

static void
an_overlay_goes_with_the_file_system_of_its_upper_layer(void **state)
{
	(void)state;
	try("containers");
}

static void
an_overlay_whose_upper_layer_cannot_be_seen_is_a_veto(void **state)
{
	(void)state;
	try("inside-container");
}

static void
snaps_are_read_only(void **state)
{
	(void)state;
	try("snaps");
}

static void
subvolumes_are_one_file_system(void **state)
{
	(void)state;
	try("btrfs");
}

static void
bound_files_and_sockets_are_not_opened(void **state)
{
	(void)state;
	try("binds");
}

static void
what_lies_on_no_disk_that_the_host_names_is_left_alone(void **state)
{
	(void)state;
	try("gen2-one-disk");
	try("gen2-part-of-a-volume");
	try("gen2-zvol");
	try("gen1-one-disk");
}

static void
a_list_that_is_not_understood_means_all_disks(void **state)
{
	(void)state;
	try("gen2-unknown-disk");
	try("gen2-unknown-port");
	try("gen2-wrong-target");
	try("gen1-nothing-mounted");
}

static void
a_file_system_bound_only_to_a_fifo_is_a_veto(void **state)
{
	(void)state;
	try("fifo");
}

static void
images_are_frozen_before_what_they_lie_on(void **state)
{
	(void)state;
	try("images");
	try("looped");
	try("zram");
}

static void
images_are_found_through_partitions_and_mappings(void **state)
{
	(void)state;
	try("deep");
}

static void
without_sys_loop_devices_go_in_the_reverse_order_of_mounting(void **state)
{
	(void)state;
	try("nosys");
}

static void
an_image_that_cannot_be_located_goes_first(void **state)
{
	(void)state;
	try("lost-image");
	try("served-images");
	try("served-devices");
	try("served-nosys");
	try("moved-image");
	try("image-by-link");
}

static void
images_that_lie_on_each_other_are_a_veto(void **state)
{
	(void)state;
	try("circle");
}

static void
network_and_fuse_are_left_alone(void **state)
{
	(void)state;
	try("network");
}

static void
what_lies_behind_a_network_mount_is_not_opened(void **state)
{
	(void)state;
	try("detour");
}

static void
a_hidden_mount_is_opened_elsewhere_or_is_a_veto(void **state)
{
	(void)state;
	try("hidden");
	try("long-name");
}

static void
read_only_is_what_the_superblock_says(void **state)
{
	(void)state;
	try("readonly");
}

static void
an_unknown_type_is_a_veto_that_says_what_allows_it(void **state)
{
	(void)state;
	try("unknown");
}

static void
an_unknown_type_can_be_excluded(void **state)
{
	(void)state;
	try("excluded");
}

static void
the_strict_policy_wants_everything_frozen(void **state)
{
	(void)state;
	try("strict");
}

static void
nothing_to_freeze_on_a_machine_with_disks_is_a_veto(void **state)
{
	(void)state;
	try("nothing");
}

static void
nothing_to_freeze_where_disks_are_not_mounted_is_a_veto(void **state)
{
	(void)state;
	try("unmounted");
}

static void
nothing_to_freeze_on_a_machine_without_disks_works(void **state)
{
	(void)state;
	try("diskless");
}

static void
escapes_in_mount_points_are_undone(void **state)
{
	(void)state;
	try("escapes");
}

static void
control_characters_do_not_get_into_reasons(void **state)
{
	(void)state;
	try("control");
}

static void
a_root_that_is_no_mount_point_is_understood(void **state)
{
	(void)state;
	try("chroot");
}

static void
a_missing_mount_table_is_an_error_with_its_path(void **state)
{
	struct plan_policy pp = { .pp_root = "/nonexistent" };
	char err[256] = "";
	struct plan pn;

	(void)state;
	assert_int_not_equal(plan_make(&pn, &pp, err, sizeof(err)), 0);
	assert_non_null(strstr(err, "/nonexistent/proc/self/mountinfo"));
	assert_null(pn.pn_lines);
	plan_free(&pn);
}

/* The plan with so many descriptors more than are open now. */
static int
make_with(struct plan *pn, const struct plan_policy *pp, unsigned int more,
    char *err, size_t errlen)
{
	struct rlimit rl, few;
	int error, next = dup(STDIN_FILENO);

	assert_int_not_equal(next, -1);
	assert_int_equal(close(next), 0);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &rl), 0);
	few = (struct rlimit) { (rlim_t)next + more, rl.rlim_max };
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
	error = plan_make(pn, pp, err, errlen);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &rl), 0);
	return (error);
}

/* Every one that needs more than there are fails, until there are enough. */
static void
what_cannot_be_looked_at_is_not_left_out(void **state)
{
	static const char *const names[] = { "elsewhere", "deep", "btrfs",
		"zram", "lvm", "unmounted", "served-devices" };
	char err[256] = "";
	struct plan pn;
	int error = 0;

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		struct machine ma = { .ma_text = NULL };

		load(&ma, names[i]);
		for (unsigned int more = 0; more < 8; more++) {
			error = make_with(
			    &pn, &ma.ma_policy, more, err, sizeof(err));
			if (error != 0) {
				assert_int_equal(error, EMFILE);
				assert_non_null(strstr(err, strerror(EMFILE)));
			} else
				expect_plan(names[i], &ma.ma_expect, &pn);
			plan_free(&pn);
		}
		assert_int_equal(error, 0);
		unload(&ma);
	}
}

/* Only one that has ended, or may not be looked at, is passed over. */
static void
a_process_that_cannot_be_asked_is_not_passed_over(void **state)
{
	struct machine ma = { .ma_text = NULL };
	char err[256] = "", path[PATH_MAX];
	struct rlimit rl, none;
	struct fs_table ft;
	struct plan pn;

	(void)state;
	load(&ma, "elsewhere");
	(void)snprintf(
	    path, sizeof(path), "%s/proc/self/mountinfo", ma.ma_root);
	assert_int_equal(fs_mounts_read(&ft, path), 0);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &rl), 0);
	none = (struct rlimit) { 0, rl.rlim_max };
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	assert_int_equal(fs_ns_read(&ft, ma.ma_root), EMFILE);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &rl), 0);
	fs_mounts_free(&ft);
	make_other(&ma, "link", "proc/90/ns/mnt", "mnt:[9]");
	make_other(&ma, "link", "proc/90/mountinfo", "mountinfo");
	assert_int_equal(
	    plan_make(&pn, &ma.ma_policy, err, sizeof(err)), ELOOP);
	assert_non_null(strstr(err, strerror(ELOOP)));
	unload(&ma);
}

static void
a_list_of_devices_that_cannot_be_opened_is_not_passed_over(void **state)
{
	struct machine ma = { .ma_text = NULL };
	char err[256] = "";
	struct plan pn;

	(void)state;
	load(&ma, "deep");
	make_other(&ma, "link", "sys/devices/pci/block/sda/slaves", "slaves");
	assert_int_equal(
	    plan_make(&pn, &ma.ma_policy, err, sizeof(err)), ELOOP);
	assert_non_null(strstr(err, strerror(ELOOP)));
	unload(&ma);
}

static void
every_remedy_that_a_veto_names_allows_the_backup(void **state)
{
	static const char *const names[] = { "circle", "containers", "control",
		"detour", "elsewhere", "escapes", "fifo", "hidden",
		"inside-container", "rules", "strict", "unknown", "odd-names" };
	unsigned int tried = 0;
	char err[256] = "";
	struct plan pn;

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		struct machine ma = { .ma_text = NULL };

		load(&ma, names[i]);
		assert_int_equal(
		    plan_make(&pn, &ma.ma_policy, err, sizeof(err)), 0);
		for (size_t j = 0; j < pn.pn_nlines; j++) {
			if (pn.pn_lines[j].pl_action != PLAN_VETO)
				continue;
			assert_int_not_equal(
			    try_remedies(names[i], &pn.pn_lines[j]), 0);
			tried++;
		}
		plan_free(&pn);
		unload(&ma);
	}
	assert_true(tried > 8);
}

static void
rules_of_types_and_of_mounts_decide(void **state)
{
	(void)state;
	try("rules");
}

static void
multipath_disks_and_arrays_with_images_in_them_are_seen_through(void **state)
{
	(void)state;
	try("multipath");
}

static void
what_is_mounted_in_other_namespaces_only_is_frozen_there(void **state)
{
	(void)state;
	try("elsewhere");
	try("elsewhere-ignored");
	try("elsewhere-off");
	try("elsewhere-views");
	try("elsewhere-fuse");
}

static void
more_file_systems_than_can_be_frozen_are_refused(void **state)
{
	struct machine ma = { .ma_text = NULL };
	char err[256] = "";
	struct plan pn;

	(void)state;
	load(&ma, "lvm");
	ma.ma_policy.pp_most = 4;
	assert_int_equal(plan_make(&pn, &ma.ma_policy, err, sizeof(err)), 0);
	assert_null(pn.pn_veto);
	plan_free(&pn);
	ma.ma_policy.pp_most = 3;
	assert_int_equal(plan_make(&pn, &ma.ma_policy, err, sizeof(err)), 0);
	assert_non_null(
	    strstr(pn.pn_veto, "4 file systems to freeze or flush"));
	plan_free(&pn);
	unload(&ma);
}

static void
a_plan_may_be_empty_if_that_is_allowed(void **state)
{
	(void)state;
	try("empty-allowed");
}

/* Two lines that are opened, and one that is not. */
static void
make_same(struct plan *pn, struct plan_line pl[3])
{
	memset(pn, 0, sizeof(*pn));
	memset(pl, 0, 3 * sizeof(*pl));
	for (unsigned int i = 0; i < 3; i++) {
		pl[i].pl_mnt_id = 20 + i;
		pl[i].pl_major = 8;
		pl[i].pl_minor = i;
		pl[i].pl_point = i == 0 ? "/" : "/srv";
	}
	pn->pn_lines = pl;
	pn->pn_nlines = 3;
	pn->pn_count[PLAN_FREEZE] = pn->pn_count[PLAN_SYNC] = 1;
	pn->pn_count[PLAN_LEAVE] = 1;
}

static void
plans_that_treat_the_same_alike_are_the_same(void **state)
{
	struct plan_line x[3], y[3];
	struct plan a, b;

	(void)state;
	make_same(&a, x);
	make_same(&b, y);
	assert_true(plan_same(&a, &b));
	y[2].pl_mnt_id++;
	y[2].pl_point = "/other";
	b.pn_count[PLAN_LEAVE]++;
	assert_true(plan_same(&a, &b));
	for (unsigned int what = 0; what < 9; what++) {
		make_same(&b, y);
		b.pn_count[PLAN_FREEZE] += what == 0;
		b.pn_count[PLAN_SYNC] += what == 1;
		b.pn_veto = what == 2 ? "/: vetoed" : NULL;
		y[1].pl_mnt_id += what == 3;
		y[1].pl_major += what == 4;
		y[1].pl_minor += what == 5;
		y[1].pl_level += what == 6;
		y[0].pl_point = what == 7 ? "/x" : y[0].pl_point;
		y[0].pl_level += what == 8;
		assert_false(plan_same(&a, &b));
		assert_false(plan_same(&b, &a));
	}
	make_same(&b, y);
	a.pn_veto = "/: vetoed";
	b.pn_veto = "/srv: vetoed";
	assert_true(plan_same(&a, &b));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
		    a_plain_server_freezes_its_disks_and_flushes_its_boot_partition),
		cmocka_unit_test(
		    logical_volumes_on_one_disk_are_frozen_at_once),
		cmocka_unit_test(raid_and_encryption_beneath_do_not_matter),
		cmocka_unit_test(
		    an_overlay_goes_with_the_file_system_of_its_upper_layer),
		cmocka_unit_test(
		    an_overlay_whose_upper_layer_cannot_be_seen_is_a_veto),
		cmocka_unit_test(snaps_are_read_only),
		cmocka_unit_test(subvolumes_are_one_file_system),
		cmocka_unit_test(bound_files_and_sockets_are_not_opened),
		cmocka_unit_test(a_file_system_bound_only_to_a_fifo_is_a_veto),
		cmocka_unit_test(
		    what_lies_on_no_disk_that_the_host_names_is_left_alone),
		cmocka_unit_test(a_list_that_is_not_understood_means_all_disks),
		cmocka_unit_test(images_are_frozen_before_what_they_lie_on),
		cmocka_unit_test(
		    images_are_found_through_partitions_and_mappings),
		cmocka_unit_test(
		    without_sys_loop_devices_go_in_the_reverse_order_of_mounting),
		cmocka_unit_test(an_image_that_cannot_be_located_goes_first),
		cmocka_unit_test(images_that_lie_on_each_other_are_a_veto),
		cmocka_unit_test(network_and_fuse_are_left_alone),
		cmocka_unit_test(
		    what_lies_behind_a_network_mount_is_not_opened),
		cmocka_unit_test(
		    a_hidden_mount_is_opened_elsewhere_or_is_a_veto),
		cmocka_unit_test(read_only_is_what_the_superblock_says),
		cmocka_unit_test(
		    an_unknown_type_is_a_veto_that_says_what_allows_it),
		cmocka_unit_test(an_unknown_type_can_be_excluded),
		cmocka_unit_test(the_strict_policy_wants_everything_frozen),
		cmocka_unit_test(
		    nothing_to_freeze_on_a_machine_with_disks_is_a_veto),
		cmocka_unit_test(
		    nothing_to_freeze_where_disks_are_not_mounted_is_a_veto),
		cmocka_unit_test(
		    nothing_to_freeze_on_a_machine_without_disks_works),
		cmocka_unit_test(escapes_in_mount_points_are_undone),
		cmocka_unit_test(control_characters_do_not_get_into_reasons),
		cmocka_unit_test(a_root_that_is_no_mount_point_is_understood),
		cmocka_unit_test(
		    a_missing_mount_table_is_an_error_with_its_path),
		cmocka_unit_test(what_cannot_be_looked_at_is_not_left_out),
		cmocka_unit_test(
		    a_process_that_cannot_be_asked_is_not_passed_over),
		cmocka_unit_test(
		    a_list_of_devices_that_cannot_be_opened_is_not_passed_over),
		cmocka_unit_test(rules_of_types_and_of_mounts_decide),
		cmocka_unit_test(
		    multipath_disks_and_arrays_with_images_in_them_are_seen_through),
		cmocka_unit_test(
		    what_is_mounted_in_other_namespaces_only_is_frozen_there),
		cmocka_unit_test(
		    more_file_systems_than_can_be_frozen_are_refused),
		cmocka_unit_test(a_plan_may_be_empty_if_that_is_allowed),
		cmocka_unit_test(
		    every_remedy_that_a_veto_names_allows_the_backup),
		cmocka_unit_test(plans_that_treat_the_same_alike_are_the_same),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
