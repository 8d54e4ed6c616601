/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/*
 * Watches over the isolated root: isowatch ROOT BOUND SYS COMMAND [ARGUMENT]...
 * ROOT is a memory file system with everything in it, mounted in this process's
 * own mount namespace; ROOT/iso/table names the scratch file systems.  ROOT is
 * made the root and the old one is left before anything else happens.
 *
 * Two processes.  The *supervisor* starts the command in a new pid namespace,
 * carries its output and its exit status out.  The *watchdog*, forked before
 * there is anything that could freeze, is locked in memory, holds a descriptor
 * and a waiting thread for every scratch file system, and ends the whole: when
 * the supervisor says so, when the supervisor dies, or when the bound has
 * passed. It thaws everything, kills what runs inside, thaws again (a thread
 * killed within a freeze completes it), and undoes mounts, loop devices and
 * what was left of faster grace periods, which are the whole machine's.
 *
 * Both are outside of the pid namespace, so that nothing inside can end them by
 * accident; the descriptors are of mounts of their own, so that a command
 * inside can still unmount.
 */

#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/loop.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "isodev.h"

#define SCRATCH_MAX  512 /* scratch file systems */
#define EXTRA_MAX    24	 /* further mounts found inside at the end */
#define SLOTS_MAX    (SCRATCH_MAX + EXTRA_MAX)
#define MOUNTS_MAX   (SLOTS_MAX + 64)
#define THREAD_STACK (64 * 1024)

/* The watchdog's exit status. */
#define WD_BOUND  0x01 /* the bound passed */
#define WD_FROZEN 0x02 /* something was left frozen */
#define WD_UNDO	  0x04 /* something could not be undone */

enum slot_state { SLOT_FREE, SLOT_IDLE, SLOT_TODO, SLOT_BUSY };

struct slot {
	char ws_path[512];
	int ws_fd; /* -1: opened by its thread, from ws_path */
	enum slot_state ws_state;
	bool ws_was_frozen;
};

static struct slot slots[SLOTS_MAX];
static size_t nslots;	/* in use */
static size_t nthreads; /* slots that have one; in use and to spare */
static pthread_mutex_t slots_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t slots_todo = PTHREAD_COND_INITIALIZER;
static pthread_cond_t slots_done = PTHREAD_COND_INITIALIZER;
static dev_t devices[SLOTS_MAX];
static size_t ndevices;
static int procfd;	   /* the outer /proc */
static int cgroup;	   /* of the command, or -1 */
static int expedited = -1; /* rcu_expedited, if it was 0 at the start */
static volatile sig_atomic_t got_signal;

static void
die(const char *what)
{
	(void)fprintf(stderr, "isoroot: %s: %s\n", what, strerror(errno));
	exit(125);
}

static uint64_t
now_ms(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_BOOTTIME, &ts);
	return ((uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000);
}

/*
 * Thaws one file system until it says that it is not frozen.  Whether it was is
 * told.  A path that leads through a frozen file system is read only.
 */
