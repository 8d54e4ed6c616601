/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/*
 * hv_vss_host inside: the script of actions, the requests that come of it, and
 * the two front ends that carry them to a guest.
 *
 *	hv_vss_host.c	options, and the exit code
 *	host_script.c	actions from the command line
 *	host_run.c	does them: requests, time, signals
 *	host_child.c	the snapshot command
 *	host_reply.c	matches replies, judges and prints them
 *	host_ring.c	front end: the ring link
 *	host_hvutils.c	front end: stand-in for Linux's /dev/vmbus/hv_vss
 *	host_loop.c	front end: the loop device of FreeBSD's kernel module
 *
 * Single-threaded: run_pump() waits for whatever can happen next.
 */

#ifndef _HOST_H_
#define _HOST_H_

#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "icmsg.h"
#include "vss_wire.h"

enum host_op {
	/* Requests to the guest. */
	HOST_NEGOTIATE,
	HOST_CHECK,
	HOST_FREEZE,
	HOST_THAW,
	HOST_DM_INFO,
	HOST_COMPLETE,
	HOST_RAW,
	/* What the host does by itself. */
	HOST_RESCIND,
	HOST_HOLD,
	HOST_SNAPSHOT,
	HOST_CHECKPOINT,
	HOST_WAIT
};

/* Exit codes; the largest that applies counts, HOST_EXIT_USAGE over all. */
enum host_exit {
	HOST_EXIT_OK = 0,
	HOST_EXIT_USAGE = 1, /* and link */
	HOST_EXIT_FAIL = 3,
	HOST_EXIT_NONE = 4,
	HOST_EXIT_CMD = 5
};

struct host_action {
	enum host_op ha_op;
	bool ha_async;
	uint64_t ha_ns;	    /* hold */
	const char *ha_cmd; /* snapshot, checkpoint */
	uint8_t *ha_raw;
	uint32_t ha_raw_len;
};

enum host_req_state {
	HOST_REQ_WAITS,	   /* for room in the channel */
	HOST_REQ_SENT,	   /* a reply is awaited */
	HOST_REQ_DONE,	   /* its one reply came */
	HOST_REQ_UNSENT,   /* it could not be sent in time */
	HOST_REQ_GIVEN_UP, /* no reply in time */
	HOST_REQ_LATE	   /* its reply came after that */
};

struct host_req {
	uint64_t hr_xactid;
	uint32_t hr_n; /* the action's number, 0: NEGOTIATE by itself */
	enum host_op hr_op;
	enum host_req_state hr_state;
	uint64_t hr_sent_ns;
	uint64_t hr_deadline_ns;
	uint64_t hr_limit_ns;
	const uint8_t *hr_pkt; /* payload as sent */
	uint32_t hr_len;
	uint32_t hr_link; /* which connection it was for */
	bool hr_ok;
};

struct host;

/* A front end.  Functions that return int: 0 or an errno. */
struct host_front {
	/* Room for descriptors to poll; returns how many. */
	nfds_t (*hf_pollfds)(void *front, struct pollfd *pfd);
	/* After poll, also when nothing was ready. */
	void (*hf_service)(void *front, const struct pollfd *pfd, nfds_t n);
	/* Whether a guest is there to be asked. */
	bool (*hf_ready)(void *front);
	/*
	 * 0; EAGAIN: no room now; EBUSY: an earlier one must be over first;
	 * EMSGSIZE: it never fits; EIO: link broken.
	 */
	int (*hf_send)(void *front, const struct host_req *hr);
	/* The request is given up; may be NULL. */
	void (*hf_cancel)(void *front, const struct host_req *hr);
	/* Takes the channel away; may be NULL. */
	void (*hf_rescind)(void *front);
	/* Why no guest came in time, in words. */
	const char *(*hf_absent)(void *front);
	void (*hf_fini)(void *front);
};

#define HOST_MAX_FDS 4

struct host {
	const char *ho_path;
	bool ho_json;
	bool ho_own;	 /* which front end: the system's own */
	bool ho_hvutils; /* and that is the stand-in */
	uint64_t ho_wait_ns;
	uint64_t ho_timeout_ns; /* 0: each operation's own */
	struct host_action *ho_actions;
	uint32_t ho_nactions;
	struct vss_wire_lun ho_luns[VSS_WIRE_LUN_MAX]; /* that FREEZE names */
	uint32_t ho_nluns;

	const struct host_front *ho_front;
	void *ho_front_arg;

	struct host_req **ho_reqs; /* transaction id - 1 is the index */
	uint64_t ho_nreqs;
	uint64_t ho_first;	/* no earlier one awaits anything */
	uint32_t ho_link;	/* counts connections */
	uint32_t ho_negotiated; /* the connection that agreed, 0: none */
	struct vmbus_icmsg_agreed ho_agreed;
	uint64_t ho_rescinded; /* so many requests were before a rescind */
	bool ho_lost;	       /* the link broke: nothing more can be done */
	uint32_t ho_n;	       /* number of the action being done */
	pid_t ho_child;	       /* snapshot command, 0: none */
	int ho_child_status;
	int ho_signal;	    /* that ended the run, or 0 */
	int ho_nsignals;    /* how many such came */
	uint64_t ho_end_ns; /* an interrupted run is over then; 0: it is none */
	int ho_wakefd; /* read end of the pipe that signal handlers write */
	enum host_exit ho_exit;
};

/* host_script.c: 0, or -1 after saying on stderr what is wrong. */
int host_script(struct host *ho, char *const *argv, int argc);
int host_script_lun(struct host *ho, const char *text);
void host_script_free(struct host *ho);
const char *host_op_name(enum host_op op);

/* host_child.c: the snapshot command, in a process group of its own. */
int host_child_start(struct host *ho, const char *cmd);
void host_child_reap(struct host *ho);
void host_child_kill(const struct host *ho, int sig);

/* hv_vss_host.c */
void host_warn(const struct host *ho, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
uint64_t host_now(void);
/* Adds a result to the exit code. */
void host_result(struct host *ho, enum host_exit code);

/* host_run.c */
void host_run(struct host *ho);
void host_reqs_free(struct host *ho);

/* host_reply.c: called by the front ends. */
/* A packet of the guest; also says whether it breaks the link. */
void host_packet(
    struct host *ho, uint64_t xactid, const uint8_t *pkt, uint32_t len);
/* A request's result where there are no packets. */
void host_done(struct host *ho, struct host_req *hr, uint32_t status);
/* A new connection is open: what was agreed on the last one is void. */
void host_link_opened(struct host *ho);
/* The link is broken for good; reported at once. */
void host_link_lost(struct host *ho, const char *why);
/* No reply came. */
void host_give_up(struct host *ho, struct host_req *hr);
extern const struct vmbus_icmsg_versions host_versions;

/* host_ring.c */
int host_ring_init(struct host *ho);

/*
 * The front end that this system has of its own beside the ring: host_hvutils.c
 * on Linux, host_loop.c on FreeBSD.
 */
struct host_own {
	const char *hw_option; /* --OPTION PATH */
	const char *hw_usage;  /* what --help says of it */
	bool hw_hvutils;
	int (*hw_init)(struct host *ho);
};
extern const struct host_own host_own;

#endif /* _HOST_H_ */
