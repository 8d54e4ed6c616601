/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/*
 * Visits every reachable state of the real engine for one freeze daemon, up to
 * two applications and up to two requests of the host at once, with every
 * answer, refusal, close, loss of channel and passing of a limit at every
 * moment; and says how many there are.  Prints TAP; a broken promise with the
 * shortest list of steps that leads to it.
 *
 * Time goes from one deadline to the next, since nothing in the engine changes
 * between them, or stands still; one that has passed in the middle of a stage
 * is the same as one that passes a moment later.  Two states are the same when
 * they differ in nothing that the engine's later behaviour can depend on:
 * canon() writes that down, times as distances, ids as what they stand for.
 *
 * In every state it is also seen that nobody need come back: when all stay
 * silent for ever each request is answered, and when all close the engine is
 * idle again, in a bounded number of deadlines.
 */

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "action.h"
#include "engine.h"

#define MAX_APPS     2
#define MAX_CLIENTS  (MAX_APPS + 1)
#define MAX_REQUESTS 2
#define SLOTS	     4 /* requests a state may hold: answered ones go at once */
#define REST_STEPS   40

static struct vss_engine eng;
static struct vss_engine_conf conf;
static struct vss_engine_client clients[MAX_CLIENTS];
static struct vss_trace trace;
static struct vss_trace_event events[16];
static uint64_t now, nxid;
static uint32_t napps = 1;

/*
 * What a step is.  WRITE's argument is the index in the client's ids.
 */
enum step_kind {
	HOST_CHECK,
	HOST_FREEZE,
	HOST_THAW,
	HOST_COMPLETE,
	HOST_NEGOTIATE,
	CHANNEL,
	CANCEL,
	OPEN,
	CLOSE,
	READ,
	WRITE_OK,
	WRITE_FAIL,
	TIME,
	NKINDS
};

static const char *const kind_names[] = { "host CHECK", "host FREEZE",
	"host THAW", "host BACKUP_COMPLETE", "host NEGOTIATE", "channel lost",
	"called off", "open", "close", "READ", "WRITE success", "WRITE failure",
	"next deadline" };

struct step {
	uint8_t st_kind;
	uint8_t st_client;
	uint8_t st_arg;
};

/* A state, without texts, packets and statistics. */
struct snap {
	enum vss_engine_state sn_state;
	bool sn_lost;
	uint64_t sn_now, sn_limit, sn_stage, sn_quiesce, sn_level, sn_undo;
	int32_t sn_lvl;
	uint64_t sn_last_id;
	int sn_cur;
	uint32_t sn_nreq;
	struct {
		enum vss_request_state state;
		uint64_t seq, deadline, xactid, arrived;
		bool lost, negotiate;
		uint8_t op;
	} sn_req[SLOTS];
	struct {
		uint32_t serial, level, next_level, silences, nids;
		enum vss_engine_kind kind;
		bool active, prepare, next_prepare, part, awaited, counted,
		    stale;
		enum vss_engine_op asked_op;
		uint64_t asked_id, thaw_ns;
		enum vss_client_freeze freeze;
		struct vss_client_note thaw, note;
		struct vss_client_id ids[VSS_ENGINE_IDS];
	} sn_cl[MAX_CLIENTS];
};

/* The states found, in the order in which they were found. */
struct node {
	uint32_t nd_parent;
	struct step nd_step;
};

static struct snap *snaps; /* one for each node */
static struct node *nodes;
static uint64_t *hashes; /* open addressing, two words each */
static uint64_t nnodes, max_nodes, nedges;
static uint64_t hash_mask;
static uint64_t visiting;

static void
print_path(uint64_t i, const struct step *last)
{
	if (i != 0)
		print_path(nodes[i].nd_parent, &nodes[i].nd_step);
	if (last != NULL)
		printf("#   %s %u (%u)\n", kind_names[last->st_kind],
		    last->st_client, last->st_arg);
}

static struct step current;

