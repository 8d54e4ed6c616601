/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/* The thread that holds a participant's device; ctl_dev.h has its contract. */

#include <sys/socket.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ctl.h"
#include "ctl_dev.h"

#define RETRY_MS   500
#define STACK_SIZE (256 * 1024)

struct dev {
	const char *dv_path;
	const struct hv_vss_hello *dv_hello;
	int dv_sock;
	int dv_fd;
	uint32_t dv_gen;
	bool dv_ext;
};

static void
tell(struct dev *dv, enum ctl_dev_kind kind, int error)
{
	struct ctl_dev_event cd = { .cd_kind = kind,
		.cd_error = error,
		.cd_gen = dv->dv_gen,
		.cd_ext = dv->dv_ext };

	(void)send(dv->dv_sock, &cd, sizeof(cd), MSG_NOSIGNAL);
}

/* Takes the next notification, if one waits, and passes it on. */
static int
take(struct dev *dv)
{
	struct ctl_dev_event cd = { .cd_kind = CTL_DEV_NOTIFY,
		.cd_gen = dv->dv_gen,
		.cd_ext = dv->dv_ext };
	struct hv_vss_time_left ht;
	struct hv_vss_opt_msg msg;

	memset(&msg, 0, sizeof(msg));
	if (ioctl(dv->dv_fd, IOCHVVSSREAD, &msg) != 0)
		return (errno);
	if (msg.status != VSS_SUCCESS)
		return (0);
	if (dv->dv_ext && ioctl(dv->dv_fd, IOCHVVSSTIMELEFT, &ht) == 0)
		cd.cd_left_ms = ht.ht_left_ms;
	cd.cd_op = msg.opt;
	cd.cd_id = msg.msgid;
	(void)send(dv->dv_sock, &cd, sizeof(cd), MSG_NOSIGNAL);
	return (0);
}

/*
 * Hands an answer to the driver.  EINVAL says that its time was over: the
 * driver has decided without it, and nothing is left to do.
 */
static int
answer(struct dev *dv, const struct ctl_dev_answer *ca)
{
	struct hv_vss_opt_msg msg = {
		.opt = ca->ca_op, .status = ca->ca_status, .msgid = ca->ca_id
	};
	struct hv_vss_reason hr;

	if (dv->dv_ext && ca->ca_reason[0] != '\0') {
		memset(&hr, 0, sizeof(hr));
		memcpy(hr.hr_text, ca->ca_reason, sizeof(hr.hr_text) - 1);
		if (ioctl(dv->dv_fd, IOCHVVSSREASON, &hr) != 0 &&
		    errno != EINVAL)
			return (errno);
	}
	if (ioctl(dv->dv_fd, IOCHVVSSWRITE, &msg) != 0 && errno != EINVAL)
		return (errno);
	return (0);
}

/* One record from the caller; -1 when the caller wants the thread to end. */
static int
command(struct dev *dv)
{
	struct ctl_dev_answer ca;
	int error;

	if (recv(dv->dv_sock, &ca, sizeof(ca), 0) != (ssize_t)sizeof(ca))
		return (-1);
	if (dv->dv_fd < 0)
		return (0);
	if (ca.ca_ping) {
		/* READ is what every driver answers. */
		error = take(dv);
		if (error == 0)
			tell(dv, CTL_DEV_PONG, 0);
		return (error);
	}
	return (ca.ca_gen == dv->dv_gen ? answer(dv, &ca) : 0);
}

/* Serves one open until it fails; -1 when the thread is to end. */
static int
serve(struct dev *dv)
{
	struct pollfd fds[2] = { { .fd = dv->dv_sock, .events = POLLIN },
		{ .fd = dv->dv_fd, .events = POLLIN } };
	int error;

	for (;;) {
		if (poll(fds, 2, -1) < 0)
			return (errno);
		if (fds[0].revents != 0) {
			error = command(dv);
			if (error != 0)
				return (error);
		}
		if ((fds[1].revents & (POLLERR | POLLHUP | POLLNVAL)) != 0)
			return (ENXIO);
		if ((fds[1].revents & POLLIN) != 0) {
			error = take(dv);
			if (error != 0)
				return (error);
		}
	}
}

/* Opens the device and says HELLO, where the driver knows it. */
static int
begin(struct dev *dv)
{
	int error, fd;

	fd = open(dv->dv_path, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return (errno);
	dv->dv_ext = ioctl(fd, IOCHVVSSHELLO, dv->dv_hello) == 0;
	if (!dv->dv_ext && errno != ENOTTY) {
		error = errno;
		close(fd);
		return (error);
	}
	dv->dv_fd = fd;
	dv->dv_gen++;
	return (0);
}

/* What no waiting mends. */
static bool
fatal(int error)
{
	return (error == EACCES || error == EPERM || error == EINVAL ||
	    error == EISDIR || error == ENOTDIR);
}

static void *
thread(void *arg)
{
	struct pollfd pfd;
	struct dev *dv = arg;
	int error = 0, said = 0;

	pfd = (struct pollfd) { .fd = dv->dv_sock, .events = POLLIN };
	while (error >= 0) {
		error = begin(dv);
		if (error == 0) {
			said = 0;
			tell(dv, CTL_DEV_OPENED, 0);
			error = serve(dv);
			close(dv->dv_fd);
			dv->dv_fd = -1;
			if (error > 0)
				tell(dv, CTL_DEV_GONE, error);
		} else if (fatal(error)) {
			tell(dv, CTL_DEV_FATAL, error);
			break;
		} else if (error != said) {
			tell(dv, CTL_DEV_WAITING, error);
			said = error;
		}
		if (error >= 0 && poll(&pfd, 1, RETRY_MS) > 0)
			error = command(dv);
	}
	close(dv->dv_sock);
	free(dv);
	return (NULL);
}

int
ctl_dev_start(const char *path, const struct hv_vss_hello *hello, int *sock)
{
	pthread_attr_t attr;
	pthread_t tid;
	sigset_t all, before;
	struct dev *dv;
	size_t stack = STACK_SIZE;
	int error, pair[2];

	dv = calloc(1, sizeof(*dv));
	if (dv == NULL)
		return (ENOMEM);
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0) {
		error = errno;
		goto out;
	}
	*dv = (struct dev) { .dv_path = path,
		.dv_hello = hello,
		.dv_sock = pair[1],
		.dv_fd = -1 };
	if (stack < (size_t)PTHREAD_STACK_MIN)
		stack = (size_t)PTHREAD_STACK_MIN;
	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&attr, stack);
	/* Signals are the caller's: none interrupts a device call. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	error = pthread_create(&tid, &attr, thread, dv);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	pthread_attr_destroy(&attr);
	if (error == 0) {
		(void)fcntl(pair[0], F_SETFL, O_NONBLOCK);
		*sock = pair[0];
		return (0);
	}
	close(pair[0]);
	close(pair[1]);
out:
	free(dv);
	return (error);
}
