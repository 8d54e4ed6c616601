/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/*
 * One transaction on its way down: requests of the driver, and step by step
 * what worker and guard answer.  Each phase waits for one answer and has a
 * deadline. Everything that fails goes to dm_undo.c.
 */

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "dm.h"
#include "dm_os.h"
#include "fs.h"

/* What the driver's limit keeps for a refusal with its reason. */
#define DM_MARGIN_MS 500U
/* What comes after the hold: the engine's THAW should have. */
#define DM_HOLD_SLACK_MS 1000U
/* The guard's lease goes on for so long after limit and hold. */
#define DM_LEASE_SLACK_MS 5000U
/* How long a request waits for worker and guard to be started. */
#define DM_WAIT_NS (2 * DM_NS_PER_S)

bool
dm_txn_idle(const struct dm *dm)
{
	return (dm->dm_txn.tx_phase == DM_IDLE);
}

void
dm_txn_fail(struct dm *dm, const char *fmt, ...)
{
	struct dm_txn *tx = &dm->dm_txn;
	va_list ap;

	tx->tx_failed = true;
	if (tx->tx_reason[0] != '\0')
		return;
	va_start(ap, fmt);
	vsnprintf(tx->tx_reason, sizeof(tx->tx_reason), fmt, ap);
	va_end(ap);
	report(REPORT_ERROR, "%s", tx->tx_reason);
}

static void
dm_txn_fail_at(struct dm *dm, uint32_t index, const char *what, int error)
{
	char why[HV_VSS_REASON_MAX];

	dm_report_why(dm, index, what, error, why, sizeof(why));
	dm_txn_fail(dm, "%s", why);
}

static void
dm_txn_refuse(struct dm *dm, const struct dm_request *dq, const char *why)
{
	report(REPORT_ERROR, "refused: %s", why);
	(void)dm_device_answer(dm, dq, false, why);
}

/* Refuses what was not answered and lets go; nothing is armed. */
static void
dm_txn_give_up(struct dm *dm)
{
	struct dm_txn *tx = &dm->dm_txn;

	if (tx->tx_prepare.dq_opt != 0)
		(void)dm_device_answer(
		    dm, &tx->tx_prepare, false, tx->tx_reason);
	if (tx->tx_freeze.dq_opt != 0 && !tx->tx_freeze_answered)
		(void)dm_device_answer(
		    dm, &tx->tx_freeze, false, tx->tx_reason);
	if (tx->tx_thaw.dq_opt != 0)
		(void)dm_device_answer(dm, &tx->tx_thaw, true, NULL);
	dm_undo_release(dm);
}

static void
dm_txn_order(struct dm *dm, enum dm_role role, struct frz_msg *fm)
{
	int error;

	error = dm_helpers_order(dm, role, fm, DM_NEVER);
	if (error == 0)
		return;
	/* It does not even take orders.  Killing it tells the transaction. */
	if (dm_helpers_alive(dm, role))
		dm_helpers_kill(dm, role);
	else
		dm_txn_ended(dm, role);
}

/* Why nothing can begin now, in why; false if it can. */
static bool
dm_txn_blocked(struct dm *dm, char *why, size_t len)
{
	char stuck[HV_VSS_REASON_MAX];

	/* What came with the signal, or waited for the last one's end. */
	if (dm->dm_quit)
		snprintf(why, len, "hv_vss_daemon is being stopped");
	else if (dm->dm_recover_due)
		snprintf(why, len,
		    "the guard has not greeted; it may still thaw what an "
		    "earlier backup left");
	else if (dm->dm_veto[0] != '\0')
		snprintf(why, len, "%s", dm->dm_veto);
	else if (dm->dm_txn.tx_phase == DM_THAWING) {
		if (!dm_report_stuck(dm, stuck, sizeof(stuck)))
			snprintf(stuck, sizeof(stuck), "still thawing");
		snprintf(
		    why, len, "the last backup is not over: %.200s", stuck);
	} else if (dm->dm_hung[0] != '\0')
		snprintf(why, len, "the last backup is not over: %.200s",
		    dm->dm_hung);
	else
		return (false);
	return (true);
}

