/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/*
 * The lock, which one daemon holds, and the record of what may be frozen, which
 * outlives all processes: run_dir/frozen, on a memory file system, so that it
 *can be written while everything else is frozen and is gone after a restart.
 *
 *	hv_vss frozen 1
 *	boot BOOT-ID
 *	worker PID START-TIME
 *	guard PID START-TIME
 *	rcu_expedited OLD-VALUE		- if it was not changed
 *	fs MAJOR:MINOR STATE PATH	STATE is ours or foreign; PATH to the
 *end of the line, \ooo for odd bytes
 *
 * A record of another boot is ignored.
 */

#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "dm.h"

#define DM_RECORD_HEAD "hv_vss frozen 1"
#define DM_BOOT_ID     "/proc/sys/kernel/random/boot_id"
/* Every byte of a path may need four. */
#define DM_RECORD_MAX (256 + FRZ_FS_MAX * 512)

static const char *const dm_record_role[DM_NROLES] = {
	[DM_WORKER] = "worker %d %llu",
	[DM_GUARD] = "guard %d %llu",
};

struct dm_text {
	size_t tt_len;
	bool tt_full;
	char tt_buf[DM_RECORD_MAX];
};

/* Not on the stack, and never allocated while something is frozen. */
static struct dm_text dm_text0;

static void dm_text_add(struct dm_text *tt, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

static void
dm_text_add(struct dm_text *tt, const char *fmt, ...)
{
	size_t room = sizeof(tt->tt_buf) - tt->tt_len;
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(tt->tt_buf + tt->tt_len, room, fmt, ap);
	va_end(ap);
	if (n < 0 || (size_t)n >= room)
		tt->tt_full = true;
	else
		tt->tt_len += (size_t)n;
}

static void
dm_text_add_path(struct dm_text *tt, const char *path)
{
	for (; *path != '\0'; path++)
		if (*path > ' ' && *path < 0x7f && *path != '\\')
			dm_text_add(tt, "%c", *path);
		else
			dm_text_add(tt, "\\%03o", (unsigned char)*path);
}

/* Undoes that; false if it is not well formed or too long. */
static bool
dm_text_path(const char *from, char *to, size_t len)
{
	unsigned c;
	size_t n = 0;

	while (*from != '\0') {
		c = (unsigned char)*from++;
		if (c == '\\') {
			if (from[0] < '0' || from[0] > '3' || from[1] < '0' ||
			    from[1] > '7' || from[2] < '0' || from[2] > '7')
				return (false);
			c = (unsigned)(from[0] - '0') * 64 +
			    (unsigned)(from[1] - '0') * 8 +
			    (unsigned)(from[2] - '0');
			from += 3;
		}
		if (n + 1 >= len || c == '\0')
			return (false);
		to[n++] = (char)c;
	}
	to[n] = '\0';
	return (n > 0);
}

static bool
dm_boot_id(char *buf, size_t len)
{
	ssize_t n;
	int fd;

	fd = open(DM_BOOT_ID, O_RDONLY | O_CLOEXEC);
	if (fd == -1)
		return (false);
	n = read(fd, buf, len - 1);
	(void)close(fd);
	if (n <= 0)
		return (false);
	buf[n] = '\0';
	buf[strcspn(buf, "\n")] = '\0';
	return (true);
}

/* When a process started, in ticks since boot; 0 if there is none. */
static uint64_t
dm_start_time(pid_t pid)
{
	char path[40], buf[1024], *p;
	unsigned long long start;
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd == -1)
		return (0);
	n = read(fd, buf, sizeof(buf) - 1);
	(void)close(fd);
	if (n <= 0)
		return (0);
	buf[n] = '\0';
	/* The command's name may hold anything, the last ')' ends it. */
	p = strrchr(buf, ')');
	if (p == NULL ||
	    sscanf(p + 1,
		" %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d "
		"%*d %*d %*d %*d %*d %llu",
		&start) != 1)
		return (0);
	return (start);
}

