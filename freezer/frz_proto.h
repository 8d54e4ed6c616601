/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/*
 * What hv_vss_daemon, the freezer's worker and its guard say to each other.
 *
 * They share one area of memory (a sealed memfd, struct frz_page): a slot per
 * file system with its state, written by whoever acts, so that whoever survives
 * knows what may be frozen.  The state word is the only arbiter:
 *
 *	PLANNED -> OPENED	worker, the mount point is open and checked
 *	OPENED -> FREEZING	worker's thread, just before the freeze call
 *	OPENED -> THAWED	whoever undoes: the freeze will not begin
 *	FREEZING -> FROZEN	worker's thread, the call returned 0
 *	FREEZING -> NOT_OURS	worker's thread, the call failed
 *	FROZEN -> THAWING	whoever calls thaw first
 *	FREEZING, FROZEN, THAWING -> THAWED	whoever knows that it is thawed
 *
 * Each change is a compare-and-exchange.  A slot that is FREEZING, FROZEN or
 * THAWING is armed.  The guard may call thaw on any armed slot.  EINVAL from
 * thaw (not frozen) proves nothing about a FREEZING slot while the worker
 * lives: a thread inside the freeze call completes it even after SIGKILL.
 *
 * Orders and answers are datagrams of one size, struct frz_msg, on
 *SOCK_SEQPACKET sockets: daemon to worker, daemon to guard, and worker to guard
 *for the descriptors.  Each order is answered by one FRZ_DONE, in order, except
 *that FRZ_THAW may overtake the rest.  An answer of an older transaction
 *(fm_gen) is ignored.  Times are CLOCK_BOOTTIME nanoseconds.
 *
 *	daemon -> worker	ATTACH, OPEN, FLUSH, FREEZE, THAW, RELEASE, PING
 *	daemon -> guard		ATTACH, ARM, THAW, RELEASE
 *	worker -> guard		HOLD (one descriptor each)
 *	both -> daemon		READY (once), DONE, EXPIRED
 */

#ifndef _FRZ_PROTO_H_
#define _FRZ_PROTO_H_

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#define FRZ_PAGE_MAGIC 0x66726565
#define FRZ_VERSION    1
#define FRZ_FS_MAX     1024		 /* file systems in one transaction */
#define FRZ_FDS_WANTED (FRZ_FS_MAX + 64) /* theirs, and a few of its own */
#define FRZ_FEW	       2
#define FRZ_PATH_MAX   1024 /* of a mount point, with the closing NUL */
#define FRZ_FDS_MAX    3    /* descriptors with one message */

#define FRZ_CONTROL_FD 3 /* where worker and guard find their socket */

/* The worker's lease ends this long before the guard's. */
#define FRZ_LEASE_GAP_NS 2000000000ULL

enum frz_state {
	FRZ_PLANNED = 0,
	FRZ_OPENED,
	FRZ_FREEZING,
	FRZ_FROZEN,
	FRZ_NOT_OURS, /* never frozen by us: fs_errno says why */
	FRZ_THAWING,
	FRZ_THAWED,
	FRZ_NSTATES
};

/* What was done to a file system: index of fs_begin_ns and fs_end_ns. */
enum frz_step {
	FRZ_STEP_FLUSH = 0,
	FRZ_STEP_FREEZE,
	FRZ_STEP_THAW,
	FRZ_NSTEPS
};

/* What may fail at start: fm_index of READY. */
enum frz_start {
	FRZ_START_OK = 0,
	FRZ_START_FDS,	   /* no room for descriptors */
	FRZ_START_CWD,	   /* no working directory that is on no disk */
	FRZ_START_OOM,	   /* not protected from the OOM killer; goes on */
	FRZ_START_LOCK,	   /* memory could not be locked */
	FRZ_START_DEVICES, /* build for tests without a list of devices */
	FRZ_START_CONFINE, /* it can do more than it needs; goes on */
	FRZ_NSTARTS
};

/* Values of fs_by: who thawed. */
#define FRZ_BY_NOBODY 0
#define FRZ_BY_WORKER 1
#define FRZ_BY_GUARD  2

