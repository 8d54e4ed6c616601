/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/*
 * The ring buffer on shared memory that the other party changes while it is
 * used: ring.c is compiled here with its accesses to the shared memory
 * replaced, and before each of them the input may change any of it.  What must
 * hold: no access outside, nothing written that is the other party's, and a
 * corrupt ring is left alone from then on.  Where nobody interferes, what is
 * sent comes out as it was sent.
 */

#include "fuzz.h"

static void interfere(void);

#define vss_port_load32	 fuzz_plain_load32
#define vss_port_store32 fuzz_plain_store32
#define vss_port_copied	 fuzz_plain_copied
#include "vss_port.h"
#undef vss_port_load32
#undef vss_port_store32
#undef vss_port_copied

static uint32_t vss_port_load32(const void *p);
static void vss_port_store32(void *p, uint32_t v);
static void vss_port_copied(void);
static void *fuzz_copy(void *to, const void *from, size_t n);

#define memcpy fuzz_copy
#include "ring.c"
#undef memcpy

#define DATA_LEN_MAX (3 * VMBUS_RING_PAGE)
#define CAP_MAX	     1024

/* What must not be touched by this end: a copy, kept in step with changes. */
struct world {
	struct fuzz_in wo_in;
	uint8_t *wo_mem; /* a ring with its control page */
	uint32_t wo_len;
	uint8_t *wo_theirs; /* the same, as the other party left it */
	bool wo_tx;	    /* this end produces */
	bool wo_hostile;
	bool wo_busy;
	uint32_t wo_accesses;
	struct vmbus_ring wo_ring;
};

static struct world wo;

static bool
is_ours(uint32_t off)
{
	if (wo.wo_tx)
		return (off < VMBUS_RING_O_IN + 4 ||
		    (off >= VMBUS_RING_O_PENDING &&
			off < VMBUS_RING_O_PENDING + 4) ||
		    (off >= VMBUS_RING_O_FEATURES &&
			off < VMBUS_RING_O_FEATURES + 4) ||
		    off >= VMBUS_RING_PAGE);
	return (off >= VMBUS_RING_O_OUT && off < VMBUS_RING_O_MASK + 4);
}

static void
check_theirs(void)
{
	uint32_t i;

	if (!wo.wo_tx)
		FUZZ_CHECK(memcmp(wo.wo_mem + VMBUS_RING_PAGE,
			       wo.wo_theirs + VMBUS_RING_PAGE,
			       wo.wo_len - VMBUS_RING_PAGE) == 0);
	for (i = 0; i < 128; i++)
		FUZZ_CHECK(is_ours(i) || wo.wo_mem[i] == wo.wo_theirs[i]);
}

static void
put(uint32_t off, uint32_t v)
{
	memcpy(wo.wo_mem + off, &v, sizeof(v));
	memcpy(wo.wo_theirs + off, &v, sizeof(v));
}

/* The other party stores something: an index, a field, a packet, bytes. */
static void
store(void)
{
	static const uint32_t fields[] = { VMBUS_RING_O_IN, VMBUS_RING_O_OUT,
		VMBUS_RING_O_MASK, VMBUS_RING_O_PENDING,
		VMBUS_RING_O_FEATURES };
	struct fuzz_in *fi = &wo.wo_in;
	uint8_t what = fuzz_u8(fi);
	uint32_t off, size;

	size = wo.wo_len - VMBUS_RING_PAGE;
	switch (what % 4) {
	case 0:
		put(fields[what / 4 % 5], fuzz_u16(fi));
		break;
	case 1:
		put(fields[what / 4 % 5], fuzz_u32(fi));
		break;
	case 2:
		/* A descriptor where this end looks next: type, lengths. */
		off = wo.wo_ring.vr_index % size;
		put(VMBUS_RING_PAGE + off, fuzz_u8(fi) | fuzz_u8(fi) << 16);
		put(VMBUS_RING_PAGE + (off + 4) % size,
		    fuzz_u16(fi) | (uint32_t)fuzz_u8(fi) << 16);
		put(VMBUS_RING_PAGE + (off + 20) % size, fuzz_u8(fi));
		break;
	default:
		off = fuzz_u16(fi) % (size / 4) * 4;
		put(VMBUS_RING_PAGE + off, fuzz_u32(fi));
		break;
	}
}

/* Called before each access to shared memory, and after each copy. */
static void
interfere(void)
{
	wo.wo_accesses++;
	FUZZ_CHECK(wo.wo_accesses < 100000);
	if (!wo.wo_hostile || wo.wo_busy || wo.wo_in.fi_left == 0)
		return;
	wo.wo_busy = true;
	if (fuzz_u8(&wo.wo_in) % 4 == 0)
		store();
	wo.wo_busy = false;
}