static void __attribute__((noreturn)) broken(const char *what)
{
	printf("not ok 1 - in %s: %s\n# after:\n",
	    vss_engine_state_name(eng.e_state), what);
	print_path(visiting, &current);
	printf("1..1\n");
	exit(1);
}

void
vss_port_assert_failed(const char *expr, const char *file, int line)
{
	printf("# %s:%d: %s\n", file, line, expr);
	broken("an assertion of the core failed");
}

/* What of a client a state consists of, its ids apart. */
#define CLIENT_FIELDS(X) \
	X(serial)        \
	X(level)         \
	X(next_level)    \
	X(silences)      \
	X(nids)          \
	X(kind)          \
	X(active)        \
	X(prepare)       \
	X(next_prepare)  \
	X(part)          \
	X(awaited)       \
	X(counted)       \
	X(stale)         \
	X(asked_op)      \
	X(asked_id)      \
	X(thaw_ns)       \
	X(freeze)        \
	X(thaw)          \
	X(note)

static void
save(struct snap *sn)
{
	const struct vss_request *rq;
	const struct vss_engine_client *cl;
	uint32_t i;

	memset(sn, 0, sizeof(*sn));
	sn->sn_state = eng.e_state;
	sn->sn_lost = eng.e_lost;
	sn->sn_now = now;
	sn->sn_limit = eng.e_limit_ns;
	sn->sn_stage = eng.e_stage_ns;
	sn->sn_quiesce = eng.e_quiesce_ns;
	sn->sn_level = eng.e_level_ns;
	sn->sn_undo = eng.e_undo_ns;
	sn->sn_lvl = eng.e_level;
	sn->sn_last_id = eng.e_last_id;
	sn->sn_cur = -1;
	for (i = 0; i < SLOTS; i++) {
		rq = &eng.e_requests.rt_slots[i];
		if (eng.e_cur == rq)
			sn->sn_cur = (int)i;
		sn->sn_req[i].state = rq->rq_state;
		sn->sn_req[i].seq = rq->rq_seq;
		sn->sn_req[i].deadline = rq->rq_deadline_ns;
		sn->sn_req[i].xactid = rq->rq_reply.ey_xactid;
		sn->sn_req[i].arrived = rq->rq_reply.ey_arrived_ns;
		sn->sn_req[i].lost = rq->rq_lost;
		sn->sn_req[i].negotiate = rq->rq_reply.ey_negotiate;
		sn->sn_req[i].op = rq->rq_reply.ey_op;
	}
	for (i = 0; i <= napps; i++) {
		cl = &clients[i];
#define COPY(f) sn->sn_cl[i].f = cl->cl_##f;
		CLIENT_FIELDS(COPY)
#undef COPY
		memcpy(sn->sn_cl[i].ids, cl->cl_ids, sizeof(cl->cl_ids));
	}
}

static void
load(const struct snap *sn)
{
	struct vss_request *rq;
	struct vss_engine_client *cl;
	uint32_t i;

	vss_request_drop_all(&eng.e_requests);
	eng.e_state = sn->sn_state;
	eng.e_lost = sn->sn_lost;
	now = eng.e_now_ns = sn->sn_now;
	eng.e_limit_ns = sn->sn_limit;
	eng.e_stage_ns = sn->sn_stage;
	eng.e_quiesce_ns = sn->sn_quiesce;
	eng.e_level_ns = sn->sn_level;
	eng.e_undo_ns = sn->sn_undo;
	eng.e_level = sn->sn_lvl;
	eng.e_last_id = sn->sn_last_id;
	eng.e_cur = sn->sn_cur < 0 ? NULL :
				     &eng.e_requests.rt_slots[sn->sn_cur];
	eng.e_req = eng.e_rx = NULL;
	for (i = 0; i < SLOTS; i++) {
		rq = &eng.e_requests.rt_slots[i];
		rq->rq_state = sn->sn_req[i].state;
		rq->rq_seq = sn->sn_req[i].seq;
		rq->rq_deadline_ns = sn->sn_req[i].deadline;
		rq->rq_lost = sn->sn_req[i].lost;
		memset(&rq->rq_reply, 0, sizeof(rq->rq_reply));
		rq->rq_reply.ey_pkt = rq->rq_pkt;
		rq->rq_reply.ey_len = VSS_WIRE_MIN_LEN;
		rq->rq_reply.ey_xactid = sn->sn_req[i].xactid;
		rq->rq_reply.ey_arrived_ns = sn->sn_req[i].arrived;
		rq->rq_reply.ey_negotiate = sn->sn_req[i].negotiate;
		rq->rq_reply.ey_op = sn->sn_req[i].op;
		if (rq->rq_seq > eng.e_requests.rt_seq)
			eng.e_requests.rt_seq = rq->rq_seq;
	}
	for (i = 0; i <= napps; i++) {
		cl = &clients[i];
#define COPY(f) cl->cl_##f = sn->sn_cl[i].f;
		CLIENT_FIELDS(COPY)
#undef COPY
		memcpy(cl->cl_ids, sn->sn_cl[i].ids, sizeof(cl->cl_ids));
	}
}

