/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/*
 * A device file as a FUSE file system of its own: mounted directly on the
 * device's path, its root a regular file with the device's mode and owner.
 *
 * The path is an empty regular file.  One that this driver makes has mode 0, by
 * which a later one knows that it may remove it.
 */

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include "drv_dev.h"

#define DEV_FUSE_TYPE "fuse.hv_vss"

/* Attributes never change: nobody who looks at /dev need ask the driver. */
#define DEV_FUSE_ATTR_S 86400.0

/* How long a driver that has the path may take to say that it lives. */
#define DEV_FUSE_PROBE_MS 2000

static void
dev_fuse_attr(const struct dev *dv, struct stat *st)
{
	memset(st, 0, sizeof(*st));
	st->st_ino = FUSE_ROOT_ID;
	st->st_mode = S_IFREG | dv->dv_node->cn_mode;
	st->st_nlink = 1;
	st->st_uid = dv->dv_node->cn_owner;
	st->st_gid = dv->dv_node->cn_group;
	st->st_blksize = 512;
}

static void
dev_fuse_init(void *userdata, struct fuse_conn_info *conn)
{
	struct dev *dv = userdata;

	/* The largest ioctl fits, and DEV_BUF_LEN holds any request. */
	conn->max_write = DEV_IOCTL_MAX;
	conn->max_readahead = 0;
	dv->dv_ready = true;
}

static void
dev_fuse_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct stat st;

	(void)ino;
	(void)fi;
	dev_fuse_attr(fuse_req_userdata(req), &st);
	fuse_reply_attr(req, &st, DEV_FUSE_ATTR_S);
}

/*
 * Mode and owner are settings; times are taken and forgotten, as touch(1)
 * expects; a device has no size.
 */
static void
dev_fuse_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *attr, int to_set,
    struct fuse_file_info *fi)
{
	(void)attr;
	if ((to_set &
		(FUSE_SET_ATTR_MODE | FUSE_SET_ATTR_UID | FUSE_SET_ATTR_GID)) !=
	    0)
		fuse_reply_err(req, EPERM);
	else if ((to_set & FUSE_SET_ATTR_SIZE) != 0)
		fuse_reply_err(req, EINVAL);
	else
		dev_fuse_getattr(req, ino, fi);
}

static void
dev_fuse_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	(void)ino;
	dev_call_open(req, fi);
}

static void
dev_fuse_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	(void)ino;
	dev_call_release(req, fi);
}

static void
dev_fuse_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
    struct fuse_file_info *fi)
{
	(void)ino;
	(void)size;
	(void)off;
	(void)fi;
	fuse_reply_err(req, ENODEV);
}

static void
dev_fuse_write(fuse_req_t req, fuse_ino_t ino, const char *buf, size_t size,
    off_t off, struct fuse_file_info *fi)
{
	(void)buf;
	dev_fuse_read(req, ino, size, off, fi);
}

static void
dev_fuse_ioctl(fuse_req_t req, fuse_ino_t ino, unsigned int cmd, void *arg,
    struct fuse_file_info *fi, unsigned flags, const void *in_buf,
    size_t in_bufsz, size_t out_bufsz)
{
	(void)ino;
	(void)arg;
	(void)flags;
	(void)out_bufsz;
	dev_call_ioctl(req, cmd, fi, in_buf, in_bufsz);
}

static void
dev_fuse_poll(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi,
    struct fuse_pollhandle *ph)
{
	(void)ino;
	dev_call_poll(req, fi, ph);
}

static const struct fuse_lowlevel_ops dev_fuse_ops = {
	.init = dev_fuse_init,
	.getattr = dev_fuse_getattr,
	.setattr = dev_fuse_setattr,
	.open = dev_fuse_open,
	.release = dev_fuse_release,
	.read = dev_fuse_read,
	.write = dev_fuse_write,
	.ioctl = dev_fuse_ioctl,
	.poll = dev_fuse_poll,
};

/* The mount table has blanks and backslashes as \ooo; decodes in place. */
static void
dev_fuse_unescape(char *text)
{
	char *to = text;

	for (; *text != '\0'; text++, to++) {
		*to = *text;
		if (text[0] != '\\' || text[1] < '0' || text[1] > '3' ||
		    text[2] < '0' || text[2] > '7' || text[3] < '0' ||
		    text[3] > '7')
			continue;
		*to = (char)((text[1] - '0') << 6 | (text[2] - '0') << 3 |
		    (text[3] - '0'));
		text += 3;
	}
	*to = '\0';
}

