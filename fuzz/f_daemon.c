/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/*
 * The daemon's loop with what worker, guard and driver say to it: requests at
 * any moment, helpers that do as they are told at their own pace, refuse, hang,
 * die, or send what nobody asked for; mounts that change, somebody else's
 * thaws, time, and signals.  FREEZE succeeds only while everything is frozen,
 * THAW only if it was until then; each request has one answer; in the end
 * nothing is frozen, nothing is out, and nothing is leaked.
 */

#include "fuzz_dm.h"

#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include <dirent.h>
#include <getopt.h>
#include <malloc.h>
#include <spawn.h>

static int fuzz_poll(struct pollfd *pfd, nfds_t n, int timeout);
static int fuzz_ioctl(int fd, unsigned long request, void *arg);
static int fuzz_spawn(pid_t *pid, char *const argv[]);
static int fuzz_given(int sock);
static int fuzz_open(const char *path);
static pid_t fuzz_fork(void);
static pid_t fuzz_waitpid(pid_t pid, int *status);
static long fuzz_order(long number, int arg);
static void fuzz_exit(void) __attribute__((noreturn));

#undef syscall
#define syscall(number, arg, ...)		       fuzz_order(number, (int)(arg))
#define posix_spawn(pid, p, fa, sa, a, e)	       fuzz_spawn(pid, a)
#define posix_spawn_file_actions_adddup2(fa, from, to) fuzz_given(from)
#define ioctl(fd, request, arg)			       fuzz_ioctl(fd, request, arg)
#define open(path, flags)			       fuzz_open(path)
#define fork()					       fuzz_fork()
#define waitpid(pid, status, flags)		       fuzz_waitpid(pid, status)
#define _exit(status)				       fuzz_exit()
#define main					       hv_vss_daemon_main
int hv_vss_daemon_main(int argc, char *argv[]);

#include "dm_device.c"
#include "dm_helpers.c"
#undef DM_AGAIN_NS
#include "dm_again.c"
#include "dm_linux.c"
#include "dm_txn.c"
#include "dm_undo.c"
#include "hv_vss_daemon.c"

#undef main
#undef open
#undef poll

#define STEPS_MAX   20000
#define REST	    400 /* steps to come to rest in */
#define REQUESTS    64
#define FIRST_PID   1000
#define NOT_A_CHILD 1

static struct {
	struct helper fz_helper[DM_NROLES];
	int fz_given; /* the socket of the next helper */
	pid_t fz_pid;
	int fz_signal; /* where signals are put */
	bool fz_lied;  /* what helpers said cannot be trusted */
	bool fz_driver_gone;
	bool fz_plain;		  /* a driver without extensions */
	unsigned int fz_children; /* forked, not run yet */
	struct hv_vss_opt_msg fz_queue[REQUESTS];
	unsigned int fz_queued, fz_taken;
	uint8_t fz_answers[REQUESTS + 1]; /* by msgid */
	bool fz_over[REQUESTS + 1];	  /* the driver has given it up */
	uint64_t fz_freeze_ok; /* msgid of a FREEZE answered with success */
	uint64_t fz_thaw;      /* msgid of the THAW that followed it */
	bool fz_held;	       /* all was frozen when that came */
	bool fz_stands;	       /* the daemon, from poll(2) to the next READ */
	bool fz_restless;      /* mounts change without end */
	bool fz_stubborn;      /* who was stopped stays so until it is killed */
	bool fz_granted;       /* the last answer was success */
	bool fz_reasoned;      /* a reason waits for its refusal */
	bool fz_ending;
	unsigned int fz_rest;
} fz;

/* The processes of the daemon. */
static int
fuzz_given(int sock)
{
	fz.fz_given = dup(sock);
	FUZZ_CHECK(fz.fz_given != -1);
	return (0);
}

