# SPDX-License-Identifier: MIT
# Host tests of mem/: the real files over the fake arch's frames.
MEM_SRCS  := $(sort $(wildcard hypervisor/mem/*.c))
MEM_DEPS  := $(MEM_SRCS) $(wildcard hypervisor/mem/*.h hypervisor/arch/fake/*.h tests/unit/mem/*.h) build/autoconf.h \
             $(FAKE_SRCS) tests/unit/mem/ground.c \
             hypervisor/kernel/lock.c hypervisor/kernel/softirq.c hypervisor/kernel/rcu.c
MEM_TESTS := build/unit/mem-heap build/unit/mem-page build/unit/mem-xenmem build/unit/mem-vcpu_info build/unit/mem-maps
UNIT_TESTS += $(MEM_TESTS)

build/unit/mem-vcpu_info: hypervisor/domain/vcpu_info.c
build/unit/mem-maps: hypervisor/arch/x86/mm/memory_ops.c hypervisor/arch/x86/boot/e820.c

$(MEM_TESTS): build/unit/mem-%: tests/unit/mem/test_%.c $(MEM_DEPS)
	@mkdir -p $(@D)
	@echo "  HOSTCC $@"
	$(Q)$(UNIT_LINK) -lcmocka
$(filter-out %-maps,$(MEM_TESTS)): $$(call unit-objects,plain,$$^)
build/unit/mem-maps: $$(call unit-objects,x86,$$^)

# The same code under real threads (tests/unit/threads: each is a CPU).
UNIT_TESTS += build/unit/mem-threads
build/unit/mem-threads: tests/unit/mem/test_threads.c hypervisor/mem/heap.c hypervisor/mem/claim.c hypervisor/mem/page.c hypervisor/mem/xalloc.c \
                        hypervisor/kernel/lock.c hypervisor/arch/fake/memory.c hypervisor/arch/fake/weak.c hypervisor/hypercall/compat.c \
                        $(wildcard hypervisor/mem/*.h tests/unit/threads/asm/*.h) build/autoconf.h
	@mkdir -p $(@D)
	@echo "  HOSTCC $@"
	$(Q)$(UNIT_LINK) -lcmocka
build/unit/mem-threads: $$(call unit-objects,threads,$$^)

# A host of 4 TB.
UNIT_TESTS += build/unit/mem-large
build/unit/mem-large: tests/unit/mem/test_large.c $(addprefix hypervisor/mem/,heap.c claim.c page.c xalloc.c) hypervisor/kernel/lock.c \
                      $(FAKE_SRCS) $(wildcard hypervisor/mem/*.h) build/autoconf.h
	@mkdir -p $(@D)
	@echo "  HOSTCC $@"
	$(Q)$(UNIT_LINK) -lcmocka
build/unit/mem-large: $$(call unit-objects,plain,$$^)
