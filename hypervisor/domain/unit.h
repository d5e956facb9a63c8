// SPDX-License-Identifier: MIT
/*
 * Units: how a room hooks itself into the life of domains, vcpus and CPUs.  DEFINE_UNIT in the
 * room's main file is the only registration; hooks run in order of level, teardown in reverse.
 * Any hook may be NULL.
 */
#pragma once
#include <stdbool.h>
#include "lib/compiler.h"

struct domain;
struct vcpu;
struct xen_domctl_createdomain;

struct unit {
    const char *name;
    int level;          /* lower first: UNIT_* */
    bool idle_too;      /* domain and vcpu hooks also run for the idle domain */
    void (*boot)(void); /* once, by units_init(): debug keys and the like */
    int (*domain_create)(struct domain *d, const struct xen_domctl_createdomain *cfg);
    /* Drops what d holds; idempotent; -ERESTART if preempted. */
    int (*relinquish)(struct domain *d);
    /* After the last reference; also called after a failed domain_create, even its own. */
    void (*domain_free)(struct domain *d);
    int (*vcpu_create)(struct vcpu *v);
    void (*vcpu_reset)(struct vcpu *v);
    void (*vcpu_free)(struct vcpu *v);
    int (*cpu_up)(unsigned cpu);    /* before the CPU runs */
    void (*cpu_down)(unsigned cpu); /* it did not start: none stops later */
    void (*dump)(struct domain *d); /* debug key 'q' */
};

enum {
    UNIT_MEM = 10,
    UNIT_ARCH = 20,
    UNIT_SCHED = 30,
    UNIT_TIME = 35,
    UNIT_EVENT = 40,
    UNIT_GRANT = 50,
    UNIT_LATE = 90
};

#define DEFINE_UNIT(id, ...)                                                                       \
    static const struct unit unit_##id = {__VA_ARGS__};                                            \
    static const struct unit *const unit_ptr_##id __attribute__((section("units"), used)) =        \
        &unit_##id

/* Sorts the units by level; before the first domain. */
void units_init(void);
int units_domain_create(struct domain *d, const struct xen_domctl_createdomain *cfg);
int units_relinquish(struct domain *d);
void units_domain_free(struct domain *d);
int units_vcpu_create(struct vcpu *v);
void units_vcpu_reset(struct vcpu *v);
void units_vcpu_free(struct vcpu *v);
int units_cpu_up(unsigned cpu);
void units_cpu_down(unsigned cpu);
void units_dump(struct domain *d);
