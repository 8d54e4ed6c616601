/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/*
 * A checkpoint that nobody on the host asked for: hv_vssctl test.  To the
 * engine its requests look like the host's, so that all its promises hold, but
 * any packet of the host calls it off: what was at rest is let go, and the
 * host's request runs next.
 *
 * There is one at a time.  It begins only while the engine has nothing else to
 * do, no reply to the host waits, and no hold of the host's is LOST, which a
 * FREEZE would make forgotten.  It ends by itself, by test_cancel(), or when
 * its requests are dropped; in any case it says so.
 */

#ifndef _DRV_TEST_H_
#define _DRV_TEST_H_

#include <stdbool.h>
#include <stdint.h>

#include "engine.h"

#define TEST_HOLD_MAX_MS 10000

/* What happens: a step begins, or (over) what came of it all, and why. */
typedef void test_say(
    void *arg, const char *word, bool over, const struct vss_engine_reason *er);

struct test {
	struct vss_engine *tt_engine;
	struct vss_trace *tt_trace;
	test_say *tt_say; /* NULL: nobody listens any more */
	void *tt_arg;
	uint8_t tt_step;       /* enum test_step */
	const uint8_t *tt_pkt; /* the request that is not answered; NULL */
	uint64_t tt_hold_ns;
	uint64_t tt_until_ns; /* of the hold; VSS_ENGINE_NEVER */
	bool tt_failed;
	struct vss_engine_reason tt_why;
	uint64_t tt_lost_at; /* requests when a test's hold was LOST; 0 */
};

void test_init(struct test *tt, struct vss_engine *e, struct vss_trace *trace);
/* NULL, or why it cannot begin. */
const char *test_begin(struct test *tt, uint64_t hold_ms, test_say *say,
    void *arg, uint64_t now_ns);
bool test_running(const struct test *tt);
/* Whether it is a reply to the test, which takes it. */
bool test_reply(
    struct test *tt, const struct vss_engine_reply *ey, uint64_t now_ns);
/* The host has sent something (buf is the engine's no more), or it is enough.
 */
void test_cancel(struct test *tt, bool host, uint64_t now_ns);
void test_turn(struct test *tt, uint64_t now_ns);
uint64_t test_deadline(const struct test *tt);

#endif /* _DRV_TEST_H_ */
