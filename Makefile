# SPDX-License-Identifier: MIT
#: make                   the hypervisor: build/x86_64/hospes (multiboot 1, 32-bit ELF), hospes.gz, hospes-syms
#: make CC=clang-14 O=build/clang      the same with clang, beside it
#: make menuconfig        what to build: changes .config
#: make defconfig         .config: everything; also tiny_defconfig, debug_defconfig (configs/)
#: make tiny              the tiny configuration beside the other, in build/tiny; sizes of both
#: make test              all that is tested, as ./test does
#: make bench             the same work on bare Linux, stock Xen and Hospes, counted in instructions
#: make preemption        how long a guest can make the hypervisor keep a CPU
#: make large             a PV guest of 128 VCPUs boots, and each of them works
#: make soak              a thousand guests created and killed at random moments (CYCLES=): nothing may be lost
#: make fuzz              the host's fuzzers for FUZZ_TIME=60 seconds each; fuzz-guest: guests that call at random
#: make bochs             PVH guests on Bochs' AMD models, dom0 in x2APIC mode on its Intel model: an hour
#: make unit              host unit tests under ASan and UBSan
#: make check             headers, sizes, names, format, generated documents
#: make format            clang-format over all of it
#: make docs              docs/abi.md, docs/command-line.md
#: make iso KERNEL=... INITRD=...      a CD that boots by BIOS and EFI
#: make install [DESTDIR=...]          to /boot, where Debian's GRUB scripts look
#: make gdb               attaches to the hypervisor that ./run runs, with symbols (docs/debugging.md)
#: make clean
#: Variables: V=1 shows commands, O= names the build directory, CONFIG= another .config
ARCH    ?= x86
O       ?= build/x86_64
CC      := gcc
HOSTCC  ?= gcc
V       ?= 0
Q       := $(if $(filter 1,$(V)),,@)

all: $(O)/hospes $(O)/hospes.gz sizes

# The hypervisor's configuration is $(CONFIG), or the defaults; host tests always have the defaults.
CONFIG  ?= .config
-include $(O)/config.mk

COMMON_INC := -I. -Ihypervisor
DEFS       := -D__XEN_TOOLS__
WARN       := -Wall -Wextra -Werror -Wstrict-prototypes -Wmissing-prototypes
OPTIMIZE   := $(if $(CONFIG_OPTIMIZE_SIZE),-Os,-O2)
# Indirect branches go through thunks that a guest cannot have trained (cpu/retpoline.S).
RETPOLINE  := $(if $(findstring clang,$(CC)),-mretpoline-external-thunk -mretpoline,-mindirect-branch=thunk-extern -mindirect-branch-register)
HYP_CFLAGS := -std=gnu11 $(OPTIMIZE) -gdwarf-4 -ffreestanding -fno-builtin-printf -fno-strict-aliasing -fno-common -fPIC \
              -fvisibility=hidden -fno-stack-protector -fno-asynchronous-unwind-tables -fno-jump-tables \
              -fno-omit-frame-pointer -mno-red-zone -mno-sse -mno-mmx -mno-80387 -msoft-float -mgeneral-regs-only $(RETPOLINE) \
              -include $(O)/autoconf.h -include lib/hidden.h $(WARN) $(DEFS) $(COMMON_INC) -Ihypervisor/arch/$(ARCH) -I$(O) $(EXTRA_CFLAGS)

# Every room is a folder; what Kconfig leaves out is a file left out (hypervisor/rooms.mk).
SRCS := $(sort $(shell find hypervisor lib -name '*.c' -o -name '*.S' | grep -v '/fake/' | grep -v 'asm-offsets.c'))
include hypervisor/rooms.mk
SRCS := $(filter-out $(SRCS_OUT),$(SRCS))
OBJS := $(addprefix $(O)/,$(addsuffix .o,$(basename $(SRCS))))

$(O)/autoconf.h $(O)/config.mk &: Kconfig tools/genconfig.py $(wildcard $(CONFIG))
	$(Q)/usr/bin/python3 tools/genconfig.py $(CONFIG) $(O)

build/autoconf.h: Kconfig tools/genconfig.py | build/compat-layouts.h
	$(Q)/usr/bin/python3 tools/genconfig.py configs/defconfig build

