/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/*
 * hv_vssctl check: whether a backup would work now, and if not, why.  The plan
 * is hv_vss_daemon's own, made anew with its configuration file; the driver is
 * asked how it is; nothing is touched.
 */

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "check.h"
#include "ctl.h"
#include "ctl_health.h"
#include "ctl_hookdir.h"
#include "ctl_view.h"

struct ctl_check {
	struct ctl_view cc_view;
	const char *cc_hooks;
};

static int
check_json(const struct health *he, const struct plan_policy *pp)
{
	int status;

	printf("{\"items\":");
	health_json(he, stdout);
	printf(",\n\"plan\":");
	status = check_print(pp, CHECK_JSON, stdout, stderr);
	if (he->he_count[HEALTH_FAILS] > 0)
		status = 1;
	printf(",\"works\":%s}\n", status == 0 ? "true" : "false");
	return (status);
}

static int
check_text(const struct health *he, const struct plan_policy *pp)
{
	size_t fails = he->he_count[HEALTH_FAILS];
	int status;

	health_text(he, stdout);
	printf("\n");
	status = check_print(pp, CHECK_LINES, stdout, stderr);
	if (fails > 0) {
		ctl_colour(stdout, CTL_BAD, "A backup would fail now");
		printf(": see what FAILS above.\n");
	} else if (status == 0) {
		ctl_colour(stdout, CTL_GOOD, "A backup would work now");
		printf(", %s consistent.\n",
		    he->he_napps > 0 ? "application" : "file-system");
	}
	return (fails > 0 ? 1 : status);
}

static int
check_run(struct ctl_check *cc)
{
	struct ctl_view *vw = &cc->cc_view;
	struct plan_policy pp;
	struct health he;
	int status;

	plan_policy_set(&pp, &vw->vw_conf);
	health_look(&he, &vw->vw_conf, cc->cc_hooks);
	status = vw->vw_json ? check_json(&he, &pp) : check_text(&he, &pp);
	if (he.he_nomem)
		status = 1;
	health_free(&he);
	conf_free(&vw->vw_conf);
	return (ctl_view_end(status));
}

/* That of the default need not be there; one that was named must. */
static bool
check_hooks(struct ctl_check *cc, const char *dir)
{
	cc->cc_hooks = dir;
	return (access(dir, F_OK) == 0 ||
	    ctl_view_refuse(&cc->cc_view, "--hooks", dir, strerror(errno)));
}

int
ctl_check_main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "hooks", required_argument, NULL, 'H' }, CTL_VIEW_LONGS
	};
	static struct ctl_check cc = { .cc_hooks = CTL_HOOKS_DIR };
	struct ctl_view *vw = &cc.cc_view;
	bool ok = true;
	int c;

	while (ok && (c = getopt_long(argc, argv, "c:", options, NULL)) != -1)
		if (c == 'H')
			ok = check_hooks(&cc, optarg);
		else
			ok = ctl_view_option(vw, c, optarg);
	if (!ok || optind < argc)
		return (
		    ctl_view_misused(vw, "check", ok ? argv[optind] : NULL));
	if (!ctl_view_load(vw))
		return (ctl_view_fail(vw));
	return (check_run(&cc));
}
