// SPDX-License-Identifier: MIT
/*
 * The heap: a binary buddy allocator over all RAM that boot did not keep for itself.
 *
 * Free memory is kept as chunks of 2^order frames, aligned to their size.  A chunk lies in one
 * node and one zone; zone z has the frames from 2^z up to 2^(z+1), so a limit on the address is
 * a highest zone, and low memory (short of which DMA is) is taken last.  Each node has a list for
 * every zone and order, and bit masks that tell which of them are not empty, so that an
 * allocation looks at a few words however much memory there is.
 *
 * Scrubbing.  Each free frame carries PAGE_DIRTY until it has been zeroed, and PAGE_STALE if some
 * TLB may still lead a guest to it.  Both are settled before the frame is given out: first the
 * TLBs of CPUs that have not flushed since tlb_stamp, then the contents (the other way round, the
 * guest could write after the scrubbing).  Idle CPUs do the same work ahead of time
 * (heap_scrub_idle) for frames that were in use (PAGE_USED; what has lain there since boot is left
 * until somebody wants it), a small piece at a time, taken off its list meanwhile.  The first page
 * of a free chunk has in `type` from which index on pages may be dirty, and may be used, which
 * makes splitting and joining cheap.
 *
 * heap_lock guards lists, masks and counts, and the claims of claim.c.  Frames that are off the
 * lists belong to the caller, so scrubbing and flushing are done without the lock.
 */
#include "mem/mem_private.h"
#include "arch/api/arch_mm.h"
#include "domain/domain.h"
#include "kernel/console.h"
#include "kernel/keyhandler.h"
#include "kernel/panic.h"
#include "kernel/softirq.h"
#include "lib/errno.h"
#include "lib/string.h"

#define NR_ZONES          32 /* frame numbers have 32 bits */
#define MAX_NODES         64
#define NO_PAGE           UINT32_MAX
#define SCRUB_PIECE_ORDER 6
/* Zeroing more than 2^9 frames at once would hold the CPU for too long. */
#define MAX_DIRTY_ORDER 9

struct chunk_list {
    uint32_t first, last; /* chunks that idle CPUs should scrub are at the back */
};

/* Indices of pages in a chunk (NO_PAGE: none): no page before it is PAGE_DIRTY, or PAGE_USED. */
struct hints {
    uint32_t dirty, used;
};

struct node_heap {
    uint32_t zones;            /* bit z: some list of zone z is not empty */
    uint32_t orders[NR_ZONES]; /* bit o: list [z][o] is not empty */
    struct chunk_list list[NR_ZONES][HEAP_MAX_ORDER + 1];
    uint64_t zone_free[NR_ZONES];
    uint64_t free, total;
    uint64_t used;       /* free pages with PAGE_USED; atomic */
    uint64_t start, end; /* frames spanned */
};

bool opt_bootscrub;

spinlock_t heap_lock = SPINLOCK_INIT(LOCK_HEAP);
static struct node_heap node0;
static struct node_heap *nodes[MAX_NODES] = {&node0};
static unsigned nr_nodes = 1;
static uint64_t total_free, total_pages;
static uint64_t scrubbing;   /* pages off their lists for heap_scrub_idle(), counted as free */
static unsigned scrub_abort; /* allocations that wait for those */

/* Which node a frame belongs to: runs of frames, by start. */
static struct node_run {
    uint32_t start, end;
    unsigned node;
} runs[2 * MAX_NODES];
static unsigned nr_runs;

static inline unsigned frame_zone(uint32_t f)
{
    return fls_index(f);
}

static inline unsigned chunk_order(const struct page_info *pg)
{
    return (pg->refs & PAGE_ORDER_MASK) >> PAGE_ORDER_SHIFT;
}

unsigned mfn_to_node(mfn_t mfn)
{
    uint64_t f = mfn_x(mfn);

    if (nr_nodes > 1)
        for (unsigned i = nr_runs; i--;)
            if (f >= runs[i].start)
                return runs[i].node;
    return 0;
}

/* --- lists --- */

static inline struct hints chunk_hints(const struct page_info *pg)
{
    return (struct hints){(uint32_t)pg->type, pg->type >> 32};
}

