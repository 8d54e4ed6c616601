/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/*
 * Extensions to the device interface of hv_snapshot.h, for programs that want
 * to say who they are, to take their turn in an order, to do long work before
 * anything is at rest, or to say why they refuse.  They hold for one open file,
 * which asks for them; a program that asks for none never notices.
 *
 * Each ioctl fails with EINVAL when a field is out of range or a reserved one
 * is not 0.  FreeBSD's own hv_vss driver does not know them.
 */

#ifndef _DEV_HYPERV_HV_VSS_EXT_H_
#define _DEV_HYPERV_HV_VSS_EXT_H_

#include <dev/hyperv/hv_snapshot.h>

/*
 * A further value of opt, outside enum hv_vss_op_t: PREPARE, long work that
 * blocks nobody (flush, checkpoint) while the machine goes on.  It obliges to
 * nothing and is never undone: no THAW follows if only PREPARE was seen.
 */
#define HV_VSS_PREPARE	     16

#define HV_VSS_NAME_MAX	     32	 /* with the closing NUL */
#define HV_VSS_REASON_MAX    256 /* with the closing NUL */

#define HV_VSS_LEVEL_MAX     99
#define HV_VSS_LEVEL_DEFAULT 50

/* Values of hh_flags. */
#define HV_VSS_WANT_PREPARE 0x00000001

/*
 * HELLO: name, level and wishes of this open file, from the next request on.
 * Low levels are front ends: quiesced first and resumed last.  The level of the
 * file-system device's client is not used.
 */
struct hv_vss_hello {
	char hh_name[HV_VSS_NAME_MAX]; /* printable ASCII, NUL-terminated */
	uint32_t hh_level;	       /* 0 to HV_VSS_LEVEL_MAX */
	uint32_t hh_flags;	       /* HV_VSS_WANT_PREPARE */
	uint8_t hh_reserved[24];
};

/*
 * REASON: why the next WRITE of this open file is a refusal, in words for the
 * administrator.  What is not printable ASCII is replaced by '?'.  It is
 * forgotten with the next WRITE, whatever its status.
 */
struct hv_vss_reason {
	char hr_text[HV_VSS_REASON_MAX]; /* NUL-terminated */
};

/*
 * TIME LEFT: milliseconds until the limit that runs now passes (0 when none
 * runs or it has passed), and how long a hold and, before it, all of a FREEZE
 * may take at most (0: an older driver, which does not say).
 */
struct hv_vss_time_left {
	uint64_t ht_left_ms;
	uint64_t ht_hold_ms;
	uint64_t ht_freeze_ms;
	uint8_t ht_reserved[40];
};

#define HV_VSS_LUNS_MAX 260

/* A disk of the host's list, byte for byte as the host sent it. */
struct hv_vss_lun {
	uint8_t hl_bus_type;
	uint8_t hl_reserved[3];
	uint8_t hl_controller[16]; /* GUID: instance of the VMBus device */
	uint8_t hl_port;
	uint8_t hl_target;
	uint8_t hl_lun;
	uint8_t hl_reserved2;
};

/* Values of hs_form. */
#define HV_VSS_LUNS_NONE   0 /* no FREEZE is being answered, or it has none */
#define HV_VSS_LUNS_LIST   1 /* a list; it may be empty */
#define HV_VSS_LUNS_SHADOW 2 /* the same, from a form with two lists */

/*
 * LUNS: the disks that the host is about to snapshot, as far as it named them,
 * from a client's PREPARE or FREEZE until the host has its reply.  Backup type
 * and flags are the host's, of unknown meaning (PROTOCOL: Message2).
 */
struct hv_vss_luns {
	uint32_t hs_form;
	uint32_t hs_backup_type;
	uint32_t hs_flags;
	uint32_t hs_count; /* at most HV_VSS_LUNS_MAX */
	struct hv_vss_lun hs_luns[HV_VSS_LUNS_MAX];
};

#define IOCHVVSSHELLO	 _IOW('v', 16, struct hv_vss_hello)
#define IOCHVVSSREASON	 _IOW('v', 17, struct hv_vss_reason)
#define IOCHVVSSTIMELEFT _IOR('v', 18, struct hv_vss_time_left)
#define IOCHVVSSLUNS	 _IOR('v', 19, struct hv_vss_luns)

#endif /* _DEV_HYPERV_HV_VSS_EXT_H_ */
