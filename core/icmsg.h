/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/*
 * Integration-component (IC) framing: the pipe header (8 bytes) and the IC
 * header (20 bytes) in front of every message of a Hyper-V integration service,
 * and version negotiation.  All integers on the wire are little-endian.
 * PROTOCOL.md section 5 is the source of layouts and values.
 */

#ifndef _ICMSG_H_
#define _ICMSG_H_

#include "vss_port.h"

#define VMBUS_ICMSG_PIPE_LEN 8	   /* pipe header */
#define VMBUS_ICMSG_HDR_LEN  20	   /* IC header */
#define VMBUS_ICMSG_HDRS_LEN 28	   /* both */
#define VMBUS_ICMSG_MAX	     13312 /* IC header and body, at most */
#define VMBUS_ICMSG_PKT_MAX  13320 /* the same with the pipe header */

/* Offsets in the payload of an in-band packet. */
#define VMBUS_ICMSG_O_PIPE_TYPE 0
#define VMBUS_ICMSG_O_PIPE_SIZE 4
#define VMBUS_ICMSG_O_FRAMEWORK 8
#define VMBUS_ICMSG_O_TYPE	12
#define VMBUS_ICMSG_O_VERSION	14
#define VMBUS_ICMSG_O_SIZE	18
#define VMBUS_ICMSG_O_STATUS	20
#define VMBUS_ICMSG_O_XID	24
#define VMBUS_ICMSG_O_FLAGS	25
#define VMBUS_ICMSG_O_BODY	28

#define VMBUS_ICMSG_PIPE_DATA	1

enum vmbus_icmsg_type {
	VMBUS_ICMSG_NEGOTIATE = 0,
	VMBUS_ICMSG_HEARTBEAT = 1,
	VMBUS_ICMSG_KVP = 2,
	VMBUS_ICMSG_SHUTDOWN = 3,
	VMBUS_ICMSG_TIMESYNC = 4,
	VMBUS_ICMSG_VSS = 5
};

#define VMBUS_ICMSG_F_TRANSACTION 0x1
#define VMBUS_ICMSG_F_REQUEST	  0x2
#define VMBUS_ICMSG_F_RESPONSE	  0x4

/* IC status values (HRESULTs). */
#define VMBUS_ICMSG_S_OK	    0x00000000U
#define VMBUS_ICMSG_S_FAIL	    0x80004005U
#define VMBUS_ICMSG_S_NOT_SUPPORTED 0x80070032U

struct vmbus_icmsg_version {
	uint16_t iv_major;
	uint16_t iv_minor;
};

/* One message's headers, decoded. */
struct vmbus_icmsg {
	uint32_t im_pipe_type;
	uint32_t im_pipe_size;
	struct vmbus_icmsg_version im_framework;
	struct vmbus_icmsg_version im_version;
	uint16_t im_type; /* enum vmbus_icmsg_type, or unknown */
	uint16_t im_size; /* bytes of body that the sender claims */
	uint32_t im_status;
	uint8_t im_xid;
	uint8_t im_flags;
	/*
	 * Bytes that are really there, from the pipe header on: the packet's
	 * payload (which the ring rounds up to 8), or less where the pipe
	 * header says so.
	 */
	uint32_t im_len;
};

/*
 * Little-endian accessors; p need not be aligned.  Inline: the ring calls them
 * for every packet.
 */
static inline uint16_t
vmbus_icmsg_get16(const uint8_t *p)
{
	return ((uint16_t)(p[0] | p[1] << 8));
}

static inline uint32_t
vmbus_icmsg_get32(const uint8_t *p)
{
	return ((uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 |
	    (uint32_t)p[3] << 24);
}

static inline void
vmbus_icmsg_put16(uint8_t *p, uint16_t v)
{
	p[0] = (uint8_t)v;
	p[1] = (uint8_t)(v >> 8);
}

static inline void
vmbus_icmsg_put32(uint8_t *p, uint32_t v)
{
	p[0] = (uint8_t)v;
	p[1] = (uint8_t)(v >> 8);
	p[2] = (uint8_t)(v >> 16);
	p[3] = (uint8_t)(v >> 24);
}

/*
 * Decodes the headers of a packet's payload of len bytes.  Returns 0, or
 * EBADMSG when both headers are not wholly there (by len or by what the pipe
 * header says).
 */
int vmbus_icmsg_decode(
    const uint8_t *pkt, uint32_t len, struct vmbus_icmsg *im);

/* Writes both headers of im into pkt (28 bytes); im_len is not used. */
void vmbus_icmsg_encode(uint8_t *pkt, const struct vmbus_icmsg *im);

/*
 * Turns a request in place into its reply: status, flags 5.  Everything else is
 * echoed, as the host expects of a guest.
 */
void vmbus_icmsg_reply(uint8_t *pkt, uint32_t status);

/* Versions that one side knows, in descending preference. */
struct vmbus_icmsg_versions {
	const struct vmbus_icmsg_version *ivs_framework;
	const struct vmbus_icmsg_version *ivs_message;
	uint16_t ivs_nframework;
	uint16_t ivs_nmessage;
};

/* What was agreed; all 0 where there was no agreement. */
struct vmbus_icmsg_agreed {
	struct vmbus_icmsg_version ia_framework;
	struct vmbus_icmsg_version ia_message;
};

/*
 * Guest: answers a NEGOTIATE request in place.  The first of our framework and
 * of our message versions that the host offers exactly is chosen: counts 1 and
 * 1, the two versions, message size 0x10.  Returns
 *	0	agreed, or no agreement (counts 0 and 0, status 0: what Linux
 *		answers), told apart by *agreed
 *	EINVAL	counts 0 or beyond the message: answered with
 *		VMBUS_ICMSG_S_FAIL, the body as it came
 *	EBADMSG	not a NEGOTIATE with its 8 bytes of counts: nothing was
 *		written, drop it
 */
int vmbus_icmsg_negotiate(uint8_t *pkt, uint32_t len,
    const struct vmbus_icmsg_versions *ours, struct vmbus_icmsg_agreed *agreed);

/*
 * Host: writes a NEGOTIATE request that offers the versions of ours, in
 * ascending order as hosts do, into pkt of cap bytes.  Returns its length, or 0
 * when cap is too small.
 */
uint32_t vmbus_icmsg_offer(
    uint8_t *pkt, uint32_t cap, const struct vmbus_icmsg_versions *ours);

/*
 * Host: reads the guest's answer to NEGOTIATE.  Returns 0 with *agreed filled,
 * ENOTSUP when the guest found no agreement or answered a failure status,
 * EBADMSG when it is not such an answer.
 */
int vmbus_icmsg_answer(
    const uint8_t *pkt, uint32_t len, struct vmbus_icmsg_agreed *agreed);

#endif /* _ICMSG_H_ */
