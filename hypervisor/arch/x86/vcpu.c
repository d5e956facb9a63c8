// SPDX-License-Identifier: MIT
/*
 * Vcpus of all kinds: the switch from one to another, how they are told of events, their state for
 * the tools and for the console.
 *
 * A switch saves prev whole and loads next whole, FPU included, so nothing of prev stays behind
 * in registers.  It ends on a fresh stack: nothing in the hypervisor runs across a switch.
 */
#include "arch/api/arch_domain.h"
#include "arch/api/arch_time.h"
#include "arch/x86/guest.h"
#include "arch/x86/mm/mm.h"
#include "arch/x86/mm/paging.h"
#include "arch/x86/time/time.h"
#include "asm/apic.h"
#include "asm/cpufeature.h"
#include "asm/desc.h"
#include "asm/fpu.h"
#include "asm/irq_vectors.h"
#include "asm/msr.h"
#include "asm/processor.h"
#include "domain/unit.h"
#include "kernel/console.h"
#include "kernel/percpu.h"
#include "lib/string.h"
#include "sched/sched.h"

/* --- what the hypervisor runs on --- */

void load_guest_cr4(unsigned long bits, bool ring1)
{
    struct cpu_info *info = cpu_info();
    unsigned long cr4 = (info->cr4 & ~CR4_OF_GUEST) | bits;

    if (unlikely(ring1)) {
        cr4 &= ~(CR4_SMEP | CR4_SMAP);
        info->flags = CPU_RUNS_RING1;
    } else if (unlikely(info->flags & CPU_RUNS_RING1)) {
        cr4 |= (cpu_has(SMEP) ? CR4_SMEP : 0) | (cpu_has(SMAP) ? CR4_SMAP : 0);
        info->flags = 0;
    }
    cpu_write_cr4(cr4);
}

/* The hypervisor's own page tables, GDT and CR4, and no LDT: nothing of a guest's is in use. */
static void load_own_space(void)
{
    uint16_t null = 0;

    load_idle_gdt();
    __asm__ volatile("lldt %0" ::"rm"(null));
    write_cr3(image_to_maddr(idle_pg_table));
    load_guest_cr4(0, false);
}

/* --- the idle vcpus --- */

static void nothing(struct vcpu *v)
{
    (void)v;
}

static void load_idle(struct vcpu *v)
{
    (void)v;
    load_own_space();
}

static void __noreturn run_idle(void)
{
    reset_stack_and_call(idle_loop);
}

static const struct guest_kind idle_kind = {
    .load = load_idle, .run = run_idle, .publish = nothing, .dump = nothing};

/* --- the switch --- */

DEFINE_PER_CPU(bool, null_segments);

/* What another domain has taught the branch predictors is not to steer this one (Spectre 2). */
static void forget_branches(const struct domain *d)
{
    static DEFINE_PER_CPU(uint32_t, last); /* no two domains have the same, but for 0 */

    if (d->mem.past && this_cpu(last) == d->mem.past)
        return;
    this_cpu(last) = d->mem.past;
    wrmsr(MSR_PRED_CMD, PRED_CMD_IBPB);
}

/* From before it is loaded until nothing of it is: CPUs to be told when translations go. */
static void hold(struct vcpu *v)
{
    cpumask_set_cpu(smp_processor_id(), &v->domain->dirty_cpus);
    cpumask_set_cpu(smp_processor_id(), &v->dirty_cpu_mask);
}

static void let_go(struct vcpu *v)
{
    cpumask_clear_cpu(smp_processor_id(), &v->dirty_cpu_mask);
    if (current->domain != v->domain)
        cpumask_clear_cpu(smp_processor_id(), &v->domain->dirty_cpus);
}

/* The compiler's copy takes twice as many steps. */
static inline void copy_regs(struct cpu_user_regs *to, const struct cpu_user_regs *from)
{
    unsigned long n = sizeof(*to) / 8;

    BUILD_BUG_ON(sizeof(*to) % 8);
    __asm__ volatile("rep movsq" : "+D"(to), "+S"(from), "+c"(n)::"memory");
}

