/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/*
 * Waiting for descriptors.  poll(2) is refused to a process that may have fewer
 * descriptors than it asks about, which a limit that is lowered later makes of
 * any; who must thaw something then goes on as before.
 */

#ifndef _FDWAIT_H_
#define _FDWAIT_H_

#include <poll.h>

/*
 * As poll(2).  Under such a limit errors and ends are told as POLLIN, and not
 * at all where no event was asked for.
 */
int fdwait(struct pollfd *fds, nfds_t nfds, int timeout_ms);

#endif /* _FDWAIT_H_ */