/* Takes what concerns the freezer out of the plan; 0, or why not in why. */
static int
dm_txn_take_plan(struct dm *dm, char *why, size_t len)
{
	struct dm_txn *tx = &dm->dm_txn;
	const struct plan_line *pl;
	struct dm_fs *df;
	size_t i;

	tx->tx_nfs = tx->tx_nfreeze = 0;
	for (i = 0; i < tx->tx_plan.pn_nlines; i++) {
		pl = &tx->tx_plan.pn_lines[i];
		if (pl->pl_action != PLAN_FREEZE && pl->pl_action != PLAN_SYNC)
			continue;
		if (tx->tx_nfs == FRZ_FS_MAX || pl->pl_level >= FRZ_FS_MAX) {
			snprintf(why, len,
			    "more than %d file systems to freeze (exclude "
			    "some with exclude=GLOB)",
			    FRZ_FS_MAX);
			return (E2BIG);
		}
		if (strlen(pl->pl_point) >= FRZ_PATH_MAX) {
			snprintf(why, len,
			    "%.100s...: the mount point's name is too long",
			    pl->pl_point);
			return (ENAMETOOLONG);
		}
		df = &tx->tx_fs[tx->tx_nfs++];
		df->df_point = pl->pl_point;
		df->df_mnt_id = pl->pl_mnt_id;
		df->df_major = pl->pl_major;
		df->df_minor = pl->pl_minor;
		df->df_level = pl->pl_level;
		df->df_disk = pl->pl_disk;
		df->df_flags = pl->pl_any_dev ? FRZ_F_ANY_DEV : 0;
		if (pl->pl_action == PLAN_SYNC)
			df->df_flags |= FRZ_F_SYNC_ONLY;
		else
			tx->tx_nfreeze++;
	}
	return (0);
}

/* What the plan of this transaction is made by. */
void
dm_txn_policy(const struct dm *dm, struct plan_policy *pp)
{
	plan_policy_set(pp, dm->dm_policy);
	pp->pp_disks = dm_luns_disks(dm);
}

/* Makes the plan and takes it; false, and why, if it is a veto. */
static bool
dm_txn_plan(struct dm *dm, char *why, size_t len)
{
	struct dm_txn *tx = &dm->dm_txn;
	struct plan_policy pp;

	dm_luns_read(dm);
	dm_txn_policy(dm, &pp);
	plan_free(&tx->tx_plan);
	if (dm->dm_mounts == -1)
		dm->dm_mounts = fs_watch();
	(void)fs_changed(dm->dm_mounts);
	if (plan_make(&tx->tx_plan, &pp, why, len) != 0)
		return (false);
	if (tx->tx_plan.pn_veto != NULL) {
		snprintf(why, len, "%s", tx->tx_plan.pn_veto);
		return (false);
	}
	return (dm_txn_take_plan(dm, why, len) == 0);
}

static void
dm_txn_check(struct dm *dm, const struct dm_request *dq)
{
	char why[HV_VSS_REASON_MAX];

	if (dm_txn_blocked(dm, why, sizeof(why)) ||
	    (dm_txn_idle(dm) && !dm_txn_plan(dm, why, sizeof(why)))) {
		dm_txn_refuse(dm, dq, why);
	} else {
		report(REPORT_DEBUG, "check: %u file systems to freeze",
		    dm->dm_txn.tx_nfreeze);
		(void)dm_device_answer(dm, dq, true, NULL);
	}
	if (dm_txn_idle(dm))
		plan_free(&dm->dm_txn.tx_plan);
}

static void
dm_txn_open_next(struct dm *dm)
{
	struct dm_txn *tx = &dm->dm_txn;
	const struct dm_fs *df;
	struct frz_msg fm;

	memset(&fm, 0, sizeof(fm));
	if (tx->tx_next < tx->tx_nfs) {
		df = &tx->tx_fs[tx->tx_next];
		fm.fm_op = FRZ_OPEN;
		fm.fm_index = tx->tx_next;
		fm.fm_mnt_id = df->df_mnt_id;
		fm.fm_major = df->df_major;
		fm.fm_minor = df->df_minor;
		fm.fm_level = df->df_level;
		fm.fm_flags = df->df_flags;
		fm.fm_disk = df->df_disk;
		snprintf(fm.fm_path, sizeof(fm.fm_path), "%s", df->df_point);
	} else {
		tx->tx_phase = DM_FLUSHING;
		fm.fm_op = FRZ_FLUSH;
		fm.fm_flags = FRZ_F_FEW;
		fm.fm_count = tx->tx_nfs;
	}
	dm_txn_order(dm, DM_WORKER, &fm);
}

