/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/*
 * The freezer's worker: orders in any sequence and form, jobs in any order, a
 * guard that thaws or is gone, time, and the daemon's end at any moment, also
 * while a freeze is in the kernel.  Every order is answered once, and when the
 * worker has ended nothing that it froze is frozen, nothing is leaked.
 */

#include "fuzz_frz.h"

static int fuzz_poll(struct pollfd *pfd, nfds_t n, int timeout);

#include "frz_worker.c"

#define POLLS_MAX 20000
#define NTOLD	  3
#define NO_ANSWER (-1)
#define IDLE	  50 /* rounds without a job: it is at rest */

static struct {
	int fz_daemon; /* its end of the control socket, or -1 */
	int fz_guard;  /* the guard's end of the worker's peer, or -1 */
	int fz_page_fd;
	struct frz_page *fz_page;
	uint32_t fz_sent[FRZ_NOPS];
	uint32_t fz_done[FRZ_NOPS];
	uint32_t fz_count; /* OPENs that went well, as the daemon knows */
	uint64_t fz_gen;
	unsigned int fz_idle;
	struct pollfd fz_told[NTOLD];
	int fz_holds; /* descriptors that the guard has not seen yet */
	unsigned int fz_guards;
	int32_t fz_errno;     /* of the last answer */
	unsigned int fz_step; /* of the last transaction */
	bool fz_lost; /* an order may have been lost: the socket was full */
} fz;

static void act(void);

int
frz_fs_open(struct frz_msg *fm, int *fd)
{
	static const int errors[] = { ENOENT, ENOTDIR, ESTALE, EMFILE };
	uint8_t how = fuzz_u8(&fr.fr_in);

	FUZZ_CHECK(memchr(fm->fm_path, '\0', sizeof(fm->fm_path)) != NULL);
	*fd = -1;
	if (how >= 240)
		return (errors[how % 4]);
	*fd = dup(fr.fr_fd[(fm->fm_index + how / 32) % NFAKES]);
	fm->fm_major = fm->fm_minor = 7;
	return (0);
}

/* While the call is out the main thread goes on. */
int
frz_fs_freeze(int fd)
{
	uint8_t how = fuzz_u8(&fr.fr_in);
	uint32_t i;
	int error;

	/* Nothing is frozen for ever. */
	FUZZ_CHECK(atomic_load(&fz.fz_page->pg_worker_lease_ns) != 0);
	for (i = 0; i < wk0.wk_count; i++)
		FUZZ_CHECK(wk0.wk_fd[i] != fd ||
		    (fz.fz_page->pg_slots[i].fs_flags & FRZ_F_SYNC_ONLY) == 0);
	if (how % 2 != 0) {
		act();
		if (!wk0.wk_orphan)
			wk_read(&wk0);
		wk_progress(&wk0);
	}
	if (how / 2 % 8 == 7)
		return (EIO);
	error = fake_freeze(fd);
	if (how % 4 >= 2) {
		act();
		if (!wk0.wk_orphan)
			wk_read(&wk0);
		wk_progress(&wk0);
	}
	return (error);
}

int
frz_fs_thaw(int fd)
{
	return (fake_thaw(fd));
}

/* What the worker says is frozen is, until somebody begins to thaw. */
static void
check_frozen(void)
{
	struct frz_slot *fs = fz.fz_page->pg_slots;
	uint32_t i;

	if (atomic_load(&fz.fz_page->pg_stop) != 0)
		return;
	for (i = 0; i < wk0.wk_count; i++, fs++)
		FUZZ_CHECK((fs->fs_flags & FRZ_F_SYNC_ONLY) != 0 ||
		    atomic_load(&fs->fs_state) == FRZ_FROZEN);
}

static void
guard_reads(void)
{
	struct frz_msg fm;
	struct frz_fds ff;

	while (fz.fz_guard != -1 && frz_recv(fz.fz_guard, &fm, &ff) == 0) {
		FUZZ_CHECK(fm.fm_op == FRZ_HOLD && ff.ff_count == 1);
		frz_fds_close(&ff);
		fz.fz_holds--;
	}
}

