/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/*
 * What the parts of hv_vss_daemon share.
 *
 * The daemon is one thread around poll(2).  It never makes a call that can
 * block on a file system: opening, flushing, freezing and thawing are the
 * freezer's.  While a transaction may have something frozen (dm_txn.c) it
 * writes no log, executes nothing and opens nothing; what it touches of the
 * record is on a memory file system.
 *
 *	hv_vss_daemon.c	options, start, poll loop
 *	dm_device.c	the file-system device
 *	dm_txn.c	one transaction, step by step
 *	dm_again.c	a plan that mounts have overtaken
 *	dm_luns.c	the disks that the host names
 *	dm_undo.c	its way back: thaw, answers, release
 *	dm_helpers.c	worker and guard: started, watched, replaced
 *	dm_record.c	lock and record
 *	dm_recover.c	thawing by the record, or everything
 *	dm_probe.c	what hangs when it is opened for that
 *	dm_report.c	reasons, timeline, a foreground daemon's output
 *	dm_history.c	the history, written between transactions
 *	dm_linux.c, dm_freebsd.c	what each system does in its own way
 */

#ifndef _DM_H_
#define _DM_H_

#include <sys/types.h>

#include <poll.h>
#include <stdbool.h>
#include <stdint.h>

#include <dev/hyperv/hv_vss_ext.h>

#include "check.h"
#include "ckpt.h"
#include "conf.h"
#include "frz_msg.h"
#include "lun.h"
#include "plan.h"
#include "report.h"

#define DM_NS_PER_MS 1000000ULL
#define DM_NS_PER_S  1000000000ULL

#define DM_GUARD_NS  DM_NS_PER_S /* the guard's time to confirm */
#define DM_SILENCE_NS                                          \
	(2 * DM_NS_PER_S) /* how long the worker may be silent \
			   */
#define DM_NEVER	UINT64_MAX
#define DM_LIMIT_MAX_MS 900000

enum dm_role { DM_WORKER = 0, DM_GUARD, DM_NROLES };

/* A helper process.  It is gone when dh_pid is 0. */
struct dm_helper {
	pid_t dh_pid;
	int dh_pidfd;
	bool dh_child;	   /* ours to wait for; not a service */
	uint64_t dh_start; /* its start time, as /proc has it, 0: not asked */
	int dh_ctl;	   /* its control socket */
	bool dh_ready;	   /* READY was received */
	bool dh_attached;  /* it knows page and the other one */
	bool dh_killed;	   /* SIGKILL was sent; it has not ended */
	uint32_t dh_due;   /* order whose DONE is due, 0: none */
	uint64_t dh_deadline_ns; /* for that, DM_NEVER: none */
	uint64_t dh_again_ns;	 /* not to be started before */
};

/* What the daemon waits for. */
enum dm_phase {
	DM_IDLE,
	DM_OPENING,    /* worker's OPEN, one after another */
	DM_FLUSHING,   /* worker's FLUSH, the long one */
	DM_PREPARED,   /* the host's FREEZE */
	DM_ARMING,     /* guard's ARM */
	DM_REFLUSHING, /* worker's FLUSH, the short one */
	DM_FREEZING,   /* worker's FREEZE */
	DM_HOLDING,    /* the host's THAW */
	DM_THAWING,    /* everything to be thawed */
	DM_RELEASING   /* worker's and guard's RELEASE */
};

struct dm_fs {
	const char *df_point; /* of the plan's memory */
	uint64_t df_mnt_id;
	uint32_t df_major;
	uint32_t df_minor;
	uint32_t df_level;
	uint32_t df_flags; /* FRZ_F_* */
	uint32_t df_disk;
};

/* A notification that was read and not answered; dq_opt 0: none. */
struct dm_request {
	uint32_t dq_opt;
	uint64_t dq_msgid;
};

