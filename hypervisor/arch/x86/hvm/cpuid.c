// SPDX-License-Identifier: MIT
/* CPUID for hardware-virtualised guests. */
#include "arch/x86/cpu/policy.h"
#include "arch/x86/hvm/hvm.h"
#include "asm/msr.h"
#include "asm/regs.h"
#include <xen/arch-x86/cpuid.h>

#define F1_EDX_APIC    (1u << 9)
#define F1_ECX_OSXSAVE (1u << 27)
#define F7_ECX_OSPKE   (1u << 4)

void hvm_cpuid(const struct vcpu *v, uint32_t leaf, uint32_t subleaf, struct emul_cpuid *res)
{
    cpu_policy_cpuid(v, leaf, subleaf, res);
    if (leaf == 1) {
        if (!(v->arch.hvm->lapic.base & APIC_BASE_ENABLE))
            res->d &= ~F1_EDX_APIC;
        if (hvm_vendor->get_cr(v, 4) & CR4_OSXSAVE)
            res->c |= F1_ECX_OSXSAVE;
    } else if (leaf == CPUID_HYPERVISOR + 4 && !subleaf) {
        /* Not XEN_HVM_CPUID_UPCALL_VECTOR, though there is that: its upcalls come by way of the
         * local APIC, and each would need an end of interrupt, which exits. */
        res->a =
            XEN_HVM_CPUID_X2APIC_VIRT | XEN_HVM_CPUID_VCPU_ID_PRESENT | XEN_HVM_CPUID_DOMID_PRESENT;
        res->b = v->vcpu_id;
        res->c = v->domain->id;
    } else if (leaf == 7 && !subleaf && (hvm_vendor->get_cr(v, 4) & CR4_PKE))
        res->c |= F7_ECX_OSPKE;
}
