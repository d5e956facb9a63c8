// SPDX-License-Identifier: MIT
/* FIFO events. There is no way back from them, so this file is the last of the image. */
#include "bench.h"

TEST(bench_fifo)
{
    struct evtchn_alloc_unbound a = {.dom = DOMID_SELF, .remote_dom = DOMID_SELF};
    struct evtchn_bind_interdomain b = {.remote_dom = DOMID_SELF};
    struct evtchn_init_control init = {.vcpu = 0};
    struct evtchn_expand_array expand;
    event_word_t *words = page_alloc();
    struct evtchn_fifo_control_block *control = page_alloc();

    events_off();
    init.control_gfn = mfn_of(control);
    REQUIRE_EQ(evtchn(EVTCHNOP_init_control, &init), 0);
    expand.array_gfn = mfn_of(words);
    REQUIRE_EQ(evtchn(EVTCHNOP_expand_array, &expand), 0);
    REQUIRE_EQ(evtchn(EVTCHNOP_alloc_unbound, &a), 0);
    b.remote_port = a.port;
    REQUIRE_EQ(evtchn(EVTCHNOP_bind_interdomain, &b), 0);
    __atomic_fetch_and(&words[a.port], ~(1u << EVTCHN_FIFO_MASKED), __ATOMIC_SEQ_CST);
    MEASURE(14, "event_send_FIFO", COUNT, ROUNDS, {
        for (unsigned i = 0; i < COUNT; i++) {
            send(b.local_port);
            vcpu_info()->evtchn_upcall_pending = 0;
            control->ready = 0;
            WRITE_ONCE(words[a.port], 0);
        }
    });
    CHECK_EQ(control->head[EVTCHN_FIFO_PRIORITY_DEFAULT], a.port);
}
