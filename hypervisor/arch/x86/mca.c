// SPDX-License-Identifier: MIT
/*
 * The mca hypercall (arch-x86/xen-mca.h), as far as dom0's kernel needs it to attach its handler:
 * which CPUs there are, and that no error is waiting.
 */
#include "abi/xen_abi.h"
#include "hypercall/compat.h"
#include "hypercall/handlers.h"
#include "kernel/cpumask.h"
#include "lib/errno.h"
#include <xen/arch-x86/xen-mca.h>
#include <asm/apic.h>
#include <asm/cpufeature.h>

static void describe(xen_mc_logical_cpu_t *info, unsigned cpu)
{
    memset(info, 0, sizeof(*info));
    info->mc_cpunr = cpu;
    info->mc_coreid = cpu;
    info->mc_apicid = x86_cpu_to_apicid[cpu];
    info->mc_ncores = info->mc_ncores_active = cpumask_weight(&cpu_online_map);
    info->mc_nthreads = 1;
    info->mc_cpuid_level = host_cpu.max_leaf;
    info->mc_family = host_cpu.family;
    info->mc_model = host_cpu.model;
    info->mc_step = host_cpu.stepping;
    memcpy(info->mc_vendorid, host_cpu.vendor_id, sizeof(host_cpu.vendor_id));
    memcpy(info->mc_brandid, host_cpu.brand, sizeof(host_cpu.brand));
}

static long physcpuinfo(xen_mc_physcpuinfo_t *arg)
{
    unsigned room = arg->ncpus, n = 0, cpu;

    arg->ncpus = cpumask_weight(&cpu_online_map);
    if (!handle_addr(arg->info))
        return 0; /* only how many */
    for_each_online_cpu (cpu) {
        xen_mc_logical_cpu_t info;

        if (n == room)
            break;
        describe(&info, cpu);
        if (copy_elem_to_guest(arg->info, n, &info))
            return -EFAULT;
        n++;
    }
    arg->ncpus = n;
    return 0;
}

static long fetch(xen_mc_fetch_t *arg)
{
    uint32_t kind = arg->flags & (XEN_MC_NONURGENT | XEN_MC_URGENT);

    if (kind != XEN_MC_NONURGENT && kind != XEN_MC_URGENT)
        return -EINVAL;
    arg->flags = arg->flags & XEN_MC_ACK ? XEN_MC_OK : XEN_MC_NODATA;
    arg->fetch_id = 0;
    return 0;
}

long do_mca(unsigned long addr)
{
    struct xen_mc op;
    long ret;

    if (copy_from_guest(&op, addr, sizeof(op)))
        return -EFAULT;
    if (op.interface_version != XEN_MCA_INTERFACE_VERSION)
        return -EACCES;
    switch (op.cmd) {
    case XEN_MC_fetch:
        ret = fetch(&op.u.mc_fetch);
        break;
    case XEN_MC_physcpuinfo:
        ret = physcpuinfo(&op.u.mc_physcpuinfo);
        break;
    case XEN_MC_notifydomain:
    case XEN_MC_msrinject:
    case XEN_MC_mceinject:
    case XEN_MC_inject_v2:
        return -EOPNOTSUPP;
    default:
        return -EINVAL;
    }
    if (!ret && copy_to_guest(addr, &op, sizeof(op)))
        ret = -EFAULT;
    return ret;
}
