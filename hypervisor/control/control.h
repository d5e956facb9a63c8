// SPDX-License-Identifier: MIT
/*
 * domctl, sysctl and xen_version: the tools' interface.  The handlers only translate: what they
 * ask for is done by the room it concerns.
 */
#pragma once
#include "kernel/cpumask.h"

struct domain;
struct xenctl_bitmap;
struct xen_domctl_getdomaininfo;

void get_domain_info(struct domain *d, struct xen_domctl_getdomaininfo *info);
/* Sets in the tools' form (sysctl.h, struct xenctl_bitmap): bits beyond either side are zero.
 * 0 or -EFAULT. */
int bitmap_from_tools(unsigned long *bits, unsigned nr, const struct xenctl_bitmap *map);
int bitmap_to_tools(const struct xenctl_bitmap *map, const unsigned long *bits, unsigned nr);
