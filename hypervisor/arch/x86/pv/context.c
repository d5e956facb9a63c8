// SPDX-License-Identifier: MIT
/*
 * A vcpu's state: creating it, setting and reading it (vcpu_guest_context), and switching this
 * CPU from one vcpu to another.
 *
 * A switch saves prev whole and loads next whole, FPU included, so nothing of prev stays behind
 * in registers.  It ends on a fresh stack: nothing in the hypervisor runs across a switch.
 */
#include "arch/api/arch_domain.h"
#include "arch/api/arch_time.h"
#include "arch/x86/guest.h"
#include "arch/x86/mm/mm.h"
#include "arch/x86/time/time.h"
#include "asm/apic.h"
#include "asm/cpufeature.h"
#include "asm/desc.h"
#include "asm/fpu.h"
#include "asm/irq_vectors.h"
#include "asm/layout.h"
#include "asm/msr.h"
#include "asm/page.h"
#include "asm/processor.h"
#include "domain/unit.h"
#include "hypercall/guest_access.h"
#include "kernel/console.h"
#include "kernel/panic.h"
#include "kernel/percpu.h"
#include "lib/errno.h"
#include "pv.h"

#define EFLAGS_GUEST_CLEAR (EFLAGS_IOPL | EFLAGS_VM | EFLAGS_NT)
/* --- segments --- */

#define READ_SEG(name, var) __asm__ volatile("mov %%" #name ", %0" : "=r"(var))
/* A selector that cannot be loaded becomes null; true if so. */
#define LOAD_SEG(name, sel)                                                                        \
    ({                                                                                             \
        uint32_t sel_ = (sel);                                                                     \
        __asm__ volatile("1: mov %k0, %%" #name "\n\t"                                             \
                         "2:\n\t"                                                                  \
                         ".pushsection .fixup, \"ax\"\n\t"                                         \
                         "3: xor %k0, %k0\n\t"                                                     \
                         "   jmp 1b\n\t"                                                           \
                         ".popsection\n\t" _ASM_EXTABLE(1b, 3b)                                    \
                         : "+r"(sel_)                                                              \
                         :                                                                         \
                         : "cc");                                                                  \
        sel_ != (sel);                                                                             \
    })

/*
 * What a save found in the CPU stays there until the next load: the hypervisor uses none of it.
 * Mostly the two are of the same vcpu, and nothing has to be written.
 */
struct segment_registers {
    bool null; /* no selector holds anything, and the bases below are the CPU's */
    uint64_t fs, gs, shadow;
};
static DEFINE_PER_CPU(struct segment_registers, segments_found);

static void segments_save(struct vcpu *v)
{
    struct cpu_user_regs *regs = &v->arch.regs;
    struct pv_vcpu *pv = &v->arch.pv;
    struct segment_registers *found = &this_cpu(segments_found);

    READ_SEG(ds, regs->ds);
    READ_SEG(es, regs->es);
    READ_SEG(fs, regs->fs);
    READ_SEG(gs, regs->gs);
    found->null = false;
    if (is_32bit(v->domain)) /* the selectors say it all */
        return;
    found->null = !(regs->ds | regs->es | regs->fs | regs->gs);
    pv->fs_base = found->fs = rdmsr(MSR_FS_BASE);
    found->gs = rdmsr(MSR_GS_BASE);
    found->shadow = rdmsr(MSR_KERNEL_GS_BASE);
    pv->gs_base_kernel = in_kernel_mode(v) ? found->gs : found->shadow;
    pv->gs_base_user = in_kernel_mode(v) ? found->shadow : found->gs;
}

/* A guest whose tables have changed meanwhile is told by its failsafe callback. */
static void segments_lost(struct vcpu *v)
{
    const struct cpu_user_regs *regs = &v->arch.regs;
    struct pv_vcpu *pv = &v->arch.pv;

    if (!pv->failsafe_callback)
        return;
    pv->failed_selectors[0] = regs->ds;
    pv->failed_selectors[1] = regs->es;
    pv->failed_selectors[2] = regs->fs;
    pv->failed_selectors[3] = regs->gs;
    __atomic_fetch_or(&pv->async, PVA_FAILSAFE, __ATOMIC_SEQ_CST);
}

