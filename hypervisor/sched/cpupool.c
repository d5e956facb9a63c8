// SPDX-License-Identifier: MIT
/*
 * What the tools ask of the scheduler: Pool-0, the one CPU pool, which has all CPUs and domains,
 * and the scheduler's parameters.
 */
#include "hypercall/guest_access.h"
#include "lib/errno.h"
#include "sched/private.h"

int cpumask_to_guest(const struct xenctl_bitmap *bitmap, const cpumask_t *mask)
{
    uint32_t bytes = DIV_ROUND_UP((uint64_t)bitmap->nr_bits, 8);
    uint32_t ours = min(bytes, (uint32_t)DIV_ROUND_UP(nr_cpu_ids, 8));
    uint8_t copy[sizeof(*mask)];

    memcpy(copy, mask, sizeof(copy));
    if (bitmap->nr_bits < nr_cpu_ids && bitmap->nr_bits % 8)
        copy[ours - 1] &= (1u << bitmap->nr_bits % 8) - 1;
    else if (nr_cpu_ids % 8 && ours * 8 > nr_cpu_ids)
        copy[ours - 1] &= (1u << nr_cpu_ids % 8) - 1;
    if (copy_to_guest(handle_addr(bitmap->bitmap), copy, ours))
        return -EFAULT;
    /* More than all CPUs there can be is a mistake or an attempt to keep us busy. */
    bytes = min(bytes, (uint32_t)PAGE_SIZE);
    if (bytes > ours && clear_guest(handle_addr(bitmap->bitmap) + ours, bytes - ours))
        return -EFAULT;
    return 0;
}

int cpumask_from_guest(cpumask_t *mask, const struct xenctl_bitmap *bitmap)
{
    uint32_t bytes = DIV_ROUND_UP((uint64_t)bitmap->nr_bits, 8);

    cpumask_clear(mask);
    if (copy_from_guest(mask, handle_addr(bitmap->bitmap),
                        min(bytes, (uint32_t)DIV_ROUND_UP(nr_cpu_ids, 8))))
        return -EFAULT;
    for (unsigned cpu = bitmap->nr_bits; cpu < NR_CPUS; cpu++)
        cpumask_clear_cpu(cpu, mask);
    for (unsigned cpu = nr_cpu_ids; cpu < NR_CPUS; cpu++)
        cpumask_clear_cpu(cpu, mask);
    return 0;
}

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
    return cpumask_to_guest(&op->cpumap, &cpu_online_map);
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
        return cpumask_to_guest(&op->cpumap, &none);
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
