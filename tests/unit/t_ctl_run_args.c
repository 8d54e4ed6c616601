/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/* The command line of `hv_vssctl run`: what is taken, and what is refused. */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "ctl_hookdir.h"
#include "ctl_run_args.h"

static struct ctl_run_args t_args;
static char t_err[CONF_ERR_MAX];

/* Words separated by blanks; '_' stands for a blank within a word. */
static int
args(const char *line)
{
	static char buf[256];
	char *argv[20] = { NULL };
	int argc = 0;

	snprintf(buf, sizeof(buf), "run %s", line);
	for (char *w = strtok(buf, " "); w != NULL; w = strtok(NULL, " ")) {
		for (char *p = w; (p = strchr(p, '_')) != NULL;)
			*p = ' ';
		argv[argc++] = w;
	}
	t_err[0] = '\0';
	return (ctl_run_args(&t_args, argc, argv, t_err, sizeof(t_err)));
}

static void
commands_are_taken_by_their_operation(void **state)
{
	(void)state;
	assert_int_equal(
	    args("--check a_b --prepare c --freeze d --thaw e"), 0);
	assert_string_equal(t_args.ra_cmds[HV_VSS_CHECK], "a b");
	assert_string_equal(t_args.ra_cmds[HV_VSS_PREPARE], "c");
	assert_string_equal(t_args.ra_cmds[HV_VSS_FREEZE], "d");
	assert_string_equal(t_args.ra_cmds[HV_VSS_THAW], "e");
	assert_string_equal(t_args.ra_hello.hh_name, "run");
	assert_int_equal(t_args.ra_hello.hh_level, HV_VSS_LEVEL_DEFAULT);
	assert_int_equal(t_args.ra_timeout_ms, 0);
	assert_string_equal(t_args.ra_device, "/dev/hv_appvss_dev");
	assert_null(t_args.ra_hooks);
}

static void
name_level_timeout_and_device_are_taken(void **state)
{
	(void)state;
	assert_int_equal(
	    args("--name a_shop --level 0 --timeout 900 --device /x "
		 "--coprocess cat"),
	    0);
	assert_string_equal(t_args.ra_hello.hh_name, "a shop");
	assert_int_equal(t_args.ra_hello.hh_level, 0);
	assert_int_equal(t_args.ra_timeout_ms, 900000);
	assert_string_equal(t_args.ra_device, "/x");
	assert_string_equal(t_args.ra_coprocess, "cat");
}

static void
hooks_have_a_directory_or_the_usual_one(void **state)
{
	(void)state;
	assert_int_equal(args("--hooks"), 0);
	assert_string_equal(t_args.ra_hooks, CTL_HOOKS_DIR);
	assert_string_equal(t_args.ra_hello.hh_name, "hooks");
	assert_int_equal(args("--hooks /a/b --vmware --set hook_timeout=3"), 0);
	assert_string_equal(t_args.ra_hooks, "/a/b");
	assert_true(t_args.ra_vmware);
	assert_int_equal(t_args.ra_conf.ca_nsets, 1);
	assert_int_equal(args("--hooks=/c --name n"), 0);
	assert_string_equal(t_args.ra_hooks, "/c");
	assert_string_equal(t_args.ra_hello.hh_name, "n");
	assert_int_equal(args("--hooks --level 3"), 0);
	assert_string_equal(t_args.ra_hooks, CTL_HOOKS_DIR);
	assert_int_equal(t_args.ra_hello.hh_level, 3);
}

static void
what_is_wrong_is_said_with_what_is_allowed(void **state)
{
	static const char *const bad[][2] = {
		{ "--coprocess c --level 100", "--level 100: not allowed" },
		{ "--coprocess c --level -1", "0 to 99" },
		{ "--coprocess c --level +1", "0 to 99" },
		{ "--coprocess c --level 5x", "0 to 99" },
		{ "--coprocess c --level _5", "0 to 99" },
		{ "--coprocess c --timeout 0", "1 to 900" },
		{ "--coprocess c --timeout 901", "1 to 900" },
		{ "--coprocess c --timeout 99999999999999999999", "1 to 900" },
		{ "--coprocess c --name 12345678901234567890123456789012",
		    "1 to 31 printable" },
		{ "--coprocess c --name \303\244", "1 to 31 printable" },
		{ "", "both needed" },
		{ "--freeze a", "both needed" },
		{ "--thaw a", "both needed" },
		{ "--check a --prepare b", "both needed" },
		{ "--coprocess c --freeze a --thaw b", "exclude each other" },
		{ "--coprocess c --hooks", "exclude each other" },
		{ "--hooks --prepare p", "exclude each other" },
		{ "--hooks --timeout 3", "hook_timeout" },
		{ "--freeze a --thaw b --vmware", "for --hooks only" },
		{ "--coprocess c --set hold=3", "for --hooks only" },
		{ "--freeze systemctl stop db --thaw x",
		    "stop: no such option" },
		{ "--hooks /a /b", "/b: no such option" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(args(bad[i][0]), EINVAL);
		assert_non_null(strstr(t_err, bad[i][1]));
	}
	assert_int_not_equal(args("--hooks -c /no/such/file"), 0);
	assert_non_null(strstr(t_err, "/no/such/file"));
}

static void
a_name_may_be_as_long_as_it_may(void **state)
{
	(void)state;
	assert_int_equal(
	    args("--coprocess c --name 1234567890123456789012345678901"), 0);
	assert_int_equal(strlen(t_args.ra_hello.hh_name), 31);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(commands_are_taken_by_their_operation),
		cmocka_unit_test(name_level_timeout_and_device_are_taken),
		cmocka_unit_test(hooks_have_a_directory_or_the_usual_one),
		cmocka_unit_test(what_is_wrong_is_said_with_what_is_allowed),
		cmocka_unit_test(a_name_may_be_as_long_as_it_may),
	};

	return (cmocka_run_group_tests_name("ctl_run_args", tests, NULL, NULL));
}
