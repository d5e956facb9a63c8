// SPDX-License-Identifier: MIT
/* Serial ports (16550). */
#pragma once

/* Ports that the command line sets up, as console lines.  Needs no memory, no interrupts. */
void serial_init_early(void);
/* Input by interrupt from now on. */
void serial_init_irq(void);
