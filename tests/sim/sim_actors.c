/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/*
 * Who acts in the simulator: the host and its checkpoints, applications, the
 * freeze daemon with its file systems; and what each of them does wrong.
 */

#include "sim.h"

#define HUNG_NS	   (200 * S)
#define LATE_NS	   (15 * S)
#define LEASE_NS   (75 * S)
#define GIVE_UP_NS (130 * S)

uint32_t
sim_nfrozen(const struct sim *s)
{
	uint32_t i, n;

	for (i = n = 0; i < SIM_FS; i++)
		n += s->s_frozen[i];
	return (n);
}

/*
 * Host.
 */

static void
open_channel(struct sim *s)
{
	memset(s->s_to_guest, 0, sizeof(s->s_to_guest));
	memset(s->s_to_host, 0, sizeof(s->s_to_host));
	if (vmbus_ring_init_tx(&s->s_host_tx, s->s_to_guest, SIM_RING_LEN) ||
	    vmbus_ring_init_rx(&s->s_host_rx, s->s_to_host, SIM_RING_LEN) ||
	    vmbus_ring_init_rx(&s->s_guest_rx, s->s_to_guest, SIM_RING_LEN) ||
	    vmbus_ring_init_tx(&s->s_guest_tx, s->s_to_host, SIM_RING_LEN))
		sim_fail(s, "a new ring is refused");
	s->s_channel = true;
	s->s_host_awaits = 0;
	vss_engine_channel_opened(&s->s_engine, s->s_now);
}

static void
rescind(struct sim *s)
{
	uint64_t i;

	sim_say(s, "host: rescind");
	sim_oracle_channel_lost(s);
	for (i = 0; i < s->s_nrequests; i++)
		s->s_requests[i].sr_forgotten = true;
	s->s_channel = false;
	vss_engine_channel_lost(&s->s_engine, s->s_now);
	open_channel(s);
}

/*
 * As if the requests that the engine has were this machine's own; what is still
 * in the ring is not.
 */
static void
call_off(struct sim *s)
{
	const struct vss_request *rq;
	uint64_t xid;
	uint32_t i;

	sim_say(s, "test: called off");
	sim_oracle_channel_lost(s);
	for (i = 0; i < VSS_ENGINE_MAX_REQUESTS; i++) {
		rq = &s->s_engine.e_requests.rt_slots[i];
		if (rq->rq_state == VSS_REQUEST_FREE)
			continue;
		xid = rq->rq_reply.ey_xactid;
		s->s_requests[xid - 1].sr_forgotten = true;
		if (s->s_host_awaits == xid)
			s->s_host_awaits = 0;
	}
	vss_engine_cancel(&s->s_engine, VSS_ENGINE_CAUSE_CANCELLED, s->s_now);
}

/* Puts a packet into the ring; its transaction id, or 0 when there is no room.
 */
static uint64_t
post(struct sim *s, const uint8_t *pkt, uint32_t len,
    const struct sim_request *what)
{
	struct vmbus_ring_pkt rp = { 0 };
	bool signal;

	if (s->s_nrequests == SIM_REQUESTS)
		return (0);
	rp.rp_type = VMBUS_RING_INBAND;
	rp.rp_xactid = s->s_nrequests + 1;
	rp.rp_len = len;
	if (vmbus_ring_send(&s->s_host_tx, &rp, pkt, &signal) != 0)
		return (0);
	s->s_requests[s->s_nrequests] = *what;
	s->s_requests[s->s_nrequests].sr_len = (len + 7) & ~7U;
	s->s_nrequests++;
	return (s->s_nrequests);
}

