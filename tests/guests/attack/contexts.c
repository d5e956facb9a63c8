// SPDX-License-Identifier: MIT
/*
 * A second vcpu that is to begin with a state no vcpu may have. What is refused leaves it as it
 * was, so one test tries much; what is accepted is started, and then the state must do no harm.
 */
#include "guest.h"

#define HYP 0xffff830000000000UL

static struct vcpu_guest_context context;

static long initialise(void)
{
    return HC3(vcpu_op, VCPUOP_initialise, 1, &context);
}

static void fresh(void)
{
    if (nr_vcpus() < 2)
        skip("one vcpu only");
    fill_context(&context, 1);
}

/* Once accepted it runs, and may end the domain. If not: the hypervisor has put it right. */
static void start(void)
{
    CHECK_EQ(HC3(vcpu_op, VCPUOP_up, 1, 0), 0);
    sleep_ms(100);
    CHECK_EQ(HC2(xen_version, XENVER_pagesize, 0), 4096);
    refused();
}

/* Of those at least these can only be refused. */
DEATH(death_context_refused)
{
    u64 *writable = page_alloc();

    fresh();
    context.ctrlreg[3] = xen_pfn_to_cr3(mfn_of(writable));
    CHECK_REFUSED(initialise());
    context.ctrlreg[3] = xen_pfn_to_cr3(0xffffffff);
    CHECK_REFUSED(initialise());
    fresh();
    context.ctrlreg[1] = xen_pfn_to_cr3(mfn_of(writable));
    CHECK_REFUSED(initialise());
    fresh();
    context.gdt_frames[0] = mfn_of(writable);
    context.gdt_ents = 512;
    CHECK_REFUSED(initialise());
    context.gdt_frames[0] = root_mfn();
    CHECK_REFUSED(initialise());
    context.gdt_frames[0] = ~0UL;
    CHECK_REFUSED(initialise());
    context.gdt_ents = ~0UL;
    CHECK_REFUSED(initialise());
    context.gdt_ents = 14 * 512 + 1;
    CHECK_REFUSED(initialise());
    fresh();
    context.fs_base = 0x8000000000000000;
    CHECK_REFUSED(initialise());
    fresh();
    context.gs_base_kernel = 0x800000000000;
    CHECK_REFUSED(initialise());
    fresh();
    context.gs_base_user = 0x800000000000;
    CHECK_REFUSED(initialise());
    fresh();
    context.ldt_ents = 8193;
    CHECK_REFUSED(initialise());
    CHECK_EQ(HC3(vcpu_op, VCPUOP_is_up, 1, 0), 0);
    /* After all that an ordinary one still does. */
    fresh();
    CHECK_EQ(initialise(), 0);
    CHECK_REFUSED(initialise());
    refused();
}

DEATH(death_context_address)
{
    fresh();
    context.user_regs.rip = HYP;
    if (!initialise())
        start();
    context.user_regs.rip = 0x8000000000000000;
    if (!initialise())
        start();
    refused();
}

DEATH(death_context_selectors)
{
    fresh();
    context.user_regs.cs = 0xe008;
    context.user_regs.ss = 0xe010;
    context.user_regs.ds = context.user_regs.es = 0xe018;
    context.user_regs.fs = 0xe040;
    context.user_regs.gs = 0xfff7;
    if (!initialise())
        start();
    refused();
}

DEATH(death_context_flags)
{
    fresh();
    context.user_regs.rflags = ~0UL;
    if (!initialise())
        start();
    refused();
}

DEATH(death_context_user_without_root)
{
    fresh();
    context.flags = 0;
    context.ctrlreg[1] = 0;
    if (!initialise())
        start();
    refused();
}

DEATH(death_context_stack)
{
    fresh();
    context.kernel_sp = HYP;
    context.user_regs.rsp = HYP;
    context.user_regs.rip = 0; /* faults at once */
    if (!initialise())
        start();
    refused();
}

DEATH(death_context_handlers)
{
    fresh();
    for (unsigned i = 0; i < 256; i++)
        context.trap_ctxt[i].address = i & 1 ? HYP : 0x8000000000000000;
    context.event_callback_eip = context.syscall_callback_eip = HYP;
    context.user_regs.rip = 0;
    if (!initialise())
        start();
    refused();
}

DEATH(death_context_debug)
{
    fresh();
    context.debugreg[0] = HYP;
    context.debugreg[1] = 0xffff82d040200000;
    context.debugreg[6] = ~0UL;
    context.debugreg[7] = ~0UL;
    context.ctrlreg[0] = context.ctrlreg[4] = ~0UL;
    if (!initialise())
        start();
    refused();
}

/* Floating-point state that FXRSTOR or XRSTOR would not load. */
DEATH(death_context_fpu)
{
    fresh();
    context.flags |= VGCF_i387_valid;
    memset(&context.fpu_ctxt, 0xff, sizeof(context.fpu_ctxt));
    if (!initialise())
        start();
    refused();
}

DEATH(death_context_ldt)
{
    fresh();
    context.ldt_base = 0xffff820000000000;
    context.ldt_ents = 8192;
    context.user_regs.fs = context.user_regs.gs = 7;
    context.user_regs.ds = context.user_regs.es = 0xffff;
    if (!initialise())
        start();
    refused();
}

/* Its argument is a structure of five kilobytes: half of it in the hypervisor. */
DEATH(death_context_pointer)
{
    fresh();
    CHECK_REFUSED(HC3(vcpu_op, VCPUOP_initialise, 1, 0xffff7ffffffff000));
    CHECK_REFUSED(HC3(vcpu_op, VCPUOP_initialise, 1, 0xffff87fffffff000));
    CHECK_REFUSED(HC3(vcpu_op, VCPUOP_initialise, 1, -4096UL));
    refused();
}

/* The vcpu goes down; whoever is left is nobody. */
DEATH(death_all_vcpus_down)
{
    struct sched_poll p = {0};

    HC3(vcpu_op, VCPUOP_down, 0, 0);
    HC2(sched_op, SCHEDOP_poll, &p);
    refused();
}
