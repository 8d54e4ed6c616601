/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/* A checkpoint of this machine's own (drv_test.h). */

#include "drv_test.h"

#include <string.h>

#define TEST_XACTID 0x6c6f63616c000000ULL /* for the trace */

/* What is awaited. */
enum test_step {
	TEST_NONE,
	TEST_CHECK,
	TEST_FREEZE,
	TEST_HOLD,
	TEST_THAW,
	TEST_REST,    /* everything goes on */
	TEST_COMPLETE /* that its LOST is forgotten */
};

void
test_init(struct test *tt, struct vss_engine *e, struct vss_trace *trace)
{
	memset(tt, 0, sizeof(*tt));
	tt->tt_engine = e;
	tt->tt_trace = trace;
	tt->tt_until_ns = VSS_ENGINE_NEVER;
}

bool
test_running(const struct test *tt)
{
	return (tt->tt_step != TEST_NONE);
}

static void
say(struct test *tt, const char *word, bool over)
{
	if (tt->tt_say != NULL)
		tt->tt_say(
		    tt->tt_arg, word, over, tt->tt_failed ? &tt->tt_why : NULL);
	if (over)
		tt->tt_say = NULL;
}

/* Whose requests follow in the trace. */
static void
mark(struct test *tt, bool local, uint64_t now_ns)
{
	struct vss_trace_event te = {
		.te_kind = VSS_TRACE_LOCAL, .te_ns = now_ns, .te_arg = local
	};

	vss_trace_put(tt->tt_trace, &te);
}

/* A request as the host would send it. */
static void
ask(struct test *tt, enum test_step step, uint8_t op, uint64_t now_ns)
{
	struct vmbus_icmsg_agreed agreed = { { 3, 0 }, { 5, 0 } };
	struct vss_wire_request wr = { .wr_op = op };
	uint8_t *pkt = vss_engine_rx_buf(tt->tt_engine);
	uint32_t len;

	VSS_ASSERT(pkt != NULL);
	tt->tt_step = (uint8_t)step;
	tt->tt_pkt = pkt;
	len = vss_wire_encode(pkt, VMBUS_ICMSG_PKT_MAX, &agreed, &wr, NULL);
	vss_engine_rx(tt->tt_engine, len, TEST_XACTID, now_ns);
}

static bool
is_lost(const struct test *tt)
{
	return (tt->tt_engine->e_lost);
}

const char *
test_begin(
    struct test *tt, uint64_t hold_ms, test_say *to, void *arg, uint64_t now_ns)
{
	struct vss_engine_status es;

	vss_engine_status(tt->tt_engine, &es);
	if (test_running(tt))
		return ("another test is under way");
	if (!vss_engine_quiet(tt->tt_engine))
		return ("a backup is under way; try again later");
	if (es.es_lost && tt->tt_lost_at != es.es_requests)
		return ("the last hold was lost, and the host has still to be "
			"told; back up first");
	if (hold_ms > TEST_HOLD_MAX_MS)
		return ("a test may hold for 10 s at most");
	tt->tt_say = to;
	tt->tt_arg = arg;
	tt->tt_failed = false;
	tt->tt_hold_ns = hold_ms * VSS_NS_PER_MS;
	mark(tt, true, now_ns);
	say(tt, "check", false);
	ask(tt, TEST_CHECK, VSS_WIRE_CHECK_HOT_BACKUP, now_ns);
	return (NULL);
}

static void
fail(struct test *tt, const struct vss_engine_reason *er)
{
	if (tt->tt_failed)
		return;
	tt->tt_failed = true;
	tt->tt_why = *er;
}

static void
end(struct test *tt, uint64_t now_ns)
{
	struct vss_engine_status es;

	vss_engine_status(tt->tt_engine, &es);
	tt->tt_lost_at = es.es_lost ? es.es_requests : 0;
	tt->tt_step = TEST_NONE;
	tt->tt_pkt = NULL;
	tt->tt_until_ns = VSS_ENGINE_NEVER;
	mark(tt, false, now_ns);
}

