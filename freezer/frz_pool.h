/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/*
 * Threads that make the calls which may block.  They are made before the first
 * freeze, with small stacks in locked memory, and never end; each takes the
 * oldest job that waits.  Whoever puts jobs in learns of their end from an
 * eventfd that counts them, and must keep at most FRZ_JOBS_MAX waiting.
 */

#ifndef _FRZ_POOL_H_
#define _FRZ_POOL_H_

#include <pthread.h>

#include "frz_proto.h"

#define FRZ_JOBS_MAX (2 * FRZ_FS_MAX)

typedef void frz_job_fn(void *ctx, uint32_t index);

struct frz_job {
	frz_job_fn *fj_fn;
	void *fj_ctx;
	uint32_t fj_index;
};

struct frz_pool {
	pthread_mutex_t fp_lock;
	pthread_cond_t fp_more;
	struct frz_job fp_jobs[FRZ_JOBS_MAX]; /* a ring */
	uint32_t fp_head;
	uint32_t fp_count;
	uint32_t fp_threads;
	uint32_t fp_most; /* threads, 0: any number */
	int fp_done;	  /* eventfd */
};

/* Returns 0 or an errno. */
int frz_pool_init(struct frz_pool *fp);

/*
 * Makes threads until there are `want', or as many as frz_pool_limit() was told
 * (0: no limit).
 */
void frz_pool_limit(struct frz_pool *fp, uint32_t most);
int frz_pool_grow(struct frz_pool *fp, uint32_t want);

void frz_pool_put(
    struct frz_pool *fp, frz_job_fn *fn, void *ctx, uint32_t index);

#endif /* _FRZ_POOL_H_ */