/* What is open the guard has been given. */
static void
was_opened(uint32_t i)
{
	uint32_t flags = fz.fz_page->pg_slots[i % FRZ_FS_MAX].fs_flags;

	FUZZ_CHECK(fz.fz_count++ < FRZ_FS_MAX);
	if (wk0.wk_peer != -1 && (flags & FRZ_F_SYNC_ONLY) == 0)
		fz.fz_holds++;
}

static void
take_answers(void)
{
	struct frz_msg fm;
	struct frz_fds ff;

	while (fz.fz_daemon != -1 && frz_recv(fz.fz_daemon, &fm, &ff) == 0) {
		FUZZ_CHECK(ff.ff_count == 0);
		FUZZ_CHECK(fm.fm_op == FRZ_DONE || fm.fm_op == FRZ_EXPIRED);
		if (fm.fm_op == FRZ_EXPIRED)
			continue;
		FUZZ_CHECK(fm.fm_of < FRZ_NOPS);
		FUZZ_CHECK(++fz.fz_done[fm.fm_of] <= fz.fz_sent[fm.fm_of]);
		fz.fz_errno = fm.fm_errno;
		if (fm.fm_of == FRZ_OPEN && fm.fm_errno == 0)
			was_opened(fm.fm_index);
		if (fm.fm_of == FRZ_RELEASE && fm.fm_errno == 0)
			fz.fz_count = 0;
		if (fm.fm_of == FRZ_FREEZE && fm.fm_errno == 0)
			check_frozen();
	}
	/* What it has is what it said that it has. */
	FUZZ_CHECK(
	    fz.fz_lost || fz.fz_daemon == -1 || fz.fz_count == wk0.wk_count);
}

static void
send_order(struct frz_msg *fm, const struct frz_fds *ff)
{
	int error;

	if (fz.fz_daemon == -1)
		return;
	error = frz_send(fz.fz_daemon, fm, ff);
	if (error == 0)
		fz.fz_sent[fm->fm_op]++;
	else
		fz.fz_lost = true;
}

static void
attach(uint8_t how)
{
	struct frz_msg fm = { .fm_op = FRZ_ATTACH };
	struct frz_fds ff = { { fz.fz_page_fd, -1, -1 }, 1 };
	int sv[2] = { -1, -1 };

	if (how % 2 != 0 &&
	    socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sv) == 0)
		ff.ff_fd[ff.ff_count++] = sv[0];
	if (how >= 224)
		ff.ff_fd[0] = fr.fr_fd[0];
	if (how % 16 == 15)
		ff.ff_fd[ff.ff_count++] = fz.fz_page_fd;
	send_order(&fm, &ff);
	close_it(&sv[0]);
	if (sv[1] != -1) {
		close_it(&fz.fz_guard);
		fz.fz_guard = sv[1];
		fz.fz_guards++;
	}
}

/* An order as a daemon gives it, or with something in it replaced. */
static void
order(void)
{
	struct fuzz_in *fi = &fr.fr_in;
	struct frz_msg fm = { 0 };
	uint8_t odd;

	fm.fm_op = FRZ_ATTACH + fuzz_u8(fi) % (FRZ_NOPS - FRZ_ATTACH);
	odd = fuzz_u8(fi);
	if (fm.fm_op == FRZ_ATTACH) {
		attach(odd);
		return;
	}
	fm.fm_gen = fz.fz_gen;
	fm.fm_count = fm.fm_index = fz.fz_count;
	fm.fm_deadline_ns = fr.fr_now_ns + 60000000000ULL;
	fm.fm_level = odd / 16 % 4;
	fm.fm_disk = odd / 64;
	fm.fm_flags = odd % 16 == 15 ? FRZ_F_SYNC_ONLY : 0;
	if (fm.fm_op == FRZ_FLUSH && odd % 2 == 0)
		fm.fm_flags |= FRZ_F_FEW;
	switch (odd % 16) {
	case 1:
		fm.fm_gen = ++fz.fz_gen;
		break;
	case 2:
		fm.fm_gen = fuzz_u8(fi);
		break;
	case 3:
		fm.fm_count = fuzz_u32(fi);
		break;
	case 4:
		fm.fm_index = fuzz_u32(fi);
		break;
	case 5:
		fm.fm_level = fuzz_u32(fi);
		break;
	case 6:
		fm.fm_flags = fuzz_u8(fi);
		break;
	case 7:
		fm.fm_deadline_ns = fuzz_u64(fi);
		break;
	case 8:
		fm.fm_op = fuzz_u8(fi) % FRZ_NOPS;
		break;
	default:
		break;
	}
	if (fm.fm_op != 0)
		send_order(&fm, NULL);
}

