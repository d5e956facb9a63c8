// SPDX-License-Identifier: MIT
/* Between the files of arch/x86/mm that deal with guests' page tables. */
#pragma once
#include "arch/x86/asm/layout.h"
#include "arch/x86/asm/page.h"
#include "arch/x86/mm/mm.h"
#include "domain/domain.h"
#include "lib/errno.h"

#define GUEST_SLOT_FIRST_HYP 256
#define GUEST_SLOT_LAST_HYP  271

/* May a guest's L4 entry number i hold something of its own? */
static inline bool guest_l4_slot(unsigned i)
{
    return i < GUEST_SLOT_FIRST_HYP || i > GUEST_SLOT_LAST_HYP;
}

/* How many entries of a table of d's from its start on are the guest's (L4: see above). */
static inline unsigned guest_entries(uint64_t type, const struct domain *d)
{
    if (unlikely(type == PGT_l2_top))
        return M2P32_FIRST_ENTRY;
    return unlikely(is_32bit(d)) && type == PGT_l3 ? 4 : PTES_PER_TABLE;
}

/* Canonical, and outside the hypervisor's part of the address space, all of it. */
static inline bool guest_range(unsigned long va, unsigned long len)
{
    unsigned long last = va + len - 1;

    return last >= va && (last < 1UL << 47 || va >= HYPERVISOR_VIRT_END);
}

static inline uint64_t pgt_type(uint64_t t)
{
    return t & PGT_type_mask;
}

static inline uint32_t pgt_count(uint64_t t)
{
    return t & PGT_count_mask;
}

static inline unsigned pgt_entries(uint64_t t)
{
    return (t & PGT_entries_mask) >> PGT_entries_shift;
}

static inline bool pgt_is_table(uint64_t type)
{
    return type >= PGT_l1 && type <= PGT_l2_top;
}

/* --- types.c --- */
int get_type(struct page_info *pg, uint64_t type, bool preempt);
/* 0, or -ERESTART: the type reference is gone all the same, but pg is left partial. */
int put_type(struct page_info *pg, bool preempt);
/* A further reference of a type that the page has already; false: it has not (or too many). */
bool get_type_existing(struct page_info *pg, uint64_t type);
/* Undoes what an interrupted validation or undoing has left: 0, -ERESTART. */
int finish_partial(struct page_info *pg, bool preempt);
/* Drops a table's type and page reference; what is left to do is remembered for v. */
void put_table(struct vcpu *v, struct page_info *pg);

/*
 * A page is locked for as long as one entry is changed.  It stays of the type (PGT_l1, or
 * PGT_writable: a table to be) until it is unlocked, and so keeps its owner; of an L1 table nobody
 * else changes entries (but the CPU sets accessed and dirty bits).
 * The word as it was, or 0: it is not in use as type.
 */
static inline uint64_t type_lock(struct page_info *pg, uint64_t type)
{
    uint64_t t = READ_ONCE(pg->type);

    for (;;) {
        if (unlikely((t & (PGT_type_mask | PGT_validated)) != (type | PGT_validated)))
            return 0;
        if (unlikely(t & PGT_locked)) {
            cpu_relax();
            t = READ_ONCE(pg->type);
            continue;
        }
        if (likely(__atomic_compare_exchange_n(&pg->type, &t, t | PGT_locked, false,
                                               __ATOMIC_ACQUIRE, __ATOMIC_RELAXED)))
            return t;
    }
}

/* The usual case of get_type(): one more user of what is in use as type.  False: ask get_type(). */
static __always_inline bool get_type_of_many(struct page_info *pg, uint64_t type)
{
    uint64_t t = READ_ONCE(pg->type);

    return likely((t & (PGT_type_mask | PGT_validated)) == (type | PGT_validated)) &&
           likely((uint32_t)(t + 1)) &&
           likely(__atomic_compare_exchange_n(&pg->type, &t, t + 1, false, __ATOMIC_SEQ_CST,
                                              __ATOMIC_RELAXED));
}

/* The usual case of put_type(): others use it, too.  False: ask put_type(). */
static __always_inline bool put_type_of_many(struct page_info *pg)
{
    uint64_t t = READ_ONCE(pg->type);

    return likely(pgt_count(t) > 1) &&
           likely(__atomic_compare_exchange_n(&pg->type, &t, t - 1, false, __ATOMIC_SEQ_CST,
                                              __ATOMIC_RELAXED));
}

