/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/*
 * Drives a test build of the kernel module (LOOP=1) in a FreeBSD machine: it is
 * the host on /dev/hv_vss_loop, the freeze daemon and the applications, loads
 * and unloads the module under them, and prints TAP.  It freezes no file
 * system.  Run as root: kmodtest /PATH/hv_vss_guest.ko
 *
 * kmodtest leak BEFORE AFTER compares two outputs of vmstat -m.
 */

#include <sys/param.h>

#include <sys/event.h>
#include <sys/filio.h>
#include <sys/linker.h>
#include <sys/mman.h>
#include <sys/sysctl.h>
#include <sys/wait.h>

#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <dev/hyperv/hv_vss_ext.h>

#include "loophost.h"
#include "vss_wire.h"

#define FS	     VSS_DEV(FS_VSS_DEV_NAME)
#define APP	     VSS_DEV(APP_VSS_DEV_NAME)
#define LOOP	     VSS_DEV(HV_VSS_LOOP_NAME)
#define WAIT_MS	     20000
#define STORM_PROCS  6
#define STORM_S	     5
#define CYCLES	     60
#define LEAK_ALLOWED 40 /* of one kind, for what the kernel keeps */

#define CHECK(e)     check((e), #e, __LINE__)

static const char *module_path;
static bool case_failed;
static int host, fs, app;
static uint64_t xactid;
static struct hv_vss_opt_msg msg;

static void
check(bool ok, const char *text, int line)
{
	if (ok)
		return;
	printf("# line %d: %s (errno %d)\n", line, text, errno);
	case_failed = true;
}

/*
 * The host.
 */

static void
ask(uint8_t op)
{
	CHECK(loophost_ask(host, op, ++xactid) == 0);
}

static uint32_t
reply(void)
{
	return (loophost_reply(host, xactid, WAIT_MS));
}

/*
 * Clients.
 */

static int
readable(int fd, int ms)
{
	struct pollfd pfd = { fd, POLLIN, 0 };

	return (poll(&pfd, 1, ms) == 1 ? pfd.revents : 0);
}

static uint32_t
read_op(int fd)
{
	CHECK(ioctl(fd, IOCHVVSSREAD, &msg) == 0);
	return (msg.opt);
}

static int
answer(int fd, uint32_t status)
{
	msg.status = status;
	return (ioctl(fd, IOCHVVSSWRITE, &msg));
}

static void
serve(int fd, uint32_t op)
{
	CHECK(readable(fd, WAIT_MS) == POLLIN);
	CHECK(read_op(fd) == op);
	CHECK(answer(fd, VSS_SUCCESS) == 0);
}

static int
must_open(const char *path)
{
	int fd = open(path, O_RDWR | O_CLOEXEC);

	if (fd == -1)
		printf("# open %s: %s\n", path, strerror(errno));
	case_failed |= fd == -1;
	return (fd);
}

static void
open_all(void)
{
	host = must_open(LOOP);
	fs = must_open(FS);
	app = must_open(APP);
	readable(fs, 0);
	readable(app, 0);
}

static void
close_all(void)
{
	close(host);
	close(fs);
	close(app);
}

static void
freeze(void)
{
	ask(VSS_WIRE_FREEZE);
	serve(app, HV_VSS_FREEZE);
	serve(fs, HV_VSS_FREEZE);
	CHECK(reply() == VMBUS_ICMSG_S_OK);
}

static void
thaw(uint32_t status)
{
	ask(VSS_WIRE_THAW);
	if (status == VMBUS_ICMSG_S_OK) {
		serve(fs, HV_VSS_THAW);
		serve(app, HV_VSS_THAW);
	}
	CHECK(reply() == status);
}

static void
set_limit(const char *name, unsigned ms)
{
	char path[64];

	snprintf(path, sizeof(path), "dev.hvvssg.0.limits.%s", name);
	CHECK(sysctlbyname(path, NULL, NULL, &ms, sizeof(ms)) == 0);
}