static bool
thaw_slot(struct slot *s)
{
	bool was = false;

	if (s->ws_fd == -1)
		s->ws_fd = open(s->ws_path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	if (s->ws_fd == -1)
		return (false);
	while (ioctl(s->ws_fd, FITHAW, 0) == 0)
		was = true;
	return (was);
}

static void *
slot_thread(void *arg)
{
	struct slot *s = arg;
	bool was;

	(void)pthread_mutex_lock(&slots_lock);
	for (;;) {
		while (s->ws_state != SLOT_TODO)
			(void)pthread_cond_wait(&slots_todo, &slots_lock);
		s->ws_state = SLOT_BUSY;
		(void)pthread_mutex_unlock(&slots_lock);
		was = thaw_slot(s);
		(void)pthread_mutex_lock(&slots_lock);
		s->ws_was_frozen = s->ws_was_frozen || was;
		s->ws_state = SLOT_IDLE;
		(void)pthread_cond_signal(&slots_done);
	}
	return (NULL);
}

static bool
all_idle(void)
{
	for (size_t i = 0; i < SLOTS_MAX; i++)
		if (slots[i].ws_state > SLOT_IDLE)
			return (false);
	return (true);
}

/* Thaws everything at once; false if something does not come back in time. */
static bool
thaw_all(unsigned int seconds)
{
	struct timespec until;
	bool idle;

	(void)clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += seconds;
	(void)pthread_mutex_lock(&slots_lock);
	for (size_t i = 0; i < SLOTS_MAX; i++)
		if (slots[i].ws_state == SLOT_IDLE)
			slots[i].ws_state = SLOT_TODO;
	(void)pthread_cond_broadcast(&slots_todo);
	while (!(idle = all_idle()))
		if (pthread_cond_timedwait(&slots_done, &slots_lock, &until) !=
		    0)
			break;
	(void)pthread_mutex_unlock(&slots_lock);
	return (idle);
}

/*
 * A descriptor of the file system mounted there, by a mount that is in nobody's
 * tree: whoever unmounts the one in the tree does not find it busy.
 */
static int
open_own(const char *path)
{
	int fd, tree = open_tree(AT_FDCWD, path, OPEN_TREE_CLONE | O_CLOEXEC);

	if (tree == -1)
		die(path);
	fd = openat(tree, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd == -1)
		die(path);
	(void)close(tree);
	return (fd);
}

/* Fills the slots from /iso/table: NAME TYPE POINT DEVICE IMAGE. */
static void
load_table(void)
{
	static const char path[] = "/iso/table";
	char point[128];
	FILE *f;

	f = fopen(path, "re");
	if (f == NULL)
		die(path);
	while (fscanf(f, "%*s %*s %127s %*s %*s", point) == 1) {
		struct slot *s = &slots[nslots];

		if (nslots++ == SCRATCH_MAX) {
			errno = E2BIG;
			die(path);
		}
		(void)snprintf(s->ws_path, sizeof(s->ws_path), "%s", point);
		s->ws_fd = open_own(s->ws_path);
		s->ws_state = SLOT_IDLE;
	}
	(void)fclose(f);
}

static void
start_threads(void)
{
	pthread_attr_t attr;
	pthread_t thread;

	(void)pthread_attr_init(&attr);
	(void)pthread_attr_setstacksize(&attr, THREAD_STACK);
	for (size_t i = nslots; i < SLOTS_MAX; i++)
		slots[i].ws_fd = -1;
	nthreads = nslots + EXTRA_MAX;
	for (size_t i = 0; i < nthreads; i++) {
		errno = pthread_create(&thread, &attr, slot_thread, &slots[i]);
		if (errno != 0)
			die("thread");
		(void)pthread_detach(thread);
	}
	(void)pthread_attr_destroy(&attr);
}

/* Undoes the octal escapes of mountinfo in place. */
static void
unescape(char *s)
{
	char *out = s;

	for (; *s != '\0'; s++, out++) {
		if (s[0] == '\\' && s[1] >= '0' && s[1] <= '3' && s[2] >= '0' &&
		    s[2] <= '7' && s[3] >= '0' && s[3] <= '7') {
			*out = (char)((s[1] - '0') * 64 + (s[2] - '0') * 8 +
			    (s[3] - '0'));
			s += 3;
		} else
			*out = *s;
	}
	*out = '\0';
}

static FILE *
open_mountinfo(void)
{
	int fd = openat(procfd, "self/mountinfo", O_RDONLY | O_CLOEXEC);

	return (fd == -1 ? NULL : fdopen(fd, "r"));
}

static bool
freezable(const char *type)
{
	static const char *const types[] = { "ext2", "ext3", "ext4", "xfs",
		"btrfs", "f2fs" };

	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
		if (strcmp(type, types[i]) == 0)
			return (true);
	return (false);
}

/*
 * Takes what was mounted inside in the meantime among what is thawed, as far as
 * there are threads for it.
 */
static void
find_extra(void)
{
	char point[400], type[32];
	char *line = NULL, *dash;
	size_t size = 0;
	FILE *f = open_mountinfo();

	if (f == NULL)
		return;
	while (getline(&line, &size, f) > 0 && nslots < nthreads) {
		dash = strstr(line, " - ");
		if (dash == NULL || sscanf(dash, " - %31s", type) != 1 ||
		    sscanf(line, "%*d %*d %*s %*s %399s", point) != 1)
			continue;
		if (!freezable(type))
			continue;
		unescape(point);
		(void)snprintf(slots[nslots].ws_path,
		    sizeof(slots[nslots].ws_path), "%s", point);
		slots[nslots++].ws_state = SLOT_IDLE;
	}
	free(line);
	(void)fclose(f);
}

/*
 * Takes every mount out of the tree, the last first.  (They were made in the
 * order of the table, and each lies on one before it.)
 */
static void
detach_mounts(void)
{
	static char points[MOUNTS_MAX][400];
	char *line = NULL;
	size_t n = 0, size = 0;
	FILE *f = open_mountinfo();

	if (f == NULL)
		return;
	while (n < MOUNTS_MAX && getline(&line, &size, f) > 0)
		if (sscanf(line, "%*d %*d %*s %*s %399s", points[n]) == 1)
			unescape(points[n++]);
	free(line);
	(void)fclose(f);
	while (n-- > 0)
		if (strcmp(points[n], "/") != 0)
			(void)umount2(points[n], MNT_DETACH);
}

/* True when the process has ended within the time. */
static bool
ended(int pidfd, int ms)
{
	struct pollfd p = { .fd = pidfd, .events = POLLIN };

	return (pidfd == -1 || poll(&p, 1, ms) == 1);
}

/*
 * Frees a loop device if its image lies on one of our file systems; true if it
 * did, which may mean that it is still in use.
 */
static bool
free_loop(const char *node)
{
	struct loop_info64 info;
	char path[300];
	bool ours = false;
	int fd;

	(void)snprintf(path, sizeof(path), "/dev/%s", node);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd == -1)
		return (false);
	if (ioctl(fd, LOOP_GET_STATUS64, &info) == 0)
		for (size_t i = 0; i < ndevices; i++)
			ours = ours || devices[i] == info.lo_device;
	if (ours)
		(void)ioctl(fd, LOOP_CLR_FD, 0);
	(void)close(fd);
	return (ours);
}

