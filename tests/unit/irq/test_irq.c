// SPDX-License-Identifier: MIT
/* Interrupts from the source to the guest's event and back, over the simulated machine. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>
#include "machine.h"
#include "abi/xen_abi.h"
#include "arch/fake/fake.h"
#include "arch/api/arch_irq.h"
#include "arch/x86/irq/private.h"
#include "domain/domain.h"
#include "domain/unit.h"
#include "hypercall/handlers.h"
#include "lib/errno.h"
#include "mm/mm.h"

extern const struct unit *const __start_units[], *const __stop_units[];

static struct domain *d0, *d1;
static unsigned events[2][64]; /* by domain and pirq */
static bool port_closed;

/* ---- rooms that are not under test ---- */

bool send_guest_pirq(struct domain *d, unsigned pirq)
{
    assert_true(d->id < 2);
    if (port_closed)
        return false;
    events[d->id][pirq % 64]++;
    return true;
}

evtchn_port_t evtchn_pirq_port(struct domain *d, unsigned pirq)
{
    (void)d;
    (void)pirq;
    return 5;
}

static unsigned unmasked_port;
int evtchn_unmask(struct domain *d, evtchn_port_t port)
{
    (void)d;
    unmasked_port = port;
    return 0;
}

static struct page_info *eoi_page;
static int eoi_page_refs;
static bool eoi_page_bad;

struct page_info *get_page_gfn(struct domain *d, gfn_t gfn)
{
    (void)d;
    if (gfn_x(gfn) != mfn_x(page_to_mfn(eoi_page)))
        return NULL;
    eoi_page_refs++;
    return eoi_page;
}

int get_page_type(struct page_info *pg, uint64_t type)
{
    assert_ptr_equal(pg, eoi_page);
    assert_int_equal(type, PGT_writable);
    return eoi_page_bad ? -EINVAL : 0;
}

void put_page_and_type(struct page_info *pg)
{
    put_page(pg);
}

void page_last_put(struct page_info *pg)
{
    (void)pg;
}

/* ---- set-up ---- */

static int setup(void **state)
{
    (void)state;
    sim_reset(2);
    fake_ram_init(256);
    d0 = fake_domain(0, 2);
    d1 = fake_domain(1, 1);
    memset(events, 0, sizeof(events));
    memset(percpu_vector_irq, 0, sizeof(percpu_vector_irq));
    port_closed = false;
    eoi_page = mfn_to_page(virt_to_mfn(alloc_page_virt()));
    eoi_page->refs = 1;
    eoi_page_refs = 0;
    irq_init();
    fake_run_on(0, d0->vcpu[0]);
    return 0;
}

static void relinquish(struct domain *d)
{
    for (const struct unit *const *u = __start_units; u < __stop_units; u++) {
        if (!strcmp((*u)->name, "pirq")) {
            assert_int_equal((*u)->relinquish(d), 0);
            assert_int_equal((*u)->relinquish(d), 0); /* idempotent */
            (*u)->domain_free(d);
        }
    }
}

static void free_domain(struct domain *d)
{
    for (unsigned i = 0; i < d->max_vcpus; i++)
        xfree(d->vcpu[i]);
    xfree(d->vcpu);
}

static int teardown(void **state)
{
    (void)state;
    relinquish(d0);
    relinquish(d1);
    for (unsigned dev = 0; dev < 0x28; dev += 8)
        pci_dev_remove(PCI_SBDF(0, 0, dev));
    for (unsigned i = 0; i < nr_irqs; i++) {
        assert_null(irq_descs[i].guests);
        assert_null(irq_descs[i].msi);
        if (!irq_descs[i].fn)
            assert_int_equal(irq_descs[i].vector, 0);
    }
    free_domain(d0);
    free_domain(d1);
    xfree(irq_descs);
    fake_ram_free();
    return 0;
}

/* ---- hypercalls, as dom0's kernel makes them ---- */

