// SPDX-License-Identifier: MIT
/*
 * CPUID for PV guests: by the forced-emulation prefix, or after a fault where the CPU offers
 * CPUID faulting.  The host's leaves, less what a PV guest cannot use (whatever needs ring 0 or
 * page tables of the guest's own making), and the hypervisor's leaves (arch-x86/cpuid.h).
 */
#include "arch/x86/time/time.h"
#include "asm/cpufeature.h"
#include "asm/regs.h"
#include "cpuid.h"
#include "pv.h"
#include <xen/arch-x86/cpuid.h>
#include <xen/version.h>

#define PV_1_EDX  0x1789c3f5u /* no VME, PSE, SEP, MTRR, PGE, PSE36 */
#define PV_1_ECX  0x76d83203u /* no MONITOR, VMX, x2APIC, PCID, TSC deadline, OSXSAVE */
#define PV_7_EBX  0x219c0329u
#define PV_81_ECX 0x002109e3u /* no SVM */
#define PV_81_EDX 0x2991cbf5u
#define F1_ECX_HYPERVISOR (1u << 31)
#define F1_ECX_OSXSAVE    (1u << 27)

static void xen_leaf(const struct vcpu *v, uint32_t leaf, uint32_t subleaf,
                     struct cpuid_result *res)
{
    const struct domain *d = v->domain;

    switch (leaf & 0xff) {
    case 0:
        res->a = 0x40000000 + XEN_CPUID_MAX_NUM_LEAVES;
        res->b = XEN_CPUID_SIGNATURE_EBX;
        res->c = XEN_CPUID_SIGNATURE_ECX;
        res->d = XEN_CPUID_SIGNATURE_EDX;
        break;
    case 1:
        res->a = 4 << 16 | 17;
        break;
    case 2:
        res->a = 1; /* hypercall pages */
        res->b = 0x40000000;
        res->c = XEN_CPUID_FEAT1_MMU_PT_UPDATE_PRESERVE_AD;
        break;
    case 3:
        if (subleaf == 0 && !d->is_privileged) {
            res->a = d->arch.vtsc ? 1 : 0;
            res->b = d->arch.tsc_mode;
            res->c = cpu_khz;
            res->d = d->arch.tsc_incarnation;
        } else if (subleaf == 2)
            res->a = cpu_khz;
        break;
    case 5:
        res->b = host_cpu.phys_bits - PAGE_SHIFT > 32 ? 32 : host_cpu.phys_bits - PAGE_SHIFT;
        break;
    default:
        break;
    }
}

void pv_cpuid(const struct vcpu *v, uint32_t leaf, uint32_t subleaf, struct cpuid_result *res)
{
    struct cpuid_regs r;

    memset(res, 0, sizeof(*res));
    if (leaf >= 0x40000000 && leaf < 0x40000100) {
        xen_leaf(v, leaf, subleaf, res);
        return;
    }
    if (leaf > (leaf & 0x80000000 ? host_cpu.max_ext_leaf : host_cpu.max_leaf))
        return;
    r = cpuid_count(leaf, subleaf);
    switch (leaf) {
    case 1:
        r.b = (r.b & 0x0000ffff) | v->vcpu_id << 25;
        r.c = (r.c & PV_1_ECX) | F1_ECX_HYPERVISOR;
        if (v->arch.pv.ctrlreg[4] & CR4_OSXSAVE)
            r.c |= F1_ECX_OSXSAVE;
        r.d &= PV_1_EDX;
        break;
    case 5:
    case 0xa:
    case 0xb:
        r = (struct cpuid_regs){0};
        break;
    case 7:
        if (subleaf)
            r = (struct cpuid_regs){0};
        else
            r = (struct cpuid_regs){.b = r.b & PV_7_EBX};
        break;
    case 0xd:
        if (subleaf == 1)
            r = (struct cpuid_regs){.a = r.a & 7}; /* no XSAVES */
        break;
    case 0x80000001:
        r.c &= PV_81_ECX;
        r.d &= PV_81_EDX;
        break;
    case 0x80000007:
        r = (struct cpuid_regs){.d = r.d & 0x100}; /* invariant TSC */
        break;
    case 0x8000000a:
        r = (struct cpuid_regs){0};
        break;
    default:
        if (leaf > 0xd && leaf < 0x80000000)
            r = (struct cpuid_regs){0};
        break;
    }
    *res = (struct cpuid_result){r.a, r.b, r.c, r.d};
}
