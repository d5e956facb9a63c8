// SPDX-License-Identifier: MIT
/*
 * Writes of control registers, XCR0 and EFER that the CPU cannot be left alone with.
 *
 * What a guest may set in CR4 and EFER goes by its domain's CPU policy, and the CPU goes by its own
 * features.  Where it has none that the policy hides, writes of CR4 do not leave the guest at all.
 * Paging is turned on and off here, so that the vendor never sees the guest's modes half changed.
 */
#include "arch/x86/cpu/policy.h"
#include "arch/x86/hvm/hvm.h"
#include "asm/cpufeature.h"
#include "asm/fpu.h"
#include "asm/msr.h"
#include "asm/regs.h"

#define CR4_CET      (UL_(1) << 23)
#define CR3_NO_FLUSH (1ULL << 63)
#define CR0_VALID                                                                                  \
    (CR0_PE | CR0_MP | CR0_EM | CR0_TS | CR0_ET | CR0_NE | CR0_WP | CR0_AM | CR0_NW | CR0_CD |     \
     CR0_PG)

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

static uint64_t get_efer(const struct vcpu *v)
{
    uint64_t efer = 0;

    hvm_vendor->get_msr(v, MSR_EFER, &efer);
    return efer;
}

static bool load_cr0(struct vcpu *v, uint64_t val)
{
    uint64_t old = hvm_vendor->get_cr(v, 0), cr4 = hvm_vendor->get_cr(v, 4), efer = get_efer(v);

    if (val >> 32 || ((val & CR0_PG) && !(val & CR0_PE)) || ((val & CR0_NW) && !(val & CR0_CD)))
        return false;
    val = (val & CR0_VALID) | CR0_ET;
    if ((val & ~old & CR0_PG) && (efer & EFER_LME)) {
        if (!(cr4 & CR4_PAE) || hvm_long_mode(v))
            return false;
        efer |= EFER_LMA;
    } else if ((old & ~val & CR0_PG) && (efer & EFER_LMA)) {
        if ((cr4 & CR4_PCIDE) || hvm_long_mode(v))
            return false;
        efer &= ~(uint64_t)EFER_LMA;
    }
    hvm_vendor->set_cr(v, 0, val);
    hvm_vendor->set_msr(v, MSR_EFER, efer);
    if ((val ^ old) & (CR0_PG | CR0_PE | CR0_WP))
        hvm_flush_tlb(v);
    return true;
}

static bool load_cr4(struct vcpu *v, uint64_t val)
{
    uint64_t changes = val ^ hvm_vendor->get_cr(v, 4);
    bool lma = get_efer(v) & EFER_LMA;

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
    return cr == 0 ? load_cr0(v, val) : cr == 3 ? load_cr3(v, val) : load_cr4(v, val);
}

uint64_t hvm_efer_valid(const struct domain *d)
{
    static const struct {
        uint32_t efer, bit; /* of edx of leaf 0x80000001 */
    } needs[] = {{EFER_SCE, 11}, {EFER_NXE, 20}, {EFER_FFXSR, 25}, {EFER_LME, 29}};
    const xen_cpuid_leaf_t *l = cpu_policy_find(d->arch.cpu_policy, 0x80000001, 0);
    uint64_t valid = EFER_LMA;

    for (unsigned i = 0; i < ARRAY_SIZE(needs); i++)
        if (l && (l->d >> needs[i].bit & 1))
            valid |= needs[i].efer;
    return valid;
}

bool hvm_write_efer(struct vcpu *v, uint64_t val)
{
    uint64_t old = get_efer(v);

    if (val & ~hvm_efer_valid(v->domain))
        return false;
    if (((val ^ old) & EFER_LME) && (hvm_vendor->get_cr(v, 0) & CR0_PG))
        return false;
    val = (val & ~(uint64_t)EFER_LMA) | (old & EFER_LMA); /* follows from CR0.PG */
    if (!hvm_vendor->set_msr(v, MSR_EFER, val))
        return false;
    if ((val ^ old) & EFER_NXE)
        hvm_flush_tlb(v);
    return true;
}

bool hvm_write_xcr0(struct vcpu *v, uint64_t val)
{
    return fpu_set_xcr0(v, val);
}
