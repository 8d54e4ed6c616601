/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/*
 * The engine's state machine: engine.def carried out.  A row's action
 * (action.c) changes who is asked and awaited, and answers requests; what
 * follows from that (the stage is done, the next level's turn) is raised by
 * vss_stage_settle(), so that no action ever raises an event itself.
 *
 * Deadlines: e_limit_ns belongs to the request, hold or undo under way,
 * e_stage_ns to the stage in it, e_level_ns to a level on the way up; a waiting
 * request and an undo's THAW carry their own.
 */

#include "stage.h"
#include "action.h"

enum awaits {
	AWAITS_NOTHING,
	AWAITS_EVERYBODY,
	AWAITS_LEVELS_DOWN,
	AWAITS_LEVELS_UP
};

static const struct {
	const char *sd_name;
	enum awaits sd_awaits;
} states[] = {
#define STATE(name, awaits, text) { #name, AWAITS_##awaits },
#include "engine.def"
};

static const char *const events[] = {
#define EVENT(name, text) #name,
#include "engine.def"
};

const char *
vss_engine_state_name(uint32_t state)
{
	return (state < VSS_NELEM(states) ? states[state].sd_name : "unknown");
}

const char *
vss_engine_event_name(uint32_t event)
{
	return (event < VSS_NELEM(events) ? events[event] : "unknown");
}

/*
 * Dispatch.
 */

/* A doubled row does not compile, a missing one fails the assertion. */
enum row_name {
#define ROW(state, event, action, next) ROW_##state##_##event,
#include "engine.def"
	NROWS
};

_Static_assert(NROWS == (int)VSS_ENGINE_NSTATES * (int)VSS_ENGINE_NEVENTS,
    "engine.def has one row for each pair");

