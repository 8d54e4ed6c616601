/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/*
 * The machine under the daemon in its harness: a mount table that the input
 * makes, a record that is a variable, and messages that are only looked at.
 */

#ifndef _FUZZ_DM_H_
#define _FUZZ_DM_H_

#include <sys/signalfd.h>

#include <setjmp.h>
#include <stdarg.h>

#include "dm.h"
#include "fs.h"
#include "fuzz_frz.h"

#define FIRST_MOUNT 100

static struct dm dm0;

static struct {
	bool mc_recorded;     /* the record names something */
	unsigned int mc_plan; /* version of the mount table */
	uint32_t mc_nplan;    /* what is in it */
	bool mc_unreadable;   /* the next plan that is compared */
	bool mc_mounts_changed;
	bool mc_vetoed; /* what the transaction's plan came to */
} mc;

/* Worker and guard, as frz_worker.c and frz_guard.c do it, step by step. */
struct helper {
	int fh_sock;  /* its end of the control socket */
	int fh_alive; /* its end of what the pidfd is; -1: it has ended */
	int fh_pidfd;
	pid_t fh_pid;
	bool fh_killed;
	bool fh_stopped;
	uint32_t fh_due; /* order that is being carried out */
	uint64_t fh_gen;
	uint64_t fh_armed; /* ARM was granted for this transaction */
	uint64_t fh_lease_ns;
	uint64_t fh_expired; /* the transaction whose lease it said has ended */
	unsigned int fh_since; /* so often has the daemon looked since */
	bool fh_refused;       /* it said of an order that it cannot */
	bool fh_unarmed;       /* it was the guard's lease */
	bool fh_thaws;	       /* was told to; once is enough for a guard */
};

static void
text_is_sound(enum report_level level, const char *fmt, va_list ap)
{
	char line[REPORT_LINE_MAX];

	FUZZ_CHECK(level <= REPORT_DEBUG);
	FUZZ_CHECK(vsnprintf(line, sizeof(line), fmt, ap) >= 0);
}

void
report(enum report_level level, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	text_is_sound(level, fmt, ap);
	va_end(ap);
}

int
report_own_files(void)
{
	return (0);
}

void
report_init(const char *prog, enum report_level upto)
{
	(void)prog;
	(void)upto;
}

void
report_to_syslog(void)
{
}

void
report_hold(void)
{
}

void
report_release(void)
{
}

void
report_drop(void)
{
}

static bool
any_frozen(void)
{
	int i;

	for (i = 0; i < NFAKES; i++)
		if (fr.fr_frozen[i])
			return (true);
	return (false);
}

int
dm_record_lock(struct dm *dm)
{
	(void)dm;
	return (0);
}

int
dm_record_open(struct dm *dm)
{
	(void)dm;
	return (0);
}

int
dm_record_write(struct dm *dm)
{
	(void)dm;
	if (fuzz_u8(&fr.fr_in) == 255)
		return (ENOSPC);
	mc.mc_recorded = true;
	return (0);
}

void
dm_record_clear(struct dm *dm)
{
	(void)dm;
	FUZZ_CHECK(!any_frozen());
	mc.mc_recorded = false;
}

void
dm_recover_start(struct dm *dm)
{
	dm_record_clear(dm);
}

void
dm_recover_again(struct dm *dm)
{
	(void)dm;
}

int
dm_recover_all(struct dm *dm, bool force)
{
	(void)dm;
	return (force);
}

void
dm_luns_read(struct dm *dm)
{
	(void)dm;
}

const struct lun_disks *
dm_luns_disks(const struct dm *dm)
{
	(void)dm;
	return (NULL);
}

void
dm_luns_report(struct dm *dm)
{
	(void)dm;
}

bool
dm_rcu_wanted(const struct dm *dm)
{
	(void)dm;
	return (true);
}

void
dm_rcu_ended(struct dm *dm)
{
	(void)dm;
}

/* The history is another process's work, on a disk. */
void
dm_history_init(struct dm_history *hs)
{
	hs->hs_fd = hs->hs_end = -1;
}

void
dm_history_keep(struct dm *dm)
{
	(void)dm;
}

void
dm_history_poll(const struct dm *dm, struct pollfd *pfd)
{
	(void)dm;
	pfd[0].fd = pfd[1].fd = -1;
	pfd[0].revents = pfd[1].revents = 0;
}

void
dm_history_event(struct dm *dm, const struct pollfd *pfd)
{
	(void)dm;
	(void)pfd;
}

void
dm_history_stop(struct dm *dm)
{
	(void)dm;
}

void
dm_history_tick(struct dm *dm, uint64_t now_ns)
{
	(void)dm;
	(void)now_ns;
}

uint64_t
dm_history_deadline(const struct dm *dm)
{
	(void)dm;
	return (DM_NEVER);
}

