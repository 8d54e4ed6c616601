/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/*
 * The VMBus ring buffer.  See ring.h; section numbers are PROTOCOL.md's.
 *
 * in and out are offsets into the data area; in == out is empty, and in never
 * catches up with out from behind.  The other party's index is loaded once and
 * checked by ring_peer_index(); everything else is computed from that value
 * and from our own index, which is never read back from the shared page.
 */

#include "ring.h"
#include "icmsg.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
    "control page, descriptor and trailer are little-endian, read as they are");

/* Extra headers of packets that describe memory (section 4.3). */
#define RING_O_NRANGES	20
#define RING_O_RANGES	24
#define RING_XFER_RANGE 8 /* byte count, offset */
#define RING_GPA_RANGE	8 /* the same, before the page numbers */
#define RING_GPA_PFN	8

_Static_assert(VMBUS_RING_PKT_HDR == 2 * sizeof(uint64_t) &&
	VMBUS_RING_PKT_TAIL == sizeof(uint64_t),
    "descriptor and trailer are moved as 64-bit words");

/* length8 is 16 bits wide and covers the descriptor. */
#define RING_PAYLOAD_MAX (UINT16_MAX * 8U - VMBUS_RING_PKT_HDR)

/* What the descriptor says, checked. */
struct ring_desc {
	struct vmbus_ring_pkt rd_pkt;
	uint32_t rd_payload; /* offset of the payload from the descriptor */
	uint32_t rd_total;   /* bytes of ring, trailer included */
};

static int
ring_corrupt(struct vmbus_ring *vr)
{
	vr->vr_error = EIO;
	return (EIO);
}

static uint32_t
ring_load(const struct vmbus_ring *vr, uint32_t off)
{
	return (vss_port_load32(vr->vr_ctl + off));
}

static void
ring_store(struct vmbus_ring *vr, uint32_t off, uint32_t v)
{
	vss_port_store32(vr->vr_ctl + off, v);
}

static bool
ring_index_ok(const struct vmbus_ring *vr, uint32_t i)
{
	return (i < vr->vr_size && i % 8 == 0);
}

/* The other party's index, checked; section 4.9. */
static int
ring_peer_index(struct vmbus_ring *vr, uint32_t off, uint32_t *i)
{
	*i = ring_load(vr, off);
	return (ring_index_ok(vr, *i) ? 0 : ring_corrupt(vr));
}

static uint32_t
ring_used(const struct vmbus_ring *vr, uint32_t in, uint32_t out)
{
	return (in >= out ? in - out : vr->vr_size - (out - in));
}

static uint32_t
ring_free(const struct vmbus_ring *vr, uint32_t in, uint32_t out)
{
	return (vr->vr_size - ring_used(vr, in, out));
}

/* The index n bytes on; n is at most the data area's size. */
static uint32_t
ring_advance(const struct vmbus_ring *vr, uint32_t i, uint32_t n)
{
	return (n < vr->vr_size - i ? i + n : n - (vr->vr_size - i));
}

/* The two copies where the n bytes from index i on go around the end. */
static void
ring_get_around(const struct vmbus_ring *vr, uint32_t i, void *dst, uint32_t n)
{
	uint32_t first = vr->vr_size - i;

	memcpy(dst, vr->vr_data + i, first);
	memcpy((uint8_t *)dst + first, vr->vr_data, n - first);
}

static uint32_t
ring_put_around(struct vmbus_ring *vr, uint32_t i, const void *src, uint32_t n)
{
	uint32_t first = vr->vr_size - i;

	memcpy(vr->vr_data + i, src, first);
	memcpy(vr->vr_data, (const uint8_t *)src + first, n - first);
	return (n - first);
}

/*
 * Copies n bytes out of the data area from index i on, around its end.  Inline,
 * as ring_put(): most calls have a constant size and need no memcpy().
 */
static inline void
ring_get(const struct vmbus_ring *vr, uint32_t i, void *dst, uint32_t n)
{
	if (n <= vr->vr_size - i)
		memcpy(dst, vr->vr_data + i, n);
	else
		ring_get_around(vr, i, dst, n);
	vss_port_copied();
}

