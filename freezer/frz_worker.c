/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/*
 * The worker: opens, flushes, freezes and thaws at the daemon's orders.
 *
 * Its main thread does nothing that blocks but opening (one at a time, so that
 * one that hangs can be named); flush, freeze and thaw are jobs of the pool. It
 * thaws by itself when the daemon is gone or its lease ends, and when any
 * freeze fails.  A job that comes back from a freeze looks at all of that
 * again: if the freeze is not wanted any more it thaws at once, whatever the
 * main thread does.
 */

#include "hv_vss_freezer.h"

#include <sys/timerfd.h>

#include <errno.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "fdwait.h"
#include "frz_fs.h"
#include "frz_pool.h"
#include "frz_rcu.h"

/* How long the guard may take to make room for another descriptor. */
#define WK_GUARD_WAIT_MS 1000
#define WK_RETRY_NS	 250000000L

struct wk {
	struct frz_pool wk_pool;
	struct frz_page *wk_page;
	int wk_ctl;
	int wk_peer;	/* to the guard, or -1 */
	int wk_timer;	/* the lease */
	int wk_rcu;	/* rcu_expedited, or -1 */
	bool wk_raised; /* and it was raised for this freeze */
	int wk_fd[FRZ_FS_MAX];
	uint32_t wk_count; /* descriptors, slots 0 on */
	uint64_t wk_gen;
	_Atomic uint64_t wk_lease_ns;	     /* 0: none */
	_Atomic uint32_t wk_out[FRZ_NSTEPS]; /* jobs that are not back */
	_Atomic bool wk_thawing[FRZ_FS_MAX]; /* a thaw of it is among them */
	_Atomic uint32_t wk_refused;	     /* freezes that failed */
	uint32_t wk_order; /* FLUSH or FREEZE whose DONE is due, or 0 */
	uint32_t wk_left;  /* FLUSH: how many have not begun */
	bool wk_few;	   /* and no more than a few of a disk are to be out */
	bool wk_begun[FRZ_FS_MAX];
	uint32_t wk_disk[FRZ_FS_MAX];  /* of each, 0 to wk_ndisks */
	uint32_t wk_disks[FRZ_FS_MAX]; /* as the daemon calls them */
	_Atomic uint32_t
	    wk_disk_out[FRZ_FS_MAX]; /* flushes that are not back */
	uint32_t wk_ndisks;
	int32_t wk_level; /* being frozen now */
	bool wk_thaw_due; /* DONE for THAW is due */
	bool wk_force;
	bool wk_orphan; /* the daemon is gone */
	bool wk_expired;
};

static struct wk wk0;

static bool
wk_armed(struct wk *wk)
{
	uint32_t i;

	for (i = 0; i < wk->wk_count; i++)
		if (frz_slot_armed(&wk->wk_page->pg_slots[i]))
			return (true);
	return (false);
}

/* Whether a freeze is not wanted any more; any thread asks. */
static bool
wk_must_stop(struct wk *wk)
{
	struct pollfd pfd = { wk->wk_ctl, 0, 0 };
	uint64_t lease = atomic_load(&wk->wk_lease_ns);

	return (atomic_load(&wk->wk_page->pg_stop) != 0 ||
	    (lease != 0 && frz_now_ns() >= lease) ||
	    (fdwait(&pfd, 1, 0) == 1 && pfd.revents != 0));
}

static void
wk_job_flush(void *ctx, uint32_t i)
{
	struct wk *wk = ctx;
	struct frz_slot *fs = &wk->wk_page->pg_slots[i];
	int error;

	frz_slot_begin(fs, FRZ_STEP_FLUSH);
	error = frz_fs_flush(wk->wk_fd[i]);
	frz_slot_end(fs, FRZ_STEP_FLUSH);
	if (error != 0)
		frz_slot_failed(fs, FRZ_STEP_FLUSH, error);
	atomic_fetch_sub(&wk->wk_disk_out[wk->wk_disk[i]], 1);
	atomic_fetch_sub(&wk->wk_out[FRZ_STEP_FLUSH], 1);
}

/*
 * Thaws one that is frozen, and tries again for as long as the kernel says that
 * it could not.  EINVAL: somebody else thawed it, so the hold did not hold.
 */
