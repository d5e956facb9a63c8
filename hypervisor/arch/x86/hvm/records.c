// SPDX-License-Identifier: MIT
/*
 * What a vcpu's state looks like as records of hvm/save.h: for each kind a function that fills one
 * and one that takes it over.
 *
 * What is taken over is hostile.  No record makes the CPU refuse to enter the guest: what the
 * manual says it checks then (AMD volume 2, 15.5.1; VT-x checks more, some of which is here) is
 * checked here, and a record that fails changes nothing.  Otherwise a guest may be in any state
 * that it could have brought itself into.
 */
#include "save.h"
#include "arch/x86/cpu/modes.h"
#include "arch/x86/cpu/policy.h"
#include "arch/x86/time/time.h"
#include "asm/cpufeature.h"
#include "asm/fpu.h"
#include "asm/msr.h"
#include "asm/regs.h"
#include "lib/errno.h"
#include "lib/string.h"

/* --- the CPU --- */

struct seg_fields {
    uint32_t *sel, *limit, *attr;
    uint64_t *base;
};

static struct seg_fields seg_of(struct hvm_hw_cpu *c, unsigned seg)
{
#define FIELDS(n)                                                                                  \
    (struct seg_fields)                                                                            \
    {                                                                                              \
        &c->n##_sel, &c->n##_limit, &c->n##_arbytes, &c->n##_base                                  \
    }
    switch (seg) {
    case EMUL_SEG_ES:
        return FIELDS(es);
    case EMUL_SEG_CS:
        return FIELDS(cs);
    case EMUL_SEG_SS:
        return FIELDS(ss);
    case EMUL_SEG_DS:
        return FIELDS(ds);
    case EMUL_SEG_FS:
        return FIELDS(fs);
    case EMUL_SEG_GS:
        return FIELDS(gs);
    case HVM_SEG_TR:
        return FIELDS(tr);
    default:
        return FIELDS(ldtr);
    }
#undef FIELDS
}

#define GPR(r)                                                                                     \
    {                                                                                              \
        offsetof(struct cpu_user_regs, r), offsetof(struct hvm_hw_cpu, r)                          \
    }
static const struct {
    uint16_t here, there;
} gprs[] = {GPR(rax), GPR(rbx), GPR(rcx), GPR(rdx), GPR(rbp), GPR(rsi),
            GPR(rdi), GPR(rsp), GPR(r8),  GPR(r9),  GPR(r10), GPR(r11),
            GPR(r12), GPR(r13), GPR(r14), GPR(r15), GPR(rip), GPR(rflags)};
#undef GPR

static const struct {
    uint32_t msr;
    unsigned offset;
} cpu_msrs[] = {
    {MSR_SYSENTER_CS, offsetof(struct hvm_hw_cpu, sysenter_cs)},
    {MSR_SYSENTER_ESP, offsetof(struct hvm_hw_cpu, sysenter_esp)},
    {MSR_SYSENTER_EIP, offsetof(struct hvm_hw_cpu, sysenter_eip)},
    {MSR_KERNEL_GS_BASE, offsetof(struct hvm_hw_cpu, shadow_gs)},
    {MSR_LSTAR, offsetof(struct hvm_hw_cpu, msr_lstar)},
    {MSR_STAR, offsetof(struct hvm_hw_cpu, msr_star)},
    {MSR_CSTAR, offsetof(struct hvm_hw_cpu, msr_cstar)},
    {MSR_SFMASK, offsetof(struct hvm_hw_cpu, msr_syscall_mask)},
    {MSR_EFER, offsetof(struct hvm_hw_cpu, msr_efer)},
};

