// SPDX-License-Identifier: MIT
/*
 * Roots: the L4 tables that vcpus run on.
 *
 * A vcpu has one for guest kernel mode and one for guest user mode, each with a reference of page
 * and L4 type; the CR3 values to load lie ready in pv.kernel_cr3 and pv.user_cr3.  A new root is
 * loaded before the reference of the old one is dropped.
 *
 * A 32-bit guest has one root, an L3 table (PAE).  The CPU is in long mode all the same: CR3 holds
 * an L4 table of the hypervisor's own, one for each vcpu (`monitor`), whose first entry leads to
 * that root, and which the guest never sees.
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

void mm_set_width(struct domain *d, bool is_32bit)
{
    struct vcpu *v;

    d->arch.is_32bit = is_32bit;
    for_each_vcpu (d, v)
        v->calls_32bit = is_32bit;
    d->arch.forced_pte = is_32bit ? 0 : PTE_USER;
    /* Frames that its machine-to-physical table has room for. */
    d->mem.addr_bits = is_32bit && max_page > M2P32_MAX_FRAMES ? M2P32_ADDR_BITS : 0;
}

/* What is to be in CR3 for root pg. */
static unsigned long root_cr3(struct vcpu *v, const struct page_info *pg)
{
    if (!pg)
        return 0;
    if (likely(!is_32bit(v->domain)))
        return mfn_to_maddr(page_to_mfn(pg));
    WRITE_ONCE(v->arch.monitor[0],
               make_pte(page_to_mfn(pg), PTE_PRESENT | PTE_RW | PTE_USER | PTE_ACCESSED));
    return mfn_to_maddr(virt_to_mfn(v->arch.monitor));
}

static void replace_root(struct vcpu *v, struct page_info *pg, bool user)
{
    struct page_info **root = user ? &v->arch.root_user : &v->arch.root_kernel;
    unsigned long cr3 = root_cr3(v, pg);
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

    if (unlikely(is_32bit(v->domain))) {
        if (user)
            return -EINVAL;
        if (!v->arch.monitor) {
            v->arch.monitor = alloc_page_virt();
            if (!v->arch.monitor)
                return -ENOMEM;
            mm_fill_hyp_slots(v->arch.monitor, v->domain);
        }
    }
    if (mfn_x(mfn) || !user) {
        pg = guest_frame(mfn_x(mfn));
        if (!pg || v->domain->dying)
            return -EINVAL;
        rc = get_page_and_type_preempt(pg, v->domain, is_32bit(v->domain) ? PGT_l3 : PGT_l4);
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
    if (v->arch.monitor)
        v->arch.monitor[0] = 0;
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
    (void)cfg;
    mm_learn_cpu();
    mm_set_width(d, false);
    return 0;
}

static void mm_vcpu_free(struct vcpu *v)
{
    if (v->arch.monitor)
        free_page_virt(v->arch.monitor);
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
            .relinquish = mm_relinquish, .vcpu_free = mm_vcpu_free);