static bool
is_loaded(void)
{
	return (kldfind("hv_vss_guest.ko") != -1);
}

static int
load(void)
{
	return (kldload(module_path) == -1 ? -1 : 0);
}

static int
unload(int how)
{
	return (kldunloadf(kldfind("hv_vss_guest.ko"), how));
}

/*
 * Cases.
 */

static void
a_backup(void)
{
	open_all();
	ask(VSS_WIRE_CHECK_HOT_BACKUP);
	serve(app, HV_VSS_CHECK);
	serve(fs, HV_VSS_CHECK);
	CHECK(reply() == VMBUS_ICMSG_S_OK);
	freeze();
	CHECK(readable(app, 200) == 0);
	thaw(VMBUS_ICMSG_S_OK);
	close_all();
}

static void
kevent_tells_what_poll_tells(void)
{
	struct timespec none = { 0, 0 }, some = { 20, 0 };
	struct kevent ev;
	int kq = kqueue();

	open_all();
	EV_SET(&ev, app, EVFILT_WRITE, EV_ADD, 0, 0, NULL);
	CHECK(kevent(kq, &ev, 1, NULL, 0, &none) == -1 && errno == EINVAL);
	EV_SET(&ev, app, EVFILT_READ, EV_ADD, 0, 0, NULL);
	CHECK(kevent(kq, &ev, 1, NULL, 0, &none) == 0);
	CHECK(kevent(kq, NULL, 0, &ev, 1, &none) == 0);
	ask(VSS_WIRE_CHECK_HOT_BACKUP);
	CHECK(kevent(kq, NULL, 0, &ev, 1, &some) == 1);
	CHECK(ev.ident == (uintptr_t)app && ev.data == sizeof(msg));
	serve(app, HV_VSS_CHECK);
	CHECK(kevent(kq, NULL, 0, &ev, 1, &none) == 0);
	serve(fs, HV_VSS_CHECK);
	CHECK(reply() == VMBUS_ICMSG_S_OK);
	close_all();
	CHECK(kevent(kq, NULL, 0, &ev, 1, &none) == 0);
	close(kq);
}

static void
every_wrong_ioctl(void)
{
	static const unsigned sizes[] = { 0, 1, 8, 63, 64, 65, 256, 6256,
		8191 };
	static uint8_t data[8192];
	unsigned long dirs[] = { IOC_VOID, IOC_IN, IOC_OUT, IOC_INOUT };
	unsigned d, n, s;
	u_long cmd;
	int fds[3], i, none = 0;

	open_all();
	fds[0] = app;
	fds[1] = fs;
	fds[2] = host;
	memset(data, 0xff, sizeof(data));
	for (d = 0; d < nitems(dirs); d++)
		for (n = 0; n < 256; n++)
			for (s = 0; s < nitems(sizes); s++)
				for (i = 0; i < 3; i++) {
					cmd = _IOC(dirs[d], 'v', n, sizes[s]);
					if (cmd == IOCHVVSSREAD ||
					    cmd == IOCHVVSSTIMELEFT ||
					    cmd == IOCHVVSSLUNS)
						continue;
					CHECK(ioctl(fds[i], cmd, data) == -1);
					/* Pointers that lead nowhere. */
					CHECK(ioctl(fds[i], cmd, NULL) == -1);
					CHECK(ioctl(fds[i], cmd,
						  (void *)0xffffffff80000000) ==
					    -1);
				}
	CHECK(ioctl(app, IOCHVVSSREAD, NULL) == -1 && errno == EFAULT);
	CHECK(ioctl(app, FIONBIO, &none) == 0);
	CHECK(ioctl(app, FIOASYNC, &none) == 0);
	CHECK(read(app, data, 64) == -1);
	CHECK(write(app, data, 64) == -1);
	CHECK(mmap(NULL, 4096, PROT_READ, MAP_SHARED, app, 0) == MAP_FAILED);
	CHECK(write(host, data, 3) == -1 && errno == EINVAL);
	CHECK(write(host, data, sizeof(data)) == -1 && errno == EINVAL);
	CHECK(read(host, data, 64) == -1 && errno == EINVAL);
	freeze();
	thaw(VMBUS_ICMSG_S_OK);
	close_all();
}