static void
dm_txn_begin(struct dm *dm, const struct dm_request *dq)
{
	struct dm_txn *tx = &dm->dm_txn;
	uint64_t left_ms, hold_ms = 0;
	char why[HV_VSS_REASON_MAX];

	if (dm_txn_blocked(dm, why, sizeof(why)) ||
	    !dm_txn_plan(dm, why, sizeof(why))) {
		dm_txn_refuse(dm, dq, why);
		return;
	}
	tx->tx_gen++;
	tx->tx_begin_ns = frz_now_ns();
	tx->tx_next = 0;
	tx->tx_failed = tx->tx_orderly = false;
	tx->tx_freeze_answered = tx->tx_guard_thaws = false;
	tx->tx_reason[0] = '\0';
	memset(&tx->tx_prepare, 0, sizeof(tx->tx_prepare));
	memset(&tx->tx_freeze, 0, sizeof(tx->tx_freeze));
	memset(&tx->tx_thaw, 0, sizeof(tx->tx_thaw));
	if (dq->dq_opt == HV_VSS_PREPARE) {
		tx->tx_prepare = *dq;
		left_ms = dm->dm_conf.cf_limit_ms[CONF_PREPARE];
	} else {
		tx->tx_freeze = *dq;
		left_ms = dm->dm_conf.cf_limit_ms[CONF_FS];
	}
	dm_device_limits(dm, &left_ms, &hold_ms);
	left_ms -= left_ms > 2 * DM_MARGIN_MS ? DM_MARGIN_MS : left_ms / 4;
	tx->tx_deadline_ns = frz_now_ns() + left_ms * DM_NS_PER_MS;
	frz_page_begin(dm->dm_page, tx->tx_gen, tx->tx_nfs);
	tx->tx_phase = DM_OPENING;
	tx->tx_said = false;
	tx->tx_kill_ns = frz_now_ns() + DM_SILENCE_NS;
	dm_txn_ping(dm, DM_WORKER);
	dm_txn_open_next(dm);
}

/* FREEZE goes on: the guard takes its lease. */
static void
dm_txn_arm(struct dm *dm)
{
	struct dm_txn *tx = &dm->dm_txn;
	uint64_t limit_ms = dm->dm_conf.cf_limit_ms[CONF_FS];
	uint64_t hold_ms = dm->dm_conf.cf_limit_ms[CONF_HOLD];
	uint64_t left_ms = limit_ms, margin_ms, now = frz_now_ns();
	struct frz_msg fm;

	dm_history_stop(dm);
	dm_device_limits(dm, &left_ms, &hold_ms);
	margin_ms = left_ms > 2 * DM_MARGIN_MS ? DM_MARGIN_MS : left_ms / 4;
	tx->tx_limit_ns = now + (left_ms - margin_ms) * DM_NS_PER_MS;
	tx->tx_refuse_ns = tx->tx_limit_ns + margin_ms / 2 * DM_NS_PER_MS;
	tx->tx_hold_ns = (hold_ms + DM_HOLD_SLACK_MS) * DM_NS_PER_MS;
	tx->tx_lease_ns = now +
	    (limit_ms + hold_ms + DM_LEASE_SLACK_MS) * DM_NS_PER_MS;
	tx->tx_phase = DM_ARMING;
	tx->tx_deadline_ns = dm_earlier(now + DM_GUARD_NS, tx->tx_limit_ns);
	memset(&fm, 0, sizeof(fm));
	fm.fm_op = FRZ_ARM;
	fm.fm_count = tx->tx_nfs;
	fm.fm_deadline_ns = tx->tx_lease_ns;
	dm_txn_order(dm, DM_GUARD, &fm);
}

static void
dm_txn_reflush(struct dm *dm)
{
	struct dm_txn *tx = &dm->dm_txn;
	struct frz_msg fm;

	tx->tx_phase = DM_REFLUSHING;
	tx->tx_deadline_ns = tx->tx_limit_ns;
	memset(&fm, 0, sizeof(fm));
	fm.fm_op = FRZ_FLUSH;
	fm.fm_count = tx->tx_nfs;
	dm_txn_order(dm, DM_WORKER, &fm);
}

