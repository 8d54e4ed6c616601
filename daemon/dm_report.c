/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/*
 * What the administrator is told: why a backup was refused and what to do about
 * it, which mounts hang, and how long each step took.
 */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "apart.h"
#include "dm.h"
#include "json.h"

/* For the timeline to be written. */
#define DM_MOMENT_MS 50
/* Every byte of a name may become six. */
#define DM_TRACE_LINE (256 + 6 * FRZ_PATH_MAX)

static const char *const dm_step_name[FRZ_NSTEPS] = {
	[FRZ_STEP_FLUSH] = "flush",
	[FRZ_STEP_FREEZE] = "freeze",
	[FRZ_STEP_THAW] = "thaw",
};

/* What to do, by what failed. */
static const struct {
	const char *rm_what;
	int rm_error;
	const char *rm_remedy;
} dm_remedies[] = {
	{ "freeze", EBUSY,
	    "another program froze it; thaw it with fsfreeze -u" },
	{ "freeze", EOPNOTSUPP, "it cannot be frozen; exclude it" },
	{ "freeze", ECANCELED, "undone before everything was frozen" },
	{ "freeze", EROFS, "it turned read-only after an error; check it" },
	{ "freeze", EIO, "its disk has errors" },
	{ "flush", EIO, "its disk has errors" },
	{ "flush", ENOSPC, "it is full" },
	{ "thaw", EINVAL,
	    "another program thawed it during the hold, or keeps it frozen" },
	{ "second thaw", EINVAL, "the guard thawed it before" },
	{ "open", ESTALE,
	    "another file system is mounted there than planned; try again" },
	{ "open", ENOENT, "it was unmounted or moved; try again" },
	{ "open", ENOTDIR, "neither directory nor file; exclude it" },
	{ "open", EOWNERDEAD, "the guard takes no descriptors; try again" },
	{ "open", EMFILE,
	    "raise the limit of open files (LimitNOFILE of the service)" },
	{ "guard", EBADF,
	    "it could not take every file system; raise the limits of open "
	    "files and of processes (LimitNOFILE and TasksMax of the service)" },
	{ "guard", EOWNERDEAD, "the one that freezes has ended; try again" },
	{ "open", EPERM, "hv_vss_daemon must be root" },
	{ "open", ENOSYS,
	    "its pool needs libzfs_core, which cannot be loaded; install it" },
};

void
dm_report_why(struct dm *dm, uint32_t index, const char *what, int error,
    char *buf, size_t len)
{
	const char *point = "hv_vss_freezer", *remedy = NULL;
	size_t i;

	if (index < dm->dm_txn.tx_nfs)
		point = dm->dm_txn.tx_fs[index].df_point;
	for (i = 0; i < sizeof(dm_remedies) / sizeof(dm_remedies[0]); i++)
		if (dm_remedies[i].rm_error == error &&
		    strcmp(dm_remedies[i].rm_what, what) == 0)
			remedy = dm_remedies[i].rm_remedy;
	snprintf(buf, len, "%.120s: %s: %s%s%s%s", point, what, strerror(error),
	    remedy != NULL ? " (" : "", remedy != NULL ? remedy : "",
	    remedy != NULL ? ")" : "");
}

/*
 * Which call on a file system is out, or FRZ_NSTEPS.  One that is frozen is to
 * be thawed now, or nothing of it is out.
 */
static enum frz_step
dm_report_out(struct frz_slot *fs, bool thawing)
{
	enum frz_step step = FRZ_STEP_FLUSH;
	bool armed = frz_slot_armed(fs);

	if (!thawing && atomic_load(&fs->fs_state) == FRZ_FROZEN)
		return (FRZ_NSTEPS);
	if (armed)
		step = atomic_load(&fs->fs_state) == FRZ_FREEZING ?
		    FRZ_STEP_FREEZE :
		    FRZ_STEP_THAW;
	else if (atomic_load(&fs->fs_state) != FRZ_OPENED)
		return (FRZ_NSTEPS);
	if (!armed &&
	    (atomic_load(&fs->fs_begin_ns[step]) == 0 ||
		atomic_load(&fs->fs_end_ns[step]) != 0))
		return (FRZ_NSTEPS);
	return (step);
}