/* The hint of the lower or upper half of a chunk, halves being of that size; of two halves. */
static inline uint32_t hint_low(uint32_t hint, uint32_t size)
{
    return hint < size ? hint : NO_PAGE;
}

static inline uint32_t hint_high(uint32_t hint, uint32_t size)
{
    return hint == NO_PAGE ? NO_PAGE : hint < size ? 0 : hint - size;
}

static inline uint32_t hint_joined(uint32_t low, uint32_t high, uint32_t size)
{
    return low != NO_PAGE ? low : high != NO_PAGE ? high + size : NO_PAGE;
}

static void chunk_insert(struct node_heap *h, uint32_t f, unsigned order, struct hints hints)
{
    struct page_info *pg = frame_page(f);
    unsigned z = frame_zone(f);
    struct chunk_list *l = &h->list[z][order];

    pg->refs = (pg->refs & ~PAGE_ORDER_MASK) | PAGE_FREE | ((uint64_t)order << PAGE_ORDER_SHIFT);
    pg->type = ((uint64_t)hints.used << 32) | hints.dirty;
    if (!l->first) {
        pg->prev = pg->next = 0;
        l->first = l->last = f;
    } else if (hints.used == NO_PAGE) {
        pg->prev = 0;
        pg->next = l->first;
        frame_page(l->first)->prev = f;
        l->first = f;
    } else {
        pg->next = 0;
        pg->prev = l->last;
        frame_page(l->last)->next = f;
        l->last = f;
    }
    h->orders[z] |= 1u << order;
    h->zones |= 1u << z;
}

static void chunk_remove(struct node_heap *h, uint32_t f, unsigned order)
{
    struct page_info *pg = frame_page(f);
    unsigned z = frame_zone(f);
    struct chunk_list *l = &h->list[z][order];

    if (pg->prev)
        frame_page(pg->prev)->next = pg->next;
    else
        l->first = pg->next;
    if (pg->next)
        frame_page(pg->next)->prev = pg->prev;
    else
        l->last = pg->prev;
    if (!l->first) {
        h->orders[z] &= ~(1u << order);
        if (!h->orders[z])
            h->zones &= ~(1u << z);
    }
    pg->refs &= ~PAGE_ORDER_MASK;
}

/* Joins the chunk with its free buddies and puts it on its list. */
static void chunk_join(unsigned node, uint32_t f, unsigned order, struct hints hints)
{
    struct node_heap *h = nodes[node];

    while (order < HEAP_MAX_ORDER && order < frame_zone(f)) {
        uint32_t size = 1u << order, buddy = f ^ size;
        struct page_info *pg = frame_page(buddy);
        struct hints low, high;

        if (buddy >= max_page || !(pg->refs & PAGE_FREE) || chunk_order(pg) != order ||
            mfn_to_node(_mfn(buddy)) != node)
            break;
        low = buddy < f ? chunk_hints(pg) : hints;
        high = buddy < f ? hints : chunk_hints(pg);
        chunk_remove(h, buddy, order);
        hints.dirty = hint_joined(low.dirty, high.dirty, size);
        hints.used = hint_joined(low.used, high.used, size);
        f = min(f, buddy);
        order++;
    }
    chunk_insert(h, f, order, hints);
}

/*
 * Takes chunk f of order `from` off its list and cuts it down to order `to`, keeping the part
 * that has page index `at`; the rest goes back.  Returns that part, *hints being its.
 */
static uint32_t chunk_take(struct node_heap *h, uint32_t f, unsigned from, unsigned to, uint32_t at,
                           struct hints *hints)
{
    struct hints all = chunk_hints(frame_page(f));

    chunk_remove(h, f, from);
    while (from > to) {
        uint32_t size = 1u << --from;
        struct hints low = {hint_low(all.dirty, size), hint_low(all.used, size)};
        struct hints high = {hint_high(all.dirty, size), hint_high(all.used, size)};

        if (at < size) {
            chunk_insert(h, f + size, from, high);
            all = low;
        } else {
            chunk_insert(h, f, from, low);
            f += size;
            at -= size;
            all = high;
        }
    }
    *hints = all;
    return f;
}