/*
 * The canonical form, hashed as it is written.
 */
static uint64_t h1, h2;

static void
mix(uint64_t v)
{
	h1 = (h1 ^ v) * 0x9e3779b97f4a7c15ULL;
	h1 ^= h1 >> 29;
	h2 = (h2 + v) * 0xc2b2ae3d27d4eb4fULL;
	h2 ^= h2 >> 31;
}

static void
mix_time(uint64_t t)
{
	mix(t == VSS_ENGINE_NEVER ? t : t <= now ? 0 : t - now);
}

static void
canon_client(const struct vss_engine_client *cl)
{
	const struct vss_client_id *ci;
	uint32_t i, known;

	mix(cl->cl_serial != 0);
	if (cl->cl_serial == 0)
		return;
	mix((uint64_t)cl->cl_active | (uint64_t)cl->cl_part << 1 |
	    (uint64_t)cl->cl_awaited << 2 | (uint64_t)cl->cl_counted << 3 |
	    (uint64_t)cl->cl_stale << 4 | (uint64_t)cl->cl_silences << 5);
	mix((uint64_t)cl->cl_freeze);
	mix((uint64_t)cl->cl_asked_op);
	mix(cl->cl_thaw.cn_id != 0);
	mix(cl->cl_thaw.cn_id != 0 && cl->cl_thaw.cn_id == cl->cl_asked_id);
	mix(cl->cl_note.cn_id != 0 ? (uint64_t)cl->cl_note.cn_op : 0);
	mix(cl->cl_note.cn_id != 0 && cl->cl_note.cn_over);
	if (eng.e_state == VSS_ENGINE_UNDO_APPS_RESUMING && cl->cl_awaited)
		mix_time(cl->cl_thaw_ns + VSS_ACTION_PATIENCE_NS);
	/* Ids: what an answer to them would do. */
	known = 0;
	for (i = 0; i < VSS_ENGINE_IDS; i++) {
		ci = &cl->cl_ids[i];
		known |= ci->ci_state != VSS_CLIENT_ID_UNUSED;
		if (ci->ci_state == VSS_CLIENT_ID_OUTSTANDING ||
		    (ci->ci_state == VSS_CLIENT_ID_ANSWERED &&
			ci->ci_op == VSS_ENGINE_FREEZE && cl->cl_counted)) {
			mix((uint64_t)ci->ci_op << 8 | (uint64_t)ci->ci_state);
			mix(ci->ci_id == cl->cl_asked_id);
		}
	}
	mix(known);
}

