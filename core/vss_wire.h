/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/*
 * VSS messages on the wire: the operations of the Volume Shadow Copy
 * integration service and their forms, LUN lists included.  A message is
 * decoded once, length first, into a native structure; the bytes stay in the
 * caller's buffer, which becomes the reply.  PROTOCOL.md section 6 is the
 * source of layouts and values.
 */

#ifndef _VSS_WIRE_H_
#define _VSS_WIRE_H_

#include "icmsg.h"

enum vss_wire_op {
	VSS_WIRE_CREATE = 0,
	VSS_WIRE_DELETE = 1,
	VSS_WIRE_CHECK_HOT_BACKUP = 2,
	VSS_WIRE_GET_DM_INFO = 3,
	VSS_WIRE_BACKUP_COMPLETE = 4,
	VSS_WIRE_FREEZE = 5,
	VSS_WIRE_THAW = 6,
	VSS_WIRE_AUTO_RECOVER = 7,
	VSS_WIRE_QUERY_CLUSTER = 8
};

#define VSS_WIRE_MIN_LEN 40 /* payload with pipe header: the least there is */

/* Body lengths; the body starts at VMBUS_ICMSG_O_BODY. */
#define VSS_WIRE_SHORT_BODY	 12
#define VSS_WIRE_MESSAGE2_BODY	 6260
#define VSS_WIRE_MESSAGE2EX_BODY 12500
#define VSS_WIRE_MESSAGE3_BODY	 7312
#define VSS_WIRE_MESSAGE3EX_BODY 7320

#define VSS_WIRE_LUN_MAX	 260
#define VSS_WIRE_LUN_LEN	 24

/* The guest's answer to CHECK_HOT_BACKUP: no auto-recovery needed. */
#define VSS_WIRE_NO_AUTO_RECOVERY 0x00000005U

enum vss_wire_form {
	VSS_WIRE_SHORT,	    /* header, and flags or what the host adds */
	VSS_WIRE_MESSAGE2,  /* FREEZE, AUTO_RECOVER with a LUN list */
	VSS_WIRE_MESSAGE2EX /* the same with a shadow LUN list */
};

struct vss_wire_lun {
	uint8_t wl_bus_type;
	uint8_t wl_controller[16]; /* GUID as on the wire */
	uint8_t wl_port;
	uint8_t wl_target;
	uint8_t wl_lun;
};

struct vss_wire_request {
	uint8_t wr_op; /* enum vss_wire_op, or unknown */
	enum vss_wire_form wr_form;
	uint32_t wr_flags; /* short form: u32 at body offset 8 */
	uint32_t wr_backup_type;
	uint32_t wr_lun_flags;
	uint32_t wr_nluns; /* at most VSS_WIRE_LUN_MAX; 0 in the short form */
};

/*
 * Decodes a VSS message of len bytes whose headers are im.  Returns
 *	0	*wr is filled
 *	EBADMSG	shorter than VSS_WIRE_MIN_LEN: drop it
 *	EINVAL	whole but wrong: the body that the IC header claims is not all
 *		there, more LUNs than VSS_WIRE_LUN_MAX, or a LUN count other
 *		than 0 in a length that is neither MESSAGE2 nor MESSAGE2EX
 *		(FREEZE and AUTO_RECOVER); *wr then holds the operation alone
 * Any other length is taken as the short form.
 */
int vss_wire_decode(const uint8_t *pkt, uint32_t len,
    const struct vmbus_icmsg *im, struct vss_wire_request *wr);

/*
 * The i-th LUN of a decoded list (i < wr_nluns), or of its shadow list
 * (MESSAGE2EX only).
 */
void vss_wire_lun(const uint8_t *pkt, uint32_t i, struct vss_wire_lun *wl);
void vss_wire_shadow_lun(
    const uint8_t *pkt, uint32_t i, struct vss_wire_lun *wl);

/* The list itself: wr_nluns entries of VSS_WIRE_LUN_LEN bytes. */
const uint8_t *vss_wire_luns(const uint8_t *pkt);

/* Writes the u32 flags of the answer to CHECK_HOT_BACKUP and GET_DM_INFO. */
void vss_wire_put_flags(uint8_t *pkt, uint32_t flags);
uint32_t vss_wire_get_flags(const uint8_t *pkt);

/*
 * Host: writes a request (headers and body, status 0, flags 3) into pkt of cap
 * bytes; luns holds wr_nluns entries for MESSAGE2 and twice as many, the shadow
 * ones second, for MESSAGE2EX.  Returns its length, or 0 when cap is too small.
 */
uint32_t vss_wire_encode(uint8_t *pkt, uint32_t cap,
    const struct vmbus_icmsg_agreed *agreed, const struct vss_wire_request *wr,
    const struct vss_wire_lun *luns);

/* The operation's name as the host spells it; "unknown" for others. */
const char *vss_wire_op_name(uint8_t op);

#endif /* _VSS_WIRE_H_ */
