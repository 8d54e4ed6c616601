/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/*
 * The engine: what the driver does with the host's requests and its clients'
 * answers.  It has no clock, thread, lock or descriptor: every call takes the
 * time, changes the state and returns; the caller then asks what is to be done.
 *
 * The caller serialises all calls.  After any call that takes now_ns it
 *	1. sends replies while vss_engine_reply() gives one and the channel has
 *	   room,
 *	2. wakes clients while vss_engine_wake() names one,
 *	3. arms its timer for vss_engine_deadline().
 * On each wake it serves the channel (vss_engine_rx_buf, vss_engine_rx) before
 * vss_engine_timer().  Nothing sleeps, allocates or fails for lack of memory.
 *
 * Times are nanoseconds of a clock that goes on during suspend and never goes
 * back (CLOCK_BOOTTIME).
 */

#ifndef _ENGINE_H_
#define _ENGINE_H_

#include "icmsg.h"
#include "trace.h"
#include "vss_wire.h"

#define VSS_ENGINE_MAX_REQUESTS 16 /* of the host, at once */
#define VSS_ENGINE_MAX_WAITING	4  /* of them, waiting for an undo */
#define VSS_ENGINE_MAX_CLIENTS	1024
#define VSS_ENGINE_NAME_MAX	32  /* with NUL */
#define VSS_ENGINE_REASON_MAX	256 /* with NUL */
#define VSS_ENGINE_IDS		8   /* ids that a client's answers may name */
#define VSS_ENGINE_LEVEL_MAX	99
#define VSS_ENGINE_LEVEL_PLAIN	50

/* No deadline runs. */
#define VSS_ENGINE_NEVER UINT64_MAX

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

/* Limits of ENGINE.md section 4, in ns, and sizes of section 1. */
struct vss_engine_conf {
	uint64_t ec_check_ns;	/* CHECK, in all */
	uint64_t ec_freeze_ns;	/* FREEZE, in all */
	uint64_t ec_prepare_ns; /* of it PREPARE, from the request's arrival */
	uint64_t ec_quiesce_ns; /* of it applications, all levels together */
	uint64_t ec_fs_ns;	/* of it file systems */
	uint64_t ec_hold_ns;
	uint64_t ec_thaw_ns;	/* THAW, in all */
	uint64_t ec_thaw_fs_ns; /* of it file systems */
	uint64_t ec_level_ns;	/* a level on the way up */
	uint32_t ec_max_clients;
	uint32_t ec_max_per_uid; /* root excepted */
	bool ec_besteffort;	 /* silent applications do not fail a request */
	bool ec_later_versions;	 /* experimental: offer VSS 6.0 and 7.0 */
};

/* The defaults: 10, 120, 100, 10, 10, 60, 10, 5, 1 s; 64 and 16. */
void vss_engine_conf_default(struct vss_engine_conf *ec);

/* Who opened a device, as the environment knows it. */
struct vss_engine_who {
	uint64_t ew_pid;
	uint32_t ew_uid;
	char ew_comm[VSS_ENGINE_NAME_MAX];
};

/* Why a request was answered FAIL (P7). */
#define VSS_ENGINE_CAUSES(X) \
	X(NONE, "none") \
	X(NO_DAEMON, "no freeze daemon has the file-system device open") \
	X(BUSY, "it came while another request was under way") \
	X(REFUSED, "refused") \
	X(CLOSED, "closed the device before it answered") \
	X(SILENT, "did not answer in time") \
	X(BROKEN, "could not stay quiesced") \
	X(HOLD_EXPIRED, "the host did not send THAW within the hold limit") \
	X(LIMIT, "the request's limit passed") \
	X(LOST, "the hold was lost before THAW came") \
	X(OVERTAKEN, "a later request overtook it") \
	X(STUCK_UNDO, "an undo is not finished: something is still frozen") \
	X(QUEUE_FULL, "too many requests wait") \
	X(NEGOTIATED, "the host negotiated anew") \
	X(CHANNEL_LOST, "the channel to the host went away") \
	X(MALFORMED, "the request is malformed") \
	X(NOT_SUPPORTED, "the operation is not supported")

enum vss_engine_cause {
#define X(sym, text) VSS_ENGINE_CAUSE_##sym,
	VSS_ENGINE_CAUSES(X)
#undef X
	    VSS_ENGINE_NCAUSES
};

/* The first cause of a failure, and who it was. */
struct vss_engine_reason {
	enum vss_engine_cause er_cause;
	enum vss_engine_op er_op;  /* what the client was asked */
	enum vss_engine_kind er_kind;
	uint32_t er_client;	   /* serial number; 0: nobody in particular */
	uint64_t er_pid;
	char er_name[VSS_ENGINE_NAME_MAX];
	char er_text[VSS_ENGINE_REASON_MAX]; /* the client's own words */
};

const char *vss_engine_cause_text(enum vss_engine_cause cause);

/*
 * One reply to the host, ready to be sent; valid until vss_engine_sent().  The
 * bytes are the request's with the answer written in.
 */
