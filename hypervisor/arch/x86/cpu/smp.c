// SPDX-License-Identifier: MIT
/*
 * CPUs: numbering, per-CPU areas, bring-up, inter-processor interrupts.
 *
 * CPU 0 is the boot CPU; the others are numbered as the MADT lists them.  Each CPU has a copy of
 * section .percpu (CPU 0's is in the image, seen through the direct map; the others' come from the
 * heap) and a stack with a struct cpu_info at its top.  CPUs are started one after another: the
 * boot CPU prepares all that the new one needs, points the trampoline at it, sends INIT and
 * STARTUP, and waits until it is in cpu_online_map.  The new CPU runs ap_start() on its own stack.
 */
#include "arch/x86/cpu/smp.h"
#include "arch/api/arch_time.h"
#include "arch/x86/mm/paging.h"
#include "arch/x86/pv/pv.h"
#include "arch/x86/time/time.h"
#include "asm/apic.h"
#include "asm/cpufeature.h"
#include "asm/desc.h"
#include "asm/irq_vectors.h"
#include "asm/layout.h"
#include "asm/msr.h"
#include "asm/processor.h"
#include "boot/bootmem.h"
#include "boot/cmdline.h"
#include "domain/unit.h"
#include "kernel/console.h"
#include "kernel/cpu.h"
#include "kernel/panic.h"
#include "kernel/percpu.h"
#include "kernel/timer.h"
#include "lib/errno.h"
#include "lib/string.h"
#include "sched/sched.h"

uint32_t x86_cpu_to_apicid[NR_CPUS] = {[0 ... NR_CPUS - 1] = BAD_APIC_ID};
uint32_t x86_cpu_to_acpiid[NR_CPUS];
unsigned long percpu_offset[NR_CPUS];

extern char __percpu_start[], __percpu_end[], __percpu_cpu0[];
extern char cpu0_stack[];

/* trampoline.S */
extern const char trampoline_start[], trampoline_end[];
extern const uint32_t trampoline_cr3[], trampoline_ljmp[], trampoline_gdtr_base[];
extern const uint64_t trampoline_stack[], trampoline_entry[];
extern const char trampoline_64[], trampoline_gdt[];
static maddr_t trampoline_page;

static bool stopping; /* arch_stop_other_cpus() */

static struct cpu_info *info_of_stack(char *stack)
{
    return (struct cpu_info *)(stack + STACK_SIZE) - 1;
}

void __init percpu_init_bsp(void)
{
    struct cpu_info *info = info_of_stack(cpu0_stack);
    char *area = (char *)DIRECTMAP_VIRT + image_to_maddr(__percpu_cpu0);

    BUILD_BUG_ON(sizeof(struct cpu_info) > 1024);
    memcpy(area, __percpu_start, __percpu_end - __percpu_start);
    percpu_offset[0] = area - __percpu_start;
    memset(info, 0, sizeof(*info));
    info->percpu_offset = percpu_offset[0];
    info->cr4 = read_cr4();
    cpumask_set_cpu(0, &cpu_possible_map);
    cpumask_set_cpu(0, &cpu_online_map);
}

void __init smp_add_cpu(uint32_t apic_id, uint32_t acpi_id)
{
    unsigned cpu;

    for (cpu = 0; cpu < nr_cpu_ids; cpu++)
        if (x86_cpu_to_apicid[cpu] == apic_id) {
            x86_cpu_to_acpiid[cpu] = acpi_id;
            return;
        }
    if (!opt_smp || (opt_maxcpus && cpu >= opt_maxcpus))
        return;
    if (cpu >= NR_CPUS) {
        printk(KERN_WARN "CPU with APIC ID %#x is not used: built for %u CPUs\n", apic_id, NR_CPUS);
        return;
    }
    if (apic_id > 254 && !x2apic_enabled) {
        printk(KERN_WARN "CPU with APIC ID %#x is not used: it needs x2APIC mode\n", apic_id);
        return;
    }
    x86_cpu_to_apicid[cpu] = apic_id;
    x86_cpu_to_acpiid[cpu] = acpi_id;
    cpumask_set_cpu(cpu, &cpu_possible_map);
    nr_cpu_ids = cpu + 1;
}

/* ---- inter-processor interrupts ---- */

void arch_send_event_check(unsigned cpu)
{
    send_ipi(cpu, VECTOR_EVENT_CHECK);
}

void arch_send_call_function(const cpumask_t *mask)
{
    send_ipi_mask(mask, VECTOR_CALL_FUNCTION);
}

