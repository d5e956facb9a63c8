// SPDX-License-Identifier: MIT
/*
 * Changes of single entries: mmu_update, update_va_mapping.
 *
 * Each element goes: find the table (its frame, then its type tells the level), take references
 * for the new entry, store it, drop the references of the old one.  An L1 table is locked
 * meanwhile; a higher one is held by a reference and changed by compare-and-exchange, because
 * checking the table below may take long.
 */
#include "arch/x86/mm/mm_private.h"
#include "hypercall/guest_access.h"
#include "hypercall/handlers.h"
#include "hypercall/hypercall.h"

/* Elements of a batch that are read together; between such reads, a look whether something waits.
 */
#define READ_AT_ONCE 32

/* By way of pt, whose index is clamped: ptr alone could speculatively lead anywhere. */
static __always_inline uint64_t *entry_at(const struct page_info *pt, uint64_t ptr)
{
    return (uint64_t *)((char *)page_to_virt(pt) + (ptr & (PAGE_SIZE - 1)));
}

/*
 * Stores val over *old, which becomes what was there.  The CPU may set accessed and dirty bits at
 * any moment.  False: IF_SAME, and they have changed.
 */
static __always_inline bool store_entry(uint64_t *e, uint64_t *old, uint64_t val,
                                        enum entry_update how)
{
    const uint64_t ad = PTE_ACCESSED | PTE_DIRTY;

    if (how == SWAP_ENTRY) {
        *old = __atomic_exchange_n(e, val, __ATOMIC_ACQ_REL);
        return true;
    }
    if (how == SET_ENTRY || (how == KEEP_AD && !(*old & PTE_PRESENT))) {
        WRITE_ONCE(*e, val);
        return true;
    }
    while (!__atomic_compare_exchange_n(e, old, how == KEEP_AD ? val | (*old & ad) : val, false,
                                        __ATOMIC_ACQ_REL, __ATOMIC_RELAXED))
        if (how == IF_SAME)
            return false;
    return true;
}

/* The table is locked (word: as it was before); unlocks it.  *old becomes what was there. */
static __always_inline int update_locked_l1(struct page_info *pt, uint64_t word, uint64_t *e,
                                            uint64_t *old, uint64_t val, enum entry_update how,
                                            struct domain *table_owner, struct domain *frame_owner)
{
    uint64_t change = 0;
    int rc = 0;

    if (!(val & PTE_PRESENT)) {
        if (unlikely(!absent_entry_ok(val)))
            rc = -EINVAL;
        else if (!store_entry(e, old, val, how))
            rc = -EAGAIN;
        else {
            if (*old & PTE_PRESENT)
                change = entry_removed();
            type_unlock(pt, change);
            l1e_put(*old, table_owner);
            return 0;
        }
        type_unlock(pt, 0);
        return rc;
    }

    val = adjust_entry(val, table_owner);
    if ((*old & PTE_PRESENT) && !((*old ^ val) & ~L1_HARMLESS)) {
        if (!store_entry(e, old, val, how))
            rc = -EAGAIN;
        type_unlock(pt, 0);
        return rc;
    }
    rc = l1e_get(val, table_owner, frame_owner);
    if (unlikely(rc)) {
        type_unlock(pt, 0);
        return rc;
    }
    if (unlikely(!store_entry(e, old, val, how))) {
        type_unlock(pt, 0);
        l1e_put_other(val, table_owner);
        return -EAGAIN;
    }
    if (!(*old & PTE_PRESENT))
        change = entry_added(word, e);
    type_unlock(pt, change);
    l1e_put(*old, table_owner);
    return 0;
}

/* The page's word, or 0: it is not of owner, or not in use as type (PGT_l1, PGT_writable). */
static __always_inline uint64_t lock_type_of(struct page_info *pg, uint64_t type,
                                             const struct domain *owner)
{
    uint64_t word;

    if (unlikely(READ_ONCE(pg->owner) != domain_frame(owner)))
        return 0; /* leave others' pages alone, as a rule */
    word = type_lock(pg, type);
    if (likely(word) && unlikely(READ_ONCE(pg->owner) != domain_frame(owner))) {
        type_unlock(pg, 0); /* it changed hands in between */
        return 0;
    }
    return word;
}

