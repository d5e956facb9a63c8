// SPDX-License-Identifier: MIT
/*
 * The two-level ABI: a bitmap of pending ports and one of masked ports in the shared info page,
 * and in each vcpu's info a word with a bit for every word of the first that has news.
 * The guest may change any of these bits at any moment; nothing here believes them.
 */
#include "event/private.h"

#define BITS_PER_SEL 64

static void notify(struct vcpu *v, uint32_t port)
{
    struct vcpu_info *info = READ_ONCE(v->info);

    if (info && !test_and_set_bit(port / BITS_PER_SEL, &info->evtchn_pending_sel))
        vcpu_mark_events_pending(v);
}

bool twolevel_set_pending(struct domain *d, struct evtchn *chn)
{
    struct shared_info *s = d->shared_info;
    uint32_t port = chn->port;

    if (unlikely(port >= EVTCHN_2L_NR_CHANNELS) || test_and_set_bit(port, s->evtchn_pending))
        return false;
    if (!test_bit(port, s->evtchn_mask))
        notify(evtchn_vcpu(d, chn), port);
    return true;
}

void twolevel_unmask(struct domain *d, struct evtchn *chn)
{
    struct shared_info *s = d->shared_info;
    uint32_t port = chn->port;

    if (port < EVTCHN_2L_NR_CHANNELS && test_and_clear_bit(port, s->evtchn_mask) &&
        test_bit(port, s->evtchn_pending))
        notify(evtchn_vcpu(d, chn), port);
}

void twolevel_clear_pending(struct domain *d, struct evtchn *chn)
{
    if (d->shared_info && chn->port < EVTCHN_2L_NR_CHANNELS)
        clear_bit(chn->port, d->shared_info->evtchn_pending);
}

bool twolevel_is_pending(const struct domain *d, const struct evtchn *chn)
{
    return chn->port < EVTCHN_2L_NR_CHANNELS && test_bit(chn->port, d->shared_info->evtchn_pending);
}

bool twolevel_is_masked(const struct domain *d, const struct evtchn *chn)
{
    return chn->port >= EVTCHN_2L_NR_CHANNELS || test_bit(chn->port, d->shared_info->evtchn_mask);
}
