/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/*
 * Worker and guard: started, introduced to each other, watched, replaced.
 *
 * Both are disposable.  One that is killed may take long to end, since a thread
 * within a freeze ends when the kernel lets it; until then there is no other in
 * its place, so that nothing piles up.  They are started and introduced only
 * while no transaction is under way.
 */

#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "dm.h"
#include "dm_os.h"
#include "fdwait.h"
#include "os.h"

#ifndef HV_LIBEXECDIR
#define HV_LIBEXECDIR "/usr/libexec"
#endif

/* For READY and ATTACH; a machine that starts is busy. */
#define DM_START_NS    (20 * DM_NS_PER_S)
#define DM_AGAIN_NS    DM_NS_PER_S /* between two starts */
#define DM_PID_UNKNOWN ((pid_t)-1) /* a service that has not greeted yet */

static const char *const dm_role_name[DM_NROLES] = {
	[DM_WORKER] = "worker",
	[DM_GUARD] = "guard",
};

/* The program: as configured, beside this one, or where it is installed. */
static void
dm_helpers_find(struct dm *dm)
{
	static const char tail[] = "/../libexec/hv_vss_freezer";
	char self[FRZ_PATH_MAX - sizeof(tail)];
	char *slash;

	if (dm->dm_conf.cf_freezer != NULL) {
		snprintf(dm->dm_freezer, sizeof(dm->dm_freezer), "%s",
		    dm->dm_conf.cf_freezer);
		return;
	}
	if (os_self(self, sizeof(self))) {
		slash = strrchr(self, '/');
		if (slash != NULL) {
			*slash = '\0';
			snprintf(dm->dm_freezer, sizeof(dm->dm_freezer), "%s%s",
			    self, tail);
			if (access(dm->dm_freezer, X_OK) == 0)
				return;
		}
	}
	snprintf(dm->dm_freezer, sizeof(dm->dm_freezer), "%s/hv_vss_freezer",
	    HV_LIBEXECDIR);
}

void
dm_helpers_init(struct dm *dm)
{
	enum dm_role role;

	for (role = 0; role < DM_NROLES; role++) {
		dm->dm_helper[role].dh_pidfd = -1;
		dm->dm_helper[role].dh_ctl = -1;
		dm->dm_helper[role].dh_deadline_ns = DM_NEVER;
	}
	dm_helpers_find(dm);
}

/* It has a socket; what it says first is that it is ready. */
static void
dm_helpers_began(struct dm_helper *dh, int sock, uint64_t now)
{
	dh->dh_ctl = sock;
	dh->dh_start = 0;
	dh->dh_ready = dh->dh_attached = dh->dh_killed = false;
	dh->dh_due = FRZ_READY;
	dh->dh_deadline_ns = now + DM_START_NS;
}

/*
 * The guard that is a service of its own.  It greets when what it held for an
 * earlier daemon is thawed, so that no thaw of that can meet what follows.  Its
 * greeting brings its pidfd: who listens may be another process than who
 * accepts.
 */
static void
dm_helpers_connect(struct dm *dm, uint64_t now)
{
	struct dm_helper *dh = &dm->dm_helper[DM_GUARD];
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	uid_t uid;
	int error, sock;

	(void)snprintf(sun.sun_path, sizeof(sun.sun_path), "%.*s",
	    (int)sizeof(sun.sun_path) - 1, dm->dm_conf.cf_guard);
	sock = socket(
	    AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (sock == -1 ||
	    connect(sock, (struct sockaddr *)&sun, sizeof(sun)) == -1 ||
	    dm_os_peer(sock, &uid) == -1)
		error = errno;
	else
		error = uid == 0 ? 0 : EACCES;
	if (error != 0) {
		report(REPORT_ERROR,
		    "guard=%s: %s (is the guard's service running?)",
		    dm->dm_conf.cf_guard, strerror(error));
		if (sock != -1)
			(void)close(sock);
		return;
	}
	dh->dh_pid = DM_PID_UNKNOWN;
	dh->dh_child = false;
	dm_helpers_began(dh, sock, now);
}

static void
dm_helpers_start_one(struct dm *dm, enum dm_role role, uint64_t now)
{
	struct dm_helper *dh = &dm->dm_helper[role];
	char name[16];
	char *argv[] = { dm->dm_freezer, name, NULL };
	int error, sv[2];

	dh->dh_again_ns = now + DM_AGAIN_NS;
	if (role == DM_GUARD && dm->dm_conf.cf_guard != NULL) {
		dm_helpers_connect(dm, now);
		return;
	}
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sv) == -1) {
		report(REPORT_ERROR, "%s: socket: %s", dm_role_name[role],
		    strerror(errno));
		return;
	}
	snprintf(name, sizeof(name), "%s", dm_role_name[role]);
	error = dm_os_spawn(argv, sv[1], role, &dh->dh_pid, &dh->dh_pidfd);
	(void)close(sv[1]);
	if (error != 0) {
		report(REPORT_ERROR, "%s: %s (set freezer=PATH to where it is)",
		    dm->dm_freezer, strerror(error));
		(void)close(sv[0]);
		dh->dh_pid = 0;
		return;
	}
	dh->dh_child = true;
	dm_helpers_began(dh, sv[0], now);
}

