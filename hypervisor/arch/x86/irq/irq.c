// SPDX-License-Identifier: MIT
/*
 * Interrupts.
 *
 * An irq is a source: the first nr_gsis are the pins of the IO-APICs by global system interrupt,
 * the rest are MSI and MSI-X vectors, created on demand.  Each has a struct irq_desc and, while
 * somebody uses it, a vector on one CPU (vectors.c).  A source is used either by the hypervisor
 * (request_irq) or by guests: a domain first maps it (which gives it a pirq number, pirq.c), then
 * binds the pirq to an event channel; the interrupt is then passed on as that event.
 *
 * An interrupt passed on to a guest must not hold up the local APIC: it is acknowledged at once.
 *   edge, MSI  nothing else; another one while the event is pending merges with it.
 *   level      the line stays asserted until the guest's driver has served the device, so its pin
 *              is masked first, and unmasked when each guest it was passed on to has signalled
 *              the end of interrupt (PHYSDEVOP_eoi; pirq_eoi_map tells guests which need it).  A
 *              guest that never does loses that line, and nothing else.
 *
 * Moving to another CPU: a source that loses nothing while masked (level, maskable MSI) is masked
 * and gets a new vector; others move only if their vector is free there, too, since then a single
 * register changes.  The old one stays valid until the first interrupt arrives at the new place;
 * before that, the source does not move again.
 *
 * Locks: desc->lock guards a descriptor and its list of guests; it is taken in interrupts, and
 * under LOCK_EVENT.  An event is never sent with it held.  The domain of a guest entry stays
 * valid until the end of the interrupt by RCU.  fixed_vector[] is filled at boot.
 */
#include "private.h"
#include "arch/api/arch_irq.h"
#include "arch/x86/power.h"
#include "domain/domain.h"
#include "event/event.h"
#include "kernel/console.h"
#include "kernel/keyhandler.h"
#include "kernel/panic.h"
#include "kernel/softirq.h"
#include "lib/errno.h"
#include <asm/apic.h>

struct irq_desc *irq_descs;
unsigned nr_gsis, nr_irqs;

static void (*fixed_vector[256])(void);

void set_fixed_vector(unsigned vec, void (*fn)(void))
{
    BUG_ON(vec <= VECTOR_DYNAMIC_LAST || vec > 0xff);
    fixed_vector[vec] = fn;
}

/* ---- descriptors; desc->lock held ---- */

static void mask(struct irq_desc *desc)
{
    if (!desc->masked)
        desc->chip->mask(desc);
    desc->masked = true;
}

static void unmask(struct irq_desc *desc)
{
    if (desc->masked)
        desc->chip->unmask(desc);
    desc->masked = false;
}

static void release_old_vector(struct irq_desc *desc)
{
    if (desc->old_vector)
        vector_free(desc->old_cpu, desc->old_vector);
    desc->old_vector = 0;
}

/* Gives it a vector: 0 or -ENOSPC.  desc->lock held. */
static int irq_start(struct irq_desc *desc, unsigned cpu)
{
    int vector;

    if (desc->vector)
        return 0;
    if (!vector_cpu_ok(cpu))
        cpu = 0;
    vector = vectors_alloc(cpu, desc->irq, 1, 0);
    if (vector < 0)
        return vector;
    desc->vector = vector;
    desc->cpu = cpu;
    desc->chip->set_target(desc);
    return 0;
}

void irq_stop(struct irq_desc *desc)
{
    mask(desc);
    release_old_vector(desc);
    if (desc->vector)
        vector_free(desc->cpu, desc->vector);
    desc->vector = 0;
}

static void irq_retarget(struct irq_desc *desc, unsigned cpu)
{
    int vector;

    if (!desc->vector || desc->cpu == cpu || desc->chip->immovable || !vector_cpu_ok(cpu))
        return;
    /* One that was sent to the old place may not have been taken yet. */
    if (desc->old_vector)
        return;
    vector = vectors_alloc(cpu, desc->irq, 1, desc->vector);
    if (vector < 0)
        return;
    /* Vector and CPU are not written at once: in between nothing may be sent, nor be lost. */
    if (vector != desc->vector && !desc->chip->holds_masked && !desc->level && !desc->masked) {
        vector_free(cpu, vector);
        return; /* it stays where it is, which works as well */
    }
    desc->old_cpu = desc->cpu;
    desc->old_vector = desc->vector;
    desc->cpu = cpu;
    desc->vector = vector;
    desc->chip->set_target(desc);
}

/* ---- delivery ---- */

struct delivery {
    struct domain *d;
    unsigned pirq;
};

