/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/*
 * The host on /dev/hv_vss_loop, for programs that test the kernel module in a
 * FreeBSD machine: one request at a time.
 */

#ifndef _LOOPHOST_H_
#define _LOOPHOST_H_

#include <stdint.h>

#include "hv_vss_loop.h"

/* Sends VSS operation op; 0, or -1 with errno. */
int loophost_ask(int fd, uint8_t op, uint64_t xactid);
/* The status of its reply; all ones when none comes within ms. */
uint32_t loophost_reply(int fd, uint64_t xactid, int ms);

#endif /* _LOOPHOST_H_ */
