// SPDX-License-Identifier: MIT
/*
 * The world switch.
 *
 * The guest's general registers are in cpu_info()->guest_regs, at the top of this CPU's stack, like
 * any guest's; rax, rsp, rip and rflags go by way of the VMCB.  VMRUN saves and restores what runs
 * the hypervisor, but for FS, GS, TR, LDTR and the MSRs of SYSCALL and SYSENTER: those stay the
 * guest's while its vcpu is loaded (svm.c says why that is safe).
 * Between CLGI and STGI nothing interrupts; in the guest, everything physical makes it exit, for
 * interrupts are on (STI) when VMRUN takes the flags.
 */
#include <asm/cpu.h>
#include "asm-offsets.h"

        .text
        .globl svm_run
        .hidden svm_run
        .type svm_run, @function
        .balign 16
svm_run:
        mov %rsp, %rax
        or $(STACK_SIZE - 1), %rax
        lea 1 - CPUINFO_sizeof(%rax), %rsp
.Lagain:
        mov %rsp, %rdi
        call svm_enter /* rax: VMCB */
        clgi
        sti
        mov REGS_r15(%rsp), %r15
        mov REGS_r14(%rsp), %r14
        mov REGS_r13(%rsp), %r13
        mov REGS_r12(%rsp), %r12
        mov REGS_rbp(%rsp), %rbp
        mov REGS_rbx(%rsp), %rbx
        mov REGS_r11(%rsp), %r11
        mov REGS_r10(%rsp), %r10
        mov REGS_r9(%rsp), %r9
        mov REGS_r8(%rsp), %r8
        mov REGS_rcx(%rsp), %rcx
        mov REGS_rdx(%rsp), %rdx
        mov REGS_rsi(%rsp), %rsi
        mov REGS_rdi(%rsp), %rdi
        vmrun %rax
        mov %r15, REGS_r15(%rsp)
        mov %r14, REGS_r14(%rsp)
        mov %r13, REGS_r13(%rsp)
        mov %r12, REGS_r12(%rsp)
        mov %rbp, REGS_rbp(%rsp)
        mov %rbx, REGS_rbx(%rsp)
        mov %r11, REGS_r11(%rsp)
        mov %r10, REGS_r10(%rsp)
        mov %r9, REGS_r9(%rsp)
        mov %r8, REGS_r8(%rsp)
        mov %rcx, REGS_rcx(%rsp)
        mov %rdx, REGS_rdx(%rsp)
        mov %rsi, REGS_rsi(%rsp)
        mov %rdi, REGS_rdi(%rsp)
        /* What the guest has left in the return stack leads nowhere. */
        mov %rsp, %rax
        .rept 32
        call 1f
        int3
1:
        .endr
        mov %rax, %rsp
        xor %ebp, %ebp
        stgi
        mov %rsp, %rdi
        call svm_exit
        jmp .Lagain

        .section .note.GNU-stack, "", @progbits
