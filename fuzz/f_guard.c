/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/*
 * The guard: orders in any sequence and form, a worker that opens, freezes,
 * thaws, is killed and ends at any step, thaws in any order, time, and one
 * daemon after another that goes away at any moment.  A daemon's end leaves
 * nothing frozen, and after RELEASE nothing is thawed any more.
 */

#include "fuzz_frz.h"

#include <setjmp.h>
#include <sys/un.h>

static int fuzz_poll(struct pollfd *pfd, nfds_t n, int timeout);
static long fuzz_syscall(long number);
static int fuzz_getsockopt(
    int fd, int level, int option, void *value, socklen_t *len);
static int fuzz_accept4(int fd, struct sockaddr *sa, socklen_t *len, int flags);
static int fuzz_signalfd(int fd, const sigset_t *set, int flags);
static void fuzz_exit(int status) __attribute__((noreturn));

#define getsockopt fuzz_getsockopt
#define accept4	   fuzz_accept4
#define signalfd   fuzz_signalfd
#define _exit	   fuzz_exit
#include "frz_guard.c"
#undef _exit
#undef signalfd
#undef accept4
#undef getsockopt
#undef poll

#define POLLS_MAX 20000
#define IDLE	  20
#define NTOLD	  6
#define LISTENER  1000 /* what stands for the listening socket */

/* What a thread of the worker is at. */
enum at { AT_REST, AT_CALL, AT_BACK, AT_THAW };

static struct {
	bool fz_listen;
	bool fz_root; /* the daemon that connected is one */
	bool fz_junk; /* what the worker sent may be an order after all */
	bool fz_odd;  /* and what the daemon sent, an end even */
	jmp_buf fz_end;
	int fz_daemon; /* daemon's end of the control socket, or -1 */
	int fz_ctl;    /* the guard's, for accept */
	int fz_peer;   /* the worker's end, or -1 */
	int fz_signal; /* readable when the guard was told to end, or -1 */
	int fz_pidfd;  /* readable when the worker has ended; -1: none */
	int fz_page_fd;
	struct frz_page *fz_page;
	int fz_of[NFAKES]; /* slot to file system */
	enum at fz_at[NFAKES];
	uint32_t fz_open;  /* slots in use */
	uint32_t fz_armed; /* of them covered by the guard's lease */
	uint64_t fz_gen;
	bool fz_killed;
	bool fz_ended;
	bool fz_released;
	uint32_t fz_releasing; /* RELEASEs that are not answered */
	unsigned int fz_idle;
	struct pollfd fz_told[NTOLD];
	uint32_t fz_sent[FRZ_NOPS];
	uint32_t fz_done[FRZ_NOPS];
	int32_t fz_errno[FRZ_NOPS]; /* of the last DONE */
	bool fz_whole;		    /* the whole transaction was begun */
} fz;

int
frz_fs_thaw(int fd)
{
	FUZZ_CHECK(!fz.fz_released);
	return (fake_thaw(fd));
}

/*
 * The worker: as frz_worker.c does it, a step at a time.  Killed, it makes no
 * more steps of its own, but a call that is in the kernel comes to its end.
 */
