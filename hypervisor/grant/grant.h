// SPDX-License-Identifier: MIT
/* Grant tables: what other rooms call.  The hypercall's handlers are in abi/ops/grant.def. */
#pragma once
#include "lib/types.h"
#include <xen/grant_table.h>

struct domain;

/* The nth shared frame of d's table, grown to hold it (XENMEM_acquire_resource, add_to_physmap).
 * -ERESTART: it has grown by some; call again. */
int grant_get_frame(struct domain *d, unsigned idx, mfn_t *mfn);
/* The same for status words; -EINVAL while the table is not of version 2. */
int grant_get_status_frame(struct domain *d, unsigned idx, mfn_t *mfn);
/* How many of them d may have at most (the size of the resource). */
unsigned grant_max_frames(struct domain *d);
unsigned grant_max_status_frames(struct domain *d);
/* Handles of mappings that d has made and not undone.  A snapshot, unlocked, for debug keys. */
unsigned grant_handles_in_use(const struct domain *d);
