/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/*
 * Process 1 of an emulated FreeBSD machine: runs /etc/rc with the console and
 * switches the machine off.
 */

#include <sys/param.h>

#include <sys/reboot.h>
#include <sys/wait.h>

#include <fcntl.h>
#include <libutil.h>
#include <stdio.h>
#include <termios.h>
#include <unistd.h>

static char arg0[] = "sh", arg1[] = "/etc/rc";
static char env0[] = "PATH=/bin", env1[] = "HOME=/", env2[] = "TERM=dumb";

int
main(void)
{
	char *argv[] = { arg0, arg1, NULL };
	char *envp[] = { env0, env1, env2, NULL };
	int fd, status = 0;
	pid_t pid;

	setsid();
	fd = open("/dev/console", O_RDWR);
	if (fd != -1)
		login_tty(fd);
	pid = fork();
	if (pid == 0) {
		execve("/bin/sh", argv, envp);
		_exit(127);
	}
	while (wait(&status) != pid)
		;
	printf("guest: rc ended with %d\n",
	    WIFEXITED(status) ? WEXITSTATUS(status) : 128);
	fflush(stdout);
	tcdrain(STDOUT_FILENO); /* Before the kernel speaks. */
	sync();
	reboot(RB_HALT | RB_POWEROFF);
	return (0);
}
