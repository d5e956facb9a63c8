# SPDX-License-Identifier: MIT
"""Bare-metal PVH guests (tests/guests/hvm): attackers in ring 0 of a machine of their own, and what
must go on working. As in test_guests.py, whose kinds of tests these are; what may or must end its
guest runs in several domains at once."""
import base64
import gzip
import os
import re
import struct

import pytest

from machine import Trouble
from test_guests import CONSOLE, CRASH, POWER_OFF, XL_LOG, Runs, complaints, judge, names

pytestmark = pytest.mark.hospes_only
FILES = ["hvm/tests/*.c"]
FILES32 = ["hvm/tests32/*.c"]
REBOOT = 1  # SHUTDOWN_*
ENDS = {"death_triple_fault": REBOOT, "death_halted_for_good": POWER_OFF}
AT_ONCE = 4


def put_into(image):
    image.add("etc/xen/hvm.cfg", b'type = "pvh"\nkernel = "/boot/hvm"\nmemory = 64\nvcpus = 2\n'
              b'on_crash = "destroy"\non_reboot = "destroy"\n'
              # QEMU's CPU forgets, on VMRUN and #VMEXIT, which breakpoints it has: a vcpu that uses some and
              # comes back to a CPU may bring QEMU down. Its first CPU is none for guests (docs/hvm.md).
              b'cpus = ["1", "2"]\n')


class Ends:
    """The tests that may or must end their guests, run a few at a time: what each said, and how it
    ended."""

    def __init__(self, runs):
        self.runs, self.said, self.end = runs, {}, {}

    def run(self, batch):
        dom0 = self.runs.stable.get()
        for name in batch:
            dom0.sh(f"""xl create -q /etc/xen/hvm.cfg 'name="{name}"' 'extra="{name}"'""", 120)
        for name in batch:
            try:
                dom0.gone(name, 60)
                found = re.search(r"reason code (\d+)", dom0.run(f"cat {XL_LOG.format(name)}").output)
                self.end[name] = int(found.group(1)) if found else None
            except Trouble:
                dom0.run(f"xl destroy {name}")
                self.end[name] = None
            self.said[name] = dom0.run(f"tr -d '\\r' <{CONSOLE.format(name)}").output
        assert dom0.sh("echo well") == "well"

    def get(self, name):
        if name not in self.said:
            every = [n for n in names("DEATH", *FILES) + names("RISK", *FILES) if n not in self.said]
            at = every.index(name) // AT_ONCE * AT_ONCE
            for one in every[at:at + AT_ONCE]:
                self.said[one], self.end[one] = "(the machine did not live through it)", None
            self.run(every[at:at + AT_ONCE])
        return self.said[name]


@pytest.fixture(scope="module", params=["old", "new"])
def runs(older, newest, request):
    return Runs(newest, config="hvm") if request.param == "new" else Runs(older, "hvm", "all fep=1")


@pytest.fixture(scope="module")
def ends(older):
    return Ends(Runs(older, config="hvm"))


@pytest.mark.parametrize("name", names("TEST", *FILES))
def test_hvm(runs, name):
    judge(runs.all("hvm"), name)


@pytest.mark.parametrize("name", names("TEST", *FILES32))
def test_hvm32(runs, name):
    """A 32-bit kernel, without paging and with both kinds of tables."""
    judge(runs.all("hvm32"), name)


@pytest.mark.parametrize("name", names("RISK", *FILES32))
def test_hvm32_risk(runs, name):
    text = runs.run("hvm32", "dying32", name, 60)
    assert f"TEST {name}: DYING" in text, "the guest did not come so far"
    assert runs.end is not None, "it hangs"


@pytest.mark.parametrize("name", names("DEATH", *FILES))
def test_hvm_death(ends, name):
    text = ends.get(name)
    assert f"TEST {name}: DYING" in text, "the guest did not come so far"
    assert "GUEST" not in text.split(f"{name}: DYING")[1], "it lives:\n" + text
    assert ends.end[name] == ENDS.get(name, CRASH), "it ended otherwise, or hung"


def section(head, entry):
    """Of a core that begins with `head`, the section with entries of that size: offset, size."""
    assert head[:6] == b"\x7fELF\x02\x01" and struct.unpack_from("<H", head, 16)[0] == 4  # a core
    at, = struct.unpack_from("<Q", head, 0x28)
    size, count = struct.unpack_from("<HH", head, 0x3a)
    rows = [struct.unpack_from("<IIQQQQIIQQ", head, at + i * size) for i in range(count)]
    return [row[4:6] for row in rows if row[9] == entry][0]