static void
worker_step(uint32_t i)
{
	struct frz_slot *fs = &fz.fz_page->pg_slots[i];
	int error, fd = fr.fr_fd[fz.fz_of[i]];

	if (fz.fz_ended || (fz.fz_killed && fz.fz_at[i] != AT_CALL))
		return;
	switch (fz.fz_at[i]) {
	case AT_REST:
		if (i < fz.fz_armed &&
		    frz_slot_move(fs, FRZ_OPENED, FRZ_FREEZING)) {
			if (atomic_load(&fz.fz_page->pg_stop) != 0)
				(void)frz_slot_move(
				    fs, FRZ_FREEZING, FRZ_THAWED);
			else
				fz.fz_at[i] = AT_CALL;
		} else if (frz_slot_move(fs, FRZ_FROZEN, FRZ_THAWING))
			fz.fz_at[i] = AT_THAW;
		break;
	case AT_CALL:
		error = fake_freeze(fd);
		fz.fz_at[i] = AT_BACK;
		if (error != 0) {
			(void)frz_slot_move(fs, FRZ_FREEZING, FRZ_NOT_OURS);
			fz.fz_at[i] = AT_REST;
		}
		break;
	case AT_BACK:
		fz.fz_at[i] = AT_REST;
		(void)frz_slot_move(fs, FRZ_FREEZING, FRZ_FROZEN);
		if (atomic_load(&fz.fz_page->pg_stop) != 0 &&
		    frz_slot_move(fs, FRZ_FROZEN, FRZ_THAWING))
			fz.fz_at[i] = AT_THAW;
		break;
	case AT_THAW:
		error = fake_thaw(fd);
		if (error == 0 || error == EINVAL) {
			(void)frz_slot_move(fs, FRZ_THAWING, FRZ_THAWED);
			fz.fz_at[i] = AT_REST;
		}
		break;
	}
}

/* Its last call has come back; nothing of it is left. */
static void
worker_ends(void)
{
	static const uint64_t one = 1;
	uint32_t i;

	if (fz.fz_pidfd == -1 || fz.fz_ended)
		return;
	fz.fz_killed = true;
	for (i = 0; i < NFAKES; i++) {
		if (fz.fz_at[i] == AT_CALL)
			worker_step(i);
		fz.fz_at[i] = AT_REST;
	}
	fz.fz_ended = true;
	close_it(&fz.fz_peer);
	FUZZ_CHECK(write(fz.fz_pidfd, &one, sizeof(one)) == 8);
}

/* The guard kills the worker, or asks for its own pidfd. */
static long
fuzz_syscall(long number)
{
	if (number == SYS_pidfd_send_signal) {
		fz.fz_killed = true;
		return (0);
	}
	FUZZ_CHECK(number == SYS_pidfd_open);
	if (fuzz_u8(&fr.fr_in) == 255) {
		fz.fz_root = false; /* as good as nobody */
		errno = EMFILE;
		return (-1);
	}
	return (dup(fr.fr_fd[0]));
}

static int
fuzz_getsockopt(int fd, int level, int option, void *value, socklen_t *len)
{
	struct ucred *peer = value;

	(void)fd;
	FUZZ_CHECK(level == SOL_SOCKET && option == SO_PEERCRED &&
	    *len == sizeof(*peer));
	memset(peer, 0, sizeof(*peer));
	peer->uid = fuzz_u8(&fr.fr_in) >= 240 ? 1000 : 0;
	fz.fz_root = peer->uid == 0;
	return (0);
}

static int
fuzz_accept4(int fd, struct sockaddr *sa, socklen_t *len, int flags)
{
	int ctl = fz.fz_ctl;

	FUZZ_CHECK(fd == LISTENER && !sa && !len && flags == SOCK_CLOEXEC);
	fz.fz_ctl = -1;
	errno = ECONNABORTED;
	return (ctl);
}

/* Of what a service is told there is only that it is to end. */
static int
fuzz_signalfd(int fd, const sigset_t *set, int flags)
{
	FUZZ_CHECK(fd == -1 && sigismember(set, SIGTERM) == 1 &&
	    flags == (SFD_CLOEXEC | SFD_NONBLOCK));
	fz.fz_signal = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	return (fz.fz_signal);
}

static void
tell_to_end(void)
{
	static const uint64_t one = 1;

	if (fz.fz_signal != -1)
		FUZZ_CHECK(write(fz.fz_signal, &one, sizeof(one)) == 8);
}

