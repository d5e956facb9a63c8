# SPDX-License-Identifier: MIT
# Host tests of page types and page tables: the real room over simulated memory and TLBs.
MM_SRCS := $(addprefix hypervisor/arch/x86/mm/,types.c validate.c update.c mmuext.c grantmap.c ptwr.c root.c walk.c m2p.c) \
           hypervisor/mem/page.c hypervisor/mem/heap.c hypervisor/mem/claim.c hypervisor/mem/xalloc.c \
           $(FAKE_SRCS) $(wildcard hypervisor/arch/x86/emulate/*.c) \
           hypervisor/kernel/lock.c hypervisor/kernel/softirq.c hypervisor/kernel/rcu.c lib/rangeset.c lib/string.c tests/unit/mm/machine.c
MM_DEPS := $(MM_SRCS) tests/unit/mm/machine.h $(wildcard hypervisor/arch/x86/mm/*.h hypervisor/mem/*.h) build/autoconf.h
MM_TESTS := build/unit/mm build/unit/mm-random build/unit/mm-superpages
UNIT_TESTS += $(MM_TESTS)

build/unit/mm: tests/unit/mm/test_mm.c
build/unit/mm-random: tests/unit/mm/test_random.c
build/unit/mm-superpages: tests/unit/mm/test_superpages.c

$(MM_TESTS): $(MM_DEPS)
	@mkdir -p $(@D)
	@echo "  HOSTCC $@"
	$(Q)$(UNIT_LINK) -lcmocka
$(MM_TESTS): $$(call unit-objects,checked,$$^)

# The same under real threads (tests/unit/threads: each is a CPU).
UNIT_TESTS += build/unit/mm-threads
build/unit/mm-threads: tests/unit/mm/test_threads.c $(filter-out hypervisor/arch/fake/cpu.c hypervisor/kernel/softirq.c hypervisor/kernel/rcu.c,$(MM_DEPS)) $(wildcard tests/unit/threads/asm/*.h)
	@mkdir -p $(@D)
	@echo "  HOSTCC $@"
	$(Q)$(UNIT_LINK) -lcmocka
build/unit/mm-threads: $$(call unit-objects,x86-threads,$$^)

# Coverage-guided: `make fuzz-mm`, then build/fuzz/mm [-max_total_time=60]
build/fuzz/mm: tests/fuzz/mm.c $(MM_DEPS)
	@mkdir -p $(@D)
	@echo "  FUZZCC $@"
	$(Q)clang-14 $(UNIT_CFLAGS) -DMM_CHECK_EVERY=1 -Ihypervisor/arch/x86 -Itests/unit/mm -fsanitize=fuzzer -o $@ $(filter %.c,$^) -lcmocka

fuzz-mm: build/fuzz/mm
.PHONY: fuzz-mm