static int
fuzz_spawn(pid_t *pid, char *const argv[])
{
	struct helper *fh =
	    &fz.fz_helper[strcmp(argv[1], "guard") == 0 ? DM_GUARD : DM_WORKER];
	int ends[2];

	if (fuzz_u8(&fr.fr_in) == 255) {
		close_it(&fz.fz_given);
		return (ENOENT);
	}
	/* Nobody has two of a kind. */
	FUZZ_CHECK(fh->fh_alive == -1);
	memset(fh, 0, sizeof(*fh));
	FUZZ_CHECK(pipe2(ends, O_CLOEXEC) == 0);
	fh->fh_pidfd = ends[0];
	fh->fh_alive = ends[1];
	fh->fh_sock = fz.fz_given;
	fh->fh_due = FRZ_READY;
	fh->fh_pid = *pid = FIRST_PID + fz.fz_pid++;
	fz.fz_given = -1;
	return (0);
}

static long
fuzz_order(long number, int arg)
{
	enum dm_role role;

	for (role = 0; role < DM_NROLES; role++) {
		struct helper *fh = &fz.fz_helper[role];

		if (number == SYS_pidfd_open && fh->fh_pid == arg)
			return (fcntl(fh->fh_pidfd, F_DUPFD_CLOEXEC, 0));
		if (number == SYS_pidfd_send_signal &&
		    dm0.dm_helper[role].dh_pidfd == arg) {
			FUZZ_CHECK(fz.fz_lied || deserves_death(fh) ||
			    fz.fz_helper[DM_WORKER].fh_refused);
			fh->fh_killed = true;
		}
	}
	return (0);
}

static pid_t
fuzz_waitpid(pid_t pid, int *status)
{
	enum dm_role role;

	if (status != NULL)
		*status = SIGKILL;
	for (role = 0; role < DM_NROLES; role++)
		if (fz.fz_helper[role].fh_pid == pid &&
		    fz.fz_helper[role].fh_alive != -1)
			return (0);
	return (pid);
}

static pid_t
fuzz_fork(void)
{
	if (dm0.dm_helper[DM_WORKER].dh_pid == 0 &&
	    !dm_helpers_alive(&dm0, DM_GUARD))
		fz.fz_children++;
	return (NOT_A_CHILD);
}

/* The children that thaw, one file system each. */
static void
children_run(void)
{
	volatile uint32_t i; /* it outlives what a child jumps over */

	if (fz.fz_children == 0)
		return;
	fz.fz_children = 0;
	for (i = 0; i < dm0.dm_txn.tx_nfs; i++)
		if (frz_slot_armed(&dm0.dm_page->pg_slots[i]) &&
		    setjmp(child_end) == 0)
			dm_thaw_child(&dm0, i);
}

/* The driver. */
static int
fuzz_open(const char *path)
{
	(void)path;
	errno = ENOENT;
	return (fz.fz_driver_gone ? -1 : memfd_create("device", MFD_CLOEXEC));
}

static void
answered(const struct hv_vss_opt_msg *msg)
{
	bool again;

	FUZZ_CHECK(msg->msgid > 0 && msg->msgid <= fz.fz_taken);
	fz.fz_granted = msg->status == VSS_SUCCESS;
	/* Who was told to end begins with nothing. */
	FUZZ_CHECK(!dm0.dm_quit || !fz.fz_granted || msg->opt == HV_VSS_THAW);
	/* A refusal says why. */
	FUZZ_CHECK(fz.fz_granted || fz.fz_plain || fz.fz_reasoned ||
	    fz.fz_over[msg->msgid]);
	fz.fz_reasoned = false;
	FUZZ_CHECK(!fz.fz_granted || !mc.mc_vetoed ||
	    (msg->opt != HV_VSS_PREPARE && msg->opt != HV_VSS_FREEZE));
	FUZZ_CHECK(fz.fz_queue[msg->msgid - 1].opt == msg->opt);
	/* What was granted may be taken back once, before THAW. */
	again = msg->opt == HV_VSS_FREEZE && msg->status != VSS_SUCCESS &&
	    fz.fz_freeze_ok == msg->msgid && fz.fz_answers[msg->msgid] == 1;
	FUZZ_CHECK(fz.fz_answers[msg->msgid]++ == 0 || again);
	if (msg->opt == HV_VSS_FREEZE && msg->msgid == fz.fz_freeze_ok)
		fz.fz_freeze_ok = fz.fz_thaw = 0;
	if (msg->opt == HV_VSS_FREEZE && msg->status == VSS_SUCCESS) {
		FUZZ_CHECK(all_frozen());
		FUZZ_CHECK(mc.mc_recorded);
		FUZZ_CHECK(fz.fz_lied ||
		    fz.fz_helper[DM_GUARD].fh_armed == dm0.dm_txn.tx_gen);
		fz.fz_freeze_ok = msg->msgid;
	}
	if (msg->opt == HV_VSS_THAW && msg->msgid == fz.fz_thaw) {
		FUZZ_CHECK(msg->status != VSS_SUCCESS || fz.fz_held);
		FUZZ_CHECK(msg->status != VSS_SUCCESS || !any_frozen());
		fz.fz_freeze_ok = fz.fz_thaw = 0;
	}
}

