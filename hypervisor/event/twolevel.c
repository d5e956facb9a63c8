// SPDX-License-Identifier: MIT
/*
 * The two-level ABI: a bitmap of pending ports and one of masked ports in the shared info page,
 * and in each vcpu's info a word with a bit for every word of the first that has news.
 * The guest may change any of these bits at any moment; nothing here believes them.
 */
#include "event/private.h"
#include "hypercall/compat.h"

/*
 * A 32-bit guest's words have 32 bits, and it has as many words as bits in one.  The bitmaps are
 * accessed in words of 64 all the same: bit n lies in the same place.
 */
#define NR_PORTS_32 (32u * 32)

uint32_t twolevel_nr_ports(const struct domain *d)
{
    return is_32bit(d) ? NR_PORTS_32 : EVTCHN_2L_NR_CHANNELS;
}

struct bitmaps {
    unsigned long *pending, *mask;
    uint32_t nr_ports;
};

static struct bitmaps bitmaps_of(const struct domain *d)
{
    char *s = (char *)d->shared_info;

    if (unlikely(is_32bit(d)))
        return (struct bitmaps){(unsigned long *)(s + COMPAT_OFFSET_shared_info_evtchn_pending),
                                (unsigned long *)(s + COMPAT_OFFSET_shared_info_evtchn_mask),
                                NR_PORTS_32};
    return (struct bitmaps){d->shared_info->evtchn_pending, d->shared_info->evtchn_mask,
                            EVTCHN_2L_NR_CHANNELS};
}

static void notify(const struct domain *d, struct vcpu *v, uint32_t port)
{
    struct vcpu_info *info = READ_ONCE(v->info);
    bool had;

    if (!info)
        return;
    if (unlikely(is_32bit(d))) {
        uint32_t *sel = (uint32_t *)((char *)info + COMPAT_OFFSET_vcpu_info_evtchn_pending_sel);

        had = __atomic_fetch_or(sel, 1u << port / 32, __ATOMIC_SEQ_CST) >> port / 32 & 1;
    } else {
        had = test_and_set_bit(port / 64, &info->evtchn_pending_sel);
    }
    if (!had)
        vcpu_mark_events_pending(v);
}

bool twolevel_set_pending(struct domain *d, struct evtchn *chn)
{
    struct bitmaps b = bitmaps_of(d);
    uint32_t port = chn->port;

    if (unlikely(port >= b.nr_ports) || test_and_set_bit(port, b.pending))
        return false;
    if (!test_bit(port, b.mask))
        notify(d, evtchn_vcpu(d, chn), port);
    return true;
}

void twolevel_unmask(struct domain *d, struct evtchn *chn)
{
    struct bitmaps b = bitmaps_of(d);
    uint32_t port = chn->port;

    if (port < b.nr_ports && test_and_clear_bit(port, b.mask) && test_bit(port, b.pending))
        notify(d, evtchn_vcpu(d, chn), port);
}

void twolevel_clear_pending(struct domain *d, struct evtchn *chn)
{
    if (d->shared_info && chn->port < twolevel_nr_ports(d))
        clear_bit(chn->port, bitmaps_of(d).pending);
}

bool twolevel_is_pending(const struct domain *d, const struct evtchn *chn)
{
    struct bitmaps b = bitmaps_of(d);

    return chn->port < b.nr_ports && test_bit(chn->port, b.pending);
}

bool twolevel_is_masked(const struct domain *d, const struct evtchn *chn)
{
    struct bitmaps b = bitmaps_of(d);

    return chn->port >= b.nr_ports || test_bit(chn->port, b.mask);
}
