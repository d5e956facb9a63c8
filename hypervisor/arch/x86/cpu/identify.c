// SPDX-License-Identifier: MIT
/*
 * What CPU this is, what of it we use, and which speculation mitigations it needs.
 *
 * host_cpu is filled on the boot CPU before anything else looks at it.  Other CPUs only take
 * features away (cpu_check_same), before guests exist.
 */
#include "arch/x86/cpu/smp.h"
#include "asm/cpufeature.h"
#include "asm/msr.h"
#include "asm/processor.h"
#include "boot/cmdline.h"
#include "kernel/console.h"
#include "lib/string.h"

struct cpu_identity host_cpu;
struct mitigations mitigations;

/* The state components that guests may use: x87, SSE, AVX, AVX-512, protection keys. */
#define XCR0_KNOWN (XCR0_X87 | XCR0_SSE | XCR0_YMM | XCR0_AVX512 | XCR0_PKRU)

static void read_features(uint32_t *f, uint32_t max_leaf, uint32_t max_ext)
{
    struct cpuid_regs r = cpuid(1);

    f[0] = r.d;
    f[1] = r.c;
    if (max_ext >= 0x80000001) {
        r = cpuid(0x80000001);
        f[2] = r.d;
        f[3] = r.c;
    }
    if (max_leaf >= 0xd)
        f[4] = cpuid_count(0xd, 1).a;
    if (max_leaf >= 7) {
        uint32_t max_subleaf;

        r = cpuid_count(7, 0);
        max_subleaf = r.a;
        f[5] = r.b;
        f[6] = r.c;
        f[9] = r.d;
        if (max_subleaf >= 1) {
            r = cpuid_count(7, 1);
            f[10] = r.a;
            f[12] = r.b;
            f[14] = r.c;
            f[15] = r.d;
        }
        if (max_subleaf >= 2)
            f[13] = cpuid_count(7, 2).d;
    }
    if (max_ext >= 0x80000007)
        f[7] = cpuid(0x80000007).d;
    if (max_ext >= 0x80000008)
        f[8] = cpuid(0x80000008).b;
    if (max_ext >= 0x80000021) {
        r = cpuid(0x80000021);
        f[11] = r.a;
        f[18] = r.c;
    }
    if (f[9] & (1u << (XEN_X86_FEATURE_ARCH_CAPS % 32))) {
        uint64_t caps = rdmsr(MSR_ARCH_CAPABILITIES);

        f[16] = caps;
        f[17] = caps >> 32;
    }
}

static void hide(unsigned feature)
{
    host_cpu.features[feature / 32] &= ~(1u << (feature % 32));
}

static void read_names(void)
{
    struct cpuid_regs r = cpuid(0);
    char *id = host_cpu.vendor_id;

    host_cpu.max_leaf = r.a;
    memcpy(id, &r.b, 4);
    memcpy(id + 4, &r.d, 4);
    memcpy(id + 8, &r.c, 4);
    host_cpu.vendor = !strcmp(id, "GenuineIntel")   ? VENDOR_INTEL
                      : !strcmp(id, "AuthenticAMD") ? VENDOR_AMD
                      : !strcmp(id, "HygonGenuine") ? VENDOR_HYGON
                      : !strcmp(id, "CentaurHauls") ? VENDOR_CENTAUR
                                                    : VENDOR_UNKNOWN;
    r = cpuid(0x80000000);
    host_cpu.max_ext_leaf = (r.a >> 16) == 0x8000 ? r.a : 0;
    if (host_cpu.max_ext_leaf >= 0x80000004)
        for (unsigned i = 0; i < 3; i++) {
            r = cpuid(0x80000002 + i);
            memcpy(host_cpu.brand + i * 16, &r, 16);
        }

    r = cpuid(1);
    host_cpu.family = (r.a >> 8) & 15;
    host_cpu.model = (r.a >> 4) & 15;
    host_cpu.stepping = r.a & 15;
    if (host_cpu.family == 15)
        host_cpu.family += (r.a >> 20) & 255;
    if (host_cpu.family == 6 || host_cpu.family >= 15)
        host_cpu.model += ((r.a >> 16) & 15) << 4;
}

