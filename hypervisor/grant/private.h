// SPDX-License-Identifier: MIT
/* Grant tables: what only this room sees.  The essay is at the top of table.c. */
#pragma once
#include "lib/bitops.h"
#include "lib/errno.h"
#include "domain/domain.h"
#include "grant/grant.h"
#include "kernel/lock.h"
#include "kernel/rcu.h"

/* Inside LOCK_GRANT's range: the table's lock, then an entry's; the free lists' stand alone. */
#define LOCK_ENTRY    ((enum lock_level)(LOCK_GRANT + 2))
#define LOCK_MAPTRACK ((enum lock_level)(LOCK_GRANT + 4))

enum grant_kind { KIND_full, KIND_sub_page, KIND_transitive };

/* What of an entry others use: copied from the shared entry when it is pinned first. */
struct grant_view {
    domid_t user;           /* who uses it */
    uint16_t kind;          /* enum grant_kind */
    uint16_t start, length; /* bytes of the page that may be copied */
    uint64_t frame;         /* the granter's gfn; transitive: its domain << 32 | reference */
};

/* The hypervisor's half of an entry.  Guarded by lock. */
struct active {
    spinlock_t lock;           /* LOCK_ENTRY; two of a table: by reference */
    uint32_t readers, writers; /* pins: mappings and copies under way */
    struct grant_view view;    /* while pinned */
};
BUILD_BUG_ON(sizeof(struct active) != 32);

/* A mapping that a domain has made; the handle is its number.  16 bytes. */
struct maptrack {
    uint32_t granter; /* domain_frame() of the granter, referenced */
    uint32_t mfn;     /* the page, referenced (and its writable type unless GNTMAP_readonly) */
    uint32_t ref;     /* free: handle + 1 of the next free one, 0: last */
    uint32_t flags;   /* GNTMAP_* of what is mapped; MAP_BUSY; 0: free.  Compare-and-exchange. */
};
#define MAP_BUSY 0x8000u /* claimed: being made or unmade */
BUILD_BUG_ON(sizeof(struct maptrack) != 16);

struct maptrack_list {
    spinlock_t lock; /* LOCK_MAPTRACK */
    uint32_t first;  /* handle + 1, 0: empty */
    /* A search of this vcpu's that gave way (cache.c): for which frame, and how far it came. */
    uint32_t sought, searched;
};

#define ENTRIES_V1        ((uint32_t)(PAGE_SIZE / sizeof(struct grant_entry_v1)))
#define ENTRIES_V2        ((uint32_t)(PAGE_SIZE / sizeof(union grant_entry_v2)))
#define STATUS_PER_PAGE   ((uint32_t)(PAGE_SIZE / sizeof(grant_status_t)))
#define ACTIVES_PER_PAGE  ((uint32_t)(PAGE_SIZE / sizeof(struct active)))
#define MAPTRACK_PER_PAGE ((uint32_t)(PAGE_SIZE / sizeof(struct maptrack)))
/* Pages of struct active for a page of shared entries (version 1 has the more). */
#define ACTIVE_PAGES (ENTRIES_V1 / ACTIVES_PER_PAGE)

/* What the tools may allow at most: what goes over all frames at once stays within 1 ms. */
#define MOST_FRAMES   1024u
#define MOST_MAPTRACK 4096u

/* A change of the version under way (version.c). */
enum change {
    CHANGE_NONE,
    CHANGE_SCANNING, /* is anything pinned? */
    CHANGE_SPOILED,  /* something has been since */
    CHANGE_MAKING,   /* nothing can be pinned now; no longer than a hypercall */
    CHANGE_GONE,     /* the domain dies: what it shared is not touched any more */
};

struct grant_table {
    spinlock_t lock;  /* LOCK_GRANT: growth, version, the fields from here to status */
    uint32_t change;  /* enum change; SCANNING to others by compare-and-exchange */
    uint32_t scanned; /* while SCANNING: entries below were idle; GONE: nobody is at them */
    unsigned version; /* 1 or 2; constant for who has pinned an entry that is not reserved */
    unsigned max_version;
    unsigned max_frames;
    unsigned nr_frames; /* only grows; read unlocked */
    unsigned unshared;  /* while GONE: frames below are given up */
    unsigned nr_status; /* version 2 */
    void **shared;      /* [max_frames]: pages of entries, shared with the guest */
    grant_status_t **status;
    struct active **active; /* [max_frames * ACTIVE_PAGES] */

