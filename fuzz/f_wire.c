/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/*
 * VSS messages: any bytes behind any headers.  What decodes encodes to what
 * decodes the same, LUN lists included, and no list reaches beyond the packet.
 */

#include "fuzz.h"
#include "vss_wire.h"

static void
get_luns(const uint8_t *pkt, const struct vss_wire_request *wr,
    struct vss_wire_lun *luns)
{
	uint32_t i;

	FUZZ_CHECK(wr->wr_nluns <= VSS_WIRE_LUN_MAX);
	for (i = 0; i < wr->wr_nluns; i++) {
		vss_wire_lun(pkt, i, &luns[i]);
		if (wr->wr_form == VSS_WIRE_MESSAGE2EX)
			vss_wire_shadow_lun(pkt, i, &luns[wr->wr_nluns + i]);
	}
}

static void
check_again(const uint8_t *pkt, const struct vss_wire_request *wr, uint32_t cap)
{
	static const struct vmbus_icmsg_agreed agreed = { { 3, 0 }, { 5, 0 } };
	static struct vss_wire_lun luns[2 * VSS_WIRE_LUN_MAX],
	    luns2[2 * VSS_WIRE_LUN_MAX];
	struct vss_wire_request wr2;
	struct vmbus_icmsg im;
	uint8_t *out = fuzz_exact(cap);
	uint32_t len;

	memset(luns, 0, sizeof(luns));
	memset(luns2, 0, sizeof(luns2));
	get_luns(pkt, wr, luns);
	len = vss_wire_encode(out, cap, &agreed, wr, luns);
	FUZZ_CHECK(len <= cap);
	if (len != 0) {
		FUZZ_CHECK(vmbus_icmsg_decode(out, len, &im) == 0);
		FUZZ_CHECK(im.im_len == len);
		FUZZ_CHECK(vss_wire_decode(out, len, &im, &wr2) == 0);
		FUZZ_CHECK(memcmp(wr, &wr2, sizeof(wr2)) == 0);
		get_luns(out, &wr2, luns2);
		FUZZ_CHECK(memcmp(luns, luns2, sizeof(luns)) == 0);
	}
	free(out);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_in fi = { data, size };
	struct vss_wire_request wr;
	struct vmbus_icmsg im;
	uint32_t cap = fuzz_u16(&fi), len;
	uint8_t *pkt;
	int error;

	if (fi.fi_left > VMBUS_ICMSG_PKT_MAX)
		return (-1);
	len = (uint32_t)fi.fi_left;
	pkt = fuzz_exact(len);
	fuzz_bytes(&fi, pkt, len);
	if (vmbus_icmsg_decode(pkt, len, &im) == 0) {
		error = vss_wire_decode(pkt, len, &im, &wr);
		FUZZ_CHECK(error == 0 || error == EBADMSG || error == EINVAL);
		if (error != EBADMSG)
			FUZZ_CHECK(vss_wire_op_name(wr.wr_op) != NULL);
		if (error == 0) {
			check_again(pkt, &wr, cap);
			FUZZ_CHECK(
			    wr.wr_form == VSS_WIRE_SHORT || wr.wr_flags == 0);
			vss_wire_put_flags(pkt, cap);
			FUZZ_CHECK(vss_wire_get_flags(pkt) == cap);
		}
	}
	free(pkt);
	return (0);
}
