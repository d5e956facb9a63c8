// SPDX-License-Identifier: MIT
/*
 * The physical address space of a domain with nested paging.
 *
 * A tree of tables in the CPU's own format, four levels, with leaves of 4 KB, 2 MB and 1 GB.  A
 * leaf holds for each of its frames a reference of the page and one of the writable type; so no
 * frame is freed or becomes a page table of a PV guest while a guest can reach it.  A leaf's type
 * (enum p2m_type) is in bits that the CPU leaves alone; what is not RAM is in leaves of 4 KB.  A
 * grant's leaf has no references of its own: those of its handle last longer, since it goes by the
 * handle's being unmapped and in no other way.
 *
 * Frames that get their pages on demand are in pod.c.
 *
 * Writers hold the lock.  Readers do not: they see an entry as it was a moment ago, and take a
 * reference of the page, which fails if it has been freed or has changed hands meanwhile.  A table
 * that gives way to a large leaf again (dirty.c) is freed after a grace period, so a reader never
 * stands in freed memory.
 *
 * Unmapping: the entry is cleared, the domain's generation counted up, and every CPU that may run
 * one of its vcpus is interrupted; a vcpu that enters its guest with an old generation gets a fresh
 * ASID first.  Only then are the references dropped.
 */
#include "p2m_private.h"
#include "arch/x86/hvm/hvm.h"
#include "arch/x86/mm/mm.h"
#include "asm/page.h"
#include "hypercall/hypercall.h"
#include "kernel/panic.h"
#include "lib/errno.h"

/* Before the tools have said how much: enough for a domain of a few MB. */
#define DEFAULT_TABLES 64
/* Frames and tables between looks at whether somebody else needs this CPU. */
#define RELINQUISH_BATCH 1024
#define TABLE_BATCH      64
/* Entries looked at for the highest frame. */
#define MAX_GFN_LOOKS 4096
/* So many are freed at once with their domain. */
#define SMALL_TREE 64

static unsigned gfn_index(uint64_t gfn, unsigned level)
{
    return (gfn >> (9 * (level - 1))) & (PTES_PER_TABLE - 1);
}

static uint64_t *table_of(uint64_t e)
{
    return mfn_to_virt(pte_mfn(e));
}

static uint64_t small_leaf(const struct page_info *pg, enum p2m_type type)
{
    uint64_t flags = hvm_vendor->p2m.ram | (uint64_t)type << P2M_TYPE_SHIFT;

    return make_pte(page_to_mfn(pg), type == P2M_GRANT_RO ? flags & ~PTE_RW : flags);
}

int p2m_create(struct domain *d)
{
    struct p2m *p = p2m_of(d);

    spin_lock_init(&p->lock, LOCK_P2M);
    p->root = alloc_page_virt();
    p->tables = 1;
    p->max_tables = DEFAULT_TABLES;
    return p->root ? 0 : -ENOMEM;
}

/* The entry for gfn, and its level: a leaf, or one that is not present. */
static uint64_t lookup(const struct p2m *p, uint64_t gfn, unsigned *level)
{
    const uint64_t *table = READ_ONCE(p->root);
    uint64_t e = 0;

    for (*level = P2M_LEVELS; table; --*level) {
        e = READ_ONCE(table[gfn_index(gfn, *level)]);
        if (!(e & PTE_PRESENT) || is_leaf(e, *level))
            break;
        table = table_of(e);
    }
    return e;
}

struct page_info *p2m_get_page(struct domain *d, gfn_t gfn)
{
    struct page_info *pg;
    uint64_t e, offset;
    unsigned level;

    if (!gfn_ok(gfn_x(gfn), 0))
        return NULL;
    e = lookup(p2m_of(d), gfn_x(gfn), &level);
    if (unlikely(on_demand(e)) && p2m_fill(d, gfn_x(gfn), level))
        e = lookup(p2m_of(d), gfn_x(gfn), &level);
    if (!(e & PTE_PRESENT) || type_of(e) != P2M_RAM)
        return NULL;
    offset = gfn_x(gfn) & ((1ULL << (9 * (level - 1))) - 1);
    pg = mfn_to_page(mfn_add(pte_mfn(e), offset));
    return get_page(pg, d) ? pg : NULL;
}

