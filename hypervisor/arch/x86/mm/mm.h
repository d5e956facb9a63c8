// SPDX-License-Identifier: MIT
/*
 * Page types and direct-mode page tables of PV guests: what other rooms call.
 * The rules are in mm/types.c (types, references) and mm/validate.c (what an entry may be).
 */
#pragma once
#include "lib/types.h"
#include "lib/compiler.h"
#include "arch/api/arch_mm.h"
#include "arch/x86/asm/layout.h"
#include "kernel/cpumask.h"
#include "mem/mem.h"

struct domain;
struct vcpu;
struct cpu_user_regs;

/* The type word of a page (struct page_info, type). */
#define PGT_none     (0ULL << 60)
#define PGT_l1       (1ULL << 60)
#define PGT_l2       (2ULL << 60)
#define PGT_l3       (3ULL << 60)
#define PGT_l4       (4ULL << 60)
#define PGT_l2_top   (5ULL << 60) /* L2 of the last GB of a 32-bit guest: its end is ours */
#define PGT_seg_desc (6ULL << 60) /* used as a GDT or LDT */
/* 7: PGT_writable, in arch/api/arch_mm.h */
#define PGT_type_mask (15ULL << 60)
#define PGT_pinned    (1ULL << 59)
#define PGT_validated (1ULL << 58)
#define PGT_partial   (1ULL << 57)
#define PGT_locked    (1ULL << 56)
#define PGT_foreign   (1ULL << 55) /* another domain could write it, and may still have it cached */
/* Another domain could write it by a mapping that is gone: who logs writes clears it. */
#define PGT_written (1ULL << 54)
/* Bits 40..50: while validated how many entries are present, while partial how many are checked. */
#define PGT_entries_shift 40
#define PGT_entries_mask  (0x7ffULL << PGT_entries_shift)
/* Bits 32..39, while validated: which eighths of a table may have present entries. */
#define PGT_eighths_shift 32
#define PGT_count_mask    0xffffffffULL

/* As get_page_and_type() of arch_mm.h, but -ERESTART where work waits: call again. */
int __must_check get_page_and_type_preempt(struct page_info *pg, struct domain *d, uint64_t type);
int mm_reap_table(struct vcpu *v);
/* Goes on with what the undoing of a table left for v, if any: 0, or -ERESTART. */
#define mm_reap(v) (unlikely((v)->arch.reap_table) ? mm_reap_table(v) : 0)
/* Pins a table of d (the builder's use of MMUEXT_PIN_*), and lets it go: -errno, -ERESTART. */
int mm_pin(struct domain *d, mfn_t mfn, uint64_t type);
int mm_unpin(struct vcpu *v, struct domain *d, mfn_t mfn);

/* Loads v's page tables on this CPU (kernel or user root, as its mode says); v is current. */
void mm_load_root(struct vcpu *v);
/* Flips v between guest kernel and user: CR3 and GS (both halves of the state). */
void toggle_guest_mode(struct vcpu *v);
/* Sets v's kernel or user root from a machine frame; drops the old one.  -errno, -ERESTART. */
int mm_set_root(struct vcpu *v, mfn_t mfn, bool user);
/* The width of a domain that has neither memory nor roots. */
void mm_set_width(struct domain *d, bool is_32bit);
/* Drops both roots of a vcpu that does not run, and runs nowhere lazily: 0, or -ERESTART. */
int mm_drop_roots(struct vcpu *v);
/* Fills slots 256..271 of a new L4 table of d (called by validation, and by the dom0 builder). */
void mm_fill_hyp_slots(uint64_t *l4, struct domain *d);

/* A write of v's kernel to a page that is there has faulted: if it is a page table, true: done. */
bool mm_try_ptwr_fault(struct vcpu *v, unsigned long addr, struct cpu_user_regs *regs);

/* The L1 entry for va in the tables of v's kernel; false: there is no L1 table. */
bool mm_guest_walk_l1(struct vcpu *v, unsigned long va, uint64_t *l1e);

/* TLB. */
void flush_tlb_local(void);
/* Loads CR3.  Guests have no global entries, so for their pages this is a full flush. */
void load_guest_root(unsigned long cr3);
void flush_tlb_one_local(unsigned long va);
/* As flush_tlb_mask() of arch/api/arch_mm.h, for one address. */
void flush_tlb_one_mask(const cpumask_t *mask, unsigned long va);
/* In the same way has every CPU of mask leave its guest, if it is in one; and flushes nothing. */
void leave_guests_mask(const cpumask_t *mask);
/* On the inter-processor interrupt for flushes. */
void flush_tlb_interrupt(void);

/* Hypervisor's own mappings (arch/x86/mm/paging.c). */
enum hyp_prot { HYP_RO, HYP_RW, HYP_RX, HYP_UC, HYP_WC };
int map_hyp(unsigned long va, mfn_t mfn, unsigned long nr, enum hyp_prot prot);
void unmap_hyp(unsigned long va, unsigned long nr);
/* Maps device memory (uncached); any length, never fails at boot: panics. */
void *ioremap(maddr_t addr, size_t len);
void iounmap(void *va, size_t len);
/* Addresses for map_hyp(): nr pages (and an unmapped one behind), or 0. */
unsigned long vmap_alloc(unsigned long nr);
void vmap_free(unsigned long va, unsigned long nr);
/* The frame mapped at va by map_hyp() or ioremap(). */
mfn_t vmap_to_mfn(unsigned long va);
/* What the L2 table of a 32-bit guest's last GB has from M2P32_FIRST_ENTRY on. */
extern uint64_t mm_m2p32_entries[512 - M2P32_FIRST_ENTRY];
/* The table at M2P32_RW_VIRT has room for that many frames, and is filled. */
void mm_m2p32_ready(uint64_t frames);
extern uint64_t idle_pg_table[512]; /* the root that all others copy slots 256..271 from */

/* Gives what is not RAM to DOMID_IO and the machine-to-physical table to DOMID_XEN.  Boot, once
 * these exist (domain_subsys_init). */
void mm_share_special_frames(void);