int
dm_record_lock(struct dm *dm)
{
	const char *dir = dm->dm_conf.cf_run_dir;
	char path[FRZ_PATH_MAX];
	int error;

	if (mkdir(dir, 0755) == -1 && errno != EEXIST) {
		error = errno;
		report(REPORT_ERROR, "%s: %s (needs root; set run_dir)", dir,
		    strerror(error));
		return (error);
	}
	snprintf(path, sizeof(path), "%s/lock", dir);
	dm->dm_lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (dm->dm_lock == -1) {
		error = errno;
		report(REPORT_ERROR, "%s: %s (needs root; set run_dir)", path,
		    strerror(error));
		return (error);
	}
	if (flock(dm->dm_lock, LOCK_EX | LOCK_NB) == -1) {
		error = errno;
		report(REPORT_ERROR,
		    "%s: another hv_vss_daemon is running (stop that one)",
		    path);
		return (error);
	}
	return (0);
}

/* Whether the record that is open is the one that the next start will find. */
static bool
dm_record_there(const struct dm *dm, const char *path)
{
	struct stat ours, there;

	return (fstat(dm->dm_record, &ours) == 0 && stat(path, &there) == 0 &&
	    ours.st_dev == there.st_dev && ours.st_ino == there.st_ino);
}

/* What was removed while it was open, the lock beside it perhaps, is lost. */
int
dm_record_open(struct dm *dm)
{
	char path[FRZ_PATH_MAX];
	int error;

	snprintf(path, sizeof(path), "%s/frozen", dm->dm_conf.cf_run_dir);
	if (dm->dm_record != -1) {
		if (dm_record_there(dm, path))
			return (0);
		(void)close(dm->dm_lock);
		error = dm_record_lock(dm);
		if (error != 0)
			return (error);
		(void)close(dm->dm_record);
	}
	dm->dm_record = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	return (dm->dm_record == -1 ? errno : 0);
}

/* "ROLE PID START-TIME", asked once for each process: not while frozen. */
static void
dm_record_add_helper(struct dm *dm, struct dm_text *tt, enum dm_role role)
{
	struct dm_helper *dh = &dm->dm_helper[role];

	if (dh->dh_pid <= 0)
		return;
	if (dh->dh_start == 0)
		dh->dh_start = dm_start_time(dh->dh_pid);
	dm_text_add(tt, "%s %d %llu\n", role == DM_WORKER ? "worker" : "guard",
	    (int)dh->dh_pid, (unsigned long long)dh->dh_start);
}

static void
dm_record_compose(struct dm *dm, struct dm_text *tt)
{
	struct dm_txn *tx = &dm->dm_txn;
	uint32_t i, state;

	tt->tt_len = 0;
	if (dm->dm_boot[0] == '\0')
		(void)dm_boot_id(dm->dm_boot, sizeof(dm->dm_boot));
	tt->tt_full = dm->dm_boot[0] == '\0';
	dm_text_add(tt, DM_RECORD_HEAD "\nboot %s\n", dm->dm_boot);
	dm_record_add_helper(dm, tt, DM_WORKER);
	dm_record_add_helper(dm, tt, DM_GUARD);
	/* The worker has put it back when everything is frozen. */
	dm_text_add(tt, "rcu_expedited %s\n",
	    tx->tx_rcu && tx->tx_phase != DM_HOLDING ? "0" : "-");
	for (i = 0; i < tx->tx_nfs; i++) {
		if ((tx->tx_fs[i].df_flags & FRZ_F_SYNC_ONLY) != 0)
			continue;
		state = atomic_load(&dm->dm_page->pg_slots[i].fs_state);
		dm_text_add(tt, "fs %u:%u %s ", tx->tx_fs[i].df_major,
		    tx->tx_fs[i].df_minor,
		    state == FRZ_NOT_OURS ? "foreign" : "ours");
		dm_text_add_path(tt, tx->tx_fs[i].df_point);
		dm_text_add(tt, "\n");
	}
}

