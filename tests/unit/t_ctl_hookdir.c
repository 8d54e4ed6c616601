/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/*
 * Directories of hooks: which are run, in which order, how long, and which are
 * not to be trusted.  Makes directories of its own in /tmp and removes them.
 */

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "ctl_hookdir.h"

static char t_dir[64], t_why[256];
static struct conf t_conf;
static struct ctl_hookdir t_hooks;

static const char *
path(const char *name)
{
	static char buf[512];

	snprintf(buf, sizeof(buf), "%s/%s", t_dir, name);
	return (buf);
}

static void
make(const char *name, mode_t mode)
{
	int fd = open(path(name), O_WRONLY | O_CREAT | O_EXCL, 0700);

	assert_true(fd >= 0);
	assert_int_equal(fchmod(fd, mode), 0);
	close(fd);
}

static int
fresh(void **state)
{
	(void)state;
	strcpy(t_dir, "/tmp/t_ctl_hookdir.XXXXXX");
	if (mkdtemp(t_dir) == NULL)
		return (-1);
	conf_default(&t_conf);
	memset(&t_hooks, 0, sizeof(t_hooks));
	t_hooks.hd_path = t_dir;
	t_hooks.hd_conf = &t_conf;
	return (0);
}

static int
clean(void **state)
{
	char cmd[80];

	(void)state;
	ctl_hookdir_release(&t_hooks);
	conf_free(&t_conf);
	snprintf(cmd, sizeof(cmd), "rm -rf %s", t_dir);
	return (system(cmd));
}

static int
scan(void)
{
	return (ctl_hookdir_scan(&t_hooks, t_why, sizeof(t_why)));
}

static void
hooks_are_in_the_order_of_the_bytes_of_their_names(void **state)
{
	static const char *const names[] = { "10", "9", "B", "_", "a", "a-b",
		"a.sh", "\303\244" };

	(void)state;
	for (size_t i = 8; i > 0; i--)
		make(names[i - 1], 0755);
	assert_int_equal(scan(), 0);
	assert_int_equal(t_hooks.hd_nhooks, 8);
	for (size_t i = 0; i < 8; i++) {
		assert_string_equal(t_hooks.hd_hooks[i].hk_name, names[i]);
		assert_string_equal(
		    t_hooks.hd_hooks[i].hk_path, path(names[i]));
		assert_false(t_hooks.hd_hooks[i].hk_owes);
	}
}

static void
what_is_left_behind_is_known_by_its_name(void **state)
{
	static const char *const left[] = { "a~", "a.bak", "a.old", "a.orig",
		"a.rej", "a.swp", "a.sample", "a.rpmnew", "a.rpmorig",
		"a.rpmsave", "a.dpkg-new", "a.dpkg-old", "a.dpkg-dist",
		"a.dpkg-tmp", "a.dpkg-bak", "a.dpkg-remove", "a.ucf-dist",
		"a.ucf-new", "a.ucf-old", "a.pkgnew", "a.pkgsave", ".a", "#a#",
		"~" };
	static const char *const hooks[] = { "a", "a.sh", "10-a", "bak",
		"a.bak.sh", "orig.", "rpmsave", "a~b", "a#", "samples",
		"a.dpkg", "swp" };

	(void)state;
	for (size_t i = 0; i < sizeof(left) / sizeof(left[0]); i++)
		assert_true(ctl_hookdir_leftover(left[i]));
	for (size_t i = 0; i < sizeof(hooks) / sizeof(hooks[0]); i++)
		assert_false(ctl_hookdir_leftover(hooks[i]));
}

static void
what_nobody_may_execute_and_directories_are_no_hooks(void **state)
{
	(void)state;
	make("off", 0666);
	make("on", 0700);
	make("on.bak", 0777);
	assert_int_equal(mkdir(path("dir"), 0777), 0);
	assert_int_equal(scan(), 0);
	assert_int_equal(t_hooks.hd_nhooks, 1);
	assert_string_equal(t_hooks.hd_hooks[0].hk_name, "on");
}

static const char *
refusal(mode_t mode, uid_t owner, uid_t self)
{
	struct stat st = { .st_mode = mode, .st_uid = owner };

	return (ctl_hookdir_refusal(&st, self));
}

static void
owner_mode_and_kind_decide_who_is_trusted(void **state)
{
	(void)state;
	assert_null(refusal(S_IFREG | 0755, 0, 0));
	assert_null(refusal(S_IFREG | 0755, 0, 1000));
	assert_null(refusal(S_IFREG | 0700, 1000, 1000));
	assert_null(refusal(S_IFDIR | 0755, 0, 0));
	assert_null(refusal(S_IFDIR | S_ISGID | 0755, 0, 0));
	assert_non_null(strstr(refusal(S_IFREG | 0755, 1000, 0), "chown"));
	assert_non_null(strstr(refusal(S_IFREG | 0775, 0, 0), "go-w"));
	assert_non_null(strstr(refusal(S_IFREG | 0757, 0, 0), "go-w"));
	assert_non_null(
	    strstr(refusal(S_IFDIR | S_ISVTX | 0777, 0, 0), "go-w"));
	assert_non_null(
	    strstr(refusal(S_IFREG | S_ISUID | 0755, 0, 0), "ug-s"));
	assert_non_null(
	    strstr(refusal(S_IFREG | S_ISGID | 0755, 0, 0), "ug-s"));
	assert_non_null(strstr(refusal(S_IFLNK | 0777, 0, 0), "link"));
	assert_non_null(strstr(refusal(S_IFIFO | 0755, 0, 0), "neither"));
	assert_non_null(strstr(refusal(S_IFCHR | 0755, 0, 0), "neither"));
}

