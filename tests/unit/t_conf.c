/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/* Settings: every key, what is refused, and limits that follow others. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "conf.h"

static char t_err[CONF_ERR_MAX];

static void
t_fresh(struct conf *cf)
{
	conf_free(cf);
	conf_default(cf);
}

static int
t_set(struct conf *cf, const char *arg)
{
	t_err[0] = '\0';
	return (conf_set(cf, arg, t_err, sizeof(t_err)));
}

static int
t_check(struct conf *cf)
{
	t_err[0] = '\0';
	return (conf_check(cf, t_err, sizeof(t_err)));
}

static void
the_defaults_are_those_of_the_engine(void **state)
{
	struct vss_engine_conf ec;
	static struct conf cf;

	(void)state;
	t_fresh(&cf);
	assert_int_equal(t_check(&cf), 0);
	conf_engine(&cf, &ec);
	assert_int_equal(ec.ec_check_ns, 10 * VSS_NS_PER_S);
	assert_int_equal(ec.ec_freeze_ns, 120 * VSS_NS_PER_S);
	assert_int_equal(ec.ec_prepare_ns, 100 * VSS_NS_PER_S);
	assert_int_equal(ec.ec_quiesce_ns, 10 * VSS_NS_PER_S);
	assert_int_equal(ec.ec_fs_ns, 10 * VSS_NS_PER_S);
	assert_int_equal(ec.ec_hold_ns, 60 * VSS_NS_PER_S);
	assert_int_equal(ec.ec_thaw_ns, 10 * VSS_NS_PER_S);
	assert_int_equal(ec.ec_thaw_fs_ns, 5 * VSS_NS_PER_S);
	assert_int_equal(ec.ec_level_ns, 1 * VSS_NS_PER_S);
	assert_int_equal(ec.ec_max_clients, 64);
	assert_int_equal(ec.ec_max_per_uid, 16);
	assert_false(ec.ec_besteffort);
	assert_false(ec.ec_later_versions);
}

static void
every_limit_is_taken_by_its_own_name(void **state)
{
	static const char *const names[CONF_NLIMITS] = { "check", "freeze",
		"prepare", "quiesce", "fs", "hold", "thaw", "thaw_fs",
		"level" };
	char arg[32];
	static struct conf cf;
	int i, j;

	(void)state;
	for (i = 0; i < CONF_NLIMITS; i++) {
		assert_string_equal(conf_limit_name(i), names[i]);
		t_fresh(&cf);
		snprintf(arg, sizeof(arg), "%s=7.25", names[i]);
		assert_int_equal(t_set(&cf, arg), 0);
		for (j = 0; j < CONF_NLIMITS; j++)
			assert_int_equal(cf.cf_limit_set[j], i == j);
		assert_int_equal(cf.cf_limit_ms[i], 7250);
	}
}

static void
seconds_have_up_to_three_decimals_and_bounds(void **state)
{
	static const char *const bad[] = { "hold=", "hold=0", "hold=0.999",
		"hold=900.001", "hold=901", "hold=-1", "hold=+5", "hold=1e2",
		"hold=5s", "hold=1.2345", "hold=.5", "hold=5.", "hold= 5",
		"hold=1.2.3", "hold=99999999999999999999" };
	static struct conf cf;
	size_t i;

	(void)state;
	t_fresh(&cf);
	assert_int_equal(t_set(&cf, "hold=1"), 0);
	assert_int_equal(cf.cf_limit_ms[CONF_HOLD], 1000);
	assert_int_equal(t_set(&cf, "hold=900.000"), 0);
	assert_int_equal(cf.cf_limit_ms[CONF_HOLD], 900000);
	assert_int_equal(t_set(&cf, "hold=1.001"), 0);
	for (i = 0; i < VSS_NELEM(bad); i++) {
		assert_int_equal(t_set(&cf, bad[i]), EINVAL);
		assert_int_equal(cf.cf_limit_ms[CONF_HOLD], 1001);
		assert_non_null(strstr(t_err, bad[i]));
		assert_non_null(strstr(t_err, "1 to 900"));
		assert_null(strchr(t_err, '\n'));
	}
}

static void
a_short_freeze_shrinks_what_was_not_given(void **state)
{
	static struct conf cf;

	(void)state;
	t_fresh(&cf);
	assert_int_equal(t_set(&cf, "freeze=5"), 0);
	assert_int_equal(t_set(&cf, "hold=2"), 0);
	assert_int_equal(t_set(&cf, "thaw=3"), 0);
	assert_int_equal(t_check(&cf), 0);
	assert_int_equal(cf.cf_limit_ms[CONF_PREPARE], 2500);
	assert_int_equal(cf.cf_limit_ms[CONF_QUIESCE], 5000);
	assert_int_equal(cf.cf_limit_ms[CONF_FS], 5000);
	assert_int_equal(cf.cf_limit_ms[CONF_THAW_FS], 1500);
	assert_int_equal(cf.cf_limit_ms[CONF_LEVEL], 1000);
}

static void
prepare_is_freeze_less_20_s_or_half(void **state)
{
	static const struct {
		const char *tc_freeze;
		uint32_t tc_prepare_ms;
	} cases[] = { { "freeze=900", 880000 }, { "freeze=30", 10000 },
		{ "freeze=21", 1000 }, { "freeze=20.999", 10499 },
		{ "freeze=1", 500 } };
	static struct conf cf;
	size_t i;

	(void)state;
	for (i = 0; i < VSS_NELEM(cases); i++) {
		t_fresh(&cf);
		assert_int_equal(t_set(&cf, cases[i].tc_freeze), 0);
		assert_int_equal(t_check(&cf), 0);
		assert_int_equal(
		    cf.cf_limit_ms[CONF_PREPARE], cases[i].tc_prepare_ms);
	}
}

static void
what_was_given_and_cannot_be_honoured_is_refused(void **state)
{
	static const char *const pairs[][2] = { { "freeze=5", "prepare=6" },
		{ "freeze=5", "quiesce=5.001" }, { "freeze=5", "fs=10" },
		{ "thaw=2", "thaw_fs=2.5" }, { "thaw=2", "level=3" },
		{ "max_clients=8", "max_clients_per_uid=9" } };
	static struct conf cf;
	size_t i;

	(void)state;
	for (i = 0; i < VSS_NELEM(pairs); i++) {
		t_fresh(&cf);
		assert_int_equal(t_set(&cf, pairs[i][1]), 0);
		assert_int_equal(t_set(&cf, pairs[i][0]), 0);
		assert_int_equal(t_check(&cf), EINVAL);
		assert_null(strchr(t_err, '\n'));
		assert_int_equal(
		    strncmp(t_err, pairs[i][1], strcspn(pairs[i][1], "=") + 1),
		    0);
	}
	t_fresh(&cf);
	assert_int_equal(t_set(&cf, "max_clients=8"), 0);
	assert_int_equal(t_check(&cf), 0);
	assert_int_equal(cf.cf_max_clients_per_uid, 8);
}

static void
modes_and_owners_are_of_the_device_they_name(void **state)
{
	static const char *const bad[] = { "fs_mode=", "fs_mode=0770",
		"fs_mode=99", "app_mode=4666", "app_mode=06600",
		"fs_owner=no such user", "app_group=", "fs_owner=4294967295" };
	static struct conf cf;
	size_t i;

	(void)state;
	t_fresh(&cf);
	assert_int_equal(cf.cf_fs.cn_mode, 0600);
	assert_int_equal(cf.cf_app.cn_mode, 0660);
	assert_int_equal(t_set(&cf, "fs_mode=0640"), 0);
	assert_int_equal(t_set(&cf, "app_mode=666"), 0);
	assert_int_equal(t_set(&cf, "fs_owner=12"), 0);
	assert_int_equal(t_set(&cf, "app_owner=root"), 0);
	assert_int_equal(t_set(&cf, "app_group=4294967294"), 0);
	assert_int_equal(cf.cf_fs.cn_mode, 0640);
	assert_int_equal(cf.cf_app.cn_mode, 0666);
	assert_int_equal(cf.cf_fs.cn_owner, 12);
	assert_int_equal(cf.cf_fs.cn_group, 0);
	assert_int_equal(cf.cf_app.cn_owner, 0);
	assert_int_equal(cf.cf_app.cn_group, 4294967294U);
	for (i = 0; i < VSS_NELEM(bad); i++)
		assert_int_equal(t_set(&cf, bad[i]), EINVAL);
}

static void
words_numbers_and_paths_are_checked(void **state)
{
	static const char *const bad[] = { "apps=", "apps=Require", "policy=no",
		"max_clients=0", "max_clients=1025", "max_clients_per_uid=x",
		"trace=trace.json", "trace=", "run_dir=", "freezer=bin/f",
		"exclude=", "nonsense=1", "hold", "=1", "" };
	static struct conf cf;
	size_t i;

	(void)state;
	t_fresh(&cf);
	assert_int_equal(t_set(&cf, "apps=besteffort"), 0);
	assert_int_equal(t_set(&cf, "policy=strict"), 0);
	assert_int_equal(t_set(&cf, "max_clients=1024"), 0);
	assert_int_equal(t_set(&cf, "max_clients_per_uid=1024"), 0);
	assert_int_equal(t_set(&cf, "trace=/run/t=1"), 0);
	assert_int_equal(t_set(&cf, "guard="), 0);
	for (i = 0; i < VSS_NELEM(bad); i++) {
		assert_int_equal(t_set(&cf, bad[i]), EINVAL);
		assert_string_not_equal(t_err, "");
	}
	assert_int_equal(t_check(&cf), 0);
	assert_true(cf.cf_besteffort);
	assert_true(cf.cf_strict);
	assert_string_equal(cf.cf_trace, "/run/t=1");
	assert_string_equal(cf.cf_run_dir, "/run/hv_vss");
	assert_null(cf.cf_guard);
	assert_null(cf.cf_freezer);
}

static void
exclude_may_be_given_many_times_but_not_endlessly(void **state)
{
	static struct conf cf;
	unsigned i;

	(void)state;
	t_fresh(&cf);
	for (i = 0; i < CONF_EXCLUDE_MAX; i++)
		assert_int_equal(t_set(&cf, "exclude=/mnt/*"), 0);
	assert_int_equal(cf.cf_nexclude, CONF_EXCLUDE_MAX);
	assert_string_equal(cf.cf_exclude[0], "/mnt/*");
	assert_int_equal(t_set(&cf, "exclude=/srv"), EINVAL);
}

static void
rules_have_a_name_and_an_action(void **state)
{
	static const char *const bad[] = { "type.=sync",
		"type.vfat=", "type.vfat=frozen", "mount.=ignore",
		"mount.srv=ignore", "mount./srv=yes", "mount./srv", "type=sync",
		"mount=/srv" };
	static struct conf cf;

	(void)state;
	t_fresh(&cf);
	assert_int_equal(t_set(&cf, "type.fuse.sshfs=veto"), 0);
	assert_int_equal(t_set(&cf, "mount./a=b*=ignore"), 0);
	for (size_t i = 0; i < VSS_NELEM(bad); i++)
		assert_int_equal(t_set(&cf, bad[i]), EINVAL);
	assert_int_equal(cf.cf_nrules, 2);
	assert_false(cf.cf_rules[0].cr_mount);
	assert_string_equal(cf.cf_rules[0].cr_name, "fuse.sshfs");
	assert_int_equal(cf.cf_rules[0].cr_action, CONF_DO_VETO);
	assert_true(cf.cf_rules[1].cr_mount);
	assert_string_equal(cf.cf_rules[1].cr_name, "/a=b*");
	assert_int_equal(cf.cf_rules[1].cr_action, CONF_DO_IGNORE);
	while (cf.cf_nrules < CONF_RULES_MAX)
		assert_int_equal(t_set(&cf, "type.x=sync"), 0);
	assert_int_equal(t_set(&cf, "type.x=sync"), EINVAL);
	conf_free(&cf);
}

static void
hooks_have_limits_by_name_and_the_last_that_matches_counts(void **state)
{
	static const char *const bad[] = { "hook.=2", "hook.a=", "hook.a=0",
		"hook.a=soon", "hook_timeout=0.9", "hook=2" };
	static struct conf cf;

	(void)state;
	t_fresh(&cf);
	assert_int_equal(conf_hook_ms(&cf, "a"), 10000);
	assert_int_equal(t_set(&cf, "hook_timeout=4.5"), 0);
	assert_int_equal(t_set(&cf, "hook.[0-9]*=900"), 0);
	assert_int_equal(t_set(&cf, "hook.10-a=b=1"), 0);
	for (size_t i = 0; i < VSS_NELEM(bad); i++)
		assert_int_equal(t_set(&cf, bad[i]), EINVAL);
	assert_int_equal(conf_hook_ms(&cf, "a"), 4500);
	assert_int_equal(conf_hook_ms(&cf, "7"), 900000);
	assert_int_equal(conf_hook_ms(&cf, "10-a=b"), 1000);
	while (cf.cf_nhooks < CONF_HOOKS_MAX)
		assert_int_equal(t_set(&cf, "hook.x=2"), 0);
	assert_int_equal(t_set(&cf, "hook.x=2"), EINVAL);
	assert_non_null(strstr(t_err, "more than 64"));
	assert_int_equal(t_set(&cf, "type.x=sync"), 0);
	conf_free(&cf);
}

static void
an_unknown_key_is_told_its_nearest(void **state)
{
	static const char *const pairs[][2] = { { "hodl=2", "hold" },
		{ "exlude=/x", "exclude" }, { "thread=2", "threads" } };
	char want[64];
	static struct conf cf;

	(void)state;
	t_fresh(&cf);
	for (size_t i = 0; i < 3; i++) {
		assert_int_equal(t_set(&cf, pairs[i][0]), EINVAL);
		snprintf(want, sizeof(want), "the nearest is %s", pairs[i][1]);
		assert_non_null(strstr(t_err, want));
	}
	memset(want, 'x', sizeof(want));
	want[62] = '=';
	want[63] = '\0';
	assert_int_equal(t_set(&cf, want), EINVAL);
}

static void
policy_has_words_and_a_number_of_threads(void **state)
{
	static const char *const bad[] = { "namespaces=on", "empty=yes",
		"rcu_expedited=1", "threads=0", "threads=33", "exclude=srv",
		"exclude=\"/srv\"" };
	static struct conf cf;

	(void)state;
	t_fresh(&cf);
	assert_int_equal(cf.cf_namespaces, CONF_NS_VETO);
	assert_int_equal(cf.cf_threads, 32);
	assert_false(cf.cf_empty);
	assert_false(cf.cf_no_rcu);
	for (size_t i = 0; i < VSS_NELEM(bad); i++)
		assert_int_equal(t_set(&cf, bad[i]), EINVAL);
	assert_int_equal(t_set(&cf, "namespaces=off"), 0);
	assert_int_equal(t_set(&cf, "empty=allow"), 0);
	assert_int_equal(t_set(&cf, "rcu_expedited=never"), 0);
	assert_int_equal(t_set(&cf, "threads=1"), 0);
	assert_int_equal(cf.cf_namespaces, CONF_NS_OFF);
	assert_int_equal(cf.cf_threads, 1);
	assert_true(cf.cf_empty);
	assert_true(cf.cf_no_rcu);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_defaults_are_those_of_the_engine),
		cmocka_unit_test(every_limit_is_taken_by_its_own_name),
		cmocka_unit_test(seconds_have_up_to_three_decimals_and_bounds),
		cmocka_unit_test(a_short_freeze_shrinks_what_was_not_given),
		cmocka_unit_test(prepare_is_freeze_less_20_s_or_half),
		cmocka_unit_test(
		    what_was_given_and_cannot_be_honoured_is_refused),
		cmocka_unit_test(modes_and_owners_are_of_the_device_they_name),
		cmocka_unit_test(words_numbers_and_paths_are_checked),
		cmocka_unit_test(
		    exclude_may_be_given_many_times_but_not_endlessly),
		cmocka_unit_test(rules_have_a_name_and_an_action),
		cmocka_unit_test(
		    hooks_have_limits_by_name_and_the_last_that_matches_counts),
		cmocka_unit_test(an_unknown_key_is_told_its_nearest),
		cmocka_unit_test(policy_has_words_and_a_number_of_threads),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