static void
opens_are_limited(void)
{
	int fds[80], n;

	open_all();
	CHECK(open(FS, O_RDWR) == -1 && errno == EBUSY);
	CHECK(open(LOOP, O_RDWR) == -1 && errno == EBUSY);
	for (n = 0; n < 80; n++) {
		fds[n] = open(APP, O_RDWR);
		if (fds[n] == -1)
			break;
	}
	CHECK(n == 63 && errno == EMFILE);
	while (n-- > 0)
		close(fds[n]);
	freeze();
	thaw(VMBUS_ICMSG_S_OK);
	close_all();
}

/* A descriptor that a child has as well is closed when both have gone. */
static void
a_copy_in_a_child_keeps_the_client(void)
{
	pid_t pid;

	open_all();
	pid = fork();
	if (pid == 0) {
		pause();
		_exit(0);
	}
	freeze();
	close(app);
	CHECK(readable(fs, 200) == 0);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	serve(fs, HV_VSS_THAW);
	app = must_open(APP);
	thaw(VMBUS_ICMSG_S_FAIL);
	close_all();
}

static void
a_hold_ends_by_itself(void)
{
	open_all();
	set_limit("hold", 1000);
	freeze();
	serve(fs, HV_VSS_THAW);
	serve(app, HV_VSS_THAW);
	thaw(VMBUS_ICMSG_S_FAIL);
	set_limit("hold", 60000);
	close_all();
}

static void
the_channel_goes_and_comes(void)
{
	open_all();
	freeze();
	close(host);
	serve(fs, HV_VSS_THAW);
	serve(app, HV_VSS_THAW);
	host = must_open(LOOP);
	thaw(VMBUS_ICMSG_S_FAIL);
	freeze();
	thaw(VMBUS_ICMSG_S_OK);
	close_all();
}

static void
storm_child(const char *path, unsigned seed)
{
	struct timespec none = { 0, 0 };
	struct kevent ev;
	time_t end = time(NULL) + STORM_S;
	int fd, kq;

	srandom(seed);
	while (time(NULL) < end) {
		fd = open(path, O_RDWR);
		if (fd == -1)
			continue;
		kq = kqueue();
		EV_SET(&ev, fd, EVFILT_READ, EV_ADD, 0, 0, NULL);
		kevent(kq, &ev, 1, &ev, 1, &none);
		readable(fd, (int)(random() % 3));
		if (ioctl(fd, IOCHVVSSREAD, &msg) == 0 && random() % 4 != 0) {
			msg.status = random() % 8 == 0;
			ioctl(fd, IOCHVVSSWRITE, &msg);
		}
		if (random() % 2)
			close(kq);
		close(fd);
		if (random() % 2)
			close(kq);
	}
	_exit(0);
}

/* Everybody opens, asks, answers and closes; some are killed meanwhile. */
static void
storms(bool unloading)
{
	static const uint8_t ops[] = { VSS_WIRE_CHECK_HOT_BACKUP,
		VSS_WIRE_FREEZE, VSS_WIRE_THAW, VSS_WIRE_BACKUP_COMPLETE };
	static uint8_t buf[HV_VSS_LOOP_MAX];
	pid_t pids[STORM_PROCS];
	time_t end = time(NULL) + STORM_S;
	unsigned i, n = 0;

	fflush(stdout);
	for (i = 0; i < STORM_PROCS; i++) {
		pids[i] = fork();
		if (pids[i] == 0)
			storm_child(i == 0 ? FS : APP, i);
	}
	host = must_open(LOOP);
	for (; time(NULL) < end; n++) {
		if (host != -1) {
			ask(ops[n % nitems(ops)]);
			readable(host, 2);
			while (read(host, buf, sizeof(buf)) > 0)
				;
		}
		if (n % 50 == 49) {
			close(host);
			if (unloading) {
				CHECK(unload(LINKER_UNLOAD_FORCE) == 0);
				CHECK(load() == 0);
			}
			host = must_open(LOOP);
		}
	}
	kill(pids[1], SIGKILL);
	for (i = 0; i < STORM_PROCS; i++)
		waitpid(pids[i], NULL, 0);
	close(host);
	printf("# %u requests\n", n);
}

