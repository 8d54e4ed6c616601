/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/*
 * One transaction on its way up: thaw, answers, release.
 *
 * The worker thaws as long as it answers.  One that is silent, or whose freeze
 * call does not come back, is killed and the guard thaws.  If both are gone
 * the daemon sees to it by itself, where that has not thawed yet.  No answer to
 * the driver goes before the order to thaw, since a call to a driver that is
 * stopped hangs.
 */

#include <sys/wait.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "dm.h"
#include "dm_os.h"

#define DM_RELEASE_NS DM_NS_PER_S
#define DM_AGAIN_NS   (100 * DM_NS_PER_MS) /* between two looks without them */
#define DM_SELDOM_NS  (60 * DM_NS_PER_S)   /* between last resorts, at most */

bool
dm_undo_armed(struct dm *dm)
{
	uint32_t i;

	for (i = 0; i < dm->dm_txn.tx_nfs; i++)
		if (frz_slot_armed(&dm->dm_page->pg_slots[i]))
			return (true);
	return (false);
}

bool
dm_undo_freezing(struct dm *dm)
{
	uint32_t i;

	for (i = 0; i < dm->dm_txn.tx_nfs; i++)
		if (atomic_load(&dm->dm_page->pg_slots[i].fs_state) ==
		    FRZ_FREEZING)
			return (true);
	return (false);
}

bool
dm_undo_apart(void)
{
	pid_t pid;

	pid = fork();
	if (pid == 0) {
		(void)close_range(STDERR_FILENO + 1, ~0U, 0);
		if (fork() == 0)
			return (true);
		_exit(0);
	}
	if (pid > 0)
		(void)waitpid(pid, NULL, 0);
	return (false);
}

/* The log is held back for as long as this hangs, so another process writes. */
static void
dm_undo_say(struct dm *dm, const char *stuck)
{
	struct dm_txn *tx = &dm->dm_txn;

	if (tx->tx_said || !dm_undo_apart()) {
		tx->tx_said = true;
		return;
	}
	report_drop();
	if (!dm->dm_foreground)
		report_to_syslog();
	report(REPORT_ERROR, "still thawing: %s", stuck);
	_exit(0);
}

/* Each leaves a process in every thaw that hangs: ever more seldom. */
static void
dm_undo_last_resort(struct dm *dm)
{
	struct dm_txn *tx = &dm->dm_txn;
	uint64_t now = frz_now_ns();

	if (now < tx->tx_resort_ns)
		return;
	tx->tx_resort_ns = now + tx->tx_pause_ns;
	tx->tx_pause_ns = dm_earlier(2 * tx->tx_pause_ns, DM_SELDOM_NS);
	dm_os_last_resort(dm);
}

/* Tells whoever is left to thaw; true if that is the worker. */
static bool
dm_undo_order(struct dm *dm)
{
	struct dm_txn *tx = &dm->dm_txn;
	struct frz_msg fm;

	tx->tx_again_ns = frz_now_ns() + DM_AGAIN_NS;
	memset(&fm, 0, sizeof(fm));
	fm.fm_op = FRZ_THAW;
	if (dm_helpers_order(dm, DM_WORKER, &fm, DM_NEVER) == 0) {
		dm_txn_ping(dm, DM_WORKER);
		return (true);
	}
	dm_helpers_kill(dm, DM_WORKER);
	if (tx->tx_guard_thaws)
		return (false);
	if (dm_helpers_order(dm, DM_GUARD, &fm, DM_NEVER) == 0) {
		tx->tx_guard_thaws = true;
		dm_txn_ping(dm, DM_GUARD);
		return (false);
	}
	dm_helpers_kill(dm, DM_GUARD);
	if (dm->dm_helper[DM_WORKER].dh_pid == 0) {
		dm_undo_last_resort(dm);
		tx->tx_kill_ns = tx->tx_again_ns;
	}
	return (false);
}

