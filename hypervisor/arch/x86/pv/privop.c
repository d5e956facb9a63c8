// SPDX-License-Identifier: MIT
/*
 * What a PV guest's kernel does as if it ran in ring 0, and faults: control and debug registers,
 * MSRs, CPUID, I/O ports.  The instruction emulator decodes; the callbacks here decide.  All
 * tables deny by default.
 */
#include "arch/x86/cpu/modes.h"
#include "arch/x86/cpu/policy.h"
#include "arch/x86/emulate/emulate.h"
#include "arch/x86/mm/mm.h"
#include "arch/x86/time/time.h"
#include "asm/fpu.h"
#include "asm/io.h"
#include "asm/layout.h"
#include "asm/msr.h"
#include "asm/pci.h"
#include "asm/processor.h"
#include "asm/trap.h"
#include "hypercall/guest_access.h"
#include "hypercall/handlers.h"
#include "kernel/console.h"
#include "lib/errno.h"
#include "lib/rangeset.h"
#include "pv.h"

#define CR4_GUEST_SHOWN (CR4_PAE | CR4_OSFXSR | CR4_OSXMMEXCPT)
#define CR4_GUEST_MAY                                                                              \
    (CR4_TSD | CR4_DE | CR4_OSXSAVE | CR4_FSGSBASE | CR4_GUEST_SHOWN | CR4_PGE | CR4_PSE |         \
     CR4_MCE | CR4_VME | CR4_PCE)

static int gp(struct emul_ctxt *ctxt)
{
    return emul_inject(ctxt, VEC_GP, 0);
}

/* --- memory: code, and the operands of INS and OUTS --- */

static int fault(struct emul_ctxt *ctxt, uint64_t addr, unsigned write)
{
    return emul_pagefault(ctxt, write | 4, addr);
}

static int privop_fetch(struct emul_ctxt *ctxt, uint64_t addr, void *buf, unsigned bytes)
{
    size_t left = raw_copy_from_guest(buf, addr, bytes);

    return left ? fault(ctxt, addr + bytes - left, 0) : EMUL_OKAY;
}

static int privop_read(struct emul_ctxt *ctxt, enum emul_seg seg, uint64_t addr, void *buf,
                       unsigned bytes)
{
    (void)seg;
    return privop_fetch(ctxt, addr, buf, bytes);
}

static int privop_write(struct emul_ctxt *ctxt, enum emul_seg seg, uint64_t addr, const void *buf,
                        unsigned bytes)
{
    size_t left = raw_copy_to_guest(addr, buf, bytes);

    (void)seg;
    return left ? fault(ctxt, addr + bytes - left, PFEC_WRITE) : EMUL_OKAY;
}

/* --- I/O ports --- */

/* Does the guest's own virtual IOPL allow its current mode ports, CLI and STI? */
static bool iopl_suffices(const struct vcpu *v, const struct cpu_user_regs *regs)
{
    unsigned kernel_level = v->domain->vm_assist & BIT(VMASST_TYPE_architectural_iopl) ? 0 : 1;

    return v->arch.pv.iopl >= (guest_kernel(v, regs) ? kernel_level : 3);
}

/* The guest's own virtual I/O privilege: by level (set_iopl) or by bitmap (set_iobitmap). */
static bool io_privileged(const struct vcpu *v, const struct cpu_user_regs *regs, unsigned port,
                          unsigned bytes)
{
    const struct pv_vcpu *pv = &v->arch.pv;
    bool user = !in_kernel_mode(v), failed;
    uint16_t bits;

    if (iopl_suffices(v, regs))
        return true;
    if (!pv->iobmp_guest || port + bytes > pv->iobmp_limit)
        return false;
    bits = 0xffff;
    if (user)
        toggle_guest_mode((struct vcpu *)v); /* the bitmap is in the kernel's address space */
    failed =
        copy_from_guest(&bits, pv->iobmp_guest + port / 8, port + bytes > (port & ~7u) + 8 ? 2 : 1);
    if (user)
        toggle_guest_mode((struct vcpu *)v);
    if (failed)
        return false;
    return !(bits & (((1u << bytes) - 1) << (port & 7)));
}

/* May the guest use ports [port, port + bytes)? */
static bool pv_port_allowed(const struct vcpu *v, const struct cpu_user_regs *regs, unsigned port,
                            unsigned bytes)
{
    return port + bytes <= 0x10000 && io_privileged(v, regs, port, bytes) &&
           rangeset_contains_range(v->domain->ioports, port, port + bytes - 1);
}

