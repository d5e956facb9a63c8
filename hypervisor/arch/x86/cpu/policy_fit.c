// SPDX-License-Identifier: MIT
/*
 * Parts of a CPU policy that mean nothing without others: features that build on one that is
 * hidden, and in leaf 0xd the state components (SDM volume 1, 13.2) of features that are.
 */
#include "policy.h"
#include "asm/cpufeature.h"
#include "asm/fpu.h"
#include "asm/regs.h"

static xen_cpuid_leaf_t *find(const struct cpu_policy *p, uint32_t leaf, uint32_t subleaf)
{
    return (xen_cpuid_leaf_t *)cpu_policy_find(p, leaf, subleaf);
}

/* The register that holds this word of features; NULL: the policy has no such leaf. */
static uint32_t *word_of(const struct cpu_policy *p, unsigned feature)
{
    static const struct {
        uint32_t leaf;
        uint8_t subleaf, reg;
    } where[] = {{1, 0, 3},   {1, 0, 2}, {0x80000001, 0, 3}, {0x80000001, 0, 2},
                 {0xd, 1, 0}, {7, 0, 1}, {7, 0, 2}};
    xen_cpuid_leaf_t *l = find(p, where[feature / 32].leaf, where[feature / 32].subleaf);

    return l ? &l->a + where[feature / 32].reg : NULL;
}

static bool has(const struct cpu_policy *p, unsigned feature)
{
    const uint32_t *word = word_of(p, feature);

    return word && (*word >> feature % 32 & 1);
}

static void drop(struct cpu_policy *p, unsigned feature)
{
    uint32_t *word = word_of(p, feature);

    if (word)
        *word &= ~(1u << feature % 32);
}

#define XEN_X86_FEATURE_LA57 (6 * 32 + 16) /* the header does not name it */
#define NEEDS(a, b)                                                                                \
    {                                                                                              \
        XEN_X86_FEATURE_##a, XEN_X86_FEATURE_##b                                                   \
    }

/* In an order in which one pass does. */
static const struct {
    uint8_t feature, needs;
} dependencies[] = {
    NEEDS(SSE, FXSR),       NEEDS(SSE2, SSE),      NEEDS(SSE3, SSE2),  NEEDS(SSSE3, SSE3),
    NEEDS(SSE4_1, SSSE3),   NEEDS(SSE4_2, SSE4_1), NEEDS(SSE4A, SSE3), NEEDS(AESNI, SSE2),
    NEEDS(PCLMULQDQ, SSE2), NEEDS(SHA, SSE2),      NEEDS(XSAVE, FXSR), NEEDS(XSAVEOPT, XSAVE),
    NEEDS(XSAVEC, XSAVE),   NEEDS(XGETBV1, XSAVE), NEEDS(AVX, XSAVE),  NEEDS(AVX, SSE2),
    NEEDS(AVX2, AVX),       NEEDS(FMA, AVX),       NEEDS(F16C, AVX),   NEEDS(XOP, AVX),
    NEEDS(FMA4, AVX),       NEEDS(PKU, XSAVE),     NEEDS(NX, PAE),     NEEDS(LM, PAE),
    NEEDS(LAHF_LM, LM),     NEEDS(PAGE1GB, LM),    NEEDS(LA57, LM),    NEEDS(PCID, LM),
};

/* What XCR0 may hold by the features that are shown. */
static uint64_t components(const struct cpu_policy *p)
{
    uint64_t res = XCR0_X87 | XCR0_SSE;

    if (!has(p, XEN_X86_FEATURE_XSAVE))
        return 0;
    if (has(p, XEN_X86_FEATURE_AVX))
        res |= XCR0_YMM;
    if (has(p, XEN_X86_FEATURE_AVX512F))
        res |= XCR0_AVX512;
    if (has(p, XEN_X86_FEATURE_PKU))
        res |= XCR0_PKRU;
    return res;
}

static void fit_components(struct cpu_policy *p)
{
    xen_cpuid_leaf_t *all = find(p, 0xd, 0), *features = find(p, 0xd, 1);
    uint64_t may = components(p);
    uint32_t size = may ? XSAVE_MIN_SIZE : 0;

    if (!all)
        return;
    all->a &= may;
    all->d &= may >> 32;
    may = all->a | (uint64_t)all->d << 32;
    if (!may && features)
        features->a = features->b = features->c = features->d = 0;
    for (unsigned i = 2; i < 63; i++) {
        xen_cpuid_leaf_t *l = find(p, 0xd, i);

        if (!l)
            continue;
        if (!(may >> i & 1))
            l->a = l->b = l->c = l->d = 0;
        else if (l->a + l->b > size)
            size = l->a + l->b;
    }
    all->b = all->c = size;
}

void cpu_policy_fit(struct cpu_policy *p)
{
    for (unsigned i = 0; i < ARRAY_SIZE(dependencies); i++)
        if (!has(p, dependencies[i].needs))
            drop(p, dependencies[i].feature);
    fit_components(p);
}

uint64_t cpu_policy_xcr0(const struct cpu_policy *p)
{
    const xen_cpuid_leaf_t *l = cpu_policy_find(p, 0xd, 0);

    return l && has(p, XEN_X86_FEATURE_XSAVE) ? l->a | (uint64_t)l->d << 32 : 0;
}