/* For longer than any lease: the guard's has ended when it goes on. */
static void
stand_still(void)
{
	fz.fz_stands = false;
	pass_time(200000000000ULL);
	lease_ends(&fz.fz_helper[DM_GUARD], dm0.dm_page);
}

/* The next request: a new one means that those before it are over. */
static void
driver_is_read(struct hv_vss_opt_msg *msg)
{
	if (fz.fz_taken == fz.fz_queued)
		return;
	*msg = fz.fz_queue[fz.fz_taken];
	memset(fz.fz_over, true, fz.fz_taken + 1);
	fz.fz_taken++;
	if (msg->opt == HV_VSS_THAW && fz.fz_freeze_ok != 0 &&
	    fz.fz_thaw == 0) {
		fz.fz_thaw = msg->msgid;
		fz.fz_held = all_frozen();
	}
}

static int
fuzz_ioctl(int fd, unsigned long request, void *arg)
{
	struct hv_vss_opt_msg *msg = arg;
	struct hv_vss_time_left *tl = arg;
	struct hv_vss_reason *why = arg;
	uint8_t how = fuzz_u8(&fr.fr_in);

	FUZZ_CHECK(fd == dm0.dm_fd);
	errno = fz.fz_driver_gone ? ENOTCONN : how == 254 ? EINTR : ENOTTY;
	if (fz.fz_driver_gone ||
	    (fz.fz_plain && request != IOCHVVSSREAD &&
		request != IOCHVVSSWRITE))
		return (-1);
	if (request == IOCHVVSSREAD) {
		memset(msg, 0, sizeof(*msg));
		msg->status = VSS_FAIL;
		if (how == 254)
			return (-1);
		if (fz.fz_stands)
			stand_still();
		driver_is_read(msg);
	} else if (request == IOCHVVSSWRITE) {
		answered(msg);
	} else if (request == IOCHVVSSREASON) {
		FUZZ_CHECK(memchr(why->hr_text, '\0', sizeof(why->hr_text)));
		FUZZ_CHECK(why->hr_text[0] != '\0');
		fz.fz_reasoned = true;
	} else if (request == IOCHVVSSTIMELEFT) {
		memset(tl, 0, sizeof(*tl));
		tl->ht_left_ms = how == 255 ? UINT64_MAX : how * 100;
		tl->ht_hold_ms = how * 1000;
	}
	return (0);
}

static void
driver_asks(uint8_t how)
{
	static const uint32_t ops[] = { HV_VSS_CHECK, HV_VSS_PREPARE,
		HV_VSS_FREEZE, HV_VSS_FREEZE, HV_VSS_THAW, HV_VSS_THAW };
	struct hv_vss_opt_msg *msg = &fz.fz_queue[fz.fz_queued];

	if (fz.fz_queued == REQUESTS || fz.fz_driver_gone)
		return;
	memset(msg, 0, sizeof(*msg));
	msg->opt = how % 16 < 6 ? ops[how % 16] : HV_VSS_FREEZE;
	if (how == 255)
		msg->opt = 77;
	msg->msgid = ++fz.fz_queued;
}

/* What was held when the driver ended is LOST, and told to its successor. */
static void
driver_goes(void)
{
	fz.fz_driver_gone = true;
	memset(fz.fz_over, true, sizeof(fz.fz_over));
	fz.fz_taken = fz.fz_queued;
	fz.fz_freeze_ok = fz.fz_thaw = 0;
}

