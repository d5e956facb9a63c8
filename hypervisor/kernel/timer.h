// SPDX-License-Identifier: MIT
/*
 * One-shot timers in system time.  Each belongs to a CPU; its function runs there from a softirq,
 * with no lock held and interrupts on.  The hardware timer is set to the earliest.
 */
#pragma once
#include "lib/types.h"

struct timer {
    s_time_t expires;
    void (*fn)(void *);
    void *data;
    unsigned cpu;
    bool set, killed;
    /* links of the CPU's heap: first child; next sibling; previous sibling, or parent of the first
     */
    struct timer *child, *next, *prev;
};

void timer_init(struct timer *t, void (*fn)(void *), void *data, unsigned cpu);
/* (Re)arms t for the absolute time expires.  A time in the past fires at once. */
void timer_set(struct timer *t, s_time_t expires);
void timer_stop(struct timer *t);
/* The same, and t belongs to this CPU from now on.  The cheapest way where the caller has no wish.
 */
void timer_set_here(struct timer *t, s_time_t expires);
/* Stops t and waits for a running fn; t cannot be set any more.  Not from fn itself. */
void timer_kill(struct timer *t);
/* Moves t, armed or not, to another CPU. */
void timer_migrate(struct timer *t, unsigned cpu);

void timer_subsys_init(void);      /* boot CPU */
void timer_cpu_init(unsigned cpu); /* before another CPU runs */
/* cpu does not run (it did not start): its timers move to this CPU. */
void timer_cpu_dead(unsigned cpu);
/* Called by the arch's timer interrupt; raises the softirq. */
void timer_interrupt(void);