static bool
is_shared(const void *p, size_t n)
{
	const uint8_t *b = p;

	if (b + n <= wo.wo_mem || b >= wo.wo_mem + wo.wo_len)
		return (false);
	FUZZ_CHECK(b >= wo.wo_mem && b + n <= wo.wo_mem + wo.wo_len);
	return (true);
}

static uint32_t
vss_port_load32(const void *p)
{
	FUZZ_CHECK(is_shared(p, 4));
	interfere();
	return (fuzz_plain_load32(p));
}

static void
vss_port_store32(void *p, uint32_t v)
{
	FUZZ_CHECK(is_shared(p, 4));
	FUZZ_CHECK(
	    !wo.wo_hostile || is_ours((uint32_t)((uint8_t *)p - wo.wo_mem)));
	FUZZ_CHECK(wo.wo_ring.vr_error == 0);
	interfere();
	fuzz_plain_store32(p, v);
}

static void
vss_port_copied(void)
{
	interfere();
}

/* In two halves, between which the memory may change. */
static void *
fuzz_copy(void *to, const void *from, size_t n)
{
	uint8_t *t = to;
	const uint8_t *f = from;

	if (n == 0)
		return (to);
	if (is_shared(from, n) || is_shared(to, n)) {
		FUZZ_CHECK(wo.wo_ring.vr_error == 0);
		interfere();
		memcpy(t, f, n / 2);
		interfere();
		memcpy(t + n / 2, f + n / 2, n - n / 2);
	} else
		memcpy(to, from, n);
	return (to);
}

static void
check_error(int error)
{
	if (error != EIO)
		return;
	/* Corrupt for good: not one more access. */
	FUZZ_CHECK(wo.wo_ring.vr_error == EIO);
	wo.wo_accesses = 0;
}

static void
receive(void)
{
	struct vmbus_ring_pkt rp = { 0 };
	uint32_t cap = fuzz_u16(&wo.wo_in) % CAP_MAX;
	uint8_t *buf = fuzz_exact(cap);
	bool signal = false, was = wo.wo_ring.vr_error != 0;
	int error;

	wo.wo_accesses = 0;
	error = vmbus_ring_recv(&wo.wo_ring, &rp, buf, cap, &signal);
	FUZZ_CHECK(
	    error == 0 || error == EAGAIN || error == ENOBUFS || error == EIO);
	if (was)
		FUZZ_CHECK(error == EIO && wo.wo_accesses == 0);
	if (error == 0)
		FUZZ_CHECK(rp.rp_len <= cap && rp.rp_len % 8 == 0 &&
		    (rp.rp_flags & ~VMBUS_RING_PKT_F_COMPLETION) == 0);
	if (error == ENOBUFS)
		FUZZ_CHECK(rp.rp_len > cap);
	if (error == EAGAIN || error == EIO)
		FUZZ_CHECK(!signal);
	FUZZ_CHECK(wo.wo_ring.vr_index < wo.wo_ring.vr_size &&
	    wo.wo_ring.vr_index % 8 == 0);
	check_error(error);
	free(buf);
}

static void
transmit(void)
{
	struct vmbus_ring_pkt rp = { 0 };
	uint8_t *payload;
	bool signal = false, was = wo.wo_ring.vr_error != 0;
	int error;

	rp.rp_type = VMBUS_RING_INBAND;
	rp.rp_xactid = fuzz_u8(&wo.wo_in);
	rp.rp_len = fuzz_u16(&wo.wo_in);
	payload = fuzz_exact(rp.rp_len);
	wo.wo_accesses = 0;
	error = vmbus_ring_send(&wo.wo_ring, &rp, payload, &signal);
	FUZZ_CHECK(
	    error == 0 || error == EAGAIN || error == EMSGSIZE || error == EIO);
	if (was)
		FUZZ_CHECK(error == EIO && wo.wo_accesses == 0);
	FUZZ_CHECK((error == EMSGSIZE) ==
		(rp.rp_len > vmbus_ring_payload_max(&wo.wo_ring)) ||
	    error == EIO);
	FUZZ_CHECK(!signal || error == 0);
	check_error(error);
	free(payload);
}

static void
small_call(uint8_t what)
{
	bool was = wo.wo_ring.vr_error != 0;

	wo.wo_accesses = 0;
	if (wo.wo_tx)
		return;
	switch (what % 4) {
	case 0:
		(void)vmbus_ring_readable(&wo.wo_ring);
		break;
	case 1:
		vmbus_ring_mask(&wo.wo_ring);
		break;
	case 2:
		(void)vmbus_ring_unmask(&wo.wo_ring);
		break;
	default:
		(void)vmbus_ring_peer_wakes(&wo.wo_ring);
		break;
	}
	FUZZ_CHECK(!was || wo.wo_accesses == 0);
}

