/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/*
 * Makes checkpoints (ckpt.h) of the engine's trace and remembers the last ones.
 * Nothing is allocated; one thread.  Whoever drains the trace hands its events
 * over in order; the reasons of failures, which the trace does not have, are
 * handed over when replies are sent, at any time before that.
 */

#ifndef _CKPT_DIGEST_H_
#define _CKPT_DIGEST_H_

#include "ckpt.h"

#define CKPT_KEEP    16 /* checkpoints remembered */
#define CKPT_REPLIES 32 /* replies whose trace was not seen yet */

struct ckpt_reply {
	uint8_t cy_op; /* enum vss_wire_op */
	uint32_t cy_status;
	uint64_t cy_arrived_ns;
	uint64_t cy_answered_ns;
	uint32_t cy_napps;
	uint32_t cy_nstale;
	struct vss_engine_reason cy_why;
};

struct ckpt_digest {
	uint64_t dg_run;
	uint64_t dg_seq;    /* of the last that is done; 0: none */
	int64_t dg_wall_ns; /* 1970 on the clock of the trace, negated */
	uint32_t dg_state;  /* the engine's, as the trace has it */
	bool dg_test;	    /* requests are local */
	bool dg_open;	    /* dg_cur is under way */
	bool dg_lost;	    /* and its hold was lost */
	struct ckpt dg_cur;
	struct vss_engine_reason dg_lost_why;
	uint32_t dg_nreplies;
	struct ckpt_reply dg_replies[CKPT_REPLIES];
	struct ckpt dg_done[CKPT_KEEP]; /* by dg_seq - 1, a ring */
};

/* Run: which start of the driver, ms since 1970. */
void ckpt_digest_init(struct ckpt_digest *dg, uint64_t run);
/* What the clocks say now: of the time of day, and that of the trace. */
void ckpt_digest_clock(
    struct ckpt_digest *dg, uint64_t wall_ns, uint64_t trace_ns);
void ckpt_digest_reply(
    struct ckpt_digest *dg, const struct vss_engine_reply *ey);
void ckpt_digest_lost(
    struct ckpt_digest *dg, const struct vss_engine_reason *er);
/* who: the client of te_client; only its fields but cc_spans count. */
void ckpt_digest_event(struct ckpt_digest *dg, const struct vss_trace_event *te,
    const struct ckpt_client *who);
/* NULL when it is not remembered, or not yet. */
const struct ckpt *ckpt_digest_find(const struct ckpt_digest *dg, uint64_t seq);
/* The first that is remembered; more than dg_seq when there is none. */
uint64_t ckpt_digest_first(const struct ckpt_digest *dg);

#endif /* _CKPT_DIGEST_H_ */
