// SPDX-License-Identifier: MIT
/*
 * Where other CPUs start: real mode, at the beginning of a page below 1 MB to which this is copied
 * (cpu/smp.c fills in the words below).  Straight to 64-bit mode with a root that maps low memory
 * one to one, then up to the linked address.
 */
#include "asm/regs.h"
#include "asm/msr.h"

        .section .rodata.trampoline, "a", @progbits
        .macro WORD name, size
        .globl \name
        .hidden \name
\name:
        .skip \size
        .endm
        .macro LABEL name
        .globl \name
        .hidden \name
\name:
        .endm

        .balign 16
LABEL trampoline_start
        .code16
        cli
        cld
        mov     %cs, %ax
        mov     %ax, %ds
        lgdtl   trampoline_gdtr - trampoline_start
        mov     $CR4_PAE, %eax
        mov     %eax, %cr4
        mov     trampoline_cr3 - trampoline_start, %eax
        mov     %eax, %cr3
        mov     $MSR_EFER, %ecx
        rdmsr
        or      $(EFER_LME | EFER_NXE), %eax
        wrmsr
        mov     $(CR0_PG | CR0_WP | CR0_NE | CR0_ET | CR0_MP | CR0_PE), %eax
        mov     %eax, %cr0
        ljmpl   *(trampoline_ljmp - trampoline_start)

        .code64
LABEL trampoline_64
        xor     %eax, %eax
        mov     %eax, %ss
        mov     %eax, %ds
        mov     %eax, %es
        mov     trampoline_stack(%rip), %rsp
        xor     %ebp, %ebp
        mov     trampoline_entry(%rip), %rax
        jmp     *%rax

        .balign 8
WORD trampoline_stack, 8
WORD trampoline_entry, 8
WORD trampoline_cr3, 4
WORD trampoline_ljmp, 4
        .short  0x08
        .short  0
trampoline_gdtr:
        .short  15
WORD trampoline_gdtr_base, 4
        .balign 8
LABEL trampoline_gdt
        .quad   0
        .quad   0x00af9b000000ffff
LABEL trampoline_end

        .section .note.GNU-stack, "", @progbits
