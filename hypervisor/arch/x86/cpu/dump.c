// SPDX-License-Identifier: MIT
/* Registers and stack of the hypervisor itself, for panics. */
#include "arch/api/arch_cpu.h"
#include "kernel/console.h"
#include "kernel/symbols.h"
#include "lib/types.h"

static void dump_frame(const struct cpu_user_regs *r)
{
    char what[160];

    printk(KERN_ERR "RIP %04x:%016lx %s\n", (unsigned)r->cs, (unsigned long)r->rip,
           symbol_describe(r->cs & 3 ? 0 : r->rip, false, what, sizeof(what)));
    printk(KERN_ERR "RSP %04x:%016lx RFLAGS %08lx\n", (unsigned)r->ss, (unsigned long)r->rsp,
           (unsigned long)r->rflags);
    printk(KERN_ERR "rax %016lx rbx %016lx rcx %016lx rdx %016lx\n", (unsigned long)r->rax,
           (unsigned long)r->rbx, (unsigned long)r->rcx, (unsigned long)r->rdx);
    printk(KERN_ERR "rsi %016lx rdi %016lx rbp %016lx r8  %016lx\n", (unsigned long)r->rsi,
           (unsigned long)r->rdi, (unsigned long)r->rbp, (unsigned long)r->r8);
    printk(KERN_ERR "r9  %016lx r10 %016lx r11 %016lx r12 %016lx\n", (unsigned long)r->r9,
           (unsigned long)r->r10, (unsigned long)r->r11, (unsigned long)r->r12);
    printk(KERN_ERR "r13 %016lx r14 %016lx r15 %016lx\n", (unsigned long)r->r13,
           (unsigned long)r->r14, (unsigned long)r->r15);
}

void arch_dump_registers(const struct cpu_user_regs *regs)
{
    unsigned long cr0, cr2, cr3, cr4;

    __asm__ volatile("mov %%cr0, %0" : "=r"(cr0));
    __asm__ volatile("mov %%cr2, %0" : "=r"(cr2));
    __asm__ volatile("mov %%cr3, %0" : "=r"(cr3));
    __asm__ volatile("mov %%cr4, %0" : "=r"(cr4));
    if (regs)
        dump_frame(regs);
    printk(KERN_ERR "cr0 %016lx cr2 %016lx cr3 %016lx cr4 %016lx\n", cr0, cr2, cr3, cr4);
}

/* A frame pointer is followed only upwards and inside the stack it began on. */
unsigned arch_backtrace(const struct cpu_user_regs *regs, unsigned long *pc, unsigned max)
{
    unsigned long fp = (unsigned long)__builtin_frame_address(0), end;
    unsigned n = 0;

    if (regs) {
        if (regs->cs & 3)
            return 0; /* a guest ran: our stack is empty */
        if (max)
            pc[n++] = regs->rip;
        fp = regs->rbp;
    }
    end = ROUND_UP((unsigned long)__builtin_frame_address(0), STACK_SIZE) - sizeof(struct cpu_info);
    while (n < max && fp % sizeof(long) == 0 && fp >= end + sizeof(struct cpu_info) - STACK_SIZE &&
           fp < end - 2 * sizeof(long)) {
        const unsigned long *frame = (const unsigned long *)fp;

        if (!frame[1])
            break;
        pc[n++] = frame[1];
        if (frame[0] <= fp)
            break;
        fp = frame[0];
    }
    return n;
}
