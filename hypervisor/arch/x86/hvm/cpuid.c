// SPDX-License-Identifier: MIT
/*
 * CPUID for hardware-virtualised guests: the domain's policy, what depends on the vcpu's state, and
 * the hypervisor's leaves (arch-x86/cpuid.h).
 */
#include "arch/x86/cpu/policy.h"
#include "arch/x86/hvm/hvm.h"
#include "arch/x86/time/time.h"
#include "asm/cpufeature.h"
#include "asm/msr.h"
#include "asm/regs.h"
#include <xen/arch-x86/cpuid.h>

#define F1_EDX_APIC    (1u << 9)
#define F1_ECX_OSXSAVE (1u << 27)
#define F7_ECX_OSPKE   (1u << 4)
#define FD_XSAVEC      (1u << 1)
#define MSR_HYPERCALL  0x40000000

static void xen_leaf(const struct vcpu *v, uint32_t leaf, uint32_t subleaf, struct emul_cpuid *res)
{
    const struct domain *d = v->domain;

    switch (leaf & 0xff) {
    case 0:
        *res = (struct emul_cpuid){0x40000000 + XEN_CPUID_MAX_NUM_LEAVES, XEN_CPUID_SIGNATURE_EBX,
                                   XEN_CPUID_SIGNATURE_ECX, XEN_CPUID_SIGNATURE_EDX};
        break;
    case 1:
        res->a = 4 << 16 | 17;
        break;
    case 2:
        res->a = 1; /* hypercall pages */
        res->b = MSR_HYPERCALL;
        break;
    case 3:
        if (subleaf == 0) {
            res->a = d->arch.vtsc ? 1 : 0;
            res->b = d->arch.tsc_mode;
            res->c = d->arch.tsc_khz;
            res->d = d->arch.tsc_incarnation;
        } else if (subleaf == 2)
            res->a = cpu_khz;
        break;
    case 4:
        /* Not XEN_HVM_CPUID_UPCALL_VECTOR, though there is that: its upcalls come by way of the
         * local APIC, and each would need an end of interrupt, which exits. */
        res->a =
            XEN_HVM_CPUID_X2APIC_VIRT | XEN_HVM_CPUID_VCPU_ID_PRESENT | XEN_HVM_CPUID_DOMID_PRESENT;
        res->b = v->vcpu_id;
        res->c = d->id;
        break;
    default:
        break;
    }
}

void hvm_cpuid(const struct vcpu *v, uint32_t leaf, uint32_t subleaf, struct emul_cpuid *res)
{
    const xen_cpuid_leaf_t *l;

    *res = (struct emul_cpuid){0};
    if (leaf >= 0x40000000 && leaf < 0x40000100) {
        xen_leaf(v, leaf, subleaf, res);
        return;
    }
    l = cpu_policy_find(v->domain->arch.cpu_policy, leaf, subleaf);
    if (!l)
        return;
    *res = (struct emul_cpuid){l->a, l->b, l->c, l->d};
    switch (leaf) {
    case 1:
        res->b = (res->b & 0xffffff) | vlapic_id(v) << 24;
        if (!(v->arch.hvm->lapic.base & APIC_BASE_ENABLE))
            res->d &= ~F1_EDX_APIC;
        if (hvm_vendor->get_cr(v, 4) & CR4_OSXSAVE)
            res->c |= F1_ECX_OSXSAVE;
        break;
    case 7:
        if (!subleaf && (hvm_vendor->get_cr(v, 4) & CR4_PKE))
            res->c |= F7_ECX_OSPKE;
        break;
    case 0xb:
        res->d = vlapic_id(v);
        break;
    case 0xd:
        /* The sizes are what the CPU says for the guest's own XCR0. */
        if ((subleaf == 0 && res->a) || (subleaf == 1 && (res->a & FD_XSAVEC)))
            res->b = cpuid_count(0xd, subleaf).b;
        break;
    default:
        break;
    }
}
