// SPDX-License-Identifier: MIT
/* PCI configuration space. */
#pragma once
#include "lib/types.h"

/* Segment, bus, device and function in one word. */
typedef struct {
    uint32_t sbdf;
} pci_sbdf_t;
#define PCI_SBDF(seg, bus, devfn)                                                                  \
    ((pci_sbdf_t){(uint32_t)(seg) << 16 | (uint32_t)(uint8_t)(bus) << 8 | (uint8_t)(devfn)})
#define pci_seg(a)   ((a).sbdf >> 16)
#define pci_bus(a)   (((a).sbdf >> 8) & 0xff)
#define pci_devfn(a) ((a).sbdf & 0xff)

/* Maps what the MCFG describes.  Boot, after ACPI. */
void pci_init(void);
/* size 1, 2 or 4, reg aligned to it and below 4096; what cannot be reached reads as ones. */
uint32_t pci_conf_read(pci_sbdf_t dev, unsigned reg, unsigned size);
void pci_conf_write(pci_sbdf_t dev, unsigned reg, unsigned size, uint32_t val);
/* Offset of a capability in the first 256 bytes, 0 if the device has none such. */
unsigned pci_find_cap(pci_sbdf_t dev, uint8_t cap);

/*
 * The ports 0xcf8 and 0xcfc..0xcff for a guest that may use them (dom0): each guest has a shadow of
 * the address register (*cf8), so that its accesses and ours do not disturb each other.
 */
static inline bool pci_is_conf_port(uint16_t port, unsigned size)
{
    return (port == 0xcf8 && size == 4) || (port & ~3) == 0xcfc;
}
uint32_t pci_guest_port_read(uint32_t *cf8, uint16_t port, unsigned size);
void pci_guest_port_write(uint32_t *cf8, uint16_t port, unsigned size, uint32_t val);

/* dom0 says (PHYSDEVOP_pci_mmcfg_reserved) whether firmware reserved an MCFG window. */
int pci_mmcfg_reserved(uint64_t addr, uint16_t seg, uint8_t start_bus, uint8_t end_bus,
                       bool reserved);
