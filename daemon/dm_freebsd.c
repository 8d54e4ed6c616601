/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/*
 * What the daemon does in FreeBSD's own way: signals by a kqueue, processes by
 * process descriptors, and no record: when a freezer has ended, however, the
 * kernel has thawed what it froze.  Nothing here is kept on a file system, not
 * even the lock, since a process that ends closes its descriptors one after
 * another, and the close of a file on a frozen file system does not return: the
 * freezer would never hear of the end.
 */

#include <sys/event.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/param.h>
#include <sys/procdesc.h>
#include <sys/socket.h>
#include <sys/sysctl.h>
#include <sys/types.h>
#include <sys/user.h>

#include <errno.h>
#include <fcntl.h>
#include <libutil.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "dm_os.h"

#define DM_SUSPEND "/dev/ufssuspend"

const bool dm_os_death_thaws = true;

int
dm_os_signals(const sigset_t *set)
{
	static const int signals[] = { SIGTERM, SIGINT, SIGHUP };
	struct kevent ev;
	int error, kq = kqueue();

	for (size_t i = 0; kq != -1 && i < sizeof(signals) / sizeof(signals[0]);
	     i++) {
		if (sigismember(set, signals[i]) != 1)
			continue;
		EV_SET(&ev, signals[i], EVFILT_SIGNAL, EV_ADD, 0, 0, NULL);
		if (kevent(kq, &ev, 1, NULL, 0, NULL) == -1) {
			error = errno;
			(void)close(kq);
			errno = error;
			return (-1);
		}
	}
	return (kq);
}

unsigned
dm_os_signal(int fd)
{
	static const struct timespec now = { 0, 0 };
	struct kevent ev;

	return (
	    kevent(fd, NULL, 0, &ev, 1, &now) == 1 ? (unsigned)ev.ident : 0);
}

/* Its output goes through a pipe or is closed later. */
void
dm_os_only_fds(void)
{
	int null = open("/dev/null", O_RDWR);

	if (null != -1)
		(void)dup2(null, STDIN_FILENO);
	closefrom(STDERR_FILENO + 1);
}

void
dm_os_lock_memory(void)
{
	(void)mlockall(MCL_CURRENT | MCL_FUTURE);
}

/* The kernel lets nobody but root do what it does, with all that root may. */
void
dm_os_confine(void)
{
}

const char *
dm_os_dir(const struct dm *dm)
{
	(void)dm;
	return ("/dev");
}

int
dm_os_peer(int sock, uid_t *uid)
{
	gid_t gid;

	return (getpeereid(sock, uid, &gid));
}

/* In the new process. */
static void
dm_exec(char *const argv[], int sock)
{
	sigset_t none;

	(void)setsid();
	if (sock == FRZ_CONTROL_FD ? fcntl(sock, F_SETFD, 0) == -1 :
				     dup2(sock, FRZ_CONTROL_FD) == -1)
		_exit(1);
	closefrom(FRZ_CONTROL_FD + 1);
	(void)signal(SIGPIPE, SIG_DFL);
	sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	(void)execv(argv[0], argv);
	_exit(1);
}

/*
 * The worker ends when nobody holds its process descriptor any more, and that
 * thaws: daemon and guard do.  The guard outlives the daemon.
 */
int
dm_os_spawn(
    char *const argv[], int sock, enum dm_role role, pid_t *pid, int *handle)
{
	if (access(argv[0], X_OK) == -1)
		return (errno);
	*pid = pdfork(handle, PD_CLOEXEC | (role == DM_GUARD ? PD_DAEMON : 0));
	if (*pid == -1)
		return (errno);
	if (*pid == 0)
		dm_exec(argv, sock);
	return (0);
}

void
dm_os_kill(int handle)
{
	(void)pdkill(handle, SIGKILL);
}

void
dm_os_worker_ended(struct dm *dm)
{
	uint64_t now = frz_now_ns();

	for (uint32_t i = 0; i < FRZ_FS_MAX; i++) {
		struct frz_slot *fs = &dm->dm_page->pg_slots[i];

		(void)frz_slot_move(fs, FRZ_OPENED, FRZ_THAWED);
		if (!frz_slot_armed(fs))
			continue;
		atomic_store(&fs->fs_end_ns[FRZ_STEP_THAW], now);
		atomic_store(&fs->fs_state, FRZ_THAWED);
	}
}

