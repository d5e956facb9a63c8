// SPDX-License-Identifier: MIT
/*
 * Roots: the L4 tables that vcpus run on.
 *
 * A vcpu has one for guest kernel mode and one for guest user mode, each with a reference of page
 * and L4 type; the CR3 values to load lie ready in pv.kernel_cr3 and pv.user_cr3.  A new root is
 * loaded before the reference of the old one is dropped.
 */
#include "arch/x86/mm/mm_private.h"
#include "arch/x86/asm/layout.h"
#include "domain/unit.h"

void mm_fill_hyp_slots(uint64_t *l4, struct domain *d)
{
    memcpy(l4 + HYP_FIRST_SLOT, idle_pg_table + HYP_FIRST_SLOT,
           (HYP_LAST_SLOT + 1 - HYP_FIRST_SLOT) * sizeof(*l4));
    if (d->arch.perdomain_l3)
        l4[PERDOMAIN_SLOT] = make_pte(virt_to_mfn(d->arch.perdomain_l3),
                                      PTE_PRESENT | PTE_RW | PTE_ACCESSED | PTE_DIRTY);
}

static void replace_root(struct vcpu *v, struct page_info *pg, bool user)
{
    struct page_info **root = user ? &v->arch.root_user : &v->arch.root_kernel;
    unsigned long cr3 = pg ? mfn_to_maddr(page_to_mfn(pg)) : 0;
    struct page_info *old = *root;

    *root = pg;
    if (user)
        v->arch.pv.user_cr3 = cr3;
    else
        v->arch.pv.kernel_cr3 = cr3;
    if (v == current && user == !(v->arch.pv.flags & PVF_KERNEL_MODE) && cr3)
        mm_load_cr3(cr3);
    if (old)
        put_table(v, old);
}

int mm_set_root(struct vcpu *v, mfn_t mfn, bool user)
{
    struct page_info *pg = NULL;
    int rc;

    if (mfn_x(mfn) || !user) {
        pg = guest_frame(mfn_x(mfn));
        if (!pg || v->domain->dying)
            return -EINVAL;
        rc = get_page_and_type_preempt(pg, v->domain, PGT_l4);
        if (rc)
            return rc;
    }
    replace_root(v, pg, user);
    return 0;
}

int mm_drop_roots(struct vcpu *v)
{
    struct page_info **roots[] = {&v->arch.root_kernel, &v->arch.root_user};
    int rc;

    v->arch.pv.kernel_cr3 = v->arch.pv.user_cr3 = 0;
    for (unsigned i = 0; i < ARRAY_SIZE(roots); i++) {
        struct page_info *pg = *roots[i];

        rc = mm_reap(v);
        if (rc)
            return rc;
        *roots[i] = NULL;
        if (pg)
            put_table(v, pg);
    }
    return mm_reap(v);
}

static int mm_domain_create(struct domain *d, const struct xen_domctl_createdomain *cfg)
{
    (void)d, (void)cfg;
    mm_learn_cpu();
    return 0;
}

static int mm_relinquish(struct domain *d)
{
    struct vcpu *v;

    for_each_vcpu (d, v) {
        int rc = mm_drop_roots(v);

        if (rc)
            return rc;
    }
    return 0; /* mem/ does the pages: arch_page_relinquish() */
}

DEFINE_UNIT(mm, .name = "mm", .level = UNIT_ARCH, .domain_create = mm_domain_create,
            .relinquish = mm_relinquish);
