// SPDX-License-Identifier: MIT
/* What a row of abi/ops/ becomes.  abi/ops/README.md explains the columns. */
#pragma once
#include "hypercall/hypercall.h"
#include "lib/compiler.h"

enum op_who { WHO_ANY, WHO_TARGET, WHO_DM, WHO_PRIV };
enum op_target { TGT_SELF, TGT_NONE, TGT_FIELD };
enum op_dir { DIR_NONE = 0, DIR_IN = 1, DIR_OUT = 2, DIR_INOUT = 3 };

#define LOCK_DOMCTL_    0x01
#define OUT_ALWAYS      0x02
#define NO_SELF         0x04
#define SPECIAL_DOM     0x08
#define TARGET_OPTIONAL 0x10
#define PV_ONLY         0x20
#define OP_BATCH        0x80

struct noarg {
    char none;
};

struct compat_layout;

struct op {
    long (*handler)(struct call *c, void *arg); /* NULL: -ENOSYS */
    const char *name;
    const struct compat_layout *compat; /* of a 32-bit caller's argument; NULL: the same */
    uint32_t nr;
    uint16_t size, target_off;
    uint8_t dir, who, target, flags;
};

struct op_table {
    const char *name;
    const struct op *ops; /* indexed by number; holes have no handler */
    unsigned count;
};