/* Everything goes on, or will: what is left is to wait until it does. */
static void
rest(struct test *tt)
{
	tt->tt_step = TEST_REST;
	tt->tt_pkt = NULL;
	tt->tt_until_ns = VSS_ENGINE_NEVER;
}

bool
test_reply(struct test *tt, const struct vss_engine_reply *ey, uint64_t now_ns)
{
	enum test_step step = (enum test_step)tt->tt_step;

	if (tt->tt_pkt == NULL || ey->ey_pkt != tt->tt_pkt)
		return (false);
	tt->tt_pkt = NULL;
	if (ey->ey_status != VMBUS_ICMSG_S_OK)
		fail(tt, &ey->ey_reason);
	if (ey->ey_status != VMBUS_ICMSG_S_OK || step == TEST_THAW) {
		rest(tt);
	} else if (step == TEST_FREEZE) {
		say(tt, "hold", false);
		tt->tt_step = TEST_HOLD;
		tt->tt_until_ns = now_ns + tt->tt_hold_ns;
	}
	return (true);
}

void
test_cancel(struct test *tt, bool host, uint64_t now_ns)
{
	struct vss_engine_reason er = {
		.er_cause = VSS_ENGINE_CAUSE_CANCELLED
	};

	if (!test_running(tt))
		return;
	fail(tt, &er);
	vss_engine_cancel(tt->tt_engine, VSS_ENGINE_CAUSE_CANCELLED, now_ns);
	if (!host) {
		rest(tt);
		return;
	}
	/* The host's requests are next: there is no rest to wait for. */
	say(tt, "cancelled", true);
	end(tt, now_ns);
}

/* Whether what it asked was dropped: the channel to the host went away. */
static bool
dropped(const struct test *tt)
{
	return (tt->tt_pkt != NULL &&
	    vss_request_count(&tt->tt_engine->e_requests, VSS_REQUEST_FREE) ==
		VSS_ENGINE_MAX_REQUESTS);
}

/* It is over, when everything goes on. */
static void
rested(struct test *tt, uint64_t now_ns)
{
	if (!vss_engine_quiet(tt->tt_engine))
		return;
	if (tt->tt_step == TEST_REST && is_lost(tt)) {
		ask(tt, TEST_COMPLETE, VSS_WIRE_BACKUP_COMPLETE, now_ns);
		return;
	}
	say(tt,
	    !tt->tt_failed ? "ok" :
		tt->tt_why.er_cause == VSS_ENGINE_CAUSE_CANCELLED ?
			     "cancelled" :
			     "failed",
	    true);
	end(tt, now_ns);
}

void
test_turn(struct test *tt, uint64_t now_ns)
{
	struct vss_engine_reason er = {
		.er_cause = VSS_ENGINE_CAUSE_CHANNEL_LOST
	};

	if (dropped(tt)) {
		fail(tt, &er);
		rest(tt);
	}
	switch ((enum test_step)tt->tt_step) {
	case TEST_CHECK:
		if (tt->tt_pkt != NULL)
			break;
		say(tt, "freeze", false);
		ask(tt, TEST_FREEZE, VSS_WIRE_FREEZE, now_ns);
		break;
	case TEST_HOLD:
		if (tt->tt_engine->e_state != VSS_ENGINE_HOLDING) {
			fail(tt, &tt->tt_engine->e_lost_why);
			rest(tt);
		} else if (now_ns >= tt->tt_until_ns) {
			tt->tt_until_ns = VSS_ENGINE_NEVER;
			say(tt, "thaw", false);
			ask(tt, TEST_THAW, VSS_WIRE_THAW, now_ns);
		}
		break;
	case TEST_REST:
	case TEST_COMPLETE:
		rested(tt, now_ns);
		break;
	case TEST_NONE:
	case TEST_FREEZE:
	case TEST_THAW:
		break;
	}
}

uint64_t
test_deadline(const struct test *tt)
{
	enum test_step step = (enum test_step)tt->tt_step;

	/* At once: where everything goes on, nobody else may have a call. */
	if ((step == TEST_REST || step == TEST_COMPLETE) &&
	    vss_engine_quiet(tt->tt_engine))
		return (0);
	return (tt->tt_until_ns);
}
