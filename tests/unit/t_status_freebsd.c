/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/*
 * What hv_vssctl says of the kernel module on FreeBSD: the test answers the
 * module's sysctls.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "ctl.h"
#include "fbsd.h"
#include "status_read.h"

/* As vssg_sysctl.c has them: "s" a text, "Q" 64 bits, "I" 32. */
static struct {
	const char *sc_name;
	char sc_type;
	const char *sc_text;
	uint64_t sc_value;
} sysctls[] = {
	{ "state", 's', "HOLDING", 0 },
	{ "failure", 's', "", 0 },
	{ "fw_version", 's', "3.0", 0 },
	{ "msg_version", 's', "5.0", 0 },
	{ "channel", 'Q', NULL, 1 },
	{ "frozen", 'Q', NULL, 1 },
	{ "lost", 'Q', NULL, 0 },
	{ "daemon", 'Q', NULL, 1 },
	{ "apps", 'Q', NULL, 3 },
	{ "stale", 'Q', NULL, 1 },
	{ "requests", 'Q', NULL, 5000000000 },
	{ "replies", 'Q', NULL, 6 },
	{ "dropped", 'Q', NULL, 7 },
	{ "turned_away", 'Q', NULL, 8 },
	{ "besteffort", 'I', NULL, 1 },
	{ "limits.hold", 'I', NULL, 60000 },
};

static bool loaded;

static size_t
find(const char *name)
{
	size_t i = 0;

	while (i < sizeof(sysctls) / sizeof(sysctls[0]) &&
	    strcmp(sysctls[i].sc_name, name) != 0)
		i++;
	return (i);
}

int
sysctlbyname(const char *name, void *oldp, size_t *oldlenp, const void *newp,
    size_t newlen)
{
	static const char node[] = "dev.hvvssg.0.";
	size_t i = sizeof(sysctls) / sizeof(sysctls[0]), len;
	uint32_t word;

	assert_null(newp);
	assert_int_equal(newlen, 0);
	assert_int_equal(strncmp(name, node, sizeof(node) - 1), 0);
	if (loaded)
		i = find(name + sizeof(node) - 1);
	if (i == sizeof(sysctls) / sizeof(sysctls[0])) {
		errno = ENOENT;
		return (-1);
	}
	word = (uint32_t)sysctls[i].sc_value;
	len = sysctls[i].sc_type == 's' ? strlen(sysctls[i].sc_text) + 1 :
	    sysctls[i].sc_type == 'Q'	? sizeof(uint64_t) :
					  sizeof(word);
	assert_true(*oldlenp >= len);
	*oldlenp = len;
	memcpy(oldp,
	    sysctls[i].sc_type == 's'	  ? (const void *)sysctls[i].sc_text :
		sysctls[i].sc_type == 'Q' ? (const void *)&sysctls[i].sc_value :
					    (const void *)&word,
	    len);
	return (0);
}

static void
the_modules_sysctls_are_a_status(void **state)
{
	static const char want[] =
	    "{\"host\":{\"transport\":\"vmbus\",\"connected\":true,"
	    "\"framework\":\"3.0\",\"message\":\"5.0\"},"
	    "\"state\":\"HOLDING\",\"frozen\":true,\"lost\":false,"
	    "\"daemon\":true,\"applications\":3,\"stale\":1,"
	    "\"apps\":\"besteffort\","
	    "\"counters\":{\"requests\":5000000000,\"replies\":6,"
	    "\"dropped\":7,\"turned_away\":8},\"limits_ms\":{\"hold\":60000}}"
	    "\n";
	struct status_doc sd;
	char err[256];

	(void)state;
	loaded = true;
	assert_int_equal(status_ask(&sd, "", err, sizeof(err)), 0);
	assert_string_equal(sd.sd_text, want);
	assert_int_equal(sd.sd_len, strlen(want));
	status_free(&sd);
}

static void
what_the_host_has_not_negotiated_is_left_out(void **state)
{
	struct status_doc sd;
	char err[256];

	(void)state;
	loaded = true;
	sysctls[find("fw_version")].sc_text = "0.0";
	sysctls[find("msg_version")].sc_text = "0.0";
	assert_int_equal(status_ask(&sd, "", err, sizeof(err)), 0);
	assert_null(strstr(sd.sd_text, "framework"));
	assert_null(strstr(sd.sd_text, "message"));
	assert_non_null(strstr(sd.sd_text, "\"connected\":true"));
	status_free(&sd);
	sysctls[find("channel")].sc_value = 0;
	assert_int_equal(status_ask(&sd, "", err, sizeof(err)), 0);
	assert_non_null(strstr(sd.sd_text, "\"connected\":false"));
	status_free(&sd);
	sysctls[find("channel")].sc_value = 1;
	sysctls[find("fw_version")].sc_text = "3.0";
	sysctls[find("msg_version")].sc_text = "5.0";
}

static void
without_the_module_it_says_what_to_do(void **state)
{
	struct status_doc sd;
	char err[256] = "";

	(void)state;
	loaded = false;
	assert_int_equal(status_ask(&sd, "", err, sizeof(err)), ENOENT);
	assert_non_null(strstr(err, "is hv_vss_guest.ko loaded"));
	assert_int_equal(status_request("", "follow\n", err, sizeof(err)), -1);
	assert_int_equal(errno, ENOTSUP);
}

/* What `hv_vssctl status' prints, and its exit status. */
static int
shown(char *text, size_t len)
{
	char name[] = "status", *argv[] = { name, NULL };
	int status, saved = dup(STDOUT_FILENO);
	FILE *f = tmpfile();

	assert_non_null(f);
	(void)fflush(stdout);
	(void)dup2(fileno(f), STDOUT_FILENO);
	optind = 0;
	status = ctl_status_main(1, argv);
	(void)fflush(stdout);
	(void)dup2(saved, STDOUT_FILENO);
	(void)close(saved);
	rewind(f);
	text[fread(text, 1, len - 1, f)] = '\0';
	(void)fclose(f);
	return (status);
}

static void
hv_vssctl_shows_it(void **state)
{
	char text[2048];

	(void)state;
	loaded = true;
	assert_int_equal(shown(text, sizeof(text)), 2);
	assert_string_equal(text,
	    "Driver           the kernel's module\n"
	    "Host             connected through vmbus, framework 3.0, messages "
	    "5.0\n"
	    "State            HOLDING, frozen\n"
	    "Freeze daemon    there\n"
	    "Applications     3\n"
	    "  1 of them silent twice, not waited for; backups are file-system "
	    "consistent only; see that they run\n"
	    "Last failure     none\n");
	sysctls[find("stale")].sc_value = 0;
	sysctls[find("failure")].sc_text = "db: the disk is full";
	assert_int_equal(shown(text, sizeof(text)), 0);
	assert_non_null(
	    strstr(text, "Last failure     db: the disk is full\n"));
	assert_null(strstr(text, "of them"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_modules_sysctls_are_a_status),
		cmocka_unit_test(what_the_host_has_not_negotiated_is_left_out),
		cmocka_unit_test(without_the_module_it_says_what_to_do),
		cmocka_unit_test(hv_vssctl_shows_it),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
