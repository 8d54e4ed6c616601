/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/*
 * The engine's state machine: engine.def carried out.  A row's action changes
 * who is asked and awaited, and answers requests; what follows from that (the
 * stage is done, the next level's turn) is raised by settle(), so that no
 * action ever raises an event itself.
 *
 * Deadlines: e_limit_ns belongs to the request, hold or undo under way,
 * e_stage_ns to the stage in it, e_level_ns to a level on the way up; a waiting
 * request and an undo's THAW carry their own.
 */

#include "stage.h"

#define UNDO_PATIENCE_NS (5 * VSS_NS_PER_S)

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

void
vss_stage_trace(struct vss_engine *e, enum vss_trace_kind kind,
    const struct vss_engine_client *cl, uint32_t arg, uint64_t id)
{
	struct vss_trace_event te = { 0 };

	te.te_ns = e->e_now_ns;
	te.te_kind = (uint8_t)kind;
	te.te_client = cl != NULL ? cl->cl_serial : 0;
	te.te_arg = arg;
	te.te_id = id;
	vss_trace_put(e->e_trace, &te);
}

void
vss_stage_why(struct vss_engine *e, enum vss_engine_cause cause,
    const struct vss_engine_client *cl)
{
	struct vss_engine_reason *er = &e->e_why;

	memset(er, 0, sizeof(*er));
	er->er_cause = cause;
	if (cl == NULL)
		return;
	er->er_kind = cl->cl_kind;
	er->er_client = cl->cl_serial;
	er->er_pid = cl->cl_who.ew_pid;
	er->er_op = cl->cl_asked_op;
	memcpy(er->er_name, cl->cl_name, sizeof(er->er_name));
	memcpy(er->er_text, cl->cl_reason, sizeof(er->er_text));
}

/*
 * Clients.  Slot 0 is the file-system device's, the others applications'.
 */

#define FS(e) (&(e)->e_clients[0])

#define FOREACH_CLIENT(cl, e)                                              \
	for ((cl) = (e)->e_clients;                                        \
	     (cl) <= &(e)->e_clients[(e)->e_conf->ec_max_clients]; (cl)++) \
		if ((cl)->cl_serial == 0) {                                \
		} else

#define FOREACH_APP(cl, e)                    \
	FOREACH_CLIENT(cl, e)                 \
	if ((cl)->cl_kind == VSS_ENGINE_FS) { \
	} else

static void
ask(struct vss_engine *e, struct vss_engine_client *cl, enum vss_engine_op op)
{
	vss_client_notify(cl, op, ++e->e_last_id);
	cl->cl_awaited = !cl->cl_stale;
	if (op == VSS_ENGINE_FREEZE)
		cl->cl_freeze = VSS_CLIENT_ASKED;
	if (op == VSS_ENGINE_THAW) {
		cl->cl_freeze = VSS_CLIENT_THAWING;
		cl->cl_thaw_ns = e->e_now_ns;
	}
	vss_stage_trace(e, VSS_TRACE_NOTIFY, cl, op, cl->cl_asked_id);
}

static void
stage_over(
    struct vss_engine *e, struct vss_engine_client *cl, enum vss_engine_op op)
{
	if (vss_client_stage_over(cl, op))
		vss_stage_trace(
		    e, VSS_TRACE_WITHDRAWN, cl, op, cl->cl_asked_id);
}

static void
end_stage(struct vss_engine *e, enum vss_engine_op op)
{
	struct vss_engine_client *cl;

	FOREACH_CLIENT(cl, e)
	stage_over(e, cl, op);
}

/* A request begins to run: who takes part, under which name and level. */
static void
begin_transaction(struct vss_engine *e)
{
	struct vss_engine_client *cl;

	e->e_cur = e->e_req;
	e->e_limit_ns = e->e_cur->rq_deadline_ns;
	FOREACH_CLIENT(cl, e)
	{
		cl->cl_part = cl->cl_active || cl->cl_kind == VSS_ENGINE_FS;
		cl->cl_level = cl->cl_next_level;
		cl->cl_prepare = cl->cl_next_prepare;
	}
}

/* Back in idle: nobody owes or is owed anything in a freeze. */
static void
rest(struct vss_engine *e)
{
	struct vss_engine_client *cl;

	FOREACH_CLIENT(cl, e)
	{
		cl->cl_part = cl->cl_awaited = cl->cl_counted = false;
		cl->cl_freeze = VSS_CLIENT_NONE;
	}
	e->e_cur = NULL;
	e->e_limit_ns = e->e_stage_ns = VSS_ENGINE_NEVER;
	e->e_quiesce_ns = e->e_level_ns = VSS_ENGINE_NEVER;
}

