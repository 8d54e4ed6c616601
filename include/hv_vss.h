/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/*
 * libhv_vss(3): takes part in backups by a Hyper-V host.
 *
 * A program opens a participant with a name and four callbacks, and either
 * lets hv_vss_run() wait or adds hv_vss_fd() to its own loop and calls
 * hv_vss_dispatch() whenever that is readable.  The library makes no thread,
 * has no global state, and finds a driver that comes later or is restarted.
 *
 * Exactly one resume follows each quiesce, whatever that answered: after the
 * host's THAW, after a refusal, when the host gave up, when the driver is gone,
 * when the longest hold has passed, at hv_vss_close().  It comes after the
 * quiesce's answer, never while that is still under way.
 *
 * hv_vss_close() waits for no answer.  What was put off with HV_VSS_LATER has
 * ended before, its thread joined, or ends in vo_cancel, which is called,
 * before resume, for an answer that is still owed, unless it was called for it
 * already: work that comes to rest after that stays so for ever.
 *
 * Functions return 0 or an errno.  One thread at a time calls them, and the
 * callbacks run within its hv_vss_dispatch(), hv_vss_run() or hv_vss_close();
 * hv_vss_answer() and hv_vss_stop() may be called by any thread and in signal
 * handlers until hv_vss_close() and in its vo_cancel.  In a child made by
 * fork(2) all fail with EPERM, but hv_vss_close() which only lets go of the
 * child's copy.
 */

#ifndef _HV_VSS_H_
#define _HV_VSS_H_

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define HV_VSS_APP_LEVEL 50 /* of who does not care; 0 to 99 */

/* What callbacks return, and hv_vss_answer() takes. */
#define HV_VSS_YES   0
#define HV_VSS_NO    1 /* and anything else that is not listed */
#define HV_VSS_LATER 2 /* hv_vss_answer() will follow, from any thread */

struct hv_vss; /* a participant */

/* What a callback is told. */
struct hv_vss_request {
	uint64_t vr_id;	     /* for hv_vss_answer(); never used twice */
	uint64_t vr_left_ms; /* an answer after this comes too late */
	uint64_t vr_hold_ms; /* the longest hold that may follow */
};

/*
 * The callbacks; ctx is hv_vss_open()'s.  quiesce and resume must be there.
 *
 * check	could a backup be taken now?  Obliges to nothing.
 * prepare	long work that blocks nobody; may come without a quiesce, and
 *		does not come from a driver without extensions.
 * quiesce	come to rest, and stay so until resume.
 * resume	go on.  NO says that the rest did not last: the backup fails.
 * cancel	nobody waits any more for the answer owed to request id after
 *		HV_VSS_LATER: end the work soon, and answer all the same.  Does
 *		not come for a resume.
 * link		error 0: takes part from now on.  Otherwise why it does not;
 *		it is tried again.
 */
struct hv_vss_ops {
	int (*vo_check)(
	    struct hv_vss *, const struct hv_vss_request *, void *ctx);
	int (*vo_prepare)(
	    struct hv_vss *, const struct hv_vss_request *, void *ctx);
	int (*vo_quiesce)(
	    struct hv_vss *, const struct hv_vss_request *, void *ctx);
	int (*vo_resume)(
	    struct hv_vss *, const struct hv_vss_request *, void *ctx);
	void (*vo_cancel)(struct hv_vss *, uint64_t id, void *ctx);
	void (*vo_link)(struct hv_vss *, int error, void *ctx);
	const char *vo_device;	 /* NULL: /dev/hv_appvss_dev */
	uint64_t vo_hold_max_ms; /* goes on by itself after; 0: see the page */
};

/*
 * Opens a participant; name and *ops are copied, name is 1 to 31 printable
 * ASCII characters.  Applications of low levels come to rest first and go on
 * last.  A driver that is not there yet is no error.
 */
int hv_vss_open(struct hv_vss **vp, const char *name, int level,
    const struct hv_vss_ops *ops, void *ctx);

/*
 * Closes it; who is at rest is resumed first.  That resume has vr_left_ms 0 and
 * does all of its work before it returns: HV_VSS_LATER counts as HV_VSS_YES.
 * EBUSY within a callback.
 */
int hv_vss_close(struct hv_vss *v);

/* Waits and calls back until hv_vss_stop(). */
int hv_vss_run(struct hv_vss *v);
int hv_vss_stop(struct hv_vss *v);

/*
 * The descriptor for a loop of one's own: the same until hv_vss_close(),
 * readable (POLLIN) whenever hv_vss_dispatch() has something to do, timers
 * included.  hv_vss_dispatch() does not wait.
 */
int hv_vss_fd(const struct hv_vss *v);
int hv_vss_dispatch(struct hv_vss *v);

/*
 * Answers request id, to which a callback returned HV_VSS_LATER; reason (NULL,
 * or words for the administrator) goes with HV_VSS_NO.  HV_VSS_NO for a quiesce
 * that was answered with HV_VSS_YES says that it could not stay at rest: resume
 * follows, and the backup fails.  What nobody waits for is ignored.  EAGAIN:
 * hundreds of answers wait already.
 */
int hv_vss_answer(
    struct hv_vss *v, uint64_t id, int answer, const char *reason);

/*
 * Within a callback: `return (hv_vss_not_now(v, "the till is open"));` refuses
 * with a reason that reaches the administrator (at most 255 bytes).
 */
int hv_vss_not_now(struct hv_vss *v, const char *reason);

/*
 * Whether the driver knows names, levels, prepare, reasons and times (1), or is
 * plain as FreeBSD's own (0).
 */
int hv_vss_extended(const struct hv_vss *v);

#ifdef __cplusplus
}
#endif

#endif /* _HV_VSS_H_ */