static long map_gsi(struct domain *d, int gsi, int *pirq)
{
    struct physdev_map_pirq arg = {.type = MAP_PIRQ_TYPE_GSI, .index = gsi, .pirq = *pirq};
    struct call c = {.v = d0->vcpu[0], .d = d};
    long ret = physdevop_map_pirq(&c, &arg);

    *pirq = arg.pirq;
    return ret;
}

static long setup_gsi(int gsi, bool level, bool low)
{
    struct physdev_setup_gsi arg = {.gsi = gsi, .triggering = level, .polarity = low};
    struct call c = {.v = d0->vcpu[0], .d = d0};

    return physdevop_setup_gsi(&c, &arg);
}

static long eoi(struct domain *d, unsigned pirq)
{
    struct physdev_eoi arg = {.irq = pirq};
    struct call c = {.v = d->vcpu[0], .d = d};

    return physdevop_eoi(&c, &arg);
}

static long map_msi(struct sim_dev *dev, int type, int entry, uint64_t table, int *pirq)
{
    struct physdev_map_pirq arg = {.type = type,
                                   .index = -1,
                                   .pirq = *pirq,
                                   .devfn = dev->devfn,
                                   .entry_nr = entry,
                                   .table_base = table};
    struct call c = {.v = d0->vcpu[0], .d = d0};
    long ret = physdevop_map_pirq(&c, &arg);

    *pirq = arg.pirq;
    return ret;
}

static long unmap(int pirq)
{
    struct physdev_unmap_pirq arg = {.pirq = pirq};
    struct call c = {.v = d0->vcpu[0], .d = d0};

    return physdevop_unmap_pirq(&c, &arg);
}

static void add_devices(void)
{
    for (unsigned devfn = 0x10; devfn <= 0x20; devfn += 8) {
        struct physdev_pci_device_add arg = {.devfn = devfn};
        struct call c = {.v = d0->vcpu[0], .d = d0};

        assert_int_equal(physdevop_pci_device_add(&c, &arg), 0);
    }
}

static int mapped_gsi(int gsi, bool level)
{
    int pirq = -1;

    assert_int_equal(setup_gsi(gsi, level, level), 0);
    assert_int_equal(map_gsi(d0, gsi, &pirq), 0);
    assert_int_equal(pirq, gsi);
    return pirq;
}

/* ---- tests ---- */

static void test_edge(void **state)
{
    int pirq = mapped_gsi(4, false);

    (void)state;
    sim_edge(4);
    assert_int_equal(sim_run(), 0); /* masked until bound */
    assert_int_equal(arch_pirq_bind(d0->vcpu[0], pirq, false), 0);
    for (unsigned i = 1; i <= 3; i++) {
        sim_edge(4); /* no end of interrupt is asked for */
        assert_int_equal(sim_run(), 1);
        assert_int_equal(events[0][4], i);
    }
    arch_pirq_unbind(d0, pirq);
    sim_edge(4);
    assert_int_equal(sim_run(), 0);
    assert_int_equal(unmap(pirq), 0);
    assert_int_equal(unmap(pirq), -EINVAL);
}

/* A kernel without ACPI. */
static void test_alloc_vector(void **state)
{
    struct physdev_irq arg = {.irq = 6};
    struct call c = {.v = d0->vcpu[0], .d = d0};

    (void)state;
    assert_int_equal(arch_pirq_bind(d0->vcpu[0], 6, false), -EINVAL);
    assert_int_equal(physdevop_alloc_irq_vector(&c, &arg), 0);
    assert_int_equal(physdevop_alloc_irq_vector(&c, &arg), 0);
    assert_int_equal(arch_pirq_bind(d0->vcpu[0], 6, false), 0);
    sim_edge(6);
    assert_int_equal(sim_run(), 1);
    arg.irq = nr_gsis;
    assert_int_equal(physdevop_alloc_irq_vector(&c, &arg), 0);
    arg.irq = nr_irqs;
    assert_int_equal(physdevop_alloc_irq_vector(&c, &arg), -EINVAL);
}

