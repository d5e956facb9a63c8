// SPDX-License-Identifier: MIT
/*
 * A tiny paravirtual kernel whose only program is a list of tests of the hypervisor below it.
 *
 * A test is TEST(name) { ... } anywhere in tests/guests; the command line chooses which to run, by
 * name or by the beginning of names ("trap", "grant_copy"), and each ends in a line of output
 *
 *     TEST name: PASS        or FAIL, or SKIP and a reason
 *
 * A test that spoils its guest runs only when named in full. ALONE(name) is otherwise like any
 * other. DEATH(name) makes the hypervisor end the guest: it says "TEST name: DYING", and has failed
 * if it comes back. RISK(name) says so, too, and may die or come back, whichever.
 *
 * Every test leaves things as it found them: the runner clears hooks and pending traps, but tables
 * and ports are the test's to tidy. CHECK goes on after a failure, REQUIRE leaves the test.
 */
#pragma once
#include "lib/compiler.h"
#include "lib/errno.h"
#include "lib/string.h"
#include "lib/types.h"
#include "layout.h"
#include <xen/xen.h>
#include <xen/callback.h>
#include <xen/event_channel.h>
#include <xen/features.h>
#include <xen/grant_table.h>
#include <xen/memory.h>
#include <xen/nmi.h>
#include <xen/physdev.h>
#include <xen/sched.h>
#include <xen/vcpu.h>
#include <xen/version.h>

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;
typedef unsigned long ulong;

/* --- what entries make: struct frame --- */
#if defined(HVM_GUEST) && defined(__x86_64__)
#include "hvm.h"
#elif defined(HVM_GUEST)
#include "hvm32.h"
#elif defined(__x86_64__)
#include "width64.h"
#else
#include "width32.h"
#endif

struct point {
    u64 regs[8];
};
int save_point(struct point *p) __attribute__((returns_twice));
void go_back(struct point *p, int value) __noreturn;
void resume_frame(struct frame *f) __noreturn;

#ifndef MAX_CPUS
#define MAX_CPUS 2
#endif
struct cpu {
    unsigned id;
    volatile bool armed;   /* a trap goes back to `catch` */
    volatile bool in_user; /* a trap from user mode goes back to `user_back` */
    struct point catch, user_back;
    struct frame trap; /* the last that was caught */
    u64 cr2;
    u8 saved_mask;      /* as that frame had it */
    u64 frame_at;       /* where it was */
    u64 traps[VECTORS]; /* counts */
    void (*volatile work)(unsigned long);
    unsigned long work_arg;
    volatile bool busy;
};
struct cpu *this_cpu(void);
extern struct cpu cpus[MAX_CPUS];

/* A hook sees a trap first; true: dealt with, resume the frame as it is now. */
typedef bool hook_fn(struct frame *f);
extern hook_fn *hooks[VECTORS];

/* --- tests --- */
struct test {
    const char *name;
    void (*run)(void);
    u64 kind;
};
enum { TOGETHER, IN_A_DOMAIN_OF_ITS_OWN, MAY_DIE, HAS_TO_DIE };
#define TEST_(n, k)                                                                                \
    static void test_##n(void);                                                                    \
    static const struct test info_##n = {#n, test_##n, k};                                         \
    static const struct test *const ptr_##n __section("tests") = &info_##n;                        \
    static void test_##n(void)
#define TEST(n)  TEST_(n, TOGETHER)
#define ALONE(n) TEST_(n, IN_A_DOMAIN_OF_ITS_OWN)
#define RISK(n)  TEST_(n, MAY_DIE)
#define DEATH(n) TEST_(n, HAS_TO_DIE)

void say(const char *fmt, ...) __printf(1, 2);
void fail(const char *file, int line, const char *fmt, ...) __printf(3, 4);
bool failed_often(void);
bool dying(void); /* the test that runs need not come back */
void leave_test(void) __noreturn;
/* From a trap that a test has asked for, in ring 3 or its own, to where it waits for that. */
void back_to_test(struct cpu *cpu, bool from_user, unsigned vector) __noreturn;
/* Those that the words ask for; then the guest powers off. */
void run_tests(const char *words) __noreturn;
void skip(const char *why) __noreturn;
void die(const char *fmt, ...) __printf(1, 2) __noreturn;

