// SPDX-License-Identifier: MIT
/* CPU policies: see policy.h. */
#include "policy.h"
#include "arch/api/arch_host.h"
#include "asm/cpufeature.h"
#include "asm/msr.h"
#include "asm/regs.h"
#include "domain/domain.h"
#include "domain/unit.h"
#include "hypercall/guest_access.h"
#include "hypercall/handlers.h"
#include "kernel/console.h"
#include "lib/errno.h"
#include "lib/string.h"

static struct cpu_policy cpu_policies[NR_POLICIES];

/*
 * What a PV guest may see of each word of features (cpufeatureset.h).  Left out is what needs
 * ring 0 or page tables of its own making: VME, PSE, SEP, MTRR, PGE, PSE36; MONITOR, VMX, SVM,
 * x2APIC, PCID, TSC deadline, SMEP, SMAP, UMIP, INVPCID, PKU, LA57, and what is not understood.
 */
struct leaf_masks {
    uint32_t leaf, subleaf;
    uint32_t a, b, c, d; /* masks */
};
#define NO_LEAF(n)                                                                                 \
    {                                                                                              \
        n, XEN_CPUID_NO_SUBLEAF, 0, 0, 0, 0                                                        \
    }
/* Sampling, profiling, topology, memory encryption, quality of service. */
#define NO_LEAVES_FROM_1B                                                                          \
    NO_LEAF(0x8000001b), NO_LEAF(0x8000001c), NO_LEAF(0x8000001d), NO_LEAF(0x8000001e),            \
        NO_LEAF(0x8000001f), NO_LEAF(0x80000020)
static const struct leaf_masks pv_masks[] = {
    {0x1, XEN_CPUID_NO_SUBLEAF, ~0u, ~0u, 0x76d83203, 0x1789c3f5},
    {0x5, XEN_CPUID_NO_SUBLEAF, 0, 0, 0, 0},
    {0x6, XEN_CPUID_NO_SUBLEAF, 0, 0, 0, 0},
    {0x7, 0, 0, 0x218c0329, 0, 0},
    {0x7, 1, 0, 0, 0, 0},
    {0xa, XEN_CPUID_NO_SUBLEAF, 0, 0, 0, 0},
    {0xd, 1, 0x7, 0, 0, 0}, /* no XSAVES */
    {0x80000001, XEN_CPUID_NO_SUBLEAF, ~0u, ~0u, 0x002109e3, 0x2991cbf5},
    {0x80000007, XEN_CPUID_NO_SUBLEAF, 0, 0, 0, 0x100},
    {0x80000008, XEN_CPUID_NO_SUBLEAF, ~0u, 0x5, ~0u, 0},
    {0x8000000a, XEN_CPUID_NO_SUBLEAF, 0, 0, 0, 0},
    NO_LEAVES_FROM_1B,
    {0x80000021, XEN_CPUID_NO_SUBLEAF, 0x4, 0, 0, 0},
};

/*
 * The same for a guest with a ring 0 of its own.  Left out is what the host does not switch or
 * share out: MONITOR, SVM, performance counters, power and thermal leaves.
 */
static const struct leaf_masks hvm_masks[] = {
    {0x1, XEN_CPUID_NO_SUBLEAF, ~0u, ~0u, 0x76da3203, 0x178bfbff},
    {0x5, XEN_CPUID_NO_SUBLEAF, 0, 0, 0, 0},
    {0x6, XEN_CPUID_NO_SUBLEAF, 0, 0, 0, 0},
    {0x7, 0, 0, 0x219c07a9, 0x1000c, 0},
    {0x7, 1, 0, 0, 0, 0},
    {0xa, XEN_CPUID_NO_SUBLEAF, 0, 0, 0, 0},
    {0xd, 1, 0x7, 0, 0, 0}, /* no XSAVES */
    {0x80000001, XEN_CPUID_NO_SUBLEAF, ~0u, ~0u, 0x002109f3, 0x2fd3fbff},
    {0x80000007, XEN_CPUID_NO_SUBLEAF, 0, 0, 0, 0x100},
    {0x80000008, XEN_CPUID_NO_SUBLEAF, ~0u, 0x5, ~0u, 0},
    {0x8000000a, XEN_CPUID_NO_SUBLEAF, 0, 0, 0, 0},
    NO_LEAVES_FROM_1B,
    {0x80000021, XEN_CPUID_NO_SUBLEAF, 0x4, 0, 0, 0},
};