static void
take_answers(void)
{
	struct frz_msg fm;
	struct frz_fds ff;
	int i;

	while (fz.fz_daemon != -1 && frz_recv(fz.fz_daemon, &fm, &ff) == 0) {
		frz_fds_close(&ff);
		FUZZ_CHECK(fm.fm_op == FRZ_DONE || fm.fm_op == FRZ_EXPIRED ||
		    fm.fm_op == FRZ_READY);
		/* Nobody else is greeted or obeyed. */
		FUZZ_CHECK(fz.fz_root);
		if (fm.fm_op != FRZ_DONE)
			continue;
		FUZZ_CHECK(fm.fm_of < FRZ_NOPS);
		FUZZ_CHECK(++fz.fz_done[fm.fm_of] <= fz.fz_sent[fm.fm_of]);
		fz.fz_errno[fm.fm_of] = fm.fm_errno;
		if (fm.fm_of == FRZ_RELEASE && fz.fz_releasing != 0)
			fz.fz_releasing--;
		if (fm.fm_of == FRZ_RELEASE && fm.fm_errno == 0) {
			fz.fz_released = true;
			fz.fz_armed = 0;
			for (i = 0; i < NFAKES; i++) {
				FUZZ_CHECK(!fr.fr_frozen[i]);
				FUZZ_CHECK(fz.fz_junk || gd0.gd_fd[i] == -1);
			}
		}
	}
}

static int
send_to_guard(struct frz_msg *fm, const struct frz_fds *ff)
{
	if (fz.fz_daemon == -1 || frz_send(fz.fz_daemon, fm, ff) != 0)
		return (EPIPE);
	/* Behind a RELEASE a daemon begins nothing. */
	if (fm->fm_op == FRZ_RELEASE) {
		fz.fz_releasing++;
		fz.fz_armed = 0;
	}
	fz.fz_sent[fm->fm_op]++;
	return (0);
}

static bool
at_rest(void)
{
	uint32_t i;

	for (i = 0; i < NFAKES; i++)
		if (fz.fz_at[i] != AT_REST || fr.fr_frozen[i] ||
		    frz_slot_armed(&fz.fz_page->pg_slots[i]))
			return (false);
	return (true);
}

/* A new worker is introduced. */
static void
attach(uint8_t how)
{
	struct frz_msg fm = { .fm_op = FRZ_ATTACH };
	struct frz_fds ff = { { fz.fz_page_fd, -1, -1 }, 3 };
	int sv[2];

	if (how >= 224) {
		ff.ff_fd[0] = fr.fr_fd[0];
		ff.ff_count = how % 4;
		ff.ff_fd[1] = ff.ff_fd[2] = fr.fr_fd[1];
		(void)send_to_guard(&fm, &ff);
		return;
	}
	if (!at_rest() || fz.fz_daemon == -1)
		return;
	FUZZ_CHECK(
	    socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sv) == 0);
	close_it(&fz.fz_peer);
	close_it(&fz.fz_pidfd);
	fz.fz_peer = sv[1];
	fz.fz_pidfd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	fz.fz_killed = fz.fz_ended = false;
	fz.fz_open = fz.fz_armed = 0;
	ff.ff_fd[1] = sv[0];
	ff.ff_fd[2] = fz.fz_pidfd;
	(void)send_to_guard(&fm, &ff);
	close_it(&sv[0]);
}

static void
begin_transaction(void)
{
	if (!at_rest() || gd_busy(&gd0))
		return;
	fz.fz_open = fz.fz_armed = 0;
	frz_page_begin(fz.fz_page, ++fz.fz_gen, NFAKES);
}

/* The worker opened a file system and passes it on. */
static void
hold(uint8_t how)
{
	struct frz_msg fm = { .fm_op = FRZ_HOLD };
	struct frz_fds ff = { { -1 }, 1 };
	struct frz_slot *fs;

	if (fz.fz_peer == -1 || fz.fz_open == NFAKES || fz.fz_killed ||
	    fz.fz_releasing != 0)
		return;
	fm.fm_gen = fz.fz_gen;
	fm.fm_index = fz.fz_open;
	fz.fz_of[fz.fz_open] = how % NFAKES;
	ff.ff_fd[0] = fr.fr_fd[how % NFAKES];
	fs = &fz.fz_page->pg_slots[fz.fz_open];
	fs->fs_level = how / NFAKES % 4;
	if (!frz_slot_move(fs, FRZ_PLANNED, FRZ_OPENED))
		return;
	fz.fz_open++;
	if (how >= 248)
		return;
	if (how >= 240)
		fm.fm_index = FRZ_FS_MAX / 128 * how;
	if (how >= 232 && how < 240)
		fm.fm_gen--;
	if (how >= 224 && how < 232)
		fm.fm_index = 0;
	if (frz_send(fz.fz_peer, &fm, &ff) == 0)
		fz.fz_released = false;
}

