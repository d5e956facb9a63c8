// SPDX-License-Identifier: MIT
/* domctl: domains as a whole. */
#include "arch/api/arch_domain.h"
#include "arch/api/arch_p2m.h"
#include "arch/api/arch_time.h"
#include "control/control.h"
#include "domain/domain.h"
#include "event/event.h"
#include "hypercall/guest_access.h"
#include "hypercall/handlers.h"
#include "lib/errno.h"
#include "lib/rangeset.h"

void get_domain_info(struct domain *d, struct xen_domctl_getdomaininfo *info)
{
    bool all_blocked = true, running = false;
    struct vcpu *v;

    memset(info, 0, sizeof(*info));
    info->domain = d->id;
    info->max_vcpu_id = XEN_INVALID_MAX_VCPU_ID;
    for_each_vcpu (d, v) {
        info->cpu_time += vcpu_cpu_time(v);
        info->max_vcpu_id = v->vcpu_id;
        if (v->pause_flags & BIT(VPF_down))
            continue;
        if (!(v->pause_flags & BIT(VPF_blocked)))
            all_blocked = false;
        running |= v->is_running;
        info->nr_online_vcpus++;
    }
    info->flags =
        (info->nr_online_vcpus && all_blocked && !running ? XEN_DOMINF_blocked : 0) |
        (running ? XEN_DOMINF_running : 0) | (d->dying == DOMDYING_dead ? XEN_DOMINF_dying : 0) |
        (d->is_shut_down ? XEN_DOMINF_shutdown : 0) | (d->pause_count > 0 ? XEN_DOMINF_paused : 0) |
        (d->is_hvm ? XEN_DOMINF_hvm_guest | XEN_DOMINF_hap : 0) |
        (d->options & XEN_DOMCTL_CDF_xs_domain ? XEN_DOMINF_xs_domain : 0) |
        (d->shutdown_code != ~0u ? d->shutdown_code << XEN_DOMINF_shutdownshift : 0);
    info->ssidref = d->ssidref;
    info->tot_pages = d->mem.tot_pages;
    info->max_pages = d->mem.max_pages;
    info->outstanding_pages = d->mem.outstanding;
    info->shared_info_frame = d->shared_info_page ? mfn_x(page_to_mfn(d->shared_info_page)) : ~0ULL;
    info->gpaddr_bits = 52;
    memcpy(info->handle, d->handle, sizeof(info->handle));
}

/* The domain named, or a free number for 0 (domid 0 and what is reserved are never free). */
static int pick_domid(domid_t wanted)
{
    static domid_t last;

    if (wanted && wanted < DOMID_FIRST_RESERVED)
        return rcu_lookup_domain(wanted) ? -EEXIST : wanted;
    for (unsigned n = 1; n < DOMID_FIRST_RESERVED; n++) {
        last = last + 1u < DOMID_FIRST_RESERVED ? last + 1 : 1;
        if (!rcu_lookup_domain(last))
            return last;
    }
    return -ENOMEM;
}

long domctl_createdomain(struct call *c, struct xen_domctl *op)
{
    const struct xen_domctl_createdomain *cfg = &op->u.createdomain;
    struct domain *d;
    int err, id;

    (void)c;
    if (cfg->flags &
            ~(uint32_t)(XEN_DOMCTL_CDF_s3_integrity | XEN_DOMCTL_CDF_oos_off |
                        XEN_DOMCTL_CDF_xs_domain | XEN_DOMCTL_CDF_hvm | XEN_DOMCTL_CDF_hap) ||
        cfg->iommu_opts || cfg->vmtrace_size || cfg->cpupool_id ||
        (!(cfg->flags & XEN_DOMCTL_CDF_hvm) &&
         (cfg->arch.emulation_flags || (cfg->flags & XEN_DOMCTL_CDF_hap))) ||
        (cfg->arch.misc_flags & ~(uint32_t)XEN_X86_MSR_RELAXED))
        return -EINVAL;
    id = pick_domid(op->domain);
    if (id < 0)
        return id;
    d = domain_create(id, cfg, false, &err);
    if (!d)
        return err;
    op->domain = d->id;
    return 0;
}

long domctl_destroydomain(struct call *c, struct xen_domctl *op)
{
    (void)op;
    return domain_kill(c->d);
}

long domctl_pausedomain(struct call *c, struct xen_domctl *op)
{
    (void)op;
    return domain_pause_by_tools(c->d);
}

long domctl_unpausedomain(struct call *c, struct xen_domctl *op)
{
    (void)op;
    if (!c->d->creation_finished) {
        arch_update_wallclock(c->d); /* the tools have cleared the shared info meanwhile */
        WRITE_ONCE(c->d->creation_finished, true);
        if (is_translated(c->d))
            p2m_creation_ends(c->d);
    }
    return domain_unpause_by_tools(c->d);
}

