/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/*
 * The engine's state machine: what engine.c calls when something happened.
 * e_now_ns is the time of every call.  The table is engine.def.
 */

#ifndef _STAGE_H_
#define _STAGE_H_

#include "engine.h"

/*
 * An event happened: does its row, then all that follows from who is awaited,
 * requests that waited for an undo included.
 */
void vss_stage_raise(struct vss_engine *e, enum vss_engine_event event);

/* A CHECK, FREEZE or THAW arrived. */
void vss_stage_request(struct vss_engine *e, struct vss_request *rq);

/* Answers may have come in: goes on as far as they let it. */
void vss_stage_settle(struct vss_engine *e);

/* The next deadline, and what is to be done when it passed. */
uint64_t vss_stage_deadline(const struct vss_engine *e);
void vss_stage_expire(struct vss_engine *e);

#endif /* _STAGE_H_ */