void arch_context_switch(struct vcpu *prev, struct vcpu *next)
{
    const struct guest_kind *kind = next->domain->arch.kind;
    struct cpu_info *info = cpu_info();

    if (!prev->domain->is_idle) {
        copy_regs(&prev->arch.regs, &info->guest_regs);
        prev->domain->arch.kind->save(prev);
        fpu_save(prev);
        info->flags &= ~(uint32_t)CPU_NO_GUEST_SPACE;
    }
    info->current_vcpu = next;
    if (!next->domain->is_idle) {
        if (unlikely(mitigations.ibpb))
            forget_branches(next->domain);
        hold(next);
        copy_regs(&info->guest_regs, &next->arch.regs);
        fpu_load(next);
    }
    if (unlikely(kind->copy_from != NULL)) {
        load_own_space();
        this_cpu(null_segments) = false;
        info->flags |= CPU_NO_GUEST_SPACE;
    }
    kind->load(next);
    if (!prev->domain->is_idle)
        let_go(prev);
    sched_context_saved(prev);
    kind->publish(next);
    kind->run();
}

void publish_time(struct vcpu *v)
{
    arch_update_vcpu_time(v);
    vcpu_update_runstate_area(v);
}

void arch_continue_running(struct vcpu *v)
{
    /* Its clock is steered while it runs (time/sync.c). */
    if (unlikely(!tsc_trusted()))
        v->domain->arch.kind->publish(v);
}

/* --- what a vcpu is told --- */

bool hvm_guests_exist;

bool arch_vcpu_interrupt_due(const struct vcpu *v)
{
    const struct guest_kind *kind = v->domain->arch.kind;

    return kind->interrupt_due && kind->interrupt_due(v);
}

void arch_vcpu_kick(struct vcpu *v)
{
    if (unlikely(READ_ONCE(hvm_guests_exist)) && v->domain->arch.kind->event)
        v->domain->arch.kind->event(v);
    /* If it runs here, the way back to the guest will look; elsewhere an interrupt makes it. */
    if (READ_ONCE(v->is_running) && v->processor != smp_processor_id())
        send_ipi(v->processor, VECTOR_EVENT_CHECK);
}

void arch_vcpu_send_nmi(struct vcpu *v)
{
    v->domain->arch.kind->send_nmi(v);
}

/* --- state --- */

struct cpu_user_regs *vcpu_regs(struct vcpu *v)
{
    return v == current ? guest_regs() : &v->arch.regs;
}

int arch_set_context(struct vcpu *v, const struct vcpu_guest_context *c)
{
    return v->domain->arch.kind->set_context(v, c);
}

void arch_get_context(struct vcpu *v, struct vcpu_guest_context *c)
{
    memset(c, 0, sizeof(*c));
    v->domain->arch.kind->get_context(v, c);
}

void arch_dump_vcpu(struct vcpu *v)
{
    const struct cpu_user_regs *r = vcpu_regs(v);

    printk("d%uv%u: rip %016lx rsp %016lx rflags %lx\n", v->domain->id, v->vcpu_id,
           (unsigned long)r->rip, (unsigned long)r->rsp, (unsigned long)r->rflags);
    printk("  rax %016lx rbx %016lx rcx %016lx rdx %016lx\n", (unsigned long)r->rax,
           (unsigned long)r->rbx, (unsigned long)r->rcx, (unsigned long)r->rdx);
    printk("  rsi %016lx rdi %016lx rbp %016lx r8  %016lx\n", (unsigned long)r->rsi,
           (unsigned long)r->rdi, (unsigned long)r->rbp, (unsigned long)r->r8);
    printk("  r9  %016lx r10 %016lx r11 %016lx r12 %016lx\n", (unsigned long)r->r9,
           (unsigned long)r->r10, (unsigned long)r->r11, (unsigned long)r->r12);
    printk("  r13 %016lx r14 %016lx r15 %016lx\n", (unsigned long)r->r13, (unsigned long)r->r14,
           (unsigned long)r->r15);
    v->domain->arch.kind->dump(v);
}

static int vcpu_domain_create(struct domain *d, const struct xen_domctl_createdomain *cfg)
{
    (void)cfg;
    if (d->is_idle)
        d->arch.kind = &idle_kind;
    return 0;
}

DEFINE_UNIT(vcpu, .name = "vcpu", .level = UNIT_MEM, .idle_too = true,
            .domain_create = vcpu_domain_create);
