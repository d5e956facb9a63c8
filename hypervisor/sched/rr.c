// SPDX-License-Identifier: MIT
/*
 * Round robin, by turns.
 *
 * Every vcpu has what is left of its turn.  A turn may be used in pieces: a vcpu that blocks and
 * wakes goes on with what it left, ahead of those that wait for a new turn, and may interrupt what
 * runs.  When the turn is used up, the vcpu waits, behind all others of its CPU, for the next.  One
 * that has slept for as long as a round takes begins a new turn at once.  So a vcpu that does
 * little is served quickly, and one that is always busy gets one turn a round like everybody.
 *
 * A CPU's queue is two lists: `current_turn` (first) and `next_turn`.  Because sleepers with fresh
 * turns could keep the first from ever running dry, the head of the second goes first once it has
 * waited for as long as a round takes.
 *
 * The length of a turn is proportional to the domain's weight, and a domain with more busy vcpus
 * than there are CPUs has it divided among them: it gets no more time by having more vcpus (down to
 * TURN_MIN_MS for each).  To the tools this answers as credit2; caps are stored, not enforced.
 *
 * Everything in here is guarded by the lock of the CPU's run queue.
 */
#include "arch/api/arch_time.h"
#include "kernel/console.h"
#include "kernel/softirq.h"
#include "lib/errno.h"
#include "sched/private.h"

#define DEFAULT_WEIGHT 256
#define TURN_MIN_MS    1
#define TURN_MAX_MS    1000 /* at the default weight; four times that at most with others */
#define RATELIMIT_MAX  MILLISECS(500)

struct rr_vcpu {
    struct list_head link; /* in one of the lists while queued */
    struct vcpu *v;
    s_time_t left;  /* of the turn */
    s_time_t since; /* queued, or off the CPU */
    bool yields;
    bool busy; /* queued or running: counted in the domain */
};

struct rr_domain {
    uint16_t weight, cap;
    int busy; /* vcpus that are queued or run; atomic */
};

struct rr_cpu {
    struct list_head current_turn, next_turn;
    unsigned queued;
};
static DEFINE_PER_CPU(struct rr_cpu, rr_cpu);

unsigned opt_sched_turn_ms = 10, opt_sched_ratelimit_us = 1000;

static s_time_t turn; /* at the default weight */
/* What runs is not interrupted by a wake-up before it ran for so long. */
static s_time_t ratelimit;

static struct rr_vcpu *rr_vcpu(const struct vcpu *v)
{
    return v->sched->data;
}

static s_time_t turn_length(const struct vcpu *v)
{
    const struct rr_domain *rd = v->domain->sched->data;
    s_time_t t = turn * READ_ONCE(rd->weight) / DEFAULT_WEIGHT;
    int busy = READ_ONCE(rd->busy), cpus = (int)cpumask_weight(&cpu_online_map);

    t = min(t, 4 * turn);
    if (busy > cpus)
        t = t * cpus / busy;
    return max(t, MILLISECS(TURN_MIN_MS));
}

/* How long all of a CPU's queue takes to have its turn, about. */
static s_time_t round_length(const struct rr_cpu *rc)
{
    return turn * (rc->queued + 1);
}

static void init(void)
{
    turn = MILLISECS(opt_sched_turn_ms);
    turn = max(min(turn, MILLISECS(TURN_MAX_MS)), MILLISECS(TURN_MIN_MS));
    ratelimit = min(MICROSECS(opt_sched_ratelimit_us), RATELIMIT_MAX);
}

static void cpu_init(unsigned cpu)
{
    struct rr_cpu *rc = &per_cpu(rr_cpu, cpu);

    list_init(&rc->current_turn);
    list_init(&rc->next_turn);
    rc->queued = 0;
}

static void *alloc_vcpu(struct vcpu *v)
{
    struct rr_vcpu *rv = xzalloc(struct rr_vcpu);

    if (rv) {
        rv->v = v;
        list_init(&rv->link);
    }
    return rv;
}

