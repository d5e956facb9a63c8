// SPDX-License-Identifier: MIT
/* The hypervisor's own page tables, for boot/ and cpu/; other rooms use mm.h. */
#pragma once
#include "mm/mm.h"

/* Direct map, frame table and machine-to-physical table for all RAM of e820_host.  Boot CPU, with
 * bootmem ready.  Sets max_page. */
void paging_init(void);
/* Image text read-only and executable, the rest not executable; no low mappings any more. */
void paging_protect_image(void);
/* Physical address of something in the image. */
maddr_t image_to_maddr(const void *p);
/* A root for a CPU that starts: all of idle_pg_table, and the low 4 GB one to one.  Below 4 GB. */
maddr_t paging_ap_root(void);
