// SPDX-License-Identifier: MIT
/*
 * The scheduler's core: it knows which vcpus are runnable and which run, switches between them, and
 * keeps the accounts.  Which one is next is decided by a struct scheduler (sched/rr.c).
 *
 * A vcpu belongs to the run queue of v->processor, and v->runstate.state is its state there:
 *   running            it is `curr` of that CPU
 *   runnable           it is queued with the scheduler
 *   blocked, offline   neither; blocked if it waits for an event, offline if it is paused or down
 * All changes are under that queue's lock.  vcpu_wake() and vcpu_sleep_nosync() bring the state in
 * step with what vcpu_runnable() says, which is computed from flags that others change without the
 * lock: whoever changes one calls one of the two afterwards.  For a vcpu that runs this means
 * making its CPU schedule.
 *
 * v->is_running outlasts state running: it tells that the vcpu's registers may still be in the CPU.
 * It is cleared by sched_context_saved(), and only then may the vcpu run, or belong, elsewhere.
 * v->processor changes under the locks of both queues.
 *
 * A CPU's idle vcpu is never queued and runs if nothing else does.
 */
#include "sched/private.h"
#include "arch/api/arch_domain.h"
#include "arch/api/arch_time.h"
#include "domain/unit.h"
#include "hypercall/compat.h"
#include "kernel/console.h"
#include "kernel/keyhandler.h"
#include "kernel/panic.h"
#include "kernel/rcu.h"
#include "kernel/softirq.h"
#include "lib/errno.h"

DEFINE_PER_CPU(struct sched_cpu, sched_cpu);
const struct scheduler *scheduler = &sched_rr;
cpumask_t sched_idle_cpus;

/* ---- run queues ---- */

struct sched_cpu *sched_lock_vcpu(const struct vcpu *v, unsigned long *flags)
{
    local_irq_save(*flags);
    for (;;) {
        unsigned cpu = READ_ONCE(v->processor);
        struct sched_cpu *p = &per_cpu(sched_cpu, cpu);

        spin_lock(&p->lock);
        if (likely(v->processor == cpu))
            return p;
        spin_unlock(&p->lock);
    }
}

static void lock_both(struct sched_cpu *a, struct sched_cpu *b)
{
    if (a->cpu > b->cpu) {
        struct sched_cpu *t = a;

        a = b;
        b = t;
    }
    spin_lock(&a->lock);
    if (a != b)
        spin_lock(&b->lock);
}

bool vcpu_runnable(const struct vcpu *v)
{
    const struct domain *d = v->domain;

    return !(READ_ONCE(v->pause_flags) | READ_ONCE(v->pause_count) | READ_ONCE(d->pause_count) |
             (d->sched ? READ_ONCE(d->sched->pause_count) : 0));
}

/* May v run on cpu?  Where no CPU that it wants is there, anywhere. */
static bool may_run_on(const struct vcpu *v, unsigned cpu)
{
    return cpumask_test_cpu(cpu, &v->hard_affinity) ||
           !cpumask_intersects(&v->hard_affinity, &cpu_online_map);
}

/* ---- accounts ---- */

static void set_runstate(struct vcpu *v, int state, s_time_t now)
{
    s_time_t spent = now - (s_time_t)v->runstate.state_entry_time;

    if (spent > 0) {
        v->runstate.time[v->runstate.state] += spent;
        v->runstate.state_entry_time = now;
    }
    v->runstate.state = state;
}

/* The state of a vcpu that is not runnable. */
static int sleeping_state(const struct vcpu *v)
{
    return v->pause_flags & (BIT(VPF_blocked) | BIT(VPF_blocked_poll)) ? RUNSTATE_blocked
                                                                       : RUNSTATE_offline;
}

void vcpu_runstate_get(const struct vcpu *v, struct vcpu_runstate_info *rs)
{
    struct sched_cpu *p = NULL;
    unsigned long flags;
    s_time_t spent;

    if (v != current) /* which runs, so nobody changes it */
        p = sched_lock_vcpu(v, &flags);
    *rs = v->runstate;
    if (p)
        sched_unlock(p, flags);
    spent = NOW() - (s_time_t)rs->state_entry_time;
    if (spent > 0)
        rs->time[rs->state] += spent;
}

