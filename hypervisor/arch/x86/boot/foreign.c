// SPDX-License-Identifier: MIT
/*
 * Running code that was compiled for user space: it uses SSE, the red zone below its stack
 * pointer (which an interrupt would overwrite), and reads a stack-protector value at fs:0x28.
 *
 * Its stack is as large and as aligned as a CPU's, with a copy of struct cpu_info at the top, so
 * that a fault in such code is still reported properly.
 */
#include "arch/api/arch_boot.h"
#include "asm/cpu.h"
#include "asm/msr.h"
#include "asm/regs.h"
#include "lib/string.h"
#include "mem/mem.h"
#include "mm/mm.h"

#define CHUNK_ORDER 9
#define CHUNK_SIZE  (PAGE_SIZE << CHUNK_ORDER)

static uint64_t thread_block[16];

long arch_call_library(long (*fn)(void *), void *arg)
{
    struct page_info *pg = heap_alloc(STACK_ORDER, 0);
    unsigned long flags, top;
    uint64_t fs;
    long ret;

    if (!pg)
        return -1;
    top = (unsigned long)page_to_virt(pg) + STACK_SIZE - sizeof(struct cpu_info);
    memcpy((void *)top, cpu_info(), sizeof(struct cpu_info));
    top = ROUND_DOWN(top, 16UL);

    flags = local_irq_save_();
    fs = rdmsr(MSR_FS_BASE);
    wrmsr(MSR_FS_BASE, (uint64_t)thread_block);
    clts();
    __asm__ volatile("mov %%rsp, %%rbx\n\t"
                     "mov %[top], %%rsp\n\t"
                     "call *%[fn]\n\t"
                     "mov %%rbx, %%rsp"
                     : "=a"(ret), "+D"(arg)
                     : [fn] "r"(fn), [top] "r"(top)
                     : "rbx", "rcx", "rdx", "rsi", "r8", "r9", "r10", "r11", "cc", "memory");
    wrmsr(MSR_FS_BASE, fs);
    local_irq_restore(flags);
    heap_free(pg, STACK_ORDER);
    return ret;
}

static void unmap_chunks(unsigned long va, size_t size)
{
    for (size_t off = 0; off < size; off += CHUNK_SIZE) {
        struct page_info *pg = mfn_to_page(vmap_to_mfn(va + off));

        unmap_hyp(va + off, 1UL << CHUNK_ORDER);
        heap_free(pg, CHUNK_ORDER);
    }
}

void *arch_scratch_alloc(size_t size)
{
    unsigned long nr = ROUND_UP(size, CHUNK_SIZE) >> PAGE_SHIFT, va = vmap_alloc(nr);

    if (!va)
        return NULL;
    for (size_t off = 0; off < size; off += CHUNK_SIZE) {
        struct page_info *pg = heap_alloc(CHUNK_ORDER, MEMF_NO_SCRUB);

        if (!pg || map_hyp(va + off, page_to_mfn(pg), 1UL << CHUNK_ORDER, HYP_RW)) {
            if (pg)
                heap_free(pg, CHUNK_ORDER);
            unmap_chunks(va, off);
            vmap_free(va, nr);
            return NULL;
        }
    }
    return (void *)va;
}

void arch_scratch_free(void *p, size_t size)
{
    unmap_chunks((unsigned long)p, size);
    vmap_free((unsigned long)p, ROUND_UP(size, CHUNK_SIZE) >> PAGE_SHIFT);
}
