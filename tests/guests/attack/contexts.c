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

static struct frame noted;

/* What the second vcpu's first trap is; it goes no further. */
static bool note(struct frame *f)
{
    if (this_cpu()->id != 1)
        return false;
    noted = *f;
    HC3(vcpu_op, VCPUOP_down, 1, 0);
    for (;;)
        ;
}

/* Initialises the vcpu and lets it run until it traps: the vector, or NO_TRAP. */
static int first_trap(void)
{
    u64 end;

    REQUIRE_EQ(initialise(), 0);
    for (unsigned vec = 0; vec < VECTORS; vec++)
        hooks[vec] = note;
    noted.vector = ~0U;
    REQUIRE_EQ(HC3(vcpu_op, VCPUOP_up, 1, 0), 0);
    end = now() + 5000000000ULL;
    while (HC3(vcpu_op, VCPUOP_is_up, 1, 0) && now() < end)
        HC2(sched_op, SCHEDOP_yield, 0);
    CHECK_EQ(HC2(xen_version, XENVER_pagesize, 0), 4096);
    return (u32)noted.vector == ~0U ? NO_TRAP : (int)noted.vector;
}

#define NOT_CANONICAL 0x8000000000000000

/* What can only be refused. */
ALONE(alone_context_refused)
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
    context.flags = 0; /* user mode, which has no root */
    CHECK_REFUSED(initialise());
    fresh();
    context.fs_base = NOT_CANONICAL;
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
    fresh();
    context.ldt_ents = 8192;
    context.ldt_base = NOT_CANONICAL;
    CHECK_REFUSED(initialise());
    context.ldt_base = HYP;
    CHECK_REFUSED(initialise());
    fresh();
    context.user_regs.rip = NOT_CANONICAL;
    CHECK_REFUSED(initialise());
    fresh();
    context.user_regs.rsp = NOT_CANONICAL;
    CHECK_REFUSED(initialise());
    fresh();
    context.kernel_sp = NOT_CANONICAL;
    CHECK_REFUSED(initialise());
    fresh();
    context.event_callback_eip = NOT_CANONICAL;
    CHECK_REFUSED(initialise());
    fresh();
    context.failsafe_callback_eip = NOT_CANONICAL;
    CHECK_REFUSED(initialise());
    fresh();
    context.syscall_callback_eip = NOT_CANONICAL;
    CHECK_REFUSED(initialise());
    fresh();
    context.trap_ctxt[255].address = NOT_CANONICAL;
    CHECK_REFUSED(initialise());
    CHECK_EQ(HC3(vcpu_op, VCPUOP_is_up, 1, 0), 0);
    /* After all that an ordinary one still does. */
    fresh();
    CHECK_EQ(initialise(), 0);
    CHECK_REFUSED(initialise());
}

/* Taken; the vcpu's first instruction is where no guest may run, and the guest is told. */
ALONE(alone_context_address)
{
    fresh();
    context.user_regs.rip = HYP;
    CHECK_EQ(first_trap(), VEC_PF);
    CHECK_EQ(noted.rip, HYP);
}

/* That segment registers cannot be loaded is told by the failsafe callback. */
ALONE(alone_context_selectors)
{
    fresh();
    context.user_regs.cs = 0xe008;
    context.user_regs.ss = 0xe010;
    context.user_regs.ds = context.user_regs.es = 0xe018;
    context.user_regs.fs = 0xe040;
    context.user_regs.gs = 0xfff7;
    CHECK_EQ(first_trap(), VEC_FAILSAFE);
}

ALONE(alone_context_flags)
{
    fresh();
    context.user_regs.rflags = ~0UL;
    CHECK_EQ(first_trap(), VEC_DB);
}

/* It faults at once, and there is nowhere to say so. */
DEATH(death_context_stack)
{
    fresh();
    context.kernel_sp = HYP;
    context.user_regs.rsp = HYP;
    context.user_regs.rip = 0;
    first_trap();
}

/* Stock Xen takes handlers that can only fault, again and again, until the stack is used up. */
RISK(risk_context_handlers)
{
    fresh();
    for (unsigned i = 0; i < 256; i++)
        context.trap_ctxt[i].address = HYP;
    context.event_callback_eip = context.syscall_callback_eip = HYP;
    context.user_regs.rip = 0;
    if (!initialise()) {
        CHECK_EQ(HC3(vcpu_op, VCPUOP_up, 1, 0), 0);
        sleep_ms(100);
    }
}

ALONE(alone_context_debug)
{
    fresh();
    context.debugreg[0] = HYP;
    context.debugreg[1] = 0xffff82d040200000;
    context.debugreg[6] = ~0UL;
    context.debugreg[7] = ~0UL;
    context.ctrlreg[0] = context.ctrlreg[4] = ~0UL;
    CHECK_EQ(first_trap(), NO_TRAP);
}

/* Floating-point state that FXRSTOR or XRSTOR would not load. */
ALONE(alone_context_fpu)
{
    fresh();
    context.flags |= VGCF_i387_valid;
    memset(&context.fpu_ctxt, 0xff, sizeof(context.fpu_ctxt));
    CHECK_EQ(first_trap(), NO_TRAP);
}

ALONE(alone_context_ldt)
{
    fresh();
    context.ldt_base = SPARE_VA; /* nothing is there */
    context.ldt_ents = 512;
    context.user_regs.fs = context.user_regs.gs = 7;
    context.user_regs.ds = context.user_regs.es = 0xffff;
    CHECK_EQ(first_trap(), VEC_FAILSAFE);
}

/* Its argument is a structure of five kilobytes: half of it in the hypervisor. */
ALONE(alone_context_pointer)
{
    fresh();
    CHECK_REFUSED(HC3(vcpu_op, VCPUOP_initialise, 1, 0xffff7ffffffff000));
    CHECK_REFUSED(HC3(vcpu_op, VCPUOP_initialise, 1, 0xffff87fffffff000));
    CHECK_REFUSED(HC3(vcpu_op, VCPUOP_initialise, 1, -4096UL));
}

/* The vcpu goes down; whoever is left is nobody: the guest has powered off. */
DEATH(death_all_vcpus_down)
{
    struct sched_poll p = {0};

    HC3(vcpu_op, VCPUOP_down, 0, 0);
    HC2(sched_op, SCHEDOP_poll, &p);
}