static void set_busy(struct rr_vcpu *rv, bool busy)
{
    struct rr_domain *rd;

    if (rv->busy == busy)
        return;
    rd = rv->v->domain->sched->data;
    rv->busy = busy;
    __atomic_fetch_add(&rd->busy, busy ? 1 : -1, __ATOMIC_RELAXED);
}

static void free_vcpu(struct vcpu *v)
{
    if (v->sched->data)
        set_busy(v->sched->data, false);
    xfree(v->sched->data);
    v->sched->data = NULL;
}

static void *alloc_domain(struct domain *d)
{
    struct rr_domain *rd = xzalloc(struct rr_domain);

    (void)d;
    if (rd)
        rd->weight = DEFAULT_WEIGHT;
    return rd;
}

static void free_domain(struct domain *d)
{
    xfree(d->sched->data);
    d->sched->data = NULL;
}

/* ---- which CPU ---- */

/* An idle CPU of mask, v's own if it is one, which no other wake-up is sent to from now on. */
static unsigned claim_idle(const struct vcpu *v, const cpumask_t *mask)
{
    cpumask_t idle;
    unsigned cpu = v->processor;

    if (cpumask_test_cpu(cpu, mask) && cpumask_test_cpu(cpu, &sched_idle_cpus))
        return cpu;
    cpumask_and(&idle, mask, &sched_idle_cpus);
    for_each_cpu (cpu, &idle)
        if (cpumask_test_and_clear_cpu(cpu, &sched_idle_cpus)) {
            /* Also if v does not come in the end: then the CPU finds itself idle again. */
            cpu_raise_softirq(cpu, SOFTIRQ_SCHEDULE);
            return cpu;
        }
    return NR_CPUS;
}

static unsigned pick_cpu(const struct vcpu *v)
{
    cpumask_t hard, soft;
    unsigned cpu, best, load, best_load;

    cpumask_and(&hard, &v->hard_affinity, &cpu_online_map);
    if (cpumask_empty(&hard)) /* none of its CPUs is there */
        hard = cpu_online_map;
    cpumask_and(&soft, &hard, &v->soft_affinity);
    cpu = claim_idle(v, &soft);
    if (cpu == NR_CPUS)
        cpu = claim_idle(v, &hard);
    if (cpu != NR_CPUS)
        return cpu;

    if (cpumask_empty(&soft))
        soft = hard;
    best = cpumask_test_cpu(v->processor, &soft) ? v->processor : cpumask_first(&soft);
    best_load = READ_ONCE(per_cpu(rr_cpu, best).queued);
    for_each_cpu (cpu, &soft) {
        load = READ_ONCE(per_cpu(rr_cpu, cpu).queued);
        if (load < best_load) {
            best = cpu;
            best_load = load;
        }
    }
    return best;
}

/* ---- queueing ---- */

static void enqueue(struct rr_cpu *rc, struct rr_vcpu *rv, s_time_t now)
{
    if (rv->left <= 0 || rv->yields) {
        rv->left = turn_length(rv->v);
        rv->yields = false;
        list_add_tail(&rv->link, &rc->next_turn);
    } else {
        list_add_tail(&rv->link, &rc->current_turn);
    }
    rv->since = now;
    rc->queued++;
    set_busy(rv, true);
}

static void take(struct vcpu *v)
{
    list_del(&rr_vcpu(v)->link);
    per_cpu(rr_cpu, v->processor).queued--;
}

/* It goes to sleep, or to another queue. */
static void dequeue(struct vcpu *v)
{
    take(v);
    set_busy(rr_vcpu(v), false);
}

/* A vcpu was queued on p's CPU, where another runs: sets when the CPU chooses again. */
static void limit_current(struct sched_cpu *p, bool urgent, s_time_t now)
{
    s_time_t end;

    if (urgent)
        end = p->since + ratelimit;
    else
        end = p->since + max(rr_vcpu(p->curr)->left, ratelimit);
    if (end <= now)
        cpu_raise_softirq(p->cpu, SOFTIRQ_SCHEDULE);
    else if (end < p->slice_end)
        sched_set_slice(p, end);
}

