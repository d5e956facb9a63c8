// SPDX-License-Identifier: MIT
/* mm.c for a 32-bit kernel: PAE's three levels, entries of 64 bits, frame lists of 32. */
#include "guest.h"

#define HEAP_PAGES 512

static u8 heap[HEAP_PAGES][4096] __aligned(4096);
static u8 heap_used[HEAP_PAGES];

void *page_alloc(void)
{
    for (unsigned i = 0; i < HEAP_PAGES; i++)
        if (!heap_used[i]) {
            heap_used[i] = 1;
            memset(heap[i], 0, 4096);
            return heap[i];
        }
    die("out of pages");
}

void page_free(void *page)
{
    ulong i = ((u8 *)page - heap[0]) / 4096;

    if (i >= HEAP_PAGES || !heap_used[i])
        die("page_free(%p)", page);
    heap_used[i] = 0;
}

u64 pfn_of(const void *va)
{
    return ((ulong)va - VIRT_BASE) >> 12;
}

u64 mfn_of(const void *va)
{
    return ((const ulong *)boot_info.mfn_list)[pfn_of(va)];
}

u64 maddr_of(const void *p)
{
    return mfn_of(p) << 12 | ((ulong)p & 4095);
}

void *va_of_mfn(u64 mfn)
{
    return (void *)(VIRT_BASE + (machine_to_phys_mapping[mfn] << 12));
}

u64 root_mfn(void)
{
    return mfn_of((void *)boot_info.pt_base);
}

u64 *entry_of(u64 va, unsigned level)
{
    u64 *table = (u64 *)boot_info.pt_base;

    for (unsigned l = 3; l > level; l--) {
        u64 e = table[va >> (12 + 9 * (l - 1)) & 511];

        if (!(e & PTE_P))
            return NULL;
        table = va_of_mfn((e & PTE_MFN) >> 12);
    }
    return &table[va >> (12 + 9 * (level - 1)) & 511];
}

long update_va(u64 va, u64 pte)
{
    return HC4(update_va_mapping, va, pte, pte >> 32, UVMF_INVLPG | UVMF_ALL);
}

long mmu_update_one(u64 ptr, u64 val)
{
    struct mmu_update u = {.ptr = ptr, .val = val};

    return HC4(mmu_update, &u, 1, 0, DOMID_SELF);
}

long mmuext2(unsigned cmd, u64 arg1, u64 arg2)
{
    struct mmuext_op op = {.cmd = cmd};

    op.arg1.mfn = arg1;
    op.arg2.src_mfn = arg2;
    return HC4(mmuext_op, &op, 1, 0, DOMID_SELF);
}

long mmuext(unsigned cmd, u64 mfn_or_va)
{
    return mmuext2(cmd, mfn_or_va, 0);
}

void set_ro(void *page)
{
    REQUIRE_EQ(update_va((ulong)page, mfn_of(page) << 12 | PTE_RO_), 0);
}

void set_rw(void *page)
{
    REQUIRE_EQ(update_va((ulong)page, mfn_of(page) << 12 | PTE_RW_), 0);
}

void *table_alloc(void)
{
    void *page = page_alloc();

    set_ro(page);
    return page;
}

void table_free(void *page)
{
    set_rw(page);
    page_free(page);
}

void map_at(u64 va, u64 pte)
{
    for (unsigned level = 3; level > 1; level--) {
        u64 *e = entry_of(va, level);

        if (!(*e & PTE_P)) {
            void *table = table_alloc();
            u64 rights = level == 3 ? PTE_L3 : PTE_TAB;

            REQUIRE_EQ(mmu_update_one(maddr_of(e), mfn_of(table) << 12 | rights), 0);
            if (level == 3) /* the CPU reads the third level when its root is loaded */
                REQUIRE_EQ(mmuext(MMUEXT_NEW_BASEPTR, root_mfn()), 0);
        }
    }
    REQUIRE_EQ(mmu_update_one(maddr_of(entry_of(va, 1)), pte), 0);
    REQUIRE_EQ(mmuext(MMUEXT_INVLPG_LOCAL, va), 0);
}
