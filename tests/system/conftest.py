# SPDX-License-Identifier: MIT
"""What the system tests share: machines that are booted once and serve many tests.

    dom0      the shell of a dom0 on the ordinary machine (2 CPUs, 3 GB, QEMU's oldest CPU). After
              each test every guest is destroyed; when a test has brought the machine down, the
              next one gets a new machine, so that one fault costs one test.
    guests    creates guests there: tiny ones, that do nothing (tiny.S), and Debian's kernel
    linux     a Debian guest of 2 VCPUs, for tests that leave it as they found it: it alone
              survives from test to test, since booting one takes seconds
    newest    a machine of 3 CPUs of QEMU's newest model
    older     one of 3 CPUs of its oldest, with hvm_fep, and with memory for PVH guests with leaves of 1 GB
              (PV guests would get frames above 4 GB); a wire goes from each of these two to the other
    four      one of 4 CPUs, of which dom0 has one

Files that use the same machine are run by one worker, one after the other (TOGETHER): a boot costs as
much as a dozen tests.

HYPERVISOR=stock runs everything on Debian's Xen, to see that a test is right about its peer;
tests marked hospes_only are left out there. Logs of all consoles are in build/test/.
"""
import fcntl
import importlib
import os
import subprocess
import sys

import pytest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(HERE)), "dom0"))
import machine  # noqa: E402
from machine import DEFAULT_CPU, Died, Machine, TimedOut, Trouble, build  # noqa: E402

LOGS = os.path.join(build.TOP, "build", "test")
UNPACKED = os.path.join(build.OUT, "vmlinux")
SHARED = "shared"
SHIM_PLACE = "usr/lib/xen-4.17/boot/xen-shim"  # where libxl looks; the demo's image does without
SHIM = os.path.join(build.CACHE, "root", SHIM_PLACE)
GIVE_UP_AFTER = 4  # machines lost in one module: the rest of it would only take time
TEST_GUESTS = os.path.join(build.TOP, "tests/guests")
FEP = os.environ.get("FEP", "1") == "1"
# Whose machine a file uses, where that is another file's.
TOGETHER = {"test_guests": "test_xl", "test_soak": "test_xl", "test_large": "test_xl",
            "test_pvgrub": "test_pvh", "test_stress": "test_random"}


def pytest_configure(config):
    config.addinivalue_line("markers", "hospes_only: not something stock Xen does, or does so")


@pytest.hookimpl(tryfirst=True)  # before xdist reads the groups
def pytest_collection_modifyitems(items):
    for item in items:
        group = TOGETHER.get(item.module.__name__, item.module.__name__)
        if {"newest", "older"} & set(item.fixturenames):
            group = "test_hvm_guests"
        item.add_marker(pytest.mark.xdist_group(group))
    if machine.is_stock(machine.hypervisor_image()):
        skip = pytest.mark.skip(reason="not on stock Xen")
        for item in items:
            if "hospes_only" in item.keywords:
                item.add_marker(skip)


def tell(what):
    """For the end of ./test, which names what has passed only because it was tried again."""
    print(what, flush=True)
    for name, words in (("second-tries", what.splitlines()[0]), ("second-tries.log", what)):
        with open(os.path.join(LOGS, name), "a") as file:
            file.write(words + "\n")


Machine.notice = staticmethod(tell)


