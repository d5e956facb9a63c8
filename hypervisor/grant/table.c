// SPDX-License-Identifier: MIT
/*
 * Grant tables.
 *
 * A domain (the granter) shares with the hypervisor pages of entries, in which it says which
 * other domain may use which of its pages.  For each entry there is a struct active, the
 * hypervisor's half.  An entry is in one of these states:
 *   idle     readers and writers 0: the guest may change it at will
 *   pinned   mapped or being copied, by one domain: GTF_reading (and GTF_writing) are set in the
 *            entry or, in version 2, in its status word, and the guest leaves the entry alone.
 *            One that does not cheats nobody but itself: what was read when the entry was pinned
 *            first (struct grant_view) is what counts.
 * entry.c pins and unpins; map.c maps, copy.c copies, transfer.c gives pages away.
 *
 * A mapping is a handle of the domain that made it (struct maptrack).  It holds a pin, a reference
 * of the page, the page's writable type if it may write, and a reference of the granter, whose
 * table so outlives the mapping.  A dying granter gets no new mappings; a dying mapper's are
 * undone by its relinquish hook, and what its page tables still refer to goes with them.
 *
 * Locks: an entry's lock guards its struct active and what the hypervisor writes to the shared
 * entry.  The table's lock guards growth and version; a table only grows, and nr_frames is
 * published last, so that look-ups take no lock.  Before the version changes, `changing` forbids
 * pinning, and every entry's lock is taken once: who pinned before is seen.
 * Page types, page tables and p2m come before LOCK_GRANT: no lock of ours is held around them.
 */
#include "grant/private.h"
#include "boot/cmdline.h"
#include "domain/unit.h"
#include "hypercall/compat.h"
#include "hypercall/handlers.h"
#include "kernel/console.h"
#include "kernel/keyhandler.h"

/* --- look-up --- */

static uint32_t entries_of(const struct grant_table *t, unsigned version)
{
    return READ_ONCE(t->nr_frames) * (version == 2 ? ENTRIES_V2 : ENTRIES_V1);
}

/* Entries of t in its present version. */
static uint32_t grant_entries(const struct grant_table *t)
{
    return entries_of(t, READ_ONCE(t->version));
}

static struct active *active_entry(const struct grant_table *t, uint32_t ref)
{
    return &t->active[ref / ACTIVES_PER_PAGE][ref % ACTIVES_PER_PAGE];
}

struct active *grant_lock_entry(struct grant_table *t, uint32_t ref)
{
    /* The larger number: the version may change until the entry is locked. */
    uint32_t nr = entries_of(t, 1);
    struct active *act;

    if (ref >= nr)
        return NULL;
    act = active_entry(t, (uint32_t)index_nospec(ref, nr));
    spin_lock(&act->lock);
    if (likely(ref < grant_entries(t)))
        return act;
    spin_unlock(&act->lock);
    return NULL;
}

/* --- growth; under the table's lock --- */

static unsigned status_frames_for(unsigned frames)
{
    return DIV_ROUND_UP(frames * ENTRIES_V2, STATUS_PER_PAGE);
}

/* Status pages for so many frames. */
static int grow_status(struct domain *d, struct grant_table *t, unsigned frames)
{
    while (t->nr_status < status_frames_for(frames)) {
        grant_status_t *page = alloc_page_virt();

        if (!page)
            return -ENOMEM;
        share_hyp_page(virt_to_page(page), d, true);
        t->status[t->nr_status++] = page;
    }
    return 0;
}

static int grow_by_one(struct domain *d, struct grant_table *t)
{
    unsigned n = t->nr_frames;
    void *page;

    for (unsigned i = n * ACTIVE_PAGES; i < (n + 1) * ACTIVE_PAGES; i++) {
        if (t->active[i]) /* left by an attempt that failed later */
            continue;
        t->active[i] = alloc_page_virt();
        if (!t->active[i])
            return -ENOMEM;
        for (unsigned k = 0; k < ACTIVES_PER_PAGE; k++)
            spin_lock_init(&t->active[i][k].lock, LOCK_ENTRY);
    }
    if (t->version == 2 && grow_status(d, t, n + 1))
        return -ENOMEM;
    page = alloc_page_virt();
    if (!page)
        return -ENOMEM;
    share_hyp_page(virt_to_page(page), d, true);
    t->shared[n] = page;
    smp_wmb();
    WRITE_ONCE(t->nr_frames, n + 1);
    return 0;
}