static bool
free_loops(void)
{
	struct dirent *de;
	DIR *d = opendir("/dev");
	bool busy = false;

	if (d == NULL)
		return (false);
	while ((de = readdir(d)) != NULL)
		if (strncmp(de->d_name, "loop", 4) == 0 &&
		    de->d_name[4] != '-' && free_loop(de->d_name))
			busy = true;
	(void)closedir(d);
	return (!busy);
}

/* The device numbers of what loop devices of ours have their images on. */
static void
note_devices(void)
{
	struct stat st;

	if (stat("/", &st) == 0)
		devices[ndevices++] = st.st_dev;
	for (size_t i = 0; i < nslots && ndevices < SLOTS_MAX; i++)
		if (fstat(slots[i].ws_fd, &st) == 0)
			devices[ndevices++] = st.st_dev;
}

static bool
is_expedited(int fd)
{
	char c = '0';

	return (pread(fd, &c, 1, 0) == 1 && c != '0');
}

/* To be called while the machine's own mounts are there. */
static void
note_expedited(void)
{
	expedited = open("/sys/kernel/rcu_expedited", O_RDWR | O_CLOEXEC);
	if (expedited != -1 && is_expedited(expedited)) {
		(void)close(expedited);
		expedited = -1;
	}
}

/* Whoever raised it was killed. */
static void
lower_expedited(void)
{
	if (expedited != -1 && is_expedited(expedited))
		(void)!pwrite(expedited, "0", 1, 0);
}

static bool
undo(void)
{
	uint64_t until = now_ms() + 10000;
	bool ok;

	for (size_t i = 0; i < SLOTS_MAX; i++)
		if (slots[i].ws_fd != -1)
			(void)close(slots[i].ws_fd);
	detach_mounts();
	isodev_remove();
	lower_expedited();
	while (!(ok = free_loops()) && now_ms() < until)
		(void)usleep(20000);
	if (!ok)
		(void)fprintf(
		    stderr, "isoroot: a loop device is still in use\n");
	return (ok);
}

