/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/*
 * The ground under worker and guard in their harnesses: file systems that are
 * variables, a clock that the input moves, a timer that follows it, and a pool
 * whose jobs run when and in what order the input says.  Nothing here or in the
 * harnesses can freeze a file system: frz_fs.c is not linked.
 */

#ifndef _FUZZ_FRZ_H_
#define _FUZZ_FRZ_H_

#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

#include "frz_fs.h"
#include "frz_pool.h"
#include "frz_rcu.h"
#include "fuzz.h"

#define NFAKES	   8
#define NOT_A_FS   (-1)
#define THAW_FAIL  20 /* so often may a thaw fail in one input */
#define SLEEPS_MAX 10000

static struct {
	struct fuzz_in fr_in;
	int fr_fd[NFAKES]; /* what stands for each, for good */
	ino_t fr_ino[NFAKES];
	bool fr_frozen[NFAKES];
	bool fr_foreign[NFAKES]; /* by somebody else */
	unsigned int fr_thaw_fails;
	uint64_t fr_now_ns;
	int fr_timer;
	uint64_t fr_timer_ns;
	struct frz_job fr_jobs[FRZ_JOBS_MAX];
	unsigned int fr_njobs;
	unsigned int fr_polls;
	unsigned int fr_sleeps;
	unsigned int fr_hasty; /* polls in a row that did not wait */
	bool fr_in_job;
} fr;

static void __attribute__((unused)) fake_start(const uint8_t *data, size_t size)
{
	struct stat st;
	int i;

	for (i = 0; i < NFAKES && fr.fr_ino[i] == 0; i++) {
		fr.fr_fd[i] = memfd_create("fake", MFD_CLOEXEC);
		FUZZ_CHECK(fr.fr_fd[i] != -1 && fstat(fr.fr_fd[i], &st) == 0);
		fr.fr_ino[i] = st.st_ino;
	}
	memset(fr.fr_frozen, 0, sizeof(fr.fr_frozen));
	memset(fr.fr_foreign, 0, sizeof(fr.fr_foreign));
	fr.fr_thaw_fails = THAW_FAIL;
	fr.fr_now_ns = 1000000000ULL;
	fr.fr_timer = -1;
	fr.fr_timer_ns = 0;
	fr.fr_njobs = fr.fr_polls = fr.fr_sleeps = fr.fr_hasty = 0;
	fuzz_bound();
	fr.fr_in_job = false;
	fr.fr_in.fi_next = data;
	fr.fr_in.fi_left = size;
}

/* Which file system a descriptor is of; any other file is none. */
static int
fake_of(int fd)
{
	struct stat st;
	int i;

	if (fstat(fd, &st) != 0)
		return (NOT_A_FS);
	for (i = 0; i < NFAKES; i++)
		if (fr.fr_ino[i] == st.st_ino)
			return (i);
	return (NOT_A_FS);
}

/* The calls of the kernel, as LINUX.md section 4 has them. */
static int
fake_freeze(int fd)
{
	int i = fake_of(fd);

	if (i == NOT_A_FS)
		return (EOPNOTSUPP);
	if (fr.fr_frozen[i] || fr.fr_foreign[i])
		return (EBUSY);
	fr.fr_frozen[i] = true;
	return (0);
}

static int
fake_thaw(int fd)
{
	int i = fake_of(fd);

	if (i == NOT_A_FS || (!fr.fr_frozen[i] && !fr.fr_foreign[i]))
		return (EINVAL);
	if (fr.fr_thaw_fails > 0 && fuzz_u8(&fr.fr_in) % 8 == 7) {
		fr.fr_thaw_fails--;
		return (EIO);
	}
	fr.fr_frozen[i] = fr.fr_foreign[i] = false;
	return (0);
}

/* Nor the machine's rcu_expedited: frz_rcu.c is not linked either. */
int
frz_rcu_kept(void)
{
	return (-1);
}

bool
frz_rcu_raise(int fd, struct frz_page *pg)
{
	(void)fd;
	atomic_store(&pg->pg_rcu, 1);
	return (true);
}

void
frz_rcu_lower(int fd, struct frz_page *pg)
{
	(void)fd;
	atomic_store(&pg->pg_rcu, 0);
}

void
frz_rcu_restore(int fd, struct frz_page *pg)
{
	frz_rcu_lower(fd, pg);
}

int
frz_fs_allowed(int fd)
{
	(void)fd;
	return (fuzz_u8(&fr.fr_in) == 255 ? EPERM : 0);
}

int
frz_fs_flush(int fd)
{
	(void)fd;
	return (fuzz_u8(&fr.fr_in) == 255 ? EIO : 0);
}

static uint64_t
fuzz_now_ns(void)
{
	return (fr.fr_now_ns);
}

static void
pass_time(uint64_t ns)
{
	static const uint64_t one = 1;

	fr.fr_now_ns += ns;
	if (fr.fr_timer_ns != 0 && fr.fr_timer_ns <= fr.fr_now_ns) {
		fr.fr_timer_ns = 0;
		FUZZ_CHECK(write(fr.fr_timer, &one, sizeof(one)) == 8);
	}
}

static int __attribute__((unused)) fuzz_timerfd_create(int clock, int flags)
{
	FUZZ_CHECK(clock == CLOCK_BOOTTIME && (flags & TFD_NONBLOCK) != 0);
	fr.fr_timer = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	return (fr.fr_timer);
}