static uint64_t
ask_guest(struct sim *s, uint8_t op)
{
	static uint8_t pkt[VMBUS_ICMSG_PKT_MAX];
	struct vmbus_icmsg_agreed agreed = { { 3, 0 }, { 5, 0 } };
	struct vss_wire_request wr = { 0 };
	struct sim_request sr = { 0 };
	uint32_t len;

	wr.wr_op = op;
	sr.sr_op = op;
	sr.sr_answerable = true;
	len = vss_wire_encode(pkt, sizeof(pkt), &agreed, &wr, NULL);
	if (sim_chance(s, SIM_TRUNCATE, 20)) {
		len = (uint32_t)sim_random(s, VSS_WIRE_MIN_LEN / 8) * 8;
		sr.sr_answerable = false;
	} else if (sim_chance(s, SIM_CORRUPT, 20)) {
		/* A LUN count where there is no room for a list. */
		if (op == VSS_WIRE_FREEZE && sim_random(s, 2) == 0) {
			memset(pkt + len, 0, 40);
			len += 40;
			vmbus_icmsg_put32(pkt + VMBUS_ICMSG_O_PIPE_SIZE,
			    len - VMBUS_ICMSG_PIPE_LEN);
			vmbus_icmsg_put16(pkt + VMBUS_ICMSG_O_SIZE,
			    (uint16_t)(len - VMBUS_ICMSG_O_BODY));
			vmbus_icmsg_put32(pkt + VMBUS_ICMSG_O_BODY + 16, 7);
			sr.sr_wrong = true;
		} else {
			vmbus_icmsg_put16(pkt + VMBUS_ICMSG_O_TYPE,
			    (uint16_t)(6 + sim_random(s, 1000)));
			sr.sr_answerable = false;
		}
	}
	sim_say(s, "host: %s%s%s", vss_wire_op_name(op),
	    sr.sr_answerable ? "" : " (to be dropped)",
	    sr.sr_wrong ? " (malformed)" : "");
	return (post(s, pkt, len, &sr));
}

void
sim_host_negotiate(struct sim *s)
{
	static const struct vmbus_icmsg_version fw[] = { { 3, 0 }, { 1, 0 } };
	static const struct vmbus_icmsg_version ms[] = { { 5, 0 }, { 4, 0 } };
	struct vmbus_icmsg_versions v = { fw, ms, 2, 2 };
	struct sim_request sr = { 0 };
	uint8_t pkt[128];
	uint32_t len;

	sr.sr_negotiate = sr.sr_answerable = true;
	len = vmbus_icmsg_offer(pkt, sizeof(pkt), &v);
	sim_say(s, "host: negotiate");
	(void)post(s, pkt, len, &sr);
}

static void
read_replies(struct sim *s)
{
	static uint8_t pkt[VMBUS_ICMSG_PKT_MAX];
	struct vmbus_ring_pkt rp;
	struct sim_request *sr;
	struct vmbus_icmsg im;
	bool signal;
	int error;

	while ((error = vmbus_ring_recv(
		    &s->s_host_rx, &rp, pkt, sizeof(pkt), &signal)) == 0) {
		if (rp.rp_xactid == 0 || rp.rp_xactid > s->s_nrequests)
			sim_fail(s, "a reply to nothing that was asked");
		sr = &s->s_requests[rp.rp_xactid - 1];
		if (rp.rp_len != sr->sr_len)
			sim_fail(s, "a reply has not its request's length");
		if (vmbus_icmsg_decode(pkt, rp.rp_len, &im) != 0 ||
		    im.im_flags != 5 || im.im_status != sr->sr_status)
			sim_fail(s, "a reply's bytes are not what was meant");
		if (s->s_host_awaits == rp.rp_xactid)
			s->s_host_awaits = 0;
	}
	if (error != EAGAIN)
		sim_fail(s, "the host finds the ring corrupt");
}

/* Its checkpoint: CHECK, FREEZE, hold, THAW, BACKUP_COMPLETE, pause. */
static void
checkpoint_step(struct sim *s)
{
	static const uint8_t ops[] = { VSS_WIRE_CHECK_HOT_BACKUP,
		VSS_WIRE_FREEZE, VSS_WIRE_THAW, VSS_WIRE_BACKUP_COMPLETE };
	uint32_t i = s->s_host_step++ % VSS_NELEM(ops);

	s->s_checkpoints += i == 0;
	s->s_host_next_ns = s->s_now + (1 + sim_random(s, 3000)) * MS;
	if (i == 2 && sim_chance(s, SIM_DROP, 40)) {
		s->s_host_next_ns += 70 * S;
		return;
	}
	s->s_host_awaits = ask_guest(s, ops[i]);
	if (sim_chance(s, SIM_DUP, 20))
		(void)ask_guest(s, ops[i]);
	if (i == 3)
		s->s_host_next_ns += sim_random(s, 10000) * MS;
}

