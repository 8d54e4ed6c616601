/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/*
 * A participant through libhv_vss that does what it is told, for t_lib.py:
 *
 *	libpart DEVICE [poll] [plain] [hold=MS] [name=NAME] [level=N]
 *
 * It writes a line for each callback, and one thread reads orders from standard
 * input: `yes` and `no REASON` answer the last request, `now`, `later` and
 * `refuse REASON` say what callbacks return from now on, `join` that what was
 * put off ends with success when it is cancelled, `fork` tries all in a child,
 * `stop` and the end of the input end it.  With `poll` it has a loop of its
 *own; with `plain` the driver's extensions are hidden (linked with
 *--wrap=ioctl).
 */

#include <sys/ioctl.h>
#include <sys/wait.h>

#include <dev/hyperv/hv_vss_ext.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "hv_vss.h"

int __real_ioctl(int fd, unsigned long request, void *arg);
int __wrap_ioctl(int fd, unsigned long request, void *arg);

static struct hv_vss *part;
static bool plain;
static atomic_int returns = HV_VSS_YES;
static atomic_bool joins; /* the work put off ends in vo_cancel */
static char reason[256];
static atomic_ullong last_id;
static atomic_bool over;

int
__wrap_ioctl(int fd, unsigned long request, void *arg)
{
	if (plain && request != IOCHVVSSREAD && request != IOCHVVSSWRITE) {
		errno = ENOTTY;
		return (-1);
	}
	return (__real_ioctl(fd, request, arg));
}

static void
say(const char *fmt, ...)
{
	char line[256];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(line, sizeof(line) - 1, fmt, ap);
	va_end(ap);
	strcat(line, "\n");
	if (write(STDOUT_FILENO, line, strlen(line)) < 0)
		_exit(3);
}

static int
callback(struct hv_vss *v, const struct hv_vss_request *vr, void *ctx)
{
	const char *what = ctx;

	if (strcmp(what, "quiesce") == 0)
		say("quiesce left=%llu hold=%llu",
		    (unsigned long long)vr->vr_left_ms,
		    (unsigned long long)vr->vr_hold_ms);
	else
		say("%s", what);
	/* Within a callback nothing else may be called. */
	if (hv_vss_close(v) != EBUSY || hv_vss_dispatch(v) != EBUSY)
		say("WRONG: not busy");
	atomic_store(&last_id, vr->vr_id);
	if (atomic_load(&returns) == HV_VSS_NO)
		return (hv_vss_not_now(v, reason));
	return (atomic_load(&returns));
}

static int
on_check(struct hv_vss *v, const struct hv_vss_request *vr, void *ctx)
{
	(void)ctx;
	return (callback(v, vr, (void *)(uintptr_t) "check"));
}

static int
on_prepare(struct hv_vss *v, const struct hv_vss_request *vr, void *ctx)
{
	(void)ctx;
	return (callback(v, vr, (void *)(uintptr_t) "prepare"));
}

static int
on_quiesce(struct hv_vss *v, const struct hv_vss_request *vr, void *ctx)
{
	(void)ctx;
	return (callback(v, vr, (void *)(uintptr_t) "quiesce"));
}

/* Resuming is never refused nor late here, but that it is LATER. */
static int
on_resume(struct hv_vss *v, const struct hv_vss_request *vr, void *ctx)
{
	(void)v;
	(void)ctx;
	say("resume left=%llu", (unsigned long long)vr->vr_left_ms);
	if (atomic_load(&returns) == HV_VSS_LATER)
		(void)hv_vss_answer(part, vr->vr_id, HV_VSS_YES, NULL);
	return (
	    atomic_load(&returns) == HV_VSS_LATER ? HV_VSS_LATER : HV_VSS_YES);
}

static void
on_cancel(struct hv_vss *v, uint64_t id, void *ctx)
{
	(void)v;
	(void)ctx;
	say("cancel%s", id == atomic_load(&last_id) ? "" : " WRONG");
	if (atomic_load(&joins))
		(void)hv_vss_answer(part, id, HV_VSS_YES, NULL);
}

