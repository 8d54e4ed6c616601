/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/*
 * The functions of libhv_vss(3): carries out what lib_flow.c decides, on the
 * device (lib_dev.h) and in the program's callbacks.
 *
 * Nothing is locked: everything but hv_vss_answer() and hv_vss_stop() belongs
 * to the one thread that dispatches, and these two hand it a record through a
 * pipe.
 */

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "hv_vss.h"
#include "lib_dev.h"
#include "lib_flow.h"
#include "lib_wait.h"

/* How long to wait before the device is opened again: twice as long each time
 * until it has stayed open for a while. */
#define RETRY_MIN_MS 100
#define RETRY_MAX_MS 1000
#define STAYED_MS    5000

/* All that THAW has. */
#define THAW_MS 10000

/* What another thread says; whole records, since they are small. */
struct mail {
	uint64_t ml_id; /* 0: only wakes */
	int ml_answer;
	char ml_reason[HV_VSS_REASON_MAX];
};
_Static_assert(sizeof(struct mail) <= _POSIX_PIPE_BUF, "records are whole");

struct hv_vss {
	pid_t hv_pid; /* who opened it */
	struct hv_vss_hello hv_hello;
	struct hv_vss_ops hv_ops;
	char *hv_device;
	void *hv_ctx;

	struct lib_dev hv_dev;
	struct lib_wait hv_wait;
	struct flow hv_flow;
	int hv_mail[2];
	atomic_int hv_stop;
	bool hv_busy; /* a callback is running */
	char hv_reason[HV_VSS_REASON_MAX];

	int hv_link;		/* why it is not open; 0: it is */
	int hv_link_said;	/* as the program knows it; -1: nothing yet */
	uint64_t hv_opened_ms;	/* when it was */
	uint64_t hv_retry_ms;	/* when to open it; LIB_NEVER: it is open */
	uint64_t hv_backoff_ms; /* after the next failure */

	uint64_t hv_hold_ms; /* the longest hold that this quiesce may have */
	uint64_t hv_hold_end_ms;
};

/* 0 where the call may go on. */
static int
usable(const struct hv_vss *v)
{
	if (v->hv_pid != getpid())
		return (EPERM);
	return (v->hv_busy ? EBUSY : 0);
}

static void
gone(struct hv_vss *v, int error)
{
	uint64_t now = lib_now_ms();

	if (v->hv_dev.ld_fd >= 0) {
		lib_wait_remove(&v->hv_wait, v->hv_dev.ld_fd);
		lib_dev_close(&v->hv_dev);
		if (now - v->hv_opened_ms >= STAYED_MS)
			v->hv_backoff_ms = RETRY_MIN_MS;
	}
	flow_gone(&v->hv_flow);
	v->hv_link = error;
	v->hv_retry_ms = now + v->hv_backoff_ms;
	v->hv_backoff_ms *= 2;
	if (v->hv_backoff_ms > RETRY_MAX_MS)
		v->hv_backoff_ms = RETRY_MAX_MS;
}

/* READs all that waits. */
static void
drain(struct hv_vss *v)
{
	struct flow_note fn;
	int error;

	while (v->hv_dev.ld_fd >= 0) {
		error = lib_dev_read(&v->hv_dev, &fn);
		if (error != 0)
			gone(v, error);
		else if (fn.fn_op == HV_VSS_NONE)
			return;
		else
			flow_notify(&v->hv_flow, fn.fn_op, fn.fn_id);
	}
}

static void
join(struct hv_vss *v)
{
	int error;

	error = lib_dev_open(&v->hv_dev, v->hv_device, &v->hv_hello);
	if (error == 0) {
		v->hv_opened_ms = lib_now_ms();
		/* What cannot be waited for is no device: not there yet. */
		if (lib_wait_add(&v->hv_wait, v->hv_dev.ld_fd) != 0)
			error = ENODEV;
	}
	if (error != 0) {
		gone(v, error);
		return;
	}
	v->hv_link = 0;
	v->hv_retry_ms = LIB_NEVER;
	drain(v);
}