void
dm_history_finish(struct dm *dm)
{
	(void)dm;
}

int
check_print(
    const struct plan_policy *pp, enum check_form form, FILE *out, FILE *err)
{
	(void)pp;
	(void)form;
	(void)out;
	(void)err;
	return (0);
}

void
plan_policy_set(struct plan_policy *pp, const struct conf *cf)
{
	memset(pp, 0, sizeof(*pp));
	pp->pp_exclude = cf->cf_exclude;
}

void
plan_free(struct plan *pn)
{
	free(pn->pn_memory);
	memset(pn, 0, sizeof(*pn));
}

/* Points "/0", "/1" and so on, in levels of two; every fourth is flushed. */
int
plan_make(
    struct plan *pn, const struct plan_policy *pp, char *err, size_t errlen)
{
	uint8_t how = fuzz_u8(&fr.fr_in);
	struct plan_line *pl;
	char *points;
	size_t i;

	(void)pp;
	if (pn == &dm0.dm_txn.tx_plan)
		mc.mc_vetoed = how == 255 || how == 254 || how == 253 ||
		    (how == 252 && mc.mc_nplan != 0);
	memset(pn, 0, sizeof(*pn));
	if (mc.mc_unreadable && pn != &dm0.dm_txn.tx_plan) {
		mc.mc_unreadable = false;
		how = 255;
	}
	if (how == 255) {
		snprintf(err, errlen, "no mount table");
		return (EIO);
	}
	pn->pn_nlines = how == 254 ? FRZ_FS_MAX + 1 : mc.mc_nplan;
	pn->pn_memory = pl = calloc(
	    pn->pn_nlines + 1, sizeof(*pl) + FRZ_PATH_MAX + 1);
	FUZZ_CHECK(pl != NULL);
	pn->pn_lines = pl;
	points = (char *)(pl + pn->pn_nlines);
	for (i = 0; i < pn->pn_nlines; i++, pl++) {
		pl->pl_action = i % 4 == 3 ? PLAN_SYNC : PLAN_FREEZE;
		pl->pl_level = (unsigned int)i / 2;
		pl->pl_mnt_id = FIRST_MOUNT + i;
		pl->pl_major = mc.mc_plan;
		pl->pl_minor = 10 + (uint32_t)i;
		pl->pl_any_dev = i % 2 != 0;
		pl->pl_point = points;
		snprintf(points, FRZ_PATH_MAX, "/%zu", i);
		if (how == 252)
			memset(points, '/', FRZ_PATH_MAX);
		points += FRZ_PATH_MAX + 1;
	}
	if (how == 253)
		pn->pn_veto = "/0: vetoed";
	return (0);
}

bool
plan_same(const struct plan *a, const struct plan *b)
{
	return (a->pn_nlines == b->pn_nlines &&
	    (a->pn_nlines == 0 ||
		a->pn_lines->pl_major == b->pn_lines->pl_major));
}

int
fs_watch(void)
{
	return (-1);
}

bool
fs_changed(int watch)
{
	bool changed = mc.mc_mounts_changed;

	(void)watch;
	mc.mc_mounts_changed = false;
	return (changed);
}

int
frz_fs_open(struct frz_msg *fm, int *fd)
{
	FUZZ_CHECK(fm->fm_mnt_id >= FIRST_MOUNT);
	*fd = fr.fr_fd[(fm->fm_mnt_id - FIRST_MOUNT) % NFAKES];
	return (fuzz_u8(&fr.fr_in) == 255 ? ENOENT : 0);
}

int
frz_fs_thaw(int fd)
{
	return (fake_thaw(fd));
}

/* What a helper says. */
static void
say(struct helper *fh, uint32_t op, uint32_t of, int error, uint32_t index)
{
	struct frz_msg fm;

	fh->fh_refused = fh->fh_refused || error != 0;
	memset(&fm, 0, sizeof(fm));
	fm.fm_op = op;
	fm.fm_of = of;
	fm.fm_gen = fh->fh_gen;
	fm.fm_errno = error;
	fm.fm_index = index;
	(void)frz_send(fh->fh_sock, &fm, NULL);
}

static bool
armed(struct frz_page *pg)
{
	uint32_t i;

	for (i = 0; i < NFAKES; i++)
		if (frz_slot_armed(&pg->pg_slots[i]))
			return (true);
	return (false);
}

static void
slot_thaws(struct frz_page *pg, uint32_t i, uint32_t by)
{
	struct frz_slot *fs = &pg->pg_slots[i];
	int error;

	(void)frz_slot_move(fs, FRZ_OPENED, FRZ_THAWED);
	(void)frz_slot_move(fs, FRZ_FROZEN, FRZ_THAWING);
	if (atomic_load(&fs->fs_state) != FRZ_THAWING)
		return;
	error = fake_thaw(fr.fr_fd[i]);
	frz_slot_failed(fs, FRZ_STEP_THAW, error);
	if (error != 0 && error != EINVAL)
		return;
	atomic_store(&fs->fs_by, by);
	(void)frz_slot_move(fs, FRZ_THAWING, FRZ_THAWED);
}