static void
canon(void)
{
	const struct vss_request *rq;
	struct vss_request *order[SLOTS] = { NULL };
	uint32_t i, n;

	h1 = 0x243f6a8885a308d3ULL;
	h2 = 0x13198a2e03707344ULL;
	mix((uint64_t)eng.e_state << 1 | eng.e_lost);
	mix_time(eng.e_limit_ns);
	mix_time(eng.e_stage_ns);
	if (eng.e_state == VSS_ENGINE_APPS_QUIESCING)
		mix_time(eng.e_quiesce_ns);
	mix((uint64_t)(eng.e_level + 1));
	if (eng.e_state == VSS_ENGINE_APPS_RESUMING ||
	    eng.e_state == VSS_ENGINE_UNDO_APPS_RESUMING)
		mix_time(eng.e_level_ns);
	if (eng.e_state == VSS_ENGINE_UNDO_FS_THAWING ||
	    eng.e_state == VSS_ENGINE_UNDO_APPS_RESUMING)
		mix_time(eng.e_undo_ns + VSS_ACTION_PATIENCE_NS);
	for (i = n = 0; i < SLOTS; i++)
		if (eng.e_requests.rt_slots[i].rq_state != VSS_REQUEST_FREE)
			order[n++] = &eng.e_requests.rt_slots[i];
	if (n == 2 && order[0]->rq_seq > order[1]->rq_seq) {
		order[2] = order[0];
		order[0] = order[1];
		order[1] = order[2];
	}
	for (i = 0; i < n; i++) {
		rq = order[i];
		mix((uint64_t)rq->rq_state << 8 | rq->rq_reply.ey_op);
		mix((uint64_t)rq->rq_lost << 1 | (eng.e_cur == rq));
		mix_time(rq->rq_deadline_ns);
	}
	for (i = 0; i <= napps; i++)
		canon_client(&clients[i]);
}

static uint32_t
outstanding(void)
{
	return (VSS_ENGINE_MAX_REQUESTS -
	    vss_request_count(&eng.e_requests, VSS_REQUEST_FREE));
}

/*
 * Steps.
 */

static void
host_sends(uint8_t op)
{
	struct vmbus_icmsg_agreed agreed = { { 3, 0 }, { 5, 0 } };
	struct vss_wire_request wr = { 0 };
	uint8_t *buf;
	uint32_t len;

	wr.wr_op = op;
	buf = vss_engine_rx_buf(&eng);
	len = vss_wire_encode(buf, VMBUS_ICMSG_PKT_MAX, &agreed, &wr, NULL);
	vss_engine_rx(&eng, len, ++nxid, now);
}

static void
host_negotiates(void)
{
	static const struct vmbus_icmsg_version fw[] = { { 3, 0 } };
	static const struct vmbus_icmsg_version ms[] = { { 5, 0 } };
	struct vmbus_icmsg_versions v = { fw, ms, 1, 1 };
	uint8_t *buf;
	uint32_t len;

	buf = vss_engine_rx_buf(&eng);
	len = vmbus_icmsg_offer(buf, VMBUS_ICMSG_PKT_MAX, &v);
	vss_engine_rx(&eng, len, ++nxid, now);
}

/* All replies go out; each must be one that may be given now. */
static void
drain(uint64_t fresh)
{
	struct vss_engine_reply ey;
	uint32_t slot;

	while (vss_engine_reply(&eng, &ey)) {
		if (now - ey.ey_arrived_ns > 120 * VSS_NS_PER_S ||
		    (ey.ey_op == VSS_WIRE_THAW && !ey.ey_negotiate &&
			now - ey.ey_arrived_ns > conf.ec_thaw_ns) ||
		    (ey.ey_op == VSS_WIRE_CHECK_HOT_BACKUP &&
			!ey.ey_negotiate &&
			now - ey.ey_arrived_ns > conf.ec_check_ns))
			broken("a reply came after its limit");
		if (ey.ey_status != 0 &&
		    ey.ey_reason.er_cause == VSS_ENGINE_CAUSE_NONE)
			broken("a failure without a reason");
		if (ey.ey_status == 0 && !ey.ey_negotiate &&
		    ey.ey_op == VSS_WIRE_CHECK_HOT_BACKUP &&
		    (current.st_kind != WRITE_OK || current.st_client != 0))
			broken("CHECK is OK though the daemon did not say so");
		if (ey.ey_negotiate && ey.ey_xactid != fresh)
			broken("NEGOTIATE was not answered in its own wake");
		vss_engine_sent(&eng);
	}
	while (vss_engine_wake(&eng, &slot))
		;
}

