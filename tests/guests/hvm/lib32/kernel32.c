// SPDX-License-Identifier: MIT
/* A 32-bit PVH kernel: tables, traps, modes, ring 3, and what it asks of the hypervisor. */
#include "guest.h"
#include <xen/arch-x86/hvm/start_info.h>
#include <xen/hvm/hvm_op.h>
#include <xen/hvm/params.h>

#define HEAP_PAGES 64

struct cpu cpus[MAX_CPUS];
u8 stacks[2 * STACK_SIZE] __aligned(STACK_SIZE);
hook_fn *hooks[VECTORS];
u8 hypercall_page[4096] __aligned(4096);
enum mode mode;
static u8 shared_page[4096] __aligned(4096); /* its frame is replaced by shared_info's */
static u8 heap[HEAP_PAGES][4096] __aligned(4096);
static unsigned heap_next;
static u8 user_stack[4096] __aligned(16);
extern u8 user_end[];

struct cpu *this_cpu(void)
{
    return &cpus[0];
}

/* --- memory --- */

void *page_alloc(void)
{
    if (heap_next == HEAP_PAGES)
        die("out of pages");
    return memset(heap[heap_next++], 0, 4096);
}

void page_free(void *page)
{
    if (page == heap[heap_next - 1])
        heap_next--;
}

u64 mfn_of(const void *va)
{
    return (ulong)va >> 12;
}

void *va_of_mfn(u64 gfn)
{
    return (void *)(ulong)(gfn << 12);
}

static u32 pse_root[1024] __aligned(4096), pse_spare[1024] __aligned(4096);
static u64 pae_root[4] __aligned(32),
    pae_tables[4][512] __aligned(4096), pae_spare[2][512] __aligned(4096);

static void make_tables(void)
{
    for (unsigned i = 0; i < 1024; i++)
        pse_root[i] = i << 22 | PTE_RW_ | PTE_PSE;
    pse_root[SPARE_VA >> 22] = (ulong)pse_spare | PTE_RW_;
    for (unsigned i = 0; i < 4; i++) {
        pae_root[i] = (ulong)pae_tables[i] | PTE_P;
        for (unsigned j = 0; j < 512; j++)
            pae_tables[i][j] = (u64)(i * 512 + j) << 21 | PTE_RW_ | PTE_PSE;
    }
    for (unsigned i = 0; i < 2; i++)
        pae_tables[SPARE_VA >> 30][i] = (ulong)pae_spare[i] | PTE_RW_;
}

/* Within 4 MB of SPARE_VA. */
void map_at(u64 va, u64 pte)
{
    unsigned n = (va - SPARE_VA) >> 12;

    if (mode == PSE)
        pse_spare[n] = pte;
    else
        pae_spare[n / 512][n % 512] = pte;
    invlpg((void *)(ulong)va);
}

#define CR0_PG  0x80000000UL
#define CR4_PSE 0x10
#define CR4_PAE 0x20

void set_mode(enum mode m)
{
    write_cr0(read_cr0() & ~CR0_PG);
    mode = m;
    memset(pse_spare, 0, sizeof(pse_spare));
    memset(pae_spare, 0, sizeof(pae_spare));
    write_cr4((read_cr4() & ~(CR4_PSE | CR4_PAE)) | (m == PSE ? CR4_PSE : m == PAE ? CR4_PAE : 0));
    write_cr3(m == PSE ? (ulong)pse_root : (ulong)pae_root);
    if (m != UNPAGED)
        write_cr0(read_cr0() | CR0_PG);
}

void in_each_mode(void (*fn)(void))
{
    static const char *const names[] = {"unpaged", "pse", "pae"};

    for (enum mode m = UNPAGED; m < NR_MODES; m++) {
        set_mode(m);
        say("  %s\n", names[m]);
        fn();
    }
    set_mode(UNPAGED);
}

/* --- tables of the CPU --- */

u64 gdt[GDT_WORDS] = {0,
                      0x00cf9b000000ffff,
                      0x00cf93000000ffff,
                      0x00cffb000000ffff,
                      0x00cff3000000ffff,
                      0, /* SEL_TSS */
                      0x000f9b000000ffff};
u64 idt[256];
struct tss32 main_tss;

u64 descriptor(u32 base, u32 limit, u32 attr)
{
    return (limit & 0xffff) | (u64)(base & 0xffffff) << 16 | (u64)(attr & 0xf0ff) << 40 |
           (u64)(limit >> 16 & 15) << 48 | (u64)(base >> 24) << 56;
}

