/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/*
 * The history: each checkpoint that the driver has done with becomes a line of
 * it, with what happened to the file systems, and the figures for Prometheus.
 *
 * The driver tells of checkpoints on its status socket, which is read between
 * transactions and never waited for.  The disk is written by a child, since it
 * may hang there: nobody waits for that either.  A child that is not done when
 * the next freeze begins is killed, and what it had to write is written after
 * the thaw; a line is in the history once, whoever is killed when.
 */

#include <sys/wait.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "dm.h"
#include "history.h"
#include "prom.h"
#include "status_read.h"

#define DM_HISTORY_MIN_NS  (DM_NS_PER_S / 2) /* between two tries */
#define DM_HISTORY_MAX_NS  (60 * DM_NS_PER_S)
#define DM_HISTORY_REAP_NS (50 * DM_NS_PER_MS)
#define DM_HISTORY_LAST_NS DM_NS_PER_S /* at the daemon's end */
#define DM_HISTORY_ERR	   512

/* How a child ends; the figures are written when the history is. */
enum { DM_HISTORY_OK = 0, DM_HISTORY_FAILED, DM_HISTORY_NO_FIGURES };

void
dm_history_init(struct dm_history *hs)
{
	hs->hs_fd = hs->hs_end = -1;
	hs->hs_pause_ns = DM_HISTORY_MIN_NS;
}

/* Nothing is frozen, nor is it being: what is prepared may wait for long. */
static bool
dm_history_may(const struct dm *dm)
{
	return (dm_txn_idle(dm) || dm->dm_txn.tx_phase == DM_PREPARED);
}

static void
dm_history_later(struct dm_history *hs)
{
	hs->hs_again_ns = frz_now_ns() + hs->hs_pause_ns;
	hs->hs_pause_ns = dm_earlier(2 * hs->hs_pause_ns, DM_HISTORY_MAX_NS);
}

static const char *
dm_history_type(const struct plan *pn, const char *point)
{
	for (size_t i = 0; i < pn->pn_nlines; i++)
		if (pn->pn_lines[i].pl_point == point)
			return (pn->pn_lines[i].pl_type);
	return ("");
}

/* A copy at *at, which is moved on. */
static const char *
dm_history_name(char **at, const char *name)
{
	char *copy = *at;

	*at += strlen(name) + 1;
	return (strcpy(copy, name));
}

static void
dm_history_fs(struct dm_history_fs *hf, const struct dm_txn *tx, uint32_t i,
    struct frz_slot *fs, char **names)
{
	const struct dm_fs *df = &tx->tx_fs[i];

	hf->hf_point = dm_history_name(names, df->df_point);
	hf->hf_type = dm_history_name(
	    names, dm_history_type(&tx->tx_plan, df->df_point));
	hf->hf_frozen = (df->df_flags & FRZ_F_SYNC_ONLY) == 0;
	hf->hf_level = df->df_level;
	hf->hf_errno = atomic_load(&fs->fs_errno);
	hf->hf_failed = atomic_load(&fs->fs_failed);
	for (enum frz_step step = 0; step < FRZ_NSTEPS; step++) {
		hf->hf_begin_ns[step] = atomic_load(&fs->fs_begin_ns[step]);
		hf->hf_end_ns[step] = atomic_load(&fs->fs_end_ns[step]);
	}
}

