// SPDX-License-Identifier: MIT
/*
 * SYSCALL and SYSENTER of a CPU.
 *
 * SYSCALL does not switch stacks, and GS is the guest's: so each CPU's entry point is code made
 * for it.  It leaves rax in scratch[0], puts rsp into rax, and rsp at guest_regs.es.
 */
#include "arch/x86/mm/mm.h"
#include "arch/x86/mm/paging.h"
#include "asm/cpufeature.h"
#include "asm/desc.h"
#include "asm/layout.h"
#include "asm/msr.h"
#include "asm/regs.h"
#include "kernel/panic.h"
#include "lib/string.h"
#include "pv.h"

#define STUB_BYTES     64
#define STUBS_PER_PAGE (PAGE_SIZE / STUB_BYTES)
#define STUBS_VIRT     (HYP_VIRT_END - 0x200000UL)

static uint8_t *stub_pages[DIV_ROUND_UP(NR_CPUS * 2, STUBS_PER_PAGE)];

static unsigned long make_stub(unsigned n, void (*target)(void))
{
    uint8_t *p = stub_pages[n / STUBS_PER_PAGE] + n % STUBS_PER_PAGE * STUB_BYTES;
    unsigned long va = STUBS_VIRT + (unsigned long)n * STUB_BYTES;
    uint64_t scratch = (uint64_t)&cpu_info()->scratch[0], sp = (uint64_t)&guest_regs()->es;
    int32_t rel;

    *p++ = 0x48; /* movabs %rax, scratch */
    *p++ = 0xa3;
    memcpy(p, &scratch, 8);
    p += 8;
    *p++ = 0x48; /* mov %rsp, %rax */
    *p++ = 0x89;
    *p++ = 0xe0;
    *p++ = 0x48; /* movabs $sp, %rsp */
    *p++ = 0xbc;
    memcpy(p, &sp, 8);
    p += 8;
    *p++ = 0xe9; /* jmp target */
    rel = (int32_t)((long)target - (long)(va + 10 + 3 + 10 + 5));
    memcpy(p, &rel, 4);
    return va;
}

void pv_cpu_init(unsigned cpu)
{
    unsigned page = cpu * 2 / STUBS_PER_PAGE;

    if (!stub_pages[page]) {
        stub_pages[page] = alloc_page_virt();
        if (!stub_pages[page] ||
            map_hyp(STUBS_VIRT + page * PAGE_SIZE, virt_to_mfn(stub_pages[page]), 1, HYP_RX))
            panic("no memory for the SYSCALL entry of CPU %u", cpu);
    }
    pv_descriptors_cpu_init();
    /* SYSCALL: CS = HYP_CS, SS = HYP_CS + 8.  SYSRET: 64-bit CS = base + 16, SS = base + 8. */
    wrmsr(MSR_STAR, (uint64_t)HYP_CS << 32 | 0xe023ULL << 48);
    wrmsr(MSR_LSTAR, make_stub(cpu * 2, lstar_enter));
    wrmsr(MSR_CSTAR, make_stub(cpu * 2 + 1, cstar_enter));
    if (host_cpu.vendor == VENDOR_INTEL) {
        /* SYSENTER: CS as given, SS behind it. */
        wrmsr(MSR_SYSENTER_CS, HYP_CS);
        wrmsr(MSR_SYSENTER_ESP, (uint64_t)&guest_regs()->es);
        wrmsr(MSR_SYSENTER_EIP, (uint64_t)sysenter_enter);
    }
    wrmsr(MSR_SFMASK, EFLAGS_IF | EFLAGS_TF | EFLAGS_DF | EFLAGS_NT | EFLAGS_AC | EFLAGS_RF |
                          EFLAGS_IOPL | EFLAGS_VM);
    wrmsr(MSR_EFER, rdmsr(MSR_EFER) | EFER_SCE);
}