bool
dm_report_stuck(struct dm *dm, char *buf, size_t len)
{
	struct dm_txn *tx = &dm->dm_txn;
	struct frz_slot *fs;
	enum frz_step step;
	size_t used = 0;
	uint32_t i;
	int error, n;

	buf[0] = '\0';
	if (tx->tx_phase == DM_OPENING && tx->tx_next < tx->tx_nfs) {
		snprintf(buf, len, "%.120s: open has not returned",
		    tx->tx_fs[tx->tx_next].df_point);
		return (true);
	}
	for (i = 0; i < tx->tx_nfs && used < len; i++) {
		fs = &dm->dm_page->pg_slots[i];
		step = dm_report_out(fs, tx->tx_phase == DM_THAWING);
		if (step == FRZ_NSTEPS)
			continue;
		error = atomic_load(&fs->fs_errno);
		n = snprintf(buf + used, len - used, "%s%.120s: %s: %s",
		    used > 0 ? "; " : "", tx->tx_fs[i].df_point,
		    dm_step_name[step],
		    step == FRZ_STEP_THAW && error != 0 && error != EINVAL ?
			strerror(error) :
			"it has not returned from the kernel");
		if (n < 0)
			break;
		used += (size_t)n;
	}
	return (used > 0);
}

/* One line, in one write: the driver's lines go to the same file. */
static int
dm_report_step(int fd, struct dm *dm, uint32_t i, enum frz_step step)
{
	struct frz_slot *fs = &dm->dm_page->pg_slots[i];
	uint64_t begin = atomic_load(&fs->fs_begin_ns[step]);
	uint64_t end = atomic_load(&fs->fs_end_ns[step]);
	static char line[DM_TRACE_LINE];
	struct json_out jo;

	if (begin == 0 || end < begin)
		return (0);
	/* With room for the newline. */
	json_out_init(&jo, line, sizeof(line) - 1);
	json_open(&jo, NULL, '{');
	json_number(&jo, "t_ns", begin);
	json_text(&jo, "who", "daemon");
	json_text(&jo, "event", dm_step_name[step]);
	json_text(&jo, "name", dm->dm_txn.tx_fs[i].df_point);
	json_ms(&jo, "ms", end - begin);
	json_number(&jo, "errno",
	    atomic_load(&fs->fs_failed) == step ?
		(uint64_t)atomic_load(&fs->fs_errno) :
		0);
	json_close(&jo, '}');
	line[jo.jo_len++] = '\n';
	if (write(fd, line, jo.jo_len) == -1)
		return (errno);
	return (0);
}

/* A line a step and file system, appended to the file of `trace'. */
static int
dm_report_append(struct dm *dm)
{
	enum frz_step step;
	uint32_t i;
	int error = 0, fd;

	fd = open(dm->dm_conf.cf_trace,
	    O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd == -1)
		return (errno);
	for (i = 0; i < dm->dm_txn.tx_nfs && error == 0; i++)
		for (step = 0; step < FRZ_NSTEPS && error == 0; step++)
			error = dm_report_step(fd, dm, i, step);
	return (close(fd) == 0 || error != 0 ? error : errno);
}

/* In a child: what it is written to may be frozen by somebody else. */
void
dm_report_timeline(struct dm *dm)
{
	static struct apart writer;
	pid_t pid;
	int error;

	if (dm->dm_conf.cf_trace == NULL || dm->dm_txn.tx_nfs == 0)
		return;
	pid = apart_begin(&writer);
	if (pid == 0)
		_exit(dm_report_append(dm));
	error = pid == -1 ? EBUSY : apart_end(&writer, DM_MOMENT_MS);
	if (error > 0)
		report(REPORT_WARNING, "%s: %s", dm->dm_conf.cf_trace,
		    strerror(error));
}
