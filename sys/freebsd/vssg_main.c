/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/*
 * The service: what the engine is told, and what it wants done (vssg_var.h).
 */

#include "vssg_var.h"

/* So many packets of the host, then the clients have a turn. */
#define VSSG_TURN 64
/* A reply that found no room is tried again. */
#define VSSG_ROOM_NS (10 * VSS_NS_PER_MS)
/* No limit is longer (engine.h): what a suspension counts for. */
#define VSSG_SUSPEND_NS (901 * VSS_NS_PER_S)

static void vssg_callout(void *arg);

struct vssg vssg;
/* Each lock has a name of its own, for witness(4): the taskqueue another. */
MTX_SYSINIT(vssg_mtx, &vssg.vs_mtx, VSSG_NAME, MTX_DEF);

/*
 * Nobody can say how long the machine was suspended before its clocks are set
 * again, so each time counts for the longest limit: what was under way then has
 * had its time.
 */
uint64_t
vssg_now(const struct vssg *vs)
{
	return ((uint64_t)sbttons(sbinuptime()) + vs->vs_suspended_ns);
}

/*
 * A broken invariant of core.  Kernels with INVARIANTS stop here; others go on
 * without the engine, see vssg_broke().
 */
void
vss_port_assert_failed(const char *expr, const char *file, int line)
{
	struct vssg *vs = &vssg;

#ifdef INVARIANTS
	panic("%s:%d: %s", file, line, expr);
#endif
	mtx_assert(&vs->vs_mtx, MA_OWNED);
	vs->vs_broken_expr = expr;
	vs->vs_broken_file = file;
	vs->vs_broken_line = line;
	longjmp(vs->vs_jmp, 1);
}

/* Answers one request of the broken engine's with FAIL; false: no room. */
static bool
vssg_fail(struct vssg *vs, uint8_t *pkt, uint32_t len, uint64_t xactid)
{
	if (!vs->vs_up || len < VMBUS_ICMSG_HDRS_LEN)
		return (true);
	vmbus_icmsg_reply(pkt, VMBUS_ICMSG_S_FAIL);
	return (
	    vs->vs_transport->vt_send(vs->vs_arg, pkt, len, xactid) != EAGAIN);
}

/*
 * The host without an engine: what it asked before and what it asks from now on
 * is answered FAIL.  Returns false while an answer waits for room, or when a
 * turn was not enough.
 */
static bool
vssg_fail_all(struct vssg *vs)
{
	struct vss_request *rq;
	uint32_t i, len;
	int error, n;

	for (i = 0; i < VSS_ENGINE_MAX_REQUESTS; i++) {
		rq = &vs->vs_engine.e_requests.rt_slots[i];
		if (rq->rq_state == VSS_REQUEST_FREE)
			continue;
		if (rq->rq_reply.ey_len <= VMBUS_ICMSG_PKT_MAX &&
		    !vssg_fail(vs, rq->rq_pkt, rq->rq_reply.ey_len,
			rq->rq_reply.ey_xactid))
			return (false);
		rq->rq_state = VSS_REQUEST_FREE;
	}
	for (n = 0; n < VSSG_TURN; n++) {
		if (vs->vs_scrap_len != 0 &&
		    !vssg_fail(vs, vs->vs_scrap, vs->vs_scrap_len,
			vs->vs_scrap_xactid))
			return (false);
		vs->vs_scrap_len = 0;
		error = vs->vs_up ?
		    vs->vs_transport->vt_recv(
			vs->vs_arg, vs->vs_scrap, &len, &vs->vs_scrap_xactid) :
		    EAGAIN;
		if (error == 0)
			vs->vs_scrap_len = len;
		else if (error != ENOBUFS)
			return (true);
	}
	return (false);
}

static void
vssg_callout_set(struct vssg *vs, uint64_t at_ns, uint64_t now_ns)
{
	if (at_ns == vs->vs_armed_ns || vs->vs_state != VSSG_RUNNING)
		return;
	vs->vs_armed_ns = at_ns;
	if (at_ns == VSS_ENGINE_NEVER)
		callout_stop(&vs->vs_callout);
	else
		callout_reset_sbt(&vs->vs_callout,
		    at_ns > now_ns ? nstosbt((int64_t)(at_ns - now_ns)) + 1 : 1,
		    0, vssg_callout, vs, 0);
}

