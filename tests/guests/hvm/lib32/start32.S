/* SPDX-License-Identifier: MIT */
/* The first instructions of a 32-bit PVH guest, and the entries of its vectors. */
#define __ASSEMBLY__
#include <xen/elfnote.h>
#include "layout.h"
#include "lib/entries.inc"
#include "hvm32.h"

    .pushsection .note.Xen, "a", @note
    .balign 4
    .long 4, 4, XEN_ELFNOTE_PHYS32_ENTRY
    .asciz "Xen"
    .long start32
    .popsection

    .text
    .globl start32 /* ebx: hvm_start_info */
start32:
    cld
    movl $stacks + STACK_SIZE, %esp
    xorl %ebp, %ebp
    pushl %ebx
    call guest_main
    ud2

    trap_table 16

common:
    cld
    pushal
    movl $SEL_DATA, %eax
    movl %eax, %ds
    movl %eax, %es
    pushl %esp
    call trap_handler
    popl %esp

    .globl resume_frame_at_esp
resume_frame_at_esp:
    popal
    addl $8, %esp
    iretl

    .globl resume_frame
resume_frame:
    movl 4(%esp), %esp
    jmp resume_frame_at_esp

/* Where a function that ran in ring 3 returns to. */
    .globl user_end
user_end:
    int $VEC_GATE
    ud2
    .section .note.GNU-stack, "", @progbits