/* Ends everything; returns the watchdog's exit status. */
static int
finish(int pidfd, int result)
{
	uint64_t until;
	bool back;

	find_extra();
	back = thaw_all(2);
	for (size_t i = 0; i < SLOTS_MAX; i++)
		if (slots[i].ws_was_frozen) {
			(void)fprintf(stderr,
			    "isoroot: %s: was left frozen; thawed\n",
			    slots[i].ws_path);
			result |= WD_FROZEN;
		}
	if (pidfd != -1)
		(void)pidfd_send_signal(pidfd, SIGKILL, NULL, 0);
	until = now_ms() + 30000;
	while (!ended(pidfd, 100) && now_ms() < until)
		(void)thaw_all(1);
	back = ended(pidfd, 0) && thaw_all(5);
	if (!back) {
		(void)fprintf(
		    stderr, "isoroot: a process or a thaw does not return\n");
		result |= WD_UNDO;
	}
	if (!undo())
		result |= WD_UNDO;
	return (result);
}

static void
harden(void)
{
	int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);

	if (fd != -1) {
		(void)!write(fd, "-1000", 5);
		(void)close(fd);
	}
	for (int sig = 1; sig < NSIG; sig++)
		if (sig == SIGHUP || sig == SIGINT || sig == SIGTERM ||
		    sig == SIGPIPE || sig == SIGTSTP || sig == SIGQUIT)
			(void)signal(sig, SIG_IGN);
	(void)setsid();
	if (chdir("/") != 0 || mlockall(MCL_CURRENT | MCL_FUTURE) != 0)
		die("locking memory");
}

/*
 * The watchdog: from link come the pid of the first process inside, then a byte
 * that tells it to finish; its end says the same.  To link goes one byte when
 * it is ready and one when it knows the process.
 */
static int
watchdog(int link, unsigned int bound)
{
	uint64_t until = now_ms() + (uint64_t)bound * 1000;
	struct pollfd p = { .fd = link, .events = POLLIN };
	int64_t left;
	pid_t init = 0;
	int pidfd = -1, result = 0;
	char byte = 0;

	harden();
	load_table();
	note_devices();
	start_threads();
	if (write(link, &byte, 1) != 1 ||
	    read(link, &init, sizeof(init)) != sizeof(init))
		return (finish(-1, 0));
	pidfd = pidfd_open(init, 0);
	if (write(link, &byte, 1) != 1)
		return (finish(pidfd, 0));
	left = (int64_t)(until - now_ms());
	if (poll(&p, 1, left > 0 ? (int)left : 0) == 0) {
		(void)fprintf(
		    stderr, "isoroot: %u seconds are over; ending\n", bound);
		result = WD_BOUND;
	}
	return (finish(pidfd, result));
}

/*
 * Makes ROOT the root of this mount namespace, and takes the old one out of it
 * together with the directory that ROOT was mounted on.
 */
static void
change_root(const char *root)
{
	char old[300];

	procfd = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
	(void)snprintf(old, sizeof(old), "/old%s", root);
	if (procfd == -1 || chdir(root) != 0 || mkdir("old", 0700) != 0 ||
	    syscall(SYS_pivot_root, ".", "old") != 0 || chdir("/") != 0)
		die("changing the root");
	if (rmdir(old) != 0 || umount2("/old", MNT_DETACH) != 0 ||
	    rmdir("/old") != 0)
		die("leaving the old root");
}

/* As first process of the new pid namespace. */
static void
enter(bool sys, char *argv[])
{
	if (mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC,
		NULL) != 0 ||
	    mount("devpts", "/dev/pts", "devpts", MS_NOSUID | MS_NOEXEC,
		"newinstance,ptmxmode=0666,mode=620") != 0)
		die("mounting inside");
	/* A letter written there remounts or reboots the whole machine. */
	if (mount("/dev/null", "/proc/sysrq-trigger", NULL, MS_BIND, NULL) !=
		0 &&
	    errno != ENOENT)
		die("hiding /proc/sysrq-trigger");
	if (sys && mount("sysfs", "/sys", "sysfs", 0, NULL) != 0)
		die("mounting /sys inside");
	(void)execv("/iso/isoinit", argv);
	die("/iso/isoinit");
}

