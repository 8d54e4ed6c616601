/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/*
 * From trace to checkpoint.  One begins with CHECK or FREEZE in idle and is
 * over when the engine is idle again; after a CHECK that succeeded it waits for
 * the FREEZE that belongs to it.  A request that is refused while something
 * else is under way, or because there is no freeze daemon, is a checkpoint of
 * its own: a failed one.
 */

#include "ckpt_digest.h"

#include <string.h>

#include "vss_wire.h"

static uint32_t
stage_of(uint32_t state)
{
	switch (state) {
	case VSS_ENGINE_APPS_CHECKING:
	case VSS_ENGINE_FS_CHECKING:
		return (CKPT_S_CHECK);
	case VSS_ENGINE_PREPARING:
		return (CKPT_S_PREPARE);
	case VSS_ENGINE_APPS_QUIESCING:
		return (CKPT_S_QUIESCE);
	case VSS_ENGINE_FS_FREEZING:
		return (CKPT_S_FREEZE);
	case VSS_ENGINE_HOLDING:
		return (CKPT_S_HOLD);
	case VSS_ENGINE_FS_THAWING:
	case VSS_ENGINE_UNDO_FS_THAWING:
		return (CKPT_S_THAW);
	case VSS_ENGINE_APPS_RESUMING:
	case VSS_ENGINE_UNDO_APPS_RESUMING:
		return (CKPT_S_RESUME);
	default:
		return (CKPT_NSTAGES);
	}
}

static uint32_t
op_of_host(uint32_t op)
{
	return (op == VSS_WIRE_CHECK_HOT_BACKUP ? CKPT_CHECK :
		op == VSS_WIRE_FREEZE		? CKPT_FREEZE :
		op == VSS_WIRE_THAW		? CKPT_THAW :
						  CKPT_NOPS);
}

static uint32_t
op_of_client(uint32_t op)
{
	return (op == VSS_ENGINE_CHECK	 ? CKPT_CHECK :
		op == VSS_ENGINE_PREPARE ? CKPT_PREPARE :
		op == VSS_ENGINE_FREEZE	 ? CKPT_FREEZE :
		op == VSS_ENGINE_THAW	 ? CKPT_THAW :
					   CKPT_NOPS);
}

void
ckpt_digest_init(struct ckpt_digest *dg, uint64_t run)
{
	memset(dg, 0, sizeof(*dg));
	dg->dg_run = run;
	dg->dg_state = VSS_ENGINE_IDLE;
}

void
ckpt_digest_clock(struct ckpt_digest *dg, uint64_t wall_ns, uint64_t trace_ns)
{
	dg->dg_wall_ns = (int64_t)wall_ns - (int64_t)trace_ns;
}

const struct ckpt *
ckpt_digest_find(const struct ckpt_digest *dg, uint64_t seq)
{
	const struct ckpt *ck;

	if (seq == 0)
		return (NULL);
	ck = &dg->dg_done[(seq - 1) % CKPT_KEEP];
	return (ck->ck_seq == seq ? ck : NULL);
}

uint64_t
ckpt_digest_first(const struct ckpt_digest *dg)
{
	return (dg->dg_seq < CKPT_KEEP ? 1 : dg->dg_seq - CKPT_KEEP + 1);
}

/* The checkpoint is over: it is remembered under the next number. */
static void
done(struct ckpt_digest *dg, struct ckpt *ck, enum ckpt_outcome outcome,
    uint64_t now_ns)
{
	ck->ck_run = dg->dg_run;
	ck->ck_seq = ++dg->dg_seq;
	ck->ck_outcome = outcome;
	ck->ck_end_ns = now_ns;
	ck->ck_wall_ms = (uint64_t)((int64_t)ck->ck_begin_ns + dg->dg_wall_ns) /
	    VSS_NS_PER_MS;
	dg->dg_done[(dg->dg_seq - 1) % CKPT_KEEP] = *ck;
}

static void
begin(struct ckpt_digest *dg, uint64_t now_ns)
{
	memset(&dg->dg_cur, 0, sizeof(dg->dg_cur));
	dg->dg_cur.ck_begin_ns = now_ns;
	dg->dg_cur.ck_test = dg->dg_test;
	dg->dg_open = true;
	dg->dg_lost = false;
}

