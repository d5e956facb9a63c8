// SPDX-License-Identifier: MIT
/*
 * Writes of control registers that the CPU cannot be left alone with: what a guest may set in CR4
 * goes by its domain's CPU policy, and the CPU goes by its own features.  Where it has none that
 * the policy hides, such writes do not leave the guest at all.
 */
#include "arch/x86/cpu/policy.h"
#include "arch/x86/hvm/hvm.h"
#include "asm/cpufeature.h"
#include "asm/msr.h"
#include "asm/regs.h"

#define CR4_CET      (UL_(1) << 23)
#define CR3_NO_FLUSH (1ULL << 63)

/* The words of leaves 1 and 7 that say which bits of CR4 there are. */
enum { F1_C, F1_D, F7_B, F7_C, F7_D, NR_WORDS };

static const struct {
    uint32_t cr4;
    uint8_t word, bit;
} cr4_needs[] = {
    {CR4_VME | CR4_PVI, F1_D, 1}, {CR4_DE, F1_D, 2},     {CR4_PSE, F1_D, 3},
    {CR4_PAE, F1_D, 6},           {CR4_MCE, F1_D, 7},    {CR4_PGE, F1_D, 13},
    {CR4_OSFXSR, F1_D, 24},       {CR4_UMIP, F7_C, 2},   {CR4_LA57, F7_C, 16},
    {CR4_VMXE, F1_C, 5},          {CR4_PCIDE, F1_C, 17}, {CR4_OSXSAVE, F1_C, 26},
    {CR4_OSXMMEXCPT, F1_D, 25},   {CR4_SMEP, F7_B, 7},   {CR4_SMAP, F7_B, 20},
    {CR4_FSGSBASE, F7_B, 0},      {CR4_PKE, F7_C, 3},    {CR4_CET, F7_C, 7},
    {CR4_CET, F7_D, 20},
};

static uint64_t cr4_by(const uint32_t *words)
{
    uint64_t valid = CR4_TSD | CR4_PCE;

    for (unsigned i = 0; i < ARRAY_SIZE(cr4_needs); i++)
        if (words[cr4_needs[i].word] >> cr4_needs[i].bit & 1)
            valid |= cr4_needs[i].cr4;
    return valid;
}

uint64_t hvm_cr4_valid(const struct domain *d)
{
    const xen_cpuid_leaf_t *l1 = cpu_policy_find(d->arch.cpu_policy, 1, 0);
    const xen_cpuid_leaf_t *l7 = cpu_policy_find(d->arch.cpu_policy, 7, 0);
    uint32_t words[NR_WORDS] = {0};

    if (l1) {
        words[F1_C] = l1->c;
        words[F1_D] = l1->d;
    }
    if (l7) {
        words[F7_B] = l7->b;
        words[F7_C] = l7->c;
        words[F7_D] = l7->d;
    }
    return cr4_by(words);
}

bool hvm_cr4_exits(const struct domain *d)
{
    struct cpuid_regs l1 = cpuid(1), l7 = {0};

    if (host_cpu.max_leaf >= 7)
        l7 = cpuid_count(7, 0);
    return cr4_by((uint32_t[]){l1.c, l1.d, l7.b, l7.c, l7.d}) & ~hvm_cr4_valid(d);
}

static bool long_mode_active(const struct vcpu *v)
{
    uint64_t efer = 0;

    hvm_vendor->get_msr(v, MSR_EFER, &efer);
    return efer & EFER_LMA;
}

static bool load_cr4(struct vcpu *v, uint64_t val)
{
    uint64_t changes = val ^ hvm_vendor->get_cr(v, 4);
    bool lma = long_mode_active(v);

    if (val & ~hvm_cr4_valid(v->domain))
        return false;
    if (lma && (!(val & CR4_PAE) || (changes & CR4_LA57)))
        return false;
    if ((changes & val & CR4_PCIDE) && (!lma || (hvm_vendor->get_cr(v, 3) & 0xfff)))
        return false;
    hvm_vendor->set_cr(v, 4, val);
    if (changes & (CR4_PSE | CR4_PAE | CR4_PGE | CR4_LA57 | CR4_PCIDE | CR4_SMEP))
        hvm_flush_tlb(v);
    return true;
}

static bool load_cr3(struct vcpu *v, uint64_t val)
{
    if (hvm_vendor->get_cr(v, 4) & CR4_PCIDE)
        val &= ~CR3_NO_FLUSH; /* flushed all the same */
    if (val >> min(host_cpu.phys_bits, 52u))
        return false;
    hvm_vendor->set_cr(v, 3, val);
    hvm_flush_tlb(v);
    return true;
}

bool hvm_write_cr(struct vcpu *v, unsigned cr, uint64_t val)
{
    return cr == 3 ? load_cr3(v, val) : load_cr4(v, val);
}
