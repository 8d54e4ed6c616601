/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/*
 * The engine's calls (engine.h): packets and clients come in here, are checked,
 * and become events of the state machine in stage.c.
 */

#include "action.h"
#include "stage.h"

#define LIMIT_MAX_NS (900 * VSS_NS_PER_S)

static const struct vmbus_icmsg_version frameworks[] = { { 3, 0 }, { 1, 0 } };
/* The later ones come first, and are left out by default. */
static const struct vmbus_icmsg_version messages[] = { { 7, 0 }, { 6, 0 },
	{ 5, 0 }, { 4, 0 } };
#define NLATER 2

void
vss_engine_conf_default(struct vss_engine_conf *ec)
{
	memset(ec, 0, sizeof(*ec));
	ec->ec_check_ns = 10 * VSS_NS_PER_S;
	ec->ec_freeze_ns = 120 * VSS_NS_PER_S;
	ec->ec_prepare_ns = vss_engine_prepare_ns(ec->ec_freeze_ns);
	ec->ec_quiesce_ns = 10 * VSS_NS_PER_S;
	ec->ec_fs_ns = 10 * VSS_NS_PER_S;
	ec->ec_hold_ns = 60 * VSS_NS_PER_S;
	ec->ec_thaw_ns = 10 * VSS_NS_PER_S;
	ec->ec_thaw_fs_ns = 5 * VSS_NS_PER_S;
	ec->ec_level_ns = 1 * VSS_NS_PER_S;
	ec->ec_max_clients = 64;
	ec->ec_max_per_uid = 16;
}

bool
vss_engine_conf_sane(const struct vss_engine_conf *ec)
{
	const uint64_t limits[] = { ec->ec_check_ns, ec->ec_freeze_ns,
		ec->ec_prepare_ns, ec->ec_quiesce_ns, ec->ec_fs_ns,
		ec->ec_hold_ns, ec->ec_thaw_ns, ec->ec_thaw_fs_ns,
		ec->ec_level_ns };
	uint32_t i;

	for (i = 0; i < VSS_NELEM(limits); i++)
		if (limits[i] == 0 || limits[i] > LIMIT_MAX_NS)
			return (false);
	return (ec->ec_prepare_ns <= ec->ec_freeze_ns &&
	    ec->ec_quiesce_ns <= ec->ec_freeze_ns &&
	    ec->ec_fs_ns <= ec->ec_freeze_ns &&
	    ec->ec_thaw_fs_ns <= ec->ec_thaw_ns && ec->ec_max_clients != 0 &&
	    ec->ec_max_clients <= VSS_ENGINE_MAX_CLIENTS &&
	    ec->ec_max_per_uid != 0);
}

int
vss_engine_init(struct vss_engine *e, const struct vss_engine_conf *conf,
    struct vss_engine_client *clients, struct vss_trace *trace)
{
	if (!vss_engine_conf_sane(conf))
		return (EINVAL);
	/* Not the request buffers: pages that are not used are not touched. */
	vss_request_drop_all(&e->e_requests);
	e->e_requests.rt_seq = 0;
	memset((char *)e + offsetof(struct vss_engine, e_rx), 0,
	    sizeof(*e) - offsetof(struct vss_engine, e_rx));
	e->e_conf = conf;
	e->e_clients = clients;
	e->e_trace = trace;
	e->e_now_ns = 0;
	e->e_state = VSS_ENGINE_IDLE;
	e->e_limit_ns = e->e_stage_ns = VSS_ENGINE_NEVER;
	e->e_quiesce_ns = e->e_level_ns = VSS_ENGINE_NEVER;
	return (0);
}

/*
 * Host side.
 */

uint8_t *
vss_engine_rx_buf(struct vss_engine *e)
{
	e->e_rx = vss_request_free(&e->e_requests);
	return (e->e_rx != NULL ? e->e_rx->rq_pkt : NULL);
}

void
vss_engine_rx_dropped(struct vss_engine *e, uint32_t len, uint64_t now_ns)
{
	e->e_now_ns = now_ns;
	e->e_ndropped++;
	vss_action_trace(e, VSS_TRACE_DROPPED, NULL, len, 0);
}

static uint64_t
request_limit(const struct vss_engine *e, uint8_t op)
{
	return (op == VSS_WIRE_FREEZE ? e->e_conf->ec_freeze_ns :
		op == VSS_WIRE_THAW   ? e->e_conf->ec_thaw_ns :
					e->e_conf->ec_check_ns);
}

