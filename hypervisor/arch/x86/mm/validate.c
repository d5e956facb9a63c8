// SPDX-License-Identifier: MIT
/*
 * What an entry of a page table may be, and the references that present entries hold.
 *
 *   L1     a frame of the domain (a reference of the page, and of the writable type if RW is set);
 *          a frame of another domain, if the caller named that domain and may; a page that the
 *          hypervisor shares; or a frame of MMIO that the domain has been given: no reference
 *   L2     with PSE, if the option allowsuperpage is given: 512 frames of the domain, each of which
 *          counts as if an L1 entry mapped it
 *   L2..4  a table of exactly the next lower level, of the same domain as the table itself
 *
 * And an L4 entry may name its own table (is_self_map()): no reference.
 *
 * USER is forced on for 64-bit guests, whose kernels run in ring 3, and GLOBAL off.  Absent entries
 * may have any contents, but on CPUs with L1TF none that name RAM (absent_entry_ok()).  Slots
 * 256..271 of L4 tables are the hypervisor's, whatever the guest had there.
 *
 * A 32-bit guest's root is an L3 table of four entries; the rest of it is cleared, since the CPU,
 * which is in long mode, sees that, too.  The table below the fourth is of a type of its own,
 * because its end maps the machine-to-physical table.
 */
#include "arch/x86/mm/mm_private.h"
#include "arch/x86/pv/pv.h"
#include "boot/cmdline.h"
#include "hypercall/hypercall.h"
#include "domain/unit.h"
#include "kernel/console.h"
#include "lib/rangeset.h"

#ifndef MM_CHECK_EVERY
#define MM_CHECK_EVERY 4 /* tables below, between looks at whether something waits */
#endif

bool mm_refuse_unsafe_entries;
uint64_t mm_mfn_limit = 1ULL << (52 - PAGE_SHIFT);

static bool is_mmio(const struct page_info *pg)
{
    return !pg || page_owner(pg) == domid_io_d;
}

static int mmio_get(uint64_t e, struct domain *table_owner, struct domain *frame_owner)
{
    struct domain *d = frame_owner == domid_io_d ? table_owner : frame_owner;

    if (mfn_x(pte_mfn(e)) >= mm_mfn_limit)
        return -EINVAL; /* reserved bits: every access would fault */
    return rangeset_contains(d->iomem, mfn_x(pte_mfn(e))) ? 0 : -EPERM;
}

int l1e_get_other(uint64_t e, struct domain *table_owner, struct domain *frame_owner)
{
    struct page_info *pg = guest_frame(mfn_x(pte_mfn(e)));
    int rc;

    /* Who has been given MMIO may choose how memory is cached. */
    if ((e & PTE_CACHE) && rangeset_is_empty(table_owner->iomem))
        return -EINVAL;
    if (is_mmio(pg))
        return mmio_get(e, table_owner, frame_owner);
    if (frame_owner == domid_io_d)
        return -EPERM;
    if (!get_page(pg, frame_owner))
        return -EBUSY;
    if (!(e & PTE_RW))
        return 0;
    rc = get_type(pg, PGT_writable, false);
    if (rc)
        put_page(pg);
    return rc;
}

void l1e_put_other(uint64_t e, const struct domain *table_owner)
{
    struct page_info *pg = guest_frame(mfn_x(pte_mfn(e)));

    if (is_mmio(pg))
        return;
    if (e & PTE_RW) {
        if (page_owner(pg) != table_owner)
            __atomic_fetch_or(&pg->type, PGT_foreign | PGT_written, __ATOMIC_RELAXED);
        put_type(pg, false);
    }
    put_page(pg);
}

/* What entry i of a table leads to. */
static uint64_t child_type(uint64_t type, const struct domain *d, unsigned i)
{
    if (unlikely(type == PGT_l2_top))
        return PGT_l1;
    if (unlikely(is_32bit(d)) && type == PGT_l3 && i == 3)
        return PGT_l2_top;
    return type - (1ULL << 60);
}

/* Drops what the first n frames of a superpage hold. */
static void superpage_put_some(uint64_t e, unsigned n)
{
    struct page_info *pg = guest_frame(mfn_x(pte_mfn(e)));

    for (; n--; pg++) {
        if (e & PTE_RW)
            put_type(pg, false);
        put_page(pg);
    }
}

