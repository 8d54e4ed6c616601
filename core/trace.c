/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/* The trace: a ring of events that overwrites its oldest.  See trace.h. */

#include "trace.h"

static const char *const trace_names[] = {
#define X(sym, name) [VSS_TRACE_##sym] = name,
	VSS_TRACE_KINDS(X)
#undef X
};

void
vss_trace_init(
    struct vss_trace *tr, struct vss_trace_event *events, uint32_t cap)
{
	VSS_ASSERT(cap >= 1);
	tr->tr_events = events;
	tr->tr_cap = cap;
	tr->tr_head = 0;
	tr->tr_count = 0;
	tr->tr_lost = 0;
}

/* The slot i places after the oldest; i is at most tr_cap. */
static uint32_t
trace_slot(const struct vss_trace *tr, uint32_t i)
{
	/* Without a sum that could wrap when the ring is very large. */
	if (i >= tr->tr_cap - tr->tr_head)
		return (i - (tr->tr_cap - tr->tr_head));
	return (tr->tr_head + i);
}

void
vss_trace_put(struct vss_trace *tr, const struct vss_trace_event *te)
{
	if (tr->tr_count == tr->tr_cap) {
		tr->tr_head = trace_slot(tr, 1);
		tr->tr_count--;
		tr->tr_lost++;
	}
	tr->tr_events[trace_slot(tr, tr->tr_count)] = *te;
	tr->tr_count++;
}

bool
vss_trace_get(struct vss_trace *tr, struct vss_trace_event *te)
{
	if (tr->tr_count == 0)
		return (false);
	*te = tr->tr_events[tr->tr_head];
	tr->tr_head = trace_slot(tr, 1);
	tr->tr_count--;
	return (true);
}

const char *
vss_trace_kind_name(uint8_t kind)
{
	if (kind >= VSS_NELEM(trace_names))
		return ("unknown");
	return (trace_names[kind]);
}