/* Access to a port that the guest may make: does it meet a breakpoint? */
static int port_done(struct emul_ctxt *ctxt, uint16_t port, unsigned bytes)
{
    if (unlikely(pv_check_port_breakpoints(current, port, bytes)))
        ctxt->retire.breakpoint = true;
    return EMUL_OKAY;
}

static int privop_read_io(struct emul_ctxt *ctxt, uint16_t port, unsigned bytes, uint32_t *val)
{
    if (!pv_port_allowed(current, ctxt->regs, port, bytes)) {
        if (!io_privileged(current, ctxt->regs, port, bytes))
            return gp(ctxt);
        *val = ~0u; /* as if nothing were there */
        return port_done(ctxt, port, bytes);
    }
    if (pci_is_conf_port(port, bytes))
        *val = pci_guest_port_read(&current->domain->arch.pci_cf8, port, bytes);
    else
        *val = bytes == 1 ? inb(port) : bytes == 2 ? inw(port) : inl(port);
    return port_done(ctxt, port, bytes);
}

static int privop_write_io(struct emul_ctxt *ctxt, uint16_t port, unsigned bytes, uint32_t val)
{
    if (!pv_port_allowed(current, ctxt->regs, port, bytes))
        return io_privileged(current, ctxt->regs, port, bytes) ? port_done(ctxt, port, bytes)
                                                               : gp(ctxt);
    if (pci_is_conf_port(port, bytes))
        pci_guest_port_write(&current->domain->arch.pci_cf8, port, bytes, val);
    else if (bytes == 1)
        outb(val, port);
    else if (bytes == 2)
        outw(val, port);
    else
        outl(val, port);
    return port_done(ctxt, port, bytes);
}

/* --- control and debug registers --- */

static int privop_read_cr(struct emul_ctxt *ctxt, unsigned reg, uint64_t *val)
{
    struct vcpu *v = current;

    switch (reg) {
    case 0:
        *val = (read_cr0() & ~CR0_TS) | (v->arch.pv.flags & PVF_FPU_TS ? CR0_TS : 0);
        return EMUL_OKAY;
    case 2:
        *val = v->arch.pv.ctrlreg[2];
        return EMUL_OKAY;
    case 3:
        if (!v->arch.root_kernel)
            return gp(ctxt);
        *val = pv_root_to_cr3(v);
        return EMUL_OKAY;
    case 4:
        *val = v->arch.pv.ctrlreg[4] | CR4_GUEST_SHOWN;
        return EMUL_OKAY;
    default:
        return EMUL_UNHANDLEABLE;
    }
}

static int privop_write_cr(struct emul_ctxt *ctxt, unsigned reg, uint64_t val)
{
    struct vcpu *v = current;
    const uint64_t asked = CR4_OSXSAVE | CR4_FSGSBASE; /* what the policy has to show */
    uint64_t cr4 = CR4_GUEST_MAY;

    switch (reg) {
    case 0:
        if ((val ^ read_cr0()) & ~(uint64_t)CR0_TS)
            return gp(ctxt);
        do_fpu_taskswitch(!!(val & CR0_TS));
        return EMUL_OKAY;
    case 2:
        pv_set_cr2(v, val);
        return EMUL_OKAY;
    case 3: {
        int ret = mm_set_root(v, pv_cr3_to_mfn(v->domain, val), false);

        if (ret == -ERESTART)
            return EMUL_RETRY;
        if (ret)
            return gp(ctxt);
        mm_load_root(v);
        return EMUL_OKAY;
    }
    case 4:
        cr4 &= ~asked | cpu_policy_cr4(v->domain->arch.cpu_policy);
        /* Bits that a PV guest cannot have are dropped, those no CPU of ours has are refused. */
        if (val & ~(cr4 | CR4_SMEP | CR4_SMAP | CR4_UMIP | CR4_PCIDE | CR4_PKE))
            return gp(ctxt);
        v->arch.pv.ctrlreg[4] = pv_valid_cr4(v->domain, val);
        pv_load_cr4(v);
        return EMUL_OKAY;
    default:
        return EMUL_UNHANDLEABLE;
    }
}

static int privop_read_dr(struct emul_ctxt *ctxt, unsigned reg, uint64_t *val)
{
    (void)ctxt;
    *val = do_get_debugreg(reg);
    return EMUL_OKAY;
}

static int privop_write_dr(struct emul_ctxt *ctxt, unsigned reg, uint64_t val)
{
    return pv_set_debugreg(current, reg, val) ? gp(ctxt) : EMUL_OKAY;
}

