// SPDX-License-Identifier: MIT
/* The registered units, in order of level; see unit.h. */
#include "domain/unit.h"
#include "domain/domain.h"
#include "kernel/panic.h"

extern const struct unit *const __units_start[], *const __units_end[];

#define MAX_UNITS 64
static const struct unit *units[MAX_UNITS];
static unsigned nr_units;

void __init units_init(void)
{
    for (const struct unit *const *p = __units_start; p < __units_end; p++) {
        unsigned i;

        BUG_ON(nr_units == MAX_UNITS);
        for (i = nr_units++; i && units[i - 1]->level > (*p)->level; i--)
            units[i] = units[i - 1];
        units[i] = *p;
    }
    for (unsigned i = 0; i < nr_units; i++)
        if (units[i]->boot)
            units[i]->boot();
}

/* Does unit u take part in the life of d? */
static bool joins(const struct unit *u, const struct domain *d)
{
    return !d->is_idle || u->idle_too;
}

int units_domain_create(struct domain *d, const struct xen_domctl_createdomain *cfg)
{
    for (unsigned i = 0; i < nr_units; i++)
        if (units[i]->domain_create && joins(units[i], d)) {
            int ret = units[i]->domain_create(d, cfg);

            if (ret)
                return ret;
        }
    return 0;
}

int units_relinquish(struct domain *d)
{
    for (unsigned i = nr_units; i--;)
        if (units[i]->relinquish) {
            int ret = units[i]->relinquish(d);

            if (ret)
                return ret;
        }
    return 0;
}

void units_domain_free(struct domain *d)
{
    for (unsigned i = nr_units; i--;)
        if (units[i]->domain_free)
            units[i]->domain_free(d);
}

int units_vcpu_create(struct vcpu *v)
{
    for (unsigned i = 0; i < nr_units; i++)
        if (units[i]->vcpu_create && joins(units[i], v->domain)) {
            int ret = units[i]->vcpu_create(v);

            if (ret)
                return ret;
        }
    return 0;
}

void units_vcpu_reset(struct vcpu *v)
{
    for (unsigned i = nr_units; i--;)
        if (units[i]->vcpu_reset)
            units[i]->vcpu_reset(v);
}

void units_vcpu_free(struct vcpu *v)
{
    for (unsigned i = nr_units; i--;)
        if (units[i]->vcpu_free)
            units[i]->vcpu_free(v);
}

int units_cpu_up(unsigned cpu)
{
    for (unsigned i = 0; i < nr_units; i++)
        if (units[i]->cpu_up) {
            int ret = units[i]->cpu_up(cpu);

            if (ret)
                return ret;
        }
    return 0;
}

void units_cpu_down(unsigned cpu)
{
    for (unsigned i = nr_units; i--;)
        if (units[i]->cpu_down)
            units[i]->cpu_down(cpu);
}

void units_dump(struct domain *d)
{
    for (unsigned i = 0; i < nr_units; i++)
        if (units[i]->dump)
            units[i]->dump(d);
}
