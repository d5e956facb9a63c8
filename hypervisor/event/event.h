// SPDX-License-Identifier: MIT
/* Event channels: what other rooms call.  The hypercall's handlers are in abi/ops/event.def. */
#pragma once
#include "lib/types.h"
#include <xen/event_channel.h>

struct domain;
struct vcpu;

/* Virtual interrupts.  Any context, interrupts on or off. */
void send_guest_vcpu_virq(struct vcpu *v, uint32_t virq);
void send_guest_global_virq(struct domain *d, uint32_t virq);
/* To the domain that handles the global virq (dom0 unless delegated). */
void send_global_virq(uint32_t virq);
/* From now on send_global_virq(virq) goes to d, until d dies.  -EINVAL: not a global virq. */
int set_global_virq_handler(struct domain *d, uint32_t virq);
/* A physical interrupt bound to d's pirq has fired; false if no port is bound. */
bool send_guest_pirq(struct domain *d, unsigned pirq);
/* For hypercalls of other rooms: d sends on its own port. -errno. */
int evtchn_send(struct domain *d, evtchn_port_t port);
/* True if d's port is pending (SCHEDOP_poll); bad ports: -EINVAL. */
int evtchn_port_poll(struct domain *d, evtchn_port_t port);
/* v begins (v->poll_port is set) or ends SCHEDOP_poll: between the two any event it waits for
 * unblocks it.  Begin, then look whether one is pending already.  End before VPF_blocked_poll is
 * cleared: then what is ended is never the vcpu's next poll, unless that is woken, too. */
void evtchn_poll_begin(struct vcpu *v);
void evtchn_poll_end(struct vcpu *v);
/* Unmasks d's port, as EVTCHNOP_unmask (end of a physical interrupt with automatic unmasking). */
int evtchn_unmask(struct domain *d, evtchn_port_t port);
/* The port bound to pirq in d, 0: none. */
evtchn_port_t evtchn_pirq_port(struct domain *d, unsigned pirq);
/* v's vcpu_info moved: everything pending is signalled again. */
void evtchn_vcpu_info_moved(struct vcpu *v);
/* v has an unmasked pending event (its upcall is due). */
bool vcpu_event_pending(const struct vcpu *v);
/* d may bind ports up to max_port from now on (XEN_DOMCTL_set_max_evtchn). */
int domain_max_evtchn_port(struct domain *d, unsigned max_port);
/* Ports of d that are taken.  A snapshot, unlocked, for debug keys. */
unsigned evtchn_in_use(const struct domain *d);
int evtchn_reset(struct domain *d); /* -ERESTART when preempted: call again */
/* A hypervisor-internal allocation for the builder: an unbound port of d for remote. -errno. */
int evtchn_alloc_unbound(struct domain *d, domid_t remote, evtchn_port_t *port);
