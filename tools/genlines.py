#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""genlines.py [ELF]: turns the debug information of a link into the assembler source of the table
that kernel/lines.c reads; without ELF into an empty one of the same form.

The code is cut into ranges whose functions stand in one source file. What was inlined into them
from another file gets the line of the code before it: that of the call, or nearly.

line_ranges: three words a range: its distance from __text_start; where its steps begin in
             line_steps; where its file's name is in line_files (an empty one: not known).
             The last is the end of the code.
line_steps:  two numbers a step, seven bits a byte, low ones first, all but the last with bit 7 set:
             how far to the next address whose line is another, and how many lines further, twice,
             or that less 1 backwards. Each range begins with its own address and line 0.
line_files:  names, each ending in a zero byte
"""
import bisect
import os
import sys

from elftools.elf.elffile import ELFFile

UNKNOWN = ("", 0)


def read_rows(elf):
    """(address, (file, line)), ascending; UNKNOWN where a sequence ends."""
    dwarf, rows = elf.get_dwarf_info(), []
    for unit in dwarf.iter_CUs():
        program = dwarf.line_program_for_CU(unit)
        if not program:
            continue
        if program.header.version > 4:
            raise SystemExit("genlines.py: files are numbered as up to DWARF 4: -gdwarf-4")
        folders = ["", *(name.decode() for name in program.header.include_directory)]
        files = ["", *(os.path.normpath(os.path.join(folders[file.dir_index], file.name.decode()))
                       .removeprefix("hypervisor/") for file in program.header.file_entry)]
        for state in (entry.state for entry in program.get_entries() if entry.state):
            where = UNKNOWN if state.end_sequence else (files[state.file], state.line)
            rows.append((state.address, where))
    # The end of one sequence is often the beginning of the next.
    return sorted(rows, key=lambda row: (row[0], row[1] != UNKNOWN))


def read_functions(elf):
    """Addresses of functions, ascending; the last is the end of the code."""
    table = elf.get_section_by_name(".symtab")
    start, end = (table.get_symbol_by_name(name)[0]["st_value"]
                  for name in ("__text_start", "__text_end"))
    inside = {symbol["st_value"] for symbol in table.iter_symbols()
              if start <= symbol["st_value"] < end}
    return sorted(inside) + [end]


def make_ranges(functions, rows):
    """[address, file, [(address, line)...]] for each run of functions of one file. A function's
    first row, of several at its address, says where it stands; of others the last one holds."""
    addresses, ranges = [row[0] for row in rows], []
    for begin, end in zip(functions, functions[1:]):
        first, last = (bisect.bisect_left(addresses, address) for address in (begin, end))
        here = [where for address, where in rows[first:last] if address == begin]
        before = rows[first - 1][1] if first else UNKNOWN
        file = next((where for where in here if where != UNKNOWN), here[0] if here else before)[0]
        if not ranges or ranges[-1][1] != file:
            ranges.append([begin, file, []])
        lines = {address: line for address, (name, line) in rows[first:last]
                 if name == file and line}
        if file and begin not in lines and before[0] == file:
            lines[begin] = before[1]
        ranges[-1][2] += sorted(lines.items())
    return ranges


def number(value):
    parts = []
    while value > 127:
        parts.append(value & 127 | 128)
        value >>= 7
    return bytes(parts + [value])


def steps(begin, lines):
    """The bytes of a range's steps."""
    encoded, address, line = b"", begin, 0
    for next_address, next_line in lines:
        if next_line != line:
            further = next_line - line
            encoded += number(next_address - address)
            encoded += number(2 * further if further > 0 else -2 * further - 1)
            address, line = next_address, next_line
    return encoded


def main():
    start, end, ranges = 0, 0, []
    if sys.argv[1:]:
        with open(sys.argv[1], "rb") as file:
            elf = ELFFile(file)
            functions = read_functions(elf)
            ranges = make_ranges(functions, read_rows(elf))
        start, end = functions[0], functions[-1]
    names, files, stream, words = {}, b"", b"", []
    for begin, name, lines in [*ranges, [end, "", []]]:
        if name not in names:
            names[name] = len(files)
            files += name.encode() + b"\0"
        words.append((begin - start, len(stream), names[name]))
        stream += steps(begin, lines)
    print("# made by tools/genlines.py")
    print('.section .symtab_compact, "a", @progbits\n.balign 4')
    for label in ("line_ranges", "line_steps", "line_files"):
        print(f".globl {label}\n.hidden {label}")
    print("line_ranges:")
    for word in words:
        print(".long " + ", ".join(map(str, word)))
    for label, data in (("line_steps", stream), ("line_files", files)):
        print(f"{label}:")
        for at in range(0, len(data), 32):
            print(".byte " + ",".join(map(str, data[at:at + 32])))


if __name__ == "__main__":
    main()