int update_l1(struct page_info *pt, uint64_t ptr, uint64_t val, enum entry_update how,
              struct domain *table_owner, struct domain *frame_owner)
{
    uint64_t *e = entry_at(pt, ptr), word = lock_type_of(pt, PGT_l1, table_owner), old;

    if (unlikely(!word))
        return -EINVAL;
    old = READ_ONCE(*e);
    if (likely(how == SET_ENTRY))
        return update_locked_l1(pt, word, e, &old, val, SET_ENTRY, table_owner, frame_owner);
    return update_locked_l1(pt, word, e, &old, val, KEEP_AD, table_owner, frame_owner);
}

int exchange_l1(struct page_info *pt, uint64_t ptr, uint64_t *val, struct domain *d)
{
    uint64_t *e = entry_at(pt, ptr), word = lock_type_of(pt, PGT_l1, d), old;
    int rc;

    if (unlikely(!word))
        return -EINVAL;
    old = READ_ONCE(*e);
    rc = update_locked_l1(pt, word, e, &old, *val, SWAP_ENTRY, d, d);
    if (likely(!rc))
        *val = old;
    return rc;
}

int compare_and_update_l1(struct page_info *pt, uint64_t ptr, uint64_t *expected, uint64_t val,
                          struct domain *d)
{
    uint64_t *e = entry_at(pt, ptr), found;
    int rc;

    do {
        uint64_t word = lock_type_of(pt, PGT_l1, d);

        if (!word)
            return -EINVAL;
        found = READ_ONCE(*e);
        if (found != *expected) {
            type_unlock(pt, 0);
            rc = 0;
            break;
        }
        rc = update_locked_l1(pt, word, e, &found, val, IF_SAME, d, d);
    } while (rc == -EAGAIN); /* the CPU has set a bit; there are but two */
    *expected = found;
    return rc;
}

/*
 * Tables above L1 are not locked: the word may change any time.  An entry is counted before it
 * becomes present, and no longer only once it is absent: another vcpu may take it away at once, and
 * the count must not fall below zero, into what else is in the word.
 */
static void note_entry_added(struct page_info *pt, const uint64_t *e)
{
    uint64_t t = READ_ONCE(pt->type);

    while (!__atomic_compare_exchange_n(&pt->type, &t, t + entry_added(t, e), false,
                                        __ATOMIC_RELAXED, __ATOMIC_RELAXED))
        ;
}

static void note_entry_removed(struct page_info *pt)
{
    __atomic_fetch_add(&pt->type, entry_removed(), __ATOMIC_RELAXED);
}

/* Do two present entries of a table above L1 hold the same references? */
static bool same_references(uint64_t a, uint64_t b)
{
    return !((a ^ b) & ~(a & PTE_PSE ? L1_HARMLESS : DIR_HARMLESS));
}

static void drop_dir(struct vcpu *v, uint64_t e, struct domain *d)
{
    if (unlikely(e & PTE_PSE))
        superpage_put(e, d);
    else
        put_table(v, dir_page(e));
}

