/* SPDX-License-Identifier: MIT */
/*
 * The first instructions, the notes that tell the builder what this kernel wants, and the ways in
 * from the hypervisor: 256 vectors, event, system call and failsafe callbacks, and a vcpu's start.
 *
 * The hypervisor pushes rcx and r11, perhaps an error code, and then what IRET would take. Each
 * entry makes a `struct frame` (guest.h) of that, whose end is what the iret hypercall takes: the
 * slot of the error code becomes the one of the flags.
 *
 * Built twice: with HYPERCALL_PAGE (calls go through the page, the p2m list is behind the image)
 * and without (system calls directly, and INIT_P2M, MOD_START_PFN as Linux asks for them).
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

    note XEN_ELFNOTE_GUEST_OS, .asciz, "hospes-test"
    note XEN_ELFNOTE_GUEST_VERSION, .asciz, "1"
    note XEN_ELFNOTE_XEN_VERSION, .asciz, "xen-3.0"
    note XEN_ELFNOTE_LOADER, .asciz, "generic"
    note XEN_ELFNOTE_PAE_MODE, .asciz, "yes"
    note XEN_ELFNOTE_VIRT_BASE, .quad, VIRT_BASE
    note XEN_ELFNOTE_PADDR_OFFSET, .quad, 0
    note XEN_ELFNOTE_ENTRY, .quad, _start
#ifdef HYPERCALL_PAGE
    note XEN_ELFNOTE_HYPERCALL_PAGE, .quad, hypercall_page
#else
    note XEN_ELFNOTE_INIT_P2M, .quad, INIT_P2M
    note XEN_ELFNOTE_MOD_START_PFN, .long, 1
    note XEN_ELFNOTE_L1_MFN_VALID, .quad, 1, 1
    note XEN_ELFNOTE_SUPPORTED_FEATURES, .long, (1 << 0) | (1 << 11) /* writable PTs, dom0 */
#endif

    .text
    .globl _start
_start:
    cld
    leaq stacks + STACK_SIZE(%rip), %rsp
    movq %rsi, %rdi
    xorl %ebp, %ebp
    call guest_main
    ud2

    .globl vcpu_entry /* rdi: struct cpu */
vcpu_entry:
    cld
    call vcpu_main
    ud2

/* One entry of 32 bytes for each vector, and those of the callbacks behind them. */
    .balign 32
    .globl trap_entries
trap_entries:
vector = 0
.rept 256
    .balign 32
    popq %rcx
    popq %r11
    push_error
    movl $vector, 4(%rsp)
    jmp common
vector = vector + 1
.endr

.macro callback name, vec
    .globl \name
\name:
    popq %rcx
    popq %r11
    pushq $0
    movl $\vec, 4(%rsp)
    jmp common
.endm
    callback event_entry, VEC_EVENT
    callback syscall_entry, VEC_SYSCALL
    callback syscall32_entry, VEC_SYSCALL32

    .globl failsafe_entry
failsafe_entry:
    popq %rcx
    popq %r11
    popq failsafe_selectors(%rip)
    popq failsafe_selectors + 8(%rip)
    popq failsafe_selectors + 16(%rip)
    popq failsafe_selectors + 24(%rip)
    pushq $0
    movl $VEC_FAILSAFE, 4(%rsp)

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

    .globl resume_frame /* rdi: struct frame, with flags in place of the error code */
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
    movl $23, %eax /* iret: rax is in the frame */
    syscall
    ud2

    .bss
    .balign 8
    .globl failsafe_selectors
failsafe_selectors:
    .skip 32

#ifdef HYPERCALL_PAGE
    .section .text.hypercall_page, "ax"
    .balign 4096
    .globl hypercall_page
hypercall_page:
    .skip 4096, 0x90
#endif
    .section .note.GNU-stack, "", @progbits