static void
one_that_is_not_trusted_is_said_and_leaves_no_hooks(void **state)
{
	char said[600];

	(void)state;
	make("1", 0755);
	make("2", 0722);
	make("3", 0755);
	assert_int_equal(scan(), EPERM);
	snprintf(said, sizeof(said), "%s: others may write it; chmod go-w it",
	    path("2"));
	assert_string_equal(t_why, said);
	assert_int_equal(t_hooks.hd_nhooks, 0);
	assert_int_equal(chmod(path("2"), 0755), 0);
	assert_int_equal(scan(), 0);
	assert_int_equal(t_hooks.hd_nhooks, 3);
}

static void
a_link_is_not_followed_wherever_it_leads(void **state)
{
	(void)state;
	make("1", 0755);
	assert_int_equal(symlink("1", path("2")), 0);
	assert_int_equal(scan(), EPERM);
	assert_non_null(strstr(t_why, "/2: a symbolic link"));
	assert_int_equal(unlink(path("2")), 0);
	assert_int_equal(symlink("/no/such", path("2")), 0);
	assert_int_equal(scan(), EPERM);
}

static void
the_directory_is_looked_at_as_well(void **state)
{
	(void)state;
	make("1", 0755);
	assert_int_equal(chmod(t_dir, 0777), 0);
	assert_int_equal(scan(), EPERM);
	assert_non_null(strstr(t_why, "others may write it"));
	t_hooks.hd_path = "/no/such";
	assert_int_equal(scan(), ENOENT);
	assert_string_equal(t_why, "/no/such: No such file or directory");
	t_hooks.hd_path = "/dev/null";
	assert_int_equal(scan(), ENOTDIR);
}

static void
more_hooks_than_there_is_room_for_are_refused(void **state)
{
	char name[16];

	(void)state;
	for (int i = 0; i < CTL_HOOKS_MAX; i++) {
		snprintf(name, sizeof(name), "h%02d", i);
		make(name, 0755);
	}
	assert_int_equal(scan(), 0);
	assert_int_equal(t_hooks.hd_nhooks, CTL_HOOKS_MAX);
	make("i", 0755);
	assert_int_equal(scan(), E2BIG);
	assert_non_null(strstr(t_why, "64"));
	assert_int_equal(t_hooks.hd_nhooks, 0);
}

static void
each_hook_has_the_limit_of_the_last_rule_that_matches(void **state)
{
	(void)state;
	make("10-db", 0755);
	make("20-db", 0755);
	make("30-web", 0755);
	assert_int_equal(
	    conf_set(&t_conf, "hook_timeout=7", t_why, sizeof(t_why)), 0);
	assert_int_equal(
	    conf_set(&t_conf, "hook.*-db=3", t_why, sizeof(t_why)), 0);
	assert_int_equal(
	    conf_set(&t_conf, "hook.20-*=1.5", t_why, sizeof(t_why)), 0);
	assert_int_equal(scan(), 0);
	assert_int_equal(t_hooks.hd_hooks[0].hk_limit_ms, 3000);
	assert_int_equal(t_hooks.hd_hooks[1].hk_limit_ms, 1500);
	assert_int_equal(t_hooks.hd_hooks[2].hk_limit_ms, 7000);
}

static void
a_hook_is_the_same_until_its_path_leads_elsewhere(void **state)
{
	const struct ctl_hook *hk = &t_hooks.hd_hooks[0];
	const char *why;

	(void)state;
	make("1", 0755);
	make("2.bak", 0755);
	assert_int_equal(scan(), 0);
	assert_true(ctl_hookdir_same(hk, &why));
	assert_null(why);
	assert_int_equal(chmod(path("1"), 0777), 0);
	ctl_hookdir_same(hk, &why);
	assert_non_null(why);
	assert_int_equal(chmod(path("1"), 0755), 0);
	assert_int_equal(
	    renameat(AT_FDCWD, path("2.bak"), AT_FDCWD, hk->hk_path), 0);
	assert_false(ctl_hookdir_same(hk, &why));
	assert_null(why);
	assert_int_equal(unlink(path("1")), 0);
	assert_false(ctl_hookdir_same(hk, &why));
	assert_null(why);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
		    hooks_are_in_the_order_of_the_bytes_of_their_names, fresh,
		    clean),
		cmocka_unit_test(what_is_left_behind_is_known_by_its_name),
		cmocka_unit_test_setup_teardown(
		    what_nobody_may_execute_and_directories_are_no_hooks, fresh,
		    clean),
		cmocka_unit_test(owner_mode_and_kind_decide_who_is_trusted),
		cmocka_unit_test_setup_teardown(
		    one_that_is_not_trusted_is_said_and_leaves_no_hooks, fresh,
		    clean),
		cmocka_unit_test_setup_teardown(
		    a_link_is_not_followed_wherever_it_leads, fresh, clean),
		cmocka_unit_test_setup_teardown(
		    the_directory_is_looked_at_as_well, fresh, clean),
		cmocka_unit_test_setup_teardown(
		    more_hooks_than_there_is_room_for_are_refused, fresh,
		    clean),
		cmocka_unit_test_setup_teardown(
		    each_hook_has_the_limit_of_the_last_rule_that_matches,
		    fresh, clean),
		cmocka_unit_test_setup_teardown(
		    a_hook_is_the_same_until_its_path_leads_elsewhere, fresh,
		    clean),
	};

	return (cmocka_run_group_tests_name("ctl_hookdir", tests, NULL, NULL));
}
