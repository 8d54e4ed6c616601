/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/*
 * A ring of timestamped events in the caller's memory: the only log that is
 * written while anything is frozen.  It never blocks, allocates or fails; when
 * it is full the oldest events go and are counted.  The environment drains it
 * when nothing is frozen.  One thread writes and drains.
 */

#ifndef _TRACE_H_
#define _TRACE_H_

#include "vss_port.h"

/* What happened; te_arg, te_id and te_value as said here. */
#define VSS_TRACE_KINDS(X)                                                     \
	X(REQUEST, "request")	      /* host request came; op, id; bytes */   \
	X(REPLY, "reply")	      /* its one reply; op, IC status */       \
	X(DROPPED, "dropped")	      /* packet without answer; length */      \
	X(STATE, "state")	      /* state entered; state, former state */ \
	X(EVENT, "event")	      /* engine event; event */                \
	X(OPEN, "open")		      /* device opened; uid, pid */            \
	X(CLOSE, "close")	      /* and closed */                         \
	X(TURNED_AWAY, "turned-away") /* open refused; uid, pid */             \
	X(NOTIFY, "notify")	  /* notification queued; operation, msgid */  \
	X(READ, "read")		  /* and read */                               \
	X(WITHDRAWN, "withdrawn") /* and withdrawn unread */                   \
	X(WRITE, "write")	  /* answer: operation, status */              \
	X(SILENT, "silent")	  /* no answer within the limit; operation */  \
	X(STALE, "stale")     /* client no longer waited for: 1, again: 0 */   \
	X(LOST, "lost")	      /* LOST set: 1, cleared: 0; cause */             \
	X(CHANNEL, "channel") /* channel: 1 open, 0 lost */                    \
	X(LOCAL, "local")     /* requests are this machine's: 1, no more: 0 */

/* The operation of REQUEST and REPLY where it is NEGOTIATE. */
#define VSS_TRACE_NEGOTIATE 0x100

enum vss_trace_kind {
#define X(sym, name) VSS_TRACE_##sym,
	VSS_TRACE_KINDS(X)
#undef X
	    VSS_TRACE_NKINDS
};

struct vss_trace_event {
	uint64_t te_ns; /* time as the engine was told */
	uint64_t te_id; /* msgid or host transaction id, 0 if none */
	uint64_t te_value;
	uint32_t te_client; /* client's serial number, 0 if none */
	uint32_t te_arg;
	uint8_t te_kind; /* enum vss_trace_kind */
};

struct vss_trace {
	struct vss_trace_event *tr_events; /* storage, the caller's */
	uint32_t tr_cap;		   /* events it holds, >= 1 */
	uint32_t tr_head;		   /* index of the oldest */
	uint32_t tr_count;
	uint64_t tr_lost; /* events overwritten before they were drained */
};

void vss_trace_init(
    struct vss_trace *tr, struct vss_trace_event *events, uint32_t cap);
void vss_trace_put(struct vss_trace *tr, const struct vss_trace_event *te);
/* Takes the oldest event out; false when there is none. */
bool vss_trace_get(struct vss_trace *tr, struct vss_trace_event *te);
const char *vss_trace_kind_name(uint8_t kind);

#endif /* _TRACE_H_ */
