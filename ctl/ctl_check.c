/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/*
 * hv_vssctl check: what a backup would do with each mount, and why.  The plan
 * is hv_vss_daemon's own, made anew with its configuration file; nothing is
 * asked of a running daemon, and nothing is touched.
 */

#include <getopt.h>
#include <stdio.h>

#include "check.h"
#include "ctl.h"

static int
ctl_check_fail(const char *why)
{
	fprintf(stderr, "hv_vssctl: %s\n", why);
	return (1);
}

int
ctl_check_main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "json", no_argument, NULL, 'j' },
		{ "set", required_argument, NULL, 's' },
		{ NULL, 0, NULL, 0 },
	};
	static struct conf_args ca;
	static struct conf cf;
	enum check_form form = CHECK_TEXT;
	struct plan_policy pp;
	char err[CONF_ERR_MAX];
	int c, error = 0, status;

	while (error == 0 &&
	    (c = getopt_long(argc, argv, "c:", options, NULL)) != -1)
		if (c == 'j')
			form = CHECK_JSON;
		else if (c == 's')
			error = conf_args_set(&ca, optarg, err, sizeof(err));
		else if (c == 'c')
			error = conf_args_file(&ca, optarg, err, sizeof(err));
		else
			return (ctl_usage("check"));
	if (error == 0 && optind < argc)
		return (ctl_usage("check"));
	if (error != 0 || conf_load(&cf, &ca, err, sizeof(err)) != 0)
		return (ctl_check_fail(err));
	plan_policy_set(&pp, &cf);
	status = check_print(&pp, form, stdout, stderr);
	conf_free(&cf);
	return (status);
}