static int privop_read_xcr(struct emul_ctxt *ctxt, uint32_t reg, uint64_t *val)
{
    if (reg || !(current->arch.pv.ctrlreg[4] & CR4_OSXSAVE))
        return gp(ctxt);
    *val = current->arch.xcr0;
    return EMUL_OKAY;
}

static int privop_write_xcr(struct emul_ctxt *ctxt, uint32_t reg, uint64_t val)
{
    return reg || ctxt->cpl || !fpu_set_xcr0(current, val) ? gp(ctxt) : EMUL_OKAY;
}

/* --- MSRs --- */

static int privop_read_msr(struct emul_ctxt *ctxt, uint32_t msr, uint64_t *val)
{
    struct vcpu *v = current;

    switch (msr) {
    case MSR_FS_BASE:
        *val = rdmsr(MSR_FS_BASE);
        return EMUL_OKAY;
    case MSR_GS_BASE: /* the kernel asks: the active one is its own */
        *val = rdmsr(MSR_GS_BASE);
        return EMUL_OKAY;
    case MSR_KERNEL_GS_BASE:
        *val = rdmsr(MSR_KERNEL_GS_BASE);
        return EMUL_OKAY;
    case MSR_EFER:
        *val = rdmsr(MSR_EFER) & (EFER_SCE | EFER_LME | EFER_LMA | EFER_NXE);
        return EMUL_OKAY;
    case MSR_PAT:
        *val = XEN_PAT;
        return EMUL_OKAY;
    case MSR_APIC_BASE:
        if (!v->domain->is_privileged)
            break;
        *val = rdmsr(MSR_APIC_BASE) | (v->vcpu_id ? 0 : APIC_BASE_BSP);
        return EMUL_OKAY;
    case MSR_MISC_ENABLE:
    case MSR_DEBUGCTL: /* branch records are not for guests */
        *val = 0;
        return EMUL_OKAY;
    default:
        if (cpu_policy_rdmsr(v, msr, val))
            return EMUL_OKAY;
        break;
    }
    /* An early kernel without a #GP handler is spared (arch-x86/xen.h, struct trap_info). */
    if (!v->arch.pv.trap_table[VEC_GP].address) {
        *val = 0;
        return EMUL_OKAY;
    }
    return gp(ctxt);
}

static int privop_write_msr(struct emul_ctxt *ctxt, uint32_t msr, uint64_t val)
{
    uint64_t old;

    switch (msr) {
    case MSR_MISC_FEATURES:
        return cpu_set_misc_features(current, val) ? EMUL_OKAY : gp(ctxt);
    case MSR_FS_BASE:
        return do_set_segment_base(SEGBASE_FS, val) ? gp(ctxt) : EMUL_OKAY;
    case MSR_GS_BASE:
        return do_set_segment_base(SEGBASE_GS_KERNEL, val) ? gp(ctxt) : EMUL_OKAY;
    case MSR_KERNEL_GS_BASE:
        return do_set_segment_base(SEGBASE_GS_USER, val) ? gp(ctxt) : EMUL_OKAY;
    case MSR_UCODE_REV: /* written before it is read */
    case MSR_EFER:
        return EMUL_OKAY;
    default:
        /* Writing back what is there is no harm. */
        if (privop_read_msr(ctxt, msr, &old) != EMUL_OKAY)
            return EMUL_EXCEPTION;
        return old == val ? EMUL_OKAY : gp(ctxt);
    }
}

/* --- the rest --- */

static int privop_tsc(struct emul_ctxt *ctxt, uint64_t *val)
{
    struct vcpu *v = current;

    if ((v->arch.pv.ctrlreg[4] & CR4_TSD) && ctxt->cpl)
        return gp(ctxt);
    *val = v->domain->arch.vtsc ? arch_guest_tsc(v) : rdtsc();
    return EMUL_OKAY;
}

static int privop_cpuid(struct emul_ctxt *ctxt, uint32_t leaf, uint32_t subleaf,
                        struct emul_cpuid *res)
{
    /* A kernel that has asked for it sees to its users' CPUID itself. */
    if (ctxt->cpl && current->arch.cpuid_faults)
        return gp(ctxt);
    pv_cpuid(current, leaf, subleaf, res);
    return EMUL_OKAY;
}

static int privop_write_if(struct emul_ctxt *ctxt, bool enable)
{
    (void)enable; /* with I/O privilege CLI and STI mean nothing: events have their own mask */
    return iopl_suffices(current, ctxt->regs) ? EMUL_OKAY : gp(ctxt);
}