struct vss_engine_reply {
	const uint8_t *ey_pkt;
	uint32_t ey_len;
	uint64_t ey_xactid;   /* of the ring packet that asked */
	uint8_t ey_op;	      /* enum vss_wire_op */
	bool ey_negotiate;    /* it answers NEGOTIATE; ey_op means nothing */
	uint32_t ey_status;
	uint64_t ey_arrived_ns;
	uint64_t ey_answered_ns;
	uint32_t ey_napps;    /* applications that took part with success */
	uint32_t ey_nstale;   /* and that were not waited for */
	struct vss_engine_reason ey_reason;
};

struct vss_engine;
struct vss_engine_client;

/* The size of a client's storage; the structure is in engine_var.h. */
extern const size_t vss_engine_client_size;

/*
 * Starts in idle.  clients is storage for ec_max_clients + 1 clients, zeroed;
 * it, *conf and *trace stay the engine's until the end.  Returns EINVAL when a
 * limit is 0, over 900 s, or longer than the one it is part of.
 */
int vss_engine_init(struct vss_engine *e, const struct vss_engine_conf *conf,
    struct vss_engine_client *clients, struct vss_trace *trace);

/*
 * Host side.  rx_buf gives VMBUS_ICMSG_PKT_MAX bytes to copy the next packet's
 * payload into, or NULL while no request can be taken (replies wait for room in
 * the channel): leave packets in the ring then.  rx hands over what was put
 * there; rx_overlong says that a packet was larger and was skipped.
 */
uint8_t *vss_engine_rx_buf(struct vss_engine *e);
void vss_engine_rx(
    struct vss_engine *e, uint32_t len, uint64_t xactid, uint64_t now_ns);
void vss_engine_rx_dropped(struct vss_engine *e, uint32_t len, uint64_t now_ns);

/* The oldest reply not yet sent; false when there is none. */
bool vss_engine_reply(struct vss_engine *e, struct vss_engine_reply *ey);
void vss_engine_sent(struct vss_engine *e);

/*
 * The channel closed (rescind, save, transport lost): requests are dropped, a
 * hold is LOST and undone.  opened says that there is one again.
 */
void vss_engine_channel_lost(struct vss_engine *e, uint64_t now_ns);
void vss_engine_channel_opened(struct vss_engine *e, uint64_t now_ns);

/* When vss_engine_timer() must be called next, or VSS_ENGINE_NEVER. */
uint64_t vss_engine_deadline(const struct vss_engine *e);
void vss_engine_timer(struct vss_engine *e, uint64_t now_ns);

/*
 * Client side: the calls of the two devices (ENGINE.md section 6).  A client is
 * named by the slot that open returned, until it is closed.
 *
 * open: EBUSY when the file-system device is open already, EMFILE when there
 * are too many clients, in all or of this uid.
 */
int vss_engine_open(struct vss_engine *e, enum vss_engine_kind kind,
    const struct vss_engine_who *who, uint64_t now_ns, uint32_t *slot);
void vss_engine_close(struct vss_engine *e, uint32_t slot, uint64_t now_ns);

struct vss_engine_msg {
	uint32_t em_op; /* enum vss_engine_op */
	uint32_t em_status;
	uint64_t em_id;
};

/* READ: *em is a notification, or operation 0, status 1, id 0. */
void vss_engine_read(struct vss_engine *e, uint32_t slot, uint64_t now_ns,
    struct vss_engine_msg *em);
/* WRITE: 0, or EINVAL for an id or operation that is not the client's. */
int vss_engine_write(struct vss_engine *e, uint32_t slot, uint64_t now_ns,
    const struct vss_engine_msg *em);
/* Whether a notification waits; the client takes part from now on. */
bool vss_engine_poll(struct vss_engine *e, uint32_t slot, uint64_t now_ns);

/*
 * HELLO: name of printable ASCII or empty (the command name stays), level at
 * most VSS_ENGINE_LEVEL_MAX, else EINVAL; from the next request on.
 */
int vss_engine_hello(struct vss_engine *e, uint32_t slot, const char *name,
    uint32_t level, bool want_prepare);
/* REASON: text need not be NUL-terminated within VSS_ENGINE_REASON_MAX. */
void vss_engine_reason(struct vss_engine *e, uint32_t slot, const char *text);
/* TIME LEFT of the limit that runs, ns, 0 when none does. */
uint64_t vss_engine_time_left(const struct vss_engine *e, uint64_t now_ns);

/* Takes one client that must be woken for poll; false when there is none. */
bool vss_engine_wake(struct vss_engine *e, uint32_t *slot);

/* What may be shown. */
struct vss_engine_status {
	const char *es_state;
	bool es_frozen; /* from the first FREEZE notification to idle */
	bool es_lost;
	bool es_channel;
	struct vmbus_icmsg_agreed es_agreed;
	uint32_t es_napps;
	uint32_t es_nstale;
	bool es_daemon;
	uint64_t es_requests, es_replies, es_dropped, es_turned_away;
	struct vss_engine_reason es_failure; /* of the last failed request */
};

void vss_engine_status(
    const struct vss_engine *e, struct vss_engine_status *es);

#include "engine_var.h"

#endif /* _ENGINE_H_ */