static void
on_signal(int sig)
{
	got_signal = sig;
}

/*
 * Descriptors of the first process inside: nothing that leads to a disk, as a
 * log file, a terminal's node or a named pipe might.
 */
static void
place_fds(int out, int err, int status)
{
	int in = open("/dev/null", O_RDONLY);

	if (in == -1 || dup2(in, 0) == -1 || dup2(out, 1) == -1 ||
	    dup2(err, 2) == -1 || dup2(status, 3) == -1)
		die("dup2");
	(void)close_range(4, ~0U, 0);
}

/* The supervisor's ends of everything. */
struct super {
	int sv_link;   /* to the watchdog */
	int sv_out[2]; /* the command's output, its errors, its status */
	int sv_err[2];
	int sv_status[2];
	int sv_go[2];
	int sv_watchfd; /* pidfd of the watchdog */
	pid_t sv_watch;
	pid_t sv_init;
	int sv_result; /* the watchdog's exit status */
};

static void
start_inside(struct super *sv, bool sys, char *argv[])
{
	char byte;

	/*
	 * Like fork(), with namespaces.  (unshare() would bar this process from
	 * making threads, should it have to stand in for its watchdog.)
	 */
	sv->sv_init = (pid_t)syscall(
	    SYS_clone, CLONE_NEWPID | CLONE_NEWIPC | SIGCHLD, 0, 0, 0, 0);
	if (sv->sv_init == -1)
		die("new namespaces");
	if (sv->sv_init != 0)
		return;
	(void)close(sv->sv_go[1]);
	if (read(sv->sv_go[0], &byte, 1) != 1)
		_exit(125);
	if (cgroup != -1 && !isodev_enter(cgroup))
		die("entering the cgroup");
	place_fds(sv->sv_out[1], sv->sv_err[1], sv->sv_status[1]);
	enter(sys, argv);
}

static void
close_pipes(struct super *sv)
{
	for (int i = 0; i < 2; i++) {
		(void)close(sv->sv_out[i]);
		(void)close(sv->sv_err[i]);
		(void)close(sv->sv_status[i]);
		(void)close(sv->sv_go[i]);
	}
}

static void
start(struct super *sv, unsigned int bound, bool sys, char *argv[])
{
	int link[2];
	char byte;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, link) != 0 ||
	    pipe2(sv->sv_out, O_CLOEXEC) != 0 ||
	    pipe2(sv->sv_err, O_CLOEXEC) != 0 ||
	    pipe2(sv->sv_status, O_CLOEXEC) != 0 ||
	    pipe2(sv->sv_go, O_CLOEXEC) != 0)
		die("pipes");
	sv->sv_watch = fork();
	if (sv->sv_watch == -1)
		die("fork");
	if (sv->sv_watch == 0) {
		(void)close(link[0]);
		close_pipes(sv);
		_exit(watchdog(link[1], bound));
	}
	(void)close(link[1]);
	sv->sv_link = link[0];
	sv->sv_watchfd = pidfd_open(sv->sv_watch, 0);
	if (read(sv->sv_link, &byte, 1) != 1)
		die("watchdog");
	start_inside(sv, sys, argv);
	if (write(sv->sv_link, &sv->sv_init, sizeof(sv->sv_init)) !=
		sizeof(sv->sv_init) ||
	    read(sv->sv_link, &byte, 1) != 1)
		die("watchdog");
	(void)close(sv->sv_out[1]);
	(void)close(sv->sv_err[1]);
	(void)close(sv->sv_status[1]);
	(void)!write(sv->sv_go[1], &byte, 1);
	(void)close(sv->sv_go[0]);
	(void)close(sv->sv_go[1]);
}

