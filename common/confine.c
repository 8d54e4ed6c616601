/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/* Capabilities, and tables of system calls as a filter of the kernel's. */

#include "confine.h"

#include <sys/prctl.h>
#include <sys/syscall.h>

#include <errno.h>
#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
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
	if (cr->cr_what == CONFINE_ALLOW || cr->cr_what == CONFINE_ENOSYS) {
		confine_add(cp,
		    (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K,
			(uint32_t)cr->cr_call, 0, 1));
		confine_add(cp,
		    cr->cr_what == CONFINE_ALLOW ?
			allow :
			(struct sock_filter)BPF_STMT(
			    BPF_RET | BPF_K, CONFINE_FAIL(ENOSYS)));
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

#ifdef CONFINE_ARCH
int
confine_calls(const struct confine_rule *rules, size_t n)
{
	struct confine_prog cp = { .cp_len = 0 };
	struct sock_fprog prog;
	size_t i;

	/* Another machine's calls have other numbers. */
	confine_add(&cp,
	    (struct sock_filter)BPF_STMT(
		BPF_LD | BPF_W | BPF_ABS, CONFINE_DATA(arch)));
	confine_add(&cp,
	    (struct sock_filter)BPF_JUMP(
		BPF_JMP | BPF_JEQ | BPF_K, CONFINE_ARCH, 1, 0));
	confine_add(&cp,
	    (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, CONFINE_FAIL(EPERM)));
	confine_add(&cp,
	    (struct sock_filter)BPF_STMT(
		BPF_LD | BPF_W | BPF_ABS, CONFINE_DATA(nr)));
	for (i = 0; i < n; i++)
		confine_rule(&cp, &rules[i]);
	confine_add(&cp,
	    (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, CONFINE_FAIL(EPERM)));
	if (cp.cp_len > CONFINE_MAX)
		return (E2BIG);
	prog.len = (unsigned short)cp.cp_len;
	prog.filter = cp.cp_code;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == -1)
		return (errno);
	if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER,
		SECCOMP_FILTER_FLAG_TSYNC, &prog) != 0)
		return (errno == 0 ? EBUSY : errno);
	return (0);
}
#else
/* No numbers are known for this machine: nothing is given up. */
int
confine_calls(const struct confine_rule *rules, size_t n)
{
	(void)rules;
	(void)n;
	return (ENOSYS);
}
#endif
