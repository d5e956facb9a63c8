# SPDX-License-Identifier: MIT
# Host tests of event channels: both ABIs, against guests that behave and guests that do not.
EVENT_TEST_SRCS := $(wildcard hypervisor/event/*.c) \
                   hypervisor/mem/physmap.c hypervisor/kernel/lock.c $(FAKE_SRCS)
UNIT_TESTS += build/unit/event build/unit/event-fifo build/unit/event-large
# The queues' protocol, by spin: a script that says what it found as the others do.
UNIT_TESTS += tests/model/run

build/unit/event: tests/unit/event/test_event.c
build/unit/event-fifo: tests/unit/event/test_fifo.c
build/unit/event-large: tests/unit/event/test_large.c
build/unit/event build/unit/event-fifo build/unit/event-large: $(EVENT_TEST_SRCS) $(wildcard hypervisor/event/*.h \
                   tests/unit/event/*.h abi/ops/event.def) build/autoconf.h
	@mkdir -p $(@D)
	@echo "  HOSTCC $@"
	$(Q)$(UNIT_LINK) -lcmocka
build/unit/event build/unit/event-fifo build/unit/event-large: $$(call unit-objects,plain,$$^)

# The same code under real threads.
THREAD_SRCS := tests/unit/threads/threads.c hypervisor/arch/fake/memory.c hypervisor/arch/fake/weak.c hypervisor/hypercall/compat.c \
               hypervisor/mem/physmap.c hypervisor/kernel/lock.c
UNIT_TESTS += build/unit/event-threads

build/unit/event-threads: tests/unit/event/test_threads.c $(wildcard hypervisor/event/*.c hypervisor/event/*.h \
                   tests/unit/event/*.h tests/unit/threads/*.h tests/unit/threads/asm/*.h) $(THREAD_SRCS) build/autoconf.h
	@mkdir -p $(@D)
	@echo "  HOSTCC $@"
	$(Q)$(UNIT_LINK) -lcmocka
build/unit/event-threads: $$(call unit-objects,threads,$$^)
