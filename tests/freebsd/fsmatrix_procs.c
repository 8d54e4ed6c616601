/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/*
 * The processes that fsmatrix strikes: the freeze daemon and its freezers,
 * which are started as people start them and found in the kernel's list, its
 * limits and the module's.  It stops and ends those alone that it is given.
 * What is noted is kept in memory, since everything may be frozen.
 */

#include "fsmatrix.h"

#include <sys/param.h>

#include <sys/sysctl.h>
#include <sys/user.h>
#include <sys/wait.h>

#include <err.h>
#include <fcntl.h>
#include <libutil.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define OUTPUT_MAX 16384

/* Seconds, for driver and daemon; in an order in which the driver takes them.
 */
static const struct {
	const char *li_name;
	unsigned li_s;
} limits[] = { { "check", 6 }, { "quiesce", 4 }, { "fs", 4 }, { "prepare", 6 },
	{ "freeze", 18 }, { "hold", 4 }, { "level", 2 }, { "thaw_fs", 8 },
	{ "thaw", 10 } };

const char *const who_names[NWHO] = { "daemon", "worker", "guard",
	"application", "host", "module" };
int scale = 1;
const char *daemon_path, *freezer_path;
pid_t daemon_pid;
bool case_failed;
static int daemon_out = -1;

uint64_t
now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ((uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000);
}

/* Kept until nothing is frozen. */
static char output[OUTPUT_MAX];
static size_t output_len;

void
note(const char *text, int line)
{
	int n = snprintf(output + output_len, sizeof(output) - output_len,
	    "# line %d: %s\n", line, text);

	output_len = MIN(output_len + (size_t)n, sizeof(output) - 1);
	case_failed = true;
}

void
put_out(void)
{
	char buf[4096];
	ssize_t n;
	bool begin = true;

	fputs(output, stdout);
	while (daemon_out != -1 && (n = read(daemon_out, buf, sizeof(buf))) > 0)
		for (ssize_t i = 0; case_failed && i < n; i++) {
			fputs(begin ? "# " : "", stdout);
			putchar(buf[i]);
			begin = buf[i] == '\n';
		}
	output[output_len = 0] = '\0';
	fflush(stdout);
}

long
number(const char *name)
{
	char path[64];
	uint64_t value = 0;
	size_t len = sizeof(value);

	snprintf(path, sizeof(path), "dev.hvvssg.0.%s", name);
	return (
	    sysctlbyname(path, &value, &len, NULL, 0) == -1 ? -1 : (long)value);
}

bool
has_text(const char *name, const char *text)
{
	static char buf[65536];
	char path[64];
	size_t len = sizeof(buf) - 1;

	snprintf(path, sizeof(path), "dev.hvvssg.0.%s", name);
	if (sysctlbyname(path, buf, &len, NULL, 0) == -1)
		return (false);
	buf[len] = '\0';
	if (strcmp(name, "trace") != 0)
		return (strstr(buf, text) != NULL);
	/* Its last line. */
	return (strrchr(buf, '\n') != NULL &&
	    strstr(strrchr(buf, '\n'), text) != NULL);
}

static bool
is_role(pid_t pid, const char *role)
{
	int mib[] = { CTL_KERN, KERN_PROC, KERN_PROC_ARGS, pid };
	char args[1024];
	size_t len = sizeof(args) - 1;
	const char *last;

	if (sysctl(mib, 4, args, &len, NULL, 0) == -1)
		return (false);
	args[len] = '\0';
	last = strrchr(args, ' ');
	return (last != NULL && strcmp(last + 1, role) == 0);
}

/* How many freezers there are; of the daemon that runs, the role's pid. */
int
freezers(const char *role, pid_t *pid)
{
	struct kinfo_proc *all;
	int count = 0, found = 0;

	all = kinfo_getallproc(&count);
	for (int i = 0; all != NULL && i < count; i++) {
		if (strcmp(all[i].ki_comm, "hv_vss_freezer") != 0 ||
		    all[i].ki_stat == SZOMB)
			continue;
		found++;
		if (role != NULL && all[i].ki_ppid == daemon_pid &&
		    is_role(all[i].ki_pid, role))
			*pid = all[i].ki_pid;
	}
	free(all);
	return (found);
}