static void load_selectors(struct vcpu *v)
{
    const struct cpu_user_regs *regs = &v->arch.regs;
    uint32_t ds = regs->ds, es = regs->es, fs = regs->fs, gs = regs->gs;
    bool lost = LOAD_SEG(ds, ds);

    lost |= LOAD_SEG(es, es);
    lost |= LOAD_SEG(fs, fs);
    lost |= LOAD_SEG(gs, gs);
    if (unlikely(lost))
        segments_lost(v);
}

static void segments_load(struct vcpu *v)
{
    const struct cpu_user_regs *regs = &v->arch.regs;
    const struct pv_vcpu *pv = &v->arch.pv;
    const struct segment_registers *found = &this_cpu(segments_found);
    uint64_t gs = in_kernel_mode(v) ? pv->gs_base_kernel : pv->gs_base_user;
    uint64_t shadow = in_kernel_mode(v) ? pv->gs_base_user : pv->gs_base_kernel;
    bool there = found->null && !(regs->ds | regs->es | regs->fs | regs->gs);

    if (!there)
        load_selectors(v);
    if (is_32bit(v->domain))
        return;
    /* Bases last: loading a selector replaces them. */
    if (!there || found->fs != pv->fs_base)
        wrmsr(MSR_FS_BASE, pv->fs_base);
    if (!there || found->gs != gs)
        wrmsr(MSR_GS_BASE, gs);
    if (!there || found->shadow != shadow)
        wrmsr(MSR_KERNEL_GS_BASE, shadow);
}

/* --- the switch --- */

static unsigned long idle_cr3;

#define CR4_OF_GUEST (CR4_TSD | CR4_FSGSBASE)

unsigned long pv_valid_cr4(unsigned long cr4)
{
    return cr4 & (CR4_TSD | CR4_DE | (cpu_has(XSAVE) ? CR4_OSXSAVE : 0) |
                  (cpu_has(FSGSBASE) ? CR4_FSGSBASE : 0));
}

/*
 * The kernel of a 32-bit guest is a supervisor to the page tables, and knows neither SMEP nor
 * SMAP, which are off while it runs.
 */
void pv_load_cr4(const struct vcpu *v)
{
    struct cpu_info *info = cpu_info();
    unsigned long cr4 = (info->cr4 & ~CR4_OF_GUEST) | (v->arch.pv.ctrlreg[4] & CR4_OF_GUEST);

    if (v->domain->arch.vtsc)
        cr4 |= CR4_TSD;
    if (unlikely(is_32bit(v->domain))) {
        cr4 &= ~(CR4_SMEP | CR4_SMAP);
        info->flags = CPU_RUNS_RING1;
    } else if (unlikely(info->flags & CPU_RUNS_RING1)) {
        cr4 |= (cpu_has(SMEP) ? CR4_SMEP : 0) | (cpu_has(SMAP) ? CR4_SMAP : 0);
        info->flags = 0;
    }
    cpu_write_cr4(cr4);
}

static void state_save(struct vcpu *v)
{
    v->arch.regs = *guest_regs();
    segments_save(v);
    fpu_save(v);
    if (v->arch.pv.dr7_loaded)
        write_dr7(0);
}

static void state_load(struct vcpu *v)
{
    unsigned cpu = smp_processor_id();

    cpumask_set_cpu(cpu, &v->domain->dirty_cpus);
    cpumask_set_cpu(cpu, &v->dirty_cpu_mask);
    *guest_regs() = v->arch.regs;
    load_idle_gdt(); /* always mapped, whichever root is loaded */
    mm_load_root(v);
    pv_load_descriptor_tables(v);
    segments_load(v);
    fpu_load(v);
    if (v->arch.pv.flags & PVF_FPU_TS)
        write_cr0(read_cr0() | CR0_TS);
    if (v->arch.pv.dr7_loaded)
        pv_load_debugregs(v);
    pv_load_cr4(v);
}

