/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/*
 * The engine: the input is a sequence of its calls, packets of any bytes among
 * them, with any settings that it takes.  After each call: no deadline is
 * behind, every request that is not dropped has one answer within its limit,
 * success only while all that takes part is quiesced and frozen, nothing owed
 * in idle, a deadline in every other state that waits.
 */

#include "engine.h"
#include "fuzz.h"

#define CLIENTS	  5
#define XACTS_MAX 4096

static struct {
	struct fuzz_in fz_in;
	struct vss_engine fz_e;
	struct vss_engine_conf fz_ec;
	struct vss_engine_client fz_clients[CLIENTS + 1];
	struct vss_trace fz_trace;
	struct vss_trace_event fz_events[64];
	uint64_t fz_now_ns;
	uint64_t fz_nxacts;
	uint8_t fz_answered[XACTS_MAX];
	bool fz_full; /* the channel has no room for replies */
	uint64_t fz_ids[CLIENTS + 1][4];
	uint32_t fz_ops[CLIENTS + 1][4];
	uint8_t fz_nids[CLIENTS + 1];
	bool fz_let_go[CLIENTS + 1]; /* was stale during this FREEZE */
} fz;

static uint64_t
limit_of(const struct vss_engine_reply *ey)
{
	if (ey->ey_negotiate)
		return (0);
	switch (ey->ey_op) {
	case VSS_WIRE_CHECK_HOT_BACKUP:
		return (fz.fz_ec.ec_check_ns);
	case VSS_WIRE_FREEZE:
		return (fz.fz_ec.ec_freeze_ns);
	case VSS_WIRE_THAW:
		return (fz.fz_ec.ec_thaw_ns);
	default:
		return (0);
	}
}

/* Success of FREEZE, as it is given: all that takes part is at rest. */
static void
check_frozen(void)
{
	const struct vss_engine_client *cl;

	FUZZ_CHECK(fz.fz_e.e_state == VSS_ENGINE_HOLDING && !fz.fz_e.e_lost);
	FUZZ_CHECK(fz.fz_clients[0].cl_serial != 0 &&
	    fz.fz_clients[0].cl_freeze == VSS_CLIENT_QUIESCED);
	for (cl = fz.fz_clients + 1; cl <= fz.fz_clients + CLIENTS; cl++)
		FUZZ_CHECK(cl->cl_serial == 0 || !cl->cl_part ||
		    fz.fz_let_go[cl - fz.fz_clients] ||
		    cl->cl_freeze == VSS_CLIENT_QUIESCED);
}

static void
check_reply(const struct vss_engine_reply *ey, bool at_once)
{
	struct vmbus_icmsg im;

	FUZZ_CHECK(ey->ey_xactid >= 1 && ey->ey_xactid <= fz.fz_nxacts);
	FUZZ_CHECK(++fz.fz_answered[ey->ey_xactid % XACTS_MAX] == 1);
	FUZZ_CHECK(ey->ey_answered_ns >= ey->ey_arrived_ns &&
	    ey->ey_answered_ns - ey->ey_arrived_ns <= limit_of(ey));
	FUZZ_CHECK(vmbus_icmsg_decode(ey->ey_pkt, ey->ey_len, &im) == 0);
	FUZZ_CHECK(im.im_flags == 5);
	FUZZ_CHECK(ey->ey_negotiate || im.im_status == ey->ey_status);
	if (ey->ey_status != 0)
		FUZZ_CHECK(ey->ey_reason.er_cause != VSS_ENGINE_CAUSE_NONE &&
		    vss_engine_cause_text(ey->ey_reason.er_cause)[0] != '\0');
	else if (!ey->ey_negotiate && at_once) {
		if (ey->ey_op == VSS_WIRE_FREEZE)
			check_frozen();
		if (ey->ey_op == VSS_WIRE_THAW)
			FUZZ_CHECK(!fz.fz_e.e_lost);
	}
}

/* A late answer ends staleness, and counts for the next FREEZE only. */
static void
note_stale(void)
{
	uint32_t i;

	for (i = 0; i <= CLIENTS; i++)
		fz.fz_let_go[i] = fz.fz_e.e_state != VSS_ENGINE_IDLE &&
		    (fz.fz_let_go[i] || fz.fz_clients[i].cl_stale);
}

