// SPDX-License-Identifier: MIT
/* The state that a second vcpu begins with. */
#include "guest.h"

void fill_context(struct vcpu_guest_context *c, unsigned cpu)
{
    struct trap_info table[257];

    memset(c, 0, sizeof(*c));
    fill_trap_table(table);
    memcpy(c->trap_ctxt, table, sizeof(c->trap_ctxt));
    c->flags = VGCF_in_kernel;
    c->user_regs.rip = (u64)vcpu_entry;
    c->user_regs.rsp = (u64)stacks + (cpu + 1) * STACK_SIZE;
    c->user_regs.rdi = (u64)&cpus[cpu];
    c->user_regs.cs = FLAT_KERNEL_CS;
    c->user_regs.ss = FLAT_KERNEL_SS;
    c->user_regs.rflags = 0x200;
    c->kernel_ss = FLAT_KERNEL_SS;
    c->kernel_sp = kernel_stack_of(cpu);
    c->ctrlreg[3] = xen_pfn_to_cr3(root_mfn());
    c->event_callback_eip = (u64)event_entry;
    c->failsafe_callback_eip = (u64)failsafe_entry;
    c->syscall_callback_eip = (u64)syscall_entry;
}
