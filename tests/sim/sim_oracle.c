/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/*
 * What must hold in the simulator: the promises as seen from outside.  It looks
 * at what was sent, READ and written, and at the engine's state alone; it has a
 * model of LOST of its own.
 */

#include "sim.h"

static bool
is_holding(enum vss_engine_state st)
{
	return (st == VSS_ENGINE_HOLDING || st == VSS_ENGINE_FS_THAWING ||
	    st == VSS_ENGINE_APPS_RESUMING);
}

static bool
is_freezing(enum vss_engine_state st)
{
	return (st == VSS_ENGINE_PREPARING || st == VSS_ENGINE_APPS_QUIESCING ||
	    st == VSS_ENGINE_FS_FREEZING);
}

static bool
is_undo(enum vss_engine_state st)
{
	return (st == VSS_ENGINE_UNDO_FS_THAWING ||
	    st == VSS_ENGINE_UNDO_APPS_RESUMING);
}

static void
set_lost(struct sim *s, const char *why)
{
	if (s->s_lost)
		return;
	s->s_lost = true;
	s->s_losses++;
	sim_say(s, "LOST: %s", why);
}

/* THAW has been queued for this application in the freeze under way. */
static bool
thaw_queued(const struct sim *s, const struct sim_app *sa)
{
	return (s->s_clients[sa->sa_slot].cl_freeze == VSS_CLIENT_THAWING ||
	    s->s_clients[sa->sa_slot].cl_freeze == VSS_CLIENT_NONE);
}

static bool
counts(const struct sim *s, const struct sim_app *sa)
{
	return (sa->sa_acked && s->s_clients[sa->sa_slot].cl_counted);
}

/*
 * ENGINE.md section 2: what a request that comes in a state is answered.
 */
static enum sim_class
class_of(enum vss_engine_state st)
{
	if (st == VSS_ENGINE_IDLE)
		return (SIM_IDLE);
	if (is_freezing(st))
		return (SIM_FREEZING);
	if (is_undo(st))
		return (SIM_UNDO);
	if (st == VSS_ENGINE_HOLDING)
		return (SIM_HOLDING);
	return (is_holding(st) ? SIM_THAWING : SIM_CHECKING);
}

static enum sim_expect
expected(const struct sim *s, const struct sim_request *sr)
{
	static const enum sim_expect check[] = { SIM_RUNS, SIM_FAILS, SIM_FAILS,
		SIM_FAILS, SIM_FAILS, SIM_WAITS };
	static const enum sim_expect freeze[] = { SIM_RUNS, SIM_OVERTAKES,
		SIM_FAILS, SIM_FAILS, SIM_FAILS, SIM_WAITS };
	static const enum sim_expect thaw[] = { SIM_BY_LOST, SIM_BY_LOST,
		SIM_OVERTAKES, SIM_RUNS, SIM_JOINS, SIM_WAITS };
	enum sim_class c = class_of(sim_state(s));

	if (sr->sr_negotiate)
		return (SIM_ENDS_ALL);
	switch (sr->sr_op) {
	case VSS_WIRE_CHECK_HOT_BACKUP:
	case VSS_WIRE_FREEZE:
		if (c == SIM_IDLE && !s->s_daemon_open)
			return (SIM_FAILS);
		return (sr->sr_op == VSS_WIRE_FREEZE ? freeze[c] : check[c]);
	case VSS_WIRE_THAW:
		return (thaw[c]);
	default:
		return (sr->sr_op > VSS_WIRE_AUTO_RECOVER ? SIM_UNKNOWN :
							    SIM_IS_OK);
	}
}

/* Whether a request that was read, and is to be answered, has no answer yet. */
static bool
is_open(const struct sim_request *sr)
{
	return (sr->sr_read && sr->sr_answerable && !sr->sr_forgotten &&
	    !sr->sr_answered);
}

void
sim_oracle_read(struct sim *s, uint64_t xid)
{
	struct sim_request *sr;

	if (xid == 0 || xid > s->s_nrequests)
		sim_fail(s, "a packet that nobody sent");
	sr = &s->s_requests[xid - 1];
	if (sr->sr_read)
		sim_fail(s, "a packet is read twice");
	sr->sr_read = true;
	sr->sr_read_ns = s->s_now;
	sr->sr_state = sim_state(s);
	sr->sr_lost = s->s_lost;
	if (!sr->sr_answerable)
		return;
	sr->sr_expect = sr->sr_wrong ? SIM_FAILS : expected(s, sr);
	if (sr->sr_wrong)
		return;
	if (sr->sr_negotiate && is_holding(sim_state(s)))
		set_lost(s, "negotiate");
	if (sr->sr_op == VSS_WIRE_BACKUP_COMPLETE && !sr->sr_negotiate &&
	    sim_state(s) == VSS_ENGINE_IDLE)
		s->s_lost = false;
}