menuconfig:
	$(Q)KCONFIG_CONFIG=$(CONFIG) /usr/bin/python3 -m menuconfig Kconfig

%_defconfig: configs/%_defconfig
	cp $< $(CONFIG)

defconfig: configs/defconfig
	cp $< $(CONFIG)

tiny:
	$(Q)$(MAKE) --no-print-directory CONFIG=configs/tiny_defconfig O=build/tiny build/tiny/hospes build/tiny/hospes.gz
	$(Q)$(MAKE) --no-print-directory

$(O)/asm-offsets.h: hypervisor/arch/$(ARCH)/asm-offsets.c $(O)/autoconf.h
	@mkdir -p $(@D)
	$(Q)$(CC) $(HYP_CFLAGS) -MMD -MP -MT $@ -MF $(@:.h=.d) -S -o $(@:.h=.s) $<
	$(Q)sed -n 's/^.*->\([A-Za-z0-9_]*\) [$$]*\(-\{0,1\}[0-9]*\).*$$/#define \1 \2/p' $(@:.h=.s) > $@

# The layouts of 32-bit callers' arguments, out of the public headers.
%/compat-layouts.h: tools/gen-compat.py $(wildcard abi/ops/*.def) abi/xen_abi.h
	@mkdir -p $(@D)
	$(Q)/usr/bin/python3 $< $@ $(HOSTCC)
# Not an intermediate file, to be deleted: the next make would make it anew, and all that includes it.
.SECONDARY: $(O)/compat-layouts.h build/compat-layouts.h

$(O)/%.o: %.c $(O)/autoconf.h | $(O)/asm-offsets.h $(O)/compat-layouts.h
	@mkdir -p $(@D)
	@echo "  CC   $<"
	$(Q)$(CC) $(HYP_CFLAGS) -MMD -MP -c -o $@ $<

$(O)/%.o: %.S $(O)/autoconf.h $(O)/asm-offsets.h
	@mkdir -p $(@D)
	@echo "  AS   $<"
	$(Q)$(CC) $(HYP_CFLAGS) -D__ASSEMBLY__ -MMD -MP -c -o $@ $<

-include $(OBJS:.o=.d) $(O)/asm-offsets.d
-include hypervisor/arch/$(ARCH)/boot/image.mk

# ---- host tests: every tests/unit/<room>/rules.mk adds its binary to UNIT_TESTS ----
UNIT_CFLAGS := -std=gnu11 -O1 -g -fsanitize=address,undefined -fno-sanitize-recover=undefined -DHOSPES_HOST -DCONFIG_DEBUG \
               -Wall -Wextra -Werror $(DEFS) -I. -Ihypervisor -Ihypervisor/arch/fake -Itests/unit -Ibuild -include build/autoconf.h
# What stands in for a machine; and the copying of arguments, which every room does.
FAKE_SRCS := $(wildcard hypervisor/arch/fake/*.c) hypervisor/hypercall/compat.c
# Programs of one kind, that is of the same flags, share objects.  A program's rules name its
# sources; the last line for it is `PROGRAMS: $$(call unit-objects,KIND,$$^)`.
unit-objects = $(patsubst %.c,build/unit/o/$(1)/%.o,$(filter %.c,$(2)))
define UNIT_KIND
build/unit/o/$(1)/%.o: %.c build/autoconf.h
	@mkdir -p $$(@D)
	$$(Q)$$(HOSTCC) $(2) -MMD -MP -c -o $$@ $$<
endef
UNIT_X86     := $(UNIT_CFLAGS) -Ihypervisor/arch/x86
# Real threads, each of which is a CPU (tests/unit/threads): no lock checker, which knows one only.
UNIT_THREADS := -Itests/unit/threads $(filter-out -DCONFIG_DEBUG,$(UNIT_CFLAGS)) -pthread
$(eval $(call UNIT_KIND,plain,$(UNIT_CFLAGS)))
$(eval $(call UNIT_KIND,x86,$(UNIT_X86)))
$(eval $(call UNIT_KIND,checked,$(UNIT_X86) -DMM_CHECK_EVERY=1))
$(eval $(call UNIT_KIND,irq,-Itests/unit/irq $(UNIT_X86)))
$(eval $(call UNIT_KIND,threads,$(UNIT_THREADS)))
$(eval $(call UNIT_KIND,x86-threads,$(UNIT_THREADS) -Ihypervisor/arch/x86 -DMM_CHECK_EVERY=1))
UNIT_LINK = $(HOSTCC) $(UNIT_CFLAGS) -pthread -o $@ $(filter %.o,$^)
.SECONDEXPANSION:
-include $(sort $(wildcard tests/unit/*/rules.mk))
-include $(shell find build/unit/o -name '*.d' 2>/dev/null)

