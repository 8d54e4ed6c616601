/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/*
 * What the fuzz harnesses share.  A harness is one function that takes bytes
 * and tries them on one decoder, checking what must hold whatever the bytes
 * are; it ends the process when that does not.  The same input does the same
 * every time.  A harness reads no clock and touches no file of the machine.
 */

#ifndef _FUZZ_H_
#define _FUZZ_H_

#include <sys/time.h>

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What must hold for every input. */
#define FUZZ_CHECK(e)                                                 \
	do {                                                          \
		if (!(e)) {                                           \
			fprintf(stderr, "%s:%d: does not hold: %s\n", \
			    __FILE__, __LINE__, #e);                  \
			abort();                                      \
		}                                                     \
	} while (0)

/* Its loops may spin without asking for anything: processor time ends them. */
#define FUZZ_BOUND_S 20

static inline void
fuzz_spins(int signo)
{
	static const char text[] = "one input has spun for 20 s\n";

	(void)signo;
	(void)!write(STDERR_FILENO, text, sizeof(text) - 1);
	abort();
}

/* For one input, from now on. */
static inline void
fuzz_bound(void)
{
	static const struct itimerval bound = {
		.it_value.tv_sec = FUZZ_BOUND_S
	};

	(void)signal(SIGPROF, fuzz_spins);
	(void)setitimer(ITIMER_PROF, &bound, NULL);
}

/* The input as it is used up; after its end everything is 0. */
struct fuzz_in {
	const uint8_t *fi_next;
	size_t fi_left;
};

static inline void
fuzz_bytes(struct fuzz_in *fi, void *buf, size_t len)
{
	size_t n = len < fi->fi_left ? len : fi->fi_left;

	memset(buf, 0, len);
	if (n != 0)
		memcpy(buf, fi->fi_next, n);
	fi->fi_next += n;
	fi->fi_left -= n;
}

static inline uint8_t
fuzz_u8(struct fuzz_in *fi)
{
	uint8_t v;

	fuzz_bytes(fi, &v, sizeof(v));
	return (v);
}

static inline uint16_t
fuzz_u16(struct fuzz_in *fi)
{
	uint16_t v;

	fuzz_bytes(fi, &v, sizeof(v));
	return (v);
}

static inline uint32_t
fuzz_u32(struct fuzz_in *fi)
{
	uint32_t v;

	fuzz_bytes(fi, &v, sizeof(v));
	return (v);
}

static inline uint64_t
fuzz_u64(struct fuzz_in *fi)
{
	uint64_t v;

	fuzz_bytes(fi, &v, sizeof(v));
	return (v);
}

/*
 * len bytes of memory of their own, so that an access beyond them is found;
 * freed by the caller.
 */
static inline void *
fuzz_exact(size_t len)
{
	void *p = calloc(1, len == 0 ? 1 : len);

	FUZZ_CHECK(p != NULL);
	return (p);
}

/* The lowest number that a descriptor would get: nothing is leaked. */
static inline int
fuzz_next_fd(void)
{
	int fd = dup(0);

	FUZZ_CHECK(fd != -1);
	(void)close(fd);
	return (fd);
}

#endif /* _FUZZ_H_ */
