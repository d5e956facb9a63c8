# SPDX-License-Identifier: MIT
"""An initramfs, put together in memory out of a tree of unpacked Debian packages.

The tree (`root`) is the union of the packages. An Image takes files out of it, follows what its
programs need (shared libraries by soname), and is written as a "newc" archive: the format the
kernel unpacks, of which several may follow one another in one initrd. Nothing here needs root,
and the same input gives the same bytes.
"""
import fnmatch
import os
import stat
import struct

LIB_DIRS = ("lib/x86_64-linux-gnu", "usr/lib/x86_64-linux-gnu", "lib64", "usr/lib64")
# Debian is usr-merged; the packages of bookworm still name both places.
MERGED = ("bin", "sbin", "lib", "lib64")


def needed_libraries(data):
    """The sonames (and the interpreter's name) that a 64-bit ELF file asks for."""
    if data[:5] != b"\x7fELF\x02":
        return []
    phoff, = struct.unpack_from("<Q", data, 32)
    phentsize, phnum = struct.unpack_from("<HH", data, 54)
    loads, dynamic, names = [], None, []
    for i in range(phnum):
        kind, _, off, vaddr, _, filesz = struct.unpack_from("<IIQQQQ", data, phoff + i * phentsize)
        if kind == 1:
            loads.append((vaddr, off, filesz))
        elif kind == 2:
            dynamic = (off, filesz)
        elif kind == 3:
            names.append(os.path.basename(data[off:off + filesz - 1].decode()))
    if not dynamic:
        return names
    entries = [struct.unpack_from("<QQ", data, dynamic[0] + i) for i in range(0, dynamic[1], 16)]
    strtab = next(value for tag, value in entries if tag == 5)
    for vaddr, off, filesz in loads:
        if vaddr <= strtab < vaddr + filesz:
            strtab += off - vaddr
            break
    for tag, value in entries:
        if tag == 0:
            break
        if tag == 1:
            start = strtab + value
            names.append(data[start:data.index(b"\0", start)].decode())
    return names


class Image:
    """A file system being put together: path -> (mode, content)."""

    def __init__(self, root=None):
        self.root = root
        self.entries = {}

    def place(self, path):
        """The path with the usr-merge applied."""
        path = os.path.normpath(path).lstrip("/")
        return "usr/" + path if path.split("/")[0] in MERGED else path

    def directory(self, path):
        path = os.path.normpath(path).lstrip("/")
        if path in ("", "."):
            return
        if path not in self.entries:
            self.directory(os.path.dirname(path))
            self.entries[path] = (stat.S_IFDIR | 0o755, b"")

    def add(self, path, data, mode=0o644):
        path = self.place(path)
        self.directory(os.path.dirname(path))
        self.entries[path] = (stat.S_IFREG | mode, data)

    def add_file(self, path, source):
        """Add a file of this machine; whether it can be run stays."""
        with open(source, "rb") as file:
            self.add(path, file.read(), 0o755 if os.access(source, os.X_OK) else 0o644)

    def symlink(self, path, target):
        path = os.path.normpath(path).lstrip("/")
        self.directory(os.path.dirname(path))
        self.entries[path] = (stat.S_IFLNK | 0o777, target.encode())

    def usr_merge(self):
        for name in MERGED:
            self.directory("usr/" + name)
            self.symlink(name, "usr/" + name)

    def take(self, path):
        """Take one file or symbolic link out of the packages, with the libraries it needs."""
        full = os.path.join(self.root, path)
        if os.path.islink(full):
            self.symlink(self.place(path), os.readlink(full))
            return
        with open(full, "rb") as file:
            data = file.read()
        self.add(path, data, os.stat(full).st_mode & 0o755)
        for name in needed_libraries(data):
            self.library(name, path)

    def library(self, name, wanted_by):
        for folder in LIB_DIRS:
            path = os.path.join(self.root, folder, name)
            if not os.path.exists(path):
                continue
            place = self.place(os.path.join(folder, name))
            if place not in self.entries:
                with open(path, "rb") as file:
                    data = file.read()
                self.add(place, data, 0o755)
                for other in needed_libraries(data):
                    self.library(other, path)
            return
        raise FileNotFoundError(f"{wanted_by} needs {name}, which no package in "
                                "dom0/image-packages has: add the package there")

    def take_matching(self, paths, pattern, owner):
        found = fnmatch.filter(paths, pattern)
        if not found:
            raise FileNotFoundError(f"the package {owner} has no {pattern} "
                                    "(dom0/image-packages asks for it)")
        for path in found:
            self.take(path)

    def write(self, stream):
        """Write the archive. The kernel makes the root directory itself."""
        inode = 0
        for path in sorted(self.entries):
            mode, data = self.entries[path]
            inode += 1
            write_entry(stream, path, mode, data, inode)
        write_entry(stream, "TRAILER!!!", 0, b"", 0)