/* What follows for the worker from what its threads did. */
static void
worker_progress(struct helper *fh)
{
	struct frz_page *pg = dm0.dm_page;
	bool refused = false, out = false;
	uint32_t i, state, which = FRZ_FS_MAX;

	for (i = 0; i < NFAKES; i++) {
		state = atomic_load(&pg->pg_slots[i].fs_state);
		out = out || state == FRZ_FREEZING;
		if (state == FRZ_NOT_OURS) {
			refused = true;
			which = i;
		}
	}
	if (fh->fh_due == FRZ_FREEZE && !out && !refused &&
	    atomic_load(&pg->pg_stop) == 0) {
		fh->fh_due = 0;
		say(fh, FRZ_DONE, FRZ_FREEZE, 0, FRZ_FS_MAX);
	} else if (fh->fh_due == FRZ_FREEZE &&
	    (refused || atomic_load(&pg->pg_stop) != 0)) {
		atomic_store(&pg->pg_stop, 1);
		fh->fh_due = 0;
		say(fh, FRZ_DONE, FRZ_FREEZE, refused ? EBUSY : ECANCELED,
		    which);
	}
	if (atomic_load(&pg->pg_stop) == 0)
		return;
	for (i = NFAKES; i-- > 0;)
		slot_thaws(dm0.dm_page, i, FRZ_BY_WORKER);
	if (fh->fh_due == FRZ_THAW && !armed(dm0.dm_page)) {
		fh->fh_due = 0;
		say(fh, FRZ_DONE, FRZ_THAW, 0, FRZ_FS_MAX);
	}
}

static void
worker_begins_freeze(struct helper *fh, const struct frz_msg *fm)
{
	struct frz_slot *fs = dm0.dm_page->pg_slots;
	uint32_t i;

	FUZZ_CHECK(fm->fm_deadline_ns != 0);
	for (i = 0; i < fm->fm_count; i++, fs++)
		if ((fs->fs_flags & FRZ_F_SYNC_ONLY) == 0 &&
		    frz_slot_move(fs, FRZ_OPENED, FRZ_FREEZING))
			FUZZ_CHECK(mc.mc_recorded);
	fh->fh_due = FRZ_FREEZE;
	fh->fh_lease_ns = fm->fm_deadline_ns;
}

/* A helper that did all that it was told, and could, is not killed. */
static bool
deserves_death(const struct helper *fh)
{
	char byte;

	return (fh->fh_alive == -1 || fh->fh_stopped || fh->fh_refused ||
	    fh->fh_due != 0 ||
	    recv(fh->fh_sock, &byte, 1, MSG_PEEK | MSG_DONTWAIT) >= 0);
}

/* One that refused a lease is not asked for another. */
static void
guard_arms(struct helper *fh, const struct frz_msg *fm, int error)
{
	FUZZ_CHECK(!fh->fh_unarmed);
	FUZZ_CHECK(fm->fm_deadline_ns > fr.fr_now_ns);
	fh->fh_unarmed = error != 0;
	if (error != 0)
		return;
	fh->fh_armed = fm->fm_gen;
	fh->fh_lease_ns = fm->fm_deadline_ns;
}

/* Who has a lease goes by it alone, and says so. */
static void
lease_ends(struct helper *fh, struct frz_page *pg)
{
	uint32_t i;

	if (fh->fh_lease_ns == 0 || fr.fr_now_ns < fh->fh_lease_ns)
		return;
	fh->fh_lease_ns = 0;
	if (!armed(pg))
		return;
	atomic_store(&pg->pg_stop, 1);
	for (i = NFAKES; i-- > 0;)
		slot_thaws(pg, i, FRZ_BY_GUARD);
	fh->fh_expired = fh->fh_gen;
	fh->fh_since = 0;
	say(fh, FRZ_EXPIRED, 0, ETIMEDOUT, FRZ_FS_MAX);
}

/* Then it is no hold any more. */
static void
check_expired(struct helper *fh)
{
	if (fh->fh_expired != dm0.dm_txn.tx_gen || fh->fh_since++ == 0)
		return;
	FUZZ_CHECK(dm0.dm_txn.tx_phase != DM_HOLDING);
}

/* Somebody else's thaw, and freeze of what is not frozen. */
static void
foreign(uint8_t how)
{
	uint32_t i = how % NFAKES;

	if (fr.fr_frozen[i] || fr.fr_foreign[i])
		fr.fr_frozen[i] = fr.fr_foreign[i] = false;
	else if (how >= 128)
		fr.fr_foreign[i] = true;
}

