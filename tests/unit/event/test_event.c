// SPDX-License-Identifier: MIT
/* Event channels: states, the two-level ABI, virqs, pirqs, polling, reset and destruction. */
#include "event/domains.h"
#include "event/private.h"

static struct domain *d0, *d1;
static struct xen_domctl_createdomain cfg;

static int setup(void **state)
{
    (void)state;
    fake_init(2);
    if (!max_page)
        fake_ram_init(8192);
    cfg = (struct xen_domctl_createdomain){.max_evtchn_port = 1023, .max_vcpus = 2};
    d0 = make_domain(0, 2, &cfg);
    d1 = make_domain(1, 2, &cfg);
    dom0 = d0;
    fake_run_on(0, d0->vcpu[0]);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    dom0 = NULL;
    if (test_domains[1])
        kill_domain(d1);
    if (test_domains[0])
        kill_domain(d0);
    assert_int_equal(fake_allocations, 0);
    return 0;
}

static struct call call_for(struct domain *caller, struct domain *target)
{
    return (struct call){.v = caller->vcpu[0], .d = target};
}

static uint32_t unbound(struct domain *d, domid_t remote)
{
    struct call c = call_for(d, d);
    struct evtchn_alloc_unbound a = {.dom = d->id, .remote_dom = remote};

    assert_int_equal(evtchnop_alloc_unbound(&c, &a), 0);
    return a.port;
}

static long bind(struct domain *d, struct domain *rd, uint32_t rport, uint32_t *port)
{
    struct call c = call_for(d, rd);
    struct evtchn_bind_interdomain a = {.remote_dom = rd->id, .remote_port = rport};
    long rc = evtchnop_bind_interdomain(&c, &a);

    *port = a.local_port;
    return rc;
}

static struct evtchn_status status(struct domain *d, uint32_t port)
{
    struct call c = call_for(d, d);
    struct evtchn_status a = {.dom = d->id, .port = port};

    assert_int_equal(evtchnop_status(&c, &a), 0);
    return a;
}

static bool pending(const struct domain *d, uint32_t port)
{
    return test_bit(port, d->shared_info->evtchn_pending);
}

static void consume(struct domain *d, uint32_t port)
{
    clear_bit(port, d->shared_info->evtchn_pending);
    for (unsigned i = 0; i < d->max_vcpus; i++) {
        d->vcpu[i]->info->evtchn_upcall_pending = 0;
        d->vcpu[i]->info->evtchn_pending_sel = 0;
    }
}

static void test_interdomain(void **state)
{
    uint32_t p0, p1, other;

    (void)state;
    p1 = unbound(d1, 0);
    assert_int_equal(p1, 1);
    assert_int_equal(status(d1, p1).status, EVTCHNSTAT_unbound);
    assert_int_equal(status(d1, p1).u.unbound.dom, 0);
    /* Nobody is there yet: the event is dropped, without a complaint. */
    assert_int_equal(evtchn_send(d1, p1), 0);
    /* Not for d1 itself, and no such port. */
    assert_int_equal(bind(d1, d1, p1, &other), -EINVAL);
    assert_int_equal(bind(d0, d1, 7, &other), -EINVAL);
    assert_int_equal(bind(d0, d1, 1000000, &other), -EINVAL);

    assert_int_equal(bind(d0, d1, p1, &p0), 0);
    assert_int_equal(status(d0, p0).u.interdomain.dom, 1);
    assert_int_equal(status(d0, p0).u.interdomain.port, p1);
    assert_int_equal(status(d1, p1).u.interdomain.dom, 0);
    assert_true(pending(d0, p0)); /* in case d1 had sent before */
    assert_true(d0->vcpu[0]->info->evtchn_upcall_pending);
    assert_int_equal(bind(d0, d1, p1, &other), -EINVAL);
    consume(d0, p0);

    fake_kicks = 0;
    assert_int_equal(evtchn_send(d0, p0), 0);
    assert_true(pending(d1, p1));
    assert_false(pending(d0, p0));
    assert_int_equal(d1->vcpu[0]->info->evtchn_pending_sel, 1);
    assert_int_equal(fake_kicks, 1);
    assert_ptr_equal(fake_kicked, d1->vcpu[0]);
    assert_int_equal(evtchn_send(d0, p0), 0);
    assert_int_equal(fake_kicks, 1); /* it knows */

    /* Closing one end leaves the other open for the same domain. */
    assert_int_equal(evtchn_close(d0, p0), 0);
    assert_int_equal(evtchn_close(d0, p0), -EINVAL);
    assert_int_equal(status(d1, p1).status, EVTCHNSTAT_unbound);
    assert_int_equal(status(d1, p1).u.unbound.dom, 0);
    assert_int_equal(evtchn_send(d0, p0), -EINVAL);
    assert_int_equal(evtchn_send(d1, p1), 0);
    assert_int_equal(bind(d0, d1, p1, &p0), 0);
}

