// SPDX-License-Identifier: MIT
/* Memory maps and the machine-to-physical table, as guests and tools are told of them. */
#include "ground.h"
#include "acpi/acpi.h"
#include "asm/e820.h"
#include "asm/page.h"
#include "hypercall/handlers.h"
#include "mm/mm.h"

struct acpi_info acpi;
uint64_t idle_pg_table[512] __aligned(4096);
uint64_t mm_m2p32_entries[512 - M2P32_FIRST_ENTRY];

static struct domain *d;
static struct e820_entry buf[E820_MAX];
static struct call c;

static int setup(void **state)
{
    ground_setup(state);
    d = fake_domain(1, 1);
    c = (struct call){.v = dom0->vcpu[0], .d = d};
    return 0;
}

static long set_map(unsigned nr, struct e820_entry *e)
{
    struct xen_foreign_memory_map m = {.domid = 1, .map.nr_entries = nr};

    set_xen_guest_handle(m.map.buffer, e);
    return memory_set_memory_map(&c, &m);
}

static void test_domain_map(void **state)
{
    struct xen_memory_map m = {.nr_entries = E820_MAX};
    struct e820_entry mine[3] = {{0, 0x8000000, E820_RAM}, {1, 2, 3}, {4, 5, 6}};
    uint64_t before = 0;

    (void)state;
    set_xen_guest_handle(m.buffer, buf);
    assert_int_equal(memory_memory_map(&c, &m), -ENOSYS);
    assert_int_equal(set_map(E820_MAX + 1, buf), -EINVAL);
    fake_guest_fault((uintptr_t)(mine + 2), 4);
    assert_int_equal(set_map(3, mine), -EFAULT);
    fake_guest_fault(0, 0);
    for (unsigned i = 0; i < 5; i++) {
        assert_int_equal(set_map(1, mine), 0);
        assert_int_equal(set_map(3, mine), 0);
        if (!i) /* by now there is a slab for each size */
            before = heap_free_pages();
    }
    assert_int_equal(heap_free_pages(), before);
    assert_int_equal(memory_memory_map(&c, &m), 0);
    assert_int_equal(m.nr_entries, 3);
    assert_memory_equal(buf, mine, sizeof(mine));
    m.nr_entries = 2; /* as many as there is room for */
    memset(buf, 0, sizeof(buf));
    assert_int_equal(memory_memory_map(&c, &m), 0);
    assert_int_equal(m.nr_entries, 2);
    assert_int_equal(buf[2].type, 0);
    fake_guest_fault((uintptr_t)buf, 4);
    assert_int_equal(memory_memory_map(&c, &m), -EFAULT);
    fake_guest_fault(0, 0);
}

static void test_host_map(void **state)
{
    struct xen_memory_map m = {.nr_entries = 0};
    unsigned reserved = 0;

    (void)state;
    e820_host.nr = 2;
    e820_host.map[0] = (struct e820_entry){0, 0x9f000, E820_RAM};
    e820_host.map[1] = (struct e820_entry){0x100000, 0x40000000, E820_RAM};
    acpi.nr_ioapics = 1;
    acpi.ioapic[0].addr = 0xfec00000;
    assert_int_equal(memory_machine_memory_map(&c, &m), 0);
    assert_int_equal(m.nr_entries, 4);
    set_xen_guest_handle(m.buffer, buf);
    assert_int_equal(memory_machine_memory_map(&c, &m), 0);
    assert_int_equal(m.nr_entries, 4);
    for (unsigned i = 0; i < 4; i++)
        if (buf[i].type == E820_RESERVED) {
            assert_true(buf[i].addr == 0xfec00000 || buf[i].addr == 0xfee00000);
            reserved++;
        }
    assert_int_equal(reserved, 2);
    assert_int_equal(e820_host.nr, 2);
    e820_host.nr = E820_MAX; /* no room for more */
    assert_int_equal(memory_machine_memory_map(&c, &m), 0);
}

static void test_m2p(void **state)
{
    static xen_pfn_t list[8];
    struct xen_machphys_mfn_list l = {.max_extents = 8};
    struct xen_machphys_mapping map;
    uint64_t *l3 = alloc_page_virt(), *l2 = alloc_page_virt();

    (void)state;
    idle_pg_table[256] = make_pte(virt_to_mfn(l3), PTE_PRESENT);
    l3[0] = make_pte(virt_to_mfn(l2), PTE_PRESENT);
    l2[0] = 0x40200000 | PTE_PRESENT | PTE_PSE;
    set_xen_guest_handle(l.extent_start, list);
    assert_int_equal(memory_machphys_mfn_list(&c, &l), 0);
    assert_int_equal(l.nr_extents, 1); /* 2 MB tell of 1 GB */
    assert_int_equal(list[0], 0x40200);
    l.max_extents = 0;
    assert_int_equal(memory_machphys_mfn_list(&c, &l), 0);
    assert_int_equal(l.nr_extents, 0);
    l.max_extents = ~0u;
    fake_guest_fault((uintptr_t)list, 8);
    assert_int_equal(memory_machphys_mfn_list(&c, &l), -EFAULT);
    fake_guest_fault(0, 0);
    l2[0] = 0;
    assert_int_equal(memory_machphys_mfn_list(&c, &l), 0);
    assert_int_equal(list[0], 0);
    assert_int_equal(memory_machphys_mapping(&c, &map), 0);
    assert_int_equal(map.v_start, 0xffff800000000000);
    assert_int_equal(map.max_mfn, (map.v_end - map.v_start) / 8 - 1);
}

static void test_frames_that_are_not_ram(void **state)
{
    struct page_info *hole = mfn_to_page(_mfn(0xc0));

    (void)state;
    share_io_frames(_mfn(0), _mfn(FAKE_FIRST_MFN));
    assert_true(get_page(hole, domid_io_d));
    assert_false(get_page(hole, d));
    put_page(hole);
    put_page_alloc(hole); /* not to be freed */
    assert_int_equal(steal_page(domid_io_d, hole, 0), -EINVAL);
    assert_true(get_page(hole, domid_io_d));
    put_page(hole);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_domain_map),
        cmocka_unit_test(test_host_map),
        cmocka_unit_test(test_m2p),
        cmocka_unit_test(test_frames_that_are_not_ram),
    };

    return cmocka_run_group_tests_name("mem/maps", tests, setup, NULL);
}