/* change: what else to add to the word, of entry_added() or entry_removed(). */
static inline void type_unlock(struct page_info *pg, uint64_t change)
{
    __atomic_fetch_add(&pg->type, change - PGT_locked, __ATOMIC_RELEASE);
}

/* What to add to the word t when an absent entry becomes present, or the other way round. */
static inline uint64_t entry_added(uint64_t t, const uint64_t *e)
{
    uint64_t eighth = 1ULL << (PGT_eighths_shift + ((uintptr_t)e % PAGE_SIZE) / 512);

    return (1ULL << PGT_entries_shift) + (eighth & ~t);
}

static inline uint64_t entry_removed(void)
{
    return -(1ULL << PGT_entries_shift);
}

/* --- validate.c --- */
/* What a present entry of d's becomes (user bit, no global bit). */
static inline uint64_t adjust_entry(uint64_t e, const struct domain *d)
{
    return e & PTE_PRESENT ? (e | d->arch.forced_pte) & ~PTE_GLOBAL : e;
}

/* The third level of PAE has no rights, which the CPU in long mode wants to see. */
static inline uint64_t adjust_dir_entry(uint64_t e, const struct domain *d, uint64_t type)
{
    e = adjust_entry(e, d);
    if (unlikely(is_32bit(d)) && type == PGT_l3 && (e & PTE_PRESENT))
        e |= PTE_RW | PTE_USER | PTE_ACCESSED;
    return e;
}

/* For software: the CPU does not look at them. */
#define PTE_AVAIL      (7ULL << 9)
#define PTE_AVAIL_HIGH (0x7ffULL << 52)
/* Bits that change nothing that references depend on. */
#define L1_HARMLESS                                                                                \
    (PTE_NX | PTE_AVAIL | PTE_AVAIL_HIGH | PTE_ACCESSED | PTE_DIRTY | PTE_USER | PTE_GLOBAL)
#define DIR_HARMLESS (L1_HARMLESS | PTE_RW)
#define PTE_CACHE    (PTE_PWT | PTE_PCD | PTE_PAT)
/* Of a superpage: caching other than normal (PAT is bit 12), frames in the middle. */
#define SUPERPAGE_DISALLOWED (PTE_PWT | PTE_PCD | (PAGE_SIZE_2M - PAGE_SIZE))
#define DIR_DISALLOWED       (PTE_PWT | PTE_PCD | PTE_PSE | PTE_GLOBAL)

extern uint64_t mm_mfn_limit;         /* one more than the highest frame the CPU can address */
extern bool mm_refuse_unsafe_entries; /* the CPU has L1TF: absent entries must not name RAM */
/* May be written as it is: nothing that a CPU with L1TF would speculate on. */
static inline bool absent_entry_ok(uint64_t e)
{
    return likely(!e || !mm_refuse_unsafe_entries) || (e & PTE_ADDR) >> PAGE_SHIFT >= max_page;
}

/*
 * References for a present entry of an L1 table of table_owner that maps a frame of frame_owner
 * (domid_io_d: MMIO only).  -EINVAL, -EPERM, -EBUSY.  The usual case is inline: a frame of RAM,
 * and if it is to be writable, one that is so already or has no type.
 */
int l1e_get_other(uint64_t e, struct domain *table_owner, struct domain *frame_owner);
static __always_inline int l1e_get(uint64_t e, struct domain *table_owner,
                                   struct domain *frame_owner)
{
    struct page_info *pg = guest_frame(mfn_x(pte_mfn(e)));
    int rc;

    /* DOMID_IO has no tables: where the compiler sees one owner, it need not ask. */
    if (unlikely(!pg) || unlikely(e & PTE_CACHE) ||
        (frame_owner != table_owner && unlikely(frame_owner == domid_io_d)) ||
        unlikely(!get_page(pg, frame_owner)))
        return l1e_get_other(e, table_owner, frame_owner);
    if (!(e & PTE_RW) || likely(get_type_of_many(pg, PGT_writable)))
        return 0;
    rc = get_type(pg, PGT_writable, false);
    if (unlikely(rc))
        put_page(pg);
    return rc;
}