uint64_t vcpu_cpu_time(const struct vcpu *v)
{
    struct vcpu_runstate_info rs;

    vcpu_runstate_get(v, &rs);
    return rs.time[RUNSTATE_running];
}

uint64_t cpu_idle_time(unsigned cpu)
{
    const struct vcpu *idle = per_cpu(sched_cpu, cpu).idle;

    return idle ? vcpu_cpu_time(idle) : 0;
}

/*
 * With VMASST_TYPE_runstate_update_flag the guest's copy is marked (XEN_RUNSTATE_UPDATE in its
 * state_entry_time) before anything of it changes, and unmarked after everything has.
 */
void vcpu_update_runstate_area(struct vcpu *v)
{
    struct vcpu_runstate_info rs = v->runstate;
    uint64_t addr = v->runstate_guest;
    uint64_t entry_addr =
        addr + (is_32bit(v->domain) ? COMPAT_OFFSET_vcpu_runstate_info_state_entry_time
                                    : offsetof(struct vcpu_runstate_info, state_entry_time));
    uint64_t marked = rs.state_entry_time | XEN_RUNSTATE_UPDATE;

    if (!addr)
        return;
    if (!(v->domain->vm_assist & BIT(VMASST_TYPE_runstate_update_flag))) {
        (void)!copy_struct_to_guest(addr, &rs);
        return;
    }
    if (copy_to_guest(entry_addr, &marked, sizeof(marked)))
        return; /* not mapped just now: the guest has seen nothing */
    smp_wmb();
    rs.state_entry_time = marked;
    if (copy_struct_to_guest(addr, &rs))
        return;
    smp_wmb();
    rs.state_entry_time &= ~XEN_RUNSTATE_UPDATE;
    (void)!copy_to_guest(entry_addr, &rs.state_entry_time, sizeof(rs.state_entry_time));
}

/* ---- waking and sleeping ---- */

/*
 * Moves v, which is neither running nor queued, from p (locked) to the CPU the scheduler likes
 * best. Returns the queue v belongs to now, locked, or NULL: v changed while no lock was held.
 */
static struct sched_cpu *place(struct vcpu *v, struct sched_cpu *p)
{
    unsigned cpu = scheduler->pick_cpu(v);
    struct sched_cpu *q = &per_cpu(sched_cpu, cpu);
    bool same;

    if (q == p)
        return p;
    if (cpu > p->cpu) {
        spin_lock(&q->lock);
    } else if (!spin_trylock(&q->lock)) {
        spin_unlock(&p->lock);
        lock_both(p, q);
        same = v->processor == p->cpu && !v->is_running && v->runstate.state != RUNSTATE_running &&
               v->runstate.state != RUNSTATE_runnable && may_run_on(v, cpu);
        if (!same) {
            spin_unlock(&p->lock);
            spin_unlock(&q->lock);
            return NULL;
        }
    }
    WRITE_ONCE(v->processor, cpu);
    spin_unlock(&p->lock);
    return q;
}

void vcpu_wake(struct vcpu *v)
{
    struct sched_cpu *p;
    unsigned long flags;
    s_time_t now;

    do {
        p = sched_lock_vcpu(v, &flags);
        if (v->runstate.state == RUNSTATE_running || v->runstate.state == RUNSTATE_runnable) {
            sched_unlock(p, flags);
            return;
        }
        if (vcpu_runnable(v) && !v->is_running) {
            p = place(v, p);
            if (!p)
                local_irq_restore(flags);
        }
    } while (!p);

    now = NOW();
    if (vcpu_runnable(v)) {
        set_runstate(v, RUNSTATE_runnable, now);
        scheduler->wake(v, now);
    } else {
        set_runstate(v, sleeping_state(v), now); /* blocked and offline may change places */
    }
    sched_unlock(p, flags);
}

void vcpu_sleep_nosync(struct vcpu *v)
{
    unsigned long flags;
    struct sched_cpu *p = sched_lock_vcpu(v, &flags);

    if (!vcpu_runnable(v)) {
        if (v->runstate.state == RUNSTATE_running) {
            cpu_raise_softirq(p->cpu, SOFTIRQ_SCHEDULE);
        } else {
            if (v->runstate.state == RUNSTATE_runnable)
                scheduler->dequeue(v);
            set_runstate(v, sleeping_state(v), NOW());
        }
    }
    sched_unlock(p, flags);
}

