/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/*
 * Strikes every process of a backup at every step of it, in a FreeBSD machine
 * with a test build of the kernel module (LOOP=1): freeze daemon, worker,
 * guard, an application and the host, each alone, are killed and are stopped,
 * and the module is unloaded by force.  After each, every file system is
 * written to within its bound, while what was stopped still stands; the host
 * had the answers that the table says, the application a THAW for each FREEZE;
 * and the next backup works.  Prints TAP, and nothing while anything may be
 * frozen.  Run by `backups', which makes what it needs:
 *
 *	fsmatrix MODULE DAEMON FREEZER SERVER MOUNT...
 *
 * The first MOUNT lies on a disk that process SERVER serves, and stands still
 * when that is stopped.  In the environment, SCALE=3 makes limits three times
 * as long, for a slow machine; ONLY=stopped tries what has that in its name.
 */

#include <sys/param.h>

#include <sys/linker.h>
#include <sys/wait.h>

#include <err.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <dev/hyperv/hv_snapshot.h>

#include "fsmatrix.h"

#define SILENCE 2000 /* how long a worker may be silent, or an orphan */

/* Where the backup is when it strikes. */
enum step {
	IDLE,
	CHECKING,    /* the application has READ CHECK */
	QUIESCING,   /* it has READ FREEZE */
	HANGING,     /* a freeze waits for a disk */
	FROZEN,	     /* the host has its answer */
	THAW_UNREAD, /* the daemon has not READ THAW */
	THAWING,     /* it has, and the worker stands */
	RESUMING,    /* the application has READ THAW */
	NSTEPS
};

static const char *const step_names[NSTEPS] = { "idle", "checking", "quiescing",
	"hanging", "frozen", "thaw_unread", "thawing", "resuming" };

/*
 * The host's answers to CHECK, FREEZE and THAW, and to a THAW of another host
 * after that, which says whether the hold was LOST: o is success, f failure, -
 * none, as there was no host any more.
 */
static const char *const expected[2][NWHO][NSTEPS] = {
	{
	    { "ffoo", "ffoo", "ofoo", "ofoo", "ooff", "ooff", "ooff", "oooo" },
	    { "oooo", "oooo", "oooo", "ofoo", "ooff", "ooff", "oooo", "oooo" },
	    { "oooo", "oooo", "oooo", "ofoo", "ooff", "ooff", "oooo", "oooo" },
	    { "oooo", "fooo", "ofoo", "ofoo", "ooff", "ooff", "ooff", "oooo" },
	    { "---o", "---o", "o--o", "o--o", "oo-f", "oo-f", "oo-f", "oo-f" },
	    { "---o", "---o", "o--o", "o--o", "oo-o", "oo-o", "oo-o", "oo-o" },
	},
	{
	    { "ffoo", "ffoo", "ofoo", "offo", "ooff", "oofo", "oofo", "oooo" },
	    { "ofoo", "ofoo", "ofoo", "ofoo", "oooo", "oooo", "oooo", "oooo" },
	    { "ofoo", "ofoo", "ofoo", "ofoo", "oooo", "oooo", "oooo", "oooo" },
	    { "ffoo", "ffoo", "offo", "offo", "oofo", "oofo", "oofo", "oofo" },
	    { "oooo", "oooo", "ooff", "ofoo", "ooff", "oooo", "oooo", "oooo" },
	},
};

static const char *module_path;
static pid_t server_pid;

struct cell {
	enum who ce_who;
	enum step ce_step;
	bool ce_stops;
	pid_t ce_pid;
};

static bool
answered(int nth)
{
	return (
	    atomic_load(&board->bd_answers[nth]) != 0 || has_ended(host_pid));
}

/* What the application has READ at that step. */
static uint32_t
held_at(enum step step)
{
	return (step == CHECKING		     ? HV_VSS_CHECK :
		step == QUIESCING || step == HANGING ? HV_VSS_FREEZE :
		step == RESUMING		     ? HV_VSS_THAW :
						       HV_VSS_NONE);
}

static void
begin(enum step step)
{
	for (int i = 0; i < 4; i++)
		atomic_store(&board->bd_answers[i], 0);
	if (has_ended(daemon_pid))
		start_daemon();
	UNTIL(daemon_is_complete(), WAIT_MS);
	start_application(held_at(step));
	start_host();
	WRITABLE_WITHIN(0, 0);
}

static void
reach_hanging(void)
{
	pid_t worker = pid_of(WORKER);

	stop(server_pid);
	/* Its writer waits for the disk, and so will the freeze. */
	UNTIL(nothing_is_written(0, 1), WAIT_MS);
	tell(app_go);
	UNTIL(hangs(worker), WAIT_MS);
}