/* Smallest chunk for an allocation, from the highest zone allowed; 0 if there is none. */
static uint32_t find_chunk(const struct node_heap *h, unsigned order, unsigned zone_max,
                           bool scrubbed, unsigned *found_order)
{
    uint32_t zones = h->zones & (uint32_t)((2ULL << zone_max) - 1);

    while (zones) {
        unsigned z = fls_index(zones);
        uint32_t orders = h->orders[z] & ~((1u << order) - 1);

        zones &= ~(1u << z);
        while (orders) {
            unsigned o = ffs_index(orders);
            uint32_t f = h->list[z][o].first;

            if (!scrubbed || chunk_hints(frame_page(f)).dirty >= 1u << order) {
                *found_order = o;
                return f;
            }
            orders &= orders - 1;
        }
    }
    return 0;
}

/* --- settling what a free frame's past demands --- */

/* Flushes the TLBs that may hold entries for these pages; false: that cannot be done here. */
static bool flush_stale(const struct page_info *pg, uint32_t first, uint32_t nr)
{
    cpumask_t need, mask;
    uint32_t stamp = 0;
    bool any = false;

    for (uint32_t i = first; i < nr; i++) {
        if (!(pg[i].refs & PAGE_STALE) || (any && pg[i].tlb_stamp == stamp))
            continue;
        if (!any)
            cpumask_clear(&need);
        any = true;
        stamp = pg[i].tlb_stamp;
        mask = cpu_online_map;
        tlb_filter(&mask, stamp);
        cpumask_or(&need, &need, &mask);
    }
    if (!any || cpumask_empty(&need))
        return true;
    /* Waiting for other CPUs with interrupts off could be waiting for each other. */
    if (!local_irq_is_enabled())
        return false;
    flush_tlb_mask(&need);
    return true;
}

static void free_pages_locked(uint32_t f, unsigned order, struct hints hints)
{
    unsigned node = mfn_to_node(_mfn(f));
    struct node_heap *h = nodes[node];

    h->free += 1ULL << order;
    h->zone_free[frame_zone(f)] += 1ULL << order;
    total_free += 1ULL << order;
    chunk_join(node, f, order, hints);
}

/* Makes pages just taken from a list ready for use; false if their TLB entries cannot be flushed,
 * and then they are free again.  Pages of that past are left as they are. */
static bool make_usable(struct page_info *pg, unsigned order, struct hints hints, unsigned memflags,
                        uint32_t past)
{
    const uint64_t allowed = PAGE_DIRTY | PAGE_STALE | PAGE_USED | PAGE_FREE;
    uint32_t nr = 1u << order, used = 0;
    unsigned long flags;

    if (hints.dirty != NO_PAGE && !flush_stale(pg, hints.dirty, nr)) {
        spin_lock_irqsave(&heap_lock, flags);
        free_pages_locked(page_frame(pg), order, hints);
        spin_unlock_irqrestore(&heap_lock, flags);
        return false;
    }
    for (uint32_t i = 0; i < nr; i++) {
        BUG_ON(pg[i].refs & ~allowed);
        if ((pg[i].refs & PAGE_DIRTY) && !(memflags & MEMF_NO_SCRUB) &&
            (!pg[i].owner || pg[i].owner != past))
            memset(page_to_virt(pg + i), 0, PAGE_SIZE);
        used += !!(pg[i].refs & PAGE_USED);
        pg[i].refs = 0;
        pg[i].type = 0;
        pg[i].owner = 0;
        pg[i].next = pg[i].prev = 0;
    }
    if (used)
        __atomic_fetch_sub(&nodes[mfn_to_node(page_to_mfn(pg))]->used, used, __ATOMIC_RELAXED);
    return true;
}

/* --- allocation --- */

