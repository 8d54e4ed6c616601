/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/*
 * The ring link: how the emulator (host) hands a channel to the driver (guest)
 * in place of a hypervisor.  Both ends are here; neither trusts the other.
 * What goes through the rings is core/ring.h's.
 *
 * The link's bytes, for who would write a peer.  The host listens on an AF_UNIX
 * SOCK_SEQPACKET socket, the guest connects.  Two messages are exchanged, all
 * integers little-endian:
 *
 *	hello, host to guest, 32 bytes, at once after accept
 *	off 0	u32 magic 0x4b4c5648 ("HVLK")
 *	    4	u32 version 1
 *	    8	u32 type 1
 *	    12	u32 0
 *	    16	u32 bytes of the guest-to-host ring
 *	    20	u32 bytes of the host-to-guest ring
 *	    24	u64 0
 *	with three descriptors (SCM_RIGHTS), in this order: the memory, a memfd
 *	sealed with F_SEAL_SHRINK, F_SEAL_GROW and F_SEAL_SEAL, of exactly the
 *	two rings' size, guest-to-host ring first; an eventfd that the host
 *	writes and the guest reads; an eventfd that the guest writes and the
 *host reads.  Both eventfds are O_NONBLOCK.  A ring's size is a whole number of
 *4,096-byte pages, 2 to 1,024 of them, its control page included.
 *
 *	opened, guest to host, 16 bytes, when the guest has mapped the memory
 *	off 0	u32 magic, as above
 *	    4	u32 version 1
 *	    8	u32 type 2
 *	    12	u32 0
 *
 * Nothing else is ever sent on the socket.  Before `opened' the host puts
 * nothing into the ring.  An end that sees a breach closes the connection.  A
 * connection closed by the host is a rescind of the channel, one closed by the
 * guest the end of the guest; what the rings still held is void.  The host may
 * accept again, with new memory: a re-offer.  To signal is to write 1 to one's
 * eventfd.
 */

#ifndef _EMULINK_H_
#define _EMULINK_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ring.h"

#define EMULINK_MAGIC	   0x4b4c5648U
#define EMULINK_VERSION	   1
#define EMULINK_HELLO	   1
#define EMULINK_OPENED	   2
#define EMULINK_HELLO_LEN  32
#define EMULINK_OPENED_LEN 16
#define EMULINK_NFDS	   3
#define EMULINK_PAGES	   5	/* of a ring, by default */
#define EMULINK_PAGES_MAX  1024 /* of a ring */

enum emulink_state {
	EMULINK_CLOSED,	 /* no connection */
	EMULINK_WAITING, /* connected, the other end's message has not come */
	EMULINK_OPEN	 /* the rings may be used */
};

/* One connection, as either end has it. */
struct emulink {
	enum emulink_state el_state;
	/*
	 * To be polled for POLLIN: the socket in WAITING and OPEN, then call
	 * emulink_input(); the event in OPEN, then call emulink_clear() and
	 * read the ring until it is empty.
	 */
	int el_sock;
	int el_event;
	int el_signal; /* the other end's event */
	void *el_mem;
	size_t el_len;
	struct vmbus_ring el_tx; /* valid in OPEN */
	struct vmbus_ring el_rx;
	bool el_host;	  /* which end this is */
	char el_why[128]; /* after a failure: what was wrong, in words */
};

/* A link with nothing open; every other call may follow. */
void emulink_init(struct emulink *el);

/*
 * Guest: connects to the host at path.  Never blocks.  Returns 0 (state
 * WAITING) or an errno; ENOENT, ECONNREFUSED and EAGAIN say that no host is
 * there yet: try again later.  ENAMETOOLONG: path does not fit an address.
 */
int emulink_connect(struct emulink *el, const char *path);

/*
 * Host: listens at path, mode 0600, and returns the descriptor in *fd.  A
 * socket that nobody listens on any more is replaced.  EADDRINUSE: somebody
 * listens there; EEXIST: path is something else than a socket.
 */
int emulink_listen(const char *path, int *fd);

/*
 * Host: takes a connection from the listening descriptor, makes rings of pages
 * pages each and sends hello.  Never blocks.  Returns 0 (state WAITING), EAGAIN
 * when nobody waits, or another errno, el_why saying what failed.
 */
int emulink_accept(struct emulink *el, int listen_fd, uint32_t pages);

/*
 * Either end, when el_sock is readable.  Guest: takes hello, checks all of it,
 * maps the memory, answers `opened'.  Host: takes `opened'.  Returns 0 (look at
 * el_state), or an errno after which the link is closed: ECONNRESET when the
 * other end closed it, EPROTO when it broke the rules (el_why says how).
 */
int emulink_input(struct emulink *el);

/*
 * Signals the other end; takes the signals that came.  Returns 0, or EPROTO:
 * the other end tampered with the event (el_why); the caller closes.  Neither
 * blocks, with one exception: O_NONBLOCK is both ends' own, and an end that
 * clears it after it was looked at, in the instant before the call, can make
 * the other wait for it.
 */
int emulink_signal(struct emulink *el);
int emulink_clear(struct emulink *el);

/* Closes whatever is open, unmaps the rings; the state is CLOSED. */
void emulink_close(struct emulink *el);

#endif /* _EMULINK_H_ */
