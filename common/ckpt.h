/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/*
 * A checkpoint as it is remembered: what the host asked, what came of it, who
 * took part, how long each step took, and the first cause if it failed.  The
 * driver keeps the last ones in memory, the daemon adds the file systems and
 * writes them to the history, hv_vssctl shows them; all three have the form of
 * a line of JSON from here.
 *
 * Times are nanoseconds of the clock of core/engine.h; 0: it did not happen.
 */

#ifndef _CKPT_H_
#define _CKPT_H_

#include "engine.h"
#include "json.h"

#define CKPT_CLIENTS_MAX 128  /* remembered of a checkpoint, the first ones */
#define CKPT_POINT_MAX	 1024 /* of a mount point's name, with NUL */
#define CKPT_DISKS_MAX	 256  /* of the names of disks, with NUL */
#define CKPT_REASON_MAX	 768  /* a reason as a sentence, with NUL */

enum ckpt_outcome {
	CKPT_OK,      /* FREEZE and THAW were answered with success */
	CKPT_CHECKED, /* only CHECK was asked, and succeeded */
	CKPT_FAILED,  /* CHECK or FREEZE was refused */
	CKPT_LOST,    /* frozen, but not until the host's THAW */
	CKPT_NOUTCOMES
};

/* What the host asks, and what clients are asked. */
enum ckpt_op { CKPT_CHECK, CKPT_PREPARE, CKPT_FREEZE, CKPT_THAW, CKPT_NOPS };

/* What came of it. */
enum ckpt_result {
	CKPT_R_NONE, /* not asked */
	CKPT_R_OK,
	CKPT_R_FAILED,
	CKPT_R_SILENT,	  /* no answer within the limit */
	CKPT_R_WITHDRAWN, /* not read before its stage was over */
	CKPT_R_PENDING,	  /* asked; nothing more is known */
	CKPT_R_GONE,	  /* closed the device instead */
	CKPT_NRESULTS
};

/* Stretches of the engine's states. */
enum ckpt_stage {
	CKPT_S_CHECK,
	CKPT_S_PREPARE,
	CKPT_S_QUIESCE,
	CKPT_S_FREEZE,
	CKPT_S_HOLD,
	CKPT_S_THAW,
	CKPT_S_RESUME,
	CKPT_NSTAGES
};

/* Something that began, ended, and came to something. */
struct ckpt_span {
	uint64_t cp_begin_ns;
	uint64_t cp_end_ns;
	uint32_t cp_result; /* enum ckpt_result */
};

struct ckpt_client {
	uint32_t cc_serial;
	uint32_t cc_level;
	uint64_t cc_pid;
	bool cc_daemon; /* the freeze daemon; else an application */
	bool cc_stale;
	char cc_name[VSS_ENGINE_NAME_MAX];
	struct ckpt_span cc_spans[CKPT_NOPS];
};

/* A file system, as the daemon knows it. */
enum ckpt_fs_step {
	CKPT_FS_FLUSH,
	CKPT_FS_FREEZE,
	CKPT_FS_THAW,
	CKPT_FS_NSTEPS
};

struct ckpt_fs {
	char cf_point[CKPT_POINT_MAX];
	char cf_type[32];
	bool cf_frozen; /* to be frozen; else flushed only */
	uint32_t cf_level;
	int32_t cf_errno; /* of the step that failed, 0: none did */
	uint32_t cf_failed;
	struct ckpt_span cf_spans[CKPT_FS_NSTEPS];
};

struct ckpt {
	uint64_t ck_id;	     /* in the history; 0: not written there yet */
	uint64_t ck_run;     /* which start of the driver: ms since 1970 */
	uint64_t ck_seq;     /* number in that, from 1 */
	uint64_t ck_wall_ms; /* when it began, ms since 1970 */
	uint64_t ck_begin_ns;
	uint64_t ck_end_ns;
	bool ck_test; /* asked for by hv_vssctl test, not by the host */
	enum ckpt_outcome ck_outcome;
	uint32_t ck_napps; /* that took part with success */
	uint32_t ck_nstale;
	struct ckpt_span ck_asked[CKPT_NOPS]; /* by the host; not PREPARE */
	struct ckpt_span ck_stages[CKPT_NSTAGES];
	struct vss_engine_reason ck_why; /* er_cause 0: it did not fail */
	uint32_t ck_nclients;
	uint32_t ck_nleft;	       /* clients that had no place */
	uint32_t ck_ndisks;	       /* that the host named */
	bool ck_by_disk;	       /* only what lies on those was frozen */
	char ck_disks[CKPT_DISKS_MAX]; /* "sda, sdb", as many as fit */
	uint32_t ck_fs_left; /* file systems that had no place in a line */
	uint32_t ck_nfs;
	struct ckpt_fs *ck_fs; /* of the history alone; ckpt_free() */
	struct ckpt_client ck_clients[CKPT_CLIENTS_MAX];
};

/* Words. */
const char *ckpt_outcome_name(enum ckpt_outcome outcome);
const char *ckpt_op_name(uint32_t op);
const char *ckpt_result_name(uint32_t result);
const char *ckpt_stage_name(uint32_t stage);
const char *ckpt_fs_step_name(uint32_t step);
const char *ckpt_client_op_name(uint32_t op); /* enum vss_engine_op */
/* "application", "file-system" or "none": how good the copy is. */
const char *ckpt_consistency(const struct ckpt *ck);
/* "refused", "no-daemon": for programs. */
void ckpt_cause_name(uint32_t cause, char *buf, size_t len);
/* What the administrator can do about it; NULL: nothing in particular. */
const char *ckpt_remedy(const struct vss_engine_reason *er);
/* Who, why, in whose words, and what to do: one sentence. */
void ckpt_reason(const struct vss_engine_reason *er, char *buf, size_t len);

/* From the first who was asked to come to rest until all go on; 0: nobody. */
uint64_t ckpt_stall_ns(const struct ckpt *ck);
uint64_t ckpt_hold_ns(const struct ckpt *ck);

/* JSON of a reason, as member "reason" (null if there is none). */
void ckpt_json_reason(struct json_out *jo, const struct vss_engine_reason *er);

/*
 * Its JSON in pieces, for whoever has a small buffer: the head, one client
 * after another, the tail.  ckpt_json() is all of them.
 */
#define CKPT_PIECE_MAX 4096 /* the longest of these, with NUL */
void ckpt_json_head(struct json_out *jo, const struct ckpt *ck);
void ckpt_json_client(struct json_out *jo, const struct ckpt *ck, uint32_t i);
void ckpt_json_tail(struct json_out *jo, const struct ckpt *ck);
void ckpt_json(struct json_out *jo, const struct ckpt *ck);
/* An upper bound of what ckpt_json() writes, with NUL. */
size_t ckpt_json_max(const struct ckpt *ck);

/* Reads it back; false when it is no checkpoint or there is no memory. */
bool ckpt_read(struct ckpt *ck, const struct json_value *jv);
bool ckpt_parse(struct ckpt *ck, const char *line, size_t len);
void ckpt_free(struct ckpt *ck);

#endif /* _CKPT_H_ */