/* Notes whom to tell; the lock is held, and must not be when they are told. */
static unsigned collect_guests(struct irq_desc *desc, struct delivery *to)
{
    unsigned n = 0;

    for (struct irq_guest *g = desc->guests; g && n < IRQ_MAX_GUESTS; g = g->next) {
        if (!g->bound)
            continue;
        if (desc->level && !g->in_flight) {
            g->in_flight = true;
            desc->in_flight++;
        }
        to[n++] = (struct delivery){g->d, g->pirq};
    }
    return n;
}

static void handle_irq(struct irq_desc *desc, unsigned cpu, unsigned vector)
{
    struct delivery to[IRQ_MAX_GUESTS];
    void (*fn)(void *);
    unsigned n = 0;

    spin_lock(&desc->lock);
    desc->count++;
    if (desc->old_vector && desc->cpu == cpu && desc->vector == vector)
        release_old_vector(desc);
    if (desc->chip && desc->level)
        mask(desc);
    apic_eoi();
    fn = desc->fn;
    if (!fn)
        n = collect_guests(desc, to);
    spin_unlock(&desc->lock);

    if (fn) {
        fn(desc->data);
        if (desc->level) {
            spin_lock(&desc->lock);
            unmask(desc);
            spin_unlock(&desc->lock);
        }
        return;
    }
    for (unsigned i = 0; i < n; i++)
        if (!send_guest_pirq(to[i].d, to[i].pirq))
            arch_pirq_unmask(to[i].d, to[i].pirq); /* its port was just closed */
}

static void stray_interrupt(unsigned vector)
{
    static unsigned told;

    /* A source that was just masked or moved may have had one under way. */
    if (!apic_vector_pending(vector))
        return;
    apic_eoi();
    if (told < 10) {
        told++;
        printk(KERN_DEBUG "CPU%u: interrupt at vector %#x, which nobody has\n", smp_processor_id(),
               vector);
    }
}

void do_irq(struct cpu_user_regs *regs)
{
    unsigned vector = (uint8_t)regs->entry_vector;
    unsigned irq;

    irq_enter();
    irq = this_cpu(vector_irq)[vector];
    if (fixed_vector[vector]) {
        if (vector != VECTOR_SPURIOUS)
            apic_eoi();
        fixed_vector[vector]();
    } else if (likely(irq)) {
        handle_irq(&irq_descs[irq - 1], smp_processor_id(), vector);
    } else if (vector != VECTOR_SPURIOUS) {
        stray_interrupt(vector);
    }
    irq_exit();
}

/* ---- the hypervisor's own ---- */

int request_irq(unsigned gsi_or_irq, void (*fn)(void *), void *data, const char *name)
{
    unsigned gsi = gsi_or_irq < 16 ? isa_irq_to_gsi(gsi_or_irq) : gsi_or_irq;
    struct irq_desc *desc;
    unsigned long flags;
    int ret = -EBUSY;

    if (gsi >= nr_gsis || !irq_descs[gsi].chip)
        return -EINVAL;
    desc = &irq_descs[gsi];
    spin_lock_irqsave(&desc->lock, flags);
    if (!desc->fn && !desc->vector) {
        ret = irq_start(desc, 0);
        if (!ret) {
            desc->data = data;
            desc->name = name;
            desc->fn = fn;
            unmask(desc);
        }
    }
    spin_unlock_irqrestore(&desc->lock, flags);
    return ret;
}

/* ---- guests: arch_irq.h ---- */

static struct irq_guest *find_guest(struct irq_desc *desc, const struct domain *d, unsigned pirq)
{
    for (struct irq_guest *g = desc->guests; g; g = g->next)
        if (g->d == d && g->pirq == pirq)
            return g;
    return NULL;
}

/* Locks the descriptor behind d's pirq and finds d's claim on it; NULL (unlocked) if none. */
static struct irq_guest *lock_guest(const struct domain *d, unsigned pirq, struct irq_desc **desc,
                                    unsigned long *flags)
{
    int irq = pirq_to_irq(d, pirq);
    struct irq_guest *g;

    if (irq < 0)
        return NULL;
    *desc = &irq_descs[irq];
    spin_lock_irqsave(&(*desc)->lock, *flags);
    g = (*desc)->chip ? find_guest(*desc, d, pirq) : NULL;
    if (!g)
        spin_unlock_irqrestore(&(*desc)->lock, *flags);
    return g;
}

bool irq_needs_eoi(const struct irq_desc *desc)
{
    return desc->level;
}

/* Keeps the bit that tells the guest whether to signal the end of interrupt. */
static void publish_needs_eoi(struct domain *d, unsigned pirq, bool needs)
{
    unsigned long *map = READ_ONCE(d->arch.pirq_eoi_map);

    if (!map || pirq >= PAGE_SIZE * 8)
        return;
    if (needs)
        set_bit(pirq, map);
    else
        clear_bit(pirq, map);
}

