/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/*
 * The guard: holds the worker's descriptors and thaws what is armed when the
 * daemon ends, the worker ends, its lease ends, or the daemon says so.
 *
 * It never thaws what is not armed, nor anything after RELEASE, and reads what
 * was sent to it before an end counts.  While the worker lives neither EINVAL
 * from thaw nor success (that may have been somebody else's freeze) says
 * anything about a slot that is FREEZING: it is tried again until the worker
 * has ended, and once more after that.  A worker that is in the way of that (it
 * may be stopped) is killed: when the lease ends at once, since its own ended
 * before; when the daemon ends after a while, since it thaws by itself.
 *
 * It has a thread for each that it holds: the thaw of an image waits in the
 * kernel for what it lies on, a freeze of which may complete only later, and
 * the thaw of that must not wait for a thread then.
 *
 * It serves the daemon that started it or, as a service of its own, one daemon
 * after another on a socket: the next is greeted when all that the last one
 * left is thawed.  SIGTERM ends such a guard, but not before it owes nothing:
 * a freeze that has not returned may have nobody else to thaw what it freezes.
 */

#include "hv_vss_freezer.h"

#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "fdwait.h"
#include "frz_fs.h"
#include "frz_pool.h"
#include "frz_rcu.h"

#define GD_AGAIN_NS	 50000000ULL /* between two rounds of thaws */
#define GD_AGAIN_SLOW_NS 500000000ULL
#define GD_SLOW_AFTER_NS 5000000000ULL
#define GD_GRACE_NS	 2000000000ULL /* for the worker to end by itself */

struct gd {
	struct frz_pool gd_pool;
	struct frz_page *gd_page;
	int gd_ctl;
	int gd_peer;   /* from the worker, or -1 */
	int gd_worker; /* pidfd, or -1 */
	int gd_timer;  /* the lease */
	int gd_rcu;    /* rcu_expedited, or -1 */
	int gd_signal; /* SIGTERM of a service, or -1 */
	int gd_fd[FRZ_FS_MAX];
	_Atomic bool gd_out[FRZ_FS_MAX]; /* its thaw is not back */
	_Atomic bool gd_worker_ended;
	uint64_t gd_gen;
	uint64_t gd_thaw_since_ns;
	uint64_t gd_sweep_ns; /* the last round of thaws */
	uint64_t gd_kill_ns;  /* when to kill the worker, 0: not */
	bool gd_thawing;
	bool gd_leased;	     /* ARM was granted, and not ended since */
	bool gd_orphan;	     /* the daemon is gone */
	bool gd_thaw_due;    /* DONE for THAW is due */
	bool gd_release_due; /* and for RELEASE */
	bool gd_end;	     /* told to end */
};

static struct gd gd0;

static bool
gd_armed(struct gd *gd)
{
	uint32_t i;

	for (i = 0; i < FRZ_FS_MAX; i++)
		if (gd->gd_fd[i] != -1 &&
		    frz_slot_armed(&gd->gd_page->pg_slots[i]))
			return (true);
	return (false);
}

/* Whether rcu_expedited is still raised for the worker's freeze. */
static bool
gd_raised(struct gd *gd)
{
	return (atomic_load(&gd->gd_page->pg_rcu) != 0);
}

/* Whether an orphaned guard still has something to put right. */
static bool
gd_left(struct gd *gd)
{
	return (gd_armed(gd) || (gd->gd_orphan && gd_raised(gd)));
}

/* Whether somebody relies on it: by a lease, or for what is to be thawed. */
static bool
gd_owes(struct gd *gd)
{
	if (gd->gd_page == NULL)
		return (false);
	return (gd_left(gd) ||
	    (!gd->gd_orphan && (gd->gd_leased || gd->gd_release_due)));
}

static bool
gd_busy(struct gd *gd)
{
	uint32_t i;

	for (i = 0; i < FRZ_FS_MAX; i++)
		if (atomic_load(&gd->gd_out[i]))
			return (true);
	return (false);
}

static void
gd_close(struct gd *gd)
{
	uint32_t i;

	for (i = 0; i < FRZ_FS_MAX; i++) {
		if (gd->gd_fd[i] != -1)
			(void)close(gd->gd_fd[i]);
		gd->gd_fd[i] = -1;
	}
	gd->gd_thawing = false;
	gd->gd_kill_ns = 0;
}