static void test_loopback(void **state)
{
    uint32_t a = unbound(d0, DOMID_SELF), b;

    (void)state;
    assert_int_equal(bind(d0, d0, a, &b), 0);
    assert_int_not_equal(a, b);
    consume(d0, b);
    assert_int_equal(evtchn_send(d0, b), 0);
    assert_true(pending(d0, a));
    /* The port that the call itself reserves is not one to bind to. */
    assert_int_equal(bind(d0, d0, b + 1, &a), -EINVAL);
    assert_int_equal(evtchn_close(d0, b), 0);
}

static void test_masks_and_vcpus(void **state)
{
    struct call c = call_for(d0, d0);
    struct evtchn_bind_ipi ipi = {.vcpu = 1};
    struct evtchn_bind_vcpu to = {.vcpu = 1};
    struct shared_info *s = d0->shared_info;
    uint32_t port;

    (void)state;
    assert_int_equal(evtchnop_bind_ipi(&c, &ipi), 0);
    port = ipi.port;
    set_bit(port, s->evtchn_mask);
    fake_kicks = 0;
    assert_int_equal(evtchn_send(d0, port), 0);
    assert_true(pending(d0, port));
    assert_int_equal(fake_kicks, 0);
    assert_int_equal(evtchn_unmask(d0, port), 0);
    assert_int_equal(fake_kicks, 1);
    assert_ptr_equal(fake_kicked, d0->vcpu[1]);
    assert_true(vcpu_event_pending(d0->vcpu[1]));
    assert_int_equal(evtchn_unmask(d0, 77), -EINVAL);

    to.port = port; /* an ipi stays with its vcpu */
    assert_int_equal(evtchnop_bind_vcpu(&c, &to), -EINVAL);
    to.port = unbound(d0, 1);
    to.vcpu = 2;
    assert_int_equal(evtchnop_bind_vcpu(&c, &to), -ENOENT);
    to.vcpu = 1;
    assert_int_equal(evtchnop_bind_vcpu(&c, &to), 0);
    assert_int_equal(status(d0, to.port).vcpu, 1);
    ipi.vcpu = 2;
    assert_int_equal(evtchnop_bind_ipi(&c, &ipi), -ENOENT);
    /* A new use of the port begins with vcpu 0. */
    assert_int_equal(evtchn_close(d0, to.port), 0);
    assert_int_equal(unbound(d0, 1), to.port);
    assert_int_equal(status(d0, to.port).vcpu, 0);
}

static void test_reuse_is_clean(void **state)
{
    uint32_t p1 = unbound(d1, 0), p0;

    (void)state;
    assert_int_equal(bind(d0, d1, p1, &p0), 0);
    assert_int_equal(evtchn_send(d0, p0), 0);
    assert_true(pending(d1, p1));
    assert_int_equal(evtchn_close(d1, p1), 0);
    assert_false(pending(d1, p1));
    assert_int_equal(evtchn_send(d0, p0), 0); /* unbound now */
    assert_int_equal(unbound(d1, 5), p1);
    assert_false(pending(d1, p1));
    assert_int_equal(evtchn_port_poll(d1, p1), 0);
    assert_int_equal(evtchn_port_poll(d1, 5000), -EINVAL);
}