static void
send_replies(bool at_once)
{
	struct vss_engine_reply ey;

	note_stale();
	if (fz.fz_full)
		return;
	while (vss_engine_reply(&fz.fz_e, &ey)) {
		check_reply(&ey, at_once);
		vss_engine_sent(&fz.fz_e);
	}
}

static void
check_state(void)
{
	const struct vss_engine_client *cl;
	struct vss_engine_status es;
	uint32_t slot;

	FUZZ_CHECK(vss_engine_deadline(&fz.fz_e) > fz.fz_now_ns);
	FUZZ_CHECK(
	    vss_engine_time_left(&fz.fz_e, fz.fz_now_ns) <= 900 * VSS_NS_PER_S);
	while (vss_engine_wake(&fz.fz_e, &slot))
		FUZZ_CHECK(slot <= CLIENTS && fz.fz_clients[slot].cl_serial);
	vss_engine_status(&fz.fz_e, &es);
	FUZZ_CHECK(es.es_requests >= es.es_replies && es.es_napps <= CLIENTS);
	if (fz.fz_e.e_state != VSS_ENGINE_IDLE) {
		/* An undo waits for the freeze daemon without a limit. */
		FUZZ_CHECK(vss_engine_deadline(&fz.fz_e) != VSS_ENGINE_NEVER ||
		    ((fz.fz_e.e_state == VSS_ENGINE_UNDO_FS_THAWING ||
			 fz.fz_e.e_state == VSS_ENGINE_UNDO_APPS_RESUMING) &&
			fz.fz_clients[0].cl_awaited));
		return;
	}
	FUZZ_CHECK(!es.es_frozen);
	for (cl = fz.fz_clients; cl <= fz.fz_clients + CLIENTS; cl++)
		FUZZ_CHECK(cl->cl_serial == 0 ||
		    (cl->cl_freeze == VSS_CLIENT_NONE && !cl->cl_awaited &&
			!cl->cl_counted));
}

static void
pass_time(uint64_t ns)
{
	uint64_t until = fz.fz_now_ns + ns, next;

	/* In steps: each answer is given when it is due. */
	while ((next = vss_engine_deadline(&fz.fz_e)) <= until) {
		if (next > fz.fz_now_ns)
			fz.fz_now_ns = next;
		vss_engine_timer(&fz.fz_e, fz.fz_now_ns);
		send_replies(true);
		check_state();
	}
	fz.fz_now_ns = until;
}

static void
packet(uint8_t how)
{
	static const struct vmbus_icmsg_agreed agreed = { { 3, 0 }, { 5, 0 } };
	static const struct vmbus_icmsg_version v[] = { { 5, 0 }, { 3, 0 } };
	struct vmbus_icmsg_versions offer = { v, v, 2, 2 };
	struct vss_wire_request wr = { 0 };
	static const struct vss_wire_lun luns[2 * VSS_WIRE_LUN_MAX];
	uint32_t len, n;
	uint8_t *buf;

	if (fz.fz_nxacts + 1 == XACTS_MAX)
		return;
	buf = vss_engine_rx_buf(&fz.fz_e);
	if (buf == NULL) {
		FUZZ_CHECK(fz.fz_full);
		return;
	}
	wr.wr_op = how % 12;
	if (how >= 192 && how % 3 == 0) {
		wr.wr_form = VSS_WIRE_MESSAGE2 + how % 2;
		wr.wr_nluns = how % 12;
	}
	if (how % 12 == 11)
		len = vmbus_icmsg_offer(buf, VMBUS_ICMSG_PKT_MAX, &offer);
	else
		len = vss_wire_encode(
		    buf, VMBUS_ICMSG_PKT_MAX, &agreed, &wr, luns);
	if (how >= 224) {
		n = fuzz_u8(&fz.fz_in) % 64;
		fuzz_bytes(&fz.fz_in, buf + fuzz_u8(&fz.fz_in) % 64, n);
		len = how >= 240 ? fuzz_u16(&fz.fz_in) % len : len;
	}
	vss_engine_rx(&fz.fz_e, len, ++fz.fz_nxacts, fz.fz_now_ns);
}

