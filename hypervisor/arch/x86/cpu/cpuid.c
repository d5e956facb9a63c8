// SPDX-License-Identifier: MIT
/*
 * What CPUID tells a vcpu, whatever kind of guest it is of: its domain's policy, its own numbers,
 * and the hypervisor's leaves (arch-x86/cpuid.h).
 */
#include "arch/x86/emulate/emulate.h"
#include "arch/x86/time/time.h"
#include "asm/apic.h"
#include "asm/regs.h"
#include "domain/domain.h"
#include "policy.h"
#include <xen/arch-x86/cpuid.h>

#define MSR_HYPERCALL 0x40000000u
#define F1_X2APIC     (1u << 21)
#define FD_XSAVEC     (1u << 1)
#define FEXT_RDTSCP   (1u << 27)

/* Bits of the time leaf. */
#define TIME_EMULATED 1u
#define TIME_RELIABLE 2u
#define TIME_RDTSCP   4u

static void time_leaf(const struct domain *d, uint32_t subleaf, struct emul_cpuid *res)
{
    const xen_cpuid_leaf_t *l = cpu_policy_find(d->arch.cpu_policy, 0x80000001, 0);

    if (subleaf == 0) {
        res->a = (d->arch.vtsc ? TIME_EMULATED : 0) | (tsc_trusted() ? TIME_RELIABLE : 0) |
                 (l && (l->d & FEXT_RDTSCP) ? TIME_RDTSCP : 0);
        res->b = d->arch.tsc_mode;
        res->c = d->arch.tsc_khz;
        res->d = d->arch.tsc_incarnation;
    } else if (subleaf == 2)
        res->a = cpu_khz;
}

static void hypervisor_leaf(const struct vcpu *v, uint32_t leaf, uint32_t subleaf,
                            struct emul_cpuid *res)
{
    const struct domain *d = v->domain;

    switch (leaf - CPUID_HYPERVISOR) {
    case 0:
        *res = (struct emul_cpuid){CPUID_HYPERVISOR + XEN_CPUID_MAX_NUM_LEAVES,
                                   XEN_CPUID_SIGNATURE_EBX, XEN_CPUID_SIGNATURE_ECX,
                                   XEN_CPUID_SIGNATURE_EDX};
        break;
    case 1:
        res->a = 4 << 16 | 17;
        break;
    case 2:
        res->a = 1; /* hypercall pages */
        res->b = MSR_HYPERCALL;
        break;
    case 3:
        time_leaf(d, subleaf, res);
        break;
    default: /* leaves 4 and 5 are of the kinds */
        break;
    }
}

void cpu_policy_cpuid(const struct vcpu *v, uint32_t leaf, uint32_t subleaf, struct emul_cpuid *res)
{
    const xen_cpuid_leaf_t *l;

    *res = (struct emul_cpuid){0};
    if ((leaf & ~0xffu) == CPUID_HYPERVISOR) {
        hypervisor_leaf(v, leaf, subleaf, res);
        return;
    }
    l = cpu_policy_find(v->domain->arch.cpu_policy, leaf, subleaf);
    if (!l)
        return;
    *res = (struct emul_cpuid){l->a, l->b, l->c, l->d};
    switch (leaf) {
    case 1:
        res->b = (res->b & 0xffffff) | vcpu_apic_id(v->vcpu_id) << 24;
        break;
    case 0xb: /* goes with the x2APIC; of how the host's CPUs are joined it tells nothing */
        l = cpu_policy_find(v->domain->arch.cpu_policy, 1, 0);
        *res = (struct emul_cpuid){0};
        if (l && (l->c & F1_X2APIC)) {
            res->c = subleaf & 0xff;
            res->d = vcpu_apic_id(v->vcpu_id);
        }
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
