// SPDX-License-Identifier: MIT
/* Serial ports (16550). */
#pragma once
#include <stdint.h>

/* Ports that the command line sets up, as console lines.  Needs no memory, no interrupts. */
void serial_init_early(void);
/* Input by interrupt from now on. */
void serial_init_irq(void);
/* First of the eight I/O ports of com<n+1> if the hypervisor uses it, else 0. */
uint16_t serial_port_base(unsigned n);