static void
host_acts(struct sim *s)
{
	if (s->s_now >= s->s_host_reads_ns)
		read_replies(s);
	if (s->s_now < s->s_host_next_ns)
		return;
	s->s_host_next_ns = s->s_now + (1 + sim_random(s, 200)) * MS;
	if (sim_chance(s, SIM_HOST_GONE, 2))
		s->s_host_reads_ns = s->s_now + sim_random(s, 30) * S;
	if (sim_chance(s, SIM_RESCIND, 1))
		rescind(s);
	if (sim_chance(s, SIM_CANCEL, 1))
		call_off(s);
	else if (sim_chance(s, SIM_RENEGOTIATE, 2))
		sim_host_negotiate(s);
	else if (sim_chance(s, SIM_REORDER, 20))
		(void)ask_guest(s, (uint8_t)sim_random(s, 10));
	else if (s->s_host_awaits == 0)
		checkpoint_step(s);
	/* It gives up waiting only for what it may never get. */
	else if (!s->s_requests[s->s_host_awaits - 1].sr_answerable)
		s->s_host_awaits = 0;
}

/*
 * Applications.
 */

static void
open_app(struct sim *s, struct sim_app *sa)
{
	struct vss_engine_who who = { 0 };

	who.ew_pid = 100;
	who.ew_comm[0] = 'a';
	if (vss_engine_open(&s->s_engine, VSS_ENGINE_APP, &who, s->s_now,
		&sa->sa_slot) != 0)
		sim_fail(s, "an application is turned away");
	sa->sa_open = true;
	sa->sa_todo.em_op = VSS_ENGINE_NONE;
	sa->sa_last_freeze = 0;
	sa->sa_told = sa->sa_acked = false;
	sa->sa_active = sa->sa_part = false;
	sa->sa_level = (uint32_t)sim_random(s, 3) * 40;
	if (sim_random(s, 3) != 0 &&
	    vss_engine_hello(&s->s_engine, sa->sa_slot, "app", sa->sa_level,
		sim_random(s, 2) == 0) != 0)
		sim_fail(s, "HELLO is refused");
	sim_say(s, "app %u opens, level %u", sa->sa_slot, sa->sa_level);
	sa->sa_next_ns = s->s_now + sim_random(s, 1000) * MS;
}

static void
write_app(struct sim *s, struct sim_app *sa, struct vss_engine_msg *em)
{
	struct vss_engine_msg wrong;

	if (sim_chance(s, SIM_CORRUPT, 20)) {
		wrong = *em;
		wrong.em_id += 1 + sim_random(s, 100);
		if (vss_engine_write(
			&s->s_engine, sa->sa_slot, s->s_now, &wrong) != EINVAL)
			sim_fail(s, "a wrong id is taken");
		wrong = *em;
		wrong.em_op = (wrong.em_op + 1) % 4;
		if (vss_engine_write(
			&s->s_engine, sa->sa_slot, s->s_now, &wrong) != EINVAL)
			sim_fail(s, "a wrong operation is taken");
	}
	em->em_status = sim_chance(s, SIM_CLIENT_REFUSES, 20);
	sim_say(
	    s, "app %u answers %u: %u", sa->sa_slot, em->em_op, em->em_status);
	if (em->em_op == VSS_ENGINE_FREEZE && em->em_status == 0)
		sa->sa_last_freeze = em->em_id;
	sim_oracle_write_app(s, sa, em);
	if (vss_engine_write(&s->s_engine, sa->sa_slot, s->s_now, em) != 0)
		sim_fail(s, "an answer is refused");
	if (sim_chance(s, SIM_DUP, 30)) {
		sim_oracle_write_app(s, sa, em);
		if (vss_engine_write(&s->s_engine, sa->sa_slot, s->s_now, em) !=
		    0)
			sim_fail(s, "an answer given twice is refused");
	}
}