static void
mounts_change(uint8_t how)
{
	mc.mc_mounts_changed = true;
	mc.mc_plan += how % 2;
	if (how >= 128)
		mc.mc_nplan = how % (NFAKES + 1);
}

static void
helper_ends(struct helper *fh)
{
	close_it(&fh->fh_sock);
	close_it(&fh->fh_alive);
	close_it(&fh->fh_pidfd);
	fh->fh_killed = true;
	fh->fh_due = 0;
}

/* An order is as the plan has it, and nothing else is in it. */
static void
check_open(const struct frz_msg *fm)
{
	uint32_t i = fm->fm_index, flags = i % 2 != 0 ? FRZ_F_ANY_DEV : 0;
	struct frz_msg want = { .fm_op = FRZ_OPEN, .fm_gen = fm->fm_gen };

	want.fm_index = i;
	want.fm_mnt_id = FIRST_MOUNT + i;
	want.fm_major = fm->fm_major;
	want.fm_minor = 10 + i;
	want.fm_level = i / 2;
	want.fm_flags = flags | (i % 4 == 3 ? FRZ_F_SYNC_ONLY : 0);
	snprintf(want.fm_path, sizeof(want.fm_path), "/%u", i);
	FUZZ_CHECK(fm->fm_major <= mc.mc_plan);
	FUZZ_CHECK(memcmp(fm, &want, sizeof(want)) == 0);
}

/* Those for all say how many that is. */
static void
check_count(const struct frz_msg *fm)
{
	bool all = fm->fm_op == FRZ_FLUSH || fm->fm_op == FRZ_FREEZE ||
	    fm->fm_op == FRZ_ARM;

	FUZZ_CHECK(dm_txn_idle(&dm0) || fm->fm_gen != dm0.dm_txn.tx_gen ||
	    fm->fm_count == (all ? dm0.dm_txn.tx_nfs : 0) ||
	    fm->fm_op == FRZ_ATTACH);
}

static void
worker_opens(struct helper *fh, const struct frz_msg *fm, uint8_t how)
{
	struct frz_slot *fs = &dm0.dm_page->pg_slots[fm->fm_index];
	int error = how >= 250 ? EOWNERDEAD : how >= 240 ? ESTALE : 0;

	FUZZ_CHECK(fm->fm_index < NFAKES);
	check_open(fm);
	if (error == 0) {
		fs->fs_level = fm->fm_level;
		fs->fs_flags = fm->fm_flags;
		(void)frz_slot_move(fs, FRZ_PLANNED, FRZ_OPENED);
	}
	say(fh, FRZ_DONE, FRZ_OPEN, error, fm->fm_index);
}

/* It does not sleep past a limit. */
static void
check_wait(uint64_t deadline_ns, int timeout)
{
	uint64_t most_ms = 0;

	if (deadline_ns == DM_NEVER)
		return;
	if (deadline_ns > fr.fr_now_ns)
		most_ms = (deadline_ns - fr.fr_now_ns) / 1000000ULL + 1;
	FUZZ_CHECK(timeout >= 0 && (uint64_t)timeout <= most_ms);
}

/* What has failed is being undone, as soon as it has. */
static void
check_txn(const struct dm_txn *tx, int timeout)
{
	FUZZ_CHECK(!tx->tx_failed ||
	    (tx->tx_phase != DM_FREEZING && tx->tx_phase != DM_HOLDING));
	check_wait(tx->tx_deadline_ns, timeout);
	if (tx->tx_phase == DM_OPENING || tx->tx_phase == DM_FREEZING ||
	    tx->tx_phase == DM_THAWING)
		check_wait(tx->tx_kill_ns, timeout);
	if (tx->tx_phase == DM_THAWING && !tx->tx_freeze_answered)
		check_wait(tx->tx_refuse_ns, timeout);
}

/* Whether everything that the transaction is to freeze is frozen by us. */
static bool
all_frozen(void)
{
	const struct dm_txn *tx = &dm0.dm_txn;
	uint32_t i;

	for (i = 0; i < tx->tx_nfs; i++)
		if ((tx->tx_fs[i].df_flags & FRZ_F_SYNC_ONLY) == 0 &&
		    !fr.fr_frozen[i % NFAKES])
			return (false);
	return (true);
}

static void
signal_comes(int fd, uint32_t number)
{
	struct signalfd_siginfo si = { .ssi_signo = number };

	FUZZ_CHECK(write(fd, &si, sizeof(si)) == sizeof(si));
}

static jmp_buf child_end;

static void
fuzz_exit(void)
{
	longjmp(child_end, 1);
}

#endif /* _FUZZ_DM_H_ */