static int grow_to(struct domain *d, struct grant_table *t, unsigned frames)
{
    int rc = 0;

    if (frames > t->max_frames)
        return -EINVAL;
    if (READ_ONCE(d->dying) != DOMDYING_alive)
        return -EINVAL;
    while (!rc && t->nr_frames < frames)
        rc = grow_by_one(d, t);
    return rc;
}

unsigned grant_max_frames(struct domain *d)
{
    return d->grant ? d->grant->max_frames : 0;
}

unsigned grant_max_status_frames(struct domain *d)
{
    return d->grant ? status_frames_for(d->grant->max_frames) : 0;
}

unsigned grant_handles_in_use(const struct domain *d)
{
    return d->grant ? READ_ONCE(d->grant->mapped) : 0;
}

int grant_get_frame(struct domain *d, unsigned idx, mfn_t *mfn)
{
    struct grant_table *t = d->grant;
    int rc;

    if (!t || idx >= t->max_frames)
        return -EINVAL;
    idx = (unsigned)index_nospec(idx, t->max_frames);
    spin_lock(&t->lock);
    rc = grow_to(d, t, idx + 1);
    if (!rc)
        *mfn = virt_to_mfn(t->shared[idx]);
    spin_unlock(&t->lock);
    return rc;
}

int grant_get_status_frame(struct domain *d, unsigned idx, mfn_t *mfn)
{
    struct grant_table *t = d->grant;
    unsigned max;
    int rc = -EINVAL;

    if (!t)
        return rc;
    max = status_frames_for(t->max_frames);
    if (idx >= max)
        return rc;
    idx = (unsigned)index_nospec(idx, max);
    spin_lock(&t->lock);
    if (t->version == 2) {
        unsigned frames = (idx + 1) * (STATUS_PER_PAGE / ENTRIES_V2);

        /* Whole frames of entries belong to a page of status words. */
        rc = idx < t->nr_status ? 0 : grow_to(d, t, min(frames, t->max_frames));
        if (!rc)
            *mfn = virt_to_mfn(t->status[idx]);
    }
    spin_unlock(&t->lock);
    return rc;
}

/* --- set-up and questions --- */

/* c->d may be asked about: GNTST_*. */
static int16_t may_ask(const struct call *c)
{
    if (!c->d || !c->d->grant)
        return GNTST_bad_domain;
    if (c->d != c->v->domain && !privileged_over(c->v->domain, c->d))
        return GNTST_permission_denied;
    return GNTST_okay;
}

long gnttabop_setup_table(struct call *c, struct gnttab_setup_table *arg)
{
    struct grant_table *t;

    arg->status = may_ask(c);
    if (arg->status != GNTST_okay)
        return 0;
    t = c->d->grant;
    spin_lock(&t->lock);
    if (grow_to(c->d, t, arg->nr_frames))
        arg->status = GNTST_general_error;
    spin_unlock(&t->lock);
    for (unsigned i = 0; arg->status == GNTST_okay && i < arg->nr_frames; i++) {
        xen_pfn_t frame = mfn_x(virt_to_mfn(t->shared[i]));

        if (copy_elem_to_guest(arg->frame_list, i, &frame))
            arg->status = GNTST_bad_virt_addr;
    }
    return 0;
}

long gnttabop_query_size(struct call *c, struct gnttab_query_size *arg)
{
    arg->status = may_ask(c);
    if (arg->status == GNTST_okay) {
        arg->nr_frames = READ_ONCE(c->d->grant->nr_frames);
        arg->max_nr_frames = c->d->grant->max_frames;
    }
    return 0;
}