static void test_level(void **state)
{
    int pirq = mapped_gsi(11, true);

    (void)state;
    assert_int_equal(arch_pirq_bind(d0->vcpu[0], pirq, true), 0);
    sim_line(11, true);
    assert_int_equal(sim_run(), 1);
    assert_int_equal(events[0][11], 1);
    assert_true(sim_masked(11)); /* the line is up: it must not come again */
    assert_int_equal(sim_run(), 0);
    /* Not served yet: the end of interrupt brings it again, once. */
    assert_int_equal(eoi(d0, pirq), 0);
    assert_int_equal(sim_run(), 1);
    assert_int_equal(events[0][11], 2);
    sim_line(11, false);
    assert_int_equal(eoi(d0, pirq), 0);
    assert_false(sim_masked(11));
    assert_int_equal(sim_run(), 0);
    /* Ends of interrupts that never were. */
    assert_int_equal(eoi(d0, pirq), 0);
    assert_int_equal(eoi(d0, 13), 0);
    assert_int_equal(eoi(d0, nr_irqs), -EINVAL);
    assert_int_equal(eoi(d0, ~0u), -EINVAL);
    assert_false(sim_masked(11));
    assert_int_equal((uint8_t)sim_rte(11) >= 0x20, 1);
    assert_int_equal(sim_rte(11) >> 13 & 1, 1); /* active low */
}

static void test_level_unbind_in_flight(void **state)
{
    int pirq = mapped_gsi(10, true);

    (void)state;
    assert_int_equal(arch_pirq_bind(d0->vcpu[0], pirq, true), 0);
    sim_line(10, true);
    sim_run();
    arch_pirq_unbind(d0, pirq);
    assert_true(sim_masked(10));
    assert_int_equal(sim_run(), 0);
    assert_int_equal(arch_pirq_bind(d0->vcpu[0], pirq, true), 0);
    assert_int_equal(sim_run(), 1);
    assert_int_equal(events[0][10], 2);
    sim_line(10, false);
    eoi(d0, pirq);
    /* If the port was closed just before, nobody will signal the end: it ends by itself. */
    port_closed = true;
    sim_line(10, true);
    sim_line(10, false);
    assert_int_equal(sim_run(), 1);
    assert_false(sim_masked(10));
}

static void test_shared_line(void **state)
{
    int p0 = mapped_gsi(11, true), p1 = -1;

    (void)state;
    assert_int_equal(map_gsi(d1, 11, &p1), 0);
    assert_int_equal(arch_pirq_bind(d0->vcpu[0], p0, false), 0);
    assert_int_equal(arch_pirq_bind(d1->vcpu[0], p1, true), -EBUSY); /* d0 does not share */
    arch_pirq_unbind(d0, p0);
    assert_int_equal(arch_pirq_bind(d0->vcpu[0], p0, true), 0);
    assert_int_equal(arch_pirq_bind(d0->vcpu[0], p0, true), -EBUSY);
    assert_int_equal(arch_pirq_bind(d1->vcpu[0], p1, false), -EBUSY);
    assert_int_equal(arch_pirq_bind(d1->vcpu[0], p1, true), 0);
    sim_line(11, true);
    assert_int_equal(sim_run(), 1);
    assert_int_equal(events[0][11], 1);
    assert_int_equal(events[1][11], 1);
    sim_line(11, false);
    eoi(d0, p0);
    eoi(d0, p0); /* twice does not count for two */
    assert_true(sim_masked(11));
    eoi(d1, p1);
    assert_false(sim_masked(11));
    /* One dies with an interrupt in flight. */
    sim_line(11, true);
    sim_run();
    sim_line(11, false);
    eoi(d0, p0);
    assert_true(sim_masked(11));
    relinquish(d1);
    assert_false(sim_masked(11));
}

