/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/* Appends to the history, and reads it (history.h). */

#include "history.h"

#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The last checkpoint that a file has. */
struct history_last {
	uint64_t hl_id;
	uint64_t hl_run;
	uint64_t hl_seq;
};

static int
history_fail(const char *dir, const char *what, char *err, size_t errlen)
{
	int error = errno;
	const char *remedy = error == EACCES || error == EPERM ?
	    "; run it as root" :
	    error == ENOSPC ? "; make room" :
	    error == ENOENT ? "; see the setting state_dir" :
			      "";

	(void)snprintf(err, errlen, "%s/" HISTORY_FILE ": %s: %s%s", dir, what,
	    strerror(error), remedy);
	return (error);
}

static bool
history_seen(void *arg, struct ckpt *ck, const char *line)
{
	struct history_last *hl = arg;

	(void)line;
	hl->hl_id = ck->ck_id > hl->hl_id ? ck->ck_id : hl->hl_id;
	hl->hl_run = ck->ck_run;
	hl->hl_seq = ck->ck_seq;
	return (true);
}

static int
history_write_all(int fd, const char *text, size_t len)
{
	ssize_t n;

	for (; len > 0; text += n, len -= (size_t)n) {
		n = write(fd, text, len);
		if (n < 0 && errno == EINTR)
			n = 0;
		else if (n < 0)
			return (errno);
	}
	return (0);
}

static bool
history_fits(const struct json_out *jo)
{
	return (!jo->jo_full && jo->jo_len < HISTORY_LINE_MAX);
}

/*
 * One line, ended by a newline, in one write.  Hundreds of file systems with
 * long names are left out of it: it must be written, or no later one is.
 */
static int
history_write(int fd, struct ckpt *ck)
{
	struct json_out jo;
	size_t max = ckpt_json_max(ck) + 1;
	char *text = malloc(max);
	int error;

	if (text == NULL)
		return (ENOMEM);
	json_out_init(&jo, text, max - 1);
	ckpt_json(&jo, ck);
	if (!history_fits(&jo)) {
		ck->ck_fs_left = ck->ck_nfs;
		ck->ck_nfs = 0;
		json_out_init(&jo, text, max - 1);
		ckpt_json(&jo, ck);
	}
	if (!history_fits(&jo))
		error = EFBIG;
	else {
		text[jo.jo_len++] = '\n';
		error = history_write_all(fd, text, jo.jo_len);
	}
	free(text);
	return (error);
}

/* Opens it at its end; a line that a crash has torn ends here. */
static int
history_open(int dirfd)
{
	struct stat st;
	char last = '\n';
	int error, fd;

	if (fstatat(dirfd, HISTORY_FILE, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	    st.st_size >= HISTORY_MAX &&
	    renameat(dirfd, HISTORY_FILE, dirfd, HISTORY_OLD) != 0)
		return (-1);
	fd = openat(dirfd, HISTORY_FILE,
	    O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0640);
	if (fd < 0 || fstat(fd, &st) != 0)
		return (-1);
	if (st.st_size > 0 && pread(fd, &last, 1, st.st_size - 1) == 1 &&
	    last != '\n' && (error = history_write_all(fd, "\n", 1)) != 0) {
		(void)close(fd);
		errno = error;
		return (-1);
	}
	return (fd);
}

/* Those that are new, in order, and to the disk. */
static int
history_add(int fd, const struct history_last *hl, struct ckpt *cks, size_t n)
{
	uint64_t id = hl->hl_id;
	int error = 0;

	for (size_t i = 0; i < n && error == 0; i++) {
		cks[i].ck_id = 0;
		if (cks[i].ck_run == hl->hl_run && cks[i].ck_seq <= hl->hl_seq)
			continue;
		cks[i].ck_id = ++id;
		error = history_write(fd, &cks[i]);
	}
	if (error == 0 && fsync(fd) != 0)
		error = errno;
	return (error);
}

int
history_append(
    const char *dir, struct ckpt *cks, size_t n, char *err, size_t errlen)
{
	struct history_last hl = { 0, 0, 0 };
	int dirfd, error, fd = -1;
	size_t torn;

	if (mkdir(dir, 0750) != 0 && errno != EEXIST)
		return (history_fail(dir, "cannot make", err, errlen));
	error = history_read(dir, history_seen, &hl, &torn, err, errlen);
	if (error != 0)
		return (error);
	dirfd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dirfd >= 0)
		fd = history_open(dirfd);
	if (fd < 0)
		error = history_fail(dir, "cannot open", err, errlen);
	else {
		errno = history_add(fd, &hl, cks, n);
		if (errno != 0)
			error = history_fail(dir, "cannot write", err, errlen);
		(void)close(fd);
		/* That the name is there is also to stay. */
		(void)fsync(dirfd);
	}
	if (dirfd >= 0)
		(void)close(dirfd);
	return (error);
}

/* One file; false when no more are wanted. */
static bool
history_lines(FILE *fp, history_each *each, void *arg, size_t *torn)
{
	static struct ckpt ck;
	char *line = NULL;
	size_t cap = 0;
	ssize_t len;
	bool more = true;

	while (more && (len = getline(&line, &cap, fp)) > 0) {
		if (line[len - 1] == '\n')
			line[--len] = '\0';
		if (len == 0)
			continue;
		if (len > HISTORY_LINE_MAX || memchr(line, '\0', (size_t)len) ||
		    !ckpt_parse(&ck, line, (size_t)len)) {
			(*torn)++;
			continue;
		}
		more = each(arg, &ck, line);
		ckpt_free(&ck);
	}
	free(line);
	return (more);
}

int
history_read(const char *dir, history_each *each, void *arg, size_t *torn,
    char *err, size_t errlen)
{
	static const char *const files[] = { HISTORY_OLD, HISTORY_FILE };
	char path[PATH_MAX];
	bool more = true;
	FILE *fp;
	int fd;

	*torn = 0;
	for (size_t i = 0; i < VSS_NELEM(files) && more; i++) {
		(void)snprintf(path, sizeof(path), "%s/%s", dir, files[i]);
		/* Nor is anything waited for that is no file. */
		fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
		if (fd == -1 && errno == ENOENT)
			continue;
		fp = fd == -1 ? NULL : fdopen(fd, "r");
		if (fp == NULL)
			return (history_fail(dir, "cannot open", err, errlen));
		more = history_lines(fp, each, arg, torn);
		(void)fclose(fp);
	}
	return (0);
}