long domctl_resumedomain(struct call *c, struct xen_domctl *op)
{
    (void)op;
    return domain_resume(c->d);
}

/* The domain of that number, or the next one. */
long domctl_getdomaininfo(struct call *c, struct xen_domctl *op)
{
    struct domain *d;

    (void)c;
    for_each_domain (d)
        if (d->id >= op->domain && get_domain(d)) {
            get_domain_info(d, &op->u.getdomaininfo);
            op->domain = d->id;
            put_domain(d);
            return 0;
        }
    return -ESRCH;
}

long domctl_max_mem(struct call *c, struct xen_domctl *op)
{
    uint64_t pages = op->u.max_mem.max_memkb >> (PAGE_SHIFT - 10);

    spin_lock(&c->d->mem.lock);
    /* A limit below what it has means that it cannot get more. */
    c->d->mem.max_pages = min(pages, (uint64_t)UINT32_MAX);
    spin_unlock(&c->d->mem.lock);
    return 0;
}

long domctl_max_vcpus(struct call *c, struct xen_domctl *op)
{
    struct domain *d = c->d;

    if (op->u.max_vcpus.max != d->max_vcpus)
        return -EINVAL;
    for (unsigned i = 0; i < d->max_vcpus; i++) {
        if (d->vcpu[i])
            continue;
        if (d->dying)
            return -EINVAL;
        if (!vcpu_create(d, i))
            return -ENOMEM;
        if (i % 8 == 7 && hypercall_preempt_check())
            return -ERESTART; /* goes on where vcpus are missing */
    }
    return 0;
}

long domctl_scheduler_op(struct call *c, struct xen_domctl *op)
{
    return sched_domctl(c->d, &op->u.scheduler_op);
}

long domctl_setdomainhandle(struct call *c, struct xen_domctl *op)
{
    memcpy(c->d->handle, op->u.setdomainhandle.handle, sizeof(c->d->handle));
    return 0;
}

long domctl_setdebugging(struct call *c, struct xen_domctl *op)
{
    (void)c;
    return op->u.setdebugging.enable ? -EOPNOTSUPP : 0;
}

long domctl_settimeoffset(struct call *c, struct xen_domctl *op)
{
    c->d->time_offset = op->u.settimeoffset.time_offset_seconds;
    arch_update_wallclock(c->d);
    return 0;
}

long domctl_subscribe(struct call *c, struct xen_domctl *op)
{
    c->d->suspend_evtchn = op->u.subscribe.port;
    return 0;
}

long domctl_set_virq_handler(struct call *c, struct xen_domctl *op)
{
    return set_global_virq_handler(c->d, op->u.set_virq_handler.virq);
}

/* --- rights --- */

static long change_range(struct rangeset *ours, struct rangeset *theirs, uint64_t first,
                         uint64_t nr, bool allow)
{
    uint64_t last;

    if (!nr || __builtin_add_overflow(first, nr - 1, &last))
        return -EINVAL;
    if (!rangeset_contains_range(ours, first, last))
        return -EPERM; /* nobody gives away what he has not */
    return allow ? rangeset_add_range(theirs, first, last)
                 : rangeset_remove_range(theirs, first, last);
}

long domctl_irq_permission(struct call *c, struct xen_domctl *op)
{
    const struct xen_domctl_irq_permission *p = &op->u.irq_permission;

    return change_range(c->v->domain->irqs, c->d->irqs, p->pirq, 1, p->allow_access);
}

long domctl_iomem_permission(struct call *c, struct xen_domctl *op)
{
    const struct xen_domctl_iomem_permission *p = &op->u.iomem_permission;

    return change_range(c->v->domain->iomem, c->d->iomem, p->first_mfn, p->nr_mfns,
                        p->allow_access);
}

long domctl_ioport_permission(struct call *c, struct xen_domctl *op)
{
    const struct xen_domctl_ioport_permission *p = &op->u.ioport_permission;

    if (p->first_port + (uint64_t)p->nr_ports > 0x10000)
        return -EINVAL;
    return change_range(c->v->domain->ioports, c->d->ioports, p->first_port, p->nr_ports,
                        p->allow_access);
}

/* --- NUMA --- */

long domctl_setnodeaffinity(struct call *c, struct xen_domctl *op)
{
    unsigned long nodes[1] = {0};
    int ret = bitmap_from_tools(nodes, 64, &op->u.nodeaffinity.nodemap);

    (void)c;
    /* Kept as a hint only: allocation follows the node that each request names. */
    return ret ? ret : nodes[0] ? 0 : -EINVAL;
}

long domctl_getnodeaffinity(struct call *c, struct xen_domctl *op)
{
    unsigned long nodes[1] = {1};

    (void)c;
    return bitmap_to_tools(&op->u.nodeaffinity.nodemap, nodes, 64);
}