/*
 * The engine cannot be trusted any more.  Clients get errors, which mean THAW
 * to them; the host gets FAIL; until the module is loaded anew.
 */
static void
vssg_broke(struct vssg *vs)
{
	uint64_t now_ns = vssg_now(vs);

	mtx_assert(&vs->vs_mtx, MA_OWNED);
	if (!vs->vs_broken) {
		vs->vs_broken = true;
		vs->vs_nbroken++;
		vssg_log(vs, VSSG_LINE_BROKEN, 0, NULL);
		vssg_dev_wake_all(vs);
	}
	vssg_callout_set(vs,
	    vssg_fail_all(vs) ? VSS_ENGINE_NEVER : now_ns + VSSG_ROOM_NS,
	    now_ns);
}

int
vssg_engine(struct vssg *vs, vssg_fn *fn, void *arg, int broke)
{
	mtx_assert(&vs->vs_mtx, MA_OWNED);
	if (vs->vs_broken || setjmp(vs->vs_jmp) != 0) {
		vssg_broke(vs);
		return (broke);
	}
	return (fn(vs, arg));
}

/* The channel is corrupt: as if it were gone, until it is. */
static void
vssg_unusable(struct vssg *vs)
{
	vs->vs_up = false;
	vssg_log(vs, VSSG_LINE_CHANNEL, 0,
	    "the host broke the channel's rules; it is not used any more");
	vss_engine_channel_lost(&vs->vs_engine, vssg_now(vs));
}

static bool
vssg_reply(struct vssg *vs)
{
	struct vss_engine_reply ey;

	while (vs->vs_up && vss_engine_reply(&vs->vs_engine, &ey)) {
		if (vs->vs_transport->vt_send(vs->vs_arg, ey.ey_pkt, ey.ey_len,
			ey.ey_xactid) == EAGAIN)
			return (false);
		vssg_log_reply(vs, &ey);
		vss_engine_sent(&vs->vs_engine);
	}
	return (true);
}

/*
 * Takes the host's packets.  While all of the engine's slots hold replies that
 * wait for room, they stay in the ring.
 */
static void
vssg_receive(struct vssg *vs)
{
	uint64_t xactid;
	uint32_t len;
	uint8_t *buf;
	int error, n;

	vs->vs_more = false;
	vssg_reply(vs);
	for (n = 0; vs->vs_up; n++) {
		buf = vss_engine_rx_buf(&vs->vs_engine);
		vs->vs_more = buf == NULL || n == VSSG_TURN;
		if (vs->vs_more)
			return;
		error = vs->vs_transport->vt_recv(
		    vs->vs_arg, buf, &len, &xactid);
		if (error == EAGAIN)
			return;
		if (error == 0)
			vss_engine_rx(
			    &vs->vs_engine, len, xactid, vssg_now(vs));
		else if (error == ENOBUFS)
			vss_engine_rx_dropped(
			    &vs->vs_engine, len, vssg_now(vs));
		else
			vssg_unusable(vs);
		vssg_reply(vs);
	}
}

/* Whether packets wait in the ring that can be taken now. */
static bool
vssg_more(struct vssg *vs)
{
	return (vs->vs_more && vss_engine_rx_buf(&vs->vs_engine) != NULL);
}

/* One turn: the ring before the timers, then what the engine wants done. */
static int
vssg_turn(struct vssg *vs, void *arg __unused)
{
	uint64_t now_ns;

	vssg_receive(vs);
	now_ns = vssg_now(vs);
	if (now_ns >= vss_engine_deadline(&vs->vs_engine))
		vss_engine_timer(&vs->vs_engine, now_ns);
	vssg_pump(vs);
	return (vssg_more(vs));
}

static int
vssg_turn_locked(struct vssg *vs)
{
	mtx_assert(&vs->vs_mtx, MA_OWNED);
	if (vs->vs_state != VSSG_RUNNING)
		return (0);
	return (vssg_engine(vs, vssg_turn, NULL, 0));
}

void
vssg_service(struct vssg *vs)
{
	int more;

	do {
		mtx_lock(&vs->vs_mtx);
		more = vssg_turn_locked(vs);
		mtx_unlock(&vs->vs_mtx);
	} while (more);
}

