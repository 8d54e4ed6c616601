/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/*
 * Thaws what an earlier run left frozen, by its record, or everything.
 *
 * The worker does it, as in a transaction, but with FRZ_F_FORCE: what it did
 * not freeze itself is thawed too, and what is not frozen is no error.  The
 * earlier run's freezer may still be within a freeze and complete it after the
 * thaw, so it is killed, waited for, and what it left is thawed once more.
 *
 * What cannot be opened because that hangs (dm_probe.c) is set aside: all else
 * is thawed, then it is tried again, since whoever serves what it lies below
 * may have waited for what was frozen.
 */

#include <sys/stat.h>
#include <sys/syscall.h>

#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "dm.h"
#include "fdwait.h"

#define DM_OPEN_NS	 (2 * DM_NS_PER_S)
#define DM_KILLED_NS	 (100 * DM_NS_PER_MS)
#define DM_START_WAIT_NS (5 * DM_NS_PER_S)
#define DM_ALL_WAIT_NS	 (60 * DM_NS_PER_S)

/* The mounts to be thawed.  Large, and used by one thread. */
static struct dm_record dm_list;

/* What came of thawing what is on a list once. */
struct dm_pass {
	int dp_error; /* the first failure */
	char dp_why[HV_VSS_REASON_MAX];
	uint32_t dp_gone; /* not mounted any more */
	uint32_t dp_hung; /* set aside */
	bool dp_doubt;	  /* a freeze under way may freeze it yet */
};

/* Sends an order and waits for its DONE; its errno, or why there is none. */
static int
dm_recover_order(struct dm *dm, struct frz_msg *fm, uint64_t limit_ns)
{
	struct dm_helper *dh = &dm->dm_helper[DM_WORKER];
	uint64_t end = frz_now_ns() + limit_ns, now;
	struct pollfd pfd = { dh->dh_ctl, POLLIN, 0 };
	uint32_t op = fm->fm_op;
	struct frz_fds ff;
	int error;

	error = dm_helpers_order(dm, DM_WORKER, fm, DM_NEVER);
	while (error == 0) {
		now = frz_now_ns();
		if (now >= end)
			return (ETIMEDOUT);
		(void)fdwait(&pfd, 1, (int)((end - now) / DM_NS_PER_MS) + 1);
		error = frz_recv(dh->dh_ctl, fm, &ff);
		if (error == EAGAIN) {
			error = 0;
			continue;
		}
		if (error != 0)
			break;
		frz_fds_close(&ff);
		if (fm->fm_op == FRZ_DONE && fm->fm_of == op) {
			dh->dh_due = 0;
			return (fm->fm_errno);
		}
	}
	return (error);
}

/* Undoes mountinfo's octal escapes, in place. */
static void
dm_recover_unescape(char *s)
{
	char *to = s;

	for (; *s != '\0'; to++)
		if (s[0] == '\\' && s[1] >= '0' && s[1] <= '3' && s[2] >= '0' &&
		    s[2] <= '7' && s[3] >= '0' && s[3] <= '7') {
			*to = (char)((s[1] - '0') * 64 + (s[2] - '0') * 8 +
			    (s[3] - '0'));
			s += 4;
		} else
			*to = *s++;
	*to = '\0';
}

struct dm_mount {
	unsigned long long dm_id;
	unsigned dm_major;
	unsigned dm_minor;
	char dm_point[FRZ_PATH_MAX * 4];
	char dm_type[64];
	char dm_source[256];
};

/*
 * One line of mountinfo; false if it has another form.  Blank, tab and newline
 * are escaped in it, other white space is not.
 */
static bool
dm_recover_parse(const char *line, struct dm_mount *m)
{
	const char *dash = strstr(line, " - ");

	if (dash == NULL ||
	    sscanf(line, "%llu %*u %u:%u %*[^ ] %4095[^ ]", &m->dm_id,
		&m->dm_major, &m->dm_minor, m->dm_point) != 4 ||
	    sscanf(dash, " - %63s %255s", m->dm_type, m->dm_source) != 2)
		return (false);
	dm_recover_unescape(m->dm_point);
	/* With its NUL in the first FRZ_PATH_MAX bytes. */
	return (strlen(m->dm_point) < FRZ_PATH_MAX);
}

/* What opening may hang or act on is not what we froze. */
static bool
dm_recover_local(const struct dm_mount *m)
{
	return (m->dm_source[0] == '/' && strncmp(m->dm_type, "fuse", 4) != 0 &&
	    strcmp(m->dm_type, "squashfs") != 0 &&
	    strcmp(m->dm_type, "iso9660") != 0);
}