static void
reach_frozen(enum step step)
{
	UNTIL(answered(1), WAIT_MS);
	CHECK(atomic_load(&board->bd_answers[1]) == 'o');
	CHECK(nothing_is_written(0, nmounts));
	if (step == FROZEN)
		return;
	if (step == THAW_UNREAD)
		stop(daemon_pid);
	else if (step == THAWING)
		stop(pid_of(WORKER));
	tell(host_go);
	if (step == THAW_UNREAD)
		UNTIL(has_text("state", "FS_THAWING"), WAIT_MS);
	else if (step == THAWING)
		UNTIL(has_text("trace", " 3 ") && has_text("trace", " read "),
		    WAIT_MS);
	else
		UNTIL(atomic_load(&board->bd_held), WAIT_MS);
}

static void
reach(enum step step)
{
	if (step == IDLE)
		return;
	tell(host_go);
	if (step == CHECKING || step == QUIESCING || step == HANGING)
		UNTIL(atomic_load(&board->bd_held), WAIT_MS);
	if (step == HANGING)
		reach_hanging();
	else if (step >= FROZEN)
		reach_frozen(step);
}

/* One that is in a freeze stands, or ends, when that is over. */
static void
signal_it(struct cell *ce)
{
	ce->ce_pid = pid_of(ce->ce_who);
	CHECK(ce->ce_pid > 0);
	if (ce->ce_pid <= 0)
		return;
	CHECK(kill(ce->ce_pid, ce->ce_stops ? SIGSTOP : SIGKILL) == 0);
	if (ce->ce_who == WORKER && ce->ce_step == HANGING)
		return;
	if (ce->ce_stops)
		UNTIL(stands(ce->ce_pid), WAIT_MS);
	else
		UNTIL(has_ended(ce->ce_pid), WAIT_MS);
}

static void
strike(struct cell *ce)
{
	if (ce->ce_who != MODULE)
		signal_it(ce);
	else
		CHECK(kldunloadf(kldfind("hv_vss_guest.ko"),
			  LINKER_UNLOAD_FORCE) == 0);
	if (ce->ce_step == THAW_UNREAD && ce->ce_who != DAEMON)
		kill(daemon_pid, SIGCONT);
	if (ce->ce_step == IDLE)
		tell(host_go);
	if (ce->ce_step == CHECKING || ce->ce_step == QUIESCING ||
	    ce->ce_step == RESUMING)
		tell(app_go);
}

/* Until what is frozen must be writable, after the strike or the disk. */
static int
bound(const struct cell *ce)
{
	bool worker = ce->ce_who == WORKER;

	if (!ce->ce_stops)
		return (ce->ce_step == THAWING && !worker ? SILENCE : 0);
	if (ce->ce_step == RESUMING)
		return (0);
	if (ce->ce_who == DAEMON)
		return (LEASE_MS);
	if (ce->ce_step == HANGING)
		return (worker ? FS_MS + SILENCE : 0);
	if (ce->ce_who == HOST && ce->ce_step == FROZEN)
		return (HOLD_MS);
	return (ce->ce_step == THAWING || worker ? SILENCE : 0);
}

static void
check_writable(struct cell *ce)
{
	if (ce->ce_step == HANGING) {
		/* It is the first to be frozen, the others go on. */
		WRITABLE_WITHIN(1, 0);
		/* Until nobody waits for it any more. */
		UNTIL(!has_text("state", "FS_FREEZING"), WAIT_MS);
		kill(server_pid, SIGCONT);
		WRITABLE_WITHIN(0, bound(ce));
	} else if (ce->ce_step >= FROZEN)
		WRITABLE_WITHIN(0, bound(ce));
	else if (ce->ce_stops && ce->ce_who == HOST && ce->ce_step > CHECKING) {
		/* FREEZE goes on without it, until the hold has its time. */
		UNTIL(atomic_load(&board->bd_thaws) > 0, HOLD_MS + SLACK_MS);
		WRITABLE_WITHIN(0, 0);
	}
}