static void save_cpu(struct vcpu *v, void *record)
{
    struct hvm_hw_cpu *c = record;
    const struct hvm_vcpu *h = v->arch.hvm;
    struct emul_segment s;

    memcpy(c->fpu_regs, v->arch.fpu, sizeof(c->fpu_regs));
    for (unsigned i = 0; i < ARRAY_SIZE(gprs); i++)
        memcpy((char *)c + gprs[i].there, (char *)&v->arch.regs + gprs[i].here, 8);
    c->cr0 = hvm_vendor->get_cr(v, 0);
    c->cr2 = hvm_vendor->get_cr(v, 2);
    c->cr3 = hvm_vendor->get_cr(v, 3);
    c->cr4 = hvm_vendor->get_cr(v, 4);
    c->dr0 = h->dr[0];
    c->dr1 = h->dr[1];
    c->dr2 = h->dr[2];
    c->dr3 = h->dr[3];
    c->dr6 = hvm_vendor->get_dr(v, 6);
    c->dr7 = hvm_vendor->get_dr(v, 7);
    for (unsigned seg = 0; seg <= HVM_SEG_LDTR; seg++) {
        struct seg_fields f = seg_of(c, seg);

        hvm_vendor->get_segment(v, seg, &s);
        *f.sel = s.sel;
        *f.limit = s.limit;
        *f.attr = s.attr;
        *f.base = s.base;
    }
    hvm_vendor->get_segment(v, HVM_SEG_GDTR, &s);
    c->gdtr_base = s.base;
    c->gdtr_limit = s.limit;
    hvm_vendor->get_segment(v, HVM_SEG_IDTR, &s);
    c->idtr_base = s.base;
    c->idtr_limit = s.limit;
    for (unsigned i = 0; i < ARRAY_SIZE(cpu_msrs); i++)
        hvm_vendor->get_msr(v, cpu_msrs[i].msr, (uint64_t *)((char *)c + cpu_msrs[i].offset));
    c->msr_tsc_aux = h->tsc_aux;
    if (h->event.valid) {
        c->pending_vector = h->event.vector;
        c->pending_type = h->event.type;
        c->pending_error_valid = h->event.has_error;
        c->pending_valid = 1;
        c->error_code = h->event.error;
    }
    c->flags = XEN_X86_FPU_INITIALISED;
    c->tsc = arch_guest_tsc(v);
}

#define EFLAGS_VALID 0x3f7fd5u

static bool modes_ok(const struct domain *d, const struct hvm_hw_cpu *c)
{
    bool lma = c->msr_efer & EFER_LMA;

    if (!cpu_modes_valid(d->arch.cpu_policy, c->cr0, c->cr4, c->msr_efer) || !cpu_cr3_valid(c->cr3))
        return false;
    if (lma && (c->cs_arbytes & EMUL_SEG_L) && (c->cs_arbytes & EMUL_SEG_DB))
        return false;
    return (c->cr0 & CR0_PE) || !(c->ss_arbytes & EMUL_SEG_DPL); /* real mode is level 0 */
}

/* As WRMSR would take it, whatever the guest's own tables are. */
static bool address_ok(uint64_t addr)
{
    return canonical(addr, linear_bits(host_cpu.virt_bits > 48));
}

static bool addresses_ok(const struct hvm_hw_cpu *c)
{
    return address_ok(c->fs_base) && address_ok(c->gs_base) && address_ok(c->shadow_gs) &&
           address_ok(c->tr_base) && address_ok(c->ldtr_base) && address_ok(c->gdtr_base) &&
           address_ok(c->idtr_base) && address_ok(c->msr_lstar) && address_ok(c->msr_cstar) &&
           address_ok(c->sysenter_esp) && address_ok(c->sysenter_eip) && address_ok(c->rip);
}

static bool cpu_ok(const struct domain *d, const struct hvm_hw_cpu *c)
{
    return modes_ok(d, c) && addresses_ok(c) && !(c->dr6 >> 32) && !(c->dr7 >> 32) &&
           !(c->msr_tsc_aux >> 32);
}

/* Only what could have been on its way into the guest. */
static struct hvm_event pending_event(const struct hvm_hw_cpu *c)
{
    struct hvm_event e = {
        .vector = c->pending_vector, .type = c->pending_type, .valid = c->pending_valid};

    if (e.type == HVM_EVENT_EXCEPTION) {
        e.valid &= e.vector < 32 && e.vector != VEC_NMI;
        e.has_error = (c->cr0 & CR0_PE) && ((VECTORS_WITH_ERROR >> (e.vector & 31)) & 1);
        e.error = e.has_error ? c->error_code : 0;
    } else if (e.type == HVM_EVENT_NMI)
        e.vector = VEC_NMI;
    else if (e.type != HVM_EVENT_INTR)
        e.valid = false;
    return e;
}