/* The engine has taken the packet: what must have been answered by now? */
void
sim_oracle_taken(struct sim *s, uint64_t xid)
{
	struct sim_request *sr = &s->s_requests[xid - 1];
	const struct vss_request *rq;
	uint64_t k;
	uint32_t i;

	for (i = 0; i < VSS_ENGINE_MAX_REQUESTS; i++) {
		rq = &s->s_engine.e_requests.rt_slots[i];
		if (rq->rq_state == VSS_REQUEST_READY)
			s->s_requests[rq->rq_reply.ey_xactid - 1].sr_answered =
			    true;
	}
	if (!sr->sr_answerable) {
		if (sim_state(s) != sr->sr_state)
			sim_fail(s, "a packet to be dropped changes the state");
		return;
	}
	switch (sr->sr_expect) {
	case SIM_FAILS:
	case SIM_IS_OK:
	case SIM_UNKNOWN:
	case SIM_BY_LOST:
		if (is_open(sr))
			sim_fail(s, "not answered at once");
		if (sim_state(s) != sr->sr_state)
			sim_fail(s, "what is answered at once disturbs");
		break;
	case SIM_ENDS_ALL:
		for (k = 0; k < s->s_nrequests; k++)
			if (is_open(&s->s_requests[k]))
				sim_fail(s, "NEGOTIATE leaves a request open");
		break;
	case SIM_OVERTAKES:
		for (k = 0; k < s->s_nrequests; k++)
			if (is_open(&s->s_requests[k]) && k != xid - 1)
				sim_fail(s, "a request is not overtaken");
		break;
	case SIM_RUNS:
	case SIM_JOINS:
	case SIM_WAITS:
	default:
		break;
	}
}

/* The answer that goes out is the one that the table demands. */
static void
check_expected(struct sim *s, const struct sim_request *sr,
    const struct vss_engine_reply *ey)
{
	bool ok = ey->ey_status == 0;

	switch (sr->sr_expect) {
	case SIM_FAILS:
		if (ok)
			sim_fail(s, "it should have failed");
		break;
	case SIM_IS_OK:
	case SIM_ENDS_ALL:
		if (!ok)
			sim_fail(s, "it should have been OK");
		break;
	case SIM_UNKNOWN:
		if (ey->ey_status != VMBUS_ICMSG_S_NOT_SUPPORTED)
			sim_fail(s, "an unknown operation is not refused");
		break;
	case SIM_BY_LOST:
		if (ok == sr->sr_lost)
			sim_fail(s, "THAW is not answered by LOST");
		break;
	case SIM_WAITS:
		if (sr->sr_op == VSS_WIRE_THAW && ok && sr->sr_lost)
			sim_fail(s, "a THAW that waited is OK though LOST");
		break;
	case SIM_RUNS:
	case SIM_JOINS:
	case SIM_OVERTAKES:
	default:
		break;
	}
}

static uint64_t
limit(const struct sim *s, const struct sim_request *sr)
{
	return (sr->sr_negotiate	     ? 0 :
		sr->sr_op == VSS_WIRE_FREEZE ? s->s_conf.ec_freeze_ns :
		sr->sr_op == VSS_WIRE_THAW   ? s->s_conf.ec_thaw_ns :
		sr->sr_op == VSS_WIRE_CHECK_HOT_BACKUP ? s->s_conf.ec_check_ns :
							 0);
}

/* P3: success means that all is at rest. */
static void
check_hold(struct sim *s)
{
	struct sim_app *sa;

	if (sim_nfrozen(s) != SIM_FS)
		sim_fail(s, "FREEZE is OK with a file system not frozen");
	for (sa = s->s_apps; sa < s->s_apps + SIM_APPS; sa++)
		if (sa->sa_part && !sa->sa_acked && !sa->sa_spared)
			sim_fail(s,
			    "FREEZE is OK, an application did not say "
			    "so");
	s->s_ok_freezes++;
}

/* It says that every application is at rest: then every one is. */
static void
check_all_quiesced(struct sim *s)
{
	struct sim_app *sa;

	for (sa = s->s_apps; sa < s->s_apps + SIM_APPS; sa++)
		if (sa->sa_part && !sa->sa_acked)
			sim_fail(s,
			    "said to be consistent, and an application "
			    "did not answer");
}

/* A THAW that ran is OK: whoever was at rest has READ THAW. */
static void
check_all_resumed(struct sim *s)
{
	struct sim_app *sa;

	for (sa = s->s_apps; sa < s->s_apps + SIM_APPS; sa++)
		if (sa->sa_open && sa->sa_acked && !sa->sa_spared)
			sim_fail(s,
			    "THAW is OK, and an application was not "
			    "told");
}

