# SPDX-License-Identifier: MIT
# build/fuzz/domains: the real rooms from the dispatcher on, over the fake arch (world.h).
DOMAINS_SRCS := $(addprefix tests/fuzz/,domains.c world.c shadow.c calls.c absent.c absent_ops.c) \
    $(foreach room,hypercall domain mem event grant sched control arch/fake arch/x86/emulate,$(wildcard hypervisor/$(room)/*.c)) \
    $(addprefix hypervisor/kernel/,lock.c softirq.c rcu.c timer.c cpu.c console_ops.c) \
    $(addprefix hypervisor/arch/x86/mm/,types.c validate.c update.c mmuext.c grantmap.c ptwr.c root.c walk.c m2p.c memory_ops.c) \
    hypervisor/arch/x86/pv/descriptors.c hypervisor/arch/x86/boot/e820.c lib/rangeset.c lib/string.c
# build/fuzz/hvm: the same, and a hardware-virtualised domain on a vendor of its own (hvm_vendor.c).
HVM_FUZZ_SRCS := $(filter-out tests/fuzz/domains.c,$(DOMAINS_SRCS)) $(addprefix tests/fuzz/,hvm.c hvm_vendor.c) \
    $(filter-out %/vector.c,$(wildcard hypervisor/arch/x86/hvm/*.c)) $(addprefix hypervisor/arch/x86/cpu/,fpu.c cpuid.c modes.c msr.c)
HVM_FUZZ_OBJS := $(patsubst %.c,build/fuzz/o/%.o,$(HVM_FUZZ_SRCS))
# Comparisons are not traced: scans of tables would take all the time, and calls.c knows what they ask for.
DOMAINS_OBJS := $(patsubst %.c,build/fuzz/o/%.o,$(DOMAINS_SRCS))

$(sort $(DOMAINS_OBJS) $(HVM_FUZZ_OBJS)): build/fuzz/o/%.o: %.c build/autoconf.h
	@mkdir -p $(@D)
	$(Q)clang-14 $(UNIT_CFLAGS) -DMM_CHECK_EVERY=1 -Itests/fuzz -Ihypervisor/arch/x86 $(if $(filter hypervisor/%,$<),-fsanitize=fuzzer-no-link -fno-sanitize-coverage=trace-cmp) -O2 -MMD -MP -c -o $@ $<

build/fuzz/o/hypervisor/arch/x86/pv/descriptors.o: UNIT_CFLAGS += -fno-integrated-as -include tests/fuzz/no_tables.h

build/fuzz/o/hypervisor/arch/x86/hvm/hvm.o: UNIT_CFLAGS += -include tests/fuzz/hvm_host.h

build/fuzz/absent_ops.def: $(wildcard abi/ops/*.def)
	@mkdir -p $(@D)
	$(Q)sed -nE 's/^(OP|BATCH|CALL[0-9]|HOT[0-9])\([^,]*, *([a-z_0-9]+).*/ABSENT(\2)/p' $^ | sort -u > $@
build/fuzz/o/tests/fuzz/absent_ops.o: build/fuzz/absent_ops.def

build/fuzz/domains: $(DOMAINS_OBJS)
	@echo "  FUZZLD $@"
	$(Q)clang-14 $(UNIT_CFLAGS) -fsanitize=fuzzer -o $@ $^ -Wl,--defsym=__units_start=__start_units,--defsym=__units_end=__stop_units

build/fuzz/hvm: $(HVM_FUZZ_OBJS)
	@echo "  FUZZLD $@"
	$(Q)clang-14 $(UNIT_CFLAGS) -fsanitize=fuzzer -o $@ $^ -Wl,--defsym=__units_start=__start_units,--defsym=__units_end=__stop_units

-include $(sort $(DOMAINS_OBJS:.o=.d) $(HVM_FUZZ_OBJS:.o=.d))
