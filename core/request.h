/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/*
 * The host's requests: each owns its buffer from the moment its packet is
 * copied out of the ring until its one reply was sent.
 *
 * Life of a slot: free -> running, waiting (for an undo), joined (to the THAW
 * under way) -> ready (to be sent) -> free.  Ready ones are sent in the order
 * in which they were answered.
 */

#ifndef _REQUEST_H_
#define _REQUEST_H_

#include "client.h"
#include "vss_wire.h"

#define VSS_ENGINE_MAX_REQUESTS 16 /* of the host, at once */
#define VSS_ENGINE_MAX_WAITING	4  /* of them, waiting for an undo */

/* Why a request was answered FAIL (P7). */
#define VSS_ENGINE_CAUSES(X)                                                \
	X(NONE, "none")                                                     \
	X(NO_DAEMON, "no freeze daemon has the file-system device open")    \
	X(BUSY, "it came while another request was under way")              \
	X(REFUSED, "refused")                                               \
	X(CLOSED, "closed the device before it answered")                   \
	X(SILENT, "did not answer in time")                                 \
	X(BROKEN, "could not stay quiesced")                                \
	X(HOLD_EXPIRED, "the host did not send THAW within the hold limit") \
	X(LIMIT, "the request's limit passed")                              \
	X(LOST, "the hold was lost before THAW came")                       \
	X(OVERTAKEN, "a later request overtook it")                         \
	X(STUCK_UNDO, "an undo is not finished: something is still frozen") \
	X(QUEUE_FULL, "too many requests wait")                             \
	X(NEGOTIATED, "the host negotiated anew")                           \
	X(CHANNEL_LOST, "the channel to the host went away")                \
	X(MALFORMED, "the request is malformed")                            \
	X(NOT_SUPPORTED, "the operation is not supported")                  \
	X(CANCELLED, "it was called off, or the host wanted a backup")      \
	X(LEFT, "closed the device while it should have been at rest")

enum vss_engine_cause {
#define X(sym, text) VSS_ENGINE_CAUSE_##sym,
	VSS_ENGINE_CAUSES(X)
#undef X
	    VSS_ENGINE_NCAUSES
};

/* The first cause of a failure, and who it was. */
struct vss_engine_reason {
	enum vss_engine_cause er_cause;
	enum vss_engine_op er_op; /* what the client was asked */
	enum vss_engine_kind er_kind;
	uint32_t er_client; /* serial number; 0: nobody in particular */
	uint64_t er_pid;
	char er_name[VSS_ENGINE_NAME_MAX];
	char er_text[VSS_ENGINE_REASON_MAX]; /* the client's own words */
};

/*
 * One reply to the host, ready to be sent; valid until vss_engine_sent().  The
 * bytes are the request's with the answer written in.
 */
struct vss_engine_reply {
	const uint8_t *ey_pkt;
	uint32_t ey_len;
	uint64_t ey_xactid; /* of the ring packet that asked */
	uint8_t ey_op;	    /* enum vss_wire_op */
	bool ey_negotiate;  /* it answers NEGOTIATE; ey_op means nothing */
	uint32_t ey_status;
	uint64_t ey_arrived_ns;
	uint64_t ey_answered_ns;
	uint32_t ey_napps;  /* applications that took part with success */
	uint32_t ey_nstale; /* and that were not waited for */
	struct vss_engine_reason ey_reason;
};

enum vss_request_state {
	VSS_REQUEST_FREE,
	VSS_REQUEST_RUNNING, /* or being decoded */
	VSS_REQUEST_WAITING,
	VSS_REQUEST_JOINED,
	VSS_REQUEST_READY
};

struct vss_request {
	enum vss_request_state rq_state;
	uint64_t rq_seq; /* order of arrival, of answer when ready */
	uint64_t rq_deadline_ns;
	bool rq_lost;			/* a waiting THAW came while LOST */
	struct vss_wire_request rq_vss; /* zeroed for NEGOTIATE */
	struct vss_engine_reply rq_reply;
	uint8_t rq_pkt[VMBUS_ICMSG_PKT_MAX];
};

struct vss_request_table {
	struct vss_request rt_slots[VSS_ENGINE_MAX_REQUESTS];
	uint64_t rt_seq;
};

/* A free slot; NULL when there is none. */
struct vss_request *vss_request_free(struct vss_request_table *rt);
uint32_t vss_request_count(
    const struct vss_request_table *rt, enum vss_request_state state);
/* The oldest in that state; NULL when there is none. */
struct vss_request *vss_request_first(
    struct vss_request_table *rt, enum vss_request_state state);

/* Moves it on; whoever enters a state last is its youngest. */
void vss_request_move(struct vss_request_table *rt, struct vss_request *rq,
    enum vss_request_state state);

/* Every slot is free again; nothing is answered. */
void vss_request_drop_all(struct vss_request_table *rt);

const char *vss_engine_cause_text(enum vss_engine_cause cause);

#endif /* _REQUEST_H_ */
