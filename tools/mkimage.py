#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""mkimage.py LINKED BINARY OUT: wraps the hypervisor's bytes in a 32-bit ELF.

Loaders that speak multiboot want a 32-bit ELF with physical addresses, while the link is a 64-bit
one at high virtual addresses.  One segment, addresses physical, memory size up to the end of .bss.
"""
import struct
import subprocess
import sys

PAGE = 4096


def symbols(path):
    out = subprocess.run(["nm", path], check=True, capture_output=True, text=True).stdout
    return {f[2]: int(f[0], 16) for f in (l.split() for l in out.splitlines()) if len(f) == 3}


def main():
    linked, binary, out = sys.argv[1:]
    syms = symbols(linked)
    virt_to_phys = 0x200000 - syms["__image_start"]
    data = open(binary, "rb").read()
    load = syms["__image_start"] + virt_to_phys
    entry = syms["_start"] + virt_to_phys
    memsz = syms["__image_end"] - syms["__image_start"]
    assert len(data) <= memsz and entry < load + len(data)

    ehdr = struct.pack("<4s5B7x", b"\x7fELF", 1, 1, 1, 0, 0)
    ehdr += struct.pack("<HHIIIIIHHHHHH", 2, 3, 1, entry, 52, 0, 0, 52, 32, 1, 0, 0, 0)
    phdr = struct.pack("<8I", 1, PAGE, load, load, len(data), memsz, 7, PAGE)
    with open(out, "wb") as f:
        f.write((ehdr + phdr).ljust(PAGE, b"\0") + data)


if __name__ == "__main__":
    main()
