/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/* What the transports with a ring in shared memory have in common. */

#ifndef _DRV_RING_H_
#define _DRV_RING_H_

#include "drv_link.h"

/*
 * lo_recv and lo_send on a pair of rings, without the signal: *signal is set
 * where the host must be signalled.  EIO: a ring is corrupt.
 */
int link_ring_recv(struct vmbus_ring *rx, uint8_t *buf, uint32_t *len,
    uint64_t *xactid, bool *signal);
int link_ring_send(struct link *ln, struct vmbus_ring *tx,
    const struct vmbus_ring *rx, const struct vss_engine_reply *ey,
    uint64_t now_ns, bool *signal);

#endif /* _DRV_RING_H_ */
