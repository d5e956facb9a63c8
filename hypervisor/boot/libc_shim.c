// SPDX-License-Identifier: MIT
/*
 * The C library as far as the decompression libraries call it.  The build links this with them
 * into one object and hides all of it but payload_decompress(), so that nobody else gets this
 * malloc.  Memory comes from the arena and is never reused: each job has an arena of its own.
 */
#include "boot/decompress_private.h"
#include "kernel/panic.h"
#include "lib/compiler.h"
#include "lib/string.h"

static char *arena;
static size_t arena_left;

void payload_malloc_init(void *start, size_t size)
{
    arena = start;
    arena_left = size;
}

void *malloc(size_t size);
void *calloc(size_t n, size_t size);
void free(void *p);
void __stack_chk_fail(void) __noreturn;

void *malloc(size_t size)
{
    char *p = arena;

    if (size > arena_left || ROUND_UP(size, 64UL) > arena_left)
        return NULL;
    size = ROUND_UP(size, 64UL);
    arena += size;
    arena_left -= size;
    return p;
}

void *calloc(size_t n, size_t size)
{
    size_t bytes;
    void *p;

    if (__builtin_mul_overflow(n, size, &bytes))
        return NULL;
    p = malloc(bytes);
    return p ? memset(p, 0, bytes) : NULL;
}

void free(void *p)
{
    (void)p;
}

/* zstd's hooks for tracing, weak and undefined in the library; zero: not traced. */
unsigned long long ZSTD_trace_decompress_begin(const void *ctx);
void ZSTD_trace_decompress_end(unsigned long long ctx, const void *trace);

unsigned long long ZSTD_trace_decompress_begin(const void *ctx)
{
    (void)ctx;
    return 0;
}

void ZSTD_trace_decompress_end(unsigned long long ctx, const void *trace)
{
    (void)ctx;
    (void)trace;
}

void __stack_chk_fail(void)
{
    panic("A decompression library overran its stack frame");
}
