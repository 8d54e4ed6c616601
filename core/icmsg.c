/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/*
 * Integration-component framing and version negotiation, both sides.  See
 * icmsg.h; offsets and rules are those of PROTOCOL.md section 5.
 */

#include "icmsg.h"

/* NEGOTIATE: offsets in the payload, and the size of an answer's body. */
#define NEG_O_NFRAMEWORK 28
#define NEG_O_NMESSAGE	 30
#define NEG_O_VERSIONS	 36
#define NEG_ANSWER_BODY	 0x10
#define NEG_ANSWER_LEN	 44

_Static_assert(
    VMBUS_ICMSG_HDRS_LEN == VMBUS_ICMSG_PIPE_LEN + VMBUS_ICMSG_HDR_LEN,
    "headers");
_Static_assert(
    VMBUS_ICMSG_PKT_MAX == VMBUS_ICMSG_PIPE_LEN + VMBUS_ICMSG_MAX, "packet");
_Static_assert(
    NEG_ANSWER_LEN == VMBUS_ICMSG_O_BODY + NEG_ANSWER_BODY, "negotiate answer");

static struct vmbus_icmsg_version
icmsg_get_version(const uint8_t *p)
{
	struct vmbus_icmsg_version v;

	v.iv_major = vmbus_icmsg_get16(p);
	v.iv_minor = vmbus_icmsg_get16(p + 2);
	return (v);
}

static void
icmsg_put_version(uint8_t *p, struct vmbus_icmsg_version v)
{
	vmbus_icmsg_put16(p, v.iv_major);
	vmbus_icmsg_put16(p + 2, v.iv_minor);
}

int
vmbus_icmsg_decode(const uint8_t *pkt, uint32_t len, struct vmbus_icmsg *im)
{
	if (len < VMBUS_ICMSG_HDRS_LEN)
		return (EBADMSG);
	im->im_pipe_type = vmbus_icmsg_get32(pkt + VMBUS_ICMSG_O_PIPE_TYPE);
	im->im_pipe_size = vmbus_icmsg_get32(pkt + VMBUS_ICMSG_O_PIPE_SIZE);
	if (im->im_pipe_size < VMBUS_ICMSG_HDR_LEN)
		return (EBADMSG);
	im->im_len = len;
	if (im->im_pipe_size < len - VMBUS_ICMSG_PIPE_LEN)
		im->im_len = VMBUS_ICMSG_PIPE_LEN + im->im_pipe_size;
	im->im_framework = icmsg_get_version(pkt + VMBUS_ICMSG_O_FRAMEWORK);
	im->im_type = vmbus_icmsg_get16(pkt + VMBUS_ICMSG_O_TYPE);
	im->im_version = icmsg_get_version(pkt + VMBUS_ICMSG_O_VERSION);
	im->im_size = vmbus_icmsg_get16(pkt + VMBUS_ICMSG_O_SIZE);
	im->im_status = vmbus_icmsg_get32(pkt + VMBUS_ICMSG_O_STATUS);
	im->im_xid = pkt[VMBUS_ICMSG_O_XID];
	im->im_flags = pkt[VMBUS_ICMSG_O_FLAGS];
	return (0);
}

void
vmbus_icmsg_encode(uint8_t *pkt, const struct vmbus_icmsg *im)
{
	memset(pkt, 0, VMBUS_ICMSG_HDRS_LEN);
	vmbus_icmsg_put32(pkt + VMBUS_ICMSG_O_PIPE_TYPE, im->im_pipe_type);
	vmbus_icmsg_put32(pkt + VMBUS_ICMSG_O_PIPE_SIZE, im->im_pipe_size);
	icmsg_put_version(pkt + VMBUS_ICMSG_O_FRAMEWORK, im->im_framework);
	vmbus_icmsg_put16(pkt + VMBUS_ICMSG_O_TYPE, im->im_type);
	icmsg_put_version(pkt + VMBUS_ICMSG_O_VERSION, im->im_version);
	vmbus_icmsg_put16(pkt + VMBUS_ICMSG_O_SIZE, im->im_size);
	vmbus_icmsg_put32(pkt + VMBUS_ICMSG_O_STATUS, im->im_status);
	pkt[VMBUS_ICMSG_O_XID] = im->im_xid;
	pkt[VMBUS_ICMSG_O_FLAGS] = im->im_flags;
}

void
vmbus_icmsg_reply(uint8_t *pkt, uint32_t status)
{
	vmbus_icmsg_put32(pkt + VMBUS_ICMSG_O_STATUS, status);
	pkt[VMBUS_ICMSG_O_FLAGS] = VMBUS_ICMSG_F_TRANSACTION |
	    VMBUS_ICMSG_F_RESPONSE;
}

/*
 * The first of ours that is among the n versions at offered.  Only an exact
 * match counts: a version between two that we know is not one that we know.
 */
static bool
icmsg_choose(const struct vmbus_icmsg_version *ours, uint16_t nours,
    const uint8_t *offered, uint16_t n, struct vmbus_icmsg_version *chosen)
{
	struct vmbus_icmsg_version v;
	uint32_t i, j;

	for (i = 0; i < nours; i++) {
		for (j = 0; j < n; j++) {
			v = icmsg_get_version(offered + 4 * j);
			if (v.iv_major == ours[i].iv_major &&
			    v.iv_minor == ours[i].iv_minor) {
				*chosen = v;
				return (true);
			}
		}
	}
	return (false);
}