struct dm_txn {
	enum dm_phase tx_phase;
	uint64_t tx_gen;
	struct plan tx_plan;
	struct dm_fs tx_fs[FRZ_FS_MAX];
	uint32_t tx_nfs;
	uint32_t tx_nfreeze; /* of them to be frozen */
	uint64_t tx_begin_ns;
	uint32_t tx_tries; /* plans that were overtaken by mounts */
	uint32_t tx_next;  /* OPENING: the one being opened */
	struct dm_request tx_prepare;
	struct dm_request tx_freeze; /* kept through the hold */
	bool tx_freeze_answered;
	struct dm_request tx_thaw;
	struct dm_request tx_later; /* to begin with when this is over */
	uint64_t tx_later_ns;	    /* for so long */
	uint64_t tx_deadline_ns;    /* of the phase, DM_NEVER: none */
	uint64_t tx_limit_ns;	    /* of FREEZE */
	uint64_t tx_refuse_ns; /* THAWING: FREEZE is refused at the latest */
	uint64_t tx_lease_ns;  /* the guard's */
	uint64_t tx_hold_ns;   /* how long the hold may be */
	uint64_t tx_kill_ns;   /* when to look at the worker again */
	uint64_t tx_again_ns;  /* THAWING: not before, once more */
	uint64_t tx_resort_ns; /* the last resort: not before, once more */
	uint64_t tx_pause_ns;  /* and so long after that */
	bool tx_ping;	       /* a PING is not answered */
	bool tx_rcu;	       /* rcu_expedited may be raised */
	bool tx_said;	       /* what hangs was reported */
	bool tx_guard_thaws;   /* THAWING: the guard was told to */
	bool tx_failed;	       /* FREEZE is refused, or the hold LOST */
	bool tx_orderly;       /* the host's THAW began the thaw */
	char tx_reason[HV_VSS_REASON_MAX]; /* first thing that failed */
};

/* A file system of a transaction that is over; its names lie behind all. */
struct dm_history_fs {
	const char *hf_point;
	const char *hf_type;
	bool hf_frozen;
	uint32_t hf_level;
	int32_t hf_errno;
	uint32_t hf_failed; /* enum frz_step */
	uint64_t hf_begin_ns[FRZ_NSTEPS];
	uint64_t hf_end_ns[FRZ_NSTEPS];
};

struct dm_history_txn {
	uint64_t ht_begin_ns;
	uint32_t ht_ndisks; /* that the host named */
	bool ht_by_disk;
	char ht_disks[CKPT_DISKS_MAX];
	uint32_t ht_nfs;
	struct dm_history_fs *ht_fs;
};

#define DM_HISTORY_TXNS 8
#define DM_HISTORY_NFDS 2      /* of dm_history_poll() */
#define DM_HISTORY_BUF	131072 /* what the driver tells of one is shorter */

struct dm_history {
	int hs_fd;	   /* the driver's status socket, or -1 */
	size_t hs_len;	   /* of what came and is not written */
	pid_t hs_pid;	   /* the child that writes, or 0 */
	int hs_end;	   /* pipe from it, or -1 */
	size_t hs_writing; /* how much it writes */
	uint64_t hs_again_ns;
	uint64_t hs_pause_ns;
	bool hs_said; /* that it cannot be written */
	unsigned hs_ntxns;
	struct dm_history_txn hs_txns[DM_HISTORY_TXNS];
	char hs_buf[DM_HISTORY_BUF];
};

