// SPDX-License-Identifier: MIT
/* The hypercall page: 128 entries of 32 bytes, each calling the hypercall of its number. */
#include "lib/string.h"
#include "pv.h"

#define ENTRY_SIZE 32

static void write_entry32(uint8_t *p, unsigned i)
{
    if (i == __HYPERVISOR_iret)
        *p++ = 0x50; /* push %eax: the frame that do_iret() wants */
    *p++ = 0xb8;     /* mov $nr, %eax */
    memcpy(p, &i, 4);
    p += 4;
    *p++ = 0xcd; /* int $0x82 */
    *p++ = 0x82;
    if (i != __HYPERVISOR_iret)
        *p = 0xc3; /* ret */
}

void pv_write_hypercall_page(const struct domain *d, void *page)
{
    memset(page, 0xcc, PAGE_SIZE);
    for (unsigned i = 0; i < PAGE_SIZE / ENTRY_SIZE; i++) {
        uint8_t *p = (uint8_t *)page + i * ENTRY_SIZE;

        if (is_32bit(d)) {
            write_entry32(p, i);
            continue;
        }
        *p++ = 0x51; /* push %rcx */
        *p++ = 0x41; /* push %r11 */
        *p++ = 0x53;
        if (i == __HYPERVISOR_iret)
            *p++ = 0x50; /* push %rax: the frame of struct iret_context */
        *p++ = 0xb8;     /* mov $nr, %eax */
        memcpy(p, &i, 4);
        p += 4;
        *p++ = 0x0f; /* syscall */
        *p++ = 0x05;
        if (i == __HYPERVISOR_iret)
            continue;
        *p++ = 0x41; /* pop %r11 */
        *p++ = 0x5b;
        *p++ = 0x59; /* pop %rcx */
        *p = 0xc3;   /* ret */
    }
}
