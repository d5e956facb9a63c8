// SPDX-License-Identifier: MIT
/*
 * PIRQs: the numbers by which a domain knows the interrupts it was given.
 *
 * The table of a domain leads from pirq to irq; it is made with the first mapping.  The irq's
 * descriptor leads back (struct irq_guest), and that side decides: the table is read without a
 * lock, and who finds no claim of his in the descriptor has read an old entry.  Mapping and
 * unmapping are under pirq_lock.  GSIs have pirqs of the same number; MSIs those above.
 *
 * A guest may give a page (pirq_eoi_map) in which a set bit tells that this pirq needs the end of
 * interrupt signalled; the page is referenced, and stays mapped, until the domain dies.
 */
#include "private.h"
#include "arch/api/arch_irq.h"
#include "domain/domain.h"
#include "domain/unit.h"
#include "lib/errno.h"
#include "mm/mm.h"

#define PIRQ_FREE     0
#define PIRQ_RESERVED UINT16_MAX

struct pirq_table {
    uint16_t irq[0]; /* [nr_irqs]: irq + 1, PIRQ_FREE or PIRQ_RESERVED */
};

spinlock_t pirq_lock = SPINLOCK_INIT(LOCK_PIRQ);

unsigned arch_nr_pirqs(const struct domain *d)
{
    (void)d;
    return nr_irqs;
}

int pirq_to_irq(const struct domain *d, unsigned pirq)
{
    const struct pirq_table *t = READ_ONCE(d->arch.pirqs);
    uint16_t val;

    if (!t || pirq >= nr_irqs)
        return -EINVAL;
    val = READ_ONCE(t->irq[index_nospec(pirq, nr_irqs)]);
    return val == PIRQ_FREE || val == PIRQ_RESERVED ? -EINVAL : val - 1;
}

static struct pirq_table *get_table(struct domain *d)
{
    if (!d->arch.pirqs)
        WRITE_ONCE(d->arch.pirqs, (struct pirq_table *)xzalloc_array(uint16_t, nr_irqs));
    return d->arch.pirqs;
}

/* The first of count free numbers in a row, for an irq of that kind. */
static int find_free(const struct pirq_table *t, bool msi, unsigned count)
{
    unsigned run = 0;

    for (unsigned i = msi ? nr_gsis : 16; i < nr_irqs; i++) {
        run = t->irq[i] == PIRQ_FREE ? run + 1 : 0;
        if (run == count)
            return i - count + 1;
    }
    return -ENOSPC;
}

int pirq_reserve(struct domain *d, bool msi)
{
    struct pirq_table *t = get_table(d);
    int pirq = t ? find_free(t, msi, 1) : -ENOMEM;

    if (pirq >= 0)
        t->irq[pirq] = PIRQ_RESERVED;
    return pirq;
}

/* Adds d's claim to the descriptor. */
static int add_guest(unsigned irq, struct domain *d, unsigned pirq)
{
    struct irq_desc *desc = &irq_descs[irq];
    struct irq_guest *g = xzalloc(struct irq_guest);
    unsigned long flags;
    unsigned others = 0;

    if (!g)
        return -ENOMEM;
    g->d = d;
    g->pirq = pirq;
    spin_lock_irqsave(&desc->lock, flags);
    for (const struct irq_guest *i = desc->guests; i; i = i->next)
        others++;
    if (others < IRQ_MAX_GUESTS) {
        g->next = desc->guests;
        desc->guests = g;
    }
    spin_unlock_irqrestore(&desc->lock, flags);
    if (others < IRQ_MAX_GUESTS)
        return 0;
    xfree(g);
    return -ENOSPC;
}

static void remove_guest(unsigned irq, const struct domain *d, unsigned pirq)
{
    struct irq_desc *desc = &irq_descs[irq];
    struct irq_guest **p, *g;
    unsigned long flags;

    spin_lock_irqsave(&desc->lock, flags);
    for (p = &desc->guests; (g = *p) != NULL; p = &g->next) {
        if (g->d == d && g->pirq == pirq) {
            *p = g->next;
            break;
        }
    }
    spin_unlock_irqrestore(&desc->lock, flags);
    xfree(g);
}

static int map_one(struct domain *d, unsigned pirq, unsigned irq)
{
    struct pirq_table *t = d->arch.pirqs;
    int ret;

    if (t->irq[pirq] == irq + 1)
        return 0; /* once more */
    if (t->irq[pirq] != PIRQ_FREE && t->irq[pirq] != PIRQ_RESERVED)
        return -EBUSY;
    ret = add_guest(irq, d, pirq);
    if (!ret)
        WRITE_ONCE(t->irq[pirq], irq + 1);
    return ret;
}

