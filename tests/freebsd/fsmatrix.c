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
#include <sys/mman.h>
#include <sys/sysctl.h>
#include <sys/user.h>
#include <sys/wait.h>

#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <libutil.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <dev/hyperv/hv_snapshot.h>

#include "loophost.h"
#include "vss_wire.h"

#define MOUNTS_MAX 16
#define OUTPUT_MAX 16384
#define SLACK_MS   (scale * 2000)
#define WAIT_MS	   60000

/* Seconds, for driver and daemon; in an order in which the driver takes them.
 */
static const struct {
	const char *li_name;
	unsigned li_s;
} limits[] = { { "check", 6 }, { "quiesce", 4 }, { "fs", 4 }, { "prepare", 6 },
	{ "freeze", 18 }, { "hold", 4 }, { "level", 2 }, { "thaw_fs", 8 },
	{ "thaw", 10 } };
#define FS_MS	 (scale * 4000)
#define HOLD_MS	 (scale * 4000)
#define LEASE_MS (FS_MS + HOLD_MS + 5000) /* the guard's */
#define SILENCE	 2000 /* how long a worker may be silent, or an orphan */

enum who { DAEMON, WORKER, GUARD, APP, HOST, MODULE, NWHO };

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

static const char *const who_names[NWHO] = { "daemon", "worker", "guard",
	"application", "host", "module" };
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

/* What processes tell each other; anonymous memory, which nothing freezes. */
static struct board {
	atomic_uint bd_written[MOUNTS_MAX];
	atomic_char bd_answers[4];
	atomic_bool bd_ready; /* the application takes part */
	atomic_bool bd_held;  /* and is held at its step */
	atomic_uint bd_freezes, bd_thaws;
} * board;

static int scale = 1;
static const char *module_path, *daemon_path, *freezer_path;
static char *const *mounts;
static unsigned nmounts;
static pid_t server_pid, daemon_pid, app_pid, host_pid;
static int daemon_out = -1, app_go = -1, host_go = -1;
static bool case_failed;

static uint64_t
now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ((uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000);
}

/* Kept until nothing is frozen. */
static char output[OUTPUT_MAX];
static size_t output_len;

static void
note(const char *text, int line)
{
	int n = snprintf(output + output_len, sizeof(output) - output_len,
	    "# line %d: %s\n", line, text);

	output_len = MIN(output_len + (size_t)n, sizeof(output) - 1);
	case_failed = true;
}