void
sim_oracle_reply(struct sim *s, const struct vss_engine_reply *ey)
{
	struct sim_request *sr;

	if (ey->ey_xactid == 0 || ey->ey_xactid > s->s_nrequests)
		sim_fail(s, "a reply to nothing");
	sr = &s->s_requests[ey->ey_xactid - 1];
	sim_say(s, "reply %s: 0x%08x %s",
	    sr->sr_negotiate ? "negotiate" : vss_wire_op_name(sr->sr_op),
	    ey->ey_status, vss_engine_cause_text(ey->ey_reason.er_cause));
	if (sr->sr_replied)
		sim_fail(s, "a request is answered twice");
	if (!sr->sr_answerable)
		sim_fail(s, "a packet to be dropped is answered");
	if (sr->sr_forgotten)
		sim_fail(s, "a request of a lost channel is answered");
	sr->sr_replied = sr->sr_answered = true;
	sr->sr_status = ey->ey_status;
	check_expected(s, sr, ey);
	if (ey->ey_answered_ns - sr->sr_read_ns > limit(s, sr))
		sim_fail(s, "a reply came after its limit");
	if (ey->ey_status != 0 &&
	    ey->ey_reason.er_cause == VSS_ENGINE_CAUSE_NONE)
		sim_fail(s, "a failure without a reason");
	if (ey->ey_status != 0 || sr->sr_negotiate)
		return;
	if (sr->sr_op == VSS_WIRE_CHECK_HOT_BACKUP &&
	    ey->ey_answered_ns != s->s_daemon_checked_ns)
		sim_fail(s, "CHECK is OK though the daemon did not say so");
	if (sr->sr_op == VSS_WIRE_FREEZE && ey->ey_nstale == 0)
		check_all_quiesced(s);
	if (sr->sr_op == VSS_WIRE_FREEZE && ey->ey_answered_ns == s->s_now)
		check_hold(s);
	if (sr->sr_op == VSS_WIRE_THAW) {
		s->s_ok_thaws++;
		if (sr->sr_expect == SIM_RUNS)
			check_all_resumed(s);
		if (ey->ey_answered_ns == s->s_now && s->s_lost &&
		    s->s_engine.e_lost)
			sim_fail(s, "THAW is OK while LOST");
	}
}

void
sim_oracle_close_app(struct sim *s, const struct sim_app *sa)
{
	if (is_holding(sim_state(s)) && counts(s, sa) && !thaw_queued(s, sa))
		set_lost(s, "an application closed");
}

void
sim_oracle_close_daemon(struct sim *s)
{
	s->s_daemon_faulty = true;
	if (sim_state(s) == VSS_ENGINE_HOLDING ||
	    sim_state(s) == VSS_ENGINE_FS_THAWING)
		set_lost(s, "the daemon closed");
}

void
sim_oracle_write_app(
    struct sim *s, struct sim_app *sa, const struct vss_engine_msg *em)
{
	const struct vss_engine_client *cl = &s->s_clients[sa->sa_slot];

	if (em->em_op == VSS_ENGINE_FREEZE && em->em_status == 0 &&
	    is_freezing(sim_state(s)) && em->em_id == cl->cl_asked_id)
		sa->sa_acked = true;
	if (em->em_status == 0)
		return;
	/* Who refuses in time is not sent THAW. */
	if (em->em_op == VSS_ENGINE_FREEZE && is_freezing(sim_state(s)) &&
	    em->em_id == cl->cl_asked_id && cl->cl_freeze == VSS_CLIENT_TOLD &&
	    vss_client_outstanding(cl))
		sa->sa_told = false;
	if (em->em_op == VSS_ENGINE_FREEZE && is_holding(sim_state(s)) &&
	    counts(s, sa) && !thaw_queued(s, sa) &&
	    em->em_id == sa->sa_last_freeze)
		set_lost(s, "an application could not stay quiesced");
	if (em->em_op == VSS_ENGINE_THAW && is_holding(sim_state(s)) &&
	    cl->cl_counted && cl->cl_freeze == VSS_CLIENT_THAWING &&
	    em->em_id == cl->cl_asked_id)
		set_lost(s, "an application failed THAW");
}

void
sim_oracle_write_daemon(struct sim *s, const struct vss_engine_msg *em)
{
	const struct vss_engine_client *cl = &s->s_clients[0];

	if (em->em_op == VSS_ENGINE_CHECK && em->em_status == 0 &&
	    em->em_id == cl->cl_asked_id && vss_client_outstanding(cl))
		s->s_daemon_checked_ns = s->s_now;
	if (em->em_op == VSS_ENGINE_THAW && em->em_status != 0 &&
	    is_holding(sim_state(s)))
		set_lost(s, "the daemon failed THAW");
}

