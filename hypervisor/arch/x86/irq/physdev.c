// SPDX-License-Identifier: MIT
/* physdev_op: the rows are in abi/ops/physdev.def. */
#include "private.h"
#include "abi/xen_abi.h"
#include "arch/api/arch_irq.h"
#include "domain/domain.h"
#include "event/event.h"
#include "hypercall/guest_access.h"
#include "hypercall/handlers.h"
#include "lib/errno.h"

/* ---- a vcpu's I/O privileges ---- */

long physdevop_set_iopl(struct call *c, struct physdev_set_iopl *arg)
{
    if (arg->iopl > 3)
        return -EINVAL;
    c->v->arch.pv.iopl = arg->iopl;
    return 0;
}

/* The bitmap stays in the guest's memory; the emulation of port instructions reads it there. */
long physdevop_set_iobitmap(struct call *c, struct physdev_set_iobitmap *arg)
{
    if (arg->nr_ports > 0x10000)
        return -EINVAL;
    c->v->arch.pv.iobmp_guest = handle_addr(arg->bitmap);
    c->v->arch.pv.iobmp_limit = arg->nr_ports;
    return 0;
}

/* ---- interrupts ---- */

long physdevop_irq_status_query(struct call *c, struct physdev_irq_status_query *arg)
{
    int irq;

    if (arg->irq >= nr_irqs)
        return -EINVAL;
    irq = pirq_to_irq(c->d, arg->irq);
    arg->flags = irq >= 0 && irq_needs_eoi(&irq_descs[irq]) ? XENIRQSTAT_needs_eoi : 0;
    return 0;
}

long physdevop_eoi(struct call *c, struct physdev_eoi *arg)
{
    evtchn_port_t port;

    if (arg->irq >= nr_irqs)
        return -EINVAL;
    arch_pirq_unmask(c->d, arg->irq);
    if (c->d->arch.auto_unmask) {
        port = evtchn_pirq_port(c->d, arg->irq);
        if (port)
            return evtchn_unmask(c->d, port);
    }
    return 0;
}

long physdevop_pirq_eoi_gmfn_v1(struct call *c, struct physdev_pirq_eoi_gmfn *arg)
{
    return pirq_set_eoi_page(c->d, arg->gmfn, true);
}

long physdevop_pirq_eoi_gmfn_v2(struct call *c, struct physdev_pirq_eoi_gmfn *arg)
{
    return pirq_set_eoi_page(c->d, arg->gmfn, false);
}

long physdevop_setup_gsi(struct call *c, struct physdev_setup_gsi *arg)
{
    struct irq_desc *desc;
    unsigned long flags;
    int ret = -EEXIST;

    (void)c;
    if (arg->gsi < 0 || (unsigned)arg->gsi >= nr_gsis || arg->triggering > 1 || arg->polarity > 1)
        return -EINVAL;
    desc = &irq_descs[index_nospec(arg->gsi, nr_gsis)];
    spin_lock_irqsave(&desc->lock, flags);
    if (!desc->chip) {
        ret = -EINVAL;
    } else if (!desc->vector) {
        desc->level = arg->triggering;
        desc->low = arg->polarity;
        ret = 0;
    }
    spin_unlock_irqrestore(&desc->lock, flags);
    return ret;
}

/*
 * Vectors are given out when an interrupt is bound; what a guest is told here has no meaning.  A
 * kernel that does not use ACPI asks for nothing else before it binds: that maps the line.
 */
long physdevop_alloc_irq_vector(struct call *c, struct physdev_irq *arg)
{
    int pirq = arg->irq, ret = 0;

    if (arg->irq >= nr_irqs)
        return -EINVAL;
    spin_lock(&pirq_lock);
    if (arg->irq < nr_gsis && pirq_to_irq(c->d, arg->irq) < 0 && !c->d->dying) {
        unsigned gsi = index_nospec(arg->irq, nr_gsis);

        ret = irq_descs[gsi].chip ? pirq_map(c->d, &pirq, gsi, 1) : -EINVAL;
    }
    spin_unlock(&pirq_lock);
    arg->vector = arg->irq;
    return ret;
}

