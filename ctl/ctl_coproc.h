/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/*
 * The co-process of a participant (hv_vssctl(8), CO-PROCESS): a part of
 * ctl_work, which has the contract.
 */

#ifndef _CTL_COPROC_H_
#define _CTL_COPROC_H_

#include "ctl_work.h"

/* Starts it, unless it runs.  0 or an errno. */
int ctl_coproc_start(struct ctl_work *cw);

/* Asks it what cw_ask says.  0, or an errno: it could not be asked. */
int ctl_coproc_ask(struct ctl_work *cw);

/*
 * Takes the next thing that it did: true when cw_ask was answered, cw_failed
 * and cw_reason say how.
 */
bool ctl_coproc_event(struct ctl_work *cw);

/* Lets go of it at once, killed: what was under way has failed because of why.
 */
bool ctl_coproc_gone(struct ctl_work *cw, const char *why);

/* Ends it without asking; nothing is under way. */
void ctl_coproc_stop(struct ctl_work *cw);

#endif /* _CTL_COPROC_H_ */