static void
open_client(uint32_t i)
{
	struct vss_engine_who who = { 0 };
	uint32_t slot;

	(void)vss_engine_open(
	    &eng, i == 0 ? VSS_ENGINE_FS : VSS_ENGINE_APP, &who, now, &slot);
	if (slot != i)
		broken("another slot was given out");
	/* The first application is a front end that wants PREPARE. */
	if (i == 1)
		(void)vss_engine_hello(&eng, slot, "", 10, true);
	(void)vss_engine_poll(&eng, slot, now);
}

static void
write_client(uint32_t i, uint32_t arg, uint32_t status)
{
	struct vss_engine_msg em;

	em.em_op = clients[i].cl_ids[arg].ci_op;
	em.em_id = clients[i].cl_ids[arg].ci_id;
	em.em_status = status;
	if (vss_engine_write(&eng, i, now, &em) != 0)
		broken("an answer is refused");
}

static void
take(const struct step *st)
{
	struct vss_engine_msg em;
	uint64_t fresh;

	fresh = 0;
	switch (st->st_kind) {
	case HOST_CHECK:
		host_sends(VSS_WIRE_CHECK_HOT_BACKUP);
		break;
	case HOST_FREEZE:
		host_sends(VSS_WIRE_FREEZE);
		break;
	case HOST_THAW:
		host_sends(VSS_WIRE_THAW);
		break;
	case HOST_COMPLETE:
		host_sends(VSS_WIRE_BACKUP_COMPLETE);
		break;
	case HOST_NEGOTIATE:
		host_negotiates();
		fresh = nxid;
		break;
	case CHANNEL:
		vss_engine_channel_lost(&eng, now);
		if (outstanding() != 0)
			broken("a lost channel's request is kept");
		vss_engine_channel_opened(&eng, now);
		break;
	case CANCEL:
		vss_engine_cancel(&eng, VSS_ENGINE_CAUSE_CANCELLED, now);
		if (outstanding() != 0)
			broken("a request that was called off is kept");
		if (vss_engine_quiet(&eng) != (eng.e_state == VSS_ENGINE_IDLE))
			broken("it is not quiet after that");
		break;
	case OPEN:
		open_client(st->st_client);
		break;
	case CLOSE:
		vss_engine_close(&eng, st->st_client, now);
		break;
	case READ:
		vss_engine_read(&eng, st->st_client, now, &em);
		break;
	case WRITE_OK:
	case WRITE_FAIL:
		write_client(
		    st->st_client, st->st_arg, st->st_kind == WRITE_FAIL);
		break;
	case TIME:
	default:
		now = vss_engine_deadline(&eng);
		vss_engine_timer(&eng, now);
		break;
	}
	drain(fresh);
}

/* The steps that can be taken here; how many. */
static uint32_t
steps(struct step *list)
{
	const struct vss_engine_client *cl;
	uint32_t c, i, k, n;

	n = 0;
#define ADD(kind, client, arg)       \
	(list[n++] = (struct step) { \
	     (uint8_t)(kind), (uint8_t)(client), (uint8_t)(arg) })
	for (k = HOST_CHECK; k <= HOST_NEGOTIATE; k++)
		if (outstanding() < MAX_REQUESTS)
			ADD(k, 0, 0);
	ADD(CHANNEL, 0, 0);
	ADD(CANCEL, 0, 0);
	if (vss_engine_deadline(&eng) != VSS_ENGINE_NEVER)
		ADD(TIME, 0, 0);
	for (c = 0; c <= napps; c++) {
		cl = &clients[c];
		if (cl->cl_serial == 0) {
			ADD(OPEN, c, 0);
			/* Applications in slot order, or they are the same. */
			if (c != 0)
				break;
			continue;
		}
		ADD(CLOSE, c, 0);
		if (vss_client_readable(cl))
			ADD(READ, c, 0);
		for (i = 0; i < VSS_ENGINE_IDS; i++) {
			if (cl->cl_ids[i].ci_state == VSS_CLIENT_ID_UNUSED)
				continue;
			if (cl->cl_ids[i].ci_state ==
			    VSS_CLIENT_ID_OUTSTANDING) {
				ADD(WRITE_OK, c, i);
				ADD(WRITE_FAIL, c, i);
			} else if (cl->cl_counted || cl->cl_silences != 0)
				ADD(WRITE_FAIL, c, i);
		}
	}
#undef ADD
	return (n);
}

