// SPDX-License-Identifier: MIT
#pragma once
#include "hypercall/ops.h"

#define OP_TABLE(t) extern const struct op_table op_table_##t;
#include "abi/ops/tables.def"
#undef OP_TABLE
