/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/*
 * What the daemon does in Linux's own way: signals and processes as
 * descriptors, /proc, and the last resort of a thaw.
 */

#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <linux/capability.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "confine.h"
#include "dm_os.h"
#include "frz_fs.h"

const bool dm_os_death_thaws = false;

extern char **environ;

int
dm_os_signals(const sigset_t *set)
{
	return (signalfd(-1, set, SFD_CLOEXEC | SFD_NONBLOCK));
}

unsigned
dm_os_signal(int fd)
{
	struct signalfd_siginfo si;

	return (read(fd, &si, sizeof(si)) == sizeof(si) ? si.ssi_signo : 0);
}

/* Here a close of what is frozen returns. */
void
dm_os_only_fds(void)
{
}

/* What is in memory stays; a library's unused pages do not matter. */
void
dm_os_lock_memory(void)
{
	(void)mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT);
}

/*
 * What its worker needs it must have.  Devices and the trace may be other
 * users'.
 */
void
dm_os_confine(void)
{
	int error;

	error = confine_caps(CONFINE_CAP(CAP_SYS_ADMIN) |
	    CONFINE_CAP(CAP_DAC_READ_SEARCH) | CONFINE_CAP(CAP_DAC_OVERRIDE) |
	    CONFINE_CAP(CAP_SYS_PTRACE) | CONFINE_CAP(CAP_IPC_LOCK) |
	    CONFINE_CAP(CAP_SYS_RESOURCE));
	if (error == 0 && CONFINE_WANTED)
		error = confine_never(CONFINE_MAY_EXEC);
	if (error != 0)
		report(REPORT_WARNING, "could not give up privileges: %s",
		    strerror(error));
}

/* The record, which is there, must be on a memory file system. */
const char *
dm_os_dir(const struct dm *dm)
{
	return (dm->dm_conf.cf_run_dir);
}

int
dm_os_peer(int sock, uid_t *uid)
{
	struct ucred peer = { 0 };
	socklen_t len = sizeof(peer);

	if (getsockopt(sock, SOL_SOCKET, SO_PEERCRED, &peer, &len) == -1)
		return (-1);
	*uid = peer.uid;
	return (0);
}

/* In a session of its own, with no signal blocked or ignored. */
static int
dm_spawn(char *const argv[], int sock, pid_t *pid)
{
	posix_spawn_file_actions_t fa;
	posix_spawnattr_t sa;
	sigset_t set;
	int error;

	posix_spawn_file_actions_init(&fa);
	posix_spawnattr_init(&sa);
	posix_spawn_file_actions_adddup2(&fa, sock, FRZ_CONTROL_FD);
	sigemptyset(&set);
	posix_spawnattr_setsigmask(&sa, &set);
	sigfillset(&set);
	posix_spawnattr_setsigdefault(&sa, &set);
	posix_spawnattr_setflags(&sa,
	    POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGMASK |
		POSIX_SPAWN_SETSIGDEF);
	error = posix_spawn(pid, argv[0], &fa, &sa, argv, environ);
	posix_spawnattr_destroy(&sa);
	posix_spawn_file_actions_destroy(&fa);
	return (error);
}

int
dm_os_spawn(
    char *const argv[], int sock, enum dm_role role, pid_t *pid, int *handle)
{
	int error;

	(void)role;
	error = dm_spawn(argv, sock, pid);
	if (error != 0)
		return (error);
	*handle = (int)syscall(SYS_pidfd_open, *pid, 0);
	if (*handle != -1)
		return (0);
	error = errno;
	(void)kill(*pid, SIGKILL);
	(void)waitpid(*pid, NULL, 0);
	return (error);
}

void
dm_os_kill(int handle)
{
	(void)syscall(SYS_pidfd_send_signal, handle, SIGKILL, NULL, 0);
}

/* It may have raised rcu_expedited. */
void
dm_os_worker_ended(struct dm *dm)
{
	dm_rcu_ended(dm);
}

/* In a child of its own: opens one file system again and thaws it. */
static void
dm_thaw_child(struct dm *dm, uint32_t i)
{
	struct frz_slot *fs = &dm->dm_page->pg_slots[i];
	struct frz_msg fm;
	int error, fd;
	bool first;

	memset(&fm, 0, sizeof(fm));
	fm.fm_mnt_id = dm->dm_txn.tx_fs[i].df_mnt_id;
	fm.fm_major = dm->dm_txn.tx_fs[i].df_major;
	fm.fm_minor = dm->dm_txn.tx_fs[i].df_minor;
	fm.fm_flags = dm->dm_txn.tx_fs[i].df_flags;
	snprintf(
	    fm.fm_path, sizeof(fm.fm_path), "%s", dm->dm_txn.tx_fs[i].df_point);
	if (frz_fs_open(&fm, &fd) != 0)
		_exit(1);
	first = frz_slot_move(fs, FRZ_FROZEN, FRZ_THAWING);
	error = frz_fs_thaw(fd);
	/* That it is not frozen says nothing when others have begun. */
	if (error != 0 && (error != EINVAL || first))
		frz_slot_failed(fs, FRZ_STEP_THAW, error);
	if (error == 0 || error == EINVAL)
		atomic_store(&fs->fs_state, FRZ_THAWED);
	_exit(0);
}

/*
 * Children thaw: a fork needs no disk, and what blocks there does not block the
 * daemon.
 */
void
dm_os_last_resort(struct dm *dm)
{
	uint32_t i;

	if (!dm_undo_apart())
		return;
	for (i = 0; i < dm->dm_txn.tx_nfs; i++)
		if (frz_slot_armed(&dm->dm_page->pg_slots[i]) && fork() == 0)
			dm_thaw_child(dm, i);
	_exit(0);
}

/* Whether a process has the device open; the link is read, not followed. */
static bool
dm_held_by(const char *device, const char *pid)
{
	char path[PATH_MAX], to[PATH_MAX];
	struct dirent *de;
	ssize_t n;
	DIR *d;
	bool held = false;

	snprintf(path, sizeof(path), "/proc/%s/fd", pid);
	d = opendir(path);
	if (d == NULL)
		return (false);
	while (!held && (de = readdir(d)) != NULL) {
		n = readlinkat(dirfd(d), de->d_name, to, sizeof(to) - 1);
		if (n <= 0)
			continue;
		to[n] = '\0';
		held = strcmp(to, device) == 0;
	}
	closedir(d);
	return (held);
}

void
dm_os_device_holder(const char *device, char *buf, size_t len)
{
	char path[64], comm[32] = "";
	struct dirent *de;
	FILE *fp;
	DIR *d;

	snprintf(buf, len, "another program has it");
	d = opendir("/proc");
	if (d == NULL)
		return;
	while ((de = readdir(d)) != NULL) {
		if (de->d_name[0] < '1' || de->d_name[0] > '9' ||
		    !dm_held_by(device, de->d_name))
			continue;
		snprintf(path, sizeof(path), "/proc/%.20s/comm", de->d_name);
		fp = fopen(path, "re");
		if (fp != NULL) {
			if (fgets(comm, sizeof(comm), fp) != NULL)
				comm[strcspn(comm, "\n")] = '\0';
			fclose(fp);
		}
		snprintf(
		    buf, len, "process %.20s (%s) has it", de->d_name, comm);
		break;
	}
	closedir(d);
}
