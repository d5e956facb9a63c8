// SPDX-License-Identifier: MIT
/*
 * Allocations of bytes.
 *
 * Up to half a page they come from slabs: pages cut into objects of one size.  A slab's page_info
 * describes it while it is the hypervisor's: refs has PAGE_HYP_BYTES, `type` the state below, and
 * next/prev link the slabs of that size that have a free object.  Free objects are linked through
 * their first two bytes.  A slab whose objects are all free goes back to the heap at once, except
 * for one of each size, so that a loop of allocating and freeing does not pay for it.
 *
 * Larger ones are whole pages: as many as needed, the rest of the power of two being given back.
 * Their first page_info has PAGE_HYP_BYTES and the number of pages in `type`.
 *
 * slab_lock guards the slabs.  The heap is called without it.
 */
#include "mem/mem.h"
#include "kernel/panic.h"
#include "lib/bitops.h"
#include "lib/string.h"

#define TYPE_SLAB  (1ULL << 63)
#define SLAB_CLASS 0  /* bits 0..7 */
#define SLAB_USED  8  /* bits 8..23: objects in use */
#define SLAB_FREE  24 /* bits 24..39: offset of the first free object, NO_OBJECT: none */
#define NO_OBJECT  0xffff
#define MIN_SHIFT  4
#define NR_CLASSES 8 /* 16 to 2048 bytes */

static spinlock_t slab_lock = SPINLOCK_INIT(LOCK_HEAP);
static uint32_t partial[NR_CLASSES]; /* slabs (frames) with free objects */
static unsigned empty[NR_CLASSES];   /* how many of them are all free */
static struct xalloc_use in_use;

static inline struct page_info *frame_page(uint32_t f)
{
    return mfn_to_page(_mfn(f));
}

static inline uint64_t slab_word(unsigned class, unsigned used, unsigned first)
{
    return TYPE_SLAB | ((uint64_t) class << SLAB_CLASS) | ((uint64_t)used << SLAB_USED) |
           ((uint64_t)first << SLAB_FREE);
}

static void slab_link(struct page_info *pg, unsigned class)
{
    uint32_t f = mfn_x(page_to_mfn(pg));

    pg->prev = 0;
    pg->next = partial[class];
    if (pg->next)
        frame_page(pg->next)->prev = f;
    partial[class] = f;
}

static void slab_unlink(struct page_info *pg, unsigned class)
{
    if (pg->prev)
        frame_page(pg->prev)->next = pg->next;
    else
        partial[class] = pg->next;
    if (pg->next)
        frame_page(pg->next)->prev = pg->prev;
    pg->next = pg->prev = 0;
}

/* Cuts a fresh page into objects. */
static void slab_init(struct page_info *pg, unsigned class)
{
    char *va = page_to_virt(pg);
    unsigned size = 1u << (MIN_SHIFT + class);

    for (unsigned off = 0; off < PAGE_SIZE; off += size)
        *(uint16_t *)(va + off) = off + size < PAGE_SIZE ? off + size : NO_OBJECT;
    pg->refs = PAGE_HYP_BYTES;
    pg->type = slab_word(class, 0, 0);
}

static void *slab_alloc(unsigned class)
{
    struct page_info *pg, *fresh = NULL;
    unsigned used, first;
    unsigned long flags;
    void *obj;

    spin_lock_irqsave(&slab_lock, flags);
    if (!partial[class]) {
        spin_unlock_irqrestore(&slab_lock, flags);
        fresh = heap_alloc(0, 0);
        if (!fresh)
            return NULL;
        slab_init(fresh, class);
        spin_lock_irqsave(&slab_lock, flags);
        slab_link(fresh, class);
        empty[class]++;
        in_use.slabs++;
    }
    pg = frame_page(partial[class]);
    used = (pg->type >> SLAB_USED) & 0xffff;
    first = (pg->type >> SLAB_FREE) & 0xffff;
    obj = (char *)page_to_virt(pg) + first;
    if (!used)
        empty[class]--;
    first = *(uint16_t *)obj;
    if (first == NO_OBJECT)
        slab_unlink(pg, class);
    pg->type = slab_word(class, used + 1, first);
    in_use.objects++;
    spin_unlock_irqrestore(&slab_lock, flags);
    memset(obj, 0, 1u << (MIN_SHIFT + class));
    return obj;
}

struct xalloc_use xalloc_in_use(void)
{
    struct xalloc_use now;
    unsigned long flags;

    spin_lock_irqsave(&slab_lock, flags);
    now = in_use;
    spin_unlock_irqrestore(&slab_lock, flags);
    return now;
}

static void slab_free(struct page_info *pg, void *obj)
{
    unsigned class = pg->type & 0xff, used, first, off = (uintptr_t)obj & (PAGE_SIZE - 1);
    struct page_info *spare = NULL;
    unsigned long flags;

    spin_lock_irqsave(&slab_lock, flags);
    used = (pg->type >> SLAB_USED) & 0xffff;
    first = (pg->type >> SLAB_FREE) & 0xffff;
    BUG_ON(!used || first == off || (off & ((1u << (MIN_SHIFT + class)) - 1)));
    *(uint16_t *)obj = first;
    if (first == NO_OBJECT)
        slab_link(pg, class);
    pg->type = slab_word(class, used - 1, off);
    in_use.objects--;
    if (used == 1 && ++empty[class] > 1) {
        slab_unlink(pg, class);
        empty[class]--;
        in_use.slabs--;
        pg->refs = 0;
        spare = pg;
    }
    spin_unlock_irqrestore(&slab_lock, flags);
    if (spare)
        heap_free(spare, 0);
}

/* Frees frames [f, f + nr) in aligned powers of two. */
static void free_run(struct page_info *pg, uint64_t nr)
{
    while (nr) {
        unsigned order = min(ffs_index(mfn_x(page_to_mfn(pg))), fls_index(nr));

        order = min(order, (unsigned)HEAP_MAX_ORDER);
        heap_free(pg, order);
        pg += 1UL << order;
        nr -= 1UL << order;
    }
}

static void *pages_alloc(size_t bytes)
{
    uint64_t nr = (bytes + PAGE_SIZE - 1) >> PAGE_SHIFT;
    unsigned order = nr > 1 ? fls_index(nr - 1) + 1 : 0;
    struct page_info *pg;

    if (bytes > ((size_t)PAGE_SIZE << HEAP_MAX_ORDER))
        return NULL;
    pg = heap_alloc(order, 0);
    if (!pg)
        return NULL;
    free_run(pg + nr, (1UL << order) - nr);
    pg->refs = PAGE_HYP_BYTES;
    pg->type = nr;
    return page_to_virt(pg);
}

void *xzalloc_bytes(size_t n, size_t size)
{
    size_t bytes;

    if (__builtin_mul_overflow(n, size, &bytes))
        return NULL;
    if (bytes > PAGE_SIZE / 2)
        return pages_alloc(bytes);
    return slab_alloc(bytes > 1u << MIN_SHIFT ? fls_index(bytes - 1) + 1 - MIN_SHIFT : 0);
}

void xfree(void *p)
{
    struct page_info *pg;
    uint64_t nr;

    if (!p)
        return;
    pg = virt_to_page(p);
    BUG_ON(pg->refs != PAGE_HYP_BYTES);
    if (pg->type & TYPE_SLAB) {
        slab_free(pg, p);
        return;
    }
    BUG_ON((uintptr_t)p & (PAGE_SIZE - 1));
    nr = pg->type;
    pg->refs = 0;
    pg->type = 0;
    free_run(pg, nr);
}
