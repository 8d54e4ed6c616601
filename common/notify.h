/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/*
 * What a program tells the service manager that started it: that it is ready,
 * and from time to time that it lives.  The manager's socket is opened once, at
 * the start; telling is one datagram that never blocks, so that it is allowed
 * while something is frozen.  Without a manager every call does nothing.
 */

#ifndef _NOTIFY_H_
#define _NOTIFY_H_

#include <stdint.h>

#define NOTIFY_NEVER UINT64_MAX

/* Once, before other threads; what the environment said is taken out of it. */
void notify_init(uint64_t now_ns);

/* "READY=1", "STOPPING=1", "STATUS=..."; an errno. */
int notify_say(const char *text);

/* When notify_alive() is to be called again, NOTIFY_NEVER: nobody watches. */
uint64_t notify_due(void);

/* Says that the program lives, if that is due. */
void notify_alive(uint64_t now_ns);

#endif /* _NOTIFY_H_ */