/* Copies n bytes into the data area at index i; returns the index behind. */
static inline uint32_t
ring_put(struct vmbus_ring *vr, uint32_t i, const void *src, uint32_t n)
{
	if (n >= vr->vr_size - i)
		return (ring_put_around(vr, i, src, n));
	memcpy(vr->vr_data + i, src, n);
	return (i + n);
}

static int
ring_init(struct vmbus_ring *vr, void *mem, uint32_t len, uint32_t own)
{
	uint32_t in, out;

	memset(vr, 0, sizeof(*vr));
	vr->vr_error = EIO;
	if ((uintptr_t)mem % 8 != 0 || len % VMBUS_RING_PAGE != 0 ||
	    len < VMBUS_RING_LEN_MIN || len > VMBUS_RING_LEN_MAX)
		return (EINVAL);
	vr->vr_ctl = mem;
	vr->vr_data = vr->vr_ctl + VMBUS_RING_PAGE;
	vr->vr_size = len - VMBUS_RING_PAGE;
	in = ring_load(vr, VMBUS_RING_O_IN);
	out = ring_load(vr, VMBUS_RING_O_OUT);
	if (!ring_index_ok(vr, in) || !ring_index_ok(vr, out))
		return (EIO);
	vr->vr_index = own == VMBUS_RING_O_IN ? in : out;
	vr->vr_error = 0;
	return (0);
}

int
vmbus_ring_init_tx(struct vmbus_ring *vr, void *mem, uint32_t len)
{
	int error;

	error = ring_init(vr, mem, len, VMBUS_RING_O_IN);
	if (error != 0)
		return (error);
	ring_store(vr, VMBUS_RING_O_PENDING, 0);
	ring_store(vr, VMBUS_RING_O_FEATURES, VMBUS_RING_F_PENDING);
	return (0);
}

int
vmbus_ring_init_rx(struct vmbus_ring *vr, void *mem, uint32_t len)
{
	int error;

	error = ring_init(vr, mem, len, VMBUS_RING_O_OUT);
	if (error != 0)
		return (error);
	ring_store(vr, VMBUS_RING_O_MASK, 0);
	return (0);
}

uint32_t
vmbus_ring_payload_max(const struct vmbus_ring *vr)
{
	uint32_t max;

	/* The largest packet leaves 8 bytes of the ring free (4.4). */
	max = vr->vr_size - 8 - VMBUS_RING_PKT_HDR - VMBUS_RING_PKT_TAIL;
	return (max < RING_PAYLOAD_MAX ? max : RING_PAYLOAD_MAX);
}

/*
 * Whether total bytes have room: 0, EAGAIN, EIO.  Without room the wish is
 * left for the consumer, and room that came before it could see the wish is
 * noticed here (4.5, step 6).
 */
static int
ring_room(struct vmbus_ring *tx, uint32_t total)
{
	uint32_t out;

	if (ring_peer_index(tx, VMBUS_RING_O_OUT, &out) != 0)
		return (EIO);
	if (total < ring_free(tx, tx->vr_index, out))
		return (0);
	tx->vr_waiting = true;
	ring_store(tx, VMBUS_RING_O_PENDING, total);
	vss_port_fence();
	if (ring_peer_index(tx, VMBUS_RING_O_OUT, &out) != 0)
		return (EIO);
	return (total < ring_free(tx, tx->vr_index, out) ? 0 : EAGAIN);
}

/* Writes one packet at our index; returns the index behind it. */
static uint32_t
ring_put_packet(struct vmbus_ring *tx, const struct vmbus_ring_pkt *rp,
    const void *payload, uint32_t padded)
{
	static const uint8_t zeros[8];
	const uint64_t tail = (uint64_t)tx->vr_index << 32;
	uint64_t desc[2];
	uint32_t i;

	desc[0] = rp->rp_type | (VMBUS_RING_PKT_HDR / 8U) << 16 |
	    (uint64_t)((VMBUS_RING_PKT_HDR + padded) / 8) << 32 |
	    (uint64_t)rp->rp_flags << 48;
	desc[1] = rp->rp_xactid;
	i = ring_put(tx, tx->vr_index, desc, sizeof(desc));
	if (rp->rp_len != 0)
		i = ring_put(tx, i, payload, rp->rp_len);
	if (padded != rp->rp_len)
		i = ring_put(tx, i, zeros, padded - rp->rp_len);
	return (ring_put(tx, i, &tail, sizeof(tail)));
}