/* One end of ours, the other one is the input. */
static void
against_the_input(void)
{
	int error;

	wo.wo_theirs = fuzz_exact(wo.wo_len);
	memcpy(wo.wo_theirs, wo.wo_mem, wo.wo_len);
	while (fuzz_u8(&wo.wo_in) % 2 != 0)
		store();
	wo.wo_accesses = 0;
	error = wo.wo_tx ?
	    vmbus_ring_init_tx(&wo.wo_ring, wo.wo_mem, wo.wo_len) :
	    vmbus_ring_init_rx(&wo.wo_ring, wo.wo_mem, wo.wo_len);
	FUZZ_CHECK(error == 0 || error == EIO);
	while (wo.wo_in.fi_left != 0) {
		switch (fuzz_u8(&wo.wo_in) % 4) {
		case 0:
			store();
			break;
		case 1:
			small_call(fuzz_u8(&wo.wo_in));
			break;
		default:
			if (wo.wo_tx)
				transmit();
			else
				receive();
			break;
		}
		check_theirs();
	}
	free(wo.wo_theirs);
}

/* Both ends are ours: a queue, whatever the sizes are. */
static void
against_ourselves(void)
{
	struct fuzz_in *fi = &wo.wo_in;
	struct vmbus_ring tx, rx;
	struct vmbus_ring_pkt rp = { 0 };
	uint64_t sent = 0, received = 0;
	static uint8_t payload[4 * VMBUS_RING_PAGE], got[sizeof(payload)];
	uint32_t lens[2 * DATA_LEN_MAX / 24];
	uint32_t len;
	uint8_t op;
	bool signal, empty;
	int error;

	FUZZ_CHECK(vmbus_ring_init_tx(&tx, wo.wo_mem + 1, wo.wo_len) == EINVAL);
	FUZZ_CHECK(vmbus_ring_init_rx(&rx, wo.wo_mem, wo.wo_len - 1) == EINVAL);
	FUZZ_CHECK(vmbus_ring_init_tx(&tx, wo.wo_mem, wo.wo_len) == 0);
	FUZZ_CHECK(vmbus_ring_init_rx(&rx, wo.wo_mem, wo.wo_len) == 0);
	while (fi->fi_left != 0) {
		op = fuzz_u8(fi);
		wo.wo_accesses = 0;
		signal = false;
		empty = sent == received;
		if (op % 2 == 0) {
			rp.rp_type = op % 4 == 0 ? VMBUS_RING_INBAND :
						   VMBUS_RING_COMPLETION;
			rp.rp_flags = op / 4 % 2;
			rp.rp_xactid = sent;
			rp.rp_len = fuzz_u16(fi) %
			    (vmbus_ring_payload_max(&tx) + 1);
			memset(payload, (int)sent % 251 + 1, rp.rp_len);
			error = vmbus_ring_send(&tx, &rp, payload, &signal);
			if (error == EAGAIN) {
				FUZZ_CHECK(!empty);
				continue;
			}
			FUZZ_CHECK(error == 0 && signal == empty);
			lens[sent++ % VSS_NELEM(lens)] = rp.rp_len;
			continue;
		}
		FUZZ_CHECK(vmbus_ring_readable(&rx) == !empty);
		error = vmbus_ring_recv(&rx, &rp, got, sizeof(got), &signal);
		FUZZ_CHECK(error == (empty ? EAGAIN : 0));
		if (error != 0)
			continue;
		FUZZ_CHECK(rp.rp_xactid == received);
		len = lens[received % VSS_NELEM(lens)];
		FUZZ_CHECK((len + 7) / 8 * 8 == rp.rp_len);
		memset(payload, (int)received % 251 + 1, rp.rp_len);
		FUZZ_CHECK(memcmp(payload, got, len) == 0);
		received++;
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t mode;

	memset(&wo, 0, sizeof(wo));
	wo.wo_in.fi_next = data;
	wo.wo_in.fi_left = size;
	mode = fuzz_u8(&wo.wo_in);
	wo.wo_len = VMBUS_RING_PAGE * (2U + mode / 16 % 3);
	wo.wo_mem = fuzz_exact(wo.wo_len);
	wo.wo_tx = mode % 4 == 1;
	wo.wo_hostile = mode % 4 != 0;
	if (wo.wo_hostile)
		against_the_input();
	else
		against_ourselves();
	free(wo.wo_mem);
	return (0);
}