static void test_limits(void **state)
{
    struct call c = call_for(d1, d1);
    struct evtchn_alloc_unbound a = {.dom = 1, .remote_dom = 0};
    struct vcpu *first = d1->vcpu[0];

    (void)state;
    d1->vcpu[0] = NULL; /* not made yet */
    assert_int_equal(evtchnop_alloc_unbound(&c, &a), -EINVAL);
    d1->vcpu[0] = first;
    for (unsigned i = 1; i <= 1023; i++)
        assert_int_equal(unbound(d1, 0), i);
    assert_int_equal(evtchnop_alloc_unbound(&c, &a), -ENOSPC);
    assert_int_equal(evtchn_close(d1, 500), 0);
    assert_int_equal(evtchn_close(d1, 17), 0);
    assert_int_equal(unbound(d1, 0), 17);
    assert_int_equal(unbound(d1, 0), 500);
    assert_int_equal(domain_max_evtchn_port(d1, 1u << 31), 0);
    assert_int_equal(unbound(d1, 0), 1024);
    for (unsigned i = 1025; i < EVTCHN_2L_NR_CHANNELS; i++)
        unbound(d1, 0);
    assert_int_equal(evtchnop_alloc_unbound(&c, &a), -ENOSPC);

    fake_alloc_fail_after = 0;
    for (unsigned i = 1; i < PORTS_PER_BUCKET; i++)
        unbound(d0, 1);
    c = call_for(d0, d0);
    a.dom = 0;
    assert_int_equal(evtchnop_alloc_unbound(&c, &a), -ENOMEM);
    fake_alloc_fail_after = -1;
    assert_int_equal(unbound(d0, 1), PORTS_PER_BUCKET);
}

static long bind_virq(struct domain *d, uint32_t virq, uint32_t vcpu, uint32_t *port)
{
    struct call c = call_for(d, d);
    struct evtchn_bind_virq a = {.virq = virq, .vcpu = vcpu};
    long rc = evtchnop_bind_virq(&c, &a);

    *port = a.port;
    return rc;
}

static void test_virqs(void **state)
{
    uint32_t timer0, timer1, exc, other;

    (void)state;
    assert_int_equal(bind_virq(d0, VIRQ_TIMER, 0, &timer0), 0);
    assert_int_equal(bind_virq(d0, VIRQ_TIMER, 1, &timer1), 0);
    assert_int_equal(bind_virq(d0, VIRQ_TIMER, 1, &other), -EEXIST);
    assert_int_equal(bind_virq(d0, VIRQ_TIMER, 2, &other), -ENOENT);
    assert_int_equal(bind_virq(d0, NR_VIRQS, 0, &other), -EINVAL);
    assert_int_equal(bind_virq(d0, VIRQ_DOM_EXC, 1, &other), -EINVAL);
    assert_int_equal(bind_virq(d0, VIRQ_DOM_EXC, 0, &exc), 0);

    send_guest_vcpu_virq(d0->vcpu[1], VIRQ_TIMER);
    assert_true(pending(d0, timer1));
    assert_false(pending(d0, timer0));
    assert_true(d0->vcpu[1]->info->evtchn_upcall_pending);
    assert_false(d0->vcpu[0]->info->evtchn_upcall_pending);
    assert_int_equal(status(d0, timer1).u.virq, VIRQ_TIMER);
    send_guest_vcpu_virq(d1->vcpu[0], VIRQ_TIMER); /* bound to nothing */

    send_global_virq(VIRQ_DOM_EXC);
    assert_true(pending(d0, exc));
    assert_int_equal(evtchn_send(d0, exc), -EINVAL);
    consume(d0, exc);
    assert_int_equal(evtchn_close(d0, exc), 0);
    send_global_virq(VIRQ_DOM_EXC);
    assert_false(pending(d0, exc));
    assert_int_equal(bind_virq(d0, VIRQ_DOM_EXC, 0, &exc), 0);

    /* Somebody else hears of it, until that domain dies. */
    assert_int_equal(bind_virq(d1, VIRQ_DOM_EXC, 0, &other), 0);
    assert_int_equal(set_global_virq_handler(d1, VIRQ_TIMER), -EINVAL);
    assert_int_equal(set_global_virq_handler(d1, VIRQ_DOM_EXC), 0);
    send_global_virq(VIRQ_DOM_EXC);
    assert_true(pending(d1, other));
    assert_false(pending(d0, exc));
    kill_domain(d1);
    send_global_virq(VIRQ_DOM_EXC);
    assert_true(pending(d0, exc));
}

