/* SPDX-License-Identifier: MIT */
/* The first instructions of a 32-bit PVH guest, and the entries of its vectors. */
#define __ASSEMBLY__
#include <xen/elfnote.h>
#include "layout.h"
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

/* ebx, esi, edi, ebp, esp, eip */
    .globl save_point
save_point:
    movl 4(%esp), %eax
    movl (%esp), %ecx
    leal 4(%esp), %edx
    movl %ebx, (%eax)
    movl %esi, 4(%eax)
    movl %edi, 8(%eax)
    movl %ebp, 12(%eax)
    movl %edx, 16(%eax)
    movl %ecx, 20(%eax)
    xorl %eax, %eax
    ret

    .globl go_back
go_back:
    movl 4(%esp), %ecx
    movl 8(%esp), %eax
    movl (%ecx), %ebx
    movl 4(%ecx), %esi
    movl 8(%ecx), %edi
    movl 12(%ecx), %ebp
    movl 16(%ecx), %esp
    jmp *20(%ecx)

    .balign 16
    .globl trap_entries
trap_entries:
vector = 0
.rept 256
    .balign 16
    .if (vector == 8) || ((vector >= 10) && (vector <= 14)) || (vector == 17) || (vector == 21)
    .else
    pushl $0
    .endif
    pushl $vector
    jmp common
vector = vector + 1
.endr

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