static struct vss_engine_client *
first_awaited(struct vss_engine *e)
{
	struct vss_engine_client *cl;

	FOREACH_CLIENT(cl, e)
	if (cl->cl_awaited)
		return (cl);
	return (NULL);
}

/* The lowest level above the current one that takes part; -1: none. */
static int32_t
next_level_down(struct vss_engine *e)
{
	struct vss_engine_client *cl;
	int32_t next;

	next = -1;
	FOREACH_APP(cl, e)
	if (cl->cl_part && (int32_t)cl->cl_level > e->e_level &&
	    (next == -1 || (int32_t)cl->cl_level < next))
		next = (int32_t)cl->cl_level;
	return (next);
}

/* The highest level that is still owed THAW; -1: none. */
static int32_t
next_level_up(struct vss_engine *e)
{
	struct vss_engine_client *cl;
	int32_t next;

	next = -1;
	FOREACH_APP(cl, e)
	if (cl->cl_freeze == VSS_CLIENT_OWED && (int32_t)cl->cl_level > next)
		next = (int32_t)cl->cl_level;
	return (next);
}

static uint32_t
levels_left(struct vss_engine *e)
{
	int32_t level;
	uint32_t n;

	level = e->e_level;
	for (n = 0; (e->e_level = next_level_down(e)) != -1; n++)
		;
	e->e_level = level;
	return (n);
}

/*
 * Applications that are silent at their limit: under `besteffort' they are let
 * go, the request goes on; otherwise it fails, and they are counted.
 */
static void
count_silent(struct vss_engine *e)
{
	struct vss_engine_client *cl;

	FOREACH_APP(cl, e)
	{
		if (!cl->cl_awaited)
			continue;
		vss_stage_trace(
		    e, VSS_TRACE_SILENT, cl, cl->cl_asked_op, cl->cl_asked_id);
		if (vss_client_silent(cl, e->e_conf->ec_besteffort))
			vss_stage_trace(e, VSS_TRACE_STALE, cl, 1, 0);
	}
}

static void
let_go_of_apps(struct vss_engine *e)
{
	struct vss_engine_client *cl;

	FOREACH_APP(cl, e)
	cl->cl_awaited = false;
}

/*
 * Requests.
 */

static bool
is_op(const struct vss_request *rq, uint8_t op)
{
	return (rq != NULL && !rq->rq_reply.ey_negotiate &&
	    rq->rq_reply.ey_op == op);
}

void
vss_stage_answer(struct vss_engine *e, struct vss_request *rq, uint32_t status)
{
	struct vss_engine_reply *ey = &rq->rq_reply;

	if (!ey->ey_negotiate) {
		if (is_op(rq, VSS_WIRE_GET_DM_INFO))
			vss_wire_put_flags(rq->rq_pkt, 0);
		if (is_op(rq, VSS_WIRE_CHECK_HOT_BACKUP) &&
		    status == VMBUS_ICMSG_S_OK)
			vss_wire_put_flags(
			    rq->rq_pkt, VSS_WIRE_NO_AUTO_RECOVERY);
		vmbus_icmsg_reply(rq->rq_pkt, status);
	}
	ey->ey_status = status;
	ey->ey_answered_ns = e->e_now_ns;
	if (status != VMBUS_ICMSG_S_OK) {
		ey->ey_reason = e->e_why;
		e->e_failure = e->e_why;
	}
	vss_request_move(&e->e_requests, rq, VSS_REQUEST_READY);
	vss_stage_trace(e, VSS_TRACE_REPLY, NULL, ey->ey_op, status);
}

static void
fail(struct vss_engine *e, struct vss_request *rq)
{
	if (rq != NULL)
		vss_stage_answer(e, rq, VMBUS_ICMSG_S_FAIL);
}

static void
fail_because(
    struct vss_engine *e, struct vss_request *rq, enum vss_engine_cause cause)
{
	vss_stage_why(e, cause, NULL);
	fail(e, rq);
}

/* The answer to a THAW: OK, or FAIL with what the hold was lost for. */
static void
answer_by_lost(struct vss_engine *e, struct vss_request *rq, bool lost)
{
	if (!lost) {
		vss_stage_answer(e, rq, VMBUS_ICMSG_S_OK);
		return;
	}
	e->e_why = e->e_lost_why;
	fail(e, rq);
}

