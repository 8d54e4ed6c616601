/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/* The clock of hv_vssctl. */

#include <time.h>

#include "ctl.h"

uint64_t
ctl_now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (
	    (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / CTL_NS_PER_MS);
}
