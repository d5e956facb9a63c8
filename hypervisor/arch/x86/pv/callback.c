// SPDX-License-Identifier: MIT
/* Where a PV guest's kernel wants to be entered: trap table, callbacks, NMI. */
#include "arch/x86/guest.h"
#include "arch/api/arch_domain.h"
#include "asm/layout.h"
#include "hypercall/compat.h"
#include "hypercall/handlers.h"
#include "lib/errno.h"
#include "pv.h"

bool pv_callback_ok(unsigned long addr)
{
    return is_canonical(addr) && (addr < M2P_RO_VIRT || addr >= DIRECTMAP_VIRT_END);
}

/*
 * set_trap_table (arch-x86/xen.h, struct trap_info): entries up to one with a null address;
 * a null table clears all.
 */
long do_set_trap_table(unsigned long table)
{
    struct trap_info *dst = current->arch.pv.trap_table, t;

    if (!table) {
        memset(dst, 0, 256 * sizeof(*dst));
        return 0;
    }
    for (unsigned i = 0; i < 256; i++) {
        if (copy_struct_from_guest(&t, guest_array_addr(table, i, guest_sizeof(struct trap_info))))
            return -EFAULT;
        if (!t.address)
            break;
        if (!is_32bit(current->domain) && !pv_callback_ok(t.address))
            return -EINVAL;
        t.cs = pv_fixup_selector(current->domain, t.cs);
        dst[t.vector] = t;
    }
    return 0;
}

/* Makes *addr (for a 32-bit guest a far pointer) one where a kernel may be entered, or says no. */
static bool callback_address(const struct domain *d, unsigned long *addr)
{
    if (!is_32bit(d))
        return pv_callback_ok(*addr);
    *addr = kernel_entry32(d, *addr >> 32, *addr);
    return true;
}

static void set_nmi_handler(struct domain *d, unsigned long addr)
{
    struct trap_info *t = &d->vcpu[0]->arch.pv.trap_table[2];

    t->vector = 2;
    t->flags = 4;
    t->cs = is_32bit(d) ? addr >> 32 : FLAT_KERNEL_CS64;
    t->address = is_32bit(d) ? (uint32_t)addr : addr;
}

static long register_callback(struct vcpu *v, uint16_t type, uint16_t flags, unsigned long addr)
{
    struct pv_vcpu *pv = &v->arch.pv;
    bool mask = flags & CALLBACKF_mask_events;
    unsigned long flag = 0;

    if (!callback_address(v->domain, &addr))
        return -EINVAL;
    switch (type) {
    case CALLBACKTYPE_event:
        pv->event_callback = addr;
        return 0;
    case CALLBACKTYPE_failsafe:
        pv->failsafe_callback = addr;
        flag = PVF_FAILSAFE_MASKS_EVENTS;
        break;
    case CALLBACKTYPE_syscall:
        if (is_32bit(v->domain))
            return -EINVAL; /* there is no 64-bit code */
        pv->syscall_callback = addr;
        flag = PVF_SYSCALL_MASKS_EVENTS;
        break;
    case CALLBACKTYPE_syscall32:
        pv->syscall32_callback = addr;
        flag = PVF_SYSCALL32_MASKS_EVENTS;
        break;
    case CALLBACKTYPE_sysenter:
        pv->sysenter_callback = addr;
        flag = PVF_SYSENTER_MASKS_EVENTS;
        break;
    case CALLBACKTYPE_nmi:
        set_nmi_handler(v->domain, addr);
        return 0;
    default:
        return -ENOSYS;
    }
    if (mask)
        pv->flags |= flag;
    else
        pv->flags &= ~flag;
    return 0;
}

/* callback_op register (callback.h) */
long callbackop_register(struct call *c, struct callback_register *arg)
{
    return register_callback(c->v, arg->type, arg->flags, arg->address);
}

