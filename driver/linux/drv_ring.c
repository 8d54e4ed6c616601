/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/* Packets between the engine and a pair of rings (drv_ring.h). */

#include "drv_ring.h"

#include <errno.h>
#include <string.h>

#include "report.h"

#define LINK_ROOM_NS (10 * VSS_NS_PER_MS)

int
link_ring_recv(struct vmbus_ring *rx, uint8_t *buf, uint32_t *len,
    uint64_t *xactid, bool *signal)
{
	struct vmbus_ring_pkt rp;
	int error;

	error = vmbus_ring_recv(rx, &rp, buf, VMBUS_ICMSG_PKT_MAX, signal);
	if (error != 0 && error != ENOBUFS)
		return (error);
	*len = rp.rp_len;
	*xactid = rp.rp_xactid;
	/* Only in-band packets carry IC messages. */
	return (rp.rp_type == VMBUS_RING_INBAND ? error : ENOBUFS);
}

int
link_ring_send(struct link *ln, struct vmbus_ring *tx,
    const struct vmbus_ring *rx, const struct vss_engine_reply *ey,
    uint64_t now_ns, bool *signal)
{
	struct vmbus_ring_pkt rp;
	int error;

	memset(&rp, 0, sizeof(rp));
	rp.rp_type = VMBUS_RING_INBAND;
	rp.rp_xactid = ey->ey_xactid;
	rp.rp_len = ey->ey_len;
	error = vmbus_ring_send(tx, &rp, ey->ey_pkt, signal);
	if (error == EMSGSIZE) {
		report(REPORT_WARNING,
		    "%s: a reply of %u bytes does not fit the ring; dropped",
		    ln->ln_path, ey->ey_len);
		error = 0;
	}
	/* A host that did not promise to signal room is looked at again. */
	if (error == EAGAIN && !vmbus_ring_peer_wakes(rx))
		ln->ln_retry_ns = now_ns + LINK_ROOM_NS;
	return (error);
}