/*
 * One attempt.  State and end of the worker are looked at before the call: what
 * happens after it began is the next attempt's.
 */
static void
gd_thaw(struct gd *gd, uint32_t i)
{
	struct frz_slot *fs = &gd->gd_page->pg_slots[i];
	bool ended = atomic_load(&gd->gd_worker_ended);
	uint32_t state = atomic_load(&fs->fs_state);
	int error;

	if (!frz_slot_armed(fs))
		return;
	atomic_store(&fs->fs_begin_ns[FRZ_STEP_THAW], frz_now_ns());
	error = frz_fs_thaw(gd->gd_fd[i]);
	if ((error == EINVAL || error == 0) && state == FRZ_FREEZING && !ended)
		return;
	frz_slot_failed(fs, FRZ_STEP_THAW, error);
	if (error != 0 && error != EINVAL)
		return;
	atomic_store(&fs->fs_end_ns[FRZ_STEP_THAW], frz_now_ns());
	atomic_store(&fs->fs_by, FRZ_BY_GUARD);
	atomic_store(&fs->fs_state, FRZ_THAWED);
}

static void
gd_job_thaw(void *ctx, uint32_t i)
{
	struct gd *gd = ctx;

	gd_thaw(gd, i);
	atomic_store(&gd->gd_out[i], false);
}

/* Sends a thread to everything that is armed, outermost first. */
static void
gd_sweep(struct gd *gd)
{
	struct frz_slot *fs;
	uint32_t i, level = FRZ_FS_MAX;

	gd->gd_sweep_ns = frz_now_ns();
	atomic_store(&gd->gd_page->pg_stop, 1);
	atomic_store(&gd->gd_page->pg_swept, 1);
	while (frz_page_level_below(gd->gd_page, &level))
		for (i = 0; i < FRZ_FS_MAX; i++) {
			fs = &gd->gd_page->pg_slots[i];
			if (gd->gd_fd[i] == -1 ||
			    fs->fs_level % FRZ_FS_MAX != level)
				continue;
			(void)frz_slot_move(fs, FRZ_OPENED, FRZ_THAWED);
			if (frz_slot_armed(fs) &&
			    !atomic_exchange(&gd->gd_out[i], true))
				frz_pool_put(&gd->gd_pool, gd_job_thaw, gd, i);
		}
}

static void
gd_begin_thaw(struct gd *gd)
{
	if (gd->gd_thawing || gd->gd_page == NULL)
		return;
	gd->gd_thawing = true;
	gd->gd_thaw_since_ns = frz_now_ns();
	gd_sweep(gd);
}

static void
gd_say(struct gd *gd, enum frz_op op, uint32_t of, int error)
{
	frz_say(gd->gd_ctl,
	    (struct frz_saying) { op, of, gd->gd_gen, error, FRZ_FS_MAX });
}

static void
gd_kill_worker(struct gd *gd)
{
	gd->gd_kill_ns = 0;
	if (gd->gd_worker != -1 && !atomic_load(&gd->gd_worker_ended))
		(void)syscall(
		    SYS_pidfd_send_signal, gd->gd_worker, SIGKILL, NULL, 0);
}

static int
gd_lease(struct gd *gd, uint64_t deadline_ns)
{
	struct itimerspec its;

	memset(&its, 0, sizeof(its));
	its.it_value.tv_sec = (time_t)(deadline_ns / 1000000000ULL);
	its.it_value.tv_nsec = (long)(deadline_ns % 1000000000ULL);
	if (timerfd_settime(gd->gd_timer, TFD_TIMER_ABSTIME, &its, NULL) == -1)
		return (errno);
	gd->gd_leased = deadline_ns != 0;
	if (gd->gd_page != NULL)
		atomic_store(&gd->gd_page->pg_guard_lease_ns, deadline_ns);
	return (0);
}

static void
gd_replace(int *fd, struct frz_fds *ff, uint32_t i)
{
	if (*fd != -1)
		(void)close(*fd);
	*fd = ff->ff_fd[i];
	ff->ff_fd[i] = -1;
}