/* FREEZE or THAW under way, and the THAWs that joined it. */
static void
fail_current(struct vss_engine *e)
{
	struct vss_request *rq;

	fail(e, e->e_cur);
	e->e_cur = NULL;
	while ((rq = vss_request_first(&e->e_requests, VSS_REQUEST_JOINED)) !=
	    NULL)
		fail(e, rq);
}

static void
set_lost(struct vss_engine *e)
{
	if (e->e_lost)
		return;
	e->e_lost = true;
	e->e_lost_why = e->e_why;
	vss_stage_trace(e, VSS_TRACE_LOST, NULL, 1, e->e_why.er_cause);
}

static void
clear_lost(struct vss_engine *e)
{
	if (!e->e_lost)
		return;
	e->e_lost = false;
	vss_stage_trace(e, VSS_TRACE_LOST, NULL, 0, 0);
}

/*
 * The undo: whoever acknowledged FREEZE, or has READ it and still may, is owed
 * THAW.  File systems are sent it at once, applications when that is done.
 */
static void
begin_undo(struct vss_engine *e)
{
	struct vss_engine_client *cl;

	FOREACH_CLIENT(cl, e)
	{
		stage_over(e, cl, VSS_ENGINE_PREPARE);
		if (cl->cl_freeze == VSS_CLIENT_THAWING) {
			cl->cl_awaited = !cl->cl_stale ||
			    cl->cl_kind == VSS_ENGINE_FS;
			continue;
		}
		stage_over(e, cl, VSS_ENGINE_FREEZE);
		if (cl->cl_freeze == VSS_CLIENT_ASKED)
			cl->cl_freeze = VSS_CLIENT_NONE;
		else if (cl->cl_freeze != VSS_CLIENT_NONE)
			cl->cl_freeze = VSS_CLIENT_OWED;
	}
	e->e_cur = NULL;
	e->e_undo_ns = e->e_now_ns;
	e->e_limit_ns = e->e_now_ns + UNDO_PATIENCE_NS;
	e->e_stage_ns = e->e_state == VSS_ENGINE_UNDO_FS_THAWING ?
	    e->e_now_ns + e->e_conf->ec_thaw_fs_ns :
	    VSS_ENGINE_NEVER;
	if (FS(e)->cl_freeze == VSS_CLIENT_OWED)
		ask(e, FS(e), VSS_ENGINE_THAW);
}

/*
 * Actions, named as in engine.def.
 */

static void
act_IMPOSSIBLE(struct vss_engine *e)
{
	(void)e;
	VSS_ASSERT(!"an event that cannot happen in this state");
}

static void
act_NOTHING(struct vss_engine *e)
{
	(void)e;
}

static void
act_REFUSE_BUSY(struct vss_engine *e)
{
	fail_because(e, e->e_req, VSS_ENGINE_CAUSE_BUSY);
}

static void
act_ANSWER_THAW(struct vss_engine *e)
{
	answer_by_lost(e, e->e_req, e->e_req->rq_lost);
}

static void
act_CLEAR_LOST(struct vss_engine *e)
{
	clear_lost(e);
}

static void
act_DROP_REQUESTS(struct vss_engine *e)
{
	vss_request_drop_all(&e->e_requests);
	e->e_cur = e->e_req = e->e_rx = NULL;
}

static void
act_BEGIN_CHECK(struct vss_engine *e)
{
	struct vss_engine_client *cl;

	begin_transaction(e);
	/* Leave the freeze daemon its share when silence does not fail it. */
	if (e->e_conf->ec_besteffort)
		e->e_stage_ns = e->e_now_ns + (e->e_limit_ns - e->e_now_ns) / 2;
	FOREACH_APP(cl, e)
	if (cl->cl_part)
		ask(e, cl, VSS_ENGINE_CHECK);
}

static void
act_ASK_FS_CHECK(struct vss_engine *e)
{
	end_stage(e, VSS_ENGINE_CHECK);
	e->e_stage_ns = VSS_ENGINE_NEVER;
	ask(e, FS(e), VSS_ENGINE_CHECK);
}

static void
act_PASS_CHECK(struct vss_engine *e)
{
	end_stage(e, VSS_ENGINE_CHECK);
	vss_stage_answer(e, e->e_cur, VMBUS_ICMSG_S_OK);
	rest(e);
}

static void
act_FAIL_CHECK(struct vss_engine *e)
{
	end_stage(e, VSS_ENGINE_CHECK);
	fail(e, e->e_cur);
	rest(e);
}