/*
 * Promises of one state, and of what time alone makes of it.
 */
static void
check_state(const struct snap *sn)
{
	bool undo;
	uint32_t i;

	undo = eng.e_state == VSS_ENGINE_UNDO_FS_THAWING ||
	    eng.e_state == VSS_ENGINE_UNDO_APPS_RESUMING;
	if (vss_engine_deadline(&eng) == VSS_ENGINE_NEVER &&
	    eng.e_state != VSS_ENGINE_IDLE && !(undo && clients[0].cl_awaited))
		broken("it waits without a deadline");
	if (eng.e_state == VSS_ENGINE_IDLE && outstanding() != 0)
		broken("a request is forgotten in idle");
	if (eng.e_state == VSS_ENGINE_HOLDING) {
		if (clients[0].cl_serial == 0 || !clients[0].cl_counted)
			broken("a hold without the file systems frozen");
		for (i = 1; i <= napps; i++)
			if (clients[i].cl_serial != 0 && clients[i].cl_part &&
			    !clients[i].cl_counted &&
			    clients[i].cl_silences == 0 &&
			    clients[i].cl_freeze != VSS_CLIENT_NONE &&
			    clients[i].cl_freeze != VSS_CLIENT_TOLD)
				broken("a hold without an application");
	}
	/* All silent for ever: every request is answered. */
	for (i = 0; i < REST_STEPS; i++) {
		if (vss_engine_deadline(&eng) == VSS_ENGINE_NEVER)
			break;
		now = vss_engine_deadline(&eng);
		vss_engine_timer(&eng, now);
		drain(0);
	}
	if (i == REST_STEPS || outstanding() != 0)
		broken("silence leaves a request unanswered");
	/* All gone: idle. */
	load(sn);
	for (i = 0; i <= napps; i++)
		if (clients[i].cl_serial != 0)
			vss_engine_close(&eng, i, now);
	for (i = 0; i < REST_STEPS && eng.e_state != VSS_ENGINE_IDLE; i++) {
		if (vss_engine_deadline(&eng) == VSS_ENGINE_NEVER)
			broken("it does not come to rest when all are gone");
		now = vss_engine_deadline(&eng);
		vss_engine_timer(&eng, now);
	}
	drain(0);
	if (eng.e_state != VSS_ENGINE_IDLE || outstanding() != 0)
		broken("it does not come to rest when all are gone");
	load(sn);
}

/* LOST changes only where it may, and THAW is OK only while it is not set. */
static void
check_step(const struct snap *before, const struct step *st)
{
	bool freezing;

	freezing = eng.e_state == VSS_ENGINE_PREPARING ||
	    eng.e_state == VSS_ENGINE_APPS_QUIESCING ||
	    eng.e_state == VSS_ENGINE_FS_FREEZING;
	if (before->sn_lost && !eng.e_lost && !freezing &&
	    st->st_kind != HOST_FREEZE &&
	    !(st->st_kind == HOST_COMPLETE &&
		before->sn_state == VSS_ENGINE_IDLE) &&
	    before->sn_nreq == 0)
		broken("LOST was cleared");
	if (!before->sn_lost && eng.e_lost &&
	    before->sn_state != VSS_ENGINE_HOLDING &&
	    before->sn_state != VSS_ENGINE_FS_THAWING &&
	    before->sn_state != VSS_ENGINE_APPS_RESUMING)
		broken("LOST without a hold");
	if (before->sn_state == VSS_ENGINE_HOLDING &&
	    eng.e_state != VSS_ENGINE_HOLDING && st->st_kind != HOST_THAW &&
	    !eng.e_lost)
		broken("a hold ended and is not LOST");
}