/* P4: whoever has a lower level has answered, or is not waited for. */
static void
check_level(struct sim *s, const struct sim_app *asked)
{
	const struct sim_app *sa;

	for (sa = s->s_apps; sa < s->s_apps + SIM_APPS; sa++)
		if (sa->sa_open && sa != asked && !sa->sa_spared &&
		    s->s_clients[sa->sa_slot].cl_freeze == VSS_CLIENT_TOLD &&
		    s->s_clients[sa->sa_slot].cl_level <
			s->s_clients[asked->sa_slot].cl_level)
			sim_fail(s,
			    "FREEZE reaches a level before a lower one "
			    "has answered");
}

void
sim_oracle_read_app(
    struct sim *s, struct sim_app *sa, const struct vss_engine_msg *em)
{
	if (em->em_op == VSS_ENGINE_FREEZE) {
		check_level(s, sa);
		if (is_freezing(sim_state(s)) && sim_nfrozen(s) != 0 &&
		    !s->s_daemon_faulty)
			sim_fail(s,
			    "FREEZE reaches an application behind a "
			    "frozen file system");
		sa->sa_told = true;
	}
	if (em->em_op != VSS_ENGINE_THAW)
		return;
	if (!sa->sa_told)
		sim_fail(s, "THAW to who was never told FREEZE");
	sa->sa_told = sa->sa_acked = false;
	sa->sa_last_freeze = 0;
	if (sim_state(s) == VSS_ENGINE_APPS_RESUMING && sim_nfrozen(s) != 0 &&
	    !s->s_daemon_faulty)
		sim_fail(s,
		    "THAW reaches an application before the file "
		    "systems");
}

void
sim_oracle_read_daemon(struct sim *s, const struct vss_engine_msg *em)
{
	struct sim_app *sa;

	if (em->em_op != VSS_ENGINE_FREEZE)
		return;
	s->s_daemon_faulty = false;
	for (sa = s->s_apps; sa < s->s_apps + SIM_APPS; sa++)
		if (sa->sa_open && sa->sa_told && !sa->sa_acked &&
		    !sa->sa_spared)
			sim_fail(s,
			    "the daemon is asked before an "
			    "application has answered");
}

void
sim_oracle_channel_lost(struct sim *s)
{
	if (is_holding(sim_state(s)))
		set_lost(s, "channel lost");
}

void
sim_oracle_timer(struct sim *s)
{
	if (sim_state(s) == VSS_ENGINE_HOLDING &&
	    s->s_engine.e_limit_ns <= s->s_now)
		set_lost(s, "hold expired");
}

void
sim_oracle_step(struct sim *s)
{
	enum vss_engine_state st = sim_state(s);
	struct sim_app *sa;

	for (sa = s->s_apps; sa < s->s_apps + SIM_APPS; sa++)
		if (sa->sa_open)
			sa->sa_spared = s->s_clients[sa->sa_slot].cl_stale ||
			    (sa->sa_spared && st != VSS_ENGINE_IDLE);
	if (is_freezing(st) && !is_freezing(s->s_before)) {
		s->s_lost = false;
		for (sa = s->s_apps; sa < s->s_apps + SIM_APPS; sa++)
			sa->sa_part = sa->sa_open && sa->sa_active;
	}
	s->s_before = st;
	if (s->s_engine.e_lost != s->s_lost)
		sim_fail(s,
		    s->s_lost ? "the hold was broken and is not LOST" :
				"LOST, and nobody knows why");
	if (vss_engine_deadline(&s->s_engine) <= s->s_now)
		sim_fail(s, "a deadline is left behind");
	if (st != VSS_ENGINE_IDLE && !is_undo(st) &&
	    vss_engine_deadline(&s->s_engine) == VSS_ENGINE_NEVER)
		sim_fail(s, "it waits without a deadline");
	if (st == VSS_ENGINE_IDLE && s->s_daemon_open && !s->s_daemon_faulty &&
	    sim_nfrozen(s) != 0)
		sim_fail(s, "a file system is frozen in idle");
	if (st != VSS_ENGINE_IDLE)
		return;
	for (sa = s->s_apps; sa < s->s_apps + SIM_APPS; sa++)
		if (sa->sa_open && sa->sa_acked &&
		    s->s_clients[sa->sa_slot].cl_thaw.cn_id == 0)
			sim_fail(s, "an application stays quiesced in idle");
}

void
sim_oracle_end(struct sim *s)
{
	const struct sim_request *sr;
	uint64_t i;

	for (i = 0; i < s->s_nrequests; i++) {
		sr = &s->s_requests[i];
		if (sr->sr_read && sr->sr_answerable && !sr->sr_replied &&
		    !sr->sr_forgotten &&
		    s->s_now - sr->sr_read_ns > limit(s, sr))
			sim_fail(s, "a request was never answered");
	}
}