static void
say_link(struct hv_vss *v)
{
	if (v->hv_link == v->hv_link_said)
		return;
	v->hv_link_said = v->hv_link;
	if (v->hv_ops.vo_link == NULL)
		return;
	v->hv_busy = true;
	v->hv_ops.vo_link(v, v->hv_link, v->hv_ctx);
	v->hv_busy = false;
}

/*
 * The times of a request.  Nothing is asked of the driver before a resume: one
 * that is stopped must not hold it up.
 */
static void
times(struct hv_vss *v, uint32_t op, struct hv_vss_request *vr)
{
	uint64_t max = v->hv_ops.vo_hold_max_ms;
	struct lib_times lt;

	vr->vr_left_ms = v->hv_flow.fl_left ? 0 : THAW_MS;
	vr->vr_hold_ms = 0;
	if (op == HV_VSS_THAW)
		return;
	lib_dev_times(&v->hv_dev, &lt);
	vr->vr_left_ms = lt.lt_left;
	vr->vr_hold_ms = lt.lt_hold;
	/* What FREEZE still takes after this one's part is not known. */
	v->hv_hold_ms = lt.lt_hold + lt.lt_freeze;
	if (max != 0 && max < v->hv_hold_ms)
		v->hv_hold_ms = max;
	if (max != 0 && max < vr->vr_hold_ms)
		vr->vr_hold_ms = max;
	/* It begins with the answer. */
	v->hv_hold_end_ms = LIB_NEVER;
}

static int
call_back(struct hv_vss *v, uint32_t op, uint64_t ticket)
{
	struct hv_vss_request vr = { .vr_id = ticket };
	const struct hv_vss_ops *vo = &v->hv_ops;
	int (*fn)(struct hv_vss *, const struct hv_vss_request *, void *);
	int answer;

	fn = op == HV_VSS_CHECK	 ? vo->vo_check :
	    op == HV_VSS_PREPARE ? vo->vo_prepare :
	    op == HV_VSS_FREEZE	 ? vo->vo_quiesce :
				   vo->vo_resume;
	v->hv_reason[0] = '\0';
	if (fn == NULL)
		return (HV_VSS_YES);
	times(v, op, &vr);
	v->hv_busy = true;
	answer = fn(v, &vr, v->hv_ctx);
	v->hv_busy = false;
	return (answer);
}

static void
write_answer(struct hv_vss *v, const struct flow_act *fa)
{
	bool quiesced = fa->fa_op == HV_VSS_FREEZE &&
	    fa->fa_status == VSS_SUCCESS;
	int error;

	if (v->hv_dev.ld_fd < 0)
		return;
	if (quiesced)
		v->hv_hold_end_ms = lib_now_ms() + v->hv_hold_ms;
	error = lib_dev_write(&v->hv_dev, fa);
	if (error == EINVAL && quiesced)
		flow_rejected(&v->hv_flow);
	else if (error != 0 && error != EINVAL)
		gone(v, error);
}

/* Does all that is due now. */
static void
perform(struct hv_vss *v)
{
	struct flow *fl = &v->hv_flow;
	struct flow_act fa;
	int answer;

	for (;;) {
		flow_next(fl, &fa);
		switch (fa.fa_do) {
		case FLOW_NOTHING:
			return;
		case FLOW_CALL:
			answer = call_back(v, fa.fa_op, fa.fa_ticket);
			/* Who leaves waits for no answer. */
			if (answer == HV_VSS_LATER && fl->fl_left)
				answer = HV_VSS_YES;
			if (answer != HV_VSS_LATER)
				flow_answer(fl, fa.fa_ticket,
				    answer == HV_VSS_YES, v->hv_reason);
			break;
		case FLOW_CANCEL:
			if (v->hv_ops.vo_cancel == NULL)
				break;
			v->hv_busy = true;
			v->hv_ops.vo_cancel(v, fa.fa_ticket, v->hv_ctx);
			v->hv_busy = false;
			break;
		case FLOW_WRITE:
			write_answer(v, &fa);
			break;
		}
	}
}

static void
read_mail(struct hv_vss *v)
{
	struct mail ml;

	while (read(v->hv_mail[0], &ml, sizeof(ml)) == (ssize_t)sizeof(ml)) {
		ml.ml_reason[sizeof(ml.ml_reason) - 1] = '\0';
		if (ml.ml_id != 0)
			flow_answer(&v->hv_flow, ml.ml_id,
			    ml.ml_answer == HV_VSS_YES, ml.ml_reason);
	}
}

