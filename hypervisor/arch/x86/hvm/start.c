// SPDX-License-Identifier: MIT
/*
 * With what state a vcpu begins: as after a reset, at a start-up interrupt, or as its domain says
 * (VCPUOP_initialise, hvm/hvm_vcpu.h).
 *
 * A state that the CPU would refuse to enter is refused before: what is checked here is what the
 * manuals demand of a guest's registers together, and that nothing is turned on that the domain's
 * CPU policy hides.
 */
#include "arch/api/arch_domain.h"
#include "arch/x86/cpu/modes.h"
#include "arch/x86/hvm/hvm.h"
#include "asm/cpufeature.h"
#include "asm/fpu.h"
#include "asm/msr.h"
#include "asm/regs.h"
#include "hypercall/guest_access.h"
#include "lib/errno.h"
#include "lib/string.h"
#include <xen/hvm/hvm_vcpu.h>

#define SEG_TYPE_ACCESSED 1u
#define SEG_AR_UNUSED     0xf000u
#define TSS_BUSY_32       0xbu

void hvm_reset_state(struct vcpu *v, uint8_t start_page)
{
    struct emul_segment data = {.limit = 0xffff, .attr = EMUL_SEG_P | EMUL_SEG_S | 3};
    struct emul_segment code = data, ldtr = {.limit = 0xffff, .attr = EMUL_SEG_P | 2};
    struct emul_segment tr = {.limit = 0xffff, .attr = EMUL_SEG_P | TSS_BUSY_32};
    struct emul_segment table = {.limit = 0xffff};

    code.attr |= EMUL_SEG_CODE;
    code.sel = start_page << 8;
    code.base = (uint64_t)start_page << 12;
    memset(&v->arch.regs, 0, sizeof(v->arch.regs));
    v->arch.regs.rflags = EFLAGS_MBS;
    hvm_open(v);
    for (unsigned s = EMUL_SEG_ES; s <= EMUL_SEG_GS; s++)
        hvm_vendor->set_segment(v, s, s == EMUL_SEG_CS ? &code : &data);
    hvm_vendor->set_segment(v, HVM_SEG_TR, &tr);
    hvm_vendor->set_segment(v, HVM_SEG_LDTR, &ldtr);
    hvm_vendor->set_segment(v, HVM_SEG_GDTR, &table);
    hvm_vendor->set_segment(v, HVM_SEG_IDTR, &table);
    hvm_vendor->set_msr(v, MSR_EFER, 0);
    hvm_vendor->set_cr(v, 0, CR0_ET);
    hvm_vendor->set_cr(v, 2, 0);
    hvm_vendor->set_cr(v, 3, 0);
    hvm_vendor->set_cr(v, 4, 0);
    hvm_vendor->set_dr(v, 6, 0xffff0ff0);
    hvm_vendor->set_dr(v, 7, 0x400);
    hvm_vendor->set_shadow(v, false);
    hvm_vendor->set_nmi_blocked(v, false);
    hvm_close(v);
    memset(v->arch.hvm->dr, 0, sizeof(v->arch.hvm->dr));
    v->arch.hvm->event.valid = false;
    v->arch.hvm->nmi_pending = false;
    v->arch.cpuid_faults = false;
    hvm_flush_tlb(v);
}

/* --- VCPUOP_initialise --- */

/* A segment register as the guest wants it; not 0: it cannot be so. */
static int segment(struct vcpu *v, unsigned seg, uint32_t base, uint32_t limit, uint16_t ar)
{
    struct emul_segment s = {.base = base, .limit = limit, .attr = ar};
    unsigned type = ar & EMUL_SEG_TYPE;

    if (!ar && (seg == EMUL_SEG_DS || seg == EMUL_SEG_ES)) {
        hvm_vendor->set_segment(v, seg, &s); /* a null selector */
        return 0;
    }
    if ((ar & SEG_AR_UNUSED) || !(ar & EMUL_SEG_P) || (ar & EMUL_SEG_L))
        return -EINVAL;
    if (ar & EMUL_SEG_G ? (limit & 0xfff) != 0xfff : limit >> 20)
        return -EINVAL;
    if (seg == HVM_SEG_TR) {
        if ((ar & EMUL_SEG_S) || type != TSS_BUSY_32)
            return -EINVAL;
    } else {
        if (!(ar & EMUL_SEG_S) || !!(type & EMUL_SEG_CODE) != (seg == EMUL_SEG_CS))
            return -EINVAL;
        if (seg == EMUL_SEG_SS && !(type & EMUL_SEG_WRITABLE))
            return -EINVAL;
        s.attr |= SEG_TYPE_ACCESSED;
    }
    hvm_vendor->set_segment(v, seg, &s);
    return 0;
}

static int set_modes(struct vcpu *v, uint64_t cr0, uint64_t cr3, uint64_t cr4, uint64_t efer)
{
    if ((cr0 & CR0_PG) && (efer & EFER_LME))
        efer |= EFER_LMA;
    if (!cpu_modes_valid(v->domain->arch.cpu_policy, cr0, cr4, efer) || !cpu_cr3_valid(cr3))
        return -EINVAL;
    hvm_vendor->set_cr(v, 0, cr0 | CR0_ET);
    hvm_vendor->set_cr(v, 3, cr3);
    hvm_vendor->set_cr(v, 4, cr4);
    hvm_vendor->set_msr(v, MSR_EFER, efer);
    return 0;
}