static unsigned pirq_binds, pirq_unbinds;
static int pirq_answer;
static void (*pirq_hook)(void);

int arch_pirq_bind(struct vcpu *v, unsigned pirq, bool share)
{
    (void)v, (void)pirq, (void)share;
    pirq_binds++;
    if (pirq_hook)
        pirq_hook();
    return pirq_answer;
}

void arch_pirq_unbind(struct domain *d, unsigned pirq)
{
    (void)d, (void)pirq;
    pirq_unbinds++;
}

static long bind_pirq(uint32_t pirq, uint32_t *port)
{
    struct call c = call_for(d0, d0);
    struct evtchn_bind_pirq a = {.pirq = pirq};
    long rc = evtchnop_bind_pirq(&c, &a);

    *port = a.port;
    return rc;
}

static void fire_at_once(void)
{
    assert_true(send_guest_pirq(d0, 9));
}

static void test_pirqs(void **state)
{
    uint32_t port, other;

    (void)state;
    pirq_hook = fire_at_once;
    assert_int_equal(bind_pirq(9, &port), 0);
    pirq_hook = NULL;
    assert_true(pending(d0, port));
    assert_int_equal(bind_pirq(9, &other), -EEXIST);
    assert_int_equal(bind_pirq(256, &other), -EINVAL);
    assert_int_equal(evtchn_pirq_port(d0, 9), port);
    assert_int_equal(evtchn_pirq_port(d0, 10), 0);
    assert_int_equal(evtchn_pirq_port(d0, ~0u), 0);
    assert_false(send_guest_pirq(d0, 10));
    assert_int_equal(evtchn_close(d0, port), 0);
    assert_int_equal(pirq_unbinds, 1);
    assert_false(send_guest_pirq(d0, 9));

    pirq_answer = -EBUSY;
    assert_int_equal(bind_pirq(9, &other), -EBUSY);
    pirq_answer = 0;
    assert_int_equal(evtchn_pirq_port(d0, 9), 0);
    assert_int_equal(bind_pirq(9, &other), 0);
    assert_int_equal(other, port);
}

static void test_poll(void **state)
{
    struct vcpu *v = d0->vcpu[1];
    uint32_t p1 = unbound(d1, 0), p0;
    uint32_t q1 = unbound(d1, 0), q0;

    (void)state;
    assert_int_equal(bind(d0, d1, p1, &p0), 0);
    assert_int_equal(bind(d0, d1, q1, &q0), 0);
    set_bit(p0, d0->shared_info->evtchn_mask); /* polling does not care */
    consume(d0, p0);
    consume(d0, q0);

    v->poll_port = (int)p0;
    v->pause_flags = BIT(VPF_blocked_poll);
    evtchn_poll_begin(v);
    assert_int_equal(evtchn_send(d1, q1), 0);
    assert_true(v->pause_flags & BIT(VPF_blocked_poll));
    assert_int_equal(evtchn_send(d1, p1), 0);
    assert_false(v->pause_flags & BIT(VPF_blocked_poll));
    assert_int_equal(evtchn_port_poll(d0, p0), 1);

    consume(d0, q0);
    v->poll_port = 0; /* several: the vcpu will look itself */
    v->pause_flags = BIT(VPF_blocked_poll);
    evtchn_poll_begin(v);
    assert_int_equal(evtchn_send(d1, q1), 0);
    assert_false(v->pause_flags & BIT(VPF_blocked_poll));
    evtchn_poll_end(v);
}

