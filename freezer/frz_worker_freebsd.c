/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/*
 * The worker on FreeBSD: one thread, since the kernel refuses a freeze to a
 * process of several and serialises freezes anyway.
 *
 * It freezes one file system after another, what is stacked on others first and
 * the later mounted before the earlier, and between two looks for orders, at
 * its lease and whether the daemon lives.  It thaws by itself when the daemon
 * is gone, its lease ends or any freeze fails.  Its death thaws as well,
 * however it comes: so the guard holds no descriptor, and kills it.
 */

#include "hv_vss_freezer.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "frz_ufs.h"

#define WK_RETRY_NS 250000000ULL
#define WK_NONE	    FRZ_FS_MAX

struct wk {
	struct frz_page *wk_page;
	int wk_ctl;
	struct frz_ufs wk_fs[FRZ_FS_MAX];
	bool wk_flushed[FRZ_FS_MAX]; /* its pool, in this FREEZE */
	uint32_t wk_count;	     /* of them, slots 0 on */
	uint64_t wk_gen;
	uint64_t wk_lease_ns; /* 0: none */
	uint64_t wk_retry_ns; /* when to try a thaw that failed once more */
	uint32_t wk_order;    /* FREEZE whose DONE is due, or 0 */
	bool wk_thaw_due;     /* DONE for THAW is due */
	bool wk_thawing;      /* something may wait to be thawed */
	bool wk_orphan;	      /* the daemon is gone */
	bool wk_expired;
};

static struct wk wk0;

static struct frz_slot *
wk_slot(struct wk *wk, uint32_t i)
{
	return (&wk->wk_page->pg_slots[i]);
}

static bool
wk_armed(struct wk *wk)
{
	for (uint32_t i = 0; i < wk->wk_count; i++)
		if (frz_slot_armed(wk_slot(wk, i)))
			return (true);
	return (false);
}

/* Whether a freeze is not wanted any more. */
static bool
wk_must_stop(struct wk *wk)
{
	struct pollfd pfd = { wk->wk_ctl, 0, 0 };

	return (atomic_load(&wk->wk_page->pg_stop) != 0 ||
	    (wk->wk_lease_ns != 0 && frz_now_ns() >= wk->wk_lease_ns) ||
	    (poll(&pfd, 1, 0) == 1 && pfd.revents != 0));
}

static void
wk_say(struct wk *wk, enum frz_op op, uint32_t of, int error, uint32_t index)
{
	frz_say(wk->wk_ctl,
	    (struct frz_saying) { op, of, wk->wk_gen, error, index });
}

/*
 * Begins to write everything out, then waits for each pool.  There is no call
 * that waits for one UFS: the freeze does.
 */
static void
wk_flush(struct wk *wk)
{
	uint32_t i, failed = WK_NONE;
	int error, first = 0;

	for (i = 0; i < wk->wk_count; i++)
		frz_slot_begin(wk_slot(wk, i), FRZ_STEP_FLUSH);
	frz_ufs_flush();
	for (i = 0; i < wk->wk_count; i++) {
		error = frz_ufs_flush_pool(&wk->wk_fs[i]);
		frz_slot_end(wk_slot(wk, i), FRZ_STEP_FLUSH);
		if (error == 0)
			continue;
		frz_slot_failed(wk_slot(wk, i), FRZ_STEP_FLUSH, error);
		if (first == 0) {
			first = error;
			failed = i;
		}
	}
	wk_say(wk, FRZ_DONE, FRZ_FLUSH, first, failed);
}

/*
 * A hole in the table of descriptors below the highest one in use is a panic
 * (13.2).  Of what was closed since, the number leads nowhere again.
 */
static int
wk_fill(struct wk *wk)
{
	int fd, highest = wk->wk_ctl;

	if (frz_ufs_highest_fd() > highest)
		highest = frz_ufs_highest_fd();
	for (uint32_t i = 0; i < wk->wk_count; i++)
		if (wk->wk_fs[i].fu_fd > highest)
			highest = wk->wk_fs[i].fu_fd;
	for (fd = 0; fd < highest; fd++)
		if (fcntl(fd, F_GETFD) == -1 && dup2(STDIN_FILENO, fd) == -1)
			return (errno);
	return (0);
}