/* The kernel does its part of a freeze, whether the worker lives or not. */
static void
slot_freezes(uint32_t i, int error)
{
	struct frz_slot *fs = &dm0.dm_page->pg_slots[i];
	struct helper *fh = &fz.fz_helper[DM_WORKER];

	if (fh->fh_alive == -1 || atomic_load(&fs->fs_state) != FRZ_FREEZING)
		return;
	if (error == 0)
		error = fake_freeze(fr.fr_fd[i]);
	/* Killed: the call was the last that its thread did. */
	if (fh->fh_killed)
		return;
	if (error != 0)
		frz_slot_failed(fs, FRZ_STEP_FREEZE, error);
	(void)frz_slot_move(
	    fs, FRZ_FREEZING, error == 0 ? FRZ_FROZEN : FRZ_NOT_OURS);
	if (atomic_load(&dm0.dm_page->pg_stop) != 0)
		slot_thaws(dm0.dm_page, i, FRZ_BY_WORKER);
}

static void
worker_obeys(struct helper *fh, const struct frz_msg *fm, uint8_t how)
{
	int error = 0;

	switch (fm->fm_op) {
	case FRZ_OPEN:
		worker_opens(fh, fm, how);
		return;
	case FRZ_FREEZE:
		FUZZ_CHECK(((fm->fm_flags & FRZ_F_RCU) != 0) ==
		    (dm0.dm_txn.tx_nfreeze != 0));
		worker_begins_freeze(fh, fm);
		return;
	case FRZ_THAW:
		atomic_store(&dm0.dm_page->pg_stop, 1);
		fh->fh_due = FRZ_THAW;
		return;
	case FRZ_RELEASE:
		error = armed(dm0.dm_page) || how >= 248 ? EBUSY : 0;
		break;
	case FRZ_PING:
		break;
	default:
		error = how >= 248 ? EIO : 0;
		break;
	}
	say(fh, FRZ_DONE, fm->fm_op, error, how >= 252 ? 0 : FRZ_FS_MAX);
}

static void
guard_thaws(struct helper *fh)
{
	bool ended = fz.fz_helper[DM_WORKER].fh_alive == -1;
	struct frz_slot *fs;
	uint32_t i;

	atomic_store(&dm0.dm_page->pg_stop, 1);
	for (i = NFAKES; i-- > 0;) {
		fs = &dm0.dm_page->pg_slots[i];
		if (ended)
			(void)frz_slot_move(fs, FRZ_FREEZING, FRZ_FROZEN);
		slot_thaws(dm0.dm_page, i, FRZ_BY_GUARD);
	}
	if (fh->fh_due == FRZ_THAW && !armed(dm0.dm_page)) {
		fh->fh_due = 0;
		say(fh, FRZ_DONE, FRZ_THAW, 0, FRZ_FS_MAX);
	}
}

static void
guard_obeys(struct helper *fh, const struct frz_msg *fm, uint8_t how)
{
	int error = how >= 248 ? EIO : 0;

	if (fm->fm_op == FRZ_THAW) {
		FUZZ_CHECK(!fh->fh_thaws);
		fh->fh_thaws = true;
		fh->fh_due = FRZ_THAW;
		return;
	}
	fh->fh_thaws = fh->fh_thaws && fm->fm_op != FRZ_ARM;
	if (fm->fm_op == FRZ_ARM)
		guard_arms(fh, fm, error);
	if (fm->fm_op == FRZ_RELEASE && armed(dm0.dm_page))
		error = EBUSY;
	if (fm->fm_op == FRZ_PING)
		error = EINVAL;
	say(fh, FRZ_DONE, fm->fm_op, error, FRZ_FS_MAX);
}

