/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/*
 * `hv_vssctl run`: commands, hooks or a co-process as a participant in backups.
 *
 * Whatever freeze did, thaw runs after it exactly once (and once more if it
 * fails): after the host's THAW, after a failure, when the driver is gone or
 * does not answer, at SIGTERM; and, after SIGKILL, by its successor
 * (ctl_owed.h).  No device call is made here and no message written while
 * something may be frozen (ctl_dev.h, report.h), so that a stopped driver or a
 * frozen disk cannot keep the thaw command from running.
 */

#include <sys/socket.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "ctl.h"
#include "ctl_dev.h"
#include "ctl_owed.h"
#include "ctl_run_args.h"
#include "ctl_work.h"
#include "fdwait.h"
#include "os.h"
#include "relay.h"
#include "report.h"

/* An answer must be with the driver this long before its limit. */
#define MARGIN_MS     500
#define THAW_LIMIT_MS 10000
#define TERM_GRACE_MS 1000
#define THAW_TRIES    2
#define THAW_STARVED  60 /* where it could not be started */
#define THAW_AGAIN_MS 1000
#define PING_MS	      5000
#define PONG_MS	      10000
#define GOODBYE_MS    2000
#define QUEUE_MAX     4
#define LOOK_MS	      2000

struct run {
	struct ctl_work rn_work;
	struct hv_vss_hello rn_hello;
	const char *rn_device;
	uint64_t rn_timeout_ms; /* 0: not given */
	int rn_sock;		/* of the device's thread; -1: takes no part */
	uint64_t rn_look_ms;	/* when to look for hooks again */
	char rn_prog[2 * HV_VSS_NAME_MAX]; /* how messages begin */
	bool rn_stopping;
	int rn_status;

	struct ctl_dev_event rn_cur; /* the request under way */
	bool rn_internal;	     /* a thaw that nobody asked for */
	bool rn_superseded;	     /* it is being ended for another one */
	unsigned rn_tries;
	uint64_t rn_again_ms;	 /* when to start thaw again; 0: it is not */
	uint64_t rn_deadline_ms; /* of the work; 0: none */
	struct ctl_dev_event rn_queue[QUEUE_MAX];
	unsigned rn_nqueued;

	bool rn_owes;	/* freeze was begun, thaw has not ended */
	int rn_record;	/* of that, for a successor; -1: there is none */
	bool rn_held;	/* and freeze was answered with success */
	bool rn_broken; /* and that was taken back */
	bool rn_fails;	/* the THAW to come is to be answered so */
	char rn_broke[HV_VSS_REASON_MAX]; /* because of this */
	struct ctl_dev_event rn_hold;	  /* which request that was */
	uint64_t rn_rest_ms;		  /* since when */
	uint64_t rn_ping_ms;		  /* when to ask, if held */
	uint64_t rn_pong_ms;		  /* when the driver counts as hung */
};

static int signal_pipe[2];

static void
on_signal(int sig)
{
	unsigned char c = (unsigned char)sig;
	int saved = errno;

	(void)!write(signal_pipe[1], &c, 1);
	errno = saved;
}

static void
answer(
    struct run *rn, const struct ctl_dev_event *cd, bool ok, const char *reason)
{
	struct ctl_dev_answer ca = { .ca_gen = cd->cd_gen,
		.ca_op = cd->cd_op,
		.ca_id = cd->cd_id,
		.ca_status = ok ? VSS_SUCCESS : VSS_FAIL };

	if (!ok)
		snprintf(ca.ca_reason, sizeof(ca.ca_reason), "%s", reason);
	(void)send(rn->rn_sock, &ca, sizeof(ca), MSG_NOSIGNAL);
}

/*
 * The answer to THAW says whether the rest lasted until it came, and whether
 * thaw, also one that nobody had asked for, did it.  What is taken back after
 * the driver has queued THAW is not heard there.
 */
static void
answer_thaw(struct run *rn, const struct ctl_dev_event *cd)
{
	answer(rn, cd, !rn->rn_fails, rn->rn_fails ? rn->rn_broke : "");
	rn->rn_fails = false;
}

