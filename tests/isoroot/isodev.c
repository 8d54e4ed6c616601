/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/*
 * A cgroup2 directory of our own with a device program (BPF) of nine
 * instructions.  The kernel asks it at each open of a device, a mount's
 * included, and at each mknod.
 */

#include "isodev.h"

#include <sys/stat.h>
#include <sys/syscall.h>

#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define LOOP_MAJOR 7

static int cgroup2 = -1; /* where cgroup2 is mounted */
static char name[32];	 /* our directory in it */

static int
bpf(enum bpf_cmd cmd, union bpf_attr *attr)
{
	return ((int)syscall(SYS_bpf, cmd, attr, sizeof(*attr)));
}

/* Allows what is no block device, and loop devices. */
static int
load_program(void)
{
	static const struct bpf_insn program[] = {
		/* r2 = type: the low half of access_type */
		{ BPF_LDX | BPF_MEM | BPF_W, BPF_REG_2, BPF_REG_1,
		    offsetof(struct bpf_cgroup_dev_ctx, access_type), 0 },
		{ BPF_ALU | BPF_AND | BPF_K, BPF_REG_2, 0, 0, 0xffff },
		/* r3 = major */
		{ BPF_LDX | BPF_MEM | BPF_W, BPF_REG_3, BPF_REG_1,
		    offsetof(struct bpf_cgroup_dev_ctx, major), 0 },
		/* r0 = 1; a block device that is no loop device: r0 = 0 */
		{ BPF_ALU64 | BPF_MOV | BPF_K, BPF_REG_0, 0, 0, 1 },
		{ BPF_JMP | BPF_JNE | BPF_K, BPF_REG_2, 0, 2,
		    BPF_DEVCG_DEV_BLOCK },
		{ BPF_JMP | BPF_JEQ | BPF_K, BPF_REG_3, 0, 1, LOOP_MAJOR },
		{ BPF_ALU64 | BPF_MOV | BPF_K, BPF_REG_0, 0, 0, 0 },
		{ BPF_JMP | BPF_EXIT, 0, 0, 0, 0 },
	};
	static const char licence[] = "BSD-2-Clause";
	union bpf_attr attr;

	memset(&attr, 0, sizeof(attr));
	attr.prog_type = BPF_PROG_TYPE_CGROUP_DEVICE;
	attr.insns = (uint64_t)(uintptr_t)program;
	attr.insn_cnt = sizeof(program) / sizeof(program[0]);
	attr.license = (uint64_t)(uintptr_t)licence;
	return (bpf(BPF_PROG_LOAD, &attr));
}

static int
attach(int cgroup)
{
	union bpf_attr attr;
	int program = load_program(), result;

	if (program == -1)
		return (-1);
	memset(&attr, 0, sizeof(attr));
	attr.target_fd = (uint32_t)cgroup;
	attr.attach_bpf_fd = (uint32_t)program;
	attr.attach_type = BPF_CGROUP_DEVICE;
	attr.attach_flags = BPF_F_ALLOW_MULTI;
	result = bpf(BPF_PROG_ATTACH, &attr);
	(void)close(program);
	return (result);
}

/* Where cgroup2 is mounted, by the mount table. */
static int
find_cgroup2(void)
{
	char line[4096], point[1024];
	FILE *f = fopen("/proc/self/mountinfo", "re");
	int fd = -1;

	if (f == NULL)
		return (-1);
	while (fd == -1 && fgets(line, sizeof(line), f) != NULL)
		if (strstr(line, " - cgroup2 ") != NULL &&
		    sscanf(line, "%*d %*d %*s %*s %1023s", point) == 1)
			fd = open(point, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	(void)fclose(f);
	return (fd);
}

int
isodev_make(void)
{
	int cgroup;

	cgroup2 = find_cgroup2();
	if (cgroup2 == -1)
		return (-1);
	(void)snprintf(name, sizeof(name), "isoroot.%d", (int)getpid());
	if (mkdirat(cgroup2, name, 0755) != 0)
		return (-1);
	cgroup = openat(cgroup2, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (cgroup != -1 && attach(cgroup) == 0)
		return (cgroup);
	if (cgroup != -1)
		(void)close(cgroup);
	isodev_remove();
	return (-1);
}

bool
isodev_enter(int cgroup)
{
	int fd = openat(cgroup, "cgroup.procs", O_WRONLY | O_CLOEXEC);
	bool ok;

	if (fd == -1)
		return (false);
	ok = write(fd, "0", 1) == 1;
	(void)close(fd);
	return (ok);
}

void
isodev_remove(void)
{
	if (name[0] == '\0')
		return;
	/* Processes that have ended leave it a moment later. */
	for (int i = 0; i < 250; i++) {
		if (unlinkat(cgroup2, name, AT_REMOVEDIR) == 0 ||
		    errno != EBUSY)
			return;
		(void)usleep(20000);
	}
}
