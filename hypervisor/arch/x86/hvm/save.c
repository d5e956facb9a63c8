// SPDX-License-Identifier: MIT
/*
 * A domain's CPU state for the tools: records in the format of hvm/save.h (gethvmcontext,
 * sethvmcontext).  Each kind of record has a row here, with a function that fills it from a vcpu
 * and one that takes it over.  What is read is checked as far as it matters to the host: what the
 * CPU would not enter the guest with ends the guest then.
 */
#include "arch/x86/hvm/hvm.h"
#include "asm/cpufeature.h"
#include "asm/fpu.h"
#include "asm/msr.h"
#include "asm/regs.h"
#include "hypercall/compat.h"
#include "hypercall/handlers.h"
#include "lib/errno.h"
#include "lib/string.h"
#include <xen/hvm/save.h>

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
}

static bool cpu_ok(const struct hvm_hw_cpu *c)
{
    const uint64_t efer = EFER_SCE | EFER_LME | EFER_LMA | EFER_NXE;

    return !(c->msr_efer & ~efer) && !(c->cr0 >> 32) && !(c->dr6 >> 32) && !(c->dr7 >> 32) &&
           !((c->cr0 & CR0_PG) && !(c->cr0 & CR0_PE)) && !(c->msr_tsc_aux >> 32);
}