long gnttabop_get_status_frames(struct call *c, struct gnttab_get_status_frames *arg)
{
    struct grant_table *t;

    arg->status = may_ask(c);
    if (arg->status != GNTST_okay)
        return 0;
    t = c->d->grant;
    for (unsigned i = 0; i < arg->nr_frames; i++) {
        uint64_t frame = 0;

        spin_lock(&t->lock);
        if (i < t->nr_status && t->version == 2)
            frame = mfn_x(virt_to_mfn(t->status[i]));
        spin_unlock(&t->lock);
        if (!frame) {
            arg->status = GNTST_general_error;
            return 0;
        }
        if (copy_elem_to_guest(arg->frame_list, i, &frame)) {
            arg->status = GNTST_bad_virt_addr;
            return 0;
        }
    }
    return 0;
}

long gnttabop_get_version(struct call *c, struct gnttab_get_version *arg)
{
    arg->version = c->d->grant ? READ_ONCE(c->d->grant->version) : 0;
    return 0;
}

long gnttabop_cache_flush(struct call *c, struct gnttab_cache_flush *arg)
{
    (void)c, (void)arg;
    return -EOPNOTSUPP; /* for processors whose devices do not snoop caches */
}

long gnttabop_swap_grant_ref(struct call *c, struct gnttab_swap_grant_ref *arg)
{
    struct grant_table *t = c->d->grant;
    struct active *lo, *hi = NULL;
    uint32_t a = min(arg->ref_a, arg->ref_b), b = max(arg->ref_a, arg->ref_b);

    /* Of one table, the lower reference is locked first. */
    arg->status = GNTST_bad_gntref;
    lo = grant_lock_entry(t, a);
    if (!lo)
        return 0;
    if (a != b)
        hi = grant_lock_entry(t, b);
    if (a == b) {
        arg->status = GNTST_okay;
    } else if (hi) {
        arg->status = GNTST_eagain;
        if (!READ_ONCE(t->changing) && !(lo->readers | lo->writers | hi->readers | hi->writers)) {
            if (t->version == 1) {
                struct grant_entry_v1 e = *entry_v1(t, a);

                *entry_v1(t, a) = *entry_v1(t, b);
                *entry_v1(t, b) = e;
            } else {
                union grant_entry_v2 e = *entry_v2(t, a);

                *entry_v2(t, a) = *entry_v2(t, b);
                *entry_v2(t, b) = e;
            }
            arg->status = GNTST_okay;
        }
        spin_unlock(&hi->lock);
    }
    spin_unlock(&lo->lock);
    return 0;
}

/* --- versions --- */

/* The first entries outlive a change of version, pinned or not: tools have made and map them. */
struct reserved {
    uint16_t flags, marks;
    domid_t domid;
    uint64_t frame;
};

/* Reads them, marks aside; -errno if the new version cannot tell them. */
static int read_reserved(const struct grant_table *t, unsigned from,
                         struct reserved r[GNTTAB_NR_RESERVED_ENTRIES])
{
    for (unsigned i = 0; i < GNTTAB_NR_RESERVED_ENTRIES; i++) {
        if (from == 1) {
            struct grant_entry_v1 e = *(volatile struct grant_entry_v1 *)entry_v1(t, i);

            r[i].flags = e.flags & ~(GTF_reading | GTF_writing);
            r[i].domid = e.domid;
            r[i].frame = e.frame;
        } else {
            union grant_entry_v2 e = *(volatile union grant_entry_v2 *)entry_v2(t, i);

            r[i].flags = e.hdr.flags & ~(GTF_reading | GTF_writing);
            r[i].domid = e.hdr.domid;
            r[i].frame = e.full_page.frame;
        }
        switch (r[i].flags & GTF_type_mask) {
        case GTF_permit_access:
            if ((r[i].flags & GTF_sub_page) || (from == 2 && r[i].frame > UINT32_MAX))
                return -ERANGE;
            break;
        case GTF_invalid:
            r[i] = (struct reserved){.marks = r[i].marks};
            break;
        default:
            return -EINVAL;
        }
    }
    return 0;
}

