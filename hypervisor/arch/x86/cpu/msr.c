// SPDX-License-Identifier: MIT
/* MSRs that hold the same whatever kind of guest reads them. */
#include "asm/msr.h"
#include "asm/cpufeature.h"
#include "domain/domain.h"
#include "policy.h"

bool cpu_policy_rdmsr(const struct vcpu *v, uint32_t msr, uint64_t *val)
{
    *val = 0;
    switch (msr) {
    case MSR_PLATFORM_INFO:
        *val = v->domain->arch.cpu_policy->cpuid_faulting ? PLATFORM_CPUID_FAULT : 0;
        return true;
    case MSR_MISC_FEATURES:
        *val = v->arch.cpuid_faults ? FEATURES_CPUID_FAULT : 0;
        return true;
    case MSR_DE_CFG:
        *val = mitigations.lfence ? DE_CFG_LFENCE_SERIAL : 0;
        return cpu_is_amd();
    case MSR_HWCR:
    case MSR_SYSCFG:
        return cpu_is_amd();
    case MSR_UCODE_REV:
    case MSR_MCG_CAP:
    case MSR_MCG_STATUS:
        return true;
    default:
        return false;
    }
}

bool cpu_set_misc_features(struct vcpu *v, uint64_t val)
{
    if (val & ~(uint64_t)FEATURES_CPUID_FAULT)
        return false;
    if (val && !v->domain->arch.cpu_policy->cpuid_faulting)
        return false;
    v->arch.cpuid_faults = val;
    return true;
}

bool cpu_pat_valid(uint64_t val)
{
    for (unsigned i = 0; i < 64; i += 8) {
        uint8_t type = val >> i;

        if (type > 7 || type == 2 || type == 3)
            return false;
    }
    return true;
}
