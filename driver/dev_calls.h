/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/*
 * The ioctls of the two devices (hv_snapshot.h, hv_vss_ext.h), for every
 * driver: from the structure that a client hands over to the engine and back.
 * The caller has copied it in, holds what serialises the engine, and carries
 * out afterwards what the engine wants done.
 */

#ifndef _DEV_CALLS_H_
#define _DEV_CALLS_H_

#include "engine.h"

/* No structure of an ioctl is larger. */
#define DEV_CALLS_MAX 8192

/*
 * One ioctl of the client in this slot.  data is the structure of cmd, 8-byte
 * aligned: as the client gave it, or to be filled, the size being cmd's own.
 * Returns 0, EINVAL, or ENOTTY for what is no command of ours; data is not
 * touched then.
 */
int dev_calls_ioctl(struct vss_engine *e, uint32_t slot, uint64_t now_ns,
    unsigned long cmd, void *data);

#endif /* _DEV_CALLS_H_ */
