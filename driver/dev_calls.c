/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/* The ioctls of the two devices (dev_calls.h; ENGINE.md section 6). */

#include "dev_calls.h"

#ifdef _KERNEL
#include <sys/filio.h>
#endif
#include <dev/hyperv/hv_vss_ext.h>

_Static_assert(sizeof(struct hv_vss_opt_msg) == 64, "hv_vss_opt_msg size");
_Static_assert(
    offsetof(struct hv_vss_opt_msg, status) == 4, "hv_vss_opt_msg.status");
_Static_assert(
    offsetof(struct hv_vss_opt_msg, msgid) == 8, "hv_vss_opt_msg.msgid");
_Static_assert(
    offsetof(struct hv_vss_opt_msg, reserved) == 16, "hv_vss_opt_msg.reserved");
_Static_assert(sizeof(struct hv_vss_hello) == 64, "hv_vss_hello size");
_Static_assert(sizeof(struct hv_vss_reason) == 256, "hv_vss_reason size");
_Static_assert(sizeof(struct hv_vss_time_left) == 64, "hv_vss_time_left size");
_Static_assert(sizeof(struct hv_vss_lun) == VSS_WIRE_LUN_LEN &&
	HV_VSS_LUNS_MAX == VSS_WIRE_LUN_MAX,
    "the host's list is the device's");
_Static_assert(sizeof(struct hv_vss_luns) == 6256 &&
	sizeof(struct hv_vss_luns) <= DEV_CALLS_MAX,
    "hv_vss_luns size");
_Static_assert(HV_VSS_LUNS_LIST == (int)VSS_WIRE_MESSAGE2 &&
	HV_VSS_LUNS_SHADOW == (int)VSS_WIRE_MESSAGE2EX &&
	HV_VSS_LUNS_NONE == (int)VSS_WIRE_SHORT,
    "the host's forms are the device's");
_Static_assert((int)VSS_ENGINE_CHECK == (int)HV_VSS_CHECK &&
	(int)VSS_ENGINE_FREEZE == (int)HV_VSS_FREEZE &&
	(int)VSS_ENGINE_THAW == (int)HV_VSS_THAW &&
	(int)VSS_ENGINE_PREPARE == HV_VSS_PREPARE,
    "the engine's operations are the device's");
_Static_assert(VSS_ENGINE_NAME_MAX == HV_VSS_NAME_MAX &&
	VSS_ENGINE_REASON_MAX == HV_VSS_REASON_MAX &&
	VSS_ENGINE_LEVEL_MAX == HV_VSS_LEVEL_MAX,
    "the engine's sizes are the device's");

static void
calls_read(struct vss_engine *e, uint32_t slot, uint64_t now_ns,
    struct hv_vss_opt_msg *msg)
{
	struct vss_engine_msg em;

	vss_engine_read(e, slot, now_ns, &em);
	memset(msg, 0, sizeof(*msg));
	msg->opt = em.em_op;
	msg->status = em.em_status;
	msg->msgid = em.em_id;
}

static int
calls_write(struct vss_engine *e, uint32_t slot, uint64_t now_ns,
    const struct hv_vss_opt_msg *msg)
{
	struct vss_engine_msg em;

	em.em_op = msg->opt;
	em.em_status = msg->status;
	em.em_id = msg->msgid;
	return (vss_engine_write(e, slot, now_ns, &em));
}

static int
calls_hello(struct vss_engine *e, uint32_t slot, const struct hv_vss_hello *hh)
{
	static const uint8_t zero[sizeof(hh->hh_reserved)];

	if (strnlen(hh->hh_name, sizeof(hh->hh_name)) == sizeof(hh->hh_name) ||
	    (hh->hh_flags & ~(uint32_t)HV_VSS_WANT_PREPARE) != 0 ||
	    memcmp(hh->hh_reserved, zero, sizeof(zero)) != 0)
		return (EINVAL);
	return (vss_engine_hello(e, slot, hh->hh_name, hh->hh_level,
	    (hh->hh_flags & HV_VSS_WANT_PREPARE) != 0));
}

static int
calls_reason(
    struct vss_engine *e, uint32_t slot, const struct hv_vss_reason *hr)
{
	if (strnlen(hr->hr_text, sizeof(hr->hr_text)) == sizeof(hr->hr_text))
		return (EINVAL);
	vss_engine_reason(e, slot, hr->hr_text);
	return (0);
}

static void
calls_time_left(
    const struct vss_engine *e, uint64_t now_ns, struct hv_vss_time_left *ht)
{
	memset(ht, 0, sizeof(*ht));
	ht->ht_left_ms = vss_engine_time_left(e, now_ns) / VSS_NS_PER_MS;
	ht->ht_hold_ms = e->e_conf->ec_hold_ns / VSS_NS_PER_MS;
	ht->ht_freeze_ms = e->e_conf->ec_freeze_ns / VSS_NS_PER_MS;
}

static void
calls_luns(const struct vss_engine *e, struct hv_vss_luns *hs)
{
	struct vss_wire_request wr;
	const uint8_t *luns;

	memset(hs, 0, sizeof(*hs));
	if (!vss_engine_luns(e, &wr, &luns))
		return;
	hs->hs_form = wr.wr_form;
	hs->hs_backup_type = wr.wr_backup_type;
	hs->hs_flags = wr.wr_lun_flags;
	hs->hs_count = wr.wr_nluns;
	memcpy(hs->hs_luns, luns, wr.wr_nluns * sizeof(hs->hs_luns[0]));
}

int
dev_calls_ioctl(struct vss_engine *e, uint32_t slot, uint64_t now_ns,
    unsigned long cmd, void *data)
{
	switch (cmd) {
	case IOCHVVSSREAD:
		calls_read(e, slot, now_ns, data);
		return (0);
	case IOCHVVSSWRITE:
		return (calls_write(e, slot, now_ns, data));
	case IOCHVVSSHELLO:
		return (calls_hello(e, slot, data));
	case IOCHVVSSREASON:
		return (calls_reason(e, slot, data));
	case IOCHVVSSTIMELEFT:
		calls_time_left(e, now_ns, data);
		return (0);
	case IOCHVVSSLUNS:
		calls_luns(e, data);
		return (0);
	case FIONBIO:
	case FIOASYNC:
		return (0);
	default:
		return (ENOTTY);
	}
}