int
vmbus_icmsg_negotiate(uint8_t *pkt, uint32_t len,
    const struct vmbus_icmsg_versions *ours, struct vmbus_icmsg_agreed *agreed)
{
	struct vmbus_icmsg_agreed a;
	struct vmbus_icmsg im;
	uint16_t nframework, nmessage;
	const uint8_t *offered;
	bool found;

	memset(agreed, 0, sizeof(*agreed));
	if (vmbus_icmsg_decode(pkt, len, &im) != 0 ||
	    im.im_type != VMBUS_ICMSG_NEGOTIATE || im.im_len < NEG_O_VERSIONS)
		return (EBADMSG);
	nframework = vmbus_icmsg_get16(pkt + NEG_O_NFRAMEWORK);
	nmessage = vmbus_icmsg_get16(pkt + NEG_O_NMESSAGE);
	if (nframework == 0 || nmessage == 0 ||
	    4U * ((uint32_t)nframework + nmessage) >
		im.im_len - NEG_O_VERSIONS) {
		vmbus_icmsg_reply(pkt, VMBUS_ICMSG_S_FAIL);
		return (EINVAL);
	}
	offered = pkt + NEG_O_VERSIONS;
	found = icmsg_choose(ours->ivs_framework, ours->ivs_nframework, offered,
	    nframework, &a.ia_framework);
	offered += 4U * nframework;
	found = found &&
	    icmsg_choose(ours->ivs_message, ours->ivs_nmessage, offered,
		nmessage, &a.ia_message);
	if (found) {
		*agreed = a;
		icmsg_put_version(pkt + NEG_O_VERSIONS, a.ia_framework);
		icmsg_put_version(pkt + NEG_O_VERSIONS + 4, a.ia_message);
	}
	vmbus_icmsg_put16(pkt + NEG_O_NFRAMEWORK, found ? 1 : 0);
	vmbus_icmsg_put16(pkt + NEG_O_NMESSAGE, found ? 1 : 0);
	vmbus_icmsg_put16(pkt + VMBUS_ICMSG_O_SIZE, NEG_ANSWER_BODY);
	vmbus_icmsg_reply(pkt, VMBUS_ICMSG_S_OK);
	return (0);
}

uint32_t
vmbus_icmsg_offer(
    uint8_t *pkt, uint32_t cap, const struct vmbus_icmsg_versions *ours)
{
	struct vmbus_icmsg im;
	uint32_t i, len, n;

	n = (uint32_t)ours->ivs_nframework + ours->ivs_nmessage;
	len = NEG_O_VERSIONS + 4 * n;
	if (len > cap || len > VMBUS_ICMSG_PKT_MAX)
		return (0);
	memset(&im, 0, sizeof(im));
	im.im_pipe_type = VMBUS_ICMSG_PIPE_DATA;
	im.im_pipe_size = len - VMBUS_ICMSG_PIPE_LEN;
	im.im_type = VMBUS_ICMSG_NEGOTIATE;
	im.im_size = (uint16_t)(len - VMBUS_ICMSG_HDRS_LEN);
	im.im_flags = VMBUS_ICMSG_F_TRANSACTION | VMBUS_ICMSG_F_REQUEST;
	vmbus_icmsg_encode(pkt, &im);
	memset(pkt + VMBUS_ICMSG_O_BODY, 0, 8);
	vmbus_icmsg_put16(pkt + NEG_O_NFRAMEWORK, ours->ivs_nframework);
	vmbus_icmsg_put16(pkt + NEG_O_NMESSAGE, ours->ivs_nmessage);
	pkt += NEG_O_VERSIONS;
	for (i = ours->ivs_nframework; i-- > 0; pkt += 4)
		icmsg_put_version(pkt, ours->ivs_framework[i]);
	for (i = ours->ivs_nmessage; i-- > 0; pkt += 4)
		icmsg_put_version(pkt, ours->ivs_message[i]);
	return (len);
}

int
vmbus_icmsg_answer(
    const uint8_t *pkt, uint32_t len, struct vmbus_icmsg_agreed *agreed)
{
	struct vmbus_icmsg im;
	uint16_t nframework, nmessage;

	memset(agreed, 0, sizeof(*agreed));
	if (vmbus_icmsg_decode(pkt, len, &im) != 0 ||
	    im.im_type != VMBUS_ICMSG_NEGOTIATE ||
	    im.im_flags !=
		(VMBUS_ICMSG_F_TRANSACTION | VMBUS_ICMSG_F_RESPONSE) ||
	    im.im_len < NEG_O_VERSIONS ||
	    im.im_size > im.im_len - VMBUS_ICMSG_HDRS_LEN)
		return (EBADMSG);
	if (im.im_status != VMBUS_ICMSG_S_OK)
		return (ENOTSUP);
	nframework = vmbus_icmsg_get16(pkt + NEG_O_NFRAMEWORK);
	nmessage = vmbus_icmsg_get16(pkt + NEG_O_NMESSAGE);
	if (nframework == 0 && nmessage == 0)
		return (ENOTSUP);
	if (nframework != 1 || nmessage != 1 || im.im_size < NEG_ANSWER_BODY)
		return (EBADMSG);
	agreed->ia_framework = icmsg_get_version(pkt + NEG_O_VERSIONS);
	agreed->ia_message = icmsg_get_version(pkt + NEG_O_VERSIONS + 4);
	return (0);
}
