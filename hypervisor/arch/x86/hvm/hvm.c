// SPDX-License-Identifier: MIT
/*
 * Hardware-virtualised guests: their life, and what happens between two stays of a vcpu in its
 * guest.
 *
 * The vendor's run() is a loop that never ends: hvm_deliver() and entry, exit, what the exit asks
 * for.  Softirqs run before entry, so a vcpu leaves its CPU there and nowhere else, and comes back
 * to a fresh run().  What is due to the guest is decided at each entry anew: the event in `event`
 * first (an exception, or one whose delivery an exit cut short), then NMIs, then interrupts.
 *
 * Events.  The upcall is a vector of the local APIC's (HVMOP_set_evtchn_upcall_vector), or one that
 * comes past it (HVM_PARAM_CALLBACK_IRQ, type vector); evtchn_upcall_mask means nothing here.
 */
#include "arch/x86/hvm/hvm.h"
#include "arch/api/arch_domain.h"
#include "arch/api/arch_host.h"
#include "asm/apic.h"
#include "asm/cpufeature.h"
#include "asm/fpu.h"
#include "asm/irq_vectors.h"
#include "asm/msr.h"
#include "asm/regs.h"
#include "domain/unit.h"
#include "hypercall/hypercall.h"
#include "kernel/console.h"
#include "kernel/panic.h"
#include "kernel/softirq.h"
#include "lib/errno.h"
#include "lib/string.h"
#include <xen/domctl.h>
#include <xen/hvm/hvm_info_table.h>
#include <xen/hvm/hvm_op.h>
#include <xen/sched.h>

#define DR6_SINGLE_STEP (1UL << 14)

const struct hvm_vendor *hvm_vendor;

/* --- what the guest is to be told --- */

/* An exception while another is being delivered makes a double fault, or ends it all. */
static bool contributory(uint8_t vector)
{
    return vector == 0 || (vector >= 10 && vector <= 13);
}

void hvm_inject(struct vcpu *v, uint8_t vector, int error)
{
    struct hvm_event *e = &v->arch.hvm->event;

    if (e->valid && e->type == HVM_EVENT_EXCEPTION) {
        if (e->vector == VEC_DF) {
            hvm_triple_fault(v);
            return;
        }
        if ((contributory(e->vector) && contributory(vector)) ||
            (e->vector == VEC_PF && (vector == VEC_PF || contributory(vector)))) {
            vector = VEC_DF;
            error = 0;
        }
    }
    *e = (struct hvm_event){.vector = vector,
                            .type = HVM_EVENT_EXCEPTION,
                            .valid = true,
                            .has_error = error >= 0,
                            .error = error >= 0 ? error : 0};
}

void hvm_inject_page_fault(struct vcpu *v, uint64_t addr, uint32_t error)
{
    hvm_vendor->set_cr(v, 2, addr);
    hvm_inject(v, VEC_PF, error);
}

void hvm_single_step(struct vcpu *v)
{
    hvm_vendor->set_dr(v, 6, hvm_vendor->get_dr(v, 6) | DR6_SINGLE_STEP);
    hvm_inject(v, VEC_DB, -1);
}

void hvm_triple_fault(struct vcpu *v)
{
    struct domain *d = v->domain;
    uint64_t reason = d->arch.hvm->params[HVM_PARAM_TRIPLE_FAULT_REASON];

    printk(KERN_WARN "d%uv%u: triple fault\n", d->id, v->vcpu_id);
    arch_dump_vcpu(v);
    domain_shutdown(d, reason);
}

/* The domain's vector for v's upcall, if that is pending and comes by it; else 0. */
static uint8_t upcall_pending(const struct vcpu *v)
{
    const struct vcpu_info *info = READ_ONCE(v->info);
    uint8_t vector = READ_ONCE(v->domain->arch.hvm->callback_vector);

    return vector && !v->arch.hvm->upcall_vector && info && READ_ONCE(info->evtchn_upcall_pending)
               ? vector
               : 0;
}

void hvm_raise_upcall(struct vcpu *v)
{
    const struct vcpu_info *info = READ_ONCE(v->info);
    uint8_t vector = READ_ONCE(v->arch.hvm->upcall_vector);

    if (vector && info && READ_ONCE(info->evtchn_upcall_pending))
        vlapic_raise(v, vector);
}

static bool nmi_due(const struct vcpu *v)
{
    return unlikely(READ_ONCE(v->arch.hvm->nmi_pending)) && !hvm_vendor->nmi_blocked(v);
}