unit-build: $(UNIT_TESTS)

unit: $(UNIT_TESTS:%=run-%)
$(UNIT_TESTS:%=run-%): run-%: %
	@echo "  UNIT $<"; $<

docs/abi.md: $(wildcard abi/ops/*.def) tools/gen-abi-doc.py
	$(Q)/usr/bin/python3 tools/gen-abi-doc.py > $@.new && mv $@.new $@

abi: docs/abi.md
docs: docs/abi.md docs/command-line.md
all: docs

FORMATTED = find hypervisor lib tests \( -name '*.c' -o -name '*.h' \)
format-check:
	$(Q)$(FORMATTED) | xargs clang-format-14 --dry-run -Werror

format:
	$(Q)$(FORMATTED) | xargs clang-format-14 -i

header-check: $(O)/hospes build/autoconf.h doc-check
	$(Q)/usr/bin/python3 tools/check-headers.py $(O)
	$(Q)tools/check-sizes
	$(Q)tools/check-dead $(O)
	$(Q)tools/check-windows $(O)

doc-check:
	$(Q)/usr/bin/python3 tools/gen-abi-doc.py --check
	$(Q)/usr/bin/python3 tools/gen-command-line-doc.py | cmp - docs/command-line.md
	$(Q)tools/check-reading

check: format-check header-check
	@echo "  CHECK all well"

bench:
	$(Q)bench/run

CYCLES ?= 1000
soak: $(O)/hospes
	$(Q)CYCLES=$(CYCLES) /usr/bin/python3 -m pytest -s --no-header tests/system/test_soak.py

large: $(O)/hospes
	$(Q)VCPUS=128 /usr/bin/python3 -m pytest -v --no-header tests/system/test_large.py

FUZZ_TIME ?= 60
FUZZERS := build/fuzz/mm build/fuzz/emulate build/fuzz/emulate-native build/fuzz/domains build/fuzz/hvm
-include tests/fuzz/rules.mk
fuzz: $(FUZZERS)
	$(Q)tests/fuzz/run $(FUZZ_TIME) $(FUZZERS)

# What was found once, or reaches far, again: those that have such (tests/fuzz/corpus).
FUZZ_KEPT := $(filter $(patsubst tests/fuzz/corpus/%,build/fuzz/%,$(wildcard tests/fuzz/corpus/*)),$(FUZZERS))
fuzz-build: $(FUZZ_KEPT)
fuzz-replay: $(FUZZ_KEPT)
	$(Q)tests/fuzz/run 0 $(FUZZ_KEPT)

fuzz-guest: $(O)/hospes
	$(Q)FUZZ_TIME=$(FUZZ_TIME) /usr/bin/python3 -m pytest -s --no-header tests/system/test_random.py

bochs: $(O)/hospes.gz
	$(Q)dom0/install-packages bochs
	$(Q)BOCHS=$${BOCHS:-bochs} PATIENCE=$${PATIENCE:-20} /usr/bin/python3 -m pytest -v --no-header tests/system/test_bochs.py

preemption: $(O)/hospes
	$(Q)bench/preemption

test:
	$(Q)./test

help:
	@sed -n 's/^#: //p' $(firstword $(MAKEFILE_LIST))

clean:
	rm -rf $(O) build/tiny build/unit build/autoconf.h build/config.mk

# `test` is a file, too.
.PHONY: all bench bochs fuzz fuzz-build fuzz-replay fuzz-guest large preemption test unit unit-build $(UNIT_TESTS:%=run-%) clean format format-check header-check doc-check sizes help abi docs check tiny menuconfig defconfig
