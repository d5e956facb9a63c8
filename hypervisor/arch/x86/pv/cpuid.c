// SPDX-License-Identifier: MIT
/*
 * CPUID for PV guests: by the forced-emulation prefix, or after a fault where the CPU offers
 * CPUID faulting.
 */
#include "arch/x86/cpu/policy.h"
#include "asm/regs.h"
#include "lib/bitops.h"
#include "mem/mem.h"
#include "pv.h"
#include <xen/arch-x86/cpuid.h>

#define F1_ECX_XSAVE   (1u << 26)
#define F1_ECX_OSXSAVE (1u << 27)

void pv_cpuid(const struct vcpu *v, uint32_t leaf, uint32_t subleaf, struct emul_cpuid *res)
{
    cpu_policy_cpuid(v, leaf, subleaf, res);
    if (leaf == CPUID_HYPERVISOR + 2)
        res->c = XEN_CPUID_FEAT1_MMU_PT_UPDATE_PRESERVE_AD;
    if (leaf == CPUID_HYPERVISOR + 5 && !subleaf)
        res->b = fls_index(max_page - 1) + 1 + PAGE_SHIFT; /* the width of machine addresses */
    /* Kernels look for it before they set it: without it they would leave XSAVE alone. */
    if (leaf == 1 &&
        ((v->arch.pv.ctrlreg[4] & CR4_OSXSAVE) || (in_kernel_mode(v) && (res->c & F1_ECX_XSAVE))))
        res->c |= F1_ECX_OSXSAVE;
}
