/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/*
 * A host, a freeze daemon and applications around one engine on virtual time,
 * for the engine's unit tests.  Nothing here knows the rules: it sends, reads,
 * writes and hands back what came.
 */

#ifndef _ENGINE_FIXTURE_H_
#define _ENGINE_FIXTURE_H_

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "engine.h"

#define MS	VSS_NS_PER_MS
#define S	VSS_NS_PER_S
#define FAIL_S	VMBUS_ICMSG_S_FAIL
#define NOREPLY 0xffffffffU

static struct vss_engine eng;
static struct vss_engine_conf conf;
static struct vss_engine_client *clients;
static struct vss_trace trace;
static struct vss_trace_event events[4096];
static uint64_t now, last_xid;
static struct vss_engine_reply last_reply;

static inline void
start(void)
{
	free(clients);
	clients = calloc(conf.ec_max_clients + 1, sizeof(*clients));
	vss_trace_init(&trace, events, VSS_NELEM(events));
	now = 1000 * S;
	last_xid = 0;
	assert_int_equal(vss_engine_init(&eng, &conf, clients, &trace), 0);
	vss_engine_channel_opened(&eng, now);
}

static inline int
setup(void **state)
{
	(void)state;
	vss_engine_conf_default(&conf);
	start();
	return (0);
}

/* Time. */
static inline void
tick(uint64_t ns)
{
	now += ns;
	if (vss_engine_deadline(&eng) <= now)
		vss_engine_timer(&eng, now);
	assert_true(vss_engine_deadline(&eng) > now);
}

static inline const char *
state_is(void)
{
	struct vss_engine_status es;

	vss_engine_status(&eng, &es);
	return (es.es_state);
}

static inline bool
lost(void)
{
	struct vss_engine_status es;

	vss_engine_status(&eng, &es);
	return (es.es_lost);
}

/* Host.  Sends a request and returns its transaction id. */
static inline uint64_t
send(uint8_t op)
{
	struct vmbus_icmsg_agreed agreed = { { 3, 0 }, { 5, 0 } };
	struct vss_wire_request wr = { 0 };
	uint8_t *buf;
	uint32_t len;

	wr.wr_op = op;
	buf = vss_engine_rx_buf(&eng);
	assert_non_null(buf);
	len = vss_wire_encode(buf, VMBUS_ICMSG_PKT_MAX, &agreed, &wr, NULL);
	assert_int_equal(len, VSS_WIRE_MIN_LEN);
	vss_engine_rx(&eng, len, ++last_xid, now);
	return (last_xid);
}

static inline uint64_t
negotiate(void)
{
	static const struct vmbus_icmsg_version fw[] = { { 3, 0 } };
	static const struct vmbus_icmsg_version ms[] = { { 5, 0 } };
	struct vmbus_icmsg_versions v = { fw, ms, 1, 1 };
	uint8_t *buf;
	uint32_t len;

	buf = vss_engine_rx_buf(&eng);
	assert_non_null(buf);
	len = vmbus_icmsg_offer(buf, VMBUS_ICMSG_PKT_MAX, &v);
	vss_engine_rx(&eng, len, ++last_xid, now);
	return (last_xid);
}

/* Takes the next reply, which must be that of xid, and returns its status. */
static inline uint32_t
reply(uint64_t xid)
{
	if (!vss_engine_reply(&eng, &last_reply))
		return (NOREPLY);
	assert_int_equal(last_reply.ey_xactid, xid);
	vss_engine_sent(&eng);
	return (last_reply.ey_status);
}

static inline uint32_t
no_reply(void)
{
	return (vss_engine_reply(&eng, &last_reply) ? 0 : NOREPLY);
}