/* A helper reads its next order, or goes on with the last. */
static void
helper_step(enum dm_role role, uint8_t how)
{
	struct helper *fh = &fz.fz_helper[role];
	struct frz_msg fm;
	struct frz_fds ff;
	int error;

	if (fh->fh_alive == -1 || fh->fh_killed || fh->fh_stopped)
		return;
	if (fh->fh_due == FRZ_READY) {
		fh->fh_due = 0;
		say(fh, FRZ_READY, 0, how >= 248 ? EPERM : 0, how % 8);
		return;
	}
	lease_ends(fh, dm0.dm_page);
	error = frz_recv(fh->fh_sock, &fm, &ff);
	if (error == 0) {
		frz_fds_close(&ff);
		fh->fh_gen = fm.fm_gen;
		check_count(&fm);
		if (role == DM_WORKER)
			worker_obeys(fh, &fm, how);
		else
			guard_obeys(fh, &fm, how);
	} else if (error == EPIPE)
		atomic_store(&dm0.dm_page->pg_stop, 1);
	if (role == DM_WORKER)
		worker_progress(fh);
	else if (fh->fh_due == FRZ_THAW || error == EPIPE ||
	    (fz.fz_helper[DM_WORKER].fh_alive == -1 && armed(dm0.dm_page)))
		guard_thaws(fh);
	/* Alone it stays for as long as anything is armed. */
	if (error == EPIPE && !armed(dm0.dm_page))
		helper_ends(fh);
}

/* It was killed, and what it had in the kernel comes back. */
static void
helper_dies(enum dm_role role)
{
	struct helper *fh = &fz.fz_helper[role];
	uint32_t i;

	if (fh->fh_alive == -1)
		return;
	fh->fh_killed = true;
	for (i = 0; i < NFAKES && role == DM_WORKER; i++)
		slot_freezes(i, 0);
	helper_ends(fh);
}

/* Any message, of this transaction more often than not. */
static void
helper_lies(enum dm_role role)
{
	struct helper *fh = &fz.fz_helper[role];
	struct frz_msg fm = { 0 };
	uint8_t how = fuzz_u8(&fr.fr_in);

	if (fh->fh_alive == -1 || fh->fh_killed)
		return;
	fz.fz_lied = true;
	if (how == 255) {
		send_junk(fh->fh_sock);
		return;
	}
	fm.fm_op = 1 + how % (FRZ_NOPS - 1);
	if (how >= 128)
		fm.fm_op = FRZ_DONE;
	fm.fm_of = fuzz_u8(&fr.fr_in) % (FRZ_NOPS + 1);
	fm.fm_gen = dm0.dm_txn.tx_gen - (how % 16 == 7);
	how = fuzz_u8(&fr.fr_in);
	fm.fm_errno = how >= 192 ? (int32_t)fuzz_u32(&fr.fr_in) : 0;
	fm.fm_index = fuzz_u8(&fr.fr_in);
	fm.fm_count = how;
	(void)frz_send(fh->fh_sock, &fm, NULL);
}

/* What seldom happens. */
static void
accident(uint8_t how)
{
	enum dm_role role = how % 2 == 0 ? DM_WORKER : DM_GUARD;

	switch (how / 2 % 10) {
	case 0:
		helper_dies(role);
		break;
	case 1:
	case 2:
		helper_lies(role);
		break;
	case 3:
		fz.fz_helper[role].fh_stopped ^= true;
		break;
	case 4:
		foreign(fuzz_u8(&fr.fr_in));
		break;
	case 5:
		if (fz.fz_driver_gone)
			fz.fz_driver_gone = false;
		else
			driver_goes();
		break;
	case 6:
		mounts_change(fuzz_u8(&fr.fr_in));
		break;
	case 7:
		signal_comes(fz.fz_signal, how >= 250 ? SIGTERM : SIGHUP);
		break;
	case 8:
		pass_time(fuzz_u16(&fr.fr_in) * 2000000ULL);
		break;
	default:
		slot_freezes(how / 20 % NFAKES, EIO);
		break;
	}
}

/* One thing happens. */
static void
act(void)
{
	uint8_t what = fuzz_u8(&fr.fr_in);

	switch (what % 8) {
	case 0:
	case 1:
		helper_step(DM_WORKER, fuzz_u8(&fr.fr_in));
		break;
	case 2:
		helper_step(DM_GUARD, fuzz_u8(&fr.fr_in));
		break;
	case 3:
		slot_freezes(what / 8 % NFAKES, 0);
		break;
	case 4:
		driver_asks(fuzz_u8(&fr.fr_in));
		break;
	case 5:
		pass_time(what / 8 * 50000000ULL);
		break;
	case 6:
		children_run();
		break;
	default:
		accident(fuzz_u8(&fr.fr_in));
		break;
	}
}

