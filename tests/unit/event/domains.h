// SPDX-License-Identifier: MIT
/* Domains for the tests of event/ and grant/: with the hooks of the rooms linked, and pages. */
#pragma once
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>
#include "abi/xen_abi.h"
#include "arch/fake/fake.h"
#include "arch/x86/mm/mm.h"
#include "domain/domain.h"
#include "domain/unit.h"
#include "hypercall/handlers.h"
#include "kernel/percpu.h"

DEFINE_PER_CPU(unsigned, irq_depth); /* for the lock checker; no interrupts here */

extern const struct unit *const __start_units[], *const __stop_units[];
#define for_each_unit(u)                                                                           \
    for (const struct unit *const *u##_p = __start_units, *u; u##_p < __stop_units; u##_p++)       \
        if ((u = *u##_p) != NULL)

#define MAX_TEST_DOMAINS 8
static struct domain *test_domains[MAX_TEST_DOMAINS];

struct domain *get_domain_by_id(domid_t id)
{
    struct domain *d = id < MAX_TEST_DOMAINS ? test_domains[id] : NULL;

    return d && get_domain(d) ? d : NULL;
}

static inline struct domain *make_domain(unsigned id, unsigned vcpus,
                                         const struct xen_domctl_createdomain *cfg)
{
    struct domain *d = fake_domain(id, vcpus);

    test_domains[id] = d;
    for_each_unit(u) if (u->domain_create) assert_int_equal(u->domain_create(d, cfg), 0);
    return d;
}

static inline int relinquish(struct domain *d)
{
    for_each_unit(u) if (u->relinquish)
    {
        int rc = u->relinquish(d);

        if (rc)
            return rc;
    }
    return 0;
}

static inline void free_domain(struct domain *d)
{
    for_each_unit(u) if (u->domain_free) u->domain_free(d);
    test_domains[d->id] = NULL;
    for (unsigned i = 0; i < d->max_vcpus; i++)
        xfree(d->vcpu[i]);
    xfree(d->vcpu);
    free_page_virt(d->shared_info);
    free_page_virt(d);
}

static inline void kill_domain(struct domain *d)
{
    d->dying = DOMDYING_dying;
    assert_int_equal(relinquish(d), 0);
    d->dying = DOMDYING_dead;
    assert_int_equal(d->refs, 1);
    free_domain(d);
}

/* A page of d's: its address; frame number and page_info follow from it. */
static inline void *guest_page(struct domain *d)
{
    void *va = alloc_page_virt();
    struct page_info *pg = mfn_to_page(virt_to_mfn(va));

    page_set_owner(pg, d);
    pg->type = 0;
    pg->refs = PAGE_ALLOCATED | 1;
    return va;
}

static inline uint64_t frame_of(const void *va)
{
    return mfn_x(virt_to_mfn(va));
}

static inline struct page_info *page_of(const void *va)
{
    return mfn_to_page(virt_to_mfn(va));
}

/* Page types in the simplest way: one type at a time. */
int get_page_type(struct page_info *pg, uint64_t type)
{
    uint64_t x = READ_ONCE(pg->type), n;

    do {
        if ((x & PGT_count_mask) && (x & PGT_type_mask) != type)
            return -EINVAL;
        n = type | ((x & PGT_count_mask) + 1);
    } while (
        !__atomic_compare_exchange_n(&pg->type, &x, n, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST));
    return 0;
}

void put_page_type(struct page_info *pg)
{
    assert_true(pg->type & PGT_count_mask);
    __atomic_sub_fetch(&pg->type, 1, __ATOMIC_SEQ_CST);
}

bool get_page_and_type(struct page_info *pg, struct domain *d, uint64_t type)
{
    if (!get_page(pg, d))
        return false;
    if (!get_page_type(pg, type))
        return true;
    put_page(pg);
    return false;
}

void put_page_and_type(struct page_info *pg)
{
    put_page_type(pg);
    put_page(pg);
}

#define page_refs(va)  (page_of(va)->refs & PAGE_COUNT_MASK)
#define page_types(va) (page_of(va)->type & PGT_count_mask)
