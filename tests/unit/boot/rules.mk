# SPDX-License-Identifier: MIT
# Host tests of the boot room: memory maps, early memory, command line, loaders' data, payloads.
UNIT_TESTS += build/unit/boot
BOOT_UNIT_SRCS := hypervisor/boot/cmdline.c hypervisor/boot/bootmem.c hypervisor/boot/decompress.c \
                  hypervisor/boot/decompress_libs.c hypervisor/boot/initrd.c $(wildcard hypervisor/boot/unpack_*.c) \
                  hypervisor/arch/x86/boot/e820.c \
                  hypervisor/arch/x86/boot/multiboot.c

build/unit/boot: tests/unit/boot/test_boot.c tests/unit/boot/ground.c $(BOOT_UNIT_SRCS) lib/string.c \
                 $(wildcard hypervisor/boot/*.h hypervisor/boot/*.def tests/unit/boot/*.h) build/autoconf.h
	@mkdir -p $(@D)
	@echo "  HOSTCC $@"
	$(Q)$(UNIT_LINK) -lcmocka -llzma -lz -lzstd -llz4
build/unit/boot: $$(call unit-objects,x86,$$^)

# TLB flushes between threads that are CPUs (asm/cpu.h of tests/unit/threads).
UNIT_TESTS += build/unit/boot-tlb
build/unit/boot-tlb: tests/unit/boot/test_tlb.c hypervisor/arch/x86/mm/tlb.c build/autoconf.h
	@mkdir -p $(@D)
	@echo "  HOSTCC $@"
	$(Q)$(UNIT_LINK) -lcmocka
build/unit/boot-tlb: $$(call unit-objects,x86-threads,$$^)