/* Nothing of a PV guest's address space is left in use. */
static void load_other(struct vcpu *v, const struct guest_kind *kind)
{
    unsigned cpu = smp_processor_id();
    uint16_t null = 0;

    cpumask_set_cpu(cpu, &v->domain->dirty_cpus);
    cpumask_set_cpu(cpu, &v->dirty_cpu_mask);
    load_idle_gdt();
    __asm__ volatile("lldt %0" ::"rm"(null));
    write_cr3(idle_cr3);
    pv_load_cr4(idle_domain->vcpu[cpu]); /* the hypervisor's own */
    cpu_info()->flags |= CPU_GUEST_OF_KIND;
    this_cpu(segments_found).null = false; /* it brings its own */
    kind->load(v);
}

static void leave_root(struct vcpu *prev)
{
    unsigned cpu = smp_processor_id();

    cpumask_clear_cpu(cpu, &prev->dirty_cpu_mask);
    if (current->domain != prev->domain)
        cpumask_clear_cpu(cpu, &prev->domain->dirty_cpus);
}

/* Time and runstate, where the guest wants to see them: in its kernel's address space. */
static void update_guest_areas(struct vcpu *v)
{
    bool user = !in_kernel_mode(v) && !v->domain->arch.kind && (v->runstate_guest || v->time_guest);

    if (user)
        write_cr3(v->arch.pv.kernel_cr3);
    arch_update_vcpu_time(v);
    vcpu_update_runstate_area(v);
    if (user)
        mm_load_root(v);
}

/* What another domain has taught the branch predictors is not to steer this one (Spectre 2). */
static void forget_branches(const struct domain *d)
{
    static DEFINE_PER_CPU(uint32_t, last); /* no two domains have the same, but for 0 */

    if (d->mem.past && this_cpu(last) == d->mem.past)
        return;
    this_cpu(last) = d->mem.past;
    wrmsr(MSR_PRED_CMD, PRED_CMD_IBPB);
}

void arch_context_switch(struct vcpu *prev, struct vcpu *next)
{
    const struct guest_kind *left = prev->domain->arch.kind, *kind = next->domain->arch.kind;
    struct cpu_info *info = cpu_info();

    if (unlikely(left != NULL)) {
        left->save(prev);
        info->flags &= ~(uint32_t)CPU_GUEST_OF_KIND;
    } else if (!prev->domain->is_idle)
        state_save(prev);
    if (unlikely(mitigations.ibpb) && !next->domain->is_idle)
        forget_branches(next->domain);
    info->current_vcpu = next;
    if (next->domain->is_idle) {
        uint16_t null = 0;

        load_idle_gdt();
        __asm__ volatile("lldt %0" ::"rm"(null));
        write_cr3(idle_cr3);
        pv_load_cr4(next);
    } else if (unlikely(kind != NULL))
        load_other(next, kind);
    else
        state_load(next);
    if (!prev->domain->is_idle)
        leave_root(prev);
    sched_context_saved(prev);
    if (next->domain->is_idle)
        reset_stack_and_call(idle_loop);
    update_guest_areas(next);
    if (unlikely(kind != NULL))
        reset_stack_and_call(kind->run);
    reset_stack_and_return();
}

void arch_continue_running(struct vcpu *v)
{
    /* Its clock is steered while it runs (time/sync.c). */
    if (unlikely(!tsc_trusted()) && !v->domain->is_idle)
        update_guest_areas(v);
}

bool guest_kinds_exist;

bool arch_vcpu_interrupt_due(const struct vcpu *v)
{
    const struct guest_kind *kind = v->domain->arch.kind;

    return kind && kind->interrupt_due(v);
}

void arch_vcpu_kick(struct vcpu *v)
{
    if (unlikely(READ_ONCE(guest_kinds_exist)) && v->domain->arch.kind)
        v->domain->arch.kind->event(v);
    /* If it runs here, the way back to the guest will look; elsewhere an interrupt makes it. */
    if (READ_ONCE(v->is_running) && v->processor != smp_processor_id())
        send_ipi(v->processor, VECTOR_EVENT_CHECK);
}

/* --- SYSCALL set-up --- */

#define STUB_BYTES     64
#define STUBS_PER_PAGE (PAGE_SIZE / STUB_BYTES)
#define STUBS_VIRT     (HYP_VIRT_END - 0x200000UL)

static uint8_t *stub_pages[DIV_ROUND_UP(NR_CPUS * 2, STUBS_PER_PAGE)];