/* Handing over a record never waits; a signal handler's errno stays. */
static int
send_mail(struct hv_vss *v, const struct mail *ml)
{
	int error, saved = errno;

	error = write(v->hv_mail[1], ml, sizeof(*ml)) < 0 ? errno : 0;
	errno = saved;
	return (error);
}

static void
set_timer(struct hv_vss *v)
{
	uint64_t when = v->hv_retry_ms;

	if (v->hv_flow.fl_held && v->hv_hold_end_ms < when)
		when = v->hv_hold_end_ms;
	if (v->hv_link != v->hv_link_said)
		when = 0;
	lib_wait_until(&v->hv_wait, when);
}

int
hv_vss_dispatch(struct hv_vss *v)
{
	unsigned what;
	int error;

	error = usable(v);
	if (error != 0)
		return (error);
	what = lib_wait_take(&v->hv_wait);
	if ((what & LIB_WAIT_PIPE) != 0)
		read_mail(v);
	if (v->hv_flow.fl_held && lib_now_ms() >= v->hv_hold_end_ms) {
		/* Before the driver is asked anything: it may be stopped. */
		flow_expired(
		    &v->hv_flow, "it went on when the longest hold had passed");
		perform(v);
	}
	if ((what & LIB_WAIT_GONE) != 0)
		gone(v, ENXIO);
	else if ((what & LIB_WAIT_DEVICE) != 0)
		drain(v);
	perform(v);
	if (v->hv_dev.ld_fd < 0 && lib_now_ms() >= v->hv_retry_ms)
		join(v);
	say_link(v);
	perform(v);
	set_timer(v);
	return (0);
}

int
hv_vss_run(struct hv_vss *v)
{
	struct pollfd pfd = { .fd = v->hv_wait.lw_fd, .events = POLLIN };
	int error;

	error = usable(v);
	while (error == 0 && atomic_exchange(&v->hv_stop, 0) == 0) {
		if (poll(&pfd, 1, -1) < 0 && errno != EINTR)
			return (errno);
		error = hv_vss_dispatch(v);
	}
	return (error);
}

int
hv_vss_stop(struct hv_vss *v)
{
	static const struct mail wake;

	if (v->hv_pid != getpid())
		return (EPERM);
	atomic_store(&v->hv_stop, 1);
	/* Where the pipe is full, the thread is awake already. */
	(void)send_mail(v, &wake);
	return (0);
}

int
hv_vss_fd(const struct hv_vss *v)
{
	return (v->hv_wait.lw_fd);
}

int
hv_vss_extended(const struct hv_vss *v)
{
	return (v->hv_dev.ld_fd >= 0 && v->hv_dev.ld_ext);
}

int
hv_vss_answer(struct hv_vss *v, uint64_t id, int answer, const char *reason)
{
	struct mail ml;
	size_t len;

	if (v->hv_pid != getpid())
		return (EPERM);
	if (id == 0 || answer == HV_VSS_LATER)
		return (EINVAL);
	memset(&ml, 0, sizeof(ml));
	ml.ml_id = id;
	ml.ml_answer = answer;
	if (reason != NULL) {
		len = strlen(reason);
		if (len >= sizeof(ml.ml_reason))
			len = sizeof(ml.ml_reason) - 1;
		memcpy(ml.ml_reason, reason, len);
	}
	return (send_mail(v, &ml));
}

int
hv_vss_not_now(struct hv_vss *v, const char *reason)
{
	size_t len;

	if (v->hv_pid != getpid() || !v->hv_busy || reason == NULL)
		return (HV_VSS_NO);
	len = strlen(reason);
	if (len >= sizeof(v->hv_reason))
		len = sizeof(v->hv_reason) - 1;
	memcpy(v->hv_reason, reason, len);
	v->hv_reason[len] = '\0';
	return (HV_VSS_NO);
}

