/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/* Faster grace periods for the moment of a freeze (frz_rcu.h). */

#include "frz_rcu.h"

#include <fcntl.h>
#include <unistd.h>

#define FRZ_RCU_KNOB "/sys/kernel/rcu_expedited"

static int frz_rcu_fd = -1;

int
frz_rcu_open(void)
{
	return (open(FRZ_RCU_KNOB, O_RDWR | O_CLOEXEC));
}

void
frz_rcu_keep(void)
{
	frz_rcu_fd = frz_rcu_open();
}

int
frz_rcu_kept(void)
{
	return (frz_rcu_fd);
}

/* Whether the knob reads as this digit, and no other. */
static bool
frz_rcu_is(int fd, char digit)
{
	char buf[8];
	ssize_t n;

	n = pread(fd, buf, sizeof(buf), 0);
	return (n >= 1 && buf[0] == digit && (n == 1 || buf[1] == '\n'));
}

bool
frz_rcu_raise(int fd, struct frz_page *pg)
{
	if (fd == -1 || !frz_rcu_is(fd, '0'))
		return (false);
	/* Noted first: who is killed in between leaves a note too many. */
	atomic_store(&pg->pg_rcu, 1);
	if (pwrite(fd, "1", 1, 0) == 1)
		return (true);
	atomic_store(&pg->pg_rcu, 0);
	return (false);
}

void
frz_rcu_lower(int fd, struct frz_page *pg)
{
	if (fd != -1 && frz_rcu_is(fd, '1') && pwrite(fd, "0", 1, 0) != 1)
		return;
	if (pg != NULL)
		atomic_store(&pg->pg_rcu, 0);
}

void
frz_rcu_restore(int fd, struct frz_page *pg)
{
	if (atomic_load(&pg->pg_rcu) != 0)
		frz_rcu_lower(fd, pg);
}