/*
 * SYSCALL does not switch stacks, and GS is the guest's: so each CPU's entry point is code made
 * for it.  It leaves rax in scratch[0], puts rsp into rax, and rsp at guest_regs.es.
 */
static unsigned long make_stub(unsigned n, void (*target)(void))
{
    uint8_t *p = stub_pages[n / STUBS_PER_PAGE] + n % STUBS_PER_PAGE * STUB_BYTES;
    unsigned long va = STUBS_VIRT + (unsigned long)n * STUB_BYTES;
    uint64_t scratch = (uint64_t)&cpu_info()->scratch[0], sp = (uint64_t)&guest_regs()->es;
    int32_t rel;

    *p++ = 0x48; /* movabs %rax, scratch */
    *p++ = 0xa3;
    memcpy(p, &scratch, 8);
    p += 8;
    *p++ = 0x48; /* mov %rsp, %rax */
    *p++ = 0x89;
    *p++ = 0xe0;
    *p++ = 0x48; /* movabs $sp, %rsp */
    *p++ = 0xbc;
    memcpy(p, &sp, 8);
    p += 8;
    *p++ = 0xe9; /* jmp target */
    rel = (int32_t)((long)target - (long)(va + 10 + 3 + 10 + 5));
    memcpy(p, &rel, 4);
    return va;
}

void pv_cpu_init(unsigned cpu)
{
    unsigned page = cpu * 2 / STUBS_PER_PAGE;

    if (!stub_pages[page]) {
        stub_pages[page] = alloc_page_virt();
        if (!stub_pages[page] ||
            map_hyp(STUBS_VIRT + page * PAGE_SIZE, virt_to_mfn(stub_pages[page]), 1, HYP_RX))
            panic("no memory for the SYSCALL entry of CPU %u", cpu);
    }
    pv_descriptors_cpu_init();
    idle_cr3 = mfn_to_maddr(hyp_va_to_mfn((unsigned long)idle_pg_table));
    /* SYSCALL: CS = HYP_CS, SS = HYP_CS + 8.  SYSRET: 64-bit CS = base + 16, SS = base + 8. */
    wrmsr(MSR_STAR, (uint64_t)HYP_CS << 32 | 0xe023ULL << 48);
    wrmsr(MSR_LSTAR, make_stub(cpu * 2, lstar_enter));
    wrmsr(MSR_CSTAR, make_stub(cpu * 2 + 1, cstar_enter));
    if (host_cpu.vendor == VENDOR_INTEL) {
        /* SYSENTER: CS as given, SS behind it. */
        wrmsr(MSR_SYSENTER_CS, HYP_CS);
        wrmsr(MSR_SYSENTER_ESP, (uint64_t)&guest_regs()->es);
        wrmsr(MSR_SYSENTER_EIP, (uint64_t)sysenter_enter);
    }
    wrmsr(MSR_SFMASK, EFLAGS_IF | EFLAGS_TF | EFLAGS_DF | EFLAGS_NT | EFLAGS_AC | EFLAGS_RF |
                          EFLAGS_IOPL | EFLAGS_VM);
    wrmsr(MSR_EFER, rdmsr(MSR_EFER) | EFER_SCE);
}

/* --- contexts --- */

/* xen_pfn_to_cr3 and xen_cr3_to_pfn of xen-x86_32.h and xen-x86_64.h. */
mfn_t pv_cr3_to_mfn(const struct domain *d, unsigned long cr3)
{
    uint32_t cr3_32 = cr3;

    return is_32bit(d) ? _mfn(cr3_32 >> 12 | cr3_32 << 20) : _mfn(xen_cr3_to_pfn(cr3));
}

unsigned long pv_root_to_cr3(const struct vcpu *v)
{
    unsigned long mfn;

    if (!v->arch.root_kernel)
        return 0;
    mfn = mfn_x(page_to_mfn(v->arch.root_kernel));
    return is_32bit(v->domain) ? (uint32_t)(mfn << 12 | mfn >> 20) : xen_pfn_to_cr3(mfn);
}