static bool may_bind(const struct irq_desc *desc, const struct irq_guest *me, bool share)
{
    if (desc->fn || me->bound)
        return false;
    for (const struct irq_guest *g = desc->guests; g; g = g->next)
        if (g->bound && !(g->share && share))
            return false;
    return true;
}

int arch_pirq_bind(struct vcpu *v, unsigned pirq, bool share)
{
    struct irq_desc *desc;
    unsigned long flags;
    struct irq_guest *g = lock_guest(v->domain, pirq, &desc, &flags);
    int ret = -EBUSY;

    if (!g)
        return -EINVAL;
    if (may_bind(desc, g, share)) {
        ret = irq_start(desc, v->processor);
        if (!ret) {
            g->bound = true;
            g->share = share;
            g->in_flight = false;
            publish_needs_eoi(v->domain, pirq, irq_needs_eoi(desc));
            if (!desc->in_flight)
                unmask(desc);
        }
    }
    spin_unlock_irqrestore(&desc->lock, flags);
    return ret;
}

/* g has no interrupt to answer for any more.  Lock held. */
static void end_of_interrupt(struct irq_desc *desc, struct irq_guest *g)
{
    if (!g->in_flight)
        return;
    g->in_flight = false;
    if (--desc->in_flight == 0 && desc->vector)
        unmask(desc);
}

static bool anybody_bound(const struct irq_desc *desc)
{
    for (const struct irq_guest *g = desc->guests; g; g = g->next)
        if (g->bound)
            return true;
    return false;
}

void arch_pirq_unbind(struct domain *d, unsigned pirq)
{
    struct irq_desc *desc;
    unsigned long flags;
    struct irq_guest *g = lock_guest(d, pirq, &desc, &flags);

    if (!g)
        return;
    if (g->bound) {
        g->bound = false;
        publish_needs_eoi(d, pirq, false);
        if (anybody_bound(desc)) {
            end_of_interrupt(desc, g);
        } else {
            g->in_flight = false;
            desc->in_flight = 0;
            /* MSI keeps its vector: the device may still hold its number. */
            if (desc->msi)
                mask(desc);
            else
                irq_stop(desc);
        }
    }
    spin_unlock_irqrestore(&desc->lock, flags);
}

void arch_pirq_unmask(struct domain *d, unsigned pirq)
{
    struct irq_desc *desc;
    unsigned long flags;
    struct irq_guest *g = lock_guest(d, pirq, &desc, &flags);

    if (!g)
        return;
    end_of_interrupt(desc, g);
    spin_unlock_irqrestore(&desc->lock, flags);
}

void arch_pirq_set_affinity(struct domain *d, unsigned pirq, unsigned cpu)
{
    struct irq_desc *desc;
    unsigned long flags;
    struct irq_guest *g = lock_guest(d, pirq, &desc, &flags);

    if (!g)
        return;
    if (g->bound)
        irq_retarget(desc, cpu);
    spin_unlock_irqrestore(&desc->lock, flags);
}

/* ---- boot, debugging ---- */

static void dump_irqs(unsigned char key)
{
    (void)key;
    for (unsigned i = 0; i < nr_irqs; i++) {
        struct irq_desc *desc = &irq_descs[i];
        unsigned long flags;

        spin_lock_irqsave(&desc->lock, flags);
        if (!desc->chip || (!desc->vector && !desc->guests)) {
            spin_unlock_irqrestore(&desc->lock, flags);
            continue;
        }
        printk("IRQ %3u %-7s %s %s%s vector %#04x CPU%u count %lu", i, desc->chip->name,
               desc->level ? "level" : "edge ", desc->low ? "low" : "high",
               desc->masked ? " masked" : "", desc->vector, desc->cpu, desc->count);
        if (desc->fn)
            printk(" [%s]", desc->name);
        for (const struct irq_guest *g = desc->guests; g; g = g->next)
            printk(" d%u/pirq%u%s%s", g->d->id, g->pirq, g->bound ? " bound" : "",
                   g->in_flight ? " in flight" : "");
        printk("\n");
        spin_unlock_irqrestore(&desc->lock, flags);
    }
}

void irq_init(void)
{
    i8259_init();
    nr_gsis = ioapic_count_gsis();
    nr_irqs = nr_gsis + NR_MSI_IRQS;
    irq_descs = xzalloc_array(struct irq_desc, nr_irqs);
    if (!irq_descs)
        panic("no memory for %u interrupt descriptors", nr_irqs);
    for (unsigned i = 0; i < nr_irqs; i++) {
        irq_descs[i].irq = i;
        irq_descs[i].masked = true;
        spin_lock_init(&irq_descs[i].lock, LOCK_IRQ);
    }
    ioapic_init();
    pci_init();
    power_init();
    keyhandler_register('i', dump_irqs, "interrupts: sources, vectors, pirqs");
}

void irq_shutdown(void)
{
    ioapic_mask_all();
}
