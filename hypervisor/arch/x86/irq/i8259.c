// SPDX-License-Identifier: MIT
/* The two legacy interrupt controllers: initialised to a known state and masked for good. */
#include "private.h"
#include "arch/x86/acpi/acpi.h"
#include <asm/io.h>

#define PIC1_COMMAND 0x20
#define PIC1_DATA    0x21
#define PIC2_COMMAND 0xa0
#define PIC2_DATA    0xa1
#define ICW1_INIT    0x11 /* edge, cascade, ICW4 follows */
#define ICW4_8086    0x01

void i8259_init(void)
{
    if (acpi.found && !acpi.has_8259)
        return;
    outb(0xff, PIC1_DATA);
    outb(0xff, PIC2_DATA);
    /* A spurious interrupt must not look like an exception, whatever firmware had set. */
    outb(ICW1_INIT, PIC1_COMMAND);
    outb(VECTOR_DYNAMIC_FIRST, PIC1_DATA);
    outb(1 << 2, PIC1_DATA); /* the other one is on line 2 */
    outb(ICW4_8086, PIC1_DATA);
    outb(ICW1_INIT, PIC2_COMMAND);
    outb(VECTOR_DYNAMIC_FIRST + 8, PIC2_DATA);
    outb(2, PIC2_DATA);
    outb(ICW4_8086, PIC2_DATA);
    outb(0xff, PIC1_DATA);
    outb(0xff, PIC2_DATA);
}
