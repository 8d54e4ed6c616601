/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/*
 * The VMBus ring buffer, both ends.  One ring lies in memory that two parties
 * share: a control page, then the data area.  Its producer sends, its consumer
 * receives; a channel has one ring a direction, guest to host first in memory.
 * PROTOCOL.md section 4 is the source of layouts and rules.
 *
 * The other party is not trusted.  Each index is read once a call and checked;
 * our own index is kept here and only ever stored to the shared page; a
 * packet's descriptor is copied out before it is looked at, its payload before
 * the caller sees it.  What breaks the rules makes the ring corrupt: that call
 * and all later ones return EIO, and nothing more is read or written.
 *
 * Signals: *signal is set to true when the other party must be signalled, and
 * left alone otherwise, so that a batch needs one look.  Calls on one ring are
 * the caller's to serialise.  Nothing sleeps or allocates.
 */

#ifndef _RING_H_
#define _RING_H_

#include "vss_port.h"

#define VMBUS_RING_PAGE	    4096
#define VMBUS_RING_PKT_HDR  16 /* packet descriptor */
#define VMBUS_RING_PKT_TAIL 8  /* trailer */
#define VMBUS_RING_LEN_MIN  (2 * VMBUS_RING_PAGE)
#define VMBUS_RING_LEN_MAX  0x40000000U

/* Offsets in the control page. */
#define VMBUS_RING_O_IN	      0	 /* write index, the producer's */
#define VMBUS_RING_O_OUT      4	 /* read index, the consumer's */
#define VMBUS_RING_O_MASK     8	 /* interrupt mask, the consumer's */
#define VMBUS_RING_O_PENDING  12 /* pending send size, the producer's */
#define VMBUS_RING_O_FEATURES 64 /* feature bits, the producer's */

/* Feature bit: pending send size is filled here and honoured there. */
#define VMBUS_RING_F_PENDING 0x00000001U

/* Packet types that are in use; any other one makes the ring corrupt. */
enum vmbus_ring_type {
	VMBUS_RING_INBAND = 6,
	VMBUS_RING_XFER_PAGES = 7, /* ranges checked, not handed out */
	VMBUS_RING_GPA_DIRECT = 9, /* the same */
	VMBUS_RING_COMPLETION = 11
};

#define VMBUS_RING_PKT_F_COMPLETION 0x0001 /* the sender wants a completion */

/* One packet without its payload. */
struct vmbus_ring_pkt {
	uint16_t rp_type;  /* enum vmbus_ring_type */
	uint16_t rp_flags; /* VMBUS_RING_PKT_F_COMPLETION */
	uint64_t rp_xactid;
	uint32_t rp_len; /* payload; received, it is a multiple of 8 */
};

/* One end of a ring.  The fields are ring.c's own, but for vr_error. */
struct vmbus_ring {
	uint8_t *vr_ctl;   /* control page, shared */
	uint8_t *vr_data;  /* data area, shared */
	uint32_t vr_size;  /* of the data area */
	uint32_t vr_index; /* in (producer) or out (consumer) */
	bool vr_waiting;   /* producer: pending send size is set */
	int vr_error;	   /* 0, or EIO for good */
};

/*
 * Takes the producer's (tx) or consumer's (rx) end of the ring of len bytes at
 * mem, control page included.  The producer's sets the feature bit, which
 * promises that this party honours pending send sizes on the ring it consumes,
 * as vmbus_ring_recv() does.  The consumer's clears the interrupt mask.
 * Returns 0, EINVAL when mem is not 8-aligned or len is not a whole number of
 * pages within the limits, EIO when the indices found there are impossible.
 */
int vmbus_ring_init_tx(struct vmbus_ring *vr, void *mem, uint32_t len);
int vmbus_ring_init_rx(struct vmbus_ring *vr, void *mem, uint32_t len);

/* The largest payload of an in-band packet that ever fits the ring. */
uint32_t vmbus_ring_payload_max(const struct vmbus_ring *vr);

/*
 * Producer: puts one in-band or completion packet into the ring, payload padded
 * with zeros to 8.  Returns
 *	0	 done
 *	EAGAIN	 no room now.  The pending send size is set: the consumer
 *		 signals when there is room, if it promised to
 *		 (vmbus_ring_peer_wakes); try again then, or poll
 *	EMSGSIZE it never fits
 *	EIO	 the ring is corrupt
 */
int vmbus_ring_send(struct vmbus_ring *tx, const struct vmbus_ring_pkt *rp,
    const void *payload, bool *signal);

/*
 * Consumer: takes one packet out of the ring, its payload into buf of cap
 * bytes.  Returns
 *	0	*rp is filled, rp_len bytes are in buf
 *	EAGAIN	the ring is empty
 *	ENOBUFS	the payload is larger than cap: the packet was skipped, *rp
 *		says what it was
 *	EIO	the ring is corrupt
 */
int vmbus_ring_recv(struct vmbus_ring *rx, struct vmbus_ring_pkt *rp, void *buf,
    uint32_t cap, bool *signal);

/* Consumer: whether a call to vmbus_ring_recv() has something to say. */
bool vmbus_ring_readable(const struct vmbus_ring *rx);

/*
 * Consumer: interrupt mask.  While masked the producer does not signal new
 * packets.  After unmask a true result says that packets came meanwhile: mask
 * again and go on reading, or they are never signalled.
 */
void vmbus_ring_mask(struct vmbus_ring *rx);
bool vmbus_ring_unmask(struct vmbus_ring *rx);

/*
 * Consumer: whether the other party set the feature bit on the ring that it
 * produces, and so signals when it makes room in the ring that we produce.
 */
bool vmbus_ring_peer_wakes(const struct vmbus_ring *rx);

#endif /* _RING_H_ */