/* Small, since memory may be short: a few bytes a file system. */
void
dm_history_keep(struct dm *dm)
{
	struct dm_history *hs = &dm->dm_history;
	const struct dm_txn *tx = &dm->dm_txn;
	struct dm_history_txn *ht =
	    &hs->hs_txns[hs->hs_ntxns++ % DM_HISTORY_TXNS];
	size_t size = 0;
	char *names;
	uint32_t i;

	free(ht->ht_fs);
	memset(ht, 0, sizeof(*ht));
	for (i = 0; i < tx->tx_nfs; i++)
		size += sizeof(*ht->ht_fs) + strlen(tx->tx_fs[i].df_point) + 2 +
		    strlen(
			dm_history_type(&tx->tx_plan, tx->tx_fs[i].df_point));
	if (size == 0 || (ht->ht_fs = malloc(size)) == NULL)
		return;
	ht->ht_nfs = tx->tx_nfs;
	ht->ht_begin_ns = tx->tx_begin_ns;
	ht->ht_ndisks = dm->dm_luns.hs_count;
	ht->ht_by_disk = tx->tx_plan.pn_by_disk;
	lun_list(
	    &dm->dm_disks, &dm->dm_luns, ht->ht_disks, sizeof(ht->ht_disks));
	names = (char *)&ht->ht_fs[ht->ht_nfs];
	for (i = 0; i < tx->tx_nfs; i++)
		dm_history_fs(
		    &ht->ht_fs[i], tx, i, &dm->dm_page->pg_slots[i], &names);
}

static void
dm_history_to_ckpt(struct ckpt_fs *cf, const struct dm_history_fs *hf)
{
	static const enum frz_step steps[CKPT_FS_NSTEPS] = { FRZ_STEP_FLUSH,
		FRZ_STEP_FREEZE, FRZ_STEP_THAW };
	struct ckpt_span *cp;

	snprintf(cf->cf_point, sizeof(cf->cf_point), "%s", hf->hf_point);
	snprintf(cf->cf_type, sizeof(cf->cf_type), "%s", hf->hf_type);
	cf->cf_frozen = hf->hf_frozen;
	cf->cf_level = hf->hf_level;
	cf->cf_errno = hf->hf_errno;
	for (uint32_t i = 0; i < CKPT_FS_NSTEPS; i++) {
		cp = &cf->cf_spans[i];
		cp->cp_begin_ns = hf->hf_begin_ns[steps[i]];
		cp->cp_end_ns = hf->hf_end_ns[steps[i]];
		if (cp->cp_begin_ns == 0)
			continue;
		cp->cp_result = CKPT_R_OK;
		if (cf->cf_errno == 0 || hf->hf_failed != (uint32_t)steps[i])
			continue;
		cp->cp_result = CKPT_R_FAILED;
		cf->cf_failed = i;
	}
}

/* In the child: which file systems belong to a checkpoint. */
static void
dm_history_join(struct dm_history *hs, struct ckpt *ck)
{
	const struct dm_history_txn *ht, *of = NULL;

	/* Of one that was begun anew, the last counts. */
	for (unsigned i = 0; i < DM_HISTORY_TXNS; i++) {
		ht = &hs->hs_txns[i];
		if (ht->ht_nfs != 0 && ht->ht_begin_ns >= ck->ck_begin_ns &&
		    ht->ht_begin_ns <= ck->ck_end_ns &&
		    (of == NULL || ht->ht_begin_ns > of->ht_begin_ns))
			of = ht;
	}
	if (of == NULL)
		return;
	ck->ck_ndisks = of->ht_ndisks;
	ck->ck_by_disk = of->ht_by_disk;
	memcpy(ck->ck_disks, of->ht_disks, sizeof(ck->ck_disks));
	ck->ck_fs = calloc(of->ht_nfs, sizeof(*ck->ck_fs));
	if (ck->ck_fs == NULL)
		return;
	ck->ck_nfs = of->ht_nfs;
	for (uint32_t i = 0; i < ck->ck_nfs; i++)
		dm_history_to_ckpt(&ck->ck_fs[i], &of->ht_fs[i]);
}