/* Takes the part of free chunk f of order `from` that begins at index `at`. */
static struct page_info *take_from(struct node_heap *h, uint32_t f, unsigned from, unsigned order,
                                   uint32_t at, struct hints *hints)
{
    f = chunk_take(h, f, from, order, at, hints);
    frame_page(f)->refs &= ~PAGE_FREE;
    h->free -= 1ULL << order;
    h->zone_free[frame_zone(f)] -= 1ULL << order;
    total_free -= 1ULL << order;
    return frame_page(f);
}

/* Frames from f on, if they are free. */
static struct page_info *take_at(uint32_t f, unsigned order, unsigned zone_max, struct hints *hints)
{
    for (unsigned o = order; f < max_page && o <= HEAP_MAX_ORDER; o++) {
        uint32_t head = f & ~((1u << o) - 1);
        const struct page_info *pg = frame_page(head);

        /* Inside a chunk pages have no order, and so none is taken for a head. */
        if (head && (pg->refs & PAGE_FREE) && chunk_order(pg) == o && frame_zone(head) <= zone_max)
            return take_from(nodes[mfn_to_node(_mfn(head))], head, o, order, f - head, hints);
    }
    return NULL;
}

static struct page_info *take_pages(unsigned order, unsigned memflags, uint32_t near,
                                    struct hints *hints)
{
    unsigned bits = memflags >> 16, zone_max = NR_ZONES - 1, wanted = memflags & 0xff, o;
    bool scrubbed = order > MAX_DIRTY_ORDER && !(memflags & MEMF_NO_SCRUB);
    unsigned first = wanted && wanted <= nr_nodes ? wanted - 1 : 0;
    unsigned tries = memflags & MEMF_EXACT_NODE ? 1 : nr_nodes;
    struct page_info *pg = NULL;

    if (bits && bits <= PAGE_SHIFT)
        return NULL;
    if (bits && bits - PAGE_SHIFT - 1 < zone_max)
        zone_max = bits - PAGE_SHIFT - 1;
    if (unlikely(near) && near != HEAP_RUN && !(wanted && mfn_to_node(_mfn(near)) != first))
        pg = take_at(near, order, zone_max, hints);
    for (unsigned i = 0; !pg && i < tries; i++) {
        struct node_heap *h = nodes[(first + i) % nr_nodes];
        uint32_t f = 0;

        if (h && near == HEAP_RUN)
            f = find_chunk(h, HEAP_MAX_ORDER, zone_max, false, &o);
        if (!f && h && h->free >> order)
            f = find_chunk(h, order, zone_max, scrubbed, &o);
        if (f)
            pg = take_from(h, f, o, order, 0, hints);
    }
    return pg;
}

/* Waits until idle CPUs have put back what they hold, and tries again: it may be just what is
 * missing. */
static struct page_info *take_from_scrubbers(const struct domain *d, unsigned order,
                                             unsigned memflags, struct hints *hints)
{
    struct page_info *pg = NULL;

    spin_lock_irq(&heap_lock);
    scrub_abort++;
    while (scrubbing) {
        spin_unlock_irq(&heap_lock);
        /* Who scrubs may wait for this CPU to flush its TLB: interrupts have to come.  Not at once
         * with PAUSE, which prolongs the shadow of STI on QEMU (docs/limits.md). */
        while (READ_ONCE(scrubbing))
            cpu_relax();
        spin_lock_irq(&heap_lock);
    }
    scrub_abort--;
    if (claims_allow(d, 1ULL << order, total_free))
        pg = take_pages(order, memflags, 0, hints);
    spin_unlock_irq(&heap_lock);
    return pg;
}

struct page_info *heap_alloc_for(const struct domain *d, unsigned order, unsigned memflags,
                                 uint32_t near)
{
    struct page_info *pg = NULL;
    unsigned long flags;
    struct hints hints;
    bool retry;

    if (order > HEAP_MAX_ORDER)
        return NULL;
    spin_lock_irqsave(&heap_lock, flags);
    if (claims_allow(d, 1ULL << order, total_free))
        pg = take_pages(order, memflags, near, &hints);
    retry = !pg && scrubbing;
    spin_unlock_irqrestore(&heap_lock, flags);
    if (retry && local_irq_is_enabled())
        pg = take_from_scrubbers(d, order, memflags, &hints);
    return pg && make_usable(pg, order, hints, memflags, d ? d->mem.past : 0) ? pg : NULL;
}