/* Of a 32-bit guest only the counts can be wrong: its addresses are 32 bits of its own. */
static bool context_ok(const struct domain *d, const struct vcpu_guest_context *c)
{
    if (is_32bit(d))
        return c->ldt_ents <= 8192;
    if (!is_canonical(c->fs_base) || !is_canonical(c->gs_base_kernel) ||
        !is_canonical(c->gs_base_user) || !pv_callback_ok(c->event_callback_eip) ||
        !pv_callback_ok(c->failsafe_callback_eip) || !pv_callback_ok(c->syscall_callback_eip) ||
        !is_canonical(c->user_regs.rip) || !is_canonical(c->user_regs.rsp) ||
        !is_canonical(c->kernel_sp))
        return false;
    if (c->ldt_ents > 8192 || !pv_callback_ok(c->ldt_base) ||
        !pv_callback_ok(c->ldt_base + c->ldt_ents * 8))
        return false;
    if (!(c->flags & VGCF_in_kernel) && !c->ctrlreg[1]) /* user mode, without page tables */
        return false;
    for (unsigned i = 0; i < 256; i++)
        if (!pv_callback_ok(c->trap_ctxt[i].address))
            return false;
    return true;
}

/* The selectors of a 32-bit guest's are where a 64-bit one's syscall callback is (xen.h). */
static void set_callbacks(struct vcpu *v, const struct vcpu_guest_context *c)
{
    struct pv_vcpu *pv = &v->arch.pv;
    const struct domain *d = v->domain;

    if (is_32bit(d)) {
        pv->event_callback = kernel_entry32(d, c->syscall_callback_eip, c->event_callback_eip);
        pv->failsafe_callback =
            kernel_entry32(d, c->syscall_callback_eip >> 32, c->failsafe_callback_eip);
        for (unsigned i = 0; i < 256; i++)
            pv->trap_table[i].cs = pv_fixup_selector(d, pv->trap_table[i].cs);
    } else {
        pv->event_callback = c->event_callback_eip;
        pv->failsafe_callback = c->failsafe_callback_eip;
        pv->syscall_callback = c->syscall_callback_eip;
    }
}

static void set_registers(struct vcpu *v, const struct vcpu_guest_context *c)
{
    struct pv_vcpu *pv = &v->arch.pv;
    struct cpu_user_regs *regs = &v->arch.regs;

    *regs = c->user_regs;
    regs->cs = pv_fixup_selector(v->domain, regs->cs);
    regs->ss = pv_fixup_selector(v->domain, regs->ss);
    pv->iopl = (regs->rflags & EFLAGS_IOPL) >> 12; /* the guest's own, never the CPU's */
    regs->rflags = (regs->rflags & ~(uint64_t)EFLAGS_GUEST_CLEAR) | EFLAGS_IF | EFLAGS_MBS;
    regs->entry_vector = regs->error_code = 0;
    pv->flags = (c->flags & VGCF_in_kernel || is_32bit(v->domain) ? PVF_KERNEL_MODE : 0) |
                (c->flags & VGCF_failsafe_disables_events ? PVF_FAILSAFE_MASKS_EVENTS : 0) |
                (c->flags & VGCF_syscall_disables_events ? PVF_SYSCALL_MASKS_EVENTS : 0);
    memcpy(pv->trap_table, c->trap_ctxt, sizeof(c->trap_ctxt));
    set_callbacks(v, c);
    pv->fs_base = c->fs_base;
    pv->gs_base_kernel = c->gs_base_kernel;
    pv->gs_base_user = c->gs_base_user;
    pv->ctrlreg[0] = c->ctrlreg[0];
    pv->ctrlreg[4] = pv_valid_cr4(c->ctrlreg[4]);
    if (c->flags & VGCF_i387_valid) {
        fpu_import_legacy(v, &c->fpu_ctxt);
        if (host_cpu.xcr0_max)
            *(uint64_t *)((uint8_t *)v->arch.fpu + XSAVE_HEADER_OFF) = XCR0_X87 | XCR0_SSE;
    }
}

