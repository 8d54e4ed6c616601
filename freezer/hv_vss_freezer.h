/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/* The roles of hv_vss_freezer.  Each runs until its work is over. */

#ifndef _HV_VSS_FREEZER_H_
#define _HV_VSS_FREEZER_H_

#include "frz_proto.h"

/* Serves one daemon on ctl; returns when that is gone and all is thawed. */
void frz_worker(int ctl);
void frz_guard(int ctl);

/*
 * Serves one daemon after another that connects to a socket, each when the last
 * one's transaction is thawed; greets each with ready.  Ends on SIGTERM, which
 * the caller has blocked, when it owes nothing.
 */
void frz_guard_listen(int listener, const struct frz_msg *ready)
    __attribute__((noreturn));

#endif /* _HV_VSS_FREEZER_H_ */
