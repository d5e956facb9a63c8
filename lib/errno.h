// SPDX-License-Identifier: MIT
/* Error numbers as the guest sees them (xen/errno.h), under their usual names. */
#pragma once

#ifdef HOSPES_HOST
#include <errno.h>
#ifndef ERESTART
#define ERESTART 85
#endif
#else
#define XEN_ERRNO(name, value) name = value,
enum {
#include <xen/errno.h>
};
#define ERESTART 85 /* internal: create a continuation; never seen by a guest */
#endif