/* What was mounted last comes first, as in a record: it may lie on others. */
static void
dm_recover_reverse(struct dm_record *rc)
{
	static struct dm_record_fs one;
	uint32_t i, j;

	for (i = 0, j = rc->rc_nfs; i + 1 < j; i++) {
		one = rc->rc_fs[i];
		rc->rc_fs[i] = rc->rc_fs[--j];
		rc->rc_fs[j] = one;
	}
}

static bool
dm_recover_listed(const struct dm_record *rc, const struct dm_mount *m)
{
	for (uint32_t i = 0; i < rc->rc_nfs; i++)
		if (rc->rc_fs[i].rf_major == m->dm_major &&
		    rc->rc_fs[i].rf_minor == m->dm_minor)
			return (true);
	return (false);
}

/* Every local file system of one process's mounts that is not listed yet. */
static void
dm_recover_list(struct dm_record *rc, const char *pid)
{
	char path[64], *line = NULL;
	struct dm_record_fs *rf;
	struct dm_mount m;
	size_t cap = 0;
	FILE *fp;

	snprintf(path, sizeof(path), "/proc/%.20s/mountinfo", pid);
	fp = fopen(path, "re");
	if (fp == NULL)
		return;
	while (!rc->rc_full && getline(&line, &cap, fp) != -1) {
		if (sscanf(line, "%*u %*u %u:%u", &m.dm_major, &m.dm_minor) !=
			2 ||
		    dm_recover_listed(rc, &m) || !dm_recover_parse(line, &m) ||
		    !dm_recover_local(&m))
			continue;
		rc->rc_full = rc->rc_nfs == FRZ_FS_MAX;
		if (rc->rc_full)
			break;
		rf = &rc->rc_fs[rc->rc_nfs++];
		rf->rf_major = m.dm_major;
		rf->rf_minor = m.dm_minor;
		rf->rf_ours = true;
		memcpy(rf->rf_point, m.dm_point, sizeof(rf->rf_point));
	}
	free(line);
	fclose(fp);
}

/* All of this mount namespace, or (elsewhere) what is in others only. */
static void
dm_recover_list_all(struct dm_record *rc, bool elsewhere)
{
	DIR *d = elsewhere ? opendir("/proc") : NULL;
	struct dirent *de;
	uint32_t own;

	memset(rc, 0, offsetof(struct dm_record, rc_fs));
	dm_recover_list(rc, "self");
	own = elsewhere ? rc->rc_nfs : 0;
	while (d != NULL && (de = readdir(d)) != NULL)
		if (de->d_name[0] >= '1' && de->d_name[0] <= '9')
			dm_recover_list(rc, de->d_name);
	if (d != NULL)
		closedir(d);
	rc->rc_nfs -= own;
	memmove(rc->rc_fs, rc->rc_fs + own, rc->rc_nfs * sizeof(rc->rc_fs[0]));
	dm_recover_reverse(rc);
}

/* Where a recorded file system is mounted, by one process's mounts ("self"). */
static bool
dm_recover_find_in(const char *pid, const struct dm_record_fs *rf,
    struct dm_fs *df, char *point)
{
	char path[64], *line = NULL;
	struct dm_mount m;
	size_t cap = 0;
	bool found = false, same = false;
	FILE *fp;

	snprintf(path, sizeof(path), "/proc/%.20s/mountinfo", pid);
	fp = fopen(path, "re");
	if (fp == NULL)
		return (false);
	while (!same && getline(&line, &cap, fp) != -1) {
		if (sscanf(line, "%*u %*u %u:%u", &m.dm_major, &m.dm_minor) !=
			2 ||
		    m.dm_major != rf->rf_major || m.dm_minor != rf->rf_minor ||
		    !dm_recover_parse(line, &m))
			continue;
		same = strcmp(m.dm_point, rf->rf_point) == 0;
		if (found && !same)
			continue;
		found = true;
		df->df_mnt_id = m.dm_id;
		memcpy(point, m.dm_point, FRZ_PATH_MAX);
	}
	free(line);
	fclose(fp);
	return (found);
}

/*
 * Where a recorded file system is mounted now: there, elsewhere, or in another
 * mount namespace.
 */