/* Carries what is there over; false at the end. */
static bool
carry(int from, int to)
{
	char buf[4096];
	ssize_t n = read(from, buf, sizeof(buf)), done = 0, m;

	if (n <= 0)
		return (n == -1 && errno == EINTR);
	while (done < n) {
		m = write(to, buf + done, (size_t)(n - done));
		if (m <= 0)
			break;
		done += m;
	}
	return (true);
}

/*
 * The watchdog has ended: regularly, with everything undone, or because
 * somebody killed it, and then this process does its work.
 */
static void
watchdog_ended(struct super *sv)
{
	int status;

	if (waitpid(sv->sv_watch, &status, 0) == sv->sv_watch &&
	    WIFEXITED(status)) {
		sv->sv_result = WEXITSTATUS(status);
		return;
	}
	(void)fprintf(stderr, "isoroot: the watchdog was killed; ending\n");
	load_table();
	note_devices();
	start_threads();
	sv->sv_result = finish(pidfd_open(sv->sv_init, 0), WD_UNDO);
}

static void
tell_to_finish(struct super *sv)
{
	if (sv->sv_link != -1)
		(void)close(sv->sv_link);
	sv->sv_link = -1;
}

/*
 * Until the watchdog has ended and all output is out.  Returns the command's
 * wait status, or -1 if there is none.
 */
static int
attend(struct super *sv)
{
	struct pollfd p[4] = {
		{ .fd = sv->sv_out[0], .events = POLLIN },
		{ .fd = sv->sv_err[0], .events = POLLIN },
		{ .fd = sv->sv_status[0], .events = POLLIN },
		{ .fd = sv->sv_watchfd, .events = POLLIN },
	};
	int status = -1;

	while (p[0].fd != -1 || p[1].fd != -1 || p[3].fd != -1) {
		if (got_signal != 0)
			tell_to_finish(sv);
		if (poll(p, 4, 1000) == -1)
			continue;
		for (int i = 0; i < 2; i++)
			if (p[i].revents != 0 && !carry(p[i].fd, i + 1))
				p[i].fd = -1;
		if (p[2].revents != 0) {
			if (read(p[2].fd, &status, sizeof(status)) !=
			    sizeof(status))
				status = -1;
			p[2].fd = -1;
			tell_to_finish(sv);
		}
		if (p[3].revents != 0) {
			p[3].fd = -1;
			watchdog_ended(sv);
		}
	}
	return (status);
}

static int
exit_status(const struct super *sv, int status)
{
	if (got_signal != 0)
		return (128 + got_signal);
	if ((sv->sv_result & WD_BOUND) != 0)
		return (124);
	if ((sv->sv_result & ~(WD_BOUND | WD_FROZEN | WD_UNDO)) != 0 ||
	    status == -1)
		return (125);
	if (WIFSIGNALED(status))
		return (128 + WTERMSIG(status));
	if (WEXITSTATUS(status) != 0)
		return (WEXITSTATUS(status));
	return (sv->sv_result != 0 ? 99 : 0);
}

int
main(int argc, char *argv[])
{
	struct sigaction sa = { .sa_handler = on_signal };
	struct super sv = { .sv_link = -1 };
	bool sys;

	if (argc < 5) {
		(void)fprintf(stderr, "isowatch: is started by isoroot\n");
		return (125);
	}
	cgroup = isodev_make();
	note_expedited();
	change_root(argv[1]);
	/* Says that it is so. */
	if (cgroup != -1)
		(void)close(open("/iso/guarded", O_WRONLY | O_CREAT, 0444));
	(void)sigaction(SIGINT, &sa, NULL);
	(void)sigaction(SIGTERM, &sa, NULL);
	(void)sigaction(SIGHUP, &sa, NULL);
	(void)signal(SIGPIPE, SIG_IGN);
	sys = strcmp(argv[3], "1") == 0;
	argv[3] = strdup("isoinit");
	start(&sv, (unsigned int)strtoul(argv[2], NULL, 10), sys, argv + 3);
	return (exit_status(&sv, attend(&sv)));
}
