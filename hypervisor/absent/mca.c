// SPDX-License-Identifier: MIT
/* CONFIG_MCA is off. */
#include "hypercall/handlers.h"

long do_mca(unsigned long addr)
{
    (void)addr;
    return -ENOSYS;
}