/* The success that freeze was answered with no longer holds. */
static void
take_back(struct run *rn, const char *reason)
{
	if (!rn->rn_held || rn->rn_broken)
		return;
	report(REPORT_NOTICE, "could not stay quiesced: %s", reason);
	rn->rn_broken = rn->rn_fails = true;
	snprintf(rn->rn_broke, sizeof(rn->rn_broke), "%s", reason);
	answer(rn, &rn->rn_hold, false, reason);
}

/* How long the work for a notification may take; 0: as long as it likes. */
static uint64_t
limit_ms(const struct run *rn, const struct ctl_dev_event *cd)
{
	uint64_t limit = 0;

	if (cd->cd_op == HV_VSS_THAW && rn->rn_work.cw_hooks != NULL)
		return (0); /* Each has its own, and all are asked. */
	if (cd->cd_op == HV_VSS_THAW)
		limit = THAW_LIMIT_MS;
	else if (cd->cd_left_ms > MARGIN_MS)
		limit = cd->cd_left_ms - MARGIN_MS;
	else if (cd->cd_left_ms > 0)
		limit = cd->cd_left_ms;
	if (rn->rn_timeout_ms != 0 &&
	    (limit == 0 || rn->rn_timeout_ms < limit ||
		cd->cd_op == HV_VSS_THAW))
		limit = rn->rn_timeout_ms;
	return (limit);
}

static void
begin_work(struct run *rn)
{
	const struct ctl_dev_event *cd = &rn->rn_cur;
	uint64_t limit = limit_ms(rn, cd);

	rn->rn_deadline_ms = limit == 0 ? 0 : ctl_now_ms() + limit;
	ctl_work_begin(&rn->rn_work,
	    &(struct ctl_ask) { .aq_op = cd->cd_op,
		.aq_id = cd->cd_id,
		.aq_left_ms = limit,
		.aq_hold_ms = cd->cd_hold_ms });
}

static void
begin_thaw(struct run *rn, const struct ctl_dev_event *cd, bool internal)
{
	rn->rn_cur = *cd;
	rn->rn_cur.cd_op = HV_VSS_THAW;
	rn->rn_internal = internal;
	rn->rn_superseded = false;
	rn->rn_tries = 1;
	begin_work(rn);
}

/* Freeze begins, or thaw has ended. */
static void
set_owes(struct run *rn, bool owes)
{
	int error = ctl_owed_set(rn->rn_record, owes);

	if (error != 0)
		report(REPORT_WARNING,
		    "the record in " CTL_OWED_DIR ": %s; who starts after an "
		    "untimely end will not know whether to thaw",
		    strerror(error));
	rn->rn_owes = owes;
}

static void
begin(struct run *rn, const struct ctl_dev_event *cd)
{
	if (cd->cd_op == HV_VSS_THAW) {
		if (rn->rn_owes)
			begin_thaw(rn, cd, false);
		else
			answer_thaw(rn, cd);
		return;
	}
	if (!ctl_work_has(&rn->rn_work, cd->cd_op)) {
		answer(rn, cd, true, "");
		return;
	}
	rn->rn_cur = *cd;
	rn->rn_internal = false;
	rn->rn_superseded = false;
	if (cd->cd_op == HV_VSS_FREEZE) {
		rn->rn_fails = false;
		set_owes(rn, true);
	}
	begin_work(rn);
}

static void
supersede(struct run *rn, const char *why)
{
	uint64_t grace = ctl_now_ms() + TERM_GRACE_MS;

	if (rn->rn_cur.cd_op == HV_VSS_THAW)
		return;
	rn->rn_superseded = true;
	ctl_work_cancel(&rn->rn_work, why);
	if (rn->rn_work.cw_coprocess == NULL &&
	    (rn->rn_deadline_ms == 0 || grace < rn->rn_deadline_ms))
		rn->rn_deadline_ms = grace;
}

static void
enqueue(struct run *rn, const struct ctl_dev_event *cd)
{
	if (rn->rn_nqueued == QUEUE_MAX)
		answer(rn, cd, false, "too many requests at once");
	else
		rn->rn_queue[rn->rn_nqueued++] = *cd;
}