/* What is no answer is refused, what nobody waits for is ignored. */
static void
try_answers(void)
{
	if (hv_vss_answer(part, 0, HV_VSS_YES, NULL) != EINVAL ||
	    hv_vss_answer(part, 1, HV_VSS_LATER, NULL) != EINVAL ||
	    hv_vss_answer(part, UINT64_MAX, HV_VSS_YES, NULL) != 0)
		say("WRONG: answers");
}

static void
on_link(struct hv_vss *v, int error, void *ctx)
{
	(void)ctx;
	say("link %d extended=%d", error, hv_vss_extended(v));
}

/* A child's use is refused, and its close changes nothing for its parent. */
static void
try_in_child(void)
{
	int status = -1;
	pid_t pid;

	pid = fork();
	if (pid == 0) {
		bool right = hv_vss_dispatch(part) == EPERM &&
		    hv_vss_run(part) == EPERM && hv_vss_stop(part) == EPERM &&
		    hv_vss_answer(part, atomic_load(&last_id), HV_VSS_NO,
			"from a child") == EPERM;

		_exit(hv_vss_close(part) == 0 && right ? 0 : 1);
	}
	(void)waitpid(pid, &status, 0);
	say("child %d", status);
}

static void
obey(char *order)
{
	char *rest = strchr(order, ' ');
	unsigned long long id = atomic_load(&last_id);

	if (rest != NULL)
		*rest++ = '\0';
	if (strcmp(order, "yes") == 0)
		(void)hv_vss_answer(part, id, HV_VSS_YES, NULL);
	else if (strcmp(order, "no") == 0)
		(void)hv_vss_answer(part, id, HV_VSS_NO, rest);
	else if (strcmp(order, "later") == 0)
		atomic_store(&returns, HV_VSS_LATER);
	else if (strcmp(order, "now") == 0)
		atomic_store(&returns, HV_VSS_YES);
	else if (strcmp(order, "join") == 0)
		atomic_store(&joins, true);
	else if (strcmp(order, "fork") == 0)
		try_in_child();
	else if (strcmp(order, "refuse") == 0) {
		snprintf(reason, sizeof(reason), "%s", rest);
		atomic_store(&returns, HV_VSS_NO);
	}
	say("done %s", order);
}

static void *
read_orders(void *arg)
{
	char line[256];

	(void)arg;
	while (fgets(line, sizeof(line), stdin) != NULL) {
		line[strcspn(line, "\n")] = '\0';
		if (strcmp(line, "stop") == 0)
			break;
		obey(line);
	}
	atomic_store(&over, true);
	(void)hv_vss_stop(part);
	return (NULL);
}

/* A loop of one's own; a tick bounds how long its end may go unseen. */
static int
own_loop(void)
{
	struct pollfd pfd = { .fd = hv_vss_fd(part), .events = POLLIN };
	int error = 0;

	while (error == 0 && !atomic_load(&over)) {
		if (poll(&pfd, 1, 100) > 0)
			error = hv_vss_dispatch(part);
	}
	return (error);
}

int
main(int argc, char **argv)
{
	struct hv_vss_ops ops = { .vo_check = on_check,
		.vo_prepare = on_prepare,
		.vo_quiesce = on_quiesce,
		.vo_resume = on_resume,
		.vo_cancel = on_cancel,
		.vo_link = on_link,
		.vo_device = argv[1] };
	const char *name = "libpart";
	int error, level = HV_VSS_APP_LEVEL;
	bool own = false;
	pthread_t thread;

	for (int i = 2; i < argc; i++) {
		own = own || strcmp(argv[i], "poll") == 0;
		plain = plain || strcmp(argv[i], "plain") == 0;
		if (strncmp(argv[i], "hold=", 5) == 0)
			ops.vo_hold_max_ms = strtoull(argv[i] + 5, NULL, 10);
		if (strncmp(argv[i], "name=", 5) == 0)
			name = argv[i] + 5;
		if (strncmp(argv[i], "level=", 6) == 0)
			level = (int)strtol(argv[i] + 6, NULL, 10);
	}
	error = hv_vss_open(&part, name, level, &ops, NULL);
	if (error != 0) {
		say("open %d", error);
		return (2);
	}
	try_answers();
	error = pthread_create(&thread, NULL, read_orders, NULL);
	if (error == 0)
		error = own ? own_loop() : hv_vss_run(part);
	(void)pthread_join(thread, NULL);
	say("closed %d", hv_vss_close(part));
	return (error != 0);
}
