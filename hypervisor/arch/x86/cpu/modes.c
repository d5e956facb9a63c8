// SPDX-License-Identifier: MIT
#include "modes.h"
#include "asm/cpufeature.h"
#include "asm/msr.h"
#include "asm/regs.h"
#include "policy.h"

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

uint64_t cpu_policy_cr4(const struct cpu_policy *p)
{
    const xen_cpuid_leaf_t *l1 = cpu_policy_find(p, 1, 0), *l7 = cpu_policy_find(p, 7, 0);
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

uint64_t cpu_own_cr4(void)
{
    struct cpuid_regs l1 = cpuid(1), l7 = {0};

    if (host_cpu.max_leaf >= 7)
        l7 = cpuid_count(7, 0);
    return cr4_by((uint32_t[]){l1.c, l1.d, l7.b, l7.c, l7.d});
}

/* The bits of EFER for what p shows, and LMA. */
static uint64_t valid_efer(const struct cpu_policy *p)
{
    static const struct {
        uint32_t efer, bit; /* of edx of leaf 0x80000001 */
    } needs[] = {{EFER_SCE, 11}, {EFER_NXE, 20}, {EFER_FFXSR, 25}, {EFER_LME, 29}};
    const xen_cpuid_leaf_t *l = cpu_policy_find(p, 0x80000001, 0);
    uint64_t valid = EFER_LMA;

    for (unsigned i = 0; i < ARRAY_SIZE(needs); i++)
        if (l && (l->d >> needs[i].bit & 1))
            valid |= needs[i].efer;
    return valid;
}

bool cpu_modes_valid(const struct cpu_policy *p, uint64_t cr0, uint64_t cr4, uint64_t efer)
{
    bool paging = cr0 & CR0_PG, lma = efer & EFER_LMA;

    if ((cr0 & ~CR0_VALID) || (cr4 & ~cpu_policy_cr4(p)) || (efer & ~valid_efer(p)))
        return false;
    if ((paging && !(cr0 & CR0_PE)) || ((cr0 & CR0_NW) && !(cr0 & CR0_CD)))
        return false;
    if ((cr4 & CR4_CET) && !(cr0 & CR0_WP))
        return false;
    if (lma != (paging && (efer & EFER_LME)))
        return false;
    return lma ? cr4 & CR4_PAE : !(cr4 & CR4_PCIDE);
}

bool cpu_cr3_valid(uint64_t cr3)
{
    return !(cr3 >> min(host_cpu.phys_bits, 52u));
}
