// SPDX-License-Identifier: MIT
/* From a domain's own frame numbers to pages. */
#include "domain/domain.h"

struct page_info *get_page_gfn(struct domain *d, gfn_t gfn)
{
    mfn_t mfn = _mfn(gfn_x(gfn));
    struct page_info *pg;

    /* A PV guest uses machine frames; the provider for others comes with the p2m. */
    if (d->is_hvm || !mfn_valid(mfn))
        return NULL;
    pg = mfn_to_page(mfn);
    return get_page(pg, d) ? pg : NULL;
}
