// SPDX-License-Identifier: MIT
/*
 * Reads what a multiboot 1 or 2 loader leaves behind.
 *
 * The loader's data stays where it lies (it is kept out of the heap), so boot_info points into it.
 * It lies below 4 GB, which the first page tables map at DIRECTMAP_VIRT.  Multiboot 2 data is a
 * chain of tags and multiboot 1 data a fixed record; both are bounds-checked, since a broken
 * loader should give a line on the console rather than a triple fault.
 */
#include "arch/x86/boot/bootinfo.h"
#include "asm/e820.h"
#include "asm/layout.h"
#include "lib/compiler.h"
#include "lib/string.h"

#define MB1_LOADER_MAGIC 0x2badb002
#define MB2_LOADER_MAGIC 0x36d76289

struct boot_info boot_info;

/* ---- multiboot 1 ---- */

#define MB1_MEMORY  (1u << 0)
#define MB1_CMDLINE (1u << 2)
#define MB1_MODS    (1u << 3)
#define MB1_MMAP    (1u << 6)
#define MB1_LOADER  (1u << 9)
#define MB1_FB      (1u << 12)

struct mb1_info {
    uint32_t flags, mem_lower, mem_upper, boot_device, cmdline, mods_count, mods_addr, syms[4];
    uint32_t mmap_length, mmap_addr, drives_length, drives_addr, config_table, loader_name;
    uint32_t apm_table, vbe_control, vbe_mode_info, vbe_words[2];
    uint64_t fb_addr;
    uint32_t fb_pitch, fb_width, fb_height;
    uint8_t fb_bpp, fb_type, fb_colour[6];
} __packed;

struct mb1_module {
    uint32_t start, end, cmdline, pad;
};

struct mb1_mmap {
    uint32_t size; /* of what follows */
    uint64_t addr, len;
    uint32_t type;
} __packed;

/* ---- multiboot 2 ---- */

enum mb2_tag_type {
    MB2_END = 0,
    MB2_CMDLINE = 1,
    MB2_LOADER = 2,
    MB2_MODULE = 3,
    MB2_BASIC_MEM = 4,
    MB2_MMAP = 6,
    MB2_FB = 8,
    MB2_EFI64 = 12,
    MB2_SMBIOS = 13,
    MB2_ACPI_OLD = 14,
    MB2_ACPI_NEW = 15,
    MB2_EFI_MMAP = 17,
};

struct mb2_tag {
    uint32_t type, size;
};

struct mb2_module {
    struct mb2_tag tag;
    uint32_t start, end;
    char cmdline[];
};

struct mb2_mmap {
    struct mb2_tag tag;
    uint32_t entry_size, entry_version;
    char entries[];
};

struct mb2_mmap_entry {
    uint64_t addr, len;
    uint32_t type, zero;
};

struct mb2_fb {
    struct mb2_tag tag;
    uint64_t addr;
    uint32_t pitch, width, height;
    uint8_t bpp, type;
    uint16_t reserved;
    uint8_t colour[6];
} __packed;

struct mb2_efi_mmap {
    struct mb2_tag tag;
    uint32_t desc_size, desc_version;
    char entries[];
};

struct mb2_smbios {
    struct mb2_tag tag;
    uint8_t major, minor, reserved[6];
    char tables[];
};

#ifdef HOSPES_HOST
extern char *boot_test_memory; /* what lies at physical address 0 */
#define LOW_MEMORY boot_test_memory
#else
#define LOW_MEMORY ((char *)DIRECTMAP_VIRT)
#endif

static void *low(uint64_t phys)
{
    return LOW_MEMORY + phys;
}

/*
 * GRUB passes only the arguments, of which Debian's scripts make the first word `placeholder`;
 * other loaders pass the file's name first.
 */
static const char *skip_first_word(const char *s, bool is_grub)
{
    while (*s == ' ')
        s++;
    if (is_grub && strncmp(s, "placeholder", 11) && *s != '/')
        return s;
    while (*s && *s != ' ')
        s++;
    while (*s == ' ')
        s++;
    return s;
}

static void add_range(uint64_t addr, uint64_t len, uint32_t type)
{
    if (!len || e820_host.nr == E820_MAX)
        return;
    if (addr + len < addr)
        len = -addr;
    e820_host.map[e820_host.nr++] = (struct e820_entry){addr, len, type};
}

static void add_module(uint32_t start, uint32_t end, const char *cmdline)
{
    if (boot_info.nr_modules == BOOT_MAX_MODULES || end < start)
        return;
    boot_info.modules[boot_info.nr_modules++] = (struct boot_module){start, end - start, cmdline};
}

static void note_info_area(uint64_t start, uint64_t size)
{
    if (!boot_info.info_end || start < boot_info.info_start)
        boot_info.info_start = start;
    if (start + size > boot_info.info_end)
        boot_info.info_end = start + size;
}

static const char *mb1_string(uint32_t phys)
{
    const char *s = low(phys);

    note_info_area(phys, strnlen(s, 4096) + 1);
    return s;
}

