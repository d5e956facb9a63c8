// SPDX-License-Identifier: MIT
/* sysctl: the host, for its tools. */
#include "arch/api/arch_host.h"
#include "arch/api/arch_time.h"
#include "boot/cmdline.h"
#include "control/control.h"
#include "domain/domain.h"
#include "hypercall/compat.h"
#include "hypercall/handlers.h"
#include "kernel/console.h"
#include "kernel/keyhandler.h"
#include "lib/errno.h"

#define CHUNK 256

long sysctl_readconsole(struct call *c, struct xen_sysctl *op)
{
    struct xen_sysctl_readconsole *rc = &op->u.readconsole;
    uint32_t done = 0, index = rc->index;
    char buf[CHUNK];
    bool incremental = rc->incremental;

    (void)c;
    while (done < rc->count) {
        size_t n = console_ring_read(buf, min((size_t)(rc->count - done), sizeof(buf)), &index,
                                     incremental, false);

        if (!n)
            break;
        incremental = true; /* from where the last piece ended */
        if (copy_to_guest(handle_addr(rc->buffer) + done, buf, n))
            return -EFAULT;
        done += n;
    }
    if (rc->clear) {
        uint32_t end = index;

        console_ring_read(buf, 0, &end, true, true);
    }
    rc->count = done;
    rc->index = index;
    return 0;
}

long sysctl_physinfo(struct call *c, struct xen_sysctl *op)
{
    struct xen_sysctl_physinfo *pi = &op->u.physinfo;

    (void)c;
    memset(pi, 0, sizeof(*pi));
    pi->nr_cpus = cpumask_weight(&cpu_online_map);
    pi->max_cpu_id = nr_cpu_ids - 1;
    pi->nr_nodes = heap_nr_nodes();
    pi->max_node_id = heap_nr_nodes() - 1;
    pi->total_pages = heap_total_pages();
    pi->free_pages = heap_free_pages();
    pi->outstanding_pages = heap_outstanding_claims();
    pi->max_mfn = max_page - 1;
    pi->capabilities = XEN_SYSCTL_PHYSCAP_pv | XEN_SYSCTL_PHYSCAP_gnttab_v1;
    if (opt_gnttab_max_ver > 1)
        pi->capabilities |= XEN_SYSCTL_PHYSCAP_gnttab_v2;
    arch_physinfo(pi);
    return 0;
}

long sysctl_sched_id(struct call *c, struct xen_sysctl *op)
{
    (void)c;
    op->u.sched_id.sched_id = sched_id();
    return 0;
}

long sysctl_getdomaininfolist(struct call *c, struct xen_sysctl *op)
{
    struct xen_sysctl_getdomaininfolist *l = &op->u.getdomaininfolist;
    struct xen_domctl_getdomaininfo info;
    struct domain *d;
    uint32_t n = 0;

    (void)c;
    for_each_domain (d) {
        if (d->id < l->first_domain)
            continue;
        if (n == l->max_domains)
            break;
        get_domain_info(d, &info);
        if (copy_elem_to_guest(l->buffer, n, &info))
            return -EFAULT;
        n++;
    }
    l->num_domains = n;
    return 0;
}

long sysctl_debug_keys(struct call *c, struct xen_sysctl *op)
{
    const struct xen_sysctl_debug_keys *k = &op->u.debug_keys;
    char key;

    (void)c;
    if (k->nr_keys > 64)
        return -E2BIG;
    for (uint32_t i = 0; i < k->nr_keys; i++) {
        if (copy_from_guest(&key, guest_array_addr(handle_addr(k->keys), i, 1), 1))
            return -EFAULT;
        keyhandler_run(key);
    }
    return 0;
}

long sysctl_getcpuinfo(struct call *c, struct xen_sysctl *op)
{
    struct xen_sysctl_getcpuinfo *gi = &op->u.getcpuinfo;
    uint32_t n = min(gi->max_cpus, nr_cpu_ids);
    struct xen_sysctl_cpuinfo info;

    (void)c;
    for (uint32_t i = 0; i < n; i++) {
        info.idletime = cpu_online(i) ? cpu_idle_time(i) : 0;
        if (copy_elem_to_guest(gi->info, i, &info))
            return -EFAULT;
    }
    gi->nr_cpus = n;
    return 0;
}

long sysctl_availheap(struct call *c, struct xen_sysctl *op)
{
    struct xen_sysctl_availheap *a = &op->u.availheap;
    uint64_t pages = 0;

    (void)c;
    for (unsigned n = 0; n < heap_nr_nodes(); n++)
        if (a->node < 0 || (unsigned)a->node == n)
            pages += heap_free_pages_node(n, a->min_bitwidth, a->max_bitwidth);
    a->avail_bytes = pages << PAGE_SHIFT;
    return 0;
}

long sysctl_cputopoinfo(struct call *c, struct xen_sysctl *op)
{
    struct xen_sysctl_cputopoinfo *ti = &op->u.cputopoinfo;
    uint32_t n = min(ti->num_cpus, nr_cpu_ids);
    struct xen_sysctl_cputopo topo;

    (void)c;
    if (!handle_addr(ti->cputopo)) {
        ti->num_cpus = nr_cpu_ids;
        return 0;
    }
    for (uint32_t i = 0; i < n; i++) {
        if (cpu_online(i))
            arch_cpu_topology(i, &topo);
        else
            topo = (struct xen_sysctl_cputopo){XEN_INVALID_CORE_ID, XEN_INVALID_SOCKET_ID,
                                               XEN_INVALID_NODE_ID};
        if (copy_elem_to_guest(ti->cputopo, i, &topo))
            return -EFAULT;
    }
    ti->num_cpus = nr_cpu_ids;
    return 0;
}

long sysctl_numainfo(struct call *c, struct xen_sysctl *op)
{
    struct xen_sysctl_numainfo *ni = &op->u.numainfo;
    unsigned nr = heap_nr_nodes(), n = min(ni->num_nodes, nr);
    bool want_mem = handle_addr(ni->meminfo), want_dist = handle_addr(ni->distance);

    (void)c;
    for (unsigned i = 0; i < n && (want_mem || want_dist); i++) {
        struct xen_sysctl_meminfo mi = {heap_total_pages_node(i) << PAGE_SHIFT,
                                        heap_free_pages_node(i, 0, 64) << PAGE_SHIFT};

        if (want_mem && copy_elem_to_guest(ni->meminfo, i, &mi))
            return -EFAULT;
        for (unsigned j = 0; want_dist && j < n; j++) {
            uint32_t dist = arch_node_distance(i, j);

            if (copy_elem_to_guest(ni->distance, i * n + j, &dist))
                return -EFAULT;
        }
    }
    ni->num_nodes = nr;
    return 0;
}

long sysctl_cpupool_op(struct call *c, struct xen_sysctl *op)
{
    (void)c;
    return cpupool_sysctl(&op->u.cpupool_op);
}

long sysctl_scheduler_op(struct call *c, struct xen_sysctl *op)
{
    (void)c;
    return sched_sysctl(&op->u.scheduler_op);
}