/* The input is used up: everybody does what he should. */
static void
come_to_rest(void)
{
	enum dm_role role;
	uint32_t i;

	fz.fz_ending = true;
	fz.fz_driver_gone = false;
	if (fz.fz_restless)
		mounts_change(1);
	children_run();
	for (i = 0; i < NFAKES; i++)
		slot_freezes(i, 0);
	for (role = 0; role < DM_NROLES; role++) {
		fz.fz_helper[role].fh_stopped &= fz.fz_stubborn;
		if (fz.fz_helper[role].fh_killed)
			helper_dies(role);
		helper_step(role, 0);
	}
}

static bool
at_rest(void)
{
	return (dm_txn_idle(&dm0) && dm0.dm_fd != -1 &&
	    dm_helpers_ready(&dm0) && dm0.dm_txn.tx_later.dq_opt == 0 &&
	    fz.fz_taken == fz.fz_queued);
}

static void
something_happens(void)
{
	int i;

	if (fr.fr_in.fi_left != 0) {
		act();
		return;
	}
	/* They are quick beside the daemon's limits. */
	FUZZ_CHECK(fz.fz_rest++ < REST);
	for (i = 0; i < 4; i++)
		come_to_rest();
}

/* The daemon's own descriptors, and the device. */
static int
look(struct pollfd *pfd, nfds_t n)
{
	int ready = poll(pfd, n, 0);
	nfds_t i;

	for (i = 0; i < n; i++) {
		if (pfd[i].fd == -1 || pfd[i].fd != dm0.dm_fd)
			continue;
		ready -= pfd[i].revents != 0;
		pfd[i].revents = 0;
		if (fz.fz_driver_gone)
			pfd[i].revents = POLLERR;
		else if (fz.fz_taken < fz.fz_queued)
			pfd[i].revents = POLLIN;
		ready += pfd[i].revents != 0;
	}
	return (ready);
}

static int
fuzz_poll(struct pollfd *pfd, nfds_t n, int timeout)
{
	enum dm_role role;
	int ready;

	if (n == 1)
		return (poll(pfd, n, 0));
	check_txn(&dm0.dm_txn, timeout);
	for (role = 0; role < DM_NROLES; role++) {
		check_wait(dm0.dm_helper[role].dh_deadline_ns, timeout);
		check_expired(&fz.fz_helper[role]);
	}
	/* Who waits for ever, and is not at rest, has forgotten something. */
	do {
		something_happens();
		ready = look(pfd, n);
	} while (ready == 0 && timeout < 0 && !(fz.fz_ending && at_rest()));
	if (ready == 0 && timeout > 0)
		pass_time((uint64_t)timeout * 1000000ULL);
	return (ready);
}

static void
ask_and_wait(uint8_t how)
{
	unsigned int steps;

	driver_asks(how);
	for (steps = 0; fz.fz_answers[fz.fz_queued] == 0; steps++) {
		FUZZ_CHECK(steps < REST);
		dm_step(&dm0);
	}
}

/* Nobody does anything wrong any more: a backup works. */
static void
one_backup(void)
{
	static const uint8_t asks[] = { 0, 1, 2, 4 };
	unsigned int i;

	memset(fr.fr_foreign, 0, sizeof(fr.fr_foreign));
	fz.fz_stubborn = false;
	for (i = 0; i < sizeof(asks); i++) {
		ask_and_wait(asks[i]);
		FUZZ_CHECK(fz.fz_granted);
	}
}

/* What cannot be compared with the mounts of now is not what is frozen. */
static void
one_unreadable_plan(void)
{
	fz.fz_restless = false;
	ask_and_wait(1);
	mounts_change(1);
	mc.mc_unreadable = true;
	ask_and_wait(2);
	FUZZ_CHECK(fz.fz_granted && !mc.mc_unreadable);
	FUZZ_CHECK(mc.mc_nplan == 0 ||
	    dm0.dm_txn.tx_plan.pn_lines->pl_major == mc.mc_plan);
	ask_and_wait(4);
}