/* In the child: all whole lines; how it ends, with a line in err. */
static int
dm_history_write(struct dm *dm, size_t len, char *err)
{
	struct dm_history *hs = &dm->dm_history;
	const struct conf *cf = &dm->dm_conf;
	struct ckpt *cks = NULL, *more;
	char *line = hs->hs_buf, *end;
	size_t n = 0;

	for (; line < hs->hs_buf + len; line = end + 1) {
		end = memchr(line, '\n', (size_t)(hs->hs_buf + len - line));
		*end = '\0';
		more = realloc(cks, (n + 1) * sizeof(*cks));
		if (more == NULL)
			return (DM_HISTORY_FAILED);
		cks = more;
		if (!ckpt_parse(&cks[n], line, (size_t)(end - line)))
			continue;
		ckpt_free(&cks[n]);
		dm_history_join(hs, &cks[n++]);
	}
	if (history_append(cf->cf_state_dir, cks, n, err, DM_HISTORY_ERR) != 0)
		return (DM_HISTORY_FAILED);
	if (cf->cf_prometheus != NULL &&
	    prom_update(cf->cf_prometheus, cks, n, err, DM_HISTORY_ERR) != 0)
		return (DM_HISTORY_NO_FIGURES);
	return (DM_HISTORY_OK);
}

/* The child has neither device nor lock nor sockets; what it says ends it. */
static void
dm_history_child(struct dm *dm, size_t len, int to)
{
	char err[DM_HISTORY_ERR] = "";
	sigset_t none;
	int end;

	sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	(void)dup2(to, STDIN_FILENO);
	(void)close_range(STDERR_FILENO + 1, ~0U, 0);
	end = dm_history_write(dm, len, err);
	if (end != DM_HISTORY_OK)
		(void)!write(STDIN_FILENO, err, strlen(err));
	_exit(end);
}

/* How much of the buffer is whole lines. */
static size_t
dm_history_whole(const struct dm_history *hs)
{
	size_t len = hs->hs_len;

	while (len > 0 && hs->hs_buf[len - 1] != '\n')
		len--;
	return (len);
}

static void
dm_history_begin(struct dm *dm)
{
	struct dm_history *hs = &dm->dm_history;
	size_t len = dm_history_whole(hs);
	int fds[2];

	if (len == 0 || hs->hs_pid != 0 || frz_now_ns() < hs->hs_again_ns)
		return;
	if (pipe2(fds, O_CLOEXEC | O_NONBLOCK) == -1)
		return;
	hs->hs_pid = fork();
	if (hs->hs_pid == 0)
		dm_history_child(dm, len, fds[1]);
	(void)close(fds[1]);
	if (hs->hs_pid == -1) {
		hs->hs_pid = 0;
		(void)close(fds[0]);
		dm_history_later(hs);
		return;
	}
	hs->hs_end = fds[0];
	hs->hs_writing = len;
}

/* It was written, or is tried again later. */
static void
dm_history_reap(struct dm_history *hs)
{
	bool no_figures;
	int status = 1;
	pid_t pid;

	if (hs->hs_pid == 0 || hs->hs_end != -1)
		return;
	/* It has nothing open that we wait for, and may hang all the same. */
	pid = waitpid(hs->hs_pid, &status, WNOHANG);
	if (pid == 0 || (pid == -1 && errno == EINTR))
		return;
	hs->hs_pid = 0;
	/* The figures are waited for, but not until there is no more room. */
	no_figures = WIFEXITED(status) &&
	    WEXITSTATUS(status) == DM_HISTORY_NO_FIGURES;
	if (status != 0 && !(no_figures && hs->hs_len > DM_HISTORY_BUF / 2)) {
		dm_history_later(hs);
		return;
	}
	hs->hs_len -= hs->hs_writing;
	memmove(hs->hs_buf, hs->hs_buf + hs->hs_writing, hs->hs_len);
	hs->hs_pause_ns = DM_HISTORY_MIN_NS;
	hs->hs_said = no_figures;
}

/* What is wrong is said once. */
static void
dm_history_child_event(struct dm *dm)
{
	struct dm_history *hs = &dm->dm_history;
	char err[DM_HISTORY_ERR];
	ssize_t n;

	n = read(hs->hs_end, err, sizeof(err) - 1);
	if (n == -1)
		return;
	err[n] = '\0';
	if (n > 0 && !hs->hs_said) {
		report(REPORT_WARNING, "%s", err);
		hs->hs_said = true;
	}
	(void)close(hs->hs_end);
	hs->hs_end = -1;
	dm_history_reap(hs);
}

