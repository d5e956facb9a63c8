// SPDX-License-Identifier: MIT
/*
 * A user address space with a page each of code, data and stack. Its tables also serve the
 * kernel's slot 0, so the kernel sees the user's memory at the same addresses.
 */
#include "guest.h"

u8 *user_code_page, *user_data_page, *user_stack_page;
u64 *user_l4;

void user_init(void)
{
    u64 *l3, *l2, *l1;

    if (user_l4) {
        REQUIRE_EQ(mmuext(MMUEXT_NEW_USER_BASEPTR, mfn_of(user_l4)), 0);
        return;
    }
    user_code_page = page_alloc();
    user_data_page = page_alloc();
    user_stack_page = page_alloc();
    l1 = page_alloc();
    l2 = page_alloc();
    l3 = page_alloc();
    user_l4 = page_alloc();
    l1[USER_CODE >> 12 & 511] = mfn_of(user_code_page) << 12 | PTE_RW_;
    l1[USER_DATA >> 12 & 511] = mfn_of(user_data_page) << 12 | PTE_RW_;
    l1[USER_STACK >> 12 & 511] = mfn_of(user_stack_page) << 12 | PTE_RW_;
    l2[USER_CODE >> 21] = mfn_of(l1) << 12 | PTE_TAB;
    l3[0] = mfn_of(l2) << 12 | PTE_TAB;
    user_l4[0] = mfn_of(l3) << 12 | PTE_TAB;
    set_ro(l1);
    set_ro(l2);
    set_ro(l3);
    set_ro(user_l4);
    REQUIRE_EQ(mmuext(MMUEXT_PIN_L4_TABLE, mfn_of(user_l4)), 0);
    REQUIRE_EQ(mmu_update_one(maddr_of((u64 *)boot_info.pt_base), mfn_of(l3) << 12 | PTE_TAB), 0);
    REQUIRE_EQ(mmuext(MMUEXT_NEW_USER_BASEPTR, mfn_of(user_l4)), 0);
}

void user_frame(struct frame *f, const void *code, size_t size)
{
    user_init();
    memset(f, 0, sizeof(*f));
    memcpy(user_code_page, code, size);
    f->rip = USER_CODE;
    f->rsp = USER_STACK + 4096;
    f->cs = FLAT_USER_CS;
    f->ss = FLAT_USER_SS;
    f->rflags = 0x202;
}

int user_run(struct frame *f)
{
    struct cpu *cpu = this_cpu();
    int vec = save_point(&cpu->user_back);

    if (vec)
        return vec - 1;
    cpu->in_user = true;
    f->flags = 0;
    resume_frame(f);
}
