/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/*
 * The system calls and capabilities of worker and guard on Linux: threads,
 * messages and time for both; the worker opens for reading, flushes, freezes
 * and thaws; the guard thaws, and kills by a descriptor.  Who adds a call of
 * the system to either of them adds it to the table of its role as well: it
 * fails with EPERM otherwise.
 */

#include "frz_os.h"

#include <sys/syscall.h>

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/fs.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <sys/mman.h>

#include "confine.h"
#include "frz_rcu.h"

#define FRZ_WRITING ((uint32_t)(O_ACCMODE | O_CREAT | O_TRUNC | O_APPEND))
#define FRZ_THREAD                                                      \
	((uint32_t)(CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | \
	    CLONE_THREAD | CLONE_SYSVSEM | CLONE_SETTLS |               \
	    CLONE_PARENT_SETTID | CLONE_CHILD_CLEARTID))

/* Both need these; what a C library makes of a call differs. */
#define FRZ_BOTH                                                               \
	CONFINE_CALL(read), CONFINE_CALL(write), CONFINE_CALL(close),          \
	    CONFINE_CALL(pread64), CONFINE_CALL(pwrite64),                     \
	    CONFINE_CALL(ppoll), CONFINE_CALL(pselect6),                       \
	    CONFINE_CALL(recvmsg), CONFINE_CALL(sendmsg),                      \
	    CONFINE_IF(fcntl, 1, CONFINE_EQUALS, F_GET_SEALS),                 \
	    CONFINE_CALL(fstat), CONFINE_CALL(statx),                          \
	    CONFINE_CALL(newfstatat), CONFINE_CALL(futex),                     \
	    CONFINE_CALL(clock_gettime), CONFINE_CALL(clock_nanosleep),        \
	    CONFINE_CALL(nanosleep), CONFINE_CALL(restart_syscall),            \
	    CONFINE_CALL(timerfd_create), CONFINE_CALL(timerfd_settime),       \
	    CONFINE_CALL(eventfd2), CONFINE_CALL(munmap), CONFINE_CALL(brk),   \
	    CONFINE_CALL(madvise), CONFINE_CALL(getpid), CONFINE_CALL(gettid), \
	    CONFINE_CALL(getrandom), CONFINE_CALL(sched_yield),                \
	    CONFINE_CALL(rt_sigaction), CONFINE_CALL(rt_sigprocmask),          \
	    CONFINE_CALL(rt_sigreturn), CONFINE_CALL(set_robust_list),         \
	    CONFINE_CALL(rseq), CONFINE_CALL(exit), CONFINE_CALL(exit_group),  \
	    CONFINE_IF(mmap, 2, CONFINE_NONE_OF, PROT_EXEC),                   \
	    CONFINE_IF(mprotect, 2, CONFINE_NONE_OF, PROT_EXEC),               \
	    CONFINE_IF(tgkill, 0, CONFINE_SELF, 0),                            \
	    CONFINE_IF(clone, 0, CONFINE_EQUALS,                               \
		FRZ_THREAD), /* Its flags are out of reach; clone is tried     \
				then. */                                       \
	    { __NR_clone3, CONFINE_ENOSYS, 0, 0 },                             \
	    CONFINE_IF(ioctl, 1, CONFINE_EQUALS, (uint32_t)FITHAW)

#ifdef __NR_poll
#define FRZ_OLD , CONFINE_CALL(poll)
#else
#define FRZ_OLD
#endif

#ifdef FRZ_TEST
/* The build for tests looks for the devices that it may touch in /proc. */
#define FRZ_MORE                                               \
	, CONFINE_IF(openat, 2, CONFINE_NONE_OF, FRZ_WRITING), \
	    CONFINE_CALL(getdents64), CONFINE_CALL(lseek)
#else
#define FRZ_MORE
#endif

static const struct confine_rule frz_worker_calls[] = { FRZ_BOTH FRZ_OLD,
	CONFINE_IF(openat, 2, CONFINE_NONE_OF, FRZ_WRITING),
	CONFINE_IF(ioctl, 1, CONFINE_EQUALS, (uint32_t)FIFREEZE),
	CONFINE_CALL(syncfs) FRZ_MORE };

static const struct confine_rule frz_guard_calls[] = { FRZ_BOTH FRZ_OLD,
	CONFINE_CALL(accept4), CONFINE_CALL(getsockopt),
	CONFINE_CALL(signalfd4), CONFINE_IF(pidfd_open, 0, CONFINE_SELF, 0),
	CONFINE_IF(pidfd_send_signal, 1, CONFINE_EQUALS, SIGKILL) FRZ_MORE };

int
frz_os_confine(bool guard)
{
	uint64_t caps = CONFINE_CAP(CAP_SYS_ADMIN) | CONFINE_CAP(CAP_IPC_LOCK);
	int error;

	frz_rcu_keep();
	/* Mount points in others' directories, and behind /proc/PID/root. */
	if (!guard)
		caps |= CONFINE_CAP(CAP_DAC_READ_SEARCH) |
		    CONFINE_CAP(CAP_SYS_PTRACE);
	error = confine_caps(caps);
	if (error != 0 || !CONFINE_WANTED)
		return (error);
	if (guard)
		return (confine_calls(frz_guard_calls,
		    sizeof(frz_guard_calls) / sizeof(frz_guard_calls[0])));
	return (confine_calls(frz_worker_calls,
	    sizeof(frz_worker_calls) / sizeof(frz_worker_calls[0])));
}
