/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/*
 * The kernel module inside: what its files share.
 *
 *	vssg_main.c	life of the service, the pump between host and clients
 *	vssg_dev.c	the two character devices
 *	vssg_vmbus.c	transport: the vmbus(4) channel
 *	vssg_loop.c	transport of test builds: a device (hv_vss_loop.h)
 *	vssg_sysctl.c	dev.hvvssg.N
 *	vssg_log.c	messages
 *
 * There is one service.  It starts when a device first attaches, and its
 * character devices with it.  They outlive the revocation of a channel: clients
 * keep their descriptors, are sent THAW if anything was at rest, and are there
 * when the host offers a channel again.  It ends, and the devices go, when an
 * administrator detaches the device or unloads the module.
 *
 * Lock order.  vs_mtx serialises everything here, the engine above all.  Under
 * it are taken: the mutex of a selinfo (selrecord, selwakeup), a kqueue's
 * (KNOTE_LOCKED; vs_mtx is the lock of every knlist here, so it is held when a
 * filter's f_event is called), the callout's, a taskqueue's, and those of the
 * channel's rings.  None of ours is taken before it but the loop's rings, which
 * it covers itself.  It is not held over anything that sleeps: destroy_dev,
 * seldrain, knlist_delete, callout_drain, taskqueue_drain, opening and closing
 * the channel.  These happen when a device attaches, detaches or is closed, in
 * threads that nobody waits for who must answer the host or thaw.
 *
 * Memory.  Nothing here allocates: clients, requests and messages lie in this
 * structure.  What the kernel allocates by itself for an open or a large ioctl,
 * it does in the caller's name and before we are called.
 */

#ifndef _VSSG_VAR_H_
#define _VSSG_VAR_H_

#include <sys/param.h>

#include <sys/bus.h>
#include <sys/callout.h>
#include <sys/conf.h>
#include <sys/event.h>
#include <sys/kernel.h>
#include <sys/lock.h>
#include <sys/malloc.h>
#include <sys/module.h>
#include <sys/mutex.h>
#include <sys/selinfo.h>
#include <sys/systm.h>
#include <sys/taskqueue.h>

#include <machine/setjmp.h>

#include "engine.h"

#define VSSG_NAME     "hvvssg"	     /* driver and device */
#define VSSG_MODULE   "hv_vss_guest" /* module and file */
#define VSSG_BASE     "hvvss"	     /* the base system's driver */

#define VSSG_NCLIENTS 64
#define VSSG_NOPENS   (VSSG_NCLIENTS + 1)
#define VSSG_NCDEVS   2
#define VSSG_NEVENTS  512
#define VSSG_NLINES   32

/*
 * A transport.  Called with vs_mtx held; none of its calls sleeps.
 */
struct vssg_transport {
	/*
	 * The next packet's payload into buf of VMBUS_ICMSG_PKT_MAX bytes.  0;
	 * EAGAIN: none; ENOBUFS: one was too large, or none of IC, and is
	 * skipped, *len its length: one a call, so that a host that never stops
	 * does not keep vs_mtx; anything else: the channel is unusable.
	 */
	int (*vt_recv)(
	    void *arg, uint8_t *buf, uint32_t *len, uint64_t *xactid);
	/* 0; EAGAIN: no room now; anything else: it can never be sent. */
	int (*vt_send)(
	    void *arg, const uint8_t *pkt, uint32_t len, uint64_t xactid);
};

/* One open file, by the engine's slot. */
struct vssg_open {
	bool vo_used;
	bool vo_closing; /* not to be woken any more */
	uint32_t vo_slot;
	uint32_t vo_nknotes;
	struct file *vo_file; /* while it has any, they hold it */
	struct selinfo vo_sel;
};

/* What a message tells; filled under the lock, printed by the task. */
enum vssg_line_kind {
	VSSG_LINE_REPLY,
	VSSG_LINE_LOST,
	VSSG_LINE_TURNED_AWAY,
	VSSG_LINE_CHANNEL,
	VSSG_LINE_BROKEN
};

struct vssg_line {
	enum vssg_line_kind ln_kind;
	struct vss_engine_reply ln_reply; /* ey_pkt is not valid */
	uint64_t ln_value;
	const char *ln_text;
};

enum vssg_state {
	VSSG_STOPPED,
	VSSG_RUNNING,
	VSSG_STOPPING /* every call fails, who sleeps is woken */
};

