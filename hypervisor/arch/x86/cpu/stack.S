// SPDX-License-Identifier: MIT
#include <asm/cpu.h>
#include "asm-offsets.h"

        .text
        .globl reset_stack_and_call
        .hidden reset_stack_and_call
        .type reset_stack_and_call, @function
        .balign 16
reset_stack_and_call:
        mov %rsp, %rax
        or $(STACK_SIZE - 1), %rax
        lea 1 - CPUINFO_sizeof - 8(%rax), %rsp
        xor %ebp, %ebp
        push $0
        jmp __x86_indirect_thunk_rdi

        .section .note.GNU-stack, "", @progbits