int
dm_record_write(struct dm *dm)
{
	struct dm_text *tt = &dm_text0;
	struct statfs sf;
	ssize_t n;

	if (fstatfs(dm->dm_record, &sf) == -1)
		return (errno);
	if (sf.f_type != TMPFS_MAGIC && sf.f_type != RAMFS_MAGIC)
		return (ENOTSUP);
	dm_record_compose(dm, tt);
	if (tt->tt_full)
		return (E2BIG);
	n = pwrite(dm->dm_record, tt->tt_buf, tt->tt_len, 0);
	if (n == -1)
		return (errno);
	if ((size_t)n != tt->tt_len ||
	    ftruncate(dm->dm_record, (off_t)tt->tt_len) == -1)
		return (ENOSPC);
	return (0);
}

void
dm_record_clear(struct dm *dm)
{
	if (dm->dm_record != -1)
		(void)!ftruncate(dm->dm_record, 0);
}

/* One line; what is not understood is left out. */
static void
dm_record_line(struct dm_record *rc, char *line)
{
	struct dm_record_fs *rf = &rc->rc_fs[rc->rc_nfs];
	unsigned long long start;
	enum dm_role role;
	char state[16];
	int n = 0, pid;

	if (strcmp(line, "rcu_expedited 0") == 0)
		rc->rc_rcu = true;
	for (role = 0; role < DM_NROLES; role++)
		if (sscanf(line, dm_record_role[role], &pid, &start) == 2) {
			rc->rc_pid[role] = pid;
			rc->rc_start[role] = start;
		}
	if (rc->rc_nfs == FRZ_FS_MAX ||
	    sscanf(line, "fs %u:%u %15s %n", &rf->rf_major, &rf->rf_minor,
		state, &n) != 3 ||
	    n == 0 ||
	    !dm_text_path(line + n, rf->rf_point, sizeof(rf->rf_point)))
		return;
	rf->rf_ours = strcmp(state, "ours") == 0;
	rc->rc_nfs += rf->rf_ours ? 1 : 0;
}

bool
dm_record_read(struct dm *dm, struct dm_record *rc)
{
	struct dm_text *tt = &dm_text0;
	char boot[64], want[80], *line, *save;
	ssize_t n;

	/* Not the whole of it, which would be memory for what is not there. */
	memset(rc, 0, offsetof(struct dm_record, rc_fs));
	if (dm->dm_record == -1)
		return (false);
	n = pread(dm->dm_record, tt->tt_buf, sizeof(tt->tt_buf) - 1, 0);
	if (n <= 0)
		return (false);
	tt->tt_buf[n] = '\0';
	line = strtok_r(tt->tt_buf, "\n", &save);
	if (line == NULL || strcmp(line, DM_RECORD_HEAD) != 0)
		return (false);
	line = strtok_r(NULL, "\n", &save);
	if (!dm_boot_id(boot, sizeof(boot)))
		return (false);
	snprintf(want, sizeof(want), "boot %s", boot);
	if (line == NULL || strcmp(line, want) != 0)
		return (false);
	while ((line = strtok_r(NULL, "\n", &save)) != NULL)
		dm_record_line(rc, line);
	return (rc->rc_nfs > 0);
}

int
dm_record_helper(const struct dm_record *rc, enum dm_role role)
{
	int pidfd;

	if (rc->rc_pid[role] <= 1 || rc->rc_start[role] == 0)
		return (-1);
	pidfd = (int)syscall(SYS_pidfd_open, rc->rc_pid[role], 0);
	if (pidfd == -1)
		return (-1);
	/* Looked at after it is held: a number that is used anew differs. */
	if (dm_start_time(rc->rc_pid[role]) == rc->rc_start[role])
		return (pidfd);
	(void)close(pidfd);
	return (-1);
}
