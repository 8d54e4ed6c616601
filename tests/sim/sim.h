/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/*
 * A whole guest and its host in one process on virtual time: the real engine,
 * IC and VSS code behind real rings, and around them a host, applications and a
 * freeze daemon with its file systems that do what their random numbers say.
 * One seed is one run, repeated to the letter.
 *
 *	sim.c		the world: time, the driver's loop, one run, main
 *	sim_actors.c	host, applications, daemon, and their faults
 *	sim_oracle.c	what must hold after every step
 */

#ifndef _SIM_H_
#define _SIM_H_

#include <stdio.h>
#include <stdlib.h>

#include "engine.h"
#include "ring.h"

#define SIM_APPS     4
#define SIM_FS	     3
#define SIM_RING_LEN (5 * VMBUS_RING_PAGE)
#define SIM_REQUESTS 4096

#define MS	     VSS_NS_PER_MS
#define S	     VSS_NS_PER_S

/* What may go wrong; each run has some of them. */
#define SIM_FAULTS(X)                                                     \
	X(DROP)		 /* the host forgets to send THAW */              \
	X(DUP)		 /* answers and requests come twice */            \
	X(DELAY)	 /* answers come past their limit */              \
	X(REORDER)	 /* requests come in any order, overlapping */    \
	X(TRUNCATE)	 /* packets end early */                          \
	X(CORRUPT)	 /* bytes of packets, ids of answers are wrong */ \
	X(CLIENT_DIES)	 /* an application closes at any time */          \
	X(CLIENT_HANGS)	 /* or is silent for long */                      \
	X(CLIENT_BREAKS) /* or cannot stay quiesced */                    \
	X(CLIENT_REFUSES)                                                 \
	X(DAEMON_DIES) /* its guard thaws */                              \
	X(DAEMON_HANGS)                                                   \
	X(FS_REFUSES) /* a freeze fails half way */                       \
	X(FS_STICKS)  /* a thaw takes long */                             \
	X(HOST_GONE)  /* the host reads no replies for a while */         \
	X(RENEGOTIATE)                                                    \
	X(CANCEL)  /* what is under way is called off */                  \
	X(RESCIND) /* the channel goes away and comes back */

enum sim_fault {
#define X(name) SIM_##name,
	SIM_FAULTS(X)
#undef X
	    SIM_NFAULTS
};

/* States as ENGINE.md section 2 groups them. */
enum sim_class {
	SIM_IDLE,
	SIM_CHECKING,
	SIM_FREEZING,
	SIM_HOLDING,
	SIM_THAWING,
	SIM_UNDO
};

/* What a request does there. */
enum sim_expect {
	SIM_RUNS,
	SIM_FAILS,     /* at once, and disturbs nothing */
	SIM_IS_OK,     /* likewise */
	SIM_UNKNOWN,   /* likewise, not supported */
	SIM_BY_LOST,   /* likewise, FAIL if LOST */
	SIM_OVERTAKES, /* what is under way fails at once */
	SIM_JOINS,     /* the THAW under way */
	SIM_WAITS,     /* for the undo */
	SIM_ENDS_ALL   /* what is open fails, and this is OK, at once */
};

struct sim_request {
	uint8_t sr_op;
	bool sr_negotiate;
	bool sr_answerable; /* false: to be dropped */
	bool sr_read;	    /* the driver took it out of the ring */
	bool sr_replied;
	bool sr_forgotten; /* a lost channel took it */
	bool sr_wrong;	   /* malformed: its answer is a failure */
	bool sr_answered;  /* an answer is there, sent or not */
	bool sr_lost;	   /* it came while LOST */
	enum sim_expect sr_expect;
	enum vss_engine_state sr_state; /* in which it came */
	uint32_t sr_len;
	uint64_t sr_read_ns;
	uint32_t sr_status;
};