struct vssg {
	struct mtx vs_mtx;
	enum vssg_state vs_state;
	device_t vs_dev; /* who is attached; NULL: nobody */
	const struct vssg_transport *vs_transport;
	void *vs_arg;
	bool vs_up;   /* the transport may be used */
	bool vs_more; /* a turn left packets in the ring */

	struct vss_engine vs_engine;
	struct vss_engine_conf vs_conf;
	struct vss_engine_client vs_clients[VSSG_NOPENS];
	struct vss_trace vs_trace;
	struct vss_trace_event vs_events[VSSG_NEVENTS];
	struct vssg_open vs_opens[VSSG_NOPENS];
	struct cdev *vs_cdevs[VSSG_NCDEVS];

	struct callout vs_callout;
	uint64_t vs_armed_ns;
	uint64_t vs_suspended_ns; /* added to the clock */

	struct taskqueue *vs_tq;
	struct task vs_log_task;
	struct vssg_line vs_lines[VSSG_NLINES]; /* a ring; */
	uint32_t vs_line;			/* the oldest, */
	uint32_t vs_nlines;			/* and how many */
	uint64_t vs_nlines_lost;
	bool vs_lost;		 /* the hold was lost; said so */
	uint64_t vs_turned_away; /* to be told at this number */

	/* An assertion of core failed: see vssg_broke(). */
	jmp_buf vs_jmp;
	bool vs_broken;
	const char *vs_broken_expr;
	const char *vs_broken_file;
	int vs_broken_line;
	uint64_t vs_nbroken;
	uint32_t vs_scrap_len; /* a request to be failed; 0: none */
	uint64_t vs_scrap_xactid;
	uint8_t vs_scrap[VMBUS_ICMSG_PKT_MAX];
};

extern struct vssg vssg;

/* vssg_main.c */
uint64_t vssg_now(const struct vssg *vs);
/*
 * Calls fn, which enters the engine, with vs_mtx held.  If an assertion of core
 * fails inside, the engine is given up and the result is broke.
 */
typedef int vssg_fn(struct vssg *vs, void *arg);
int vssg_engine(struct vssg *vs, vssg_fn *fn, void *arg, int broke);
/*
 * Binds a device and starts the service if there is none.  Sleeps.  EBUSY:
 * another device has it; EEXIST: somebody else has the character devices.
 */
int vssg_attach(struct vssg *vs, device_t dev,
    const struct vssg_transport *transport, void *arg);
/* Unbinds it; the service goes on if keep.  Sleeps. */
void vssg_detach(struct vssg *vs, device_t dev, bool keep);
/* The channel can be used, or cannot any more. */
void vssg_channel_up(struct vssg *vs);
void vssg_channel_down(struct vssg *vs);
/* Serves the host: its packets, the timers, its replies. */
void vssg_service(struct vssg *vs);
/* After each call of the engine: replies, wake-ups, the timer. */
void vssg_pump(struct vssg *vs);
/* EBUSY while a client has a device open; says who. */
int vssg_quiesce(struct vssg *vs);
/* The machine was suspended. */
void vssg_resumed(struct vssg *vs);
int vssg_modevent(module_t mod, int what, void *arg);

/* vssg_dev.c */
int vssg_dev_start(struct vssg *vs);
void vssg_dev_stop(struct vssg *vs);
void vssg_dev_wake(struct vssg *vs, uint32_t slot);
void vssg_dev_wake_all(struct vssg *vs);

/* vssg_sysctl.c */
void vssg_sysctl_attach(struct vssg *vs, device_t dev);
/* The defaults, and what loader.conf has instead if it makes sense. */
void vssg_sysctl_tunables(struct vss_engine_conf *ec, device_t dev);

/* vssg_log.c */
void vssg_log_task(void *arg, int pending);
void vssg_log_reply(struct vssg *vs, const struct vss_engine_reply *ey);
void vssg_log(struct vssg *vs, enum vssg_line_kind kind, uint64_t value,
    const char *text);
/* After each turn: what has become worth telling. */
void vssg_log_turn(struct vssg *vs);
/* A reason in words. */
void vssg_log_reason(
    const struct vss_engine_reason *er, char *text, size_t cap);

#endif /* _VSSG_VAR_H_ */