#define CHECK(e)                            \
	do {                                \
		if (!(e))                   \
			note(#e, __LINE__); \
	} while (0)

#define UNTIL(e, ms)                                            \
	do {                                                    \
		for (uint64_t end_ = now_ms() + (uint64_t)(ms); \
		     !(e) && now_ms() < end_;)                  \
			usleep(10000);                          \
		CHECK(e);                                       \
	} while (0)

static void
put_out(void)
{
	char buf[4096];
	ssize_t n;
	bool begin = true;

	fputs(output, stdout);
	while (daemon_out != -1 && (n = read(daemon_out, buf, sizeof(buf))) > 0)
		for (ssize_t i = 0; case_failed && i < n; i++) {
			fputs(begin ? "# " : "", stdout);
			putchar(buf[i]);
			begin = buf[i] == '\n';
		}
	output[output_len = 0] = '\0';
	fflush(stdout);
}

/* A child with nothing open but what it can be told through, as 3. */
static pid_t
child(int *tell)
{
	int fds[2];
	pid_t pid;

	if (pipe2(fds, O_CLOEXEC) == -1)
		err(1, "pipe");
	fflush(stdout);
	pid = fork();
	if (pid == -1)
		err(1, "fork");
	if (pid == 0) {
		dup2(fds[0], 3);
		closefrom(4);
		return (0);
	}
	close(fds[0]);
	*tell = fds[1];
	return (pid);
}

static void
is_told(void)
{
	char c;

	if (read(3, &c, 1) != 1)
		_exit(0);
}

static void
tell(int fd)
{
	if (fd != -1)
		(void)write(fd, "", 1);
}

/*
 * Who takes part.
 */

static void
writer(unsigned i)
{
	static char block[4096];
	char path[1024];
	int fd;

	snprintf(path, sizeof(path), "%s/fsmatrix.written", mounts[i]);
	fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
	if (fd == -1)
		_exit(1);
	while (pwrite(fd, block, sizeof(block), 0) > 0 && fsync(fd) == 0) {
		atomic_fetch_add(&board->bd_written[i], 1);
		usleep(200000);
	}
	_exit(1);
}

static bool
mount_is_written(unsigned i, int ms)
{
	unsigned seen = atomic_load(&board->bd_written[i]);
	uint64_t end = now_ms() + (uint64_t)ms;

	/* The first may have been on its way. */
	while (atomic_load(&board->bd_written[i]) < seen + 2) {
		if (now_ms() > end)
			return (false);
		usleep(5000);
	}
	return (true);
}

/* Those from the given one on, all within that time. */
static void
writable_within(unsigned from, int ms, int line)
{
	uint64_t end = now_ms() + (uint64_t)ms + SLACK_MS;
	char text[256];

	for (unsigned i = from; i < nmounts; i++) {
		int left = (int)(end - MIN(end, now_ms()));

		if (mount_is_written(i, MAX(left, SLACK_MS / 2)))
			continue;
		snprintf(text, sizeof(text), "%s is not writable within %d ms",
		    mounts[i], ms);
		note(text, line);
	}
}
#define WRITABLE_WITHIN(from, ms) writable_within(from, ms, __LINE__)

/* Whether who writes to the mounts from one to before another stands still. */
static bool
nothing_is_written(unsigned from, unsigned to)
{
	unsigned before[MOUNTS_MAX] = { 0 };

	for (unsigned i = from; i < to; i++)
		before[i] = atomic_load(&board->bd_written[i]);
	usleep(600000);
	for (unsigned i = from; i < to; i++)
		if (atomic_load(&board->bd_written[i]) != before[i])
			return (false);
	return (true);
}

/* An application that is held when it has READ that, if it ever does. */
static void
application(uint32_t held_at)
{
	struct hv_vss_opt_msg msg;
	struct pollfd pfd = { -1, POLLIN, 0 };

	pfd.fd = open(VSS_DEV(APP_VSS_DEV_NAME), O_RDWR);
	if (pfd.fd == -1)
		_exit(1);
	poll(&pfd, 1, 0);
	atomic_store(&board->bd_ready, true);
	while (poll(&pfd, 1, -1) == 1 && pfd.revents == POLLIN &&
	    ioctl(pfd.fd, IOCHVVSSREAD, &msg) == 0) {
		if (msg.status != VSS_SUCCESS)
			continue;
		if (msg.opt == held_at) {
			held_at = HV_VSS_NONE;
			atomic_store(&board->bd_held, true);
			is_told();
		}
		if (msg.opt == HV_VSS_FREEZE)
			atomic_fetch_add(&board->bd_freezes, 1);
		if (msg.opt == HV_VSS_THAW)
			atomic_fetch_add(&board->bd_thaws, 1);
		msg.status = VSS_SUCCESS;
		(void)ioctl(pfd.fd, IOCHVVSSWRITE, &msg);
	}
	_exit(1);
}

static void
ask(int fd, int nth, uint8_t op)
{
	uint64_t xactid = (uint64_t)nth + 1;
	uint32_t status = UINT32_MAX;

	if (loophost_ask(fd, op, xactid) == 0)
		status = loophost_reply(fd, xactid, WAIT_MS);
	atomic_store(&board->bd_answers[nth],
	    status == VMBUS_ICMSG_S_OK ? 'o' :
		status == UINT32_MAX   ? '-' :
					 'f');
}

/* CHECK and FREEZE when it is told, and THAW when it is once more. */
static void
host(void)
{
	int fd = open(VSS_DEV(HV_VSS_LOOP_NAME), O_RDWR);

	if (fd == -1)
		_exit(1);
	is_told();
	ask(fd, 0, VSS_WIRE_CHECK_HOT_BACKUP);
	ask(fd, 1, VSS_WIRE_FREEZE);
	is_told();
	ask(fd, 2, VSS_WIRE_THAW);
	_exit(0);
}

static void
another_host(void)
{
	int fd = open(VSS_DEV(HV_VSS_LOOP_NAME), O_RDWR);

	CHECK(fd != -1);
	ask(fd, 3, VSS_WIRE_THAW);
	close(fd);
}

/*
 * Processes of the system.
 */

static long
number(const char *name)
{
	char path[64];
	uint64_t value = 0;
	size_t len = sizeof(value);

	snprintf(path, sizeof(path), "dev.hvvssg.0.%s", name);
	return (
	    sysctlbyname(path, &value, &len, NULL, 0) == -1 ? -1 : (long)value);
}

static bool
has_text(const char *name, const char *text)
{
	static char buf[65536];
	char path[64];
	size_t len = sizeof(buf) - 1;

	snprintf(path, sizeof(path), "dev.hvvssg.0.%s", name);
	if (sysctlbyname(path, buf, &len, NULL, 0) == -1)
		return (false);
	buf[len] = '\0';
	if (strcmp(name, "trace") != 0)
		return (strstr(buf, text) != NULL);
	/* Its last line. */
	return (strrchr(buf, '\n') != NULL &&
	    strstr(strrchr(buf, '\n'), text) != NULL);
}

static bool
is_role(pid_t pid, const char *role)
{
	int mib[] = { CTL_KERN, KERN_PROC, KERN_PROC_ARGS, pid };
	char args[1024];
	size_t len = sizeof(args) - 1;
	const char *last;

	if (sysctl(mib, 4, args, &len, NULL, 0) == -1)
		return (false);
	args[len] = '\0';
	last = strrchr(args, ' ');
	return (last != NULL && strcmp(last + 1, role) == 0);
}

/* How many freezers there are; of the daemon that runs, the role's pid. */
static int
freezers(const char *role, pid_t *pid)
{
	struct kinfo_proc *all;
	int count = 0, found = 0;

	all = kinfo_getallproc(&count);
	for (int i = 0; all != NULL && i < count; i++) {
		if (strcmp(all[i].ki_comm, "hv_vss_freezer") != 0 ||
		    all[i].ki_stat == SZOMB)
			continue;
		found++;
		if (role != NULL && all[i].ki_ppid == daemon_pid &&
		    is_role(all[i].ki_pid, role))
			*pid = all[i].ki_pid;
	}
	free(all);
	return (found);
}

static pid_t
pid_of(enum who who)
{
	pid_t pid = -1;

	if (who == WORKER || who == GUARD) {
		freezers(who_names[who], &pid);
		return (pid);
	}
	return (who == DAEMON ? daemon_pid : who == APP ? app_pid : host_pid);
}

/* Gone, or nothing of it left but its status. */
static bool
has_ended(pid_t pid)
{
	struct kinfo_proc *kp = kinfo_getproc(pid);
	bool ended = kp == NULL || kp->ki_stat == SZOMB;

	free(kp);
	return (ended);
}

static bool
stands(pid_t pid)
{
	struct kinfo_proc *kp = kinfo_getproc(pid);
	bool stopped = kp != NULL && kp->ki_stat == SSTOP;

	free(kp);
	return (stopped);
}

static void
stop(pid_t pid)
{
	CHECK(kill(pid, SIGSTOP) == 0);
	UNTIL(stands(pid), WAIT_MS);
}

/* Whether it has been in the kernel, and not for orders, for a while. */
static bool
hangs(pid_t pid)
{
	struct kinfo_proc *kp;
	bool waits = true;

	for (int i = 0; i < 5 && waits; i++) {
		kp = kinfo_getproc(pid);
		waits = kp != NULL && kp->ki_stat == SSLEEP &&
		    strcmp(kp->ki_wmesg, "select") != 0;
		free(kp);
		usleep(50000);
	}
	return (waits);
}

static void
exec_daemon(int out)
{
	char *argv[5 + 2 * nitems(limits) + 1], text[nitems(limits)][64];
	char freezer[1024];
	int n = 0;

	snprintf(freezer, sizeof(freezer), "freezer=%s", freezer_path);
	argv[n++] = strdup(daemon_path);
	argv[n++] = strdup("-dn");
	argv[n++] = strdup("--set");
	argv[n++] = freezer;
	for (size_t i = 0; i < nitems(limits); i++) {
		snprintf(text[i], sizeof(text[i]), "%s=%u", limits[i].li_name,
		    limits[i].li_s * (unsigned)scale);
		argv[n++] = strdup("--set");
		argv[n++] = text[i];
	}
	argv[n] = NULL;
	dup2(out, STDOUT_FILENO);
	dup2(out, STDERR_FILENO);
	closefrom(3);
	execv(argv[0], argv);
	_exit(127);
}

/* Until it has the device, worker and guard. */
static bool
daemon_is_complete(void)
{
	pid_t worker = -1, guard = -1;

	freezers("worker", &worker);
	freezers("guard", &guard);
	return (number("daemon") == 1 && worker != -1 && guard != -1);
}

static void
start_daemon(void)
{
	int fds[2];

	if (daemon_out != -1)
		close(daemon_out);
	if (pipe2(fds, O_CLOEXEC | O_NONBLOCK) == -1)
		err(1, "pipe");
	daemon_pid = fork();
	if (daemon_pid == 0)
		exec_daemon(fds[1]);
	close(fds[1]);
	daemon_out = fds[0];
	UNTIL(daemon_is_complete(), WAIT_MS);
}

static void
end_child(pid_t *pid, int *fd)
{
	if (*pid > 0) {
		kill(*pid, SIGKILL);
		waitpid(*pid, NULL, 0);
	}
	*pid = -1;
	if (*fd != -1)
		close(*fd);
	*fd = -1;
}

/*
 * One cell.
 */

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
	atomic_store(&board->bd_ready, false);
	atomic_store(&board->bd_held, false);
	atomic_store(&board->bd_freezes, 0);
	atomic_store(&board->bd_thaws, 0);
	if (has_ended(daemon_pid))
		start_daemon();
	UNTIL(daemon_is_complete(), WAIT_MS);
	app_pid = child(&app_go);
	if (app_pid == 0)
		application(held_at(step));
	UNTIL(atomic_load(&board->bd_ready), WAIT_MS);
	host_pid = child(&host_go);
	if (host_pid == 0)
		host();
	UNTIL(number("channel") == 1, WAIT_MS);
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

/* A limit is taken when it fits to the others, so each is tried again. */
static void
set_limits(void)
{
	char path[64];
	unsigned ms, refused = nitems(limits);

	for (unsigned before = refused + 1; refused != 0 && refused < before;) {
		before = refused;
		refused = 0;
		for (size_t i = 0; i < nitems(limits); i++) {
			snprintf(path, sizeof(path), "dev.hvvssg.0.limits.%s",
			    limits[i].li_name);
			ms = limits[i].li_s * (unsigned)scale * 1000;
			if (sysctlbyname(path, NULL, NULL, &ms, sizeof(ms)) ==
			    -1)
				refused++;
		}
	}
	CHECK(refused == 0);
}

/* What has ended begins anew. */
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

static pid_t writers[MOUNTS_MAX];

static void
start(void)
{
	int unused;

	board = mmap(NULL, sizeof(*board), PROT_READ | PROT_WRITE,
	    MAP_ANON | MAP_SHARED, -1, 0);
	if (board == MAP_FAILED)
		err(1, "mmap");
	signal(SIGPIPE, SIG_IGN);
	mlockall(MCL_CURRENT | MCL_FUTURE);
	set_limits();
	for (unsigned i = 0; i < nmounts; i++) {
		writers[i] = child(&unused);
		if (writers[i] == 0)
			writer(i);
	}
	start_daemon();
	works();
}

static void
end(void)
{
	int unused = -1;

	kill(daemon_pid, SIGTERM);
	UNTIL(has_ended(daemon_pid), WAIT_MS);
	end_child(&daemon_pid, &unused);
	for (unsigned i = 0; i < nmounts; i++)
		end_child(&writers[i], &unused);
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
