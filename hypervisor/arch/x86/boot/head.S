// SPDX-License-Identifier: MIT
/*
 * From the boot loader to start_hypervisor().
 *
 * The loader (multiboot 1 or 2) leaves 32-bit protected mode without paging, the magic number in
 * eax, the address of its information in ebx.  Here: check the CPU, clear .bss, build the first
 * page tables (the low 4 GB at 0 and at DIRECTMAP_VIRT, the image at HYP_VIRT, all in 2 MB pages),
 * enter 64-bit mode, go up to the linked address.  mm/paging.c makes better tables later.
 *
 * All addresses are physical until paging is on: P(symbol).
 */
#include "asm/layout.h"
#include "asm/regs.h"
#include "asm/msr.h"
#include "asm/cpu.h"
#include "asm/page.h"
#include "asm/extable.h"

#define P(sym) ((sym) - HYP_VIRT)

#define MB1_MAGIC        0x1badb002
#define MB1_FLAGS        0x00000003 /* page-aligned modules, memory map */
#define MB1_LOADER_MAGIC 0x2badb002
#define MB2_MAGIC        0xe85250d6
#define MB2_LOADER_MAGIC 0x36d76289

#define TABLE_FLAGS (PTE_PRESENT | PTE_RW | PTE_ACCESSED | PTE_DIRTY)
#define LARGE_FLAGS (TABLE_FLAGS | PTE_PSE)

#define BOOT_CS32 0x08
#define BOOT_CS64 0x10
#define BOOT_DS   0x18

/* Leaves room for struct cpu_info (checked in cpu/smp.c); as after a call, 8 off 16. */
#define BOOT_STACK_TOP (STACK_SIZE - 1024 - 8)

        .section .head, "ax", @progbits
        .code32
        .balign 8
mb1_header:
        .long MB1_MAGIC, MB1_FLAGS, -(MB1_MAGIC + MB1_FLAGS)

        .balign 8
mb2_header:
        .long MB2_MAGIC, 0, mb2_header_end - mb2_header
        .long -(MB2_MAGIC + (mb2_header_end - mb2_header))
        /* We need the memory map (6), and want the command line (1), modules (3). */
        .balign 8
        .short 1, 0
        .long 4f - 3f + 8
3:      .long 6, 1, 3
4:
        /* Modules on pages. */
        .balign 8
        .short 6, 1
        .long 8
        /* A frame buffer if there is one; any size and depth will do. */
        .balign 8
        .short 5, 1
        .long 20, 0, 0, 0
        /* The end. */
        .balign 8
        .short 0, 0
        .long 8
mb2_header_end:

        .globl _start
_start:
        cli
        cld
        mov     %eax, %ebp
        lea     P(cpu0_stack) + BOOT_STACK_TOP, %esp
        mov     $P(msg_loader), %esi
        cmp     $MB1_LOADER_MAGIC, %eax
        je      1f
        cmp     $MB2_LOADER_MAGIC, %eax
        jne     boot_fail
1:
        lgdtl   P(boot_gdtr)
        ljmpl   $BOOT_CS32, $P(2f)
2:      mov     $BOOT_DS, %eax
        mov     %eax, %ds
        mov     %eax, %es
        mov     %eax, %ss
        xor     %eax, %eax
        mov     %eax, %fs
        mov     %eax, %gs

        mov     %ebx, %esi              /* CPUID overwrites ebx */
        mov     $0x80000000, %eax
        cpuid
        cmp     $0x80000001, %eax
        mov     $P(msg_no_lm), %edi
        jb      1f
        mov     $0x80000001, %eax
        cpuid
        bt      $29, %edx               /* long mode */
        jnc     1f
        mov     $P(msg_no_nx), %edi
        bt      $20, %edx               /* no-execute */
        jnc     1f
        jmp     2f
1:      mov     %edi, %esi
        jmp     boot_fail
2:      mov     %esi, %ebx

        /* The loader should have cleared .bss; a second time does no harm. */
        mov     $P(__bss_start), %edi
        mov     $P(__bss_end), %ecx
        sub     %edi, %ecx
        shr     $2, %ecx
        xor     %eax, %eax
        rep stosl

        /* The low 4 GB. */
        mov     $P(boot_l2), %edi
        mov     $LARGE_FLAGS, %eax
        xor     %edx, %edx
        mov     $2048, %ecx
