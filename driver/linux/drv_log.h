/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/*
 * What the driver tells of its work: one line for each checkpoint, the last
 * checkpoints as it remembers them, and the engine's trace as a file of JSON
 * lines.  Both wait while anything is frozen:
 * lines in memory (report.h), events in the trace ring.
 */

#ifndef _DRV_LOG_H_
#define _DRV_LOG_H_

#include <stdbool.h>
#include <stdint.h>

#include "apart.h"
#include "ckpt_digest.h"

#define LOG_EVENTS  2048 /* the trace ring's size */
#define LOG_CLIENTS 128	 /* remembered of those that closed */

struct log {
	const struct vss_engine *lg_engine;
	uint32_t lg_nslots;
	const char *lg_path;	 /* of the trace file; NULL: none */
	struct apart lg_writer;	 /* who writes it */
	uint32_t lg_missed;	 /* events that nobody could write */
	bool lg_failed;		 /* it could not be written; said so */
	bool lg_lost;		 /* the hold was lost; said so */
	uint64_t lg_told;	 /* events lost when last told */
	uint64_t lg_turned_away; /* opens turned away, to be told next */
	struct vss_trace lg_trace;
	struct vss_trace_event lg_events[LOG_EVENTS];
	struct ckpt_client lg_closed[LOG_CLIENTS]; /* the last that closed */
	uint32_t lg_nclosed;
	struct ckpt_digest lg_digest;
};

/* lg_trace is ready for vss_engine_init() after it. */
void log_init(struct log *lg, const struct vss_engine *e, uint32_t nslots,
    const char *path);

/* A reply was sent. */
void log_reply(struct log *lg, const struct vss_engine_reply *ey);

/* A client is about to be closed: who it was is still needed for the trace. */
void log_closing(struct log *lg, uint32_t slot);

/* After each turn: holds lines back or lets them go, and drains the trace. */
void log_turn(struct log *lg);

#endif /* _DRV_LOG_H_ */
