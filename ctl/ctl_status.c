/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/*
 * hv_vssctl status: how the driver is, who takes part, and what came of the
 * last checkpoint.  Everything is asked of the driver, which answers also while
 * anything is frozen; nothing is touched.
 */

#include <string.h>

#include "ctl.h"
#include "ctl_view.h"

#define STATUS_WRONG 2 /* exit status: something needs the administrator */

struct ctl_status {
	const struct json_value *cs_doc;
	bool cs_wrong;
};

static void
status_key(const char *key)
{
	ctl_colour(stdout, CTL_BOLD, "%-17s", key);
}

static void
status_bad(struct ctl_status *cs, const char *text, const char *remedy)
{
	ctl_colour(stdout, CTL_BAD, "%s", text);
	printf("; %s\n", remedy);
	cs->cs_wrong = true;
}

static void
status_driver(struct ctl_status *cs)
{
	const struct json_value *doc = cs->cs_doc;
	char version[32], since[CTL_TIME_MAX];

	status_key("Driver");
	if (json_get(doc, "pid") == NULL) {
		printf("the kernel's module\n");
		return;
	}
	json_copy(json_get(doc, "version"), version, sizeof(version));
	ctl_when(json_whole(json_get(doc, "run")), since);
	printf("version %s, pid %llu, since %s\n", version,
	    (unsigned long long)json_whole(json_get(doc, "pid")), since);
}

static void
status_host(struct ctl_status *cs)
{
	const struct json_value *host = json_get(cs->cs_doc, "host");
	char transport[256], framework[16], message[16];

	json_copy(json_get(host, "transport"), transport, sizeof(transport));
	json_copy(json_get(host, "framework"), framework, sizeof(framework));
	json_copy(json_get(host, "message"), message, sizeof(message));
	status_key("Host");
	if (!json_true(json_get(host, "connected"))) {
		printf("%s: ", transport);
		status_bad(cs, "not connected",
		    "on Hyper-V, enable this machine's backup (volume shadow "
		    "copy) integration service");
		return;
	}
	ctl_colour(stdout, CTL_GOOD, "connected");
	printf(" through %s", transport);
	if (message[0] != '\0')
		printf(", framework %s, messages %s", framework, message);
	else if (strncmp(transport, "hv_utils", 8) != 0)
		printf(", no versions negotiated yet");
	printf("\n");
}

static void
status_state(struct ctl_status *cs)
{
	const struct json_value *doc = cs->cs_doc;
	char state[32], left[CTL_TIME_MAX];
	uint64_t ms = json_whole(json_get(doc, "time_left_ms"));

	json_copy(json_get(doc, "state"), state, sizeof(state));
	status_key("State");
	if (json_true(json_get(doc, "frozen")))
		ctl_colour(stdout, CTL_WARN, "%s, frozen", state);
	else
		printf("%s", state);
	ctl_duration(ms * VSS_NS_PER_MS, left);
	if (ms != 0)
		printf(", at most %s more", left);
	printf("\n");
	if (!json_true(json_get(doc, "lost")))
		return;
	status_key("");
	status_bad(cs, "the last hold was lost",
	    "the copy that was made meanwhile is not to be trusted");
}

static void
status_client(struct ctl_status *cs, const struct json_value *cl)
{
	char name[64], command[64], asked[16];

	json_copy(json_get(cl, "name"), name, sizeof(name));
	json_copy(json_get(cl, "command"), command, sizeof(command));
	json_copy(json_get(cl, "asked"), asked, sizeof(asked));
	printf("  %-24s level %-2u  %s (pid %llu)  ", name,
	    (unsigned)json_whole(json_get(cl, "level")), command,
	    (unsigned long long)json_whole(json_get(cl, "pid")));
	if (json_true(json_get(cl, "stale")))
		status_bad(cs, "silent twice, not waited for",
		    "backups are file-system consistent only; see that it runs");
	else if (asked[0] != '\0')
		ctl_colour(stdout, CTL_WARN, "being asked to %s\n", asked);
	else if (!json_true(json_get(cl, "takes_part")))
		printf("does not take part yet\n");
	else
		printf("takes part\n");
}

