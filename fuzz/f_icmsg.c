/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/*
 * IC framing and negotiation: any bytes as a request to the guest, and as a
 * guest's answer.  Whatever the guest agrees to, the host reads the same, and
 * an answer changes nothing but what PROTOCOL.md section 5 says.
 */

#include "fuzz.h"
#include "icmsg.h"

static const struct vmbus_icmsg_version frameworks[] = { { 3, 0 }, { 1, 0 } };
static const struct vmbus_icmsg_version messages[] = { { 7, 0 }, { 6, 0 },
	{ 5, 0 }, { 4, 0 } };

static const struct vmbus_icmsg_versions ours = { frameworks, messages,
	VSS_NELEM(frameworks), VSS_NELEM(messages) };

static void
check_decode(const uint8_t *pkt, uint32_t len)
{
	uint8_t again[VMBUS_ICMSG_HDRS_LEN];
	struct vmbus_icmsg im, im2;

	if (vmbus_icmsg_decode(pkt, len, &im) != 0) {
		FUZZ_CHECK(len < VMBUS_ICMSG_HDRS_LEN ||
		    vmbus_icmsg_get32(pkt + VMBUS_ICMSG_O_PIPE_SIZE) <
			VMBUS_ICMSG_HDR_LEN);
		return;
	}
	FUZZ_CHECK(im.im_len <= len && im.im_len >= VMBUS_ICMSG_HDRS_LEN);
	vmbus_icmsg_encode(again, &im);
	FUZZ_CHECK(vmbus_icmsg_decode(again, sizeof(again), &im2) == 0);
	im2.im_len = im.im_len;
	FUZZ_CHECK(memcmp(&im.im_status, &im2.im_status, 4) == 0 &&
	    im.im_type == im2.im_type && im.im_size == im2.im_size &&
	    im.im_xid == im2.im_xid && im.im_flags == im2.im_flags &&
	    im.im_pipe_type == im2.im_pipe_type &&
	    im.im_pipe_size == im2.im_pipe_size);
}

static bool
is_one_of(const struct vmbus_icmsg_version *v,
    const struct vmbus_icmsg_version *list, uint32_t n)
{
	uint32_t i;

	for (i = 0; i < n; i++)
		if (memcmp(v, &list[i], sizeof(*v)) == 0)
			return (true);
	return (false);
}

static void
check_negotiate(const uint8_t *pkt, uint32_t len)
{
	struct vmbus_icmsg_agreed agreed, read;
	uint8_t *answer = fuzz_exact(len);
	struct vmbus_icmsg im;
	uint32_t i;
	int error;

	memcpy(answer, pkt, len);
	error = vmbus_icmsg_negotiate(answer, len, &ours, &agreed);
	FUZZ_CHECK(error == 0 || error == EINVAL || error == EBADMSG);
	if (error == EBADMSG)
		FUZZ_CHECK(memcmp(answer, pkt, len) == 0);
	for (i = 0; i < len && error != EBADMSG; i++)
		FUZZ_CHECK(answer[i] == pkt[i] || (i >= 18 && i < 24) ||
		    i == VMBUS_ICMSG_O_FLAGS ||
		    (error == 0 && i >= 28 && i < 44));
	if (error == 0) {
		FUZZ_CHECK(vmbus_icmsg_decode(answer, len, &im) == 0);
		error = vmbus_icmsg_answer(answer, len, &read);
		if (agreed.ia_framework.iv_major == 0)
			FUZZ_CHECK(error == ENOTSUP);
		else
			FUZZ_CHECK(error == 0 &&
			    memcmp(&agreed, &read, sizeof(read)) == 0 &&
			    is_one_of(&agreed.ia_framework, frameworks,
				VSS_NELEM(frameworks)) &&
			    is_one_of(&agreed.ia_message, messages,
				VSS_NELEM(messages)));
	}
	free(answer);
}

/* What a host offers is agreed to, if it fits. */
static void
check_offer(struct fuzz_in *fi)
{
	struct vmbus_icmsg_version theirs[8];
	struct vmbus_icmsg_versions offer = { theirs, theirs, 0, 0 };
	uint32_t cap = fuzz_u8(fi), i, len;
	uint8_t *pkt = fuzz_exact(cap);

	offer.ivs_nframework = fuzz_u8(fi) % 9;
	offer.ivs_nmessage = fuzz_u8(fi) % 9;
	for (i = 0; i < VSS_NELEM(theirs); i++) {
		theirs[i].iv_major = fuzz_u8(fi);
		theirs[i].iv_minor = fuzz_u8(fi) / 128;
	}
	len = vmbus_icmsg_offer(pkt, cap, &offer);
	FUZZ_CHECK(len <= cap);
	if (len != 0) {
		check_decode(pkt, len);
		check_negotiate(pkt, len);
	}
	free(pkt);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_in fi = { data, size };
	struct vmbus_icmsg_agreed agreed;
	uint32_t len;
	int error;

	if (fuzz_u8(&fi) % 4 == 0) {
		check_offer(&fi);
		return (0);
	}
	if (fi.fi_left > VMBUS_ICMSG_PKT_MAX)
		return (-1);
	len = (uint32_t)fi.fi_left;
	check_decode(fi.fi_next, len);
	check_negotiate(fi.fi_next, len);
	error = vmbus_icmsg_answer(fi.fi_next, len, &agreed);
	FUZZ_CHECK(error == 0 || error == ENOTSUP || error == EBADMSG);
	return (0);
}