static void __init add_leaf(struct cpu_policy *p, uint32_t leaf, uint32_t subleaf)
{
    struct cpuid_regs r = cpuid_count(leaf, subleaf == XEN_CPUID_NO_SUBLEAF ? 0 : subleaf);

    if (p->nr < POLICY_MAX_LEAVES)
        p->leaf[p->nr++] = (xen_cpuid_leaf_t){leaf, subleaf, r.a, r.b, r.c, r.d};
}

/*
 * The tools unpack a policy and pack it again into as many leaves as they were given: so all
 * that they know of must be there, empty or not (leaf 4: 6, 7: as it says, 0xb: 2, 0xd: 2 and one
 * for each component of the state up to the last, and the first of the hypervisor's two ranges).
 */
static void __init add_subleaves(struct cpu_policy *p, uint32_t leaf)
{
    switch (leaf) {
    case 4:
        for (unsigned i = 0; i < 6; i++)
            add_leaf(p, leaf, i);
        break;
    case 7:
        for (unsigned i = 0; i <= min(cpuid_count(7, 0).a, 1u); i++)
            add_leaf(p, leaf, i);
        break;
    case 0xb:
        add_leaf(p, leaf, 0);
        add_leaf(p, leaf, 1);
        break;
    case 0xd:
        add_leaf(p, leaf, 0);
        add_leaf(p, leaf, 1);
        for (unsigned i = 2; host_cpu.xcr0_max >> i; i++)
            add_leaf(p, leaf, i);
        break;
    default:
        add_leaf(p, leaf, XEN_CPUID_NO_SUBLEAF);
    }
}

static void __init read_raw(struct cpu_policy *p)
{
    for (uint32_t l = 0; l <= min(host_cpu.max_leaf, 0xdu); l++)
        add_subleaves(p, l);
    p->leaf[p->nr++] = (xen_cpuid_leaf_t){.leaf = 0x40000000, .subleaf = XEN_CPUID_NO_SUBLEAF};
    p->leaf[p->nr++] = (xen_cpuid_leaf_t){.leaf = 0x40000100, .subleaf = XEN_CPUID_NO_SUBLEAF};
    for (uint32_t l = 0x80000000; l <= min(host_cpu.max_ext_leaf, 0x80000021u); l++)
        add_leaf(p, l, XEN_CPUID_NO_SUBLEAF);
}

/* All policies have the same leaves at the same places: where a leaf's first one is. */
#define INDEXED_LEAVES 64
static uint8_t first_place[2][INDEXED_LEAVES]; /* basic, extended */

static void __init make_index(const struct cpu_policy *p)
{
    memset(first_place, p->nr, sizeof(first_place));
    for (unsigned i = p->nr; i--;) {
        uint32_t n = p->leaf[i].leaf & 0x7fffffff;

        if (n < INDEXED_LEAVES)
            first_place[p->leaf[i].leaf >> 31][n] = i;
    }
}

static unsigned first_of(uint32_t leaf)
{
    uint32_t n = leaf & 0x7fffffff;

    return n < INDEXED_LEAVES ? first_place[leaf >> 31][index_nospec(n, INDEXED_LEAVES)] : 0;
}

const xen_cpuid_leaf_t *cpu_policy_find(const struct cpu_policy *p, uint32_t leaf, uint32_t subleaf)
{
    for (unsigned i = first_of(leaf); i < p->nr; i++)
        if (p->leaf[i].leaf == leaf &&
            (p->leaf[i].subleaf == subleaf || p->leaf[i].subleaf == XEN_CPUID_NO_SUBLEAF))
            return &p->leaf[i];
    return NULL;
}

