// SPDX-License-Identifier: MIT
/* CONFIG_GRANT_TRANSFER is off. */
#include "hypercall/handlers.h"

long gnttabop_transfer(struct call *c, struct gnttab_transfer *arg)
{
    (void)c;
    (void)arg;
    return -ENOSYS;
}
