/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/*
 * What core/ takes from its environment, and the only file in it that looks at
 * _KERNEL: fixed-width integers, memcpy and its like, errno values, atomics for
 * shared memory, and one upcall for a broken invariant of our own.
 */

#ifndef _VSS_PORT_H_
#define _VSS_PORT_H_

#ifdef _KERNEL
#include <sys/param.h>

#include <sys/errno.h>
#include <sys/stdint.h>
#include <sys/systm.h>
#else
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#endif

/*
 * Supplied by whoever links core: says what was broken and does not return in
 * user space.  It never sees input from outside: those get an error instead.
 */
void vss_port_assert_failed(const char *expr, const char *file, int line);

#define VSS_ASSERT(e) \
	((e) ? (void)0 : vss_port_assert_failed(#e, __FILE__, __LINE__))

/*
 * Memory that is shared with another party.  load32 reads exactly once, and no
 * later access goes before it; store32 stores after all earlier accesses; fence
 * orders everything before it and everything after it, stores before loads
 * included.  p is 4-aligned.
 */
static inline uint32_t
vss_port_load32(const void *p)
{
	return (__atomic_load_n((const uint32_t *)p, __ATOMIC_ACQUIRE));
}

static inline void
vss_port_store32(void *p, uint32_t v)
{
	__atomic_store_n((uint32_t *)p, v, __ATOMIC_RELEASE);
}

static inline void
vss_port_fence(void)
{
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
}

/*
 * What was copied out of shared memory before this is looked at in the copy
 * from here on: the compiler may not read the original again.
 */
static inline void
vss_port_copied(void)
{
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
}

#define VSS_NELEM(a)  (sizeof(a) / sizeof((a)[0]))

#define VSS_NS_PER_MS 1000000ULL
#define VSS_NS_PER_S  1000000000ULL

#endif /* _VSS_PORT_H_ */