static int __attribute__((unused)) fuzz_timerfd_settime(
    int fd, int flags, const struct itimerspec *its, struct itimerspec *old)
{
	uint64_t n;

	FUZZ_CHECK(fd == fr.fr_timer && flags == TFD_TIMER_ABSTIME && !old);
	if (its->it_value.tv_nsec < 0 || its->it_value.tv_nsec > 999999999 ||
	    its->it_value.tv_sec < 0) {
		errno = EINVAL;
		return (-1);
	}
	(void)!read(fd, &n, sizeof(n));
	fr.fr_timer_ns = (uint64_t)its->it_value.tv_sec * 1000000000ULL +
	    (uint64_t)its->it_value.tv_nsec;
	pass_time(0);
	return (0);
}

static int __attribute__((unused))
fuzz_nanosleep(const struct timespec *ts, struct timespec *left)
{
	FUZZ_CHECK(left == NULL && fr.fr_sleeps++ < SLEEPS_MAX);
	pass_time((uint64_t)ts->tv_nsec);
	return (0);
}

int
frz_pool_init(struct frz_pool *fp)
{
	fp->fp_done = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	return (fp->fp_done == -1 ? errno : 0);
}

void
frz_pool_limit(struct frz_pool *fp, uint32_t most)
{
	fp->fp_most = most;
}

int
frz_pool_grow(struct frz_pool *fp, uint32_t want)
{
	(void)fp;
	(void)want;
	return (fuzz_u8(&fr.fr_in) == 255 ? EAGAIN : 0);
}

void
frz_pool_put(struct frz_pool *fp, frz_job_fn *fn, void *ctx, uint32_t index)
{
	(void)fp;
	FUZZ_CHECK(fr.fr_njobs < FRZ_JOBS_MAX);
	fr.fr_jobs[fr.fr_njobs++] = (struct frz_job) { fn, ctx, index };
}

/* A thread takes a job and carries it out. */
static void __attribute__((unused)) run_job(struct frz_pool *fp, unsigned int i)
{
	static const uint64_t one = 1;
	struct frz_job job;

	if (fr.fr_njobs == 0 || fr.fr_in_job)
		return;
	i %= fr.fr_njobs;
	job = fr.fr_jobs[i];
	fr.fr_jobs[i] = fr.fr_jobs[--fr.fr_njobs];
	fr.fr_in_job = true;
	job.fj_fn(job.fj_ctx, job.fj_index);
	fr.fr_in_job = false;
	(void)!write(fp->fp_done, &one, sizeof(one));
}

/*
 * The loop waits again.  What it was told last time it has taken, or it would
 * be told for ever; and it does not ask without time to wait again and again.
 */
static void __attribute__((unused)) check_loop(
    const struct pollfd *told, const struct pollfd *pfd, nfds_t n, int timeout)
{
	struct pollfd again;
	nfds_t i;

	for (i = 0; i < n; i++) {
		again = pfd[i];
		if (told[i].fd == pfd[i].fd && told[i].revents != 0)
			FUZZ_CHECK((poll)(&again, 1, 0) == 0);
	}
	fr.fr_hasty = timeout == 0 ? fr.fr_hasty + 1 : 0;
	FUZZ_CHECK(fr.fr_hasty < 3);
}

/* Sends what is no message: another length, odd descriptors, any bytes. */
static void
send_junk(int sock)
{
	uint8_t buf[sizeof(struct frz_msg) + 64], control[256];
	struct iovec iov = { buf, 0 };
	struct msghdr mh = { .msg_iov = &iov, .msg_iovlen = 1 };
	struct cmsghdr *ch = (void *)control;
	unsigned int i, n;
	int fds[8];

	iov.iov_len = fuzz_u16(&fr.fr_in) % sizeof(buf);
	if (fuzz_u8(&fr.fr_in) % 2 == 0)
		iov.iov_len = sizeof(struct frz_msg);
	memset(buf, 'x', sizeof(buf));
	fuzz_bytes(&fr.fr_in, buf, 32);
	n = fuzz_u8(&fr.fr_in) % 9;
	for (i = 0; i < n; i++)
		fds[i] = fr.fr_fd[i % NFAKES];
	if (n != 0) {
		memset(control, 0, sizeof(control));
		mh.msg_control = control;
		mh.msg_controllen = CMSG_SPACE(n * sizeof(int));
		ch->cmsg_level = SOL_SOCKET;
		ch->cmsg_type = SCM_RIGHTS;
		ch->cmsg_len = CMSG_LEN(n * sizeof(int));
		memcpy(CMSG_DATA(ch), fds, n * sizeof(int));
	}
	(void)!sendmsg(sock, &mh, MSG_DONTWAIT | MSG_NOSIGNAL);
}

static void
close_it(int *fd)
{
	if (*fd != -1)
		(void)close(*fd);
	*fd = -1;
}

/* From here on the code that is included gets these. */
#define frz_now_ns	     fuzz_now_ns
#define timerfd_create	     fuzz_timerfd_create
#define timerfd_settime	     fuzz_timerfd_settime
#define nanosleep	     fuzz_nanosleep
#define poll		     fuzz_poll
#define fdwait		     fuzz_poll
#define syscall(number, ...) fuzz_syscall(number)

#endif /* _FUZZ_FRZ_H_ */