long callbackop_unregister(struct call *c, struct callback_unregister *arg)
{
    switch (arg->type) {
    case CALLBACKTYPE_event:
    case CALLBACKTYPE_failsafe:
    case CALLBACKTYPE_syscall:
    case CALLBACKTYPE_syscall32:
        return -EINVAL; /* a kernel cannot do without */
    case CALLBACKTYPE_sysenter:
        c->v->arch.pv.sysenter_callback = 0;
        return 0;
    case CALLBACKTYPE_nmi:
        c->v->domain->vcpu[0]->arch.pv.trap_table[2].address = 0;
        return 0;
    default:
        return -ENOSYS;
    }
}

/* set_callbacks: the three of old kernels at once; two far pointers for a 32-bit guest. */
long do_set_callbacks(unsigned long event, unsigned long failsafe, unsigned long syscall)
{
    struct vcpu *v = current;

    if (!callback_address(v->domain, &event) || !callback_address(v->domain, &failsafe) ||
        !callback_address(v->domain, &syscall))
        return -EINVAL;
    v->arch.pv.event_callback = event;
    v->arch.pv.failsafe_callback = failsafe;
    v->arch.pv.syscall_callback = syscall;
    return 0;
}

/* nmi_op (nmi.h) */
long do_nmi_op(unsigned long cmd, unsigned long arg)
{
    struct xennmi_callback cb;

    switch (cmd) {
    case XENNMI_register_callback:
        if (current->vcpu_id)
            return -EINVAL;
        if (copy_struct_from_guest(&cb, arg))
            return -EFAULT;
        if (is_32bit(current->domain))
            cb.handler_address = far_pointer(FLAT32_RING1_CS, cb.handler_address);
        return register_callback(current, CALLBACKTYPE_nmi, 0, cb.handler_address);
    case XENNMI_unregister_callback:
        current->domain->vcpu[0]->arch.pv.trap_table[2].address = 0;
        return 0;
    default:
        return -ENOSYS;
    }
}

/* A guest whose iret changes the virtual IOPL has no use for the path that leaves it alone. */
void pv_vm_assist_changed(struct domain *d)
{
    struct vcpu *v;

    for_each_vcpu (d, v) {
        if (test_bit(VMASST_TYPE_architectural_iopl, &d->vm_assist))
            __atomic_fetch_or(&v->arch.pv.async, PVA_IOPL, __ATOMIC_SEQ_CST);
        else
            __atomic_fetch_and(&v->arch.pv.async, ~(unsigned long)PVA_IOPL, __ATOMIC_SEQ_CST);
    }
}

/* vm_assist (xen.h, VMASST_*) */
long do_vm_assist(unsigned long cmd, unsigned long type)
{
    struct domain *d = current->domain;
    const unsigned long valid =
        BIT(VMASST_TYPE_4gb_segments) | BIT(VMASST_TYPE_4gb_segments_notify) |
        BIT(VMASST_TYPE_writable_pagetables) | BIT(VMASST_TYPE_pae_extended_cr3) |
        BIT(VMASST_TYPE_architectural_iopl) | BIT(VMASST_TYPE_runstate_update_flag);

    if (type >= BITS_PER_LONG || !(valid & BIT(type)))
        return -EINVAL;
    switch (cmd) {
    case VMASST_CMD_enable:
        set_bit(type, &d->vm_assist);
        pv_vm_assist_changed(d);
        return 0;
    case VMASST_CMD_disable:
        clear_bit(type, &d->vm_assist);
        pv_vm_assist_changed(d);
        return 0;
    default:
        return -ENOSYS;
    }
}

/* xenpmu_op: no performance counters for guests; what stock Xen answers without vpmu=. */
long do_xenpmu_op(unsigned long op, unsigned long arg)
{
    (void)op;
    (void)arg;
    return -EOPNOTSUPP;
}

void pv_send_nmi(struct vcpu *v)
{
    __atomic_fetch_or(&v->arch.pv.async, PVA_NMI_PENDING, __ATOMIC_SEQ_CST);
    vcpu_unblock(v); /* it may be blocked: an NMI ends that, as it ends HLT */
    arch_vcpu_kick(v);
}