static void
wk_thaw(struct wk *wk, uint32_t i)
{
	static const struct timespec pause = { 0, WK_RETRY_NS };
	struct frz_slot *fs = &wk->wk_page->pg_slots[i];
	int error;

	if (!frz_slot_move(fs, FRZ_FROZEN, FRZ_THAWING))
		return;
	frz_slot_begin(fs, FRZ_STEP_THAW);
	for (;;) {
		error = frz_fs_thaw(wk->wk_fd[i]);
		if (error == 0 || error == EINVAL)
			break;
		frz_slot_failed(fs, FRZ_STEP_THAW, error);
		nanosleep(&pause, NULL);
		if (atomic_load(&fs->fs_state) != FRZ_THAWING)
			return;
	}
	frz_slot_end(fs, FRZ_STEP_THAW);
	frz_slot_failed(fs, FRZ_STEP_THAW, error);
	if (frz_slot_move(fs, FRZ_THAWING, FRZ_THAWED))
		atomic_store(&fs->fs_by, FRZ_BY_WORKER);
}

static void
wk_job_thaw(void *ctx, uint32_t i)
{
	struct wk *wk = ctx;

	wk_thaw(wk, i);
	atomic_store(&wk->wk_thawing[i], false);
	atomic_fetch_sub(&wk->wk_out[FRZ_STEP_THAW], 1);
}

static void
wk_freeze(struct wk *wk, uint32_t i)
{
	struct frz_slot *fs = &wk->wk_page->pg_slots[i];
	int error;

	if (!frz_slot_move(fs, FRZ_OPENED, FRZ_FREEZING))
		return;
	if (wk_must_stop(wk)) {
		(void)frz_slot_move(fs, FRZ_FREEZING, FRZ_THAWED);
		return;
	}
	frz_slot_begin(fs, FRZ_STEP_FREEZE);
	error = frz_fs_freeze(wk->wk_fd[i]);
	frz_slot_end(fs, FRZ_STEP_FREEZE);
	if (error != 0) {
		frz_slot_failed(fs, FRZ_STEP_FREEZE, error);
		(void)frz_slot_move(fs, FRZ_FREEZING, FRZ_NOT_OURS);
		atomic_fetch_add(&wk->wk_refused, 1);
		return;
	}
	(void)frz_slot_move(fs, FRZ_FREEZING, FRZ_FROZEN);
	if (wk_must_stop(wk)) {
		atomic_store(&wk->wk_page->pg_stop, 1);
		wk_thaw(wk, i);
	}
}

static void
wk_job_freeze(void *ctx, uint32_t i)
{
	struct wk *wk = ctx;

	wk_freeze(wk, i);
	atomic_fetch_sub(&wk->wk_out[FRZ_STEP_FREEZE], 1);
}

static void
wk_put(struct wk *wk, enum frz_step step, frz_job_fn *fn, uint32_t i)
{
	atomic_fetch_add(&wk->wk_out[step], 1);
	frz_pool_put(&wk->wk_pool, fn, wk, i);
}

/* Whatever the page says by now: what this worker raised it puts back. */
static void
wk_lower(struct wk *wk)
{
	if (wk->wk_raised)
		frz_rcu_lower(wk->wk_rcu, wk->wk_page);
	wk->wk_raised = false;
}

/*
 * Lets go of everything.  Outermost first: an inner file system's thaw waits in
 * the kernel for the one it lies on, and there may be fewer threads than file
 * systems.  What is FREEZING is thawed by the thread that is in the call.
 */
static void
wk_begin_thaw(struct wk *wk)
{
	struct frz_slot *fs;
	uint32_t i, level = FRZ_FS_MAX;

	atomic_store(&wk->wk_page->pg_stop, 1);
	wk_lower(wk);
	while (frz_page_level_below(wk->wk_page, &level))
		for (i = 0; i < wk->wk_count; i++) {
			fs = &wk->wk_page->pg_slots[i];
			if (fs->fs_level % FRZ_FS_MAX != level)
				continue;
			if (!wk->wk_force ||
			    (fs->fs_flags & FRZ_F_SYNC_ONLY) != 0)
				(void)frz_slot_move(fs, FRZ_OPENED, FRZ_THAWED);
			else
				(void)frz_slot_move(fs, FRZ_OPENED, FRZ_FROZEN);
			if (atomic_load(&fs->fs_state) == FRZ_FROZEN &&
			    !atomic_exchange(&wk->wk_thawing[i], true))
				wk_put(wk, FRZ_STEP_THAW, wk_job_thaw, i);
		}
}

static void
wk_say(struct wk *wk, enum frz_op op, uint32_t of, int error, uint32_t index)
{
	frz_say(wk->wk_ctl,
	    (struct frz_saying) { op, of, wk->wk_gen, error, index });
}

