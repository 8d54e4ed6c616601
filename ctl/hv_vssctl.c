/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/* hv_vssctl(8): finds the command in a table and hands over to it. */

#include <stdio.h>
#include <string.h>

#include "ctl.h"
#include "ctl_hookdir.h"
#include "ctl_run_args.h"
#include "ctl_view.h"
#include "version.h"

#define CTL_LOOK "[--json] [-c CONF] [--set KEY=VALUE]..."

/* clang-format off */
#define CTL_LOOK_HELP \
	"  --json             as JSON\n" \
	"  -c CONF            another file of settings than " CONF_FILE "\n" \
	"  --set KEY=VALUE    a setting of hv_vss.conf(5); wins over the file\n"

static const struct ctl_cmd commands[] = {
	{ "check", "[--hooks DIR] [--json] [-c CONF]\n"
	    "           [--set KEY=VALUE]...",
	    "Says whether a backup would work now, and if not, what to do.\n"
	    "Touches nothing.\n\n"
	    "  --hooks DIR        where hooks are (" CTL_HOOKS_DIR ")\n"
	    CTL_LOOK_HELP "\n"
	    "Status: 0 it would work, 1 not.\n", ctl_check_main },
	{ "run",
	    "[--name NAME] [--level N] [--device PATH]\n"
	    "           [--timeout SECONDS] [--check CMD] [--prepare CMD]\n"
	    "           --freeze CMD --thaw CMD\n"
	    "       hv_vssctl run [--name NAME] [--level N] [--device PATH]\n"
	    "           [--timeout SECONDS] --coprocess CMD\n"
	    "       hv_vssctl run [--name NAME] [--level N] [--device PATH]\n"
	    "           [--vmware] [-c CONF] [--set KEY=VALUE]... --hooks [DIR]",
	    ctl_run_help, ctl_run_main },
	{ "status", CTL_LOOK,
	    "Asks the driver how it is, and what came of the last backup.\n\n"
	    CTL_LOOK_HELP "\n"
	    "Status: 0 all is well, 2 something needs you, 1 the driver could "
	    "not be asked.\n", ctl_status_main },
	{ "history",
	    "[-v] [-n N] [--failed] [--json] [-c CONF]\n"
	    "           [--set KEY=VALUE]... [ID]",
	    "Shows the last checkpoints, or all of one.\n\n"
	    "  -v                 who took part, how long each step took\n"
	    "  -n N               how many (20)\n"
	    "  --failed           only those that did not succeed\n"
	    CTL_LOOK_HELP "\n"
	    "Status: 0, or 1 if it could not be read or there is no such.\n",
	    ctl_history_main },
	{ "timeline",
	    "[--svg FILE] [--json] [-c CONF] [--set KEY=VALUE]...\n"
	    "           [ID | last]",
	    "Draws a checkpoint as a chart, the last if none is named.\n\n"
	    "  --svg FILE         as a picture (-: to standard output)\n"
	    CTL_LOOK_HELP "\n"
	    "Status: 0, or 1 if it could not be read or there is no such.\n",
	    ctl_timeline_main },
	{ "test", "[--hold SECONDS] [-y] [--json] [-c CONF]\n"
	    "           [--set KEY=VALUE]...",
	    "Brings applications and file systems to rest, as a backup does,\n"
	    "and lets them go.  Ctrl-C ends it at once.\n\n"
	    "  --hold SECONDS     how long they stay so, 0 to 10 (0)\n"
	    "  -y, --yes          do not ask first\n"
	    CTL_LOOK_HELP "\n"
	    "Status: 0 it succeeded, 2 it failed, 3 it was called off, 1 it did "
	    "not begin.\n", ctl_test_main },
	{ "thaw", "[--force] " CTL_LOOK,
	    "For emergencies: thaws what the record says is frozen.  A backup "
	    "that is under\nway fails by it.\n\n"
	    "  --force            every local file system, whoever froze it\n"
	    CTL_LOOK_HELP "\n"
	    "Status: 0 nothing is frozen any more, 1 something may be.\n",
	    ctl_thaw_main },
};
/* clang-format on */

#define NCOMMANDS (sizeof(commands) / sizeof(commands[0]))

/* How a command is used, or all (NULL). */
static void
print_usage(FILE *fp, const char *name)
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

static bool
is_help(const char *word)
{
	return (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0);
}

/* argv[0] is the command; what getopt complains of is to name both. */
static int
run_command(const struct ctl_cmd *cc, int argc, char **argv)
{
	static char who[64];

	if (argc == 2 && is_help(argv[1])) {
		print_usage(stdout, cc->cc_name);
		printf("\n%s", cc->cc_help);
		return (ctl_view_end(0));
	}
	(void)snprintf(who, sizeof(who), "hv_vssctl: %s", cc->cc_name);
	argv[0] = who;
	return (cc->cc_main(argc, argv));
}

int
main(int argc, char **argv)
{
	if (argc < 2) {
		print_usage(stderr, NULL);
		return (1);
	}
	for (size_t i = 0; i < NCOMMANDS; i++) {
		if (strcmp(argv[1], commands[i].cc_name) == 0)
			return (run_command(&commands[i], argc - 1, argv + 1));
	}
	if (strcmp(argv[1], "--version") == 0) {
		printf("hv_vssctl %s\n", HV_VSS_VERSION);
		return (ctl_view_end(0));
	}
	if (is_help(argv[1]) || strcmp(argv[1], "help") == 0) {
		print_usage(stdout, NULL);
		printf("\n`hv_vssctl COMMAND --help' says more of one; "
		       "hv_vssctl(8) has all of it.\n");
		return (ctl_view_end(0));
	}
	(void)fprintf(stderr,
	    "hv_vssctl: %s: no such command; `hv_vssctl --help' lists them\n",
	    argv[1]);
	return (1);
}