static void
finish(struct cell *ce)
{
	bool waited_for = ce->ce_stops && ce->ce_who == HOST;
	/* Frozen for as long as the host wants, in spite of the strike. */
	bool holds_on = ce->ce_stops && ce->ce_who != HOST &&
	    ce->ce_who != DAEMON;

	if (!waited_for && (ce->ce_step != FROZEN || holds_on)) {
		if (ce->ce_step == HANGING)
			check_writable(ce);
		UNTIL(answered(1), WAIT_MS);
		if (ce->ce_step < THAW_UNREAD)
			tell(host_go);
	}
	check_writable(ce);
	if (waited_for)
		kill(ce->ce_pid, SIGCONT);
	UNTIL(answered(1), WAIT_MS);
	if (waited_for || (ce->ce_step == FROZEN && !holds_on))
		tell(host_go);
	UNTIL(has_ended(host_pid), WAIT_MS);
	if (ce->ce_pid > 0)
		kill(ce->ce_pid, SIGCONT);
}

static void
restart(const struct cell *ce)
{
	if (ce->ce_who == MODULE) {
		CHECK(kldload(module_path) != -1);
		set_limits();
	} else if (ce->ce_who == DAEMON && !ce->ce_stops) {
		waitpid(daemon_pid, NULL, 0);
		start_daemon();
	}
	UNTIL(daemon_is_complete(), WAIT_MS);
}

/* The whole of it with nobody struck. */
static void
works(void)
{
	begin(IDLE);
	tell(host_go);
	UNTIL(answered(1), WAIT_MS);
	tell(host_go);
	UNTIL(has_ended(host_pid), WAIT_MS);
	CHECK(memcmp(board->bd_answers, "ooo", 3) == 0);
	WRITABLE_WITHIN(0, 0);
	end_child(&app_pid, &app_go);
	end_child(&host_pid, &host_go);
}

static void
run(struct cell *ce)
{
	const char *want = expected[ce->ce_stops][ce->ce_who][ce->ce_step];
	char text[64];

	begin(ce->ce_step);
	reach(ce->ce_step);
	strike(ce);
	finish(ce);
	kill(server_pid, SIGCONT);
	WRITABLE_WITHIN(0, 0);
	restart(ce);
	another_host();
	for (int i = 0; i < 4; i++)
		if (board->bd_answers[i] == 0)
			board->bd_answers[i] = '-';
	snprintf(text, sizeof(text), "answers %.4s, not %s",
	    (char *)board->bd_answers, want);
	if (memcmp(board->bd_answers, want, 4) != 0)
		note(text, __LINE__);
	if (ce->ce_stops || (ce->ce_who != APP && ce->ce_who != MODULE))
		UNTIL(board->bd_freezes == board->bd_thaws, WAIT_MS);
	end_child(&app_pid, &app_go);
	end_child(&host_pid, &host_go);
	works();
	UNTIL(freezers(NULL, NULL) == 2, WAIT_MS);
}

static void
start(void)
{
	signal(SIGPIPE, SIG_IGN);
	set_limits();
	start_board();
	start_writers();
	start_daemon();
	works();
}

static void
end(void)
{
	end_daemon();
	end_writers();
	UNTIL(freezers(NULL, NULL) == 0, WAIT_MS);
}

int
main(int argc, char **argv)
{
	const char *only = getenv("ONLY");
	unsigned n = 0, failed = 0;
	struct cell ce;
	char name[64];

	if (argc < 6 || argc - 5 > MOUNTS_MAX)
		errx(
		    1, "usage: fsmatrix MODULE DAEMON FREEZER SERVER MOUNT...");
	if (getenv("SCALE") != NULL)
		scale = MAX(atoi(getenv("SCALE")), 1);
	module_path = argv[1];
	daemon_path = argv[2];
	freezer_path = argv[3];
	server_pid = atoi(argv[4]);
	mounts = argv + 5;
	nmounts = (unsigned)argc - 5;
	start();
	if (case_failed) {
		end();
		put_out();
		puts("Bail out! a backup without a strike does not work");
		return (1);
	}
	/* A module does not stop. */
	for (unsigned i = 0; i < (2 * NWHO - 1) * NSTEPS; i++) {
		ce = (struct cell) { .ce_stops = i / (NWHO * NSTEPS) != 0,
			.ce_who = i / NSTEPS % NWHO,
			.ce_step = i % NSTEPS };
		snprintf(name, sizeof(name), "%s_is_%s_when_%s",
		    who_names[ce.ce_who],
		    ce.ce_stops		    ? "stopped" :
			ce.ce_who == MODULE ? "unloaded" :
					      "killed",
		    step_names[ce.ce_step]);
		if (only != NULL && strstr(name, only) == NULL)
			continue;
		case_failed = false;
		run(&ce);
		put_out();
		printf("%sok %u - %s\n", case_failed ? "not " : "", ++n, name);
		failed += case_failed;
	}
	case_failed = false;
	end();
	put_out();
	printf("1..%u\n", n);
	return (failed != 0 || case_failed);
}
