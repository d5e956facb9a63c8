// SPDX-License-Identifier: MIT
/* A page each of code, data and stack for ring 3, in the kernel's own address space. */
#include "guest.h"

u8 *user_code_page, *user_data_page, *user_stack_page;

void user_init(void)
{
    if (user_stack_page)
        return;
    user_code_page = page_alloc();
    user_data_page = page_alloc();
    map_at(USER_CODE, mfn_of(user_code_page) << 12 | PTE_RW_);
    map_at(USER_DATA, mfn_of(user_data_page) << 12 | PTE_RW_);
    user_stack_page = page_alloc();
    map_at(USER_STACK, mfn_of(user_stack_page) << 12 | PTE_RW_);
}

void user_frame(struct frame *f, const void *code, size_t size)
{
    user_init();
    memset(f, 0, sizeof(*f));
    memcpy(user_code_page, code, size);
    f->eip = USER_CODE;
    f->esp = USER_STACK + 4096;
    f->cs = FLAT_USER_CS;
    f->ds = f->es = f->ss = FLAT_USER_DS;
    f->eflags = 0x202;
}

int user_run(struct frame *f)
{
    struct cpu *cpu = this_cpu();
    int vec = save_point(&cpu->user_back);

    if (vec)
        return vec - 1;
    cpu->in_user = true;
    resume_frame(f);
}