static void __init apply_masks(struct cpu_policy *p, const struct leaf_masks *masks, unsigned nr)
{
    for (unsigned i = 0; i < p->nr; i++) {
        xen_cpuid_leaf_t *l = &p->leaf[i];

        if (!l->leaf)
            l->a = min(l->a, 0xdu);
        for (unsigned m = 0; m < nr; m++)
            if (masks[m].leaf == l->leaf && masks[m].subleaf == l->subleaf) {
                l->a &= masks[m].a;
                l->b &= masks[m].b;
                l->c &= masks[m].c;
                l->d &= masks[m].d;
            }
        if (l->leaf == 1) {
            l->b &= 0xffff; /* CLFLUSH size; the APIC ID is the vcpu's */
            l->c |= 1u << 31;
        }
    }
}

/* Features that this host's CPUs have, or were left, in the leaf's registers. */
static void __init apply_host_features(struct cpu_policy *p)
{
    for (unsigned i = 0; i < p->nr; i++) {
        xen_cpuid_leaf_t *l = &p->leaf[i];

        if (l->leaf == 1) {
            l->c &= host_cpu.features[1];
            l->d &= host_cpu.features[0];
        } else if (l->leaf == 7 && !l->subleaf) {
            l->b &= host_cpu.features[5];
            l->c &= host_cpu.features[6];
            l->d &= host_cpu.features[9];
        } else if (l->leaf == 0xd && !l->subleaf) {
            l->a &= (uint32_t)host_cpu.xcr0_max; /* components, each with a subleaf below */
            l->d &= host_cpu.xcr0_max >> 32;
        } else if (l->leaf == 0x80000001) {
            l->c &= host_cpu.features[3];
            l->d &= host_cpu.features[2];
        }
    }
}

/*
 * What hardware-virtualised guests have whatever the host is: a local APIC in all its modes, and
 * CPUID that faults when they want it to, since it is intercepted.
 */
static void __init add_virtual_features(struct cpu_policy *p)
{
    xen_cpuid_leaf_t *l = (xen_cpuid_leaf_t *)cpu_policy_find(p, 1, XEN_CPUID_NO_SUBLEAF);

    l->d |= 1u << 9;             /* APIC */
    l->c |= 1u << 21 | 1u << 24; /* x2APIC, TSC deadline */
    p->cpuid_faulting = true;
}

void __init cpu_policy_init(void)
{
    read_raw(&cpu_policies[POLICY_RAW]);
    make_index(&cpu_policies[POLICY_RAW]);
    cpu_policies[POLICY_RAW].cpuid_faulting = host_cpu.cpuid_faulting;
    cpu_policies[POLICY_HOST] = cpu_policies[POLICY_RAW];
    apply_host_features(&cpu_policies[POLICY_HOST]);
    cpu_policies[POLICY_PV_MAX] = cpu_policies[POLICY_HOST];
    apply_masks(&cpu_policies[POLICY_PV_MAX], pv_masks, ARRAY_SIZE(pv_masks));
    cpu_policy_fit(&cpu_policies[POLICY_PV_MAX]);
    cpu_policies[POLICY_PV_DEFAULT] = cpu_policies[POLICY_PV_MAX];
    cpu_policies[POLICY_HVM_MAX] = cpu_policies[POLICY_HOST];
    apply_masks(&cpu_policies[POLICY_HVM_MAX], hvm_masks, ARRAY_SIZE(hvm_masks));
    add_virtual_features(&cpu_policies[POLICY_HVM_MAX]);
    cpu_policy_fit(&cpu_policies[POLICY_HVM_MAX]);
    cpu_policies[POLICY_HVM_DEFAULT] = cpu_policies[POLICY_HVM_MAX];
}

/* --- a domain's own --- */

static int policy_domain_create(struct domain *d, const struct xen_domctl_createdomain *cfg)
{
    (void)cfg;
    d->arch.cpu_policy = xzalloc(struct cpu_policy);
    if (!d->arch.cpu_policy)
        return -ENOMEM;
    *d->arch.cpu_policy = cpu_policies[d->is_hvm ? POLICY_HVM_DEFAULT : POLICY_PV_DEFAULT];
    return 0;
}

static void policy_domain_free(struct domain *d)
{
    xfree(d->arch.cpu_policy);
}

