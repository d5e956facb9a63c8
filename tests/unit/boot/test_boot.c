// SPDX-License-Identifier: MIT
/* Memory maps, early memory, the command line, what loaders leave, payloads. */
#include "test.h"
#include <stdio.h>
#include <lz4.h>
#include <lzma.h>
#include <zlib.h>
#include <zstd.h>
#include "arch/x86/boot/bootinfo.h"
#include "asm/e820.h"
#include "boot/bootmem.h"
#include "boot/cmdline.h"
#include "boot/decompress.h"
#include "boot/initrd.h"
#include "ground.h"
#include "lib/errno.h"
#include "kernel/console.h"
#include "kernel/panic.h"

/* ---- memory maps ---- */

static uint32_t rank_of(uint32_t type)
{
    static const uint32_t rank[] = {9, 0, 3, 1, 2, 4};

    return rank[type];
}

/* The worst type that any range gives address a; 0: none. */
static uint32_t type_at(const struct e820_map *m, uint64_t a)
{
    uint32_t worst = 0;

    for (unsigned i = 0; i < m->nr; i++)
        if (a >= m->map[i].addr && a - m->map[i].addr < m->map[i].size)
            if (!worst || rank_of(m->map[i].type) > rank_of(worst))
                worst = m->map[i].type;
    return worst;
}

static void e820_random(void **state)
{
    static struct e820_map before, after;

    (void)state;
    for (unsigned round = 0; round < 2000; round++) {
        before.nr = 1 + test_random(12);
        for (unsigned i = 0; i < before.nr; i++)
            before.map[i] =
                (struct e820_entry){test_random(64), 1 + test_random(20), 1 + test_random(5)};
        after = before;
        e820_sanitise(&after);
        for (uint64_t a = 0; a < 90; a++)
            assert_int_equal(type_at(&after, a), type_at(&before, a));
        for (unsigned i = 1; i < after.nr; i++) {
            struct e820_entry p = after.map[i - 1], e = after.map[i];

            assert_true(e.size && p.addr + p.size <= e.addr);
            assert_false(p.addr + p.size == e.addr && p.type == e.type);
        }
        assert_true(e820_all(&after, after.map[0].addr, after.map[0].addr + after.map[0].size,
                             after.map[0].type));
    }
}

/* ---- early memory ---- */

static uint64_t finished;

static void count_range(maddr_t start, maddr_t end)
{
    finished += end - start;
}

static void bootmem_works(void **state)
{
    maddr_t a, b;

    (void)state;
    bootmem_add(0x1800, 0x100000);
    bootmem_add(0x200000, 0x8000000);
    bootmem_add(0x100000000, 0x180000000);
    bootmem_reserve(0x300000, 0x3fffff);
    assert_int_equal(bootmem_free_bytes(), 0xfe000 + 0x7e00000 - 0x100000 + 0x80000000);
    a = bootmem_alloc(0x1000, 0x1000, 0);
    assert_int_equal(a, 0x17ffff000);
    b = bootmem_alloc(0x200000, 0x200000, 1ULL << 32);
    assert_int_equal(b, 0x7e00000);
    assert_int_equal(bootmem_alloc(0x1000, 0x1000, 0x9f000), 0x9e000);
    assert_int_equal(bootmem_alloc(1ULL << 40, 0x1000, 0), 0);
    bootmem_reserve(0, 0x100000);
    bootmem_finish(0x100000, count_range);
    assert_int_equal(finished, 0x7e00000 - 0x100000 + 0x80000000 - 0x1000 - 0x200000);
    assert_int_equal(bootmem_alloc(0x1000, 0x1000, 0), 0);
}

/* ---- command line ---- */

static void options_are_set(void **state)
{
    (void)state;
    cmdline_parse("com1=115200,8n1  no-smap dom0_max_vcpus=3 noreboot mem=2G xsave=off loglvl=all "
                  "console=vga console=com1 dom0_mem=min:1G,max:2G conring_size=128k");
    assert_string_equal(opt_com1, "115200,8n1");
    assert_string_equal(opt_console, "com1");
    assert_string_equal(opt_dom0_mem, "min:1G,max:2G");
    assert_false(opt_smap);
    assert_false(opt_xsave);
    assert_true(opt_noreboot);
    assert_int_equal(opt_dom0_max_vcpus, 3);
    assert_int_equal(opt_mem, 2ULL << 30);
    assert_int_equal(opt_conring_size, 128 << 10);
    assert_int_equal(console_loglvl.lower, 4);
    ground_printed[0] = 0;
    cmdline_report();
    assert_string_equal(ground_printed, "");
    cmdline_parse("nosmp");
    assert_false(opt_smp);
}