#define EFLAGS_START                                                                               \
    (EFLAGS_CF | EFLAGS_MBS | EFLAGS_PF | EFLAGS_AF | EFLAGS_ZF | EFLAGS_SF | EFLAGS_TF |          \
     EFLAGS_IF | EFLAGS_DF | EFLAGS_OF | EFLAGS_IOPL | EFLAGS_NT | EFLAGS_RF | EFLAGS_AC |         \
     EFLAGS_ID)

static int begin32(struct vcpu *v, const struct vcpu_hvm_x86_32 *c)
{
    struct cpu_user_regs *r = &v->arch.regs;
    int rc;

    if (c->pad1 || c->pad2[0] || c->pad2[1] || c->pad2[2] || (c->eflags & ~EFLAGS_START))
        return -EINVAL;
    if (!(c->cr0 & CR0_PE) && (c->ss_ar & EMUL_SEG_DPL)) /* real mode is level 0 */
        return -EINVAL;
    rc = segment(v, EMUL_SEG_CS, c->cs_base, c->cs_limit, c->cs_ar);
    rc = rc ?: segment(v, EMUL_SEG_DS, c->ds_base, c->ds_limit, c->ds_ar);
    rc = rc ?: segment(v, EMUL_SEG_SS, c->ss_base, c->ss_limit, c->ss_ar);
    rc = rc ?: segment(v, EMUL_SEG_ES, c->es_base, c->es_limit, c->es_ar);
    rc = rc ?: segment(v, HVM_SEG_TR, c->tr_base, c->tr_limit, c->tr_ar);
    rc = rc ?: set_modes(v, c->cr0, c->cr3, c->cr4, c->efer);
    if (rc)
        return rc;
    r->rax = c->eax;
    r->rcx = c->ecx;
    r->rdx = c->edx;
    r->rbx = c->ebx;
    r->rsp = c->esp;
    r->rbp = c->ebp;
    r->rsi = c->esi;
    r->rdi = c->edi;
    r->rip = c->eip;
    r->rflags = c->eflags | EFLAGS_MBS;
    return 0;
}

static int begin64(struct vcpu *v, const struct vcpu_hvm_x86_64 *c)
{
    struct emul_segment s = {.limit = ~0u,
                             .attr = EMUL_SEG_P | EMUL_SEG_S | EMUL_SEG_G | EMUL_SEG_DB |
                                     EMUL_SEG_WRITABLE | SEG_TYPE_ACCESSED};
    struct cpu_user_regs *r = &v->arch.regs;
    int rc;

    if ((c->rflags & ~(uint64_t)EFLAGS_START) ||
        !canonical(c->rip, linear_bits(c->cr4 & CR4_LA57)) || !(c->cr0 & CR0_PG) ||
        !(c->efer & EFER_LME))
        return -EINVAL;
    rc = set_modes(v, c->cr0, c->cr3, c->cr4, c->efer);
    if (rc)
        return rc;
    for (unsigned seg = EMUL_SEG_ES; seg <= EMUL_SEG_GS; seg++)
        hvm_vendor->set_segment(v, seg, &s);
    s.attr = (s.attr & ~EMUL_SEG_DB) | EMUL_SEG_CODE | EMUL_SEG_L;
    hvm_vendor->set_segment(v, EMUL_SEG_CS, &s);
    r->rax = c->rax;
    r->rcx = c->rcx;
    r->rdx = c->rdx;
    r->rbx = c->rbx;
    r->rsp = c->rsp;
    r->rbp = c->rbp;
    r->rsi = c->rsi;
    r->rdi = c->rdi;
    r->rip = c->rip;
    r->rflags = c->rflags | EFLAGS_MBS;
    return 0;
}

int arch_hvm_initialise(struct vcpu *v, uint64_t addr)
{
    struct domain *d = v->domain;
    struct vcpu_hvm_context ctx;
    int rc;

    if (copy_from_guest(&ctx, addr, sizeof(ctx)))
        return -EFAULT;
    if (ctx.pad || ctx.mode > VCPU_HVM_MODE_64B)
        return -EINVAL;
    spin_lock(&d->lock);
    if (v->is_initialised)
        rc = -EEXIST;
    else if (READ_ONCE(v->is_running)) /* INIT has just stopped it */
        rc = -EBUSY;
    else {
        hvm_reset_state(v, 0);
        fpu_reset(v);
        hvm_open(v);
        rc = ctx.mode == VCPU_HVM_MODE_64B ? begin64(v, &ctx.cpu_regs.x86_64)
                                           : begin32(v, &ctx.cpu_regs.x86_32);
        hvm_close(v);
        if (!rc) {
            set_bit(VPF_down, &v->pause_flags);
            vcpu_unblock(v); /* INIT may have come to it in HLT */
            v->is_initialised = true;
        }
    }
    spin_unlock(&d->lock);
    return rc;
}