static bool
dm_recover_find(const struct dm_record_fs *rf, struct dm_fs *df, char *point)
{
	bool found = dm_recover_find_in("self", rf, df, point);
	char inside[FRZ_PATH_MAX];
	struct dirent *de;
	DIR *d = opendir("/proc");

	while (d != NULL && !found && (de = readdir(d)) != NULL)
		if (de->d_name[0] >= '1' && de->d_name[0] <= '9' &&
		    dm_recover_find_in(de->d_name, rf, df, inside))
			found = snprintf(point, FRZ_PATH_MAX,
				    "/proc/%.20s/root%s", de->d_name,
				    inside) < FRZ_PATH_MAX;
	if (d != NULL)
		closedir(d);
	df->df_major = rf->rf_major;
	df->df_minor = rf->rf_minor;
	/* Unnamed devices (btrfs) have other numbers in each subvolume. */
	df->df_flags = rf->rf_major == 0 ? FRZ_F_ANY_DEV : 0;
	return (found);
}

/* What was said when it was tried first is not said again. */
static enum report_level
dm_recover_level(const struct dm *dm, enum report_level level)
{
	return (dm->dm_veto[0] == '\0' ? level : REPORT_DEBUG);
}

static void
dm_recover_note(struct dm_pass *dp, int error, const char *why)
{
	if (dp->dp_error != 0)
		return;
	dp->dp_error = error;
	snprintf(dp->dp_why, sizeof(dp->dp_why), "%s", why);
}

/* Notes the first thing that failed, if it is another than the last time. */
__attribute__((format(printf, 4, 5))) static void
dm_recover_fail(
    struct dm *dm, struct dm_pass *dp, int error, const char *fmt, ...)
{
	char why[HV_VSS_REASON_MAX];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(why, sizeof(why), fmt, ap);
	va_end(ap);
	report(strcmp(why, dm->dm_veto) == 0 ? REPORT_DEBUG : REPORT_ERROR,
	    "%s", why);
	dm_recover_note(dp, error, why);
}

/* The order to open it, if it is mounted. */
static bool
dm_recover_aim(
    const struct dm_record_fs *rf, struct dm_fs *df, struct frz_msg *fm)
{
	memset(fm, 0, sizeof(*fm));
	memset(df, 0, sizeof(*df));
	if (!dm_recover_find(rf, df, fm->fm_path))
		return (false);
	fm->fm_op = FRZ_OPEN;
	fm->fm_mnt_id = df->df_mnt_id;
	fm->fm_major = df->df_major;
	fm->fm_minor = df->df_minor;
	fm->fm_flags = df->df_flags;
	return (true);
}

/* 0 or an errno; ENODEV: it is not mounted. */
static int
dm_recover_open_one(struct dm *dm, struct dm_record_fs *rf, uint32_t level)
{
	struct dm_txn *tx = &dm->dm_txn;
	struct dm_fs df;
	struct frz_msg fm;
	int error;

	if (!dm_recover_aim(rf, &df, &fm))
		return (ENODEV);
	fm.fm_index = tx->tx_nfs;
	/* What is later in the list may have it lie on itself. */
	fm.fm_level = level;
	error = dm_recover_order(dm, &fm, DM_OPEN_NS);
	if (error != 0)
		return (error);
	df.df_point = rf->rf_point;
	tx->tx_fs[tx->tx_nfs++] = df;
	return (0);
}

/*
 * Opens what is due.  What is not mounted is reported, and nothing can be done
 * about it here; what cannot be opened may stay frozen.  False if the
 * worker does not answer any more.
 */
static bool
dm_recover_open(struct dm *dm, struct dm_record *rc, struct dm_pass *dp)
{
	struct dm_record_fs *rf;
	uint32_t i;
	int error = 0;

	for (i = 0; i < rc->rc_nfs && error != ETIMEDOUT; i++) {
		rf = &rc->rc_fs[i];
		if (!rf->rf_due)
			continue;
		error = dm_recover_open_one(dm, rf, i);
		if (error == ENODEV) {
			report(dm_recover_level(dm, REPORT_ERROR),
			    "%s: may be frozen, and is not mounted any more "
			    "(mount device %u:%u, then hv_vss_daemon "
			    "--thaw-all --force)",
			    rf->rf_point, rf->rf_major, rf->rf_minor);
			dp->dp_gone++;
		} else if (error != 0)
			dm_recover_fail(dm, dp, error,
			    "%.100s: may be frozen, and cannot be opened: %s "
			    "(%s, then hv_vss_daemon --thaw-all)",
			    rf->rf_point, strerror(error),
			    error == ESTALE || error == ENOENT ?
				"unmount what hides it" :
				"mend that");
	}
	return (error != ETIMEDOUT);
}

