// SPDX-License-Identifier: MIT
/*
 * SMAP on emulated CPUs.
 *
 * QEMU's software CPU (7.2) reads the frame of an IRET executed in ring 3 as if the processor
 * accessed it for itself, with SMAP in force: a guest kernel that serialises itself by an IRET
 * gets a page fault on its own stack, without the user bit in the error code.  No real CPU does
 * that.  So SMAP takes a pause: the guest tries again without it, and the next way back to a guest
 * after that puts it in force again.  (Entries that never come to C may run without it meanwhile,
 * which only they do.)  A fault that is not due to this comes again while SMAP pauses, and is then
 * handled like any other.
 */
#include "asm/cpufeature.h"
#include "asm/layout.h"
#include "asm/processor.h"
#include "asm/trap.h"
#include "pv.h"

bool pv_smap_fault(unsigned long addr, uint32_t error)
{
    struct cpu_info *info = cpu_info();

    if ((error & (PFEC_PRESENT | PFEC_USER | PFEC_FETCH)) != PFEC_PRESENT ||
        !(info->cr4 & CR4_SMAP) || (addr >= M2P_RO_VIRT && addr < DIRECTMAP_VIRT_END))
        return false;
    cpu_write_cr4(info->cr4 & ~CR4_SMAP);
    info->flags |= CPU_SMAP_PAUSES | CPU_SMAP_JUST_LEFT;
    return true;
}

void pv_smap_resume(void)
{
    struct cpu_info *info = cpu_info();

    if (info->flags & CPU_SMAP_JUST_LEFT) {
        info->flags &= ~(uint32_t)CPU_SMAP_JUST_LEFT;
    } else {
        info->flags &= ~(uint32_t)CPU_SMAP_PAUSES;
        cpu_write_cr4(info->cr4 | CR4_SMAP);
    }
}