static void wake(struct vcpu *v, s_time_t now)
{
    struct rr_cpu *rc = &per_cpu(rr_cpu, v->processor);
    struct sched_cpu *p = &per_cpu(sched_cpu, v->processor);
    struct rr_vcpu *rv = rr_vcpu(v);
    bool urgent;

    rv->left = min(rv->left + (now - rv->since) / (rc->queued + 2), turn_length(v));
    urgent = rv->left > 0;
    enqueue(rc, rv, now);
    if (p->curr == p->idle) {
        cpumask_clear_cpu(p->cpu, &sched_idle_cpus);
        cpu_raise_softirq(p->cpu, SOFTIRQ_SCHEDULE);
    } else {
        limit_current(p, urgent, now);
    }
}

static void yield(struct vcpu *v)
{
    rr_vcpu(v)->yields = true;
}

/* ---- choosing ---- */

/* The queue has members that an idle CPU could take: makes one such CPU look. */
static void call_idle_cpu(const struct rr_cpu *rc)
{
    const struct list_head *l = list_empty(&rc->current_turn) ? &rc->next_turn : &rc->current_turn;
    const struct rr_vcpu *rv = list_first_entry(l, struct rr_vcpu, link);
    cpumask_t able;
    unsigned cpu;

    cpumask_and(&able, &rv->v->hard_affinity, &sched_idle_cpus);
    for_each_cpu (cpu, &able)
        if (cpumask_test_and_clear_cpu(cpu, &sched_idle_cpus)) {
            cpu_raise_softirq(cpu, SOFTIRQ_SCHEDULE);
            return;
        }
}

static bool steal_from(struct list_head *list, unsigned cpu, s_time_t now, s_time_t waited)
{
    struct rr_vcpu *rv;

    list_for_each_entry (rv, list, link) {
        if (now - rv->since < waited || !sched_pull(rv->v, cpu))
            continue;
        enqueue(&per_cpu(rr_cpu, cpu), rv, now);
        return true;
    }
    return false;
}

/* Queues on cpu a vcpu that has waited elsewhere for so long at least. */
static bool take_waiting(unsigned cpu, s_time_t now, s_time_t waited)
{
    unsigned other;
    bool found = false;

    for_each_online_cpu (other) {
        struct rr_cpu *rc = &per_cpu(rr_cpu, other);
        struct sched_cpu *p = &per_cpu(sched_cpu, other);

        /* Only tried, not waited for: the other may be doing the same with us. */
        if (other == cpu || !READ_ONCE(rc->queued) || !spin_trylock(&p->lock))
            continue;
        found = steal_from(&rc->current_turn, cpu, now, waited) ||
                steal_from(&rc->next_turn, cpu, now, waited);
        spin_unlock(&p->lock);
        if (found)
            break;
    }
    return found;
}

static bool steal(unsigned cpu, s_time_t now)
{
    return take_waiting(cpu, now, 0);
}

/*
 * Fairness between CPUs: where a vcpu has a CPU to itself while others wait elsewhere, it does not
 * begin another turn but makes room for one of those, as soon as that has waited for half a turn:
 * one that has just had its own would be no better.  It has no timer that would tell it, so a CPU
 * on which vcpus wait calls one such CPU at the end of each turn.
 */
static void call_lone_cpu(unsigned cpu)
{
    unsigned other;

    for_each_online_cpu (other)
        if (other != cpu && !READ_ONCE(per_cpu(rr_cpu, other).queued)) {
            cpu_raise_softirq(other, SOFTIRQ_SCHEDULE);
            return;
        }
}

static bool others_wait(unsigned cpu)
{
    unsigned other;

    for_each_online_cpu (other)
        if (other != cpu && READ_ONCE(per_cpu(rr_cpu, other).queued))
            return true;
    return false;
}

static struct rr_vcpu *first_of(const struct rr_cpu *rc, s_time_t now)
{
    struct rr_vcpu *waits = NULL, *urgent = NULL;

    if (!list_empty(&rc->next_turn))
        waits = list_first_entry(&rc->next_turn, struct rr_vcpu, link);
    if (!list_empty(&rc->current_turn))
        urgent = list_first_entry(&rc->current_turn, struct rr_vcpu, link);
    if (!urgent || !waits)
        return urgent ? urgent : waits;
    return now - waits->since > round_length(rc) ? waits : urgent;
}

