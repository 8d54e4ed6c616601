/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/* The roles of hv_vss_freezer.  Each runs until its work is over. */

#ifndef _HV_VSS_FREEZER_H_
#define _HV_VSS_FREEZER_H_

/* Serves one daemon on ctl; returns when that is gone and all is thawed. */
void frz_worker(int ctl);
void frz_guard(int ctl);

#endif /* _HV_VSS_FREEZER_H_ */