static void test_bind_checks(void **state)
{
    int pirq = -1;

    (void)state;
    assert_int_equal(arch_pirq_bind(d0->vcpu[0], 5, false), -EINVAL); /* not mapped */
    assert_int_equal(arch_pirq_bind(d0->vcpu[0], ~0u, false), -EINVAL);
    assert_int_equal(map_gsi(d0, SIM_GSIS, &pirq), -EINVAL);
    assert_int_equal(map_gsi(d0, -1, &pirq), -EINVAL);
    pirq = 1 << 30;
    assert_int_equal(map_gsi(d0, 5, &pirq), -EINVAL);
    pirq = 7;
    assert_int_equal(map_gsi(d0, 5, &pirq), 0); /* any number, if asked for */
    assert_int_equal(map_gsi(d0, 5, &pirq), 0); /* and once more */
    assert_int_equal(map_gsi(d0, 6, &pirq), -EBUSY);
    assert_int_equal(arch_pirq_bind(d1->vcpu[0], pirq, false), -EINVAL); /* not d1's */
    assert_int_equal(setup_gsi(SIM_GSIS, true, true), -EINVAL);
    assert_int_equal(setup_gsi(-1, true, true), -EINVAL);
    assert_int_equal(arch_pirq_bind(d0->vcpu[0], pirq, false), 0);
    assert_int_equal(setup_gsi(5, true, true), -EEXIST); /* in use as it is */
    d1->dying = DOMDYING_dying;
    pirq = -1;
    assert_int_equal(map_gsi(d1, 5, &pirq), -ESRCH);
}

static unsigned own_count;
static void own_handler(void *data)
{
    assert_ptr_equal(data, &own_count);
    own_count++;
}

static void test_own(void **state)
{
    int pirq = -1;

    (void)state;
    own_count = 0;
    assert_int_equal(request_irq(4, own_handler, &own_count, "serial"), 0);
    assert_int_equal(request_irq(4, own_handler, &own_count, "again"), -EBUSY);
    assert_int_equal(request_irq(0, own_handler, &own_count, "timer"), 0);
    sim_edge(4);
    sim_edge(2); /* where the MADT puts IRQ 0 */
    assert_int_equal(sim_run(), 2);
    assert_int_equal(own_count, 2);
    assert_int_equal(request_irq(9, own_handler, &own_count, "level"), 0);
    sim_line(9, true);
    irq_descs[9].fn = own_handler;
    assert_false(sim_masked(9));
    sim_line(9, false);
    sim_run();
    assert_int_equal(own_count, 3);
    assert_false(sim_masked(9));
    assert_int_equal(setup_gsi(4, true, true), -EEXIST);
    assert_int_equal(map_gsi(d0, 4, &pirq), 0);
    assert_int_equal(arch_pirq_bind(d0->vcpu[0], pirq, true), -EBUSY);
    assert_int_equal(request_irq(100, own_handler, NULL, "none"), -EINVAL);
}

static void test_affinity(void **state)
{
    int edge = mapped_gsi(4, false), level = mapped_gsi(11, true);

    (void)state;
    assert_int_equal(arch_pirq_bind(d0->vcpu[0], edge, false), 0);
    assert_int_equal(arch_pirq_bind(d0->vcpu[0], level, true), 0);
    sim_maskings = 0;
    arch_pirq_set_affinity(d0, edge, 1);
    assert_int_equal(sim_maskings, 0);    /* an edge might have been lost */
    arch_pirq_set_affinity(d0, edge, 77); /* no such CPU */
    sim_edge(4);
    sim_run();
    assert_int_equal(sim_taken[0], 0);
    assert_int_equal(sim_taken[1], 1);
    per_cpu(vector_irq, 0)[irq_descs[4].vector] = 999; /* taken there: it cannot go back */
    arch_pirq_set_affinity(d0, edge, 0);
    sim_edge(4);
    sim_run();
    assert_int_equal(sim_taken[1], 2);
    per_cpu(vector_irq, 0)[irq_descs[4].vector] = 0;
    sim_taken[1] = 1;
    /* One under way to the old CPU while it moves is not lost, nor is the line. */
    sim_line(11, true);
    arch_pirq_set_affinity(d0, level, 1);
    assert_int_equal(sim_run(), 1);
    assert_int_equal(sim_taken[0], 1);
    assert_int_equal(events[0][11], 1);
    sim_line(11, false);
    eoi(d0, level);
    sim_line(11, true);
    assert_int_equal(sim_run(), 1);
    assert_int_equal(sim_taken[1], 2);
    sim_line(11, false);
    eoi(d0, level);
    /* Nor if it moves again before that one has been taken. */
    sim_line(11, true);
    arch_pirq_set_affinity(d0, level, 0);
    arch_pirq_set_affinity(d0, level, 1);
    arch_pirq_set_affinity(d0, level, 0);
    assert_int_equal(sim_run(), 1);
    assert_int_equal(events[0][11], 3);
    sim_line(11, false);
    eoi(d0, level);
    sim_line(11, true);
    assert_int_equal(sim_run(), 1);
    assert_int_equal(events[0][11], 4);
    sim_line(11, false);
    eoi(d0, level);
    /* And back and forth many times: no vector is lost. */
    for (unsigned i = 0; i < 1000; i++) {
        arch_pirq_set_affinity(d0, level, i & 1);
        sim_line(11, true);
        if (i % 3)
            assert_int_equal(sim_run(), 1);
        sim_line(11, false);
        sim_run();
        eoi(d0, level);
    }
    arch_pirq_unbind(d0, level);
    arch_pirq_unbind(d0, edge);
    for (unsigned cpu = 0; cpu < 2; cpu++)
        for (unsigned v = 0; v < 256; v++)
            assert_int_equal(per_cpu(vector_irq, cpu)[v], 0);
}