bool
dm_helpers_alive(const struct dm *dm, enum dm_role role)
{
	const struct dm_helper *dh = &dm->dm_helper[role];

	return (dh->dh_pid != 0 && dh->dh_ctl != -1 && !dh->dh_killed);
}

bool
dm_helpers_ready(const struct dm *dm)
{
	enum dm_role role;

	for (role = 0; role < DM_NROLES; role++)
		if (!dm_helpers_alive(dm, role) ||
		    !dm->dm_helper[role].dh_attached)
			return (false);
	return (true);
}

int
dm_helpers_order(
    struct dm *dm, enum dm_role role, struct frz_msg *fm, uint64_t limit_ns)
{
	struct dm_helper *dh = &dm->dm_helper[role];
	int error;

	if (!dm_helpers_alive(dm, role))
		return (ESRCH);
	fm->fm_gen = dm->dm_txn.tx_gen;
	error = frz_send(dh->dh_ctl, fm, NULL);
	if (error != 0)
		return (error);
	if (fm->fm_op != FRZ_PING) {
		dh->dh_due = fm->fm_op;
		dh->dh_deadline_ns = limit_ns == DM_NEVER ?
		    DM_NEVER :
		    frz_now_ns() + limit_ns;
	}
	return (0);
}

/* Gives both the page and a socket to each other. */
static int
dm_helpers_introduce(struct dm *dm)
{
	struct dm_helper *worker = &dm->dm_helper[DM_WORKER];
	struct dm_helper *guard = &dm->dm_helper[DM_GUARD];
	struct frz_msg fm;
	struct frz_fds ff;
	int error, sv[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sv) == -1)
		return (errno);
	memset(&fm, 0, sizeof(fm));
	fm.fm_op = FRZ_ATTACH;
	fm.fm_count = dm->dm_conf.cf_threads;
	ff = (struct frz_fds) { { dm->dm_page_fd, sv[0] }, 2 };
	error = frz_send(worker->dh_ctl, &fm, &ff);
	ff = (struct frz_fds) { { dm->dm_page_fd, sv[1], worker->dh_pidfd },
		3 };
	if (error == 0)
		error = frz_send(guard->dh_ctl, &fm, &ff);
	(void)close(sv[0]);
	(void)close(sv[1]);
	worker->dh_due = guard->dh_due = FRZ_ATTACH;
	worker->dh_attached = guard->dh_attached = false;
	worker->dh_deadline_ns = guard->dh_deadline_ns = frz_now_ns() +
	    DM_START_NS;
	return (error);
}

void
dm_helpers_start(struct dm *dm)
{
	struct dm_helper *worker = &dm->dm_helper[DM_WORKER];
	struct dm_helper *guard = &dm->dm_helper[DM_GUARD];
	uint64_t now = frz_now_ns();
	enum dm_role role;

	if (!dm_txn_idle(dm) || dm->dm_quit)
		return;
	for (role = 0; role < DM_NROLES; role++)
		if (dm->dm_helper[role].dh_pid == 0 &&
		    now >= dm->dm_helper[role].dh_again_ns)
			dm_helpers_start_one(dm, role, now);
	if (!dm_helpers_alive(dm, DM_WORKER) || !dm_helpers_alive(dm, DM_GUARD))
		return;
	if (worker->dh_ready && guard->dh_ready && worker->dh_due == 0 &&
	    guard->dh_due == 0 &&
	    (!worker->dh_attached || !guard->dh_attached) &&
	    dm_helpers_introduce(dm) != 0) {
		dm_helpers_kill(dm, DM_WORKER);
		dm_helpers_kill(dm, DM_GUARD);
	}
}

