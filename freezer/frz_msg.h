/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/*
 * Sending and receiving struct frz_msg, and the memory that daemon, worker and
 * guard share.  What a peer sent is checked here for its form: size, operation,
 * number of descriptors, end of the path, seals and size of the memory. Nothing
 * here blocks or allocates.  Functions return 0 or an errno.
 */

#ifndef _FRZ_MSG_H_
#define _FRZ_MSG_H_

#include <stdbool.h>

#include "frz_proto.h"

/* Descriptors that came with a message; the receiver owns them. */
struct frz_fds {
	int ff_fd[FRZ_FDS_MAX];
	uint32_t ff_count;
};

/* CLOCK_BOOTTIME of os.h: it goes on while the machine sleeps, as the host's
 * does. */
uint64_t frz_now_ns(void);

/* For poll(2): how long until then, -1 for UINT64_MAX. */
int frz_wait_ms(uint64_t at_ns);

/* EAGAIN: the peer does not read.  EPIPE, ECONNRESET: it is gone. */
int frz_send(int sock, const struct frz_msg *fm, const struct frz_fds *ff);

/* What is told to the daemon; one that does not read is found out by others. */
struct frz_saying {
	enum frz_op fa_op;
	uint32_t fa_of;
	uint64_t fa_gen;
	int fa_errno;
	uint32_t fa_index;
};
void frz_say(int sock, struct frz_saying fa);

/* EAGAIN: nothing waits.  EPIPE: the peer is gone.  EBADMSG: not for us. */
int frz_recv(int sock, struct frz_msg *fm, struct frz_fds *ff);

/* Gives each message that waits to take; false when the peer is gone. */
typedef void frz_take_fn(void *ctx, struct frz_msg *fm, struct frz_fds *ff);
bool frz_take_all(int sock, frz_take_fn *take, void *ctx);

void frz_fds_close(struct frz_fds *ff);

int frz_page_create(int *fd, struct frz_page **pg);
int frz_page_map(int fd, struct frz_page **pg);
void frz_page_unmap(struct frz_page *pg);

/* Empties the slots for a new transaction of count file systems. */
void frz_page_begin(struct frz_page *pg, uint64_t gen, uint32_t count);

/*
 * The highest level below *level that a slot has, in *level; false if there is
 * none.  From FRZ_FS_MAX on down it leads through all that there are.
 */
bool frz_page_level_below(const struct frz_page *pg, uint32_t *level);

/* True if what the slot describes may be frozen by us. */
bool frz_slot_armed(struct frz_slot *fs);

/* Changes the state if it is still `from'. */
bool frz_slot_move(struct frz_slot *fs, enum frz_state from, enum frz_state to);

/* Notes when a step begins, and that its call is back. */
void frz_slot_begin(struct frz_slot *fs, enum frz_step step);
void frz_slot_end(struct frz_slot *fs, enum frz_step step);

/* Notes that a step failed. */
void frz_slot_failed(struct frz_slot *fs, enum frz_step step, int error);

#endif /* _FRZ_MSG_H_ */
