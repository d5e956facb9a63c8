// SPDX-License-Identifier: MIT
/* Kinds of records with a vcpu's state (hvm/save.h): records.c has them, save.c the list. */
#pragma once
#include "arch/x86/hvm/hvm.h"
#include <xen/hvm/save.h>

struct hvm_record {
    uint16_t code;
    uint16_t length; /* 0: varies */
    /* If it varies: what save() fills; 0: d has no such. */
    uint32_t (*most)(const struct domain *d);
    void (*save)(struct vcpu *v, void *record); /* zeroed before; NULL: never saved */
    /* length bytes, zeroed behind that up to the length that this version knows.  0, or -errno:
     * nothing is changed. */
    int (*load)(struct vcpu *v, const void *record, uint32_t length);
};
#define NR_HVM_RECORDS 7
extern const struct hvm_record hvm_records[NR_HVM_RECORDS];
/* No record is longer (XSAVE areas that any CPU has are below 12 KB). */
#define HVM_MAX_RECORD 16384u

static inline uint32_t hvm_record_length(const struct domain *d, const struct hvm_record *r)
{
    return r->length ? r->length : r->most ? r->most(d) : 0;
}
