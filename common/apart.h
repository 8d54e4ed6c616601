/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/*
 * Work that may block for as long as it pleases somebody else, such as writing
 * to a file system that another program has frozen: a child of its own does it,
 * one at a time, and nobody waits for it longer than a moment.
 */

#ifndef _APART_H_
#define _APART_H_

#include <sys/types.h>

/* The child that is out; 0: none. */
struct apart {
	pid_t ap_pid;
};

/*
 * As fork(2); the child has no descriptor but 0 to 2, and ends by _exit(2) with
 * 0 or an errno.  -1 where the last one is not back, or there can be none.
 */
pid_t apart_begin(struct apart *ap);

/* Waits so long at most: -1 while it is out, else what it said; 0 for none. */
int apart_end(struct apart *ap, unsigned int ms);

#endif /* _APART_H_ */