/* A request that is not dropped; its slot is taken from now on. */
static struct vss_request *
accept_request(struct vss_engine *e, uint32_t len, uint64_t xactid,
    const struct vss_wire_request *wr, bool negotiate)
{
	struct vss_request *rq = e->e_rx;
	struct vss_engine_reply *ey = &rq->rq_reply;
	struct vss_trace_event te = { .te_ns = e->e_now_ns,
		.te_kind = VSS_TRACE_REQUEST,
		.te_arg = negotiate ? VSS_TRACE_NEGOTIATE : wr->wr_op,
		.te_id = xactid,
		.te_value = len };

	e->e_rx = NULL;
	e->e_nrequests++;
	memset(ey, 0, sizeof(*ey));
	ey->ey_pkt = rq->rq_pkt;
	ey->ey_len = len;
	ey->ey_xactid = xactid;
	ey->ey_op = wr->wr_op;
	ey->ey_negotiate = negotiate;
	ey->ey_arrived_ns = e->e_now_ns;
	rq->rq_vss = *wr;
	rq->rq_lost = e->e_lost;
	rq->rq_deadline_ns = e->e_now_ns + request_limit(e, wr->wr_op);
	vss_request_move(&e->e_requests, rq, VSS_REQUEST_RUNNING);
	vss_trace_put(e->e_trace, &te);
	return (rq);
}

static void
rx_negotiate(struct vss_engine *e, uint32_t len, uint64_t xactid)
{
	static const struct vss_wire_request none;
	struct vmbus_icmsg_versions ours;
	struct vmbus_icmsg_agreed agreed;
	struct vss_request *rq;
	uint32_t skip;
	int error;

	skip = e->e_conf->ec_later_versions ? 0 : NLATER;
	ours.ivs_framework = frameworks;
	ours.ivs_nframework = VSS_NELEM(frameworks);
	ours.ivs_message = &messages[skip];
	ours.ivs_nmessage = (uint16_t)(VSS_NELEM(messages) - skip);
	error = vmbus_icmsg_negotiate(e->e_rx->rq_pkt, len, &ours, &agreed);
	if (error == EBADMSG) {
		vss_engine_rx_dropped(e, len, e->e_now_ns);
		return;
	}
	rq = accept_request(e, len, xactid, &none, true);
	if (error != 0) {
		vss_action_why(e, VSS_ENGINE_CAUSE_MALFORMED, NULL);
		vss_action_answer(e, rq, VMBUS_ICMSG_S_FAIL);
		return;
	}
	e->e_agreed = agreed;
	/* What it sets off is answered first, and goes on behind it. */
	vss_action_why(e, VSS_ENGINE_CAUSE_NEGOTIATED, NULL);
	vss_stage_raise(e, VSS_ENGINE_EV_NEGOTIATE);
	vss_action_answer(e, rq, VMBUS_ICMSG_S_OK);
}

static void
rx_vss(struct vss_engine *e, const struct vmbus_icmsg *im, uint32_t len,
    uint64_t xactid)
{
	struct vss_wire_request wr;
	struct vss_request *rq;
	int error;

	error = vss_wire_decode(e->e_rx->rq_pkt, len, im, &wr);
	if (error == EBADMSG) {
		vss_engine_rx_dropped(e, len, e->e_now_ns);
		return;
	}
	rq = accept_request(e, len, xactid, &wr, false);
	if (error != 0) {
		vss_action_why(e, VSS_ENGINE_CAUSE_MALFORMED, NULL);
		vss_action_answer(e, rq, VMBUS_ICMSG_S_FAIL);
		return;
	}
	switch (wr.wr_op) {
	case VSS_WIRE_CHECK_HOT_BACKUP:
	case VSS_WIRE_FREEZE:
	case VSS_WIRE_THAW:
		vss_stage_request(e, rq);
		break;
	case VSS_WIRE_BACKUP_COMPLETE:
		vss_stage_raise(e, VSS_ENGINE_EV_COMPLETE);
		/* FALLTHROUGH */
	case VSS_WIRE_CREATE:
	case VSS_WIRE_DELETE:
	case VSS_WIRE_GET_DM_INFO:
	case VSS_WIRE_AUTO_RECOVER:
		vss_action_answer(e, rq, VMBUS_ICMSG_S_OK);
		break;
	default:
		vss_action_why(e, VSS_ENGINE_CAUSE_NOT_SUPPORTED, NULL);
		vss_action_answer(e, rq, VMBUS_ICMSG_S_NOT_SUPPORTED);
		break;
	}
}

void
vss_engine_rx(
    struct vss_engine *e, uint32_t len, uint64_t xactid, uint64_t now_ns)
{
	struct vmbus_icmsg im;