static void test_msi(void **state)
{
    int pirq = -1, other = -1;

    (void)state;
    assert_int_equal(map_msi(&sim_msi_dev, MAP_PIRQ_TYPE_MSI_SEG, 0, 0, &pirq), -ENODEV);
    add_devices();
    assert_int_equal(map_msi(&sim_msi_dev, MAP_PIRQ_TYPE_MSI_SEG, 0, 0, &pirq), 0);
    assert_true(pirq >= SIM_GSIS);
    assert_int_equal(map_msi(&sim_msi_dev, MAP_PIRQ_TYPE_MSI, 0, 0, &other), -EEXIST);
    sim_msi_dev.conf[0x42] |= 1; /* the driver enables it */
    sim_msi(&sim_msi_dev, 0);
    assert_int_equal(sim_run(), 0); /* held by the mask */
    assert_int_equal(arch_pirq_bind(d0->vcpu[0], pirq, false), 0);
    assert_int_equal(sim_run(), 1);
    assert_int_equal(events[0][pirq % 64], 1);
    arch_pirq_set_affinity(d0, pirq, 1);
    sim_msi(&sim_msi_dev, 0);
    assert_int_equal(sim_run(), 1);
    assert_int_equal(sim_taken[1], 1);
    /* Lost over a suspend, restored. */
    memset(sim_msi_dev.conf + 0x44, 0, 12);
    assert_int_equal(pci_dev_restore_msi(PCI_SBDF(0, 0, 0x10)), 0);
    sim_msi(&sim_msi_dev, 0);
    assert_int_equal(sim_run(), 1);
    assert_int_equal(sim_lost, 0);
    assert_int_equal(unmap(pirq), 0); /* even while bound */
    assert_int_equal(sim_msi_dev.conf[0x42] & 1, 0);
    arch_pirq_unbind(d0, pirq); /* the event channel is closed later */
    other = -1;
    assert_int_equal(map_msi(&sim_msi_dev, MAP_PIRQ_TYPE_MSI, 0, 0, &other), 0);
    assert_int_equal(other, pirq);
}

static void test_plain_msi(void **state)
{
    int pirq = -1;

    (void)state;
    add_devices();
    assert_int_equal(map_msi(&sim_plain_msi_dev, MAP_PIRQ_TYPE_MSI, 0, 0, &pirq), 0);
    sim_plain_msi_dev.conf[0x42] |= 1;
    assert_int_equal(arch_pirq_bind(d0->vcpu[0], pirq, false), 0);
    sim_msi(&sim_plain_msi_dev, 0);
    assert_int_equal(sim_run(), 1);
    arch_pirq_set_affinity(d0, pirq, 1); /* the same vector there: one register changes */
    sim_msi(&sim_plain_msi_dev, 0);
    assert_int_equal(sim_run(), 1);
    assert_int_equal(sim_taken[1], 1);
    /* Where that vector is taken on the other CPU, it stays. */
    per_cpu(vector_irq, 0)[irq_descs[pirq_to_irq(d0, pirq)].vector] = 999;
    arch_pirq_set_affinity(d0, pirq, 0);
    sim_msi(&sim_plain_msi_dev, 0);
    sim_run();
    assert_int_equal(sim_taken[1], 2);
    assert_int_equal(sim_lost, 0);
}