static void
open_one(uint8_t how)
{
	struct vss_engine_who who = { .ew_pid = how, .ew_uid = how / 16 % 2 };
	uint32_t slot;
	int error;

	memset(who.ew_comm, how, sizeof(who.ew_comm));
	error = vss_engine_open(&fz.fz_e,
	    how % 2 == 0 ? VSS_ENGINE_FS : VSS_ENGINE_APP, &who, fz.fz_now_ns,
	    &slot);
	FUZZ_CHECK(error == 0 || error == EBUSY || error == EMFILE);
	if (error == 0) {
		FUZZ_CHECK(slot <= CLIENTS && (slot == 0) == (how % 2 == 0));
		fz.fz_nids[slot] = 0;
		memset(fz.fz_ids[slot], 0, sizeof(fz.fz_ids[slot]));
	}
}

static void
read_one(uint32_t slot)
{
	struct vss_engine_msg em;
	uint8_t n;

	vss_engine_read(&fz.fz_e, slot, fz.fz_now_ns, &em);
	FUZZ_CHECK((em.em_id == 0) == (em.em_status == 1) &&
	    (em.em_id == 0) == (em.em_op == VSS_ENGINE_NONE));
	if (em.em_id == 0)
		return;
	n = fz.fz_nids[slot]++ % 4;
	/* No id comes twice. */
	FUZZ_CHECK(fz.fz_ids[slot][(n + 3) % 4] != em.em_id);
	fz.fz_ids[slot][n] = em.em_id;
	fz.fz_ops[slot][n] = em.em_op;
}

/* Whether the hold is broken without this client. */
static bool
in_hold(uint32_t slot)
{
	return (fz.fz_e.e_state == VSS_ENGINE_HOLDING &&
	    fz.fz_clients[slot].cl_counted);
}

static void
write_one(uint32_t slot, uint8_t how)
{
	uint8_t i = (uint8_t)(fz.fz_nids[slot] - 1 - (how >= 224)) % 4;
	struct vss_engine_msg em;
	bool breaks;
	int error;

	em.em_id = fz.fz_ids[slot][i];
	em.em_op = how >= 240 ? how % 4 : fz.fz_ops[slot][i];
	em.em_status = how / 6 % 4 == 3;
	breaks = in_hold(slot) && em.em_status != 0 &&
	    em.em_op == VSS_ENGINE_FREEZE &&
	    em.em_id == fz.fz_clients[slot].cl_asked_id;
	error = vss_engine_write(&fz.fz_e, slot, fz.fz_now_ns, &em);
	FUZZ_CHECK(error == 0 || error == EINVAL);
	FUZZ_CHECK(!breaks || fz.fz_e.e_lost);
	FUZZ_CHECK(error == 0 || em.em_id == 0 || how >= 240);
}

static void
client(uint8_t what, uint8_t how)
{
	uint32_t slot = how % (CLIENTS + 1);
	char text[VSS_ENGINE_REASON_MAX];
	bool breaks;

	if (fz.fz_clients[slot].cl_serial == 0)
		return;
	switch (what) {
	case 0:
		breaks = in_hold(slot);
		vss_engine_close(&fz.fz_e, slot, fz.fz_now_ns);
		FUZZ_CHECK(!breaks || fz.fz_e.e_lost);
		break;
	case 1:
		(void)vss_engine_poll(&fz.fz_e, slot, fz.fz_now_ns);
		break;
	case 2:
		memset(text, 0, sizeof(text));
		fuzz_bytes(&fz.fz_in, text, how % 4 == 3 ? how / 4 : 0);
		(void)vss_engine_hello(
		    &fz.fz_e, slot, text, how / 6 * 3, how % 2);
		break;
	case 3:
		memset(text, how, sizeof(text));
		vss_engine_reason(&fz.fz_e, slot, text);
		break;
	case 4:
		read_one(slot);
		break;
	default:
		write_one(slot, how);
		break;
	}
}