/* What the program says of its start. */
static void
dm_helpers_is_ready(struct dm *dm, enum dm_role role, const struct frz_msg *fm,
    struct frz_fds *ff)
{
	static const char *const step[FRZ_NSTARTS] = {
		[FRZ_START_FDS] = "descriptors",
		[FRZ_START_CWD] = "no working directory that is on no disk "
				  "(mount /proc)",
		[FRZ_START_OOM] = "it is not protected from the OOM killer",
		[FRZ_START_LOCK] = "its memory cannot be locked (raise the "
				   "limit of locked memory)",
		[FRZ_START_CONFINE] = "it could not give up what it does not "
				      "need",
		[FRZ_START_DEVICES] = "this build is for tests and wants "
				      "HV_VSS_TEST_DEVICES",
	};
	struct dm_helper *dh = &dm->dm_helper[role];

	if (dh->dh_due != FRZ_READY)
		return;
	if (fm->fm_errno != 0)
		report(fm->fm_index == FRZ_START_OOM ||
			    fm->fm_index == FRZ_START_CONFINE ?
			REPORT_WARNING :
			REPORT_ERROR,
		    "%s: %s: %s", dm_role_name[role],
		    fm->fm_index < FRZ_NSTARTS && step[fm->fm_index] != NULL ?
			step[fm->fm_index] :
			"start",
		    strerror(fm->fm_errno));
	if (!dh->dh_child && ff->ff_count == 1 && dh->dh_pidfd == -1) {
		dh->dh_pid = (pid_t)fm->fm_count;
		dh->dh_pidfd = ff->ff_fd[0];
		ff->ff_fd[0] = -1;
	}
	dh->dh_ready = dh->dh_pidfd != -1;
	dh->dh_due = 0;
	dh->dh_deadline_ns = DM_NEVER;
}

/*
 * The answer to the order that is out; for any other nobody waits.  Whoever has
 * not heard of this transaction yet answers with the number of the last one.
 */
static void
dm_helpers_done(struct dm *dm, enum dm_role role, const struct frz_msg *fm)
{
	struct dm_helper *dh = &dm->dm_helper[role];

	if (dh->dh_due == 0 || dh->dh_due == FRZ_READY ||
	    fm->fm_of != dh->dh_due)
		return;
	dh->dh_due = 0;
	dh->dh_deadline_ns = DM_NEVER;
	if (fm->fm_of == FRZ_ATTACH) {
		dh->dh_attached = fm->fm_errno == 0;
		if (!dh->dh_attached)
			dm_helpers_kill(dm, role);
	} else if (fm->fm_gen == dm->dm_txn.tx_gen)
		dm_txn_done(dm, role, fm);
}

void
dm_helpers_read(struct dm *dm, enum dm_role role)
{
	struct dm_helper *dh = &dm->dm_helper[role];
	struct frz_msg fm;
	struct frz_fds ff;
	int error;

	while (dh->dh_ctl != -1) {
		error = frz_recv(dh->dh_ctl, &fm, &ff);
		if (error == EAGAIN)
			return;
		if (error == EPIPE) {
			dm_helpers_kill(dm, role);
			return;
		}
		if (error != 0)
			continue;
		if (fm.fm_op == FRZ_READY)
			dm_helpers_is_ready(dm, role, &fm, &ff);
		frz_fds_close(&ff);
		if (fm.fm_op == FRZ_DONE && fm.fm_of != FRZ_PING)
			dm_helpers_done(dm, role, &fm);
		else if (fm.fm_op == FRZ_DONE ||
		    (fm.fm_op == FRZ_EXPIRED && fm.fm_gen == dm->dm_txn.tx_gen))
			dm_txn_done(dm, role, &fm);
	}
}