void vcpu_sleep_sync(struct vcpu *v)
{
    vcpu_sleep_nosync(v);
    /* Interrupts are on: the CPU that waits for us, too, gets what it waits for. */
    while (!vcpu_runnable(v) && READ_ONCE(v->is_running))
        cpu_relax();
    smp_rmb();
}

void vcpu_force_reschedule(struct vcpu *v)
{
    unsigned long flags;
    struct sched_cpu *p = sched_lock_vcpu(v, &flags);

    if (v->runstate.state == RUNSTATE_running)
        cpu_raise_softirq(p->cpu, SOFTIRQ_SCHEDULE);
    sched_unlock(p, flags);
}

/* ---- affinity ---- */

/* v has VPF_migrating, so it is not queued, and is off its CPU: gives it another and wakes it. */
static void finish_migration(struct vcpu *v)
{
    unsigned long flags;
    struct sched_cpu *p = sched_lock_vcpu(v, &flags), *q;
    unsigned cpu;

    for (;;) {
        if (v->is_running || !test_bit(VPF_migrating, &v->pause_flags)) {
            sched_unlock(p, flags); /* sched_context_saved() will come here, or has */
            return;
        }
        cpu = scheduler->pick_cpu(v);
        q = &per_cpu(sched_cpu, cpu);
        if (p == q)
            break;
        spin_unlock(&p->lock);
        lock_both(p, q);
        if (v->processor == p->cpu && !v->is_running && may_run_on(v, cpu)) {
            WRITE_ONCE(v->processor, cpu);
            spin_unlock(&p->lock);
            p = q;
            break;
        }
        spin_unlock(&p->lock);
        spin_unlock(&q->lock);
        local_irq_restore(flags);
        p = sched_lock_vcpu(v, &flags);
    }
    clear_bit(VPF_migrating, &v->pause_flags);
    sched_unlock(p, flags);
    vcpu_wake(v);
}

int vcpu_set_hard_affinity(struct vcpu *v, const cpumask_t *mask)
{
    struct sched_cpu *p;
    unsigned long flags;
    bool move;

    if (!cpumask_intersects(mask, &cpu_online_map))
        return -EINVAL;
    p = sched_lock_vcpu(v, &flags);
    v->hard_affinity = *mask;
    move = !cpumask_test_cpu(p->cpu, mask);
    if (move)
        set_bit(VPF_migrating, &v->pause_flags);
    sched_unlock(p, flags);
    if (move) {
        vcpu_sleep_nosync(v);
        finish_migration(v);
    }
    return 0;
}

void vcpu_set_soft_affinity(struct vcpu *v, const cpumask_t *mask)
{
    unsigned long flags;
    struct sched_cpu *p = sched_lock_vcpu(v, &flags);

    v->soft_affinity = *mask;
    sched_unlock(p, flags);
}

bool sched_pull(struct vcpu *v, unsigned cpu)
{
    if (v->is_running || !may_run_on(v, cpu))
        return false;
    scheduler->dequeue(v);
    WRITE_ONCE(v->processor, cpu);
    return true;
}

/* ---- switching ---- */

void sched_set_slice(struct sched_cpu *p, s_time_t end)
{
    p->slice_end = end;
    if (end == S_TIME_NEVER)
        timer_stop(&p->slice);
    else
        timer_set(&p->slice, end);
}

static void slice_over(void *data)
{
    (void)data;
    raise_softirq(SOFTIRQ_SCHEDULE);
}

static struct vcpu *choose_next(struct sched_cpu *p, struct vcpu *prev, bool runnable, s_time_t now)
{
    struct vcpu *ran = is_idle_vcpu(prev) ? NULL : prev, *next;
    s_time_t slice = 0;

    next = scheduler->pick_next(p->cpu, now, ran, runnable, p->since, &slice);
    if (!next && cpu_online(p->cpu) && scheduler->steal(p->cpu, now))
        next = scheduler->pick_next(p->cpu, now, NULL, false, now, &slice);
    if (next && slice)
        sched_set_slice(p, now + slice);
    else if (p->slice_end != S_TIME_NEVER)
        sched_set_slice(p, S_TIME_NEVER);
    return next ? next : p->idle;
}