/* What the guard does of itself: it thaws what is armed. */
static void
guard_thaws(uint32_t i)
{
	struct frz_slot *fs = &fz.fz_page->pg_slots[i % FRZ_FS_MAX];
	uint32_t state = atomic_load(&fs->fs_state);
	int error;

	if (wk0.wk_page == NULL || i >= wk0.wk_count)
		return;
	atomic_store(&fz.fz_page->pg_stop, 1);
	(void)frz_slot_move(fs, FRZ_OPENED, FRZ_THAWED);
	if (!frz_slot_armed(fs))
		return;
	error = fake_thaw(wk0.wk_fd[i]);
	if (error == EIO || state == FRZ_FREEZING)
		return;
	atomic_store(&fs->fs_state, FRZ_THAWED);
}

/* Somebody else's fsfreeze. */
static void
foreign(uint8_t i)
{
	if (fr.fr_frozen[i % NFAKES] || fr.fr_foreign[i % NFAKES])
		fr.fr_frozen[i % NFAKES] = fr.fr_foreign[i % NFAKES] = false;
	else
		fr.fr_foreign[i % NFAKES] = true;
}

static void
begin_transaction(void)
{
	if (wk0.wk_count == 0 && fr.fr_njobs == 0 && wk0.wk_order == 0 &&
	    !fr.fr_in_job && !wk0.wk_thaw_due)
		frz_page_begin(fz.fz_page, ++fz.fz_gen, NFAKES);
}

/* The first flush leaves the disks room for who writes. */
static void
check_flushes(void)
{
	for (uint32_t i = 0; i < wk0.wk_ndisks && wk0.wk_few; i++)
		FUZZ_CHECK(atomic_load(&wk0.wk_disk_out[i]) <= FRZ_FEW);
}

/* One thing happens. */
static void
act(void)
{
	struct fuzz_in *fi = &fr.fr_in;
	uint8_t what = fuzz_u8(fi);

	switch (what % 12) {
	case 0:
	case 1:
	case 2:
		order();
		break;
	case 3:
		if (fz.fz_daemon != -1)
			send_junk(fz.fz_daemon);
		fz.fz_lost = true;
		break;
	case 4:
		pass_time(fuzz_u16(fi) * 1000000ULL);
		break;
	case 5:
		guard_thaws(fuzz_u8(fi) % NFAKES);
		break;
	case 6:
		if (what / 12 % 4 == 0)
			close_it(&fz.fz_guard);
		guard_reads();
		break;
	case 7:
		foreign(fuzz_u8(fi));
		break;
	case 8:
		begin_transaction();
		break;
	case 9:
		if (what / 12 % 8 == 7)
			close_it(&fz.fz_daemon);
		break;
	default:
		run_job(&wk0.wk_pool, what / 12);
		break;
	}
	take_answers();
}

/*
 * What came before is undone, and nobody does anything wrong any more: a whole
 * transaction works.  False when it is over.
 */
