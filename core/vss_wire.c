/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/*
 * Decodes and encodes VSS messages.  See vss_wire.h; offsets and sizes are
 * those of PROTOCOL.md sections 6.1 to 6.3.
 */

#include "vss_wire.h"

/* Offsets in the payload: the body's, plus VMBUS_ICMSG_O_BODY. */
#define WIRE_O_OP	   28
#define WIRE_O_FLAGS	   36
#define WIRE_O_BACKUP_TYPE 36
#define WIRE_O_LUN_FLAGS   40
#define WIRE_O_NLUNS	   44
#define WIRE_O_LUNS	   48
#define WIRE_O_SHADOW	   6288

/* Offsets in a LUN's entry. */
#define WIRE_LUN_O_BUS_TYPE   0
#define WIRE_LUN_O_CONTROLLER 4
#define WIRE_LUN_O_PORT	      20
#define WIRE_LUN_O_TARGET     21
#define WIRE_LUN_O_LUN	      22

#define WIRE_LIST_LEN	      (VSS_WIRE_LUN_MAX * VSS_WIRE_LUN_LEN)

_Static_assert(WIRE_LIST_LEN == 6240, "LUN list");
_Static_assert(
    WIRE_O_LUNS - VMBUS_ICMSG_O_BODY + WIRE_LIST_LEN == VSS_WIRE_MESSAGE2_BODY,
    "Message2");
_Static_assert(WIRE_O_SHADOW - VMBUS_ICMSG_O_BODY == VSS_WIRE_MESSAGE2_BODY,
    "shadow list");
_Static_assert(
    VSS_WIRE_MESSAGE2_BODY + WIRE_LIST_LEN == VSS_WIRE_MESSAGE2EX_BODY,
    "Message2Ex");
_Static_assert(
    VSS_WIRE_MIN_LEN == VMBUS_ICMSG_O_BODY + VSS_WIRE_SHORT_BODY, "short form");
_Static_assert(
    VMBUS_ICMSG_O_BODY + VSS_WIRE_MESSAGE2EX_BODY <= VMBUS_ICMSG_PKT_MAX,
    "the largest form fits a packet");

static const char *const wire_names[] = {
	[VSS_WIRE_CREATE] = "CREATE",
	[VSS_WIRE_DELETE] = "DELETE",
	[VSS_WIRE_CHECK_HOT_BACKUP] = "CHECK_HOT_BACKUP",
	[VSS_WIRE_GET_DM_INFO] = "GET_DM_INFO",
	[VSS_WIRE_BACKUP_COMPLETE] = "BACKUP_COMPLETE",
	[VSS_WIRE_FREEZE] = "FREEZE",
	[VSS_WIRE_THAW] = "THAW",
	[VSS_WIRE_AUTO_RECOVER] = "AUTO_RECOVER",
	[VSS_WIRE_QUERY_CLUSTER] = "QUERY_GUEST_CLUSTER_INFORMATION",
};

/* Decodes what FREEZE and AUTO_RECOVER add in their longer forms. */
static int
wire_decode_list(const uint8_t *pkt, uint32_t body, struct vss_wire_request *wr)
{
	uint32_t nluns;

	/* A body that ends before the count claims no list. */
	if (body < WIRE_O_LUNS - VMBUS_ICMSG_O_BODY)
		return (0);
	nluns = vmbus_icmsg_get32(pkt + WIRE_O_NLUNS);
	if (body == VSS_WIRE_MESSAGE2_BODY)
		wr->wr_form = VSS_WIRE_MESSAGE2;
	else if (body == VSS_WIRE_MESSAGE2EX_BODY)
		wr->wr_form = VSS_WIRE_MESSAGE2EX;
	else
		return (nluns == 0 ? 0 : EINVAL);
	if (nluns > VSS_WIRE_LUN_MAX)
		return (EINVAL);
	wr->wr_flags = 0;
	wr->wr_backup_type = vmbus_icmsg_get32(pkt + WIRE_O_BACKUP_TYPE);
	wr->wr_lun_flags = vmbus_icmsg_get32(pkt + WIRE_O_LUN_FLAGS);
	wr->wr_nluns = nluns;
	return (0);
}

int
vss_wire_decode(const uint8_t *pkt, uint32_t len, const struct vmbus_icmsg *im,
    struct vss_wire_request *wr)
{
	int error;

	if (len > im->im_len)
		len = im->im_len;
	if (len < VSS_WIRE_MIN_LEN)
		return (EBADMSG);
	memset(wr, 0, sizeof(*wr));
	wr->wr_op = pkt[WIRE_O_OP];
	if (im->im_size > len - VMBUS_ICMSG_O_BODY)
		return (EINVAL);
	wr->wr_flags = vmbus_icmsg_get32(pkt + WIRE_O_FLAGS);
	if (wr->wr_op != VSS_WIRE_FREEZE && wr->wr_op != VSS_WIRE_AUTO_RECOVER)
		return (0);
	error = wire_decode_list(pkt, im->im_size, wr);
	if (error != 0) {
		wr->wr_form = VSS_WIRE_SHORT;
		wr->wr_flags = 0;
	}
	return (error);
}