/* The table is held by a reference of its type. */
static int update_dir(struct vcpu *v, struct page_info *pt, uint64_t type, uint64_t *e,
                      uint64_t val, enum entry_update how)
{
    struct domain *d = page_owner(pt);
    unsigned i = ((uintptr_t)e & (PAGE_SIZE - 1)) / sizeof(*e);
    uint64_t old = READ_ONCE(*e), new;
    bool holds;
    int rc;

    if ((type == PGT_l4 && !guest_l4_slot(i)) || i >= guest_entries(type, d))
        return -EINVAL;
    if (!(val & PTE_PRESENT) && !absent_entry_ok(val))
        return -EINVAL;
    val = adjust_dir_entry(val, d, type);
    holds = (val & PTE_PRESENT) && !is_self_map(pt, type, val);
    if ((val & PTE_PRESENT) && !holds && check_self_map(val))
        return -EINVAL;
    for (;;) {
        bool same_child = (old & val & PTE_PRESENT) && same_references(old, val);
        bool take = holds && !same_child;
        bool added = (val & ~old) & PTE_PRESENT;

        if (take) {
            rc = dir_get(val, d, type, i, true);
            if (rc)
                return rc;
        }
        if (added)
            note_entry_added(pt, e);
        new = val;
        if (how == KEEP_AD)
            new |= old &(PTE_ACCESSED | PTE_DIRTY);
        if (likely(__atomic_compare_exchange_n(e, &old, new, false, __ATOMIC_ACQ_REL,
                                               __ATOMIC_RELAXED))) {
            if (same_child)
                return 0;
            break;
        }
        if (added)
            note_entry_removed(pt);
        if (take)
            drop_dir(v, val, d);
    }
    if (!(val & PTE_PRESENT) && (old & PTE_PRESENT))
        note_entry_removed(pt);
    if ((old & PTE_PRESENT) && !is_self_map(pt, type, old))
        drop_dir(v, old, d);
    return 0;
}

/* A frame that is no table (yet): a plain store, while it is held as writable. */
static int update_data(struct page_info *pg, uint64_t *e, uint64_t val)
{
    int rc = get_page_type(pg, PGT_writable);

    if (rc)
        return rc;
    WRITE_ONCE(*e, val);
    put_page_type(pg);
    return 0;
}

struct owners {
    struct domain *table, *frame;
};

static int update_entry(struct vcpu *v, uint64_t ptr, uint64_t val, enum entry_update how,
                        const struct owners *o)
{
    struct page_info *pt = guest_frame(ptr >> PAGE_SHIFT);
    uint64_t type;
    int rc;

    if (unlikely(!pt))
        return -EINVAL;
    type = pgt_type(READ_ONCE(pt->type));
    if (likely(type == PGT_l1) && (READ_ONCE(pt->type) & PGT_validated))
        return update_l1(pt, ptr, val, how, o->table, o->frame);

    if (!get_page(pt, o->table))
        return -EINVAL;
    if (pgt_is_table(type) && get_type_existing(pt, type)) {
        if (type == PGT_l1)
            rc = update_l1(pt, ptr, val, how, o->table, o->frame);
        else
            rc = update_dir(v, pt, type, entry_at(pt, ptr), val, how);
        put_table(v, pt); /* with the page's reference */
        return rc;
    }
    rc = update_data(pt, entry_at(pt, ptr), val);
    put_page(pt);
    return rc;
}

/* A guest that is not direct-mode names its frames by gfn: replaced, and held in *held. */
static int translate(uint64_t *val, const struct owners *o, struct page_info **held)
{
    *held = NULL;
    if (likely(!is_translated(o->frame)) || !(*val & PTE_PRESENT))
        return 0;
    *held = get_page_gfn(o->frame, _gfn(mfn_x(pte_mfn(*val))));
    if (!*held)
        return -EINVAL;
    *val = (*val & ~PTE_ADDR) | mfn_to_maddr(page_to_mfn(*held));
    return 0;
}

static int machphys_update(uint64_t ptr, uint64_t pfn, struct domain *owner)
{
    struct page_info *pg = guest_frame(ptr >> PAGE_SHIFT);

    if (is_translated(owner) || owner == domid_io_d || !pg || !get_page(pg, owner))
        return -EINVAL;
    m2p_set(page_to_mfn(pg), pfn);
    put_page(pg);
    return 0;
}

