/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/*
 * How many packets a second go through a ring: bench_ring ROUNDS prints one
 * JSON line a sample.  Each round measures core/ring.c and the floor one after
 * the other, at every payload, with one thread (send one, receive one) and with
 * two.  The floor moves the same bytes, descriptor, payload, trailer and both
 * indices, with memcpy, and checks and decides nothing.
 */

#include <err.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "ring.h"

#define RING_LEN  (5 * VMBUS_RING_PAGE) /* 16 KiB of data */
#define DATA_LEN  (RING_LEN - VMBUS_RING_PAGE)
#define SAMPLE_NS 60000000ULL
#define BATCH	  1024 /* packets between looks at the clock */
#define DUO_BATCH 65536
#define LEN_MAX	  4096
#define SPINS_MAX 256 /* then the other thread is let on the CPU */

/* One way to move packets; both ends are used by one thread each. */
struct way {
	const char *wy_name;
	bool (*wy_send)(uint32_t len);
	bool (*wy_recv)(void);
};

static uint8_t *mem;
static uint8_t payload[LEN_MAX], taken[LEN_MAX];
static struct vmbus_ring tx, rx;
static bool signalled;
static uint32_t floor_in, floor_out; /* each thread's own copy */

static uint64_t
now_ns(clockid_t clock)
{
	struct timespec ts;

	(void)clock_gettime(clock, &ts);
	return ((uint64_t)ts.tv_sec * 1000000000ULL + (uint64_t)ts.tv_nsec);
}

static bool
ring_send(uint32_t len)
{
	struct vmbus_ring_pkt rp = {
		.rp_type = VMBUS_RING_INBAND, .rp_xactid = 7, .rp_len = len
	};

	return (vmbus_ring_send(&tx, &rp, payload, &signalled) == 0);
}

static bool
ring_recv(void)
{
	struct vmbus_ring_pkt rp;
	bool signal = false;

	return (vmbus_ring_recv(&rx, &rp, taken, LEN_MAX, &signal) == 0);
}

/*
 * The floor's two copies, around the end of the data; inline, so that what has
 * a constant size needs no memcpy().
 */
static inline uint32_t
floor_put(uint32_t at, const void *src, uint32_t n)
{
	uint32_t first = DATA_LEN - at;

	if (n < first) {
		memcpy(mem + VMBUS_RING_PAGE + at, src, n);
		return (at + n);
	}
	memcpy(mem + VMBUS_RING_PAGE + at, src, first);
	memcpy(mem + VMBUS_RING_PAGE, (const uint8_t *)src + first, n - first);
	return (n - first);
}

static inline uint32_t
floor_get(uint32_t at, void *dst, uint32_t n)
{
	uint32_t first = DATA_LEN - at;

	if (n < first) {
		memcpy(dst, mem + VMBUS_RING_PAGE + at, n);
		return (at + n);
	}
	memcpy(dst, mem + VMBUS_RING_PAGE + at, first);
	memcpy((uint8_t *)dst + first, mem + VMBUS_RING_PAGE, n - first);
	return (n - first);
}

static bool
floor_send(uint32_t len)
{
	uint16_t desc[8] = { VMBUS_RING_INBAND, 2,
		(uint16_t)((VMBUS_RING_PKT_HDR + len) / 8), 0, 7 };
	uint32_t out = vss_port_load32(mem + VMBUS_RING_O_OUT);
	uint32_t tail[2] = { 0, floor_in }, used;

	used = floor_in >= out ? floor_in - out : DATA_LEN - (out - floor_in);
	if (DATA_LEN - used <= VMBUS_RING_PKT_HDR + len + VMBUS_RING_PKT_TAIL)
		return (false);
	floor_in = floor_put(floor_in, desc, sizeof(desc));
	floor_in = floor_put(floor_in, payload, len);
	floor_in = floor_put(floor_in, tail, sizeof(tail));
	vss_port_store32(mem + VMBUS_RING_O_IN, floor_in);
	return (true);
}

