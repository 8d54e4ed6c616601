/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/* hv_vss.conf(5): lines, what is refused and where, and what wins. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <sys/stat.h>

#include <stdlib.h>
#include <unistd.h>

#include "conf.h"

static char t_path[] = "/tmp/t_conf_file.XXXXXX";
static char t_err[CONF_ERR_MAX];

static void
t_write(const char *text)
{
	FILE *fp = fopen(t_path, "we");

	assert_non_null(fp);
	assert_int_not_equal(fputs(text, fp), EOF);
	assert_int_equal(fclose(fp), 0);
	assert_int_equal(chmod(t_path, 0644), 0);
}

static int
t_load(struct conf *cf, const char *text, const char *set)
{
	struct conf_args ca = { .ca_file = t_path };

	t_write(text);
	if (set != NULL)
		assert_int_equal(
		    conf_args_set(&ca, set, t_err, sizeof(t_err)), 0);
	t_err[0] = '\0';
	return (conf_load(cf, &ca, t_err, sizeof(t_err)));
}

static void
a_line_is_a_setting_with_blanks_and_comments(void **state)
{
	struct conf cf;

	(void)state;
	assert_int_equal(
	    t_load(&cf,
		"# a comment\n\n  hold=2\n\tfreeze =\t30 # short\r\n"
		"exclude = /a#b c\nexclude=/b\n"
		"mount./x = y = sync\ntype.vfat = ignore",
		NULL),
	    0);
	assert_int_equal(cf.cf_limit_ms[CONF_HOLD], 2000);
	assert_int_equal(cf.cf_limit_ms[CONF_FREEZE], 30000);
	assert_int_equal(cf.cf_nexclude, 2);
	assert_string_equal(cf.cf_exclude[0], "/a#b c");
	assert_int_equal(cf.cf_nrules, 2);
	assert_string_equal(cf.cf_rules[0].cr_name, "/x = y");
	assert_string_equal(cf.cf_rules[1].cr_name, "vfat");
	conf_free(&cf);
}

static void
an_error_names_file_line_key_and_what_is_allowed(void **state)
{
	static const char *const cases[][3] = {
		{ "hold = 2\nfreeze = 0\n", ":2: freeze=0", "1 to 900" },
		{ "\n\napps = maybe # ?\n", ":3: apps=maybe", "besteffort" },
		{ "hold 2\n", ":1: hold 2", "KEY=VALUE" },
		{ "hodl = 2\n", ":1: hodl", "nearest is hold" },
		{ "exclude = srv\n", ":1: exclude=srv", "begins with /" },
		{ "hold = 2\nfs = 3\nhold = 4\n", ":3: hold", "line 1" },
		{ "freeze = 5\nfs = 6\n", ":2: fs=6", "longer than freeze" },
		{ "max_clients = 2\nmax_clients_per_uid = 3\n",
		    ":2: max_clients_per_uid=3", "more than max_clients" },
		{ "[mount]\n", ":1: [mount]", "KEY=VALUE" },
	};
	struct conf cf;
	char begin[128];

	(void)state;
	for (size_t i = 0; i < VSS_NELEM(cases); i++) {
		assert_int_equal(t_load(&cf, cases[i][0], NULL), EINVAL);
		snprintf(begin, sizeof(begin), "%s%s", t_path, cases[i][1]);
		if (strncmp(t_err, begin, strlen(begin)) != 0 ||
		    strstr(t_err, cases[i][2]) == NULL)
			fail_msg(
			    "%s: not %s ... %s", t_err, begin, cases[i][2]);
		assert_null(strchr(t_err, '\n'));
		assert_null(cf.cf_texts);
	}
}

static void
the_command_line_wins_over_the_file(void **state)
{
	struct conf cf;

	(void)state;
	assert_int_equal(
	    t_load(&cf, "hold = 2\nmount./srv=veto\n", "hold=3"), 0);
	assert_int_equal(cf.cf_limit_ms[CONF_HOLD], 3000);
	conf_free(&cf);
	/* Of rules the last counts, and those of the command line come last. */
	assert_int_equal(
	    t_load(&cf, "mount./srv=veto\n", "mount./srv=ignore"), 0);
	assert_int_equal(cf.cf_rules[1].cr_action, CONF_DO_IGNORE);
	conf_free(&cf);
	/* What does not fit is the command line's then. */
	assert_int_equal(t_load(&cf, "fs = 2\n", "fs=200"), EINVAL);
	assert_int_equal(strncmp(t_err, "fs=200", 6), 0);
}

static void
a_file_that_is_absent_may_be_so_only_where_it_is_the_default(void **state)
{
	struct conf_args ca = { .ca_file = "/nonexistent/hv_vss.conf" };
	struct conf cf;

	(void)state;
	assert_int_equal(conf_load(&cf, &ca, t_err, sizeof(t_err)), ENOENT);
	assert_non_null(strstr(t_err, "/nonexistent/hv_vss.conf: No such"));
	assert_int_equal(
	    conf_args_file(&ca, "/nonexistent/x", t_err, sizeof(t_err)),
	    ENOENT);
	conf_default(&cf);
	assert_int_equal(
	    conf_read(&cf, "/nonexistent/x", true, t_err, sizeof(t_err)), 0);
}