int arch_set_context(struct vcpu *v, const struct vcpu_guest_context *c)
{
    struct domain *d = v->domain;
    int ret;

    if (d->arch.kind)
        return d->arch.kind->set_context(v, c);
    if (!context_ok(d, c))
        return -EINVAL;
    pv_set_kernel_stack(v, c->kernel_ss, c->kernel_sp);
    set_registers(v, c);
    if (!v->is_initialised)
        for (unsigned i = 0; i < 8; i++)
            if (i != 4 && i != 5)
                pv_set_debugreg(v, i, c->debugreg[i]);
    if (c->gdt_ents > ARRAY_SIZE(v->arch.pv.gdt_frames) * 512)
        return -EINVAL;
    ret = pv_load_gdt(v, c->gdt_frames, c->gdt_ents);
    if (ret)
        return ret;
    pv_set_ldt(v, c->ldt_base, c->ldt_ents);

    ret = mm_set_root(v, pv_cr3_to_mfn(d, c->ctrlreg[3]), false);
    if (!ret && c->ctrlreg[1] && !is_32bit(d))
        ret = mm_set_root(v, _mfn(xen_cr3_to_pfn(c->ctrlreg[1])), true);
    if (ret)
        return ret;
    if (!v->vcpu_id)
        d->vm_assist = c->vm_assist;
    pv_vm_assist_changed(d);
    v->is_initialised = true;
    if (c->flags & VGCF_online)
        clear_bit(VPF_down, &v->pause_flags);
    else
        set_bit(VPF_down, &v->pause_flags);
    return 0;
}

void arch_get_context(struct vcpu *v, struct vcpu_guest_context *c)
{
    const struct pv_vcpu *pv = &v->arch.pv;

    memset(c, 0, sizeof(*c));
    if (v->domain->arch.kind) {
        v->domain->arch.kind->get_context(v, c);
        return;
    }
    memcpy(&c->fpu_ctxt, v->arch.fpu, sizeof(c->fpu_ctxt));
    c->flags = VGCF_i387_valid | (in_kernel_mode(v) ? VGCF_in_kernel : 0) |
               (pv->flags & PVF_FAILSAFE_MASKS_EVENTS ? VGCF_failsafe_disables_events : 0) |
               (pv->flags & PVF_SYSCALL_MASKS_EVENTS ? VGCF_syscall_disables_events : 0) |
               (v->pause_flags & BIT(VPF_down) ? 0 : VGCF_online);
    c->user_regs = v->arch.regs;
    c->user_regs.rflags |= (uint64_t)pv->iopl << 12;
    c->user_regs.entry_vector = 0;
    memcpy(c->trap_ctxt, pv->trap_table, sizeof(c->trap_ctxt));
    c->ldt_base = pv->ldt_base;
    c->ldt_ents = pv->ldt_ents;
    memcpy(c->gdt_frames, pv->gdt_frames, sizeof(pv->gdt_frames));
    c->gdt_ents = pv->gdt_ents;
    c->kernel_ss = pv->kernel_ss;
    c->kernel_sp = pv->kernel_sp;
    memcpy(c->ctrlreg, pv->ctrlreg, sizeof(c->ctrlreg));
    c->ctrlreg[3] = pv_root_to_cr3(v);
    c->ctrlreg[1] = v->arch.root_user ? xen_pfn_to_cr3(mfn_x(page_to_mfn(v->arch.root_user))) : 0;
    memcpy(c->debugreg, pv->dr, sizeof(c->debugreg));
    c->event_callback_eip = pv->event_callback;
    c->failsafe_callback_eip = pv->failsafe_callback;
    c->syscall_callback_eip = pv->syscall_callback;
    if (is_32bit(v->domain)) {
        c->event_callback_eip = (uint32_t)pv->event_callback;
        c->failsafe_callback_eip = (uint32_t)pv->failsafe_callback;
        c->syscall_callback_eip =
            far_pointer(pv->failsafe_callback >> 32, pv->event_callback >> 32);
    }
    c->vm_assist = v->domain->vm_assist;
    c->fs_base = pv->fs_base;
    c->gs_base_kernel = pv->gs_base_kernel;
    c->gs_base_user = pv->gs_base_user;
}