/* What waited for its FREEZE gets none. */
static void
give_up_waiting(struct ckpt_digest *dg)
{
	struct ckpt *ck = &dg->dg_cur;

	if (!dg->dg_open || dg->dg_state != VSS_ENGINE_IDLE)
		return;
	dg->dg_open = false;
	done(dg, ck, CKPT_CHECKED, ck->ck_asked[CKPT_CHECK].cp_end_ns);
}

static void
requested(struct ckpt_digest *dg, uint32_t event, uint64_t now_ns)
{
	if (dg->dg_state != VSS_ENGINE_IDLE)
		return;
	if (event == VSS_ENGINE_EV_CHECK)
		give_up_waiting(dg);
	if (event == VSS_ENGINE_EV_CHECK ||
	    (event == VSS_ENGINE_EV_FREEZE && !dg->dg_open))
		begin(dg, now_ns);
}

/* The engine is idle: what was under way is over, or waits for FREEZE. */
static void
came_to_rest(struct ckpt_digest *dg, uint64_t now_ns)
{
	struct ckpt *ck = &dg->dg_cur;
	const struct ckpt_span *asked = ck->ck_asked;
	enum ckpt_outcome outcome = CKPT_FAILED;

	if (ck->ck_stages[CKPT_S_PREPARE].cp_begin_ns == 0 &&
	    asked[CKPT_CHECK].cp_result == CKPT_R_OK)
		return;
	if (dg->dg_lost)
		outcome = CKPT_LOST;
	else if (asked[CKPT_FREEZE].cp_result == CKPT_R_OK &&
	    asked[CKPT_THAW].cp_result == CKPT_R_OK)
		outcome = CKPT_OK;
	/* A request that was dropped has no reply to give the reason. */
	if (outcome == CKPT_FAILED &&
	    ck->ck_why.er_cause == VSS_ENGINE_CAUSE_NONE)
		ck->ck_why.er_cause = VSS_ENGINE_CAUSE_CHANNEL_LOST;
	dg->dg_open = false;
	done(dg, ck, outcome, now_ns);
}

static void
entered(struct ckpt_digest *dg, const struct vss_trace_event *te)
{
	uint32_t old = stage_of(dg->dg_state), new = stage_of(te->te_arg);
	struct ckpt_span *stages = dg->dg_cur.ck_stages;

	dg->dg_state = te->te_arg;
	if (!dg->dg_open)
		return;
	if (old != new &&old != CKPT_NSTAGES)
		stages[old].cp_end_ns = te->te_ns;
	if (old != new &&new != CKPT_NSTAGES) {
		if (stages[new].cp_begin_ns == 0)
			stages[new].cp_begin_ns = te->te_ns;
		stages[new].cp_end_ns = 0;
	}
	if (dg->dg_state == VSS_ENGINE_IDLE)
		came_to_rest(dg, te->te_ns);
}

/* What is known of a reply besides its trace; a zeroed one if nothing is. */
static void
take_reply(struct ckpt_digest *dg, const struct vss_trace_event *te,
    struct ckpt_reply *cy)
{
	struct ckpt_reply *at = dg->dg_replies;
	uint32_t gone = 0;
	bool found = false;

	memset(cy, 0, sizeof(*cy));
	while (!found && gone < dg->dg_nreplies &&
	    at[gone].cy_answered_ns <= te->te_ns) {
		found = at[gone].cy_answered_ns == te->te_ns &&
		    at[gone].cy_op == te->te_arg &&
		    at[gone].cy_status == te->te_id;
		gone++;
	}
	if (found)
		*cy = at[gone - 1];
	dg->dg_nreplies -= gone;
	memmove(at, at + gone, dg->dg_nreplies * sizeof(*at));
	cy->cy_answered_ns = te->te_ns;
	if (!found)
		cy->cy_arrived_ns = te->te_ns;
}

