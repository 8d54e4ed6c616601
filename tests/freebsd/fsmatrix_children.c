/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/*
 * The children of fsmatrix: a writer for each mount, an application and the
 * host.  They touch nothing but their mount's file and the module's devices,
 * tell what they did in memory that all share, and are told by a pipe when to
 * go on.
 */

#include "fsmatrix.h"

#include <sys/param.h>

#include <sys/mman.h>
#include <sys/wait.h>

#include <err.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>

#include <dev/hyperv/hv_snapshot.h>

#include "loophost.h"
#include "vss_wire.h"

struct board *board;
char *const *mounts;
unsigned nmounts;
pid_t app_pid, host_pid;
int app_go = -1, host_go = -1;
static pid_t writers[MOUNTS_MAX];

void
start_board(void)
{
	board = mmap(NULL, sizeof(*board), PROT_READ | PROT_WRITE,
	    MAP_ANON | MAP_SHARED, -1, 0);
	if (board == MAP_FAILED)
		err(1, "mmap");
	mlockall(MCL_CURRENT | MCL_FUTURE);
}

/* A child with nothing open but what it can be told through, as 3. */
static pid_t
child(int *tell)
{
	int fds[2];
	pid_t pid;

	if (pipe2(fds, O_CLOEXEC) == -1)
		err(1, "pipe");
	fflush(stdout);
	pid = fork();
	if (pid == -1)
		err(1, "fork");
	if (pid == 0) {
		dup2(fds[0], 3);
		closefrom(4);
		return (0);
	}
	close(fds[0]);
	*tell = fds[1];
	return (pid);
}

void
end_child(pid_t *pid, int *go)
{
	if (*pid > 0) {
		kill(*pid, SIGKILL);
		waitpid(*pid, NULL, 0);
	}
	*pid = -1;
	if (*go != -1)
		close(*go);
	*go = -1;
}

static void
is_told(void)
{
	char c;

	if (read(3, &c, 1) != 1)
		_exit(0);
}

void
tell(int fd)
{
	if (fd != -1)
		(void)write(fd, "", 1);
}

static void
writer(unsigned i)
{
	static char block[4096];
	char path[1024];
	int fd;

	snprintf(path, sizeof(path), "%s/fsmatrix.written", mounts[i]);
	fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
	if (fd == -1)
		_exit(1);
	while (pwrite(fd, block, sizeof(block), 0) > 0 && fsync(fd) == 0) {
		atomic_fetch_add(&board->bd_written[i], 1);
		usleep(200000);
	}
	_exit(1);
}

void
start_writers(void)
{
	int unused;

	for (unsigned i = 0; i < nmounts; i++) {
		writers[i] = child(&unused);
		if (writers[i] == 0)
			writer(i);
	}
}

void
end_writers(void)
{
	int unused = -1;

	for (unsigned i = 0; i < nmounts; i++)
		end_child(&writers[i], &unused);
}

static bool
mount_is_written(unsigned i, int ms)
{
	unsigned seen = atomic_load(&board->bd_written[i]);
	uint64_t end = now_ms() + (uint64_t)ms;

	/* The first may have been on its way. */
	while (atomic_load(&board->bd_written[i]) < seen + 2) {
		if (now_ms() > end)
			return (false);
		usleep(5000);
	}
	return (true);
}

/* Those from the given one on, all within that time. */
void
writable_within(unsigned from, int ms, int line)
{
	uint64_t end = now_ms() + (uint64_t)ms + SLACK_MS;
	char text[256];

	for (unsigned i = from; i < nmounts; i++) {
		int left = (int)(end - MIN(end, now_ms()));

		if (mount_is_written(i, MAX(left, SLACK_MS / 2)))
			continue;
		snprintf(text, sizeof(text), "%s is not writable within %d ms",
		    mounts[i], ms);
		note(text, line);
	}
}

/* Whether who writes to the mounts from one to before another stands still. */
bool
nothing_is_written(unsigned from, unsigned to)
{
	unsigned before[MOUNTS_MAX] = { 0 };

	for (unsigned i = from; i < to; i++)
		before[i] = atomic_load(&board->bd_written[i]);
	usleep(600000);
	for (unsigned i = from; i < to; i++)
		if (atomic_load(&board->bd_written[i]) != before[i])
			return (false);
	return (true);
}

/* An application that is held when it has READ that, if it ever does. */
static void
application(uint32_t held_at)
{
	struct hv_vss_opt_msg msg;
	struct pollfd pfd = { -1, POLLIN, 0 };

	pfd.fd = open(VSS_DEV(APP_VSS_DEV_NAME), O_RDWR);
	if (pfd.fd == -1)
		_exit(1);
	poll(&pfd, 1, 0);
	atomic_store(&board->bd_ready, true);
	while (poll(&pfd, 1, -1) == 1 && pfd.revents == POLLIN &&
	    ioctl(pfd.fd, IOCHVVSSREAD, &msg) == 0) {
		if (msg.status != VSS_SUCCESS)
			continue;
		if (msg.opt == held_at) {
			held_at = HV_VSS_NONE;
			atomic_store(&board->bd_held, true);
			is_told();
		}
		if (msg.opt == HV_VSS_FREEZE)
			atomic_fetch_add(&board->bd_freezes, 1);
		if (msg.opt == HV_VSS_THAW)
			atomic_fetch_add(&board->bd_thaws, 1);
		msg.status = VSS_SUCCESS;
		(void)ioctl(pfd.fd, IOCHVVSSWRITE, &msg);
	}
	_exit(1);
}

void
start_application(uint32_t held_at)
{
	atomic_store(&board->bd_ready, false);
	atomic_store(&board->bd_held, false);
	atomic_store(&board->bd_freezes, 0);
	atomic_store(&board->bd_thaws, 0);
	app_pid = child(&app_go);
	if (app_pid == 0)
		application(held_at);
	UNTIL(atomic_load(&board->bd_ready), WAIT_MS);
}

static void
ask(int fd, int nth, uint8_t op)
{
	uint64_t xactid = (uint64_t)nth + 1;
	uint32_t status = UINT32_MAX;

	if (loophost_ask(fd, op, xactid) == 0)
		status = loophost_reply(fd, xactid, WAIT_MS);
	atomic_store(&board->bd_answers[nth],
	    status == VMBUS_ICMSG_S_OK ? 'o' :
		status == UINT32_MAX   ? '-' :
					 'f');
}

/* CHECK and FREEZE when it is told, and THAW when it is once more. */
static void
host(void)
{
	int fd = open(VSS_DEV(HV_VSS_LOOP_NAME), O_RDWR);

	if (fd == -1)
		_exit(1);
	is_told();
	ask(fd, 0, VSS_WIRE_CHECK_HOT_BACKUP);
	ask(fd, 1, VSS_WIRE_FREEZE);
	is_told();
	ask(fd, 2, VSS_WIRE_THAW);
	_exit(0);
}

void
start_host(void)
{
	host_pid = child(&host_go);
	if (host_pid == 0)
		host();
	UNTIL(number("channel") == 1, WAIT_MS);
}

void
another_host(void)
{
	int fd = open(VSS_DEV(HV_VSS_LOOP_NAME), O_RDWR);

	CHECK(fd != -1);
	ask(fd, 3, VSS_WIRE_THAW);
	close(fd);
}