static int do_update(struct vcpu *v, const struct mmu_update *req, const struct owners *o)
{
    uint64_t ptr = req->ptr & ~7ULL, val = req->val;
    struct page_info *held;
    int rc;

    switch (req->ptr & 7) {
    case MMU_NORMAL_PT_UPDATE:
    case MMU_PT_UPDATE_PRESERVE_AD:
        rc = translate(&val, o, &held);
        if (unlikely(rc))
            return rc;
        rc = update_entry(v, ptr, val, (req->ptr & 7) == MMU_NORMAL_PT_UPDATE ? SET_ENTRY : KEEP_AD,
                          o);
        if (unlikely(held != NULL))
            put_page(held);
        return rc;
    case MMU_PT_UPDATE_NO_TRANSLATE:
        return update_entry(v, ptr, val, SET_ENTRY, o);
    case MMU_MACHPHYS_UPDATE:
        return machphys_update(ptr, val, o->frame);
    default:
        return -ENOSYS;
    }
}

int frame_owner_by_id(domid_t id, struct domain **owner)
{
    struct domain *self = current->domain;

    if (likely(id == DOMID_SELF)) {
        *owner = self;
        return 0;
    }
    if (id == DOMID_IO)
        *owner = domid_io_d;
    else if (id == DOMID_XEN)
        *owner = domid_xen_d;
    else
        *owner = id == self->id ? NULL : rcu_lookup_domain(id); /* "foreign" is not oneself */
    if (!*owner)
        return -ESRCH;
    return id == DOMID_IO || privileged_over(self, *owner) ? 0 : -EPERM;
}

/* foreigndom: the owner of frames, and in the high half (plus one) the owner of the tables. */
static int find_owners(uint32_t foreigndom, struct owners *o)
{
    struct domain *self = current->domain;

    o->table = self;
    if (foreigndom >> 16) {
        o->table = rcu_lookup_domain((foreigndom >> 16) - 1);
        if (!o->table)
            return -EINVAL;
        if (o->table != self && !privileged_over(self, o->table))
            return -EPERM;
        if (is_translated(o->table))
            return -EOPNOTSUPP; /* none of its pages is a table of ours, and its writes are logged
                                 */
    }
    return frame_owner_by_id(foreigndom, &o->frame);
}

/*
 * *req, which is a plain update of page pt, and those behind it that are plain updates of the same
 * page, up to end: if that page is d's own and writable.  What comes next; NULL: it is not.
 */
static __always_inline const struct mmu_update *store_data(struct domain *d, struct page_info *pt,
                                                           const struct mmu_update *req,
                                                           const struct mmu_update *end)
{
    const struct mmu_update *r = req;

    if (unlikely(!lock_type_of(pt, PGT_writable, d)))
        return NULL;
    do
        WRITE_ONCE(*entry_at(pt, r->ptr), r->val);
    while (++r != end && !((r->ptr ^ req->ptr) & ~(PAGE_SIZE - sizeof(uint64_t))));
    type_unlock(pt, 0);
    return r;
}

/*
 * *req, of the kind SET_ENTRY or KEEP_AD (how), if it is quick: for d's own L1 table; *rc says
 * whether it could be done.  Or (SET_ENTRY) for a writable page of d's; then more of the same, up
 * to end.  Page faults are made of the former, fork() of the latter (a table is filled before it
 * is pinned): no more is done for them than has to be.  What comes next; NULL: it is neither, and
 * nothing has been done.
 */
static __always_inline const struct mmu_update *quick_update(struct domain *d,
                                                             const struct mmu_update *req,
                                                             const struct mmu_update *end,
                                                             enum entry_update how, int *rc)
{
    struct page_info *pt = guest_frame(req->ptr >> PAGE_SHIFT);
    uint64_t *e, word, old;

    *rc = 0;
    if (unlikely(!pt))
        return NULL;
    if (how == SET_ENTRY && pgt_type(READ_ONCE(pt->type)) == PGT_writable)
        return store_data(d, pt, req, end);
    word = lock_type_of(pt, PGT_l1, d);
    if (unlikely(!word))
        return NULL;
    e = entry_at(pt, req->ptr & ~7ULL);
    old = READ_ONCE(*e);
    *rc = update_locked_l1(pt, word, e, &old, req->val, how, d, d);
    return req + 1;
}

