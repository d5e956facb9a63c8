// SPDX-License-Identifier: MIT
/* hvm_op (hvm/hvm_op.h): parameters of a domain, and where its vcpus want their upcalls. */
#include "arch/api/arch_domain.h"
#include "arch/x86/hvm/hvm.h"
#include "arch/api/arch_time.h"
#include "event/event.h"
#include "hypercall/handlers.h"
#include "lib/errno.h"

#define VIA_TYPE(x) ((x) >> 56)
#define VIA_VECTOR  2

/* What a guest may set of its own; the rest is for those who are privileged over it. */
static bool guest_may_set(uint32_t index)
{
    return index == HVM_PARAM_CALLBACK_IRQ || index == HVM_PARAM_VM86_TSS ||
           index == HVM_PARAM_VM86_TSS_SIZED || index == HVM_PARAM_ACPI_IOPORTS_LOCATION ||
           index == HVM_PARAM_VM_GENERATION_ID_ADDR || index == HVM_PARAM_STORE_EVTCHN ||
           index == HVM_PARAM_CONSOLE_EVTCHN || index == HVM_PARAM_X87_FIP_WIDTH;
}

static bool guest_may_get(uint32_t index)
{
    return guest_may_set(index) || index == HVM_PARAM_STORE_PFN || index == HVM_PARAM_CONSOLE_PFN ||
           index == HVM_PARAM_ALTP2M;
}

/* Once set, these stay: the tools have made arrangements. */
static bool set_once(uint32_t index)
{
    switch (index) {
    case HVM_PARAM_VIRIDIAN:
    case HVM_PARAM_IOREQ_SERVER_PFN:
    case HVM_PARAM_NR_IOREQ_SERVER_PAGES:
    case HVM_PARAM_ALTP2M:
    case HVM_PARAM_MCA_CAP:
        return true;
    default:
        return false;
    }
}

/* No interrupt lines lead to the guest: upcalls come by a vector, or, with zero, not at all. */
static long set_callback(struct domain *d, uint64_t via)
{
    struct hvm_domain *h = d->arch.hvm;
    struct vcpu *v;

    if (VIA_TYPE(via) == VIA_VECTOR && (via & 0xff) >= 16)
        WRITE_ONCE(h->callback_vector, via & 0xff);
    else
        WRITE_ONCE(h->callback_vector, 0);
    /* What is pending already is announced to nobody else. */
    smp_mb(); /* as below */
    for_each_vcpu (d, v) {
        const struct vcpu_info *info = READ_ONCE(v->info);

        if (info && READ_ONCE(info->evtchn_upcall_pending)) {
            vcpu_unblock(v);
            arch_vcpu_kick(v);
        }
    }
    return 0;
}

long hvmop_set_param(struct call *c, struct xen_hvm_param *p)
{
    struct domain *d = c->d;
    bool self = d == c->v->domain;
    uint64_t *param;

    c->copy_back = false;
    if (!d->arch.hvm || p->index >= HVM_NR_PARAMS)
        return -EINVAL;
    if (self && !guest_may_set(p->index))
        return -EPERM;
    param = &d->arch.hvm->params[index_nospec(p->index, HVM_NR_PARAMS)];
    if (set_once(p->index) && *param && *param != p->value)
        return -EEXIST;
    switch (p->index) {
    case HVM_PARAM_CALLBACK_IRQ:
        set_callback(d, p->value);
        if (self)
            hvm_latch_width(c->v);
        break;
    case HVM_PARAM_TIMER_MODE:
        if (p->value > HVMPTM_one_missed_tick_pending)
            return -EINVAL;
        break;
    case HVM_PARAM_VIRIDIAN:
    case HVM_PARAM_ALTP2M:
    case HVM_PARAM_NESTEDHVM:
    case HVM_PARAM_MCA_CAP:
        if (p->value)
            return -EINVAL; /* none of these is there */
        break;
    case HVM_PARAM_TRIPLE_FAULT_REASON:
        if (p->value > SHUTDOWN_MAX)
            return -EINVAL;
        break;
    case HVM_PARAM_ACPI_S_STATE:
        return p->value ? -EINVAL : 0;
    default:
        break;
    }
    WRITE_ONCE(*param, p->value);
    return 0;
}

long hvmop_get_param(struct call *c, struct xen_hvm_param *p)
{
    struct domain *d = c->d;

    if (!d->arch.hvm || p->index >= HVM_NR_PARAMS)
        return -EINVAL;
    if (d == c->v->domain && !guest_may_get(p->index))
        return -EPERM;
    p->value = READ_ONCE(d->arch.hvm->params[index_nospec(p->index, HVM_NR_PARAMS)]);
    return 0;
}

long hvmop_set_evtchn_upcall_vector(struct call *c, struct xen_hvm_evtchn_upcall_vector *arg)
{
    struct domain *d = c->d;
    struct vcpu *v = domain_vcpu(d, arg->vcpu);

    if (!d->arch.hvm || arg->vector < 16)
        return -EINVAL;
    if (!v)
        return -ENOENT;
    WRITE_ONCE(v->arch.hvm->upcall_vector, arg->vector);
    smp_mb(); /* who makes an event pending looks at the vector afterwards */
    hvm_raise_upcall(v);
    return 0;
}

/* The tables that die are the guest's own business: the CPU walks them, nobody keeps a copy. */
long hvmop_pagetable_dying(struct call *c, struct xen_hvm_pagetable_dying *arg)
{
    (void)c, (void)arg;
    return -EINVAL;
}

/* For all its vcpus: the next entry is with a fresh ASID. */
long hvmop_flush_tlbs(struct call *c, struct noarg *arg)
{
    (void)arg;
    if (c->arg || !c->d->arch.hvm)
        return -EINVAL;
    p2m_flush(c->d);
    return 0;
}

long hvmop_get_time(struct call *c, struct xen_hvm_get_time *arg)
{
    (void)c;
    arg->now = NOW();
    return 0;
}
