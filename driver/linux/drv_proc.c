/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/* The driver as a process (drv_proc.h). */

#include "drv_proc.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <malloc.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "confine.h"
#include "relay.h"
#include "report.h"

int
proc_daemonise(void)
{
	pid_t pid;
	int fd;

	fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return (errno);
	pid = fork();
	if (pid < 0)
		return (errno);
	if (pid > 0) {
		relay_end();
		_exit(0);
	}
	setsid();
	dup2(fd, STDIN_FILENO);
	dup2(fd, STDOUT_FILENO);
	dup2(fd, STDERR_FILENO);
	if (fd > STDERR_FILENO)
		close(fd);
	return (0);
}

/*
 * What libfuse allocates for a request comes from a heap that is there already
 * and is never given back.
 */
static void
proc_lock_memory(void)
{
	void *heap;

	mallopt(M_ARENA_MAX, 1);
	mallopt(M_TRIM_THRESHOLD, -1);
	mallopt(M_MMAP_THRESHOLD, 256 * 1024);
	heap = malloc(128 * 1024);
	if (heap != NULL)
		explicit_bzero(heap, 128 * 1024);
	free(heap);
	if (mlockall(MCL_CURRENT | MCL_FUTURE) != 0)
		report(REPORT_WARNING, "memory cannot be locked: %s",
		    strerror(errno));
}

static void
proc_oom_score(void)
{
	int fd;

	fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return;
	if (write(fd, "-1000", 5) < 0)
		report(REPORT_DEBUG, "oom_score_adj: %s", strerror(errno));
	close(fd);
}

void
proc_harden(void)
{
	struct rlimit none = { 0, 0 };

	/* On no disk, where / may be one. */
	if (chdir("/proc") != 0)
		report(REPORT_DEBUG, "chdir /proc: %s", strerror(errno));
	/* Before the process's files in /proc are nobody's to write. */
	proc_oom_score();
	setrlimit(RLIMIT_CORE, &none);
#ifndef __SANITIZE_ADDRESS__
	/* A limit of 0 does not stop dumps that go to a program. */
	prctl(PR_SET_DUMPABLE, 0);
#endif
	proc_lock_memory();
}

/* Root no more; capabilities stay until confine_caps(). */
static int
proc_become(const struct passwd *pw, const char *const again[])
{
	struct stat st;
	unsigned i;

	for (i = 0; again[i] != NULL; i++)
		if (lstat(again[i], &st) == 0 &&
		    (S_ISREG(st.st_mode) || S_ISCHR(st.st_mode)) &&
		    lchown(again[i], pw->pw_uid, st.st_gid) != 0)
			return (errno);
	if (prctl(PR_SET_KEEPCAPS, 1) != 0 || setgroups(0, NULL) != 0 ||
	    setresgid(pw->pw_gid, pw->pw_gid, pw->pw_gid) != 0 ||
	    setresuid(pw->pw_uid, pw->pw_uid, pw->pw_uid) != 0)
		return (errno);
	/* The change of user has undone that. */
	(void)prctl(PR_SET_DUMPABLE, 0);
	return (0);
}

void
proc_confine(bool mounts, const char *user, const char *const again[])
{
	uint64_t caps = CONFINE_CAP(CAP_IPC_LOCK);
	const struct passwd *pw = user != NULL ? getpwnam(user) : NULL;
	int error = 0;

	if (!CONFINE_WANTED)
		return;
	if (mounts)
		caps |= CONFINE_CAP(CAP_SYS_ADMIN) |
		    CONFINE_CAP(CAP_DAC_OVERRIDE) | CONFINE_CAP(CAP_CHOWN) |
		    CONFINE_CAP(CAP_FOWNER);
	if (pw != NULL)
		error = proc_become(pw, again);
	if (error == 0)
		error = confine_caps(caps);
	if (error == 0)
		error = confine_never(mounts ? CONFINE_MAY_MOUNT : 0);
	if (error != 0)
		report(REPORT_WARNING, "could not give up privileges: %s",
		    strerror(error));
}