#define assert_ok(xid)	 assert_int_equal(reply(xid), 0)
#define assert_fail(xid) assert_int_equal(reply(xid), FAIL_S)
#define assert_silence() assert_int_equal(no_reply(), NOREPLY)
#define assert_state(s)	 assert_string_equal(state_is(), s)
#define assert_cause(c) \
	assert_int_equal(last_reply.ey_reason.er_cause, VSS_ENGINE_CAUSE_##c)

/* Clients. */
static inline int
try_open(enum vss_engine_kind kind, uint32_t uid, uint32_t *slot)
{
	struct vss_engine_who who = { 0 };

	who.ew_uid = uid;
	who.ew_pid = 4711;
	strcpy(who.ew_comm, kind == VSS_ENGINE_FS ? "daemon" : "app");
	return (vss_engine_open(&eng, kind, &who, now, slot));
}

static inline uint32_t
open_fs(void)
{
	uint32_t slot;

	assert_int_equal(try_open(VSS_ENGINE_FS, 0, &slot), 0);
	return (slot);
}

/* An application that polls at once. */
static inline uint32_t
open_app(void)
{
	uint32_t slot;

	assert_int_equal(try_open(VSS_ENGINE_APP, 0, &slot), 0);
	(void)vss_engine_poll(&eng, slot, now);
	return (slot);
}

static inline uint32_t
open_level(uint32_t level, bool prepare)
{
	uint32_t slot;

	slot = open_app();
	assert_int_equal(
	    vss_engine_hello(&eng, slot, "named", level, prepare), 0);
	return (slot);
}

static uint32_t fs, app;

/* With a daemon and an application. */
static inline int
setup_both(void **state)
{
	(void)setup(state);
	fs = open_fs();
	app = open_app();
	return (0);
}

static inline void
close_it(uint32_t slot)
{
	vss_engine_close(&eng, slot, now);
}

static inline bool
readable(uint32_t slot)
{
	return (vss_client_readable(&clients[slot]));
}

/* READs, and returns the operation; the id goes to *id. */
static inline uint32_t
get_id(uint32_t slot, uint64_t *id)
{
	struct vss_engine_msg em;

	vss_engine_read(&eng, slot, now, &em);
	assert_int_equal(em.em_status, em.em_op == VSS_ENGINE_NONE);
	assert_int_equal(em.em_id == 0, em.em_op == VSS_ENGINE_NONE);
	*id = em.em_id;
	return (em.em_op);
}

static inline int
put(uint32_t slot, uint32_t op, uint64_t id, uint32_t status)
{
	struct vss_engine_msg em = { op, status, id };

	return (vss_engine_write(&eng, slot, now, &em));
}

/* READs op, which must be what waits, and returns its id. */
static inline uint64_t
get(uint32_t slot, uint32_t op)
{
	uint64_t id;

	assert_int_equal(get_id(slot, &id), op);
	return (id);
}

/* READs op and answers it. */
static inline uint64_t
answer(uint32_t slot, uint32_t op, uint32_t status)
{
	uint64_t id;

	id = get(slot, op);
	assert_int_equal(put(slot, op, id, status), 0);
	return (id);
}

#define CHECK	   VSS_ENGINE_CHECK
#define FREEZE	   VSS_ENGINE_FREEZE
#define THAW	   VSS_ENGINE_THAW
#define PREPARE	   VSS_ENGINE_PREPARE
#define NONE	   VSS_ENGINE_NONE

#define H_CHECK	   VSS_WIRE_CHECK_HOT_BACKUP
#define H_FREEZE   VSS_WIRE_FREEZE
#define H_THAW	   VSS_WIRE_THAW
#define H_COMPLETE VSS_WIRE_BACKUP_COMPLETE

/* A CHECK that works, with one application (0: none). */
static inline void
check_ok(uint32_t daemon, uint32_t one)
{
	uint64_t xid;

	xid = send(H_CHECK);
	if (one != 0)
		answer(one, CHECK, 0);
	answer(daemon, CHECK, 0);
	assert_ok(xid);
}

/* A CHECK that somebody does not answer in time. */
static inline void
check_silent(void)
{
	(void)send(H_CHECK);
	tick(10 * S);
	assert_fail(last_xid);
}

/* FREEZE until the hold, with one application. */
static inline void
hold(uint32_t daemon, uint32_t client)
{
	uint64_t xid;

	xid = send(H_FREEZE);
	if (client != 0)
		answer(client, FREEZE, 0);
	answer(daemon, FREEZE, 0);
	assert_ok(xid);
	assert_state("HOLDING");
}

static inline void
thaw_ok(uint32_t daemon, uint32_t client)
{
	uint64_t xid;

	xid = send(H_THAW);
	answer(daemon, THAW, 0);
	if (client != 0)
		answer(client, THAW, 0);
	assert_ok(xid);
	assert_state("IDLE");
}

#endif /* _ENGINE_FIXTURE_H_ */