/* ARM, and the daemon waits for the answer before anything is frozen. */
static void
arm(uint8_t how)
{
	struct frz_msg fm = { .fm_op = FRZ_ARM };
	uint32_t sent = fz.fz_done[FRZ_ARM];

	fm.fm_gen = fz.fz_gen + (how == 255);
	fm.fm_count = how >= 192 ? FRZ_FS_MAX / 128 * how : fz.fz_open;
	fm.fm_deadline_ns = fr.fr_now_ns + how % 64 * 1000000000ULL;
	if (how == 63)
		fm.fm_deadline_ns = UINT64_MAX;
	if (send_to_guard(&fm, NULL) != 0 || how >= 192)
		return;
	/* Read by the guard at once: nothing else happens to it meanwhile. */
	gd_read(&gd0);
	for (;;) {
		struct frz_fds ff;

		if (frz_recv(fz.fz_daemon, &fm, &ff) != 0)
			return;
		frz_fds_close(&ff);
		if (fm.fm_op != FRZ_DONE)
			continue;
		fz.fz_done[fm.fm_of]++;
		if (fm.fm_of == FRZ_RELEASE && fz.fz_releasing != 0)
			fz.fz_releasing--;
		if (fm.fm_of == FRZ_ARM && fz.fz_done[FRZ_ARM] > sent &&
		    fm.fm_gen == fz.fz_gen)
			fz.fz_armed = fm.fm_errno == 0 ? fz.fz_open : 0;
	}
}

static void
order(void)
{
	struct frz_msg fm = { 0 };
	uint8_t how = fuzz_u8(&fr.fr_in);

	switch (how % 8) {
	case 0:
		attach(fuzz_u8(&fr.fr_in));
		break;
	case 1:
	case 2:
		arm(fuzz_u8(&fr.fr_in));
		break;
	case 3:
		fm.fm_op = 1 + fuzz_u8(&fr.fr_in) % (FRZ_NOPS - 1);
		if (fm.fm_op == FRZ_ARM)
			break;
		fm.fm_gen = fuzz_u8(&fr.fr_in);
		(void)send_to_guard(&fm, NULL);
		break;
	case 4:
	case 5:
		fm.fm_op = FRZ_THAW;
		fm.fm_gen = fz.fz_gen;
		(void)send_to_guard(&fm, NULL);
		break;
	default:
		fm.fm_op = FRZ_RELEASE;
		fm.fm_gen = fz.fz_gen;
		(void)send_to_guard(&fm, NULL);
		break;
	}
}

static void
act(void)
{
	struct fuzz_in *fi = &fr.fr_in;
	uint8_t what = fuzz_u8(fi);

	switch (what % 12) {
	case 0:
	case 1:
		order();
		break;
	case 2:
		hold(fuzz_u8(fi));
		break;
	case 3:
		if (fz.fz_daemon != -1 && what / 12 % 2 == 0) {
			send_junk(fz.fz_daemon);
			/* It may have been an order after all. */
			memset(fz.fz_sent, 0x7f, sizeof(fz.fz_sent));
			fz.fz_odd = true;
			fz.fz_armed = 0;
		} else if (fz.fz_peer != -1) {
			send_junk(fz.fz_peer);
			fz.fz_released = false;
			fz.fz_junk = true;
		}
		break;
	case 4:
		pass_time(fuzz_u16(fi) * 1000000ULL);
		break;
	case 5:
		begin_transaction();
		break;
	case 6:
		if (what / 12 % 4 == 0)
			worker_ends();
		if (what / 12 % 4 == 1)
			fz.fz_killed = true;
		break;
	case 7:
		/* Somebody else thaws, or freezes. */
		if (what / 12 < NFAKES)
			fr.fr_frozen[what / 12] = false;
		else
			fr.fr_foreign[what / 12 % NFAKES] ^=
			    !fr.fr_frozen[what / 12 % NFAKES];
		break;
	case 8:
		if (what / 12 % 8 == 7)
			close_it(&fz.fz_daemon);
		if (what / 12 % 8 == 6)
			tell_to_end();
		break;
	case 9:
		run_job(&gd0.gd_pool, what / 12);
		break;
	default:
		worker_step(what / 12 % NFAKES);
		break;
	}
	take_answers();
}