struct sim_app {
	bool sa_open;
	uint32_t sa_slot;
	uint32_t sa_level;
	uint64_t sa_next_ns;	       /* when it acts */
	struct vss_engine_msg sa_todo; /* READ, to be answered; em_op 0: none */
	uint64_t sa_last_freeze;       /* id of the FREEZE it acknowledged */
	/* What the oracle needs. */
	bool sa_active; /* polled or READ once */
	bool sa_part;	/* takes part in the freeze under way */
	bool sa_told;	/* READ FREEZE, no THAW READ since */
	bool sa_spared; /* it was stale or let go then: not waited for */
	bool sa_acked;	/* acknowledged it in time, no THAW READ since */
};

struct sim {
	uint64_t s_rng;
	uint64_t s_seed;
	bool s_verbose;
	bool s_faults[SIM_NFAULTS];
	bool s_healed; /* no more faults */
	uint64_t s_now;
	uint64_t s_steps;

	struct vss_engine s_engine;
	struct vss_engine_conf s_conf;
	struct vss_engine_client s_clients[SIM_APPS + 3];
	struct vss_trace s_trace;
	struct vss_trace_event s_events[256];

	_Alignas(8) uint8_t s_to_guest[SIM_RING_LEN];
	_Alignas(8) uint8_t s_to_host[SIM_RING_LEN];
	struct vmbus_ring s_host_tx, s_host_rx, s_guest_tx, s_guest_rx;
	bool s_channel;

	uint64_t s_host_next_ns;
	uint64_t s_host_reads_ns; /* it reads no replies before */
	uint32_t s_host_step;	  /* of its checkpoint */
	uint64_t s_host_awaits;	  /* xid, 0: nothing */
	uint64_t s_nrequests;
	struct sim_request s_requests[SIM_REQUESTS]; /* index: xid - 1 */

	struct sim_app s_apps[SIM_APPS];

	bool s_daemon_open;
	uint64_t s_daemon_next_ns;
	struct vss_engine_msg s_daemon_todo;
	bool s_frozen[SIM_FS];
	uint64_t s_lease_ns;	      /* the guard thaws then */
	bool s_daemon_faulty;	      /* hung, stuck or dead in this freeze */
	uint64_t s_daemon_checked_ns; /* it last answered CHECK with success */

	/* Oracle. */
	bool s_lost;
	enum vss_engine_state s_before; /* the step */
	uint64_t s_checkpoints, s_ok_freezes, s_ok_thaws, s_losses;
};

/* sim.c */
uint64_t sim_random(struct sim *s, uint64_t n); /* 0 to n - 1 */
bool sim_chance(struct sim *s, enum sim_fault f, uint32_t percent);
void sim_say(struct sim *s, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
void sim_fail(struct sim *s, const char *what) __attribute__((noreturn));
void sim_pump(struct sim *s);
enum vss_engine_state sim_state(const struct sim *s);

/* sim_actors.c */
void sim_actors_start(struct sim *s);
uint64_t sim_actors_next(const struct sim *s);
void sim_actors_act(struct sim *s);
void sim_host_negotiate(struct sim *s);
uint32_t sim_nfrozen(const struct sim *s);

/* sim_oracle.c: called before what they name happens, or after a step. */
void sim_oracle_read(struct sim *s, uint64_t xid);
void sim_oracle_taken(struct sim *s, uint64_t xid);
void sim_oracle_reply(struct sim *s, const struct vss_engine_reply *ey);
void sim_oracle_close_app(struct sim *s, const struct sim_app *sa);
void sim_oracle_close_daemon(struct sim *s);
void sim_oracle_write_app(
    struct sim *s, struct sim_app *sa, const struct vss_engine_msg *em);
void sim_oracle_write_daemon(struct sim *s, const struct vss_engine_msg *em);
void sim_oracle_read_app(
    struct sim *s, struct sim_app *sa, const struct vss_engine_msg *em);
void sim_oracle_read_daemon(struct sim *s, const struct vss_engine_msg *em);
void sim_oracle_channel_lost(struct sim *s);
void sim_oracle_timer(struct sim *s);
void sim_oracle_step(struct sim *s);
void sim_oracle_end(struct sim *s);

#endif /* _SIM_H_ */
