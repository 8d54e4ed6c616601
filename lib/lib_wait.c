/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/* The descriptor for a program's loop; lib_wait.h has the contract. */

#ifdef __linux__
#include <sys/epoll.h>
#include <sys/timerfd.h>
#else
#include <sys/types.h>

#include <sys/event.h>
#endif

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "lib_wait.h"

#define BLIND_MS 250

#ifdef __linux__
#define LIB_CLOCK CLOCK_BOOTTIME
#else
#define LIB_CLOCK CLOCK_MONOTONIC
#endif

uint64_t
lib_now_ms(void)
{
	struct timespec ts;

	clock_gettime(LIB_CLOCK, &ts);
	return ((uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000);
}

#ifdef __linux__

static int
watch(const struct lib_wait *lw, int fd, uint32_t events, uint32_t what)
{
	struct epoll_event ev = { .events = events, .data.u32 = what };

	return (epoll_ctl(lw->lw_fd, EPOLL_CTL_ADD, fd, &ev) != 0 ? errno : 0);
}

int
lib_wait_open(struct lib_wait *lw, int pipe_fd)
{
	int error;

	lw->lw_blind = false;
	lw->lw_when = LIB_NEVER;
	lw->lw_timer = -1;
	lw->lw_fd = epoll_create1(EPOLL_CLOEXEC);
	if (lw->lw_fd < 0)
		return (errno);
	lw->lw_timer = timerfd_create(LIB_CLOCK, TFD_CLOEXEC | TFD_NONBLOCK);
	error = lw->lw_timer < 0 ? errno : 0;
	if (error == 0)
		error = watch(lw, lw->lw_timer, EPOLLIN, 0);
	if (error == 0)
		error = watch(lw, pipe_fd, EPOLLIN, LIB_WAIT_PIPE);
	if (error != 0)
		lib_wait_close(lw, false);
	return (error);
}

int
lib_wait_add(struct lib_wait *lw, int device_fd)
{
	return (watch(lw, device_fd, EPOLLIN | EPOLLET, LIB_WAIT_DEVICE));
}

/* By hand: a forked child may keep the open file and thus its place here. */
void
lib_wait_remove(struct lib_wait *lw, int device_fd)
{
	(void)epoll_ctl(lw->lw_fd, EPOLL_CTL_DEL, device_fd, NULL);
}

void
lib_wait_until(struct lib_wait *lw, uint64_t when_ms)
{
	struct itimerspec its;

	if (when_ms == lw->lw_when)
		return;
	lw->lw_when = when_ms;
	memset(&its, 0, sizeof(its));
	if (when_ms != LIB_NEVER) {
		/* All zero would stop it. */
		its.it_value.tv_sec = (time_t)(when_ms / 1000);
		its.it_value.tv_nsec = (long)(when_ms % 1000) * 1000000 + 1;
	}
	(void)timerfd_settime(lw->lw_timer, TFD_TIMER_ABSTIME, &its, NULL);
}

unsigned
lib_wait_take(struct lib_wait *lw)
{
	struct epoll_event evs[3];
	unsigned what = 0;
	uint64_t times;
	int n;

	n = epoll_wait(lw->lw_fd, evs, 3, 0);
	for (int i = 0; i < n; i++) {
		what |= evs[i].data.u32;
		if (evs[i].data.u32 == LIB_WAIT_DEVICE &&
		    (evs[i].events & (EPOLLERR | EPOLLHUP)) != 0)
			what |= LIB_WAIT_GONE;
		if (evs[i].data.u32 == 0 &&
		    read(lw->lw_timer, &times, sizeof(times)) > 0)
			lw->lw_when = LIB_NEVER;
	}
	return (what);
}

void
lib_wait_close(struct lib_wait *lw, bool in_child)
{
	(void)in_child;
	if (lw->lw_timer >= 0)
		close(lw->lw_timer);
	close(lw->lw_fd);
}

#else /* kqueue */

static int
change(struct lib_wait *lw, uintptr_t ident, short filter, unsigned short flags,
    intptr_t data)
{
	struct kevent kev;

	EV_SET(&kev, ident, filter, flags, 0, data, NULL);
	return (kevent(lw->lw_fd, &kev, 1, NULL, 0, NULL) != 0 ? errno : 0);
}

int
lib_wait_open(struct lib_wait *lw, int pipe_fd)
{
	int error;

	lw->lw_blind = false;
	lw->lw_when = LIB_NEVER;
	lw->lw_pipe = pipe_fd;
	lw->lw_fd = kqueue();
	if (lw->lw_fd < 0)
		return (errno);
	(void)fcntl(lw->lw_fd, F_SETFD, FD_CLOEXEC);
	error = change(lw, (uintptr_t)pipe_fd, EVFILT_READ, EV_ADD, 0);
	if (error != 0)
		close(lw->lw_fd);
	return (error);
}

/* Not every driver's device has a filter: then it is asked from time to time.
 */
int
lib_wait_add(struct lib_wait *lw, int device_fd)
{
	lw->lw_blind = change(lw, (uintptr_t)device_fd, EVFILT_READ,
			   EV_ADD | EV_CLEAR, 0) != 0;
	if (lw->lw_blind)
		lib_wait_until(lw, LIB_NEVER);
	return (0);
}

void
lib_wait_remove(struct lib_wait *lw, int device_fd)
{
	if (!lw->lw_blind)
		(void)change(
		    lw, (uintptr_t)device_fd, EVFILT_READ, EV_DELETE, 0);
	lw->lw_blind = false;
}

void
lib_wait_until(struct lib_wait *lw, uint64_t when_ms)
{
	uint64_t now = lib_now_ms();

	if (lw->lw_blind && when_ms > now + BLIND_MS)
		when_ms = now + BLIND_MS;
	if (when_ms == lw->lw_when)
		return;
	lw->lw_when = when_ms;
	if (when_ms == LIB_NEVER)
		(void)change(lw, 0, EVFILT_TIMER, EV_DELETE, 0);
	else
		(void)change(lw, 0, EVFILT_TIMER, EV_ADD | EV_ONESHOT,
		    when_ms > now ? (intptr_t)(when_ms - now) : 1);
}

unsigned
lib_wait_take(struct lib_wait *lw)
{
	static const struct timespec none;
	struct kevent evs[3];
	unsigned what = lw->lw_blind ? LIB_WAIT_DEVICE : 0;
	int n;

	n = kevent(lw->lw_fd, NULL, 0, evs, 3, &none);
	for (int i = 0; i < n; i++) {
		if (evs[i].filter == EVFILT_TIMER)
			lw->lw_when = LIB_NEVER;
		else if (evs[i].ident == (uintptr_t)lw->lw_pipe)
			what |= LIB_WAIT_PIPE;
		else
			what |= LIB_WAIT_DEVICE |
			    ((evs[i].flags & EV_EOF) != 0 ? LIB_WAIT_GONE : 0);
	}
	return (what);
}

/* A child does not inherit a kqueue: the number may be another file's. */
void
lib_wait_close(struct lib_wait *lw, bool in_child)
{
	if (!in_child)
		close(lw->lw_fd);
}

#endif