void
dm_history_stop(struct dm *dm)
{
	struct dm_history *hs = &dm->dm_history;

	if (hs->hs_pid == 0)
		return;
	/* It may hang in the kernel: it is collected when it has ended. */
	(void)kill(hs->hs_pid, SIGKILL);
}

static void
dm_history_close(struct dm_history *hs)
{
	if (hs->hs_fd != -1)
		(void)close(hs->hs_fd);
	hs->hs_fd = -1;
	/* What was not whole comes again. */
	hs->hs_len = dm_history_whole(hs);
	dm_history_later(hs);
}

static void
dm_history_read(struct dm *dm)
{
	struct dm_history *hs = &dm->dm_history;
	ssize_t n;

	n = read(
	    hs->hs_fd, hs->hs_buf + hs->hs_len, DM_HISTORY_BUF - hs->hs_len);
	if (n == -1 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		dm_history_close(hs);
		return;
	}
	hs->hs_len += (size_t)n;
	/* A line that has no place is not the driver's. */
	if (hs->hs_len == DM_HISTORY_BUF && dm_history_whole(hs) == 0)
		hs->hs_len = 0;
	hs->hs_pause_ns = DM_HISTORY_MIN_NS;
}

/* Not while anything is frozen, and no more than there is room for. */
void
dm_history_poll(const struct dm *dm, struct pollfd *pfd)
{
	const struct dm_history *hs = &dm->dm_history;
	bool idle = dm_history_may(dm);

	pfd[0].fd = idle && hs->hs_len < DM_HISTORY_BUF ? hs->hs_fd : -1;
	pfd[1].fd = idle ? hs->hs_end : -1;
	pfd[0].events = pfd[1].events = POLLIN;
	pfd[0].revents = pfd[1].revents = 0;
}

void
dm_history_event(struct dm *dm, const struct pollfd *pfd)
{
	if (pfd[0].revents != 0)
		dm_history_read(dm);
	if (pfd[1].revents != 0)
		dm_history_child_event(dm);
}

void
dm_history_tick(struct dm *dm, uint64_t now_ns)
{
	struct dm_history *hs = &dm->dm_history;
	char err[DM_HISTORY_ERR];

	dm_history_reap(hs);
	if (!dm_history_may(dm) || dm->dm_quit || dm->dm_fd == -1)
		return;
	if (hs->hs_fd == -1 && now_ns >= hs->hs_again_ns) {
		hs->hs_fd = status_request(
		    dm->dm_conf.cf_run_dir, "follow\n", err, sizeof(err));
		if (hs->hs_fd == -1)
			dm_history_later(hs);
	}
	dm_history_begin(dm);
}

uint64_t
dm_history_deadline(const struct dm *dm)
{
	const struct dm_history *hs = &dm->dm_history;

	if (hs->hs_pid != 0 && hs->hs_end == -1)
		return (frz_now_ns() + DM_HISTORY_REAP_NS);
	if (!dm_history_may(dm) || dm->dm_quit || dm->dm_fd == -1)
		return (DM_NEVER);
	if (hs->hs_fd == -1 || (hs->hs_pid == 0 && dm_history_whole(hs) != 0))
		return (hs->hs_again_ns);
	return (DM_NEVER);
}

void
dm_history_finish(struct dm *dm)
{
	struct dm_history *hs = &dm->dm_history;
	uint64_t end = frz_now_ns() + DM_HISTORY_LAST_NS;
	struct pollfd pfd;

	if (hs->hs_fd != -1)
		dm_history_read(dm);
	dm_history_begin(dm);
	while (hs->hs_pid != 0 && frz_now_ns() < end) {
		pfd = (struct pollfd) { hs->hs_end, POLLIN, 0 };
		if (poll(&pfd, 1, 20) == 1)
			dm_history_child_event(dm);
		dm_history_reap(hs);
	}
}