/* Nobody would find it, or it would not hold what is about to be frozen. */
static void
dm_txn_no_record(struct dm *dm, int error)
{
	const char *remedy = "it must be on a memory file system; set run_dir";

	if (error == ENOSPC)
		remedy = "make room there";
	else if (error == EWOULDBLOCK)
		remedy = "another hv_vss_daemon has its lock; stop that one";
	else if (error == E2BIG)
		remedy = "exclude some mounts with exclude=GLOB";
	dm_txn_fail(dm, "%s/frozen: %s (%s)", dm->dm_conf.cf_run_dir,
	    strerror(error), remedy);
	/* Half a record would name what is not frozen. */
	dm_record_clear(dm);
	dm_txn_give_up(dm);
}

/*
 * The freeze itself.  From here until everything is thawed nothing is written
 * but the record, which is on a memory file system.
 */
static void
dm_txn_freeze(struct dm *dm)
{
	struct dm_txn *tx = &dm->dm_txn;
	uint64_t now = frz_now_ns();
	struct frz_msg fm;
	int error;

	if (dm_again(dm, false))
		return;
	/* A flush is not what waits for grace periods. */
	tx->tx_rcu = tx->tx_nfreeze != 0 && dm_rcu_wanted(dm);
	report_hold();
	error = dm_record_open(dm);
	if (error == 0)
		error = dm_record_write(dm);
	if (error != 0) {
		dm_txn_no_record(dm, error);
		return;
	}
	tx->tx_phase = DM_FREEZING;
	tx->tx_deadline_ns = dm_earlier(tx->tx_limit_ns,
	    now + dm->dm_conf.cf_limit_ms[CONF_FS] * DM_NS_PER_MS);
	tx->tx_kill_ns = now + DM_SILENCE_NS;
	memset(&fm, 0, sizeof(fm));
	fm.fm_op = FRZ_FREEZE;
	fm.fm_flags = tx->tx_rcu ? FRZ_F_RCU : 0;
	fm.fm_count = tx->tx_nfs;
	fm.fm_deadline_ns = tx->tx_lease_ns - FRZ_LEASE_GAP_NS;
	dm_txn_order(dm, DM_WORKER, &fm);
	dm_txn_ping(dm, DM_WORKER);
}

/* Success is what the page says, whatever the worker does. */
static bool
dm_txn_all_frozen(struct dm *dm)
{
	struct dm_txn *tx = &dm->dm_txn;
	uint32_t i;

	for (i = 0; i < tx->tx_nfs; i++)
		if ((tx->tx_fs[i].df_flags & FRZ_F_SYNC_ONLY) == 0 &&
		    atomic_load(&dm->dm_page->pg_slots[i].fs_state) !=
			FRZ_FROZEN) {
			dm_txn_fail_at(dm, i, "freeze", ECANCELED);
			return (false);
		}
	return (true);
}

static void
dm_txn_frozen(struct dm *dm)
{
	struct dm_txn *tx = &dm->dm_txn;
	int error;

	if (!dm_txn_all_frozen(dm)) {
		dm_undo_thaw(dm);
		return;
	}
	tx->tx_phase = DM_HOLDING;
	tx->tx_deadline_ns = frz_now_ns() + tx->tx_hold_ns;
	tx->tx_freeze_answered = true;
	error = dm_device_answer(dm, &tx->tx_freeze, true, NULL);
	report(REPORT_DEBUG, "%u file systems are frozen", tx->tx_nfreeze);
	if (error != 0) {
		dm_txn_fail(dm, "the driver did not take the answer: %s",
		    strerror(error));
		dm_undo_lost(dm);
	}
}

void
dm_txn_ping(struct dm *dm, enum dm_role role)
{
	struct frz_msg fm;

	memset(&fm, 0, sizeof(fm));
	fm.fm_op = FRZ_PING;
	dm->dm_txn.tx_ping = true;
	(void)dm_helpers_order(dm, role, &fm, DM_NEVER);
}

/* Everything is open and flushed. */
static void
dm_txn_flushed(struct dm *dm)
{
	struct dm_txn *tx = &dm->dm_txn;

	if (tx->tx_freeze.dq_opt != 0) {
		dm_txn_arm(dm);
		return;
	}
	tx->tx_phase = DM_PREPARED;
	tx->tx_deadline_ns = frz_now_ns() +
	    (dm->dm_conf.cf_limit_ms[CONF_FREEZE] + DM_LEASE_SLACK_MS) *
		DM_NS_PER_MS;
	(void)dm_device_answer(dm, &tx->tx_prepare, true, NULL);
	report(REPORT_DEBUG, "%u file systems are prepared", tx->tx_nfs);
	memset(&tx->tx_prepare, 0, sizeof(tx->tx_prepare));
}

