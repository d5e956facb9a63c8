// SPDX-License-Identifier: MIT
/*
 * Operations of rooms that need a machine, and are not linked: here there are none. The build makes
 * the list, of all handlers in abi/ops; the real ones win. Their prototypes (hypercall/handlers.h)
 * are not included, so that one macro does for all.
 */
#include "lib/errno.h"

#define ABSENT(fn)                                                                                 \
    long fn(void);                                                                                 \
    __attribute__((weak)) long fn(void)                                                            \
    {                                                                                              \
        return -ENOSYS;                                                                            \
    }
#include "build/fuzz/absent_ops.def"