/* Values of fm_flags. */
#define FRZ_F_SYNC_ONLY 0x00000001 /* OPEN: flush, never freeze */
#define FRZ_F_FORCE	0x00000002 /* THAW: also what this run did not freeze */
#define FRZ_F_ANY_DEV	0x00000004 /* OPEN: fm_major and fm_minor say nothing */
#define FRZ_F_ANY_MOUNT 0x00000008 /* OPEN: nor does fm_mnt_id */
#define FRZ_F_RCU	0x00000010 /* FREEZE: raise rcu_expedited for it */
#define FRZ_F_FEW	0x00000020 /* FLUSH: FRZ_FEW of a disk at once */

struct frz_slot {
	_Atomic uint32_t fs_state;
	_Atomic int32_t fs_errno;   /* of the step that failed, 0 if none did */
	_Atomic uint32_t fs_failed; /* that step: enum frz_step */
	_Atomic uint32_t fs_by;
	uint32_t
	    fs_level; /* frozen from low to high, thawed from high to low */
	uint32_t fs_flags;
	uint32_t fs_major; /* as opened */
	uint32_t fs_minor;
	_Atomic uint64_t fs_begin_ns[FRZ_NSTEPS];
	_Atomic uint64_t fs_end_ns[FRZ_NSTEPS]; /* 0 while the call is out */
};

struct frz_page {
	uint32_t pg_magic;
	uint32_t pg_version;
	_Atomic uint64_t pg_gen;	     /* transaction, counts up */
	_Atomic uint32_t pg_stop;	     /* nothing more is to be frozen */
	_Atomic uint32_t pg_count;	     /* slots in use */
	_Atomic uint64_t pg_worker_lease_ns; /* 0: none */
	_Atomic uint64_t pg_guard_lease_ns;
	_Atomic uint32_t pg_rcu;   /* rcu_expedited was raised by us */
	_Atomic uint32_t pg_swept; /* the guard has begun to thaw */
	uint64_t pg_reserved[2];
	struct frz_slot pg_slots[FRZ_FS_MAX];
};

enum frz_op {
	FRZ_READY = 1, /* fm_errno, fm_index: what failed at start, and where */
	FRZ_DONE,      /* fm_of: answer to which order */
	FRZ_EXPIRED,   /* lease (ETIMEDOUT) or worker (ESRCH) ended: thawing */
	FRZ_ATTACH,    /* page, socket to the other one; guard: worker's pidfd;
			  fm_count: threads of the worker at most, 0: no limit */
	FRZ_OPEN,      /* one file system */
	FRZ_HOLD,      /* its descriptor */
	FRZ_FLUSH,
	FRZ_ARM, /* hold fm_count descriptors; the lease ends at fm_deadline_ns
		  */
	FRZ_FREEZE,
	FRZ_THAW,
	FRZ_RELEASE, /* all is thawed: close everything, thaw nothing more */
	FRZ_PING,
	FRZ_NOPS
};

struct frz_msg {
	uint32_t fm_op;
	uint32_t fm_of;
	uint64_t fm_gen;
	uint64_t fm_deadline_ns;
	uint64_t fm_mnt_id;
	int32_t fm_errno;  /* DONE: 0 or the first error */
	uint32_t fm_index; /* slot */
	uint32_t fm_count;
	uint32_t fm_level;
	uint32_t fm_major;
	uint32_t fm_minor;
	uint32_t fm_flags;
	uint32_t fm_disk; /* OPEN: what it is flushed to, by any number */
	char fm_path[FRZ_PATH_MAX]; /* OPEN: NUL-terminated */
};

_Static_assert(sizeof(struct frz_slot) == 80, "slot is shared");
_Static_assert(offsetof(struct frz_page, pg_slots) == 64, "page is shared");
_Static_assert(sizeof(struct frz_page) == 64 + 80 * FRZ_FS_MAX, "and sealed");
_Static_assert(sizeof(struct frz_msg) == 64 + FRZ_PATH_MAX, "one size");
_Static_assert(ATOMIC_LLONG_LOCK_FREE == 2, "states are shared by processes");

#endif /* _FRZ_PROTO_H_ */