struct page_info *p2m_hold(struct domain *d, gfn_t gfn, bool write, bool *typed)
{
    struct p2m *p = p2m_of(d);
    struct page_info *pg = p2m_get_page(d, gfn);
    unsigned level;
    uint64_t e;

    *typed = false;
    if (likely(pg) || !gfn_ok(gfn_x(gfn), 0))
        return pg;
    /* Not its own: while the leaf is there, and the lock holds it, somebody has references. */
    spin_lock(&p->lock);
    e = lookup(p, gfn_x(gfn), &level);
    if ((e & PTE_PRESENT) && type_of(e) != P2M_RAM && !(write && !(e & PTE_RW))) {
        pg = mfn_to_page(pte_mfn(e));
        if (!get_page_more(pg))
            pg = NULL;
        else if (write && get_page_type(pg, PGT_writable)) {
            put_page(pg);
            pg = NULL;
        }
        *typed = pg && write;
    }
    spin_unlock(&p->lock);
    return pg;
}

bool p2m_is_readonly(struct domain *d, gfn_t gfn)
{
    struct p2m *p = p2m_of(d);
    unsigned level;
    uint64_t e = 0;

    spin_lock(&p->lock);
    if (gfn_ok(gfn_x(gfn), 0))
        e = lookup(p, gfn_x(gfn), &level);
    spin_unlock(&p->lock);
    return (e & PTE_PRESENT) && !(e & PTE_RW);
}

void p2m_put_held(struct page_info *pg, bool typed)
{
    if (unlikely(typed))
        put_page_and_type(pg);
    else
        put_page(pg);
}

const uint64_t *p2m_remember(const struct p2m *p, struct p2m_memory *m, uint64_t gfn, void **ram)
{
    const uint64_t *table = p->root;

    *ram = NULL;
    if (gfn >> (9 * P2M_LEVELS))
        return NULL;
    for (unsigned level = P2M_LEVELS; level > 2; level--) {
        uint64_t e = READ_ONCE(table[gfn_index(gfn, level)]);

        if (!(e & PTE_PRESENT))
            return NULL;
        table = table_of(e);
        if (is_leaf(e, level)) { /* RAM: all else is in small ones */
            uint64_t offset = gfn & ((1ULL << (9 * (level - 1))) - 1);

            *ram = (char *)table + (offset << PAGE_SHIFT);
            return NULL;
        }
    }
    m->slot[(gfn >> 18) % ARRAY_SIZE(m->slot)].gb = gfn >> 18;
    m->slot[(gfn >> 18) % ARRAY_SIZE(m->slot)].table = table;
    return table;
}

/* --- changing it; under the lock --- */

static uint64_t *new_table(struct p2m *p)
{
    uint64_t *table = p->tables < p->max_tables ? alloc_page_virt() : NULL;

    if (table)
        p->tables++;
    return table;
}

static uint64_t table_entry(const uint64_t *table)
{
    return make_pte(virt_to_mfn(table), hvm_vendor->p2m.table);
}

/* A large leaf becomes a table of smaller ones; so does what has none yet, but will. */
static int split(struct p2m *p, uint64_t *e, unsigned level)
{
    uint64_t *table = new_table(p), old = *e;
    uint64_t step = old & PTE_PRESENT ? PAGE_SIZE << (9 * (level - 2)) : 0;

    if (!table)
        return -ENOMEM;
    if (level == 2)
        old &= ~(uint64_t)PTE_PSE;
    for (unsigned i = 0; i < PTES_PER_TABLE; i++)
        table[i] = old + i * step;
    smp_wmb();
    WRITE_ONCE(*e, table_entry(table));
    return 0;
}

uint64_t *p2m_block(struct p2m *p, uint64_t *gfn, bool small)
{
    uint64_t *table = p->root, *e;

    for (unsigned level = P2M_LEVELS;; level--) {
        e = &table[gfn_index(*gfn, level)];
        if (!(*e & PTE_PRESENT)) {
            *gfn = (*gfn | ((1ULL << (9 * (level - 1))) - 1)) + 1;
            return NULL;
        }
        if (is_leaf(*e, level) && small && split(p, e, level))
            return P2M_NO_TABLE;
        if (level == 2 || is_leaf(*e, level))
            return e;
        table = table_of(*e);
    }
}