/* DONE, with the first slot that failed in this step. */
static void
wk_done(struct wk *wk, uint32_t of, enum frz_step step)
{
	struct frz_slot *fs;
	uint32_t i;
	int error;

	for (i = 0; i < wk->wk_count; i++) {
		fs = &wk->wk_page->pg_slots[i];
		error = atomic_load(&fs->fs_errno);
		if (error != 0 && atomic_load(&fs->fs_failed) == step &&
		    (!wk->wk_force || error != EINVAL)) {
			wk_say(wk, FRZ_DONE, of, error, i);
			return;
		}
	}
	error = 0;
	if (of == FRZ_FREEZE && atomic_load(&wk->wk_page->pg_stop) != 0)
		error = wk->wk_expired ? ETIMEDOUT : ECANCELED;
	wk_say(wk, FRZ_DONE, of, error, FRZ_FS_MAX);
}

/* Starts the next level up; false when there is none. */
static bool
wk_next_level(struct wk *wk)
{
	struct frz_slot *fs;
	uint32_t i;
	int32_t next = FRZ_FS_MAX;

	for (i = 0; i < wk->wk_count; i++) {
		fs = &wk->wk_page->pg_slots[i];
		if ((fs->fs_flags & FRZ_F_SYNC_ONLY) == 0 &&
		    (int32_t)fs->fs_level > wk->wk_level &&
		    (int32_t)fs->fs_level < next)
			next = (int32_t)fs->fs_level;
	}
	if (next == FRZ_FS_MAX)
		return (false);
	wk->wk_level = next;
	for (i = 0; i < wk->wk_count; i++) {
		fs = &wk->wk_page->pg_slots[i];
		if ((fs->fs_flags & FRZ_F_SYNC_ONLY) == 0 &&
		    (int32_t)fs->fs_level == next)
			wk_put(wk, FRZ_STEP_FREEZE, wk_job_freeze, i);
	}
	return (true);
}

/*
 * Begins as many flushes as may be out.  All that share a disk would fill its
 * queue, and who writes meanwhile would wait behind that for a block of a
 * journal.
 */
static void
wk_flush(struct wk *wk)
{
	_Atomic uint32_t *out;
	uint32_t i;

	if (wk_must_stop(wk))
		wk->wk_left = 0;
	for (i = 0; i < wk->wk_count && wk->wk_left != 0; i++) {
		out = &wk->wk_disk_out[wk->wk_disk[i]];
		if (wk->wk_begun[i] ||
		    (wk->wk_few && atomic_load(out) >= FRZ_FEW))
			continue;
		wk->wk_begun[i] = true;
		wk->wk_left--;
		atomic_fetch_add(out, 1);
		wk_put(wk, FRZ_STEP_FLUSH, wk_job_flush, i);
	}
}

/* What follows from jobs that came back. */
static void
wk_progress(struct wk *wk)
{
	if (wk->wk_order == FRZ_FLUSH) {
		wk_flush(wk);
		if (atomic_load(&wk->wk_out[FRZ_STEP_FLUSH]) == 0) {
			wk->wk_order = 0;
			wk_done(wk, FRZ_FLUSH, FRZ_STEP_FLUSH);
		}
	}
	if (wk->wk_order == FRZ_FREEZE) {
		if (atomic_load(&wk->wk_refused) != 0 || wk_must_stop(wk)) {
			wk_begin_thaw(wk);
			wk->wk_order = 0;
			wk_done(wk, FRZ_FREEZE, FRZ_STEP_FREEZE);
		} else if (atomic_load(&wk->wk_out[FRZ_STEP_FREEZE]) == 0 &&
		    !wk_next_level(wk)) {
			wk_lower(wk);
			wk->wk_order = 0;
			wk_done(wk, FRZ_FREEZE, FRZ_STEP_FREEZE);
		}
	}
	if (wk->wk_thaw_due && !wk_armed(wk) &&
	    atomic_load(&wk->wk_out[FRZ_STEP_THAW]) == 0) {
		wk->wk_thaw_due = false;
		wk_done(wk, FRZ_THAW, FRZ_STEP_THAW);
	}
}

static int
wk_lease(struct wk *wk, uint64_t deadline_ns)
{
	struct itimerspec its;

	memset(&its, 0, sizeof(its));
	its.it_value.tv_sec = (time_t)(deadline_ns / 1000000000ULL);
	its.it_value.tv_nsec = (long)(deadline_ns % 1000000000ULL);
	atomic_store(&wk->wk_lease_ns, deadline_ns);
	if (wk->wk_page != NULL)
		atomic_store(&wk->wk_page->pg_worker_lease_ns, deadline_ns);
	wk->wk_expired = false;
	if (timerfd_settime(wk->wk_timer, TFD_TIMER_ABSTIME, &its, NULL) == -1)
		return (errno);
	return (0);
}