/* Which of those in the record it is nobody can tell. */
static const char *
dm_recover_others(const struct dm_record *rc)
{
	return (rc->rc_nfs > 1 ? " or another that it froze" : "");
}

/* The freezer did not do as it was told, or not in time. */
static void
dm_recover_failed(struct dm *dm, struct dm_pass *dp, int error)
{
	dm_recover_fail(dm, dp, error, "the freezer: %s", strerror(error));
}

static void
dm_recover_tell(struct dm *dm, struct dm_pass *dp, int error)
{
	struct dm_txn *tx = &dm->dm_txn;
	struct frz_slot *fs;
	uint32_t i;

	for (i = 0; i < tx->tx_nfs; i++) {
		fs = &dm->dm_page->pg_slots[i];
		if (atomic_load(&fs->fs_state) == FRZ_THAWED)
			report(dm_recover_level(dm, REPORT_NOTICE),
			    "%s: not frozen any more", tx->tx_fs[i].df_point);
		else
			dm_recover_fail(dm, dp, error != 0 ? error : EBUSY,
			    "%.120s: its thaw has not returned from the kernel",
			    tx->tx_fs[i].df_point);
	}
	if (error != 0)
		dm_recover_failed(dm, dp, error);
}

/* What a pass before this one opened is let go of: a thaw of it may be out. */
static int
dm_recover_release(struct dm *dm, enum dm_role role)
{
	struct frz_msg fm;

	memset(&fm, 0, sizeof(fm));
	fm.fm_op = FRZ_RELEASE;
	if (role == DM_WORKER)
		return (dm_recover_order(dm, &fm, DM_OPEN_NS));
	return (dm_helpers_order(dm, role, &fm, DM_NEVER));
}

/* Whether something was not frozen, and may be by a freeze under way. */
static bool
dm_recover_doubt(struct dm *dm)
{
	uint32_t i;

	for (i = 0; i < dm->dm_txn.tx_nfs; i++)
		if (atomic_load(&dm->dm_page->pg_slots[i].fs_errno) != 0)
			return (true);
	return (false);
}

/* Thaws what is due on the list; 0, or an errno and why. */
static int
dm_recover_once(
    struct dm *dm, struct dm_record *rc, uint64_t limit_ns, struct dm_pass *dp)
{
	struct dm_txn *tx = &dm->dm_txn;
	struct frz_msg fm;
	int error;

	tx->tx_gen++;
	tx->tx_nfs = 0;
	frz_page_begin(dm->dm_page, tx->tx_gen, rc->rc_nfs);
	/* One that is silent may hang in an open; another may not. */
	if (!dm_recover_open(dm, rc, dp)) {
		dm_helpers_kill(dm, DM_WORKER);
		return (dp->dp_error);
	}
	memset(&fm, 0, sizeof(fm));
	fm.fm_op = FRZ_THAW;
	fm.fm_flags = FRZ_F_FORCE;
	error = dm_recover_order(dm, &fm, limit_ns);
	dm_recover_tell(dm, dp, error);
	dp->dp_doubt = dp->dp_doubt || dm_recover_doubt(dm);
	if (error != 0)
		return (error);
	error = dm_recover_release(dm, DM_WORKER);
	if (error != 0)
		dm_recover_failed(dm, dp, error);
	/* The guard was given the same descriptors, and thaws nothing now. */
	if (dm_helpers_alive(dm, DM_GUARD))
		(void)dm_recover_release(dm, DM_GUARD);
	return (error);
}

/* Names what hangs. */
static void
dm_recover_hung(struct dm_record *rc, struct dm_pass *dp)
{
	char why[HV_VSS_REASON_MAX];
	struct frz_msg fm;
	struct dm_fs df;
	bool said;
	uint32_t i;

	for (i = 0; i < rc->rc_nfs; i++) {
		if (!dm_probe_hangs(&rc->rc_fs[i]))
			continue;
		said = dm_probe_kill(&rc->rc_fs[i]);
		(void)dm_recover_aim(&rc->rc_fs[i], &df, &fm);
		(void)snprintf(why, sizeof(why),
		    "%.64s: may be frozen, and opening %.64s hangs (make the "
		    "FUSE or NFS above it answer, do not unmount that; then "
		    "hv_vss_daemon --thaw-all)",
		    rc->rc_fs[i].rf_point, fm.fm_path);
		report(said ? REPORT_DEBUG : REPORT_ERROR, "%s", why);
		dm_recover_note(dp, ETIMEDOUT, why);
		dp->dp_hung++;
	}
}

