/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/*
 * The first process inside the isolated root: isoinit COMMAND [ARGUMENT]...
 * It proves that nothing of the machine's own file systems can be reached,
 * refuses to run the command otherwise, gives up what could make a way to them
 * (device nodes, modules, raw I/O), runs the command, collects orphans, and
 * hands the command's wait status to descriptor 3.  When it ends, the kernel
 * ends every process inside.
 *
 * It is executed after the root was changed, so that neither its own program
 * file nor its libraries are the machine's.
 */

#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define STATUS_FD    3
#define DEVICES_MAX  520

#define DEVICES_TEXT (DEVICES_MAX * 16)

/* Device numbers that may be met: the root's, and the scratch file systems'. */
static dev_t devices[DEVICES_MAX];
static size_t ndevices;
/* That of unnamed pipes.  (A named one is on a file system.) */
static dev_t pipes;
/* The scratch file systems as "MAJOR:MINOR,...", for the freezer under test. */
static char device_list[DEVICES_TEXT];

static void
refuse(const char *what, const char *which)
{
	(void)fprintf(stderr, "isoroot: refused: %s: %s\n", which, what);
	exit(125);
}

static void
load_devices(void)
{
	struct stat st;
	unsigned int major, minor;
	size_t len = 0;
	FILE *f;

	if (stat("/", &st) != 0)
		refuse(strerror(errno), "/");
	devices[ndevices++] = st.st_dev;
	if (fstat(STATUS_FD, &st) != 0 || !S_ISFIFO(st.st_mode))
		refuse("not a pipe", "descriptor 3");
	pipes = st.st_dev;
	f = fopen("/iso/devices", "re");
	if (f == NULL)
		refuse(strerror(errno), "/iso/devices");
	while (fscanf(f, "%u:%u", &major, &minor) == 2) {
		if (ndevices == DEVICES_MAX)
			refuse("too many file systems", "/iso/devices");
		devices[ndevices++] = makedev(major, minor);
		len += (size_t)snprintf(device_list + len,
		    sizeof(device_list) - len, "%s%u:%u", len > 0 ? "," : "",
		    major, minor);
	}
	(void)fclose(f);
}

static bool
known_device(dev_t dev)
{
	for (size_t i = 0; i < ndevices; i++)
		if (devices[i] == dev)
			return (true);
	return (false);
}

/* Types of which each mount is a window to the kernel and not to a disk. */
static bool
harmless_type(const char *type)
{
	static const char *const types[] = { "proc", "devpts", "sysfs" };

	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
		if (strcmp(types[i], type) == 0)
			return (true);
	return (false);
}

/* One line: ID PARENT MAJOR:MINOR ROOT POINT OPTIONS [TAGS] - TYPE SOURCE ...
 */
static void
check_mount(const char *line, const char *path)
{
	unsigned int major, minor;
	char type[64];
	const char *dash = strstr(line, " - ");

	if (dash == NULL || sscanf(dash, " - %63s", type) != 1 ||
	    sscanf(line, "%*d %*d %u:%u", &major, &minor) != 2)
		refuse("cannot be understood", path);
	if (!harmless_type(type) && !known_device(makedev(major, minor)))
		refuse("names a file system that is not scratch", line);
}

static void
check_mountinfo(const char *path)
{
	char *line = NULL;
	size_t size = 0;
	FILE *f = fopen(path, "re");

	if (f == NULL)
		refuse(strerror(errno), path);
	while (getline(&line, &size, f) > 0)
		check_mount(line, path);
	free(line);
	(void)fclose(f);
}

/* Whether what a /proc link leads to is ours; pipes and sockets lead nowhere.
 */
static void
check_link(const char *path)
{
	struct stat st;

	if (stat(path, &st) != 0)
		return;
	if (S_ISSOCK(st.st_mode) || st.st_dev == pipes)
		return;
	if (!known_device(st.st_dev))
		refuse("leads to a file system that is not scratch", path);
}

static void
check_links_in(const char *dir)
{
	char path[512];
	struct dirent *de;
	DIR *d = opendir(dir);

	if (d == NULL)
		return;
	while ((de = readdir(d)) != NULL) {
		if (de->d_name[0] == '.')
			continue;
		(void)snprintf(path, sizeof(path), "%s/%s", dir, de->d_name);
		/* The descriptor of this very loop. */
		if (strtol(de->d_name, NULL, 10) == dirfd(d) &&
		    strstr(dir, "/fd") != NULL)
			continue;
		check_link(path);
	}
	(void)closedir(d);
}