static void load_control(struct vcpu *v, const struct hvm_hw_cpu *c)
{
    struct hvm_vcpu *h = v->arch.hvm;

    for (unsigned i = 0; i < ARRAY_SIZE(cpu_msrs); i++) {
        uint64_t val;

        memcpy(&val, (const char *)c + cpu_msrs[i].offset, sizeof(val));
        hvm_vendor->set_msr(v, cpu_msrs[i].msr, val);
    }
    hvm_vendor->set_cr(v, 0, c->cr0 | CR0_ET);
    hvm_vendor->set_cr(v, 2, c->cr2);
    hvm_vendor->set_cr(v, 3, c->cr3);
    hvm_vendor->set_cr(v, 4, c->cr4);
    h->dr[0] = c->dr0;
    h->dr[1] = c->dr1;
    h->dr[2] = c->dr2;
    h->dr[3] = c->dr3;
    hvm_vendor->set_dr(v, 6, c->dr6);
    hvm_vendor->set_dr(v, 7, c->dr7);
    h->tsc_aux = c->msr_tsc_aux;
    h->nmi_pending = false;
    hvm_vendor->set_shadow(v, false);
    hvm_vendor->set_nmi_blocked(v, false);
    hvm_flush_tlb(v);
    if (!v->vcpu_id) /* the domain has one */
        arch_set_guest_tsc(v->domain, c->tsc);
}

static int load_cpu(struct vcpu *v, const void *record, uint32_t length)
{
    struct hvm_hw_cpu c = *(const struct hvm_hw_cpu *)record;
    struct cpu_user_regs *regs = &v->arch.regs;
    struct emul_segment s;

    (void)length;
    if (!cpu_ok(v->domain, &c))
        return -EINVAL;
    fpu_reset(v);
    if (c.flags & XEN_X86_FPU_INITIALISED)
        fpu_import_legacy(v, c.fpu_regs);
    for (unsigned i = 0; i < ARRAY_SIZE(gprs); i++)
        memcpy((char *)regs + gprs[i].here, (char *)&c + gprs[i].there, 8);
    regs->rflags = (regs->rflags & EFLAGS_VALID) | EFLAGS_MBS;
    if (c.msr_efer & EFER_LMA)
        regs->rflags &= ~EFLAGS_VM;
    load_control(v, &c);
    for (unsigned seg = 0; seg <= HVM_SEG_LDTR; seg++) {
        struct seg_fields f = seg_of(&c, seg);

        s = (struct emul_segment){*f.base, *f.limit, *f.sel, *f.attr};
        hvm_vendor->set_segment(v, seg, &s);
    }
    s = (struct emul_segment){.base = c.gdtr_base, .limit = c.gdtr_limit & 0xffff};
    hvm_vendor->set_segment(v, HVM_SEG_GDTR, &s);
    s = (struct emul_segment){.base = c.idtr_base, .limit = c.idtr_limit & 0xffff};
    hvm_vendor->set_segment(v, HVM_SEG_IDTR, &s);
    v->arch.hvm->event = pending_event(&c);
    v->is_initialised = true;
    clear_bit(VPF_down, &v->pause_flags);
    return 0;
}

/* --- struct vcpu_guest_context --- */