uint64_t *p2m_small_entry(const struct p2m *p, uint64_t gfn)
{
    uint64_t *table = READ_ONCE(p->root);

    if (!table || !gfn_ok(gfn, 0))
        return NULL;
    for (unsigned level = P2M_LEVELS; level > 1; level--) {
        uint64_t e = READ_ONCE(table[gfn_index(gfn, level)]);

        if (!(e & PTE_PRESENT) || is_leaf(e, level))
            return NULL;
        table = table_of(e);
    }
    return &table[gfn_index(gfn, 1)];
}

uint64_t *p2m_merge(struct p2m *p, uint64_t *e, unsigned level)
{
    uint64_t *table = table_of(*e), first = mfn_x(pte_mfn(table[0]));
    uint64_t frames = 1ULL << (9 * (level - 2)), large = hvm_vendor->p2m.ram | PTE_PSE;

    if (first & (frames * PTES_PER_TABLE - 1))
        return NULL;
    for (unsigned i = 0; i < PTES_PER_TABLE; i++)
        if (table[i] != make_pte(_mfn(first + i * frames), level > 2 ? large : hvm_vendor->p2m.ram))
            return NULL;
    WRITE_ONCE(*e, make_pte(_mfn(first), large));
    p->tables--;
    return table;
}

static void free_tables(struct rcu_head *head)
{
    struct p2m_unlinked *u = container_of(head, struct p2m_unlinked, rcu);

    for (unsigned i = 0; i < u->nr; i++)
        free_page_virt(u->table[i]);
    xfree(u);
}

void p2m_free_unlinked(struct p2m_unlinked *u)
{
    call_rcu(&u->rcu, free_tables);
}

uint64_t *p2m_entry_for(struct p2m *p, uint64_t gfn, unsigned level)
{
    uint64_t *table = p->root;

    for (unsigned l = P2M_LEVELS; l > level; l--) {
        uint64_t *e = &table[gfn_index(gfn, l)];

        if ((!(*e & PTE_PRESENT) || is_leaf(*e, l)) && split(p, e, l))
            return NULL;
        table = table_of(*e);
    }
    return &table[gfn_index(gfn, level)];
}

static void put_frames(struct page_info *pg, uint64_t nr)
{
    for (uint64_t i = 0; i < nr; i++)
        put_page_and_type(pg + i);
}

static int get_frames(struct domain *d, struct page_info *pg, uint64_t nr)
{
    for (uint64_t i = 0; i < nr; i++)
        if (!get_page_and_type(pg + i, d, PGT_writable)) {
            put_frames(pg, i);
            return -EBUSY;
        }
    return 0;
}

/* One leaf of 2^order frames, order a level's.  A present table below is filled instead. */
static int map_leaf(struct p2m *p, uint64_t gfn, mfn_t mfn, unsigned order)
{
    unsigned level = order / 9 + 1;
    uint64_t *e = p2m_entry_for(p, gfn, level);

    if (!e)
        return -ENOMEM;
    if (*e & PTE_PRESENT)
        return -EEXIST;
    p->on_demand -= on_demand(*e) ? 1ULL << order : 0;
    WRITE_ONCE(*e, make_pte(mfn, hvm_vendor->p2m.ram | (level > 1 ? PTE_PSE : 0)));
    return 0;
}

/* Clears n entries of smallest leaves from gfn on, which map_leaf() has just made. */
static void unmap_new(struct p2m *p, uint64_t gfn, uint64_t n, unsigned order)
{
    for (uint64_t i = 0; i < n; i++)
        WRITE_ONCE(*p2m_entry_for(p, gfn + (i << order), order / 9 + 1), 0);
}

/* A CPU that is in the domain's guest leaves it, and at entry finds its translations outdated. */
void p2m_flush(struct domain *d)
{
    __atomic_add_fetch(&p2m_of(d)->generation, 1, __ATOMIC_SEQ_CST);
    leave_guests_mask(&d->dirty_cpus);
}

/* What vcpus remember of tables (p2m_memory) is none yet, nor have CPUs walked any. */
bool p2m_makes_gb(const struct domain *d)
{
    return cpu_has(PAGE1GB) && !READ_ONCE(d->creation_finished);
}