static int load_cpu(struct vcpu *v, const void *record)
{
    struct hvm_hw_cpu c = *(const struct hvm_hw_cpu *)record;
    struct hvm_vcpu *h = v->arch.hvm;
    struct emul_segment s;

    if (!cpu_ok(&c))
        return -EINVAL;
    fpu_reset(v);
    if (c.flags & XEN_X86_FPU_INITIALISED) {
        memcpy(v->arch.fpu, c.fpu_regs, sizeof(c.fpu_regs));
        *(uint32_t *)((uint8_t *)v->arch.fpu + 24) &= 0xffff; /* MXCSR: reserved bits fault */
    }
    for (unsigned i = 0; i < ARRAY_SIZE(gprs); i++)
        memcpy((char *)&v->arch.regs + gprs[i].here, (char *)&c + gprs[i].there, 8);
    v->arch.regs.rflags |= EFLAGS_MBS;
    for (unsigned i = 0; i < ARRAY_SIZE(cpu_msrs); i++)
        hvm_vendor->set_msr(v, cpu_msrs[i].msr, *(uint64_t *)((char *)&c + cpu_msrs[i].offset));
    hvm_vendor->set_cr(v, 0, c.cr0);
    hvm_vendor->set_cr(v, 2, c.cr2);
    hvm_vendor->set_cr(v, 3, c.cr3);
    hvm_vendor->set_cr(v, 4, c.cr4);
    h->dr[0] = c.dr0;
    h->dr[1] = c.dr1;
    h->dr[2] = c.dr2;
    h->dr[3] = c.dr3;
    hvm_vendor->set_dr(v, 6, c.dr6);
    hvm_vendor->set_dr(v, 7, c.dr7);
    for (unsigned seg = 0; seg <= HVM_SEG_LDTR; seg++) {
        struct seg_fields f = seg_of(&c, seg);

        s = (struct emul_segment){*f.base, *f.limit, *f.sel, *f.attr};
        hvm_vendor->set_segment(v, seg, &s);
    }
    s = (struct emul_segment){.base = c.gdtr_base, .limit = c.gdtr_limit};
    hvm_vendor->set_segment(v, HVM_SEG_GDTR, &s);
    s = (struct emul_segment){.base = c.idtr_base, .limit = c.idtr_limit};
    hvm_vendor->set_segment(v, HVM_SEG_IDTR, &s);
    h->tsc_aux = c.msr_tsc_aux;
    h->event = (struct hvm_event){.vector = c.pending_vector,
                                  .type = c.pending_type,
                                  .valid = c.pending_valid,
                                  .has_error = c.pending_error_valid,
                                  .error = c.error_code};
    if (h->event.type != HVM_EVENT_EXCEPTION && h->event.type != HVM_EVENT_NMI &&
        h->event.type != HVM_EVENT_INTR)
        h->event.valid = false;
    v->is_initialised = true;
    clear_bit(VPF_down, &v->pause_flags);
    return 0;
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

static int load_lapic(struct vcpu *v, const void *record)
{
    const struct hvm_hw_lapic *l = record;
    uint64_t flags = APIC_BASE_ENABLE | APIC_BASE_X2APIC | APIC_BASE_BSP;

    if ((l->apic_base_msr & ~flags) != VLAPIC_DEFAULT_BASE)
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

static int load_lapic_regs(struct vcpu *v, const void *record)
{
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
    m->msr_mtrr_cap = 0x508;
    m->msr_mtrr_def_type = h->mtrr_def_type;
}

static int load_mtrr(struct vcpu *v, const void *record)
{
    const struct hvm_hw_mtrr *m = record;
    struct hvm_vcpu *h = v->arch.hvm;

    if (!hvm_vendor->set_msr(v, MSR_PAT, m->msr_pat_cr))
        return -EINVAL;
    memcpy(h->mtrr_var, m->msr_mtrr_var, sizeof(h->mtrr_var));
    memcpy(h->mtrr_fixed, m->msr_mtrr_fixed, sizeof(h->mtrr_fixed));
    h->mtrr_def_type = m->msr_mtrr_def_type;
    return 0;
}

/* --- all of them --- */

static const struct record {
    uint16_t code;
    uint16_t length;
    void (*save)(struct vcpu *v, void *record);
    int (*load)(struct vcpu *v, const void *record);
} records[] = {
    {HVM_SAVE_CODE(CPU), sizeof(struct hvm_hw_cpu), save_cpu, load_cpu},
    {HVM_SAVE_CODE(LAPIC), sizeof(struct hvm_hw_lapic), save_lapic, load_lapic},
    {HVM_SAVE_CODE(LAPIC_REGS), sizeof(struct hvm_hw_lapic_regs), save_lapic_regs, load_lapic_regs},
    {HVM_SAVE_CODE(MTRR), sizeof(struct hvm_hw_mtrr), save_mtrr, load_mtrr},
};
#define MAX_RECORD sizeof(struct hvm_hw_cpu)
BUILD_BUG_ON(MAX_RECORD < sizeof(struct hvm_hw_lapic_regs));
/* More than any caller has to say: all records that this version knows, of all vcpus. */
#define MAX_CONTEXT 0x400000u

static uint32_t context_size(const struct domain *d)
{
    uint32_t size = 2 * sizeof(struct hvm_save_descriptor) + sizeof(struct hvm_save_header);
    struct vcpu *v;

    for_each_vcpu (d, v)
        for (unsigned i = 0; i < ARRAY_SIZE(records); i++)
            size += sizeof(struct hvm_save_descriptor) + records[i].length;
    return size;
}

struct out {
    uint64_t addr;
    uint32_t used;
};

static int put_record(struct out *o, uint16_t code, uint16_t instance, const void *data,
                      uint32_t length)
{
    struct hvm_save_descriptor desc = {code, instance, length};

    if (copy_to_guest(o->addr + o->used, &desc, sizeof(desc)) ||
        copy_to_guest(o->addr + o->used + sizeof(desc), data, length))
        return -EFAULT;
    o->used += sizeof(desc) + length;
    return 0;
}

static int put_all(struct domain *d, struct out *o, void *buf)
{
    struct hvm_save_header header = {.magic = HVM_FILE_MAGIC,
                                     .version = HVM_FILE_VERSION,
                                     .changeset = ~0ULL,
                                     .cpuid = cpuid(1).a,
                                     .gtsc_khz = d->arch.tsc_khz};
    int rc = put_record(o, HVM_SAVE_CODE(HEADER), 0, &header, sizeof(header));
    struct vcpu *v;

    for (unsigned i = 0; i < ARRAY_SIZE(records); i++)
        for_each_vcpu (d, v) {
            if (rc)
                return rc;
            /* A vcpu that was never up has no CPU state, and is not brought up by its record. */
            if (records[i].code == HVM_SAVE_CODE(CPU) && test_bit(VPF_down, &v->pause_flags))
                continue;
            memset(buf, 0, MAX_RECORD);
            records[i].save(v, buf);
            rc = put_record(o, records[i].code, v->vcpu_id, buf, records[i].length);
        }
    return rc ? rc : put_record(o, HVM_SAVE_CODE(END), 0, NULL, 0);
}

long domctl_gethvmcontext(struct call *c, struct xen_domctl *op)
{
    struct xen_domctl_hvmcontext *h = &op->u.hvmcontext;
    struct out o = {.addr = handle_addr(h->buffer)};
    struct domain *d = c->d;
    void *buf;
    long rc;

    if (!d->arch.hvm || d == c->v->domain)
        return -EINVAL;
    if (!o.addr) {
        h->size = context_size(d);
        return 0;
    }
    if (h->size < context_size(d))
        return -ENOSPC;
    buf = xzalloc_bytes(1, MAX_RECORD);
    if (!buf)
        return -ENOMEM;
    domain_pause(d);
    rc = put_all(d, &o, buf);
    domain_unpause(d);
    h->size = o.used;
    xfree(buf);
    return rc;
}

/* One record, without its descriptor. */
long domctl_gethvmcontext_partial(struct call *c, struct xen_domctl *op)
{
    struct xen_domctl_hvmcontext_partial *p = &op->u.hvmcontext_partial;
    struct vcpu *v = domain_vcpu(c->d, p->instance);
    long rc = -ENOENT;
    void *buf;

    if (!c->d->arch.hvm || c->d == c->v->domain || !v)
        return -EINVAL;
    buf = xzalloc_bytes(1, MAX_RECORD);
    if (!buf)
        return -ENOMEM;
    domain_pause(c->d);
    for (unsigned i = 0; i < ARRAY_SIZE(records); i++) {
        if (records[i].code != p->type)
            continue;
        rc = 0;
        if (!handle_addr(p->buffer))
            p->bufsz = records[i].length;
        else if (p->bufsz < records[i].length)
            rc = -ENOSPC;
        else {
            records[i].save(v, buf);
            rc = copy_to_guest(handle_addr(p->buffer), buf, records[i].length);
        }
    }
    domain_unpause(c->d);
    xfree(buf);
    return rc;
}

/* Shorter records end where older versions' did; the rest is zero. */
static int take_record(struct domain *d, const struct hvm_save_descriptor *desc, uint64_t addr,
                       void *buf)
{
    for (unsigned i = 0; i < ARRAY_SIZE(records); i++) {
        struct vcpu *v = domain_vcpu(d, desc->instance);

        if (records[i].code != desc->typecode)
            continue;
        if (!v || desc->length > records[i].length)
            return -EINVAL;
        memset(buf, 0, MAX_RECORD);
        if (copy_from_guest(buf, addr, desc->length))
            return -EFAULT;
        return records[i].load(v, buf);
    }
    return desc->typecode <= HVM_SAVE_CODE_MAX ? 0 : -EINVAL; /* devices that are not there */
}

static int take_all(struct domain *d, uint64_t addr, uint32_t size, void *buf)
{
    struct hvm_save_descriptor desc;
    struct hvm_save_header header;
    uint32_t at = 0;
    int rc = 0;

    while (!rc) {
        if (size - at < sizeof(desc))
            return -EINVAL;
        if (copy_from_guest(&desc, addr + at, sizeof(desc)))
            return -EFAULT;
        at += sizeof(desc);
        if (desc.typecode == HVM_SAVE_CODE(END))
            return 0;
        if (desc.length > size - at)
            return -EINVAL;
        if (desc.typecode == HVM_SAVE_CODE(HEADER)) {
            if (desc.length != sizeof(header))
                return -EINVAL;
            if (copy_from_guest(&header, addr + at, sizeof(header)))
                return -EFAULT;
            if (header.magic != HVM_FILE_MAGIC || header.version != HVM_FILE_VERSION)
                return -EINVAL;
        } else
            rc = take_record(d, &desc, addr + at, buf);
        at += desc.length;
    }
    return rc;
}

long domctl_sethvmcontext(struct call *c, struct xen_domctl *op)
{
    const struct xen_domctl_hvmcontext *h = &op->u.hvmcontext;
    struct domain *d = c->d;
    void *buf;
    long rc;

    if (!d->arch.hvm || d == c->v->domain || h->size > MAX_CONTEXT)
        return -EINVAL;
    buf = xzalloc_bytes(1, MAX_RECORD);
    if (!buf)
        return -ENOMEM;
    domain_pause(d);
    rc = take_all(d, handle_addr(h->buffer), h->size, buf);
    domain_unpause(d);
    xfree(buf);
    return rc;
}

/* --- memory for page tables --- */

long domctl_set_paging_mempool_size(struct call *c, struct xen_domctl *op)
{
    uint64_t pages = op->u.paging_mempool.size >> PAGE_SHIFT;

    if (!c->d->arch.hvm || (op->u.paging_mempool.size & (PAGE_SIZE - 1)))
        return -EINVAL;
    WRITE_ONCE(c->d->arch.hvm->p2m.max_tables, pages);
    return 0;
}

long domctl_get_paging_mempool_size(struct call *c, struct xen_domctl *op)
{
    if (!c->d->arch.hvm)
        return -EINVAL;
    op->u.paging_mempool.size = READ_ONCE(c->d->arch.hvm->p2m.max_tables) << PAGE_SHIFT;
    return 0;
}