/* The part of a chunk of 2^order frames, from the first dirty one on, that is zeroed in one go. */
static void scrub_some(struct page_info *pg, unsigned order, struct hints *hints)
{
    uint32_t nr = 1u << order, i = hints->dirty, end, used = 0;

    end = min(nr, i + (1u << MAX_DIRTY_ORDER));
    for (; i < end; i++) {
        if (pg[i].refs & PAGE_DIRTY)
            memset(page_to_virt(pg + i), 0, PAGE_SIZE);
        used += !!(pg[i].refs & PAGE_USED);
        pg[i].refs &= ~(PAGE_DIRTY | PAGE_STALE | PAGE_USED);
    }
    __atomic_fetch_sub(&nodes[mfn_to_node(page_to_mfn(pg))]->used, used, __ATOMIC_RELAXED);
    hints->dirty = end < nr ? end : NO_PAGE;
    if (hints->used != NO_PAGE && hints->used < end)
        hints->used = hints->dirty;
}

int heap_prepare(const struct domain *d, unsigned order, unsigned memflags)
{
    struct page_info *pg = NULL;
    bool mine, flushed;
    struct hints hints;
    int rc = -ENOMEM;

    spin_lock_irq(&heap_lock);
    if (claims_allow(d, 1ULL << order, total_free)) {
        pg = take_pages(order, memflags, 0, &hints); /* as the allocation will choose */
        if (pg)
            rc = 0;
        else if ((pg = take_pages(order, memflags | MEMF_NO_SCRUB, 0, &hints)))
            rc = -ERESTART;
    }
    /* Off its list, and free all the same: nobody has to do without, nor wait for long. */
    mine = rc == -ERESTART && !scrub_abort;
    if (mine)
        scrubbing += 1ULL << order;
    else if (pg)
        free_pages_locked(page_frame(pg), order, hints);
    spin_unlock_irq(&heap_lock);
    if (!mine)
        return rc;

    flushed = flush_stale(pg, hints.dirty, min(1u << order, hints.dirty + (1u << MAX_DIRTY_ORDER)));
    if (flushed)
        scrub_some(pg, order, &hints);
    spin_lock_irq(&heap_lock);
    scrubbing -= 1ULL << order;
    free_pages_locked(page_frame(pg), order, hints);
    spin_unlock_irq(&heap_lock);
    return flushed ? -ERESTART : -ENOMEM;
}

struct page_info *heap_alloc(unsigned order, unsigned memflags)
{
    return heap_alloc_for(NULL, order, memflags, 0);
}

static void free_frames(struct page_info *pg, unsigned order, uint32_t past)
{
    uint32_t nr = 1u << order;
    unsigned long flags;

    BUG_ON(page_frame(pg) & (nr - 1));
    for (uint32_t i = 0; i < nr; i++) {
        BUG_ON((pg[i].refs & ~PAGE_STALE) || pg[i].owner);
        /* The first page becomes PAGE_FREE only under the lock, when it is on a list. */
        pg[i].refs |= PAGE_DIRTY | PAGE_USED | (i ? PAGE_FREE : 0);
        pg[i].type = 0;
        pg[i].owner = past;
    }
    __atomic_fetch_add(&nodes[mfn_to_node(page_to_mfn(pg))]->used, nr, __ATOMIC_RELAXED);
    spin_lock_irqsave(&heap_lock, flags);
    free_pages_locked(page_frame(pg), order, (struct hints){0, 0});
    spin_unlock_irqrestore(&heap_lock, flags);
}

void heap_free(struct page_info *pg, unsigned order)
{
    free_frames(pg, order, 0);
}

void heap_free_past(struct page_info *pg, uint32_t past)
{
    free_frames(pg, 0, past);
}

void *alloc_page_virt(void)
{
    struct page_info *pg = heap_alloc(0, 0);

    return pg ? page_to_virt(pg) : NULL;
}

void free_page_virt(void *va)
{
    if (va)
        heap_free(virt_to_page(va), 0);
}

/* --- idle scrubbing --- */

