// SPDX-License-Identifier: MIT
/* Two-level events, clocks and waiting. */
#include "guest.h"

volatile u64 event_count[4096];

#define WORD_BITS    (8 * sizeof(xen_ulong_t))
#define BIT_OF(port) ((xen_ulong_t)1 << ((port) % WORD_BITS))

static bool test_and_clear(volatile xen_ulong_t *words, unsigned port)
{
    xen_ulong_t bit = BIT_OF(port);

    return __atomic_fetch_and(&words[port / WORD_BITS], ~bit, __ATOMIC_SEQ_CST) & bit;
}

void event_loop(void)
{
    vcpu_info_t *vi = vcpu_info();

    do {
        vi->evtchn_upcall_pending = 0;
        ulong sel = __atomic_exchange_n(&vi->evtchn_pending_sel, 0, __ATOMIC_SEQ_CST);

        for (; sel; sel &= sel - 1) {
            unsigned word = __builtin_ctzl(sel);
            ulong ready = shared_info->evtchn_pending[word] & ~shared_info->evtchn_mask[word];

            for (; ready; ready &= ready - 1) {
                unsigned port = word * WORD_BITS + __builtin_ctzl(ready);

                if (test_and_clear(shared_info->evtchn_pending, port))
                    event_count[port]++;
            }
        }
    } while (vi->evtchn_upcall_pending);
}

long evtchn(unsigned cmd, void *arg)
{
    return HC2(event_channel_op, cmd, arg);
}

void unmask_port(unsigned port)
{
    struct evtchn_unmask u = {.port = port};

    CHECK_EQ(evtchn(EVTCHNOP_unmask, &u), 0);
}

void mask_port(unsigned port)
{
    __atomic_fetch_or(&shared_info->evtchn_mask[port / WORD_BITS], BIT_OF(port), __ATOMIC_SEQ_CST);
}

bool port_pending(unsigned port)
{
    return shared_info->evtchn_pending[port / WORD_BITS] & BIT_OF(port);
}

void clear_port(unsigned port)
{
    test_and_clear(shared_info->evtchn_pending, port);
}

void events_off(void)
{
    vcpu_info()->evtchn_upcall_mask = 1;
    barrier();
}

void events_on(void)
{
    barrier();
    vcpu_info()->evtchn_upcall_mask = 0;
    barrier();
    if (vcpu_info()->evtchn_upcall_pending)
        HC2(sched_op, SCHEDOP_yield, 0); /* any call delivers on its way back */
}

/* A port that waits for somebody tells for whom. */
domid_t own_domid(void)
{
    struct evtchn_alloc_unbound a = {.dom = DOMID_SELF, .remote_dom = DOMID_SELF};
    struct evtchn_status s = {.dom = DOMID_SELF};

    REQUIRE_EQ(evtchn(EVTCHNOP_alloc_unbound, &a), 0);
    s.port = a.port;
    REQUIRE_EQ(evtchn(EVTCHNOP_status, &s), 0);
    REQUIRE_EQ(s.status, EVTCHNSTAT_unbound);
    close_port(a.port);
    return s.u.unbound.dom;
}

unsigned bind_ipi(void)
{
    struct evtchn_bind_ipi b = {.vcpu = this_cpu()->id};

    REQUIRE_EQ(evtchn(EVTCHNOP_bind_ipi, &b), 0);
    return b.port;
}

unsigned bind_virq(unsigned virq)
{
    struct evtchn_bind_virq b = {.virq = virq, .vcpu = this_cpu()->id};

    REQUIRE_EQ(evtchn(EVTCHNOP_bind_virq, &b), 0);
    return b.port;
}

void close_port(unsigned port)
{
    struct evtchn_close c = {.port = port};

    CHECK_EQ(evtchn(EVTCHNOP_close, &c), 0);
    mask_port(port);
    clear_port(port);
}

bool wait_count(volatile u64 *counter, u64 old, unsigned ms)
{
    u64 end = now() + ms * 1000000ULL;

    while (*counter == old)
        if (now() > end)
            return false;
        else
            HC2(sched_op, SCHEDOP_yield, 0);
    return true;
}

u64 now(void)
{
    volatile struct vcpu_time_info *t = &vcpu_info()->time;
    u64 ns, delta;
    u32 version;

    do {
        version = t->version;
        barrier();
        delta = rdtsc_() - t->tsc_timestamp;
        delta = t->tsc_shift >= 0 ? delta << t->tsc_shift : delta >> -t->tsc_shift;
        ns = t->system_time + (delta >> 32) * t->tsc_to_system_mul +
             ((delta & 0xffffffff) * t->tsc_to_system_mul >> 32);
        barrier();
    } while ((version & 1) || version != t->version);
    return ns;
}

static u64 first_ns, first_tsc, ticks_per_ms;

void learn_clock(void)
{
    u64 ns = now(), tsc = rdtsc_();

    do
        first_ns = now();
    while (first_ns < ns + 20000000);
    first_tsc = rdtsc_();
    ticks_per_ms = (first_tsc - tsc) / ((first_ns - ns) / 1000000);
}

u64 own_clock(void)
{
    return first_ns + (rdtsc_() - first_tsc) * 1000000 / ticks_per_ms;
}

void sleep_ms(unsigned ms)
{
    struct sched_poll p = {.timeout = now() + ms * 1000000ULL};

    do /* events end it early */
        HC2(sched_op, SCHEDOP_poll, &p);
    while (now() < p.timeout);
}