static void bad_options_are_named(void **state)
{
    static const char *const named[] = {
        "'frobnicate=7': unknown option", "'dom0_max_vcpus=many': not a number",
        "'mem=2X': not a size",           "'smep=maybe': not yes or no",
        "'loglvl=loud': not understood",  "'no-dom0_mem': only yes-or-no options take no-",
        "'com1': needs a value",          ": too long"};

    (void)state;
    ground_printed[0] = 0;
    char line[1024];

    strcpy(line,
           "frobnicate=7 dom0_max_vcpus=many mem=2X smep=maybe loglvl=loud no-dom0_mem com1 ");
    memset(line + strlen(line), 'x', 300);
    line[strcspn(line, "x") + 400] = 0;
    cmdline_parse(line);
    cmdline_report();
    for (unsigned i = 0; i < sizeof(named) / sizeof(named[0]); i++)
        assert_non_null(strstr(ground_printed, named[i]));
}

static void lists_and_sizes(void **state)
{
    const char *end;

    (void)state;
    assert_true(cmdline_has_word("com1,vga", "vga"));
    assert_true(cmdline_has_word("com1,vga", "com1"));
    assert_false(cmdline_has_word("com11,vgax", "vga"));
    assert_false(cmdline_has_word("", "vga"));
    assert_int_equal(parse_size("12", &end, 1024), 12 * 1024);
    assert_int_equal(parse_size("3G,", &end, 1), 3ULL << 30);
    assert_int_equal(*end, ',');
}

/* ---- loaders ---- */

static void put32(size_t at, uint32_t v)
{
    memcpy(boot_test_memory + at, &v, 4);
}

static void put64(size_t at, uint64_t v)
{
    memcpy(boot_test_memory + at, &v, 8);
}

static void forget(void)
{
    memset(&boot_info, 0, sizeof(boot_info));
    memset(&e820_host, 0, sizeof(e820_host));
    memset(boot_test_memory, 0, 65536);
}

static void multiboot1(void **state)
{
    (void)state;
    forget();
    put32(0x1000, 1 << 2 | 1 << 3 | 1 << 6 | 1 << 9);
    put32(0x1000 + 16, 0x2000); /* command line */
    put32(0x1000 + 20, 2);      /* modules */
    put32(0x1000 + 24, 0x3000);
    put32(0x1000 + 44, 48); /* memory map */
    put32(0x1000 + 48, 0x4000);
    put32(0x1000 + 64, 0x5000);
    strcpy(boot_test_memory + 0x2000, "hospes console=com1 x");
    strcpy(boot_test_memory + 0x2100, "vmlinuz  root=/dev/sda");
    strcpy(boot_test_memory + 0x5000, "qemu");
    put32(0x3000, 0x100000);
    put32(0x3004, 0x200000);
    put32(0x3008, 0x2100);
    put32(0x3010, 0x200000);
    put32(0x3014, 0x200010);
    for (unsigned i = 0; i < 2; i++) {
        put32(0x4000 + 24 * i, 20);
        put64(0x4004 + 24 * i, i ? 0x100000 : 0);
        put64(0x400c + 24 * i, i ? 0x700000 : 0x9fc00);
        put32(0x4014 + 24 * i, 1);
    }
    assert_null(boot_info_init(0x2badb002, 0x1000));
    assert_string_equal(boot_info.cmdline, "console=com1 x");
    assert_int_equal(boot_info.nr_modules, 2);
    assert_string_equal(boot_info.modules[0].cmdline, "root=/dev/sda");
    assert_int_equal(boot_info.modules[0].size, 0x100000);
    assert_string_equal(boot_info.modules[1].cmdline, "");
    assert_int_equal(e820_host.nr, 2);
    assert_true(boot_info.info_start <= 0x1000 && boot_info.info_end >= 0x5005);
}

static size_t tag(size_t at, uint32_t type, const void *body, uint32_t size)
{
    put32(at, type);
    put32(at + 4, size + 8);
    memcpy(boot_test_memory + at + 8, body, size);
    return at + ((size + 8 + 7) & ~7u);
}

static size_t two_tags(void)
{
    static const char module[] = "\0\0\x10\0\0\0\x20\0placeholder quiet";
    size_t at = 0x1008;

    at = tag(at, 1, "placeholder loglvl=all", 23);
    at = tag(at, 3, module, sizeof(module));
    at = tag(at, 2, "GRUB 2.06", 10);
    at = tag(at, 14, "RSD PTR old", 12);
    at = tag(at, 15, "RSD PTR new", 12);
    return at;
}