static void unmap_one(struct domain *d, unsigned pirq, unsigned irq)
{
    arch_pirq_unbind(d, pirq);
    remove_guest(irq, d, pirq);
    WRITE_ONCE(d->arch.pirqs->irq[pirq], (uint16_t)PIRQ_FREE);
}

int pirq_map(struct domain *d, int *pirq, unsigned irq, unsigned count)
{
    struct pirq_table *t = get_table(d);
    int first = *pirq, ret = 0;
    unsigned done;

    if (!t)
        return -ENOMEM;
    if (first < 0 && irq < nr_gsis && count == 1 &&
        (t->irq[irq] == PIRQ_FREE || t->irq[irq] == irq + 1))
        first = irq;
    else if (first < 0)
        first = find_free(t, irq >= nr_gsis, count);
    if (first < 0)
        return first;
    if ((unsigned)first >= nr_irqs || count > nr_irqs - first)
        return -EINVAL;
    for (done = 0; done < count; done++) {
        ret = map_one(d, index_nospec(first + done, nr_irqs), irq + done);
        if (ret)
            break;
    }
    if (!ret)
        *pirq = first;
    else
        while (done--)
            unmap_one(d, first + done, irq + done);
    return ret;
}

int pirq_unmap(struct domain *d, unsigned pirq)
{
    struct pirq_table *t = d->arch.pirqs;
    int irq = pirq_to_irq(d, pirq);
    unsigned count;

    if (irq < 0) {
        if (!t || pirq >= nr_irqs || t->irq[index_nospec(pirq, nr_irqs)] != PIRQ_RESERVED)
            return -EINVAL;
        t->irq[pirq] = PIRQ_FREE;
        return 0;
    }
    count = msi_block_size(irq);
    if (!count)
        return -EINVAL;
    for (unsigned i = 0; i < count; i++)
        unmap_one(d, pirq + i, irq + i);
    if (irq >= (int)nr_gsis)
        msi_destroy(irq);
    return 0;
}

void pirq_unmap_irq(unsigned irq)
{
    const struct irq_guest *g = irq_descs[irq].guests;

    if (g)
        pirq_unmap(g->d, g->pirq);
    else
        msi_destroy(irq);
}

int pirq_set_eoi_page(struct domain *d, uint64_t gfn, bool auto_unmask)
{
    struct page_info *pg = get_page_gfn(d, _gfn(gfn));
    int ret = -EINVAL;

    if (!pg)
        return -EINVAL;
    if (get_page_type(pg, PGT_writable)) {
        put_page(pg);
        return -EINVAL;
    }
    spin_lock(&pirq_lock);
    if (d->arch.pirq_eoi_map) {
        ret = -EBUSY;
    } else if (!d->dying) {
        d->arch.auto_unmask = auto_unmask;
        WRITE_ONCE(d->arch.pirq_eoi_map, (unsigned long *)page_to_virt(pg));
        ret = 0;
    }
    spin_unlock(&pirq_lock);
    if (ret) {
        put_page_and_type(pg);
        return ret;
    }
    for (unsigned pirq = 0; pirq < nr_irqs && d->arch.pirqs; pirq++) {
        int irq = pirq_to_irq(d, pirq);

        if (irq >= 0 && irq_needs_eoi(&irq_descs[irq]))
            set_bit(pirq, d->arch.pirq_eoi_map);
        else
            clear_bit(pirq, d->arch.pirq_eoi_map);
    }
    return 0;
}

/* ---- the life of a domain ---- */

static int pirq_relinquish(struct domain *d)
{
    unsigned long *map;

    spin_lock(&pirq_lock);
    for (unsigned pirq = 0; pirq < nr_irqs && d->arch.pirqs; pirq++)
        if (d->arch.pirqs->irq[pirq] != PIRQ_FREE)
            pirq_unmap(d, pirq);
    map = d->arch.pirq_eoi_map;
    d->arch.pirq_eoi_map = NULL;
    spin_unlock(&pirq_lock);
    if (map)
        put_page_and_type(mfn_to_page(virt_to_mfn(map)));
    return 0;
}

static void pirq_domain_free(struct domain *d)
{
    xfree(d->arch.pirqs);
    d->arch.pirqs = NULL;
}

DEFINE_UNIT(pirq, .name = "pirq", .level = UNIT_ARCH + 5, .relinquish = pirq_relinquish,
            .domain_free = pirq_domain_free);