/* A piece with used pages off its list, of order *order; NULL: there are none. */
static struct page_info *take_used_piece(unsigned *order, struct hints *hints)
{
    for (unsigned n = 0; n < nr_nodes; n++) {
        struct node_heap *h = nodes[n];
        uint32_t zones = h && READ_ONCE(h->used) ? h->zones : 0;

        for (; zones; zones &= ~(1u << fls_index(zones))) {
            unsigned z = fls_index(zones);
            uint32_t orders = h->orders[z];

            for (; orders; orders &= orders - 1) {
                unsigned o = ffs_index(orders);
                uint32_t f = h->list[z][o].last, at = chunk_hints(frame_page(f)).used;

                if (at == NO_PAGE)
                    continue;
                *order = min(o, (unsigned)SCRUB_PIECE_ORDER);
                f = chunk_take(h, f, o, *order, at, hints);
                frame_page(f)->refs &= ~PAGE_FREE;
                return frame_page(f);
            }
        }
    }
    return NULL;
}

/* Scrubs the used pages of a piece until somebody needs this CPU or the memory. */
static struct hints scrub_piece(struct page_info *pg, uint32_t nr, struct hints hints,
                                uint32_t *done)
{
    struct hints left = {NO_PAGE, NO_PAGE};
    bool stop = !flush_stale(pg, hints.used, nr);

    for (uint32_t i = 0; i < nr; i++) {
        stop = stop || softirq_pending(smp_processor_id()) || READ_ONCE(scrub_abort);
        if (!stop && (pg[i].refs & PAGE_USED)) {
            memset(page_to_virt(pg + i), 0, PAGE_SIZE);
            pg[i].refs &= ~(PAGE_DIRTY | PAGE_STALE | PAGE_USED);
            ++*done;
        }
        if ((pg[i].refs & PAGE_DIRTY) && left.dirty == NO_PAGE)
            left.dirty = i;
        if ((pg[i].refs & PAGE_USED) && left.used == NO_PAGE)
            left.used = i;
    }
    return left;
}

bool heap_scrub_idle(void)
{
    struct page_info *pg;
    struct hints hints;
    unsigned order, node;
    uint32_t done = 0;

    if (!heap_scrub_pages())
        return false;
    /* If others are at the heap already, one more would only stand in their way. */
    local_irq_disable();
    if (!spin_trylock(&heap_lock)) {
        local_irq_enable();
        return false;
    }
    pg = scrub_abort ? NULL : take_used_piece(&order, &hints);
    if (pg)
        scrubbing += 1u << order;
    spin_unlock_irq(&heap_lock);
    if (!pg)
        return false;

    hints = scrub_piece(pg, 1u << order, hints, &done);
    node = mfn_to_node(page_to_mfn(pg));
    __atomic_fetch_sub(&nodes[node]->used, done, __ATOMIC_RELAXED);
    spin_lock_irq(&heap_lock);
    scrubbing -= 1u << order;
    chunk_join(node, page_frame(pg), order, hints);
    spin_unlock_irq(&heap_lock);
    return true;
}

/* --- setting up --- */

static void add_run(uint32_t start, uint32_t end, unsigned node)
{
    unsigned i = nr_runs;

    while (i && runs[i - 1].start > start)
        i--;
    if (i && runs[i - 1].node == node) {
        if (runs[i - 1].end < end)
            runs[i - 1].end = end;
        return;
    }
    if (i < nr_runs && runs[i].node == node) {
        runs[i].start = start;
        return;
    }
    if (nr_runs == ARRAY_SIZE(runs)) {
        printk(KERN_WARN "Memory: too many node boundaries; node %u's is taken for another's\n",
               node);
        return;
    }
    memmove(runs + i + 1, runs + i, (nr_runs - i) * sizeof(runs[0]));
    runs[i] = (struct node_run){start, end, node};
    nr_runs++;
}

