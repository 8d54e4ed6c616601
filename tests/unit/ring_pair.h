/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/*
 * What the unit tests of core/ring.c share: one ring and both of its ends.
 * ring.c is compiled into the test with its loads of shared memory replaced, so
 * that a test can change a value between two loads and count them.
 */

#ifndef _RING_PAIR_H_
#define _RING_PAIR_H_

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "vss_port.h"

/* Called before each load of shared memory by ring.c, when set. */
static void (*on_load)(const void *p);

static uint32_t
watched_load32(const void *p)
{
	if (on_load != NULL)
		on_load(p);
	return (vss_port_load32(p));
}

/*
 * What the processor may do is not what a test sees it do.  So each store opens
 * a window in which no load may lie; a fence closes it, and a test at the start
 * of a call.
 */
static bool fence_is_due;
static uint32_t nloads_unfenced;

static uint32_t
fenced_load32(const void *p)
{
	nloads_unfenced += fence_is_due;
	return (watched_load32(p));
}

static void
watched_store32(void *p, uint32_t v)
{
	fence_is_due = true;
	vss_port_store32(p, v);
}

static void
watched_fence(void)
{
	fence_is_due = false;
	vss_port_fence();
}

#define vss_port_load32	 fenced_load32
#define vss_port_store32 watched_store32
#define vss_port_fence	 watched_fence
#include "../../core/ring.c"
#undef vss_port_load32
#undef vss_port_store32
#undef vss_port_fence

#define PAGE VMBUS_RING_PAGE
#define DATA PAGE /* data area of the usual ring: one page */

/* One ring of two pages and both of its ends. */
struct pair {
	uint8_t *mem;
	uint32_t len;
	struct vmbus_ring tx, rx;
};

static struct pair *pair;
static uint8_t buf[3 * PAGE];

static uint32_t
ctl(uint32_t off)
{
	return (vmbus_icmsg_get32(pair->mem + off));
}

static void
set_ctl(uint32_t off, uint32_t v)
{
	vmbus_icmsg_put32(pair->mem + off, v);
}

static uint8_t *
data(uint32_t off)
{
	return (pair->mem + PAGE + off);
}

static void
pair_init(uint32_t len)
{
	pair->len = len;
	pair->mem = aligned_alloc(PAGE, len);
	assert_non_null(pair->mem);
	memset(pair->mem, 0, len);
	assert_int_equal(vmbus_ring_init_tx(&pair->tx, pair->mem, len), 0);
	assert_int_equal(vmbus_ring_init_rx(&pair->rx, pair->mem, len), 0);
}

static int
setup(void **state)
{
	(void)state;
	on_load = NULL;
	pair = calloc(1, sizeof(*pair));
	assert_non_null(pair);
	pair_init(2 * PAGE);
	return (0);
}

static int
teardown(void **state)
{
	(void)state;
	free(pair->mem);
	free(pair);
	return (0);
}

/* Both ends begin at this index, as if so many bytes had gone through. */
static void
start_at(uint32_t at)
{
	set_ctl(VMBUS_RING_O_IN, at);
	set_ctl(VMBUS_RING_O_OUT, at);
	assert_int_equal(
	    vmbus_ring_init_tx(&pair->tx, pair->mem, pair->len), 0);
	assert_int_equal(
	    vmbus_ring_init_rx(&pair->rx, pair->mem, pair->len), 0);
}

static int
send_len(uint32_t len, uint64_t xactid, bool *signal)
{
	struct vmbus_ring_pkt rp = {
		.rp_type = VMBUS_RING_INBAND, .rp_xactid = xactid, .rp_len = len
	};
	static uint8_t payload[3 * PAGE];
	uint32_t i;

	for (i = 0; i < len && i < sizeof(payload); i++)
		payload[i] = (uint8_t)(i * 7 + xactid + 1);
	return (vmbus_ring_send(&pair->tx, &rp, payload, signal));
}

static int
recv_any(struct vmbus_ring_pkt *rp, bool *signal)
{
	memset(buf, 0xaa, sizeof(buf));
	return (vmbus_ring_recv(&pair->rx, rp, buf, sizeof(buf), signal));
}

/* Receives the packet that send_len(len, xactid) sent and checks all of it. */
static void
recv_len(uint32_t len, uint64_t xactid)
{
	struct vmbus_ring_pkt rp;
	bool signal = false;
	uint32_t i, padded;

	padded = (len + 7) & ~7U;
	assert_int_equal(recv_any(&rp, &signal), 0);
	assert_int_equal(rp.rp_type, VMBUS_RING_INBAND);
	assert_int_equal(rp.rp_flags, 0);
	assert_true(rp.rp_xactid == xactid);
	assert_int_equal(rp.rp_len, padded);
	for (i = 0; i < len; i++)
		assert_int_equal(buf[i], (uint8_t)(i * 7 + xactid + 1));
	for (; i < padded; i++)
		assert_int_equal(buf[i], 0);
	assert_int_equal(buf[padded], 0xaa);
}

/* Fills the ring with 32-byte packets; 32 bytes stay free. */
static void
fill(void)
{
	bool signal = false;
	uint32_t i;

	for (i = 0; i < 127; i++)
		assert_int_equal(send_len(8, i, &signal), 0);
	assert_int_equal(ctl(VMBUS_RING_O_PENDING), 0);
}

#endif /* _RING_PAIR_H_ */