/* Drops them; e may be absent. */
void l1e_put_other(uint64_t e, const struct domain *table_owner);
static __always_inline void l1e_put(uint64_t e, const struct domain *table_owner)
{
    struct page_info *pg;

    if (!(e & PTE_PRESENT))
        return;
    pg = guest_frame(mfn_x(pte_mfn(e)));
    if (unlikely(!pg) || unlikely(READ_ONCE(pg->owner) != domain_frame(table_owner))) {
        l1e_put_other(e, table_owner);
        return;
    }
    if ((e & PTE_RW) && unlikely(!put_type_of_many(pg)))
        put_type(pg, false);
    put_page(pg);
}

/*
 * An L4 entry that leads to its own table: a guest reads its tables by it, all of them.  It holds
 * no reference, and may not write.
 */
static inline bool is_self_map(const struct page_info *pt, uint64_t type, uint64_t e)
{
    return unlikely(type == PGT_l4 && mfn_x(pte_mfn(e)) == mfn_x(page_to_mfn(pt)));
}
static inline int check_self_map(uint64_t e)
{
    return e & (PTE_RW | DIR_DISALLOWED) ? -EINVAL : 0;
}

/* As l1e_get(), for entry i of a table of type above L1; or -ERESTART. */
int dir_get(uint64_t e, struct domain *d, uint64_t type, unsigned i, bool preempt);
struct page_info *dir_page(uint64_t e);
/* Drops the references of a present entry with PSE of an L2 table of d's. */
void superpage_put(uint64_t e, struct domain *d);

/* How far the work on a table has come. */
struct table_scan {
    unsigned next;    /* entries [0, next) hold references */
    unsigned present; /* how many of these are present */
    unsigned eighths; /* bit i: entries 64 * i .. 64 * i + 63 may be present */
};
/* For entries [0, next): fills in the rest. */
void scan_present(const struct page_info *pg, uint64_t type, struct table_scan *s);
/* Checks entries from s->next on; nobody else touches the type meanwhile.  -errno, -ERESTART. */
int validate_table(struct page_info *pg, uint64_t type, struct table_scan *s, bool preempt);
/* Drops the references of the entries before s->next, from the end.  0, -ERESTART. */
int devalidate_table(struct page_info *pg, uint64_t type, struct table_scan *s, bool preempt);
int validate_descriptors(struct page_info *pg);

/* --- update.c --- */
enum entry_update { SET_ENTRY, KEEP_AD, IF_SAME, SWAP_ENTRY };
/* Checked `*(uint64_t *)ptr = val`, ptr a machine address in an L1 table of table_owner; how:
 * SET_ENTRY or KEEP_AD. */
int update_l1(struct page_info *pt, uint64_t ptr, uint64_t val, enum entry_update how,
              struct domain *table_owner, struct domain *frame_owner);
/* The same if the entry holds *expected, which becomes what it held (also if it did not). */
int compare_and_update_l1(struct page_info *pt, uint64_t ptr, uint64_t *expected, uint64_t val,
                          struct domain *d);
/* Writes *val, and puts there what the entry held. */
int exchange_l1(struct page_info *pt, uint64_t ptr, uint64_t *val, struct domain *d);
/* The domain that a hypercall names as owner of frames: -ESRCH, or -EPERM if current may not. */
int frame_owner_by_id(domid_t id, struct domain **owner);
/* Reads the guest's bitmap of vcpus at addr: the CPUs where these may have TLB entries. */
int vcpus_to_cpus(struct domain *d, uint64_t addr, cpumask_t *cpus);

/* --- walk.c --- */
/* Machine address of the L1 entry for va in v's kernel tables; false: there is no L1 table. */
bool walk_to_l1e(const struct vcpu *v, unsigned long va, uint64_t *ptr);

/* In the count of a batch (mmu_update, mmuext_op): the call goes on, *pdone says what is done. */
#define PREEMPTED (1U << 31)
/*
 * The last step of a batch, when what a failed element left behind is still to be undone: no
 * elements remain, and in the place of their address there is the error to end with.  A guest that
 * makes this up gets the error that it asks for.
 */
static inline long error_to_end_with(unsigned long code)
{
    long rc = -(long)(code & 0xfff);

    return rc == -ERESTART ? -EINVAL : rc;
}

/* --- load.c: what only the machine can do --- */
void mm_load_cr3(unsigned long cr3);
void mm_flush_caches(bool everywhere);
/* Sets mm_mfn_limit and mm_refuse_unsafe_entries from what the CPU is. */
void mm_learn_cpu(void);
