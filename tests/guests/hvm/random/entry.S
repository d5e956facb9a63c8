/* SPDX-License-Identifier: MIT */
/* Where the random guest's vcpus begin again, from real mode; and an interrupt that does nothing. */
#define __ASSEMBLY__
#include "layout.h"
#include "hvm.h"
#include "random.h"

    .text
/* To be copied to START_PAGE. */
    .code16
    .globl random_begin, random_end
random_begin:
    cli
    xorw %ax, %ax
    movw %ax, %ds
    lgdtl START_PAGE + (1f - random_begin)
    movl $0x11, %eax
    movl %eax, %cr0
    ljmpl $SEL_CODE32, $random32
    .balign 8
1:  .word 8 * GDT_WORDS - 1
    .long gdt
random_end:

    .code32
random32:
    movw $SEL_DATA, %ax
    movw %ax, %ds
    movw %ax, %es
    movw %ax, %ss
    movl $1, %eax /* its APIC's number is twice its own */
    cpuid
    shrl $25, %ebx
    andl $3, %ebx
    incl %ebx
    imull $STACK_SIZE, %ebx, %esp
    addl $stacks, %esp
    movl $0xc0000080, %ecx
    xorl %edx, %edx
    movl $0x901, %eax /* LME, NXE, SCE */
    wrmsr
    movl $0x6a0, %eax /* PAE, PGE, OSFXSR, OSXMMEXCPT */
    movl %eax, %cr4
    movl $boot_l4, %eax
    movl %eax, %cr3
    movl $0x80010033, %eax /* PG, WP, NE, ET, MP, PE */
    movl %eax, %cr0
    ljmp $SEL_CODE, $1f
    .code64
1:  call random_start
    ud2

    .balign 16
    .globl bare_interrupt
bare_interrupt:
    iretq

/* What real mode and 32-bit code without tables find at all vectors. */
    .balign 16
    .code16
    .globl stop16, stop32
stop16:
    hlt
    jmp stop16
    .code32
stop32:
    cli
    hlt
    jmp stop32
    .section .note.GNU-stack, "", @progbits
