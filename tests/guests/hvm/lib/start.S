/* SPDX-License-Identifier: MIT */
/*
 * The first instructions of a PVH guest: from 32-bit protected mode without paging (as the
 * interface starts vcpu 0) and from real mode (as a start-up interrupt starts the others) to 64-bit
 * code; the entries of 256 vectors.
 */
#define __ASSEMBLY__
#include <xen/elfnote.h>
#include "layout.h"
#include "lib/entries.inc"
#include "hvm.h"

    .pushsection .note.Xen, "a", @note
    .balign 4
    .long 4, 4, XEN_ELFNOTE_PHYS32_ENTRY
    .asciz "Xen"
    .long start32
    .popsection

    .code32
    .text
    .globl start32 /* ebx: hvm_start_info */
start32:
    cld
    movl $stacks + STACK_SIZE, %esp
    movl $boot_l3 + 0x67, boot_l4
    movl $4, %ecx
    movl $boot_l2 + 0x67, %eax
    movl $boot_l3, %edi
1:  movl %eax, (%edi)
    addl $4096, %eax
    addl $8, %edi
    loop 1b
    movl $2048, %ecx
    movl $0xe7, %eax /* large, for all rings */
    movl $boot_l2, %edi
1:  movl %eax, (%edi)
    addl $0x200000, %eax
    addl $8, %edi
    loop 1b
    movl %ebx, %esi
    movl $guest_main, %ebp
    jmp long_mode

/* Another vcpu. */
start32_ap:
    movw $SEL_DATA, %ax
    movw %ax, %ds
    movw %ax, %es
    movw %ax, %ss
    movl ap_stack, %esp
    movl $ap_main, %ebp

long_mode:
    lgdt gdt_ptr
    /* LME without paging and PAE, and an exit then: QEMU leaves a host without paging, if let. */
    movl $0xc0000080, %ecx
    xorl %edx, %edx
    movl $0x901, %eax /* LME, NXE, SCE */
    wrmsr
    xorl %eax, %eax
    cpuid
    movl $0x6a0, %eax /* PAE, PGE, OSFXSR, OSXMMEXCPT */
    movl %eax, %cr4
    movl $boot_l4, %eax
    movl %eax, %cr3
    movl $0x80010033, %eax /* PG, WP, NE, ET, MP, PE */
    movl %eax, %cr0
    ljmp $SEL_CODE, $1f
    .code64
1:  movl $SEL_DATA, %eax
    movl %eax, %ds
    movl %eax, %es
    movl %eax, %ss
    movl %eax, %fs
    movl %eax, %gs
    movl %esi, %edi
    movl %ebp, %eax
    xorl %ebp, %ebp
    call *%rax
    ud2

/* To be copied to AP_PAGE. */
    .code16
    .globl ap_begin, ap_end
ap_begin:
    cli
    xorw %ax, %ax
    movw %ax, %ds
    lgdtl AP_PAGE + (1f - ap_begin)
    movl $0x11, %eax
    movl %eax, %cr0
    ljmpl $SEL_CODE32, $start32_ap
    .balign 8
1:  .word 8 * GDT_WORDS - 1
    .long gdt
ap_end:

    .code64
    trap_table 16

common:
    cld
    pushq %rcx
    pushq %r11
    pushq %rax
    pushq %rdx
    pushq %rsi
    pushq %rdi
    pushq %r10
    pushq %r8
    pushq %r9
    pushq %rbx
    pushq %rbp
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    movq %rsp, %rdi
    movq %rsp, %rbx
    andq $-16, %rsp
    call trap_handler
    movq %rbx, %rdi

    .globl resume_frame
resume_frame:
    movq %rdi, %rsp
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbp
    popq %rbx
    popq %r9
    popq %r8
    popq %r10
    popq %rdi
    popq %rsi
    popq %rdx
    popq %rax
    popq %r11
    popq %rcx
    addq $16, %rsp
    iretq

/* Where a function that ran in ring 3 returns to. */
    .globl user_end
user_end:
    int $VEC_GATE
    ud2

    .bss
    .balign 4096
    .globl boot_l4, boot_l3, boot_l2
boot_l4: .skip 4096
boot_l3: .skip 4096
boot_l2: .skip 4 * 4096
    .section .note.GNU-stack, "", @progbits