/* SIGKILL: it works on stopped processes.  The transaction learns at once. */
void
dm_helpers_kill(struct dm *dm, enum dm_role role)
{
	struct dm_helper *dh = &dm->dm_helper[role];

	if (dh->dh_pid == 0 || dh->dh_killed)
		return;
	if (dh->dh_pidfd != -1)
		dm_os_kill(dh->dh_pidfd);
	dh->dh_killed = true;
	dh->dh_due = 0;
	dh->dh_deadline_ns = DM_NEVER;
	(void)close(dh->dh_ctl);
	dh->dh_ctl = -1;
	/* A service that never greeted is not known by its process. */
	if (dh->dh_pidfd == -1)
		dm_helpers_reap(dm, role);
	else
		dm_txn_ended(dm, role);
}

void
dm_helpers_reap(struct dm *dm, enum dm_role role)
{
	struct dm_helper *dh = &dm->dm_helper[role];
	struct pollfd pfd = { dh->dh_pidfd, POLLIN, 0 };
	bool told = dh->dh_killed;
	pid_t pid = -1;
	int status = 0;

	if (dh->dh_child) {
		pid = waitpid(dh->dh_pid, &status, WNOHANG);
		if (pid == 0)
			return;
	} else if (dh->dh_pidfd != -1 && fdwait(&pfd, 1, 0) != 1)
		return;
	if (!told && pid == dh->dh_pid && WIFSIGNALED(status))
		report(REPORT_WARNING, "%s was ended by signal %d",
		    dm_role_name[role], WTERMSIG(status));
	else if (!told && pid == dh->dh_pid && !dm->dm_quit)
		report(REPORT_WARNING, "%s ended with status %d",
		    dm_role_name[role], WEXITSTATUS(status));
	dh->dh_pid = 0;
	if (dh->dh_pidfd != -1)
		(void)close(dh->dh_pidfd);
	dh->dh_pidfd = -1;
	if (dh->dh_ctl != -1)
		(void)close(dh->dh_ctl);
	dh->dh_ctl = -1;
	dh->dh_due = 0;
	dh->dh_killed = dh->dh_ready = dh->dh_attached = false;
	dh->dh_deadline_ns = DM_NEVER;
	/* The other one knows a process that is no more. */
	dm->dm_helper[role == DM_WORKER ? DM_GUARD : DM_WORKER].dh_attached =
	    false;
	if (role == DM_WORKER) {
		dm->dm_hung[0] = '\0';
		dm_os_worker_ended(dm);
	}
	/* Also if that knows that it was killed: now its calls are over. */
	dm_txn_ended(dm, role);
}

void
dm_helpers_tick(struct dm *dm, uint64_t now_ns)
{
	enum dm_role role;

	for (role = 0; role < DM_NROLES; role++)
		if (dm->dm_helper[role].dh_deadline_ns <= now_ns) {
			report(REPORT_WARNING,
			    "%s is silent; it is killed and replaced",
			    dm_role_name[role]);
			dm_helpers_kill(dm, role);
		}
	dm_helpers_start(dm);
}

uint64_t
dm_helpers_deadline(const struct dm *dm)
{
	const struct dm_helper *dh;
	uint64_t at = DM_NEVER;
	enum dm_role role;

	for (role = 0; role < DM_NROLES; role++) {
		dh = &dm->dm_helper[role];
		at = dm_earlier(at, dh->dh_deadline_ns);
		if (dh->dh_pid == 0 && dm_txn_idle(dm))
			at = dm_earlier(at, dh->dh_again_ns);
	}
	return (at);
}

/* They end when they see that the daemon has, unless something is armed. */
void
dm_helpers_stop(struct dm *dm)
{
	struct pollfd pfd;
	enum dm_role role;

	for (role = 0; role < DM_NROLES; role++)
		if (dm->dm_helper[role].dh_ctl != -1) {
			(void)close(dm->dm_helper[role].dh_ctl);
			dm->dm_helper[role].dh_ctl = -1;
		}
	for (role = 0; role < DM_NROLES; role++) {
		if (dm->dm_helper[role].dh_pid == 0 ||
		    !dm->dm_helper[role].dh_child)
			continue;
		pfd = (struct pollfd) { dm->dm_helper[role].dh_pidfd, POLLIN,
			0 };
		if (fdwait(&pfd, 1, 1000) == 1)
			(void)waitpid(
			    dm->dm_helper[role].dh_pid, NULL, WNOHANG);
	}
}