void arch_dump_vcpu(struct vcpu *v)
{
    const struct cpu_user_regs *r = v == current ? guest_regs() : &v->arch.regs;
    uint64_t stack[8];

    if (v->domain->arch.kind) {
        v->domain->arch.kind->dump(v);
        return;
    }
    printk("d%uv%u: rip %04x:%016lx rsp %04x:%016lx rflags %lx %s\n", v->domain->id, v->vcpu_id,
           r->cs, (unsigned long)r->rip, r->ss, (unsigned long)r->rsp, (unsigned long)r->rflags,
           in_kernel_mode(v) ? "(guest kernel)" : "(guest user)");
    printk("  rax %016lx rbx %016lx rcx %016lx rdx %016lx\n", (unsigned long)r->rax,
           (unsigned long)r->rbx, (unsigned long)r->rcx, (unsigned long)r->rdx);
    printk("  rsi %016lx rdi %016lx rbp %016lx r8  %016lx\n", (unsigned long)r->rsi,
           (unsigned long)r->rdi, (unsigned long)r->rbp, (unsigned long)r->r8);
    printk("  r9  %016lx r10 %016lx r11 %016lx r12 %016lx\n", (unsigned long)r->r9,
           (unsigned long)r->r10, (unsigned long)r->r11, (unsigned long)r->r12);
    printk("  r13 %016lx r14 %016lx r15 %016lx cr2 %016lx\n", (unsigned long)r->r13,
           (unsigned long)r->r14, (unsigned long)r->r15, v->arch.pv.ctrlreg[2]);
    printk("  cr3 %016lx user cr3 %016lx fs %016lx gs %016lx/%016lx\n", v->arch.pv.kernel_cr3,
           v->arch.pv.user_cr3, v->arch.pv.fs_base, v->arch.pv.gs_base_kernel,
           v->arch.pv.gs_base_user);
    if (v != current || copy_from_guest(stack, r->rsp, sizeof(stack)))
        return;
    printk("  stack:");
    for (unsigned i = 0; i < ARRAY_SIZE(stack); i++)
        printk(" %016lx", (unsigned long)stack[i]);
    printk("\n");
}

/* --- life --- */

static int pv_domain_create(struct domain *d, const struct xen_domctl_createdomain *cfg)
{
    (void)cfg;
    return d->is_idle || d->arch.kind ? 0 : pv_perdomain_create(d);
}

static int pv_vcpu_create(struct vcpu *v)
{
    struct pv_vcpu *pv = &v->arch.pv;

    if (v->domain->is_idle || v->domain->arch.kind)
        return 0;
    pv->trap_table = xzalloc_array(struct trap_info, 256);
    if (!pv->trap_table || fpu_create(v))
        return -ENOMEM;
    pv->dr[6] = 0xffff0ff0;
    pv->dr[7] = 0x400;
    pv->ctrlreg[0] = CR0_PE | CR0_ET | CR0_PG;
    pv->flags = PVF_KERNEL_MODE;
    return pv_perdomain_vcpu(v);
}

static void pv_vcpu_free(struct vcpu *v)
{
    xfree(v->arch.pv.trap_table);
    fpu_free(v);
    xfree(v->arch.pv.iobmp);
}

static void pv_vcpu_reset(struct vcpu *v)
{
    struct pv_vcpu *pv = &v->arch.pv;

    if (v->domain->arch.kind)
        return;
    pv_drop_gdt(v);
    pv_set_ldt(v, 0, 0);
    memset(pv->trap_table, 0, 256 * sizeof(*pv->trap_table));
    pv->syscall_callback = pv->syscall32_callback = pv->event_callback = 0;
    pv->sysenter_callback = pv->failsafe_callback = 0;
    pv->flags = PVF_KERNEL_MODE;
    fpu_reset(v);
}

static int pv_relinquish(struct domain *d)
{
    struct vcpu *v;

    if (d->arch.kind)
        return 0;
    for_each_vcpu (d, v) {
        pv_drop_gdt(v);
        pv_drop_ldt(v);
    }
    return 0;
}

static void pv_domain_free(struct domain *d)
{
    pv_perdomain_free(d);
}

DEFINE_UNIT(pv, .name = "pv", .level = UNIT_ARCH, .domain_create = pv_domain_create,
            .relinquish = pv_relinquish, .domain_free = pv_domain_free,
            .vcpu_create = pv_vcpu_create, .vcpu_reset = pv_vcpu_reset, .vcpu_free = pv_vcpu_free);