/*
 * What is mounted on path, uppermost: its number in the mount table if it is of
 * our type, or -1.
 */
static int
dev_fuse_mounted(const char *path)
{
	char *line = NULL, *point, *save, *type;
	int i, id = -1;
	size_t cap = 0;
	FILE *fp;

	fp = fopen("/proc/self/mountinfo", "re");
	if (fp == NULL)
		return (-1);
	while (getline(&line, &cap, fp) > 0) {
		point = strtok_r(line, " ", &save);
		for (i = 0; i < 4 && point != NULL; i++)
			point = strtok_r(NULL, " ", &save);
		type = point == NULL ? NULL : strstr(save, " - ");
		if (type == NULL)
			continue;
		dev_fuse_unescape(point);
		/* What was mounted later stands below. */
		if (strcmp(point, path) == 0)
			id = strncmp(type + 3, DEV_FUSE_TYPE " ",
				 sizeof(DEV_FUSE_TYPE)) == 0 ?
			    atoi(line) :
			    -1;
	}
	free(line);
	fclose(fp);
	return (id);
}

/*
 * Asks the driver behind a mount whether it lives; in a process of its own,
 * since one that is stopped answers nobody.  0: it lives; ETIMEDOUT: it may;
 * else it is dead.
 */
static int
dev_fuse_probe(const char *path)
{
	struct statfs sfs;
	struct pollfd pfd;
	int error, pipefd[2];
	pid_t pid;

	if (pipe2(pipefd, O_CLOEXEC) != 0)
		return (ETIMEDOUT);
	pid = fork();
	if (pid == 0) {
		error = statfs(path, &sfs) == 0 ? 0 : errno;
		if (write(pipefd[1], &error, sizeof(error)) < 0)
			_exit(1);
		_exit(0);
	}
	close(pipefd[1]);
	pfd.fd = pipefd[0];
	pfd.events = POLLIN;
	error = ETIMEDOUT;
	if (pid > 0 && poll(&pfd, 1, DEV_FUSE_PROBE_MS) == 1 &&
	    read(pipefd[0], &error, sizeof(error)) != sizeof(error))
		error = ETIMEDOUT;
	close(pipefd[0]);
	if (pid > 0) {
		kill(pid, SIGKILL);
		while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
			continue;
	}
	return (error);
}

int
dev_fuse_recover(const char *path, char *err)
{
	int error;

	/* Each dead driver may have left one. */
	while (dev_fuse_mounted(path) != -1) {
		error = dev_fuse_probe(path);
		if (error == 0 || error == ETIMEDOUT) {
			snprintf(err, DEV_ERR_MAX,
			    "%s: another hv_vss_driver has it%s; stop that one",
			    path, error == 0 ? "" : " and does not answer");
			return (EBUSY);
		}
		if (umount2(path, MNT_DETACH) != 0) {
			error = errno;
			snprintf(err, DEV_ERR_MAX,
			    "%s: cannot unmount what a dead driver left: %s; "
			    "run as root",
			    path, strerror(error));
			return (error);
		}
	}
	return (0);
}

/* An empty regular file to mount on, made where there is none. */
static int
dev_fuse_place(const char *path, char *err)
{
	struct stat st;
	int error, fd;

	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0);
	if (fd >= 0) {
		close(fd);
		return (0);
	}
	error = errno;
	if (error != EEXIST) {
		snprintf(err, DEV_ERR_MAX, "%s: cannot make it: %s%s", path,
		    strerror(error),
		    error == EACCES || error == EPERM ? "; run as root" :
			error == ENOENT ? "; the directory is not there" :
					  "");
		return (error);
	}
	if (lstat(path, &st) != 0 || !S_ISREG(st.st_mode) || st.st_size != 0) {
		snprintf(err, DEV_ERR_MAX,
		    "%s: there is something else than an empty file; another "
		    "driver's device, or a file to be removed",
		    path);
		return (EEXIST);
	}
	return (0);
}