void
dm_undo_thaw(struct dm *dm)
{
	struct dm_txn *tx = &dm->dm_txn;
	uint32_t i;

	if (tx->tx_phase == DM_THAWING)
		return;
	tx->tx_phase = DM_THAWING;
	tx->tx_deadline_ns = DM_NEVER;
	tx->tx_kill_ns = frz_now_ns() + DM_SILENCE_NS;
	tx->tx_again_ns = tx->tx_resort_ns = 0;
	tx->tx_pause_ns = DM_AGAIN_NS;
	/* Who ended the hold may have been quicker than its word of that. */
	if (atomic_exchange(&dm->dm_page->pg_stop, 1) != 0 && tx->tx_orderly)
		dm_txn_fail(dm, "the hold had ended before the thaw came");
	for (i = 0; i < tx->tx_nfs; i++)
		(void)frz_slot_move(
		    &dm->dm_page->pg_slots[i], FRZ_OPENED, FRZ_THAWED);
	/* It closes its socket before what it froze with. */
	if (!dm_undo_order(dm) && dm_os_death_thaws)
		dm_txn_fail(
		    dm, "the freezer has ended while file systems were frozen");
	/* What somebody else froze must not be thawed by the record. */
	if (!tx->tx_orderly && tx->tx_phase == DM_THAWING)
		(void)dm_record_write(dm);
}

/* Refuses FREEZE, or takes the answer back, with the reason. */
static void
dm_undo_refuse(struct dm *dm)
{
	struct dm_txn *tx = &dm->dm_txn;

	if (tx->tx_freeze.dq_opt == 0)
		return;
	(void)dm_device_answer(dm, &tx->tx_freeze, false, tx->tx_reason);
	memset(&tx->tx_freeze, 0, sizeof(tx->tx_freeze));
	tx->tx_freeze_answered = true;
}

void
dm_undo_lost(struct dm *dm)
{
	struct dm_txn *tx = &dm->dm_txn;

	switch (tx->tx_phase) {
	case DM_IDLE:
	case DM_RELEASING:
		break;
	case DM_FREEZING:
		dm_txn_fail(dm, "interrupted");
		dm_undo_thaw(dm);
		break;
	case DM_HOLDING:
		dm_txn_fail(dm, "interrupted");
		dm_undo_thaw(dm);
		dm_undo_refuse(dm);
		break;
	case DM_THAWING:
		tx->tx_failed = true;
		break;
	default:
		dm_txn_fail(dm, "interrupted");
		/* A flush or open may be out: the worker is not waited for. */
		if (dm->dm_helper[DM_WORKER].dh_due != 0)
			dm_helpers_kill(dm, DM_WORKER);
		else
			dm_undo_release(dm);
		break;
	}
}

/* Whether everything held until the host's THAW, and was thawed by us. */
static bool
dm_undo_held(struct dm *dm)
{
	struct dm_txn *tx = &dm->dm_txn;
	struct frz_slot *fs;
	char why[HV_VSS_REASON_MAX];
	uint32_t i;

	for (i = 0; i < tx->tx_nfs; i++) {
		fs = &dm->dm_page->pg_slots[i];
		if (atomic_load(&fs->fs_errno) != EINVAL ||
		    atomic_load(&fs->fs_failed) != FRZ_STEP_THAW)
			continue;
		dm_report_why(dm, i,
		    atomic_load(&dm->dm_page->pg_swept) != 0 ? "second thaw" :
							       "thaw",
		    EINVAL, why, sizeof(why));
		dm_txn_fail(dm, "%s", why);
	}
	return (tx->tx_orderly && !tx->tx_failed);
}

static void
dm_undo_thawed(struct dm *dm)
{
	struct dm_txn *tx = &dm->dm_txn;
	bool held = dm_undo_held(dm);

	dm_record_clear(dm);
	if (!tx->tx_freeze_answered)
		dm_undo_refuse(dm);
	if (tx->tx_thaw.dq_opt != 0)
		(void)dm_device_answer(dm, &tx->tx_thaw, held, tx->tx_reason);
	dm_undo_release(dm);
}