/* DONE of the order that the phase waits for. */
static void
dm_txn_step(struct dm *dm, const struct frz_msg *fm)
{
	static const char *const what[] = {
		[DM_OPENING] = "open",
		[DM_FLUSHING] = "flush",
		[DM_ARMING] = "guard",
		[DM_REFLUSHING] = "flush",
		[DM_FREEZING] = "freeze",
	};
	struct dm_txn *tx = &dm->dm_txn;

	if (fm->fm_errno != 0 && tx->tx_phase == DM_OPENING &&
	    dm_again(dm, true))
		return;
	if (fm->fm_errno != 0)
		dm_txn_fail_at(
		    dm, fm->fm_index, what[tx->tx_phase], fm->fm_errno);
	if ((tx->tx_phase == DM_ARMING && fm->fm_errno != 0) ||
	    fm->fm_errno == EOWNERDEAD) {
		/* A guard that does not guard is of no use for the next one. */
		dm_helpers_kill(dm, DM_GUARD);
		return;
	}
	if (tx->tx_phase == DM_FREEZING) {
		if (fm->fm_errno == 0)
			dm_txn_frozen(dm);
		else
			dm_undo_thaw(dm);
	} else if (tx->tx_failed || tx->tx_later.dq_opt != 0)
		dm_txn_give_up(dm);
	else if (tx->tx_phase == DM_OPENING) {
		tx->tx_next++;
		dm_txn_open_next(dm);
	} else if (tx->tx_phase == DM_FLUSHING)
		dm_txn_flushed(dm);
	else if (tx->tx_phase == DM_ARMING)
		dm_txn_reflush(dm);
	else
		dm_txn_freeze(dm);
}

/* Which order's DONE a phase waits for, and whose. */
static uint32_t
dm_txn_awaits(enum dm_phase phase, enum dm_role role)
{
	static const struct {
		enum dm_role dw_role;
		uint32_t dw_op;
	} awaits[] = {
		[DM_OPENING] = { DM_WORKER, FRZ_OPEN },
		[DM_FLUSHING] = { DM_WORKER, FRZ_FLUSH },
		[DM_ARMING] = { DM_GUARD, FRZ_ARM },
		[DM_REFLUSHING] = { DM_WORKER, FRZ_FLUSH },
		[DM_FREEZING] = { DM_WORKER, FRZ_FREEZE },
		[DM_RELEASING] = { DM_WORKER, 0 },
	};

	return (awaits[phase].dw_role == role ? awaits[phase].dw_op : 0);
}

void
dm_txn_done(struct dm *dm, enum dm_role role, const struct frz_msg *fm)
{
	struct dm_txn *tx = &dm->dm_txn;

	if (fm->fm_op == FRZ_EXPIRED) {
		if (tx->tx_phase != DM_FREEZING && tx->tx_phase != DM_HOLDING)
			return;
		dm_txn_fail(dm, "%s",
		    fm->fm_errno == ETIMEDOUT ?
			"the lease of the freeze has ended" :
			"the freezer has ended");
		dm_undo_lost(dm);
	} else if (fm->fm_of == FRZ_PING) {
		tx->tx_ping = false;
	} else if (tx->tx_phase == DM_THAWING || tx->tx_phase == DM_RELEASING) {
		/* Who cannot let go is of no use for the next one. */
		if (fm->fm_of == FRZ_RELEASE && fm->fm_errno != 0)
			dm_helpers_kill(dm, role);
		dm_undo_progress(dm, frz_now_ns());
	} else if (fm->fm_of == dm_txn_awaits(tx->tx_phase, role))
		dm_txn_step(dm, fm);
}