class Stable:
    """One machine that is booted when first asked for, and again when it has died.

    dom0's kernel comes unpacked, since an emulated xz takes five seconds of each boot; test_boot.py
    has it as Debian packs it."""

    every = []

    def __init__(self, name, **options):
        self.name, self.options = name, {"kernel": UNPACKED, **options}
        self.machine = self.dom0 = None
        self.boots = self.asked = 0
        self.tries = 0  # boots for the tests of one file
        Stable.every.append(self)

    def get(self):
        if self.dom0 and not self.answers() and not self.well():
            self.close()
        if not self.dom0:
            if self.tries >= GIVE_UP_AFTER:
                pytest.fail(f"the machine {self.name} was lost {self.tries} times; not again")
            self.boots += 1
            self.tries += 1
            log = os.path.join(LOGS, f"{self.name}.{self.boots}{os.environ.get('AGAIN', '')}.log")
            self.machine = Machine(log=log, **self.options)
            try:
                self.dom0 = self.machine.boot_dom0()
            except Exception as trouble:
                self.machine.close()
                if self.boots > 1 or not isinstance(trouble, Trouble):
                    raise
                # What QEMU does to a kernel that patches itself (docs/limits.md): once more.
                tell(f"the first boot of {self.name} came to nothing: {trouble}")
                return self.get()
        return self.dom0

    def answers(self):
        """dom0's shell does so at once, as after a test that has left it alone."""
        machine = self.machine
        machine._at = len(machine.text)
        self.asked += 1
        try:
            machine.qemu.send(f'command -v xl; echo @"$?"@a{self.asked}\n')
            machine.wait_for(rf"\n@0@a{self.asked}\n", 2, "dom0's answer")
        except (Trouble, OSError):
            return False
        return machine.alive()

    def well(self):
        """dom0's shell answers. A guest's console that a failure has left open is left first."""
        try:
            for escape in ("", "\x1d"):
                self.machine._at = len(self.machine.text)
                self.machine.qemu.send(escape)
                self.dom0.take_over(15)
                if self.dom0.run("command -v xl").code == 0:
                    return self.machine.alive()
            return False
        except Trouble:
            return False

    def tidy(self, failed):
        """Leave nothing behind for the next test, the shared guest excepted if all went well."""
        if not self.dom0:
            return
        if failed and not self.well():
            self.close()
            return
        try:
            self.machine.check_alive()
            rows = self.dom0.sh("xl list | sed 1,2d").splitlines()
            for name, domid in (row.split()[:2] for row in rows):
                if name != SHARED or failed:
                    self.dom0.run(f"xl destroy {domid}")
        except (Trouble, ValueError):  # an unfinished command's words may be among the rows
            self.close()

    def close(self):
        if self.machine:
            self.machine.close()
        self.machine = self.dom0 = None


@pytest.fixture(scope="module", autouse=True)
def new_patience():
    """What a file did to a machine is not held against the next."""
    for stable in Stable.every:
        stable.tries = 0


@pytest.fixture(scope="session")
def built():
    """The images, and what tests add to them: an archive to go behind dom0's image. A file that needs
    more there than others has a function put_into(image)."""
    os.makedirs(LOGS, exist_ok=True)
    path = os.path.join(LOGS, f"extra.{os.getpid()}.img")
    with open(os.path.join(LOGS, "build.lock"), "w") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)  # workers have images of their own, but of the same files
        subprocess.run([os.path.join(build.HERE, "build.py")], check=True)
        subprocess.run(["make", "-s", f"-j{os.cpu_count()}", "-C", TEST_GUESTS], check=True)
        with open(path, "wb") as file:
            additions().write(file)
    yield path
    os.unlink(path)


def additions():
    image = build.Image()
    tiny = os.path.join(LOGS, "tiny")
    subprocess.run(["gcc", "-fno-pic", "-static", "-no-pie", "-nostdlib", "-o", tiny,
                    "-Wl,--build-id=none,-z,noexecstack,--no-warn-rwx-segments",
                    "-Wl,-T," + os.path.join(HERE, "tiny.lds"), os.path.join(HERE, "tiny.S")],
                   check=True)
    image.add_file("boot/tiny", tiny)
    guests = os.path.join(build.TOP, "build/guests")
    for name in sorted(os.listdir(guests)):
        if not name.endswith(".o"):
            image.add_file("boot/" + name, os.path.join(guests, name))
    # The same kernel, unpacked beforehand: an emulated xz costs each create five seconds.
    image.add_file("boot/vmlinux", UNPACKED)
    if os.path.exists(SHIM):
        image.add_file(SHIM_PLACE, SHIM)
    image.directory("var/lib/xen/dump")
    image.add("etc/xen/tiny.cfg", b'type = "pv"\nkernel = "/boot/tiny"\nmemory = 32\n')
    image.add("etc/xen/linux.cfg", b'type = "pv"\nkernel = "/boot/vmlinux"\n'
              b'ramdisk = "/boot/guest.img"\nextra = "console=hvc0 quiet"\nmemory = 128\n')
    for name in sorted(os.listdir(HERE)):
        if name.startswith("test_") and name.endswith(".py"):
            put_into = getattr(importlib.import_module(name[:-3]), "put_into", None)
            if put_into:
                put_into(image)
    return image