static void
a_file_that_others_may_write_is_refused(void **state)
{
	static const mode_t bad[] = { 0664, 0646, 0666 };
	struct conf_args ca = { .ca_file = t_path };
	struct conf cf;

	(void)state;
	t_write("hold = 2\n");
	for (size_t i = 0; i < VSS_NELEM(bad); i++) {
		assert_int_equal(chmod(t_path, bad[i]), 0);
		assert_int_equal(
		    conf_load(&cf, &ca, t_err, sizeof(t_err)), EPERM);
		assert_non_null(strstr(t_err, "others may write it"));
	}
	ca.ca_file = "/tmp";
	assert_int_equal(conf_load(&cf, &ca, t_err, sizeof(t_err)), EPERM);
	assert_non_null(strstr(t_err, "not a regular file"));
	if (geteuid() != 0)
		return;
	t_write("hold = 2\n");
	assert_int_equal(chown(t_path, 12, 0), 0);
	ca.ca_file = t_path;
	assert_int_equal(conf_load(&cf, &ca, t_err, sizeof(t_err)), EPERM);
	assert_non_null(strstr(t_err, "neither root's nor your own"));
	assert_int_equal(chown(t_path, 0, 0), 0);
}

static void
a_line_that_is_too_long_is_not_cut(void **state)
{
	static char text[8192];
	struct conf cf;

	(void)state;
	memset(text, 'x', sizeof(text) - 1);
	memcpy(text, "exclude=/", 9);
	assert_int_equal(t_load(&cf, text, NULL), EINVAL);
	assert_non_null(strstr(t_err, ":1: the line is too long"));
}

/* This file is in tests/unit. */
static const char *
t_example(void)
{
	static char path[512];

	(void)snprintf(path, sizeof(path), "%.*s../../examples/hv_vss.conf",
	    (int)(strlen(__FILE__) - strlen("t_conf_file.c")), __FILE__);
	return (path);
}

static void
the_example_is_the_defaults(void **state)
{
	struct conf_args ca = { .ca_file = t_example() };
	struct conf cf, df;

	(void)state;
	if (conf_load(&cf, &ca, t_err, sizeof(t_err)) != 0)
		fail_msg("%s", t_err);
	conf_default(&df);
	assert_int_equal(conf_check(&df, t_err, sizeof(t_err)), 0);
	assert_string_equal(cf.cf_run_dir, df.cf_run_dir);
	/* What must differ: that they were given, and where. */
	memset(cf.cf_limit_set, 0, sizeof(cf.cf_limit_set));
	memset(cf.cf_given, 0, sizeof(cf.cf_given));
	cf.cf_max_per_uid_set = false;
	cf.cf_file = NULL;
	cf.cf_run_dir = df.cf_run_dir;
	assert_string_equal(cf.cf_state_dir, df.cf_state_dir);
	cf.cf_state_dir = df.cf_state_dir;
	df.cf_texts = cf.cf_texts;
	assert_memory_equal(&cf, &df, sizeof(cf));
	conf_free(&cf);
}

/* No limit that follows from another one is in its way. */
static void
each_limit_of_the_example_can_be_changed_alone(void **state)
{
	static const char *const sets[] = { "check=20", "freeze=60",
		"freeze=900", "quiesce=20", "fs=20", "hold=120", "thaw=20" };
	struct conf cf;

	(void)state;
	for (size_t i = 0; i < sizeof(sets) / sizeof(sets[0]); i++) {
		struct conf_args ca = { .ca_file = t_example() };

		assert_int_equal(
		    conf_args_set(&ca, sets[i], t_err, sizeof(t_err)), 0);
		if (conf_load(&cf, &ca, t_err, sizeof(t_err)) != 0)
			fail_msg("%s: %s", sets[i], t_err);
		conf_free(&cf);
	}
}

/* Each system has directories of its own for what runs and for what lasts. */
static void
the_example_leaves_directories_to_the_system(void **state)
{
	char line[256];
	FILE *f;

	(void)state;
	f = fopen(t_example(), "r");
	assert_non_null(f);
	while (fgets(line, sizeof(line), f) != NULL)
		assert_true(line[0] == '#' || strstr(line, "_dir") == NULL);
	assert_int_equal(fclose(f), 0);
}

/* Group 0 is root on Linux, and wheel on FreeBSD, which has no group root. */
static void
the_example_has_no_group_that_a_system_lacks(void **state)
{
	char line[256];
	size_t len, seen = 0;
	FILE *f;

	(void)state;
	f = fopen(t_example(), "r");
	assert_non_null(f);
	while (fgets(line, sizeof(line), f) != NULL) {
		len = strcspn(line, " ");
		if (len < 6 || strncmp(line + len - 6, "_group", 6) != 0)
			continue;
		assert_int_equal(line[len + 3], '0');
		seen++;
	}
	assert_int_equal(fclose(f), 0);
	assert_int_equal(seen, 3);
}

static int
t_setup(void **state)
{
	int fd = mkstemp(t_path);

	(void)state;
	return (fd == -1 ? -1 : close(fd));
}

static int
t_teardown(void **state)
{
	(void)state;
	return (unlink(t_path));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_line_is_a_setting_with_blanks_and_comments),
		cmocka_unit_test(
		    an_error_names_file_line_key_and_what_is_allowed),
		cmocka_unit_test(the_command_line_wins_over_the_file),
		cmocka_unit_test(
		    a_file_that_is_absent_may_be_so_only_where_it_is_the_default),
		cmocka_unit_test(a_file_that_others_may_write_is_refused),
		cmocka_unit_test(a_line_that_is_too_long_is_not_cut),
		cmocka_unit_test(the_example_is_the_defaults),
		cmocka_unit_test(
		    each_limit_of_the_example_can_be_changed_alone),
		cmocka_unit_test(the_example_leaves_directories_to_the_system),
		cmocka_unit_test(the_example_has_no_group_that_a_system_lacks),
	};

	return (cmocka_run_group_tests(tests, t_setup, t_teardown));
}
