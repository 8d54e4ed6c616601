/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/*
 * Whether a freeze may raise rcu_expedited on this machine, and putting it back
 * after a run that could not.  Expedited grace periods interrupt every CPU, so
 * they are left alone where CPUs are kept free of that: isolated or nohz_full
 * ones, PREEMPT_RT, or an administrator who set rcu_normal.
 */

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "dm.h"
#include "frz_rcu.h"

/* A file of sysfs, without its newline; empty where there is none. */
static void
dm_rcu_read(const char *path, char *buf, size_t len)
{
	ssize_t n = -1;
	int fd;

	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd != -1) {
		n = read(fd, buf, len - 1);
		(void)close(fd);
	}
	buf[n > 0 ? n : 0] = '\0';
	buf[strcspn(buf, "\n")] = '\0';
}

bool
dm_rcu_wanted(const struct dm *dm)
{
	static const struct {
		const char *path;
		const char *other; /* what it may say besides nothing */
	} calm[] = {
		{ "/sys/kernel/rcu_normal", "0" },
		{ "/sys/kernel/realtime", "0" },
		{ "/sys/devices/system/cpu/isolated", "" },
		{ "/sys/devices/system/cpu/nohz_full", "(null)" },
	};
	char buf[64];
	size_t i;

	if (dm->dm_policy->cf_no_rcu)
		return (false);
	for (i = 0; i < sizeof(calm) / sizeof(calm[0]); i++) {
		dm_rcu_read(calm[i].path, buf, sizeof(buf));
		if (buf[0] != '\0' && strcmp(buf, calm[i].other) != 0)
			return (false);
	}
	/* Raised by somebody else: nothing to do, nothing to put back. */
	dm_rcu_read("/sys/kernel/rcu_expedited", buf, sizeof(buf));
	return (strcmp(buf, "0") == 0);
}

void
dm_rcu_recover(void)
{
	int fd;

	fd = frz_rcu_open();
	frz_rcu_lower(fd, NULL);
	if (fd != -1)
		(void)close(fd);
}

void
dm_rcu_ended(struct dm *dm)
{
	if (atomic_exchange(&dm->dm_page->pg_rcu, 0) != 0)
		dm_rcu_recover();
}
