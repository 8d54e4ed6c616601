/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/*
 * Finds out what cannot be opened because that hangs: what is mounted on the
 * way (FUSE, NFS) does not answer.
 *
 * A process of its own opens each file system first, all at once, so that one
 * that hangs hides no other, and the worker hangs in none.  SIGKILL may not end
 * it; there is no second one for the same until it has ended, so that nothing
 * piles up.
 */

#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <signal.h>
#include <unistd.h>

#include "dm.h"
#include "fdwait.h"
#include "frz_fs.h"

struct dm_probe {
	uint32_t pr_major;
	uint32_t pr_minor;
	pid_t pr_pid;  /* 0: it has ended */
	bool pr_hangs; /* it has not come back from the open */
	bool pr_said;  /* and that was said */
};

static struct dm_probe dm_probes[FRZ_FS_MAX];
static uint32_t dm_nprobes;

/* The one for a file system, or NULL: there is no room for more. */
static struct dm_probe *
dm_probe_of(const struct dm_record_fs *rf)
{
	struct dm_probe *pr = dm_probes;

	for (; pr < &dm_probes[dm_nprobes]; pr++)
		if (pr->pr_major == rf->rf_major &&
		    pr->pr_minor == rf->rf_minor)
			return (pr);
	if (dm_nprobes == FRZ_FS_MAX)
		return (NULL);
	dm_nprobes++;
	pr->pr_major = rf->rf_major;
	pr->pr_minor = rf->rf_minor;
	return (pr);
}

/* In the child: it goes with the daemon, and holds nothing of it. */
static void
dm_probe_child(struct frz_msg *fm, bool thaw)
{
	int fd;

	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	(void)close_range(0, ~0U, 0);
	if (frz_fs_open(fm, &fd) == 0 && thaw)
		(void)frz_fs_thaw(fd);
	_exit(0);
}

void
dm_probe_start(const struct dm_record_fs *rf, struct frz_msg *fm, bool thaw)
{
	struct dm_probe *pr = dm_probe_of(rf);

	if (pr == NULL || pr->pr_pid != 0)
		return;
	pr->pr_pid = fork();
	if (pr->pr_pid == 0)
		dm_probe_child(fm, thaw);
	/* If it is not there, the worker finds out. */
	pr->pr_hangs = pr->pr_pid != -1;
	if (!pr->pr_hangs)
		pr->pr_pid = 0;
}

void
dm_probe_wait(const struct dm_record *rc, uint64_t limit_ns)
{
	uint64_t end = frz_now_ns() + limit_ns, now;
	struct pollfd pfd = { -1, POLLIN, 0 };
	struct dm_probe *pr;
	int status;
	uint32_t i;

	for (i = 0; i < rc->rc_nfs; i++) {
		pr = dm_probe_of(&rc->rc_fs[i]);
		if (pr == NULL || pr->pr_pid == 0)
			continue;
		now = frz_now_ns();
		pfd.fd = (int)syscall(SYS_pidfd_open, pr->pr_pid, 0);
		if (pfd.fd != -1 && now < end)
			(void)fdwait(
			    &pfd, 1, (int)((end - now) / DM_NS_PER_MS) + 1);
		if (pfd.fd != -1)
			(void)close(pfd.fd);
		if (waitpid(pr->pr_pid, &status, WNOHANG) == 0)
			continue;
		pr->pr_pid = 0;
		if (WIFEXITED(status))
			pr->pr_hangs = pr->pr_said = false;
	}
}

bool
dm_probe_hangs(const struct dm_record_fs *rf)
{
	const struct dm_probe *pr = dm_probe_of(rf);

	return (pr != NULL && pr->pr_hangs);
}

bool
dm_probe_kill(const struct dm_record_fs *rf)
{
	struct dm_probe *pr = dm_probe_of(rf);
	bool said = pr->pr_said;

	if (pr->pr_pid != 0)
		(void)kill(pr->pr_pid, SIGKILL);
	pr->pr_said = true;
	return (said);
}
