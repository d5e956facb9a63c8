// SPDX-License-Identifier: MIT
/* domctl: vcpus. */
#include "arch/api/arch_domain.h"
#include "control/control.h"
#include "domain/domain.h"
#include "hypercall/guest_access.h"
#include "hypercall/handlers.h"
#include "lib/errno.h"

long domctl_setvcpucontext(struct call *c, struct xen_domctl *op)
{
    struct vcpu *v = domain_vcpu(c->d, op->u.vcpucontext.vcpu);
    uint64_t addr = handle_addr(op->u.vcpucontext.ctxt);
    struct vcpu_guest_context *ctx;
    long ret;

    if (!v)
        return -EINVAL;
    if (!addr) {
        ret = vcpu_reset(v);
        return ret;
    }
    ctx = xzalloc(struct vcpu_guest_context);
    if (!ctx)
        return -ENOMEM;
    ret = arch_context_from_guest(v, ctx, addr);
    if (!ret) {
        domain_pause(c->d);
        ret = arch_set_context(v, ctx);
        domain_unpause(c->d);
    }
    xfree(ctx);
    return ret;
}

long domctl_getvcpucontext(struct call *c, struct xen_domctl *op)
{
    struct vcpu *v = domain_vcpu(c->d, op->u.vcpucontext.vcpu);
    struct vcpu_guest_context *ctx;
    long ret;

    if (!v)
        return -ESRCH;
    if (!v->is_initialised)
        return -ENODATA;
    ctx = xzalloc(struct vcpu_guest_context);
    if (!ctx)
        return -ENOMEM;
    vcpu_pause(v);
    arch_get_context(v, ctx);
    vcpu_unpause(v);
    ret = arch_context_to_guest(v, handle_addr(op->u.vcpucontext.ctxt), ctx);
    xfree(ctx);
    return ret;
}

long domctl_getvcpuinfo(struct call *c, struct xen_domctl *op)
{
    struct xen_domctl_getvcpuinfo *info = &op->u.getvcpuinfo;
    struct vcpu *v = domain_vcpu(c->d, info->vcpu);

    if (!v)
        return -ESRCH;
    info->online = !(v->pause_flags & BIT(VPF_down));
    info->blocked = !!(v->pause_flags & BIT(VPF_blocked));
    info->running = v->is_running;
    info->cpu_time = vcpu_cpu_time(v);
    info->cpu = v->processor;
    return 0;
}

long domctl_setvcpuaffinity(struct call *c, struct xen_domctl *op)
{
    struct xen_domctl_vcpuaffinity *a = &op->u.vcpuaffinity;
    struct vcpu *v = domain_vcpu(c->d, a->vcpu);
    cpumask_t hard, soft;
    int ret;

    if (!v)
        return -ESRCH;
    if (!(a->flags & (XEN_VCPUAFFINITY_HARD | XEN_VCPUAFFINITY_SOFT)) ||
        (a->flags &
         ~(uint32_t)(XEN_VCPUAFFINITY_HARD | XEN_VCPUAFFINITY_SOFT | XEN_VCPUAFFINITY_FORCE)))
        return -EINVAL;
    if (a->flags & XEN_VCPUAFFINITY_HARD) {
        ret = bitmap_from_tools(hard.bits, NR_CPUS, &a->cpumap_hard);
        if (!ret)
            ret = vcpu_set_hard_affinity(v, &hard);
        if (ret)
            return ret;
        cpumask_and(&hard, &hard, &cpu_online_map);
        ret = bitmap_to_tools(&a->cpumap_hard, hard.bits, nr_cpu_ids);
        if (ret)
            return ret;
    }
    if (a->flags & XEN_VCPUAFFINITY_SOFT) {
        ret = bitmap_from_tools(soft.bits, NR_CPUS, &a->cpumap_soft);
        if (ret)
            return ret;
        vcpu_set_soft_affinity(v, &soft);
        cpumask_and(&soft, &soft, &cpu_online_map);
        cpumask_and(&soft, &soft, &v->hard_affinity);
        return bitmap_to_tools(&a->cpumap_soft, soft.bits, nr_cpu_ids);
    }
    return 0;
}

long domctl_getvcpuaffinity(struct call *c, struct xen_domctl *op)
{
    struct xen_domctl_vcpuaffinity *a = &op->u.vcpuaffinity;
    struct vcpu *v = domain_vcpu(c->d, a->vcpu);
    int ret = 0;

    if (!v)
        return -ESRCH;
    if (a->flags & XEN_VCPUAFFINITY_HARD)
        ret = bitmap_to_tools(&a->cpumap_hard, v->hard_affinity.bits, nr_cpu_ids);
    if (!ret && (a->flags & XEN_VCPUAFFINITY_SOFT))
        ret = bitmap_to_tools(&a->cpumap_soft, v->soft_affinity.bits, nr_cpu_ids);
    return ret;
}