static bool interrupt_pending(const struct vcpu *v)
{
    return nmi_due(v) || upcall_pending(v) || vlapic_pending(v) >= 0;
}

void hvm_deliver(struct vcpu *v)
{
    struct hvm_vcpu *h = v->arch.hvm;
    uint8_t upcall = upcall_pending(v);
    int vector = vlapic_pending(v);

    if (unlikely(h->event.valid)) {
        hvm_vendor->inject(v, &h->event);
        h->event.valid = false;
    } else if (nmi_due(v) && !hvm_vendor->in_shadow(v)) {
        h->nmi_pending = false;
        hvm_vendor->inject(v, &(struct hvm_event){.vector = VEC_NMI, .type = HVM_EVENT_NMI});
    } else if (upcall && hvm_vendor->interruptible(v)) {
        hvm_vendor->inject(v, &(struct hvm_event){.vector = upcall, .type = HVM_EVENT_INTR});
        upcall = 0; /* its handler takes the mark away: no reason to leave the guest again */
    } else if (vector >= 0 && hvm_vendor->interruptible(v)) {
        vlapic_accept(v, vector);
        hvm_vendor->inject(v, &(struct hvm_event){.vector = vector, .type = HVM_EVENT_INTR});
        vector = vlapic_pending(v);
    }
    hvm_vendor->want_window(v, upcall || vector >= 0, READ_ONCE(h->nmi_pending));
}

/* --- what guests do --- */

/* Waits with interrupts off: an end, and the domain's when the others have come to theirs. */
static void halt_for_good(struct vcpu *v)
{
    struct vcpu *other;
    bool any_up = false;

    spin_lock(&v->domain->lock);
    set_bit(VPF_down, &v->pause_flags);
    for_each_vcpu (v->domain, other)
        any_up |= !test_bit(VPF_down, &other->pause_flags);
    spin_unlock(&v->domain->lock);
    vcpu_sleep_nosync(v);
    if (!any_up)
        domain_shutdown(v->domain, SHUTDOWN_poweroff);
}

void hvm_hlt(struct vcpu *v, struct cpu_user_regs *regs)
{
    struct hvm_vcpu *h = v->arch.hvm;

    if (h->event.valid)
        return;
    if (!(regs->rflags & EFLAGS_IF) && !h->nmi_pending) {
        halt_for_good(v);
        return;
    }
    set_bit(VPF_blocked, &v->pause_flags);
    /* As vcpu_block(): who raises something looks at the flag afterwards. */
    if (interrupt_pending(v))
        clear_bit(VPF_blocked, &v->pause_flags);
    else
        raise_softirq(SOFTIRQ_SCHEDULE);
}

/* The rest are for guests whose page tables and traps the hypervisor keeps. */
bool arch_hvm_may_call(unsigned long nr, unsigned long arg1)
{
    switch (nr) {
    case __HYPERVISOR_memory_op:
    case __HYPERVISOR_set_timer_op:
    case __HYPERVISOR_xen_version:
    case __HYPERVISOR_console_io:
    case __HYPERVISOR_grant_table_op:
    case __HYPERVISOR_vcpu_op:
    case __HYPERVISOR_sched_op:
    case __HYPERVISOR_event_channel_op:
    case __HYPERVISOR_hvm_op:
    case __HYPERVISOR_sysctl:
    case __HYPERVISOR_domctl:
    case __HYPERVISOR_xenpmu_op:
        return true;
    case __HYPERVISOR_vm_assist: /* of its operations, the one about the runstate area */
        return arg1 == VMASST_TYPE_runstate_update_flag;
    default:
        return false;
    }
}

void hvm_hypercall(struct cpu_user_regs *regs, unsigned len)
{
    struct vcpu *v = current;
    bool narrow = !hvm_long_mode(v);
    uint64_t nr = narrow ? (uint32_t)regs->rax : regs->rax;
    uint64_t arg1 = narrow ? (uint32_t)regs->rcx : regs->rsi;

    /* A shadow ends with this instruction; what comes meanwhile is not to be slept over. */
    hvm_vendor->set_shadow(v, false);
    if (hvm_vendor->get_cpl(v)) {
        regs->rax = -EPERM;
        hvm_skip(v, regs, len);
        return;
    }
    if (!(hvm_vendor->get_cr(v, 0) & CR0_PE) ||
        (nr != __HYPERVISOR_multicall && !arch_hvm_may_call(nr, arg1))) {
        regs->rax = narrow ? (uint32_t)-ENOSYS : (uint64_t)-ENOSYS;
        hvm_skip(v, regs, len);
        return;
    }
    if (!hypercall_issue(regs, narrow))
        hvm_skip(v, regs, len);
}

