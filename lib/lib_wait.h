/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/*
 * One descriptor that is readable when there is something to do: an answer in
 * the pipe, something on the device, or a moment that has come.  epoll and a
 * timerfd on Linux, kqueue elsewhere; where a kqueue cannot watch the device,
 * the moments come often enough to ask it instead.
 *
 * The device is watched edge-triggered: between one notification and the next,
 * nothing is asked of the driver, so that one that is stopped holds up nobody
 * who waits.
 */

#ifndef _LIB_WAIT_H_
#define _LIB_WAIT_H_

#include <stdbool.h>
#include <stdint.h>

#define LIB_WAIT_PIPE	0x1 /* the pipe is readable */
#define LIB_WAIT_DEVICE 0x2 /* the device is to be READ */
#define LIB_WAIT_GONE	0x4 /* the driver is gone */

#define LIB_NEVER	UINT64_MAX

struct lib_wait {
	int lw_fd;
	int lw_timer;	  /* epoll: a timerfd, or -1 */
	int lw_pipe;	  /* kqueue: the pipe */
	bool lw_blind;	  /* the device cannot be watched */
	uint64_t lw_when; /* what the timer is set to */
};

/* Milliseconds of a clock that goes on while the machine is suspended. */
uint64_t lib_now_ms(void);

/* Each returns 0 or an errno. */
int lib_wait_open(struct lib_wait *lw, int pipe_fd);
int lib_wait_add(struct lib_wait *lw, int device_fd);

void lib_wait_remove(struct lib_wait *lw, int device_fd);

/* Becomes readable at that time as well, in place of the last one. */
void lib_wait_until(struct lib_wait *lw, uint64_t when_ms);

/* What there is to do, without waiting: LIB_WAIT_* or 0. */
unsigned lib_wait_take(struct lib_wait *lw);

/* In a child made by fork(2) only what it has of its own is closed. */
void lib_wait_close(struct lib_wait *lw, bool in_child);

#endif /* _LIB_WAIT_H_ */
