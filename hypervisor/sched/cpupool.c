// SPDX-License-Identifier: MIT
/*
 * What the tools ask of the scheduler: Pool-0, the one CPU pool, which has all CPUs and domains,
 * and the scheduler's parameters.
 */
#include "control/control.h"
#include "lib/errno.h"
#include "sched/private.h"

static unsigned count_domains(void)
{
    struct domain *d;
    unsigned n = 0;

    rcu_read_lock();
    for_each_domain (d)
        n++;
    rcu_read_unlock();
    return n;
}

static int pool_info(struct xen_sysctl_cpupool_op *op)
{
    /* The first pool from this number on is asked for. */
    if (op->cpupool_id != 0 && op->cpupool_id != XEN_SYSCTL_CPUPOOL_PAR_ANY)
        return -ENOENT;
    op->cpupool_id = 0;
    op->sched_id = scheduler->id;
    op->n_dom = count_domains();
    return bitmap_to_tools(&op->cpumap, cpu_online_map.bits, nr_cpu_ids);
}

static int move_domain(const struct xen_sysctl_cpupool_op *op)
{
    struct domain *d;

    if (op->domid > DOMID_FIRST_RESERVED || !(d = get_domain_by_id(op->domid)))
        return -EINVAL;
    put_domain(d);
    return op->cpupool_id ? -ENOENT : 0; /* it is there already */
}

int cpupool_sysctl(struct xen_sysctl_cpupool_op *op)
{
    cpumask_t none;

    switch (op->op) {
    case XEN_SYSCTL_CPUPOOL_OP_INFO:
        return pool_info(op);
    case XEN_SYSCTL_CPUPOOL_OP_FREEINFO:
        cpumask_clear(&none);
        return bitmap_to_tools(&op->cpumap, none.bits, nr_cpu_ids);
    case XEN_SYSCTL_CPUPOOL_OP_MOVEDOMAIN:
        return move_domain(op);
    case XEN_SYSCTL_CPUPOOL_OP_CREATE:
        return op->cpupool_id == 0 ? -EEXIST : -EOPNOTSUPP;
    case XEN_SYSCTL_CPUPOOL_OP_DESTROY:
        return op->cpupool_id == 0 ? -EBUSY : -ENOENT;
    case XEN_SYSCTL_CPUPOOL_OP_ADDCPU:
        return op->cpupool_id == 0 ? -ENODEV : -ENOENT; /* no CPU is free */
    case XEN_SYSCTL_CPUPOOL_OP_RMCPU:
        return op->cpupool_id == 0 ? -EBUSY : -ENOENT;
    default:
        return -ENOSYS;
    }
}

int sched_domctl(struct domain *d, struct xen_domctl_scheduler_op *op)
{
    if (op->sched_id != scheduler->id || !d->sched || !d->sched->data)
        return -EINVAL;
    return scheduler->adjust(d, op);
}

int sched_sysctl(struct xen_sysctl_scheduler_op *op)
{
    if (op->cpupool_id)
        return -ESRCH;
    if (op->sched_id != scheduler->id)
        return -EINVAL;
    return scheduler->adjust_global(op);
}
