/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/*
 * One open of a device: its notifications, the ids it may answer, and what it
 * owes or is owed in the freeze under way.  The rules are the device's (queue,
 * ids, staleness); which request runs and who is asked next is the engine's.
 *
 * Life of a notification: queued, then READ (outstanding), then answered, or
 * over when its stage ended first.  CHECK, PREPARE and FREEZE are withdrawn
 * when their stage ends before they were READ; a THAW stays until it is READ.
 *
 * Life of a client in a freeze (cl_freeze): none -> asked -> told -> quiesced
 * -> owed -> thawing -> none.
 */

#ifndef _CLIENT_H_
#define _CLIENT_H_

#include "trace.h"

#define VSS_ENGINE_NAME_MAX    32  /* with NUL */
#define VSS_ENGINE_REASON_MAX  256 /* with NUL */
#define VSS_ENGINE_IDS	       8   /* ids that a client's answers may name */
#define VSS_ENGINE_LEVEL_MAX   99
#define VSS_ENGINE_LEVEL_PLAIN 50
#define VSS_CLIENT_SILENCES    2 /* in a row make a client stale */

/* A client's operations: the device interface's opt, and PREPARE. */
enum vss_engine_op {
	VSS_ENGINE_NONE = 0,
	VSS_ENGINE_CHECK = 1,
	VSS_ENGINE_FREEZE = 2,
	VSS_ENGINE_THAW = 3,
	VSS_ENGINE_PREPARE = 16
};

enum vss_engine_kind {
	VSS_ENGINE_FS, /* hv_fsvss_dev: the freeze daemon, at most one */
	VSS_ENGINE_APP /* hv_appvss_dev: applications */
};

/* Who opened a device, as the environment knows it. */
struct vss_engine_who {
	uint64_t ew_pid;
	uint32_t ew_uid;
	char ew_comm[VSS_ENGINE_NAME_MAX];
};

/* What READ gives and WRITE takes. */
struct vss_engine_msg {
	uint32_t em_op; /* enum vss_engine_op */
	uint32_t em_status;
	uint64_t em_id;
};

enum vss_client_freeze {
	VSS_CLIENT_NONE,     /* nothing asked, nothing owed */
	VSS_CLIENT_ASKED,    /* FREEZE queued, not READ */
	VSS_CLIENT_TOLD,     /* FREEZE READ, not answered */
	VSS_CLIENT_QUIESCED, /* FREEZE acknowledged */
	VSS_CLIENT_OWED,     /* THAW is to be queued when its turn comes */
	VSS_CLIENT_THAWING   /* THAW queued, not answered */
};

enum vss_client_id_state {
	VSS_CLIENT_ID_UNUSED,
	VSS_CLIENT_ID_OUTSTANDING,
	VSS_CLIENT_ID_ANSWERED,
	VSS_CLIENT_ID_OVER
};

struct vss_client_id {
	uint64_t ci_id;
	enum vss_engine_op ci_op;
	enum vss_client_id_state ci_state;
};

struct vss_client_note {
	uint64_t cn_id; /* 0: there is none */
	enum vss_engine_op cn_op;
	bool cn_over; /* left for a stale client: its answer is ignored */
};

/* The fields are the engine's own. */
struct vss_engine_client {
	struct vss_engine_who cl_who;
	char cl_name[VSS_ENGINE_NAME_MAX];
	char cl_reason[VSS_ENGINE_REASON_MAX]; /* for the next refusal */
	uint32_t cl_serial;		       /* 0: the slot is free */
	enum vss_engine_kind cl_kind;
	bool cl_active;		/* polled or READ once: it takes part */
	bool cl_wake;		/* its poll is to be woken */
	uint32_t cl_level;	/* as of the running request */
	bool cl_prepare;	/* wants PREPARE; likewise */
	uint32_t cl_next_level; /* as of the next one */
	bool cl_next_prepare;

	/* The request under way. */
	bool cl_part;	 /* takes part in it */
	bool cl_awaited; /* its stage waits for this client's answer */
	bool cl_counted; /* acknowledged this FREEZE */
	enum vss_engine_op cl_asked_op; /* what it was asked last */
	uint64_t cl_asked_id;
	enum vss_client_freeze cl_freeze;
	uint64_t cl_thaw_ns; /* when its THAW was queued */

	/* Staleness. */
	uint32_t cl_silences; /* transactions in a row without an answer */
	bool cl_stale;

	/* Queue: an owed THAW, and behind it one newer notification. */
	struct vss_client_note cl_thaw;
	struct vss_client_note cl_note;

	/* The last ids READ, a ring; cl_nids counts up without end. */
	struct vss_client_id cl_ids[VSS_ENGINE_IDS];
	uint32_t cl_nids;
};

/* What a WRITE means to the engine. */
enum vss_client_answer {
	VSS_CLIENT_UNKNOWN, /* no such id or operation: EINVAL */
	VSS_CLIENT_IGNORED, /* answered already, or its stage is over */
	VSS_CLIENT_ANSWERED,
	VSS_CLIENT_BROKE /* acknowledged FREEZE taken back */
};

void vss_client_open(struct vss_engine_client *cl, uint32_t serial,
    enum vss_engine_kind kind, const struct vss_engine_who *who);

/*
 * Queues a notification: THAW in its own place, anything else behind it in
 * place of what was left there.
 */
void vss_client_notify(
    struct vss_engine_client *cl, enum vss_engine_op op, uint64_t id);

/* READ: takes the next notification, or says that there is none. */
void vss_client_read(struct vss_engine_client *cl, struct vss_engine_msg *em);
bool vss_client_readable(const struct vss_engine_client *cl);

/* WRITE: looks the id up and records the answer. */
enum vss_client_answer vss_client_write(
    struct vss_engine_client *cl, const struct vss_engine_msg *em);

/*
 * The stage of op (not THAW) is over for this client: withdraws it unread
 * (true), or its later answer is ignored.  A stale client keeps an unread CHECK
 * until the next request: it obliges to nothing, and reading it is how a client
 * that is never waited for can come back.
 */
bool vss_client_stage_over(struct vss_engine_client *cl, enum vss_engine_op op);

/* Whether it READ what it was asked last (not THAW) and did not answer yet. */
bool vss_client_outstanding(const struct vss_engine_client *cl);

/* One more transaction without an answer; true when it is stale from now on. */
bool vss_client_silent(struct vss_engine_client *cl, bool at_once);

/* Copies text of at most cap - 1 bytes, '?' for what is not printable ASCII. */
void vss_client_copy_text(char *to, size_t cap, const char *from, size_t max);

#endif /* _CLIENT_H_ */