def test_hvm_core(ends):
    """The tools make a core of a guest that has crashed, to its end: each page of its memory, and where
    it was."""
    dom0, core = ends.runs.stable.get(), "/var/lib/xen/dump/core"

    def part(at, size):
        return gzip.decompress(base64.b64decode(
            dom0.sh(f"tail -c +{at + 1} {core} | head -c {size} | gzip | base64", 60)))
    dom0.sh("""xl create -q /etc/xen/hvm.cfg 'name="core"' 'extra="death_crash"' memory=8 """
            """'on_crash="coredump-destroy"'""", 60)
    dom0.gone("core", 120)
    head = part(0, 1024)
    table, pages = section(head, 8), section(head, 4096)
    frames = struct.unpack(f"<{table[1] // 8}Q", part(*table))
    assert pages[1] == 4096 * len(frames)
    frames = [gfn for gfn in frames if gfn != (1 << 64) - 1]  # the tools thought there were more
    assert 8 << 8 >= len(frames) > (8 << 8) - 64 and frames == sorted(set(frames))
    assert int(dom0.sh(f"stat -c %s {core}")) >= sum(pages)
    wrote = re.findall(r"in the core: 0x(\w+)", dom0.sh(f"cat {CONSOLE.format('core')}"))
    assert len(wrote) == 4
    for gfn in (int(word, 16) for word in wrote):
        page = struct.unpack("<512Q", part(pages[0] + 4096 * frames.index(gfn), 4096))
        assert page == tuple(gfn << 28 | i for i in range(512))
    dom0.sh(f"rm {core}")


@pytest.mark.parametrize("name", names("RISK", *FILES))
def test_hvm_risk(ends, name):
    """The CPU may refuse, or the guest has ended; it may not hang."""
    text = ends.get(name)
    assert f"TEST {name}: DYING" in text, "the guest did not come so far"
    assert f"TEST {name}: FAIL" not in text, complaints(text, name)
    assert ends.end[name] is not None, "it hangs"


def test_hvm_interrupts_between_vcpus(ends):
    """Four vcpus interrupt each other in every way, whether they run or halt: none is lost."""
    judge(ends.runs.run("stress-hvm", "ipis", "stress_ipis", 120, vcpus=4), "stress_ipis")


# By the tools' names; what builds on xsave goes with it.
HIDDEN = "host,smep=0,smap=0,umip=0,pku=0,fsgsbase=0,xsave=0"


@pytest.fixture
def new_cpu(runs, request):
    if "old" in request.node.name:
        pytest.skip("that CPU has nothing to hide")
    return runs


def test_hvm_hidden_features(new_cpu):
    """What the guest's configuration hides cannot be used; the rest was tested in test_hvm."""
    assert re.search(r"FEATURES:.* fsgsbase xsave smep smap pku umip la57 avx avx2$", new_cpu.all("hvm"), re.M)
    text = new_cpu.run("hvm", "hidden", "feature", 120, f'cpuid="{HIDDEN}"')
    assert re.search(r"FEATURES: la57$", text, re.M)
    for name in names("TEST", "hvm/tests/features.c"):
        assert f"TEST {name}: FAIL" not in text, complaints(text, name)


def test_hvm_vcpus_share_a_cpu(new_cpu):
    """Two with all that a CPU can hold, on one."""
    text = new_cpu.run("hvm", "shared", "feature_state", 120, 'cpus="1"')
    judge(text, "feature_state_is_kept")


def test_debian_with_features_shown_and_hidden(new_cpu):
    dom0 = new_cpu.stable.get()
    for name, hidden in (("shown", "host"), ("hidden", HIDDEN)):
        dom0.sh(f"""xl create -q /etc/xen/linux.cfg 'name="{name}"' 'type="pvh"' 'cpuid="{hidden}"'""", 120)
    for name in ("shown", "hidden"):
        with dom0.console(name, 120) as guest:
            flags = set(guest.sh("grep -m1 ^flags /proc/cpuinfo").split())
            for feature in ("smep", "smap", "umip", "pku", "ospke", "fsgsbase", "xsave", "avx", "avx2"):
                assert (feature in flags) == (name == "shown"), f"{feature} in {name}"
            guest.sh("dd if=/dev/zero bs=64k count=20 2>/dev/null | md5sum")
        dom0.sh(f"xl destroy {name}")
