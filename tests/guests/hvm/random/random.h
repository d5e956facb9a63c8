// SPDX-License-Identifier: MIT
/* What the files of the random PVH guest share: see random.c. */
#pragma once
#define START_PAGE 0xb000 /* where vcpus begin again */

#ifndef __ASSEMBLY__
#include "guest.h"
#include "tests/fuzz/calls.h"

/*
 * Memory to play with.  `own` are frames of RAM; they are seen through 512 small entries at
 * PLAY_VA, which are played with, too.  What the hypervisor is asked to do to frames it is asked to
 * do to these and to frames without RAM, from GAME_GFN on.
 */
#define PLAY_VA    0x40000000UL
#define PLAY_END   (PLAY_VA + 0x200000)
#define OWN        64
#define STEADY     16 /* of these the hypervisor is never asked: the first, four for each vcpu */
#define GAME_GFN   ((HOLE >> 12) + 0x100)
#define GAMES      32
#define ARENA_PAGE 480 /* two of each four: what calls' arguments are in, and nothing beside it */
#define TABLE_PAGE 511 /* of the entries: what they themselves are in */
#define RAM_END    (64UL << 20)
#define GRANT_GFN  (HOLE >> 12) /* the grant table */

/* Far behind the kernel: calls for more than one frame take what lies behind these, too. */
static u8 (*const own)[4096] = (u8(*)[4096])(40UL << 20);
extern u64 play_table[512];
static inline u8 *play_page(unsigned i)
{
    return (u8 *)PLAY_VA + i * 4096UL;
}

struct player {
    u64 seed;
    volatile u64 beat; /* goes on while the vcpu does */
    volatile u64 calls, traps, snippets, starts;
    volatile u64 in_snippet; /* beats at which one began; 0: none */
    struct point back;       /* where exceptions lead */
    struct source source;
    bool calm; /* its state is to be put right */
};
extern struct player players[MAX_CPUS];
extern bool forced; /* instructions may be emulated on request */
extern bool breakpoints;

struct player *me(void);
void tell(void);
u64 draw(struct player *p);
unsigned below(struct player *p, unsigned n);
bool one_in(struct player *p, unsigned n);

/* --- memory.c --- */
void memory_init(void);
void call(struct player *p);
void shuffle(struct player *p); /* what is behind a frame */
void change_tables(struct player *p);
void scribble(struct player *p); /* data, code, tables, grants */
u64 some_gfn(struct player *p);
u64 some_address(struct player *p);
u64 spared(u64 addr); /* for code of any width */
void mend_memory(void);

/* --- machine.c --- */
void machine_init(void);
void touch_registers(struct player *p);
void touch_apic(struct player *p);
void interrupt(struct player *p);
void run_snippet(struct player *p);
/* Some bytes of code for that many bits; how many. */
unsigned make_code(struct player *p, u8 *to, unsigned bits, bool tame);
void mend_machine(struct player *p);

/* --- modes.c --- */
void modes_init(void);
void elsewhere(struct player *p); /* another vcpu does something in another mode */
void revive(unsigned cpu);
#endif
