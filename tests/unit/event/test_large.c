// SPDX-License-Identifier: MIT
/* A guest of 512 vcpus, each with queues of its own and a port bound to it. */
#include "event/domains.h"
#include "event/private.h"

#define VCPUS 512u

static void test_every_vcpu_is_told(void **state)
{
    static struct evtchn_fifo_control_block *block[VCPUS];
    static struct vcpu_info info[VCPUS];
    struct xen_domctl_createdomain cfg = {.max_evtchn_port = ~0u, .max_vcpus = VCPUS};
    event_word_t *words;
    uint32_t port[VCPUS];
    struct domain *d;
    struct call c;

    (void)state;
    fake_init(8);
    fake_ram_init(8192);
    d = make_domain(1, VCPUS, &cfg);
    fake_run_on(0, d->vcpu[0]);
    c = (struct call){.v = d->vcpu[0], .d = d};
    for (unsigned i = 0; i < VCPUS; i++) {
        struct evtchn_init_control init = {.vcpu = i};

        if (!d->vcpu[i]->info)
            d->vcpu[i]->info = &info[i]; /* as VCPUOP_register_vcpu_info has it */
        block[i] = guest_page(d);
        init.control_gfn = frame_of(block[i]);
        assert_int_equal(evtchnop_init_control(&c, &init), 0);
    }
    words = guest_page(d);
    struct evtchn_expand_array expand = {.array_gfn = frame_of(words)};
    assert_int_equal(evtchnop_expand_array(&c, &expand), 0);
    for (unsigned i = 0; i < VCPUS; i++) {
        struct evtchn_bind_ipi bind = {.vcpu = i};

        assert_int_equal(evtchnop_bind_ipi(&c, &bind), 0);
        port[i] = bind.port;
    }
    for (unsigned i = 0; i < VCPUS; i++) {
        assert_int_equal(evtchn_send(d, port[i]), 0);
        for (unsigned j = 0; j < VCPUS; j++)
            assert_int_equal(d->vcpu[j]->info->evtchn_upcall_pending, j <= i);
        assert_int_equal(block[i]->head[EVTCHN_FIFO_PRIORITY_DEFAULT], port[i]);
        assert_int_equal(words[port[i]] & (1u << EVTCHN_FIFO_PENDING), 1u << EVTCHN_FIFO_PENDING);
    }

    for (unsigned i = 0; i < VCPUS; i++) {
        struct evtchn_bind_vcpu bind = {.port = port[i], .vcpu = VCPUS - 1};

        assert_true(evtchnop_bind_vcpu(&c, &bind) < 0); /* an IPI stays where it is */
        bind.vcpu = VCPUS;
        assert_true(evtchnop_bind_vcpu(&c, &bind) < 0);
    }
    d->dying = DOMDYING_dying;
    while (relinquish(d))
        ;
    for (unsigned i = 0; i < VCPUS; i++)
        assert_int_equal(page_refs(block[i]), 1);
    free_domain(d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_every_vcpu_is_told)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
