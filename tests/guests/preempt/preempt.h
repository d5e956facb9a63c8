// SPDX-License-Identifier: MIT
/*
 * Asking for as much work as one hypercall can mean, while a timer of this guest is due every
 * PERIOD. bench/watch.c, a plugin of the emulator, sees how long the hypervisor keeps the CPU in
 * the meantime: between MARK(row) and MARK(0), the longest stretch without an instruction of the
 * guest's. An operation that gives way in time lets each event through; so a stretch is at most
 * PERIOD longer than the hypervisor needed to notice.
 *
 * This kernel is the first domain of its machine, with all privileges, and on one CPU.
 */
#pragma once
#include "bench/bench.h"
#include <xen/domctl.h>
#include <xen/sysctl.h>

#define PERIOD 50000 /* ns */

void ticks_on(void);
void ticks_off(void);
void ticks_lost(void); /* the timer's port is closed, if it is not yet: the next is another */

/* One row: `expr` is the call, its value what is to be. */
#define WORK(row, name, expr, expected)                                                            \
    do {                                                                                           \
        long got_;                                                                                 \
        ticks_on();                                                                                \
        MARK(row);                                                                                 \
        got_ = (expr);                                                                             \
        MARK(0);                                                                                   \
        ticks_off();                                                                               \
        say("WORK %u %s\n", row, name);                                                            \
        CHECK_EQ(got_, expected);                                                                  \
    } while (0)

/* An area for long lists, in .bss: every page of it is mapped. */
#define AREA_SIZE (2u << 20)
extern u8 area[AREA_SIZE];
/* A page that nothing maps (but its frame is this domain's); -1: none left. */
u64 spare_pfn(unsigned count);
long reservation(unsigned cmd, xen_pfn_t *list, unsigned n, unsigned order, domid_t dom);
