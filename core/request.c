/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/* The host's requests, a table of slots (request.h). */

#include "request.h"

struct vss_request *
vss_request_free(struct vss_request_table *rt)
{
	uint32_t i;

	for (i = 0; i < VSS_ENGINE_MAX_REQUESTS; i++)
		if (rt->rt_slots[i].rq_state == VSS_REQUEST_FREE)
			return (&rt->rt_slots[i]);
	return (NULL);
}

uint32_t
vss_request_count(
    const struct vss_request_table *rt, enum vss_request_state state)
{
	uint32_t i, n;

	for (i = n = 0; i < VSS_ENGINE_MAX_REQUESTS; i++)
		if (rt->rt_slots[i].rq_state == state)
			n++;
	return (n);
}

struct vss_request *
vss_request_first(struct vss_request_table *rt, enum vss_request_state state)
{
	struct vss_request *first, *rq;
	uint32_t i;

	first = NULL;
	for (i = 0; i < VSS_ENGINE_MAX_REQUESTS; i++) {
		rq = &rt->rt_slots[i];
		if (rq->rq_state == state &&
		    (first == NULL || rq->rq_seq < first->rq_seq))
			first = rq;
	}
	return (first);
}

void
vss_request_move(struct vss_request_table *rt, struct vss_request *rq,
    enum vss_request_state state)
{
	rq->rq_state = state;
	rq->rq_seq = ++rt->rt_seq;
}

void
vss_request_drop_all(struct vss_request_table *rt)
{
	uint32_t i;

	for (i = 0; i < VSS_ENGINE_MAX_REQUESTS; i++)
		rt->rt_slots[i].rq_state = VSS_REQUEST_FREE;
}

const char *
vss_engine_cause_text(enum vss_engine_cause cause)
{
	static const char *const texts[] = {
#define X(sym, text) text,
		VSS_ENGINE_CAUSES(X)
#undef X
	};

	if ((unsigned int)cause >= VSS_NELEM(texts))
		return ("unknown");
	return (texts[cause]);
}