    unsigned max_maptrack; /* pages */
    unsigned nr_maptrack;  /* only grows, under lock; read unlocked */
    struct maptrack **maptrack;
    struct maptrack_list *free_maps; /* [nr_lists], one a vcpu */
    unsigned nr_lists;
    uint32_t relinquished;   /* handles below are gone: progress of destruction */
    uint32_t mapped;         /* atomic: handles in use */
    unsigned looked_at;      /* pages of struct active: the same */
    bool quiet_asked, quiet; /* nobody looks at entries who has found the domain alive */
    struct rcu_head rcu;
};

static inline uint32_t entries_of(const struct grant_table *t, unsigned version)
{
    return READ_ONCE(t->nr_frames) * (version == 2 ? ENTRIES_V2 : ENTRIES_V1);
}

static inline struct active *active_entry(const struct grant_table *t, uint32_t ref)
{
    return &t->active[ref / ACTIVES_PER_PAGE][ref % ACTIVES_PER_PAGE];
}

/* table.c */
/* The half of entry ref that is ours, locked; NULL: no such in either version. */
struct active *grant_lock_entry(struct grant_table *t, uint32_t ref);
/* Status pages for so many frames.  Under the table's lock. */
int grant_grow_status(struct domain *d, unsigned frames);

/* version.c */
/* A change of the version is under way: may entry ref, locked, be used?  Then it waits. */
bool grant_spoil_change(struct grant_table *t, uint32_t ref);
void grant_drop_status(struct grant_table *t);

static inline struct grant_entry_v1 *entry_v1(const struct grant_table *t, uint32_t ref)
{
    return (struct grant_entry_v1 *)t->shared[ref / ENTRIES_V1] + ref % ENTRIES_V1;
}

static inline union grant_entry_v2 *entry_v2(const struct grant_table *t, uint32_t ref)
{
    return (union grant_entry_v2 *)t->shared[ref / ENTRIES_V2] + ref % ENTRIES_V2;
}

static inline grant_status_t *entry_status(const struct grant_table *t, uint32_t ref)
{
    return &t->status[ref / STATUS_PER_PAGE][ref % STATUS_PER_PAGE];
}

/*
 * The version in which entry ref, locked, is to be read: it stays until the entry is unlocked or,
 * if it is pinned meanwhile, unpinned.  GNTST_* if there is no such entry in that version, or while
 * it changes.
 */
static inline int grant_entry_version(struct grant_table *t, uint32_t ref)
{
    unsigned version;

    if (unlikely(__atomic_load_n(&t->change, __ATOMIC_ACQUIRE)) && !grant_spoil_change(t, ref))
        return GNTST_eagain;
    version = READ_ONCE(t->version);
    return ref < entries_of(t, version) ? (int)version : GNTST_bad_gntref;
}

/* entry.c */
/*
 * Pins entry ref of rd for user: as long as it is pinned the entry tells the guest so, and the view
 * does not change.  copy: entries for copying only will do, too.  GNTST_*.
 */
int grant_pin(struct domain *rd, uint32_t ref, domid_t user, bool readonly, bool copy,
              struct grant_view *view);
void grant_unpin(struct domain *rd, uint32_t ref, bool readonly);

/* map.c */
int maptrack_init(struct grant_table *t, unsigned lists);
void maptrack_free(struct grant_table *t);
/* Of a handle; NULL: no such. */
struct maptrack *maptrack_at(const struct grant_table *t, uint32_t handle);

static inline struct maptrack_list *maptrack_list_of(struct grant_table *t, const struct vcpu *v)
{
    return &t->free_maps[v->vcpu_id < t->nr_lists ? v->vcpu_id : 0];
}

/* Undoes all mappings that d has made, its page tables aside; -ERESTART. */
int maptrack_relinquish(struct domain *d);
