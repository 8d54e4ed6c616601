/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/*
 * /dev/hv_vss_loop of test builds: the host's end of the channel, where there
 * is no Hyper-V.
 *
 * Whoever opens it is the host (one at a time, EBUSY): the guest finds its
 * channel opened, and taken away at close.  write(2) of one struct and its
 * payload puts a packet into the host-to-guest ring, EAGAIN when it has no
 * room; read(2) takes one of the guest's, EAGAIN when there is none; neither
 * blocks.  The buffer of a read has room for HV_VSS_LOOP_MAX bytes.  poll(2)
 * and select(2) say POLLIN when the guest has written, POLLHUP when the device
 * is going.
 */

#ifndef _HV_VSS_LOOP_H_
#define _HV_VSS_LOOP_H_

#define HV_VSS_LOOP_NAME "hv_vss_loop"

struct hv_vss_loop {
	uint64_t hl_xactid;
	uint32_t hl_len; /* bytes of payload behind this */
	uint32_t hl_reserved;
};

#define HV_VSS_LOOP_PAYLOAD 16384
#define HV_VSS_LOOP_MAX	    (sizeof(struct hv_vss_loop) + HV_VSS_LOOP_PAYLOAD)

#endif /* _HV_VSS_LOOP_H_ */