static void
release(struct hv_vss *v, bool in_child)
{
	lib_dev_close(&v->hv_dev);
	lib_wait_close(&v->hv_wait, in_child);
	close(v->hv_mail[0]);
	close(v->hv_mail[1]);
	free(v->hv_device);
	free(v);
}

/*
 * Leaves a hold: resumes first, then has the driver know, also if its THAW has
 * come meanwhile.
 */
static void
leave_hold(struct hv_vss *v)
{
	struct flow_act fa = { .fa_do = FLOW_WRITE,
		.fa_op = HV_VSS_FREEZE,
		.fa_id = v->hv_flow.fl_hold_id,
		.fa_status = VSS_FAIL,
		.fa_reason = "it left while at rest" };

	flow_expired(&v->hv_flow, fa.fa_reason);
	perform(v);
	write_answer(v, &fa);
	drain(v);
	perform(v);
}

/* Cancels what is under way, and goes on whether or not that was answered. */
static void
leave(struct hv_vss *v)
{
	read_mail(v);
	flow_leave(&v->hv_flow);
	perform(v);
	/* The work may have ended in vo_cancel. */
	read_mail(v);
	perform(v);
	if (v->hv_flow.fl_held)
		leave_hold(v);
	if (flow_end(&v->hv_flow))
		(void)call_back(v, HV_VSS_THAW, v->hv_flow.fl_ticket + 1);
}

int
hv_vss_close(struct hv_vss *v)
{
	bool in_child = v->hv_pid != getpid();

	if (!in_child) {
		if (v->hv_busy)
			return (EBUSY);
		leave(v);
	}
	release(v, in_child);
	return (0);
}

/* HELLO from name and level; 0 or EINVAL. */
static int
set_hello(struct hv_vss_hello *hh, const char *name, int level)
{
	size_t len = strlen(name);

	if (len == 0 || len >= sizeof(hh->hh_name) || level < 0 ||
	    level > HV_VSS_LEVEL_MAX)
		return (EINVAL);
	for (size_t i = 0; i < len; i++) {
		if (name[i] < ' ' || name[i] > '~')
			return (EINVAL);
	}
	memcpy(hh->hh_name, name, len);
	hh->hh_level = (uint32_t)level;
	return (0);
}

/* What no waiting mends, on the first try. */
static bool
fatal(int error)
{
	return (error == EACCES || error == EPERM || error == EISDIR ||
	    error == ENOTDIR || error == ENAMETOOLONG || error == ELOOP);
}

static int
make_pipes(struct hv_vss *v)
{
	int error;

	if (pipe2(v->hv_mail, O_CLOEXEC | O_NONBLOCK) != 0)
		return (errno);
	error = lib_wait_open(&v->hv_wait, v->hv_mail[0]);
	if (error != 0) {
		close(v->hv_mail[0]);
		close(v->hv_mail[1]);
	}
	return (error);
}

int
hv_vss_open(struct hv_vss **vp, const char *name, int level,
    const struct hv_vss_ops *ops, void *ctx)
{
	struct hv_vss *v;
	int error;

	*vp = NULL;
	if (ops->vo_quiesce == NULL || ops->vo_resume == NULL)
		return (EINVAL);
	v = calloc(1, sizeof(*v));
	if (v == NULL)
		return (ENOMEM);
	v->hv_pid = getpid();
	v->hv_ops = *ops;
	v->hv_ctx = ctx;
	v->hv_dev.ld_fd = -1;
	v->hv_link_said = -1;
	v->hv_backoff_ms = RETRY_MIN_MS;
	error = set_hello(&v->hv_hello, name, level);
	if (error != 0)
		goto out;
	if (ops->vo_prepare != NULL)
		v->hv_hello.hh_flags = HV_VSS_WANT_PREPARE;
	v->hv_device = strdup(ops->vo_device != NULL ?
		ops->vo_device :
		VSS_DEV(APP_VSS_DEV_NAME));
	error = v->hv_device == NULL ? ENOMEM : make_pipes(v);
	if (error != 0)
		goto out;
	join(v);
	if (fatal(v->hv_link)) {
		error = v->hv_link;
		release(v, false);
		return (error);
	}
	set_timer(v);
	*vp = v;
	return (0);
out:
	free(v->hv_device);
	free(v);
	return (error);
}