static void
open_and_close_storms(void)
{
	storms(false);
}

static void
storms_under_which_the_module_is_loaded_anew(void)
{
	storms(true);
}

/* Each leaves the machine at another place of a backup. */
static void
go_to(int step)
{
	if (step >= 1)
		ask(step == 1 ? VSS_WIRE_CHECK_HOT_BACKUP : VSS_WIRE_FREEZE);
	if (step >= 3)
		CHECK(readable(app, WAIT_MS) == POLLIN &&
		    read_op(app) == HV_VSS_FREEZE);
	if (step >= 4)
		CHECK(answer(app, VSS_SUCCESS) == 0);
	if (step >= 5)
		CHECK(readable(fs, WAIT_MS) == POLLIN &&
		    read_op(fs) == HV_VSS_FREEZE);
	if (step >= 6)
		CHECK(answer(fs, VSS_SUCCESS) == 0 &&
		    reply() == VMBUS_ICMSG_S_OK);
	if (step >= 7)
		ask(VSS_WIRE_THAW);
	if (step >= 8)
		serve(fs, HV_VSS_THAW);
}
#define NSTEPS 9

/* Children that sleep in poll and kevent when the module goes. */
static pid_t
poll_sleeper(int fd)
{
	pid_t pid = fork();

	if (pid == 0)
		_exit((readable(fd, WAIT_MS) & POLLHUP) != 0 ? 0 : 1);
	return (pid);
}

static pid_t
kevent_sleeper(int fd)
{
	struct timespec some = { 20, 0 };
	struct kevent ev;
	pid_t pid = fork();
	int kq;

	if (pid != 0)
		return (pid);
	kq = kqueue();
	EV_SET(&ev, fd, EVFILT_READ, EV_ADD | EV_CLEAR, 0, 0, NULL);
	if (kevent(kq, &ev, 1, NULL, 0, NULL) == -1)
		_exit(2);
	do {
		if (kevent(kq, NULL, 0, &ev, 1, &some) != 1)
			_exit(3);
	} while ((ev.flags & EV_EOF) == 0);
	_exit(0);
}

static int
result_of(pid_t pid)
{
	int status;

	waitpid(pid, &status, 0);
	return (WIFEXITED(status) ? WEXITSTATUS(status) : 100);
}

static void
unloaded_with_everything_open_at_every_step(void)
{
	pid_t kevents, polls;
	int kq, step;
	struct timespec none = { 0, 0 };
	struct kevent ev;

	for (step = 0; step < NSTEPS; step++) {
		open_all();
		go_to(step);
		fflush(stdout);
		kq = kqueue();
		EV_SET(&ev, app, EVFILT_READ, EV_ADD, 0, 0, NULL);
		CHECK(kevent(kq, &ev, 1, NULL, 0, &none) == 0);
		/* Nothing may wait for who is to sleep in poll. */
		polls = step == 0 ? poll_sleeper(fs) : -1;
		kevents = kevent_sleeper(fs);
		usleep(100000);
		CHECK(unload(LINKER_UNLOAD_NORMAL) == -1 && errno == EBUSY);
		CHECK(is_loaded());
		CHECK(unload(LINKER_UNLOAD_FORCE) == 0);
		CHECK(!is_loaded());
		CHECK(access(FS, F_OK) == -1 && access(LOOP, F_OK) == -1);
		CHECK(polls == -1 || result_of(polls) == 0);
		CHECK(result_of(kevents) == 0);
		CHECK((readable(app, 0) & POLLHUP) != 0);
		CHECK(ioctl(app, IOCHVVSSREAD, &msg) == -1);
		CHECK(ioctl(fs, IOCHVVSSWRITE, &msg) == -1);
		CHECK(write(host, &msg, 16) == -1);
		EV_SET(&ev, app, EVFILT_READ, EV_ADD, 0, 0, NULL);
		kevent(kq, &ev, 1, NULL, 0, &none);
		CHECK(load() == 0);
		close_all();
		close(kq);
		a_backup();
	}
}