static void traps_init32(void)
{
    struct table_ptr p = {sizeof(gdt) - 1, (ulong)gdt};

    for (unsigned i = 0; i < 256; i++) {
        ulong at = (ulong)trap_entries + i * 16;
        u64 dpl = i == 3 || i == 4 || i == VEC_GATE ? 3 : 0;

        idt[i] =
            (at & 0xffff) | SEL_CODE << 16 | 0x8e0000000000 | dpl << 45 | (u64)(at >> 16) << 48;
    }
    main_tss = (struct tss32){
        .esp0 = (ulong)stacks + 2 * STACK_SIZE, .ss0 = SEL_DATA, .io_map = sizeof(main_tss)};
    gdt[SEL_TSS / 8] = descriptor((ulong)&main_tss, sizeof(main_tss) - 1, 0x89);
    __asm__ volatile("lgdt %0\n ljmp $0x08, $1f\n1: movl %1, %%ds\n movl %1, %%es\n movl %1, %%ss\n"
                     "movl %1, %%fs\n movl %1, %%gs" ::"m"(p),
                     "r"(SEL_DATA));
    p = (struct table_ptr){sizeof(idt) - 1, (ulong)idt};
    __asm__ volatile("lidt %0\n ltr %w1" ::"m"(p), "r"(SEL_TSS));
}

void trap_handler(struct frame *f);

void trap_handler(struct frame *f)
{
    struct cpu *cpu = this_cpu();
    bool from_user = (f->cs & 3) == 3;

    cpu->traps[f->vector]++;
    cpu->cr2 = read_cr2();
    if (hooks[f->vector] && hooks[f->vector](f))
        return;
    if (from_user ? cpu->in_user : cpu->armed) {
        cpu->trap = *f;
        back_to_test(cpu, from_user, f->vector);
    }
    cpu->armed = cpu->in_user = false;
    if (dying())
        die("exception %u", f->vector);
    fail("trap", f->vector, "unexpected: error %#x eip %#x cs %#x flags %#x cr2 %#x", f->error,
         f->eip, f->cs, f->eflags, (u32)cpu->cr2);
    leave_test();
}

int user_call(void (*fn)(void))
{
    struct cpu *cpu = this_cpu();
    u32 *sp = (u32 *)(user_stack + sizeof(user_stack));
    struct frame f = {
        .eip = (ulong)fn, .cs = SEL_UCODE, .ss = SEL_UDATA, .eflags = 2, .esp = (ulong)(sp - 1)};
    int vec = save_point(&cpu->user_back);

    if (!vec) {
        sp[-1] = (ulong)user_end;
        cpu->in_user = true;
        __asm__ volatile("movl %0, %%ds\n movl %0, %%es" ::"r"(SEL_UDATA));
        resume_frame(&f);
    }
    return vec - 1;
}

/* --- the hypervisor --- */

static u64 hvm_param(unsigned index)
{
    struct xen_hvm_param p = {.domid = DOMID_SELF, .index = index};

    return HC2(hvm_op, HVMOP_get_param, &p) ? 0 : p.value;
}

void guest_main(const struct hvm_start_info *si);

void guest_main(const struct hvm_start_info *si)
{
    struct xen_add_to_physmap a = {
        .domid = DOMID_SELF, .space = XENMAPSPACE_shared_info, .gpfn = (ulong)shared_page >> 12};
    const char *words = (const char *)(ulong)si->cmdline_paddr;
    u32 leaf[4];

    traps_init32();
    make_tables();
    cpuid(0x40000002, 0, leaf);
    wrmsr(leaf[1], (ulong)hypercall_page);
    if (HC2(memory_op, XENMEM_add_to_physmap, &a))
        shutdown(SHUTDOWN_crash);
    shared_info = (shared_info_t *)shared_page;
    memset((void *)shared_info->evtchn_mask, 0xff, sizeof(shared_info->evtchn_mask));
    for (unsigned i = 0; words && words[i] && i < sizeof(boot_info.cmd_line) - 1; i++)
        boot_info.cmd_line[i] = words[i];
    boot_info.console.domU.mfn = hvm_param(HVM_PARAM_CONSOLE_PFN);
    boot_info.console.domU.evtchn = hvm_param(HVM_PARAM_CONSOLE_EVTCHN);
    console_init();
    run_tests((char *)boot_info.cmd_line);
}