static void test_msi_block(void **state)
{
    int pirq = -1, other = -1;

    (void)state;
    add_devices();
    assert_int_equal(map_msi(&sim_msi_dev, MAP_PIRQ_TYPE_MULTI_MSI, 5, 0, &pirq), -EINVAL);
    assert_int_equal(map_msi(&sim_msi_dev, MAP_PIRQ_TYPE_MULTI_MSI, 33, 0, &pirq), -EINVAL);
    assert_int_equal(map_msi(&sim_msi_dev, MAP_PIRQ_TYPE_MULTI_MSI, 0, 0, &pirq), -EINVAL);
    assert_int_equal(map_msi(&sim_msi_dev, MAP_PIRQ_TYPE_MULTI_MSI, 3, 0, &pirq), 0); /* 4 */
    sim_msi_dev.conf[0x42] |= 1;
    assert_int_equal(sim_msi_dev.conf[0x42] >> 4 & 7, 2);
    for (int i = 0; i < 4; i++)
        assert_int_equal(arch_pirq_bind(d0->vcpu[0], pirq + i, false), 0);
    arch_pirq_set_affinity(d0, pirq + 1, 1); /* they stay together */
    for (int i = 0; i < 4; i++) {
        sim_msi(&sim_msi_dev, i);
        assert_int_equal(sim_run(), 1);
        assert_int_equal(events[0][(pirq + i) % 64], 1);
    }
    arch_pirq_unbind(d0, pirq + 2);
    sim_msi(&sim_msi_dev, 2);
    sim_msi(&sim_msi_dev, 3);
    assert_int_equal(sim_run(), 1);
    assert_int_equal(unmap(pirq + 1), -EINVAL); /* by the first, and all together */
    assert_int_equal(unmap(pirq), 0);
    assert_int_equal(unmap(pirq + 1), -EINVAL);
    assert_int_equal(map_msi(&sim_plain_msi_dev, MAP_PIRQ_TYPE_MSI, 0, 0, &other), 0);
}

static void test_msix(void **state)
{
    int pirq[SIM_MSIX_N], extra = -1;

    (void)state;
    add_devices();
    for (int i = 0; i < SIM_MSIX_N; i++) {
        pirq[i] = -1;
        assert_int_equal(map_msi(&sim_msix_dev, MAP_PIRQ_TYPE_MSI_SEG, i, SIM_MSIX_BAR, &pirq[i]),
                         0);
    }
    assert_int_equal(
        map_msi(&sim_msix_dev, MAP_PIRQ_TYPE_MSI_SEG, SIM_MSIX_N, SIM_MSIX_BAR, &extra), -EINVAL);
    assert_int_equal(map_msi(&sim_msix_dev, MAP_PIRQ_TYPE_MSI_SEG, -1, SIM_MSIX_BAR, &extra),
                     -EINVAL);
    assert_int_equal(map_msi(&sim_msix_dev, MAP_PIRQ_TYPE_MSI_SEG, 0, SIM_MSIX_BAR, &extra),
                     -EEXIST);
    for (int i = 0; i < SIM_MSIX_N; i++)
        assert_int_equal(arch_pirq_bind(d0->vcpu[0], pirq[i], false), 0);
    for (int round = 0; round < 10; round++) {
        for (int i = 0; i < SIM_MSIX_N; i++) {
            arch_pirq_set_affinity(d0, pirq[i], (i + round) & 1);
            sim_msi(&sim_msix_dev, i);
        }
        assert_int_equal(sim_run(), SIM_MSIX_N);
    }
    assert_true(sim_taken[0] == sim_taken[1]);
    assert_int_equal(sim_lost, 0);
    /* The device goes, with all it had. */
    assert_int_equal(pci_dev_remove(PCI_SBDF(0, 0, 0x20)), 0);
    assert_int_equal(pirq_to_irq(d0, pirq[0]), -EINVAL);
    assert_int_equal(eoi(d0, pirq[0]), 0);
}