/* Whether a reply is that of the request under way. */
static bool
is_current(const struct ckpt_digest *dg, uint32_t op, uint32_t cause)
{
	uint32_t stage = stage_of(dg->dg_state);

	if (!dg->dg_open || cause == VSS_ENGINE_CAUSE_BUSY)
		return (false);
	if (op == CKPT_CHECK)
		return (stage == CKPT_S_CHECK);
	if (op == CKPT_FREEZE)
		return (stage >= CKPT_S_PREPARE && stage <= CKPT_S_FREEZE);
	return (stage == CKPT_S_THAW || stage == CKPT_S_RESUME);
}

/* One that failed without having begun. */
static void
failed_alone(struct ckpt_digest *dg, uint32_t op, const struct ckpt_reply *cy)
{
	static struct ckpt ck;

	memset(&ck, 0, sizeof(ck));
	ck.ck_begin_ns = cy->cy_arrived_ns;
	ck.ck_test = dg->dg_test;
	ck.ck_why = cy->cy_why;
	ck.ck_asked[op].cp_begin_ns = cy->cy_arrived_ns;
	ck.ck_asked[op].cp_end_ns = cy->cy_answered_ns;
	ck.ck_asked[op].cp_result = CKPT_R_FAILED;
	done(dg, &ck, CKPT_FAILED, cy->cy_answered_ns);
}

static void
replied(struct ckpt_digest *dg, const struct vss_trace_event *te)
{
	uint32_t op = op_of_host(te->te_arg);
	bool ok = te->te_id == VMBUS_ICMSG_S_OK;
	struct ckpt *ck = &dg->dg_cur;
	struct ckpt_reply cy;

	if (op == CKPT_NOPS)
		return;
	take_reply(dg, te, &cy);
	if (!is_current(dg, op, cy.cy_why.er_cause)) {
		if (!ok && op != CKPT_THAW)
			failed_alone(dg, op, &cy);
		return;
	}
	if (ck->ck_asked[op].cp_result != CKPT_R_NONE)
		return; /* a THAW that joined the first */
	ck->ck_asked[op].cp_begin_ns = cy.cy_arrived_ns;
	ck->ck_asked[op].cp_end_ns = cy.cy_answered_ns;
	ck->ck_asked[op].cp_result = ok ? CKPT_R_OK : CKPT_R_FAILED;
	if (ok && op == CKPT_FREEZE) {
		ck->ck_napps = cy.cy_napps;
		ck->ck_nstale = cy.cy_nstale;
	}
	/* A CHECK that FREEZE overtook is no failure of the checkpoint. */
	if (!ok && ck->ck_why.er_cause == VSS_ENGINE_CAUSE_NONE &&
	    cy.cy_why.er_cause != VSS_ENGINE_CAUSE_OVERTAKEN)
		ck->ck_why = cy.cy_why;
}

static struct ckpt_client *
find_client(struct ckpt *ck, uint32_t serial)
{
	for (uint32_t i = 0; i < ck->ck_nclients; i++)
		if (ck->ck_clients[i].cc_serial == serial)
			return (&ck->ck_clients[i]);
	return (NULL);
}

static void
asked(struct ckpt *ck, const struct vss_trace_event *te,
    const struct ckpt_client *who)
{
	struct ckpt_client *cc = find_client(ck, te->te_client);
	uint32_t op = op_of_client(te->te_arg);

	if (cc == NULL && ck->ck_nclients == CKPT_CLIENTS_MAX) {
		/* Counted by what it is asked first. */
		ck->ck_nleft += op == CKPT_CHECK ||
		    (op == CKPT_FREEZE &&
			ck->ck_asked[CKPT_CHECK].cp_result == CKPT_R_NONE);
		return;
	}
	if (cc == NULL) {
		cc = &ck->ck_clients[ck->ck_nclients++];
		if (who != NULL)
			*cc = *who;
		memset(cc->cc_spans, 0, sizeof(cc->cc_spans));
		cc->cc_serial = te->te_client;
	}
	if (op == CKPT_NOPS)
		return;
	cc->cc_spans[op] = (struct ckpt_span) { .cp_begin_ns = te->te_ns,
		.cp_result = CKPT_R_PENDING };
}

static void
came_to(struct ckpt_span *cp, uint64_t now_ns, enum ckpt_result result)
{
	if (cp->cp_result != CKPT_R_PENDING && result != CKPT_R_FAILED)
		return;
	if (cp->cp_end_ns == 0)
		cp->cp_end_ns = now_ns;
	cp->cp_result = result;
}

