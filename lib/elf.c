// SPDX-License-Identifier: MIT
#include "lib/elf.h"
#include "lib/string.h"
#include "lib/types.h"
#include <xen/elfnote.h>

struct ehdr {
    uint8_t ident[16];
    uint16_t type, machine;
    uint32_t version;
    uint64_t entry, phoff, shoff;
    uint32_t flags;
    uint16_t ehsize, phentsize, phnum, shentsize, shnum, shstrndx;
};

struct phdr {
    uint32_t type, flags;
    uint64_t offset, vaddr, paddr, filesz, memsz, align;
};

struct nhdr {
    uint32_t namesz, descsz, type;
};

enum { ELF_CLASS64 = 2, ELF_LSB = 1, ELF_MACHINE_X86_64 = 62, PHDR_LOAD = 1, PHDR_NOTE = 4 };

static bool inside(uint64_t off, uint64_t len, size_t size)
{
    return off <= size && len <= size - off;
}

static const char *header(const void *image, size_t size, struct ehdr *eh)
{
    if (size < sizeof(*eh) || memcmp(image, "\177ELF", 4))
        return "not an ELF image";
    memcpy(eh, image, sizeof(*eh));
    if (eh->ident[4] != ELF_CLASS64 || eh->ident[5] != ELF_LSB || eh->machine != ELF_MACHINE_X86_64)
        return "not a 64-bit x86 kernel";
    if (eh->phentsize != sizeof(struct phdr) ||
        !inside(eh->phoff, (uint64_t)eh->phnum * sizeof(struct phdr), size))
        return "its program headers lie outside the file (truncated?)";
    return NULL;
}

static struct phdr get_phdr(const void *image, const struct ehdr *eh, unsigned i)
{
    struct phdr ph;

    memcpy(&ph, (const char *)image + eh->phoff + i * sizeof(ph), sizeof(ph));
    return ph;
}

const char *elf_parse(const void *image, size_t size, struct elf_image *elf)
{
    struct ehdr eh;
    const char *err = header(image, size, &eh);

    if (err)
        return err;
    memset(elf, 0, sizeof(*elf));
    elf->entry = eh.entry;
    elf->low = UINT64_MAX;
    for (unsigned i = 0; i < eh.phnum; i++) {
        struct phdr ph = get_phdr(image, &eh, i);

        if (ph.type != PHDR_LOAD || !ph.memsz)
            continue;
        if (!inside(ph.offset, ph.filesz, size))
            return "a segment lies outside the file (truncated?)";
        if (ph.filesz > ph.memsz || ph.paddr + ph.memsz < ph.paddr)
            return "a segment has a senseless size";
        if (elf->nr_segments == ELF_MAX_SEGMENTS)
            return "too many segments";
        elf->segments[elf->nr_segments++] =
            (struct elf_segment){(const char *)image + ph.offset, ph.paddr, ph.filesz, ph.memsz};
        if (ph.paddr < elf->low)
            elf->low = ph.paddr;
        if (ph.paddr + ph.memsz > elf->high)
            elf->high = ph.paddr + ph.memsz;
    }
    return elf->nr_segments ? NULL : "nothing to load in it";
}

static uint64_t note_number(const uint8_t *desc, uint32_t size, unsigned index)
{
    uint64_t val = 0;

    if (size == 4 && !index)
        memcpy(&val, desc, 4);
    else if (size >= 8 * (index + 1))
        memcpy(&val, desc + 8 * index, 8);
    return val;
}

static void one_note(uint32_t type, const uint8_t *desc, uint32_t size, struct xen_notes *n)
{
    uint64_t val = note_number(desc, size, 0);

    n->found = true;
    switch (type) {
    case XEN_ELFNOTE_ENTRY:
        n->entry = val;
        break;
    case XEN_ELFNOTE_HYPERCALL_PAGE:
        n->hypercall_page = val;
        n->has_hypercall_page = true;
        break;
    case XEN_ELFNOTE_VIRT_BASE:
        n->virt_base = val;
        break;
    case XEN_ELFNOTE_PADDR_OFFSET:
        n->paddr_offset = val;
        n->has_paddr_offset = true;
        break;
    case XEN_ELFNOTE_INIT_P2M:
        n->init_p2m = val;
        n->has_init_p2m = true;
        break;
    case XEN_ELFNOTE_MOD_START_PFN:
        n->mod_start_pfn = val;
        break;
    case XEN_ELFNOTE_L1_MFN_VALID:
        n->l1_mfn_valid_mask = val;
        n->l1_mfn_valid_value = note_number(desc, size, 1);
        break;
    case XEN_ELFNOTE_SUPPORTED_FEATURES:
        n->supported_features = val;
        break;
    default:
        break;
    }
}

static void notes_of_segment(const uint8_t *p, uint64_t left, struct xen_notes *n)
{
    struct nhdr nh;

    while (left >= sizeof(nh)) {
        uint64_t name, desc;

        memcpy(&nh, p, sizeof(nh));
        name = ROUND_UP((uint64_t)nh.namesz, 4);
        desc = ROUND_UP((uint64_t)nh.descsz, 4);
        if (name + desc > left - sizeof(nh))
            return;
        p += sizeof(nh);
        if (nh.namesz == 4 && !memcmp(p, "Xen", 4))
            one_note(nh.type, p + name, nh.descsz, n);
        p += name + desc;
        left -= sizeof(nh) + name + desc;
    }
}

const char *elf_xen_notes(const void *image, size_t size, struct xen_notes *notes)
{
    struct ehdr eh;
    const char *err = header(image, size, &eh);

    if (err)
        return err;
    memset(notes, 0, sizeof(*notes));
    for (unsigned i = 0; i < eh.phnum; i++) {
        struct phdr ph = get_phdr(image, &eh, i);

        if (ph.type != PHDR_NOTE)
            continue;
        if (!inside(ph.offset, ph.filesz, size))
            return "its notes lie outside the file (truncated?)";
        notes_of_segment((const uint8_t *)image + ph.offset, ph.filesz, notes);
    }
    return notes->found ? NULL : "it has no Xen notes: not a kernel that runs paravirtualised";
}
