// SPDX-License-Identifier: MIT
/* Inside acpi/: bounded access to a table.  Offsets are those of the ACPI specification, 6.4. */
#pragma once
#include "acpi.h"
#include "lib/string.h"

/* A table in view, checksum verified.  Fields beyond its end read as 0. */
struct acpi_table {
    const uint8_t *p;
    uint32_t len;
    char sig[5];
    maddr_t addr;
};

#define SDT_HEADER   36 /* bytes: signature, length, revision, checksum, OEM, creator */
#define ACPI_MAX_LEN (16u << 20)

static inline uint64_t acpi_get(const struct acpi_table *t, uint32_t off, unsigned size)
{
    uint64_t val = 0;

    if (off <= t->len && size <= t->len - off)
        memcpy(&val, t->p + off, size);
    return val;
}

#define get8(t, off)  ((uint8_t)acpi_get(t, off, 1))
#define get16(t, off) ((uint16_t)acpi_get(t, off, 2))
#define get32(t, off) ((uint32_t)acpi_get(t, off, 4))
#define get64(t, off) acpi_get(t, off, 8)

struct acpi_reg acpi_get_reg(const struct acpi_table *t, uint32_t off);

/* tables.c.  Opens the table at addr if it is well-formed; close it again. */
bool acpi_open(struct acpi_table *t, maddr_t addr, const char *sig);
void acpi_close(struct acpi_table *t);

void acpi_read_madt(const struct acpi_table *t);
void acpi_read_fadt(const struct acpi_table *t);
void acpi_read_hpet(const struct acpi_table *t);
void acpi_read_mcfg(const struct acpi_table *t);
void acpi_read_srat(const struct acpi_table *t);
void acpi_read_slit(const struct acpi_table *t);

/* Walks the records (type, length) from off on: NULL at the end or at a malformed one. */
struct acpi_record {
    uint32_t off;
    uint8_t type, len;
};
bool acpi_next_record(const struct acpi_table *t, struct acpi_record *r);

/* Device-memory access, so that tests can put their own tables there (map.c). */
const void *acpi_os_map(maddr_t addr, size_t len);
void acpi_os_unmap(const void *p, size_t len);