/* The softirq: switches this CPU to what should run on it now. */
static void schedule(void)
{
    struct sched_cpu *p = &this_cpu(sched_cpu);
    struct vcpu *prev = current, *next;
    s_time_t now;
    bool runnable;

    spin_lock_irq(&p->lock);
    now = NOW();
    /* Asked once: being queued and the runstate must agree, while others change the flags.  Who
     * does so comes to vcpu_wake() or vcpu_sleep_nosync() next, and waits there for the lock. */
    runnable = prev == p->idle || vcpu_runnable(prev);
    next = choose_next(p, prev, runnable, now);
    p->since = now;
    if (next == p->idle)
        cpumask_set_cpu(p->cpu, &sched_idle_cpus);
    else if (prev == p->idle)
        cpumask_clear_cpu(p->cpu, &sched_idle_cpus);
    if (next == prev) {
        spin_unlock_irq(&p->lock);
        arch_continue_running(prev);
        return;
    }
    set_runstate(prev, runnable ? RUNSTATE_runnable : sleeping_state(prev), now);
    set_runstate(next, RUNSTATE_running, now);
    p->curr = next;
    p->switches++;
    next->is_running = true;
    spin_unlock(&p->lock);
    arch_context_switch(prev, next); /* interrupts are off; does not return */
}

void sched_context_saved(struct vcpu *prev)
{
    /* Its state, written before, is seen by whoever sees this. */
    __atomic_store_n(&prev->is_running, false, __ATOMIC_RELEASE);
    smp_mb();
    if (unlikely(test_bit(VPF_migrating, &prev->pause_flags)))
        finish_migration(prev);
}

void idle_loop(void)
{
    for (;;) {
        do_softirq();
        /* Memory that guests gave back is cleaned while there is nothing better to do. */
        if (heap_scrub_idle())
            continue;
        local_irq_disable();
        if (softirq_pending_here())
            local_irq_enable();
        else
            arch_safe_halt();
    }
}

/* ---- life ---- */

static int sched_vcpu_create(struct vcpu *v)
{
    struct sched_vcpu *sv = xzalloc(struct sched_vcpu);

    if (!sv)
        return -ENOMEM;
    v->sched = sv;
    v->runstate.state_entry_time = NOW();
    vtimer_vcpu_create(v);
    cpumask_setall(&v->soft_affinity);
    if (v->domain->is_idle) {
        v->processor = v->vcpu_id;
        v->runstate.state = RUNSTATE_running;
        v->is_running = true;
        cpumask_clear(&v->hard_affinity);
        cpumask_set_cpu(v->processor, &v->hard_affinity);
        return 0;
    }
    v->runstate.state = RUNSTATE_offline;
    set_bit(VPF_down, &v->pause_flags); /* until VCPUOP_up, or a context that says so */
    v->processor = cpumask_first(&cpu_online_map);
    for (unsigned i = 0; i < v->vcpu_id; i++) {
        unsigned next = cpumask_next(v->processor, &cpu_online_map);

        v->processor = next < nr_cpu_ids ? next : cpumask_first(&cpu_online_map);
    }
    sv->data = scheduler->alloc_vcpu(v);
    return sv->data ? 0 : -ENOMEM;
}

static void sched_vcpu_free(struct vcpu *v)
{
    vtimer_vcpu_free(v);
    if (!v->sched)
        return;
    if (v->sched->data)
        scheduler->free_vcpu(v);
    xfree(v->sched);
    v->sched = NULL;
}

static void sched_vcpu_reset(struct vcpu *v)
{
    vtimer_vcpu_reset(v);
    clear_bit(VPF_blocked, &v->pause_flags);
    clear_bit(VPF_blocked_poll, &v->pause_flags);
    v->runstate_guest = v->time_guest = 0;
}

