// SPDX-License-Identifier: MIT
/*
 * The probe: what ordinary programs ask of the kernel, timed from inside, one line "name value" a
 * figure. Under `qemu -icount shift=0` a nanosecond is one instruction, whoever executed it, so
 * each value is the number of instructions (user, kernel and hypervisor together) that one
 * operation costs. One static program runs in every place that is compared.
 *
 * Each figure is the least of several rounds: what else the kernel had to do in the meantime (the
 * tick, work left over from boot) only ever adds. Nothing is printed before all is measured, since
 * the console's interrupts would be counted with what comes next.
 *
 * Around what is timed stand marks for bench/watch.c, which counts what instructions do not tell;
 * lines "ROW mark operations name" say what they were around.
 *
 *     probe                 all figures      probe tsc     the time stamp counter, now
 *     probe run CMD ARG...  the time CMD takes
 *     probe boot CMD ARG... runs CMD, and from then on counts a guest's boot
 *     probe booted          ... until here, in the guest
 *     probe idle            10 s of nothing, and how many interrupts there were
 */
#define _GNU_SOURCE
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PAGE   4096UL
#define PAGES  512UL
#define HEAP   (2UL << 20) /* what a process that forks has touched: as much as a shell */
#define ROUNDS 7

/* What is run: there is one in every image, static, of the size of a real program. */
#define PROGRAM "/bin/busybox"

enum {
    GETPPID,
    INT80,
    TOUCH,
    MUNMAP,
    MPROTECT,
    FORK_EXIT,
    VFORK_EXEC,
    FORK_EXEC,
    PING_PONG,
    NANOSLEEP,
    FIGURES,
    BOOT = FIGURES, /* these two are counted only */
    IDLE
};
static const char *const names[FIGURES] = {
    "getppid",   "int80",      "touch",     "munmap",    "mprotect",
    "fork_exit", "vfork_exec", "fork_exec", "ping_pong", "nanosleep",
};
static uint64_t least[FIGURES];
static unsigned operations[FIGURES];

/* Long NOPs that watch.c knows by their displacement, each a function of eight bytes. */
#define FIRST_MARK 100
void end_mark(void);
extern const char marks[];
__asm__(".text\n.balign 8\n"
        "end_mark: .byte 0x0f,0x1f,0x80\n.long 0x48420000\nret\n"
        "marks: .set mark, 0x48420000 + 100\n"
        ".rept 16\n.byte 0x0f,0x1f,0x80\n.long mark\nret\n.set mark, mark + 1\n.endr\n");

static uint64_t now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000ULL + t.tv_nsec;
}

static void die(const char *what)
{
    perror(what);
    exit(1);
}

static uint64_t begin(unsigned figure)
{
    ((void (*)(void))(marks + 8 * figure))();
    return now();
}

static void note(unsigned figure, uint64_t begun, unsigned count)
{
    uint64_t each = (now() - begun) / count;

    end_mark();
    operations[figure] += count;
    if (!least[figure] || each < least[figure])
        least[figure] = each;
}

static void system_call(void)
{
    unsigned count = 5000;
    uint64_t begun = begin(GETPPID);

    for (unsigned i = 0; i < count; i++)
        syscall(SYS_getppid);
    note(GETPPID, begun, count);
    begun = begin(INT80);
    for (unsigned i = 0; i < count; i++) {
        long result = 64; /* getppid, as 32-bit programs number it */

        __asm__ volatile("int $0x80" : "+a"(result)::"memory");
        if (result <= 0)
            die("int 0x80");
    }
    note(INT80, begun, count);
}

static void memory(void)
{
    char *area =
        mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    uint64_t begun;

    if (area == MAP_FAILED)
        die("mmap");
    /* Page by page in every place: a PV kernel has no large ones. */
    madvise(area, PAGES * PAGE, MADV_NOHUGEPAGE);
    begun = begin(TOUCH);
    for (unsigned long i = 0; i < PAGES; i++)
        *(volatile char *)(area + i * PAGE) = 1;
    note(TOUCH, begun, PAGES);
    begun = begin(MPROTECT);
    if (mprotect(area, PAGES * PAGE, PROT_READ))
        die("mprotect");
    note(MPROTECT, begun, PAGES);
    begun = begin(MUNMAP);
    munmap(area, PAGES * PAGE);
    note(MUNMAP, begun, PAGES);
}

static void wait_for(pid_t pid)
{
    int status;

    if (pid < 0)
        die("fork");
    if (waitpid(pid, &status, 0) != pid || status)
        die("waitpid");
}