void hvm_latch_width(struct vcpu *v)
{
    v->domain->arch.is_32bit = !hvm_long_mode(v);
}

void hvm_hypercall_page(const struct domain *d, void *page)
{
    (void)d;
    memset(page, 0xcc, PAGE_SIZE);
    for (unsigned nr = 0; nr < PAGE_SIZE / 32; nr++) {
        uint8_t *p = (uint8_t *)page + nr * 32;

        if (nr == __HYPERVISOR_iret) {
            p[0] = 0x0f; /* ud2: not for these guests */
            p[1] = 0x0b;
            continue;
        }
        *p++ = 0xb8; /* mov $nr, %eax */
        memcpy(p, &(uint32_t){nr}, 4);
        p += 4;
        memcpy(p, hvm_vendor->hypercall, sizeof(hvm_vendor->hypercall));
        p[sizeof(hvm_vendor->hypercall)] = 0xc3; /* ret */
    }
}

/* --- struct guest_kind --- */

static void load(struct vcpu *v)
{
    struct hvm_vcpu *h = v->arch.hvm;

    write_dr0(h->dr[0]);
    write_dr1(h->dr[1]);
    write_dr2(h->dr[2]);
    write_dr3(h->dr[3]);
    if (cpu_has(RDTSCP))
        wrmsr(MSR_TSC_AUX, h->tsc_aux);
    if (unlikely(!h->cr4_known)) {
        h->cr4_exits = hvm_cr4_exits(v->domain);
        h->cr4_known = true;
    }
    hvm_vendor->load(v);
}

static void save(struct vcpu *v)
{
    struct hvm_vcpu *h = v->arch.hvm;

    hvm_vendor->save(v);
    if (host_cpu.xcr0_max) /* the guest may have set it unseen */
        v->arch.xcr0 = xgetbv(0);
    h->dr[0] = read_dr0();
    h->dr[1] = read_dr1();
    h->dr[2] = read_dr2();
    h->dr[3] = read_dr3();
    if (cpu_has(RDTSCP))
        wrmsr(MSR_TSC_AUX, 0);
}

static void __noreturn run(void)
{
    hvm_vendor->run();
}

/* Who unblocked v on account of the event may have been early: its vector is raised only here. */
static void event(struct vcpu *v)
{
    if (v->arch.hvm->upcall_vector)
        vlapic_raise(v, v->arch.hvm->upcall_vector);
}

static bool interrupt_due(const struct vcpu *v)
{
    return (nmi_due(v) && !hvm_vendor->in_shadow(v)) ||
           (hvm_vendor->interruptible(v) && interrupt_pending(v));
}

static void send_nmi(struct vcpu *v)
{
    WRITE_ONCE(v->arch.hvm->nmi_pending, true);
    vcpu_unblock(v);
    if (v != current && READ_ONCE(v->is_running))
        send_ipi(v->processor, VECTOR_EVENT_CHECK);
}

static void dump(struct vcpu *v)
{
    struct emul_segment cs;
    uint64_t efer = 0;

    hvm_open(v);
    hvm_vendor->get_segment(v, EMUL_SEG_CS, &cs);
    hvm_vendor->get_msr(v, MSR_EFER, &efer);
    printk("  cs %04x base %016lx attributes %x efer %lx\n", cs.sel, (unsigned long)cs.base,
           cs.attr, (unsigned long)efer);
    printk("  cr0 %016lx cr2 %016lx cr3 %016lx cr4 %016lx\n",
           (unsigned long)hvm_vendor->get_cr(v, 0), (unsigned long)hvm_vendor->get_cr(v, 2),
           (unsigned long)hvm_vendor->get_cr(v, 3), (unsigned long)hvm_vendor->get_cr(v, 4));
    hvm_close(v);
}

static const struct guest_kind hvm_kind = {.save = save,
                                           .load = load,
                                           .run = run,
                                           .publish = publish_time,
                                           .event = event,
                                           .interrupt_due = interrupt_due,
                                           .send_nmi = send_nmi,
                                           .copy_from = hvm_copy_from_guest,
                                           .copy_to = hvm_copy_to_guest,
                                           .hypercall_page = hvm_hypercall_page,
                                           .get_context = hvm_get_context,
                                           .set_context = hvm_set_context,
                                           .dump = dump};

bool arch_has_hvm(void)
{
    return hvm_vendor;
}

/* --- life --- */