void p2m_creation_ends(struct domain *d)
{
    struct p2m *p = p2m_of(d);

    spin_lock(&p->lock);
    spin_unlock(&p->lock);
}

uint32_t p2m_frame_behind(struct domain *d, gfn_t gfn)
{
    unsigned level;
    uint64_t e;

    if (!gfn_ok(gfn_x(gfn), 0))
        return 0;
    e = lookup(p2m_of(d), gfn_x(gfn), &level);
    if (!(e & PTE_PRESENT) || level != 2)
        return 0;
    return mfn_x(pte_mfn(e)) + gfn_index(gfn_x(gfn), 1) + 1;
}

unsigned p2m_gb_leaves(const struct domain *d)
{
    const uint64_t *root = READ_ONCE(p2m_of(d)->root), *table;
    unsigned n = 0;

    for (unsigned i = 0; root && i < PTES_PER_TABLE; i++) {
        if (!(READ_ONCE(root[i]) & PTE_PRESENT))
            continue;
        table = table_of(READ_ONCE(root[i]));
        for (unsigned j = 0; j < PTES_PER_TABLE; j++) {
            uint64_t e = READ_ONCE(table[j]);

            n += (e & PTE_PRESENT) && (e & PTE_PSE);
        }
    }
    return n;
}

/* The last leaf of 2 MB of a GB has been made at gfn: they may be one piece now. */
static void join_gb(struct p2m *p, uint64_t gfn)
{
    struct p2m_unlinked *u = xzalloc(struct p2m_unlinked);
    uint64_t *table = u ? p2m_merge(p, p2m_entry_for(p, gfn, 3), 3) : NULL;

    if (table)
        u->table[u->nr++] = table;
    if (u)
        p2m_free_unlinked(u);
}

int p2m_map(struct domain *d, gfn_t gfn, struct page_info *pg, unsigned order)
{
    struct p2m *p = p2m_of(d);
    uint64_t mfn = mfn_x(page_to_mfn(pg)), nr = 1ULL << order, i, done = 0;
    unsigned leaf = leaf_order(order);
    int rc;

    if (!gfn_ok(gfn_x(gfn), order))
        return -EINVAL;
    rc = get_frames(d, pg, nr);
    if (rc)
        return rc;
    spin_lock(&p->lock);
    if (d->dying)
        rc = -EINVAL;
    if (p->logging)
        leaf = 0;
    for (i = 0; !rc && i < nr; i += 1ULL << leaf) {
        rc = map_leaf(p, gfn_x(gfn) + i, _mfn(mfn + i), leaf);
        if (rc == -EEXIST && leaf && !i) {
            leaf = 0; /* there is a table already */
            rc = map_leaf(p, gfn_x(gfn), _mfn(mfn), 0);
        }
        if (!rc)
            done++;
    }
    if (rc)
        unmap_new(p, gfn_x(gfn), done, leaf);
    else
        p->max_gfn = max(p->max_gfn, gfn_x(gfn) + nr - 1);
    if (!rc && leaf == 9 && !((gfn_x(gfn) + nr) & ((1UL << 18) - 1)) && p2m_makes_gb(d))
        join_gb(p, gfn_x(gfn));
    spin_unlock(&p->lock);
    if (rc && done) /* another vcpu may have found what was there for a moment */
        p2m_flush(d);
    if (rc)
        put_frames(pg, nr);
    p2m_renew_claim(d); /* of which the page has taken a part, whether it was for it or not */
    return rc;
}

/* The domain has no use for a page of RAM any more: what its leaf held goes, and more. */
static void give_up(struct page_info *pg)
{
    put_page_type(pg);
    put_page_alloc(pg);
    put_page(pg);
}

