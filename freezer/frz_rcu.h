/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/*
 * /sys/kernel/rcu_expedited, raised for the moment of a freeze: most of the
 * time that freezing a clean file system takes is spent waiting for RCU grace
 * periods.  The knob is the whole machine's, so whoever raised it is noted in
 * the shared page, and it is put back by the worker in every way out of FREEZE,
 * by the guard when the worker has ended, and by the next start from the record
 * when both are gone.  It is put back only if it is still what we made it.
 */

#ifndef _FRZ_RCU_H_
#define _FRZ_RCU_H_

#include "frz_msg.h"

/* A descriptor of the knob; -1 where there is none that may be written. */
int frz_rcu_open(void);

/* Opens it for good, while that may be done; the descriptor, or -1. */
void frz_rcu_keep(void);
int frz_rcu_kept(void);

/* Raises it if it is 0, and notes it in the page; true if it did. */
bool frz_rcu_raise(int fd, struct frz_page *pg);

/* Puts it back if it is raised, and takes the note (pg may be NULL) away. */
void frz_rcu_lower(int fd, struct frz_page *pg);

/* The same, if the page's note says that its transaction raised it. */
void frz_rcu_restore(int fd, struct frz_page *pg);

#endif /* _FRZ_RCU_H_ */