/* A device that says its table is in RAM must not make us write there. */
static void test_msix_table_in_ram(void **state)
{
    int pirq = -1;

    (void)state;
    add_devices();
    memset(sim_msix_dev.conf + 0x14, 0, 4);
    assert_int_equal(map_msi(&sim_msix_dev, MAP_PIRQ_TYPE_MSI_SEG, 0, 0x200000, &pirq), -EINVAL);
    sim_msix_dev.conf[0x14 + 2] = 0x20;
    assert_int_equal(map_msi(&sim_msix_dev, MAP_PIRQ_TYPE_MSI_SEG, 0, SIM_MSIX_BAR, &pirq),
                     -EINVAL);
    sim_msix_dev.conf[0x14] = 1; /* an I/O BAR */
    assert_int_equal(map_msi(&sim_msix_dev, MAP_PIRQ_TYPE_MSI_SEG, 0, SIM_MSIX_BAR, &pirq),
                     -EINVAL);
    sim_msix_dev.conf[0x54] = 7; /* no such BAR */
    assert_int_equal(map_msi(&sim_msix_dev, MAP_PIRQ_TYPE_MSI_SEG, 0, SIM_MSIX_BAR, &pirq),
                     -EINVAL);
}

static void test_eoi_map(void **state)
{
    int level = mapped_gsi(11, true), edge = mapped_gsi(4, false);
    unsigned long *map = page_to_virt(eoi_page);
    struct physdev_pirq_eoi_gmfn arg = {.gmfn = mfn_x(page_to_mfn(eoi_page))};
    struct call c = {.v = d0->vcpu[0], .d = d0};

    (void)state;
    eoi_page_bad = true;
    assert_int_equal(physdevop_pirq_eoi_gmfn_v2(&c, &arg), -EINVAL);
    eoi_page_bad = false;
    arg.gmfn++;
    assert_int_equal(physdevop_pirq_eoi_gmfn_v2(&c, &arg), -EINVAL);
    arg.gmfn--;
    assert_int_equal(physdevop_pirq_eoi_gmfn_v2(&c, &arg), 0);
    assert_int_equal(physdevop_pirq_eoi_gmfn_v2(&c, &arg), -EBUSY);
    arch_pirq_bind(d0->vcpu[0], level, true);
    arch_pirq_bind(d0->vcpu[0], edge, true);
    assert_int_equal(map[0], 1UL << 11);
    arch_pirq_unbind(d0, level);
    assert_int_equal(map[0], 0);
    d0->arch.auto_unmask = true;
    assert_int_equal(eoi(d0, edge), 0);
    assert_int_equal(unmasked_port, 5);
    d0->arch.auto_unmask = false;
    relinquish(d0);
    assert_null(d0->arch.pirq_eoi_map);
}