static void write_reserved(const struct grant_table *t, unsigned to,
                           const struct reserved r[GNTTAB_NR_RESERVED_ENTRIES])
{
    for (unsigned i = 0; i < GNTTAB_NR_RESERVED_ENTRIES; i++) {
        if (to == 1) {
            *entry_v1(t, i) = (struct grant_entry_v1){.flags = r[i].flags | r[i].marks,
                                                      .domid = r[i].domid,
                                                      .frame = (uint32_t)r[i].frame};
        } else {
            union grant_entry_v2 e = {.full_page = {.frame = r[i].frame}};

            e.hdr.flags = r[i].flags;
            e.hdr.domid = r[i].domid;
            *entry_v2(t, i) = e;
            WRITE_ONCE(*entry_status(t, i), r[i].marks);
        }
    }
}

/* True if no entry but reserved ones is pinned; while `changing`, none can be from then on, nor can
 * the pins of reserved ones change as long as the table is locked: their marks. */
static bool all_idle(struct grant_table *t, struct reserved r[GNTTAB_NR_RESERVED_ENTRIES])
{
    for (uint32_t ref = 0; ref < t->nr_frames * ENTRIES_V1; ref++) {
        struct active *act = active_entry(t, ref);
        bool pinned;

        spin_lock(&act->lock);
        pinned = act->readers | act->writers;
        if (ref < GNTTAB_NR_RESERVED_ENTRIES)
            r[ref].marks = (pinned ? GTF_reading : 0) | (act->writers ? GTF_writing : 0);
        spin_unlock(&act->lock);
        if (pinned && ref >= GNTTAB_NR_RESERVED_ENTRIES)
            return false;
    }
    return true;
}

/* Status pages that are mapped would outlive the table they belong to (XSA-255). */
static bool status_in_use(const struct grant_table *t)
{
    for (unsigned i = 0; i < t->nr_status; i++)
        if (hyp_page_in_use(virt_to_page(t->status[i])))
            return true;
    return false;
}

static void drop_status(struct grant_table *t)
{
    while (t->nr_status)
        unshare_hyp_page(virt_to_page(t->status[--t->nr_status]));
}

/* Under the table's lock. */
static int change_version(struct domain *d, struct grant_table *t, unsigned from, unsigned to)
{
    struct reserved r[GNTTAB_NR_RESERVED_ENTRIES] = {{0}};
    int rc = 0;

    WRITE_ONCE(t->changing, true);
    smp_mb();
    if (!all_idle(t, r) || (to == 1 && status_in_use(t)))
        rc = -EBUSY;
    if (!rc)
        rc = read_reserved(t, from, r);
    if (!rc && to == 2)
        rc = grow_status(d, t, t->nr_frames);
    if (rc) {
        WRITE_ONCE(t->changing, false);
        return rc;
    }
    for (unsigned i = 0; i < t->nr_frames; i++)
        memset(t->shared[i], 0, PAGE_SIZE);
    write_reserved(t, to, r);
    if (to == 1)
        drop_status(t);
    WRITE_ONCE(t->version, to);
    smp_wmb();
    WRITE_ONCE(t->changing, false);
    return 0;
}

long gnttabop_set_version(struct call *c, struct gnttab_set_version *arg)
{
    struct grant_table *t = c->d->grant;
    long rc = 0;

    if (arg->version != 1 && arg->version != 2)
        return -EINVAL;
    spin_lock(&t->lock);
    if (arg->version > t->max_version)
        rc = -ENOSYS;
    else if (arg->version != t->version)
        rc = change_version(c->d, t, t->version, arg->version);
    arg->version = t->version;
    spin_unlock(&t->lock);
    return rc;
}

/* --- life of a domain --- */

