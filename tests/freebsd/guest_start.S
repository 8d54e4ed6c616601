/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/* Entry from multiboot, and from 32 into 64 bits to the kernel. */

	.section .multiboot, "a"
	.align	4
	.long	0x1badb002		/* magic */
	.long	0x3			/* modules aligned, memory map */
	.long	-(0x1badb002 + 0x3)

	.text
	.code32
	.globl	_start
_start:
	cli
	movl	$stack_top, %esp
	pushl	%ebx			/* what multiboot hands over */
	call	guest_boot
	movl	%eax, %esi		/* struct handoff */
	movl	%cr4, %eax
	orl	$0x20, %eax		/* PAE */
	movl	%eax, %cr4
	movl	$guest_pml4, %eax
	movl	%eax, %cr3
	movl	$0xc0000080, %ecx	/* EFER: long mode */
	rdmsr
	orl	$0x100, %eax
	wrmsr
	movl	%cr0, %eax
	orl	$0x80000001, %eax	/* paging, protection */
	movl	%eax, %cr0
	lgdt	gdt_desc
	ljmp	$8, $long_mode

	.code64
long_mode:
	movl	$0x10, %eax
	movl	%eax, %ds
	movl	%eax, %es
	movl	%eax, %ss
	movl	%eax, %fs
	movl	%eax, %gs
	movl	8(%rsi), %ebx		/* ho_meta */
	movl	12(%rsi), %ecx		/* ho_end */
	movq	0(%rsi), %rdx		/* ho_entry */
	movq	$stack_top, %rsp
	subq	$64, %rsp
	movl	$0, 0(%rsp)		/* as btext of the kernel takes them */
	movl	%ebx, 4(%rsp)
	movl	%ecx, 8(%rsp)
	jmp	*%rdx

	.data
	.align	16
gdt:
	.quad	0
	.quad	0x00209a0000000000	/* code, 64 bits */
	.quad	0x0000920000000000	/* data */
gdt_desc:
	.word	23
	.long	gdt

	.bss
	.align	16
	.space	65536
stack_top:
	.globl	guest_pml4, guest_pdpt, guest_pd
	.align	4096
guest_pml4:
	.space	4096
guest_pdpt:
	.space	4096
guest_pd:
	.space	4096

	.section .note.GNU-stack, "", @progbits