/* Worker or guard is killed, or has ended by itself. */
void
dm_txn_ended(struct dm *dm, enum dm_role role)
{
	const char *who = role == DM_WORKER ? "freezer" : "guard";

	switch (dm->dm_txn.tx_phase) {
	case DM_IDLE:
		break;
	case DM_PREPARED:
		/* FREEZE opens everything anew, with another one. */
		dm_undo_release(dm);
		break;
	case DM_OPENING:
	case DM_FLUSHING:
	case DM_ARMING:
	case DM_REFLUSHING:
		dm_txn_fail(dm, "the %s has ended", who);
		dm_txn_give_up(dm);
		break;
	case DM_FREEZING:
	case DM_HOLDING:
		dm_txn_fail(dm,
		    "the %s has ended while file systems were "
		    "frozen",
		    who);
		dm_undo_lost(dm);
		break;
	case DM_THAWING:
		if (role == DM_GUARD)
			dm->dm_txn.tx_guard_thaws = false;
		dm->dm_txn.tx_again_ns = 0;
		/* FALLTHROUGH */
	case DM_RELEASING:
		dm_undo_progress(dm, frz_now_ns());
		break;
	}
}

/* Begins with what came while something else was under way. */
void
dm_txn_resume(struct dm *dm)
{
	struct dm_txn *tx = &dm->dm_txn;
	struct dm_request dq = tx->tx_later;
	char why[HV_VSS_REASON_MAX];

	if (dq.dq_opt == 0 || !dm_txn_idle(dm))
		return;
	if (!dm_txn_blocked(dm, why, sizeof(why))) {
		if (dm_helpers_ready(dm)) {
			tx->tx_later.dq_opt = 0;
			dm_txn_begin(dm, &dq);
			return;
		}
		if (frz_now_ns() < tx->tx_later_ns)
			return;
		snprintf(why, sizeof(why),
		    "the freezer or its guard does not start; see the log");
	}
	tx->tx_later.dq_opt = 0;
	dm_txn_refuse(dm, &dq, why);
}

static void
dm_txn_freeze_request(struct dm *dm, const struct dm_request *dq)
{
	struct dm_txn *tx = &dm->dm_txn;
	char why[HV_VSS_REASON_MAX];

	switch (tx->tx_phase) {
	case DM_PREPARED:
		if (dq->dq_opt == HV_VSS_FREEZE) {
			tx->tx_freeze = *dq;
			dm_txn_arm(dm);
			break;
		}
		tx->tx_later = *dq;
		tx->tx_later_ns = frz_now_ns() + DM_WAIT_NS;
		dm_undo_release(dm);
		break;
	case DM_OPENING:
	case DM_FLUSHING:
		/* The driver has given up the older one. */
		atomic_store(&dm->dm_page->pg_stop, 1);
		tx->tx_later = *dq;
		tx->tx_later_ns = tx->tx_deadline_ns + DM_WAIT_NS;
		break;
	case DM_IDLE:
		tx->tx_later = *dq;
		tx->tx_later_ns = frz_now_ns() + DM_WAIT_NS;
		dm_txn_resume(dm);
		break;
	default:
		if (!dm_txn_blocked(dm, why, sizeof(why)))
			snprintf(
			    why, sizeof(why), "another backup is under way");
		dm_txn_refuse(dm, dq, why);
		break;
	}
}

static void
dm_txn_thaw_request(struct dm *dm, const struct dm_request *dq)
{
	struct dm_txn *tx = &dm->dm_txn;

	switch (tx->tx_phase) {
	case DM_IDLE:
	case DM_RELEASING:
		tx->tx_later.dq_opt = 0;
		/* It may have been on its way when the hold was broken. */
		(void)dm_device_answer(dm, dq,
		    !tx->tx_freeze_answered || !tx->tx_failed, tx->tx_reason);
		break;
	case DM_PREPARED:
		(void)dm_device_answer(dm, dq, true, NULL);
		dm_undo_release(dm);
		break;
	case DM_OPENING:
	case DM_FLUSHING:
	case DM_ARMING:
	case DM_REFLUSHING:
		/* Answered, with the rest, when the call is back. */
		atomic_store(&dm->dm_page->pg_stop, 1);
		tx->tx_later.dq_opt = 0;
		tx->tx_thaw = *dq;
		dm_txn_fail(dm, "thawed before it was frozen");
		if (tx->tx_phase == DM_ARMING)
			dm_txn_give_up(dm);
		break;
	case DM_HOLDING:
		tx->tx_orderly = true;
		/* FALLTHROUGH */
	case DM_FREEZING:
		if (!tx->tx_orderly)
			dm_txn_fail(dm, "thawed before everything was frozen");
		tx->tx_thaw = *dq;
		dm_undo_thaw(dm);
		break;
	case DM_THAWING:
		tx->tx_thaw = *dq;
		break;
	}
}