static void
loaded_and_unloaded_many_times(void)
{
	int i;

	for (i = 0; i < CYCLES; i++) {
		CHECK(unload(LINKER_UNLOAD_NORMAL) == 0);
		CHECK(load() == 0);
		a_backup();
	}
}

static const struct {
	const char *name;
	void (*func)(void);
} cases[] = {
#define CASE(name)          \
	{                   \
#name, name \
	}
	CASE(a_backup),
	CASE(kevent_tells_what_poll_tells),
	CASE(every_wrong_ioctl),
	CASE(opens_are_limited),
	CASE(a_copy_in_a_child_keeps_the_client),
	CASE(a_hold_ends_by_itself),
	CASE(the_channel_goes_and_comes),
	CASE(open_and_close_storms),
	CASE(unloaded_with_everything_open_at_every_step),
	CASE(storms_under_which_the_module_is_loaded_anew),
	CASE(loaded_and_unloaded_many_times),
};

/*
 * Leaks: kinds of vmstat -m of which more are in use than before.
 */

/* A line's kind, which may have blanks in it and is padded with them. */
static bool
parse_kind(const char *line, char name[64], long *n)
{
	size_t len;

	if (sscanf(line, " %63[^\n0-9]%ld", name, n) != 2)
		return (false);
	for (len = strlen(name); len > 0 && name[len - 1] == ' '; len--)
		name[len - 1] = '\0';
	return (true);
}

static long
in_use(const char *path, const char *kind)
{
	char line[256], name[64];
	long found = 0, n;
	FILE *fp = fopen(path, "r");

	if (fp == NULL)
		err(1, "%s", path);
	while (fgets(line, sizeof(line), fp) != NULL)
		if (parse_kind(line, name, &n) && strcmp(name, kind) == 0)
			found = n;
	fclose(fp);
	return (found);
}

static int
leak(const char *before, const char *after)
{
	char line[256], name[64];
	FILE *fp = fopen(after, "r");
	int found = 0;
	long n, was;

	if (fp == NULL)
		err(1, "%s", after);
	while (fgets(line, sizeof(line), fp) != NULL) {
		if (!parse_kind(line, name, &n))
			continue;
		was = in_use(before, name);
		if (n <= was + LEAK_ALLOWED)
			continue;
		printf("# %s: %ld in use before, %ld after\n", name, was, n);
		found = 1;
	}
	fclose(fp);
	return (found);
}

int
main(int argc, char **argv)
{
	unsigned i;
	int failed = 0;

	if (argc == 4 && strcmp(argv[1], "leak") == 0)
		return (leak(argv[2], argv[3]));
	if (argc != 2)
		errx(1, "usage: kmodtest MODULE | kmodtest leak BEFORE AFTER");
	module_path = argv[1];
	signal(SIGPIPE, SIG_IGN);
	if (!is_loaded() && load() == -1)
		err(1, "%s", module_path);
	for (i = 0; i < nitems(cases); i++) {
		case_failed = false;
		cases[i].func();
		printf("%sok %u - %s\n", case_failed ? "not " : "", i + 1,
		    cases[i].name);
		fflush(stdout);
		failed += case_failed;
	}
	printf("1..%zu\n", nitems(cases));
	return (failed != 0);
}