int p2m_place(struct domain *d, gfn_t gfn, struct page_info *pg, enum p2m_type type)
{
    struct p2m *p = p2m_of(d);
    uint64_t *e = NULL, old = 0;
    int rc = 0;

    if (!gfn_ok(gfn_x(gfn), 0))
        return -EINVAL;
    if (type == P2M_RAM && !get_page_and_type(pg, d, PGT_writable))
        return -EBUSY;
    spin_lock(&p->lock);
    if (d->dying)
        rc = -EINVAL;
    else {
        e = p2m_entry_for(p, gfn_x(gfn), 1);
        old = e ? *e : 0;
        rc = !e ? -ENOMEM : (old & PTE_PRESENT) && type_of(old) != P2M_RAM ? -EBUSY : 0;
    }
    if (!rc) {
        p->on_demand -= on_demand(old);
        WRITE_ONCE(*e, small_leaf(pg, type));
        p->max_gfn = max(p->max_gfn, gfn_x(gfn));
    }
    spin_unlock(&p->lock);
    if (rc && type == P2M_RAM)
        put_page_and_type(pg);
    else if (!rc && (old & PTE_PRESENT)) {
        p2m_flush(d);
        give_up(mfn_to_page(pte_mfn(old)));
    }
    p2m_renew_claim(d);
    return rc;
}

int p2m_unmap_grant(struct domain *d, gfn_t gfn, const struct page_info *pg)
{
    struct p2m *p = p2m_of(d);
    int rc = -ENOENT;
    unsigned level;
    uint64_t e;

    if (!gfn_ok(gfn_x(gfn), 0))
        return -ENOENT;
    spin_lock(&p->lock);
    e = lookup(p, gfn_x(gfn), &level);
    if ((e & PTE_PRESENT) && type_of(e) != P2M_RAM && mfn_x(pte_mfn(e)) == mfn_x(page_to_mfn(pg))) {
        WRITE_ONCE(*p2m_entry_for(p, gfn_x(gfn), 1), 0);
        rc = 0;
    }
    spin_unlock(&p->lock);
    return rc;
}

struct page_info *p2m_unmap(struct domain *d, gfn_t gfn)
{
    struct p2m *p = p2m_of(d);
    struct page_info *pg = NULL;
    unsigned level;
    uint64_t *e, old;

    pg = p2m_get_page(d, gfn); /* on demand */
    if (!pg)
        return NULL;
    put_page(pg);
    pg = NULL;
    spin_lock(&p->lock);
    old = d->dying ? 0 : lookup(p, gfn_x(gfn), &level);
    /* Not present: nothing is to be made present for it. */
    if ((old & PTE_PRESENT) && type_of(old) == P2M_RAM) {
        e = p2m_entry_for(p, gfn_x(gfn), 1);
        if (e) {
            pg = mfn_to_page(pte_mfn(*e));
            WRITE_ONCE(*e, 0);
        }
    }
    spin_unlock(&p->lock);
    if (!pg)
        return NULL;
    p2m_flush(d);
    put_page_type(pg);
    return pg;
}

/* Under the lock: false if there is no RAM at gfn; *pg: its page, NULL if it has not got one. */
static bool clear_ram(struct p2m *p, uint64_t gfn, struct page_info **pg)
{
    uint64_t *e = NULL, old;
    unsigned level;

    *pg = NULL;
    if (!gfn_ok(gfn, 0))
        return false;
    old = lookup(p, gfn, &level);
    if (on_demand(old) || ((old & PTE_PRESENT) && type_of(old) == P2M_RAM))
        e = p2m_entry_for(p, gfn, 1);
    if (!e)
        return false;
    old = *e;
    p->on_demand -= on_demand(old);
    WRITE_ONCE(*e, 0);
    if (old & PTE_PRESENT)
        *pg = mfn_to_page(pte_mfn(old));
    return true;
}

unsigned p2m_drop(struct domain *d, const gfn_t *gfn, unsigned nr)
{
    struct p2m *p = p2m_of(d);
    struct page_info *pg[P2M_DROP_BATCH];
    unsigned done = 0, pages = 0;

    nr = min(nr, (unsigned)P2M_DROP_BATCH);
    spin_lock(&p->lock);
    for (; done < nr && !d->dying && clear_ram(p, gfn_x(gfn[done]), &pg[pages]); done++)
        pages += pg[pages] != NULL;
    spin_unlock(&p->lock);
    if (pages)
        p2m_flush(d);
    for (unsigned i = 0; i < pages; i++)
        give_up(pg[i]);
    p2m_renew_claim(d);
    return done;
}

