# SPDX-License-Identifier: MIT
"""Guests of four vcpus that do what comes to mind, on a machine of four CPUs: PV ones make hypercalls
(tests/guests/random), a 64-bit and a 32-bit one at once; PVH ones do all that ring 0 can
(tests/guests/hvm/random). They may ruin themselves; dom0 must do real work after each, and nothing be lost in the
end. FUZZ_TIME: seconds for each of the two (`make fuzz-guest`); SEED: the first seed; CPU: QEMU's model;
FEP=0: instructions are not emulated on a guest's request (hvm_fep).
"""
import os
import re
import time

import pytest

from conftest import FEP
from machine import Trouble
from test_soak import in_use

FUZZ_TIME = int(os.environ.get("FUZZ_TIME", "15"))
SLABS = 8  # pages that the hypervisor may keep for the next time: one a size (mem/xalloc.c)
ROUND = 6  # seconds of a guest's life
IMAGES = ["random", "random32"]
HVM = "random-hvm"
# Whatever a guest says that it has come to, its end it is.
ENDS = " ".join(f"'on_{end}=\"destroy\"'" for end in
                ("poweroff", "reboot", "watchdog", "crash", "soft_reset"))
CONSOLE = "/var/log/xen/console/guest-{}.log"


def wait(dom0, name, seconds):
    try:
        dom0.gone(name, seconds)
    except Trouble:
        dom0.machine.check_alive()
        dom0.sh(f"xl destroy {name}; sleep 1", 120)


def said(dom0, name, what):
    """The highest of the numbers that a guest gave. It may have written over its own counters: such a
    number says only that it was there."""
    text = dom0.sh(f"cat {CONSOLE.format(name)}", 60)
    numbers = [int(n) for n in re.findall(rf"\b(\d+) {what}", text)]
    return max([0] + [n if n < 1_000_000 else 1 for n in numbers])


def live(dom0, seed, seconds):
    """A guest of each kind, from creation to the end of both; how many calls they made."""
    for name in IMAGES:
        dom0.sh(f"rm -f {CONSOLE.format(name)}; xl create -q /etc/xen/tiny.cfg 'name=\"{name}\"' "
                f"'kernel=\"/boot/{name}\"' 'extra=\"random seed={seed} seconds={seconds}\"' "
                f"vcpus=4 memory=32 maxmem=40 {ENDS}", 120)
    end = time.monotonic() + seconds + 5
    for name in IMAGES:
        wait(dom0, name, max(2, end - time.monotonic()))
    calls = [said(dom0, name, "calls") for name in IMAGES]
    assert all(calls), f"calls of {IMAGES}: {calls}"
    return calls


def live_hvm(dom0, seed, seconds):
    """Every other one has frames that get their memory on demand. Calls, and snippets of code."""
    memory = "memory=48 maxmem=64" if seed & 1 else "memory=64"
    dom0.sh(f"rm -f {CONSOLE.format(HVM)}; xl create -q /etc/xen/tiny.cfg 'name=\"{HVM}\"' 'type=\"pvh\"' "
            f"'kernel=\"/boot/{HVM}\"' 'extra=\"random seed={seed} seconds={seconds} {'fep' * FEP}\"' "
            f"vcpus=4 {memory} {ENDS}", 120)
    dom0.run(f"sleep 1; xl trigger {HVM} nmi 1; xl pause {HVM} && xl unpause {HVM}; xl debug-keys q", 60)
    wait(dom0, HVM, seconds + 15)
    calls = said(dom0, HVM, "calls")
    assert calls, "no call in a life"
    return [calls, said(dom0, HVM, "snippets")]


@pytest.mark.hospes_only
@pytest.mark.parametrize("live", [live, live_hvm], ids=["pv", "pvh"])
def test_random(four, live):
    dom0 = four.get()
    live(dom0, 0, 2)
    before = in_use(dom0)
    seed = int(os.environ.get("SEED", time.time()))
    end, total = time.monotonic() + FUZZ_TIME, [0, 0]
    while time.monotonic() < end:
        counts = live(dom0, seed, ROUND)
        assert dom0.sh("xl list | wc -l; seq 100000 | md5sum", 60).split()[0] == "2"
        total = [a + b for a, b in zip(total, counts)]
        print(f"seed {seed}: {counts}, {total} altogether", flush=True)
        seed += 1
    after = in_use(dom0)
    assert after[:-1] == before[:-1]
    assert abs(after[-1] - before[-1]) <= SLABS