static bool
floor_recv(void)
{
	uint16_t desc[8];
	uint32_t tail[2];

	if (vss_port_load32(mem + VMBUS_RING_O_IN) == floor_out)
		return (false);
	floor_out = floor_get(floor_out, desc, sizeof(desc));
	floor_out = floor_get(
	    floor_out, taken, desc[2] * 8U - VMBUS_RING_PKT_HDR);
	floor_out = floor_get(floor_out, tail, sizeof(tail));
	vss_port_store32(mem + VMBUS_RING_O_OUT, floor_out);
	return (true);
}

static void
reset(void)
{
	memset(mem, 0, RING_LEN);
	floor_in = floor_out = 0;
	if (vmbus_ring_init_tx(&tx, mem, RING_LEN) != 0 ||
	    vmbus_ring_init_rx(&rx, mem, RING_LEN) != 0)
		errx(1, "ring: cannot be made");
}

/* Millions of packets a second, of the thread's own time on the CPU. */
static double
solo(const struct way *wy, uint32_t len)
{
	uint64_t begin = now_ns(CLOCK_THREAD_CPUTIME_ID), end, n = 0;

	do {
		for (int i = 0; i < BATCH; i++)
			if (!wy->wy_send(len) || !wy->wy_recv())
				errx(1, "%s: a packet was lost", wy->wy_name);
		n += BATCH;
		end = now_ns(CLOCK_THREAD_CPUTIME_ID);
	} while (end - begin < SAMPLE_NS);
	return ((double)n * 1e3 / (double)(end - begin));
}

struct duo {
	const struct way *du_way;
	uint64_t du_packets;
};

static void
again(unsigned int *spins)
{
	if (++*spins % SPINS_MAX == 0)
		(void)sched_yield();
}

static void *
consumer(void *arg)
{
	const struct duo *du = arg;
	unsigned int spins = 0;

	for (uint64_t n = 0; n < du->du_packets;)
		if (du->du_way->wy_recv())
			n++;
		else
			again(&spins);
	return (NULL);
}

static double
duo(const struct way *wy, uint32_t len)
{
	struct duo du = { wy, len > 256 ? DUO_BATCH * 2 : DUO_BATCH * 8 };
	unsigned int spins = 0;
	pthread_t thread;
	uint64_t begin;

	if (pthread_create(&thread, NULL, consumer, &du) != 0)
		err(1, "thread");
	begin = now_ns(CLOCK_MONOTONIC);
	for (uint64_t n = 0; n < du.du_packets;)
		if (wy->wy_send(len))
			n++;
		else
			again(&spins);
	(void)pthread_join(thread, NULL);
	return ((double)du.du_packets * 1e3 /
	    (double)(now_ns(CLOCK_MONOTONIC) - begin));
}

static void
sample(const struct way *wy, uint32_t len, int threads)
{
	double mpkt;

	reset();
	mpkt = threads == 1 ? solo(wy, len) : duo(wy, len);
	(void)printf("{\"case\":\"ring/%u/%dthread%s\",\"who\":\"%s\","
		     "\"metric\":\"mpkt_s\",\"value\":%.3f}\n",
	    len, threads, threads == 1 ? "" : "s", wy->wy_name, mpkt);
	(void)fflush(stdout);
}

int
main(int argc, char *argv[])
{
	static const uint32_t lens[] = { 40, 256, 1416, 4096 };
	static const struct way ways[] = {
		{ "hv_vss", ring_send, ring_recv },
		{ "floor", floor_send, floor_recv },
	};
	int rounds = argc > 1 ? atoi(argv[1]) : 5;

	mem = aligned_alloc(VMBUS_RING_PAGE, RING_LEN);
	if (mem == NULL)
		err(1, "memory");
	memset(payload, 0xa5, sizeof(payload));
	for (int r = 0; r < rounds; r++)
		for (int threads = 1; threads <= 2; threads++)
			for (size_t l = 0; l < VSS_NELEM(lens); l++)
				for (size_t w = 0; w < VSS_NELEM(ways); w++)
					sample(&ways[w], lens[l], threads);
	free(mem);
	return (0);
}
