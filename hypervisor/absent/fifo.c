// SPDX-License-Identifier: MIT
/* CONFIG_EVENT_FIFO is off: no domain ever has a struct fifo, so only the operations matter. */
#include "event/private.h"
#include "hypercall/handlers.h"

long evtchnop_init_control(struct call *c, struct evtchn_init_control *arg)
{
    (void)c;
    (void)arg;
    return -ENOSYS;
}

long evtchnop_expand_array(struct call *c, struct evtchn_expand_array *arg)
{
    (void)c;
    (void)arg;
    return -ENOSYS;
}

long evtchnop_set_priority(struct call *c, struct evtchn_set_priority *arg)
{
    (void)c;
    (void)arg;
    return -ENOSYS;
}

bool fifo_set_pending(struct domain *d, struct fifo *f, struct evtchn *chn)
{
    (void)d;
    (void)f;
    (void)chn;
    return false;
}

void fifo_unmask(struct domain *d, struct fifo *f, struct evtchn *chn)
{
    (void)d;
    (void)f;
    (void)chn;
}

void fifo_clear_pending(struct fifo *f, struct evtchn *chn)
{
    (void)f;
    (void)chn;
}

bool fifo_is_pending(const struct fifo *f, const struct evtchn *chn)
{
    (void)f;
    (void)chn;
    return false;
}

bool fifo_is_masked(const struct fifo *f, const struct evtchn *chn)
{
    (void)f;
    (void)chn;
    return false;
}

bool fifo_is_linked(const struct fifo *f, uint32_t port)
{
    (void)f;
    (void)port;
    return false;
}

int fifo_destroy(struct domain *d)
{
    (void)d;
    return 0;
}