static void
act_DROP_CHECK(struct vss_engine *e)
{
	act_DROP_REQUESTS(e);
	end_stage(e, VSS_ENGINE_CHECK);
	rest(e);
}

static void
act_BEGIN_FREEZE(struct vss_engine *e)
{
	struct vss_engine_client *cl;

	clear_lost(e);
	begin_transaction(e);
	e->e_stage_ns = e->e_cur->rq_reply.ey_arrived_ns +
	    e->e_conf->ec_prepare_ns;
	FOREACH_CLIENT(cl, e)
	if (cl->cl_part && cl->cl_prepare)
		ask(e, cl, VSS_ENGINE_PREPARE);
}

static void
act_OVERTAKE_CHECK(struct vss_engine *e)
{
	vss_stage_why(e, VSS_ENGINE_CAUSE_OVERTAKEN, NULL);
	act_FAIL_CHECK(e);
	act_BEGIN_FREEZE(e);
}

/*
 * The level that was asked is over: an application that was not waited for and
 * did not READ is not asked any more, one that did is owed THAW.
 */
static void
end_level(struct vss_engine *e)
{
	struct vss_engine_client *cl;

	FOREACH_APP(cl, e)
	{
		stage_over(e, cl, VSS_ENGINE_FREEZE);
		if (cl->cl_freeze == VSS_CLIENT_ASKED)
			cl->cl_freeze = VSS_CLIENT_NONE;
		else if (cl->cl_freeze == VSS_CLIENT_TOLD)
			cl->cl_freeze = VSS_CLIENT_OWED;
	}
}

static void
act_ASK_LEVEL(struct vss_engine *e)
{
	struct vss_engine_client *cl;
	uint64_t left;

	end_level(e);
	e->e_stage_ns = e->e_quiesce_ns;
	/* Each level has its share when silence does not fail the request. */
	if (e->e_conf->ec_besteffort && e->e_quiesce_ns > e->e_now_ns) {
		left = e->e_quiesce_ns - e->e_now_ns;
		e->e_stage_ns = e->e_now_ns + left / levels_left(e);
	}
	e->e_level = next_level_down(e);
	FOREACH_APP(cl, e)
	if (cl->cl_part && (int32_t)cl->cl_level == e->e_level)
		ask(e, cl, VSS_ENGINE_FREEZE);
}

static void
act_BEGIN_QUIESCE(struct vss_engine *e)
{
	end_stage(e, VSS_ENGINE_PREPARE);
	e->e_level = -1;
	e->e_quiesce_ns = e->e_now_ns + e->e_conf->ec_quiesce_ns;
}

static void
act_ASK_FS_FREEZE(struct vss_engine *e)
{
	end_level(e);
	e->e_stage_ns = e->e_now_ns + e->e_conf->ec_fs_ns;
	ask(e, FS(e), VSS_ENGINE_FREEZE);
}

static void
act_BEGIN_HOLD(struct vss_engine *e)
{
	struct vss_engine_reply *ey = &e->e_cur->rq_reply;
	struct vss_engine_client *cl;

	FOREACH_APP(cl, e)
	{
		ey->ey_napps += cl->cl_counted;
		ey->ey_nstale += cl->cl_stale && cl->cl_part;
	}
	vss_stage_answer(e, e->e_cur, VMBUS_ICMSG_S_OK);
	e->e_cur = NULL;
	e->e_limit_ns = e->e_now_ns + e->e_conf->ec_hold_ns;
	e->e_stage_ns = VSS_ENGINE_NEVER;
}

static void
act_FAIL_FREEZE(struct vss_engine *e)
{
	fail_current(e);
	begin_undo(e);
}

static void
act_DROP_FREEZE(struct vss_engine *e)
{
	act_DROP_REQUESTS(e);
	begin_undo(e);
}

/*
 * A FREEZE that waits must not run when THAW came behind it; each waiting
 * request keeps the limit that it arrived with.
 */