DEFINE_UNIT(policy, .name = "CPU policy", .level = UNIT_ARCH - 1,
            .domain_create = policy_domain_create, .domain_free = policy_domain_free);

/* --- to and from the tools --- */

/* MSRs that are part of a policy. */
static const uint32_t policy_msrs[] = {MSR_PLATFORM_INFO, MSR_ARCH_CAPABILITIES};

static uint64_t policy_msr(const struct cpu_policy *p, uint32_t msr)
{
    return msr == MSR_PLATFORM_INFO && p->cpuid_faulting ? PLATFORM_CPUID_FAULT : 0;
}

static long leaves_to_tools(const struct cpu_policy *p, uint64_t leaves, uint32_t *nr)
{
    if (!leaves) {
        *nr = POLICY_MAX_LEAVES;
        return 0;
    }
    if (*nr < p->nr)
        return -ENOBUFS;
    *nr = p->nr;
    return copy_to_guest(leaves, p->leaf, p->nr * sizeof(p->leaf[0]));
}

static long msrs_to_tools(const struct cpu_policy *p, uint64_t msrs, uint32_t *nr)
{
    if (msrs && *nr < ARRAY_SIZE(policy_msrs))
        return -ENOBUFS;
    for (unsigned i = 0; msrs && i < ARRAY_SIZE(policy_msrs); i++) {
        xen_msr_entry_t e = {.idx = policy_msrs[i], .val = policy_msr(p, policy_msrs[i])};

        if (copy_to_guest(guest_array_addr(msrs, i, sizeof(e)), &e, sizeof(e)))
            return -EFAULT;
    }
    *nr = ARRAY_SIZE(policy_msrs);
    return 0;
}

long sysctl_get_cpu_policy(struct call *c, struct xen_sysctl *op)
{
    static const enum policy_kind kinds[] = {
        [XEN_SYSCTL_cpu_policy_raw] = POLICY_RAW,
        [XEN_SYSCTL_cpu_policy_host] = POLICY_HOST,
        [XEN_SYSCTL_cpu_policy_pv_max] = POLICY_PV_MAX,
        [XEN_SYSCTL_cpu_policy_pv_default] = POLICY_PV_DEFAULT,
        [XEN_SYSCTL_cpu_policy_hvm_max] = POLICY_HVM_MAX,
        [XEN_SYSCTL_cpu_policy_hvm_default] = POLICY_HVM_DEFAULT,
    };
    struct xen_sysctl_cpu_policy *cp = &op->u.cpu_policy;
    const struct cpu_policy *p;
    long ret;

    (void)c;
    if (cp->_rsvd)
        return -EINVAL;
    if (cp->index >= ARRAY_SIZE(kinds))
        return -ENOENT;
    if ((cp->index == XEN_SYSCTL_cpu_policy_hvm_max ||
         cp->index == XEN_SYSCTL_cpu_policy_hvm_default) &&
        !arch_has_hvm())
        return -EOPNOTSUPP;
    p = &cpu_policies[kinds[index_nospec(cp->index, ARRAY_SIZE(kinds))]];
    ret = leaves_to_tools(p, handle_addr(cp->leaves), &cp->nr_leaves);
    return ret ? ret : msrs_to_tools(p, handle_addr(cp->msrs), &cp->nr_msrs);
}

long domctl_get_cpu_policy(struct call *c, struct xen_domctl *op)
{
    struct xen_domctl_cpu_policy *cp = &op->u.cpu_policy;
    const struct cpu_policy *p = c->d->arch.cpu_policy;
    long ret = leaves_to_tools(p, handle_addr(cp->leaves), &cp->nr_leaves);

    return ret ? ret : msrs_to_tools(p, handle_addr(cp->msrs), &cp->nr_msrs);
}

/*
 * Cuts a word of features to what there can be.  What is missing then: a guest that comes from
 * elsewhere has found it there, and would break sooner or later.  Loose is what the tools ask for
 * anyway.
 */
static uint32_t cut_features(uint32_t *word, uint32_t most, uint32_t loose)
{
    uint32_t missing = *word & ~most & ~loose;

    *word &= most;
    return missing;
}