@pytest.fixture(scope="session")
def ordinary(built):
    # Of two workers that run files side by side each has one.
    stable = Stable("ordinary" + os.environ.get("PYTEST_XDIST_WORKER", ""), extra=[built])
    yield stable
    stable.close()


@pytest.fixture(scope="session")
def wire(tmp_path_factory):
    """Cards of two machines with a wire between them; each does without the other."""
    ends = [tmp_path_factory.mktemp("wire") / name for name in "ab"]
    return [["-netdev", f"dgram,id=wire,local.type=unix,local.path={ends[near]},"
                        f"remote.type=unix,remote.path={ends[1 - near]}",
             "-device", f"virtio-net-pci,netdev=wire,romfile=,mac=52:54:00:00:00:0{near}"]
            for near in (0, 1)]


@pytest.fixture(scope="session")
def newest(built, wire):
    stable = Stable("newest", cpu="max", cpus=3, extra=[built], devices=wire[0])
    yield stable
    stable.close()


@pytest.fixture(scope="session")
def older(built, wire):
    stable = Stable("older", cpu=DEFAULT_CPU + ",+pdpe1gb", cpus=3, mem="6G", append="hvm_fep",
                    extra=[built], devices=wire[1])
    yield stable
    stable.close()


@pytest.fixture(scope="session")
def four(built):
    stable = Stable("four", cpus=4, cpu=os.environ.get("CPU", DEFAULT_CPU), extra=[built],
                    append="dom0_max_vcpus=1" + " hvm_fep" * FEP)
    yield stable
    stable.close()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item):
    report = (yield).get_result()
    if report.when == "call":
        item.failed_itself = report.failed


@pytest.fixture
def dom0(ordinary, request):
    yield ordinary.get()
    ordinary.tidy(getattr(request.node, "failed_itself", True))


class Guests:
    """Creates guests over a dom0's shell."""

    def __init__(self, dom0):
        self.dom0, self.made = dom0, {}

    def create(self, name, config, *settings, flags=""):
        self.made[name] = (config, *settings)
        extra = " ".join(f"'{setting}'" for setting in (f'name="{name}"',) + settings)
        self.dom0.sh(f"xl create -q {flags} /etc/xen/{config}.cfg {extra}", 180)
        return self.dom0.domid(name)

    def first_console(self, name, timeout=120):
        """The console of a Linux guest that has just been created. One whose shell does not come is
        named, with what the hypervisor knows of it, and created a second time: QEMU stops kernels
        that patch themselves (docs/limits.md)."""
        try:
            return self.dom0.console(name, timeout)
        except Died:
            raise
        except TimedOut as trouble:
            machine = self.dom0.machine
            machine.qemu.send("\x1d")
            tell(f"the first boot of guest {name} came to nothing: {trouble}\n{machine.interrogate('qd')}")
            machine.qemu.send("\x01" * 3)  # input to dom0 again
            machine._at = len(machine.text)
            self.dom0.take_over()
        self.dom0.sh(f"xl destroy {name}")
        self.dom0.gone(name)
        self.create(name, *self.made[name])
        return self.dom0.console(name, timeout)

    def tiny(self, name, *settings, flags=""):
        return self.create(name, "tiny", *settings, flags=flags)

    def linux(self, name, *settings, flags=""):
        return self.create(name, "linux", *settings, flags=flags)

    def row(self, name):
        """The line of `xl list` of a guest: name, id, memory, VCPUs, state, seconds."""
        for line in self.dom0.sh("xl list").splitlines()[1:]:
            words = line.split()
            if words[0] == name:
                return words
        return None


@pytest.fixture
def guests(dom0):
    return Guests(dom0)


@pytest.fixture
def linux(dom0, guests):
    """The name of a Debian guest with 2 VCPUs and 192 MB."""
    if not guests.row(SHARED):
        guests.linux(SHARED, "memory=192", "maxmem=192", "vcpus=2")
    return SHARED
