// SPDX-License-Identifier: MIT
/*
 * What guests are told about time: vcpu_time_info (xen.h), the wall clock, and the TSC itself
 * where they may not read the real one.
 *
 * A domain with an emulated TSC (d->arch.vtsc) sees one of tsc_khz that was 0 at system time
 * vtsc_offset.  Of the others hardware-virtualised ones see the host's with an offset, so that
 * theirs begins with them and goes on where it was when they are restored; PV ones see the host's.
 * v->arch.time is a copy of what v was told last: while nothing changes nothing is written.
 */
#include "private.h"
#include "arch/api/arch_time.h"
#include "domain/domain.h"
#include "domain/unit.h"
#include "hypercall/compat.h"
#include "lib/errno.h"
#include <xen/domctl.h>
#include <asm/msr.h>

/* ---- the TSC ---- */

/* kHz are ticks a million ns */
static uint64_t ns_to_ticks(uint64_t ns, uint32_t khz)
{
    return mul_frac(ns, ((uint64_t)khz << 32) / 1000000);
}

static uint64_t ticks_to_ns(uint64_t ticks, uint32_t khz)
{
    return ticks / khz * 1000000 + ticks % khz * 1000000 / khz;
}

uint64_t arch_guest_tsc(const struct vcpu *v)
{
    const struct arch_domain *a = &v->domain->arch;

    if (!a->vtsc)
        return rdtsc_ordered() + a->tsc_offset;
    return ns_to_ticks(NOW() - (s_time_t)a->vtsc_offset, a->tsc_khz);
}

void arch_set_guest_tsc(struct domain *d, uint64_t tsc)
{
    struct arch_domain *a = &d->arch;
    uint64_t ns = ticks_to_ns(tsc, a->tsc_khz), now;

    /* What is rounded away in both directions may not take it back. */
    now = ns_to_ticks(ns, a->tsc_khz);
    if (now < tsc)
        ns += ticks_to_ns(tsc - now, a->tsc_khz) + 1;
    a->vtsc_offset = NOW() - ns;
    a->tsc_offset = a->vtsc || !d->is_hvm ? 0 : tsc - rdtsc_ordered();
    a->own_tsc = a->vtsc || a->tsc_offset;
}

int arch_set_tsc_mode(struct domain *d, uint32_t mode, uint64_t elapsed_nsec, uint32_t gtsc_khz,
                      uint32_t incarnation)
{
    struct arch_domain *a = &d->arch;
    uint32_t khz = gtsc_khz ? gtsc_khz : cpu_khz;

    if (khz < 1000)
        return -EINVAL;
    switch (mode) {
    case TSC_MODE_DEFAULT:
        /* A guest that began elsewhere may go on natively if the TSC here ticks the same. */
        a->vtsc = !tsc_trusted() || khz != cpu_khz;
        break;
    case TSC_MODE_ALWAYS:
        a->vtsc = true;
        break;
    case TSC_MODE_NEVER:
        a->vtsc = false;
        break;
    default:
        return -EINVAL;
    }
    a->tsc_mode = mode;
    a->tsc_khz = a->vtsc ? khz : cpu_khz;
    a->tsc_incarnation = incarnation;
    arch_set_guest_tsc(d, ns_to_ticks(elapsed_nsec, a->tsc_khz));
    a->vtsc_offset = NOW() - elapsed_nsec; /* to the ns */
    return 0;
}

void arch_get_tsc_mode(const struct domain *d, uint32_t *mode, uint64_t *elapsed_nsec,
                       uint32_t *gtsc_khz, uint32_t *incarnation)
{
    const struct arch_domain *a = &d->arch;

    *mode = a->tsc_mode;
    *elapsed_nsec = NOW() - a->vtsc_offset;
    *gtsc_khz = a->tsc_khz;
    *incarnation = a->tsc_incarnation;
}

static int time_domain_create(struct domain *d, const struct xen_domctl_createdomain *cfg)
{
    (void)cfg;
    return arch_set_tsc_mode(d, TSC_MODE_DEFAULT, 0, 0, 0);
}

/* ---- vcpu_time_info ---- */

static void by_host_tsc(const struct time_base *b, struct vcpu_time_info *t)
{
    t->tsc_timestamp = b->tsc;
    t->system_time = b->ns;
    t->tsc_to_system_mul = b->scale.mul;
    t->tsc_shift = b->scale.shift;
    t->flags = tsc_trusted() ? XEN_PVCLOCK_TSC_STABLE_BIT : 0;
}

static noinline void by_own_tsc(const struct arch_domain *a, const struct time_base *b,
                                struct vcpu_time_info *t)
{
    struct time_scale s;

