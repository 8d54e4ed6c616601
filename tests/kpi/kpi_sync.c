/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/*
 * The kernel's stand-in: mutexes, time, callouts, taskqueues, memory, the log.
 *
 * Locks of the stand-in's own are taken after the module's, never before.
 */

#include <stdarg.h>
#include <time.h>

#include "kpi_test.h"

#define KPI_LOG_LEN 65536
#define KPI_NTQ	    4

struct taskqueue {
	pthread_mutex_t tq_lock;
	pthread_cond_t tq_cond;
	pthread_t tq_thread;
	STAILQ_HEAD(kpi_tasks, task) tq_tasks;
	struct task *tq_running;
	bool tq_ends;
	bool tq_started;
};

static _Thread_local int kpi_held; /* mutexes of this thread */

static pthread_mutex_t kpi_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t kpi_cond = PTHREAD_COND_INITIALIZER;
static LIST_HEAD(kpi_callout_list,
    callout) kpi_callouts = LIST_HEAD_INITIALIZER(kpi_callouts);
static uint64_t kpi_now_ns = 1000000000;
static char kpi_log_text[KPI_LOG_LEN];
static size_t kpi_log_len;
static size_t kpi_bytes;
static struct taskqueue *kpi_tqs[KPI_NTQ];
static int kpi_tq_error;

void
kpi_panic(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	fprintf(stderr, "panic: ");
	vfprintf(stderr, fmt, ap);
	fprintf(stderr, "\n");
	va_end(ap);
	abort();
}

static void
kpi_vlog(const char *fmt, va_list ap)
{
	int n;

	pthread_mutex_lock(&kpi_lock);
	if (kpi_log_len > KPI_LOG_LEN / 2)
		kpi_log_len = 0;
	n = vsnprintf(kpi_log_text + kpi_log_len, KPI_LOG_LEN / 2, fmt, ap);
	if (n > 0)
		kpi_log_len += (size_t)n;
	pthread_mutex_unlock(&kpi_lock);
}

void
kpi_printf(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	kpi_vlog(fmt, ap);
	va_end(ap);
}

void
kpi_log(int level __unused, const char *fmt, ...)
{
	va_list ap;

	/* A console takes its time. */
	kpi_may_sleep("log");
	va_start(ap, fmt);
	kpi_vlog(fmt, ap);
	va_end(ap);
}

bool
kpi_log_has(const char *text)
{
	bool found;

	pthread_mutex_lock(&kpi_lock);
	kpi_log_text[kpi_log_len] = '\0';
	found = strstr(kpi_log_text, text) != NULL;
	pthread_mutex_unlock(&kpi_lock);
	return (found);
}

void
kpi_log_clear(void)
{
	pthread_mutex_lock(&kpi_lock);
	kpi_log_len = 0;
	pthread_mutex_unlock(&kpi_lock);
}

size_t
kpi_strlcpy(char *to, const char *from, size_t cap)
{
	size_t len = strlen(from);

	if (cap != 0) {
		memcpy(to, from, len < cap ? len : cap - 1);
		to[len < cap ? len : cap - 1] = '\0';
	}
	return (len);
}

/* The size is kept in front of what is given out. */
void *
kpi_malloc(size_t len, struct malloc_type *type __unused, int flags)
{
	size_t *p;

	if (flags & M_WAITOK)
		kpi_may_sleep("malloc");
	p = (calloc)(1, len + 2 * sizeof(*p));
	if (p == NULL)
		kpi_panic("no memory");
	p[0] = len;
	__atomic_fetch_add(&kpi_bytes, len, __ATOMIC_RELAXED);
	return (p + 2);
}

void
kpi_free(void *p, struct malloc_type *type __unused)
{
	size_t *head = p;

	if (p == NULL)
		return;
	__atomic_fetch_sub(&kpi_bytes, head[-2], __ATOMIC_RELAXED);
	(free)(head - 2);
}

size_t
kpi_malloced(void)
{
	return (__atomic_load_n(&kpi_bytes, __ATOMIC_RELAXED));
}

/*
 * Mutexes.
 */

void
kpi_may_sleep(const char *what)
{
	if (kpi_held != 0)
		kpi_panic("%s with a mutex held", what);
}

void
mtx_init(struct mtx *m, const char *name __unused, const char *type __unused,
    int opts __unused)
{
	pthread_mutex_init(&m->m_lock, NULL);
	m->m_owned = false;
}

static bool
kpi_mtx_owned(const struct mtx *m)
{
	return (m->m_owned && pthread_equal(m->m_owner, pthread_self()));
}

void
mtx_lock(struct mtx *m)
{
	if (kpi_held != 0)
		kpi_panic("a second mutex is taken");
	pthread_mutex_lock(&m->m_lock);
	m->m_owner = pthread_self();
	m->m_owned = true;
	kpi_held++;
}