void
dm_txn_request(struct dm *dm, const struct dm_request *dq)
{
	report(REPORT_DEBUG, "request %u, id %llu", dq->dq_opt,
	    (unsigned long long)dq->dq_msgid);
	switch (dq->dq_opt) {
	case HV_VSS_CHECK:
		dm_txn_check(dm, dq);
		break;
	case HV_VSS_PREPARE:
	case HV_VSS_FREEZE:
		dm->dm_txn.tx_tries = 0;
		dm_txn_freeze_request(dm, dq);
		break;
	case HV_VSS_THAW:
		dm_txn_thaw_request(dm, dq);
		break;
	default:
		dm_txn_refuse(dm, dq, "not an operation that is known");
		break;
	}
}

/* A worker that does not answer while it freezes may be dead already. */
static void
dm_txn_watch(struct dm *dm, uint64_t now_ns)
{
	struct dm_txn *tx = &dm->dm_txn;

	if (now_ns < tx->tx_kill_ns)
		return;
	tx->tx_kill_ns = now_ns + DM_SILENCE_NS;
	if (tx->tx_phase == DM_OPENING) {
		/* The first PING came before the first mount that may hang. */
		if (tx->tx_ping) {
			dm_txn_fail(dm,
			    "the freezer is silent; it is "
			    "replaced");
			dm_helpers_kill(dm, DM_WORKER);
		}
		return;
	}
	if (tx->tx_phase != DM_FREEZING)
		return;
	if (!tx->tx_ping)
		dm_txn_ping(dm, DM_WORKER);
	else if (dm_os_death_thaws && dm_undo_freezing(dm))
		return;
	else if (dm_helpers_alive(dm, DM_GUARD))
		dm_helpers_kill(dm, DM_WORKER);
}

/* A phase's time is over. */
static void
dm_txn_expire(struct dm *dm)
{
	struct dm_txn *tx = &dm->dm_txn;
	char stuck[HV_VSS_REASON_MAX];

	if (!dm_report_stuck(dm, stuck, sizeof(stuck)))
		snprintf(stuck, sizeof(stuck), "the freezer is silent");
	switch (tx->tx_phase) {
	case DM_OPENING:
	case DM_FLUSHING:
	case DM_REFLUSHING:
		dm_txn_fail(dm, "%s", stuck);
		snprintf(dm->dm_hung, sizeof(dm->dm_hung), "%s", stuck);
		dm_helpers_kill(dm, DM_WORKER);
		break;
	case DM_PREPARED:
		dm_undo_release(dm);
		break;
	case DM_ARMING:
		dm_txn_fail(dm, "the guard did not confirm; it is replaced");
		dm_helpers_kill(dm, DM_GUARD);
		break;
	case DM_FREEZING:
		dm_txn_fail(dm, "%s", stuck);
		dm_undo_thaw(dm);
		break;
	case DM_HOLDING:
		dm_txn_fail(dm, "no thaw came within the hold's limit");
		dm_undo_lost(dm);
		break;
	default:
		break;
	}
}

void
dm_txn_tick(struct dm *dm, uint64_t now_ns)
{
	struct dm_txn *tx = &dm->dm_txn;

	if (tx->tx_phase == DM_THAWING || tx->tx_phase == DM_RELEASING) {
		dm_undo_progress(dm, now_ns);
	} else if (now_ns >= tx->tx_deadline_ns) {
		tx->tx_deadline_ns = DM_NEVER;
		dm_txn_expire(dm);
	} else
		dm_txn_watch(dm, now_ns);
	dm_txn_resume(dm);
}

uint64_t
dm_txn_deadline(const struct dm *dm)
{
	const struct dm_txn *tx = &dm->dm_txn;
	uint64_t at = tx->tx_deadline_ns;

	if (tx->tx_phase == DM_FREEZING || tx->tx_phase == DM_THAWING ||
	    tx->tx_phase == DM_OPENING)
		at = dm_earlier(at, tx->tx_kill_ns);
	if (tx->tx_phase == DM_THAWING && !tx->tx_freeze_answered)
		at = dm_earlier(at, tx->tx_refuse_ns);
	if (tx->tx_phase == DM_IDLE && tx->tx_later.dq_opt != 0)
		at = dm_earlier(at, tx->tx_later_ns);
	return (at);
}
