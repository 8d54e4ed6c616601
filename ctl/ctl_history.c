/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/*
 * hv_vssctl history: the checkpoints that the daemon has written down, and of
 * one of them who took part and how long each step took.
 */

#include "history.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "ctl.h"
#include "ctl_view.h"

#define HISTORY_SHOWN 20 /* if not told otherwise */

struct ctl_history {
	struct ctl_view ch_view;
	uint64_t ch_id;	    /* only this one; 0: not given */
	uint64_t ch_skip;   /* of those that fit, the first are not shown */
	uint64_t ch_count;  /* how many fit */
	uint64_t ch_wanted; /* the last so many */
	bool ch_failed;	    /* only those that did not succeed */
	bool ch_verbose;
	bool ch_header; /* was printed */
};

static bool
history_fits(const struct ctl_history *ch, const struct ckpt *ck)
{
	if (ch->ch_id != 0)
		return (ck->ck_id == ch->ch_id);
	return (!ch->ch_failed || ck->ck_outcome == CKPT_FAILED ||
	    ck->ck_outcome == CKPT_LOST);
}

static bool
history_count(void *arg, struct ckpt *ck, const char *line)
{
	struct ctl_history *ch = arg;

	(void)line;
	ch->ch_count += history_fits(ch, ck);
	return (true);
}

/* "12.3 ms", with what came of it unless that is success. */
static void
history_span(
    const struct ckpt *ck, const char *what, const struct ckpt_span *cp)
{
	char at[CTL_TIME_MAX], took[CTL_TIME_MAX];

	if (cp->cp_begin_ns == 0)
		return;
	ctl_duration(cp->cp_begin_ns - ck->ck_begin_ns, at);
	if (cp->cp_end_ns < cp->cp_begin_ns)
		(void)snprintf(took, sizeof(took), "?");
	else
		ctl_duration(cp->cp_end_ns - cp->cp_begin_ns, took);
	printf("      %-8s at %10s  took %10s", what, at, took);
	if (cp->cp_result != CKPT_R_OK && cp->cp_result != CKPT_R_NONE)
		ctl_colour(
		    stdout, CTL_BAD, "  %s", ckpt_result_name(cp->cp_result));
	printf("\n");
}

static void
history_client(const struct ckpt *ck, const struct ckpt_client *cc)
{
	if (cc->cc_daemon)
		printf("    freeze daemon (pid %llu)\n",
		    (unsigned long long)cc->cc_pid);
	else
		printf("    %s, level %u (pid %llu)%s\n", cc->cc_name,
		    cc->cc_level, (unsigned long long)cc->cc_pid,
		    cc->cc_stale ? ", not waited for" : "");
	for (uint32_t op = 0; op < CKPT_NOPS; op++)
		history_span(ck, ckpt_op_name(op), &cc->cc_spans[op]);
}

static void
history_fs(const struct ckpt *ck, const struct ckpt_fs *cf)
{
	printf("    %s (%s)%s\n", cf->cf_point, cf->cf_type,
	    cf->cf_frozen ? "" : ", flushed only");
	for (uint32_t step = 0; step < CKPT_FS_NSTEPS; step++)
		history_span(ck, ckpt_fs_step_name(step), &cf->cf_spans[step]);
	if (cf->cf_errno != 0)
		ctl_colour(stdout, CTL_BAD, "      %s: %s\n",
		    ckpt_fs_step_name(cf->cf_failed), strerror(cf->cf_errno));
}

static void
history_details(const struct ckpt *ck)
{
	printf("  the %s asked\n", ck->ck_test ? "test" : "host");
	for (uint32_t op = 0; op < CKPT_NOPS; op++)
		history_span(ck, ckpt_op_name(op), &ck->ck_asked[op]);
	if (ck->ck_ndisks != 0)
		printf("  the host named %u disk(s): %s%s\n", ck->ck_ndisks,
		    ck->ck_disks,
		    ck->ck_by_disk ? "; what is on others was left alone" : "");
	printf("  clients\n");
	for (uint32_t i = 0; i < ck->ck_nclients; i++)
		history_client(ck, &ck->ck_clients[i]);
	if (ck->ck_nleft != 0)
		printf("    and %u more\n", ck->ck_nleft);
	if (ck->ck_fs_left != 0)
		printf("  file systems: %u, too many to be told\n",
		    ck->ck_fs_left);
	if (ck->ck_nfs == 0)
		return;
	printf("  file systems\n");
	for (uint32_t i = 0; i < ck->ck_nfs; i++)
		history_fs(ck, &ck->ck_fs[i]);
}

