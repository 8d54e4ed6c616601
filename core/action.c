/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/* The rows' actions (action.h), named as in engine.def. */

#include "action.h"

void
vss_action_trace(struct vss_engine *e, enum vss_trace_kind kind,
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
vss_action_why(struct vss_engine *e, enum vss_engine_cause cause,
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
 * Clients.
 */

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
	vss_action_trace(e, VSS_TRACE_NOTIFY, cl, op, cl->cl_asked_id);
}

static void
stage_over(
    struct vss_engine *e, struct vss_engine_client *cl, enum vss_engine_op op)
{
	if (vss_client_stage_over(cl, op))
		vss_action_trace(
		    e, VSS_TRACE_WITHDRAWN, cl, op, cl->cl_asked_id);
}

static void
end_stage(struct vss_engine *e, enum vss_engine_op op)
{
	struct vss_engine_client *cl;

	VSS_FOREACH_CLIENT(cl, e)
		stage_over(e, cl, op);
}

/* A request begins to run: who takes part, under which name and level. */
static void
begin_transaction(struct vss_engine *e)
{
	struct vss_engine_client *cl;

	e->e_cur = e->e_req;
	e->e_limit_ns = e->e_cur->rq_deadline_ns;
	VSS_FOREACH_CLIENT(cl, e) {
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

	VSS_FOREACH_CLIENT(cl, e) {
		cl->cl_part = cl->cl_awaited = cl->cl_counted = false;
		cl->cl_freeze = VSS_CLIENT_NONE;
	}
	e->e_cur = NULL;
	e->e_limit_ns = e->e_stage_ns = VSS_ENGINE_NEVER;
	e->e_quiesce_ns = e->e_level_ns = VSS_ENGINE_NEVER;
}

struct vss_engine_client *
vss_action_first_awaited(struct vss_engine *e)
{
	struct vss_engine_client *cl;

	VSS_FOREACH_CLIENT(cl, e)
		if (cl->cl_awaited)
			return (cl);
	return (NULL);
}

/* The lowest level above the current one that takes part; -1: none. */
int32_t
vss_action_next_level_down(struct vss_engine *e)
{
	struct vss_engine_client *cl;
	int32_t next;

	next = -1;
	VSS_FOREACH_APP(cl, e)
		if (cl->cl_part && (int32_t)cl->cl_level > e->e_level &&
		    (next == -1 || (int32_t)cl->cl_level < next))
			next = (int32_t)cl->cl_level;
	return (next);
}

/* The highest level that is still owed THAW; -1: none. */
int32_t
vss_action_next_level_up(struct vss_engine *e)
{
	struct vss_engine_client *cl;
	int32_t next;

	next = -1;
	VSS_FOREACH_APP(cl, e)
		if (cl->cl_freeze == VSS_CLIENT_OWED &&
		    (int32_t)cl->cl_level > next)
			next = (int32_t)cl->cl_level;
	return (next);
}

static uint32_t
levels_left(struct vss_engine *e)
{
	int32_t level;
	uint32_t n;

	level = e->e_level;
	for (n = 0; (e->e_level = vss_action_next_level_down(e)) != -1; n++)
		;
	e->e_level = level;
	return (n);
}

/*
 * Requests.
 */

bool
vss_action_is_op(const struct vss_request *rq, uint8_t op)
{
	return (rq != NULL && !rq->rq_reply.ey_negotiate &&
	    rq->rq_reply.ey_op == op);
}

void
vss_action_answer(struct vss_engine *e, struct vss_request *rq, uint32_t status)
{
	struct vss_engine_reply *ey = &rq->rq_reply;

	if (!ey->ey_negotiate) {
		if (vss_action_is_op(rq, VSS_WIRE_GET_DM_INFO))
			vss_wire_put_flags(rq->rq_pkt, 0);
		if (vss_action_is_op(rq, VSS_WIRE_CHECK_HOT_BACKUP) &&
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
	vss_action_trace(e, VSS_TRACE_REPLY, NULL,
	    ey->ey_negotiate ? VSS_TRACE_NEGOTIATE : ey->ey_op, status);
}

void
vss_action_fail(struct vss_engine *e, struct vss_request *rq)
{
	if (rq != NULL)
		vss_action_answer(e, rq, VMBUS_ICMSG_S_FAIL);
}

void
vss_action_fail_because(
    struct vss_engine *e, struct vss_request *rq, enum vss_engine_cause cause)
{
	vss_action_why(e, cause, NULL);
	vss_action_fail(e, rq);
}

/* The answer to a THAW: OK, or FAIL with what the hold was lost for. */
static void
answer_by_lost(struct vss_engine *e, struct vss_request *rq, bool lost)
{
	if (!lost) {
		vss_action_answer(e, rq, VMBUS_ICMSG_S_OK);
		return;
	}
	e->e_why = e->e_lost_why;
	vss_action_fail(e, rq);
}

/* FREEZE or THAW under way, and the THAWs that joined it. */
static void
fail_current(struct vss_engine *e)
{
	struct vss_request *rq;

	vss_action_fail(e, e->e_cur);
	e->e_cur = NULL;
	while ((rq = vss_request_first(&e->e_requests, VSS_REQUEST_JOINED)) !=
	    NULL)
		vss_action_fail(e, rq);
}

static void
set_lost(struct vss_engine *e)
{
	if (e->e_lost)
		return;
	e->e_lost = true;
	e->e_lost_why = e->e_why;
	vss_action_trace(e, VSS_TRACE_LOST, NULL, 1, e->e_why.er_cause);
}

static void
clear_lost(struct vss_engine *e)
{
	if (!e->e_lost)
		return;
	e->e_lost = false;
	vss_action_trace(e, VSS_TRACE_LOST, NULL, 0, 0);
}

/*
 * The undo: whoever acknowledged FREEZE, or has READ it and still may, is owed
 * THAW.  File systems are sent it at once, applications when that is done.
 */
static void
begin_undo(struct vss_engine *e)
{
	struct vss_engine_client *cl;

	VSS_FOREACH_CLIENT(cl, e) {
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
	e->e_limit_ns = e->e_now_ns + VSS_ACTION_PATIENCE_NS;
	e->e_stage_ns = e->e_state == VSS_ENGINE_UNDO_FS_THAWING ?
	    e->e_now_ns + e->e_conf->ec_thaw_fs_ns :
	    VSS_ENGINE_NEVER;
	if (VSS_FS(e)->cl_freeze == VSS_CLIENT_OWED)
		ask(e, VSS_FS(e), VSS_ENGINE_THAW);
}

/*
 * Actions, named as in engine.def.
 */

void
vss_action_IMPOSSIBLE(struct vss_engine *e)
{
	bool can_happen = false;

	(void)e;
	VSS_ASSERT(can_happen);
}

void
vss_action_NOTHING(struct vss_engine *e)
{
	(void)e;
}

void
vss_action_REFUSE_BUSY(struct vss_engine *e)
{
	vss_action_fail_because(e, e->e_req, VSS_ENGINE_CAUSE_BUSY);
}

void
vss_action_ANSWER_THAW(struct vss_engine *e)
{
	answer_by_lost(e, e->e_req, e->e_req->rq_lost);
}

void
vss_action_CLEAR_LOST(struct vss_engine *e)
{
	clear_lost(e);
}

void
vss_action_DROP_REQUESTS(struct vss_engine *e)
{
	vss_request_drop_all(&e->e_requests);
	e->e_cur = e->e_req = e->e_rx = NULL;
}

void
vss_action_BEGIN_CHECK(struct vss_engine *e)
{
	struct vss_engine_client *cl;

	begin_transaction(e);
	/* Leave the freeze daemon its share when silence does not fail it. */
	if (e->e_conf->ec_besteffort)
		e->e_stage_ns = e->e_now_ns + (e->e_limit_ns - e->e_now_ns) / 2;
	VSS_FOREACH_APP(cl, e)
		if (cl->cl_part)
			ask(e, cl, VSS_ENGINE_CHECK);
}

void
vss_action_ASK_FS_CHECK(struct vss_engine *e)
{
	end_stage(e, VSS_ENGINE_CHECK);
	e->e_stage_ns = VSS_ENGINE_NEVER;
	ask(e, VSS_FS(e), VSS_ENGINE_CHECK);
}

void
vss_action_PASS_CHECK(struct vss_engine *e)
{
	end_stage(e, VSS_ENGINE_CHECK);
	vss_action_answer(e, e->e_cur, VMBUS_ICMSG_S_OK);
	rest(e);
}

void
vss_action_FAIL_CHECK(struct vss_engine *e)
{
	end_stage(e, VSS_ENGINE_CHECK);
	vss_action_fail(e, e->e_cur);
	rest(e);
}

void
vss_action_DROP_CHECK(struct vss_engine *e)
{
	vss_action_DROP_REQUESTS(e);
	end_stage(e, VSS_ENGINE_CHECK);
	rest(e);
}

void
vss_action_BEGIN_FREEZE(struct vss_engine *e)
{
	struct vss_engine_client *cl;

	clear_lost(e);
	begin_transaction(e);
	e->e_stage_ns = e->e_cur->rq_reply.ey_arrived_ns +
	    e->e_conf->ec_prepare_ns;
	VSS_FOREACH_CLIENT(cl, e)
		if (cl->cl_part && cl->cl_prepare)
			ask(e, cl, VSS_ENGINE_PREPARE);
}

void
vss_action_OVERTAKE_CHECK(struct vss_engine *e)
{
	vss_action_why(e, VSS_ENGINE_CAUSE_OVERTAKEN, NULL);
	vss_action_FAIL_CHECK(e);
	vss_action_BEGIN_FREEZE(e);
}

/*
 * The level that was asked is over: an application that was not waited for and
 * did not READ is not asked any more; one that did is owed THAW in the end.
 */
static void
end_level(struct vss_engine *e)
{
	struct vss_engine_client *cl;

	VSS_FOREACH_APP(cl, e) {
		stage_over(e, cl, VSS_ENGINE_FREEZE);
		if (cl->cl_freeze == VSS_CLIENT_ASKED)
			cl->cl_freeze = VSS_CLIENT_NONE;
	}
}

void
vss_action_ASK_LEVEL(struct vss_engine *e)
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
	e->e_level = vss_action_next_level_down(e);
	VSS_FOREACH_APP(cl, e)
		if (cl->cl_part && (int32_t)cl->cl_level == e->e_level)
			ask(e, cl, VSS_ENGINE_FREEZE);
}

void
vss_action_BEGIN_QUIESCE(struct vss_engine *e)
{
	end_stage(e, VSS_ENGINE_PREPARE);
	e->e_level = -1;
	e->e_quiesce_ns = e->e_now_ns + e->e_conf->ec_quiesce_ns;
}

void
vss_action_ASK_FS_FREEZE(struct vss_engine *e)
{
	end_level(e);
	e->e_stage_ns = e->e_now_ns + e->e_conf->ec_fs_ns;
	ask(e, VSS_FS(e), VSS_ENGINE_FREEZE);
}

void
vss_action_BEGIN_HOLD(struct vss_engine *e)
{
	struct vss_engine_reply *ey = &e->e_cur->rq_reply;
	struct vss_engine_client *cl;

	VSS_FOREACH_APP(cl, e) {
		ey->ey_napps += cl->cl_counted;
		/* Asked, and not waited for, whatever it has said since. */
		ey->ey_nstale += cl->cl_part && !cl->cl_counted;
	}
	vss_action_answer(e, e->e_cur, VMBUS_ICMSG_S_OK);
	e->e_cur = NULL;
	e->e_limit_ns = e->e_now_ns + e->e_conf->ec_hold_ns;
	e->e_stage_ns = VSS_ENGINE_NEVER;
}

void
vss_action_FAIL_FREEZE(struct vss_engine *e)
{
	fail_current(e);
	begin_undo(e);
}

void
vss_action_DROP_FREEZE(struct vss_engine *e)
{
	vss_action_DROP_REQUESTS(e);
	begin_undo(e);
}

/*
 * A FREEZE that waits must not run when THAW came behind it; each waiting
 * request keeps the limit that it arrived with.
 */
void
vss_action_WAIT(struct vss_engine *e)
{
	struct vss_request *rq, *req = e->e_req;
	uint32_t i;

	if (e->e_now_ns >= e->e_undo_ns + VSS_ACTION_PATIENCE_NS) {
		vss_action_why(e, VSS_ENGINE_CAUSE_STUCK_UNDO,
		    vss_action_first_awaited(e));
		vss_action_fail(e, req);
		return;
	}
	for (i = 0; vss_action_is_op(req, VSS_WIRE_THAW) &&
	     i < VSS_ENGINE_MAX_REQUESTS;
	     i++) {
		rq = &e->e_requests.rt_slots[i];
		if (rq->rq_state == VSS_REQUEST_WAITING &&
		    vss_action_is_op(rq, VSS_WIRE_FREEZE))
			vss_action_fail_because(
			    e, rq, VSS_ENGINE_CAUSE_OVERTAKEN);
	}
	if (vss_request_count(&e->e_requests, VSS_REQUEST_WAITING) >=
	    VSS_ENGINE_MAX_WAITING)
		vss_action_fail_because(e, req, VSS_ENGINE_CAUSE_QUEUE_FULL);
	else
		vss_request_move(&e->e_requests, req, VSS_REQUEST_WAITING);
}

void
vss_action_ABORT_FREEZE(struct vss_engine *e)
{
	vss_action_why(e, VSS_ENGINE_CAUSE_OVERTAKEN, NULL);
	vss_action_FAIL_FREEZE(e);
	vss_action_WAIT(e);
}

void
vss_action_FAIL_WAITING(struct vss_engine *e)
{
	struct vss_request *rq;

	while ((rq = vss_request_first(&e->e_requests, VSS_REQUEST_WAITING)) !=
	    NULL)
		vss_action_fail(e, rq);
}

void
vss_action_LOSE_HOLD(struct vss_engine *e)
{
	set_lost(e);
	begin_undo(e);
}

void
vss_action_DROP_HOLD(struct vss_engine *e)
{
	vss_action_DROP_REQUESTS(e);
	vss_action_LOSE_HOLD(e);
}

void
vss_action_BEGIN_THAW(struct vss_engine *e)
{
	struct vss_engine_client *cl;

	e->e_cur = e->e_req;
	e->e_limit_ns = e->e_cur->rq_deadline_ns;
	e->e_stage_ns = e->e_now_ns + e->e_conf->ec_thaw_fs_ns;
	VSS_FOREACH_CLIENT(cl, e)
		if (cl->cl_freeze != VSS_CLIENT_NONE)
			cl->cl_freeze = VSS_CLIENT_OWED;
	ask(e, VSS_FS(e), VSS_ENGINE_THAW);
}

void
vss_action_JOIN_THAW(struct vss_engine *e)
{
	/* One slot stays free for what must be answered at once. */
	if (vss_request_count(&e->e_requests, VSS_REQUEST_FREE) < 1)
		vss_action_fail_because(
		    e, e->e_req, VSS_ENGINE_CAUSE_QUEUE_FULL);
	else
		vss_request_move(&e->e_requests, e->e_req, VSS_REQUEST_JOINED);
}

void
vss_action_RESUME_LEVEL(struct vss_engine *e)
{
	struct vss_engine_client *cl;

	e->e_stage_ns = VSS_ENGINE_NEVER;
	e->e_level = vss_action_next_level_up(e);
	e->e_level_ns = e->e_now_ns + e->e_conf->ec_level_ns;
	VSS_FOREACH_APP(cl, e)
		if (cl->cl_freeze == VSS_CLIENT_OWED &&
		    (int32_t)cl->cl_level == e->e_level)
			ask(e, cl, VSS_ENGINE_THAW);
}

void
vss_action_SET_LOST(struct vss_engine *e)
{
	set_lost(e);
}

void
vss_action_END_THAW(struct vss_engine *e)
{
	struct vss_request *rq;

	answer_by_lost(e, e->e_cur, e->e_lost);
	while ((rq = vss_request_first(&e->e_requests, VSS_REQUEST_JOINED)) !=
	    NULL)
		answer_by_lost(e, rq, e->e_lost);
	rest(e);
}

void
vss_action_FAIL_THAW(struct vss_engine *e)
{
	fail_current(e);
	begin_undo(e);
}

void
vss_action_FAIL_THAW_FS(struct vss_engine *e)
{
	vss_action_FAIL_THAW(e);
	vss_action_RESUME_LEVEL(e);
}

void
vss_action_LOSE_THAW(struct vss_engine *e)
{
	set_lost(e);
	vss_action_FAIL_THAW(e);
}

void
vss_action_DROP_THAW(struct vss_engine *e)
{
	vss_action_DROP_REQUESTS(e);
	vss_action_LOSE_HOLD(e);
}

void
vss_action_END_UNDO(struct vss_engine *e)
{
	rest(e);
}