/*
 * Lets go of what a pass before this one opened.  If a thaw of that has not
 * returned it may wait for what was set aside then, below it: that is thawed
 * past the worker.
 */
static int
dm_recover_begin(struct dm *dm, struct dm_record *rc, struct dm_pass *dp)
{
	int error = dm_recover_release(dm, DM_WORKER);
	struct frz_msg fm;
	struct dm_fs df;
	uint32_t i;

	memset(dp, 0, sizeof(*dp));
	dm_probe_wait(rc, DM_KILLED_NS);
	for (i = 0; i < rc->rc_nfs; i++)
		if (dm_recover_aim(&rc->rc_fs[i], &df, &fm))
			dm_probe_start(&rc->rc_fs[i], &fm, error == EBUSY);
	dm_probe_wait(rc, DM_OPEN_NS);
	if (error == EBUSY)
		dm_recover_fail(dm, dp, error,
		    "%.120s%s: a thaw has not returned from the kernel",
		    rc->rc_fs[0].rf_point, dm_recover_others(rc));
	else if (error != 0) {
		dm_recover_failed(dm, dp, error);
		dm_helpers_kill(dm, DM_WORKER);
	}
	return (error);
}

/*
 * Thaws what is on the list; 0 if nothing of it is frozen any more, as far as
 * it is mounted, or an errno and why: ETIMEDOUT if a thaw does not return.
 */
static int
dm_recover_pass(
    struct dm *dm, struct dm_record *rc, uint64_t limit_ns, struct dm_pass *dp)
{
	int error = dm_recover_begin(dm, rc, dp);
	uint32_t hung = 0, i;

	for (i = 0; i < rc->rc_nfs; i++) {
		rc->rc_fs[i].rf_due = !dm_probe_hangs(&rc->rc_fs[i]);
		hung += rc->rc_fs[i].rf_due ? 0 : 1;
	}
	if (error == 0)
		error = dm_recover_once(dm, rc, limit_ns, dp);
	/* A retry is one already, and does not wait for more. */
	if (error == 0 && hung != 0 && dm->dm_veto[0] == '\0') {
		dm_probe_wait(rc, DM_OPEN_NS);
		for (i = 0; i < rc->rc_nfs; i++)
			rc->rc_fs[i].rf_due = !rc->rc_fs[i].rf_due &&
			    !dm_probe_hangs(&rc->rc_fs[i]);
		error = dm_recover_once(dm, rc, limit_ns, dp);
	}
	dm_recover_hung(rc, dp);
	return (dp->dp_error);
}

/* Waits until an earlier run's process has ended, and forgets it then. */
static bool
dm_recover_ended(int *pidfd, uint64_t limit_ns)
{
	struct pollfd pfd = { *pidfd, POLLIN, 0 };

	if (*pidfd == -1)
		return (true);
	if (fdwait(&pfd, 1, (int)(limit_ns / DM_NS_PER_MS)) != 1)
		return (false);
	(void)close(*pidfd);
	*pidfd = -1;
	return (true);
}

static void
dm_recover_kill(int pidfd)
{
	if (pidfd != -1)
		(void)syscall(SYS_pidfd_send_signal, pidfd, SIGKILL, NULL, 0);
}

/*
 * Waits for the earlier worker, which was killed, and for its guard, which ends
 * when it has thawed what the worker left; a guard that does not may be
 * stopped.  One that is a service, and serves this daemon, greeted after that.
 */
static bool
dm_recover_old_ended(struct dm *dm, uint64_t limit_ns)
{
	if (!dm_recover_ended(&dm->dm_old[DM_WORKER], limit_ns))
		return (false);
	if (dm_recover_ended(&dm->dm_old[DM_GUARD], limit_ns / 4))
		return (true);
	dm_recover_kill(dm->dm_old[DM_GUARD]);
	return (dm_recover_ended(&dm->dm_old[DM_GUARD], limit_ns / 4));
}