int
vmbus_ring_send(struct vmbus_ring *tx, const struct vmbus_ring_pkt *rp,
    const void *payload, bool *signal)
{
	uint32_t old, padded;
	int error;

	VSS_ASSERT(rp->rp_type == VMBUS_RING_INBAND ||
	    rp->rp_type == VMBUS_RING_COMPLETION);
	if (tx->vr_error != 0)
		return (tx->vr_error);
	if (rp->rp_len > vmbus_ring_payload_max(tx))
		return (EMSGSIZE);
	padded = (rp->rp_len + 7U) & ~7U;
	error = ring_room(
	    tx, VMBUS_RING_PKT_HDR + padded + VMBUS_RING_PKT_TAIL);
	if (error != 0)
		return (error);
	old = tx->vr_index;
	tx->vr_index = ring_put_packet(tx, rp, payload, padded);
	ring_store(tx, VMBUS_RING_O_IN, tx->vr_index);
	if (tx->vr_waiting) {
		tx->vr_waiting = false;
		ring_store(tx, VMBUS_RING_O_PENDING, 0);
	}
	/*
	 * Only the packet that ends emptiness is signalled: who was not done
	 * reading finds this one by itself (4.5, step 5).
	 */
	vss_port_fence();
	if (ring_load(tx, VMBUS_RING_O_MASK) == 0 &&
	    ring_load(tx, VMBUS_RING_O_OUT) == old)
		*signal = true;
	return (0);
}

/*
 * Whether the ranges of a GPA-direct packet end at or before end, none of them
 * empty.  at is the descriptor's index, nranges at least 1.
 */
static bool
ring_gpa_ranges_ok(
    const struct vmbus_ring *rx, uint32_t at, uint32_t nranges, uint32_t end)
{
	uint64_t npages, pos;
	uint8_t range[RING_GPA_RANGE];
	uint32_t bytes, offset;

	for (pos = RING_O_RANGES; nranges > 0; nranges--) {
		if (pos + RING_GPA_RANGE > end)
			return (false);
		ring_get(rx, ring_advance(rx, at, (uint32_t)pos), range,
		    sizeof(range));
		bytes = vmbus_icmsg_get32(range);
		offset = vmbus_icmsg_get32(range + 4);
		if (bytes == 0 || offset >= VMBUS_RING_PAGE)
			return (false);
		npages = ((uint64_t)offset + bytes + VMBUS_RING_PAGE - 1) /
		    VMBUS_RING_PAGE;
		pos += RING_GPA_RANGE + RING_GPA_PFN * npages;
	}
	return (pos <= end);
}

/*
 * Whether the extra header of a packet that describes memory is sound; what it
 * describes is for whoever has such memory to check.
 */
static bool
ring_extra_ok(const struct vmbus_ring *rx, uint16_t type, uint32_t end)
{
	uint8_t count[4];
	uint32_t nranges;

	if (end < RING_O_RANGES)
		return (false);
	ring_get(rx, ring_advance(rx, rx->vr_index, RING_O_NRANGES), count,
	    sizeof(count));
	nranges = vmbus_icmsg_get32(count);
	if (type == VMBUS_RING_XFER_PAGES)
		return (nranges <= (end - RING_O_RANGES) / RING_XFER_RANGE);
	return (
	    nranges != 0 && ring_gpa_ranges_ok(rx, rx->vr_index, nranges, end));
}

static bool
ring_type_ok(const struct vmbus_ring *rx, uint16_t type, uint32_t payload)
{
	switch (type) {
	case VMBUS_RING_INBAND:
	case VMBUS_RING_COMPLETION:
		return (true);
	case VMBUS_RING_XFER_PAGES:
	case VMBUS_RING_GPA_DIRECT:
		return (ring_extra_ok(rx, type, payload));
	default:
		return (false);
	}
}

