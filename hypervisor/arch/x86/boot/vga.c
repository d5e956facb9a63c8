// SPDX-License-Identifier: MIT
/* The text screen: 80 columns, 25 rows, scrolling.  Nothing of it after a change to graphics. */
#include "arch/x86/boot/vga.h"
#include "arch/x86/boot/bootinfo.h"
#include "asm/io.h"
#include "boot/cmdline.h"
#include "kernel/console.h"
#include "lib/string.h"
#include "mm/mm.h"

#define TEXT_BASE  0xb8000
#define COLUMNS    80
#define ROWS       25
#define GREY       0x0700
#define CRTC_INDEX 0x3d4
#define CRTC_DATA  0x3d5

static volatile uint16_t *screen;
static unsigned column, row;

static void new_line(void)
{
    column = 0;
    if (++row < ROWS)
        return;
    row = ROWS - 1;
    for (unsigned i = 0; i < (ROWS - 1) * COLUMNS; i++)
        screen[i] = screen[i + COLUMNS];
    for (unsigned i = 0; i < COLUMNS; i++)
        screen[(ROWS - 1) * COLUMNS + i] = GREY | ' ';
}

static void vga_puts(const char *s, size_t n)
{
    if (!screen)
        return;
    for (; n; n--, s++) {
        if (*s == '\n') {
            new_line();
        } else if (*s >= ' ') {
            screen[row * COLUMNS + column] = GREY | (uint8_t)*s;
            if (++column == COLUMNS)
                new_line();
        }
    }
}

static struct console_line vga_line = {.name = "vga", .puts = vga_puts};

void vga_init(void)
{
    const struct boot_framebuffer *fb = &boot_info.fb;

    if (!cmdline_has_word(opt_console, "vga"))
        return;
    /* A frame buffer in graphics mode, or none on a machine without a VGA. */
    if ((fb->addr && fb->type != 2) || (boot_info.efi && !fb->addr))
        return;
    if (inb(0x3cc) == 0xff)
        return;
    screen = ioremap(TEXT_BASE, COLUMNS * ROWS * 2);
    for (unsigned i = 0; i < COLUMNS * ROWS; i++)
        screen[i] = GREY | ' ';
    /* No cursor. */
    outb(0x0a, CRTC_INDEX);
    outb(0x20, CRTC_DATA);
    console_register(&vga_line);
}

void vga_release(void)
{
    if (!strstr(opt_vga, "keep"))
        screen = NULL;
}
