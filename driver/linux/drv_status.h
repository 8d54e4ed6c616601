/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/*
 * The status socket (hv_vss_status(5)): who may open it asks with a line of
 * text and is answered with JSON, a document a line.
 *
 * Nobody can make the driver wait or grow: there are STATUS_CONNS connections,
 * some of them root's alone, each with a buffer of its own and a time limit;
 * answers are made piece by piece as the peer takes them.  Nothing is
 * allocated, opened or written but the socket, also while anything is frozen.
 */

#ifndef _DRV_STATUS_H_
#define _DRV_STATUS_H_

#include <poll.h>

#include "conf.h"
#include "drv_link.h"
#include "drv_log.h"
#include "drv_test.h"

#define STATUS_CONNS 8 /* at once; of them, root's alone: */
#define STATUS_ROOTS 3
#define STATUS_NFDS  (1 + STATUS_CONNS)
#define STATUS_LINE  64 /* the longest request, with NUL */

struct status_conn {
	int sn_fd; /* -1: free */
	uint32_t sn_uid;
	uint8_t sn_part;   /* of the document, enum status_part */
	bool sn_follow;	   /* is sent checkpoints as they are done */
	bool sn_test;	   /* its test is under way */
	bool sn_eof;	   /* nothing more is asked */
	uint32_t sn_index; /* of a client, in its list */
	uint64_t sn_seq;   /* of the checkpoint being sent, or sent last */
	uint64_t sn_deadline_ns; /* closed then */
	uint32_t sn_nline;
	char sn_line[STATUS_LINE];
	size_t sn_sent;
	struct json_out sn_out;
	char sn_buf[2 * CKPT_PIECE_MAX];
};

struct status {
	const struct log *st_log;
	const struct link *st_link;
	const struct conf *st_conf;
	const struct vss_engine *st_engine;
	const char *st_transport;
	struct test *st_test;
	int st_fd;	      /* listening, or -1 */
	uint64_t st_again_ns; /* not before; 0: now */
	char st_path[108];
	struct status_conn st_conns[STATUS_CONNS];
};

/* A socket that cannot be made is reported; everything else goes on. */
void status_start(struct status *st);
void status_stop(struct status *st);
/* Fills STATUS_NFDS entries. */
void status_poll(const struct status *st, struct pollfd *fds);
void status_event(struct status *st, const struct pollfd *fds, uint64_t now_ns);
/* After each turn: there may be something for those who follow. */
void status_turn(struct status *st, uint64_t now_ns);
uint64_t status_deadline(const struct status *st);

#endif /* _DRV_STATUS_H_ */
