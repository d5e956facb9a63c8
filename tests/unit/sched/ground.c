// SPDX-License-Identifier: MIT
#include "ground.h"
#include "domain/unit.h"
#include "event/event.h"

#define MAX_DOMAINS 16

unsigned ground_timer_virqs;
struct domain *ground_shut;
uint32_t ground_reason;

static struct domain *domains[MAX_DOMAINS];
static unsigned nr_domains;

/* ---- what other rooms do ---- */

struct vcpu *vcpu_create(struct domain *d, unsigned id)
{
    struct vcpu *v = xzalloc_bytes(1, sizeof(*v));

    v->vcpu_id = id;
    v->domain = d;
    cpumask_setall(&v->hard_affinity);
    d->vcpu[id] = v;
    if (id < XEN_LEGACY_MAX_VCPUS && d->shared_info)
        v->info = &d->shared_info->vcpu_info[id];
    assert_int_equal(units_vcpu_create(v), 0);
    return v;
}

void send_guest_vcpu_virq(struct vcpu *v, uint32_t virq)
{
    ground_timer_virqs += virq == VIRQ_TIMER;
    v->info->evtchn_upcall_pending = 1;
    vcpu_unblock(v);
}

void domain_shutdown(struct domain *d, uint32_t reason)
{
    ground_shut = d;
    ground_reason = reason;
}

/* ---- the machine ---- */

static struct domain *bare_domain(unsigned id, unsigned vcpus)
{
    struct domain *d = fake_domain(id, vcpus);

    for (unsigned i = 0; i < vcpus; i++) {
        xfree(d->vcpu[i]);
        d->vcpu[i] = NULL;
    }
    assert_true(nr_domains < MAX_DOMAINS);
    domains[nr_domains++] = d;
    return d;
}

void ground_init(unsigned cpus)
{
    static bool booted;

    while (nr_domains) /* the idle domain is the oldest */
        ground_destroy(domains[nr_domains - 1]);
    fake_init(cpus);
    for (unsigned cpu = 0; cpu < NR_CPUS; cpu++)
        per_cpu(sched_cpu, cpu) = (struct sched_cpu){0};
    cpumask_clear(&sched_idle_cpus);
    memset(percpu_softirq_bits, 0, sizeof(percpu_softirq_bits));
    for (unsigned cpu = 0; cpu < cpus; cpu++) {
        fake_run_on(cpu, NULL);
        timer_cpu_init(cpu);
        timer_interrupt(); /* deadlines of the last test are over */
    }
    fake_run_on(0, NULL);
    if (!booted)
        units_init();
    booted = true;
    timer_subsys_init();
    idle_domain = bare_domain(DOMID_IDLE, cpus);
    idle_domain->is_idle = true;
    assert_int_equal(units_domain_create(idle_domain, NULL), 0);
    sched_init();
    for (unsigned cpu = 1; cpu < cpus; cpu++) {
        assert_int_equal(units_cpu_up(cpu), 0);
        fake_run_on(cpu, NULL);
        sched_cpu_start(cpu);
    }
    fake_run_on(0, idle_domain->vcpu[0]);
    fake_softirqs_all();
    ground_check();
    ground_timer_virqs = 0;
    ground_shut = NULL;
}

struct domain *ground_domain(unsigned id, unsigned vcpus)
{
    struct domain *d = bare_domain(id, vcpus);

    d->pause_count = 1;
    assert_int_equal(units_domain_create(d, NULL), 0);
    for (unsigned i = 0; i < vcpus; i++) {
        struct vcpu *v = vcpu_create(d, i);

        v->is_initialised = true;
        clear_bit(VPF_down, &v->pause_flags);
    }
    return d;
}

void ground_destroy(struct domain *d)
{
    struct vcpu *v;

    if (!d->is_idle) {
        domain_pause_nosync(d);
        fake_softirqs_all();
    }
    for_each_vcpu (d, v) {
        units_vcpu_free(v);
        xfree(v);
    }
    units_relinquish(d);
    units_domain_free(d);
    xfree(d->vcpu);
    free_page_virt(d->shared_info);
    for (unsigned i = 0; i < nr_domains; i++)
        if (domains[i] == d)
            domains[i] = domains[--nr_domains];
    free_page_virt(d);
}

struct vcpu *ground_runs(unsigned cpu)
{
    struct vcpu *v = per_cpu(sched_cpu, cpu).curr;

    return v->domain->is_idle ? NULL : v;
}

void ground_be(struct vcpu *v)
{
    assert_ptr_equal(per_cpu(sched_cpu, v->processor).curr, v);
    fake_run_on(v->processor, v);
}

void ground_others_go_on(void)
{
    unsigned cpu, back = fake_cpu;

    for_each_online_cpu (cpu)
        if (cpu != back) {
            fake_run_on(cpu, per_cpu(sched_cpu, cpu).curr);
            fake_softirqs();
        }
    fake_run_on(back, per_cpu(sched_cpu, back).curr);
}

void ground_check(void)
{
    unsigned cpu;

    for_each_online_cpu (cpu) {
        struct sched_cpu *p = &per_cpu(sched_cpu, cpu);

        assert_false(spin_is_locked(&p->lock));
        assert_int_equal(p->curr->runstate.state, RUNSTATE_running);
        assert_int_equal(p->curr->processor, cpu);
        assert_true(p->curr->is_running);
        if (p->curr != p->idle)
            assert_int_equal(p->idle->runstate.state, RUNSTATE_runnable);
        /* A CPU that is idle says so, unless it is about to look again. */
        assert_true((p->curr == p->idle) == cpumask_test_cpu(cpu, &sched_idle_cpus) ||
                    softirq_pending(cpu));
    }
    for (unsigned i = 0; i < nr_domains; i++) {
        struct vcpu *v;

        if (domains[i]->is_idle)
            continue;
        for_each_vcpu (domains[i], v) {
            int state = v->runstate.state;
            uint64_t sum = 0;

            for (unsigned s = 0; s < 4; s++)
                sum += v->runstate.time[s];
            assert_int_equal(sum, v->runstate.state_entry_time); /* it exists since time 0 */
            if (state == RUNSTATE_running)
                assert_ptr_equal(per_cpu(sched_cpu, v->processor).curr, v);
            else if (!fake_lazy_save)
                assert_false(v->is_running);
            if (softirq_pending(v->processor))
                continue;
            assert_int_equal(vcpu_runnable(v),
                             state == RUNSTATE_running || state == RUNSTATE_runnable);
            if (state == RUNSTATE_running || state == RUNSTATE_runnable)
                assert_true(cpumask_test_cpu(v->processor, &v->hard_affinity) ||
                            !cpumask_intersects(&v->hard_affinity, &cpu_online_map));
        }
    }
}

void ground_pass(s_time_t ns)
{
    fake_softirqs_all();
    fake_advance_to(fake_now + ns);
    fake_softirqs_all();
    ground_check();
}