/* The worker had its time: silent, or not back from a freeze. */
static void
dm_undo_watch(struct dm *dm)
{
	struct dm_txn *tx = &dm->dm_txn;
	char stuck[HV_VSS_REASON_MAX];

	tx->tx_kill_ns = frz_now_ns() + DM_SILENCE_NS;
	if (!dm_report_stuck(dm, stuck, sizeof(stuck)))
		snprintf(stuck, sizeof(stuck), "the freezer is silent");
	dm_undo_say(dm, stuck);
	if (!tx->tx_orderly)
		dm_txn_fail(dm, "%s", stuck);
	if (!dm_helpers_alive(dm, DM_WORKER)) {
		if (!tx->tx_guard_thaws)
			(void)dm_undo_order(dm);
		else if (tx->tx_ping)
			dm_helpers_kill(dm, DM_GUARD);
		else
			dm_txn_ping(dm, DM_GUARD);
	} else if (tx->tx_ping ||
	    (dm_undo_freezing(dm) && dm_helpers_alive(dm, DM_GUARD))) {
		snprintf(dm->dm_hung, sizeof(dm->dm_hung), "%s", stuck);
		dm_helpers_kill(dm, DM_WORKER);
	} else
		dm_txn_ping(dm, DM_WORKER);
}

/* The driver's limit is near: it is told why, though not all is thawed yet. */
static void
dm_undo_refuse_early(struct dm *dm)
{
	char stuck[HV_VSS_REASON_MAX];

	if (dm_report_stuck(dm, stuck, sizeof(stuck)))
		dm_txn_fail(dm, "%s", stuck);
	dm_undo_refuse(dm);
}

static void
dm_undo_released(struct dm *dm)
{
	struct dm_txn *tx = &dm->dm_txn;

	report_release();
	dm_luns_report(dm);
	dm_report_timeline(dm);
	dm_history_keep(dm);
	plan_free(&tx->tx_plan);
	tx->tx_phase = DM_IDLE;
	tx->tx_nfs = 0;
	tx->tx_deadline_ns = DM_NEVER;
	dm_helpers_start(dm);
	dm_txn_resume(dm);
}

void
dm_undo_release(struct dm *dm)
{
	struct dm_txn *tx = &dm->dm_txn;
	struct frz_msg fm;
	enum dm_role role;

	if (tx->tx_phase == DM_RELEASING || tx->tx_phase == DM_IDLE)
		return;
	tx->tx_phase = DM_RELEASING;
	tx->tx_deadline_ns = frz_now_ns() + DM_RELEASE_NS;
	for (role = 0; role < DM_NROLES; role++) {
		memset(&fm, 0, sizeof(fm));
		fm.fm_op = FRZ_RELEASE;
		/* One that takes no orders is killed when its time is over. */
		if (dm_helpers_alive(dm, role) &&
		    dm_helpers_order(dm, role, &fm, DM_NEVER) != 0)
			dm->dm_helper[role].dh_due = FRZ_RELEASE;
	}
	dm_undo_progress(dm, frz_now_ns());
}

void
dm_undo_progress(struct dm *dm, uint64_t now_ns)
{
	struct dm_txn *tx = &dm->dm_txn;
	enum dm_role role;
	bool due = false;

	if (tx->tx_phase == DM_THAWING) {
		if (!dm_undo_armed(dm) &&
		    dm->dm_helper[DM_WORKER].dh_due != FRZ_THAW)
			dm_undo_thawed(dm);
		else if (!dm_helpers_alive(dm, DM_WORKER) &&
		    !tx->tx_guard_thaws && now_ns >= tx->tx_again_ns)
			(void)dm_undo_order(dm);
		else if (!tx->tx_freeze_answered && now_ns >= tx->tx_refuse_ns)
			dm_undo_refuse_early(dm);
		else if (now_ns >= tx->tx_kill_ns)
			dm_undo_watch(dm);
		return;
	}
	if (tx->tx_phase != DM_RELEASING)
		return;
	for (role = 0; role < DM_NROLES; role++) {
		if (dm->dm_helper[role].dh_due == FRZ_RELEASE &&
		    now_ns >= tx->tx_deadline_ns) {
			/* Not through kill's report to here, once is enough. */
			dm->dm_helper[role].dh_due = 0;
			dm_helpers_kill(dm, role);
		}
		due = due || dm->dm_helper[role].dh_due == FRZ_RELEASE;
	}
	if (!due && tx->tx_phase == DM_RELEASING)
		dm_undo_released(dm);
}