	VSS_ASSERT(e->e_rx != NULL && len <= VMBUS_ICMSG_PKT_MAX);
	e->e_now_ns = now_ns;
	if (vmbus_icmsg_decode(e->e_rx->rq_pkt, len, &im) != 0)
		vss_engine_rx_dropped(e, len, now_ns);
	else if (im.im_type == VMBUS_ICMSG_NEGOTIATE)
		rx_negotiate(e, len, xactid);
	else if (im.im_type == VMBUS_ICMSG_VSS)
		rx_vss(e, &im, len, xactid);
	else
		vss_engine_rx_dropped(e, len, now_ns);
	e->e_rx = NULL;
}

bool
vss_engine_reply(struct vss_engine *e, struct vss_engine_reply *ey)
{
	struct vss_request *rq;

	rq = vss_request_first(&e->e_requests, VSS_REQUEST_READY);
	if (rq == NULL)
		return (false);
	*ey = rq->rq_reply;
	return (true);
}

void
vss_engine_sent(struct vss_engine *e)
{
	struct vss_request *rq;

	rq = vss_request_first(&e->e_requests, VSS_REQUEST_READY);
	VSS_ASSERT(rq != NULL);
	vss_request_move(&e->e_requests, rq, VSS_REQUEST_FREE);
	e->e_nreplies++;
}

void
vss_engine_channel_lost(struct vss_engine *e, uint64_t now_ns)
{
	e->e_now_ns = now_ns;
	e->e_channel = false;
	memset(&e->e_agreed, 0, sizeof(e->e_agreed));
	vss_action_trace(e, VSS_TRACE_CHANNEL, NULL, 0, 0);
	vss_action_why(e, VSS_ENGINE_CAUSE_CHANNEL_LOST, NULL);
	vss_stage_raise(e, VSS_ENGINE_EV_CHANNEL_LOST);
}

void
vss_engine_channel_opened(struct vss_engine *e, uint64_t now_ns)
{
	e->e_now_ns = now_ns;
	e->e_channel = true;
	vss_action_trace(e, VSS_TRACE_CHANNEL, NULL, 1, 0);
}

bool
vss_engine_quiet(const struct vss_engine *e)
{
	return (e->e_state == VSS_ENGINE_IDLE &&
	    vss_request_count(&e->e_requests, VSS_REQUEST_FREE) ==
		VSS_ENGINE_MAX_REQUESTS);
}

void
vss_engine_cancel(
    struct vss_engine *e, enum vss_engine_cause cause, uint64_t now_ns)
{
	e->e_now_ns = now_ns;
	vss_action_why(e, cause, NULL);
	vss_stage_raise(e, VSS_ENGINE_EV_CHANNEL_LOST);
}

uint64_t
vss_engine_deadline(const struct vss_engine *e)
{
	return (vss_stage_deadline(e));
}

void
vss_engine_timer(struct vss_engine *e, uint64_t now_ns)
{
	e->e_now_ns = now_ns;
	while (vss_stage_deadline(e) <= now_ns)
		vss_stage_expire(e);
}

/*
 * Client side.
 */

static struct vss_engine_client *
client(struct vss_engine *e, uint32_t slot)
{
	VSS_ASSERT(slot <= e->e_conf->ec_max_clients &&
	    e->e_clients[slot].cl_serial != 0);
	return (&e->e_clients[slot]);
}

/* A free slot for an application; EMFILE when there is none for this uid. */
static int
find_slot(struct vss_engine *e, uint32_t uid, uint32_t *slot)
{
	const struct vss_engine_client *cl;
	uint32_t found, i, mine;

	found = mine = 0;
	for (i = e->e_conf->ec_max_clients; i > 0; i--) {
		cl = &e->e_clients[i];
		if (cl->cl_serial == 0)
			found = i;
		else if (cl->cl_who.ew_uid == uid)
			mine++;
	}
	if (found == 0 || (uid != 0 && mine >= e->e_conf->ec_max_per_uid))
		return (EMFILE);
	*slot = found;
	return (0);
}

int
vss_engine_open(struct vss_engine *e, enum vss_engine_kind kind,
    const struct vss_engine_who *who, uint64_t now_ns, uint32_t *slot)
{
	struct vss_engine_client *cl;
	int error;

	e->e_now_ns = now_ns;
	if (kind == VSS_ENGINE_FS) {
		*slot = 0;
		error = e->e_clients[0].cl_serial != 0 ? EBUSY : 0;
	} else
		error = find_slot(e, who->ew_uid, slot);
	if (error != 0) {
		e->e_nturned_away++;
		vss_action_trace(
		    e, VSS_TRACE_TURNED_AWAY, NULL, who->ew_uid, who->ew_pid);
		return (error);
	}
	cl = &e->e_clients[*slot];
	if (++e->e_last_serial == 0)
		e->e_last_serial = 1;
	vss_client_open(cl, e->e_last_serial, kind, who);
	vss_action_trace(e, VSS_TRACE_OPEN, cl, who->ew_uid, who->ew_pid);
	return (0);
}