/* The callout: vs_mtx is held. */
static void
vssg_callout(void *arg)
{
	struct vssg *vs = arg;

	vs->vs_armed_ns = VSS_ENGINE_NEVER;
	vssg_turn_locked(vs);
}

void
vssg_pump(struct vssg *vs)
{
	uint64_t at_ns, now_ns;
	uint32_t slot;
	bool sent;

	sent = vssg_reply(vs);
	while (vss_engine_wake(&vs->vs_engine, &slot))
		vssg_dev_wake(vs, slot);
	vssg_log_turn(vs);
	now_ns = vssg_now(vs);
	at_ns = vss_engine_deadline(&vs->vs_engine);
	if (!sent && now_ns + VSSG_ROOM_NS < at_ns)
		at_ns = now_ns + VSSG_ROOM_NS;
	/* Nobody announces them again, whoever has made room for them. */
	if (vssg_more(vs))
		at_ns = 0;
	vssg_callout_set(vs, at_ns, now_ns);
}

static int
vssg_opened(struct vssg *vs, void *arg __unused)
{
	vss_engine_channel_opened(&vs->vs_engine, vssg_now(vs));
	vssg_pump(vs);
	return (0);
}

static int
vssg_lost(struct vssg *vs, void *arg __unused)
{
	vss_engine_channel_lost(&vs->vs_engine, vssg_now(vs));
	vssg_pump(vs);
	return (0);
}

void
vssg_channel_up(struct vssg *vs)
{
	mtx_lock(&vs->vs_mtx);
	vs->vs_up = true;
	vssg_engine(vs, vssg_opened, NULL, 0);
	mtx_unlock(&vs->vs_mtx);
	/* What came before that was not taken. */
	vssg_service(vs);
}

void
vssg_channel_down(struct vssg *vs)
{
	bool up;

	mtx_lock(&vs->vs_mtx);
	up = vs->vs_up;
	vs->vs_up = false;
	if (up)
		vssg_engine(vs, vssg_lost, NULL, 0);
	mtx_unlock(&vs->vs_mtx);
}

void
vssg_resumed(struct vssg *vs)
{
	mtx_lock(&vs->vs_mtx);
	vs->vs_suspended_ns += VSSG_SUSPEND_NS;
	mtx_unlock(&vs->vs_mtx);
	vssg_service(vs);
}

/* All of it is as after loading; the limits stay as they were set. */
static int
vssg_start(struct vssg *vs)
{
	int error;

	vss_trace_init(&vs->vs_trace, vs->vs_events, VSSG_NEVENTS);
	if (vs->vs_conf.ec_max_clients == 0)
		vssg_sysctl_tunables(&vs->vs_conf, vs->vs_dev);
	memset(vs->vs_clients, 0, sizeof(vs->vs_clients));
	error = vss_engine_init(
	    &vs->vs_engine, &vs->vs_conf, vs->vs_clients, &vs->vs_trace);
	if (error != 0)
		return (error);
	vs->vs_broken = false;
	vs->vs_scrap_len = 0;
	vs->vs_lost = false;
	vs->vs_turned_away = 1;
	vs->vs_line = vs->vs_nlines = 0;
	vs->vs_armed_ns = VSS_ENGINE_NEVER;
	callout_init_mtx(&vs->vs_callout, &vs->vs_mtx, 0);
	TASK_INIT(&vs->vs_log_task, 0, vssg_log_task, vs);
	vs->vs_tq = taskqueue_create(
	    VSSG_NAME "_tq", M_WAITOK, taskqueue_thread_enqueue, &vs->vs_tq);
	/* Without a thread a task would wait forever, and its drain with it. */
	error = taskqueue_start_threads(&vs->vs_tq, 1, PWAIT, VSSG_NAME);
	if (error != 0) {
		taskqueue_free(vs->vs_tq);
		vs->vs_tq = NULL;
		return (error);
	}
	mtx_lock(&vs->vs_mtx);
	vs->vs_state = VSSG_RUNNING;
	mtx_unlock(&vs->vs_mtx);
	return (vssg_dev_start(vs));
}