/* Freeze has ended: it holds now, or thaw follows at once. */
static void
freeze_done(struct run *rn, bool ok)
{
	struct ctl_work *cw = &rn->rn_work;

	if (ok && !rn->rn_superseded && !rn->rn_stopping) {
		rn->rn_held = true;
		rn->rn_broken = false;
		rn->rn_hold = rn->rn_cur;
		rn->rn_rest_ms = ctl_now_ms();
		rn->rn_ping_ms = rn->rn_rest_ms + PING_MS;
		rn->rn_pong_ms = 0;
		report_hold();
		answer(rn, &rn->rn_cur, true, "");
		return;
	}
	if (ok)
		snprintf(cw->cw_reason, sizeof(cw->cw_reason),
		    "freeze: another request overtook it");
	report(REPORT_NOTICE, "freeze refused: %s", cw->cw_reason);
	answer(rn, &rn->rn_cur, false, cw->cw_reason);
	begin_thaw(rn, &rn->rn_cur, true);
}

static void
thaw_done(struct run *rn, bool ok)
{
	struct ctl_work *cw = &rn->rn_work;
	uint64_t rest_ms;

	if (!ok &&
	    rn->rn_tries < (cw->cw_starved ? THAW_STARVED : THAW_TRIES)) {
		if (rn->rn_tries++ == 1)
			report(REPORT_NOTICE, "%s; thaw is run again",
			    cw->cw_reason);
		if (!cw->cw_starved) {
			begin_work(rn);
			return;
		}
		/* Nobody waits for what may take a minute. */
		if (!rn->rn_internal)
			answer(rn, &rn->rn_cur, false, cw->cw_reason);
		rn->rn_internal = true;
		rn->rn_again_ms = ctl_now_ms() + THAW_AGAIN_MS;
		return;
	}
	if (!ok) {
		rn->rn_fails = true;
		memcpy(rn->rn_broke, cw->cw_reason, sizeof(rn->rn_broke));
	}
	if (!rn->rn_internal)
		answer_thaw(rn, &rn->rn_cur);
	rest_ms = ctl_now_ms() - rn->rn_rest_ms;
	if (ok && rn->rn_held)
		report(REPORT_NOTICE, "was at rest for %ju.%03u s",
		    (uintmax_t)rest_ms / 1000, (unsigned)(rest_ms % 1000));
	rn->rn_owes = rn->rn_held = rn->rn_broken = false;
	if (ok) {
		set_owes(rn, false);
	} else {
		/* The record stays: a successor tries again. */
		report(REPORT_ERROR,
		    "thaw FAILED: %s; it may be at rest still: see to it by "
		    "hand",
		    cw->cw_reason);
		rn->rn_status = 1;
	}
	report_release();
}

static void
work_done(struct run *rn)
{
	struct ctl_work *cw = &rn->rn_work;
	bool ok = cw->cw_ok;

	rn->rn_deadline_ms = 0;
	switch (rn->rn_cur.cd_op) {
	case HV_VSS_FREEZE:
		freeze_done(rn, ok);
		break;
	case HV_VSS_THAW:
		thaw_done(rn, ok);
		break;
	default:
		if (!ok)
			report(REPORT_NOTICE, "%s refused: %s",
			    ctl_work_op_name(rn->rn_cur.cd_op), cw->cw_reason);
		answer(rn, &rn->rn_cur, ok, cw->cw_reason);
	}
}

/* Takes what the work has done, to the end of it. */
static void
work_events(struct run *rn)
{
	struct ctl_work *cw = &rn->rn_work;
	bool over;

	do {
		over = ctl_work_event(cw);
		if (cw->cw_lost) {
			cw->cw_lost = false;
			take_back(rn, cw->cw_lost_why);
		}
		if (over)
			work_done(rn);
	} while (over);
}

/*
 * What follows when nothing is under way: a thaw that is owed and will not be
 * asked for any more, or the next request.
 */
