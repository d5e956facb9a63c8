// SPDX-License-Identifier: MIT
/*
 * What is different in a 32-bit PVH guest.  Only guest.h includes this (and start32.S, for the
 * numbers).
 *
 * All memory is where it is, without paging and with: the code goes from the one mode to the other
 * at any time (set_mode()).  There is one vcpu, and no interrupt.
 */
#pragma once
#define SEL_CODE   0x08
#define SEL_DATA   0x10
#define SEL_UCODE  0x1b
#define SEL_UDATA  0x23
#define SEL_TSS    0x28
#define SEL_CODE16 0x30
#define SEL_SPARE  0x40 /* and those behind it are the tests' */
#define GDT_WORDS  32

#define VEC_GATE 0x80 /* what ring 3 may call */

#ifndef __ASSEMBLY__

/* What entries make; esp and ss only for traps from ring 3. */
struct frame {
    u32 edi, esi, ebp, unused, ebx, edx, ecx, eax, vector, error;
    u32 eip, cs, eflags, esp, ss;
};

#include "lib/page_call32.h"
#define call_ page_call

#define PTE_P   0x1ULL
#define PTE_W   0x2ULL
#define PTE_U   0x4ULL
#define PTE_A   0x20ULL
#define PTE_D   0x40ULL
#define PTE_PSE 0x80ULL
#define PTE_RW_ (PTE_P | PTE_W | PTE_U | PTE_A | PTE_D)

#define SPARE_VA 0x40000000UL /* 4 MB, mapped page by page */
#define HOLE     0xd0000000UL /* no RAM is behind it */

enum mode { UNPAGED, PSE, PAE, NR_MODES };
extern enum mode mode;
/* Nothing is mapped at SPARE_VA then. */
void set_mode(enum mode m);
/* fn in each mode. */
void in_each_mode(void (*fn)(void));

#include "hvm/cpu.h"

struct table_ptr {
    u16 limit;
    u32 base;
} __attribute__((packed));
extern u64 gdt[GDT_WORDS], idt[256];

struct tss32 {
    u32 link, esp0, ss0, esp1, ss1, esp2, ss2, cr3, eip, eflags;
    u32 eax, ecx, edx, ebx, esp, ebp, esi, edi;
    u32 es, cs, ss, ds, fs, gs, ldt;
    u16 trap, io_map;
};
extern struct tss32 main_tss;

/* A descriptor: 0x9a00 and so on, with the flags of bits 52 to 55 above. */
u64 descriptor(u32 base, u32 limit, u32 attr);

/* fn runs in ring 3; VEC_GATE if it came to its end, else the vector of what it trapped with. */
int user_call(void (*fn)(void));
#endif