static void multiboot2(void **state)
{
    uint8_t map[8 + 24] = {24};
    uint64_t len = 0x8000000;
    size_t at;

    (void)state;
    forget();
    at = two_tags();
    memcpy(map + 16, &len, 8);
    map[24] = 1;
    at = tag(at, 6, map, sizeof(map));
    at = tag(at, 0, "", 0);
    put32(0x1000, at - 0x1000);
    assert_null(boot_info_init(0x36d76289, 0x1000));
    assert_string_equal(boot_info.cmdline, "loglvl=all");
    assert_int_equal(boot_info.nr_modules, 1);
    assert_int_equal(boot_info.modules[0].start, 0x100000);
    assert_string_equal(boot_info.modules[0].cmdline, "quiet");
    assert_memory_equal(boot_info.rsdp, "RSD PTR new", 11);
    assert_int_equal(e820_host.nr, 1);
}

static void broken_tags_end_the_list(void **state)
{
    size_t at;

    (void)state;
    forget();
    at = two_tags();
    put32(at, 6);
    put32(at + 4, 3); /* shorter than a tag */
    put32(0x1000, 0x8000);
    assert_non_null(boot_info_init(0x36d76289, 0x1000));
    forget();
    at = two_tags();
    put32(at, 6);
    put32(at + 4, 0x7ffffff0); /* beyond the end */
    put32(0x1000, 0x8000);
    assert_non_null(boot_info_init(0x36d76289, 0x1000));
    assert_non_null(boot_info_init(0x12345678, 0x1000));
}

/* ---- payloads ---- */

#define PLAIN_SIZE (20u << 20)
static unsigned char *plain, *packed, *unpacked;

static void make_plain(void)
{
    plain = malloc(PLAIN_SIZE);
    packed = malloc(PLAIN_SIZE + (1 << 20));
    unpacked = malloc(PLAIN_SIZE);
    for (size_t i = 0; i < PLAIN_SIZE; i++)
        plain[i] = i % 1000 < 900 ? i / 1000 : test_random(256);
}

static size_t pack_lz4(void)
{
    size_t at = 4;

    memcpy(packed, "\x02\x21\x4c\x18", 4);
    for (size_t pos = 0; pos < PLAIN_SIZE; pos += 8 << 20) {
        size_t n = PLAIN_SIZE - pos < 8 << 20 ? PLAIN_SIZE - pos : 8 << 20;
        int len = LZ4_compress_default((char *)plain + pos, (char *)packed + at + 4, n,
                                       LZ4_compressBound(n));

        memcpy(packed + at, &len, 4);
        at += 4 + len;
    }
    return at;
}

static size_t pack_gzip(void)
{
    z_stream z = {
        .next_in = plain, .avail_in = PLAIN_SIZE, .next_out = packed, .avail_out = PLAIN_SIZE};

    deflateInit2(&z, 1, Z_DEFLATED, 16 + MAX_WBITS, 8, Z_DEFAULT_STRATEGY);
    deflate(&z, Z_FINISH);
    deflateEnd(&z);
    return z.total_out;
}

static size_t pack_xz(void)
{
    size_t out = 0;

    assert_int_equal(lzma_easy_buffer_encode(0, LZMA_CHECK_CRC32, NULL, plain, PLAIN_SIZE, packed,
                                             &out, PLAIN_SIZE),
                     LZMA_OK);
    return out;
}

static size_t pack_zstd(void)
{
    /* With a checksum, as the zstd tool does. */
    ZSTD_CCtx *ctx = ZSTD_createCCtx();
    size_t len;

    ZSTD_CCtx_setParameter(ctx, ZSTD_c_compressionLevel, 1);
    ZSTD_CCtx_setParameter(ctx, ZSTD_c_checksumFlag, 1);
    len = ZSTD_compress2(ctx, packed, PLAIN_SIZE, plain, PLAIN_SIZE);
    ZSTD_freeCCtx(ctx);
    return len;
}

static void check_format(const char *name, size_t len, bool size_behind)
{
    uint32_t size = PLAIN_SIZE;
    size_t got;

    if (size_behind) {
        memcpy(packed + len, &size, 4);
        len += 4;
    }
    assert_string_equal(decompress_format(packed, len), name);
    assert_int_equal(decompressed_size(packed, len), PLAIN_SIZE);
    memset(unpacked, 0, PLAIN_SIZE);
    assert_int_equal(decompress(packed, len, unpacked, PLAIN_SIZE, &got), 0);
    assert_int_equal(got, PLAIN_SIZE);
    assert_memory_equal(plain, unpacked, PLAIN_SIZE);
    /* No room; cut off; damaged. */
    assert_int_equal(decompress(packed, len, unpacked, PLAIN_SIZE / 2, &got), -ENOSPC);
    assert_int_equal(decompress(packed, len / 2, unpacked, PLAIN_SIZE, &got), -EBADMSG);
    if (strcmp(name, "lz4")) { /* which has no checksum */
        memset(packed + len / 2, 0x5a, 300);
        assert_int_equal(decompress(packed, len, unpacked, PLAIN_SIZE, &got), -EBADMSG);
    }
}