static int
gd_attach(struct gd *gd, struct frz_fds *ff)
{
	struct frz_page *page;
	int error;

	if (gd->gd_page != NULL && (gd_armed(gd) || gd_busy(gd)))
		return (EBUSY);
	if (ff->ff_count != 3)
		return (EINVAL);
	error = frz_page_map(ff->ff_fd[0], &page);
	if (error != 0)
		return (error);
	gd_close(gd);
	frz_page_unmap(gd->gd_page);
	gd->gd_page = page;
	/* The worker before this one has ended, unseen perhaps. */
	frz_rcu_restore(gd->gd_rcu, page);
	gd_replace(&gd->gd_peer, ff, 1);
	gd_replace(&gd->gd_worker, ff, 2);
	atomic_store(&gd->gd_worker_ended, false);
	return (gd_lease(gd, 0));
}

/* The lease is taken only if everything that may be frozen is held. */
static int
gd_arm(struct gd *gd, const struct frz_msg *fm)
{
	uint32_t i;

	if (gd->gd_page == NULL || gd->gd_thawing || fm->fm_deadline_ns == 0 ||
	    fm->fm_count > FRZ_FS_MAX)
		return (EINVAL);
	if (atomic_load(&gd->gd_worker_ended))
		return (EOWNERDEAD);
	for (i = 0; i < fm->fm_count; i++) {
		if ((gd->gd_page->pg_slots[i].fs_flags & FRZ_F_SYNC_ONLY) != 0)
			continue;
		if (fm->fm_gen != gd->gd_gen || gd->gd_fd[i] == -1)
			return (EBADF);
	}
	/* There is nothing to hold in it; what an older one left goes. */
	if (fm->fm_gen != gd->gd_gen) {
		if (gd_armed(gd) || gd_busy(gd))
			return (EBUSY);
		gd_close(gd);
		gd->gd_gen = fm->fm_gen;
	}
	return (gd_lease(gd, fm->fm_deadline_ns));
}

/*
 * The worker opened another; the first of a transaction ends the last one, but
 * not while a lease runs: what that was granted for is held until it ends.
 */
static void
gd_hold(void *ctx, struct frz_msg *fm, struct frz_fds *ff)
{
	struct gd *gd = ctx;
	uint32_t i = fm->fm_index;

	if (fm->fm_op != FRZ_HOLD || ff->ff_count != 1 || i >= FRZ_FS_MAX ||
	    gd->gd_page == NULL || frz_fs_allowed(ff->ff_fd[0]) != 0)
		return;
	if (fm->fm_gen != gd->gd_gen) {
		if (fm->fm_gen < gd->gd_gen || gd->gd_leased || gd_armed(gd) ||
		    gd_busy(gd))
			return;
		gd_close(gd);
		gd->gd_gen = fm->fm_gen;
	}
	if (gd->gd_fd[i] == -1 && frz_pool_grow(&gd->gd_pool, i + 1) == 0) {
		gd->gd_fd[i] = ff->ff_fd[0];
		ff->ff_fd[0] = -1;
	}
}

static void
gd_read_worker(struct gd *gd)
{
	if (gd->gd_peer != -1 && !frz_take_all(gd->gd_peer, gd_hold, gd)) {
		(void)close(gd->gd_peer);
		gd->gd_peer = -1;
	}
}

/* What the worker sent before the daemon gave it is read before it. */
static void
gd_order(void *ctx, struct frz_msg *fm, struct frz_fds *ff)
{
	struct gd *gd = ctx;
	int error = EINVAL;

	gd_read_worker(gd);
	if (fm->fm_op == FRZ_ATTACH)
		error = gd_attach(gd, ff);
	else if (fm->fm_op == FRZ_ARM)
		error = gd_arm(gd, fm);
	else if (fm->fm_op == FRZ_THAW && gd->gd_page != NULL) {
		gd->gd_thaw_due = true;
		gd_begin_thaw(gd);
		return;
	} else if (fm->fm_op == FRZ_RELEASE && gd->gd_page != NULL) {
		error = gd_armed(gd) ? EBUSY : 0;
		if (error == 0) {
			gd->gd_release_due = true;
			(void)gd_lease(gd, 0);
			return;
		}
	}
	gd_say(gd, FRZ_DONE, fm->fm_op, error);
}