/* The tools map each frame below one by one (xl dump-core): what has gone at the upper end is not
 * theirs to try, as far as it is soon found. */
uint64_t p2m_max_gfn(const struct domain *d)
{
    const struct p2m *p = p2m_of(d);
    uint64_t gfn = READ_ONCE(p->max_gfn);
    unsigned level;

    for (unsigned n = 0; n < MAX_GFN_LOOKS && !lookup(p, gfn, &level); n++) {
        uint64_t first = gfn & ~((1ULL << (9 * (level - 1))) - 1);

        if (!first)
            return 0;
        gfn = first - 1;
    }
    return gfn;
}

/* --- the end --- */

/* Lets go of the next frames, as many as are done soon; how many, 1 where there are none. */
static uint64_t relinquish_some(struct p2m *p)
{
    uint64_t gfn = p->relinquish_gfn, *table = p->root, *e, nr;
    unsigned level = P2M_LEVELS;
    struct page_info *pg;

    for (;; level--) {
        e = &table[gfn_index(gfn, level)];
        if (!(*e & PTE_PRESENT) || is_leaf(*e, level))
            break;
        table = table_of(*e);
    }
    nr = 1ULL << (9 * (level - 1));
    if ((*e & PTE_PRESENT) && level > 2) {
        uint64_t piece = nr / PTES_PER_TABLE;

        pg = mfn_to_page(mfn_add(pte_mfn(*e), gfn_index(gfn, level - 1) * piece));
        put_frames(pg, piece);
        p->relinquish_gfn = (gfn | (piece - 1)) + 1;
        if (!(p->relinquish_gfn & (nr - 1)))
            WRITE_ONCE(*e, 0);
        return piece;
    }
    pg = (*e & PTE_PRESENT) && type_of(*e) == P2M_RAM ? mfn_to_page(pte_mfn(*e)) : NULL;
    WRITE_ONCE(*e, 0);
    if (pg)
        put_frames(pg, nr);
    p->relinquish_gfn = (gfn | (nr - 1)) + 1;
    return pg ? nr : 1;
}

static void set_quiet(struct rcu_head *head)
{
    WRITE_ONCE(container_of(head, struct p2m, rcu)->quiet, true);
}

/* Frees a table that is no other's parent; false: but for the uppermost there are none left. */
static bool free_one(uint64_t *table, unsigned level)
{
    for (unsigned i = 0; level > 1 && i < PTES_PER_TABLE; i++)
        if (table[i] & PTE_PRESENT) {
            if (!free_one(table_of(table[i]), level - 1)) {
                free_page_virt(table_of(table[i]));
                table[i] = 0;
            }
            return true;
        }
    return false;
}

/* Many tables are freed here rather than in one go with the domain: once nobody reads them. */
static int free_by_and_by(struct p2m *p)
{
    unsigned n = 0;

    if (p->root) {
        p->unused = p->root;
        WRITE_ONCE(p->root, NULL);
        call_rcu(&p->rcu, set_quiet);
    }
    if (!READ_ONCE(p->quiet))
        return -ERESTART;
    while (free_one(p->unused, P2M_LEVELS))
        if (++n % TABLE_BATCH == 0 && hypercall_preempt_check())
            return -ERESTART;
    return 0;
}

/* None of d's vcpus runs any more; others (p2m_drop(), p2m_unmap()) leave the dying alone. */
int p2m_relinquish(struct domain *d)
{
    struct p2m *p = p2m_of(d);
    uint64_t n = 0;

    /* Who has not seen that d is dying has done what he does. */
    spin_lock(&p->lock);
    spin_unlock(&p->lock);
    while (p->root && p->relinquish_gfn <= p->max_gfn) {
        n += relinquish_some(p);
        if (n >= RELINQUISH_BATCH && hypercall_preempt_check())
            return -ERESTART;
        n %= RELINQUISH_BATCH;
    }
    return p->tables > SMALL_TREE ? free_by_and_by(p) : 0;
}

void p2m_free(struct domain *d)
{
    struct p2m *p = p2m_of(d);
    uint64_t *root = p->root ?: p->unused;

    while (root && free_one(root, P2M_LEVELS))
        ;
    free_page_virt(root);
    p->root = p->unused = NULL;
}
