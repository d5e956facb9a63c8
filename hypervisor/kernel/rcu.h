// SPDX-License-Identifier: MIT
/*
 * Read-copy-update.  The hypervisor does not preempt itself, so a read-side section is any stretch
 * of code that does not return to a guest, idle, or reschedule: marking it costs nothing.
 * call_rcu() runs fn once every CPU has passed such a point since.
 */
#pragma once

struct rcu_head {
    struct rcu_head *next;
    void (*fn)(struct rcu_head *);
    unsigned long seq;
};

static inline void rcu_read_lock(void)
{
}

static inline void rcu_read_unlock(void)
{
}

/* Any context but NMI.  fn runs from a softirq on this CPU. */
void call_rcu(struct rcu_head *head, void (*fn)(struct rcu_head *));
/* This CPU holds no RCU-protected pointer now.  Called by the softirq loop, idle or not. */
void rcu_quiescent(void);
void rcu_run_callbacks(void); /* the softirq */
/* cpu does not run (it did not start): nobody waits for it, its callbacks move here. */
void rcu_cpu_dead(unsigned cpu);
