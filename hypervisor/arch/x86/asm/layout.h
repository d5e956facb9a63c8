// SPDX-License-Identifier: MIT
/*
 * The virtual address space.  The ABI gives the hypervisor L4 slots 256 to 271
 * (HYPERVISOR_VIRT_START..END in xen-x86_64.h); all else belongs to PV guests.
 *
 *   slot 256   machine-to-physical table, read-only for guests
 *   slot 260   per-domain: each vcpu's GDT and LDT (arch/x86/pv/descriptors.c)
 *   slot 261   hypervisor: mappings made at run time, table of frames, image
 *   262..271   all RAM (5 TB), at machine address 0
 */
#pragma once

#define HYP_FIRST_SLOT     256
#define HYP_LAST_SLOT      271
#define M2P_RO_VIRT        0xffff800000000000
#define M2P_SLOT           256
#define PERDOMAIN_SLOT     260
#define PERDOMAIN_VIRT     0xffff820000000000
#define HYP_SLOT           261
#define VMAP_VIRT          0xffff828000000000 /* ioremap, per-CPU stubs: 64 GB */
#define M2P_RW_VIRT        0xffff829000000000 /* 32 GB */
#define M2P32_RW_VIRT      0xffff829800000000 /* the same for 32-bit guests: 168 MB */
#define FRAMETABLE_VIRT    0xffff82a000000000 /* 128 GB: 4 G frames of 32 bytes */
#define HYP_VIRT           0xffff82d040000000 /* the image, 1 GB */
#define HYP_VIRT_END       0xffff82d080000000
#define IMAGE_PHYS         0x200000 /* where the image is loaded; linked at HYP_VIRT + this */
#define DIRECTMAP_VIRT     0xffff830000000000
#define DIRECTMAP_VIRT_END 0xffff880000000000

/* In 32-bit guests, the last 2 MB pages but one of their 4 GB (xen-x86_32.h). */
#define M2P32_RO_VIRT     0xf5800000
#define M2P32_FIRST_ENTRY 428 /* of the L2 table of the last GB, and those above */
#define M2P32_ENTRIES     83
#define M2P32_MAX_FRAMES  (M2P32_ENTRIES * (0x200000UL / 4))
#define M2P32_ADDR_BITS   37 /* of addresses in these frames, rounded down */

/*
 * Selectors in the hypervisor's part of every GDT.  The ABI gives 0xe023, 0xe02b and 0xe033 to
 * 64-bit guests (xen-x86_64.h), 0xe019, 0xe021, 0xe02b and 0xe033 to 32-bit ones (xen-x86_32.h).
 */
#define GDT_FIRST_RESERVED_PAGE 14
#define GDT_RESERVED_BASE       0xe000
#define HYP_CS                  0xe008 /* syscall: CS = 0xe008, SS = 0xe010 */
#define HYP_DS                  0xe010
#define HYP_CS32                0xe038
#define FLAT32_RING1_CS         0xe019
#define FLAT32_RING1_DS         0xe021
#define FLAT32_RING3_CS         0xe02b
#define FLAT32_RING3_DS         0xe033
#define TSS_SELECTOR            0xe040 /* 16 bytes */
#define LDT_SELECTOR            0xe050 /* 16 bytes */
