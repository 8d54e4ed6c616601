/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/*
 * Plays somebody who has taken over a process: makes it do system calls and
 * says what came of them.  Calls are lines of standard input, the number and up
 * to six arguments: numbers, or "=TEXT" for the address of a text in the
 * process's stack.  Each is answered with the call's result, an errno as a
 * negative number.  The process is killed at the end.  Linux on x86-64.
 */

#include <sys/ptrace.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>

#include <err.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#ifdef __x86_64__

#define STACK_BELOW  16384
#define LINE_MAX_LEN 1024

/* Where the process has a syscall instruction, its vdso at the latest. */
static unsigned long
find_syscall(pid_t pid)
{
	static unsigned char code[4 * 1024 * 1024];
	char path[64], line[512], perms[8];
	unsigned long begin, end, i;
	ssize_t n;
	FILE *maps, *mem;

	snprintf(path, sizeof(path), "/proc/%d/maps", (int)pid);
	maps = fopen(path, "re");
	snprintf(path, sizeof(path), "/proc/%d/mem", (int)pid);
	mem = fopen(path, "re");
	if (maps == NULL || mem == NULL)
		err(1, "%s", path);
	while (fgets(line, sizeof(line), maps) != NULL) {
		if (sscanf(line, "%lx-%lx %7s", &begin, &end, perms) != 3 ||
		    strchr(perms, 'x') == NULL || begin >= 1UL << 63)
			continue;
		if (end - begin > sizeof(code))
			end = begin + sizeof(code);
		n = pread(fileno(mem), code, end - begin, (off_t)begin);
		for (i = 0; n > 0 && i + 1 < (unsigned long)n; i++)
			if (code[i] == 0x0f && code[i + 1] == 0x05) {
				fclose(maps);
				fclose(mem);
				return (begin + i);
			}
	}
	errx(1, "%d: no syscall instruction", (int)pid);
}

static void
wait_stop(pid_t pid)
{
	int status;

	if (waitpid(pid, &status, __WALL) != pid)
		err(1, "waitpid");
	if (!WIFSTOPPED(status)) {
		printf("ended\n");
		exit(0);
	}
}

/* The value of a word; texts go to the stack, one after another. */
static unsigned long
argument(pid_t pid, const char *word, unsigned long *sp)
{
	size_t len;
	struct iovec from, to;

	if (word[0] != '=')
		return (strtoul(word, NULL, 0));
	len = strlen(word);
	from = (struct iovec) { (char *)(size_t)(word + 1), len };
	to = (struct iovec) { (void *)*sp, len };
	if (process_vm_writev(pid, &from, 1, &to, 1, 0) != (ssize_t)len)
		err(1, "process_vm_writev");
	*sp += (len + 15) / 16 * 16;
	return ((unsigned long)to.iov_base);
}

static void
call(pid_t pid, const struct user_regs_struct *saved, char *line)
{
	struct user_regs_struct regs = *saved;
	unsigned long arg[7] = { 0 }, sp = saved->rsp - STACK_BELOW;
	char *save, *word = strtok_r(line, " \n", &save);
	int i;

	for (i = 0; i < 7 && word != NULL; i++) {
		arg[i] = argument(pid, word, &sp);
		word = strtok_r(NULL, " \n", &save);
	}
	regs.rax = arg[0];
	regs.orig_rax = (unsigned long)-1;
	regs.rdi = arg[1];
	regs.rsi = arg[2];
	regs.rdx = arg[3];
	regs.r10 = arg[4];
	regs.r8 = arg[5];
	regs.r9 = arg[6];
	if (ptrace(PTRACE_SETREGS, pid, NULL, &regs) == -1 ||
	    ptrace(PTRACE_SINGLESTEP, pid, NULL, NULL) == -1)
		err(1, "ptrace");
	wait_stop(pid);
	if (ptrace(PTRACE_GETREGS, pid, NULL, &regs) == -1)
		err(1, "PTRACE_GETREGS");
	printf("%ld\n", (long)regs.rax);
}

int
main(int argc, char *argv[])
{
	struct user_regs_struct regs;
	char line[LINE_MAX_LEN];
	pid_t pid;

	if (argc != 2)
		errx(1, "usage: inject PID <CALLS");
	pid = (pid_t)atoi(argv[1]);
	if (ptrace(PTRACE_SEIZE, pid, NULL, PTRACE_O_EXITKILL) == -1 ||
	    ptrace(PTRACE_INTERRUPT, pid, NULL, NULL) == -1)
		err(1, "%d: ptrace", (int)pid);
	wait_stop(pid);
	if (ptrace(PTRACE_GETREGS, pid, NULL, &regs) == -1)
		err(1, "PTRACE_GETREGS");
	regs.rip = find_syscall(pid);
	while (fgets(line, sizeof(line), stdin) != NULL)
		call(pid, &regs, line);
	kill(pid, SIGKILL);
	return (0);
}

#else

int
main(void)
{
	puts("1..0 # SKIP its registers are those of x86-64");
	return (77);
}

#endif
