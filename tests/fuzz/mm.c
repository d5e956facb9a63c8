// SPDX-License-Identifier: MIT
/*
 * Coverage-guided fuzzing of page types and tables: the input is a hostile guest's program, three
 * bytes an operation.  After each the auditor counts every reference anew
 * (tests/unit/mm/machine.h).
 */
#include "machine.h"

#define POOL 12

static uint64_t pool[POOL];

static uint64_t entry(uint8_t frame, uint8_t flags)
{
    static const uint64_t kinds[] = {0,           P,      P | PTE_RW, P | PTE_PSE,
                                     P | PTE_PCD, PTE_RW, P | PTE_NX, P | PTE_GLOBAL | PTE_RW};

    return pool[frame % POOL] << PAGE_SHIFT | kinds[flags % ARRAY_SIZE(kinds)];
}

static void operation(uint8_t what, uint8_t a, uint8_t b)
{
    static const uint16_t index[] = {0, 1, 8, 255, 256, 271, 272, 511};
    unsigned i = index[b % 8];
    struct mmuext_op op = {.cmd = a / POOL % 5, .arg1.mfn = pool[a % POOL]};
    uint64_t mfn = pool[a % POOL], val;

    switch (what % 8) {
    case 0 ... 2:
        set_entry(mfn, i, entry(b / 8, what / 8));
        break;
    case 3:
        mmu_update1((mfn << PAGE_SHIFT) + i * 8 + (what / 8 % 4), entry(b / 8, what / 32),
                    DOMID_SELF);
        break;
    case 4:
        mmuext1(b % 21, mfn, DOMID_SELF);
        break;
    case 5: /* begins, and never goes on */
        do_mmuext_op((unsigned long)&op, 1, 0, DOMID_SELF);
        break;
    case 6:
        val = entry(b / 8, what / 8);
        exchange_l1(mfn_to_page(_mfn(mfn)), i * 8, &val, db);
        break;
    default:
        fake_preempt = b & 1;
        do_update_va_mapping((uint64_t)i << 39 | (uint64_t)a << 12, entry(b, what / 8), 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static bool started;

    if (!started)
        machine_start();
    started = true;
    db->dying = DOMDYING_alive;
    run_as(db, 0);
    for (unsigned i = 0; i < POOL; i++)
        pool[i] = page_of(db);
    for (; size >= 3; data += 3, size -= 3) {
        operation(data[0], data[1], data[2]);
        audit();
    }
    fake_preempt = false;
    machine_stop();
    return 0;
}