#define CHECK(c)                                                                                   \
    ({                                                                                             \
        bool ok_ = (c);                                                                            \
        if (!ok_)                                                                                  \
            fail(__FILE__, __LINE__, "%s", #c);                                                    \
        ok_;                                                                                       \
    })
#define CHECK_EQ(a, b)                                                                             \
    ({                                                                                             \
        long a_ = (long)(a), b_ = (long)(b);                                                       \
        if (a_ != b_)                                                                              \
            fail(__FILE__, __LINE__, "%s is %ld (%#lx), not %ld (%#lx)", #a, a_,                   \
                 (unsigned long)a_, b_, (unsigned long)b_);                                        \
        a_ == b_;                                                                                  \
    })
/* Refused, with whatever errno. */
#define CHECK_REFUSED(a)                                                                           \
    ({                                                                                             \
        long a_ = (long)(a);                                                                       \
        if (a_ >= 0 || a_ < -4095)                                                                 \
            fail(__FILE__, __LINE__, "%s is %ld (%#lx), not an error", #a, a_, (unsigned long)a_); \
        a_ < 0;                                                                                    \
    })
#define REQUIRE(c)                                                                                 \
    do {                                                                                           \
        if (!CHECK(c))                                                                             \
            leave_test();                                                                          \
    } while (0)
#define REQUIRE_EQ(a, b)                                                                           \
    do {                                                                                           \
        if (!CHECK_EQ(a, b))                                                                       \
            leave_test();                                                                          \
    } while (0)

/* The vector of the trap that `stmt` raises, or NO_TRAP; the frame is in this_cpu()->trap. */
#define NO_TRAP (-1)
#define CAUGHT(stmt)                                                                               \
    ({                                                                                             \
        struct cpu *cpu_ = this_cpu();                                                             \
        int vec_ = save_point(&cpu_->catch);                                                       \
        if (!vec_) {                                                                               \
            cpu_->armed = true;                                                                    \
            stmt;                                                                                  \
            barrier();                                                                             \
            cpu_->armed = false;                                                                   \
        }                                                                                          \
        vec_ - 1;                                                                                  \
    })

#define VEC_DE  0
#define VEC_DB  1
#define VEC_NMI 2
#define VEC_BP  3
#define VEC_OF  4
#define VEC_UD  6
#define VEC_NM  7
#define VEC_NP  11
#define VEC_SS  12
#define VEC_GP  13
#define VEC_PF  14
#define VEC_MF  16
#define VEC_AC  17
#define VEC_XM  19

/* --- hypercalls --- */
#define HC5(n, a, b, c, d, e)                                                                      \
    call_(__HYPERVISOR_##n, (ulong)(a), (ulong)(b), (ulong)(c), (ulong)(d), (ulong)(e))
#define HC4(n, a, b, c, d) HC5(n, a, b, c, d, 0)
#define HC3(n, a, b, c)    HC4(n, a, b, c, 0)
#define HC2(n, a, b)       HC3(n, a, b, 0)
#define HC1(n, a)          HC2(n, a, 0)

/* --- the domain --- */
extern start_info_t *start_info;
extern shared_info_t *shared_info;
extern struct start_info boot_info; /* a copy of the first, as it was at the start */
bool is_dom0(void);
vcpu_info_t *vcpu_info(void);
extern vcpu_info_t *vcpu_info_at[MAX_CPUS]; /* after register_vcpu_info; else NULL */
domid_t own_domid(void);
/* Leaves a test that stock Xen is known to fail, when run there: says what it does instead. */
void not_on_stock(const char *what_stock_does);

/* --- memory (mm.c) --- */
/* An address as the ABI has it; gcc would extend a 32-bit pointer by its sign. */
static inline u64 addr_of(const void *p)
{
    return (ulong)p;
}
void *page_alloc(void); /* zeroed, writable, below VIRT_BASE + some MB */
void page_free(void *page);
u64 *p2m(void);
u64 pfn_of(const void *va);
u64 mfn_of(const void *va);
void *va_of_mfn(u64 mfn); /* a boot-mapped page */
u64 maddr_of(const void *p);
u64 *entry_of(u64 va, unsigned level); /* in the kernel's tables, level 1 and up; NULL */
long update_va(u64 va, u64 pte);       /* update_va_mapping with INVLPG */
long mmu_update_one(u64 ptr, u64 val);
long mmuext(unsigned cmd, u64 mfn_or_va);
long mmuext2(unsigned cmd, u64 arg1, u64 arg2);
void set_ro(void *page);
void set_rw(void *page);
/* Maps val (a whole pte) at va, making tables on the way; frees nothing. */
void map_at(u64 va, u64 pte);
u64 root_mfn(void); /* the kernel's L4 or, in a 32-bit guest, L3 */
/* A page that is a table of nothing, mapped read-only: not yet pinned. */
void *table_alloc(void);
void table_free(void *page);

/* Frames that the hypervisor shares with this guest, which are its own to map: its shared info and,
 * as of the last call of read_shared_frames(), its grant table (attack/mm.c). */
void read_shared_frames(void);
bool is_shared_frame(u64 mfn);

/* --- user mode (user.c) --- */
#define USER_CODE  0x400000UL
#define USER_DATA  0x410000UL
#define USER_STACK 0x420000UL /* its page; rsp starts at the end */
void user_init(void);
extern u8 *user_code_page, *user_data_page, *user_stack_page;
extern u64 *user_l4;
/* A frame that runs `code` (copied in) in user mode. */
void user_frame(struct frame *f, const void *code, size_t size);
/* Goes there, and comes back with the vector of the next trap from user mode. */
int user_run(struct frame *f);
/* --- events (event.c) --- */
extern volatile u64 event_count[4096];
void event_loop(void); /* from the callback */
void unmask_port(unsigned port);
void mask_port(unsigned port);
bool port_pending(unsigned port);
void clear_port(unsigned port);
void events_off(void);
void events_on(void); /* and takes what is pending */
long evtchn(unsigned cmd, void *arg);
unsigned bind_ipi(void);
unsigned bind_virq(unsigned virq);
void close_port(unsigned port);
/* Waits until *counter changes from old, or so many milliseconds: false. */
bool wait_count(volatile u64 *counter, u64 old, unsigned ms);

/* --- FIFO events (fifo.c); unmask_port() is the same --- */
#define FIFO_PER_PAGE (4096 / sizeof(event_word_t))
#define FIFO_PAGES    (EVTCHN_FIFO_NR_CHANNELS / FIFO_PER_PAGE)
#define FIFO_LOG      64
void fifo_begin(void); /* for all vcpus, and a page of words */
bool fifo_grow(void);  /* another page */
void fifo_end(void);   /* two-level again; closes all but the console */
/* A reset closes the channels to dom0, too; their other ends wait to be bound again. */
void reset_events(void);
volatile event_word_t *fifo_word(unsigned port);
bool fifo_has(unsigned port, unsigned bit);
void fifo_mask(unsigned port);
extern volatile u32 fifo_taken[FIFO_LOG]; /* ports, in the order they were taken */
extern volatile unsigned fifo_nr_taken;
extern struct evtchn_fifo_control_block *fifo_control[MAX_CPUS];

/* --- time --- */
u64 now(void); /* ns, of this vcpu */
/* The same without its record, which a guest may ruin; what it needs for that takes 20 ms. */
void learn_clock(void);
u64 own_clock(void);
void sleep_ms(unsigned ms);

/* --- a second vcpu (smp.c), or more --- */
unsigned nr_vcpus(void);
void start_on_cpu(unsigned cpu, void (*fn)(unsigned long), unsigned long arg);
void start_on_cpu1(void (*fn)(unsigned long), unsigned long arg);
void wait_cpu1(void);
void fill_context(struct vcpu_guest_context *c, unsigned cpu);

/* --- traps.c --- */
extern u8 trap_entries[], event_entry[], syscall_entry[], syscall32_entry[], failsafe_entry[];
extern u8 sysenter_entry[], vcpu_entry[], stacks[];
extern ulong failsafe_selectors[4];
void traps_init(void);
void load_default_traps(void);
void fill_trap_table(struct trap_info *t); /* 257 entries */
u64 kernel_stack_of(unsigned cpu);

/* --- console.c --- */
void console_init(void);
void console_write(const char *s, size_t n);
void console_flush(void);
void shutdown(unsigned reason) __noreturn;

static inline void cpu_pause(void)
{
    __asm__ volatile("pause" ::: "memory");
}

static inline u64 rdtsc_(void)
{
    u32 lo, hi;

    __asm__ volatile("rdtsc" : "=a"(lo), "=d"(hi));
    return (u64)hi << 32 | lo;
}
