// SPDX-License-Identifier: MIT
/* PV guests: as a kind, and the life of their domains and vcpus. */
#include "arch/x86/guest.h"
#include "asm/regs.h"
#include "domain/unit.h"
#include "hypercall/guest_access.h"
#include "kernel/console.h"
#include "lib/errno.h"
#include "pv.h"

/* --- struct guest_kind --- */

static void dump(struct vcpu *v)
{
    const struct cpu_user_regs *r = vcpu_regs(v);
    const struct pv_vcpu *pv = &v->arch.pv;
    uint64_t stack[8];

    printk("  cs %04x ss %04x %s cr2 %016lx\n", r->cs, r->ss,
           in_kernel_mode(v) ? "(guest kernel)" : "(guest user)", pv->ctrlreg[2]);
    printk("  cr3 %016lx user cr3 %016lx fs %016lx gs %016lx/%016lx\n", pv->kernel_cr3,
           pv->user_cr3, pv->fs_base, pv->gs_base_kernel, pv->gs_base_user);
    if (v != current || copy_from_guest(stack, r->rsp, sizeof(stack)))
        return;
    printk("  stack:");
    for (unsigned i = 0; i < ARRAY_SIZE(stack); i++)
        printk(" %016lx", (unsigned long)stack[i]);
    printk("\n");
}

const struct guest_kind pv_kind = {.save = pv_save,
                                   .load = pv_load,
                                   .run = reset_stack_and_return,
                                   .publish = pv_publish,
                                   .send_nmi = pv_send_nmi,
                                   .hypercall_page = pv_write_hypercall_page,
                                   .get_context = pv_get_context,
                                   .set_context = pv_set_context,
                                   .dump = dump};

/* --- life --- */

static int pv_domain_create(struct domain *d, const struct xen_domctl_createdomain *cfg)
{
    (void)cfg;
    if (d->arch.kind) /* another has taken it */
        return 0;
    d->arch.kind = &pv_kind;
    return pv_perdomain_create(d);
}

static int pv_vcpu_create(struct vcpu *v)
{
    struct pv_vcpu *pv = &v->arch.pv;

    if (!is_pv(v->domain))
        return 0;
    pv->trap_table = xzalloc_array(struct trap_info, 256);
    if (!pv->trap_table)
        return -ENOMEM;
    pv->dr[6] = 0xffff0ff0;
    pv->dr[7] = 0x400;
    pv->ctrlreg[0] = CR0_PE | CR0_ET | CR0_PG;
    pv->flags = PVF_KERNEL_MODE;
    return pv_perdomain_vcpu(v);
}

static void pv_vcpu_free(struct vcpu *v)
{
    xfree(v->arch.pv.trap_table);
    xfree(v->arch.pv.iobmp);
}

static void pv_vcpu_reset(struct vcpu *v)
{
    struct pv_vcpu *pv = &v->arch.pv;

    if (!is_pv(v->domain))
        return;
    pv_drop_gdt(v);
    pv_set_ldt(v, 0, 0);
    memset(pv->trap_table, 0, 256 * sizeof(*pv->trap_table));
    pv->syscall_callback = pv->syscall32_callback = pv->event_callback = 0;
    pv->sysenter_callback = pv->failsafe_callback = 0;
    pv->flags = PVF_KERNEL_MODE;
}

static int pv_relinquish(struct domain *d)
{
    struct vcpu *v;

    if (!is_pv(d))
        return 0;
    for_each_vcpu (d, v) {
        pv_drop_gdt(v);
        pv_drop_ldt(v);
    }
    return 0;
}

static void pv_domain_free(struct domain *d)
{
    pv_perdomain_free(d);
}

DEFINE_UNIT(pv, .name = "pv", .level = UNIT_ARCH, .domain_create = pv_domain_create,
            .relinquish = pv_relinquish, .domain_free = pv_domain_free,
            .vcpu_create = pv_vcpu_create, .vcpu_reset = pv_vcpu_reset, .vcpu_free = pv_vcpu_free);