static void
gd_read(struct gd *gd)
{
	gd_read_worker(gd);
	if (!gd->gd_orphan && !frz_take_all(gd->gd_ctl, gd_order, gd))
		gd->gd_orphan = true;
}

/* What an end means, after all messages were read. */
static void
gd_ends(struct gd *gd, bool worker, bool lease)
{
	if (worker && !atomic_exchange(&gd->gd_worker_ended, true)) {
		/* A worker that lives puts it back itself. */
		frz_rcu_restore(gd->gd_rcu, gd->gd_page);
		if (gd_armed(gd)) {
			gd_begin_thaw(gd);
			gd_say(gd, FRZ_EXPIRED, 0, ESRCH);
		}
	}
	if (lease) {
		gd->gd_leased = false;
		/* What it was granted for may be let go of from now on. */
		atomic_store(&gd->gd_page->pg_stop, 1);
	}
	if (lease && (gd_armed(gd) || gd_raised(gd))) {
		gd_begin_thaw(gd);
		gd_kill_worker(gd);
		gd_say(gd, FRZ_EXPIRED, 0, ETIMEDOUT);
	}
	if (gd->gd_orphan && !gd->gd_thawing && gd->gd_page != NULL) {
		gd_begin_thaw(gd);
		gd->gd_kill_ns = frz_now_ns() + GD_GRACE_NS;
	}
}

/* How long until the next round, -1 for ever. */
static int
gd_wait_ms(struct gd *gd)
{
	uint64_t now = frz_now_ns(), next;

	if (!gd->gd_thawing || !gd_left(gd))
		return (-1);
	next = gd->gd_sweep_ns + GD_AGAIN_NS;
	if (now - gd->gd_thaw_since_ns > GD_SLOW_AFTER_NS)
		next = gd->gd_sweep_ns + GD_AGAIN_SLOW_NS;
	return (next <= now ? 0 : (int)((next - now) / 1000000 + 1));
}

static void
gd_progress(struct gd *gd)
{
	if (gd->gd_page == NULL)
		return;
	if (gd->gd_thawing && gd_left(gd)) {
		if (gd->gd_kill_ns != 0 && frz_now_ns() >= gd->gd_kill_ns)
			gd_kill_worker(gd);
		if (gd_wait_ms(gd) == 0)
			gd_sweep(gd);
		return;
	}
	if (gd->gd_thaw_due) {
		gd->gd_thaw_due = false;
		gd_say(gd, FRZ_DONE, FRZ_THAW, 0);
	}
	if (gd->gd_release_due && !gd_busy(gd)) {
		gd->gd_release_due = false;
		gd_close(gd);
		gd_say(gd, FRZ_DONE, FRZ_RELEASE, 0);
	}
}

static void
gd_step(struct gd *gd)
{
	struct pollfd pfd[6] = {
		{ gd->gd_orphan ? -1 : gd->gd_ctl, POLLIN, 0 },
		{ gd->gd_peer, POLLIN, 0 },
		{ gd->gd_worker_ended ? -1 : gd->gd_worker, POLLIN, 0 },
		{ gd->gd_timer, POLLIN, 0 },
		{ gd->gd_pool.fp_done, POLLIN, 0 },
		{ gd->gd_end ? -1 : gd->gd_signal, POLLIN, 0 },
	};
	struct pollfd ended = { -1, POLLIN, 0 };
	uint64_t n;
	bool lease;

	if (fdwait(pfd, 6, gd_wait_ms(gd)) == -1)
		return;
	gd->gd_end = gd->gd_end || pfd[5].revents != 0;
	if (pfd[4].revents != 0)
		(void)!read(gd->gd_pool.fp_done, &n, sizeof(n));
	gd_read(gd);
	lease = pfd[3].revents != 0 &&
	    read(gd->gd_timer, &n, sizeof(n)) == sizeof(n);
	/* What was read may have replaced the worker whose end was seen. */
	ended.fd = gd->gd_worker;
	if (gd->gd_page != NULL)
		gd_ends(gd, pfd[2].revents != 0 && fdwait(&ended, 1, 0) == 1,
		    lease);
	gd_progress(gd);
}

