// SPDX-License-Identifier: MIT
/* From a domain's own frame numbers to pages. */
#include "arch/api/arch_p2m.h"
#include "domain/domain.h"

struct page_info *get_page_gfn(struct domain *d, gfn_t gfn)
{
    struct page_info *pg;

    if (is_translated(d))
        return p2m_get_page(d, gfn);
    /* A PV guest uses machine frames. */
    pg = guest_frame(gfn_x(gfn));
    return pg && get_page(pg, d) ? pg : NULL;
}
