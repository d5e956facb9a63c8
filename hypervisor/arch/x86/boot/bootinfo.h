// SPDX-License-Identifier: MIT
/* What the boot loader told us, whichever protocol it speaks.  Filled once by boot_info_init(). */
#pragma once
#include "lib/types.h"

#define BOOT_MAX_MODULES 16

struct boot_module {
    maddr_t start;
    size_t size;
    const char *cmdline; /* without the loader's first word */
};

/* As the multiboot 2 frame-buffer tag and EFI's graphics output describe it. */
struct boot_framebuffer {
    maddr_t addr; /* 0: none */
    uint32_t pitch, width, height;
    uint8_t bpp, type; /* type 1: direct colour, 2: EGA text */
    uint8_t red_pos, red_size, green_pos, green_size, blue_pos, blue_size;
};

struct boot_info {
    const char *loader;
    const char *cmdline;
    unsigned nr_modules;
    struct boot_module modules[BOOT_MAX_MODULES];
    const void *rsdp; /* a copy of the table (ACPI 2's if both were given), or NULL */
    size_t rsdp_size;
    bool efi;               /* started by EFI firmware (boot services are over) */
    maddr_t efi_systab;     /* 64-bit system table, 0: unknown */
    const void *efi_memmap; /* array of EFI memory descriptors, or NULL */
    size_t efi_memmap_size, efi_desc_size;
    uint32_t efi_desc_version;
    const void *smbios; /* a copy of the SMBIOS entry point, or NULL */
    size_t smbios_size;
    uint8_t smbios_major, smbios_minor;
    struct boot_framebuffer fb;
    maddr_t info_start, info_end; /* where the loader's own data lies: kept */
    uint64_t mem_upper_kb;        /* only used when there is no memory map */
};
extern struct boot_info boot_info;

/* Reads the loader's information (magic in eax, physical address in ebx) into boot_info and
 * e820_host.  Returns NULL or what is wrong. */
const char *boot_info_init(uint32_t magic, uint32_t phys);
