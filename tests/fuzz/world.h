// SPDX-License-Identifier: MIT
/*
 * The machine of tests/fuzz/domains.c: two CPUs, and for each input three domains of two vcpus that
 * are made, play and are destroyed: a privileged one, a 64-bit and a 32-bit guest.
 *
 * Rooms are the real ones from the dispatcher on: hypercall, domain, mem, event, grant, sched,
 * control, page types and tables, descriptor tables. absent.c stands in for the rest.
 */
#pragma once
#include "arch/fake/fake.h"
#include "arch/x86/mm/mm_private.h"
#include "domain/domain.h"
#include "hypercall/guest_access.h"

#define WORLD_PAGES 2048
#define SLOTS       3
#define OWN_FRAMES                                                                                 \
    24 /* of a domain, at first: the four lowest are tables, linked to one another                 \
        */
#define SPACE_VA 0UL

/* Guests' own memory, by virtual address: where arguments and results are.  Below 4 GB. */
#define GUEST_MEMORY 0x30000000UL
#define GUEST_BYTES  0x4000UL

struct player {
    struct domain *d; /* referenced */
    uint64_t frames[OWN_FRAMES];
    unsigned tables; /* of its frames, so many */
};
extern struct player players[SLOTS];

void world_begin(void);
/* Everything ends: nothing may be left.  Aborts otherwise. */
void world_end(void);
/* Makes v the vcpu that runs, on its CPU; false: it cannot run now. */
bool world_play(struct vcpu *v);

/* Compares what the frame table says with what tables, roots and pins say (shadow.c).  Aborts. */
void shadow_check(void);
/* Complains and aborts. */
void complain(const char *fmt, ...) __printf(1, 2) __noreturn;
