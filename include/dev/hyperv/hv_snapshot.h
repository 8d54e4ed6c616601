/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/*
 * The device interface of hv_vss(4): what a program that takes part in backups
 * sees.  Names, structure and ioctl numbers are those of FreeBSD's hv_vss(4),
 * so that a program written for it compiles and works unchanged.
 *
 * A participant opens VSS_DEV(APP_VSS_DEV_NAME) for reading and writing and
 * polls it for POLLIN.  When it is readable, IOCHVVSSREAD fetches the
 * notification: opt says what is asked (check, freeze, thaw), msgid which
 * request it is.  The participant does its work, sets status to VSS_SUCCESS or
 * VSS_FAIL and hands the same structure back with IOCHVVSSWRITE.
 *
 * IOCHVVSSREAD never blocks and returns 0 also when nothing waits: then status
 * is VSS_FAIL and opt and msgid are 0.  IOCHVVSSWRITE fails with EINVAL for a
 * msgid that this open file was not given or has not read yet, and for an opt
 * that is not the request's.  Any other ioctl fails with ENOTTY.
 */

#ifndef _DEV_HYPERV_HV_SNAPSHOT_H_
#define _DEV_HYPERV_HV_SNAPSHOT_H_

#ifdef __FreeBSD__
#include <sys/types.h>

#include <sys/ioccom.h>
#else
#include <stdint.h>
#include <sys/ioctl.h>
#endif

#define FS_VSS_DEV_NAME	 "hv_fsvss_dev"
#define APP_VSS_DEV_NAME "hv_appvss_dev"

#define VSS_DEV(x)	 "/dev/" x

/* Values of status. */
#define VSS_SUCCESS 0x00000000
#define VSS_FAIL    0x00000001

/* Values of opt. */
enum hv_vss_op_t {
	HV_VSS_NONE = 0,
	HV_VSS_CHECK,
	HV_VSS_FREEZE,
	HV_VSS_THAW,
	HV_VSS_COUNT
};

struct hv_vss_opt_msg {
	uint32_t opt;	 /* what is asked: enum hv_vss_op_t */
	uint32_t status; /* the answer: VSS_SUCCESS or anything else */
	uint64_t msgid;	 /* which request */
	uint8_t reserved[48];
};

#define IOCHVVSSREAD  _IOR('v', 2, struct hv_vss_opt_msg)
#define IOCHVVSSWRITE _IOW('v', 3, struct hv_vss_opt_msg)

#endif /* _DEV_HYPERV_HV_SNAPSHOT_H_ */
