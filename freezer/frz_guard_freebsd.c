/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/*
 * The guard on FreeBSD: holds the worker's process descriptor, and kills the
 * worker when the daemon ends, its lease ends, or the daemon says so.  A
 * worker's end is what thaws: the kernel closes its descriptors before anybody
 * hears of it, and each that freezes thaws as it is closed.
 *
 * What was sent to it is read before an end counts.  A worker that lives is
 * given a while to thaw by itself when the daemon has ended, and none when its
 * lease has, since its own ended before.  If the kernel keeps it, nothing else
 * can thaw: the guard waits for it, and the page says what is still armed.
 */

#include "hv_vss_freezer.h"

#include <sys/procdesc.h>

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

#include "frz_msg.h"

#define GD_GRACE_NS 2000000000ULL /* for the worker to thaw by itself */

struct gd {
	struct frz_page *gd_page;
	int gd_ctl;
	int gd_worker; /* process descriptor, or -1 */
	uint64_t gd_gen;
	uint64_t gd_lease_ns; /* 0: none */
	uint64_t gd_kill_ns;  /* when to kill the worker, 0: not */
	bool gd_ended;	      /* the worker is gone */
	bool gd_orphan;	      /* the daemon is gone */
	bool gd_thawing;
	bool gd_thaw_due; /* DONE for THAW is due */
};

static struct gd gd0;

static bool
gd_armed(struct gd *gd)
{
	for (uint32_t i = 0; i < FRZ_FS_MAX; i++)
		if (frz_slot_armed(&gd->gd_page->pg_slots[i]))
			return (true);
	return (false);
}

static void
gd_say(struct gd *gd, enum frz_op op, uint32_t of, int error)
{
	frz_say(gd->gd_ctl,
	    (struct frz_saying) { op, of, gd->gd_gen, error, FRZ_FS_MAX });
}

/* The worker has ended: nothing that it froze is frozen any more. */
static void
gd_all_thawed(struct gd *gd)
{
	uint64_t now = frz_now_ns();

	for (uint32_t i = 0; i < FRZ_FS_MAX; i++) {
		struct frz_slot *fs = &gd->gd_page->pg_slots[i];

		(void)frz_slot_move(fs, FRZ_OPENED, FRZ_THAWED);
		if (!frz_slot_armed(fs))
			continue;
		frz_slot_failed(fs, FRZ_STEP_THAW, 0);
		atomic_store(&fs->fs_end_ns[FRZ_STEP_THAW], now);
		atomic_store(&fs->fs_by, FRZ_BY_GUARD);
		atomic_store(&fs->fs_state, FRZ_THAWED);
	}
}

static void
gd_kill(struct gd *gd)
{
	gd->gd_kill_ns = 0;
	if (gd->gd_worker != -1 && !gd->gd_ended)
		(void)pdkill(gd->gd_worker, SIGKILL);
}

/* Nothing more is to be frozen, and the worker has so long to let go. */
static void
gd_begin_thaw(struct gd *gd, uint64_t grace_ns)
{
	if (gd->gd_page == NULL)
		return;
	gd->gd_thawing = true;
	atomic_store(&gd->gd_page->pg_stop, 1);
	if (grace_ns == 0)
		gd_kill(gd);
	else
		gd->gd_kill_ns = frz_now_ns() + grace_ns;
}

static void
gd_lease(struct gd *gd, uint64_t deadline_ns)
{
	gd->gd_lease_ns = deadline_ns;
	atomic_store(&gd->gd_page->pg_guard_lease_ns, deadline_ns);
}

static int
gd_attach(struct gd *gd, struct frz_fds *ff)
{
	struct frz_page *page;
	int error;

	if (gd->gd_page != NULL && gd_armed(gd))
		return (EBUSY);
	if (ff->ff_count != 3)
		return (EINVAL);
	error = frz_page_map(ff->ff_fd[0], &page);
	if (error != 0)
		return (error);
	frz_page_unmap(gd->gd_page);
	gd->gd_page = page;
	if (gd->gd_worker != -1)
		(void)close(gd->gd_worker);
	gd->gd_worker = ff->ff_fd[2];
	ff->ff_fd[2] = -1;
	gd->gd_ended = gd->gd_thawing = false;
	gd->gd_kill_ns = 0;
	gd_lease(gd, 0);
	return (0);
}