void
mtx_unlock(struct mtx *m)
{
	mtx_assert(m, MA_OWNED);
	m->m_owned = false;
	kpi_held--;
	pthread_mutex_unlock(&m->m_lock);
}

void
mtx_assert(const struct mtx *m, int what __unused)
{
	if (kpi_held == 0 || !kpi_mtx_owned(m))
		kpi_panic("mutex not owned");
}

/*
 * Time and callouts.
 */

sbintime_t
nstosbt(int64_t ns)
{
	const int64_t s = 1000000000;

	return ((ns / s << 32) + ((ns % s << 32) / s));
}

int64_t
sbttons(sbintime_t sbt)
{
	return ((sbt >> 32) * 1000000000 +
	    (int64_t)((uint64_t)(uint32_t)sbt * 1000000000 >> 32));
}

sbintime_t
sbinuptime(void)
{
	sbintime_t now;

	pthread_mutex_lock(&kpi_lock);
	now = nstosbt((int64_t)kpi_now_ns);
	pthread_mutex_unlock(&kpi_lock);
	return (now);
}

int
pause_sbt(const char *wmesg __unused, sbintime_t sbt, sbintime_t pr __unused,
    int flags __unused)
{
	struct timespec ts = { 0 };

	kpi_may_sleep("pause");
	ts.tv_nsec = (long)sbttons(sbt) / 10;
	nanosleep(&ts, NULL);
	return (0);
}

void
callout_init_mtx(struct callout *c, struct mtx *m, int flags __unused)
{
	memset(c, 0, sizeof(*c));
	c->c_mtx = m;
}

int
callout_reset_sbt(struct callout *c, sbintime_t sbt, sbintime_t pr __unused,
    callout_func_t *func, void *arg, int flags __unused)
{
	mtx_assert(c->c_mtx, MA_OWNED);
	pthread_mutex_lock(&kpi_lock);
	if (!c->c_pending)
		LIST_INSERT_HEAD(&kpi_callouts, c, c_link);
	c->c_pending = true;
	c->c_time = nstosbt((int64_t)kpi_now_ns) + sbt;
	c->c_func = func;
	c->c_arg = arg;
	pthread_mutex_unlock(&kpi_lock);
	return (0);
}

static void
kpi_callout_remove(struct callout *c)
{
	if (c->c_pending)
		LIST_REMOVE(c, c_link);
	c->c_pending = false;
}

int
callout_stop(struct callout *c)
{
	mtx_assert(c->c_mtx, MA_OWNED);
	pthread_mutex_lock(&kpi_lock);
	kpi_callout_remove(c);
	pthread_mutex_unlock(&kpi_lock);
	return (0);
}

int
callout_drain(struct callout *c)
{
	kpi_may_sleep("callout_drain");
	pthread_mutex_lock(&kpi_lock);
	kpi_callout_remove(c);
	while (c->c_running)
		pthread_cond_wait(&kpi_cond, &kpi_lock);
	pthread_mutex_unlock(&kpi_lock);
	return (0);
}

static struct callout *
kpi_callout_due(sbintime_t until)
{
	struct callout *c, *first = NULL;

	LIST_FOREACH(c, &kpi_callouts, c_link)
		if (c->c_time <= until &&
		    (first == NULL || c->c_time < first->c_time))
			first = c;
	return (first);
}

/*
 * As the kernel's: the callout is pending until its mutex is taken, so that
 * callout_stop() under it wins, and running until it was given back.
 */
static void
kpi_callout_run(struct callout *c)
{
	bool due;

	c->c_running = true;
	if (kpi_now_ns < (uint64_t)sbttons(c->c_time) + 1)
		kpi_now_ns = (uint64_t)sbttons(c->c_time) + 1;
	pthread_mutex_unlock(&kpi_lock);
	mtx_lock(c->c_mtx);
	pthread_mutex_lock(&kpi_lock);
	due = c->c_pending && c->c_time <= nstosbt((int64_t)kpi_now_ns);
	if (due)
		kpi_callout_remove(c);
	pthread_mutex_unlock(&kpi_lock);
	if (due)
		c->c_func(c->c_arg);
	mtx_unlock(c->c_mtx);
	pthread_mutex_lock(&kpi_lock);
	c->c_running = false;
	pthread_cond_broadcast(&kpi_cond);
}

void
kpi_advance_ms(uint64_t ms)
{
	struct callout *c;
	uint64_t until;

	pthread_mutex_lock(&kpi_lock);
	until = kpi_now_ns + ms * 1000000;
	while ((c = kpi_callout_due(nstosbt((int64_t)until))) != NULL)
		kpi_callout_run(c);
	if (kpi_now_ns < until)
		kpi_now_ns = until;
	pthread_mutex_unlock(&kpi_lock);
}