static int privop_wbinvd(struct emul_ctxt *ctxt)
{
    (void)ctxt;
    if (current->domain->is_privileged)
        wbinvd();
    return EMUL_OKAY;
}

static int privop_invlpg(struct emul_ctxt *ctxt, uint64_t addr)
{
    (void)ctxt;
    if (addr < M2P_RO_VIRT || addr >= DIRECTMAP_VIRT_END)
        flush_tlb_one_local(addr);
    return EMUL_OKAY;
}

/* Only what this file is for; guest user gets no more than ports, the TSC and CPUID. */
static int privop_validate(struct emul_ctxt *ctxt, const struct insn *insn)
{
    if (!emul_insn_is_privop(insn))
        return EMUL_UNHANDLEABLE;
    if (!ctxt->cpl)
        return EMUL_OKAY;
    switch (insn->opcode) {
    case 0x6c ... 0x6f: /* ins, outs */
    case 0xe4 ... 0xe7: /* in, out */
    case 0xec ... 0xef:
    case 0xfa: /* cli, sti */
    case 0xfb:
    case 0x0f31: /* rdtsc */
    case 0x0fa2: /* cpuid */
        return EMUL_OKAY;
    case 0x0f01:
        return insn->modrm == 0xf9 ? EMUL_OKAY : EMUL_UNHANDLEABLE; /* rdtscp */
    default:
        return EMUL_UNHANDLEABLE;
    }
}

static int cpuid_only(struct emul_ctxt *ctxt, const struct insn *insn)
{
    (void)ctxt;
    return insn->opcode == 0x0fa2 ? EMUL_OKAY : EMUL_UNHANDLEABLE;
}

static const struct emul_ops privop_ops = {
    .insn_fetch = privop_fetch,
    .validate = privop_validate,
    .read = privop_read,
    .write = privop_write,
    .read_io = privop_read_io,
    .write_io = privop_write_io,
    .read_cr = privop_read_cr,
    .write_cr = privop_write_cr,
    .read_dr = privop_read_dr,
    .write_dr = privop_write_dr,
    .read_xcr = privop_read_xcr,
    .write_xcr = privop_write_xcr,
    .read_msr = privop_read_msr,
    .write_msr = privop_write_msr,
    .read_tsc = privop_tsc,
    .cpuid = privop_cpuid,
    .write_if = privop_write_if,
    .segment = pv_emul_segment,
    .wbinvd = privop_wbinvd,
    .invlpg = privop_invlpg,
};

static const struct emul_ops fep_ops = {
    .insn_fetch = privop_fetch,
    .validate = cpuid_only,
    .cpuid = privop_cpuid,
    .segment = pv_emul_segment,
};

/* Acts on the emulator's verdict; false: not ours. */
static bool finish(struct emul_ctxt *ctxt, int result)
{
    struct cpu_user_regs *regs = ctxt->regs;

    switch (result) {
    case EMUL_OKAY:
        /* Whoever emulated has changed rcx or r11 perhaps: a SYSRET would lose them. */
        regs->entry_vector &= ~0x100u;
        if (ctxt->retire.singlestep)
            current->arch.pv.dr[6] |= 0x4000;
        if (ctxt->retire.singlestep || ctxt->retire.breakpoint)
            pv_inject_exception(regs, 1, 0);
        return true;
    case EMUL_RETRY:
        return true;
    case EMUL_EXCEPTION:
        if (ctxt->exception.vector == VEC_PF)
            pv_inject_page_fault(regs, ctxt->exception.cr2, ctxt->exception.error_code);
        else
            pv_inject_exception(regs, ctxt->exception.vector, ctxt->exception.error_code);
        return true;
    default:
        return false;
    }
}

bool pv_emulate_privileged_op(struct cpu_user_regs *regs)
{
    struct emul_ctxt ctxt;

    pv_emul_init(&ctxt, regs, &privop_ops);
    return finish(&ctxt, x86_emulate(&ctxt));
}

bool pv_emulate_invalid_op(struct cpu_user_regs *regs)
{
    struct emul_ctxt ctxt;
    struct cpu_user_regs saved = *regs;
    int ret;

    pv_emul_init(&ctxt, regs, &fep_ops);
    if (emul_strip_fep(&ctxt) != EMUL_OKAY)
        return false;
    ret = x86_emulate(&ctxt);
    if (ret == EMUL_UNHANDLEABLE) {
        *regs = saved;
        return false;
    }
    return finish(&ctxt, ret);
}
