/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/*
 * A program's messages where they may have to wait: standard error that is a
 * file, which may be frozen, or a terminal that has been stopped.  The program
 * must neither hold nor write that; a child of its own does, at the other end
 * of a pipe that blocks nobody.  What does not fit the pipe is lost (report.h
 * counts it).
 */

#ifndef _RELAY_H_
#define _RELAY_H_

/*
 * Before anything else is opened.  Standard error becomes the pipe if it may
 * block; standard input and output lead nowhere if they do.
 */
void relay_begin(void);

/* Says no more, and gives what was said a moment to get there. */
void relay_end(void);

#endif /* _RELAY_H_ */