long physdevop_free_irq_vector(struct call *c, struct physdev_irq *arg)
{
    (void)c;
    return arg->irq < nr_irqs ? 0 : -EINVAL;
}

long physdevop_apic_read(struct call *c, struct physdev_apic *arg)
{
    (void)c;
    return ioapic_guest_read(arg->apic_physbase, arg->reg, &arg->value);
}

/* Pins are set up by setup_gsi and bind_pirq; older kernels' writes are taken note of by nobody. */
long physdevop_apic_write(struct call *c, struct physdev_apic *arg)
{
    (void)c;
    return ioapic_guest_exists(arg->apic_physbase) ? 0 : -EINVAL;
}

static long map_gsi(struct domain *d, struct physdev_map_pirq *arg)
{
    unsigned gsi = arg->index;

    if (arg->index < 0 || gsi >= nr_gsis)
        return -EINVAL;
    gsi = index_nospec(gsi, nr_gsis);
    if (!irq_descs[gsi].chip)
        return -EINVAL;
    return pirq_map(d, &arg->pirq, gsi, 1);
}

static long map_msi(struct domain *d, struct physdev_map_pirq *arg)
{
    unsigned segment = arg->type == MAP_PIRQ_TYPE_MSI ? 0 : (uint32_t)arg->bus >> 16;
    struct msi_request req = {
        .dev = PCI_SBDF(segment, arg->bus, arg->devfn),
        .msix = arg->table_base,
        .entry = arg->entry_nr,
        .count = 1,
        .table_base = arg->table_base,
    };
    int irq;
    long ret;

    if (arg->type == MAP_PIRQ_TYPE_MULTI_MSI) {
        if (req.msix || arg->entry_nr < 1 || arg->entry_nr > MSI_MAX)
            return -EINVAL;
        while (req.count < (unsigned)arg->entry_nr)
            req.count *= 2;
    } else if (arg->index != -1 || arg->entry_nr < 0) {
        return -EINVAL;
    }
    irq = msi_create(&req);
    if (irq < 0)
        return irq;
    ret = pirq_map(d, &arg->pirq, irq, req.count);
    if (ret)
        msi_destroy(irq);
    else if (arg->type == MAP_PIRQ_TYPE_MULTI_MSI)
        arg->entry_nr = req.count;
    return ret;
}

long physdevop_map_pirq(struct call *c, struct physdev_map_pirq *arg)
{
    long ret = -EINVAL;

    spin_lock(&pirq_lock);
    if (c->d->dying)
        ret = -ESRCH;
    else if (arg->type == MAP_PIRQ_TYPE_GSI)
        ret = map_gsi(c->d, arg);
    else if (arg->type == MAP_PIRQ_TYPE_MSI || arg->type == MAP_PIRQ_TYPE_MSI_SEG ||
             arg->type == MAP_PIRQ_TYPE_MULTI_MSI)
        ret = map_msi(c->d, arg);
    spin_unlock(&pirq_lock);
    return ret;
}

long physdevop_unmap_pirq(struct call *c, struct physdev_unmap_pirq *arg)
{
    long ret;

    if (arg->pirq < 0)
        return -EINVAL;
    spin_lock(&pirq_lock);
    ret = pirq_unmap(c->d, arg->pirq);
    spin_unlock(&pirq_lock);
    return ret;
}

long physdevop_get_free_pirq(struct call *c, struct physdev_get_free_pirq *arg)
{
    int pirq;

    if (arg->type != MAP_PIRQ_TYPE_GSI && arg->type != MAP_PIRQ_TYPE_MSI)
        return -EINVAL;
    spin_lock(&pirq_lock);
    pirq = c->d->dying ? -ESRCH : pirq_reserve(c->d, arg->type == MAP_PIRQ_TYPE_MSI);
    spin_unlock(&pirq_lock);
    if (pirq < 0)
        return pirq;
    arg->pirq = pirq;
    return 0;
}