/* A hold that has ended is LOST, though nothing was heard of it yet. */
static void
one_unseen_end(void)
{
	ask_and_wait(2);
	FUZZ_CHECK(fz.fz_granted);
	fz.fz_stands = mc.mc_nplan != 0;
	ask_and_wait(4);
	FUZZ_CHECK(fz.fz_granted == (mc.mc_nplan == 0));
}

static void
serve(void)
{
	struct dm *dm = &dm0;
	char err[CONF_ERR_MAX];
	unsigned int i, steps = 0;

	dm_helpers_init(dm);
	FUZZ_CHECK(frz_page_create(&dm->dm_page_fd, &dm->dm_page) == 0);
	(void)dm_device_open(dm, err, sizeof(err));
	while (dm->dm_quit ?
		!dm_txn_idle(dm) && frz_now_ns() < dm->dm_reopen_ns :
		!fz.fz_ending || !at_rest()) {
		FUZZ_CHECK(steps++ < STEPS_MAX);
		dm_step(dm);
	}
	/* What it has not answered when it ends the driver takes for a refusal.
	 */
	for (i = 1; i <= fz.fz_taken; i++)
		FUZZ_CHECK(
		    fz.fz_answers[i] != 0 || fz.fz_over[i] || dm->dm_quit);
	if (dm->dm_quit)
		return;
	FUZZ_CHECK(!any_frozen() && !mc.mc_recorded);
	if (fz.fz_queued + 9 <= REQUESTS) {
		one_backup();
		one_unreadable_plan();
		one_unseen_end();
	}
	FUZZ_CHECK(!any_frozen() && !mc.mc_recorded);
}

/* The daemon ends; those whom it leaves behind put right what is not. */
static void
stop(void)
{
	struct dm *dm = &dm0;
	enum dm_role role;
	unsigned int i;

	dm_helpers_stop(dm);
	for (i = 0; i < REST && dm->dm_quit; i++) {
		come_to_rest();
		pass_time(100000000ULL);
	}
	/* The last resort of all is the record. */
	FUZZ_CHECK(!any_frozen() || mc.mc_recorded);
	for (role = 0; role < DM_NROLES; role++) {
		helper_ends(&fz.fz_helper[role]);
		close_it(&dm->dm_helper[role].dh_pidfd);
	}
	plan_free(&dm->dm_txn.tx_plan);
	conf_free(&dm->dm_reread);
	conf_free(&dm->dm_conf);
	dm_device_close(dm);
	close_it(&dm->dm_page_fd);
	frz_page_unmap(dm->dm_page);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct dm pristine;
	enum dm_role role;
	int ends[2], lowest;

	if (pristine.dm_device == NULL)
		pristine = dm0;
	dm0 = pristine;
	fake_start(data, size);
	lowest = fuzz_next_fd();
	memset(&fz, 0, sizeof(fz));
	memset(&mc, 0, sizeof(mc));
	for (role = 0; role < DM_NROLES; role++)
		fz.fz_helper[role].fh_sock = fz.fz_helper[role].fh_alive =
		    fz.fz_helper[role].fh_pidfd = -1;
	fz.fz_given = -1;
	fz.fz_plain = fuzz_u8(&fr.fr_in) % 8 == 7;
	fz.fz_restless = size % 4 == 3;
	fz.fz_stubborn = size % 4 == 2;
	mc.mc_nplan = fuzz_u8(&fr.fr_in) % (NFAKES + 1);
	FUZZ_CHECK(pipe2(ends, O_CLOEXEC | O_NONBLOCK) == 0);
	dm0.dm_signals = ends[0];
	fz.fz_signal = ends[1];
	conf_default(&dm0.dm_conf);
	dm0.dm_conf.cf_freezer = "/nowhere/hv_vss_freezer";
	serve();
	stop();
	close_it(&ends[0]);
	close_it(&ends[1]);
	close_it(&fz.fz_given);
	FUZZ_CHECK(fuzz_next_fd() == lowest);
	return (0);
}