void hvm_get_context(struct vcpu *v, struct vcpu_guest_context *ctx)
{
    const struct hvm_vcpu *h = v->arch.hvm;
    struct cpu_user_regs *regs = &ctx->user_regs;
    struct emul_segment s[EMUL_SEG_GS + 1];

    hvm_open(v);
    for (unsigned seg = 0; seg < ARRAY_SIZE(s); seg++)
        hvm_vendor->get_segment(v, seg, &s[seg]);
    ctx->flags = VGCF_i387_valid | (hvm_vendor->get_cpl(v) == 3 ? 0 : VGCF_in_kernel) |
                 (test_bit(VPF_down, &v->pause_flags) ? 0 : VGCF_online);
    memcpy(&ctx->fpu_ctxt, v->arch.fpu, sizeof(ctx->fpu_ctxt));
    *regs = v->arch.regs;
    regs->es = s[EMUL_SEG_ES].sel;
    regs->cs = s[EMUL_SEG_CS].sel;
    regs->ss = s[EMUL_SEG_SS].sel;
    regs->ds = s[EMUL_SEG_DS].sel;
    regs->fs = s[EMUL_SEG_FS].sel;
    regs->gs = s[EMUL_SEG_GS].sel;
    ctx->fs_base = s[EMUL_SEG_FS].base;
    /* The kernel's is where SWAPGS finds it. */
    ctx->gs_base_kernel = s[EMUL_SEG_GS].base;
    hvm_vendor->get_msr(v, MSR_KERNEL_GS_BASE, &ctx->gs_base_user);
    if (hvm_vendor->get_cpl(v) == 3) {
        ctx->gs_base_user = s[EMUL_SEG_GS].base;
        hvm_vendor->get_msr(v, MSR_KERNEL_GS_BASE, &ctx->gs_base_kernel);
    }
    ctx->ctrlreg[0] = hvm_vendor->get_cr(v, 0);
    ctx->ctrlreg[2] = hvm_vendor->get_cr(v, 2);
    ctx->ctrlreg[3] = hvm_vendor->get_cr(v, 3);
    ctx->ctrlreg[4] = hvm_vendor->get_cr(v, 4);
    for (unsigned i = 0; i < ARRAY_SIZE(h->dr); i++)
        ctx->debugreg[i] = h->dr[i];
    ctx->debugreg[6] = hvm_vendor->get_dr(v, 6);
    ctx->debugreg[7] = hvm_vendor->get_dr(v, 7);
    hvm_close(v);
}

int hvm_set_context(struct vcpu *v, const struct vcpu_guest_context *ctx)
{
    const struct cpu_user_regs *from = &ctx->user_regs;
    struct cpu_user_regs *to = &v->arch.regs;

    if (!v->is_initialised || !address_ok(from->rip))
        return -EINVAL; /* what else a vcpu needs is in records */
    for (unsigned i = 0; i < ARRAY_SIZE(gprs); i++)
        memcpy((char *)to + gprs[i].here, (const char *)from + gprs[i].here, 8);
    to->rflags = (to->rflags & EFLAGS_VALID & ~EFLAGS_VM) | EFLAGS_MBS;
    return 0;
}

/* --- what XSAVE saves --- */

static void save_xsave(struct vcpu *v, void *record)
{
    struct hvm_hw_cpu_xsave *x = record;

    x->xfeature_mask = host_cpu.xcr0_max;
    x->xcr0 = x->xcr0_accum = v->arch.xcr0;
    memcpy(&x->save_area, v->arch.fpu, host_cpu.xsave_size);
}

static int load_xsave(struct vcpu *v, const void *record, uint32_t length)
{
    const struct hvm_hw_cpu_xsave *x = record;

    if (length < sizeof(*x))
        return -EINVAL;
    return fpu_import(v, x->xcr0, &x->save_area,
                      length - offsetof(struct hvm_hw_cpu_xsave, save_area));
}

/* --- the local APIC --- */

static void save_lapic(struct vcpu *v, void *record)
{
    struct hvm_hw_lapic *l = record;

    l->apic_base_msr = v->arch.hvm->lapic.base;
    l->disabled = l->apic_base_msr & APIC_BASE_ENABLE ? 0 : 2;
    l->timer_divisor = 1;
    l->tdt_msr = v->arch.hvm->lapic.deadline;
}

static int load_lapic(struct vcpu *v, const void *record, uint32_t length)
{
    const struct hvm_hw_lapic *l = record;

    (void)length;
    if (!vlapic_base_ok(v, l->apic_base_msr))
        return -EINVAL;
    v->arch.hvm->lapic.base = l->apic_base_msr;
    v->arch.hvm->lapic.deadline = l->tdt_msr;
    return 0;
}

static void save_lapic_regs(struct vcpu *v, void *record)
{
    for (unsigned i = 0; i < NR_APIC_REGS; i++)
        memcpy((char *)record + i * 16, &v->arch.hvm->lapic.reg[i], 4);
}

static int load_lapic_regs(struct vcpu *v, const void *record, uint32_t length)
{
    (void)length;
    for (unsigned i = 0; i < NR_APIC_REGS; i++)
        memcpy(&v->arch.hvm->lapic.reg[i], (const char *)record + i * 16, 4);
    vlapic_restart(v);
    return 0;
}

/* --- memory types --- */

