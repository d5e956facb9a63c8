// SPDX-License-Identifier: MIT
/* The rows of abi/ops as tables, one a hypercall that has sub-operations. */
#include "hypercall/compat.h"
#include "hypercall/handlers.h"
#include "hypercall/tables.h"

#define op_dir_NONE         DIR_NONE
#define op_dir_IN           DIR_IN
#define op_dir_OUT          DIR_OUT
#define op_dir_INOUT        DIR_INOUT
#define op_who_ANY          WHO_ANY
#define op_who_TARGET       WHO_TARGET
#define op_who_DM           WHO_DM
#define op_who_PRIV         WHO_PRIV
#define SELF                .target = TGT_SELF
#define NO_TARGET           .target = TGT_NONE
#define FIELD(type, member) .target = TGT_FIELD, .target_off = offsetof(type, member)

typedef long (*op_fn)(struct call *c, void *arg);

#define OP(nr_, fn, type, dir_, who_, target_, flags_)                                             \
    [nr_] = {.handler = (op_fn)fn,                                                                 \
             .name = #nr_,                                                                         \
             .nr = nr_,                                                                            \
             .size = sizeof(type),                                                                 \
             .compat = COMPAT_LAYOUT(type),                                                        \
             .dir = op_dir_##dir_,                                                                 \
             .who = op_who_##who_,                                                                 \
             .flags = (flags_),                                                                    \
             target_},
/* Spelt out: handed on to OP(), a target of FIELD() would have become two arguments. */
#define BATCH(nr_, fn, type, who_, target_, flags_)                                                \
    [nr_] = {.handler = (op_fn)fn,                                                                 \
             .name = #nr_,                                                                         \
             .nr = nr_,                                                                            \
             .size = sizeof(type),                                                                 \
             .compat = COMPAT_LAYOUT(type),                                                        \
             .dir = DIR_INOUT,                                                                     \
             .who = op_who_##who_,                                                                 \
             .flags = OP_BATCH | (flags_),                                                         \
             target_},
#define NONE(nr_) [nr_] = {.name = #nr_, .nr = nr_},

static const struct op ops_platform[] = {
#include "abi/ops/platform.def"
};
static const struct op ops_memory[] = {
#include "abi/ops/memory.def"
};
static const struct op ops_version[] = {
#include "abi/ops/version.def"
};
static const struct op ops_grant[] = {
#include "abi/ops/grant.def"
};
static const struct op ops_vcpu[] = {
#include "abi/ops/vcpu.def"
};
static const struct op ops_sched[] = {
#include "abi/ops/sched.def"
};
static const struct op ops_callback[] = {
#include "abi/ops/callback.def"
};
static const struct op ops_event[] = {
#include "abi/ops/event.def"
};
static const struct op ops_physdev[] = {
#include "abi/ops/physdev.def"
};
static const struct op ops_hvm[] = {
#include "abi/ops/hvm.def"
};
static const struct op ops_sysctl[] = {
#include "abi/ops/sysctl.def"
};
static const struct op ops_domctl[] = {
#include "abi/ops/domctl.def"
};

#define OP_TABLE(t) const struct op_table op_table_##t = {#t, ops_##t, ARRAY_SIZE(ops_##t)};
#include "abi/ops/tables.def"