void superpage_put(uint64_t e, struct domain *d)
{
    superpage_put_some(e, PTES_PER_TABLE);
    __atomic_sub_fetch(&d->arch.superpages, 1, __ATOMIC_RELAXED);
}

static int superpage_get(uint64_t e, struct domain *d, uint64_t type)
{
    struct page_info *pg = guest_frame(mfn_x(pte_mfn(e)));

    if (!opt_allow_superpage || (type != PGT_l2 && type != PGT_l2_top) ||
        (e & SUPERPAGE_DISALLOWED) || !guest_frame(mfn_x(pte_mfn(e)) + PTES_PER_TABLE - 1))
        return -EINVAL;
    for (unsigned i = 0; i < PTES_PER_TABLE; i++) {
        int rc = get_page(pg + i, d) ? 0 : -EINVAL;

        if (!rc && (e & PTE_RW)) {
            rc = get_type(pg + i, PGT_writable, false);
            if (rc)
                put_page(pg + i);
        }
        if (rc) {
            superpage_put_some(e, i);
            return rc;
        }
    }
    __atomic_add_fetch(&d->arch.superpages, 1, __ATOMIC_RELAXED);
    return 0;
}

/*
 * The usual case: the table below is the domain's, and is in use as such already.  A kernel has
 * most of its own part of the address space in all of its roots.
 */
static __always_inline bool dir_get_in_use(uint64_t e, struct domain *d, uint64_t child)
{
    struct page_info *pg = guest_frame(mfn_x(pte_mfn(e)));

    if (unlikely(e & DIR_DISALLOWED) || unlikely(!pg) || unlikely(!get_page(pg, d)))
        return false;
    if (likely(get_type_of_many(pg, child)))
        return true;
    put_page(pg);
    return false;
}

int dir_get(uint64_t e, struct domain *d, uint64_t type, unsigned i, bool preempt)
{
    struct page_info *pg = guest_frame(mfn_x(pte_mfn(e)));
    int rc;

    if (unlikely(e & PTE_PSE))
        return superpage_get(e, d, type);
    if ((e & DIR_DISALLOWED) || !pg || !get_page(pg, d))
        return -EINVAL;
    rc = get_type(pg, child_type(type, d, i), preempt);
    if (rc)
        put_page(pg);
    return rc;
}

struct page_info *dir_page(uint64_t e)
{
    return guest_frame(mfn_x(pte_mfn(e)));
}

/* Most tables are nearly empty. */
static inline bool eight_empty(const uint64_t *e)
{
    return !((e[0] | e[1]) | (e[2] | e[3]) | (e[4] | e[5]) | (e[6] | e[7]));
}

/* The first group of eight from n (a multiple of 8) up that is not empty, or 512. */
static inline unsigned skip_empty_up(const uint64_t *table, unsigned n)
{
    const uint64_t *p = table + n;

    while (p != table + PTES_PER_TABLE && eight_empty(p))
        p += 8;
    return p - table;
}

/* The end of the last group of eight before n, and after stop, that is not empty, or stop. */
static inline unsigned skip_empty_down(const uint64_t *table, unsigned n, unsigned stop)
{
    const uint64_t *p = table + n;

    while (p != table + stop && eight_empty(p - 8))
        p -= 8;
    return p - table;
}

void scan_present(const struct page_info *pg, uint64_t type, struct table_scan *s)
{
    const uint64_t *table = page_to_virt(pg);

    s->present = s->eighths = 0;
    for (unsigned i = 0; i < s->next; i++)
        if ((table[i] & PTE_PRESENT) && (type != PGT_l4 || guest_l4_slot(i))) {
            s->present++;
            s->eighths |= 1U << (i / 64);
        }
}

/*
 * A guest's fork() validates an L1 table, full or empty, for every one that it copies, and drops
 * another at the next exit: these two loops are short, and not interrupted.
 */