static void
wire_get_lun(const uint8_t *p, struct vss_wire_lun *wl)
{
	wl->wl_bus_type = p[WIRE_LUN_O_BUS_TYPE];
	memcpy(wl->wl_controller, p + WIRE_LUN_O_CONTROLLER,
	    sizeof(wl->wl_controller));
	wl->wl_port = p[WIRE_LUN_O_PORT];
	wl->wl_target = p[WIRE_LUN_O_TARGET];
	wl->wl_lun = p[WIRE_LUN_O_LUN];
}

static void
wire_put_lun(uint8_t *p, const struct vss_wire_lun *wl)
{
	p[WIRE_LUN_O_BUS_TYPE] = wl->wl_bus_type;
	memcpy(p + WIRE_LUN_O_CONTROLLER, wl->wl_controller,
	    sizeof(wl->wl_controller));
	p[WIRE_LUN_O_PORT] = wl->wl_port;
	p[WIRE_LUN_O_TARGET] = wl->wl_target;
	p[WIRE_LUN_O_LUN] = wl->wl_lun;
}

void
vss_wire_lun(const uint8_t *pkt, uint32_t i, struct vss_wire_lun *wl)
{
	VSS_ASSERT(i < VSS_WIRE_LUN_MAX);
	wire_get_lun(pkt + WIRE_O_LUNS + VSS_WIRE_LUN_LEN * i, wl);
}

void
vss_wire_shadow_lun(const uint8_t *pkt, uint32_t i, struct vss_wire_lun *wl)
{
	VSS_ASSERT(i < VSS_WIRE_LUN_MAX);
	wire_get_lun(pkt + WIRE_O_SHADOW + VSS_WIRE_LUN_LEN * i, wl);
}

const uint8_t *
vss_wire_luns(const uint8_t *pkt)
{
	return (pkt + WIRE_O_LUNS);
}

void
vss_wire_put_flags(uint8_t *pkt, uint32_t flags)
{
	vmbus_icmsg_put32(pkt + WIRE_O_FLAGS, flags);
}

uint32_t
vss_wire_get_flags(const uint8_t *pkt)
{
	return (vmbus_icmsg_get32(pkt + WIRE_O_FLAGS));
}

static uint32_t
wire_body_len(enum vss_wire_form form)
{
	switch (form) {
	case VSS_WIRE_MESSAGE2:
		return (VSS_WIRE_MESSAGE2_BODY);
	case VSS_WIRE_MESSAGE2EX:
		return (VSS_WIRE_MESSAGE2EX_BODY);
	case VSS_WIRE_SHORT:
		break;
	}
	return (VSS_WIRE_SHORT_BODY);
}

static void
wire_put_list(uint8_t *pkt, const struct vss_wire_request *wr,
    const struct vss_wire_lun *luns)
{
	uint32_t i;

	vmbus_icmsg_put32(pkt + WIRE_O_BACKUP_TYPE, wr->wr_backup_type);
	vmbus_icmsg_put32(pkt + WIRE_O_LUN_FLAGS, wr->wr_lun_flags);
	vmbus_icmsg_put32(pkt + WIRE_O_NLUNS, wr->wr_nluns);
	for (i = 0; i < wr->wr_nluns; i++)
		wire_put_lun(
		    pkt + WIRE_O_LUNS + VSS_WIRE_LUN_LEN * i, &luns[i]);
	if (wr->wr_form != VSS_WIRE_MESSAGE2EX)
		return;
	for (i = 0; i < wr->wr_nluns; i++)
		wire_put_lun(pkt + WIRE_O_SHADOW + VSS_WIRE_LUN_LEN * i,
		    &luns[wr->wr_nluns + i]);
}

uint32_t
vss_wire_encode(uint8_t *pkt, uint32_t cap,
    const struct vmbus_icmsg_agreed *agreed, const struct vss_wire_request *wr,
    const struct vss_wire_lun *luns)
{
	struct vmbus_icmsg im;
	uint32_t body, len;

	VSS_ASSERT(wr->wr_nluns <= VSS_WIRE_LUN_MAX);
	body = wire_body_len(wr->wr_form);
	len = VMBUS_ICMSG_O_BODY + body;
	if (len > cap)
		return (0);
	memset(&im, 0, sizeof(im));
	im.im_pipe_type = VMBUS_ICMSG_PIPE_DATA;
	im.im_pipe_size = VMBUS_ICMSG_HDR_LEN + body;
	im.im_framework = agreed->ia_framework;
	im.im_type = VMBUS_ICMSG_VSS;
	im.im_version = agreed->ia_message;
	im.im_size = (uint16_t)body;
	im.im_flags = VMBUS_ICMSG_F_TRANSACTION | VMBUS_ICMSG_F_REQUEST;
	vmbus_icmsg_encode(pkt, &im);
	memset(pkt + VMBUS_ICMSG_O_BODY, 0, body);
	pkt[WIRE_O_OP] = wr->wr_op;
	if (wr->wr_form == VSS_WIRE_SHORT)
		vss_wire_put_flags(pkt, wr->wr_flags);
	else
		wire_put_list(pkt, wr, luns);
	return (len);
}

const char *
vss_wire_op_name(uint8_t op)
{
	if (op >= VSS_NELEM(wire_names))
		return ("unknown");
	return (wire_names[op]);
}
