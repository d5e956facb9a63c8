// SPDX-License-Identifier: MIT
/* 64-bit ELF images of kernels, and the Xen notes in them (elfnote.h).  Bounded by the image. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ELF_MAX_SEGMENTS 16

struct elf_segment {
    const void *data;
    uint64_t paddr, file_size, mem_size;
};

struct elf_image {
    uint64_t entry;
    unsigned nr_segments;
    struct elf_segment segments[ELF_MAX_SEGMENTS]; /* PT_LOAD */
    uint64_t low, high;                            /* paddr range covered by them */
};

struct xen_notes {
    bool found;
    bool has_hypercall_page, has_init_p2m, has_paddr_offset, mod_start_pfn;
    uint64_t virt_base, paddr_offset, entry, hypercall_page, init_p2m;
    uint64_t l1_mfn_valid_mask, l1_mfn_valid_value;
    uint32_t supported_features;
};

/* Both answer NULL, or what is wrong with the image in a few words. */
const char *elf_parse(const void *image, size_t size, struct elf_image *elf);
const char *elf_xen_notes(const void *image, size_t size, struct xen_notes *notes);