/* Thaws for the last time when the earlier ones have ended, or says who not. */
static void
dm_recover_finish(struct dm *dm, struct dm_record *rc, uint64_t limit_ns)
{
	bool ended = dm_recover_old_ended(dm, limit_ns);
	struct dm_pass dp;

	/* It may have been killed within the write that raises it. */
	if (ended && rc->rc_rcu)
		dm_rcu_recover();
	if (ended && dm_recover_pass(dm, rc, DM_START_WAIT_NS, &dp) == 0) {
		if (dm->dm_veto[0] != '\0')
			report(REPORT_NOTICE,
			    "what an earlier run left is not frozen any more");
		dm->dm_veto[0] = '\0';
		dm_record_clear(dm);
		return;
	}
	if (!ended) {
		memset(&dp, 0, sizeof(dp));
		dm_recover_fail(dm, &dp, ETIMEDOUT,
		    "%.120s%s: an earlier freeze or thaw has not returned from "
		    "the kernel",
		    rc->rc_fs[0].rf_point, dm_recover_others(rc));
	}
	memcpy(dm->dm_veto, dp.dp_why, sizeof(dm->dm_veto));
}

void
dm_recover_start(struct dm *dm)
{
	struct dm_record *rc = &dm_list;
	struct dm_pass dp;
	enum dm_role role;

	if (!dm_record_read(dm, rc)) {
		if (rc->rc_rcu)
			dm_rcu_recover();
		dm_record_clear(dm);
		return;
	}
	report(REPORT_WARNING,
	    "an earlier run may have left %u file systems frozen; thawing",
	    rc->rc_nfs);
	/* A guard that is a service of its own may be the same as then. */
	for (role = 0; role < DM_NROLES; role++)
		if (rc->rc_pid[role] != dm->dm_helper[role].dh_pid)
			dm->dm_old[role] = dm_record_helper(rc, role);
	dm_recover_kill(dm->dm_old[DM_WORKER]);
	if (rc->rc_rcu)
		dm_rcu_recover();
	/* At once, whoever may still be in the kernel; then for good. */
	if (dm->dm_old[DM_WORKER] != -1 || dm->dm_old[DM_GUARD] != -1)
		(void)dm_recover_pass(dm, rc, DM_START_WAIT_NS, &dp);
	dm_recover_finish(dm, rc, DM_START_WAIT_NS);
}

void
dm_recover_again(struct dm *dm)
{
	struct dm_record *rc = &dm_list;

	if (!dm_record_read(dm, rc)) {
		dm->dm_veto[0] = '\0';
		return;
	}
	dm_recover_finish(dm, rc, DM_NS_PER_MS);
}

/* A daemon that lives sees to its own, and empties its record. */
static bool
dm_recover_due(struct dm *dm)
{
	struct stat st;

	return (fstat(dm->dm_record, &st) == 0 && st.st_size > 0);
}

int
dm_recover_all(struct dm *dm, bool force)
{
	struct dm_record *rc = &dm_list;
	uint64_t end = frz_now_ns() + DM_ALL_WAIT_NS;
	struct dm_pass dp;
	int error, pidfd = -1;
	bool doubt, failed, found;

	found = dm_record_read(dm, rc);
	if (rc->rc_rcu)
		dm_rcu_recover();
	if (found)
		pidfd = dm_record_helper(rc, DM_WORKER);
	else if (!force) {
		report(REPORT_NOTICE,
		    "the record names nothing that is frozen "
		    "(--force thaws everything)");
		return (0);
	}
	if (force)
		dm_recover_list_all(rc, false);
	error = dm_recover_pass(dm, rc, DM_ALL_WAIT_NS, &dp);
	doubt = pidfd != -1 && dp.dp_doubt;
	/* A freezer that is still within a freeze completes it after that. */
	while ((error == 0 || dp.dp_hung != 0) && doubt && pidfd != -1 &&
	    frz_now_ns() < end) {
		(void)dm_recover_ended(&pidfd, DM_NS_PER_S);
		doubt = dm_recover_due(dm);
		if (!doubt)
			break;
		error = dm_recover_pass(dm, rc, DM_ALL_WAIT_NS, &dp);
		doubt = pidfd != -1 && dp.dp_doubt;
	}
	failed = error != 0 || dp.dp_gone != 0 || doubt;
	if (!force)
		return (failed ? 1 : 0);
	/* What is in others' hands, and may hang, comes last. */
	dm_recover_list_all(rc, true);
	if (rc->rc_full) {
		report(REPORT_ERROR,
		    "more than %d file systems; the others may be frozen as "
		    "they were (thaw them with fsfreeze -u)",
		    FRZ_FS_MAX);
		failed = true;
	}
	if (rc->rc_nfs > 0 && dm_recover_pass(dm, rc, DM_ALL_WAIT_NS, &dp) != 0)
		failed = true;
	return (failed ? 1 : 0);
}