/*
 * In which order those of one level are taken.  What a pool lies on is not
 * known, and its flush waits while that is frozen: so a pool comes before what
 * it may lie on, and UFS on a volume of one before that.  Those with a journal
 * are the last, so that settling them takes no longer than it must: what is
 * frozen has nothing to write.
 */
static uint32_t
wk_rank(struct wk *wk, uint32_t i)
{
	const struct frz_ufs *fu = &wk->wk_fs[i];
	uint32_t rank = fu->fu_pool[0] == '\0' ? 2 : fu->fu_fd == -1 ? 1 : 0;

	return (wk_slot(wk, i)->fs_level * 4 +
	    (rank == 2 && fu->fu_journaled ? 3 : rank));
}

/* Whether something is still to be done with it until all is frozen. */
static bool
wk_waits(struct wk *wk, uint32_t i)
{
	return (atomic_load(&wk_slot(wk, i)->fs_state) == FRZ_OPENED &&
	    (wk->wk_fs[i].fu_fd != -1 ||
		(wk->wk_fs[i].fu_pool[0] != '\0' && !wk->wk_flushed[i])));
}

/* The next one: lowest level and rank, last slot; WK_NONE: all are done. */
static uint32_t
wk_next(struct wk *wk)
{
	uint32_t i, next = WK_NONE;

	for (i = 0; i < wk->wk_count; i++)
		if (wk_waits(wk, i) &&
		    (next == WK_NONE || wk_rank(wk, i) <= wk_rank(wk, next)))
			next = i;
	return (next);
}

static int
wk_freeze(struct wk *wk, uint32_t i)
{
	struct frz_slot *fs = wk_slot(wk, i);
	int error;

	if (!frz_slot_move(fs, FRZ_OPENED, FRZ_FREEZING))
		return (ECANCELED);
	if (wk_must_stop(wk)) {
		(void)frz_slot_move(fs, FRZ_FREEZING, FRZ_THAWED);
		return (ECANCELED);
	}
	frz_slot_begin(fs, FRZ_STEP_FREEZE);
	error = wk_fill(wk);
	if (error == 0) {
		do
			error = frz_ufs_freeze(&wk->wk_fs[i]);
		while (error == EAGAIN && !wk_must_stop(wk));
	}
	frz_slot_end(fs, FRZ_STEP_FREEZE);
	if (error != 0) {
		frz_slot_failed(fs, FRZ_STEP_FREEZE, error);
		(void)frz_slot_move(fs, FRZ_FREEZING, FRZ_NOT_OURS);
		return (error);
	}
	(void)frz_slot_move(fs, FRZ_FREEZING, FRZ_FROZEN);
	return (0);
}

/* EINVAL: somebody else thawed it, so the hold did not hold. */
static void
wk_thaw(struct wk *wk, uint32_t i)
{
	struct frz_slot *fs = wk_slot(wk, i);
	int error;

	if (!frz_slot_move(fs, FRZ_FROZEN, FRZ_THAWING) &&
	    atomic_load(&fs->fs_state) != FRZ_THAWING)
		return;
	frz_slot_begin(fs, FRZ_STEP_THAW);
	error = frz_ufs_thaw(&wk->wk_fs[i]);
	frz_slot_failed(fs, FRZ_STEP_THAW, error);
	if (error != 0 && error != EINVAL) {
		wk->wk_retry_ns = frz_now_ns() + WK_RETRY_NS;
		return;
	}
	frz_slot_end(fs, FRZ_STEP_THAW);
	if (frz_slot_move(fs, FRZ_THAWING, FRZ_THAWED))
		atomic_store(&fs->fs_by, FRZ_BY_WORKER);
}

/* The next one to be thawed: highest level, first slot; WK_NONE: none is. */
static uint32_t
wk_next_thaw(struct wk *wk)
{
	uint32_t i, next = WK_NONE;

	for (i = 0; i < wk->wk_count; i++)
		if (atomic_load(&wk_slot(wk, i)->fs_state) == FRZ_FROZEN &&
		    (next == WK_NONE ||
			wk_slot(wk, i)->fs_level > wk_slot(wk, next)->fs_level))
			next = i;
	return (next);
}

/* Begins to let go of everything: one at a time, with a look at orders. */
static void
wk_thaw_all(struct wk *wk)
{
	atomic_store(&wk->wk_page->pg_stop, 1);
	wk->wk_thawing = true;
	for (uint32_t i = 0; i < wk->wk_count; i++)
		(void)frz_slot_move(wk_slot(wk, i), FRZ_OPENED, FRZ_THAWED);
}