static void
break_freeze(struct sim *s, struct sim_app *sa)
{
	struct vss_engine_msg em = { VSS_ENGINE_FREEZE, 1, sa->sa_last_freeze };

	sim_say(s, "app %u could not stay quiesced", sa->sa_slot);
	sim_oracle_write_app(s, sa, &em);
	if (vss_engine_write(&s->s_engine, sa->sa_slot, s->s_now, &em) != 0)
		sim_fail(s, "taking FREEZE back is refused");
	sa->sa_last_freeze = 0;
}

static uint64_t
pace(struct sim *s, enum sim_fault hang)
{
	if (sim_chance(s, hang, 5))
		return (HUNG_NS);
	if (sim_chance(s, SIM_DELAY, 5))
		return (LATE_NS);
	return (1 + sim_random(s, 300) * MS);
}

static void
app_acts(struct sim *s, struct sim_app *sa)
{
	struct vss_engine_msg em;

	if (!sa->sa_open) {
		open_app(s, sa);
		return;
	}
	if (sim_chance(s, SIM_CLIENT_DIES, 8)) {
		sim_say(s, "app %u dies", sa->sa_slot);
		sim_oracle_close_app(s, sa);
		sa->sa_open = sa->sa_part = false;
		vss_engine_close(&s->s_engine, sa->sa_slot, s->s_now);
		sa->sa_next_ns = s->s_now + (1 + sim_random(s, 20)) * S;
		return;
	}
	sa->sa_next_ns = s->s_now + pace(s, SIM_CLIENT_HANGS);
	if (sa->sa_last_freeze != 0 && sim_chance(s, SIM_CLIENT_BREAKS, 20)) {
		break_freeze(s, sa);
		return;
	}
	if (sa->sa_todo.em_op != VSS_ENGINE_NONE) {
		em = sa->sa_todo;
		sa->sa_todo.em_op = VSS_ENGINE_NONE;
		write_app(s, sa, &em);
		return;
	}
	sa->sa_active = true;
	if (!vss_engine_poll(&s->s_engine, sa->sa_slot, s->s_now)) {
		sa->sa_next_ns = VSS_ENGINE_NEVER;
		return;
	}
	vss_engine_read(&s->s_engine, sa->sa_slot, s->s_now, &sa->sa_todo);
	sim_say(s, "app %u reads %u", sa->sa_slot, sa->sa_todo.em_op);
	sim_oracle_read_app(s, sa, &sa->sa_todo);
}

/*
 * The freeze daemon.  Its guard thaws when it dies, and when its lease ends.
 */

static void
open_daemon(struct sim *s)
{
	struct vss_engine_who who = { 0 };
	uint32_t slot;

	who.ew_comm[0] = 'd';
	if (vss_engine_open(
		&s->s_engine, VSS_ENGINE_FS, &who, s->s_now, &slot) != 0)
		sim_fail(s, "the daemon is turned away");
	s->s_daemon_open = true;
	s->s_daemon_todo.em_op = VSS_ENGINE_NONE;
	if (vss_engine_hello(&s->s_engine, 0, "", 0, sim_random(s, 4) != 0))
		sim_fail(s, "the daemon's HELLO is refused");
	sim_say(s, "daemon opens");
	s->s_daemon_next_ns = s->s_now + sim_random(s, 500) * MS;
}

static void
daemon_works(struct sim *s, struct vss_engine_msg *em)
{
	uint32_t i;

	em->em_status = 0;
	if (em->em_op == VSS_ENGINE_FREEZE) {
		for (i = 0; i < SIM_FS; i++)
			s->s_frozen[i] = true;
		s->s_lease_ns = s->s_now + LEASE_NS;
		if (sim_chance(s, SIM_FS_REFUSES, 30))
			em->em_status = 1;
	}
	if (em->em_op == VSS_ENGINE_THAW && sim_nfrozen(s) == 0)
		em->em_status = 1; /* its lease has thawed */
	if (em->em_op == VSS_ENGINE_THAW || em->em_status != 0)
		memset(s->s_frozen, 0, sizeof(s->s_frozen));
	sim_say(s, "daemon answers %u: %u", em->em_op, em->em_status);
	sim_oracle_write_daemon(s, em);
	if (vss_engine_write(&s->s_engine, 0, s->s_now, em) != 0)
		sim_fail(s, "the daemon's answer is refused");
}

