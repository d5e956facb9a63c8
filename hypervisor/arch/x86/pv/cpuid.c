// SPDX-License-Identifier: MIT
/*
 * CPUID for PV guests: by the forced-emulation prefix, or after a fault where the CPU offers
 * CPUID faulting.  The domain's policy, and the hypervisor's leaves (arch-x86/cpuid.h).
 */
#include "arch/x86/cpu/policy.h"
#include "arch/x86/time/time.h"
#include "asm/cpufeature.h"
#include "asm/regs.h"
#include "cpuid.h"
#include "pv.h"
#include <xen/arch-x86/cpuid.h>
#include <xen/version.h>

#define F1_ECX_XSAVE   (1u << 26)
#define F1_ECX_OSXSAVE (1u << 27)

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
    const xen_cpuid_leaf_t *l;

    memset(res, 0, sizeof(*res));
    if (leaf >= 0x40000000 && leaf < 0x40000100) {
        xen_leaf(v, leaf, subleaf, res);
        return;
    }
    l = cpu_policy_find(v->domain->arch.cpu_policy, leaf, subleaf);
    if (!l)
        return;
    *res = (struct cpuid_result){l->a, l->b, l->c, l->d};
    if (leaf == 1) {
        res->b |= v->vcpu_id << 25; /* APIC ID */
        /* Kernels look for it before they set it: without it they would leave XSAVE alone. */
        if ((v->arch.pv.ctrlreg[4] & CR4_OSXSAVE) || (in_kernel_mode(v) && (res->c & F1_ECX_XSAVE)))
            res->c |= F1_ECX_OSXSAVE;
    }
    /* The sizes are what the CPU says for the guest's own XCR0. */
    if (leaf == 0xd && subleaf <= 1 && res->a)
        res->b = cpuid_count(0xd, subleaf).b;
}
