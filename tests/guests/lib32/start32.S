// SPDX-License-Identifier: MIT
/*
 * Entry points of the 32-bit kernel, which runs in ring 1, and its Xen notes.  With and without
 * HYPERCALL_PAGE as start.S has it.
 */
#define __ASSEMBLY__
#include <xen/elfnote.h>
#include "layout.h"
#include "lib/entries.inc"

.macro note type, kind, value:vararg
    .pushsection .note.Xen, "a", @note
    .balign 4
    .long 4, 3f - 2f, \type
    .asciz "Xen"
2:  \kind \value
3:  .balign 4
    .popsection
.endm

#define KERNEL_DS 0xe021

    note XEN_ELFNOTE_GUEST_OS, .asciz, "hospes-test-pae"
    note XEN_ELFNOTE_GUEST_VERSION, .asciz, "1"
    note XEN_ELFNOTE_XEN_VERSION, .asciz, "xen-3.0"
    note XEN_ELFNOTE_LOADER, .asciz, "generic"
    note XEN_ELFNOTE_PAE_MODE, .asciz, "yes"
    note XEN_ELFNOTE_L1_MFN_VALID, .quad, 1, 1
    note XEN_ELFNOTE_VIRT_BASE, .long, VIRT_BASE
    note XEN_ELFNOTE_PADDR_OFFSET, .long, 0
    note XEN_ELFNOTE_HV_START_LOW, .long, 0xf5800000
    note XEN_ELFNOTE_ENTRY, .long, _start
#ifdef HYPERCALL_PAGE
    note XEN_ELFNOTE_HYPERCALL_PAGE, .long, hypercall_page
#else
    note XEN_ELFNOTE_SUPPORTED_FEATURES, .long, 1 << 0 /* writable page tables */
#endif

    .text
    .globl _start
_start:
    cld
    movl $stacks + STACK_SIZE, %esp
    xorl %ebp, %ebp
    pushl $0
    pushl %esi
    call guest_main
    ud2

    .globl vcpu_entry /* edi: struct cpu */
vcpu_entry:
    cld
    pushl %edi
    call vcpu_main
    ud2

/* One entry of 32 bytes for each vector, and those of the callbacks behind them. */
    trap_table 32

.macro callback name, vec
    .globl \name
\name:
    pushl $0
    pushl $\vec
    jmp common
.endm
    callback event_entry, VEC_EVENT
    callback syscall32_entry, VEC_SYSCALL32
    callback sysenter_entry, VEC_SYSENTER

    .globl failsafe_entry
failsafe_entry:
    popl %ss:failsafe_selectors
    popl %ss:failsafe_selectors + 4
    popl %ss:failsafe_selectors + 8
    popl %ss:failsafe_selectors + 12
    pushl $0
    pushl $VEC_FAILSAFE

common:
    pushl %eax
    pushl %ecx
    pushl %edx
    pushl %ebx
    pushl %ebp
    pushl %esi
    pushl %edi
    pushl %ds
    pushl %es
    movl $KERNEL_DS, %eax
    movl %eax, %ds
    movl %eax, %es
    cld
    movl %esp, %ebx
    pushl %esp
    call trap_handler
    pushl %ebx
    pushl $0

    .globl resume_frame /* (struct frame *) */
resume_frame:
    movl 4(%esp), %esp
    popl %es
    popl %ds
    popl %edi
    popl %esi
    popl %ebp
    popl %ebx
    popl %edx
    popl %ecx
    popl %eax
    addl $4, %esp /* vector; the error code's place is eax's in the frame of iret */
    movl %eax, (%esp)
    movl $23, %eax
    int $0x82
    ud2

    .bss
    .balign 4
    .globl failsafe_selectors
failsafe_selectors:
    .skip 16

#ifdef HYPERCALL_PAGE
    .section .text.hypercall_page, "ax"
    .balign 4096
    .globl hypercall_page
hypercall_page:
    .skip 4096, 0x90
#endif
    .section .note.GNU-stack, "", @progbits