/* ---- PCI devices ---- */

static long add_device(unsigned seg, unsigned bus, unsigned devfn, uint32_t pxm)
{
    long ret;

    spin_lock(&pirq_lock);
    ret = pci_dev_add(PCI_SBDF(seg, bus, devfn), pxm);
    spin_unlock(&pirq_lock);
    return ret;
}

static long remove_device(unsigned seg, unsigned bus, unsigned devfn)
{
    long ret;

    spin_lock(&pirq_lock);
    ret = pci_dev_remove(PCI_SBDF(seg, bus, devfn));
    spin_unlock(&pirq_lock);
    return ret;
}

static long restore_msi(unsigned seg, unsigned bus, unsigned devfn)
{
    long ret;

    spin_lock(&pirq_lock);
    ret = pci_dev_restore_msi(PCI_SBDF(seg, bus, devfn));
    spin_unlock(&pirq_lock);
    return ret;
}

long physdevop_pci_device_add(struct call *c, struct physdev_pci_device_add *arg)
{
    uint32_t pxm = 0;

    if (arg->flags & XEN_PCI_DEV_PXM &&
        copy_from_guest(&pxm, c->arg + offsetof(struct physdev_pci_device_add, optarr),
                        sizeof(pxm)))
        return -EFAULT;
    return add_device(arg->seg, arg->bus, arg->devfn, pxm);
}

long physdevop_pci_device_remove(struct call *c, struct physdev_pci_device *arg)
{
    (void)c;
    return remove_device(arg->seg, arg->bus, arg->devfn);
}

long physdevop_manage_pci_add(struct call *c, struct physdev_manage_pci *arg)
{
    (void)c;
    return add_device(0, arg->bus, arg->devfn, 0);
}

long physdevop_manage_pci_add_ext(struct call *c, struct physdev_manage_pci_ext *arg)
{
    (void)c;
    if (arg->is_extfn > 1 || arg->is_virtfn > 1)
        return -EINVAL;
    return add_device(0, arg->bus, arg->devfn, 0);
}

long physdevop_manage_pci_remove(struct call *c, struct physdev_manage_pci *arg)
{
    (void)c;
    return remove_device(0, arg->bus, arg->devfn);
}

long physdevop_restore_msi(struct call *c, struct physdev_restore_msi *arg)
{
    (void)c;
    return restore_msi(0, arg->bus, arg->devfn);
}

long physdevop_restore_msi_ext(struct call *c, struct physdev_pci_device *arg)
{
    (void)c;
    return restore_msi(arg->seg, arg->bus, arg->devfn);
}

/* The table is mapped when its first entry is asked for: there is nothing to prepare. */
long physdevop_prepare_msix(struct call *c, struct physdev_pci_device *arg)
{
    (void)c;
    return pci_dev_has_msix(PCI_SBDF(arg->seg, arg->bus, arg->devfn)) ? 0 : -ENODEV;
}

long physdevop_release_msix(struct call *c, struct physdev_pci_device *arg)
{
    return physdevop_prepare_msix(c, arg);
}

long physdevop_pci_mmcfg_reserved(struct call *c, struct physdev_pci_mmcfg_reserved *arg)
{
    long ret;

    (void)c;
    spin_lock(&pirq_lock);
    ret = pci_mmcfg_reserved(arg->address, arg->segment, arg->start_bus, arg->end_bus,
                             arg->flags & XEN_PCI_MMCFG_RESERVED);
    spin_unlock(&pirq_lock);
    return ret;
}

/* No debug port is in use. */
long physdevop_dbgp_op(struct call *c, struct physdev_dbgp_op *arg)
{
    (void)c;
    return arg->op == PHYSDEVOP_DBGP_RESET_PREPARE || arg->op == PHYSDEVOP_DBGP_RESET_DONE
               ? 0
               : -EINVAL;
}