static const struct row {
	void (*ro_action)(struct vss_engine *);
	enum vss_engine_state ro_next;
} rows[VSS_ENGINE_NSTATES][VSS_ENGINE_NEVENTS] = {
#define ROW(state, event, action, next)                                      \
	[VSS_ENGINE_##state][VSS_ENGINE_EV_##event] = { vss_action_##action, \
		VSS_ENGINE_##next },
#include "engine.def"
};

static void
dispatch(struct vss_engine *e, enum vss_engine_event event)
{
	const struct row *ro;
	enum vss_engine_state old;

	old = e->e_state;
	ro = &rows[old][event];
	vss_action_trace(e, VSS_TRACE_EVENT, NULL, event, 0);
	e->e_state = ro->ro_next;
	ro->ro_action(e);
	if (e->e_state != old)
		vss_action_trace(e, VSS_TRACE_STATE, NULL, e->e_state, old);
}

/* Whether the level on the way up was answered, or has had its time. */
static bool
level_settled(struct vss_engine *e)
{
	struct vss_engine_client *cl;

	if (e->e_now_ns >= e->e_level_ns)
		return (true);
	VSS_FOREACH_APP(cl, e)
		if (cl->cl_awaited && (int32_t)cl->cl_level == e->e_level)
			return (false);
	return (true);
}

/* What follows from who is awaited; VSS_ENGINE_NEVENTS: nothing does. */
static enum vss_engine_event
next_event(struct vss_engine *e)
{
	bool quiet;

	quiet = vss_action_first_awaited(e) == NULL;
	switch (states[e->e_state].sd_awaits) {
	case AWAITS_EVERYBODY:
		return (quiet ? VSS_ENGINE_EV_STAGE_DONE : VSS_ENGINE_NEVENTS);
	case AWAITS_LEVELS_DOWN:
		if (!quiet)
			return (VSS_ENGINE_NEVENTS);
		return (vss_action_next_level_down(e) != -1 ?
			VSS_ENGINE_EV_LEVEL_DONE :
			VSS_ENGINE_EV_STAGE_DONE);
	case AWAITS_LEVELS_UP:
		if (vss_action_next_level_up(e) != -1)
			return (level_settled(e) ? VSS_ENGINE_EV_LEVEL_DONE :
						   VSS_ENGINE_NEVENTS);
		return (quiet ? VSS_ENGINE_EV_STAGE_DONE : VSS_ENGINE_NEVENTS);
	case AWAITS_NOTHING:
	default:
		return (VSS_ENGINE_NEVENTS);
	}
}

static bool
in_undo(const struct vss_engine *e)
{
	return (e->e_state == VSS_ENGINE_UNDO_FS_THAWING ||
	    e->e_state == VSS_ENGINE_UNDO_APPS_RESUMING);
}

static void
run_request(struct vss_engine *e, struct vss_request *rq)
{
	enum vss_engine_event event;

	event = vss_action_is_op(rq, VSS_WIRE_THAW) ? VSS_ENGINE_EV_THAW :
	    vss_action_is_op(rq, VSS_WIRE_FREEZE)   ? VSS_ENGINE_EV_FREEZE :
						      VSS_ENGINE_EV_CHECK;
	if (event != VSS_ENGINE_EV_THAW && e->e_state == VSS_ENGINE_IDLE &&
	    VSS_FS(e)->cl_serial == 0) {
		vss_action_fail_because(e, rq, VSS_ENGINE_CAUSE_NO_DAEMON);
		return;
	}
	vss_request_move(&e->e_requests, rq, VSS_REQUEST_RUNNING);
	e->e_req = rq;
	dispatch(e, event);
	e->e_req = NULL;
}

void
vss_stage_settle(struct vss_engine *e)
{
	enum vss_engine_event event;
	struct vss_request *rq;

	for (;;) {
		event = next_event(e);
		if (event != VSS_ENGINE_NEVENTS) {
			dispatch(e, event);
			continue;
		}
		if (in_undo(e))
			break;
		rq = vss_request_first(&e->e_requests, VSS_REQUEST_WAITING);
		if (rq == NULL)
			break;
		run_request(e, rq);
	}
}

void
vss_stage_raise(struct vss_engine *e, enum vss_engine_event event)
{
	dispatch(e, event);
	vss_stage_settle(e);
}

void
vss_stage_request(struct vss_engine *e, struct vss_request *rq)
{
	run_request(e, rq);
	vss_stage_settle(e);
}

/*
 * Time.
 */

static uint64_t
min_ns(uint64_t a, uint64_t b)
{
	return (a < b ? a : b);
}

uint64_t
vss_stage_deadline(const struct vss_engine *e)
{
	const struct vss_engine_client *cl;
	const struct vss_request *rq;
	uint64_t next;
	uint32_t i;

	next = min_ns(e->e_limit_ns, e->e_stage_ns);
	for (i = 0; i < VSS_ENGINE_MAX_REQUESTS; i++) {
		rq = &e->e_requests.rt_slots[i];
		if (rq->rq_state == VSS_REQUEST_WAITING)
			next = min_ns(next, rq->rq_deadline_ns);
	}
	if (states[e->e_state].sd_awaits != AWAITS_LEVELS_UP)
		return (next);
	VSS_FOREACH_APP(cl, e) {
		if (cl->cl_freeze == VSS_CLIENT_OWED)
			next = min_ns(next, e->e_level_ns);
		if (in_undo(e) && cl->cl_awaited)
			next = min_ns(
			    next, cl->cl_thaw_ns + VSS_ACTION_PATIENCE_NS);
	}
	return (next);
}

static void
expire_waiting(struct vss_engine *e)
{
	struct vss_request *rq;
	uint32_t i;

	for (i = 0; i < VSS_ENGINE_MAX_REQUESTS; i++) {
		rq = &e->e_requests.rt_slots[i];
		if (rq->rq_state != VSS_REQUEST_WAITING ||
		    rq->rq_deadline_ns > e->e_now_ns)
			continue;
		vss_action_why(e, VSS_ENGINE_CAUSE_STUCK_UNDO,
		    vss_action_first_awaited(e));
		vss_action_fail(e, rq);
	}
}

/* In an undo an application is waited for 5 s after its THAW was queued. */
static void
expire_undo(struct vss_engine *e)
{
	struct vss_engine_client *cl;

	VSS_FOREACH_APP(cl, e)
		if (in_undo(e) && cl->cl_awaited &&
		    cl->cl_thaw_ns + VSS_ACTION_PATIENCE_NS <= e->e_now_ns)
			cl->cl_awaited = false;
}

/*
 * Applications that are silent at their limit: under `besteffort' they are let
 * go, the request goes on; otherwise it fails, and they are counted.
 */
static void
count_silent(struct vss_engine *e)
{
	struct vss_engine_client *cl;

	VSS_FOREACH_APP(cl, e) {
		if (!cl->cl_awaited)
			continue;
		vss_action_trace(
		    e, VSS_TRACE_SILENT, cl, cl->cl_asked_op, cl->cl_asked_id);
		if (vss_client_silent(cl, e->e_conf->ec_besteffort))
			vss_action_trace(e, VSS_TRACE_STALE, cl, 1, 0);
	}
}

static void
let_go_of_apps(struct vss_engine *e)
{
	struct vss_engine_client *cl;

	VSS_FOREACH_APP(cl, e)
		cl->cl_awaited = false;
}

static void
expire_limit(struct vss_engine *e)
{
	struct vss_engine_client *cl;

	cl = vss_action_first_awaited(e);
	if (e->e_state == VSS_ENGINE_HOLDING)
		vss_action_why(e, VSS_ENGINE_CAUSE_HOLD_EXPIRED, NULL);
	else if (in_undo(e))
		vss_action_why(e, VSS_ENGINE_CAUSE_STUCK_UNDO, cl);
	else {
		vss_action_why(e,
		    cl != NULL ? VSS_ENGINE_CAUSE_SILENT :
				 VSS_ENGINE_CAUSE_LIMIT,
		    cl);
		if (e->e_state != VSS_ENGINE_PREPARING)
			count_silent(e);
	}
	e->e_limit_ns = VSS_ENGINE_NEVER;
	dispatch(e, VSS_ENGINE_EV_LIMIT);
}

static void
expire_stage(struct vss_engine *e)
{
	bool down;

	e->e_stage_ns = VSS_ENGINE_NEVER;
	down = e->e_state == VSS_ENGINE_APPS_CHECKING ||
	    e->e_state == VSS_ENGINE_APPS_QUIESCING;
	if (down)
		count_silent(e);
	/* Silence in PREPARE is nothing that counts, for an application. */
	if (e->e_state == VSS_ENGINE_PREPARING ||
	    (down && e->e_conf->ec_besteffort))
		let_go_of_apps(e);
	if (vss_action_first_awaited(e) != NULL) {
		vss_action_why(
		    e, VSS_ENGINE_CAUSE_SILENT, vss_action_first_awaited(e));
		dispatch(e, VSS_ENGINE_EV_STAGE_LIMIT);
	}
}

void
vss_stage_expire(struct vss_engine *e)
{
	expire_waiting(e);
	expire_undo(e);
	if (e->e_limit_ns <= e->e_now_ns)
		expire_limit(e);
	else if (e->e_stage_ns <= e->e_now_ns)
		expire_stage(e);
	vss_stage_settle(e);
}