/* From req[*n] on; *n becomes the first that failed (-errno), or is no quick one, or count. */
static noinline int quick_updates(struct domain *d, const struct mmu_update *req, unsigned count,
                                  unsigned *n)
{
    const struct mmu_update *r, *next = NULL, *end = req + count;
    int rc = 0;

    for (r = req + *n; r != end; r = next) {
        if ((r->ptr & 7) == MMU_NORMAL_PT_UPDATE)
            next = quick_update(d, r, end, SET_ENTRY, &rc);
        else if ((r->ptr & 7) == MMU_PT_UPDATE_PRESERVE_AD)
            next = quick_update(d, r, end, KEEP_AD, &rc);
        else
            break;
        if (unlikely(!next) || unlikely(rc))
            break;
    }
    *n = r - req;
    return rc;
}

/* *n is how many were done: all, unless one fails or leaves something to be reaped. */
static int do_updates(struct vcpu *v, const struct mmu_update *req, unsigned count,
                      const struct owners *o, unsigned *n)
{
    bool own = o->frame == v->domain && o->table == v->domain;
    int rc;

    *n = 0;
    while (*n < count && likely(!v->arch.reap_table)) {
        if (likely(own)) {
            rc = quick_updates(v->domain, req, count, n);
            if (unlikely(rc) || likely(*n == count))
                return rc;
        }
        rc = do_update(v, &req[*n], o);
        if (unlikely(rc))
            return rc;
        ++*n;
        /* It may have undone a whole table.  Quick ones are short: a look after all of them. */
        if (*n < count && hypercall_preempt_check())
            return -ERESTART;
    }
    return 0;
}

/* Some of the next `left` elements, which are at addr: how many, or 0 on a fault. */
static unsigned read_updates(struct mmu_update *req, unsigned long addr, uint32_t left)
{
    unsigned count = min(left, (uint32_t)READ_AT_ONCE);

    if (likely(!copy_from_guest(req, addr, count * sizeof(*req))))
        return count;
    return copy_from_guest(req, addr, sizeof(*req)) ? 0 : 1;
}

/* A batch, or one element that has been read already (first). */
static noinline long update_batch(unsigned long ureqs, uint32_t count, unsigned long pdone,
                                  uint32_t foreigndom, const struct mmu_update *first)
{
    struct vcpu *v = current;
    struct owners o = {v->domain, v->domain};
    struct mmu_update req[READ_AT_ONCE];
    uint32_t done = 0, i = 0;
    bool again = mm_reap(v), ends;
    long rc = 0;

    if (unlikely(count & PREEMPTED)) {
        count &= ~PREEMPTED;
        if (pdone && copy_from_guest(&done, pdone, sizeof(done)))
            return -EFAULT;
        if (!count)
            rc = error_to_end_with(ureqs);
    }
    if (unlikely(foreigndom != DOMID_SELF)) {
        int bad = find_owners(foreigndom, &o);

        if (bad)
            return bad;
    }

    while (i < count && !again && !rc) {
        unsigned have = 1, n = 0;

        if (likely(!first))
            have = read_updates(req, ureqs + i * sizeof(*req), count - i);
        rc = have ? do_updates(v, first ?: req, have, &o, &n) : -EFAULT;
        i += n;
        again =
            rc == -ERESTART || (!rc && (mm_reap(v) || (i < count && hypercall_preempt_check())));
    }
    ends = i == count || (rc && rc != -ERESTART);
    if (ends)
        again = mm_reap(v);

    done += i;
    if (pdone && copy_to_guest(pdone, &done, sizeof(done)))
        return -EFAULT;
    if (unlikely(again)) {
        unsigned long args[4] = {ends ? (unsigned long)-rc : ureqs + i * sizeof(struct mmu_update),
                                 ends ? PREEMPTED : (count - i) | PREEMPTED, pdone, foreigndom};

        return hypercall_continue(__HYPERVISOR_mmu_update, 4, args);
    }
    return rc;
}