static pid_t fork_exit(void)
{
    pid_t pid = fork();

    if (!pid)
        _exit(0);
    return pid;
}

static pid_t vfork_exec(void)
{
    pid_t pid = vfork();

    if (!pid) {
        execl(PROGRAM, "true", (char *)NULL);
        _exit(1);
    }
    return pid;
}

static pid_t fork_exec(void)
{
    pid_t pid = fork();

    if (!pid) {
        execl(PROGRAM, "true", (char *)NULL);
        _exit(1);
    }
    return pid;
}

static void processes(unsigned figure, pid_t (*start)(void))
{
    unsigned count = 20;
    uint64_t begun = begin(figure);

    for (unsigned i = 0; i < count; i++)
        wait_for(start());
    note(figure, begun, count);
}

static void ping_pong(void)
{
    unsigned count = 500;
    int there[2], back[2];
    char byte = 0;
    uint64_t begun;
    pid_t pid;

    if (pipe(there) || pipe(back))
        die("pipe");
    pid = fork();
    if (!pid) {
        close(there[1]);
        while (read(there[0], &byte, 1) == 1)
            if (write(back[1], &byte, 1) != 1)
                break;
        _exit(0);
    }
    begun = begin(PING_PONG);
    for (unsigned i = 0; i < count; i++)
        if (write(there[1], &byte, 1) != 1 || read(back[0], &byte, 1) != 1)
            die("ping-pong");
    note(PING_PONG, begun, count);
    close(there[1]);
    wait_for(pid);
}

static void sleeps(void)
{
    struct timespec time = {.tv_nsec = 100000};
    unsigned count = 100;
    uint64_t begun = begin(NANOSLEEP);

    for (unsigned i = 0; i < count; i++)
        nanosleep(&time, NULL);
    note(NANOSLEEP, begun, count);
}

static int run(char **command)
{
    uint64_t begun = now();
    int status;
    pid_t pid = fork();

    if (!pid) {
        execvp(command[0], command);
        die(command[0]);
    }
    if (waitpid(pid, &status, 0) != pid)
        die("waitpid");
    printf("run %llu\n", (unsigned long long)(now() - begun));
    return !WIFEXITED(status) || WEXITSTATUS(status);
}

/* The first CPU's, as /proc/interrupts has them. */
static unsigned interrupts(void)
{
    FILE *file = fopen("/proc/interrupts", "r");
    unsigned sum = 0, count;
    char line[1024];

    while (file && fgets(line, sizeof(line), file))
        if (sscanf(line, " %*[^:]: %u", &count) == 1)
            sum += count;
    if (file)
        fclose(file);
    return sum;
}

static void idle(void)
{
    struct timespec time = {.tv_sec = 10};
    unsigned before = interrupts();

    begin(IDLE);
    nanosleep(&time, NULL);
    end_mark();
    printf("ROW %u %u idle\n", FIRST_MARK + IDLE, interrupts() - before);
}

static int boot(char **command)
{
    printf("ROW %u 1 boot\n", FIRST_MARK + BOOT);
    fflush(stdout);
    begin(BOOT);
    execvp(command[0], command);
    die(command[0]);
    return 1;
}

int main(int argc, char **argv)
{
    char *heap;

    if (argc > 2 && !strcmp(argv[1], "boot"))
        return boot(argv + 2);
    if (argc > 1 && !strcmp(argv[1], "booted")) {
        end_mark();
        return 0;
    }
    if (argc > 1 && !strcmp(argv[1], "idle")) {
        idle();
        return 0;
    }

    if (argc > 2 && !strcmp(argv[1], "run"))
        return run(argv + 2);
    if (argc > 1 && !strcmp(argv[1], "tsc")) {
        uint32_t low, high;

        __asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
        printf("tsc %llu\n", (unsigned long long)high << 32 | low);
        return 0;
    }
    heap = malloc(HEAP);
    if (!heap)
        die("malloc");
    memset(heap, 1, HEAP);
    for (unsigned round = 0; round < ROUNDS; round++) {
        system_call();
        memory();
        processes(FORK_EXIT, fork_exit);
        processes(VFORK_EXEC, vfork_exec);
        processes(FORK_EXEC, fork_exec);
        ping_pong();
        sleeps();
    }
    for (unsigned i = 0; i < FIGURES; i++)
        printf("ROW %u %u %s\n%s %llu\n", FIRST_MARK + i, operations[i], names[i], names[i],
               (unsigned long long)least[i]);
    return 0;
}