/*
 * What a close means depends on what the client had READ: between READ and
 * WRITE it refuses; after it acknowledged FREEZE it breaks the hold, unless
 * THAW was queued for it; in any other case it leaves.
 */
void
vss_engine_close(struct vss_engine *e, uint32_t slot, uint64_t now_ns)
{
	struct vss_engine_client *cl = client(e, slot);
	enum vss_engine_event event;
	bool rests;

	e->e_now_ns = now_ns;
	vss_action_trace(e, VSS_TRACE_CLOSE, cl, 0, 0);
	rests = cl->cl_freeze == VSS_CLIENT_QUIESCED ||
	    cl->cl_freeze == VSS_CLIENT_OWED;
	vss_action_why(e,
	    cl->cl_counted && rests ? VSS_ENGINE_CAUSE_LEFT :
				      VSS_ENGINE_CAUSE_CLOSED,
	    cl);
	if (e->e_why.er_cause == VSS_ENGINE_CAUSE_CLOSED && !cl->cl_awaited &&
	    !vss_client_outstanding(cl))
		e->e_why.er_op = VSS_ENGINE_NONE;
	event = VSS_ENGINE_NEVENTS;
	if (cl->cl_kind == VSS_ENGINE_FS)
		event = VSS_ENGINE_EV_FS_GONE;
	else if (vss_client_outstanding(cl))
		event = VSS_ENGINE_EV_REFUSED;
	else if (cl->cl_counted && cl->cl_freeze != VSS_CLIENT_THAWING)
		event = VSS_ENGINE_EV_BROKEN;
	memset(cl, 0, sizeof(*cl));
	if (event != VSS_ENGINE_NEVENTS)
		vss_stage_raise(e, event);
	else
		vss_stage_settle(e);
}

void
vss_engine_read(struct vss_engine *e, uint32_t slot, uint64_t now_ns,
    struct vss_engine_msg *em)
{
	struct vss_engine_client *cl = client(e, slot);

	e->e_now_ns = now_ns;
	cl->cl_active = true;
	vss_client_read(cl, em);
	if (em->em_id != 0)
		vss_action_trace(e, VSS_TRACE_READ, cl, em->em_op, em->em_id);
}

/*
 * A freeze daemon that knows no PREPARE was written for FreeBSD's own driver:
 * what it had frozen before it refused it thaws when it is sent THAW.
 */
static bool
keeps_frozen(const struct vss_engine_client *cl)
{
	return (cl->cl_kind == VSS_ENGINE_FS && !cl->cl_prepare);
}

/* The answer that is waited for, or a THAW that is owed, has come. */
static void
answered(struct vss_engine *e, struct vss_engine_client *cl,
    const struct vss_engine_msg *em)
{
	enum vss_engine_event event;
	bool ok;

	ok = em->em_status == 0;
	event = VSS_ENGINE_NEVENTS;
	if (em->em_op != VSS_ENGINE_THAW) {
		if (em->em_op == VSS_ENGINE_FREEZE) {
			cl->cl_counted = ok;
			cl->cl_freeze = ok || keeps_frozen(cl) ?
			    VSS_CLIENT_QUIESCED :
			    VSS_CLIENT_NONE;
		}
		if (!ok)
			event = VSS_ENGINE_EV_REFUSED;
	} else {
		if (!ok && cl->cl_counted)
			event = VSS_ENGINE_EV_BROKEN;
		cl->cl_freeze = VSS_CLIENT_NONE;
		cl->cl_counted = false;
	}
	cl->cl_awaited = false;
	if (event == VSS_ENGINE_NEVENTS) {
		vss_stage_settle(e);
		return;
	}
	vss_action_why(e,
	    event == VSS_ENGINE_EV_REFUSED ? VSS_ENGINE_CAUSE_REFUSED :
					     VSS_ENGINE_CAUSE_BROKEN,
	    cl);
	vss_stage_raise(e, event);
}

static void
trace_write(struct vss_engine *e, const struct vss_engine_client *cl,
    const struct vss_engine_msg *em)
{
	struct vss_trace_event te = { .te_kind = VSS_TRACE_WRITE,
		.te_ns = e->e_now_ns,
		.te_client = cl->cl_serial,
		.te_arg = em->em_op,
		.te_value = em->em_status,
		.te_id = em->em_id };

	vss_trace_put(e->e_trace, &te);
}

