// SPDX-License-Identifier: MIT
/* The check of debug builds that each change of a VMCB is named. */
#include "arch/x86/hvm/svm/svm.h"
#include "test.h"

static struct vmcb now, noted;

static void all_clean(void)
{
    now = (struct vmcb){.clean = VMCB_ALL};
    noted = now;
}

#define CHANGED(field)                                                                             \
    ({                                                                                             \
        all_clean();                                                                               \
        now.field ^= 1;                                                                            \
        vmcb_unnamed(&now, &noted);                                                                \
    })

static void every_part(void **state)
{
    (void)state;
    all_clean();
    assert_int_equal(vmcb_unnamed(&now, &noted), 0);
    assert_int_equal(CHANGED(cr_writes), VMCB_INTERCEPTS);
    assert_int_equal(CHANGED(intercepts[1]), VMCB_INTERCEPTS);
    assert_int_equal(CHANGED(pause_count), VMCB_INTERCEPTS);
    assert_int_equal(CHANGED(tsc_offset), VMCB_INTERCEPTS);
    assert_int_equal(CHANGED(msrpm), VMCB_MAPS);
    assert_int_equal(CHANGED(asid), VMCB_ASID);
    assert_int_equal(CHANGED(vintr), VMCB_INTERRUPT);
    assert_int_equal(CHANGED(nested_cr3), VMCB_NESTED);
    assert_int_equal(CHANGED(pat), VMCB_NESTED);
    assert_int_equal(CHANGED(efer), VMCB_CR);
    assert_int_equal(CHANGED(cr0), VMCB_CR);
    assert_int_equal(CHANGED(cr3), VMCB_CR);
    assert_int_equal(CHANGED(cr4), VMCB_CR);
    assert_int_equal(CHANGED(dr6), VMCB_DR);
    assert_int_equal(CHANGED(dr7), VMCB_DR);
    assert_int_equal(CHANGED(idtr.limit), VMCB_TABLES);
    assert_int_equal(CHANGED(gdtr.base), VMCB_TABLES);
    assert_int_equal(CHANGED(seg[EMUL_SEG_DS].base), VMCB_SEGMENTS);
    assert_int_equal(CHANGED(cpl), VMCB_SEGMENTS);
    assert_int_equal(CHANGED(cr2), VMCB_CR2);
    assert_int_equal(CHANGED(last_branch[3]), VMCB_LBR);
}

/* What VMRUN always reads, and what VMLOAD does. */
static void not_kept(void **state)
{
    (void)state;
    assert_int_equal(CHANGED(rip), 0);
    assert_int_equal(CHANGED(rax), 0);
    assert_int_equal(CHANGED(rflags), 0);
    assert_int_equal(CHANGED(inject), 0);
    assert_int_equal(CHANGED(shadow), 0);
    assert_int_equal(CHANGED(tlb_control), 0);
    assert_int_equal(CHANGED(seg[EMUL_SEG_FS].base), 0);
    assert_int_equal(CHANGED(star), 0);
}

static void named(void **state)
{
    (void)state;
    all_clean();
    now.cr3 = 1;
    now.asid = 1;
    vmcb_changed(&now, VMCB_CR);
    assert_int_equal(vmcb_unnamed(&now, &noted), VMCB_ASID);
    vmcb_changed(&now, VMCB_ASID);
    assert_int_equal(vmcb_unnamed(&now, &noted), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_part), cmocka_unit_test(not_kept),
                                       cmocka_unit_test(named)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
