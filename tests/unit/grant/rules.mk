# SPDX-License-Identifier: MIT
# Host tests of grant tables: both versions, granters that cheat, mappers that die.
UNIT_TESTS += build/unit/grant build/unit/grant-limits

build/unit/grant: tests/unit/grant/test_grant.c
build/unit/grant-limits: tests/unit/grant/test_limits.c
build/unit/grant build/unit/grant-limits: $(wildcard hypervisor/grant/*.c) hypervisor/mem/physmap.c \
                   hypervisor/kernel/lock.c $(FAKE_SRCS) $(wildcard hypervisor/grant/*.h \
                   tests/unit/event/*.h abi/ops/grant.def) build/autoconf.h
	@mkdir -p $(@D)
	@echo "  HOSTCC $@"
	$(Q)$(UNIT_LINK) -lcmocka
build/unit/grant build/unit/grant-limits: $$(call unit-objects,plain,$$^)

UNIT_TESTS += build/unit/grant-threads
build/unit/grant-threads: tests/unit/grant/test_threads.c $(wildcard hypervisor/grant/*.c hypervisor/grant/*.h \
                   tests/unit/event/*.h tests/unit/threads/*.h tests/unit/threads/asm/*.h) $(THREAD_SRCS) build/autoconf.h
	@mkdir -p $(@D)
	@echo "  HOSTCC $@"
	$(Q)$(UNIT_LINK) -lcmocka
build/unit/grant-threads: $$(call unit-objects,threads,$$^)
