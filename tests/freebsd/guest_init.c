/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/*
 * Process 1 of an emulated FreeBSD machine: runs /etc/rc with the console and
 * switches the machine off.  If that ends with REROOT, the root is unmounted,
 * the one mounted that vfs.root.mountfrom names by then, and its /etc/rc run.
 * Of the first nothing may be in use any more: until then a copy of this
 * program runs, that /etc/rc has put on a tmpfs on /dev/reroot.
 */

#include <sys/param.h>

#include <sys/reboot.h>
#include <sys/wait.h>

#include <fcntl.h>
#include <libutil.h>
#include <stdio.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#define REROOT 75 /* exit status of /etc/rc */

static char env0[] = "PATH=/bin", env1[] = "HOME=/", env2[] = "TERM=dumb";
static char *env[] = { env0, env1, env2, NULL };

/* PROGRAM ARG; returns if it cannot be run. */
static void
run(const char *program, const char *arg)
{
	char arg0[MAXPATHLEN], arg1[MAXPATHLEN];
	char *argv[] = { arg0, arg1, NULL };

	strlcpy(arg0, program, sizeof(arg0));
	strlcpy(arg1, arg, sizeof(arg1));
	execve(program, argv, env);
	perror(program);
}

int
main(int argc, char *argv[])
{
	int fd, status = 0;
	pid_t pid;

	setsid();
	fd = open("/dev/console", O_RDWR);
	if (fd != -1)
		login_tty(fd);
	if (argc > 1 && strcmp(argv[1], "reroot") == 0) {
		if (reboot(RB_REROOT) == 0)
			run("/sbin/init", "rerooted");
		perror("reroot");
	}
	pid = fork();
	if (pid == 0) {
		run("/bin/sh", "/etc/rc");
		_exit(127);
	}
	while (wait(&status) != pid)
		;
	if (WIFEXITED(status) && WEXITSTATUS(status) == REROOT)
		run("/dev/reroot/init", "reroot");
	printf("guest: rc ended with %d\n",
	    WIFEXITED(status) ? WEXITSTATUS(status) : 128);
	fflush(stdout);
	tcdrain(STDOUT_FILENO); /* Before the kernel speaks. */
	sync();
	reboot(RB_HALT | RB_POWEROFF);
	return (0);
}