/* There is nothing to hold but the worker itself. */
static int
gd_arm(struct gd *gd, const struct frz_msg *fm)
{
	if (gd->gd_thawing || fm->fm_deadline_ns == 0 ||
	    fm->fm_count > FRZ_FS_MAX)
		return (EINVAL);
	if (gd->gd_ended)
		return (EOWNERDEAD);
	if (gd_armed(gd))
		return (EBUSY);
	gd->gd_gen = fm->fm_gen;
	gd_lease(gd, fm->fm_deadline_ns);
	return (0);
}

static int
gd_release(struct gd *gd)
{
	if (gd_armed(gd))
		return (EBUSY);
	gd->gd_thawing = false;
	gd->gd_kill_ns = 0;
	gd_lease(gd, 0);
	return (0);
}

static void
gd_order(void *ctx, struct frz_msg *fm, struct frz_fds *ff)
{
	struct gd *gd = ctx;
	int error = EINVAL;

	if (fm->fm_op == FRZ_ATTACH)
		error = gd_attach(gd, ff);
	else if (gd->gd_page == NULL)
		error = EINVAL;
	else if (fm->fm_op == FRZ_ARM)
		error = gd_arm(gd, fm);
	else if (fm->fm_op == FRZ_RELEASE)
		error = gd_release(gd);
	else if (fm->fm_op == FRZ_THAW) {
		/* The daemon has given the worker up. */
		gd->gd_thaw_due = true;
		gd_begin_thaw(gd, 0);
		return;
	}
	gd_say(gd, FRZ_DONE, fm->fm_op, error);
}

/* What ends and the time mean, after all messages were read. */
static void
gd_ends(struct gd *gd)
{
	struct pollfd worker = { gd->gd_worker, POLLIN, 0 };
	uint64_t now = frz_now_ns();

	if (!gd->gd_ended && gd->gd_worker != -1 && poll(&worker, 1, 0) == 1) {
		gd->gd_ended = true;
		gd->gd_kill_ns = 0;
		if (gd_armed(gd) && !gd->gd_thaw_due)
			gd_say(gd, FRZ_EXPIRED, 0, ESRCH);
		gd_all_thawed(gd);
	}
	if (gd->gd_lease_ns != 0 && now >= gd->gd_lease_ns) {
		gd_lease(gd, 0);
		if (gd_armed(gd)) {
			gd_say(gd, FRZ_EXPIRED, 0, ETIMEDOUT);
			gd_begin_thaw(gd, 0);
		}
	}
	if (gd->gd_orphan && !gd->gd_thawing)
		gd_begin_thaw(gd, GD_GRACE_NS);
	if (gd->gd_kill_ns != 0 && now >= gd->gd_kill_ns)
		gd_kill(gd);
	if (gd->gd_thaw_due && !gd_armed(gd)) {
		gd->gd_thaw_due = false;
		gd_say(gd, FRZ_DONE, FRZ_THAW, 0);
	}
}

static int
gd_wait_ms(struct gd *gd)
{
	uint64_t at = UINT64_MAX;

	if (gd->gd_lease_ns != 0)
		at = gd->gd_lease_ns;
	if (gd->gd_kill_ns != 0 && gd->gd_kill_ns < at)
		at = gd->gd_kill_ns;
	return (frz_wait_ms(at));
}

void
frz_guard(int ctl)
{
	struct gd *gd = &gd0;

	gd->gd_ctl = ctl;
	gd->gd_worker = -1;
	/* An orphan stays for as long as anything is armed. */
	while (!gd->gd_orphan || (gd->gd_page != NULL && gd_armed(gd))) {
		struct pollfd pfd[2] = {
			{ gd->gd_orphan ? -1 : ctl, POLLIN, 0 },
			{ gd->gd_ended ? -1 : gd->gd_worker, POLLIN, 0 },
		};

		if (poll(pfd, 2, gd_wait_ms(gd)) == -1)
			continue;
		if (!gd->gd_orphan && !frz_take_all(ctl, gd_order, gd))
			gd->gd_orphan = true;
		if (gd->gd_page != NULL)
			gd_ends(gd);
	}
}

/* Without a process descriptor of its own it cannot be a service. */
void
frz_guard_listen(int listener, const struct frz_msg *ready)
{
	(void)listener;
	(void)ready;
	_exit(1);
}
