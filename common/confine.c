/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/* Capabilities, and tables of system calls as a filter of the kernel's. */

#include "confine.h"

#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include <errno.h>
#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <string.h>
#include <unistd.h>

#if defined(__x86_64__)
#define CONFINE_ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define CONFINE_ARCH AUDIT_ARCH_AARCH64
#elif defined(__riscv) && __riscv_xlen == 64
#define CONFINE_ARCH AUDIT_ARCH_RISCV64
#endif

#define CONFINE_MAX	    512 /* instructions */
#define CONFINE_X32	    0x40000000U

#define CONFINE_DATA(field) ((uint32_t)offsetof(struct seccomp_data, field))
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define CONFINE_LOW 0
#else
#define CONFINE_LOW 4
#endif

#define CONFINE_FAIL(error) (SECCOMP_RET_ERRNO | ((error)&SECCOMP_RET_DATA))

struct confine_prog {
	struct sock_filter cp_code[CONFINE_MAX];
	size_t cp_len;
};

int
confine_caps(uint64_t set)
{
	struct __user_cap_header_struct hdr = { _LINUX_CAPABILITY_VERSION_3,
		0 };
	struct __user_cap_data_struct has[2];
	uint64_t keep;
	int cap, i;

	if (syscall(SYS_capget, &hdr, has) == -1)
		return (errno);
	/* While that may still be done; without CAP_SETPCAP it may not. */
	for (cap = 0; cap < 64; cap++)
		if ((set & CONFINE_CAP(cap)) == 0 &&
		    prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) == -1)
			break;
	(void)prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	for (i = 0; i < 2; i++) {
		keep = has[i].permitted & (uint32_t)(set >> (32 * i));
		has[i].permitted = has[i].effective = (uint32_t)keep;
		has[i].inheritable = 0;
	}
	return (syscall(SYS_capset, &hdr, has) == -1 ? errno : 0);
}

static void
confine_add(struct confine_prog *cp, struct sock_filter code)
{
	/* One that does not fit is noticed at the end. */
	if (cp->cp_len < CONFINE_MAX)
		cp->cp_code[cp->cp_len] = code;
	cp->cp_len++;
}

/* A line of the table; the call's number is loaded before and after it. */
static void
confine_rule(struct confine_prog *cp, const struct confine_rule *cr)
{
	const struct sock_filter call = BPF_STMT(
	    BPF_LD | BPF_W | BPF_ABS, CONFINE_DATA(nr));
	const struct sock_filter arg = BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
	    CONFINE_DATA(args) + 8 * cr->cr_arg + CONFINE_LOW);
	const struct sock_filter allow = BPF_STMT(
	    BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	uint32_t value = cr->cr_value;

	if (cr->cr_what == CONFINE_SELF)
		value = (uint32_t)getpid();
	if (cr->cr_what == CONFINE_ALLOW || cr->cr_what == CONFINE_REFUSE ||
	    cr->cr_what == CONFINE_ENOSYS) {
		confine_add(cp,
		    (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K,
			(uint32_t)cr->cr_call, 0, 1));
		confine_add(cp,
		    cr->cr_what == CONFINE_ALLOW ?
			allow :
			(struct sock_filter)BPF_STMT(BPF_RET | BPF_K,
			    cr->cr_what == CONFINE_REFUSE ?
				CONFINE_FAIL(EPERM) :
				CONFINE_FAIL(ENOSYS)));
		return;
	}
	confine_add(cp,
	    (struct sock_filter)BPF_JUMP(
		BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)cr->cr_call, 0, 4));
	confine_add(cp, arg);
	if (cr->cr_what == CONFINE_NONE_OF)
		confine_add(cp,
		    (struct sock_filter)BPF_JUMP(
			BPF_JMP | BPF_JSET | BPF_K, value, 1, 0));
	else
		confine_add(cp,
		    (struct sock_filter)BPF_JUMP(
			BPF_JMP | BPF_JEQ | BPF_K, value, 0, 1));
	confine_add(cp, allow);
	confine_add(cp, call);
}

/* From the first line to the last, and what becomes of all other calls. */
static int
confine_load(struct confine_prog *cp, uint32_t others)
{
#ifdef CONFINE_ARCH
	struct sock_fprog prog;

	confine_add(cp, (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, others));
	if (cp->cp_len > CONFINE_MAX)
		return (E2BIG);
	prog.len = (unsigned short)cp->cp_len;
	prog.filter = cp->cp_code;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == -1)
		return (errno);
	if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER,
		SECCOMP_FILTER_FLAG_TSYNC, &prog) != 0)
		return (errno == 0 ? EBUSY : errno);
	return (0);
#else
	/* No numbers are known for this machine: nothing is given up. */
	(void)cp;
	(void)others;
	return (ENOSYS);
#endif
}

static void
confine_get(struct confine_prog *cp, uint32_t at)
{
	confine_add(
	    cp, (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, at));
}