void heap_add_range(mfn_t first, mfn_t last, unsigned node)
{
    uint64_t f = max(mfn_x(first), (uint64_t)1), end = min(mfn_x(last), (uint64_t)UINT32_MAX);
    uint64_t past = PAGE_DIRTY | (opt_bootscrub ? PAGE_USED : 0);
    struct node_heap *h;
    unsigned long flags;

    if (node >= MAX_NODES)
        node = 0;
    if (end > max_page)
        end = max_page;
    if (f >= end)
        return;
    if (!nodes[node]) {
        uint64_t pages = DIV_ROUND_UP(sizeof(*h), PAGE_SIZE);

        if (end - f <= pages)
            return;
        h = mfn_to_virt(_mfn(f));
        memset(h, 0, sizeof(*h));
        f += pages;
        nodes[node] = h;
    }
    h = nodes[node];
    if (!h->total || f < h->start)
        h->start = f;
    if (end > h->end)
        h->end = end;
    spin_lock_irqsave(&heap_lock, flags);
    add_run(f, end, node);
    nr_nodes = max(nr_nodes, node + 1);
    node = mfn_to_node(_mfn(f));
    h = nodes[node];
    while (f < end) {
        unsigned order = min((unsigned)ffs_index(f), (unsigned)HEAP_MAX_ORDER);

        while (f + (1ULL << order) > end)
            order--;
        for (uint32_t i = 0; i < 1u << order; i++)
            *frame_page(f + i) = (struct page_info){.refs = past | (i ? PAGE_FREE : 0)};
        h->total += 1ULL << order;
        total_pages += 1ULL << order;
        if (opt_bootscrub)
            h->used += 1ULL << order;
        free_pages_locked(f, order, (struct hints){0, opt_bootscrub ? 0 : NO_PAGE});
        f += 1ULL << order;
    }
    spin_unlock_irqrestore(&heap_lock, flags);
}

/* --- figures --- */

uint64_t heap_free_pages(void)
{
    return READ_ONCE(total_free);
}

uint64_t heap_total_pages(void)
{
    return READ_ONCE(total_pages);
}

unsigned heap_nr_nodes(void)
{
    return nr_nodes;
}

uint64_t heap_scrub_pages(void)
{
    uint64_t n = 0;

    for (unsigned i = 0; i < nr_nodes; i++)
        if (nodes[i])
            n += READ_ONCE(nodes[i]->used);
    return n;
}

uint64_t heap_total_pages_node(unsigned node)
{
    return node < nr_nodes && nodes[node] ? READ_ONCE(nodes[node]->total) : 0;
}

void heap_node_span(unsigned node, uint64_t *start, uint64_t *frames)
{
    const struct node_heap *h = node < nr_nodes ? nodes[node] : NULL;

    *start = h ? h->start : 0;
    *frames = h ? h->end - h->start : 0;
}

uint64_t heap_free_pages_node(unsigned node, unsigned min_bits, unsigned max_bits)
{
    unsigned lo = min_bits > PAGE_SHIFT ? min_bits - PAGE_SHIFT - 1 : 0;
    unsigned hi = max_bits > PAGE_SHIFT ? max_bits - PAGE_SHIFT - 1 : 0;
    uint64_t n = 0;

    if (!max_bits || hi >= NR_ZONES)
        hi = NR_ZONES - 1;
    for (unsigned i = 0; i < nr_nodes; i++)
        if (nodes[i] && (node == ~0u || node == i))
            for (unsigned z = lo; z <= hi; z++)
                n += READ_ONCE(nodes[i]->zone_free[z]);
    return n;
}

static void dump_heap(unsigned char key)
{
    (void)key;
    printk("  %lu of %lu pages free, %lu to be scrubbed, %lu claimed\n", total_free, total_pages,
           heap_scrub_pages(), heap_outstanding_claims());
    for (unsigned i = 0; i < nr_nodes; i++) {
        const struct node_heap *h = nodes[i];

        for (unsigned z = 0; h && z < NR_ZONES; z++)
            if (h->zone_free[z])
                printk("  node %u, below 2^%u: %lu pages free, orders %#x\n", i, z + 1 + PAGE_SHIFT,
                       h->zone_free[z], h->orders[z]);
    }
}

void heap_init(void)
{
    keyhandler_register('m', dump_heap, "free memory by node and address");
}
