// SPDX-License-Identifier: MIT
/* CONFIG_VGA is off. */
#include "arch/x86/boot/vga.h"

void vga_init(void)
{
}

void vga_release(void)
{
}
