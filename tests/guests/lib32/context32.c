// SPDX-License-Identifier: MIT
/* The state that a second vcpu begins with, in a 32-bit guest. */
#include "guest.h"

void fill_context(struct vcpu_guest_context *c, unsigned cpu)
{
    static struct trap_info table[257];

    memset(c, 0, sizeof(*c));
    fill_trap_table(table);
    memcpy(c->trap_ctxt, table, sizeof(c->trap_ctxt));
    c->flags = VGCF_in_kernel;
    c->user_regs.eip = (ulong)vcpu_entry;
    c->user_regs.esp = (ulong)stacks + (cpu + 1) * STACK_SIZE - 16;
    c->user_regs.edi = (ulong)&cpus[cpu];
    c->user_regs.cs = FLAT_KERNEL_CS;
    c->user_regs.ss = FLAT_KERNEL_SS;
    c->user_regs.ds = c->user_regs.es = FLAT_KERNEL_DS;
    c->user_regs.eflags = 0x200;
    c->kernel_ss = FLAT_KERNEL_SS;
    c->kernel_sp = kernel_stack_of(cpu);
    c->ctrlreg[3] = xen_pfn_to_cr3(root_mfn());
    c->event_callback_cs = c->failsafe_callback_cs = FLAT_KERNEL_CS;
    c->event_callback_eip = (ulong)event_entry;
    c->failsafe_callback_eip = (ulong)failsafe_entry;
}
