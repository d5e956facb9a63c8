// SPDX-License-Identifier: MIT
/* One instruction on the processor that runs the test, from a given state, in user mode. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Low enough for 32-bit addresses; a megabyte to both sides of the arena is certain to fault. */
#define ARENA_BASE  0x20000000ul
#define ARENA_SIZE  0x1000ul
#define ARENA_GUARD 0x100000ul
#define CODE_BASE   0x30000000ul
#define CODE_OFFSET 0x100ul
/* 16-bit code has two segments of 64 KB. */
#define DATA16_BASE (ARENA_BASE - 0x8000ul)

#define NATIVE_CS64 0x33u
#define NATIVE_CS32 0x23u
#define NATIVE_DS32 0x2bu
#define NATIVE_CS16 0x07u /* LDT entries 0 and 1 */
#define NATIVE_DS16 0x0fu

struct machine {
    uint64_t gpr[16]; /* in the order of their numbers */
    uint64_t rip, flags;
    int vector; /* of the exception that came instead of the instruction's end; -1: none */
    uint64_t error_code, cr2;
    uint16_t sel[4];             /* ES, CS, SS, DS: afterwards */
    uint8_t vector_regs[24][32]; /* the upper halves only if native_has_avx(); 16 to 23: MMX */
};

/* At the start of each test: cmocka takes the signals back in between. */
bool native_setup(void);

extern uint8_t *const arena; /* ARENA_SIZE bytes at ARENA_BASE */

/*
 * Execute the instruction in code[] at CODE_BASE + CODE_OFFSET, in 64-, 32- or 16-bit code.  If
 * `trap` is set in m->flags (bit 8) one step is made; otherwise it runs until control reaches the
 * byte after it.
 */
void native_run(struct machine *m, unsigned int mode, const uint8_t *code, unsigned int len);

bool native_has_avx(void);

/* Does that work here?  A sandbox may not let user mode trace itself. */
bool native_works(unsigned int mode);