static void
next(struct run *rn)
{
	while (!rn->rn_work.cw_busy) {
		if (rn->rn_again_ms != 0) {
			if (ctl_now_ms() < rn->rn_again_ms)
				return;
			rn->rn_again_ms = 0;
			begin_work(rn);
		} else if (rn->rn_owes && (rn->rn_stopping || rn->rn_broken)) {
			begin_thaw(rn, &rn->rn_hold, true);
		} else if (rn->rn_nqueued > 0) {
			struct ctl_dev_event cd = rn->rn_queue[0];

			if (rn->rn_owes && cd.cd_op != HV_VSS_THAW) {
				/* The driver has forgotten: see to it first. */
				begin_thaw(rn, &rn->rn_hold, true);
				return;
			}
			rn->rn_nqueued--;
			memmove(rn->rn_queue, rn->rn_queue + 1,
			    rn->rn_nqueued * sizeof(rn->rn_queue[0]));
			begin(rn, &cd);
		} else {
			return;
		}
		work_events(rn);
	}
}

static void
device_gone(struct run *rn, int error)
{
	rn->rn_nqueued = 0;
	if (rn->rn_work.cw_busy)
		supersede(rn, "the driver is gone");
	if (rn->rn_held)
		rn->rn_broken = true;
	/* Its successor knows of no rest. */
	rn->rn_fails = false;
	report(REPORT_NOTICE, "%s: %s; waiting for the driver", rn->rn_device,
	    strerror(error));
}

static void
device_event(struct run *rn, const struct ctl_dev_event *cd)
{
	switch (cd->cd_kind) {
	case CTL_DEV_WAITING:
		report(REPORT_NOTICE, "%s: %s; waiting for it%s", rn->rn_device,
		    strerror(cd->cd_error),
		    cd->cd_error == ENOENT ? " (is hv_vss_driver running?)" :
					     "");
		break;
	case CTL_DEV_FATAL:
		report(REPORT_NOTICE,
		    "%s: %s; run it as root, or as a member of the "
		    "device's group",
		    rn->rn_device, strerror(cd->cd_error));
		rn->rn_status = 1;
		rn->rn_stopping = true;
		break;
	case CTL_DEV_OPENED:
		report(REPORT_NOTICE, "takes part through %s%s", rn->rn_device,
		    cd->cd_ext ? "" : " (no name, level or prepare there)");
		break;
	case CTL_DEV_GONE:
		device_gone(rn, cd->cd_error);
		break;
	case CTL_DEV_NOTIFY:
		if (rn->rn_work.cw_busy)
			supersede(rn, "another request overtook it");
		enqueue(rn, cd);
		break;
	case CTL_DEV_PONG:
		rn->rn_pong_ms = 0;
		rn->rn_ping_ms = ctl_now_ms() + PING_MS;
		break;
	}
}

static void
stop(struct run *rn, const char *why)
{
	if (rn->rn_stopping)
		return;
	rn->rn_stopping = true;
	take_back(rn, why);
	if (rn->rn_work.cw_busy)
		supersede(rn, why);
}

static void
read_signals(struct run *rn)
{
	unsigned char c;

	while (read(signal_pipe[0], &c, 1) == 1) {
		if (c != SIGCHLD)
			stop(rn, "hv_vssctl was told to stop");
	}
}