static struct vcpu *pick_next(unsigned cpu, s_time_t now, struct vcpu *prev, bool queue_prev,
                              s_time_t since, s_time_t *slice)
{
    struct rr_cpu *rc = &per_cpu(rr_cpu, cpu);
    struct rr_vcpu *rv;
    bool turn_over = false, try_again = false;

    if (prev) {
        rv = rr_vcpu(prev);
        /* Who runs alone owes nobody the time. */
        rv->left = max(rv->left - (now - since), -turn_length(prev));
        rv->since = now;
        turn_over = queue_prev && rv->left <= 0;
        if (queue_prev)
            enqueue(rc, rv, now);
        else
            set_busy(rv, false);
        rv->yields = false;
        if (turn_over && rc->queued == 1 && !take_waiting(cpu, now, turn / 2))
            try_again = others_wait(cpu);
    }
    rv = first_of(rc, now);
    if (!rv || unlikely(!cpu_online(cpu))) /* today none goes offline */
        return NULL;
    take(rv->v);
    if (rc->queued) {
        *slice = max(rv->left, ratelimit);
        if (!cpumask_empty(&sched_idle_cpus))
            call_idle_cpu(rc);
        else if (turn_over)
            call_lone_cpu(cpu);
    } else if (try_again) {
        rv->left = 0;
        *slice = max(ratelimit, MILLISECS(TURN_MIN_MS));
    }
    return rv->v;
}

/* ---- tools ---- */

static int adjust(struct domain *d, struct xen_domctl_scheduler_op *op)
{
    struct rr_domain *rd = d->sched->data;

    switch (op->cmd) {
    case XEN_DOMCTL_SCHEDOP_getinfo:
        op->u.credit2.weight = rd->weight;
        op->u.credit2.cap = rd->cap;
        return 0;
    case XEN_DOMCTL_SCHEDOP_putinfo:
        /* Zero leaves a weight as it is, the largest number a cap. */
        if (op->u.credit2.weight)
            WRITE_ONCE(rd->weight, op->u.credit2.weight);
        if (op->u.credit2.cap != UINT16_MAX)
            rd->cap = op->u.credit2.cap;
        return 0;
    default:
        return -EINVAL;
    }
}

static int adjust_global(struct xen_sysctl_scheduler_op *op)
{
    s_time_t limit;

    switch (op->cmd) {
    case XEN_SYSCTL_SCHEDOP_putinfo:
        limit = MICROSECS(op->u.sched_credit2.ratelimit_us);
        if (limit > RATELIMIT_MAX)
            return -EINVAL;
        WRITE_ONCE(ratelimit, limit);
        return 0;
    case XEN_SYSCTL_SCHEDOP_getinfo:
        op->u.sched_credit2.ratelimit_us = ratelimit / MICROSECS(1);
        return 0;
    default:
        return -EINVAL;
    }
}

static void dump_list(const char *name, const struct list_head *list)
{
    const struct rr_vcpu *rv;

    list_for_each_entry (rv, list, link) {
        printk("  %s: d%uv%u, %lld us left\n", name, rv->v->domain->id, rv->v->vcpu_id,
               (long long)rv->left / 1000);
    }
}

static void dump(unsigned cpu)
{
    dump_list("in its turn", &per_cpu(rr_cpu, cpu).current_turn);
    dump_list("next turn", &per_cpu(rr_cpu, cpu).next_turn);
}

const struct scheduler sched_rr = {
    .name = "round robin by turns, answering as credit2",
    .opt_name = "rr",
    .id = XEN_SCHEDULER_CREDIT2,
    .init = init,
    .cpu_init = cpu_init,
    .alloc_vcpu = alloc_vcpu,
    .free_vcpu = free_vcpu,
    .alloc_domain = alloc_domain,
    .free_domain = free_domain,
    .pick_cpu = pick_cpu,
    .wake = wake,
    .dequeue = dequeue,
    .yield = yield,
    .pick_next = pick_next,
    .steal = steal,
    .adjust = adjust,
    .adjust_global = adjust_global,
    .dump = dump,
};