#define F1C_LOOSE   (1u << 5 | 1u << 27 | 1u << 31) /* VMX, OSXSAVE, a hypervisor */
#define F1D_LOOSE   (1u << 9 | 1u << 28)            /* APIC and HTT, which go with the vcpu */
#define F7C_LOOSE   (1u << 4)                       /* OSPKE */
#define FEXTC_LOOSE (1u << 1 | 1u << 2)             /* CMP_LEGACY, SVM */

static bool names_features(uint32_t leaf)
{
    return leaf == 1 || leaf == 7 || leaf == 0x80000001 || leaf == 0x80000008 || leaf == 0x80000021;
}

/*
 * One leaf that the tools ask for: bits beyond its kind's most are refused where they name
 * features, and taken as they are elsewhere (vendor, model, topology).
 */
static long merge_leaf(struct cpu_policy *p, const struct cpu_policy *most,
                       const xen_cpuid_leaf_t *want)
{
    const xen_cpuid_leaf_t *max = cpu_policy_find(most, want->leaf, want->subleaf);
    xen_cpuid_leaf_t *l = (xen_cpuid_leaf_t *)cpu_policy_find(p, want->leaf, want->subleaf);
    xen_cpuid_leaf_t ok = *want;
    uint32_t missing = 0;

    if ((want->leaf & ~0xffu) == 0x40000000)
        return 0;   /* the hypervisor's own */
    if (!max || !l) /* state components go with features */
        return (want->a | want->b | want->c | want->d) && names_features(want->leaf) ? -EINVAL : 0;
    switch (want->leaf) {
    case 1:
        missing = cut_features(&ok.c, max->c, F1C_LOOSE) | cut_features(&ok.d, max->d, F1D_LOOSE);
        break;
    case 7:
        missing = cut_features(&ok.b, max->b, 0) | cut_features(&ok.c, max->c, F7C_LOOSE) |
                  cut_features(&ok.d, max->d, 0);
        if (want->subleaf)
            missing |= cut_features(&ok.a, max->a, 0);
        break;
    case 0xd:
        ok = *max;
        break;
    case 0x80000001:
        missing = cut_features(&ok.c, max->c, FEXTC_LOOSE) | cut_features(&ok.d, max->d, F1D_LOOSE);
        break;
    case 0x80000007:
        ok.d &= max->d;
        break;
    case 0x80000008:
        missing = cut_features(&ok.b, max->b, 0);
        break;
    case 0x80000021:
        missing = cut_features(&ok.a, max->a, 0);
        break;
    default:
        break;
    }
    if (missing)
        return -EINVAL;
    ok.subleaf = l->subleaf;
    *l = ok;
    return 0;
}

/* One MSR that the tools ask for. */
static long merge_msr(struct cpu_policy *p, const struct cpu_policy *most,
                      const xen_msr_entry_t *want)
{
    if (want->flags || want->val & ~policy_msr(most, want->idx))
        return -EINVAL;
    if (want->idx == MSR_PLATFORM_INFO)
        p->cpuid_faulting = want->val & PLATFORM_CPUID_FAULT;
    return 0;
}

long domctl_set_cpu_policy(struct call *c, struct xen_domctl *op)
{
    struct xen_domctl_cpu_policy *cp = &op->u.cpu_policy;
    const struct cpu_policy *most = &cpu_policies[c->d->is_hvm ? POLICY_HVM_MAX : POLICY_PV_MAX];
    struct cpu_policy *new;
    xen_cpuid_leaf_t leaf;
    xen_msr_entry_t msr;
    long ret = 0;

    cp->err_leaf = cp->err_subleaf = cp->err_msr = ~0u;
    if (c->d->creation_finished)
        return -EEXIST;
    if (cp->nr_leaves > POLICY_MAX_LEAVES * 2 || cp->nr_msrs > 16)
        return -E2BIG;
    new = xzalloc(struct cpu_policy);
    if (!new)
        return -ENOMEM;
    *new = *c->d->arch.cpu_policy;
    for (uint32_t i = 0; !ret && i < cp->nr_msrs; i++) {
        ret = copy_from_guest(&msr, guest_array_addr(handle_addr(cp->msrs), i, sizeof(msr)),
                              sizeof(msr));
        if (!ret)
            ret = merge_msr(new, most, &msr);
        if (ret == -EINVAL)
            cp->err_msr = msr.idx;
    }
    for (uint32_t i = 0; !ret && i < cp->nr_leaves; i++) {
        ret = copy_from_guest(&leaf, guest_array_addr(handle_addr(cp->leaves), i, sizeof(leaf)),
                              sizeof(leaf));
        if (!ret)
            ret = merge_leaf(new, most, &leaf);
        if (ret == -EINVAL) {
            cp->err_leaf = leaf.leaf;
            cp->err_subleaf = leaf.subleaf;
        }
    }
    if (!ret) {
        cpu_policy_fit(new);
        *c->d->arch.cpu_policy = *new;
    }
    xfree(new);
    return ret;
}

