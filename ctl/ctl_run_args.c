/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/* Options of `hv_vssctl run`; ctl_run_args.h has the contract. */

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ctl_hookdir.h"
#include "ctl_run_args.h"

#define TIMEOUT_MAX_S 900

static const struct option options[] = {
	{ "check", required_argument, NULL, HV_VSS_CHECK },
	{ "coprocess", required_argument, NULL, 'o' },
	{ "device", required_argument, NULL, 'd' },
	{ "freeze", required_argument, NULL, HV_VSS_FREEZE },
	{ "hooks", optional_argument, NULL, 'h' },
	{ "level", required_argument, NULL, 'l' },
	{ "name", required_argument, NULL, 'n' },
	{ "prepare", required_argument, NULL, HV_VSS_PREPARE },
	{ "set", required_argument, NULL, 's' },
	{ "thaw", required_argument, NULL, HV_VSS_THAW },
	{ "timeout", required_argument, NULL, 't' },
	{ "vmware", no_argument, NULL, 'v' },
	{ NULL, 0, NULL, 0 },
};

/* A number from min to max. */
static bool
number(const char *text, long min, long max, long *n)
{
	char *rest;

	errno = 0;
	*n = strtol(text, &rest, 10);
	return (*text >= '0' && *text <= '9' && *rest == '\0' && errno == 0 &&
	    *n >= min && *n <= max);
}

static bool
set_name(struct ctl_run_args *ra, const char *name)
{
	size_t len = strlen(name);

	if (len == 0 || len >= sizeof(ra->ra_hello.hh_name))
		return (false);
	for (size_t i = 0; i < len; i++) {
		if (name[i] < ' ' || name[i] > '~')
			return (false);
	}
	memcpy(ra->ra_hello.hh_name, name, len + 1);
	return (true);
}

/* The options that can be wrong by themselves; what is wrong, or NULL. */
static const char *
set_value(struct ctl_run_args *ra, int c, const char *value)
{
	long n;

	switch (c) {
	case 'n':
		if (!set_name(ra, value))
			return ("1 to 31 printable characters");
		return (NULL);
	case 'l':
		if (!number(value, 0, HV_VSS_LEVEL_MAX, &n))
			return ("a number from 0 to 99");
		ra->ra_hello.hh_level = (uint32_t)n;
		return (NULL);
	default:
		if (!number(value, 1, TIMEOUT_MAX_S, &n))
			return ("seconds, from 1 to 900");
		ra->ra_timeout_ms = (uint64_t)n * 1000;
		return (NULL);
	}
}

/* What is wrong with the options taken together, or NULL. */
static const char *
wrong_together(const struct ctl_run_args *ra)
{
	bool any = false, both;

	for (uint32_t op = 0; op <= HV_VSS_PREPARE; op++)
		any = any || ra->ra_cmds[op] != NULL;
	both = ra->ra_cmds[HV_VSS_FREEZE] != NULL &&
	    ra->ra_cmds[HV_VSS_THAW] != NULL;
	if ((ra->ra_coprocess != NULL) + (ra->ra_hooks != NULL) + any > 1)
		return ("commands, --coprocess and --hooks exclude each other; "
			"run hv_vssctl once for each");
	if (ra->ra_hooks != NULL)
		return (ra->ra_timeout_ms != 0 ?
			"--timeout is for commands; for hooks use --set "
			"hook_timeout=SECONDS, or hook.NAME in hv_vss.conf" :
			NULL);
	if (ra->ra_vmware || ra->ra_conf.ca_file != NULL ||
	    ra->ra_conf.ca_nsets > 0)
		return ("--vmware, -c and --set are for --hooks only");
	return (both || ra->ra_coprocess != NULL ?
		NULL :
		"--freeze and --thaw are both needed, or --coprocess, or "
		"--hooks");
}