static noinline int validate_l1(uint64_t *table, struct domain *d, struct table_scan *s)
{
    const uint64_t forced = d->arch.forced_pte;
    uint64_t *p = table, *end = table + PTES_PER_TABLE;
    unsigned present = 0, eighths = 0;
    int rc = 0;

    while (p != end) {
        uint64_t *stop = p + 8;

        if (eight_empty(p)) {
            p = stop;
            continue;
        }
        eighths |= 1U << ((uintptr_t)p % PAGE_SIZE) / 512;
        do {
            uint64_t e = READ_ONCE(*p);

            if (!(e & PTE_PRESENT)) {
                if (likely(absent_entry_ok(e)))
                    continue;
                rc = -EINVAL;
                goto out;
            }
            /* Also if it is then refused: what the guest had there in these bits is nobody's. */
            if (unlikely((e & (forced | PTE_GLOBAL)) != forced)) {
                e = adjust_entry(e, d);
                WRITE_ONCE(*p, e);
            }
            rc = l1e_get(e, d, d);
            if (unlikely(rc))
                goto out;
            present++;
        } while (++p != stop);
    }
out:
    s->next = p - table;
    s->present = present;
    s->eighths = eighths;
    return rc;
}

static noinline void devalidate_l1(const uint64_t *table, struct domain *d, struct table_scan *s)
{
    const uint64_t *e = table, *end = table + s->next;
    unsigned left = s->present;

    while (left && e < end) {
        const uint64_t *stop = min(e + 8, end);

        if ((e - table) % 64 == 0 && !(s->eighths & 1U << ((e - table) / 64))) {
            e += 64;
            continue;
        }
        if (eight_empty(e)) {
            e += 8;
            continue;
        }
        for (; e != stop; e++)
            if (*e & PTE_PRESENT) {
                l1e_put(*e, d);
                if (!--left)
                    break;
            }
    }
    s->next = s->present = 0;
}

/* The whole table has been checked: what the hypervisor has in it. */
static void fill_own_entries(uint64_t *table, uint64_t type, struct domain *d)
{
    if (type == PGT_l4)
        mm_fill_hyp_slots(table, d);
    else if (unlikely(type == PGT_l2_top))
        memcpy(table + M2P32_FIRST_ENTRY, mm_m2p32_entries, sizeof(mm_m2p32_entries));
    else if (unlikely(is_32bit(d)) && type == PGT_l3)
        memset(table + 4, 0, (PTES_PER_TABLE - 4) * sizeof(*table));
}

/* ... is nobody's business when it is no table any more. */
static void clear_own_entries(uint64_t *table, uint64_t type)
{
    if (type == PGT_l4)
        memset(table + GUEST_SLOT_FIRST_HYP, 0,
               (GUEST_SLOT_LAST_HYP + 1 - GUEST_SLOT_FIRST_HYP) * sizeof(*table));
    else if (unlikely(type == PGT_l2_top))
        memset(table + M2P32_FIRST_ENTRY, 0, sizeof(mm_m2p32_entries));
}

int validate_table(struct page_info *pg, uint64_t type, struct table_scan *s, bool preempt)
{
    struct domain *d = page_owner(pg);
    uint64_t *table = page_to_virt(pg);
    unsigned n = s->next, end = guest_entries(type, d), done = 0;
    unsigned present = s->present, eighths = s->eighths | (n % 8 ? 1U << (n / 64) : 0);
    const uint64_t below = child_type(type, d, 0), forced = adjust_dir_entry(PTE_PRESENT, d, type);
    const bool same_below = !is_32bit(d);
    int rc = 0;

    if (type == PGT_l1)
        return validate_l1(table, d, s);
    while (n < end) {
        uint64_t e, new;

        if (n % 8 == 0) {
            n = skip_empty_up(table, n);
            if (n >= end) {
                n = end;
                break;
            }
            if (type == PGT_l4 && !guest_l4_slot(n)) {
                n = GUEST_SLOT_LAST_HYP + 1;
                continue;
            }
            eighths |= 1U << (n / 64);
        }
        e = READ_ONCE(table[n]);
        if (!(e & PTE_PRESENT)) {
            if (unlikely(!absent_entry_ok(e))) {
                rc = -EINVAL;
                break;
            }
            n++;
            continue;
        }
        if (!same_below || !dir_get_in_use(e, d, below)) {
            /* Each call makes some progress. */
            if (preempt && done && done % MM_CHECK_EVERY == 0 && hypercall_preempt_check()) {
                rc = -ERESTART;
                break;
            }
            rc = is_self_map(pg, type, e) ? check_self_map(e) : dir_get(e, d, type, n, preempt);
            if (unlikely(rc))
                break;
            done++;
        }
        new = (e | forced) & ~PTE_GLOBAL;
        if (new != e)
            WRITE_ONCE(table[n], new);
        present++;
        n++;
    }
    s->next = n;
    s->present = present;
    s->eighths = eighths;
    if (!rc)
        fill_own_entries(table, type, d);
    return rc;
}

