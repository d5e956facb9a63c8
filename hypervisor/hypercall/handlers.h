// SPDX-License-Identifier: MIT
/* Prototypes of all handlers, made from the rows of abi/ops.  Include it where they are defined. */
#pragma once
#include "abi/xen_abi.h"
#include "hypercall/ops.h"

#define OP(nr, fn, type, dir, who, target, flags) long fn(struct call *c, type *arg);
#define BATCH(nr, fn, type, who, target, flags)   long fn(struct call *c, type *arg);
#define NONE(nr)
#include "abi/ops/all.def"
#undef OP
#undef BATCH
#undef NONE

#define CALL0(nr, fn, who, args32) long fn(void);
#define CALL1(nr, fn, who, args32) long fn(unsigned long a0);
#define CALL2(nr, fn, who, args32) long fn(unsigned long a0, unsigned long a1);
#define CALL3(nr, fn, who, args32) long fn(unsigned long a0, unsigned long a1, unsigned long a2);
#define CALL4(nr, fn, who, args32)                                                                 \
    long fn(unsigned long a0, unsigned long a1, unsigned long a2, unsigned long a3);
#define HOT1 CALL1
#define HOT2 CALL2
#define HOT3 CALL3
#define HOT4 CALL4
#define TABLE(nr, table, where, mask)
#define NOCALL(nr)
#include "abi/ops/hypercalls.def"
#include "abi/ops/undef_calls.h"
