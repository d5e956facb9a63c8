// SPDX-License-Identifier: MIT
/*
 * Attempts on what changes form under a user's hands: grant tables between their versions, FIFO
 * pages and page tables, caches of pages that are another's.
 */
#include "guest.h"

extern grant_entry_v1_t *grants;
extern domid_t self;
void grant_set_up(void);

static volatile bool stop;
static volatile unsigned changes;

static long set_version(unsigned version)
{
    struct gnttab_set_version v = {.version = version};

    return HC3(grant_table_op, GNTTABOP_set_version, &v, 1);
}

static void flip(unsigned long unused)
{
    (void)unused;
    for (unsigned i = 0; !stop; i++)
        if (!set_version(1 + (i & 1)))
            changes++;
}

/*
 * References that are in the table in version 1 only, used while the other vcpu changes versions:
 * a bound that was checked in one version does for no other.
 */
TEST(attack_race_versions)
{
    struct gnttab_query_size q = {.dom = DOMID_SELF};
    u64 end;

    if (nr_vcpus() < 2)
        skip("one vcpu only");
    grant_set_up();
    if (set_version(2) == -ENOSYS)
        skip("no version 2 for this domain");
    REQUIRE_EQ(HC3(grant_table_op, GNTTABOP_query_size, &q, 1), 0);
    stop = false;
    changes = 0;
    start_on_cpu1(flip, 0);
    end = now() + 400000000;
    for (unsigned i = 0; now() < end; i++) {
        unsigned ref = q.nr_frames * 256 + i % (q.nr_frames * 256);
        struct gnttab_swap_grant_ref s = {.ref_a = ref, .ref_b = ref ^ 1};
        struct gnttab_map_grant_ref m = {.flags = GNTMAP_device_map, .ref = ref, .dom = self};
        struct gnttab_transfer t = {.mfn = root_mfn(), .domid = self, .ref = ref};
        struct gnttab_copy c = {.len = 8, .flags = GNTCOPY_source_gref};

        c.source.u.ref = ref;
        c.source.domid = self;
        c.dest.domid = DOMID_SELF;
        c.dest.u.gmfn = mfn_of(grants);
        HC3(grant_table_op, GNTTABOP_swap_grant_ref, &s, 1);
        HC3(grant_table_op, GNTTABOP_map_grant_ref, &m, 1);
        CHECK(m.status < 0);
        HC3(grant_table_op, GNTTABOP_transfer, &t, 1);
        CHECK(t.status < 0);
        HC3(grant_table_op, GNTTABOP_copy, &c, 1);
        CHECK(c.status < 0);
    }
    stop = true;
    wait_cpu1();
    CHECK_EQ(set_version(1), 0);
    memset(grants, 0, 4096);
}

static long flush(u64 maddr, unsigned offset, unsigned length)
{
    struct gnttab_cache_flush f = {.offset = offset, .length = length, .op = GNTTAB_CACHE_CLEAN};

    f.a.dev_bus_addr = maddr;
    return HC3(grant_table_op, GNTTABOP_cache_flush, &f, 1);
}

/* Caches of what is neither this guest's nor mapped by it, and of what is no memory. */
TEST(attack_cache_flush)
{
    static const u64 mfns[] = {0xfee00, 0xfec00, 0xffffffffffffe, 1UL << 40, 0x7fffffff};
    void *page = page_alloc();

    for (unsigned i = 0; i < ARRAY_SIZE(mfns); i++)
        CHECK_REFUSED(flush(mfns[i] << 12, 0, 64));
    CHECK_REFUSED(flush(mfn_of(page) << 12, 0xffff, 0xffff));
    CHECK_REFUSED(flush(mfn_of(page) << 12, 4095, 2));
    CHECK_REFUSED(flush(mfn_of(page) << 12 | 4095, 0, 2));
    for (u64 mfn = 0x200; !is_dom0() && mfn < 0x300; mfn++) /* the hypervisor's image */
        CHECK_REFUSED(flush(mfn << 12, 0, 64));
    page_free(page);
}

/* A page of words or a control block is written to by the hypervisor: it can be no table. */
TEST(attack_fifo_page_as_table)
{
    u64 mfns[2];

    fifo_begin();
    mfns[0] = mfn_of(fifo_control[0]);
    mfns[1] = mfn_of((void *)fifo_word(0));
    set_ro(fifo_control[0]);
    set_ro((void *)fifo_word(0));
    for (unsigned i = 0; i < 2; i++) {
        struct gnttab_transfer t = {.mfn = mfns[i], .domid = self, .ref = 40};

        CHECK_REFUSED(mmuext(MMUEXT_PIN_L1_TABLE, mfns[i]));
        CHECK_REFUSED(mmuext(MMUEXT_PIN_L4_TABLE, mfns[i]));
        HC3(grant_table_op, GNTTABOP_transfer, &t, 1);
        CHECK(t.status < 0);
    }
    set_rw(fifo_control[0]);
    set_rw((void *)fifo_word(0));
    fifo_end();
}

static void scribble(unsigned long seed)
{
    u64 x = seed;

    while (!stop) {
        x = x * 6364136223846793005ULL + 1442695040888963407ULL;
        WRITE_ONCE(*fifo_word(x >> 40 & 63), x >> 8);
        WRITE_ONCE(fifo_control[0]->head[x >> 50 & 15], x >> 20);
        WRITE_ONCE(fifo_control[0]->ready, x >> 30);
    }
}

static bool ignore(struct frame *f)
{
    (void)f;
    vcpu_info()->evtchn_upcall_pending = 0;
    return true;
}

/* Links to anywhere, written by one vcpu while the other raises events of all queues. */
TEST(attack_race_fifo_words)
{
    unsigned ports[16];
    u64 end;

    if (nr_vcpus() < 2)
        skip("one vcpu only");
    fifo_begin();
    hooks[VEC_EVENT] = ignore;
    for (unsigned q = 0; q < 16; q++) {
        struct evtchn_set_priority p = {.priority = q};

        p.port = ports[q] = bind_ipi();
        CHECK_EQ(evtchn(EVTCHNOP_set_priority, &p), 0);
    }
    stop = false;
    start_on_cpu1(scribble, 7);
    end = now() + 400000000;
    for (unsigned i = 0; now() < end; i++) {
        struct evtchn_send s = {.port = ports[i % 16]};
        struct evtchn_unmask u = {.port = ports[i % 15]};
        struct evtchn_set_priority p = {.port = ports[i % 13], .priority = i % 16};

        CHECK_EQ(evtchn(EVTCHNOP_send, &s), 0);
        CHECK_EQ(evtchn(EVTCHNOP_unmask, &u), 0);
        CHECK_EQ(evtchn(EVTCHNOP_set_priority, &p), 0);
    }
    stop = true;
    wait_cpu1();
    for (unsigned i = 0; i < 64; i++)
        WRITE_ONCE(*fifo_word(i), 1u << EVTCHN_FIFO_MASKED);
    fifo_end();
}
