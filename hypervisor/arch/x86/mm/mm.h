// SPDX-License-Identifier: MIT
/*
 * Page types and direct-mode page tables of PV guests: what other rooms call.
 * The rules are in mm/types.c (types, references) and mm/validate.c (what an entry may be).
 */
#pragma once
#include "lib/types.h"
#include "lib/compiler.h"
#include "kernel/cpumask.h"
#include "mem/mem.h"

struct domain;
struct vcpu;
struct cpu_user_regs;

/* The type word of a page (struct page_info, type). */
#define PGT_none      (0ULL << 60)
#define PGT_l1        (1ULL << 60)
#define PGT_l2        (2ULL << 60)
#define PGT_l3        (3ULL << 60)
#define PGT_l4        (4ULL << 60)
#define PGT_seg_desc  (5ULL << 60) /* used as a GDT or LDT */
#define PGT_shared    (6ULL << 60)
#define PGT_writable  (7ULL << 60)
#define PGT_type_mask (15ULL << 60)
#define PGT_pinned    (1ULL << 59)
#define PGT_validated (1ULL << 58)
#define PGT_partial   (1ULL << 57)
#define PGT_locked    (1ULL << 56)
/* progress of a partial validation, bits 40..50; count, bits 0..31: see mm/types.c */
#define PGT_count_mask 0xffffffffULL

/* References of a type.  0, -EINVAL (wrong or impossible type), -ERESTART (preempted). */
int __must_check get_page_type(struct page_info *pg, uint64_t type);
void put_page_type(struct page_info *pg);
bool __must_check get_page_and_type(struct page_info *pg, struct domain *d, uint64_t type);
void put_page_and_type(struct page_info *pg);

/* Loads v's page tables on this CPU (kernel or user root, as its mode says); v is current. */
void mm_load_root(struct vcpu *v);
/* Flips v between guest kernel and user: CR3 and GS (both halves of the state). */
void toggle_guest_mode(struct vcpu *v);
/* Sets v's kernel or user root from a machine frame; drops the old one.  -errno, -ERESTART. */
int mm_set_root(struct vcpu *v, mfn_t mfn, bool user);
void mm_drop_roots(struct vcpu *v);
/* Fills slots 256..271 of a new L4 table of d (called by validation, and by the dom0 builder). */
void mm_fill_hyp_slots(uint64_t *l4, struct domain *d);

/* Page fault of a guest that may be a write to one of its page tables; true: done. */
bool mm_try_ptwr_fault(struct vcpu *v, unsigned long addr, struct cpu_user_regs *regs);

/* Translation of a guest address through v's live tables, as the guest sees it. */
bool mm_guest_walk_l1(struct vcpu *v, unsigned long va, uint64_t *l1e, mfn_t *l1mfn);

/* Grants: map mfn at host_addr (a pte's machine address if GNTMAP_contains_pte) of current's
 * domain.  GNTST_*.  The caller holds references on the page. */
int mm_grant_map(uint64_t host_addr, mfn_t mfn, unsigned gnt_flags);
/* Removes it; new_addr != 0: moves the pte at new_addr over (unmap_and_replace). */
int mm_grant_unmap(uint64_t host_addr, mfn_t mfn, uint64_t new_addr, unsigned gnt_flags);

/* TLB. */
void flush_tlb_local(void);
void flush_tlb_one_local(unsigned long va);
/* Waits until every CPU of mask has flushed (everything, or one address). */
void flush_tlb_mask(const cpumask_t *mask);
void flush_tlb_one_mask(const cpumask_t *mask, unsigned long va);
/* Stamps for pages that lose a type or are freed; filters CPUs that have flushed since. */
uint32_t tlb_clock(void);
void tlb_filter(cpumask_t *mask, uint32_t stamp);
/* On the inter-processor interrupt for flushes. */
void flush_tlb_interrupt(void);

/* Machine-to-physical table. */
void m2p_set(mfn_t mfn, uint64_t pfn);
uint64_t m2p_get(mfn_t mfn);
#define M2P_INVALID (~0ULL)
#define M2P_SHARED  (~0ULL >> 1)

/* Hypervisor's own mappings (arch/x86/mm/paging.c). */
enum hyp_prot { HYP_RO, HYP_RW, HYP_RX, HYP_UC, HYP_WC };
int map_hyp(unsigned long va, mfn_t mfn, unsigned long nr, enum hyp_prot prot);
void unmap_hyp(unsigned long va, unsigned long nr);
/* Maps device memory (uncached); any length, never fails at boot: panics. */
void *ioremap(maddr_t addr, size_t len);
void *ioremap_wc(maddr_t addr, size_t len);
void iounmap(void *va, size_t len);
extern uint64_t idle_pg_table[512]; /* the root that all others copy slots 256..271 from */