/* The worker has ended: nothing is frozen. */
void
dm_os_last_resort(struct dm *dm)
{
	(void)dm;
}

/* Whether a process has a file open, by the path that the kernel knows. */
static bool
dm_has_open(pid_t pid, const char *path)
{
	struct kinfo_file *files;
	int count;
	bool found = false;

	files = kinfo_getfile(pid, &count);
	for (int i = 0; files != NULL && i < count && !found; i++)
		found = strcmp(files[i].kf_path, path) == 0;
	free(files);
	return (found);
}

void
dm_os_device_holder(const char *device, char *buf, size_t len)
{
	struct kinfo_proc *all;
	int count;

	snprintf(buf, len, "another program has it");
	all = kinfo_getallproc(&count);
	for (int i = 0; all != NULL && i < count; i++)
		if (all[i].ki_pid != getpid() &&
		    dm_has_open(all[i].ki_pid, device)) {
			snprintf(buf, len, "process %d (%s) has it",
			    (int)all[i].ki_pid, all[i].ki_comm);
			break;
		}
	free(all);
}

/* On the device that freezes, which nobody else locks. */
int
dm_record_lock(struct dm *dm)
{
	int error;

	dm->dm_lock = open(DM_SUSPEND, O_RDONLY | O_CLOEXEC);
	if (dm->dm_lock == -1 && errno == ENOENT)
		return (0);
	if (dm->dm_lock == -1) {
		error = errno;
		report(REPORT_ERROR, "%s: %s (needs root)", DM_SUSPEND,
		    strerror(error));
		return (error);
	}
	if (flock(dm->dm_lock, LOCK_EX | LOCK_NB) == -1) {
		error = errno;
		report(REPORT_ERROR,
		    "%s: another hv_vss_daemon is running (stop that one)",
		    DM_SUSPEND);
		return (error);
	}
	return (0);
}

int
dm_record_open(struct dm *dm)
{
	(void)dm;
	return (0);
}

int
dm_record_write(struct dm *dm)
{
	(void)dm;
	return (0);
}

void
dm_record_clear(struct dm *dm)
{
	(void)dm;
}

bool
dm_rcu_wanted(const struct dm *dm)
{
	(void)dm;
	return (false);
}

void
dm_recover_start(struct dm *dm)
{
	(void)dm;
}

void
dm_recover_again(struct dm *dm)
{
	(void)dm;
}

static bool
dm_is_helper(const struct dm *dm, pid_t pid)
{
	return (pid == dm->dm_helper[DM_WORKER].dh_pid ||
	    pid == dm->dm_helper[DM_GUARD].dh_pid || pid == getpid());
}

/*
 * Only who froze can thaw, by ending if need be: freezers that an earlier run
 * left are ended, and with force everybody who has the device open.
 */
int
dm_recover_all(struct dm *dm, bool force)
{
	struct kinfo_proc *all;
	int count, status = 0;
	bool ours;

	all = kinfo_getallproc(&count);
	for (int i = 0; all != NULL && i < count; i++) {
		if (dm_is_helper(dm, all[i].ki_pid) ||
		    !dm_has_open(all[i].ki_pid, DM_SUSPEND))
			continue;
		ours = strncmp(all[i].ki_comm, "hv_vss_freezer", COMMLEN) == 0;
		if (!ours && !force) {
			report(REPORT_WARNING,
			    "process %d (%s) may have frozen file systems, "
			    "which only it can thaw (--force ends it)",
			    (int)all[i].ki_pid, all[i].ki_comm);
			status = 1;
		} else if (kill(all[i].ki_pid, SIGKILL) == -1) {
			report(REPORT_ERROR, "process %d (%s): %s",
			    (int)all[i].ki_pid, all[i].ki_comm,
			    strerror(errno));
			status = 1;
		} else
			report(REPORT_NOTICE,
			    "process %d (%s) is ended; what it froze is not "
			    "frozen any more",
			    (int)all[i].ki_pid, all[i].ki_comm);
	}
	if (all == NULL)
		report(REPORT_ERROR, "processes: %s", strerror(errno));
	free(all);
	return (all == NULL ? 1 : status);
}
