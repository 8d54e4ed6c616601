/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/*
 * The freezer's threads.  The lock is held for the queue alone, never during a
 * job: a thread that hangs in the kernel blocks no other.
 */

#include "frz_pool.h"

#include <sys/eventfd.h>
#include <sys/mman.h>

#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <unistd.h>

#include "frz_msg.h"

/* What a job needs, the system's minimum included; sanitizers need more. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define FRZ_STACK_SIZE (1024 * 1024)
#else
#define FRZ_STACK_SIZE 16384
#endif

int
frz_pool_init(struct frz_pool *fp)
{
	fp->fp_done = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (fp->fp_done == -1)
		return (errno);
	pthread_mutex_init(&fp->fp_lock, NULL);
	pthread_cond_init(&fp->fp_more, NULL);
	return (0);
}

static void *
frz_pool_thread(void *arg)
{
	struct frz_pool *fp = arg;
	struct frz_job job;
	uint64_t one = 1;

	for (;;) {
		pthread_mutex_lock(&fp->fp_lock);
		while (fp->fp_count == 0)
			pthread_cond_wait(&fp->fp_more, &fp->fp_lock);
		job = fp->fp_jobs[fp->fp_head];
		fp->fp_head = (fp->fp_head + 1) % FRZ_JOBS_MAX;
		fp->fp_count--;
		pthread_mutex_unlock(&fp->fp_lock);
		job.fj_fn(job.fj_ctx, job.fj_index);
		(void)!write(fp->fp_done, &one, sizeof(one));
	}
	return (NULL);
}

/* A stack with an unreadable page below it. */
struct frz_stack {
	char *fk_base;
	size_t fk_page;
	size_t fk_size;
};

static int
frz_stack_map(struct frz_stack *fk)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	size_t size = (size_t)sysconf(_SC_THREAD_STACK_MIN);

	if (size < FRZ_STACK_SIZE)
		size = FRZ_STACK_SIZE;
	fk->fk_page = page;
	fk->fk_size = (size + page - 1) / page * page;
	fk->fk_base = mmap(NULL, page + fk->fk_size, PROT_NONE,
	    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	return (fk->fk_base == MAP_FAILED ? errno : 0);
}

static int
frz_pool_one(struct frz_pool *fp)
{
	struct frz_stack fk;
	pthread_attr_t attr;
	pthread_t thread;
	sigset_t all, old;
	int error;

	error = frz_stack_map(&fk);
	if (error != 0)
		return (error);
	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	if (mprotect(fk.fk_base + fk.fk_page, fk.fk_size,
		PROT_READ | PROT_WRITE) == -1)
		error = errno;
	else
		error = pthread_attr_setstack(
		    &attr, fk.fk_base + fk.fk_page, fk.fk_size);
	if (error == 0) {
		sigfillset(&all);
		pthread_sigmask(SIG_BLOCK, &all, &old);
		error = pthread_create(&thread, &attr, frz_pool_thread, fp);
		pthread_sigmask(SIG_SETMASK, &old, NULL);
	}
	pthread_attr_destroy(&attr);
	if (error != 0)
		munmap(fk.fk_base, fk.fk_page + fk.fk_size);
	return (error);
}

void
frz_pool_limit(struct frz_pool *fp, uint32_t most)
{
	fp->fp_most = most;
}

int
frz_pool_grow(struct frz_pool *fp, uint32_t want)
{
	int error;

	if (fp->fp_most != 0 && want > fp->fp_most)
		want = fp->fp_most;
	while (fp->fp_threads < want) {
		error = frz_pool_one(fp);
		if (error != 0)
			return (error);
		fp->fp_threads++;
	}
	return (0);
}

void
frz_pool_put(struct frz_pool *fp, frz_job_fn *fn, void *ctx, uint32_t index)
{
	struct frz_job *fj;

	pthread_mutex_lock(&fp->fp_lock);
	assert(fp->fp_count < FRZ_JOBS_MAX);
	fj = &fp->fp_jobs[(fp->fp_head + fp->fp_count) % FRZ_JOBS_MAX];
	fj->fj_fn = fn;
	fj->fj_ctx = ctx;
	fj->fj_index = index;
	fp->fp_count++;
	pthread_cond_signal(&fp->fp_more);
	pthread_mutex_unlock(&fp->fp_lock);
}