static void
of_client(struct ckpt *ck, const struct vss_trace_event *te)
{
	struct ckpt_client *cc = find_client(ck, te->te_client);
	uint32_t op = op_of_client(te->te_arg);

	if (cc == NULL)
		return;
	if (te->te_kind == VSS_TRACE_STALE)
		cc->cc_stale = te->te_arg != 0;
	else if (te->te_kind == VSS_TRACE_CLOSE) {
		for (op = 0; op < CKPT_NOPS; op++)
			came_to(&cc->cc_spans[op], te->te_ns, CKPT_R_GONE);
	} else if (op == CKPT_NOPS)
		return;
	else if (te->te_kind == VSS_TRACE_WRITE)
		came_to(&cc->cc_spans[op], te->te_ns,
		    te->te_value == 0 ? CKPT_R_OK : CKPT_R_FAILED);
	else
		came_to(&cc->cc_spans[op], te->te_ns,
		    te->te_kind == VSS_TRACE_SILENT ? CKPT_R_SILENT :
						      CKPT_R_WITHDRAWN);
}

static void
lost(struct ckpt_digest *dg, const struct vss_trace_event *te)
{
	struct ckpt *ck = &dg->dg_cur;

	if (!dg->dg_open || te->te_arg == 0)
		return;
	dg->dg_lost = true;
	if (ck->ck_why.er_cause != VSS_ENGINE_CAUSE_NONE)
		return;
	if (dg->dg_lost_why.er_cause == (enum vss_engine_cause)te->te_id)
		ck->ck_why = dg->dg_lost_why;
	else if (te->te_id < VSS_ENGINE_NCAUSES)
		ck->ck_why.er_cause = (enum vss_engine_cause)te->te_id;
}

void
ckpt_digest_reply(struct ckpt_digest *dg, const struct vss_engine_reply *ey)
{
	struct ckpt_reply *cy;

	if (ey->ey_negotiate || op_of_host(ey->ey_op) == CKPT_NOPS)
		return;
	if (dg->dg_nreplies == CKPT_REPLIES) {
		dg->dg_nreplies--;
		memmove(dg->dg_replies, dg->dg_replies + 1,
		    dg->dg_nreplies * sizeof(*cy));
	}
	cy = &dg->dg_replies[dg->dg_nreplies++];
	cy->cy_op = ey->ey_op;
	cy->cy_status = ey->ey_status;
	cy->cy_arrived_ns = ey->ey_arrived_ns;
	cy->cy_answered_ns = ey->ey_answered_ns;
	cy->cy_napps = ey->ey_napps;
	cy->cy_nstale = ey->ey_nstale;
	cy->cy_why = ey->ey_reason;
}

void
ckpt_digest_lost(struct ckpt_digest *dg, const struct vss_engine_reason *er)
{
	dg->dg_lost_why = *er;
}

void
ckpt_digest_event(struct ckpt_digest *dg, const struct vss_trace_event *te,
    const struct ckpt_client *who)
{
	switch (te->te_kind) {
	case VSS_TRACE_EVENT:
		requested(dg, te->te_arg, te->te_ns);
		break;
	case VSS_TRACE_STATE:
		entered(dg, te);
		break;
	case VSS_TRACE_REPLY:
		replied(dg, te);
		break;
	case VSS_TRACE_LOST:
		lost(dg, te);
		break;
	case VSS_TRACE_CHANNEL:
		give_up_waiting(dg);
		break;
	case VSS_TRACE_LOCAL:
		give_up_waiting(dg);
		dg->dg_test = te->te_arg != 0;
		break;
	case VSS_TRACE_NOTIFY:
		if (dg->dg_open)
			asked(&dg->dg_cur, te, who);
		break;
	case VSS_TRACE_WITHDRAWN:
	case VSS_TRACE_WRITE:
	case VSS_TRACE_SILENT:
	case VSS_TRACE_STALE:
	case VSS_TRACE_CLOSE:
		if (dg->dg_open)
			of_client(&dg->dg_cur, te);
		break;
	default:
		break;
	}
}
