#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Build the demo's dom0 and guest out of Debian packages; nothing is installed on this machine.

    dom0/build.py                      the images, in build/dom0/
    dom0/build.py --stock              and Debian's own Xen, to compare with: prints its path
    dom0/build.py --add DIR --to FILE  an archive of DIR, to be put behind the dom0 image

Each step has a stamp, a hash of what went in; with nothing changed nothing is done and nothing
is downloaded. Packages go to $HOSPES_CACHE (build/cache if unset), which outlives `make clean`
when it lies elsewhere.

    packages -> cache/debs/*.deb -> cache/root/ (unpacked) -> build/dom0/{vmlinuz,guest.img,dom0.img}
"""
import argparse
import fcntl
import fnmatch
import glob
import gzip
import hashlib
import io
import lzma
import os
import shutil
import struct
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from image import Image, Modules  # noqa: E402

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(HERE)
CACHE = os.path.abspath(os.environ.get("HOSPES_CACHE") or os.path.join(TOP, "build", "cache"))
OUT = os.path.join(TOP, "build", "dom0")
STOCK_PACKAGE = "xen-hypervisor-4.17-amd64"

# dom0's image is not compressed: the emulated CPU takes longer to inflate it than the emulated
# machine takes to load it. The guest's is, since every `xl create` copies it.


class BuildError(Exception):
    """Something a person can act on: the message says what."""


def rows(name):
    """The lines of one of the tables beside this file, as words."""
    with open(os.path.join(HERE, name)) as file:
        for line in file:
            words = line.split("#")[0].split()
            if words:
                yield words


def run(*command, **options):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          **options)
    if done.returncode:
        raise BuildError(f"`{' '.join(command[:6])}` failed:\n{done.stdout[-2000:]}")
    return done.stdout


# Packages ---------------------------------------------------------------------------------

def kernel_package():
    """The name of the package that holds the current kernel: linux-image-6.1.0-...-amd64."""
    for attempt in (1, 2):
        done = subprocess.run(["apt-cache", "depends", "linux-image-amd64"], text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        for line in done.stdout.splitlines():
            if "Depends: linux-image-" in line:
                return line.split()[-1]
        if attempt == 1:
            run("apt-get", "update", "-q")
    raise BuildError("apt knows no linux-image-amd64: is a Debian 12 source in /etc/apt/sources.list?")


def download(names):
    """Fetch packages into cache/debs, those that are there already excepted."""
    folder = os.path.join(CACHE, "debs")
    os.makedirs(folder, exist_ok=True)
    missing = [n for n in names if not glob.glob(os.path.join(folder, n + "_*.deb"))]
    if not missing:
        return
    print(f"dom0: fetching {len(missing)} packages", flush=True)
    command = ["apt-get", "download", "-q", "-o", "APT::Sandbox::User=root"] + missing
    try:
        run(*command, cwd=folder)
    except BuildError:  # the lists may be older than the archive
        run("apt-get", "update", "-q")
        run(*command, cwd=folder)


def download_i386(name):
    """
    Fetch a package of the i386 architecture into cache/debs/i386, with lists of packages of our
    own: this machine's apt need not know that architecture, and is left as it is. Its path.
    """
    folder = os.path.join(CACHE, "debs", "i386")
    lists = os.path.join(CACHE, "lists")
    os.makedirs(folder, exist_ok=True)
    os.makedirs(os.path.join(lists, "partial"), exist_ok=True)
    pattern = os.path.join(folder, name + "_*.deb")
    if not glob.glob(pattern):
        options = ["-q", "-o", f"Dir::State::lists={lists}", "-o", "APT::Architectures::=amd64",
                   "-o", "APT::Architectures::=i386", "-o", "APT::Sandbox::User=root"]
        try:
            run("apt-get", "update", *options)
        except BuildError:
            pass  # some list or other is not to be had: the download will tell whether it matters
        run("apt-get", "download", *options, name + ":i386", cwd=folder)
    return glob.glob(pattern)[0]


def deb_of(name):
    found = sorted(glob.glob(os.path.join(CACHE, "debs", name + "_*.deb")), key=os.path.getmtime)
    if not found:
        raise BuildError(f"the package {name} was not downloaded into {CACHE}/debs")
    return found[-1]


def unpack(names, folder):
    """Unpack packages into one tree; remember which paths came from which of them."""
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    for name in names:
        run("dpkg-deb", "-x", deb_of(name), folder)


def paths_of(name):
    listing = run("dpkg-deb", "-c", deb_of(name))
    for line in listing.splitlines():
        words = line.split(None, 5)
        if not words[0].startswith("d"):
            yield words[5].split(" -> ")[0].split(" link to ")[0].removeprefix("./")


# Stamps -----------------------------------------------------------------------------------

def digest(*parts):
    """A hash over strings and over the contents of files (paths given as ("file", path))."""
    total = hashlib.sha256()
    for part in parts:
        if isinstance(part, tuple):
            with open(part[1], "rb") as file:
                part = file.read()
        total.update(part if isinstance(part, bytes) else str(part).encode())
        total.update(b"\0")
    return total.hexdigest()


def done_before(stamp, value):
    try:
        with open(stamp) as file:
            return file.read() == value
    except FileNotFoundError:
        return False


def mark_done(stamp, value):
    with open(stamp, "w") as file:
        file.write(value)


def here(name):
    return ("file", os.path.join(HERE, name))


# Images -----------------------------------------------------------------------------------

def busybox_links(image, busybox):
    """One link an applet, where nothing better (bash, a program of Xen's) has the name."""
    applets = subprocess.run([busybox, "--list"], stdout=subprocess.PIPE, text=True, check=True)
    for applet in applets.stdout.split():
        if applet in ("dpkg", "dpkg-deb", "rpm", "busybox", "poweroff", "reboot", "halt", "init"):
            continue
        where = "usr/bin/" + applet
        taken = [p for p in image.entries if p in (where, "usr/sbin/" + applet)]
        if not taken:
            image.symlink(where, "busybox")


def power_commands(image):
    """The kernel runs /sbin/poweroff when the toolstack asks a guest to stop."""
    for name in ("poweroff", "reboot", "halt"):
        script = f"#!/bin/sh\nexec /bin/busybox {name} -f\n"
        image.add("usr/sbin/" + name, script.encode(), 0o755)


def base_image(root, kind, packages, modules, release):
    image = Image(root)
    image.usr_merge()
    for folder in ("dev", "proc", "sys", "tmp", "run", "mnt", "root", "var/log/xen/console",
                   "var/lib/xen"):
        image.directory(folder)
    image.symlink("var/run", "/run")
    image.symlink("var/lock", "/run/lock")
    for words in packages:
        if words[0] not in (kind, "both"):
            continue
        paths = sorted(paths_of(words[1]))
        for pattern in [w[1:] for w in words[2:] if w.startswith("!")]:
            paths = [p for p in paths if not fnmatch.fnmatch(p, pattern)]
        for pattern in [w for w in words[2:] if not w.startswith("!")]:
            image.take_matching(paths, pattern, words[1])
    busybox_links(image, os.path.join(root, "bin/busybox"))
    power_commands(image)
    names = [w[2] for w in rows("modules") if w[0] in (kind, "both")]
    modules.add_to(image, names, release)
    image.add("etc/passwd", b"root:x:0:0:root:/root:/bin/sh\n")
    image.add("etc/group", b"root:x:0:\n")
    image.add("etc/hostname", kind.encode() + b"\n")
    return image


def add_tree(image, folder, below=""):
    """Add the files of a folder of this machine."""
    for where, _, names in sorted(os.walk(folder)):
        for name in sorted(names):
            path = os.path.join(where, name)
            place = os.path.join(below, os.path.relpath(path, folder))
            if os.path.islink(path):
                image.symlink(image.place(place), os.readlink(path))
                continue
            image.add_file(place, path)


def unpacked_kernel(bzimage):
    """The ELF file inside a bzImage (offsets: the kernel's boot protocol, Documentation/x86)."""
    with open(bzimage, "rb") as file:
        data = file.read()
    start, = struct.unpack_from("<I", data, 0x248)
    length, = struct.unpack_from("<I", data, 0x24c)
    start += (data[0x1f1] + 1) * 512
    return lzma.LZMADecompressor().decompress(data[start:start + length])


def build_guest(base, out):
    base.add_file("init", os.path.join(HERE, "guest-init"))
    packed = io.BytesIO()
    with gzip.GzipFile(fileobj=packed, mode="wb", compresslevel=6, mtime=0) as stream:
        base.write(stream)
    with open(out, "wb") as file:
        file.write(packed.getvalue())


def build_dom0(base, kernel, guest, out):
    base.add_file("init", os.path.join(HERE, "init"))
    add_tree(base, os.path.join(HERE, "files"))
    boot = " ".join(w[2] for w in rows("modules") if w[:2] == ["dom0", "boot"])
    program = os.path.join(OUT, "credit-random")
    run("gcc", "-static", "-O2", "-s", "-Wall", "-Wextra", "-Werror", "-o", program,
        os.path.join(HERE, "credit-random.c"))
    base.add_file("usr/sbin/credit-random", program)
    base.add("etc/modules", boot.replace(" ", "\n").encode() + b"\n")
    for name, path in (("boot/vmlinuz", kernel), ("boot/guest.img", guest)):
        base.add_file(name, path)
    with open(out + ".new", "wb") as file:
        base.write(file)
    os.rename(out + ".new", out)


def build_images():
    packages = list(rows("image-packages"))
    stamp = os.path.join(CACHE, "root.stamp")
    root = os.path.join(CACHE, "root")
    names = [words[1] for words in packages]
    wanted = digest(*names)
    if not (os.path.isdir(root) and done_before(stamp, wanted)):
        names.append(kernel_package())
        download(names)
        unpack(names, root)
        mark_done(stamp, wanted)
    kernel = sorted(glob.glob(os.path.join(root, "boot/vmlinuz-*")))[-1]
    release = os.path.basename(kernel).split("-", 1)[1]

    inputs = [here(n) for n in ("build.py", "image.py", "init", "guest-init", "image-packages", "credit-random.c",
                                "modules")]
    for where, _, files in sorted(os.walk(os.path.join(HERE, "files"))):
        inputs += [part for f in sorted(files) for part in (f, ("file", os.path.join(where, f)))]
    wanted = digest(wanted, release, os.path.getmtime(kernel), *inputs)
    stamp = os.path.join(OUT, "stamp")
    if done_before(stamp, wanted) and os.path.exists(os.path.join(OUT, "dom0.img")):
        return
    os.makedirs(OUT, exist_ok=True)
    print("dom0: building the images", flush=True)
    shutil.copyfile(kernel, os.path.join(OUT, "vmlinuz"))
    with open(os.path.join(OUT, "vmlinux"), "wb") as file:
        file.write(unpacked_kernel(kernel))
    modules = Modules(os.path.join(root, "lib/modules", release))
    guest = os.path.join(OUT, "guest.img")
    build_guest(base_image(root, "guest", packages, modules, release), guest)
    build_dom0(base_image(root, "dom0", packages, modules, release), kernel, guest,
               os.path.join(OUT, "dom0.img"))
    mark_done(stamp, wanted)


def build_stock():
    """Debian's own hypervisor, unpacked: the form that the emulator boots."""
    out = os.path.join(CACHE, "stock-xen")
    if not os.path.exists(out):
        download([STOCK_PACKAGE])
        folder = os.path.join(CACHE, "stock")
        unpack([STOCK_PACKAGE], folder)
        with gzip.open(glob.glob(os.path.join(folder, "boot/xen-*.gz"))[0]) as packed:
            with open(out + ".new", "wb") as file:
                shutil.copyfileobj(packed, file)
        os.rename(out + ".new", out)
    return out


def archive(folder, out, below=""):
    """An archive of a folder (or of one file) that can follow the dom0 image in one initrd."""
    image = Image()
    if os.path.isdir(folder):
        add_tree(image, folder, below)
    else:
        image.add_file(os.path.join(below, os.path.basename(folder)), folder)
    with open(out, "wb") as file:
        image.write(file)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--stock", action="store_true", help="fetch Debian's Xen, print its path")
    parser.add_argument("--add", metavar="DIR", help="make an archive of this file or folder")
    parser.add_argument("--below", default="", help="where in dom0 its files are to lie")
    parser.add_argument("--to", metavar="FILE", help="the archive to write")
    options = parser.parse_args()
    if options.add:
        archive(options.add, options.to, options.below)
        return
    os.makedirs(CACHE, exist_ok=True)
    with open(os.path.join(CACHE, "lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two builds at a time would unpack over each other
        build_images()
        if options.stock:
            print(build_stock())


if __name__ == "__main__":
    try:
        main()
    except (BuildError, OSError) as problem:
        sys.exit(f"dom0/build.py: {problem}")
