// SPDX-License-Identifier: MIT
/*
 * A CPU need not read those parts of a VMCB again that its clean bits name.  Emulators read them
 * all the same, so debug builds look for themselves: what has changed since the guest was left
 * must have been named (vmcb_changed()).
 */
#include "svm.h"
#include "kernel/panic.h"
#include "lib/string.h"

#define FIELDS(part, first, last)                                                                  \
    {                                                                                              \
        part, offsetof(struct vmcb, first),                                                        \
            offsetof(struct vmcb, last) + sizeof(((struct vmcb *)0)->last)                         \
    }

/* APM volume 2, "VMCB clean bits". */
static const struct {
    uint32_t part, first, end;
} parts[] = {
    FIELDS(VMCB_INTERCEPTS, cr_reads, intercepts),
    FIELDS(VMCB_INTERCEPTS, pause_threshold, pause_count),
    FIELDS(VMCB_INTERCEPTS, tsc_offset, tsc_offset),
    FIELDS(VMCB_MAPS, iopm, msrpm),
    FIELDS(VMCB_ASID, asid, asid),
    FIELDS(VMCB_INTERRUPT, vintr, vintr),
    FIELDS(VMCB_NESTED, nested_paging, nested_paging),
    FIELDS(VMCB_NESTED, nested_cr3, nested_cr3),
    FIELDS(VMCB_NESTED, pat, pat),
    FIELDS(VMCB_CR, efer, efer),
    FIELDS(VMCB_CR, cr4, cr0),
    FIELDS(VMCB_DR, dr7, dr6),
    FIELDS(VMCB_TABLES, gdtr, gdtr),
    FIELDS(VMCB_TABLES, idtr, idtr),
    FIELDS(VMCB_SEGMENTS, seg, seg[EMUL_SEG_DS]),
    FIELDS(VMCB_SEGMENTS, cpl, cpl),
    FIELDS(VMCB_CR2, cr2, cr2),
    FIELDS(VMCB_LBR, lbr_control, lbr_control),
    FIELDS(VMCB_LBR, debugctl, last_branch),
};

void vmcb_note(struct svm_vcpu *s)
{
    if (!s->noted)
        s->noted = alloc_page_virt();
    if (s->noted)
        memcpy(s->noted, s->vmcb, sizeof(*s->vmcb));
}

uint32_t vmcb_unnamed(const struct vmcb *now, const struct vmcb *noted)
{
    uint32_t unnamed = 0;

    for (unsigned i = 0; i < ARRAY_SIZE(parts); i++)
        if ((now->clean & parts[i].part) &&
            memcmp((const char *)now + parts[i].first, (const char *)noted + parts[i].first,
                   parts[i].end - parts[i].first))
            unnamed |= parts[i].part;
    return unnamed;
}

void vmcb_check(const struct svm_vcpu *s)
{
    uint32_t unnamed = s->noted ? vmcb_unnamed(s->vmcb, s->noted) : 0;

    if (unnamed)
        panic("VMCB: parts %#x have changed, but are said to be as they were", unnamed);
}