pid_t
pid_of(enum who who)
{
	pid_t pid = -1;

	if (who == WORKER || who == GUARD) {
		freezers(who_names[who], &pid);
		return (pid);
	}
	return (who == DAEMON ? daemon_pid : who == APP ? app_pid : host_pid);
}

/* Gone, or nothing of it left but its status. */
bool
has_ended(pid_t pid)
{
	struct kinfo_proc *kp = kinfo_getproc(pid);
	bool ended = kp == NULL || kp->ki_stat == SZOMB;

	free(kp);
	return (ended);
}

bool
stands(pid_t pid)
{
	struct kinfo_proc *kp = kinfo_getproc(pid);
	bool stopped = kp != NULL && kp->ki_stat == SSTOP;

	free(kp);
	return (stopped);
}

void
stop(pid_t pid)
{
	CHECK(kill(pid, SIGSTOP) == 0);
	UNTIL(stands(pid), WAIT_MS);
}

/* Whether it has been in the kernel, and not for orders, for a while. */
bool
hangs(pid_t pid)
{
	struct kinfo_proc *kp;
	bool waits = true;

	for (int i = 0; i < 5 && waits; i++) {
		kp = kinfo_getproc(pid);
		waits = kp != NULL && kp->ki_stat == SSLEEP &&
		    strcmp(kp->ki_wmesg, "select") != 0;
		free(kp);
		usleep(50000);
	}
	return (waits);
}

static void
exec_daemon(int out)
{
	char *argv[5 + 2 * nitems(limits) + 1], text[nitems(limits)][64];
	char freezer[1024];
	int n = 0;

	snprintf(freezer, sizeof(freezer), "freezer=%s", freezer_path);
	argv[n++] = strdup(daemon_path);
	argv[n++] = strdup("-dn");
	argv[n++] = strdup("--set");
	argv[n++] = freezer;
	for (size_t i = 0; i < nitems(limits); i++) {
		snprintf(text[i], sizeof(text[i]), "%s=%u", limits[i].li_name,
		    limits[i].li_s * (unsigned)scale);
		argv[n++] = strdup("--set");
		argv[n++] = text[i];
	}
	argv[n] = NULL;
	dup2(out, STDOUT_FILENO);
	dup2(out, STDERR_FILENO);
	closefrom(3);
	execv(argv[0], argv);
	_exit(127);
}

/* Until it has the device, worker and guard. */
bool
daemon_is_complete(void)
{
	pid_t worker = -1, guard = -1;

	freezers("worker", &worker);
	freezers("guard", &guard);
	return (number("daemon") == 1 && worker != -1 && guard != -1);
}

void
start_daemon(void)
{
	int fds[2];

	if (daemon_out != -1)
		close(daemon_out);
	if (pipe2(fds, O_CLOEXEC | O_NONBLOCK) == -1)
		err(1, "pipe");
	daemon_pid = fork();
	if (daemon_pid == 0)
		exec_daemon(fds[1]);
	close(fds[1]);
	daemon_out = fds[0];
	UNTIL(daemon_is_complete(), WAIT_MS);
}

void
end_daemon(void)
{
	int unused = -1;

	kill(daemon_pid, SIGTERM);
	UNTIL(has_ended(daemon_pid), WAIT_MS);
	end_child(&daemon_pid, &unused);
}

/* A limit is taken when it fits to the others, so each is tried again. */
void
set_limits(void)
{
	char path[64];
	unsigned ms, refused = nitems(limits);

	for (unsigned before = refused + 1; refused != 0 && refused < before;) {
		before = refused;
		refused = 0;
		for (size_t i = 0; i < nitems(limits); i++) {
			snprintf(path, sizeof(path), "dev.hvvssg.0.limits.%s",
			    limits[i].li_name);
			ms = limits[i].li_s * (unsigned)scale * 1000;
			if (sysctlbyname(path, NULL, NULL, &ms, sizeof(ms)) ==
			    -1)
				refused++;
		}
	}
	CHECK(refused == 0);
}