static void policy_to_features(const struct cpu_policy *p, uint32_t *f)
{
    static const struct {
        uint32_t leaf, subleaf;
        uint8_t reg, word;
    } where[] = {{1, ~0u, 3, 0},
                 {1, ~0u, 2, 1},
                 {0x80000001, ~0u, 3, 2},
                 {0x80000001, ~0u, 2, 3},
                 {0xd, 1, 0, 4},
                 {7, 0, 1, 5},
                 {7, 0, 2, 6},
                 {0x80000007, ~0u, 3, 7},
                 {0x80000008, ~0u, 1, 8},
                 {7, 0, 3, 9},
                 {7, 1, 0, 10},
                 {0x80000021, ~0u, 0, 11},
                 {7, 1, 1, 12}};

    memset(f, 0, CPU_FEATURE_WORDS * sizeof(*f));
    for (unsigned i = 0; i < ARRAY_SIZE(where); i++) {
        const xen_cpuid_leaf_t *l = cpu_policy_find(p, where[i].leaf, where[i].subleaf);

        if (l)
            f[where[i].word] = (&l->a)[where[i].reg];
    }
}

#define FEATURESET_WORDS 14 /* as many as the tools of this version know */

long sysctl_get_cpu_featureset(struct call *c, struct xen_sysctl *op)
{
    static const enum policy_kind kinds[] = {
        [XEN_SYSCTL_cpu_featureset_raw] = POLICY_RAW,
        [XEN_SYSCTL_cpu_featureset_host] = POLICY_HOST,
        [XEN_SYSCTL_cpu_featureset_pv] = POLICY_PV_DEFAULT,
        [XEN_SYSCTL_cpu_featureset_hvm] = POLICY_HVM_DEFAULT,
        [XEN_SYSCTL_cpu_featureset_pv_max] = POLICY_PV_MAX,
        [XEN_SYSCTL_cpu_featureset_hvm_max] = POLICY_HVM_MAX,
    };
    struct xen_sysctl_cpu_featureset *fs = &op->u.cpu_featureset;
    uint32_t features[CPU_FEATURE_WORDS], nr = min(fs->nr_features, (uint32_t)FEATURESET_WORDS);
    enum policy_kind kind;

    (void)c;
    if (fs->index >= ARRAY_SIZE(kinds))
        return -EINVAL;
    kind = kinds[index_nospec(fs->index, ARRAY_SIZE(kinds))];
    if ((kind == POLICY_HVM_DEFAULT || kind == POLICY_HVM_MAX) && !arch_has_hvm())
        return -EOPNOTSUPP;
    if (!handle_addr(fs->features)) {
        fs->nr_features = FEATURESET_WORDS;
        return 0;
    }
    policy_to_features(&cpu_policies[kind], features);
    if (copy_to_guest(handle_addr(fs->features), features, nr * sizeof(features[0])))
        return -EFAULT;
    if (fs->nr_features < FEATURESET_WORDS)
        return -ENOBUFS;
    fs->nr_features = FEATURESET_WORDS;
    return 0;
}

long sysctl_get_cpu_levelling_caps(struct call *c, struct xen_sysctl *op)
{
    (void)c;
    op->u.cpu_levelling_caps.caps = 0; /* guests that execute CPUID themselves see the CPU's */
    return 0;
}