/* The interrupt itself is the message: softirqs run on the way out. */
static void event_check_interrupt(void)
{
}

static void __noreturn stop_this_cpu(const struct cpu_user_regs *regs)
{
    local_irq_disable();
    panic_stopped_cpu(regs);
    cpumask_clear_cpu(smp_processor_id(), &cpu_online_map);
    for (;;)
        __asm__ volatile("cli; hlt");
}

void smp_nmi(const struct cpu_user_regs *regs)
{
    if (READ_ONCE(stopping))
        stop_this_cpu(regs);
}

static void call_function_interrupt(void)
{
    if (READ_ONCE(stopping))
        stop_this_cpu(NULL);
    smp_call_interrupt();
}

void __init smp_init_vectors(void)
{
    set_fixed_vector(VECTOR_EVENT_CHECK, event_check_interrupt);
    set_fixed_vector(VECTOR_CALL_FUNCTION, call_function_interrupt);
    set_fixed_vector(VECTOR_TLB_FLUSH, flush_tlb_interrupt);
}

void arch_safe_halt(void)
{
    __asm__ volatile("sti; hlt" ::: "memory");
}

/* Rough, and independent of everything that may be broken. */
static void spin_about_us(unsigned long us)
{
    uint64_t start = rdtsc(), ticks = us * (cpu_khz ? cpu_khz / 1000 : 3000);

    while (rdtsc() - start < ticks)
        cpu_relax();
}

/* Waits until this CPU is the only one left, but no longer than that. */
static bool others_stopped(unsigned ms)
{
    for (unsigned i = 0; i < ms * 10 && cpumask_weight(&cpu_online_map) > 1; i++)
        spin_about_us(100);
    return cpumask_weight(&cpu_online_map) == 1;
}

/*
 * First by an interrupt, which lets a CPU finish what it does (not in a panic: then it shall show
 * what it does).  Then by NMI, since a CPU that spins with interrupts off must stop too.  One that
 * does not answer even that is put back into the state before STARTUP; the boot CPU, which that
 * would send to the firmware, is left alone.
 */
void arch_stop_other_cpus(void)
{
    unsigned cpu, me = smp_processor_id();

    WRITE_ONCE(stopping, true);
    if (!panic_active()) {
        send_ipi_mask(&cpu_online_map, VECTOR_CALL_FUNCTION);
        if (others_stopped(100))
            return;
    }
    for_each_online_cpu (cpu)
        if (cpu != me)
            apic_send_icr(x86_cpu_to_apicid[cpu], APIC_ICR_NMI | APIC_ICR_ASSERT);
    if (others_stopped(2000))
        return;
    for_each_online_cpu (cpu)
        if (cpu != me && cpu != 0) {
            apic_send_icr(x86_cpu_to_apicid[cpu], APIC_ICR_INIT | APIC_ICR_LEVEL | APIC_ICR_ASSERT);
            cpumask_clear_cpu(cpu, &cpu_online_map);
        }
}

/* ---- bring-up ---- */

static void __init delay_us(unsigned us)
{
    s_time_t end = NOW() + MICROSECS(us);

    while (NOW() < end)
        cpu_relax();
}

/* On the new CPU, with the trampoline's tables, interrupts off. */
static void __noreturn ap_start(void)
{
    unsigned cpu = smp_processor_id();

    write_cr3(image_to_maddr(idle_pg_table));
    cpu_init_descriptors();
    cpu_init_registers();
    apic_init_cpu();
    cpu_check_same();
    pv_cpu_init(cpu);
    time_cpu_init(); /* before anything asks for the time or sets a timer */
    sched_cpu_start(cpu);
    cpumask_set_cpu(cpu, &cpu_online_map);
    local_irq_enable();
    idle_loop();
}

/* Copy of the trampoline's word that `sym` names. */
#define TRAMPOLINE(sym)                                                                            \
    ((typeof(*sym) *)((char *)DIRECTMAP_VIRT + trampoline_page +                                   \
                      ((const char *)(sym)-trampoline_start)))