static void test_privileges(void **state)
{
    struct vcpu *v = d1->vcpu[0];
    struct call c = {.v = v, .d = d1};
    struct physdev_set_iopl iopl = {.iopl = 3};
    struct physdev_set_iobitmap bitmap = {.nr_ports = 0x10001};
    struct physdev_apic apic = {.apic_physbase = SIM_IOAPIC, .reg = 1};
    struct physdev_get_free_pirq get = {.type = MAP_PIRQ_TYPE_MSI};

    (void)state;
    assert_int_equal(physdevop_set_iopl(&c, &iopl), 0);
    assert_int_equal(v->arch.pv.iopl, 3);
    iopl.iopl = 4;
    assert_int_equal(physdevop_set_iopl(&c, &iopl), -EINVAL);
    assert_int_equal(physdevop_set_iobitmap(&c, &bitmap), -EINVAL);
    bitmap.nr_ports = 1024;
    assert_int_equal(physdevop_set_iobitmap(&c, &bitmap), 0);
    assert_int_equal(v->arch.pv.iobmp_limit, 1024);
    assert_int_equal(physdevop_apic_read(&c, &apic), 0);
    assert_int_equal(apic.value >> 16 & 0xff, SIM_GSIS - 1);
    apic.reg = 0x10 + 2 * SIM_GSIS;
    assert_int_equal(physdevop_apic_read(&c, &apic), -EINVAL);
    apic.reg = 1;
    apic.apic_physbase++;
    assert_int_equal(physdevop_apic_read(&c, &apic), -EINVAL);
    assert_int_equal(physdevop_apic_write(&c, &apic), -EINVAL);
    assert_int_equal(physdevop_get_free_pirq(&c, &get), 0);
    assert_true(get.pirq >= SIM_GSIS);
}

static void test_no_memory(void **state)
{
    int pirq;

    (void)state;
    add_devices();
    for (long n = 0;; n++) {
        pirq = -1;
        fake_alloc_fail_after = n;
        if (!map_msi(&sim_msi_dev, MAP_PIRQ_TYPE_MULTI_MSI, 4, 0, &pirq))
            break;
        for (unsigned i = 0; i < nr_irqs; i++)
            assert_null(irq_descs[i].msi);
        assert_true(n < 20);
    }
    fake_alloc_fail_after = -1;
}

/* A driver domain and its devices at random: never a storm, a stray or an unacknowledged one. */
static void test_random(void **state)
{
    int pirq[4] = {mapped_gsi(10, true), mapped_gsi(11, true), mapped_gsi(4, false), -1};
    int shared = -1;

    (void)state;
    srandom(7);
    add_devices();
    assert_int_equal(map_msi(&sim_msi_dev, MAP_PIRQ_TYPE_MSI, 0, 0, &pirq[3]), 0);
    assert_int_equal(map_gsi(d1, 11, &shared), 0);
    sim_msi_dev.conf[0x42] |= 1;
    for (unsigned n = 0; n < 20000; n++) {
        int p = pirq[random() % 4];

        switch (random() % 9) {
        case 0:
            arch_pirq_bind(d0->vcpu[random() % 2], p, random() % 4);
            break;
        case 1:
            arch_pirq_unbind(random() % 2 ? d0 : d1, p);
            break;
        case 2:
            arch_pirq_set_affinity(d0, p, random() % 3);
            break;
        case 3:
            arch_pirq_bind(d1->vcpu[0], shared, true);
            break;
        case 4:
        case 5:
            eoi(random() % 2 ? d0 : d1, p);
            break;
        case 6:
            sim_line(10 + random() % 2, random() % 2);
            break;
        case 7:
            sim_edge(4);
            break;
        case 8:
            sim_msi(&sim_msi_dev, 0);
            break;
        }
        if (random() % 4)
            sim_run();
    }
    /* However it was used, the line still works. */
    for (unsigned i = 0; i < 4; i++) {
        arch_pirq_unbind(d0, pirq[i]);
        arch_pirq_unbind(d1, pirq[i]);
    }
    sim_line(11, false);
    sim_run();
    assert_int_equal(arch_pirq_bind(d0->vcpu[0], 11, false), 0);
    sim_run();
    eoi(d0, 11);
    memset(events, 0, sizeof(events));
    sim_line(11, true);
    assert_int_equal(sim_run(), 1);
    assert_int_equal(events[0][11], 1);
    assert_int_equal(sim_lost, 0);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_edge),
        T(test_alloc_vector),
        T(test_level),
        T(test_level_unbind_in_flight),
        T(test_shared_line),
        T(test_bind_checks),
        T(test_own),
        T(test_affinity),
        T(test_msi),
        T(test_plain_msi),
        T(test_msi_block),
        T(test_msix),
        T(test_msix_table_in_ram),
        T(test_eoi_map),
        T(test_privileges),
        T(test_no_memory),
        T(test_random),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