/* For creation: -1 is the default of the command line. */
static int grant_set_limits(struct domain *d, int max_grant_frames, int max_maptrack_frames)
{
    struct grant_table *t = d->grant;
    unsigned frames = max_grant_frames < 0 ? opt_gnttab_max_frames : (unsigned)max_grant_frames;
    unsigned maps =
        max_maptrack_frames < 0 ? opt_gnttab_max_maptrack_frames : (unsigned)max_maptrack_frames;

    if (t->shared) /* the arrays are made once */
        return -EBUSY;
    if (!frames || frames > opt_gnttab_max_frames || maps > opt_gnttab_max_maptrack_frames)
        return -EINVAL;
    t->max_frames = frames;
    t->max_maptrack = maps;
    return 0;
}

static int grant_domain_create(struct domain *d, const struct xen_domctl_createdomain *cfg)
{
    struct grant_table *t;
    int rc;

    if (!cfg)
        return 0;
    t = d->grant = xzalloc(struct grant_table);
    if (!t)
        return -ENOMEM;
    spin_lock_init(&t->lock, LOCK_GRANT);
    t->version = 1;
    t->max_version = min(XEN_DOMCTL_GRANT_version(cfg->grant_opts), opt_gnttab_max_ver);
    if (!t->max_version)
        t->max_version = 1;
    rc = grant_set_limits(d, cfg->max_grant_frames, cfg->max_maptrack_frames);
    if (rc)
        return rc;
    t->shared = xzalloc_array(void *, t->max_frames);
    t->status = xzalloc_array(grant_status_t *, status_frames_for(t->max_frames));
    t->active = xzalloc_array(struct active *, t->max_frames * ACTIVE_PAGES);
    if (!t->shared || !t->status || !t->active)
        return -ENOMEM;
    rc = maptrack_init(t, max(max(d->max_vcpus, cfg->max_vcpus), 1u));
    if (!rc)
        rc = grow_by_one(d, t);
    return rc;
}

static int grant_relinquish(struct domain *d)
{
    return d->grant ? maptrack_relinquish(d) : 0;
}

/* No reference of d is left: neither are mappings of its grants. */
static void grant_domain_free(struct domain *d)
{
    struct grant_table *t = d->grant;

    if (!t)
        return;
    d->grant = NULL;
    for (unsigned i = 0; i < t->nr_frames; i++)
        unshare_hyp_page(virt_to_page(t->shared[i]));
    drop_status(t);
    for (unsigned i = 0; t->active && i < t->max_frames * ACTIVE_PAGES && t->active[i]; i++)
        free_page_virt(t->active[i]);
    maptrack_free(t);
    xfree(t->shared);
    xfree(t->status);
    xfree(t->active);
    xfree(t);
}

/* --- debug key --- */

static void grant_dump(struct domain *d)
{
    struct grant_table *t = d->grant;

    if (!t)
        return;
    printk("Grant table of d%d: version %u, %u of %u frames, %u mappings made\n", d->id, t->version,
           t->nr_frames, t->max_frames, t->mapped);
    for (uint32_t ref = 0; ref < grant_entries(t); ref++) {
        struct active *act = grant_lock_entry(t, ref), copy;

        if (!act)
            break;
        copy = *act;
        spin_unlock(&act->lock);
        if (copy.readers | copy.writers)
            printk("  %5u frame %#llx used by d%u: %u readers, %u writers\n", ref,
                   (unsigned long long)copy.view.frame, copy.view.user, copy.readers, copy.writers);
    }
}

static void dump_all(unsigned char key)
{
    struct domain *d;

    (void)key;
    for_each_domain (d)
        grant_dump(d);
}

static void grant_boot(void)
{
    keyhandler_register('g', dump_all, "grant tables");
}

DEFINE_UNIT(grant, .name = "grant", .level = UNIT_GRANT, .boot = grant_boot,
            .domain_create = grant_domain_create, .relinquish = grant_relinquish,
            .domain_free = grant_domain_free, .dump = grant_dump);
