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

#include "request.h"

#define VSS_ENGINE_MAX_CLIENTS 1024

/* No deadline runs. */
#define VSS_ENGINE_NEVER UINT64_MAX

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
/*
 * What PREPARE may have of a FREEZE of that length where nothing else is said:
 * all but 20 s, or half of one under 21 s.
 */
static inline uint64_t
vss_engine_prepare_ns(uint64_t freeze_ns)
{
	const uint64_t rest_ns = 20 * VSS_NS_PER_S;

	if (freeze_ns >= rest_ns + VSS_NS_PER_S)
		return (freeze_ns - rest_ns);
	return (freeze_ns / 2);
}
/* Whether no limit is 0, over 900 s, or longer than the one it is part of. */
bool vss_engine_conf_sane(const struct vss_engine_conf *ec);

struct vss_engine;

/*
 * Starts in idle.  clients is storage for ec_max_clients + 1 clients, zeroed;
 * it, *conf and *trace stay the engine's until the end; *conf may change while
 * no deadline runs.  Returns EINVAL when *conf is not sane.
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

/*
 * Requests may also be this machine's own (a test), as long as there is none of
 * the host's.  quiet: there is no request, and nothing is under way.  cancel:
 * the local ones are dropped and what they set off is undone, as when the
 * channel goes away; the channel stays.  A packet that was copied to rx_buf is
 * still there, but rx_buf must be asked again.
 */
bool vss_engine_quiet(const struct vss_engine *e);
void vss_engine_cancel(
    struct vss_engine *e, enum vss_engine_cause cause, uint64_t now_ns);

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

/*
 * The FREEZE that is being answered, false if none is: its message, and the
 * wr_nluns entries of its list as they are on the wire, which stay until the
 * next call that takes the time.
 */
bool vss_engine_luns(const struct vss_engine *e, struct vss_wire_request *wr,
    const uint8_t **luns);

/* Takes one client that must be woken for poll; false when there is none. */
bool vss_engine_wake(struct vss_engine *e, uint32_t *slot);

/* What may be shown. */
struct vss_engine_status {
	const char *es_state;
	bool es_frozen; /* from the first FREEZE that was asked to idle */
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

enum vss_engine_state {
#define STATE(name, awaits, text) VSS_ENGINE_##name,
#include "engine.def"
	VSS_ENGINE_NSTATES
};

enum vss_engine_event {
#define EVENT(name, text) VSS_ENGINE_EV_##name,
#include "engine.def"
	VSS_ENGINE_NEVENTS
};

const char *vss_engine_state_name(uint32_t state);
const char *vss_engine_event_name(uint32_t event);

/* The fields are the engine's own; VSS_ENGINE_NEVER is no deadline. */
struct vss_engine {
	const struct vss_engine_conf *e_conf;
	struct vss_engine_client *e_clients; /* [0]: file-system device */
	struct vss_trace *e_trace;
	enum vss_engine_state e_state; /* written by stage.c alone */
	uint64_t e_now_ns;

	struct vss_request_table e_requests;
	struct vss_request *e_rx;	/* slot that rx_buf gave out */
	struct vss_request *e_req;	/* whose event is dispatched */
	struct vss_request *e_cur;	/* CHECK, FREEZE or THAW under way */
	struct vss_engine_reason e_why; /* cause of the event dispatched */

	bool e_lost;
	struct vss_engine_reason e_lost_why;
	struct vss_engine_reason e_failure; /* of the last failed request */

	uint64_t e_limit_ns;   /* of the request, the hold or the undo */
	uint64_t e_stage_ns;   /* of the stage */
	uint64_t e_quiesce_ns; /* of all levels together */
	uint64_t e_level_ns;   /* of a level on the way up */
	uint64_t e_undo_ns;    /* when the undo began */
	int32_t e_level;       /* being asked; -1 before the first */

	uint64_t e_last_id;
	uint32_t e_last_serial;
	bool e_channel;
	struct vmbus_icmsg_agreed e_agreed;
	uint64_t e_nrequests, e_nreplies, e_ndropped, e_nturned_away;
};

#endif /* _ENGINE_H_ */
