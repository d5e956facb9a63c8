// SPDX-License-Identifier: MIT
/*
 * Physical interrupts, as common code sees them: each domain numbers the ones it was given as its
 * pirqs, and event/ binds a port to a pirq.  All of these may be called under LOCK_EVENT, with
 * interrupts on or off.
 */
#pragma once
#include <stdbool.h>

struct domain;
struct vcpu;

/* First number that is no pirq of d. */
unsigned arch_nr_pirqs(const struct domain *d);
/*
 * From now on the pirq's interrupts are passed on by send_guest_pirq(); unmasks it, and delivers
 * it to the CPU of v.  share: the line may be shared with other domains.
 * 0, -EINVAL (no such pirq was mapped), -EBUSY (bound already, or shared without consent).
 */
int arch_pirq_bind(struct vcpu *v, unsigned pirq, bool share);
/* No send_guest_pirq() begins after this has returned (one may be under way on another CPU). */
void arch_pirq_unbind(struct domain *d, unsigned pirq);
/* The guest is done with the last interrupt of pirq (end of interrupt): it may fire again. */
void arch_pirq_unmask(struct domain *d, unsigned pirq);
/* Deliver pirq to this CPU, if it is bound. */
void arch_pirq_set_affinity(struct domain *d, unsigned pirq, unsigned cpu);

/*
 * The hypervisor's own use of an interrupt line: fn(data) runs on each one, interrupts off, the
 * interrupt acknowledged.  On x86 a number below 16 is an ISA interrupt (the MADT's overrides
 * apply), others are global system interrupts.  No domain can have it then.
 * 0, -EINVAL, -EBUSY, -ENOSPC.
 */
int request_irq(unsigned gsi_or_irq, void (*fn)(void *), void *data, const char *name);