#ifdef CONFINE_ARCH
/* Refuses the call if what was loaded passes the test, or if it does not. */
static void
confine_refuse(struct confine_prog *cp, uint16_t test, uint32_t k, bool passes)
{
	confine_add(cp,
	    (struct sock_filter)BPF_JUMP(
		BPF_JMP | test | BPF_K, k, passes ? 0 : 1, passes ? 1 : 0));
	confine_add(cp,
	    (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, CONFINE_FAIL(EPERM)));
}
#endif

static void
confine_begin(struct confine_prog *cp)
{
	cp->cp_len = 0;
#ifdef CONFINE_ARCH
	/* Another machine's calls have other numbers. */
	confine_get(cp, CONFINE_DATA(arch));
	confine_refuse(cp, BPF_JEQ, CONFINE_ARCH, false);
#endif
	confine_get(cp, CONFINE_DATA(nr));
#ifdef __x86_64__
	/* The same machine's calls have others once more (x32). */
	confine_refuse(cp, BPF_JGE, CONFINE_X32, true);
#endif
}

int
confine_calls(const struct confine_rule *rules, size_t n)
{
	struct confine_prog cp;
	size_t i;

	confine_begin(&cp);
	for (i = 0; i < n; i++)
		confine_rule(&cp, &rules[i]);
	return (confine_load(&cp, CONFINE_FAIL(EPERM)));
}

#define CONFINE_NAMESPACES                                         \
	((uint32_t)(CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | \
	    CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET))
#define CONFINE_NO(name)                          \
	{                                         \
		__NR_##name, CONFINE_REFUSE, 0, 0 \
	}

static const struct confine_rule confine_nobody[] = {
	/* Other processes. */
	CONFINE_NO(ptrace), CONFINE_NO(process_vm_readv),
	CONFINE_NO(process_vm_writev), CONFINE_NO(pidfd_getfd),
	CONFINE_NO(kcmp),
	/* The network. */
	CONFINE_IF(socket, 0, CONFINE_EQUALS, AF_UNIX), CONFINE_NO(socket),
	/* The kernel. */
	CONFINE_NO(init_module), CONFINE_NO(finit_module),
	CONFINE_NO(delete_module), CONFINE_NO(kexec_load), CONFINE_NO(bpf),
	CONFINE_NO(perf_event_open), CONFINE_NO(userfaultfd),
	CONFINE_NO(io_uring_setup), CONFINE_NO(io_uring_enter),
	CONFINE_NO(io_uring_register), CONFINE_NO(add_key),
	CONFINE_NO(request_key), CONFINE_NO(keyctl), CONFINE_NO(reboot),
	CONFINE_NO(swapon), CONFINE_NO(swapoff), CONFINE_NO(acct),
	CONFINE_NO(settimeofday), CONFINE_NO(clock_settime),
	CONFINE_NO(adjtimex), CONFINE_NO(clock_adjtime),
	CONFINE_NO(sethostname), CONFINE_NO(setdomainname),
	CONFINE_NO(quotactl), CONFINE_NO(syslog), CONFINE_NO(personality),
	/* Another view of the machine, or another user. */
	CONFINE_NO(unshare), CONFINE_NO(setns), CONFINE_NO(chroot),
	CONFINE_NO(pivot_root), CONFINE_NO(open_tree), CONFINE_NO(move_mount),
	CONFINE_NO(fsopen), CONFINE_NO(fsconfig), CONFINE_NO(fsmount),
	CONFINE_NO(fspick), CONFINE_NO(mount_setattr),
	CONFINE_NO(open_by_handle_at), CONFINE_NO(setuid), CONFINE_NO(setgid),
	CONFINE_NO(setreuid), CONFINE_NO(setregid), CONFINE_NO(setresuid),
	CONFINE_NO(setresgid), CONFINE_NO(setgroups), CONFINE_NO(setfsuid),
	CONFINE_NO(setfsgid),
	CONFINE_IF(clone, 0, CONFINE_NONE_OF, CONFINE_NAMESPACES),
	CONFINE_NO(clone),
	/* Its flags are out of reach; clone is tried then. */
	{ __NR_clone3, CONFINE_ENOSYS, 0, 0 }
};

static const struct confine_rule confine_exec[] = { CONFINE_NO(execve),
	CONFINE_NO(execveat) };

static const struct confine_rule confine_mount[] = { CONFINE_NO(mount),
	CONFINE_NO(umount2) };

int
confine_never(unsigned may)
{
	struct confine_prog cp;
	size_t i;

	confine_begin(&cp);
	for (i = 0; i < sizeof(confine_nobody) / sizeof(confine_nobody[0]); i++)
		confine_rule(&cp, &confine_nobody[i]);
	for (i = 0; i < 2 && (may & CONFINE_MAY_EXEC) == 0; i++)
		confine_rule(&cp, &confine_exec[i]);
	for (i = 0; i < 2 && (may & CONFINE_MAY_MOUNT) == 0; i++)
		confine_rule(&cp, &confine_mount[i]);
	return (confine_load(&cp, SECCOMP_RET_ALLOW));
}