/* True while a job may still use what the transaction holds. */
static bool
wk_busy(struct wk *wk)
{
	return (wk->wk_order != 0 || wk->wk_thaw_due ||
	    atomic_load(&wk->wk_out[FRZ_STEP_FLUSH]) != 0 ||
	    atomic_load(&wk->wk_out[FRZ_STEP_FREEZE]) != 0 ||
	    atomic_load(&wk->wk_out[FRZ_STEP_THAW]) != 0 ||
	    (wk->wk_page != NULL && wk_armed(wk)));
}

static int
wk_attach(struct wk *wk, const struct frz_msg *fm, struct frz_fds *ff)
{
	struct frz_page *page;
	int error;

	if (wk_busy(wk) || wk->wk_count != 0)
		return (EBUSY);
	if (ff->ff_count < 1 || ff->ff_count > 2)
		return (EINVAL);
	error = frz_page_map(ff->ff_fd[0], &page);
	if (error != 0)
		return (error);
	frz_page_unmap(wk->wk_page);
	wk->wk_page = page;
	if (wk->wk_peer != -1)
		(void)close(wk->wk_peer);
	wk->wk_peer = -1;
	if (ff->ff_count == 2) {
		wk->wk_peer = ff->ff_fd[1];
		ff->ff_fd[1] = -1;
	}
	frz_pool_limit(&wk->wk_pool, fm->fm_count);
	return (0);
}

/* Passes a descriptor to the guard; EOWNERDEAD if that does not take it. */
static int
wk_hold(struct wk *wk, uint32_t i)
{
	struct pollfd pfd = { wk->wk_peer, POLLOUT, 0 };
	struct frz_fds ff = { { wk->wk_fd[i] }, 1 };
	struct frz_msg fm;
	int error;

	memset(&fm, 0, sizeof(fm));
	fm.fm_op = FRZ_HOLD;
	fm.fm_gen = wk->wk_gen;
	fm.fm_index = i;
	error = frz_send(wk->wk_peer, &fm, &ff);
	if (error == EAGAIN && fdwait(&pfd, 1, WK_GUARD_WAIT_MS) == 1)
		error = frz_send(wk->wk_peer, &fm, &ff);
	return (error == 0 ? 0 : EOWNERDEAD);
}

static void
wk_set_disk(struct wk *wk, uint32_t i, uint32_t disk)
{
	uint32_t d = 0;

	if (i == 0)
		wk->wk_ndisks = 0;
	while (d < wk->wk_ndisks && wk->wk_disks[d] != disk)
		d++;
	if (d == wk->wk_ndisks)
		wk->wk_disks[wk->wk_ndisks++] = disk;
	wk->wk_disk[i] = d;
}

static int
wk_open(struct wk *wk, struct frz_msg *fm)
{
	struct frz_slot *fs;
	uint32_t i = fm->fm_index;
	int error;

	if (wk_busy(wk))
		return (EBUSY);
	if (i != wk->wk_count || i >= FRZ_FS_MAX ||
	    fm->fm_level >= FRZ_FS_MAX || (i > 0 && fm->fm_gen != wk->wk_gen))
		return (EINVAL);
	wk->wk_gen = fm->fm_gen;
	error = frz_pool_grow(&wk->wk_pool, i + 1);
	if (error == 0)
		error = frz_fs_open(fm, &wk->wk_fd[i]);
	if (error != 0)
		return (error);
	wk_set_disk(wk, i, fm->fm_disk);
	wk->wk_count++;
	fs = &wk->wk_page->pg_slots[i];
	fs->fs_level = fm->fm_level;
	fs->fs_flags = fm->fm_flags;
	fs->fs_major = fm->fm_major;
	fs->fs_minor = fm->fm_minor;
	(void)frz_slot_move(fs, FRZ_PLANNED, FRZ_OPENED);
	if (wk->wk_peer == -1 || (fm->fm_flags & FRZ_F_SYNC_ONLY) != 0)
		return (0);
	error = wk_hold(wk, i);
	if (error != 0) {
		wk->wk_count--;
		(void)frz_slot_move(fs, FRZ_OPENED, FRZ_PLANNED);
		(void)close(wk->wk_fd[i]);
	}
	return (error);
}

static int
wk_release(struct wk *wk)
{
	uint32_t i;

	if (wk_busy(wk))
		return (EBUSY);
	for (i = 0; i < wk->wk_count; i++)
		(void)close(wk->wk_fd[i]);
	wk->wk_count = 0;
	wk->wk_force = false;
	(void)wk_lease(wk, 0);
	return (0);
}