/* One step of that; then what could not be thawed is tried once more. */
static void
wk_thaw_step(struct wk *wk)
{
	uint32_t next = wk_next_thaw(wk);

	if (next != WK_NONE) {
		wk_thaw(wk, next);
		return;
	}
	wk->wk_thawing = false;
	if (wk->wk_retry_ns == 0 || frz_now_ns() < wk->wk_retry_ns)
		return;
	wk->wk_retry_ns = 0;
	for (uint32_t i = 0; i < wk->wk_count; i++)
		if (atomic_load(&wk_slot(wk, i)->fs_state) == FRZ_THAWING)
			wk_thaw(wk, i);
}

/*
 * What lies on a pool (on a volume of it, in an image) has reached it with the
 * freeze, and the disk when the pool is flushed.
 */
static int
wk_take(struct wk *wk, uint32_t i)
{
	int error = wk->wk_fs[i].fu_fd == -1 ? 0 : wk_freeze(wk, i);

	if (error != 0)
		return (error);
	wk->wk_flushed[i] = true;
	error = frz_ufs_flush_pool(&wk->wk_fs[i]);
	if (error != 0)
		frz_slot_failed(wk_slot(wk, i), FRZ_STEP_FLUSH, error);
	return (error);
}

/* One step of FREEZE: the next file system, or the answer. */
static void
wk_progress(struct wk *wk)
{
	uint32_t i = wk_next(wk), failed = WK_NONE;
	int error = 0;

	if (wk->wk_order != FRZ_FREEZE)
		return;
	if (i != WK_NONE && !wk_must_stop(wk)) {
		error = wk_take(wk, i);
		failed = error != 0 && error != ECANCELED ? i : WK_NONE;
	}
	if (error == 0 && wk_must_stop(wk))
		error = ECANCELED;
	if (error == 0 && i != WK_NONE)
		return;
	if (error != 0)
		wk_thaw_all(wk);
	wk->wk_order = 0;
	if (error == ECANCELED && wk->wk_expired)
		error = ETIMEDOUT;
	wk_say(wk, FRZ_DONE, FRZ_FREEZE, error, failed);
}

static int
wk_attach(struct wk *wk, struct frz_fds *ff)
{
	struct frz_page *page;
	int error;

	if (wk->wk_count != 0)
		return (EBUSY);
	/* The second leads to the guard, to whom there is nothing to say. */
	if (ff->ff_count < 1 || ff->ff_count > 2)
		return (EINVAL);
	error = frz_page_map(ff->ff_fd[0], &page);
	if (error != 0)
		return (error);
	frz_page_unmap(wk->wk_page);
	wk->wk_page = page;
	return (0);
}

static int
wk_open(struct wk *wk, const struct frz_msg *fm)
{
	struct frz_slot *fs;
	uint32_t i = fm->fm_index;
	int error;

	if (wk->wk_order != 0 || wk_armed(wk))
		return (EBUSY);
	if (i != wk->wk_count || i >= FRZ_FS_MAX ||
	    fm->fm_level >= FRZ_FS_MAX || (i > 0 && fm->fm_gen != wk->wk_gen))
		return (EINVAL);
	wk->wk_gen = fm->fm_gen;
	error = frz_ufs_open(fm, &wk->wk_fs[i]);
	if (error != 0)
		return (error);
	wk->wk_count++;
	fs = wk_slot(wk, i);
	fs->fs_level = fm->fm_level;
	fs->fs_flags = fm->fm_flags;
	fs->fs_major = fm->fm_major;
	fs->fs_minor = fm->fm_minor;
	(void)frz_slot_move(fs, FRZ_PLANNED, FRZ_OPENED);
	return (0);
}

static void
wk_lease(struct wk *wk, uint64_t deadline_ns)
{
	wk->wk_lease_ns = deadline_ns;
	wk->wk_expired = false;
	atomic_store(&wk->wk_page->pg_worker_lease_ns, deadline_ns);
}

static int
wk_release(struct wk *wk)
{
	if (wk->wk_order != 0 || wk->wk_thaw_due || wk_armed(wk))
		return (EBUSY);
	/* The highest first: no hole is left below another. */
	while (wk->wk_count > 0)
		frz_ufs_close(&wk->wk_fs[--wk->wk_count]);
	wk_lease(wk, 0);
	return (0);
}