static void save_mtrr(struct vcpu *v, void *record)
{
    const struct hvm_vcpu *h = v->arch.hvm;
    struct hvm_hw_mtrr *m = record;

    hvm_vendor->get_msr(v, MSR_PAT, &m->msr_pat_cr);
    memcpy(m->msr_mtrr_var, h->mtrr_var, sizeof(m->msr_mtrr_var));
    memcpy(m->msr_mtrr_fixed, h->mtrr_fixed, sizeof(m->msr_mtrr_fixed));
    hvm_rdmsr(v, MSR_MTRR_CAP, &m->msr_mtrr_cap);
    m->msr_mtrr_def_type = h->mtrr_def_type;
}

static int load_mtrr(struct vcpu *v, const void *record, uint32_t length)
{
    const struct hvm_hw_mtrr *m = record;
    struct hvm_vcpu *h = v->arch.hvm;

    (void)length;
    if (!hvm_vendor->set_msr(v, MSR_PAT, m->msr_pat_cr))
        return -EINVAL;
    memcpy(h->mtrr_var, m->msr_mtrr_var, sizeof(h->mtrr_var));
    memcpy(h->mtrr_fixed, m->msr_mtrr_fixed, sizeof(h->mtrr_fixed));
    h->mtrr_def_type = m->msr_mtrr_def_type;
    return 0;
}

/* --- MSRs that have no place elsewhere: none that a guest here has --- */

static void save_nothing(struct vcpu *v, void *record)
{
    (void)v, (void)record;
}

/* Guests have no TSC of their own to adjust (their CPUID says so). */
static int load_tsc_adjust(struct vcpu *v, const void *record, uint32_t length)
{
    (void)v, (void)length;
    return ((const struct hvm_tsc_adjust *)record)->tsc_adjust ? -EOPNOTSUPP : 0;
}

static uint32_t msrs_length(const struct domain *d)
{
    (void)d;
    return sizeof(struct hvm_msr) + sizeof(struct hvm_one_msr);
}

static void save_msrs(struct vcpu *v, void *record)
{
    struct hvm_msr *m = record;

    m->count = 1;
    m->msr[0].index = MSR_MISC_FEATURES;
    hvm_rdmsr(v, MSR_MISC_FEATURES, &m->msr[0].val);
}

static int load_msrs(struct vcpu *v, const void *record, uint32_t length)
{
    const struct hvm_msr *m = record;
    uint64_t features = 0;

    if (length < sizeof(*m) || length - sizeof(*m) < m->count * sizeof(m->msr[0]))
        return -EINVAL;
    for (uint32_t i = 0; i < m->count; i++) {
        if (m->msr[i]._rsvd || (m->msr[i].val && m->msr[i].index != MSR_MISC_FEATURES))
            return -EOPNOTSUPP;
        if (m->msr[i].index == MSR_MISC_FEATURES)
            features = m->msr[i].val;
    }
    return hvm_wrmsr(v, MSR_MISC_FEATURES, features) ? 0 : -ENXIO;
}

/* --- all of them, in the order in which they are saved --- */

static uint32_t xsave_length(const struct domain *d)
{
    if (!cpu_policy_xcr0(d->arch.cpu_policy)) /* so that it can go where there is none */
        return 0;
    return offsetof(struct hvm_hw_cpu_xsave, save_area) + host_cpu.xsave_size;
}

const struct hvm_record hvm_records[NR_HVM_RECORDS] = {
    {HVM_SAVE_CODE(CPU), sizeof(struct hvm_hw_cpu), NULL, save_cpu, load_cpu},
    {HVM_SAVE_CODE(LAPIC), sizeof(struct hvm_hw_lapic), NULL, save_lapic, load_lapic},
    {HVM_SAVE_CODE(LAPIC_REGS), sizeof(struct hvm_hw_lapic_regs), NULL, save_lapic_regs,
     load_lapic_regs},
    {HVM_SAVE_CODE(MTRR), sizeof(struct hvm_hw_mtrr), NULL, save_mtrr, load_mtrr},
    {CPU_XSAVE_CODE, 0, xsave_length, save_xsave, load_xsave},
    {HVM_SAVE_CODE(TSC_ADJUST), sizeof(struct hvm_tsc_adjust), NULL, save_nothing, load_tsc_adjust},
    {CPU_MSR_CODE, 0, msrs_length, save_msrs, load_msrs},
};
