// SPDX-License-Identifier: MIT
/*
 * Indirect branches without prediction: the target is put where RET takes it from, while the
 * return stack predicts a loop that goes nowhere.  gcc calls one thunk a register, clang another.
 */
        .section .text
        .macro THUNK name, reg
        .globl \name
        .hidden \name
        .type \name, @function
        .balign 16
\name:
        call 2f
1:      pause
        lfence
        jmp 1b
2:      mov \reg, (%rsp)
        ret
        .endm

        .irp r, rax, rbx, rcx, rdx, rsi, rdi, rbp, r8, r9, r10, r11, r12, r13, r14, r15
        THUNK __x86_indirect_thunk_\r, %\r
        .endr
        THUNK __llvm_retpoline_r11, %r11

        .section .note.GNU-stack, "", @progbits
