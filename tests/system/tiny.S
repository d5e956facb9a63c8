/* SPDX-License-Identifier: MIT */
/*
 * The smallest PV guest: for tests that create and destroy domains by the dozen and care about
 * nothing inside. What it does is the first letter of its command line ("extra" for xl):
 * p powers off, r asks for a reboot, c crashes, and anything else waits for ever.
 */
#include <xen/elfnote.h>

#define VIRT_BASE         0xffffffff80000000
#define HYPERVISOR_sched_op 29
#define SCHEDOP_SHUTDOWN    2
#define SCHEDOP_POLL        3
#define START_INFO_CMD_LINE 128

.macro note type, kind, value:vararg
    .pushsection .note.Xen, "a", @note
    .balign 4
    .long 4, 3f - 2f, \type
    .asciz "Xen"
2:  \kind \value
3:  .balign 4
    .popsection
.endm

    note XEN_ELFNOTE_GUEST_OS, .asciz, "tiny"
    note XEN_ELFNOTE_XEN_VERSION, .asciz, "xen-3.0"
    note XEN_ELFNOTE_LOADER, .asciz, "generic"
    note XEN_ELFNOTE_VIRT_BASE, .quad, VIRT_BASE
    note XEN_ELFNOTE_PADDR_OFFSET, .quad, VIRT_BASE
    note XEN_ELFNOTE_ENTRY, .quad, _start

    .text
    .globl _start
_start:
    movb START_INFO_CMD_LINE(%rsi), %al
    xorl %ecx, %ecx
    cmpb $'p', %al
    je shutdown
    incl %ecx
    cmpb $'r', %al
    je shutdown
    cmpb $'c', %al
    je crash

    /* No ports and no timeout: a wait that nothing ends. A block would let events in. */
wait:
    leaq nothing(%rip), %rsi
    movl $SCHEDOP_POLL, %edi
    movl $HYPERVISOR_sched_op, %eax
    syscall
    jmp wait

shutdown:
    movl %ecx, reason(%rip)
    leaq reason(%rip), %rsi
    movl $SCHEDOP_SHUTDOWN, %edi
    movl $HYPERVISOR_sched_op, %eax
    syscall
crash:
    ud2

    .data
    .balign 8
reason:
    .long 0
    .balign 8
nothing: /* struct sched_poll */
    .quad 0
    .long 0, 0
    .quad 0
