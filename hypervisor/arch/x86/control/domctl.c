// SPDX-License-Identifier: MIT
/* domctl: what only x86 knows. */
#include "arch/api/arch_domain.h"
#include "arch/x86/cpu/policy.h"
#include "arch/x86/mm/mm.h"
#include "arch/x86/guest.h"
#include "arch/x86/time/time.h"
#include "asm/cpufeature.h"
#include "asm/fpu.h"
#include "asm/msr.h"
#include "domain/domain.h"
#include "hypercall/compat.h"
#include "hypercall/guest_access.h"
#include "hypercall/handlers.h"
#include "lib/errno.h"

long domctl_set_address_size(struct call *c, struct xen_domctl *op)
{
    bool is_32bit = op->u.address_size.size == 32;

    if ((!is_32bit && op->u.address_size.size != 64) || c->d->is_hvm)
        return -EINVAL;
    if (is_32bit == c->d->arch.is_32bit)
        return 0;
    if (c->d->mem.tot_pages)
        return -EACCES;
    mm_set_width(c->d, is_32bit);
    return 0;
}

long domctl_get_address_size(struct call *c, struct xen_domctl *op)
{
    op->u.address_size.size = c->d->arch.is_32bit ? 32 : 64;
    return 0;
}

long domctl_hypercall_init(struct call *c, struct xen_domctl *op)
{
    struct page_info *pg = get_page_gfn(c->d, _gfn(op->u.hypercall_init.gmfn));
    long ret = -EACCES;

    if (!pg)
        return -EACCES;
    if (!get_page_type(pg, PGT_writable)) {
        c->d->arch.kind->hypercall_page(c->d, page_to_virt(pg));
        put_page_type(pg);
        ret = 0;
    }
    put_page(pg);
    return ret;
}

long domctl_settscinfo(struct call *c, struct xen_domctl *op)
{
    const struct xen_domctl_tsc_info *t = &op->u.tsc_info;
    int ret;

    domain_pause(c->d);
    ret = arch_set_tsc_mode(c->d, t->tsc_mode, t->elapsed_nsec, t->gtsc_khz, t->incarnation);
    domain_unpause(c->d);
    return ret;
}

long domctl_gettscinfo(struct call *c, struct xen_domctl *op)
{
    struct xen_domctl_tsc_info *t = &op->u.tsc_info;
    uint64_t elapsed;

    t->pad = 0;
    arch_get_tsc_mode(c->d, &t->tsc_mode, &elapsed, &t->gtsc_khz, &t->incarnation);
    t->elapsed_nsec = elapsed;
    return 0;
}

/* Type of each frame of the list, in its top bits, for those who copy a guest. */
static uint64_t frame_info(struct domain *d, uint64_t gfn)
{
    struct page_info *pg = get_page_gfn(d, _gfn(gfn));
    uint64_t type, info = XEN_DOMCTL_PFINFO_NOTAB;

    if (!pg)
        return XEN_DOMCTL_PFINFO_XTAB;
    type = READ_ONCE(pg->type);
    switch (type & PGT_type_mask) {
    case PGT_l1:
        info = XEN_DOMCTL_PFINFO_L1TAB;
        break;
    case PGT_l2:
        info = XEN_DOMCTL_PFINFO_L2TAB;
        break;
    case PGT_l3:
        info = XEN_DOMCTL_PFINFO_L3TAB;
        break;
    case PGT_l4:
        info = XEN_DOMCTL_PFINFO_L4TAB;
        break;
    default:
        break;
    }
    if (info != XEN_DOMCTL_PFINFO_NOTAB && (type & PGT_pinned))
        info |= XEN_DOMCTL_PFINFO_LPINTAB;
    put_page(pg);
    return info;
}

long domctl_getpageframeinfo3(struct call *c, struct xen_domctl *op)
{
    struct xen_domctl_getpageframeinfo3 *p = &op->u.getpageframeinfo3;
    uint64_t array = handle_addr(p->array), gfn;

    if (p->num > 1024)
        return -E2BIG;
    for (uint64_t i = 0; i < p->num; i++) {
        if (copy_from_guest(&gfn, guest_array_addr(array, i, 8), 8))
            return -EFAULT;
        gfn = frame_info(c->d, gfn);
        if (copy_to_guest(guest_array_addr(array, i, 8), &gfn, 8))
            return -EFAULT;
    }
    return 0;
}