static const struct hvm_vendor *const vendors[] = {&svm_vendor};

static void __init hvm_boot(void)
{
    for (unsigned i = 0; i < ARRAY_SIZE(vendors) && !hvm_vendor; i++)
        if (vendors[i]->probe() && !vendors[i]->cpu_prepare(0))
            hvm_vendor = vendors[i];
    if (hvm_vendor)
        printk(KERN_INFO "HVM: %s with nested paging\n", hvm_vendor->name);
}

static int hvm_cpu_up(unsigned cpu)
{
    return hvm_vendor ? hvm_vendor->cpu_prepare(cpu) : 0;
}

static int hvm_domain_create(struct domain *d, const struct xen_domctl_createdomain *cfg)
{
    if (!d->is_hvm)
        return 0;
    if (!hvm_vendor)
        return -EOPNOTSUPP;
    if (cfg->arch.emulation_flags != XEN_X86_EMU_LAPIC)
        return -EOPNOTSUPP;
    if (d->max_vcpus > HVM_MAX_VCPUS) /* APIC IDs are twice the numbers, and 255 is for all */
        return -EINVAL;
    /* A guest cannot tell one from the other, but for the time that it takes. */
    if (!(cfg->flags & XEN_DOMCTL_CDF_hap))
        printk(KERN_INFO "d%u: shadow page tables are asked for, nested ones are used\n", d->id);
    d->arch.hvm = xzalloc(struct hvm_domain);
    if (!d->arch.hvm)
        return -ENOMEM;
    d->arch.kind = &hvm_kind;
    WRITE_ONCE(hvm_guests_exist, true);
    d->arch.hvm->params[HVM_PARAM_TRIPLE_FAULT_REASON] = SHUTDOWN_reboot;
    return p2m_create(d);
}

static int hvm_relinquish(struct domain *d)
{
    return d->arch.hvm ? p2m_relinquish(d) : 0;
}

static void hvm_domain_free(struct domain *d)
{
    if (!d->arch.hvm)
        return;
    p2m_free(d);
    xfree(d->arch.hvm);
}

static int hvm_vcpu_create(struct vcpu *v)
{
    int rc;

    if (!v->domain->arch.hvm)
        return 0;
    v->arch.hvm = xzalloc(struct hvm_vcpu);
    if (!v->arch.hvm)
        return -ENOMEM;
    v->arch.hvm->asid_cpu = NR_CPUS;
    v->in_multicall = true; /* its lists are looked through, see do_multicall() */
    vlapic_create(v);
    rc = hvm_vendor->vcpu_create(v);
    if (!rc)
        hvm_reset_state(v, 0);
    return rc;
}

static void hvm_vcpu_free(struct vcpu *v)
{
    if (!v->arch.hvm)
        return;
    vlapic_free(v);
    hvm_vendor->vcpu_free(v);
    xfree(v->arch.hvm);
}

/* What v waits for, and what waits for v: the place is that of its last entry or exit. */
static void dump_pending(const struct vcpu *v)
{
    const struct hvm_vcpu *h = v->arch.hvm;
    bool here = v == current;
    const struct cpu_user_regs *regs = here ? guest_regs() : &v->arch.regs;

    printk("    %s at %016lx, flags %lx%s%s%s%s\n",
           !READ_ONCE(v->is_running) || here ? "stands" : "runs, was loaded",
           (unsigned long)regs->rip, (unsigned long)regs->rflags,
           test_bit(VPF_blocked, &v->pause_flags) ? ", halted" : "",
           h->event.valid ? ", event" : "", h->nmi_pending ? ", NMI" : "",
           upcall_pending(v) ? ", upcall" : "");
    vlapic_dump(v);
}

static void hvm_dump(struct domain *d)
{
    struct vcpu *v;

    if (!d->arch.hvm)
        return;
    printk("  its memory is mapped by %lu tables, %u leaves of 1 GB\n",
           (unsigned long)d->arch.hvm->p2m.tables, p2m_gb_leaves(d));
    for_each_vcpu (d, v) {
        hvm_vendor->dump(v);
        dump_pending(v);
    }
}

DEFINE_UNIT(hvm, .name = "hvm", .level = UNIT_MEM + 5, .boot = hvm_boot, .cpu_up = hvm_cpu_up,
            .domain_create = hvm_domain_create, .relinquish = hvm_relinquish,
            .domain_free = hvm_domain_free, .vcpu_create = hvm_vcpu_create,
            .vcpu_free = hvm_vcpu_free, .dump = hvm_dump);