static bool
any_frozen(void)
{
	uint32_t i;

	for (i = 0; i < NFAKES; i++)
		if (fr.fr_frozen[i])
			return (true);
	return (false);
}

/*
 * Whatever was before: a new worker is taken, and guarded.  It freezes, and
 * ends, or its lease does; the daemon stays until the guard has thawed.
 */
static void
whole_transaction(void)
{
	uint32_t i, n;

	if (fz.fz_whole || fz.fz_daemon == -1 || !fz.fz_root || fz.fz_odd ||
	    fz.fz_junk || fz.fz_releasing != 0 || gd0.gd_gen > fz.fz_gen ||
	    !at_rest() || gd_busy(&gd0))
		return;
	fz.fz_whole = true;
	fz.fz_idle = 0;
	attach(0);
	gd_read(&gd0);
	take_answers();
	FUZZ_CHECK(fz.fz_errno[FRZ_ATTACH] == 0);
	begin_transaction();
	for (i = 0; i < 2; i++) {
		fr.fr_foreign[i] = false;
		hold((uint8_t)i);
	}
	arm(60);
	FUZZ_CHECK(fz.fz_open == 2 && fz.fz_armed == 2);
	for (i = 0; i < fz.fz_open; i++)
		for (n = 0; n < 3; n++)
			worker_step(i);
	if (fz.fz_gen % 2 == 0)
		worker_ends();
}

static void
come_to_an_end(void)
{
	uint32_t i;

	run_job(&gd0.gd_pool, 0);
	take_answers();
	if (++fz.fz_idle > IDLE)
		whole_transaction();
	if (fz.fz_idle > IDLE && !(fz.fz_whole && any_frozen())) {
		FUZZ_CHECK(fz.fz_killed || !fz.fz_whole);
		close_it(&fz.fz_daemon);
	}
	if (fz.fz_idle > 2 * IDLE && fz.fz_killed)
		worker_ends();
	for (i = 0; i < NFAKES; i++)
		if (fz.fz_idle > 2 * IDLE && fz.fz_at[i] != AT_REST)
			worker_step(i);
}

/* When the guard is done with a daemon. */
static void
check_thawed(void)
{
	uint32_t i, n;

	/* What the worker is in the middle of comes to its end. */
	for (i = 0; i < NFAKES; i++)
		for (n = 0; n < 2 * THAW_FAIL && fz.fz_at[i] != AT_REST; n++)
			worker_step(i);
	FUZZ_CHECK(!any_frozen());
}

/* Told to end, it does when nothing is frozen. */
static void
fuzz_exit(int status)
{
	FUZZ_CHECK(status == 0 &&
	    poll(&(struct pollfd) { fz.fz_signal, POLLIN, 0 }, 1, 0) == 1);
	take_answers();
	close_it(&fz.fz_peer);
	check_thawed();
	longjmp(fz.fz_end, 1);
}

