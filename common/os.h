/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/*
 * What programs want of any system, and is called otherwise on each
 * (os_linux.c, os_freebsd.c).
 */

#ifndef _OS_H_
#define _OS_H_

#include <sys/mman.h>

#include <stdbool.h>
#include <stddef.h>
#include <time.h>

/* It goes on while the machine sleeps, as the host's clock does. */
#ifndef CLOCK_BOOTTIME
#define CLOCK_BOOTTIME CLOCK_MONOTONIC
#endif

/* mmap(2): what is mapped is there, and touching it does not fault. */
#ifndef MAP_POPULATE
#define MAP_POPULATE MAP_PREFAULT_READ
#endif

/* What ps(1) calls this process; with its role where there is room, or NULL. */
void os_set_name(const char *name, const char *role);

/* Nobody reads this process's memory, and it leaves no core. */
void os_no_trace(void);

/* The path of the program that runs. */
bool os_self(char *path, size_t len);

#endif /* _OS_H_ */