    if (!a->vtsc) {
        by_host_tsc(b, t);
        t->tsc_timestamp += a->tsc_offset;
        return;
    }
    s = scale_for_hz(a->tsc_khz * 1000ULL);
    t->system_time = a->vtsc_offset; /* at TSC 0 */
    t->tsc_to_system_mul = s.mul;
    t->tsc_shift = s.shift;
    t->flags = XEN_PVCLOCK_TSC_STABLE_BIT;
}

static void time_info_of(const struct vcpu *v, struct vcpu_time_info *t)
{
    const struct arch_domain *a = &v->domain->arch;
    const struct time_base *b = &per_cpu(time_base, v->processor);

    if (a->own_tsc)
        by_own_tsc(a, b, t);
    else
        by_host_tsc(b, t);
}

/* The version is odd while the rest changes (xen.h). */
static void write_shared(struct vcpu_time_info *shared, const struct vcpu_time_info *t)
{
    WRITE_ONCE(shared->version, t->version - 1);
    smp_wmb();
    shared->tsc_timestamp = t->tsc_timestamp;
    shared->system_time = t->system_time;
    shared->tsc_to_system_mul = t->tsc_to_system_mul;
    shared->tsc_shift = t->tsc_shift;
    shared->flags = t->flags;
    smp_wmb();
    WRITE_ONCE(shared->version, t->version);
}

/* The same at the virtual address that the guest registered; current's only. */
static void write_guest(uint64_t addr, const struct vcpu_time_info *t)
{
    struct vcpu_time_info copy = *t;

    copy.version--;
    if (copy_to_guest(addr, &copy, sizeof(copy)))
        return;
    smp_wmb();
    copy.version = t->version;
    if (copy_to_guest(addr, &copy.version, sizeof(copy.version)))
        return; /* it unmapped its own clock */
}

void arch_update_vcpu_time(struct vcpu *v)
{
    struct vcpu_time_info *last = &v->arch.time;
    struct vcpu_time_info t = {.version = last->version};

    if (!v->info)
        return;
    time_info_of(v, &t);
    if (likely(!memcmp(&t, last, sizeof(t))))
        return;
    t.version += 2;
    write_shared(&v->info->time, &t);
    if (!v->time_guest) {
        *last = t;
    } else if (v == current) {
        write_guest(v->time_guest, &t);
        *last = t;
    } else {
        /* Its address space is not loaded: all again when it runs. */
        last->version = t.version;
        last->tsc_to_system_mul = 0;
    }
}

/* ---- wall clock ---- */

static spinlock_t wallclock_lock = SPINLOCK_INIT(LOCK_LEAF);
static uint64_t wall_sec; /* at system time 0; wallclock_lock */
static uint32_t wall_nsec;

void wallclock_get(uint64_t *sec, uint32_t *nsec)
{
    unsigned long flags;

    spin_lock_irqsave(&wallclock_lock, flags);
    *sec = wall_sec;
    *nsec = wall_nsec;
    spin_unlock_irqrestore(&wallclock_lock, flags);
}

void wallclock_set(uint64_t sec, uint32_t nsec, s_time_t at)
{
    uint64_t at_sec = at / SECONDS(1);
    uint32_t at_nsec = at % SECONDS(1);
    unsigned long flags;

    if (nsec < at_nsec) {
        nsec += SECONDS(1);
        sec--;
    }
    spin_lock_irqsave(&wallclock_lock, flags);
    wall_sec = sec - at_sec;
    wall_nsec = nsec - at_nsec;
    spin_unlock_irqrestore(&wallclock_lock, flags);
}

static void publish_wallclock(struct domain *d)
{
    struct shared_info *s = d->shared_info;
    unsigned long flags;
    uint32_t *version, *sec_hi; /* the seconds and nanoseconds are behind the version */
    uint64_t sec;

    if (!s)
        return;
    version = &s->wc_version;
    sec_hi = &s->wc_sec_hi;
    if (is_32bit(d)) {
        version = (uint32_t *)((char *)s + COMPAT_OFFSET_shared_info_wc_version);
        sec_hi = (uint32_t *)((char *)s + COMPAT_OFFSET_shared_info_arch_wc_sec_hi);
    }
    spin_lock_irqsave(&wallclock_lock, flags);
    sec = wall_sec + d->time_offset;
    WRITE_ONCE(*version, READ_ONCE(*version) | 1);
    smp_wmb();
    version[1] = sec;
    *sec_hi = sec >> 32;
    version[2] = wall_nsec;
    smp_wmb();
    WRITE_ONCE(*version, READ_ONCE(*version) + 1);
    spin_unlock_irqrestore(&wallclock_lock, flags);
}

void arch_update_wallclock(struct domain *d)
{
    if (d) {
        publish_wallclock(d);
        return;
    }
    rcu_read_lock();
    for_each_domain (d)
        publish_wallclock(d);
    rcu_read_unlock();
}

DEFINE_UNIT(time, .name = "time", .level = UNIT_TIME, .domain_create = time_domain_create);