static void
status_clients(struct ctl_status *cs)
{
	const struct json_value *list = json_get(cs->cs_doc, "clients");
	const struct json_value *cl;
	uint64_t napps = 0, nstale = 0;

	status_key("Freeze daemon");
	if (!json_true(json_get(cs->cs_doc, "daemon")))
		status_bad(cs, "none",
		    "start hv_vss_daemon: without it every "
		    "backup is refused");
	else if (list == NULL)
		printf("there\n");
	for (cl = json_first(list); cl != NULL; cl = json_next(list, cl))
		if (json_is(json_get(cl, "kind"), "daemon"))
			printf("pid %llu\n",
			    (unsigned long long)json_whole(
				json_get(cl, "pid")));
		else
			napps++;
	/* The kernel's module does not say who they are. */
	if (list == NULL) {
		napps = json_whole(json_get(cs->cs_doc, "applications"));
		nstale = json_whole(json_get(cs->cs_doc, "stale"));
	}
	status_key("Applications");
	printf("%llu%s\n", (unsigned long long)napps,
	    napps == 0 ? "; backups are file-system consistent" : "");
	if (nstale != 0) {
		printf("  %llu of them ", (unsigned long long)nstale);
		status_bad(cs, "silent twice, not waited for",
		    "backups are file-system consistent only; see that they "
		    "run");
	}
	for (cl = json_first(list); cl != NULL; cl = json_next(list, cl))
		if (!json_is(json_get(cl, "kind"), "daemon"))
			status_client(cs, cl);
}

/* The last of the host's, and the last test if it came after that. */
static void
status_last(struct ctl_status *cs)
{
	const struct json_value *list = json_get(cs->cs_doc, "checkpoints");
	const struct json_value *at, *host = NULL, *test = NULL;
	static struct ckpt ck;
	char why[256];

	if (list == NULL) {
		json_copy(json_get(cs->cs_doc, "failure"), why, sizeof(why));
		status_key("Last failure");
		printf("%s\n", why[0] == '\0' ? "none" : why);
		return;
	}
	for (at = json_first(list); at != NULL; at = json_next(list, at))
		if (json_true(json_get(at, "test")))
			test = at;
		else
			host = at;
	status_key("Last checkpoint");
	if (host == NULL || !ckpt_read(&ck, host))
		printf("none since the driver's start; see hv_vssctl "
		       "history\n");
	else {
		ctl_ckpt_line(stdout, &ck);
		cs->cs_wrong |= ck.ck_outcome == CKPT_FAILED ||
		    ck.ck_outcome == CKPT_LOST;
		ckpt_free(&ck);
	}
	if (test != NULL && (host == NULL || test > host) &&
	    ckpt_read(&ck, test)) {
		status_key("Last test");
		ctl_ckpt_line(stdout, &ck);
		ckpt_free(&ck);
	}
}

/* Whether anything needs the administrator. */
static bool
status_print(const struct json_value *doc)
{
	struct ctl_status cs = { .cs_doc = doc };

	status_driver(&cs);
	status_host(&cs);
	status_state(&cs);
	status_clients(&cs);
	status_last(&cs);
	return (cs.cs_wrong);
}

int
ctl_status_main(int argc, char **argv)
{
	static const struct option options[] = { CTL_VIEW_LONGS };
	static struct ctl_view vw;
	struct status_doc sd;
	int c, status = 0;
	bool ok = true;

	while (ok && (c = getopt_long(argc, argv, "c:", options, NULL)) != -1)
		ok = ctl_view_option(&vw, c, optarg);
	if (!ok || optind < argc)
		return (
		    ctl_view_misused(&vw, "status", ok ? argv[optind] : NULL));
	if (!ctl_view_load(&vw) ||
	    status_ask(
		&sd, vw.vw_conf.cf_run_dir, vw.vw_err, sizeof(vw.vw_err)) != 0)
		return (ctl_view_fail(&vw));
	if (vw.vw_json)
		(void)fwrite(sd.sd_text, 1, sd.sd_len, stdout);
	else if (status_print(sd.sd_json.jd_values))
		status = STATUS_WRONG;
	status_free(&sd);
	conf_free(&vw.vw_conf);
	return (ctl_view_end(status));
}
