/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/*
 * hv_vss_freezer: freezes and thaws file systems for hv_vss_daemon (worker), or
 * sees to it that nothing stays frozen when somebody dies (guard).
 *
 * Whatever it needs while something is frozen it has before: its memory is
 * locked, its threads are made, it keeps no descriptor but those it was given,
 * its working directory is on no disk, it writes no core, and it is deaf to
 * what ends a session; a guard that is a service hears when it is told to end.
 * Then it gives up what it does not need any more.  It is
 * linked statically, because locked copies of shared libraries would cost more
 * than the program.
 */

#include "hv_vss_freezer.h"

#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "frz_fs.h"
#include "frz_os.h"
#include "os.h"

/* A sanitizer's shadow cannot be locked. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define FRZ_LOCK 0
#else
#define FRZ_LOCK 1
#endif

static void
frz_be_deaf(bool service)
{
	static const int deaf[] = { SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGTSTP,
		SIGTTIN, SIGTTOU, SIGPIPE, SIGUSR1, SIGUSR2, SIGALRM };
	sigset_t term;
	size_t i;

	sigemptyset(&term);
	sigaddset(&term, SIGTERM);
	for (i = 0; i < sizeof(deaf) / sizeof(deaf[0]); i++)
		if (service && deaf[i] == SIGTERM)
			(void)sigprocmask(SIG_BLOCK, &term, NULL);
		else
			(void)signal(deaf[i], SIG_IGN);
}

/* Keeps the control socket alone; 0 to 2 lead nowhere. */
static int
frz_only_fds(void)
{
	int fd, null;

	if (close_range(FRZ_CONTROL_FD + 1, ~0U, 0) == -1)
		return (errno);
	null = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (null == -1)
		null = memfd_create("null", MFD_CLOEXEC);
	if (null == -1)
		return (errno);
	for (fd = 0; fd < FRZ_CONTROL_FD; fd++)
		if (fd != null && dup2(null, fd) == -1)
			return (errno);
	if (null > FRZ_CONTROL_FD)
		(void)close(null);
	if (fcntl(FRZ_CONTROL_FD, F_SETFD, FD_CLOEXEC) == -1)
		return (errno);
	return (0);
}

/*
 * Room for a descriptor of each file system: the usual limit has less, because
 * of programs that use select(2).
 */
static void
frz_many_fds(void)
{
	struct rlimit rl;

	if (getrlimit(RLIMIT_NOFILE, &rl) == -1)
		return;
	if (rl.rlim_max < FRZ_FDS_WANTED) {
		rl.rlim_cur = rl.rlim_max = FRZ_FDS_WANTED;
		if (setrlimit(RLIMIT_NOFILE, &rl) == 0 ||
		    getrlimit(RLIMIT_NOFILE, &rl) == -1)
			return;
	}
	if (rl.rlim_cur < FRZ_FDS_WANTED)
		rl.rlim_cur = rl.rlim_max < FRZ_FDS_WANTED ? rl.rlim_max :
							     FRZ_FDS_WANTED;
	(void)setrlimit(RLIMIT_NOFILE, &rl);
}

/* Prepares the process; returns an errno and says which step it was. */
static int
frz_harden(bool guard, bool service, uint32_t *step)
{
	static const struct rlimit none = { 0, 0 };
	int confined, error;

	frz_be_deaf(service);
	os_set_name("hv_vss_freezer", guard ? "guard" : "worker");
	os_no_trace();
	(void)setrlimit(RLIMIT_CORE, &none);
	frz_many_fds();
	*step = FRZ_START_FDS;
	error = frz_only_fds();
	if (error != 0)
		return (error);
	*step = FRZ_START_DEVICES;
	error = frz_fs_init();
	if (error != 0)
		return (error);
	*step = FRZ_START_CWD;
	error = frz_os_leave();
	if (error != 0)
		return (error);
	*step = FRZ_START_LOCK;
	if (FRZ_LOCK && mlockall(MCL_CURRENT | MCL_FUTURE) == -1)
		return (errno);
	*step = FRZ_START_OOM;
	error = frz_os_protect();
	/* Last: what was done until here cannot be done any more. */
	confined = frz_os_confine(guard);
	if (confined != 0)
		*step = FRZ_START_CONFINE;
	return (confined != 0 ? confined : error);
}

/* An option of the control socket, or -1. */
static int
frz_socket(int option)
{
	socklen_t len = sizeof(int);
	int value;

	if (getsockopt(FRZ_CONTROL_FD, SOL_SOCKET, option, &value, &len) == -1)
		return (-1);
	return (value);
}

static void
frz_usage(void)
{
	fprintf(stderr,
	    "hv_vss_freezer: it is started by hv_vss_daemon, or as `guard' on "
	    "a socket by the service manager, not by hand\n");
	_exit(1);
}

int
main(int argc, char *argv[])
{
	struct frz_msg fm;
	bool guard, service, usable;
	int error;

	guard = argc == 2 && strcmp(argv[1], "guard") == 0;
	if (argc != 2 || (!guard && strcmp(argv[1], "worker") != 0) ||
	    frz_socket(SO_TYPE) != SOCK_SEQPACKET)
		frz_usage();
	memset(&fm, 0, sizeof(fm));
	fm.fm_op = FRZ_READY;
	/* As a service manager gives it: a socket that daemons connect to. */
	service = guard && frz_socket(SO_ACCEPTCONN) == 1;
	error = frz_harden(guard, service, &fm.fm_index);
	fm.fm_errno = error;
	if (error == 0)
		fm.fm_index = FRZ_START_OK;
	usable = error == 0 || fm.fm_index == FRZ_START_OOM ||
	    fm.fm_index == FRZ_START_CONFINE;
	if (service && usable)
		frz_guard_listen(FRZ_CONTROL_FD, &fm);
	if (frz_send(FRZ_CONTROL_FD, &fm, NULL) != 0 || !usable)
		_exit(1);
	if (guard)
		frz_guard(FRZ_CONTROL_FD);
	else
		frz_worker(FRZ_CONTROL_FD);
	_exit(0);
}
