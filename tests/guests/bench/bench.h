// SPDX-License-Identifier: MIT
/*
 * Measuring from inside: under `qemu -icount shift=0` the time stamp counter counts instructions,
 * the guest's and the hypervisor's. A row's figure is the least of some rounds. Around each round
 * stand marks that bench/watch.c, a plugin of the emulator, sees and counts between.
 */
#pragma once
#include "guest.h"

/* Row 0 ends. A long NOP: watch.c knows it by the displacement. */
#define MARK(row) __asm__ volatile(".byte 0x0f,0x1f,0x80\n.long %c0" ::"i"(0x48420000 | (row)))

/* Runs `stmt`, which does `count` of what the row is about; both lines are for bench/run. */
#define MEASURE(row, name, count, rounds, stmt)                                                    \
    do {                                                                                           \
        u64 least_ = ~0UL;                                                                         \
        for (unsigned r_ = 0; r_ < (rounds); r_++) {                                               \
            MARK(row);                                                                             \
            u64 t_ = rdtsc_();                                                                     \
            stmt;                                                                                  \
            t_ = rdtsc_() - t_;                                                                    \
            MARK(0);                                                                               \
            least_ = min(least_, t_);                                                              \
        }                                                                                          \
        say("ROW %u %u %s\n", row, (unsigned)((count) * (rounds)), name);                          \
        say("BENCH %s %lu\n", name, least_ / (count));                                             \
    } while (0)

#define COUNT  500
#define ROUNDS 7

static inline long send(unsigned port)
{
    struct evtchn_send s = {.port = port};

    return evtchn(EVTCHNOP_send, &s);
}

/* Own grants (tables of version 1): the table's first frame, mapped. */
extern grant_entry_v1_t *grant_table;
void grant_table_map(void);
void grant_page(unsigned ref, domid_t to, const void *page);
/* A page of the heap with nothing mapped there. */
u8 *hole_page(void);