static void
act_WAIT(struct vss_engine *e)
{
	struct vss_request *rq, *req = e->e_req;
	uint32_t i;

	if (e->e_now_ns >= e->e_undo_ns + UNDO_PATIENCE_NS) {
		vss_stage_why(e, VSS_ENGINE_CAUSE_STUCK_UNDO, first_awaited(e));
		fail(e, req);
		return;
	}
	for (i = 0; is_op(req, VSS_WIRE_THAW) && i < VSS_ENGINE_MAX_REQUESTS;
	     i++) {
		rq = &e->e_requests.rt_slots[i];
		if (rq->rq_state == VSS_REQUEST_WAITING &&
		    is_op(rq, VSS_WIRE_FREEZE))
			fail_because(e, rq, VSS_ENGINE_CAUSE_OVERTAKEN);
	}
	if (vss_request_count(&e->e_requests, VSS_REQUEST_WAITING) >=
	    VSS_ENGINE_MAX_WAITING)
		fail_because(e, req, VSS_ENGINE_CAUSE_QUEUE_FULL);
	else
		vss_request_move(&e->e_requests, req, VSS_REQUEST_WAITING);
}

static void
act_ABORT_FREEZE(struct vss_engine *e)
{
	vss_stage_why(e, VSS_ENGINE_CAUSE_OVERTAKEN, NULL);
	act_FAIL_FREEZE(e);
	act_WAIT(e);
}

static void
act_FAIL_WAITING(struct vss_engine *e)
{
	struct vss_request *rq;

	while ((rq = vss_request_first(&e->e_requests, VSS_REQUEST_WAITING)) !=
	    NULL)
		fail(e, rq);
}

static void
act_LOSE_HOLD(struct vss_engine *e)
{
	set_lost(e);
	begin_undo(e);
}

static void
act_DROP_HOLD(struct vss_engine *e)
{
	act_DROP_REQUESTS(e);
	act_LOSE_HOLD(e);
}

static void
act_BEGIN_THAW(struct vss_engine *e)
{
	struct vss_engine_client *cl;

	e->e_cur = e->e_req;
	e->e_limit_ns = e->e_cur->rq_deadline_ns;
	e->e_stage_ns = e->e_now_ns + e->e_conf->ec_thaw_fs_ns;
	FOREACH_CLIENT(cl, e)
	if (cl->cl_freeze != VSS_CLIENT_NONE)
		cl->cl_freeze = VSS_CLIENT_OWED;
	ask(e, FS(e), VSS_ENGINE_THAW);
}

static void
act_JOIN_THAW(struct vss_engine *e)
{
	/* One slot stays free for what must be answered at once. */
	if (vss_request_count(&e->e_requests, VSS_REQUEST_FREE) < 1)
		fail_because(e, e->e_req, VSS_ENGINE_CAUSE_QUEUE_FULL);
	else
		vss_request_move(&e->e_requests, e->e_req, VSS_REQUEST_JOINED);
}

static void
act_RESUME_LEVEL(struct vss_engine *e)
{
	struct vss_engine_client *cl;

	e->e_stage_ns = VSS_ENGINE_NEVER;
	e->e_level = next_level_up(e);
	e->e_level_ns = e->e_now_ns + e->e_conf->ec_level_ns;
	FOREACH_APP(cl, e)
	if (cl->cl_freeze == VSS_CLIENT_OWED &&
	    (int32_t)cl->cl_level == e->e_level)
		ask(e, cl, VSS_ENGINE_THAW);
}

static void
act_SET_LOST(struct vss_engine *e)
{
	set_lost(e);
}

static void
act_END_THAW(struct vss_engine *e)
{
	struct vss_request *rq;

	answer_by_lost(e, e->e_cur, e->e_lost);
	while ((rq = vss_request_first(&e->e_requests, VSS_REQUEST_JOINED)) !=
	    NULL)
		answer_by_lost(e, rq, e->e_lost);
	rest(e);
}

static void
act_FAIL_THAW(struct vss_engine *e)
{
	fail_current(e);
	begin_undo(e);
}

static void
act_FAIL_THAW_FS(struct vss_engine *e)
{
	act_FAIL_THAW(e);
	act_RESUME_LEVEL(e);
}

static void
act_LOSE_THAW(struct vss_engine *e)
{
	set_lost(e);
	act_FAIL_THAW(e);
}

static void
act_DROP_THAW(struct vss_engine *e)
{
	act_DROP_REQUESTS(e);
	act_LOSE_HOLD(e);
}

static void
act_END_UNDO(struct vss_engine *e)
{
	rest(e);
}

/*
 * Dispatch.
 */