static bool __init prepare_trampoline(void)
{
    size_t size = trampoline_end - trampoline_start;
    maddr_t root = paging_ap_root();

    if (!trampoline_page || !root)
        return false;
    memcpy((char *)DIRECTMAP_VIRT + trampoline_page, trampoline_start, size);
    *(uint32_t *)TRAMPOLINE(trampoline_cr3) = root;
    *(uint32_t *)TRAMPOLINE(trampoline_ljmp) = trampoline_page + (trampoline_64 - trampoline_start);
    *(uint32_t *)TRAMPOLINE(trampoline_gdtr_base) =
        trampoline_page + (trampoline_gdt - trampoline_start);
    *(uint64_t *)TRAMPOLINE(trampoline_entry) = (uint64_t)ap_start;
    return true;
}

static unsigned order_of(size_t bytes)
{
    unsigned order = 0;

    while ((PAGE_SIZE << order) < bytes)
        order++;
    return order;
}

/* A stack whose page between the exception stacks and the rest is not mapped; NULL: no memory. */
static char *__init map_stack(mfn_t mfn)
{
    const unsigned pages = STACK_SIZE / PAGE_SIZE;
    unsigned long va = vmap_alloc(2 * pages);

    if (!va)
        return NULL;
    va = ROUND_UP(va, STACK_SIZE);
    if (map_hyp(va, mfn, STACK_GUARD_PAGE, HYP_RW) ||
        map_hyp(va + (STACK_GUARD_PAGE + 1) * PAGE_SIZE, mfn_add(mfn, STACK_GUARD_PAGE + 1),
                pages - STACK_GUARD_PAGE - 1, HYP_RW))
        return NULL;
    return (char *)va;
}

/* Per-CPU area and stack; they are kept if the CPU then does not start. */
static struct cpu_info *__init prepare_cpu(unsigned cpu)
{
    size_t size = __percpu_end - __percpu_start;
    struct page_info *area = heap_alloc(order_of(size), 0);
    struct page_info *pages = heap_alloc(STACK_ORDER, MEMF_ZERO);
    char *stack = pages ? map_stack(page_to_mfn(pages)) : NULL;
    struct cpu_info *info;

    if (!area || !stack)
        return NULL;
    memcpy(page_to_virt(area), __percpu_start, size);
    percpu_offset[cpu] = (char *)page_to_virt(area) - __percpu_start;
    info = info_of_stack(stack);
    info->cpu = cpu;
    info->percpu_offset = percpu_offset[cpu];
    return info;
}

static bool __init start_cpu(unsigned cpu)
{
    struct cpu_info *info = prepare_cpu(cpu);
    uint32_t apic_id = x86_cpu_to_apicid[cpu];

    if (!info || units_cpu_up(cpu)) {
        printk(KERN_ERR "CPU%u: not enough memory to start it\n", cpu);
        return false;
    }
    timer_cpu_init(cpu);
    *(uint64_t *)TRAMPOLINE(trampoline_stack) = (uint64_t)info - 8;

    apic_send_icr(apic_id, APIC_ICR_INIT | APIC_ICR_LEVEL | APIC_ICR_ASSERT);
    delay_us(200);
    apic_send_icr(apic_id, APIC_ICR_INIT | APIC_ICR_LEVEL);
    delay_us(10000);
    /* A CPU that runs already ignores the second one. */
    for (unsigned attempt = 0; attempt < 2; attempt++) {
        s_time_t patience = NOW() + (attempt ? SECONDS(10) : MICROSECS(500));

        apic_send_icr(apic_id, APIC_ICR_STARTUP | trampoline_page >> PAGE_SHIFT);
        while (NOW() < patience) {
            if (cpu_online(cpu))
                return true;
            cpu_relax();
        }
    }
    /* Should it be on its way all the same, it goes no further: what it needs is taken from it. */
    apic_send_icr(apic_id, APIC_ICR_INIT | APIC_ICR_LEVEL | APIC_ICR_ASSERT);
    units_cpu_down(cpu);
    printk(KERN_ERR "CPU%u (APIC ID %#x) does not start\n", cpu, apic_id);
    return false;
}

void __init smp_reserve_trampoline(void)
{
    trampoline_page = bootmem_alloc(PAGE_SIZE, PAGE_SIZE, 0x9f000);
}

void __init smp_start_all(void)
{
    unsigned cpu;

    if (nr_cpu_ids > 1 && !prepare_trampoline()) {
        printk(KERN_ERR "No free page in low memory: other CPUs cannot start\n");
        return;
    }
    for_each_cpu (cpu, &cpu_possible_map)
        if (cpu && !start_cpu(cpu))
            cpumask_clear_cpu(cpu, &cpu_possible_map);
    printk(KERN_INFO "%u of %u CPUs run\n", cpumask_weight(&cpu_online_map), nr_cpu_ids);
}
