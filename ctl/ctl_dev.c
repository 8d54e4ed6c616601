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
#include "lib_dev.h"

#define RETRY_MS   500
#define STACK_SIZE (256 * 1024)

struct dev {
	const char *dv_path;
	const struct hv_vss_hello *dv_hello;
	int dv_sock;
	struct lib_dev dv_dev;
	uint32_t dv_gen;
};

static void
tell(struct dev *dv, enum ctl_dev_kind kind, int error)
{
	struct ctl_dev_event cd = { .cd_kind = kind,
		.cd_error = error,
		.cd_gen = dv->dv_gen,
		.cd_ext = dv->dv_dev.ld_ext };

	(void)send(dv->dv_sock, &cd, sizeof(cd), MSG_NOSIGNAL);
}

/* Takes the next notification, if one waits, and passes it on. */
static int
take(struct dev *dv)
{
	struct ctl_dev_event cd = { .cd_kind = CTL_DEV_NOTIFY,
		.cd_gen = dv->dv_gen,
		.cd_ext = dv->dv_dev.ld_ext };
	struct lib_times lt;
	struct flow_note fn;
	int error;

	error = lib_dev_read(&dv->dv_dev, &fn);
	if (error != 0 || fn.fn_op == HV_VSS_NONE)
		return (error);
	lib_dev_times(&dv->dv_dev, &lt);
	cd.cd_left_ms = lt.lt_left;
	cd.cd_hold_ms = lt.lt_hold;
	cd.cd_op = fn.fn_op;
	cd.cd_id = fn.fn_id;
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
	struct flow_act fa = { .fa_op = ca->ca_op,
		.fa_status = ca->ca_status,
		.fa_id = ca->ca_id };
	int error;

	memcpy(fa.fa_reason, ca->ca_reason, sizeof(fa.fa_reason));
	error = lib_dev_write(&dv->dv_dev, &fa);
	return (error == EINVAL ? 0 : error);
}

/* One record from the caller; -1 when the caller wants the thread to end. */
static int
command(struct dev *dv)
{
	struct ctl_dev_answer ca;
	int error;

	if (recv(dv->dv_sock, &ca, sizeof(ca), 0) != (ssize_t)sizeof(ca))
		return (-1);
	if (dv->dv_dev.ld_fd < 0)
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
		{ .fd = dv->dv_dev.ld_fd, .events = POLLIN } };
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
		error = lib_dev_open(&dv->dv_dev, dv->dv_path, dv->dv_hello);
		if (error == 0) {
			said = 0;
			dv->dv_gen++;
			tell(dv, CTL_DEV_OPENED, 0);
			error = serve(dv);
			lib_dev_close(&dv->dv_dev);
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
		.dv_dev = { .ld_fd = -1 } };
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