static void test_reset(void **state)
{
    struct call c = call_for(d0, d1);
    struct evtchn_reset a = {.dom = 1};
    uint32_t p0, ports = 300;

    (void)state;
    for (uint32_t i = 0; i < ports; i++)
        unbound(d1, 0);
    assert_int_equal(bind(d0, d1, 5, &p0), 0);
    assert_int_equal(evtchnop_reset(&c, &a), -EINVAL); /* it runs */
    d1->pause_count = 1;
    fake_preempt = true;
    assert_int_equal(evtchnop_reset(&c, &a), -ERESTART);
    assert_int_equal(evtchn_alloc_unbound(d1, 0, &ports), -EINVAL);
    while (evtchnop_reset(&c, &a) == -ERESTART)
        ;
    fake_preempt = false;
    assert_int_equal(status(d0, p0).status, EVTCHNSTAT_unbound);
    assert_int_equal(d1->event->active, 0);
    assert_int_equal(unbound(d1, 0), 1);
    assert_int_equal(bind(d1, d0, p0, &p0), 0);
}

static void test_dying(void **state)
{
    uint32_t p0, port;

    (void)state;
    for (unsigned i = 0; i < 200; i++)
        unbound(d1, 0);
    assert_int_equal(bind(d0, d1, 3, &p0), 0);
    d1->dying = DOMDYING_dying;
    fake_preempt = true;
    assert_int_equal(relinquish(d1), -ERESTART);
    assert_int_equal(evtchn_alloc_unbound(d1, 0, &port), -EINVAL);
    while (relinquish(d1) == -ERESTART)
        ;
    fake_preempt = false;
    assert_int_equal(relinquish(d1), 0);
    assert_int_equal(evtchn_alloc_unbound(d1, 0, &port), -EINVAL);
    assert_int_equal(evtchn_reset(d1), 0); /* does not bring it back to life */
    assert_int_equal(evtchn_alloc_unbound(d1, 0, &port), -EINVAL);
    assert_int_equal(status(d0, p0).status, EVTCHNSTAT_unbound);
    assert_int_equal(evtchn_send(d0, p0), 0);
    free_domain(d1);
}

static void test_creation_fails(void **state)
{
    (void)state;
    for (long n = 0;; n++) {
        struct domain *d = fake_domain(3, 1);
        int rc = 0;

        fake_alloc_fail_after = n;
        for_each_unit(u) rc = u->domain_create(d, &cfg);
        fake_alloc_fail_after = -1;
        free_domain(d);
        if (!rc)
            return;
        assert_int_equal(rc, -ENOMEM);
        assert_true(n < 10);
    }
}

static void test_vcpu_info_moves(void **state)
{
    struct vcpu_info elsewhere = {0};
    struct vcpu *v = d0->vcpu[1];

    (void)state;
    v->info = &elsewhere;
    evtchn_vcpu_info_moved(v);
    assert_true(elsewhere.evtchn_upcall_pending);
    assert_int_equal(elsewhere.evtchn_pending_sel, ~0UL);
    elsewhere.evtchn_upcall_mask = 1;
    assert_false(vcpu_event_pending(v));
    v->info = NULL;
    assert_false(vcpu_event_pending(v));
    evtchn_vcpu_info_moved(v);
    vcpu_mark_events_pending(v);
    v->info = &d0->shared_info->vcpu_info[1];
}

int main(void)
{
#define T(t) cmocka_unit_test_setup_teardown(t, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(test_interdomain),    T(test_loopback), T(test_masks_and_vcpus), T(test_limits),
        T(test_reuse_is_clean), T(test_virqs),    T(test_pirqs),           T(test_poll),
        T(test_reset),          T(test_dying),    T(test_creation_fails),  T(test_vcpu_info_moves),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