1:      mov     %eax, (%edi)
        mov     %edx, 4(%edi)
        add     $8, %edi
        add     $PAGE_SIZE_2M, %eax
        loop    1b

        mov     $P(boot_l3), %edi
        mov     $P(boot_l2) + TABLE_FLAGS, %eax
        mov     $4, %ecx
1:      mov     %eax, (%edi)
        add     $8, %edi
        add     $0x1000, %eax
        loop    1b

        /* The image: the first 16 MB at HYP_VIRT. */
        mov     $P(boot_l2_image), %edi
        mov     $LARGE_FLAGS, %eax
        mov     $8, %ecx
1:      mov     %eax, (%edi)
        add     $8, %edi
        add     $PAGE_SIZE_2M, %eax
        loop    1b

        movl    $P(boot_l2_image) + TABLE_FLAGS, P(hyp_l3) + ((HYP_VIRT >> 30) & 511) * 8
        movl    $P(boot_l3) + TABLE_FLAGS, P(idle_pg_table)
        movl    $P(boot_l3) + TABLE_FLAGS, P(idle_pg_table) + ((DIRECTMAP_VIRT >> 39) & 511) * 8
        movl    $P(hyp_l3) + TABLE_FLAGS, P(idle_pg_table) + HYP_SLOT * 8

        mov     $CR4_PAE, %eax
        mov     %eax, %cr4
        mov     $P(idle_pg_table), %eax
        mov     %eax, %cr3
        mov     $MSR_EFER, %ecx
        rdmsr
        or      $(EFER_LME | EFER_NXE), %eax
        wrmsr
        mov     $(CR0_PG | CR0_WP | CR0_NE | CR0_ET | CR0_MP | CR0_PE), %eax
        mov     %eax, %cr0
        ljmpl   $BOOT_CS64, $P(1f)

        .code64
1:      movabs  $2f, %rax
        jmp     *%rax
2:      lea     cpu0_stack + BOOT_STACK_TOP(%rip), %rsp
        mov     %ebp, %edi              /* magic */
        mov     %ebx, %esi              /* physical address of the information */
        xor     %ebp, %ebp
        xor     %eax, %eax
        mov     %eax, %ds
        mov     %eax, %es
        mov     %eax, %ss
        movabs  $start_hypervisor, %rax
        jmp     *%rax

        /* esi: a message.  On the screen and the first serial port, then stop. */
        .code32
boot_fail:
        mov     $0xb8000, %edi
1:      lodsb
        test    %al, %al
        jz      3f
        mov     $0x0c, %ah
        stosw
        mov     %eax, %ecx
        mov     $0x3fd, %edx
        mov     $10000, %ebx            /* wait for the port, but not for ever */
2:      in      %dx, %al
        dec     %ebx
        jz      4f
        test    $0x20, %al
        jz      2b
4:      mov     $0x3f8, %edx
        mov     %ecx, %eax
        out     %al, %dx
        jmp     1b
3:      cli
        hlt
        jmp     3b

msg_loader:
        .asciz  "Hospes: not started by a multiboot loader: use GRUB (multiboot2) or qemu -kernel\r\n"
msg_no_lm:
        .asciz  "Hospes: this CPU has no 64-bit mode\r\n"
msg_no_nx:
        .asciz  "Hospes: this CPU has no NX (or firmware disabled it): enable 'execute disable'\r\n"

        .balign 8
boot_gdt:
        .quad   0
        .quad   0x00cf9b000000ffff      /* 32-bit code */
        .quad   0x00af9b000000ffff      /* 64-bit code */
        .quad   0x00cf93000000ffff      /* data */
boot_gdtr:
        .short  . - boot_gdt - 1
        .long   P(boot_gdt)

        .section .bss.stack, "aw", @nobits
        .globl cpu0_stack
        .balign STACK_SIZE
cpu0_stack:
        .skip   STACK_SIZE

        .section .bss.page_aligned, "aw", @nobits
        .balign 4096
        .globl idle_pg_table, hyp_l3, boot_l2_image
idle_pg_table:
        .skip   4096
hyp_l3:
        .skip   4096
boot_l2_image:
        .skip   4096
boot_l3:
        .skip   4096
boot_l2:
        .skip   4 * 4096

        .section .note.GNU-stack, "", @progbits
