#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Turns `nm -n` of a link into the assembler source of the table that kernel/symbols.c reads.

symbol_count:   number of functions
symbol_offsets: each one's distance from __text_start, ascending (32 bits)
symbol_names:   each one's place in symbol_strings (32 bits)
symbol_strings: the names, each ending in a zero byte
"""
import sys

TEXT_KINDS = "tTwW"


def read(lines):
    start, end, symbols = 0, 0, []
    for line in lines:
        fields = line.split()
        if len(fields) != 3:
            continue
        addr, kind, name = int(fields[0], 16), fields[1], fields[2]
        if name == "__text_start":
            start = addr
        elif name == "__text_end":
            end = addr
        elif kind in TEXT_KINDS and not name.startswith((".L", "$")):
            symbols.append((addr, name))
    unique = {}
    for addr, name in symbols:
        if start <= addr < end:
            unique.setdefault(addr, name)
    return start, sorted(unique.items())


def main():
    start, symbols = read(sys.stdin)
    out = ["# made by tools/gensyms.py", '.section .symtab_compact, "a", @progbits', ".balign 4"]
    for label in ("symbol_count", "symbol_offsets", "symbol_names", "symbol_strings"):
        out.append(f".globl {label}")
        out.append(f".hidden {label}")
    out.append(f"symbol_count: .long {len(symbols)}")
    out.append("symbol_offsets:")
    out += [f".long {addr - start}" for addr, _ in symbols]
    out.append("symbol_names:")
    pos = 0
    for _, name in symbols:
        out.append(f".long {pos}")
        pos += len(name) + 1
    out.append("symbol_strings:")
    out += [f'.asciz "{name}"' for _, name in symbols]
    out.append('.section .note.GNU-stack, "", @progbits')
    print("\n".join(out))


if __name__ == "__main__":
    main()