/* Reads and checks the descriptor at our index; section 4.9. */
static int
ring_get_desc(struct vmbus_ring *rx, uint32_t avail, struct ring_desc *rd)
{
	uint64_t desc[2];
	uint32_t length, payload;

	if (avail < VMBUS_RING_PKT_HDR + VMBUS_RING_PKT_TAIL)
		return (ring_corrupt(rx));
	ring_get(rx, rx->vr_index, desc, sizeof(desc));
	payload = (uint16_t)(desc[0] >> 16) * 8U;
	length = (uint16_t)(desc[0] >> 32) * 8U;
	rd->rd_pkt.rp_type = (uint16_t)desc[0];
	rd->rd_pkt.rp_flags = (uint16_t)(desc[0] >> 48);
	rd->rd_pkt.rp_xactid = desc[1];
	if (payload < VMBUS_RING_PKT_HDR || length < payload ||
	    length + VMBUS_RING_PKT_TAIL > avail ||
	    (rd->rd_pkt.rp_flags & ~VMBUS_RING_PKT_F_COMPLETION) != 0 ||
	    !ring_type_ok(rx, rd->rd_pkt.rp_type, payload))
		return (ring_corrupt(rx));
	rd->rd_pkt.rp_len = length - payload;
	rd->rd_payload = payload;
	rd->rd_total = length + VMBUS_RING_PKT_TAIL;
	return (0);
}

/*
 * Gives total bytes back to the producer, and says whether that made the room
 * it waits for (4.7).  The wish is rounded up to 8 because some producers store
 * their size less 1; only the step over the line is signalled.
 */
static void
ring_consume(struct vmbus_ring *rx, uint32_t total, bool *signal)
{
	uint32_t in, old, want;

	old = rx->vr_index;
	rx->vr_index = ring_advance(rx, old, total);
	ring_store(rx, VMBUS_RING_O_OUT, rx->vr_index);
	vss_port_fence();
	if ((ring_load(rx, VMBUS_RING_O_FEATURES) & VMBUS_RING_F_PENDING) == 0)
		return;
	want = ring_load(rx, VMBUS_RING_O_PENDING);
	if (want == 0 || want > rx->vr_size)
		return;
	want = (want + 7U) & ~7U;
	/* No packet fills the ring: it is to be empty. */
	if (want == rx->vr_size)
		want -= 8;
	/* A bad index is reported by the next call: this packet is whole. */
	if (ring_peer_index(rx, VMBUS_RING_O_IN, &in) != 0)
		return;
	if (ring_free(rx, in, old) <= want &&
	    ring_free(rx, in, rx->vr_index) > want)
		*signal = true;
}

int
vmbus_ring_recv(struct vmbus_ring *rx, struct vmbus_ring_pkt *rp, void *buf,
    uint32_t cap, bool *signal)
{
	struct ring_desc rd;
	uint32_t in;
	bool fits;

	if (rx->vr_error != 0)
		return (rx->vr_error);
	if (ring_peer_index(rx, VMBUS_RING_O_IN, &in) != 0)
		return (EIO);
	if (in == rx->vr_index)
		return (EAGAIN);
	if (ring_get_desc(rx, ring_used(rx, in, rx->vr_index), &rd) != 0)
		return (EIO);
	*rp = rd.rd_pkt;
	fits = rp->rp_len <= cap;
	if (fits)
		ring_get(rx, ring_advance(rx, rx->vr_index, rd.rd_payload), buf,
		    rp->rp_len);
	ring_consume(rx, rd.rd_total, signal);
	return (fits ? 0 : ENOBUFS);
}

bool
vmbus_ring_readable(const struct vmbus_ring *rx)
{
	return (rx->vr_error != 0 ||
	    ring_load(rx, VMBUS_RING_O_IN) != rx->vr_index);
}

void
vmbus_ring_mask(struct vmbus_ring *rx)
{
	if (rx->vr_error == 0)
		ring_store(rx, VMBUS_RING_O_MASK, 1);
}

bool
vmbus_ring_unmask(struct vmbus_ring *rx)
{
	if (rx->vr_error != 0)
		return (true);
	ring_store(rx, VMBUS_RING_O_MASK, 0);
	vss_port_fence();
	return (vmbus_ring_readable(rx));
}

bool
vmbus_ring_peer_wakes(const struct vmbus_ring *rx)
{
	return (rx->vr_error == 0 &&
	    (ring_load(rx, VMBUS_RING_O_FEATURES) & VMBUS_RING_F_PENDING) != 0);
}