static void read_xsave(void)
{
    struct cpuid_regs r;

    if (!cpu_has(XSAVE))
        return;
    r = cpuid_count(0xd, 0);
    host_cpu.xcr0_max = (r.a | (uint64_t)r.d << 32) & XCR0_KNOWN;
    /* The parts of AVX-512 only come together. */
    if ((host_cpu.xcr0_max & XCR0_AVX512) != XCR0_AVX512)
        host_cpu.xcr0_max &= ~XCR0_AVX512;
    if (!cpu_has(PKU))
        host_cpu.xcr0_max &= ~XCR0_PKRU;
    host_cpu.xsave_size = 512 + 64;
    for (unsigned i = 2; i < 63; i++)
        if (host_cpu.xcr0_max & (1ULL << i)) {
            r = cpuid_count(0xd, i);
            host_cpu.xsave_size = max(host_cpu.xsave_size, r.a + r.b);
        }
}

/* Can CPUID below ring 0 be made to fault (Intel: MISC_FEATURES_ENABLES, AMD: HWCR.CpuidUserDis)?
 */
static bool has_cpuid_faulting(void)
{
    uint64_t info;

    if (host_cpu.vendor == VENDOR_INTEL)
        return !rdmsr_safe(MSR_PLATFORM_INFO, &info) && (info & PLATFORM_CPUID_FAULT);
    return host_cpu.max_ext_leaf >= 0x80000021 && (cpuid(0x80000021).a & (1u << 17));
}

/* From here on PV guests see what their policy says, also where they do not ask for emulation. */
static void enable_cpuid_faulting(void)
{
    int failed;

    if (host_cpu.vendor == VENDOR_INTEL)
        failed = wrmsr_safe(MSR_MISC_FEATURES, 1);
    else
        failed = wrmsr_safe(MSR_HWCR, rdmsr(MSR_HWCR) | HWCR_CPUID_USER_DIS);
    if (failed)
        host_cpu.cpuid_faulting = false;
}

/* What this CPU suffers from, and what we do about it. */
static void choose_mitigations(void)
{
    bool intel = host_cpu.vendor == VENDOR_INTEL;
    uint64_t caps = host_cpu.features[16];

    mitigations.l1tf = intel && !(caps & ARCH_CAPS_RDCL_NO);
    mitigations.ibpb = cpu_has(IBPB) || cpu_has(IBRSB);
    mitigations.lfence = cpu_is_amd();
    /* With SMEP no speculation goes to where a guest could have put return addresses. */
    mitigations.rsb_stuff = !cpu_has(SMEP);
}

void cpu_identify_early(void)
{
    read_names();
    read_features(host_cpu.features, host_cpu.max_leaf, host_cpu.max_ext_leaf);

    if (!opt_smep)
        hide(XEN_X86_FEATURE_SMEP);
    if (!opt_smap)
        hide(XEN_X86_FEATURE_SMAP);
    if (!opt_xsave)
        hide(XEN_X86_FEATURE_XSAVE);
    if (!opt_fsgsbase)
        hide(XEN_X86_FEATURE_FSGSBASE);
    if (!opt_pku)
        hide(XEN_X86_FEATURE_PKU);

    host_cpu.phys_bits = 36;
    host_cpu.virt_bits = 48;
    if (host_cpu.max_ext_leaf >= 0x80000008) {
        uint32_t a = cpuid(0x80000008).a;

        host_cpu.phys_bits = a & 255;
        host_cpu.virt_bits = (a >> 8) & 255;
    }
    host_cpu.tsc_invariant =
        host_cpu.max_ext_leaf >= 0x80000007 && (cpuid(0x80000007).d & (1u << 8));
    read_xsave();
    host_cpu.cpuid_faulting = has_cpuid_faulting();
    choose_mitigations();
}

void cpu_check_same(void)
{
    uint32_t mine[CPU_FEATURE_WORDS] = {0}, missing = 0;

    read_features(mine, cpuid(0).a, cpuid(0x80000000).a);
    /* OSXSAVE follows CR4, which this CPU may not have set yet. */
    mine[XEN_X86_FEATURE_OSXSAVE / 32] |= 1u << (XEN_X86_FEATURE_OSXSAVE % 32);
    for (unsigned i = 0; i < CPU_FEATURE_WORDS; i++) {
        missing |= host_cpu.features[i] & ~mine[i];
        host_cpu.features[i] &= mine[i];
    }
    if (missing)
        printk(KERN_WARN "CPU%u lacks features of CPU0: they are not used\n", smp_processor_id());
}