static const struct row {
	enum vss_engine_state ro_state;
	enum vss_engine_event ro_event;
	void (*ro_action)(struct vss_engine *);
	enum vss_engine_state ro_next;
} rows[] = {
#define ROW(state, event, action, next)                            \
	{ VSS_ENGINE_##state, VSS_ENGINE_EV_##event, act_##action, \
		VSS_ENGINE_##next },
#include "engine.def"
};

_Static_assert(
    VSS_NELEM(rows) == (size_t)VSS_ENGINE_NSTATES * (size_t)VSS_ENGINE_NEVENTS,
    "engine.def has one row for each pair");

static void
dispatch(struct vss_engine *e, enum vss_engine_event event)
{
	const struct row *ro;
	enum vss_engine_state old;

	old = e->e_state;
	ro = &rows[(size_t)old * VSS_ENGINE_NEVENTS + event];
	VSS_ASSERT(ro->ro_state == old && ro->ro_event == event);
	vss_stage_trace(e, VSS_TRACE_EVENT, NULL, event, 0);
	e->e_state = ro->ro_next;
	ro->ro_action(e);
	if (e->e_state != old)
		vss_stage_trace(e, VSS_TRACE_STATE, NULL, e->e_state, old);
}

/* Whether the level on the way up was answered, or has had its time. */
static bool
level_settled(struct vss_engine *e)
{
	struct vss_engine_client *cl;

	if (e->e_now_ns >= e->e_level_ns)
		return (true);
	FOREACH_APP(cl, e)
	if (cl->cl_awaited && (int32_t)cl->cl_level == e->e_level)
		return (false);
	return (true);
}

/* What follows from who is awaited; VSS_ENGINE_NEVENTS: nothing does. */
static enum vss_engine_event
next_event(struct vss_engine *e)
{
	bool quiet;

	quiet = first_awaited(e) == NULL;
	switch (states[e->e_state].sd_awaits) {
	case AWAITS_EVERYBODY:
		return (quiet ? VSS_ENGINE_EV_STAGE_DONE : VSS_ENGINE_NEVENTS);
	case AWAITS_LEVELS_DOWN:
		if (!quiet)
			return (VSS_ENGINE_NEVENTS);
		return (next_level_down(e) != -1 ? VSS_ENGINE_EV_LEVEL_DONE :
						   VSS_ENGINE_EV_STAGE_DONE);
	case AWAITS_LEVELS_UP:
		if (next_level_up(e) != -1)
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

	event = is_op(rq, VSS_WIRE_THAW) ? VSS_ENGINE_EV_THAW :
	    is_op(rq, VSS_WIRE_FREEZE)	 ? VSS_ENGINE_EV_FREEZE :
					   VSS_ENGINE_EV_CHECK;
	if (event != VSS_ENGINE_EV_THAW && e->e_state == VSS_ENGINE_IDLE &&
	    FS(e)->cl_serial == 0) {
		fail_because(e, rq, VSS_ENGINE_CAUSE_NO_DAEMON);
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
	FOREACH_APP(cl, e)
	{
		if (cl->cl_freeze == VSS_CLIENT_OWED)
			next = min_ns(next, e->e_level_ns);
		if (in_undo(e) && cl->cl_awaited)
			next = min_ns(next, cl->cl_thaw_ns + UNDO_PATIENCE_NS);
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
		vss_stage_why(e, VSS_ENGINE_CAUSE_STUCK_UNDO, first_awaited(e));
		fail(e, rq);
	}
}

/* In an undo an application is waited for 5 s after its THAW was queued. */
static void
expire_undo(struct vss_engine *e)
{
	struct vss_engine_client *cl;

	FOREACH_APP(cl, e)
	if (in_undo(e) && cl->cl_awaited &&
	    cl->cl_thaw_ns + UNDO_PATIENCE_NS <= e->e_now_ns)
		cl->cl_awaited = false;
}

static void
expire_limit(struct vss_engine *e)
{
	struct vss_engine_client *cl;

	cl = first_awaited(e);
	if (e->e_state == VSS_ENGINE_HOLDING)
		vss_stage_why(e, VSS_ENGINE_CAUSE_HOLD_EXPIRED, NULL);
	else if (in_undo(e))
		vss_stage_why(e, VSS_ENGINE_CAUSE_STUCK_UNDO, cl);
	else {
		vss_stage_why(e,
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
	vss_stage_why(e, VSS_ENGINE_CAUSE_SILENT, first_awaited(e));
	if (down)
		count_silent(e);
	/* Silence in PREPARE is nothing that counts, for an application. */
	if (e->e_state == VSS_ENGINE_PREPARING ||
	    (down && e->e_conf->ec_besteffort))
		let_go_of_apps(e);
	if (first_awaited(e) != NULL) {
		vss_stage_why(e, VSS_ENGINE_CAUSE_SILENT, first_awaited(e));
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
