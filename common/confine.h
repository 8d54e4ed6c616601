/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/*
 * Gives up, for good, what a program does not need any more: capabilities, and
 * system calls by a table.  Linux only.
 *
 * A call that is not in the table fails with EPERM: it kills nobody, for a
 * guard that is killed in a rare moment guards nothing.  The tables are turned
 * into a filter here, not by a library: hv_vss_freezer is static and locked in
 * memory, where one costs more than the program.
 */

#ifndef _CONFINE_H_
#define _CONFINE_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Not under a sanitizer: its own calls are nobody's to list, and it looks at
 * the process that it is in.
 */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define CONFINE_WANTED 0
#else
#define CONFINE_WANTED 1
#endif

enum confine_what {
	CONFINE_ALLOW,	 /* whatever its arguments are */
	CONFINE_EQUALS,	 /* if the low half of the argument is the value */
	CONFINE_NONE_OF, /* if it has none of the value's bits */
	CONFINE_SELF,	 /* if it is this process's id */
	CONFINE_REFUSE,	 /* never: EPERM */
	CONFINE_ENOSYS	 /* never: as if the kernel did not have it */
};

/* Several lines for one call: if any of them allows it. */
struct confine_rule {
	int cr_call; /* __NR_... */
	enum confine_what cr_what;
	unsigned cr_arg; /* from 0 */
	uint32_t cr_value;
};

#define CONFINE_CALL(name)                       \
	{                                        \
		__NR_##name, CONFINE_ALLOW, 0, 0 \
	}
#define CONFINE_IF(name, arg, what, value)    \
	{                                     \
		__NR_##name, what, arg, value \
	}

/* Capabilities as a set: CAP_... are numbers below 64. */
#define CONFINE_CAP(cap) (1ULL << (cap))

/* Keeps of the capabilities it has those in the set; returns an errno. */
int confine_caps(uint64_t set);

/*
 * From now on this process, all its threads and children can make these calls
 * alone, in addition to what confinements before this one allow.  Returns an
 * errno; then nothing has changed.
 */
int confine_calls(const struct confine_rule *rules, size_t n);

/*
 * The same for a program that must be able to do much: it can make all calls
 * but those by which one that was taken over gets at other processes, the
 * network, the kernel, or another view of the machine.
 */
enum confine_may { CONFINE_MAY_EXEC = 1, CONFINE_MAY_MOUNT = 2 };
int confine_never(unsigned may);

#endif /* _CONFINE_H_ */