int
vss_engine_write(struct vss_engine *e, uint32_t slot, uint64_t now_ns,
    const struct vss_engine_msg *em)
{
	struct vss_engine_client *cl = client(e, slot);
	enum vss_client_answer answer;
	bool stale;

	e->e_now_ns = now_ns;
	stale = cl->cl_stale;
	answer = vss_client_write(cl, em);
	if (answer == VSS_CLIENT_UNKNOWN)
		return (EINVAL);
	trace_write(e, cl, em);
	if (stale && !cl->cl_stale)
		vss_action_trace(e, VSS_TRACE_STALE, cl, 0, 0);
	if (answer == VSS_CLIENT_BROKE) {
		vss_action_why(e, VSS_ENGINE_CAUSE_BROKEN, cl);
		cl->cl_counted = false;
		vss_stage_raise(e, VSS_ENGINE_EV_BROKEN);
	} else if (answer == VSS_CLIENT_ANSWERED &&
	    em->em_id == cl->cl_asked_id)
		answered(e, cl, em);
	cl->cl_reason[0] = '\0';
	return (0);
}

bool
vss_engine_poll(struct vss_engine *e, uint32_t slot, uint64_t now_ns)
{
	struct vss_engine_client *cl = client(e, slot);

	e->e_now_ns = now_ns;
	cl->cl_active = true;
	return (vss_client_readable(cl));
}

int
vss_engine_hello(struct vss_engine *e, uint32_t slot, const char *name,
    uint32_t level, bool want_prepare)
{
	struct vss_engine_client *cl = client(e, slot);
	size_t len;

	for (len = 0; len < VSS_ENGINE_NAME_MAX && name[len] != '\0'; len++)
		if (name[len] < ' ' || name[len] > '~')
			return (EINVAL);
	if (len == VSS_ENGINE_NAME_MAX || level > VSS_ENGINE_LEVEL_MAX)
		return (EINVAL);
	if (len != 0)
		memcpy(cl->cl_name, name, len + 1);
	cl->cl_next_level = level;
	cl->cl_next_prepare = want_prepare;
	return (0);
}

void
vss_engine_reason(struct vss_engine *e, uint32_t slot, const char *text)
{
	vss_client_copy_text(client(e, slot)->cl_reason, VSS_ENGINE_REASON_MAX,
	    text, VSS_ENGINE_REASON_MAX);
}

uint64_t
vss_engine_time_left(const struct vss_engine *e, uint64_t now_ns)
{
	uint64_t limit;

	limit = e->e_stage_ns < e->e_limit_ns ? e->e_stage_ns : e->e_limit_ns;
	if (limit == VSS_ENGINE_NEVER || limit <= now_ns)
		return (0);
	return (limit - now_ns);
}

bool
vss_engine_luns(const struct vss_engine *e, struct vss_wire_request *wr,
    const uint8_t **luns)
{
	const struct vss_request *rq = e->e_cur;

	if (rq == NULL || rq->rq_vss.wr_op != VSS_WIRE_FREEZE)
		return (false);
	*wr = rq->rq_vss;
	*luns = vss_wire_luns(rq->rq_pkt);
	return (true);
}

bool
vss_engine_wake(struct vss_engine *e, uint32_t *slot)
{
	uint32_t i;

	for (i = 0; i <= e->e_conf->ec_max_clients; i++) {
		if (!e->e_clients[i].cl_wake)
			continue;
		e->e_clients[i].cl_wake = false;
		*slot = i;
		return (true);
	}
	return (false);
}

void
vss_engine_status(const struct vss_engine *e, struct vss_engine_status *es)
{
	const struct vss_engine_client *cl;
	uint32_t i;

	memset(es, 0, sizeof(*es));
	es->es_state = vss_engine_state_name(e->e_state);
	es->es_frozen = e->e_state >= VSS_ENGINE_APPS_QUIESCING;
	es->es_lost = e->e_lost;
	es->es_channel = e->e_channel;
	es->es_agreed = e->e_agreed;
	es->es_daemon = e->e_clients[0].cl_serial != 0;
	for (i = 1; i <= e->e_conf->ec_max_clients; i++) {
		cl = &e->e_clients[i];
		es->es_napps += cl->cl_serial != 0 && cl->cl_active;
		es->es_nstale += cl->cl_serial != 0 && cl->cl_stale;
	}
	es->es_requests = e->e_nrequests;
	es->es_replies = e->e_nreplies;
	es->es_dropped = e->e_ndropped;
	es->es_turned_away = e->e_nturned_away;
	es->es_failure = e->e_failure;
}