struct dm {
	struct conf_args dm_args;
	struct conf dm_conf;	      /* as it was at the start */
	struct conf dm_reread;	      /* as it was read since */
	const struct conf *dm_policy; /* the one whose policy counts */
	bool dm_reload;		      /* SIGHUP: read it again */
	enum check_form dm_form;      /* of --check */
	const char *dm_device;	      /* path */
	bool dm_foreground;
	int dm_fd;   /* the device, or -1 */
	bool dm_ext; /* it knows the extensions */
	uint64_t dm_reopen_ns;
	bool dm_lost_said;
	int dm_mounts;	/* fs_watch() */
	int dm_signals; /* signalfd */
	bool dm_quit;
	struct frz_page *dm_page;
	int dm_page_fd;
	char dm_freezer[FRZ_PATH_MAX]; /* the program */
	struct dm_helper dm_helper[DM_NROLES];
	struct dm_txn dm_txn;
	struct dm_history dm_history;
	struct hv_vss_luns dm_luns;	/* the host's list of disks */
	struct lun_disks dm_disks;	/* those of the machine */
	bool dm_by_disk;		/* the plan keeps to that list */
	char dm_all[HV_VSS_REASON_MAX]; /* why it does not */
	int dm_lock;
	char dm_boot[64];		 /* boot id */
	bool dm_recover_due;		 /* the record was not looked at yet */
	uint64_t dm_recover_ns;		 /* dm_veto: when to look at it again */
	int dm_record;			 /* the record, open */
	int dm_old[DM_NROLES];		 /* pidfds of an earlier run's, or -1 */
	char dm_hung[HV_VSS_REASON_MAX]; /* why the worker was killed */
	char dm_veto[HV_VSS_REASON_MAX]; /* what an earlier run left frozen */
};

/* hv_vss_daemon.c */
uint64_t dm_earlier(uint64_t a, uint64_t b);

/*
 * dm_device.c.  Opening says why it cannot with a line in err; answers go out
 * with the reason, if there is one.
 */
int dm_device_open(struct dm *dm, char *err, size_t errlen);
void dm_device_close(struct dm *dm);
void dm_device_read(struct dm *dm);
int dm_device_answer(
    struct dm *dm, const struct dm_request *dq, bool ok, const char *reason);
/* The driver is gone: what it held is undone, and it is looked for again. */
void dm_device_lost(struct dm *dm);
/* Shortens the running limit and sets the hold's, if the driver knows better.
 */
void dm_device_limits(struct dm *dm, uint64_t *left_ms, uint64_t *hold_ms);

