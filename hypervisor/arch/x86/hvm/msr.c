// SPDX-License-Identifier: MIT
/*
 * MSRs that a guest names by RDMSR and WRMSR and that the CPU does not give it directly.  What is
 * in no row here does not exist: #GP, but for a few that kernels look at without asking first.
 */
#include "arch/x86/cpu/policy.h"
#include "arch/x86/hvm/hvm.h"
#include "arch/x86/time/time.h"
#include "asm/cpufeature.h"
#include "asm/msr.h"
#include "asm/regs.h"
#include "hypercall/guest_access.h"
#include "kernel/console.h"

#define MSR_MTRR_VAR       0x200
#define MSR_MTRR_VAR_END   0x210
#define MSR_MTRR_FIX64     0x250
#define MSR_MTRR_FIX16     0x258
#define MSR_MTRR_FIX4      0x268
#define MSR_MTRR_DEF_TYPE  0x2ff
#define MSR_HYPERCALL_PAGE 0x40000000
#define MSR_K7_EVNTSEL0    0xc0010000 /* four, and as many counters behind them */
#define MSR_K7_PERFCTR3    0xc0010007
#define MSR_K8_INT_PENDING 0xc0010055
#define MTRR_CAP           0x508 /* eight variable ranges, fixed ones, write combining */

static uint64_t *mtrr(struct vcpu *v, uint32_t msr)
{
    struct hvm_vcpu *h = v->arch.hvm;

    if (msr >= MSR_MTRR_VAR && msr < MSR_MTRR_VAR_END)
        return &h->mtrr_var[msr - MSR_MTRR_VAR];
    if (msr == MSR_MTRR_FIX64)
        return &h->mtrr_fixed[0];
    if (msr == MSR_MTRR_FIX16 || msr == MSR_MTRR_FIX16 + 1)
        return &h->mtrr_fixed[1 + msr - MSR_MTRR_FIX16];
    if (msr >= MSR_MTRR_FIX4 && msr < MSR_MTRR_FIX4 + 8)
        return &h->mtrr_fixed[3 + msr - MSR_MTRR_FIX4];
    return msr == MSR_MTRR_DEF_TYPE ? &h->mtrr_def_type : NULL;
}

bool hvm_rdmsr(struct vcpu *v, uint32_t msr, uint64_t *val)
{
    const uint64_t *p = mtrr(v, msr);

    *val = 0;
    if (p) {
        *val = *p;
        return true;
    }
    if (msr == MSR_APIC_BASE || msr == MSR_TSC_DEADLINE || (msr >> 8) == MSR_X2APIC_FIRST >> 8)
        return vlapic_rdmsr(v, msr, val);
    switch (msr) {
    case MSR_TSC:
        *val = arch_guest_tsc(v);
        return true;
    case MSR_TSC_AUX:
        *val = v->arch.hvm->tsc_aux;
        return cpu_has(RDTSCP);
    case MSR_MTRR_CAP:
        *val = MTRR_CAP;
        return true;
    case MSR_VM_CR:
    case MSR_K8_INT_PENDING:
    case MSR_K7_EVNTSEL0 ... MSR_K7_PERFCTR3: /* they count nothing */
        return true;
    default:
        return cpu_policy_rdmsr(v, msr, val) || hvm_vendor->get_msr(v, msr, val);
    }
}

/* The page of hypercall stubs goes to that frame. */
static bool write_hypercall_page(struct vcpu *v, uint64_t val)
{
    struct page_info *pg;

    if (val & (PAGE_SIZE - 1)) /* only page 0 exists */
        return false;
    pg = p2m_get_page(v->domain, _gfn(val >> PAGE_SHIFT));
    if (!pg)
        return false;
    hvm_hypercall_page(v->domain, page_to_virt(pg));
    p2m_mark_dirty(v->domain, _gfn(val >> PAGE_SHIFT));
    hvm_latch_width(v);
    put_page(pg);
    return true;
}

bool hvm_wrmsr(struct vcpu *v, uint32_t msr, uint64_t val)
{
    uint64_t *p = mtrr(v, msr);

    if (p) {
        *p = val; /* kept only: what a guest maps is RAM, and its PAT counts */
        return true;
    }
    if (msr == MSR_APIC_BASE || msr == MSR_TSC_DEADLINE || (msr >> 8) == MSR_X2APIC_FIRST >> 8)
        return vlapic_wrmsr(v, msr, val);
    switch (msr) {
    case MSR_TSC_AUX:
        if (!cpu_has(RDTSCP) || val >> 32)
            return false;
        v->arch.hvm->tsc_aux = val;
        wrmsr(MSR_TSC_AUX, val);
        return true;
    case MSR_HYPERCALL_PAGE:
        return write_hypercall_page(v, val);
    case MSR_TSC: /* the clock is the hypervisor's: dropped */
    case MSR_UCODE_REV:
    case MSR_MCG_STATUS:
    case MSR_HWCR:
    case MSR_DE_CFG:
    case MSR_K7_EVNTSEL0 ... MSR_K7_PERFCTR3: /* kernels stop them all without a look at CPUID */
        return true;
    case MSR_MISC_FEATURES:
        return cpu_set_misc_features(v, val);
    case MSR_EFER:
        return hvm_write_efer(v, val);
    default:
        return hvm_vendor->set_msr(v, msr, val);
    }
}