static bool
seen(void)
{
	uint64_t i;

	canon();
	if (h1 == 0 && h2 == 0)
		h1 = 1;
	for (i = h1 & hash_mask;; i = (i + 1) & hash_mask) {
		if (hashes[2 * i] == 0 && hashes[2 * i + 1] == 0) {
			hashes[2 * i] = h1;
			hashes[2 * i + 1] = h2;
			return (false);
		}
		if (hashes[2 * i] == h1 && hashes[2 * i + 1] == h2)
			return (true);
	}
}

static void
add(uint64_t parent, const struct step *st)
{
	if (nnodes == max_nodes) {
		printf("not ok 1 - more than %llu states\n1..1\n",
		    (unsigned long long)max_nodes);
		exit(1);
	}
	nodes[nnodes].nd_parent = (uint32_t)parent;
	nodes[nnodes].nd_step = *st;
	save(&snaps[nnodes]);
	nnodes++;
}

static void
explore(void)
{
	struct step list[64], none = { 0 };
	struct snap here;
	uint32_t i, n;

	(void)seen();
	add(0, &none);
	for (visiting = 0; visiting < nnodes; visiting++) {
		here = snaps[visiting];
		load(&here);
		here.sn_nreq = outstanding();
		current = none;
		current.st_kind = TIME;
		check_state(&here);
		n = steps(list);
		for (i = 0; i < n; i++) {
			load(&here);
			current = list[i];
			take(&current);
			nedges++;
			check_step(&here, &current);
			if (!seen())
				add(visiting, &current);
		}
	}
}

static void
start(bool besteffort)
{
	vss_engine_conf_default(&conf);
	conf.ec_max_clients = napps;
	conf.ec_besteffort = besteffort;
	memset(clients, 0, sizeof(clients));
	vss_trace_init(&trace, events, VSS_NELEM(events));
	now = 1000 * VSS_NS_PER_S;
	nnodes = nedges = 0;
	memset(hashes, 0, 16 * (hash_mask + 1));
	if (vss_engine_init(&eng, &conf, clients, &trace) != 0)
		broken("the engine refuses its limits");
	vss_engine_channel_opened(&eng, now);
}

int
main(int argc, char **argv)
{
	uint64_t states;
	int ch, k;

	max_nodes = 100000;
	while ((ch = getopt(argc, argv, "a:m:")) != -1) {
		if (ch == 'a' && atoi(optarg) >= 1 && atoi(optarg) <= MAX_APPS)
			napps = (uint32_t)atoi(optarg);
		else if (ch == 'm')
			max_nodes = strtoull(optarg, NULL, 0);
		else {
			fprintf(stderr,
			    "usage: hv_vss_model [-a applications] "
			    "[-m states]\n");
			return (1);
		}
	}
	for (hash_mask = 1; hash_mask < 2 * max_nodes; hash_mask *= 2)
		;
	hash_mask--;
	snaps = malloc(max_nodes * sizeof(*snaps));
	nodes = malloc(max_nodes * sizeof(*nodes));
	hashes = malloc(16 * (hash_mask + 1));
	if (snaps == NULL || nodes == NULL || hashes == NULL) {
		printf("1..0 # SKIP no memory for %llu states\n",
		    (unsigned long long)max_nodes);
		return (0);
	}
	states = 0;
	for (k = 0; k < 2; k++) {
		start(k == 1);
		explore();
		printf("# apps %s, %u applications: %llu states, %llu steps\n",
		    k == 1 ? "besteffort" : "require", napps,
		    (unsigned long long)nnodes, (unsigned long long)nedges);
		states += nnodes;
	}
	printf("ok 1 - every promise holds in all %llu reachable states\n"
	       "1..1\n",
	    (unsigned long long)states);
	return (0);
}