static void
vssg_stop(struct vssg *vs)
{
	mtx_lock(&vs->vs_mtx);
	if (vs->vs_state != VSSG_RUNNING) {
		mtx_unlock(&vs->vs_mtx);
		return;
	}
	vs->vs_state = VSSG_STOPPING;
	mtx_unlock(&vs->vs_mtx);
	vssg_dev_stop(vs);
	callout_drain(&vs->vs_callout);
	taskqueue_drain(vs->vs_tq, &vs->vs_log_task);
	taskqueue_free(vs->vs_tq);
	mtx_lock(&vs->vs_mtx);
	vs->vs_tq = NULL;
	vs->vs_state = VSSG_STOPPED;
	mtx_unlock(&vs->vs_mtx);
}

int
vssg_attach(struct vssg *vs, device_t dev,
    const struct vssg_transport *transport, void *arg)
{
	int error = 0;

	mtx_lock(&vs->vs_mtx);
	if (vs->vs_dev != NULL) {
		device_t other = vs->vs_dev;

		mtx_unlock(&vs->vs_mtx);
		device_printf(dev, "%s serves the host already\n",
		    device_get_nameunit(other));
		return (EBUSY);
	}
	vs->vs_dev = dev;
	vs->vs_transport = transport;
	vs->vs_arg = arg;
	mtx_unlock(&vs->vs_mtx);
	if (vs->vs_state == VSSG_STOPPED)
		error = vssg_start(vs);
	if (error != 0) {
		vssg_detach(vs, dev, false);
		return (error);
	}
	vssg_sysctl_attach(vs, dev);
	return (0);
}

void
vssg_detach(struct vssg *vs, device_t dev, bool keep)
{
	vssg_channel_down(vs);
	if (!keep)
		vssg_stop(vs);
	mtx_lock(&vs->vs_mtx);
	KASSERT(vs->vs_dev == dev, ("detach of another device"));
	vs->vs_dev = NULL;
	vs->vs_transport = NULL;
	mtx_unlock(&vs->vs_mtx);
}

/*
 * Unloading and detaching are refused while somebody has a device open, unless
 * they are forced: a freeze daemon or an application would be left behind
 * without knowing why.  Forced, each of them gets errors, which mean THAW.
 */
int
vssg_quiesce(struct vssg *vs)
{
	struct vss_engine_client *cl;
	char name[VSS_ENGINE_NAME_MAX];
	uint64_t pid = 0;
	uint32_t i, n = 0;

	mtx_lock(&vs->vs_mtx);
	for (i = 0; i < VSSG_NOPENS && vs->vs_state == VSSG_RUNNING; i++) {
		cl = &vs->vs_clients[i];
		if (!vs->vs_opens[i].vo_used)
			continue;
		if (n++ == 0) {
			pid = cl->cl_who.ew_pid;
			strlcpy(name, cl->cl_name, sizeof(name));
		}
	}
	mtx_unlock(&vs->vs_mtx);
	if (n == 0)
		return (0);
	printf(VSSG_NAME ": %u clients have its devices open, %s (pid %ju) "
			 "among them; stop them, or force it\n",
	    n, name, (uintmax_t)pid);
	return (EBUSY);
}

/* Whether the base system's driver has the host's channel. */
static bool
vssg_base_attached(void)
{
	devclass_t dc;
	device_t dev;

	dc = devclass_find(VSSG_BASE);
	dev = dc != NULL ? devclass_get_device(dc, 0) : NULL;
	return (dev != NULL && device_is_attached(dev));
}

int
vssg_modevent(module_t mod __unused, int what, void *arg __unused)
{
	switch (what) {
	case MOD_LOAD:
		if (vssg_base_attached())
			printf(VSSG_NAME
			    ": the base system's driver has the "
			    "host's channel; this one stays away.  To change "
			    "over: devctl detach " VSSG_BASE "0 and load this "
			    "again, or at boot hint." VSSG_BASE ".0.disabled=1"
			    "\n");
		return (0);
	case MOD_QUIESCE:
		/* A device that is attached is asked by itself. */
		return (vssg.vs_dev == NULL ? vssg_quiesce(&vssg) : 0);
	case MOD_UNLOAD:
		/*
		 * This driver's devices are detached, and a channel that was
		 * revoked left the service; unless another driver of the
		 * module still has a device.
		 */
		if (vssg.vs_dev == NULL)
			vssg_stop(&vssg);
		return (0);
	default:
		return (0);
	}
}