/* The next daemon connects, or the harness has seen enough. */
static int
next_daemon(void)
{
	int sv[2];

	take_answers();
	/* It leaves nobody, but whom it does not know. */
	FUZZ_CHECK(fz.fz_daemon == -1 || !fz.fz_root || fz.fz_odd);
	close_it(&fz.fz_peer);
	close_it(&fz.fz_daemon);
	check_thawed();
	if (fr.fr_in.fi_left == 0)
		longjmp(fz.fz_end, 1);
	FUZZ_CHECK(
	    socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sv) == 0);
	fz.fz_daemon = sv[0];
	fz.fz_ctl = sv[1];
	memset(fz.fz_sent, 0, sizeof(fz.fz_sent));
	memset(fz.fz_done, 0, sizeof(fz.fz_done));
	fz.fz_open = fz.fz_armed = 0;
	fz.fz_releasing = 0;
	fz.fz_gen = 0;
	memset(fz.fz_at, 0, sizeof(fz.fz_at));
	frz_page_begin(fz.fz_page, 0, 0);
	return (1);
}

static int
fuzz_poll(struct pollfd *pfd, nfds_t n, int timeout)
{
	uint64_t until = fr.fr_now_ns + (uint64_t)timeout * 1000000ULL;
	int ready;

	/* It only looks. */
	if (n == 1 && timeout == 0)
		return (poll(pfd, n, 0));
	if (pfd[0].fd == LISTENER) {
		FUZZ_CHECK(n == 2 && timeout == -1);
		pfd[1].revents = 0;
		return (poll(&pfd[1], 1, 0) == 1 ? 1 : next_daemon());
	}
	if (n == NTOLD)
		check_loop(fz.fz_told, pfd, n, timeout);
	do {
		/* It neither waits for ever nor comes back for nothing. */
		FUZZ_CHECK(fr.fr_polls++ < POLLS_MAX);
		if (n != 1 && fr.fr_in.fi_left != 0)
			act();
		else
			come_to_an_end();
		ready = poll(pfd, n, 0);
		if (ready != 0)
			break;
		if (timeout >= 0 && fr.fr_now_ns < until)
			pass_time(until - fr.fr_now_ns);
		else if (timeout < 0 && fr.fr_in.fi_left == 0)
			pass_time(1000000000ULL);
	} while (timeout < 0);
	if (n == NTOLD)
		memcpy(fz.fz_told, pfd, sizeof(fz.fz_told));
	return (ready);
}

static void
serve(void)
{
	static const struct frz_msg ready = { .fm_op = FRZ_READY };
	int sv[2];

	if (fz.fz_listen) {
		if (setjmp(fz.fz_end) == 0)
			frz_guard_listen(LISTENER, &ready);
		return;
	}
	FUZZ_CHECK(
	    socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sv) == 0);
	fz.fz_daemon = sv[0];
	fz.fz_root = true;
	frz_guard(sv[1]);
	FUZZ_CHECK(fz.fz_daemon == -1 || fz.fz_odd);
	check_thawed();
	close_it(&sv[1]);
	for (uint32_t i = 0; i < FRZ_FS_MAX; i++)
		close_it(&gd0.gd_fd[i]);
	close_it(&gd0.gd_peer);
	close_it(&gd0.gd_worker);
	frz_page_unmap(gd0.gd_page);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	int lowest;

	fake_start(data, size);
	lowest = fuzz_next_fd();
	memset(&gd0, 0, sizeof(gd0));
	memset(&fz, 0, sizeof(fz));
	fz.fz_daemon = fz.fz_ctl = fz.fz_peer = fz.fz_pidfd = -1;
	fz.fz_signal = -1;
	fz.fz_listen = fuzz_u8(&fr.fr_in) % 2 != 0;
	FUZZ_CHECK(frz_page_create(&fz.fz_page_fd, &fz.fz_page) == 0);
	serve();
	close_it(&fz.fz_daemon);
	close_it(&fz.fz_peer);
	close_it(&fz.fz_pidfd);
	close_it(&fz.fz_page_fd);
	close_it(&fz.fz_signal);
	close_it(&gd0.gd_timer);
	close_it(&gd0.gd_pool.fp_done);
	frz_page_unmap(fz.fz_page);
	FUZZ_CHECK(fuzz_next_fd() == lowest);
	return (0);
}