static void
act(void)
{
	uint8_t what = fuzz_u8(&fz.fz_in), how = fuzz_u8(&fz.fz_in);
	uint64_t next;

	switch (what % 12) {
	case 0:
		open_one(how);
		break;
	case 1:
		client(what / 12 % 4, how);
		break;
	case 2:
	case 3:
	case 4:
		client(4, how);
		break;
	case 5:
	case 6:
	case 7:
		client(5, how);
		break;
	case 8:
	case 9:
		packet(how);
		break;
	case 10:
		if (how < 200) {
			pass_time(how * how * VSS_NS_PER_MS);
			break;
		}
		/* To the next deadline, or just before it. */
		next = vss_engine_deadline(&fz.fz_e);
		if (next != VSS_ENGINE_NEVER)
			pass_time(next - fz.fz_now_ns - how % 2);
		break;
	default:
		if (what / 12 == 1)
			vss_engine_channel_lost(&fz.fz_e, fz.fz_now_ns);
		else if (what / 12 == 2)
			fz.fz_full = true;
		else if (what / 12 == 3)
			fz.fz_full = false;
		else if (what / 12 == 4)
			vss_engine_rx_dropped(&fz.fz_e, how, fz.fz_now_ns);
		else
			vss_engine_channel_opened(&fz.fz_e, fz.fz_now_ns);
		break;
	}
}

static int
start(void)
{
	struct vss_engine_conf *ec = &fz.fz_ec;
	uint8_t how = fuzz_u8(&fz.fz_in);

	vss_engine_conf_default(ec);
	ec->ec_max_clients = CLIENTS;
	ec->ec_max_per_uid = 3;
	ec->ec_besteffort = how % 2 != 0;
	ec->ec_later_versions = how / 2 % 2 != 0;
	if (how >= 128) {
		ec->ec_check_ns = fuzz_u8(&fz.fz_in) * VSS_NS_PER_S;
		ec->ec_freeze_ns = fuzz_u16(&fz.fz_in) * VSS_NS_PER_S;
		ec->ec_prepare_ns = fuzz_u8(&fz.fz_in) * VSS_NS_PER_S;
		ec->ec_quiesce_ns = fuzz_u8(&fz.fz_in) * VSS_NS_PER_S;
		ec->ec_fs_ns = fuzz_u8(&fz.fz_in) * VSS_NS_PER_S;
		ec->ec_hold_ns = fuzz_u8(&fz.fz_in) * VSS_NS_PER_S;
		ec->ec_thaw_ns = fuzz_u8(&fz.fz_in) * VSS_NS_PER_S;
		ec->ec_thaw_fs_ns = fuzz_u8(&fz.fz_in) * VSS_NS_PER_S;
		ec->ec_level_ns = fuzz_u8(&fz.fz_in) * VSS_NS_PER_S;
	}
	vss_trace_init(&fz.fz_trace, fz.fz_events, VSS_NELEM(fz.fz_events));
	return (vss_engine_init(&fz.fz_e, ec, fz.fz_clients, &fz.fz_trace));
}

/* Everybody goes: soon it is idle, and all was answered or dropped. */
static void
finish(void)
{
	struct vss_engine_status es;
	uint32_t slot;

	fz.fz_full = false;
	send_replies(false);
	for (slot = 0; slot <= CLIENTS; slot++)
		if (fz.fz_clients[slot].cl_serial != 0) {
			vss_engine_close(&fz.fz_e, slot, fz.fz_now_ns);
			send_replies(true);
			pass_time(0);
			check_state();
		}
	pass_time(900 * VSS_NS_PER_S);
	FUZZ_CHECK(fz.fz_e.e_state == VSS_ENGINE_IDLE);
	FUZZ_CHECK(vss_engine_deadline(&fz.fz_e) == VSS_ENGINE_NEVER);
	vss_engine_status(&fz.fz_e, &es);
	FUZZ_CHECK(vss_request_count(&fz.fz_e.e_requests, VSS_REQUEST_FREE) ==
	    VSS_ENGINE_MAX_REQUESTS);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	bool was_full;

	memset(&fz, 0, sizeof(fz));
	fz.fz_in.fi_next = data;
	fz.fz_in.fi_left = size;
	fz.fz_now_ns = 1000 * VSS_NS_PER_S;
	if (start() != 0)
		return (-1);
	vss_engine_channel_opened(&fz.fz_e, fz.fz_now_ns);
	while (fz.fz_in.fi_left != 0) {
		was_full = fz.fz_full;
		act();
		send_replies(!was_full);
		/* As a driver does it whose timer is due at once. */
		pass_time(0);
		check_state();
	}
	finish();
	return (0);
}
