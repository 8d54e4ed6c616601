/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/*
 * What the driver tells of its work: one line for each transaction, and the
 * engine's trace as a file of JSON lines.  Both wait while anything is frozen:
 * lines in memory (report.h), events in the trace ring.
 */

#ifndef _DRV_LOG_H_
#define _DRV_LOG_H_

#include <stdbool.h>
#include <stdint.h>

#include "engine.h"

#define LOG_EVENTS  2048 /* the trace ring's size */
#define LOG_CLIENTS 128	 /* names kept of clients that closed */

struct log_client {
	uint32_t lc_serial;
	char lc_name[VSS_ENGINE_NAME_MAX];
};

struct log {
	const struct vss_engine *lg_engine;
	uint32_t lg_nslots;
	const char *lg_path; /* of the trace file; NULL: none */
	bool lg_failed;	     /* it could not be written; said so */
	bool lg_lost;	     /* the hold was lost; said so */
	uint32_t lg_napps;   /* of the last FREEZE */
	uint32_t lg_nstale;
	uint64_t lg_told;	 /* events lost when last told */
	uint64_t lg_turned_away; /* opens turned away, to be told next */
	struct vss_trace lg_trace;
	struct vss_trace_event lg_events[LOG_EVENTS];
	struct log_client lg_clients[LOG_CLIENTS];
	uint32_t lg_next_client;
};

/* lg_trace is ready for vss_engine_init() after it. */
void log_init(struct log *lg, const struct vss_engine *e, uint32_t nslots,
    const char *path);

/* A reply was sent. */
void log_reply(struct log *lg, const struct vss_engine_reply *ey);

/* A client is about to be closed: its name is still needed for the trace. */
void log_closing(struct log *lg, uint32_t slot);

/* After each turn: holds lines back or lets them go, and drains the trace. */
void log_turn(struct log *lg);

#endif /* _DRV_LOG_H_ */