static void
gd_init(struct gd *gd)
{
	uint32_t i;

	gd->gd_ctl = -1;
	gd->gd_peer = -1;
	gd->gd_worker = -1;
	gd->gd_signal = -1;
	gd->gd_rcu = frz_rcu_kept();
	for (i = 0; i < FRZ_FS_MAX; i++)
		gd->gd_fd[i] = -1;
	gd->gd_timer = timerfd_create(
	    CLOCK_BOOTTIME, TFD_CLOEXEC | TFD_NONBLOCK);
	if (gd->gd_timer == -1 || frz_pool_init(&gd->gd_pool) != 0)
		_exit(1);
}

/* Serves one daemon until that is gone, or the end has come; owes nothing. */
static void
gd_serve(struct gd *gd, int ctl)
{
	gd->gd_ctl = ctl;
	gd->gd_orphan = false;
	while ((!gd->gd_orphan && !gd->gd_end) || gd_owes(gd))
		gd_step(gd);
}

/* Forgets a daemon, for the next one, when no thaw of its is out any more. */
static void
gd_forget(struct gd *gd)
{
	struct pollfd pfd = { gd->gd_pool.fp_done, POLLIN, 0 };
	uint64_t n;

	while (gd_busy(gd))
		if (fdwait(&pfd, 1, 1000) == 1)
			(void)!read(pfd.fd, &n, sizeof(n));
	gd_close(gd);
	(void)gd_lease(gd, 0);
	frz_page_unmap(gd->gd_page);
	gd->gd_page = NULL;
	if (gd->gd_peer != -1)
		(void)close(gd->gd_peer);
	if (gd->gd_worker != -1)
		(void)close(gd->gd_worker);
	gd->gd_peer = gd->gd_worker = -1;
	gd->gd_gen = 0;
	gd->gd_thaw_due = gd->gd_release_due = false;
	atomic_store(&gd->gd_worker_ended, false);
	(void)close(gd->gd_ctl);
}

void
frz_guard(int ctl)
{
	gd_init(&gd0);
	gd_serve(&gd0, ctl);
}

/* Greets a daemon, if it is root's, and says which process it talks to. */
static int
gd_greet(int ctl, const struct frz_msg *ready)
{
	struct frz_msg fm = *ready;
	struct frz_fds ff = { { -1 }, 1 };
	struct ucred peer;
	socklen_t len = sizeof(peer);
	int error;

	if (getsockopt(ctl, SOL_SOCKET, SO_PEERCRED, &peer, &len) == -1)
		return (errno);
	if (peer.uid != 0)
		return (EACCES);
	ff.ff_fd[0] = (int)syscall(SYS_pidfd_open, getpid(), 0);
	if (ff.ff_fd[0] == -1)
		return (errno);
	fm.fm_count = (uint32_t)getpid();
	error = frz_send(ctl, &fm, &ff);
	frz_fds_close(&ff);
	return (error);
}

void
frz_guard_listen(int listener, const struct frz_msg *ready)
{
	static const struct timespec pause = { 0, GD_AGAIN_NS };
	struct pollfd pfd[2] = { { listener, POLLIN, 0 }, { -1, POLLIN, 0 } };
	sigset_t term;
	int ctl;

	gd_init(&gd0);
	sigemptyset(&term);
	sigaddset(&term, SIGTERM);
	gd0.gd_signal = pfd[1].fd = signalfd(
	    -1, &term, SFD_CLOEXEC | SFD_NONBLOCK);
	if (gd0.gd_signal == -1)
		_exit(1);
	while (!gd0.gd_end) {
		if (fdwait(pfd, 2, -1) <= 0)
			continue;
		/* A daemon that waits finds the next guard. */
		if (pfd[1].revents != 0)
			break;
		ctl = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
		/* Without a descriptor for it, it is there still. */
		if (ctl == -1 && errno != ECONNABORTED)
			nanosleep(&pause, NULL);
		if (ctl == -1)
			continue;
		if (gd_greet(ctl, ready) != 0) {
			(void)close(ctl);
			continue;
		}
		gd_serve(&gd0, ctl);
		gd_forget(&gd0);
	}
	_exit(0);
}