static unsigned long wanted_cr4(void)
{
    unsigned long cr4 = CR4_PSE | CR4_PAE | CR4_OSFXSR | CR4_OSXMMEXCPT;

    if (cpu_has(MCE))
        cr4 |= CR4_MCE;
    if (cpu_has(SMEP))
        cr4 |= CR4_SMEP;
    if (cpu_has(SMAP))
        cr4 |= CR4_SMAP;
    if (cpu_has(XSAVE))
        cr4 |= CR4_OSXSAVE;
    if (cpu_has(PKU) && cpu_has(XSAVE))
        cr4 |= CR4_PKE;
    return cr4;
}

void cpu_init_registers(void)
{
    uint64_t val;

    write_cr0(CR0_PE | CR0_MP | CR0_ET | CR0_NE | CR0_WP | CR0_AM | CR0_PG);
    cpu_info()->cr4 = wanted_cr4();
    write_cr4(cpu_info()->cr4);
    if (cpu_has(XSAVE))
        xsetbv(0, host_cpu.xcr0_max);
    wrmsr(MSR_EFER, rdmsr(MSR_EFER) | EFER_SCE | EFER_NXE);
    if (cpu_has(PAT))
        wrmsr(MSR_PAT, XEN_PAT);
    wrmsr(MSR_FS_BASE, 0);
    wrmsr(MSR_GS_BASE, 0);
    wrmsr(MSR_KERNEL_GS_BASE, 0);
    write_dr7(0x400);
    if (cpu_has(RDTSCP))
        wrmsr(MSR_TSC_AUX, 0);
    if (host_cpu.cpuid_faulting)
        enable_cpuid_faulting();
    /* LFENCE that waits for earlier instructions is what makes it a barrier to speculation. */
    if (mitigations.lfence && !rdmsr_safe(MSR_DE_CFG, &val) && !(val & DE_CFG_LFENCE_SERIAL))
        if (wrmsr_safe(MSR_DE_CFG, val | DE_CFG_LFENCE_SERIAL))
            mitigations.lfence = false;
}

void cpu_identify_late(void)
{
    static const struct {
        unsigned feature;
        const char *name;
    } shown[] = {
        {XEN_X86_FEATURE_SMEP, "SMEP"},         {XEN_X86_FEATURE_SMAP, "SMAP"},
        {XEN_X86_FEATURE_FSGSBASE, "FSGSBASE"}, {XEN_X86_FEATURE_XSAVE, "XSAVE"},
        {XEN_X86_FEATURE_PAGE1GB, "1GB-pages"}, {XEN_X86_FEATURE_X2APIC, "x2APIC"},
        {XEN_X86_FEATURE_SVM, "SVM"},           {XEN_X86_FEATURE_VMX, "VMX"},
    };
    const char *brand = host_cpu.brand;
    bool intel = host_cpu.vendor == VENDOR_INTEL;
    uint64_t caps = host_cpu.features[16];
    char used[128] = "";

    while (*brand == ' ')
        brand++;
    for (unsigned i = 0; i < ARRAY_SIZE(shown); i++)
        if (cpu_has_(shown[i].feature)) {
            size_t n = strlen(used);

            snprintf(used + n, sizeof(used) - n, " %s", shown[i].name);
        }
    printk(KERN_INFO "CPU: %s (%s family %u model %u stepping %u), %u physical bits\n", brand,
           host_cpu.vendor_id, host_cpu.family, host_cpu.model, host_cpu.stepping,
           host_cpu.phys_bits);
    printk(KERN_INFO "CPU features:%s\n", used);
    printk(KERN_INFO "Mitigations: NX WP retpoline%s%s%s%s%s%s\n", cpu_has(SMEP) ? " SMEP" : "",
           cpu_has(SMAP) ? " SMAP" : "", mitigations.l1tf ? " L1TF-entries-refused" : "",
           mitigations.ibpb ? " IBPB" : "", mitigations.lfence ? " LFENCE" : "",
           mitigations.rsb_stuff ? " RSB-stuffing" : "");
    if (intel && !(caps & ARCH_CAPS_RDCL_NO))
        printk(KERN_WARN "This CPU may be open to Meltdown, against which nothing is done yet\n");
    if (intel && !(caps & ARCH_CAPS_MDS_NO))
        printk(KERN_WARN "This CPU may be open to MDS, against which nothing is done yet\n");
}
