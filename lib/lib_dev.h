/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/*
 * A participant's open device, call by call, with extensions (hv_vss_ext.h) or
 * without: a driver that answers HELLO with ENOTTY is plain.  Every call may
 * hang for as long as the driver is stopped; lib_dev_close() does on a
 * character device (CUSE) alone, or on an old Linux or libfuse.
 */

#ifndef _LIB_DEV_H_
#define _LIB_DEV_H_

#include <dev/hyperv/hv_vss_ext.h>
#include <stdbool.h>

#include "lib_flow.h"

/* Times of a request, in milliseconds. */
struct lib_times {
	uint64_t lt_left;
	uint64_t lt_hold;
	uint64_t lt_freeze; /* all of FREEZE */
};

struct lib_dev {
	int ld_fd; /* -1: not open */
	bool ld_ext;
};

/* 0 or an errno; it takes part from its first READ. */
int lib_dev_open(
    struct lib_dev *ld, const char *path, const struct hv_vss_hello *hello);

/* The next notification; HV_VSS_NONE where nothing waits. */
int lib_dev_read(struct lib_dev *ld, struct flow_note *fn);

/* Answers; EINVAL: nobody waits for it. */
int lib_dev_write(struct lib_dev *ld, const struct flow_act *fa);

void lib_dev_times(struct lib_dev *ld, struct lib_times *lt);

void lib_dev_close(struct lib_dev *ld);

#endif /* _LIB_DEV_H_ */