/* dm_txn.c */
void dm_txn_policy(const struct dm *dm, struct plan_policy *pp);
void dm_txn_request(struct dm *dm, const struct dm_request *dq);
void dm_txn_done(struct dm *dm, enum dm_role role, const struct frz_msg *fm);
void dm_txn_ended(struct dm *dm, enum dm_role role);
void dm_txn_tick(struct dm *dm, uint64_t now_ns);
uint64_t dm_txn_deadline(const struct dm *dm);
/* Nothing is opened or frozen, nor on the way there. */
bool dm_txn_idle(const struct dm *dm);
/* What waits begins, if it may. */
void dm_txn_resume(struct dm *dm);
/* Asks for a sign of life. */
void dm_txn_ping(struct dm *dm, enum dm_role role);
/* Notes why, if nothing was noted before, for log and reason. */
void dm_txn_fail(struct dm *dm, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/*
 * dm_again.c: begins anew if the plan is out of date, which it may be if mounts
 * have changed or (failed) something could not be opened; true if it did.
 */
bool dm_again(struct dm *dm, bool failed);

/* dm_undo.c */
void dm_undo_thaw(struct dm *dm); /* from any phase that may have frozen */
void dm_undo_progress(struct dm *dm, uint64_t now_ns);
void dm_undo_release(struct dm *dm); /* nothing is armed: let go of all */
/* The driver, the guard or the worker is gone, or SIGTERM came, in any phase.
 */
void dm_undo_lost(struct dm *dm);
bool dm_undo_armed(struct dm *dm);
/* Whether a freeze call is still in the kernel, as far as the page says. */
bool dm_undo_freezing(struct dm *dm);
/*
 * A process apart, for what may block: nobody waits for it, and it has neither
 * device nor lock nor any socket, whose end others wait for.  True in it.
 */
bool dm_undo_apart(void);

/* dm_luns.c: at the beginning of a transaction, and at its end. */
void dm_luns_read(struct dm *dm);
void dm_luns_report(struct dm *dm);
/* The disks that the plan keeps to, or NULL: all. */
const struct lun_disks *dm_luns_disks(const struct dm *dm);

/* dm_helpers.c.  An order is sent, and its DONE awaited until the deadline. */
void dm_helpers_init(struct dm *dm);
void dm_helpers_start(struct dm *dm); /* what is missing and may be started */
bool dm_helpers_ready(const struct dm *dm);
void dm_helpers_read(struct dm *dm, enum dm_role role);
void dm_helpers_reap(struct dm *dm, enum dm_role role);
void dm_helpers_kill(struct dm *dm, enum dm_role role);
int dm_helpers_order(
    struct dm *dm, enum dm_role role, struct frz_msg *fm, uint64_t limit_ns);
bool dm_helpers_alive(const struct dm *dm, enum dm_role role);
void dm_helpers_tick(struct dm *dm, uint64_t now_ns);
uint64_t dm_helpers_deadline(const struct dm *dm);
void dm_helpers_stop(struct dm *dm);

/* dm_record.c */
struct dm_record_fs {
	uint32_t rf_major;
	uint32_t rf_minor;
	bool rf_ours; /* it was being frozen, or frozen */
	bool rf_due;  /* dm_recover.c: to be thawed now */
	char rf_point[FRZ_PATH_MAX];
};

struct dm_record {
	pid_t rc_pid[DM_NROLES];
	uint64_t rc_start[DM_NROLES]; /* start times, as /proc has them */
	bool rc_rcu;  /* rcu_expedited was 0 and may have been raised */
	bool rc_full; /* dm_recover.c: there was no room for all */
	uint32_t rc_nfs;
	struct dm_record_fs rc_fs[FRZ_FS_MAX];
};

int dm_record_lock(struct dm *dm); /* reports errors; an errno */
int dm_record_open(struct dm *dm); /* if it is not; an errno */
int dm_record_write(struct dm *dm);
void dm_record_clear(struct dm *dm);
/* Reads it; false if it names nothing that may be frozen, rc_rcu or not. */
bool dm_record_read(struct dm *dm, struct dm_record *rc);
/* A pidfd of the worker or guard that it names, or -1 if that has ended. */
int dm_record_helper(const struct dm_record *rc, enum dm_role role);

/* dm_rcu.c */
bool dm_rcu_wanted(const struct dm *dm);
void dm_rcu_recover(void);	  /* puts back what an earlier run raised */
void dm_rcu_ended(struct dm *dm); /* what a worker that ended raised */

/* dm_recover.c */
void dm_recover_start(struct dm *dm); /* at start, worker and guard ready */
void dm_recover_again(struct dm *dm); /* they may have ended by now */
int dm_recover_all(struct dm *dm, bool force); /* exit status */

/*
 * dm_probe.c: opens what is recorded, each in a process of its own, which also
 * thaws it if it is to; waits for them until they have ended, or for so long.
 */
void dm_probe_start(
    const struct dm_record_fs *rf, struct frz_msg *fm, bool thaw);
void dm_probe_wait(const struct dm_record *rc, uint64_t limit_ns);
bool dm_probe_hangs(const struct dm_record_fs *rf);
/* What hangs is tried anew the next time; whether this was said before. */
bool dm_probe_kill(const struct dm_record_fs *rf);

/*
 * dm_history.c: what a transaction did is kept when it is over; the rest is for
 * the loop, which reads and writes in idle only.
 */
void dm_history_init(struct dm_history *hs);
void dm_history_keep(struct dm *dm);
void dm_history_poll(const struct dm *dm, struct pollfd *pfd);
void dm_history_event(struct dm *dm, const struct pollfd *pfd);
void dm_history_stop(struct dm *dm); /* something is about to be frozen */
void dm_history_tick(struct dm *dm, uint64_t now_ns);
uint64_t dm_history_deadline(const struct dm *dm);
void dm_history_finish(struct dm *dm); /* the daemon ends; waits a little */

/* dm_report.c */
void dm_report_timeline(struct dm *dm);
/* "/srv: freeze: Device or resource busy (another program froze it ...)" */
void dm_report_why(struct dm *dm, uint32_t index, const char *what, int error,
    char *buf, size_t len);
/* Mounts whose call is still in the kernel, in buf; false if none is. */
bool dm_report_stuck(struct dm *dm, char *buf, size_t len);

#endif /* _DM_H_ */