/* mmu_update (xen.h).  A single plain update does not go through the loop. */
long do_mmu_update(unsigned long ureqs, unsigned long count, unsigned long pdone,
                   unsigned long foreigndom)
{
    struct vcpu *v = current;
    struct mmu_update req;
    int rc;

    if (unlikely((uint32_t)count != 1) || unlikely((uint32_t)foreigndom != DOMID_SELF) ||
        unlikely(pdone) || unlikely(v->arch.reap_table))
        return update_batch(ureqs, count, pdone, foreigndom, NULL);
    if (unlikely(copy_from_guest(&req, ureqs, sizeof(req))))
        return -EFAULT;
    if (likely(!(req.ptr & 7)) && likely(quick_update(v->domain, &req, &req + 1, SET_ENTRY, &rc)))
        return rc;
    return update_batch(ureqs, 1, 0, DOMID_SELF, &req);
}

int vcpus_to_cpus(struct domain *d, uint64_t addr, cpumask_t *cpus)
{
    cpumask_clear(cpus);
    for (unsigned id = 0; id < d->max_vcpus; id += BITS_PER_LONG) {
        unsigned long word;

        word = 0;
        if (copy_from_guest(&word, addr + id / 8,
                            min(sizeof(word), (size_t)DIV_ROUND_UP(d->max_vcpus - id, 8))))
            return -EFAULT;
        for (; word; word &= word - 1) {
            struct vcpu *v = domain_vcpu(d, id + ffs_index(word));

            if (v)
                cpumask_or(cpus, cpus, &v->dirty_cpu_mask);
        }
    }
    return 0;
}

/* UVMF_*: which flush the guest wants along with the update. */
static int flush_as_asked(struct domain *d, unsigned long va, unsigned long flags)
{
    unsigned long which = flags & ~UVMF_FLUSHTYPE_MASK;
    cpumask_t cpus;

    flags &= UVMF_FLUSHTYPE_MASK;
    if (flags != UVMF_TLB_FLUSH && flags != UVMF_INVLPG)
        return 0;
    if (which == UVMF_LOCAL) {
        if (flags == UVMF_TLB_FLUSH)
            flush_tlb_local();
        else
            flush_tlb_one_local(va);
        return 0;
    }
    if (which == UVMF_ALL)
        cpus = d->dirty_cpus;
    else if (vcpus_to_cpus(d, which, &cpus))
        return -EFAULT;
    if (flags == UVMF_TLB_FLUSH)
        flush_tlb_mask(&cpus);
    else
        flush_tlb_one_mask(&cpus, va);
    return 0;
}

static long update_va(unsigned long va, uint64_t val, unsigned long flags,
                      struct domain *frame_owner)
{
    struct vcpu *v = current;
    struct owners o = {v->domain, frame_owner};
    struct page_info *held;
    uint64_t ptr;
    int rc;

    if (!walk_to_l1e(v, va, &ptr))
        return -EINVAL;
    rc = translate(&val, &o, &held);
    if (rc)
        return rc;
    rc = update_l1(guest_frame(ptr >> PAGE_SHIFT), ptr, val, SET_ENTRY, o.table, o.frame);
    if (unlikely(held != NULL))
        put_page(held);
    if (rc || !(flags & UVMF_FLUSHTYPE_MASK))
        return rc;
    return flush_as_asked(v->domain, va, flags);
}

long do_update_va_mapping(unsigned long va, unsigned long val, unsigned long flags)
{
    return update_va(va, val, flags, current->domain);
}

long do_update_va_mapping_otherdomain(unsigned long va, unsigned long val, unsigned long flags,
                                      unsigned long domid)
{
    struct domain *owner;
    int rc = frame_owner_by_id(domid, &owner);

    if (rc)
        return rc;
    if (owner == domid_io_d && !privileged_over(current->domain, owner))
        return -EPERM;
    return update_va(va, val, flags, owner);
}
