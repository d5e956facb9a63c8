# SPDX-License-Identifier: MIT
# From objects to something a loader starts.
#   hospes-syms   the 64-bit link with symbols and debug information (for gdb)
#   hospes        a 32-bit ELF around its bytes, for qemu -kernel and GRUB; hospes.gz the same, packed
# The tables of function names and of line numbers inside come from the link before: link, read it,
# link again.  They lie behind all code, so that their size moves no function.
BOOT_DIR := hypervisor/arch/$(ARCH)/boot
LD       ?= ld
NM       ?= nm
OBJCOPY  ?= objcopy
PYTHON   ?= /usr/bin/python3
LDFLAGS_HYP := -static -nostdlib --no-dynamic-linker -z noexecstack -z max-page-size=4096 --no-warn-rwx-segments

# Debian's static libraries for the kernel's payload (hypervisor/boot/decompress.c), with their
# C library calls bound to our own small shim (libc_shim.c) under names nobody else uses.
PAYLOAD_LIBDIR := /usr/lib/$(shell $(CC) -print-multiarch 2>/dev/null || echo x86_64-linux-gnu)
PAYLOAD_LIBS   := $(addprefix $(PAYLOAD_LIBDIR)/,$(if $(CONFIG_PAYLOAD_XZ),liblzma.a) \
                    $(if $(CONFIG_PAYLOAD_GZIP),libz.a) $(if $(CONFIG_PAYLOAD_ZSTD),libzstd.a) \
                    $(if $(CONFIG_PAYLOAD_LZ4),liblz4.a))
PAYLOAD_OBJS   := $(filter %/libc_shim.o %/decompress_libs.o %/unpack_xz.o %/unpack_gzip.o %/unpack_zstd.o %/unpack_lz4.o,$(OBJS))

$(O)/payload.o: $(PAYLOAD_OBJS) $(PAYLOAD_LIBS) $(BOOT_DIR)/image.mk
	@echo "  LD   $@"
	$(Q)$(LD) -r --gc-sections -u payload_decompress -o $@.1 $(filter %.o,$^) $(PAYLOAD_LIBS)
	$(Q)$(OBJCOPY) --keep-global-symbol=payload_decompress $@.1 $@
	@rm -f $@.1

LINK_OBJS := $(filter-out $(PAYLOAD_OBJS),$(OBJS)) $(O)/payload.o

$(O)/hospes.lds: $(BOOT_DIR)/hospes.lds.in hypervisor/arch/$(ARCH)/asm/layout.h
	@mkdir -p $(@D)
	$(Q)$(CC) -E -P -x assembler-with-cpp -D__ASSEMBLY__ -Ihypervisor/arch/$(ARCH) -o $@ $<

$(O)/symbols0.S: tools/gensyms.py tools/genlines.py
	@mkdir -p $(@D)
	$(Q)$(PYTHON) tools/gensyms.py < /dev/null > $@
	$(Q)$(PYTHON) tools/genlines.py >> $@

$(O)/symbols%.o: $(O)/symbols%.S
	$(Q)$(CC) -c -o $@ $<

$(O)/hospes.pass1: $(LINK_OBJS) $(O)/hospes.lds $(O)/symbols0.o
	@echo "  LD   $@"
	$(Q)$(LD) $(LDFLAGS_HYP) -T $(O)/hospes.lds -o $@ $(LINK_OBJS) $(O)/symbols0.o

$(O)/symbols1.S: $(O)/hospes.pass1 tools/gensyms.py tools/genlines.py
	$(Q)$(if $(CONFIG_SYMBOLS),$(NM) -n $<,true) | $(PYTHON) tools/gensyms.py > $@
	$(Q)$(PYTHON) tools/genlines.py $(if $(CONFIG_LINE_NUMBERS),$<) >> $@

$(O)/hospes-syms: $(O)/hospes.pass1 $(O)/symbols1.o
	@echo "  LD   $@"
	$(Q)$(LD) $(LDFLAGS_HYP) -T $(O)/hospes.lds -o $@ $(LINK_OBJS) $(O)/symbols1.o

$(O)/hospes: $(O)/hospes-syms tools/mkimage.py
	$(Q)$(OBJCOPY) -O binary $< $@.bin
	$(Q)$(PYTHON) tools/mkimage.py $< $@.bin $@
	@rm -f $@.bin

$(O)/hospes.gz: $(O)/hospes
	$(Q)gzip -9nc $< > $@

sizes: $(O)/hospes $(O)/hospes.gz
	@for o in $(O) $(filter-out $(O),$(wildcard build/tiny)); do \
		test ! -f $$o/hospes || tools/image-size $$o; done

# The option table documents itself.
docs/command-line.md: hypervisor/boot/cmdline.def tools/gen-command-line-doc.py
	@mkdir -p docs
	$(Q)$(PYTHON) tools/gen-command-line-doc.py > $@

# A bootable CD for BIOS and EFI.  KERNEL= and INITRD= are dom0's; APPEND= our command line.
ISO_APPEND ?= com1=115200,8n1 console=com1,vga loglvl=all
DOM0_APPEND ?= console=hvc0
iso: $(O)/hospes.gz
	$(Q)tools/make-iso --out $(O)/hospes.iso --image $(O)/hospes.gz --append "$(ISO_APPEND)" \
		$(if $(KERNEL),--kernel "$(KERNEL)") $(if $(INITRD),--initrd "$(INITRD)") --dom0-append "$(DOM0_APPEND)"

# Where Debian's /etc/grub.d/20_linux_xen looks; then update-grub.
DESTDIR ?=
install: $(O)/hospes.gz
	install -D -m 644 $(O)/hospes.gz $(DESTDIR)/boot/xen-4.17-hospes.gz
	install -D -m 644 $(O)/hospes-syms $(DESTDIR)/usr/lib/debug/boot/xen-syms-4.17-hospes
	@echo "now run update-grub"

# Attaches to the QEMU of ./run, or to one that was started with -s: GDB=:1234.
GDB ?= $(or $(wildcard build/gdb.socket),:1234)
gdb: $(O)/hospes-syms
	gdb -q $< -ex 'target remote $(GDB)'

.PHONY: iso install gdb
