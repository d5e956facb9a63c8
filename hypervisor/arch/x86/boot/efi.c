// SPDX-License-Identifier: MIT
/*
 * EFI: the loader has ended boot services; what remains is the system table, through which dom0
 * finds ACPI and SMBIOS, and the memory map.  Runtime services are not called (dom0's calls get
 * -ENOSYS), so the table's addresses stay physical.
 */
#include "abi/xen_abi.h"
#include "arch/x86/boot/efi.h"
#include "arch/x86/boot/bootinfo.h"
#include "hypercall/guest_access.h"
#include "lib/errno.h"
#include "mm/mm.h"

struct efi_table_header {
    uint64_t signature;
    uint32_t revision, size, crc, reserved;
};

struct efi_system_table {
    struct efi_table_header header;
    uint64_t vendor; /* UTF-16 */
    uint32_t firmware_revision, pad;
    uint64_t console[6], runtime, boot_services, nr_tables, tables;
};

struct efi_memory_descriptor {
    uint32_t type, pad;
    uint64_t start, virt, pages, attribute;
};

#define EFI_SYSTEM_TABLE_SIGNATURE 0x5453595320494249ULL /* "IBI SYST" */
#define VENDOR_MAX                 128
#define TABLES_MAX                 4096

/* Copied once; -ENOSYS if there is none. */
static int system_table(struct efi_system_table *out)
{
    void *p;

    if (!boot_info.efi || !boot_info.efi_systab)
        return -ENOSYS;
    p = ioremap(boot_info.efi_systab, sizeof(*out));
    memcpy(out, p, sizeof(*out));
    iounmap(p, sizeof(*out));
    if (out->header.signature != EFI_SYSTEM_TABLE_SIGNATURE || out->nr_tables > TABLES_MAX)
        return -ENOSYS;
    return 0;
}

static int vendor_name(const struct efi_system_table *st, struct xenpf_firmware_info *fw)
{
    uint16_t name[VENDOR_MAX];
    uint32_t bytes = fw->u.efi_info.vendor.bufsz;
    unsigned len = 0;
    void *p = ioremap(st->vendor, sizeof(name));

    memcpy(name, p, sizeof(name));
    iounmap(p, sizeof(name));
    while (len < VENDOR_MAX - 1 && name[len])
        len++;
    name[len] = 0;
    fw->u.efi_info.vendor.revision = st->firmware_revision;
    if (bytes < (len + 1) * sizeof(name[0]))
        len = bytes < 2 ? 0 : bytes / 2 - 1;
    name[len] = 0;
    return bytes < 2 || !copy_to_guest(handle_addr(fw->u.efi_info.vendor.name), name,
                                       (len + 1) * sizeof(name[0]))
               ? 0
               : -EFAULT;
}

static int memory_info(struct xenpf_firmware_info *fw)
{
    uint64_t addr = fw->u.efi_info.mem.addr, size = fw->u.efi_info.mem.size;
    const char *d = boot_info.efi_memmap;

    for (size_t pos = 0; d && boot_info.efi_desc_size >= sizeof(struct efi_memory_descriptor) &&
                         pos + boot_info.efi_desc_size <= boot_info.efi_memmap_size;
         pos += boot_info.efi_desc_size) {
        const struct efi_memory_descriptor *e = (const void *)(d + pos);
        uint64_t left = e->pages << PAGE_SHIFT;

        if (addr < e->start || addr - e->start >= left)
            continue;
        left -= addr - e->start;
        fw->u.efi_info.mem.size = size < left ? size : left;
        fw->u.efi_info.mem.attr = e->attribute;
        fw->u.efi_info.mem.type = e->type;
        return 0;
    }
    return -ESRCH;
}

int efi_firmware_info(struct xenpf_firmware_info *fw)
{
    struct efi_system_table st;
    int err = system_table(&st);

    if (err)
        return err;
    switch (fw->index) {
    case XEN_FW_EFI_VERSION:
        fw->u.efi_info.version = st.header.revision;
        return 0;
    case XEN_FW_EFI_CONFIG_TABLE:
        fw->u.efi_info.cfg.addr = st.tables;
        fw->u.efi_info.cfg.nent = st.nr_tables;
        return 0;
    case XEN_FW_EFI_VENDOR:
        return vendor_name(&st, fw);
    case XEN_FW_EFI_MEM_INFO:
        return memory_info(fw);
    case XEN_FW_EFI_RT_VERSION:
        return -ENOSYS;
    default:
        return -EINVAL;
    }
}
