// SPDX-License-Identifier: MIT
/*
 * What is different in a PVH guest: it is in ring 0 of a machine of its own.  Only guest.h includes
 * this (and lib/start.S here, for the numbers).
 *
 * All memory below 4 GB is mapped where it is, for the kernel and for ring 3 alike.  There is RAM
 * from 1 MB on; HOLE is a place with none.  Interrupts are on in tests.
 */
#pragma once
#define SEL_CODE   0x08
#define SEL_DATA   0x10
#define SEL_CODE32 0x18
#define SEL_CODE16 0x20
#define SEL_DATA16 0x28
#define SEL_USER   0x33
#define SEL_UDATA  0x3b
#define SEL_TSS    0x40 /* of vcpu 0; 16 bytes each */
#define GDT_WORDS  32

#define REAL_PAGE 0x9000 /* a piece of real-mode code begins here */
#define AP_PAGE   0x8000 /* the way from there to 64-bit code */
#define REAL_DATA 0x7000 /* what it leaves behind */

#define VEC_GATE 0x80 /* what ring 3 may call */

#ifndef __ASSEMBLY__

/* What entries make (start.S). */
struct frame {
    u64 r15, r14, r13, r12, rbp, rbx, r9, r8, r10, rdi, rsi, rdx;
    u64 rax, r11, rcx;
    u64 vector, error;
    u64 rip, cs, rflags, rsp, ss;
};

extern u8 hypercall_page[4096];

static inline long call_(u64 nr, u64 a, u64 b, u64 c, u64 d, u64 e)
{
    register u64 r10 __asm__("r10") = d;
    register u64 r8 __asm__("r8") = e;
    u64 ret = (u64)hypercall_page + nr * 32;

    __asm__ volatile("call *%%rax"
                     : "+a"(ret), "+D"(a), "+S"(b), "+d"(c), "+r"(r10), "+r"(r8)
                     :
                     : "rcx", "r11", "memory");
    return ret;
}

#define PTE_P   0x1UL
#define PTE_W   0x2UL
#define PTE_U   0x4UL
#define PTE_A   0x20UL
#define PTE_D   0x40UL
#define PTE_PSE 0x80UL
#define PTE_NX  (1UL << 63)
#define PTE_MFN 0x000ffffffffff000UL
#define PTE_RW_ (PTE_P | PTE_W | PTE_U | PTE_A | PTE_D)
#define PTE_TAB PTE_RW_

#define SPARE_VA 0x600000000000UL /* nobody's: L4 slot 192 */
#define HOLE     0xd0000000UL     /* an address in each of these 256 MB: no RAM is behind it */
#define APIC     0xfee00000UL
#define MAX_GFN  (1UL << 36)

/* --- the CPU --- */
#include "hvm/cpu.h"

static inline u64 rdmsr(u32 msr)
{
    u32 lo, hi;

    __asm__ volatile("rdmsr" : "=a"(lo), "=d"(hi) : "c"(msr) : "memory");
    return (u64)hi << 32 | lo;
}

DEFINE_REG(cr8)
DEFINE_REG(dr0)
DEFINE_REG(dr6)
DEFINE_REG(dr7)

static inline void irq_off(void)
{
    __asm__ volatile("cli" ::: "memory");
}

static inline void irq_on(void)
{
    __asm__ volatile("sti" ::: "memory");
}

struct table_ptr {
    u16 limit;
    u64 base;
} __attribute__((packed));
extern struct table_ptr idt_ptr, gdt_ptr;
extern u64 gdt[GDT_WORDS], idt[512];
static inline void load_idt(const struct table_ptr *p)
{
    __asm__ volatile("lidt %0" ::"m"(*p));
}

#define MSR_EFER      0xc0000080
#define MSR_APIC_BASE 0x1b
#define EFER_LME      0x100
#define EFER_LMA      0x400
#define EFER_NXE      0x800
#define EFER_SVME     0x1000
#define APIC_X2APIC   0x400
#define APIC_ENABLE   0x800

/* --- the local APIC, as a page or by MSRs --- */
#define APIC_ID      0x20
#define APIC_TPR     0x80
#define APIC_EOI     0xb0
#define APIC_SVR     0xf0
#define APIC_ICR     0x300
#define APIC_ICR2    0x310
#define APIC_LVTT    0x320
#define APIC_TINIT   0x380
#define APIC_TNOW    0x390
#define APIC_TDIV    0x3e0
#define VEC_SPURIOUS 0xff
#define VEC_UPCALL   0xf3
#define VEC_TIMER    0x40
#define VEC_IPI      0x41
u32 apic_read(unsigned off);
void apic_write(unsigned off, u32 val);
/* icr: vector and mode; dest: a vcpu's number. */
void apic_send(unsigned dest, u32 icr);
/* One shot, after so many ticks of 10 ns. */
void apic_timer(u32 ticks);
void apic_init(void);

/* --- other vcpus --- */
/* Real-mode code on vcpu 1, at REAL_PAGE; it ends in an endless loop.  Whatever ran there is gone.
 */
void start_real(const void *begin, const void *end);
void restart_cpu(unsigned cpu); /* after INIT, or start_real(): as before */

/* --- ring 3 --- */
/* fn runs there; VEC_GATE if it came to its end, else the vector of what it trapped with. */
int user_call(void (*fn)(void));

/* --- memory --- */
void *phys(u64 gfn); /* where it is mapped */
/* Of the table of that level (1: small pages); those above are made. */
u64 *entry_at(u64 va, unsigned level);
long add_to_physmap(unsigned space, u64 idx, u64 gfn);
long decrease(u64 gfn);
long populate(u64 gfn);
long hvm_param(unsigned index, u64 *val);
#endif