/* FLUSH and FREEZE, of all that was opened. */
static int
wk_start(struct wk *wk, const struct frz_msg *fm)
{
	if (wk->wk_order != 0 || wk_armed(wk))
		return (EBUSY);
	if (wk->wk_count == 0)
		wk->wk_gen = fm->fm_gen;
	if (fm->fm_gen != wk->wk_gen || fm->fm_count != wk->wk_count ||
	    (fm->fm_op == FRZ_FREEZE && fm->fm_deadline_ns == 0))
		return (EINVAL);
	if (fm->fm_op == FRZ_FREEZE) {
		wk_lease(wk, fm->fm_deadline_ns);
		wk->wk_order = FRZ_FREEZE;
		memset(wk->wk_flushed, 0, sizeof(wk->wk_flushed));
	} else
		wk_flush(wk);
	return (0);
}

static void
wk_order(void *ctx, struct frz_msg *fm, struct frz_fds *ff)
{
	struct wk *wk = ctx;
	int error = EINVAL;

	if (fm->fm_op == FRZ_ATTACH)
		error = wk_attach(wk, ff);
	else if (wk->wk_page == NULL)
		error = EINVAL;
	else if (fm->fm_op == FRZ_OPEN)
		error = wk_open(wk, fm);
	else if (fm->fm_op == FRZ_FLUSH || fm->fm_op == FRZ_FREEZE) {
		error = wk_start(wk, fm);
		if (error == 0)
			return;
	} else if (fm->fm_op == FRZ_THAW) {
		wk->wk_thaw_due = true;
		wk_thaw_all(wk);
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
		wk_thaw_all(wk);
}

/* DONE for THAW, with the first that somebody else had thawed. */
static void
wk_thawed(struct wk *wk)
{
	uint32_t i;
	int error = 0;

	if (!wk->wk_thaw_due || wk_armed(wk))
		return;
	wk->wk_thaw_due = false;
	for (i = 0; i < wk->wk_count && error == 0; i++)
		if (atomic_load(&wk_slot(wk, i)->fs_failed) == FRZ_STEP_THAW)
			error = atomic_load(&wk_slot(wk, i)->fs_errno);
	wk_say(wk, FRZ_DONE, FRZ_THAW, error, error == 0 ? WK_NONE : i - 1);
}

/* What time brings: the lease's end, and thaws to be tried again. */
static void
wk_tick(struct wk *wk)
{
	uint64_t now = frz_now_ns();

	if (wk->wk_lease_ns != 0 && now >= wk->wk_lease_ns && !wk->wk_expired &&
	    wk->wk_count != 0) {
		wk->wk_expired = true;
		wk_thaw_all(wk);
		wk_say(wk, FRZ_EXPIRED, 0, ETIMEDOUT, WK_NONE);
	}
	if (wk->wk_thawing || (wk->wk_retry_ns != 0 && now >= wk->wk_retry_ns))
		wk_thaw_step(wk);
}

static int
wk_wait_ms(struct wk *wk)
{
	uint64_t at = UINT64_MAX;

	if (wk->wk_order != 0 || wk->wk_thawing)
		return (0);
	if (wk->wk_lease_ns != 0 && !wk->wk_expired)
		at = wk->wk_lease_ns;
	if (wk->wk_retry_ns != 0 && wk->wk_retry_ns < at)
		at = wk->wk_retry_ns;
	return (frz_wait_ms(at));
}

void
frz_worker(int ctl)
{
	struct wk *wk = &wk0;
	struct pollfd pfd;

	wk->wk_ctl = ctl;
	/* An orphan ends when nothing is armed; ending thaws as well. */
	while (!wk->wk_orphan || (wk->wk_page != NULL && wk_armed(wk))) {
		pfd = (struct pollfd) { wk->wk_orphan ? -1 : ctl, POLLIN, 0 };
		if (poll(&pfd, 1, wk_wait_ms(wk)) == -1)
			continue;
		if (pfd.revents != 0)
			wk_read(wk);
		if (wk->wk_page == NULL)
			continue;
		wk_tick(wk);
		wk_progress(wk);
		wk_thawed(wk);
	}
}