/* Orders that are answered when jobs are back; an error is answered at once. */
static int
wk_start(struct wk *wk, const struct frz_msg *fm)
{
	int error;

	if (wk_busy(wk))
		return (EBUSY);
	if (wk->wk_count == 0)
		wk->wk_gen = fm->fm_gen;
	if (fm->fm_gen != wk->wk_gen || fm->fm_count != wk->wk_count)
		return (EINVAL);
	if (fm->fm_op == FRZ_FREEZE) {
		if (fm->fm_deadline_ns == 0)
			return (EINVAL);
		error = wk_lease(wk, fm->fm_deadline_ns);
		if (error != 0)
			return (error);
		wk->wk_level = -1;
		atomic_store(&wk->wk_refused, 0);
		/* Not for nothing: there may be nobody left to put it back. */
		if ((fm->fm_flags & FRZ_F_RCU) != 0 && !wk_must_stop(wk))
			wk->wk_raised = frz_rcu_raise(wk->wk_rcu, wk->wk_page);
	} else {
		memset(wk->wk_begun, 0, sizeof(wk->wk_begun));
		wk->wk_left = wk->wk_count;
		wk->wk_few = (fm->fm_flags & FRZ_F_FEW) != 0;
	}
	wk->wk_order = fm->fm_op;
	return (0);
}

static void
wk_order(void *ctx, struct frz_msg *fm, struct frz_fds *ff)
{
	struct wk *wk = ctx;
	int error = EINVAL;

	if (fm->fm_op == FRZ_ATTACH)
		error = wk_attach(wk, fm, ff);
	else if (wk->wk_page == NULL)
		error = EINVAL;
	else if (fm->fm_op == FRZ_OPEN)
		error = wk_open(wk, fm);
	else if (fm->fm_op == FRZ_FLUSH || fm->fm_op == FRZ_FREEZE) {
		error = wk_start(wk, fm);
		if (error == 0)
			return;
	} else if (fm->fm_op == FRZ_THAW) {
		wk->wk_force = (fm->fm_flags & FRZ_F_FORCE) != 0;
		wk->wk_thaw_due = true;
		wk_begin_thaw(wk);
		return;
	} else if (fm->fm_op == FRZ_RELEASE)
		error = wk_release(wk);
	else if (fm->fm_op == FRZ_PING)
		error = 0;
	wk_say(wk, FRZ_DONE, fm->fm_op, error, fm->fm_index);
}

static void
wk_read(struct wk *wk)
{
	if (!frz_take_all(wk->wk_ctl, wk_order, wk))
		wk->wk_orphan = true;
	if (wk->wk_orphan && wk->wk_page != NULL)
		wk_begin_thaw(wk);
}

void
frz_worker(int ctl)
{
	struct wk *wk = &wk0;
	struct pollfd pfd[3];
	uint64_t n;

	wk->wk_ctl = ctl;
	wk->wk_peer = -1;
	wk->wk_rcu = frz_rcu_kept();
	wk->wk_timer = timerfd_create(
	    CLOCK_BOOTTIME, TFD_CLOEXEC | TFD_NONBLOCK);
	if (wk->wk_timer == -1 || frz_pool_init(&wk->wk_pool) != 0)
		return;
	/* An orphan ends when nothing is armed; what hangs ends by itself. */
	while (!wk->wk_orphan || (wk->wk_page != NULL && wk_armed(wk))) {
		pfd[0] = (struct pollfd) { wk->wk_ctl, POLLIN, 0 };
		pfd[1] = (struct pollfd) { wk->wk_timer, POLLIN, 0 };
		pfd[2] = (struct pollfd) { wk->wk_pool.fp_done, POLLIN, 0 };
		if (wk->wk_orphan)
			pfd[0].fd = -1;
		if (fdwait(pfd, 3, -1) == -1)
			continue;
		if (pfd[2].revents != 0)
			(void)!read(wk->wk_pool.fp_done, &n, sizeof(n));
		if (pfd[0].revents != 0)
			wk_read(wk);
		if (pfd[1].revents != 0 &&
		    read(wk->wk_timer, &n, sizeof(n)) == sizeof(n) &&
		    wk->wk_count != 0) {
			wk->wk_expired = true;
			wk_begin_thaw(wk);
			wk_say(wk, FRZ_EXPIRED, 0, ETIMEDOUT, FRZ_FS_MAX);
		}
		if (wk->wk_page != NULL)
			wk_progress(wk);
	}
}