/* What the clock asks for; gives the time until the next such moment. */
static int
timers(struct run *rn)
{
	static const struct ctl_dev_answer ping = { .ca_ping = true };
	uint64_t now = ctl_now_ms(), when = ctl_work_when(&rn->rn_work);

	if (!rn->rn_work.cw_busy && !rn->rn_owes)
		when = rn->rn_look_ms;
	if (rn->rn_again_ms != 0)
		when = rn->rn_again_ms;
	if (rn->rn_work.cw_busy && rn->rn_deadline_ms != 0) {
		if (now >= rn->rn_deadline_ms) {
			ctl_work_kill(&rn->rn_work, "not done in time");
			rn->rn_deadline_ms = 0;
			when = ctl_work_when(&rn->rn_work);
		} else if (rn->rn_deadline_ms < when) {
			when = rn->rn_deadline_ms;
		}
	}
	if (rn->rn_held && !rn->rn_broken) {
		if (rn->rn_pong_ms != 0 && now >= rn->rn_pong_ms) {
			take_back(rn, "the driver did not answer any more");
			return (0);
		}
		if (rn->rn_pong_ms == 0 && now >= rn->rn_ping_ms) {
			(void)send(
			    rn->rn_sock, &ping, sizeof(ping), MSG_NOSIGNAL);
			rn->rn_pong_ms = now + PONG_MS;
		}
		if (rn->rn_pong_ms != 0 && rn->rn_pong_ms < when)
			when = rn->rn_pong_ms;
		else if (rn->rn_pong_ms == 0 && rn->rn_ping_ms < when)
			when = rn->rn_ping_ms;
	}
	return (when == CTL_NEVER ? -1 : when <= now ? 0 : (int)(when - now));
}

/* The thread passes the last answers on and closes the device; not for ever. */
static void
goodbye(struct run *rn)
{
	struct pollfd pfd = { .fd = rn->rn_sock, .events = POLLIN };
	uint64_t until = ctl_now_ms() + GOODBYE_MS;
	struct ctl_dev_event cd;
	ssize_t n = 1;

	if (rn->rn_sock < 0)
		return;
	shutdown(rn->rn_sock, SHUT_WR);
	while (n != 0 && ctl_now_ms() < until) {
		(void)poll(&pfd, 1, 100);
		n = recv(rn->rn_sock, &cd, sizeof(cd), 0);
	}
	close(rn->rn_sock);
	rn->rn_sock = -1;
}

/* Takes part as long as there is anything to do it with. */
static void
look(struct run *rn)
{
	int error = 0;

	if (rn->rn_work.cw_busy || rn->rn_owes || rn->rn_nqueued > 0 ||
	    rn->rn_stopping || ctl_now_ms() < rn->rn_look_ms)
		return;
	rn->rn_look_ms = rn->rn_work.cw_hooks == NULL ? CTL_NEVER :
							ctl_now_ms() + LOOK_MS;
	if (!ctl_work_look(&rn->rn_work))
		goodbye(rn);
	else if (rn->rn_sock < 0)
		error = ctl_dev_start(
		    rn->rn_device, &rn->rn_hello, &rn->rn_sock);
	if (error == 0)
		return;
	report(REPORT_ERROR, "cannot start: %s", strerror(error));
	rn->rn_status = 1;
	rn->rn_stopping = true;
}

static void
serve(struct run *rn)
{
	struct pollfd fds[2 + CTL_WORK_FDS] = {
		{ .fd = signal_pipe[0], .events = POLLIN },
		{ .events = POLLIN },
	};
	struct ctl_work *cw = &rn->rn_work;
	struct ctl_dev_event cd;

	while (!rn->rn_stopping || cw->cw_busy || rn->rn_owes) {
		size_t n = 2 + ctl_work_polls(cw, fds + 2);

		fds[1].fd = rn->rn_sock;
		(void)fdwait(fds, (nfds_t)n, timers(rn));
		read_signals(rn);
		while (!rn->rn_stopping &&
		    recv(rn->rn_sock, &cd, sizeof(cd), 0) ==
			(ssize_t)sizeof(cd))
			device_event(rn, &cd);
		work_events(rn);
		next(rn);
		look(rn);
	}
}

static int
prepare_process(void)
{
	static const int ends[] = { SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGCHLD };
	struct sigaction sa = { .sa_handler = on_signal };

	/* A core would be written to a disk that may be frozen. */
	os_no_trace();
	if (pipe2(signal_pipe, O_CLOEXEC | O_NONBLOCK) != 0)
		return (errno);
	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
		if (sigaction(ends[i], &sa, NULL) != 0)
			return (errno);
	}
	sa.sa_handler = SIG_IGN;
	return (sigaction(SIGPIPE, &sa, NULL) != 0 ? errno : 0);
}

