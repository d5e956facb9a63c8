// SPDX-License-Identifier: MIT
/* A PV guest's vcpu as others set it and read it: vcpu_guest_context. */
#include "arch/x86/mm/mm.h"
#include "asm/cpufeature.h"
#include "asm/fpu.h"
#include "asm/regs.h"
#include "hypercall/handlers.h"
#include "lib/errno.h"
#include "lib/string.h"
#include "pv.h"

#define EFLAGS_GUEST_CLEAR (EFLAGS_IOPL | EFLAGS_VM | EFLAGS_NT)

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
    pv->ctrlreg[4] = pv_valid_cr4(v->domain, c->ctrlreg[4]);
    if (c->flags & VGCF_i387_valid) {
        fpu_import_legacy(v, &c->fpu_ctxt);
        if (host_cpu.xcr0_max)
            *(uint64_t *)((uint8_t *)v->arch.fpu + XSAVE_HEADER_OFF) = XCR0_X87 | XCR0_SSE;
    }
}

int pv_set_context(struct vcpu *v, const struct vcpu_guest_context *c)
{
    struct domain *d = v->domain;
    int ret;

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

void pv_get_context(struct vcpu *v, struct vcpu_guest_context *c)
{
    const struct pv_vcpu *pv = &v->arch.pv;

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

/* What vcpu_guest_context does not hold: SYSCALL of 32-bit code. */

long domctl_get_ext_vcpucontext(struct call *c, struct xen_domctl *op)
{
    struct xen_domctl_ext_vcpucontext *e = &op->u.ext_vcpucontext;
    struct vcpu *v = domain_vcpu(c->d, e->vcpu);
    uint32_t id = e->vcpu;

    if (!v)
        return -ESRCH;
    memset(e, 0, sizeof(*e));
    e->vcpu = id;
    e->size = sizeof(*e);
    if (!is_pv(c->d))
        return 0;
    e->syscall32_callback_eip = v->arch.pv.syscall32_callback;
    e->syscall32_callback_cs = FLAT_KERNEL_CS64;
    e->syscall32_disables_events = !!(v->arch.pv.flags & PVF_SYSCALL32_MASKS_EVENTS);
    return 0;
}

long domctl_set_ext_vcpucontext(struct call *c, struct xen_domctl *op)
{
    const struct xen_domctl_ext_vcpucontext *e = &op->u.ext_vcpucontext;
    struct vcpu *v = domain_vcpu(c->d, e->vcpu);

    if (!v)
        return -ESRCH;
    if (e->size < offsetof(struct xen_domctl_ext_vcpucontext, mcg_cap) ||
        !pv_callback_ok(e->syscall32_callback_eip))
        return -EINVAL;
    if (!is_pv(c->d)) /* it has none */
        return e->syscall32_callback_eip || e->syscall32_disables_events ? -EINVAL : 0;
    domain_pause(c->d);
    v->arch.pv.syscall32_callback = e->syscall32_callback_eip;
    v->arch.pv.flags &= ~(unsigned long)PVF_SYSCALL32_MASKS_EVENTS;
    if (e->syscall32_disables_events)
        v->arch.pv.flags |= PVF_SYSCALL32_MASKS_EVENTS;
    domain_unpause(c->d);
    return 0;
}
