// SPDX-License-Identifier: MIT
/* CONFIG_HVM is off: no domain has XEN_DOMCTL_CDF_hvm, so none comes to the functions below. */
#include "arch/api/arch_domain.h"
#include "arch/api/arch_host.h"
#include "arch/api/arch_p2m.h"
#include "domain/domain.h"
#include "domain/unit.h"
#include "hypercall/handlers.h"
#include "lib/errno.h"

bool arch_has_hvm(void)
{
    return false;
}

static int refuse_hvm(struct domain *d, const struct xen_domctl_createdomain *cfg)
{
    (void)cfg;
    return d->is_hvm ? -EOPNOTSUPP : 0;
}

DEFINE_UNIT(no_hvm, .name = "no hvm", .level = UNIT_MEM, .domain_create = refuse_hvm);

bool arch_hvm_may_call(unsigned long nr, unsigned long arg1)
{
    (void)nr, (void)arg1;
    return false;
}

int arch_hvm_initialise(struct vcpu *v, uint64_t addr)
{
    (void)v, (void)addr;
    return -EOPNOTSUPP;
}

struct page_info *p2m_get_page(struct domain *d, gfn_t gfn)
{
    (void)d, (void)gfn;
    return NULL;
}

int p2m_map(struct domain *d, gfn_t gfn, struct page_info *pg, unsigned order)
{
    (void)d, (void)gfn, (void)pg, (void)order;
    return -EINVAL;
}

int p2m_place(struct domain *d, gfn_t gfn, struct page_info *pg, enum p2m_type type)
{
    (void)d, (void)gfn, (void)pg, (void)type;
    return -EINVAL;
}

int p2m_unmap_grant(struct domain *d, gfn_t gfn, const struct page_info *pg)
{
    (void)d, (void)gfn, (void)pg;
    return -ENOENT;
}

void p2m_flush(struct domain *d)
{
    (void)d;
}

struct page_info *p2m_unmap(struct domain *d, gfn_t gfn)
{
    (void)d, (void)gfn;
    return NULL;
}

unsigned p2m_drop(struct domain *d, const gfn_t *gfn, unsigned nr)
{
    (void)d, (void)gfn, (void)nr;
    return 0;
}

int p2m_populate_later(struct domain *d, gfn_t gfn, unsigned order)
{
    (void)d, (void)gfn, (void)order;
    return -EINVAL;
}

int p2m_set_pod_target(struct domain *d, uint64_t pages)
{
    (void)d, (void)pages;
    return 0;
}

bool p2m_makes_gb(const struct domain *d)
{
    (void)d;
    return false;
}

uint32_t p2m_frame_behind(struct domain *d, gfn_t gfn)
{
    (void)d, (void)gfn;
    return 0;
}

void p2m_creation_ends(struct domain *d)
{
    (void)d;
}

void p2m_renew_claim(struct domain *d)
{
    (void)d;
}

uint64_t p2m_pod_entries(const struct domain *d)
{
    (void)d;
    return 0;
}

uint64_t p2m_max_gfn(const struct domain *d)
{
    (void)d;
    return 0;
}

void p2m_mark_dirty(struct domain *d, gfn_t gfn)
{
    (void)d, (void)gfn;
}

#define ABSENT(name, type, ret)                                                                    \
    long name(struct call *c, type *arg)                                                           \
    {                                                                                              \
        (void)c, (void)arg;                                                                        \
        return ret;                                                                                \
    }
ABSENT(hvmop_set_param, struct xen_hvm_param, -EINVAL)
ABSENT(hvmop_get_param, struct xen_hvm_param, -EINVAL)
ABSENT(hvmop_flush_tlbs, struct noarg, -EINVAL)
ABSENT(hvmop_pagetable_dying, struct xen_hvm_pagetable_dying, -EINVAL)
ABSENT(hvmop_get_time, struct xen_hvm_get_time, -EINVAL)
ABSENT(hvmop_set_evtchn_upcall_vector, struct xen_hvm_evtchn_upcall_vector, -EINVAL)
ABSENT(domctl_shadow_op, struct xen_domctl, -EINVAL)
ABSENT(domctl_gethvmcontext, struct xen_domctl, -EINVAL)
ABSENT(domctl_sethvmcontext, struct xen_domctl, -EINVAL)
ABSENT(domctl_gethvmcontext_partial, struct xen_domctl, -EINVAL)
ABSENT(domctl_get_paging_mempool_size, struct xen_domctl, -EINVAL)
ABSENT(domctl_set_paging_mempool_size, struct xen_domctl, -EINVAL)