/*
 * Taskqueues: one thread each.
 */

static void *
kpi_tq_thread(void *arg)
{
	struct taskqueue *tq = arg;
	struct task *ta;
	int pending;

	pthread_mutex_lock(&tq->tq_lock);
	for (;;) {
		ta = STAILQ_FIRST(&tq->tq_tasks);
		if (ta == NULL && tq->tq_ends)
			break;
		if (ta == NULL) {
			pthread_cond_wait(&tq->tq_cond, &tq->tq_lock);
			continue;
		}
		STAILQ_REMOVE_HEAD(&tq->tq_tasks, ta_link);
		pending = ta->ta_pending;
		ta->ta_pending = 0;
		tq->tq_running = ta;
		pthread_mutex_unlock(&tq->tq_lock);
		ta->ta_func(ta->ta_context, pending);
		pthread_mutex_lock(&tq->tq_lock);
		tq->tq_running = NULL;
		pthread_cond_broadcast(&tq->tq_cond);
	}
	pthread_mutex_unlock(&tq->tq_lock);
	return (NULL);
}

void
taskqueue_thread_enqueue(void *context __unused)
{
}

struct taskqueue *
taskqueue_create(const char *name __unused, int mflags __unused,
    void (*enqueue)(void *) __unused, void *context __unused)
{
	struct taskqueue *tq;
	int i;

	kpi_may_sleep("taskqueue_create");
	tq = (calloc)(1, sizeof(*tq));
	if (tq == NULL)
		kpi_panic("no memory");
	pthread_mutex_init(&tq->tq_lock, NULL);
	pthread_cond_init(&tq->tq_cond, NULL);
	STAILQ_INIT(&tq->tq_tasks);
	pthread_mutex_lock(&kpi_lock);
	for (i = 0; kpi_tqs[i] != NULL; i++)
		if (i == KPI_NTQ - 1)
			kpi_panic("too many taskqueues");
	kpi_tqs[i] = tq;
	pthread_mutex_unlock(&kpi_lock);
	return (tq);
}

void
kpi_taskqueue_fail(int error)
{
	kpi_tq_error = error;
}

int
taskqueue_start_threads(struct taskqueue **tqp, int n __unused,
    int pri __unused, const char *name __unused)
{
	if (kpi_tq_error != 0)
		return (kpi_tq_error);
	(*tqp)->tq_started = true;
	return (pthread_create(&(*tqp)->tq_thread, NULL, kpi_tq_thread, *tqp));
}

int
taskqueue_enqueue(struct taskqueue *tq, struct task *ta)
{
	pthread_mutex_lock(&tq->tq_lock);
	if (ta->ta_pending++ == 0)
		STAILQ_INSERT_TAIL(&tq->tq_tasks, ta, ta_link);
	pthread_cond_broadcast(&tq->tq_cond);
	pthread_mutex_unlock(&tq->tq_lock);
	return (0);
}

void
taskqueue_drain(struct taskqueue *tq, struct task *ta)
{
	kpi_may_sleep("taskqueue_drain");
	pthread_mutex_lock(&tq->tq_lock);
	while (ta->ta_pending != 0 || tq->tq_running == ta)
		pthread_cond_wait(&tq->tq_cond, &tq->tq_lock);
	pthread_mutex_unlock(&tq->tq_lock);
}

void
taskqueue_free(struct taskqueue *tq)
{
	int i;

	kpi_may_sleep("taskqueue_free");
	pthread_mutex_lock(&kpi_lock);
	for (i = 0; i < KPI_NTQ; i++)
		if (kpi_tqs[i] == tq)
			kpi_tqs[i] = NULL;
	pthread_mutex_unlock(&kpi_lock);
	pthread_mutex_lock(&tq->tq_lock);
	tq->tq_ends = true;
	pthread_cond_broadcast(&tq->tq_cond);
	pthread_mutex_unlock(&tq->tq_lock);
	if (tq->tq_started)
		pthread_join(tq->tq_thread, NULL);
	pthread_mutex_destroy(&tq->tq_lock);
	pthread_cond_destroy(&tq->tq_cond);
	(free)(tq);
}

/* Until every queue is empty and idle. */
void
kpi_taskqueues_settle(void)
{
	struct taskqueue *tq;
	int i;

	for (i = 0; i < KPI_NTQ; i++) {
		pthread_mutex_lock(&kpi_lock);
		tq = kpi_tqs[i];
		pthread_mutex_unlock(&kpi_lock);
		if (tq == NULL)
			continue;
		pthread_mutex_lock(&tq->tq_lock);
		while (!STAILQ_EMPTY(&tq->tq_tasks) || tq->tq_running != NULL)
			pthread_cond_wait(&tq->tq_cond, &tq->tq_lock);
		pthread_mutex_unlock(&tq->tq_lock);
	}
}