static void
check_process(const char *pid)
{
	static const char *const links[] = { "root", "cwd", "exe" };
	char path[300];

	(void)snprintf(path, sizeof(path), "/proc/%s/mountinfo", pid);
	check_mountinfo(path);
	for (size_t i = 0; i < sizeof(links) / sizeof(links[0]); i++) {
		(void)snprintf(
		    path, sizeof(path), "/proc/%s/%s", pid, links[i]);
		check_link(path);
	}
	(void)snprintf(path, sizeof(path), "/proc/%s/map_files", pid);
	check_links_in(path);
}

static void
check_all(void)
{
	struct dirent *de;
	DIR *d = opendir("/proc");
	int seen = 0;

	if (getpid() != 1)
		refuse("not the first process", "/proc");
	if (d == NULL)
		refuse(strerror(errno), "/proc");
	while ((de = readdir(d)) != NULL) {
		if (de->d_name[0] < '0' || de->d_name[0] > '9')
			continue;
		check_process(de->d_name);
		seen++;
	}
	(void)closedir(d);
	check_links_in("/proc/1/fd");
	if (seen != 1)
		refuse("shows other processes", "/proc");
}

/*
 * With a node of its own making, of the machine's disk above all, the command
 * could mount what it was not given.
 */
static void
give_up(void)
{
	static const int caps[] = { CAP_MKNOD, CAP_SYS_MODULE, CAP_SYS_RAWIO,
		CAP_SYS_BOOT, CAP_DAC_READ_SEARCH };

	for (size_t i = 0; i < sizeof(caps) / sizeof(caps[0]); i++)
		if (prctl(PR_CAPBSET_DROP, caps[i], 0, 0, 0) != 0)
			refuse(strerror(errno), "dropping capabilities");
}

/* Nothing of the environment outside, whose paths are not here. */
static void
set_environment(void)
{
	(void)clearenv();
	(void)setenv("PATH", "/hv/bin:/usr/sbin:/usr/bin:/sbin:/bin", 1);
	(void)setenv("HOME", "/root", 1);
	(void)setenv("TMPDIR", "/tmp", 1);
	(void)setenv("LC_ALL", "C.UTF-8", 1);
	(void)setenv("PYTHONPATH", "/hv/e2e", 1);
	(void)setenv("PYTHONDONTWRITEBYTECODE", "1", 1);
	/* For programs that refuse to freeze anywhere else. */
	(void)setenv("ISOROOT", "1", 1);
	(void)setenv("HV_VSS_TOP", "/hv", 1);
	(void)setenv("HV_VSS_BUILD", "/hv", 1);
	(void)setenv("HV_VSS_TEST_DEVICES", device_list, 1);
	/*
	 * What a sanitizer finds is told in a file, for programs without any
	 * output, and ends its program.  Tests send SIGSEGV themselves.
	 */
	(void)setenv(
	    "ASAN_OPTIONS", "log_path=/tmp/sanitizer:handle_segv=0", 1);
	(void)setenv("TSAN_OPTIONS",
	    "log_path=/tmp/sanitizer:handle_segv=0:halt_on_error=1:"
	    "atexit_sleep_ms=0",
	    1);
}

static void
run(char *argv[])
{
	sigset_t none;

	(void)sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	(void)signal(SIGPIPE, SIG_DFL);
	(void)setsid();
	(void)close(STATUS_FD);
	set_environment();
	(void)execvp(argv[0], argv);
	(void)fprintf(stderr, "isoroot: %s: %s\n", argv[0], strerror(errno));
	_exit(errno == ENOENT ? 127 : 126);
}

int
main(int argc, char *argv[])
{
	pid_t command, pid;
	int status;

	if (argc < 2)
		refuse("no command", "isoinit");
	if (close_range(STATUS_FD + 1, ~0U, 0) != 0)
		refuse(strerror(errno), "closing descriptors");
	load_devices();
	check_all();
	command = fork();
	if (command == -1)
		refuse(strerror(errno), "fork");
	if (command == 0) {
		give_up();
		run(argv + 1);
	}
	do {
		pid = waitpid(-1, &status, 0);
	} while (pid != command && (pid != -1 || errno == EINTR));
	if (pid == command)
		(void)!write(STATUS_FD, &status, sizeof(status));
	return (0);
}