/* One option; 0, EINVAL with a line in err, or -1. */
static int
take(struct ctl_run_args *ra, int c, char *value, char *err, size_t errlen)
{
	const char *name = c == 'n' ? "name" : c == 'l' ? "level" : "timeout";
	const char *bad;

	switch (c) {
	case HV_VSS_CHECK:
	case HV_VSS_FREEZE:
	case HV_VSS_THAW:
	case HV_VSS_PREPARE:
		ra->ra_cmds[c] = value;
		return (0);
	case 'c':
		return (conf_args_file(&ra->ra_conf, value, err, errlen));
	case 'd':
		ra->ra_device = value;
		return (0);
	case 'h':
		ra->ra_hooks = value;
		return (0);
	case 'o':
		ra->ra_coprocess = value;
		return (0);
	case 's':
		return (conf_args_set(&ra->ra_conf, value, err, errlen));
	case 'v':
		ra->ra_vmware = true;
		return (0);
	case '?':
		return (-1);
	}
	bad = set_value(ra, c, value);
	if (bad != NULL)
		snprintf(
		    err, errlen, "--%s %s: not allowed; %s", name, value, bad);
	return (bad != NULL ? EINVAL : 0);
}

int
ctl_run_args(
    struct ctl_run_args *ra, int argc, char **argv, char *err, size_t errlen)
{
	static char default_hooks[] = CTL_HOOKS_DIR;
	const char *bad;
	char *value;
	int c, error;

	memset(ra, 0, sizeof(*ra));
	ra->ra_device = VSS_DEV(APP_VSS_DEV_NAME);
	ra->ra_hello.hh_level = HV_VSS_LEVEL_DEFAULT;
	optind = 1;
	while ((c = getopt_long(argc, argv, "+c:", options, NULL)) != -1) {
		value = optarg;
		if (c == 'h' && value == NULL)
			value = optind < argc && argv[optind][0] != '-' ?
			    argv[optind++] :
			    default_hooks;
		error = take(ra, c, value, err, errlen);
		if (error != 0)
			return (error);
	}
	bad = optind == argc ? wrong_together(ra) : NULL;
	if (optind != argc)
		snprintf(err, errlen,
		    "%s: no such option; a command of several words is quoted "
		    "as one: --freeze 'CMD ARG'",
		    argv[optind]);
	else if (bad != NULL)
		snprintf(err, errlen, "%s", bad);
	if (optind != argc || bad != NULL)
		return (EINVAL);
	if (ra->ra_hello.hh_name[0] == '\0')
		(void)set_name(ra, ra->ra_hooks != NULL ? "hooks" : "run");
	return (0);
}

/* clang-format off */
const char ctl_run_help[] =
    "Makes an application take part in the host's backups, until SIGTERM.\n\n"
    "  --freeze CMD       bring it to rest; a status other than 0 refuses the "
	"backup\n"
    "  --thaw CMD         let it go on; run after every freeze, whatever "
	"happened\n"
    "  --check CMD        can a backup be taken?\n"
    "  --prepare CMD      long work before freeze, which blocks nobody\n"
    "  --coprocess CMD    instead: one program that stays, and is told so\n"
    "  --hooks [DIR]      instead: all programs in DIR (" CTL_HOOKS_DIR ")\n"
    "  --vmware           hooks hear freezeFail when freeze failed, as "
	"VMware's\n"
    "  --name NAME        what the driver calls it (run; hooks)\n"
    "  --level N          0 to 99: low ones rest first and go on last (50)\n"
    "  --timeout SECONDS  how long a command may take (what the driver "
	"grants)\n"
    "  --set KEY=VALUE    hook_timeout=SECONDS, hook.NAME=SECONDS: limits of "
	"hooks\n"
    "  -c CONF            the file with such settings (" CONF_FILE ")\n"
    "  --device PATH      another device (" VSS_DEV(APP_VSS_DEV_NAME) ")\n\n"
    "CMD is text for sh -c: quote it, 'like this'.  hv_vssctl(8) has all of "
	"it.\n";
/* clang-format on */