/* What the command line says becomes the work; 0, or -1 after a message. */
static int
set_up(struct run *rn, int argc, char **argv)
{
	static struct ctl_run_args args;
	static struct ctl_hookdir hooks;
	static struct conf conf;
	struct ctl_work *cw = &rn->rn_work;
	char err[CONF_ERR_MAX];
	int error;

	error = ctl_run_args(&args, argc, argv, err, sizeof(err));
	if (error == 0 && args.ra_hooks != NULL)
		error = conf_load(&conf, &args.ra_conf, err, sizeof(err));
	if (error > 0)
		report(REPORT_ERROR, "run: %s", err);
	if (error != 0) {
		report(REPORT_ERROR,
		    "run: `hv_vssctl run --help' lists the "
		    "options");
		return (-1);
	}
	rn->rn_hello = args.ra_hello;
	rn->rn_device = args.ra_device;
	rn->rn_timeout_ms = args.ra_timeout_ms;
	hooks.hd_path = args.ra_hooks;
	hooks.hd_conf = &conf;
	cw->cw_hooks = args.ra_hooks != NULL ? &hooks : NULL;
	cw->cw_vmware = args.ra_vmware;
	cw->cw_coprocess = args.ra_coprocess;
	memcpy(cw->cw_cmds, args.ra_cmds, sizeof(cw->cw_cmds));
	cw->cw_name = rn->rn_hello.hh_name;
	cw->cw_level = rn->rn_hello.hh_level;
	if (ctl_work_has(cw, HV_VSS_PREPARE))
		rn->rn_hello.hh_flags |= HV_VSS_WANT_PREPARE;
	return (0);
}

/* Finds out whether a predecessor of that name was killed while at rest. */
static void
take_over(struct run *rn)
{
	char path[CTL_OWED_PATH];
	const char *device = strcmp(rn->rn_device, VSS_DEV(APP_VSS_DEV_NAME)) ==
		0 ?
	    "" :
	    rn->rn_device;
	bool owed = false;
	int error = ENAMETOOLONG;

	rn->rn_record = -1;
	if (ctl_owed_path(
		path, CTL_OWED_DIR, rn->rn_hello.hh_name, device, sizeof(path)))
		error = ctl_owed_open(path, &rn->rn_record, &owed);
	if (error == EWOULDBLOCK)
		report(REPORT_WARNING,
		    "another hv_vssctl run has this name; give each its own "
		    "(--name)");
	else if (error != 0 && rn->rn_work.cw_coprocess == NULL)
		report(REPORT_WARNING,
		    "%s: %s; if this is killed while at rest, nobody will thaw",
		    path, strerror(error));
	if (!owed)
		return;
	report(REPORT_NOTICE,
	    "its predecessor was killed while at rest: thaw is run");
	ctl_work_recover(&rn->rn_work);
	rn->rn_owes = true;
	begin_thaw(rn, &rn->rn_hold, true);
	/* There may be nothing to wait for. */
	work_events(rn);
}

int
ctl_run_main(int argc, char **argv)
{
	static struct run run;
	struct run *rn = &run;
	int error;

	/* What is opened must not become somebody's standard output. */
	if (report_own_files() != 0)
		return (1);
	report_init("hv_vssctl", REPORT_NOTICE);
	if (set_up(rn, argc, argv) != 0)
		return (1);
	snprintf(rn->rn_prog, sizeof(rn->rn_prog), "hv_vssctl: %.31s",
	    rn->rn_hello.hh_name);
	report_init(rn->rn_prog, REPORT_NOTICE);

	relay_begin();
	error = prepare_process();
	if (error == 0)
		error = ctl_work_start(&rn->rn_work);
	if (error != 0) {
		report(REPORT_ERROR, "cannot start: %s", strerror(error));
		ctl_work_stop(&rn->rn_work);
		relay_end();
		return (1);
	}
	rn->rn_sock = -1;
	look(rn);
	take_over(rn);
	serve(rn);
	report_release();
	goodbye(rn);
	ctl_work_stop(&rn->rn_work);
	relay_end();
	return (rn->rn_status);
}
