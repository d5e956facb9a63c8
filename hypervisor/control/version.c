// SPDX-License-Identifier: MIT
/* xen_version: what the hypervisor says of itself. */
#include "arch/api/arch_host.h"
#include "boot/cmdline.h"
#include "domain/domain.h"
#include "hypercall/guest_access.h"
#include "hypercall/handlers.h"
#include "lib/errno.h"
#include "lib/string.h"
#include <asm/layout.h>

#define VERSION_MAJOR 4
#define VERSION_MINOR 17 /* the interface; Debian's tools look for the directory of that name */

static const char hidden[] = "<denied>";

long version_version(struct call *c, struct noarg *arg)
{
    (void)c;
    (void)arg;
    return VERSION_MAJOR << 16 | VERSION_MINOR;
}

long version_extraversion(struct call *c, xen_extraversion_t *arg)
{
    (void)c;
    strlcpy(*arg, "-hospes", sizeof(*arg));
    return 0;
}

long version_compile_info(struct call *c, struct xen_compile_info *info)
{
    bool tell = c->v->domain->is_privileged;

    strlcpy(info->compiler, tell ? __VERSION__ : hidden, sizeof(info->compiler));
    strlcpy(info->compile_by, tell ? "hospes" : hidden, sizeof(info->compile_by));
    strlcpy(info->compile_domain, tell ? "" : hidden, sizeof(info->compile_domain));
    /* No build date: the same source gives the same image. */
    strlcpy(info->compile_date, tell ? "" : hidden, sizeof(info->compile_date));
    return 0;
}

long version_capabilities(struct call *c, xen_capabilities_info_t *arg)
{
    (void)c;
    strlcpy(*arg, "xen-3.0-x86_64 xen-3.0-x86_32p ", sizeof(*arg));
    if (arch_has_hvm())
        strlcpy(*arg,
                "xen-3.0-x86_64 xen-3.0-x86_32p hvm-3.0-x86_32 hvm-3.0-x86_32p hvm-3.0-x86_64 ",
                sizeof(*arg));
    return 0;
}

long version_changeset(struct call *c, xen_changeset_info_t *arg)
{
    strlcpy(*arg, c->v->domain->is_privileged ? "hospes" : hidden, sizeof(*arg));
    return 0;
}

long version_platform_parameters(struct call *c, struct xen_platform_parameters *arg)
{
    arg->virt_start = is_32bit(c->v->domain) ? M2P32_RO_VIRT : M2P_RO_VIRT;
    return 0;
}

long version_get_features(struct call *c, struct xen_feature_info *arg)
{
    const struct domain *d = c->v->domain;

    if (arg->submap_idx)
        return -EINVAL;
    arg->submap = BIT(XENFEAT_memory_op_vnode_supported);
    if (d->is_privileged)
        arg->submap |= BIT(XENFEAT_dom0);
    if (!d->is_hvm) {
        arg->submap |= BIT(XENFEAT_mmu_pt_update_preserve_ad) | BIT(XENFEAT_highmem_assist) |
                       BIT(XENFEAT_gnttab_map_avail_bits) | BIT(XENFEAT_direct_mapped);
        if (d->is_privileged || (d->vm_assist & BIT(VMASST_TYPE_pae_extended_cr3)))
            arg->submap |= BIT(XENFEAT_pae_pgdir_above_4gb);
    } else
        arg->submap |= BIT(XENFEAT_not_direct_mapped) | BIT(XENFEAT_auto_translated_physmap) |
                       BIT(XENFEAT_writable_page_tables) | BIT(XENFEAT_hvm_callback_vector) |
                       BIT(XENFEAT_hvm_safe_pvclock);
    return 0;
}

long version_pagesize(struct call *c, struct noarg *arg)
{
    (void)c;
    (void)arg;
    return PAGE_SIZE;
}

long version_guest_handle(struct call *c, xen_domain_handle_t *arg)
{
    memcpy(*arg, c->v->domain->handle, sizeof(*arg));
    return 0;
}

long version_commandline(struct call *c, xen_commandline_t *arg)
{
    strlcpy(*arg, c->v->domain->is_privileged ? cmdline_text : hidden, sizeof(*arg));
    return 0;
}

long version_build_id(struct call *c, struct noarg *arg)
{
    (void)arg;
    return c->v->domain->is_privileged ? -ENODATA : -EPERM;
}
