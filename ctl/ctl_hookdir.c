/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/* A directory of hooks; ctl_hookdir.h has the contract. */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ctl_hookdir.h"

/* To look at and to run, without reading: a FIFO does not block it. */
#ifdef O_PATH
#define O_HOOK O_PATH
#else
#define O_HOOK O_EXEC
#endif

bool
ctl_hookdir_leftover(const char *name)
{
	static const char *const ends[] = { "~", ".bak", ".old", ".orig",
		".rej", ".rpmnew", ".rpmorig", ".rpmsave", ".swp", ".sample",
		".dpkg-bak", ".dpkg-dist", ".dpkg-new", ".dpkg-old",
		".dpkg-remove", ".dpkg-tmp", ".ucf-dist", ".ucf-new",
		".ucf-old", ".pkgnew", ".pkgsave" };
	size_t len = strlen(name), n;

	if (name[0] == '.' || name[0] == '#')
		return (true);
	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
		n = strlen(ends[i]);
		if (len >= n && strcmp(name + len - n, ends[i]) == 0)
			return (true);
	}
	return (false);
}

const char *
ctl_hookdir_refusal(const struct stat *st, uid_t self)
{
	if (S_ISLNK(st->st_mode))
		return ("a symbolic link; put the file itself there");
	if (!S_ISREG(st->st_mode) && !S_ISDIR(st->st_mode))
		return ("neither a file nor a directory; remove it");
	if (st->st_uid != 0 && st->st_uid != self)
		return ("belongs to another user; chown root it");
	if ((st->st_mode & (S_IWGRP | S_IWOTH)) != 0)
		return ("others may write it; chmod go-w it");
	if (S_ISREG(st->st_mode) && (st->st_mode & (S_ISUID | S_ISGID)) != 0)
		return ("set-user-ID or set-group-ID; chmod ug-s it");
	return (NULL);
}

/*
 * Opens one entry: 0 and *hk_fd, -1 if it is none to be run, or an errno with
 * why.  What nobody may execute is switched off.
 */
static int
open_hook(int dirfd, const char *name, int *fd, const char **why)
{
	struct stat st;
	int error;

	*why = NULL;
	if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) != 0)
		return (errno == ENOENT ? -1 : errno);
	if (S_ISDIR(st.st_mode) ||
	    (S_ISREG(st.st_mode) && (st.st_mode & 0111) == 0))
		return (-1);
	*why = ctl_hookdir_refusal(&st, geteuid());
	if (*why != NULL)
		return (EPERM);
	*fd = openat(dirfd, name, O_HOOK | O_NOFOLLOW | O_CLOEXEC);
	if (*fd < 0)
		return (errno);
	/* The one that is held is the one that counts. */
	if (fstat(*fd, &st) != 0) {
		error = errno;
	} else {
		*why = ctl_hookdir_refusal(&st, geteuid());
		error = *why != NULL ? EPERM : 0;
	}
	if (error != 0)
		close(*fd);
	return (error);
}

static int
add(struct ctl_hookdir *hd, const char *name, int fd)
{
	struct ctl_hook *hk = &hd->hd_hooks[hd->hd_nhooks];
	size_t len = strlen(hd->hd_path) + 1 + strlen(name) + 1;

	hk->hk_fd = fd;
	hk->hk_owes = false;
	hk->hk_limit_ms = conf_hook_ms(hd->hd_conf, name);
	hk->hk_name = strdup(name);
	hk->hk_path = malloc(len);
	hd->hd_nhooks++;
	if (hk->hk_name == NULL || hk->hk_path == NULL)
		return (ENOMEM);
	snprintf(hk->hk_path, len, "%s/%s", hd->hd_path, name);
	return (0);
}

/* One name of the directory. */
static int
take(struct ctl_hookdir *hd, int dirfd, const char *name, const char **why)
{
	int error, fd = -1;

	*why = NULL;
	if (ctl_hookdir_leftover(name))
		return (0);
	error = open_hook(dirfd, name, &fd, why);
	if (error != 0)
		return (error == -1 ? 0 : error);
	if (hd->hd_nhooks == CTL_HOOKS_MAX) {
		close(fd);
		*why = "one more than 64 hooks";
		return (E2BIG);
	}
	return (add(hd, name, fd));
}

static int
open_dir(const char *path, int *dirfd, const char **why)
{
	struct stat st;
	int error;

	*dirfd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (*dirfd < 0)
		return (errno);
	if (fstat(*dirfd, &st) != 0)
		error = errno;
	else
		error = (*why = ctl_hookdir_refusal(&st, geteuid())) != NULL ?
		    EPERM :
		    0;
	if (error != 0)
		close(*dirfd);
	return (error);
}

int
ctl_hookdir_scan(struct ctl_hookdir *hd, char *why, size_t whylen)
{
	struct dirent **names;
	const char *what = NULL;
	int dirfd, error, n;

	ctl_hookdir_release(hd);
	error = open_dir(hd->hd_path, &dirfd, &what);
	if (error != 0) {
		snprintf(why, whylen, "%s: %s", hd->hd_path,
		    what != NULL ? what : strerror(error));
		return (error);
	}
	/* Without a locale, alphasort() is in the order of bytes. */
	n = scandir(hd->hd_path, &names, NULL, alphasort);
	if (n < 0) {
		error = errno;
		snprintf(why, whylen, "%s: %s", hd->hd_path, strerror(error));
		n = 0;
		names = NULL;
	}
	for (int i = 0; i < n; i++) {
		if (error == 0 &&
		    (error = take(hd, dirfd, names[i]->d_name, &what)) != 0)
			snprintf(why, whylen, "%s/%s: %s", hd->hd_path,
			    names[i]->d_name,
			    what != NULL ? what : strerror(error));
		free(names[i]);
	}
	free(names);
	close(dirfd);
	if (error != 0)
		ctl_hookdir_release(hd);
	return (error);
}

void
ctl_hookdir_release(struct ctl_hookdir *hd)
{
	for (unsigned i = 0; i < hd->hd_nhooks; i++) {
		close(hd->hd_hooks[i].hk_fd);
		free(hd->hd_hooks[i].hk_name);
		free(hd->hd_hooks[i].hk_path);
	}
	hd->hd_nhooks = 0;
}

bool
ctl_hookdir_same(const struct ctl_hook *hk, const char **refusal)
{
	struct stat now, then;

	*refusal = NULL;
	if (fstat(hk->hk_fd, &then) != 0) {
		*refusal = "cannot be looked at";
		return (false);
	}
	*refusal = ctl_hookdir_refusal(&then, geteuid());
	return (lstat(hk->hk_path, &now) == 0 && now.st_dev == then.st_dev &&
	    now.st_ino == then.st_ino);
}