static const char *read_mb1(uint32_t phys)
{
    const struct mb1_info *mbi = low(phys);

    note_info_area(phys, sizeof(*mbi));
    boot_info.loader = (mbi->flags & MB1_LOADER) ? mb1_string(mbi->loader_name) : "multiboot";
    bool is_grub = !strncmp(boot_info.loader, "GRUB", 4);

    if (mbi->flags & MB1_CMDLINE)
        boot_info.cmdline = skip_first_word(mb1_string(mbi->cmdline), is_grub);
    if (mbi->flags & MB1_MODS) {
        const struct mb1_module *mods = low(mbi->mods_addr);

        note_info_area(mbi->mods_addr, mbi->mods_count * sizeof(*mods));
        for (unsigned i = 0; i < mbi->mods_count && i < BOOT_MAX_MODULES; i++)
            add_module(mods[i].start, mods[i].end,
                       mods[i].cmdline ? skip_first_word(mb1_string(mods[i].cmdline), is_grub)
                                       : "");
    }
    if (mbi->flags & MB1_FB) {
        boot_info.fb = (struct boot_framebuffer){
            mbi->fb_addr,      mbi->fb_pitch,     mbi->fb_width,     mbi->fb_height,
            mbi->fb_bpp,       mbi->fb_type,      mbi->fb_colour[0], mbi->fb_colour[1],
            mbi->fb_colour[2], mbi->fb_colour[3], mbi->fb_colour[4], mbi->fb_colour[5]};
    }
    if (mbi->flags & MB1_MMAP) {
        uint64_t pos = mbi->mmap_addr, end = pos + mbi->mmap_length;

        while (pos + sizeof(struct mb1_mmap) <= end) {
            const struct mb1_mmap *e = low(pos);

            add_range(e->addr, e->len, e->type);
            pos += e->size + sizeof(e->size);
        }
    } else if (mbi->flags & MB1_MEMORY) {
        add_range(0, (uint64_t)mbi->mem_lower << 10, E820_RAM);
        add_range(1 << 20, (uint64_t)mbi->mem_upper << 10, E820_RAM);
    } else {
        return "the boot loader gave no memory map";
    }
    return NULL;
}

static void read_mb2_mmap(const struct mb2_mmap *t)
{
    if (t->entry_size < sizeof(struct mb2_mmap_entry))
        return;
    for (size_t pos = sizeof(*t); pos + t->entry_size <= t->tag.size; pos += t->entry_size) {
        const struct mb2_mmap_entry *e = (const void *)((const char *)t + pos);

        add_range(e->addr, e->len, e->type);
    }
}

static void read_mb2_tag(const struct mb2_tag *tag, bool is_grub)
{
    const void *body = tag + 1;
    size_t body_size = tag->size - sizeof(*tag);

    switch (tag->type) {
    case MB2_CMDLINE:
        boot_info.cmdline = skip_first_word(body, is_grub);
        break;
    case MB2_MODULE: {
        const struct mb2_module *m = (const void *)tag;

        add_module(m->start, m->end, skip_first_word(m->cmdline, is_grub));
        break;
    }
    case MB2_MMAP:
        read_mb2_mmap((const void *)tag);
        break;
    case MB2_FB: {
        const struct mb2_fb *f = (const void *)tag;

        boot_info.fb = (struct boot_framebuffer){
            f->addr,      f->pitch,     f->width,     f->height,    f->bpp,       f->type,
            f->colour[0], f->colour[1], f->colour[2], f->colour[3], f->colour[4], f->colour[5]};
        break;
    }
    case MB2_EFI64:
        boot_info.efi = true;
        if (body_size >= 8)
            boot_info.efi_systab = *(const uint64_t *)body;
        break;
    case MB2_EFI_MMAP: {
        const struct mb2_efi_mmap *m = (const void *)tag;

        boot_info.efi = true;
        boot_info.efi_memmap = m->entries;
        boot_info.efi_memmap_size = tag->size - sizeof(*m);
        boot_info.efi_desc_size = m->desc_size;
        boot_info.efi_desc_version = m->desc_version;
        break;
    }
    case MB2_SMBIOS: {
        const struct mb2_smbios *s = (const void *)tag;

        boot_info.smbios = s->tables;
        boot_info.smbios_size = tag->size - sizeof(*s);
        boot_info.smbios_major = s->major;
        boot_info.smbios_minor = s->minor;
        break;
    }
    case MB2_ACPI_OLD:
        if (boot_info.rsdp)
            break;
        /* fallthrough */
    case MB2_ACPI_NEW:
        boot_info.rsdp = body;
        boot_info.rsdp_size = body_size;
        break;
    }
}

static const char *read_mb2(uint32_t phys)
{
    const uint32_t *total = low(phys);
    size_t size = *total;
    bool is_grub = true;

    note_info_area(phys, size);
    boot_info.loader = "multiboot2";
    /* The loader's name decides how the command lines are read, so it comes first. */
    for (int pass = 0; pass < 2; pass++) {
        for (size_t pos = 8; pos + sizeof(struct mb2_tag) <= size;) {
            const struct mb2_tag *tag = low(phys + pos);

            if (tag->type == MB2_END || tag->size < sizeof(*tag) || tag->size > size - pos)
                break;
            if (pass) {
                read_mb2_tag(tag, is_grub);
            } else if (tag->type == MB2_LOADER) {
                boot_info.loader = (const char *)(tag + 1);
                is_grub = !strncmp(boot_info.loader, "GRUB", 4);
            }
            pos += ROUND_UP(tag->size, 8u);
        }
    }
    return e820_host.nr ? NULL : "the boot loader gave no memory map";
}

const char *__init boot_info_init(uint32_t magic, uint32_t phys)
{
    const char *err;

    boot_info.cmdline = "";
    boot_info.loader = "";
    if (magic == MB1_LOADER_MAGIC)
        err = read_mb1(phys);
    else if (magic == MB2_LOADER_MAGIC)
        err = read_mb2(phys);
    else
        return "not started by a multiboot loader";
    e820_sanitise(&e820_host);
    return err;
}