def write_entry(stream, path, mode, data, inode):
    name = path.encode() + b"\0"
    links = 2 if stat.S_ISDIR(mode) else 1
    fields = (inode, mode, 0, 0, links, 0, len(data), 0, 0, 0, 0, len(name), 0)
    header = b"070701" + b"".join(b"%08X" % field for field in fields)
    stream.write(header + name + b"\0" * (-(len(header) + len(name)) % 4))
    stream.write(data + b"\0" * (-len(data) % 4))


# Kernel modules -----------------------------------------------------------------------------

class Modules:
    """The modules of one kernel, with what each one depends on and the devices it is for."""

    def __init__(self, folder):
        self.folder = folder
        self.files = {}
        for where, _, names in os.walk(folder):
            for name in names:
                if name.endswith(".ko"):
                    key = name[:-3].replace("-", "_")
                    self.files[key] = os.path.relpath(os.path.join(where, name), folder)
        builtin = os.path.join(folder, "modules.builtin")
        with open(builtin) as file:
            self.builtin = {os.path.basename(line.strip())[:-3].replace("-", "_") for line in file}

    def info(self, name, key):
        """The values of one key in a module's .modinfo section."""
        with open(os.path.join(self.folder, self.files[name]), "rb") as file:
            data = file.read()
        values, mark = [], b"\0" + key + b"="
        at = data.find(mark)
        while at >= 0:
            start = at + len(mark)
            end = data.index(b"\0", start)
            values.append(data[start:end].decode("latin-1"))
            at = data.find(mark, end)
        return values

    def needs(self, name):
        return [n.replace("-", "_") for v in self.info(name, b"depends") for n in v.split(",") if n]

    def add_to(self, image, names, release):
        """Add the modules and what they need, and the tables modprobe reads."""
        wanted, queue = {}, list(names)
        while queue:
            name = queue.pop()
            if name in wanted or name in self.builtin:
                continue
            if name not in self.files:
                raise FileNotFoundError(f"this kernel has no module {name} (dom0/modules)")
            wanted[name] = self.needs(name)
            queue += wanted[name]
        where = f"lib/modules/{release}/"
        deps, aliases = [], []
        for name in sorted(wanted):
            path = os.path.join(self.folder, self.files[name])
            with open(path, "rb") as file:
                image.add(where + self.files[name], file.read())
            chain = [self.files[n] for n in self.closure(name, wanted)]
            deps.append(f"{self.files[name]}: {' '.join(chain)}")
            aliases += [f"alias {alias} {name}" for alias in self.info(name, b"alias")]
        image.add(where + "modules.dep", "".join(d + "\n" for d in deps).encode())
        image.add(where + "modules.alias", "".join(a + "\n" for a in aliases).encode())
        image.add(where + "modules.symbols", b"")

    @staticmethod
    def closure(name, wanted):
        """What a module needs, nearest first, each one once and after all that need it."""
        order, seen = [], set()

        def visit(one):
            for other in wanted[one]:
                if other in wanted and other not in seen:
                    seen.add(other)
                    visit(other)
                    order.append(other)

        visit(name)
        return list(reversed(order))