void
dev_fuse_unplace(const char *path)
{
	struct stat st;

	if (lstat(path, &st) == 0 && S_ISREG(st.st_mode) &&
	    (st.st_mode & 07777) == 0 && st.st_size == 0)
		unlink(path);
}

static int
dev_fuse_open_kernel(struct dev *dv, char *err)
{
	int error;

	dv->dv_fd = open("/dev/fuse", O_RDWR | O_CLOEXEC | O_NONBLOCK);
	if (dv->dv_fd >= 0)
		return (0);
	error = errno;
	snprintf(err, DEV_ERR_MAX, "/dev/fuse: %s; %s", strerror(error),
	    error == EACCES || error == EPERM ?
		"run as root, with access to this device" :
		"the kernel's FUSE is needed for the device files (modprobe "
		"fuse)");
	return (error);
}

static int
dev_fuse_mount(struct dev *dv, char *err)
{
	char options[128];
	int error;

	snprintf(options, sizeof(options),
	    "fd=%d,rootmode=%o,user_id=%u,group_id=%u,default_permissions,"
	    "allow_other",
	    dv->dv_fd, (unsigned)S_IFREG, (unsigned)geteuid(),
	    (unsigned)getegid());
	if (mount("hv_vss", dv->dv_path, DEV_FUSE_TYPE,
		MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_NOATIME, options) == 0) {
		dv->dv_mount = dev_fuse_mounted(dv->dv_path);
		return (0);
	}
	error = errno;
	snprintf(err, DEV_ERR_MAX, "%s: cannot mount the device file: %s%s",
	    dv->dv_path, strerror(error),
	    error == EPERM || error == EACCES ?
		"; run as root (CAP_SYS_ADMIN is needed)" :
		error == ENODEV ? "; the kernel has no FUSE (modprobe fuse)" :
				  "");
	return (error);
}

static int
dev_fuse_session(struct dev *dv, char *err)
{
	char *argv[] = { (char[]) { "hv_vss_driver" }, NULL };
	struct fuse_args args = FUSE_ARGS_INIT(1, argv);
	char fd[32];

	dv->dv_se = fuse_session_new(
	    &args, &dev_fuse_ops, sizeof(dev_fuse_ops), dv);
	fuse_opt_free_args(&args);
	snprintf(fd, sizeof(fd), "/dev/fd/%d", dv->dv_fd);
	if (dv->dv_se != NULL && fuse_session_mount(dv->dv_se, fd) == 0)
		return (0);
	if (dv->dv_se != NULL)
		fuse_session_destroy(dv->dv_se);
	dv->dv_se = NULL;
	snprintf(err, DEV_ERR_MAX, "%s: libfuse refused the session; see -d",
	    dv->dv_path);
	return (ENOMEM);
}

static int
dev_fuse_greet(struct dev *dv, char *err)
{
	int error;

	error = dev_greet(dv);
	if (error == 0)
		return (0);
	snprintf(err, DEV_ERR_MAX, "%s: the kernel's FUSE does not answer: %s",
	    dv->dv_path, strerror(error));
	dev_remove(dv);
	return (error);
}

int
dev_fuse_start(struct dev *dv, char *err)
{
	int error;

	error = dev_fuse_recover(dv->dv_path, err);
	if (error == 0)
		error = dev_fuse_place(dv->dv_path, err);
	if (error != 0)
		return (error);
	error = dev_fuse_open_kernel(dv, err);
	if (error != 0)
		goto err0;
	error = dev_fuse_mount(dv, err);
	if (error != 0)
		goto err1;
	error = dev_fuse_session(dv, err);
	if (error == 0)
		return (dev_fuse_greet(dv, err));
	umount2(dv->dv_path, MNT_DETACH);
err1:
	close(dv->dv_fd);
	dv->dv_fd = -1;
err0:
	dev_fuse_unplace(dv->dv_path);
	return (error);
}

/*
 * Detached first: the name is gone at once, even while somebody has it open;
 * closing the descriptor then ends what is open with errors.  What lies there
 * instead of what was mounted here is somebody else's.
 */
void
dev_fuse_stop(struct dev *dv)
{
	if (dev_fuse_mounted(dv->dv_path) == dv->dv_mount)
		umount2(dv->dv_path, MNT_DETACH);
	fuse_session_destroy(dv->dv_se);
}