static void payloads(void **state)
{
    size_t got;

    (void)state;
    make_plain();
    check_format("lz4", pack_lz4(), true);
    check_format("gzip", pack_gzip(), false);
    check_format("xz", pack_xz(), true);
    check_format("zstd", pack_zstd(), true);
    assert_int_equal(decompress("\177ELF and more than that, too", 28, unpacked, PLAIN_SIZE, &got),
                     -EINVAL);
    assert_null(decompress_format("", 0));
    free(plain);
    free(packed);
    free(unpacked);
}

/* ---- initrds ---- */

static size_t cpio_file(char *at, const char *name, uint32_t size)
{
    size_t name_len = strlen(name) + 1, body = (110 + name_len + 3) & ~3ul;

    memset(at, 0, body + size + 3);
    sprintf(at, "070701%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x", 1, 0x81a4, 0, 0, 1, 0,
            size, 0, 0, 0, 0, (unsigned)name_len, 0);
    memcpy(at + 110, name, name_len);
    memset(at + body, 'x', size);
    return (body + size + 3) & ~3ul;
}

static size_t cpio_archive(char *at)
{
    size_t n = cpio_file(at, "init", 333);

    n += cpio_file(at + n, "etc/a-longer-name", 1);
    n += cpio_file(at + n, "empty", 0);
    return n + cpio_file(at + n, "TRAILER!!!", 0);
}

/* Every prefix in [from, size) is too short. */
static void all_cuts_are_seen(const char *data, size_t from, size_t size)
{
    for (size_t n = from; n < size; n++) {
        char *copy = malloc(n); /* so that reading beyond it is noticed */

        memcpy(copy, data, n);
        assert_non_null(initrd_check(copy, n));
        free(copy);
    }
}

static void initrds(void **state)
{
    static char data[8192], plain[3000];
    size_t n, packed;

    (void)state;
    n = cpio_archive(data);
    assert_null(initrd_check(data, n));
    assert_null(initrd_check(data, n + 512)); /* padding */
    all_cuts_are_seen(data, 6, n - 3);        /* the last three bytes are padding */

    /* Two archives, as with microcode in front; the second packed, incompressible. */
    for (size_t i = 0; i < sizeof(plain); i++)
        plain[i] = test_random(256);
    packed = ZSTD_compress(data + n + 512, sizeof(data) - n - 512, plain, sizeof(plain), 3);
    assert_null(initrd_check(data, n + 512 + packed));
    all_cuts_are_seen(data, n + 512 + 5, n + 512 + packed);
    /* Highly compressible, and an empty frame. */
    memset(plain, 'y', sizeof(plain));
    packed = ZSTD_compress(data, sizeof(data), plain, sizeof(plain), 3);
    assert_null(initrd_check(data, packed));
    all_cuts_are_seen(data, 5, packed);
    packed = ZSTD_compress(data, sizeof(data), plain, 0, 3);
    assert_null(initrd_check(data, packed));
    /* What is not understood passes; nothing at all does not. */
    assert_null(initrd_check("\x1f\x8b gzip", 7));
    assert_non_null(initrd_check("", 0));
}

static void garbage_in_initrds(void **state)
{
    static char data[2048];
    size_t size = cpio_archive(data);

    (void)state;
    for (unsigned round = 0; round < 20000; round++) {
        char *copy = malloc(size);

        memcpy(copy, data, size);
        for (unsigned i = 0; i < 4; i++)
            copy[test_random(size)] = "0f8Fx\0"[test_random(6)];
        initrd_check(copy, size);
        memcpy(copy, "\x28\xb5\x2f\xfd", 4);
        for (unsigned i = 4; i < 40; i++)
            copy[i] = test_random(round & 1 ? 256 : 8);
        initrd_check(copy, size);
        free(copy);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(e820_random),        cmocka_unit_test(bootmem_works),
        cmocka_unit_test(options_are_set),    cmocka_unit_test(bad_options_are_named),
        cmocka_unit_test(lists_and_sizes),    cmocka_unit_test(multiboot1),
        cmocka_unit_test(multiboot2),         cmocka_unit_test(broken_tags_end_the_list),
        cmocka_unit_test(payloads),           cmocka_unit_test(initrds),
        cmocka_unit_test(garbage_in_initrds),
    };

    boot_test_memory = calloc(1, 65536);
    int ret = cmocka_run_group_tests(tests, NULL, NULL);

    free(boot_test_memory);
    return ret;
}