static int sched_domain_create(struct domain *d, const struct xen_domctl_createdomain *cfg)
{
    (void)cfg;
    d->sched = xzalloc(struct sched_domain);
    if (!d->sched)
        return -ENOMEM;
    spin_lock_init(&d->sched->lock, LOCK_SCHED);
    if (d->is_idle)
        return 0;
    d->sched->data = scheduler->alloc_domain(d);
    return d->sched->data ? 0 : -ENOMEM;
}

static int sched_relinquish(struct domain *d)
{
    sched_watchdogs_kill(d);
    return 0;
}

static void sched_domain_free(struct domain *d)
{
    if (!d->sched)
        return;
    sched_watchdogs_kill(d);
    if (d->sched->data)
        scheduler->free_domain(d);
    xfree(d->sched);
    d->sched = NULL;
}

static int sched_cpu_up(unsigned cpu)
{
    struct sched_cpu *p = &per_cpu(sched_cpu, cpu);
    struct vcpu *idle = p->idle;

    if (idle) /* it was here before */
        return 0;
    spin_lock_init(&p->lock, LOCK_SCHED);
    p->cpu = cpu;
    p->slice_end = S_TIME_NEVER;
    timer_init(&p->slice, slice_over, NULL, cpu);
    scheduler->cpu_init(cpu);
    idle = domain_vcpu(idle_domain, cpu);
    if (!idle)
        idle = vcpu_create(idle_domain, cpu);
    if (!idle)
        return -ENOMEM;
    p->curr = p->idle = idle;
    return 0;
}

/* cpu did not start (none stops later): what it was given goes elsewhere. */
static void sched_cpu_down(unsigned cpu)
{
    struct domain *d;
    struct vcpu *v;

    cpumask_clear_cpu(cpu, &sched_idle_cpus);
    for_each_domain (d)
        for_each_vcpu (d, v)
            if (READ_ONCE(v->processor) == cpu) {
                set_bit(VPF_migrating, &v->pause_flags);
                vcpu_sleep_nosync(v);
                finish_migration(v);
            }
    timer_cpu_dead(cpu);
    rcu_cpu_dead(cpu);
}

DEFINE_UNIT(sched, .name = "sched", .level = UNIT_SCHED, .idle_too = true,
            .domain_create = sched_domain_create, .relinquish = sched_relinquish,
            .domain_free = sched_domain_free, .vcpu_create = sched_vcpu_create,
            .vcpu_reset = sched_vcpu_reset, .vcpu_free = sched_vcpu_free, .cpu_up = sched_cpu_up,
            .cpu_down = sched_cpu_down);

void sched_cpu_start(unsigned cpu)
{
    struct sched_cpu *p = &per_cpu(sched_cpu, cpu);

    current = p->idle;
    p->since = NOW();
    p->idle->runstate.state_entry_time = p->since;
    cpumask_set_cpu(cpu, &sched_idle_cpus);
}

static void dump_run_queues(unsigned char key)
{
    unsigned cpu;

    (void)key;
    printk("Scheduler: %s\n", scheduler->name);
    for_each_online_cpu (cpu) {
        struct sched_cpu *p = &per_cpu(sched_cpu, cpu);
        unsigned long flags;

        spin_lock_irqsave(&p->lock, flags);
        printk("CPU %u: runs d%dv%u for %lld us, %u switches\n", cpu, (int16_t)p->curr->domain->id,
               p->curr->vcpu_id, (long long)(NOW() - p->since) / 1000, p->switches);
        scheduler->dump(cpu);
        spin_unlock_irqrestore(&p->lock, flags);
    }
}

bool sched_choose(const char *opt_name)
{
    static const struct scheduler *const all[] = {&sched_rr};

    for (unsigned i = 0; i < ARRAY_SIZE(all); i++)
        if (!strcmp(opt_name, all[i]->opt_name)) {
            scheduler = all[i];
            return true;
        }
    return !strcmp(opt_name, "credit2"); /* what round robin answers as, until there is one */
}

int sched_id(void)
{
    return scheduler->id;
}

void sched_init(void)
{
    open_softirq(SOFTIRQ_SCHEDULE, schedule);
    keyhandler_register('r', dump_run_queues, "run queues");
    scheduler->init();
    if (sched_cpu_up(smp_processor_id()))
        panic("no memory for the idle vcpu");
    sched_cpu_start(smp_processor_id());
}
