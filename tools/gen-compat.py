#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""How the arguments of a 32-bit guest lie in memory, against those of a 64-bit one.

    gen-compat.py OUT.h CC...

The public headers give both layouts, depending on the compiler's target. This compiles a variable
of each type named in abi/ops/*.def (and in LISTED below) for either, reads the layouts from the
debugging information, and writes for each type that differs a list of pieces: so many bytes at
this offset here are so many bytes at that offset there (hypercall/compat.h says how they are used).
Types that are the same get none. Of a union, the member counts that is longest in the 64-bit
layout, and of those the one that is shortest in the other: a pointer before its 64-bit padding.
"""
import os
import re
import subprocess
import sys
import tempfile

from elftools.elf.elffile import ELFFile

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
# Calls of the control domain, which is a 64-bit one.
LEFT_OUT = {"domctl.def", "sysctl.def", "platform.def"}
# What is behind pointers in arguments, what is shared, and the arguments of direct calls.
LISTED = ["struct multicall_entry", "struct trap_info", "struct xennmi_callback"]
# Members that the hypervisor shares with a 32-bit guest: COMPAT_OFFSET_<type>_<member>.
SHARED = {"struct shared_info": ["evtchn_pending", "evtchn_mask", "wc_version", "arch.wc_sec_hi",
                                 "arch.max_pfn"],
          "struct vcpu_info": ["evtchn_pending_sel", "arch.cr2", "time"],
          "struct vcpu_runstate_info": ["state_entry_time"],
          "struct multicall_entry": ["result"]}
MAX_SIZE = 128  # COMPAT_MAX_SIZE of hypercall/compat.h


def types():
    found = set(LISTED)
    folder = os.path.join(TOP, "abi/ops")
    for name in sorted(os.listdir(folder)):
        if name.endswith(".def") and name not in LEFT_OUT:
            with open(os.path.join(folder, name)) as file:
                found |= set(re.findall(r"^(?:OP|BATCH)\(\w+,\s+\w+,\s+(struct \w+),",
                                        file.read(), re.M))
    return sorted(found - {"struct noarg"})


def compiled(cc, names, width, folder):
    source, out = (os.path.join(folder, f"types{width}.{ext}") for ext in "co")
    with open(source, "w") as file:
        file.write('#include "abi/xen_abi.h"\n')
        for number, name in enumerate(names):
            file.write(f"{name} compat_{number};\n")
    subprocess.run([*cc, f"-m{width}", "-std=gnu11", "-ffreestanding", "-g", "-gdwarf-4",
                    "-D__XEN_TOOLS__", "-I", TOP, "-c", "-o", out, source], check=True)
    return out


class Layouts:
    """The types of the variables compat_N of an object file, as trees of scalars."""

    def __init__(self, path):
        self.file = open(path, "rb")
        self.dwarf = ELFFile(self.file).get_dwarf_info()
        self.types = {}
        for unit in self.dwarf.iter_CUs():
            for die in unit.get_top_DIE().iter_children():
                if die.tag == "DW_TAG_variable":
                    name = die.attributes["DW_AT_name"].value.decode()
                    self.types[name] = self.resolved(die)

    def resolved(self, die):
        die = die.get_DIE_from_attribute("DW_AT_type")
        while die.tag in ("DW_TAG_typedef", "DW_TAG_const_type", "DW_TAG_volatile_type"):
            die = die.get_DIE_from_attribute("DW_AT_type")
        return die

    def size(self, die):
        if die.tag != "DW_TAG_array_type":
            return die.attributes["DW_AT_byte_size"].value
        return self.size(self.resolved(die)) * self.length(die)

    @staticmethod
    def length(die):
        count = 1
        for sub in die.iter_children():
            if sub.tag == "DW_TAG_subrange_type":
                bound = sub.attributes.get("DW_AT_upper_bound")
                count *= bound.value + 1 if bound else 0
        return count

    def offset(self, die, path):
        for name in path.split("."):
            member, inner = next(m for m in self.members(die)
                                 if m[0].attributes["DW_AT_name"].value.decode() == name)
            path, die = member.attributes["DW_AT_data_member_location"].value, inner
            yield path

    def members(self, die):
        return [(m, self.resolved(m)) for m in die.iter_children() if m.tag == "DW_TAG_member"]


def common(members_a, members_b):
    """Pairs of members of the same name; of the same place where all have one."""
    names = {m.attributes["DW_AT_name"].value: (m, t) for m, t in members_b
             if "DW_AT_name" in m.attributes}
    if len(members_a) == len(members_b):
        return list(zip(members_a, members_b))
    return [((m, t), names[m.attributes["DW_AT_name"].value]) for m, t in members_a
            if m.attributes["DW_AT_name"].value in names]


def pieces(a, die_a, at_a, b, die_b, at_b):
    """[offset64, size64, offset32, size32] of each scalar of two readings of a type."""
    tag = die_a.tag
    if tag == "DW_TAG_base_type" and die_b.tag == "DW_TAG_structure_type":
        # A code address: selector and offset there, here the offset with the selector above it.
        yield at_a, 4, at_b + 4, 4
        yield at_a + 4, 4, at_b, 4
    elif tag == "DW_TAG_base_type" and die_b.tag == "DW_TAG_array_type":
        return  # struct arch_vcpu_info's padding
    elif tag != die_b.tag:
        sys.exit(f"a member is a {tag} in one layout and a {die_b.tag} in the other")
    elif tag == "DW_TAG_structure_type":
        for (m_a, t_a), (m_b, t_b) in common(a.members(die_a), b.members(die_b)):
            yield from pieces(a, t_a, at_a + m_a.attributes["DW_AT_data_member_location"].value,
                              b, t_b, at_b + m_b.attributes["DW_AT_data_member_location"].value)
    elif tag == "DW_TAG_union_type":
        both = list(zip(a.members(die_a), b.members(die_b), strict=True))
        (_, t_a), (_, t_b) = min(both, key=lambda p: (-a.size(p[0][1]), b.size(p[1][1])))
        yield from pieces(a, t_a, at_a, b, t_b, at_b)
    elif tag == "DW_TAG_array_type":
        e_a, e_b = a.resolved(die_a), b.resolved(die_b)
        for i in range(min(a.length(die_a), b.length(die_b))):
            yield from pieces(a, e_a, at_a + i * a.size(e_a), b, e_b, at_b + i * b.size(e_b))
    else:
        yield at_a, a.size(die_a), at_b, b.size(die_b)


def joined(found):
    """Neighbours of the same size on both sides, and nothing between them, are one piece."""
    out = []
    for piece in found:
        if out:
            last = out[-1]
            if last[1] == last[3] and piece[1] == piece[3] and \
                    last[0] + last[1] == piece[0] and last[2] + last[3] == piece[2]:
                out[-1] = (last[0], last[1] + piece[1], last[2], last[3] + piece[3])
                continue
        out.append(piece)
    return out


def main():
    out, cc = sys.argv[1], sys.argv[2:]
    names = types()
    shared = sorted(SHARED)
    with tempfile.TemporaryDirectory() as folder:
        wide = Layouts(compiled(cc, names, 64, folder))
        narrow = Layouts(compiled(cc, names + shared, 32, folder))
        lines, choices, offsets = [], [], []
        for number, name in enumerate(shared, len(names)):
            for path in SHARED[name]:
                value = sum(narrow.offset(narrow.types[f"compat_{number}"], path))
                offsets.append(f"#define COMPAT_OFFSET_{name.split()[1]}_{path.replace('.', '_')} {value}\n")
        for number, name in enumerate(names):
            a, b = wide.types[f"compat_{number}"], narrow.types[f"compat_{number}"]
            found = joined(pieces(wide, a, 0, narrow, b, 0))
            same = wide.size(a) == narrow.size(b) and all(p[0] == p[2] and p[1] == p[3] for p in found)
            if same:
                continue
            tag = name.split()[1]
            if narrow.size(b) > MAX_SIZE:
                sys.exit(f"{name} is longer than MAX_SIZE")
            lines.append(f"static const struct compat_piece compat_pieces_{tag}[] = {{")
            lines += [f"    {{{p[0]}, {p[2]}, {p[3]}}}," for p in found]
            lines.append("};")
            lines.append(f"const struct compat_layout compat_layout_{tag} = "
                         f"{{{narrow.size(b)}, {len(found)}, compat_pieces_{tag}}};\n")
            choices.append(tag)
    with open(out + ".new", "w") as file:
        file.write("/* Made by tools/gen-compat.py. */\n#pragma once\n")
        for tag in choices:
            file.write(f"struct {tag};\nextern const struct compat_layout compat_layout_{tag};\n")
        file.writelines(offsets)
        file.write("/* The layout of a type in a 32-bit guest, or NULL if it is the same. */\n"
                   "#define COMPAT_LAYOUT(type) _Generic((type *)0, \\\n")
        for tag in choices:
            file.write(f"    struct {tag} *: &compat_layout_{tag}, \\\n")
        file.write("    default: (const struct compat_layout *)0)\n"
                   "#ifdef COMPAT_LAYOUT_TABLES\n" + "\n".join(lines) + "#endif\n")
    os.rename(out + ".new", out)


if __name__ == "__main__":
    main()
