// SPDX-License-Identifier: MIT
/*
 * Hypercalls at random, of which most are nearly right.
 *
 * calls.c knows the shape of every call: its number and command, the structure behind its pointer,
 * and what kind of number each member is.  Whoever calls gives a source of numbers: plain ones, by
 * which calls.c chooses, and such of a kind, that would make sense at this moment.  Now and then a
 * member, an argument, the command or the pointer is none that makes sense.  The guest of
 * tests/guests/random draws from a generator, tests/fuzz/domains.c from libFuzzer's input.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum kind {
    K_NONE,
    K_ODD,   /* whatever: borders, single bits, the hypervisor's addresses */
    K_SMALL, /* below 8 */
    K_BYTE,
    K_FLAGS, /* of the low 16, some */
    K_DOMID,
    K_PORT,
    K_VCPU,
    K_VIRQ,
    K_PIRQ,
    K_REF,    /* a grant */
    K_HANDLE, /* a mapping of one */
    K_MFN,
    K_GFN,
    K_PTE,
    K_ENTRY, /* machine address of a page-table entry, command in its lowest bits */
    K_VA,    /* of a page of the guest's */
    K_UVMF,
    K_CODE, /* where a handler could be */
    K_STACK,
    K_SELECTOR,
    K_DESC, /* a descriptor */
    K_TIME,
    K_MADDR, /* of something in a page of the guest's */
    K_SELF,  /* a domain: mostly the caller */
    K_PAGE,  /* where a frame could be mapped: a guest physical address */
    K_PARAM, /* of a hardware-virtualised domain */
    K_CALLBACK,
    /* Those below are made by calls.c. */
    K_COUNT, /* of the lists: mostly what they have */
    K_ORDER,
    K_OFFSET, /* in a page */
    K_LENGTH,
    K_MFNS, /* a list, by its address */
    K_GFNS,
    K_PORTS,
    K_OUT, /* where something may be written */
    K_MAP, /* flags of a grant's mapping: mostly such as are allowed */
};

#define LIST_MAX   6    /* elements of a list */
#define ARENA_SIZE 4096 /* where arguments lie */

struct source {
    bool narrow;    /* the caller is a 32-bit guest of a 64-bit program */
    bool hvm;       /* ... has a physical address space of its own (hvm_shapes.def) */
    bool may_ruin;  /* also what is likely to end the caller */
    uint8_t *arena; /* arguments are built here: addresses are the caller's */
    size_t arena_used;
    /* A number below n (n of 2 to 65536), and one of a kind. */
    unsigned (*choose)(struct source *s, unsigned n);
    uint64_t (*value)(struct source *s, enum kind kind);
    /* An element that calls.c has built is put at dst; returns its size there. */
    size_t (*store)(struct source *s, void *dst, unsigned nr, unsigned cmd, const void *arg,
                    size_t size);
};

struct made_call {
    unsigned long nr, args[6];
};

/* Any unprivileged call, or, with privileged, one of the tools'.  Resets the arena. */
void make_call(struct source *s, struct made_call *call, bool privileged);
/* A number that may be anything: for value(), K_ODD. */
uint64_t odd_value(struct source *s);