static void
daemon_acts(struct sim *s)
{
	struct vss_engine_msg em;
	uint64_t delay;

	if (!s->s_daemon_open) {
		open_daemon(s);
		return;
	}
	if (sim_chance(s, SIM_DAEMON_DIES, 8)) {
		sim_say(s, "daemon dies");
		memset(s->s_frozen, 0, sizeof(s->s_frozen));
		s->s_daemon_open = false;
		sim_oracle_close_daemon(s);
		vss_engine_close(&s->s_engine, 0, s->s_now);
		s->s_daemon_next_ns = s->s_now + (1 + sim_random(s, 20)) * S;
		return;
	}
	if (s->s_now >= s->s_lease_ns)
		memset(s->s_frozen, 0, sizeof(s->s_frozen));
	delay = pace(s, SIM_DAEMON_HANGS);
	if (s->s_daemon_todo.em_op != VSS_ENGINE_NONE) {
		em = s->s_daemon_todo;
		if (em.em_op == VSS_ENGINE_THAW && sim_nfrozen(s) != 0 &&
		    sim_chance(s, SIM_FS_STICKS, 50)) {
			s->s_daemon_faulty = true;
			s->s_daemon_next_ns = s->s_now + 8 * S;
			return;
		}
		s->s_daemon_todo.em_op = VSS_ENGINE_NONE;
		daemon_works(s, &em);
	} else if (!vss_engine_poll(&s->s_engine, 0, s->s_now)) {
		s->s_daemon_next_ns = VSS_ENGINE_NEVER;
		return;
	} else {
		vss_engine_read(&s->s_engine, 0, s->s_now, &s->s_daemon_todo);
		sim_say(s, "daemon reads %u", s->s_daemon_todo.em_op);
		sim_oracle_read_daemon(s, &s->s_daemon_todo);
	}
	if (delay >= LATE_NS)
		s->s_daemon_faulty = true;
	s->s_daemon_next_ns = s->s_now + delay;
}

void
sim_actors_start(struct sim *s)
{
	uint32_t i, n;

	open_channel(s);
	sim_host_negotiate(s);
	s->s_host_next_ns = s->s_now;
	s->s_daemon_next_ns = s->s_now + sim_random(s, 2) * S;
	n = (uint32_t)sim_random(s, SIM_APPS + 1);
	for (i = 0; i < SIM_APPS; i++)
		s->s_apps[i].sa_next_ns = i < n ?
		    s->s_now + sim_random(s, 5) * S :
		    VSS_ENGINE_NEVER;
}

uint64_t
sim_actors_next(const struct sim *s)
{
	uint64_t next;
	uint32_t i;

	next = s->s_host_next_ns;
	if (s->s_daemon_next_ns < next)
		next = s->s_daemon_next_ns;
	for (i = 0; i < SIM_APPS; i++)
		if (s->s_apps[i].sa_next_ns < next)
			next = s->s_apps[i].sa_next_ns;
	return (next);
}

/* One of those whose time has come acts, whoever it is. */
void
sim_actors_act(struct sim *s)
{
	uint32_t i, k, first;

	first = (uint32_t)sim_random(s, SIM_APPS + 2);
	for (k = 0; k < SIM_APPS + 2; k++) {
		i = (first + k) % (SIM_APPS + 2);
		if (i < SIM_APPS && s->s_apps[i].sa_next_ns <= s->s_now)
			app_acts(s, &s->s_apps[i]);
		else if (i == SIM_APPS && s->s_daemon_next_ns <= s->s_now)
			daemon_acts(s);
		else if (i == SIM_APPS + 1 && s->s_host_next_ns <= s->s_now)
			host_acts(s);
		else
			continue;
		return;
	}
}
