/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/*
 * Unit tests of core/ring.c with both ends at work at the same time, each in a
 * thread that sleeps until it is signalled: what is signalled too seldom shows
 * as a sleep without end, what is ordered wrongly as a packet that is wrong.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/eventfd.h>

#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "ring.h"

#define RING	    (2U * VMBUS_RING_PAGE)
#define NPACKETS    200000U
#define LEN_MAX	    3000U
#define PATIENCE_MS 20000

/* One end: its ring, what wakes it, and what wakes the other. */
struct end {
	struct vmbus_ring e_ring;
	int e_event;
	int e_signal;
	bool e_batched; /* consumer: masks signals while it reads */
	uint32_t e_sleeps;
	const char *e_wrong; /* the first thing that was */
};

/* Payload length of packet i, from a generator that both ends run. */
static uint32_t
next_len(uint32_t *seed)
{
	*seed = *seed * 1664525 + 1013904223;
	return ((*seed >> 12) % LEN_MAX >> (*seed >> 30) * 2);
}

static void
wake(const struct end *e)
{
	const uint64_t one = 1;

	if (write(e->e_signal, &one, sizeof(one)) < 0)
		abort();
}

/* Sleeps until signalled; false when that takes too long. */
static bool
sleep_until_woken(struct end *e, const char *who)
{
	struct pollfd pfd = { .fd = e->e_event, .events = POLLIN };
	uint64_t count;

	e->e_sleeps++;
	if (poll(&pfd, 1, PATIENCE_MS) == 1 &&
	    read(e->e_event, &count, sizeof(count)) == sizeof(count))
		return (true);
	e->e_wrong = who;
	return (false);
}

static void *
produce(void *arg)
{
	struct vmbus_ring_pkt rp = { .rp_type = VMBUS_RING_INBAND };
	struct end *e = arg;
	uint8_t payload[LEN_MAX];
	uint32_t i, seed = 1;
	bool signal;
	int error;

	for (i = 0; i < NPACKETS; i++) {
		rp.rp_xactid = i;
		rp.rp_len = next_len(&seed);
		memset(payload, (int)(i & 0xff), rp.rp_len);
		do {
			signal = false;
			error = vmbus_ring_send(
			    &e->e_ring, &rp, payload, &signal);
			if (signal)
				wake(e);
			if (error == EAGAIN &&
			    !sleep_until_woken(e,
				"no signal that there is "
				"room"))
				return (NULL);
		} while (error == EAGAIN);
		if (error != 0) {
			e->e_wrong = "the ring is corrupt to its producer";
			return (NULL);
		}
	}
	return (NULL);
}

/* What is wrong with packet i, or NULL. */
static const char *
packet_breach(const struct vmbus_ring_pkt *rp, const uint8_t *buf, uint32_t i,
    uint32_t len)
{
	uint32_t j;

	if (rp->rp_xactid != i)
		return ("another packet than the next");
	if (rp->rp_len != ((len + 7) & ~7U))
		return ("a packet of another length");
	for (j = 0; j < len; j++)
		if (buf[j] != (i & 0xff))
			return ("a packet with other bytes");
	return (NULL);
}

/* Sleeps if the ring is empty even after signals are on again. */
static bool
wait_for_packet(struct end *e)
{
	bool woken = true;

	if (!e->e_batched || !vmbus_ring_unmask(&e->e_ring))
		woken = sleep_until_woken(e, "no signal that a packet came");
	if (e->e_batched)
		vmbus_ring_mask(&e->e_ring);
	return (woken);
}

static void *
consume(void *arg)
{
	struct vmbus_ring_pkt rp;
	struct end *e = arg;
	uint8_t buf[LEN_MAX + 8];
	uint32_t i = 0, seed = 1;
	bool signal;
	int error;

	while (i < NPACKETS && e->e_wrong == NULL) {
		signal = false;
		error = vmbus_ring_recv(
		    &e->e_ring, &rp, buf, sizeof(buf), &signal);
		if (signal)
			wake(e);
		if (error == 0) {
			e->e_wrong = packet_breach(
			    &rp, buf, i, next_len(&seed));
			i++;
		} else if (error != EAGAIN)
			e->e_wrong = "the ring is corrupt to its consumer";
		else if (!wait_for_packet(e))
			break;
	}
	return (NULL);
}

/* All packets go from one thread to the other. */
static void
run(bool batched)
{
	struct end rx = { .e_batched = batched }, tx = { .e_batched = false };
	pthread_t consumer, producer;
	void *mem;

	mem = aligned_alloc(VMBUS_RING_PAGE, RING);
	assert_non_null(mem);
	memset(mem, 0, RING);
	assert_int_equal(vmbus_ring_init_tx(&tx.e_ring, mem, RING), 0);
	assert_int_equal(vmbus_ring_init_rx(&rx.e_ring, mem, RING), 0);
	tx.e_event = rx.e_signal = eventfd(0, EFD_CLOEXEC);
	rx.e_event = tx.e_signal = eventfd(0, EFD_CLOEXEC);
	assert_true(tx.e_event >= 0 && rx.e_event >= 0);
	if (batched)
		vmbus_ring_mask(&rx.e_ring);
	assert_int_equal(pthread_create(&producer, NULL, produce, &tx), 0);
	assert_int_equal(pthread_create(&consumer, NULL, consume, &rx), 0);
	pthread_join(producer, NULL);
	pthread_join(consumer, NULL);
	if (tx.e_wrong != NULL || rx.e_wrong != NULL)
		print_error(
		    "%s\n", tx.e_wrong != NULL ? tx.e_wrong : rx.e_wrong);
	assert_null(tx.e_wrong);
	assert_null(rx.e_wrong);
	/* It was a race: both had to be woken. */
	assert_true(tx.e_sleeps > 0 && rx.e_sleeps > 0);
	close(tx.e_event);
	close(rx.e_event);
	free(mem);
}

static void
no_signal_is_missed_by_a_consumer_that_never_masks(void **state)
{
	(void)state;
	run(false);
}

static void
no_signal_is_missed_by_a_consumer_that_reads_in_batches(void **state)
{
	(void)state;
	run(true);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
		    no_signal_is_missed_by_a_consumer_that_never_masks),
		cmocka_unit_test(
		    no_signal_is_missed_by_a_consumer_that_reads_in_batches),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