/* A table below that could not be finished is its parent's next work. */
static int finish_child(uint64_t e, const struct domain *d, uint64_t child, bool preempt)
{
    struct page_info *pg = (e & (PTE_PRESENT | PTE_PSE)) == PTE_PRESENT ? dir_page(e) : NULL;
    int rc = 0;

    if (!pg || !(READ_ONCE(pg->type) & PGT_partial) || !get_page(pg, d))
        return 0;
    if (pgt_type(READ_ONCE(pg->type)) == child)
        rc = finish_partial(pg, preempt);
    put_page(pg);
    return rc;
}

static int dir_put(uint64_t e, struct domain *d, bool preempt)
{
    struct page_info *pg;
    int rc;

    if (unlikely(e & PTE_PSE)) {
        superpage_put(e, d);
        return 0;
    }
    pg = dir_page(e);
    rc = put_type(pg, preempt);
    put_page(pg);
    return rc;
}

/* dir_put() of an entry whose table others use, too, as dir_get_in_use(). */
static __always_inline bool dir_put_in_use(uint64_t e)
{
    struct page_info *pg = dir_page(e);

    if (unlikely(e & PTE_PSE) || unlikely(!put_type_of_many(pg)))
        return false;
    put_page(pg);
    return true;
}

int devalidate_table(struct page_info *pg, uint64_t type, struct table_scan *s, bool preempt)
{
    struct domain *d = page_owner(pg);
    uint64_t *table = page_to_virt(pg);
    unsigned end = guest_entries(type, d), n = min(s->next, end), left = s->present, done = 0;
    int rc = 0;

    if (type == PGT_l1) {
        devalidate_l1(table, d, s);
        return 0;
    }
    if (n < end)
        rc = finish_child(table[n], d, child_type(type, d, n), preempt);
    while (n && left && !rc) {
        unsigned stop;
        uint64_t e;

        if (n % 8 == 0) {
            if (n % 64 == 0 && !(s->eighths & 1U << (n / 64 - 1))) {
                n -= 64;
                continue;
            }
            stop = ROUND_DOWN(n - 1, 64);
            n = skip_empty_down(table, n, stop);
            if (n == stop)
                continue;
            if (type == PGT_l4 && !guest_l4_slot(n - 1)) {
                n = GUEST_SLOT_FIRST_HYP;
                continue;
            }
        }
        e = table[--n];
        if (!(e & PTE_PRESENT))
            continue;
        left--;
        if (is_self_map(pg, type, e) || dir_put_in_use(e))
            continue;
        rc = dir_put(e, d, preempt);
        if (!rc && left && preempt && ++done % MM_CHECK_EVERY == 0 && hypercall_preempt_check())
            rc = -ERESTART;
    }
    s->next = n;
    if (!rc)
        clear_own_entries(table, type);
    return rc;
}

/* A descriptor table: arch/x86/pv/descriptors.c knows what a guest may have in one. */
int validate_descriptors(struct page_info *pg)
{
    const struct domain *d = page_owner(pg);
    uint64_t *table = page_to_virt(pg);

    for (unsigned i = 0; i < PAGE_SIZE / sizeof(*table); i++) {
        uint64_t desc = READ_ONCE(table[i]), fixed = desc;

        if (!pv_check_descriptor(d, &fixed))
            return -EINVAL;
        if (fixed != desc)
            WRITE_ONCE(table[i], fixed);
    }
    return 0;
}

static void dump_superpages(struct domain *d)
{
    if (opt_allow_superpage)
        printk("d%d maps %lu superpages\n", d->id, READ_ONCE(d->arch.superpages));
}

DEFINE_UNIT(pagetables, .name = "page tables", .level = UNIT_ARCH, .dump = dump_superpages);