long domctl_sendtrigger(struct call *c, struct xen_domctl *op)
{
    struct vcpu *v = domain_vcpu(c->d, op->u.sendtrigger.vcpu);

    if (!v)
        return -ESRCH;
    if (op->u.sendtrigger.trigger != XEN_DOMCTL_SENDTRIGGER_NMI)
        return -ENOSYS;
    arch_vcpu_send_nmi(v);
    vcpu_force_reschedule(v);
    return 0;
}

/* --- the parts of a vcpu that vcpu_guest_context does not hold --- */

/* In front of the XSAVE area: XCR0, and which components were ever in it. */
#define EXT_HEAD     16
#define EXT_AREA_MAX 16384 /* any CPU's */

/* Without XSAVE there is no extended state: all of the FPU's is in vcpu_guest_context. */
long domctl_getvcpuextstate(struct call *c, struct xen_domctl *op)
{
    struct xen_domctl_vcpuextstate *e = &op->u.vcpuextstate;
    struct vcpu *v = domain_vcpu(c->d, e->vcpu);
    uint64_t addr = handle_addr(e->buffer), size = 0;
    long rc = 0;

    if (!v)
        return -ESRCH;
    if (host_cpu.xcr0_max)
        size = EXT_HEAD + host_cpu.xsave_size;
    if (e->size && e->size != size)
        return -EINVAL;
    if (e->size) {
        uint64_t head[2];

        domain_pause(c->d);
        head[0] = head[1] = v->arch.xcr0;
        if (copy_to_guest(addr, head, sizeof(head)) ||
            copy_to_guest(addr + EXT_HEAD, v->arch.fpu, host_cpu.xsave_size))
            rc = -EFAULT;
        domain_unpause(c->d);
    }
    e->xfeature_mask = host_cpu.xcr0_max;
    e->size = size;
    return rc;
}

long domctl_setvcpuextstate(struct call *c, struct xen_domctl *op)
{
    const struct xen_domctl_vcpuextstate *e = &op->u.vcpuextstate;
    struct vcpu *v = domain_vcpu(c->d, e->vcpu);
    const size_t most = EXT_HEAD + EXT_AREA_MAX;
    uint64_t *buf;
    long rc;

    if (!v)
        return -ESRCH;
    if (!e->size)
        return 0;
    if (!host_cpu.xcr0_max || e->size < EXT_HEAD || e->size > most)
        return -EINVAL;
    buf = xzalloc_bytes(1, most);
    if (!buf)
        return -ENOMEM;
    rc = copy_from_guest(buf, handle_addr(e->buffer), e->size);
    domain_pause(c->d);
    if (!rc)
        rc = fpu_import(v, buf[0], buf + EXT_HEAD / 8, e->size - EXT_HEAD);
    domain_unpause(c->d);
    xfree(buf);
    return rc;
}

/* Of MSRs a guest can change one for good that is in no record of its own: whether CPUID of its
 * users faults. */
long domctl_get_vcpu_msrs(struct call *c, struct xen_domctl *op)
{
    struct xen_domctl_vcpu_msrs *msrs = &op->u.vcpu_msrs;
    const struct vcpu *v = domain_vcpu(c->d, msrs->vcpu);
    struct xen_domctl_vcpu_msr msr = {.index = MSR_MISC_FEATURES, .value = 1};

    if (!v)
        return -ESRCH;
    if (!msrs->msrs.p) {
        msrs->msr_count = 1;
        return 0;
    }
    if (!v->arch.cpuid_faults) {
        msrs->msr_count = 0;
        return 0;
    }
    if (!msrs->msr_count) {
        msrs->msr_count = 1;
        return -ENOBUFS;
    }
    msrs->msr_count = 1;
    return copy_elem_to_guest(msrs->msrs, 0, &msr) ? -EFAULT : 0;
}

long domctl_set_vcpu_msrs(struct call *c, struct xen_domctl *op)
{
    struct xen_domctl_vcpu_msrs *msrs = &op->u.vcpu_msrs;
    struct vcpu *v = domain_vcpu(c->d, msrs->vcpu);
    struct xen_domctl_vcpu_msr msr;

    if (!v)
        return -ESRCH;
    for (uint32_t i = 0; i < msrs->msr_count; i++) {
        if (copy_elem_from_guest(&msr, msrs->msrs, i))
            return -EFAULT;
        if (i || msr.index != MSR_MISC_FEATURES || msr.reserved ||
            !cpu_set_misc_features(v, msr.value)) {
            msrs->msr_count = i;
            return -EINVAL;
        }
    }
    return 0;
}
