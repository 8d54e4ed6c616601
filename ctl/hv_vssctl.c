/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/* hv_vssctl(8): finds the command in a table and hands over to it. */

#include <stdio.h>
#include <string.h>

#include "ctl.h"
#include "version.h"

#define CTL_LOOK "[--json] [-c CONF] [--set KEY=VALUE]..."

static const struct ctl_cmd commands[] = {
	{ "check", "[--hooks DIR] " CTL_LOOK, ctl_check_main },
	{ "run",
	    "[--name NAME] [--level N] [--device PATH]\n"
	    "           [--timeout SECONDS] [--check CMD] [--prepare CMD]\n"
	    "           --freeze CMD --thaw CMD\n"
	    "       hv_vssctl run [--name NAME] [--level N] [--device PATH]\n"
	    "           [--timeout SECONDS] --coprocess CMD\n"
	    "       hv_vssctl run [--name NAME] [--level N] [--device PATH]\n"
	    "           [--vmware] [-c CONF] [--set KEY=VALUE]... --hooks [DIR]",
	    ctl_run_main },
	{ "status", CTL_LOOK, ctl_status_main },
	{ "history", "[-v] [-n N] [--failed] " CTL_LOOK " [ID]",
	    ctl_history_main },
	{ "timeline", "[--svg FILE] " CTL_LOOK " [ID | last]",
	    ctl_timeline_main },
	{ "test", "[--hold SECONDS] [-y] " CTL_LOOK, ctl_test_main },
	{ "thaw", "[--force] " CTL_LOOK, ctl_thaw_main },
};

#define NCOMMANDS (sizeof(commands) / sizeof(commands[0]))

void
ctl_print_usage(FILE *fp, const char *name)
{
	const char *head = "usage:";

	for (size_t i = 0; i < NCOMMANDS; i++) {
		if (name != NULL && strcmp(name, commands[i].cc_name) != 0)
			continue;
		fprintf(fp, "%s hv_vssctl %s %s\n", head, commands[i].cc_name,
		    commands[i].cc_usage);
		head = "      ";
	}
}

int
ctl_usage(const char *name)
{
	ctl_print_usage(stderr, name);
	return (1);
}

int
main(int argc, char **argv)
{
	if (argc < 2)
		return (ctl_usage(NULL));
	for (size_t i = 0; i < NCOMMANDS; i++) {
		if (strcmp(argv[1], commands[i].cc_name) == 0)
			return (commands[i].cc_main(argc - 1, argv + 1));
	}
	if (strcmp(argv[1], "--version") == 0) {
		printf("hv_vssctl %s\n", HV_VSS_VERSION);
		return (0);
	}
	if (strcmp(argv[1], "-h") == 0 || strcmp(argv[1], "--help") == 0 ||
	    strcmp(argv[1], "help") == 0) {
		ctl_print_usage(stdout, NULL);
		return (0);
	}
	fprintf(stderr, "hv_vssctl: %s: no such command\n", argv[1]);
	return (ctl_usage(NULL));
}
