// SPDX-License-Identifier: MIT
/* What is different in a 32-bit guest (width64.h: in a 64-bit one).  Only guest.h includes this. */
#pragma once

/* What entries make (start32.S).  esp and ss are there only for traps from user mode. */
struct frame {
    u32 es, ds, edi, esi, ebp, ebx, edx, ecx, eax, vector, error;
    u32 eip, cs, eflags, esp, ss;
};

/* The address of the instruction that is to trap, for the macro that runs it. */
extern u32 trap_at;
#define AT(text, ...)                                                                              \
    __asm__ volatile("movl $77f, trap_at\n77: " text ::__VA_ARGS__ : "memory", "cc")

static inline long hypercall(ulong nr, ulong a, ulong b, ulong c, ulong d, ulong e)
{
    __asm__ volatile("int $0x82"
                     : "+a"(nr), "+b"(a), "+c"(b), "+d"(c), "+S"(d), "+D"(e)
                     :
                     : "memory");
    return nr;
}

#ifdef HYPERCALL_PAGE
#include "lib/page_call32.h"
#define call_ page_call
#else
#define call_ hypercall
#endif

#define PTE_P   0x1ULL
#define PTE_W   0x2ULL
#define PTE_U   0x4ULL
#define PTE_PWT 0x8ULL
#define PTE_PCD 0x10ULL
#define PTE_A   0x20ULL
#define PTE_D   0x40ULL
#define PTE_PSE 0x80ULL
#define PTE_G   0x100ULL
#define PTE_NX  (1ULL << 63)
#define PTE_MFN 0x000ffffffffff000ULL
#define PTE_RW_ (PTE_P | PTE_W | PTE_U | PTE_A | PTE_D)
#define PTE_KRW (PTE_P | PTE_W | PTE_A | PTE_D) /* the kernel's alone */
#define PTE_RO_ (PTE_P | PTE_U | PTE_A)
#define PTE_TAB (PTE_P | PTE_W | PTE_U | PTE_A)
#define PTE_L3  PTE_P /* PAE's third level has no rights */

#define SPARE_VA 0x40000000UL /* nobody's: the second L3 entry */

#define USER_ASM(f, text)                                                                          \
    do {                                                                                           \
        const u8 *begin_, *end_;                                                                   \
        __asm__ volatile(".pushsection .rodata\n881:\n" text "\n882:\n.popsection");               \
        __asm__ volatile("movl $881b, %0\nmovl $882b, %1" : "=r"(begin_), "=r"(end_));             \
        user_frame(f, begin_, end_ - begin_);                                                      \
    } while (0)
