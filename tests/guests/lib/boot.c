// SPDX-License-Identifier: MIT
/* The beginning of a paravirtual kernel. */
#include "guest.h"

static u8 shared_page[4096] __aligned(4096); /* its frame is replaced by shared_info's */

static void map_shared_info(void)
{
    if (update_va((ulong)shared_page, boot_info.shared_info | PTE_RW_))
        shutdown(SHUTDOWN_crash);
    shared_info = (shared_info_t *)shared_page;
}

void guest_main(start_info_t *si);

void guest_main(start_info_t *si)
{
    start_info = si;
    boot_info = *si;
    for (unsigned i = 0; i < MAX_CPUS; i++)
        cpus[i].id = i;
    map_shared_info();
    memset((void *)shared_info->evtchn_mask, 0xff, sizeof(shared_info->evtchn_mask));
    console_init();
    traps_init();
    events_on();
    run_tests((char *)boot_info.cmd_line);
}