static bool
one_transaction(void)
{
	static const uint32_t ops[] = { FRZ_THAW, FRZ_RELEASE, FRZ_ATTACH,
		FRZ_OPEN, FRZ_OPEN, FRZ_FLUSH, FRZ_FREEZE, FRZ_THAW,
		FRZ_RELEASE };
	unsigned int step = fz.fz_step, done = sizeof(ops) / sizeof(*ops);
	struct frz_msg fm = { 0 };

	if (step != 0 && fz.fz_errno == NO_ANSWER)
		return (true);
	fz.fz_step++;
	FUZZ_CHECK(step < 3 || fz.fz_errno == 0);
	FUZZ_CHECK(step != 7 || (fr.fr_frozen[0] && fr.fr_frozen[1]));
	if (step == 0)
		memset(fr.fr_foreign, 0, sizeof(fr.fr_foreign));
	if (step == done)
		return (false);
	if (step == 2)
		frz_page_begin(fz.fz_page, ++fz.fz_gen, 2);
	fm.fm_op = ops[step];
	fz.fz_errno = NO_ANSWER;
	if (fm.fm_op == FRZ_ATTACH) {
		attach(0);
		return (true);
	}
	fm.fm_gen = fz.fz_gen;
	fm.fm_count = fm.fm_index = fz.fz_count;
	fm.fm_level = fz.fz_count;
	fm.fm_deadline_ns = fr.fr_now_ns + 60000000000ULL;
	send_order(&fm, NULL);
	return (true);
}

/* The input is used up: threads and time do their part, then the daemon. */
static void
come_to_an_end(void)
{
	struct pollfd pfd = { wk0.wk_ctl, POLLIN, 0 };
	uint32_t op;

	run_job(&wk0.wk_pool, 0);
	take_answers();
	if (fr.fr_njobs != 0 || (fuzz_poll)(&pfd, 1, 0) != 0)
		return;
	if (fz.fz_daemon != -1 && ++fz.fz_idle > IDLE) {
		for (op = 0; op < FRZ_NOPS && fz.fz_step == 0; op++)
			FUZZ_CHECK(fz.fz_lost || fz.fz_sent[op] == 0 ||
			    fz.fz_done[op] != 0);
		if (fz.fz_lost || !one_transaction())
			close_it(&fz.fz_daemon);
	}
	pass_time(1000000000ULL);
}

static int
fuzz_poll(struct pollfd *pfd, nfds_t n, int timeout)
{
#undef poll
	int ready;

	if (n == 1)
		return (poll(pfd, n, 0));
	FUZZ_CHECK(timeout == -1 && n == NTOLD);
	check_loop(fz.fz_told, pfd, n, timeout);
	do {
		/* It neither waits for ever nor comes back for nothing. */
		FUZZ_CHECK(fr.fr_polls++ < POLLS_MAX);
		check_flushes();
		if (fr.fr_in.fi_left != 0)
			act();
		else
			come_to_an_end();
		ready = poll(pfd, n, 0);
	} while (ready == 0);
	memcpy(fz.fz_told, pfd, sizeof(fz.fz_told));
	return (ready);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint32_t i;
	int lowest, sv[2];

	fake_start(data, size);
	lowest = fuzz_next_fd();
	memset(&wk0, 0, sizeof(wk0));
	memset(&fz, 0, sizeof(fz));
	fz.fz_guard = -1;
	FUZZ_CHECK(frz_page_create(&fz.fz_page_fd, &fz.fz_page) == 0);
	FUZZ_CHECK(
	    socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sv) == 0);
	fz.fz_daemon = sv[0];
	frz_worker(sv[1]);
	for (i = 0; i < NFAKES; i++)
		FUZZ_CHECK(!fr.fr_frozen[i]);
	guard_reads();
	FUZZ_CHECK(fz.fz_guard == -1 || fz.fz_lost || fz.fz_guards != 1 ||
	    fz.fz_holds <= 0);
	/* What the end of its process would close. */
	for (i = 0; i < wk0.wk_count; i++)
		(void)close(wk0.wk_fd[i]);
	close_it(&sv[1]);
	close_it(&fz.fz_daemon);
	close_it(&fz.fz_guard);
	close_it(&fz.fz_page_fd);
	close_it(&wk0.wk_peer);
	close_it(&wk0.wk_timer);
	close_it(&wk0.wk_pool.fp_done);
	frz_page_unmap(wk0.wk_page);
	frz_page_unmap(fz.fz_page);
	FUZZ_CHECK(fuzz_next_fd() == lowest);
	return (0);
}