static void
history_row(struct ctl_history *ch, const struct ckpt *ck)
{
	char when[CTL_TIME_MAX], stall[CTL_TIME_MAX], hold[CTL_TIME_MAX];
	char why[CKPT_REASON_MAX];

	if (!ch->ch_header)
		ctl_colour(stdout, CTL_BOLD,
		    "%6s  %-19s  %-7s  %-11s  %9s  "
		    "%9s  %4s  %4s\n",
		    "id", "when", "outcome", "consistent", "stall", "hold",
		    "apps", "fs");
	ch->ch_header = true;
	ctl_when(ck->ck_wall_ms, when);
	ctl_duration(ckpt_stall_ns(ck), stall);
	ctl_duration(ckpt_hold_ns(ck), hold);
	printf("%6llu  %-19s  ", (unsigned long long)ck->ck_id, when);
	ctl_outcome(stdout, ck, 7);
	printf("  %-11s  %9s  %9s  %4u  %4u%s\n", ctl_consistency(ck), stall,
	    hold, ck->ck_napps, ck->ck_nfs, ck->ck_test ? "  test" : "");
	if (ck->ck_why.er_cause != VSS_ENGINE_CAUSE_NONE) {
		ckpt_reason(&ck->ck_why, why, sizeof(why));
		printf("        %s\n", why);
	}
}

static bool
history_show(void *arg, struct ckpt *ck, const char *line)
{
	struct ctl_history *ch = arg;

	if (!history_fits(ch, ck))
		return (true);
	if (ch->ch_skip > 0) {
		ch->ch_skip--;
		return (true);
	}
	if (ch->ch_view.vw_json) {
		printf("%s\n", line);
		return (true);
	}
	history_row(ch, ck);
	if (ch->ch_verbose)
		history_details(ck);
	return (true);
}

static int
history_all(struct ctl_history *ch)
{
	struct ctl_view *vw = &ch->ch_view;
	const char *dir = vw->vw_conf.cf_state_dir;
	size_t torn;

	if (history_read(dir, history_count, ch, &torn, vw->vw_err,
		sizeof(vw->vw_err)) != 0)
		return (ctl_view_fail(vw));
	if (ch->ch_count > ch->ch_wanted)
		ch->ch_skip = ch->ch_count - ch->ch_wanted;
	if (history_read(dir, history_show, ch, &torn, vw->vw_err,
		sizeof(vw->vw_err)) != 0)
		return (ctl_view_fail(vw));
	if (torn > 0)
		(void)fprintf(stderr,
		    "hv_vssctl: %zu lines of %s/" HISTORY_FILE
		    " are not whole (a crash), left out\n",
		    torn, dir);
	if (ch->ch_id != 0 && ch->ch_count == 0) {
		(void)fprintf(stderr,
		    "hv_vssctl: %llu: no such checkpoint; `hv_vssctl history' "
		    "lists them\n",
		    (unsigned long long)ch->ch_id);
		return (1);
	}
	if (ch->ch_count == 0 && !vw->vw_json)
		printf("no checkpoints%s in %s\n",
		    ch->ch_failed ? " that failed" : "", dir);
	return (ctl_view_end(0));
}

bool
ctl_number(const char *text, uint64_t *n)
{
	char *end;

	errno = 0;
	*n = strtoull(text, &end, 10);
	return (*text >= '0' && *text <= '9' && *end == '\0' && *n != 0 &&
	    errno == 0);
}

int
ctl_history_main(int argc, char **argv)
{
	static const struct option options[] = { { "failed", no_argument, NULL,
						     'f' },
		{ "verbose", no_argument, NULL, 'v' }, CTL_VIEW_LONGS };
	static struct ctl_history ch = { .ch_wanted = HISTORY_SHOWN };
	struct ctl_view *vw = &ch.ch_view;
	bool ok = true;
	int c;

	while (
	    ok && (c = getopt_long(argc, argv, "c:n:v", options, NULL)) != -1)
		if (c == 'f')
			ch.ch_failed = true;
		else if (c == 'v')
			ch.ch_verbose = true;
		else if (c == 'n')
			ok = ctl_number(optarg, &ch.ch_wanted) ||
			    ctl_view_refuse(
				vw, "-n", optarg, "a number from 1 on");
		else
			ok = ctl_view_option(vw, c, optarg);
	if (ok && optind + 1 == argc) {
		ok = ctl_number(argv[optind], &ch.ch_id) ||
		    ctl_view_refuse(
			vw, "", argv[optind], "a checkpoint's number");
		ch.ch_verbose = true;
		optind++;
	}
	if (!ok || optind < argc)
		return (
		    ctl_view_misused(vw, "history", ok ? argv[optind] : NULL));
	if (!ctl_view_load(vw))
		return (ctl_view_fail(vw));
	c = history_all(&ch);
	conf_free(&vw->vw_conf);
	return (c);
}
