/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/*
 * A link: the driver's way to the host, whichever transport it is.  Packets are
 * payloads from the pipe header on, as the engine takes and gives them.
 *
 * A link is down or up.  It comes up by itself: link_poll() says what to wait
 * for, link_event() carries on, and both may be called at any time.  None of
 * the calls waits.  When link_recv() or link_send() finds the channel gone, the
 * link is down and will be tried again at ln_retry_ns.
 */

#ifndef _DRV_LINK_H_
#define _DRV_LINK_H_

#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "conf.h"
#include "drv_bus.h"
#include "emulink.h"
#include "engine.h"

#define LINK_NFDS    2
#define LINK_ERR_MAX 512

struct link;

struct link_ops {
	const char *lo_name; /* as in --transport */
	/*
	 * First try.  Fails, with a line in err, only when trying again cannot
	 * help without the administrator.
	 */
	int (*lo_start)(struct link *ln, uint64_t now_ns, char *err);
	/* Limits longer than the transport's own are refused at start. */
	int (*lo_caps)(const struct conf *cf, char *err);
	/* Fills at most LINK_NFDS entries, returns how many. */
	unsigned (*lo_poll)(const struct link *ln, struct pollfd *fds);
	/* What poll found, or that ln_retry_ns passed. */
	void (*lo_event)(struct link *ln, const struct pollfd *fds,
	    unsigned nfds, uint64_t now_ns);
	/*
	 * The next packet, into buf of VMBUS_ICMSG_PKT_MAX bytes.  0; EAGAIN:
	 * none; ENOBUFS: one was too large, or none of IC, and is skipped,
	 * *len its length: one a call, so that a host that never stops does not
	 * keep the driver;
	 * ENOTCONN: the link is down.
	 */
	int (*lo_recv)(struct link *ln, uint8_t *buf, uint32_t *len,
	    uint64_t *xactid, uint64_t now_ns);
	/* 0; EAGAIN: no room, try after the next event; ENOTCONN. */
	int (*lo_send)(struct link *ln, const struct vss_engine_reply *ey,
	    uint64_t now_ns);
	void (*lo_close)(struct link *ln);
	/* The driver ends, or NULL: nothing is left behind. */
	void (*lo_stop)(struct link *ln);
};

/* What the kernel's hv_utils device has been told. */
enum link_utils_state { UTILS_CLOSED, UTILS_REGISTERING, UTILS_READY };

/* The raw channel. */
struct link_uio {
	const char *lu_wanted; /* GUID of the device, or "" */
	bool lu_bind;	       /* --bind */
	bool lu_bound;	       /* to be given back */
	char lu_driver[64];    /* that had it, "" unknown */
	struct bus_dev lu_dev;
	int lu_fd;
	void *lu_mem; /* both rings */
	size_t lu_len;
	struct vmbus_ring lu_tx;
	struct vmbus_ring lu_rx;
};

struct link {
	const struct link_ops *ln_ops;
	const char *ln_path;
	bool ln_up;
	uint64_t ln_retry_ns; /* when to try again; VSS_ENGINE_NEVER */
	uint64_t ln_pause_ns; /* before the next try */
	bool ln_told;	      /* the administrator knows that it is down */
	struct emulink ln_emu;
	enum link_utils_state ln_utils_state;
	int ln_utils_fd;
	uint64_t ln_utils_xactid;
	struct link_uio ln_uio;
};

extern const struct link_ops link_emu_ops;
extern const struct link_ops link_utils_ops;
extern const struct link_ops link_uio_ops;

/*
 * Reads --transport, and --bind if that was given.  Returns 0, or EINVAL with a
 * line in err.  text must stay.
 */
int link_init(struct link *ln, const char *text, bool bind, char *err);

/* The link goes down; it is tried again a little later each time. */
void link_down(struct link *ln, uint64_t now_ns);
/* The same, and why is said once; further tries are made in silence. */
void link_lost(struct link *ln, const char *why, uint64_t now_ns);
/* It is up. */
void link_up(struct link *ln);

#endif /* _DRV_LINK_H_ */
