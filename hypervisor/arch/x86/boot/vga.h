// SPDX-License-Identifier: MIT
/* The text screen of a PC, as a console line. */
#pragma once

/* If there is one (the firmware left text mode on). */
void vga_init(void);
/* dom0 has the screen now, unless `vga=...,keep`. */
void vga_release(void);
