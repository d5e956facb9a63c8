# SPDX-License-Identifier: MIT
"""Guests that make hypercalls at random on four vcpus (tests/guests/random), 64-bit and 32-bit ones
at once on a machine of four CPUs. They may ruin themselves; dom0 must do real work after each, and
nothing be lost in the end. FUZZ_TIME: seconds altogether (`make fuzz-guest`); SEED: the first seed.
"""
import os
import re
import subprocess
import time

import pytest

from conftest import LOGS, Stable
from machine import Trouble, build
from test_soak import in_use

FUZZ_TIME = int(os.environ.get("FUZZ_TIME", "15"))
SLABS = 8  # pages that the hypervisor may keep for the next time: one a size (mem/xalloc.c)
ROUND = 6  # seconds of a guest's life
IMAGES = ["random", "random32"]
# Whatever a guest says that it has come to, its end it is.
ENDS = " ".join(f"'on_{end}=\"destroy\"'" for end in
                ("poweroff", "reboot", "watchdog", "crash", "soft_reset"))
CONSOLE = "/var/log/xen/console/guest-{}.log"


@pytest.fixture(scope="module")
def host(built):
    subprocess.run(["make", "-s", "-C", os.path.join(build.TOP, "tests/guests")], check=True)
    image = build.Image()
    for name in IMAGES:
        image.add_file(f"boot/{name}", os.path.join(build.TOP, "build/guests", name))
    extra = os.path.join(LOGS, "random.img")
    with open(extra, "wb") as file:
        image.write(file)
    host = Stable("random", cpus=4, append="dom0_max_vcpus=1", extra=[built, extra])
    yield host
    host.close()


def live(dom0, seed, seconds):
    """A guest of each kind, from creation to the end of both; how many calls they made."""
    for name in IMAGES:
        dom0.sh(f"rm -f {CONSOLE.format(name)}; xl create -q /etc/xen/tiny.cfg 'name=\"{name}\"' "
                f"'kernel=\"/boot/{name}\"' 'extra=\"random seed={seed} seconds={seconds}\"' "
                f"vcpus=4 memory=32 maxmem=40 {ENDS}", 120)
    calls = []
    for name, wait in zip(IMAGES, (seconds + 5, 2)):
        try:
            dom0.gone(name, wait)
        except Trouble:
            dom0.machine.check_alive()
            dom0.sh(f"xl destroy {name}; sleep 1", 120)
        said = dom0.sh(f"cat {CONSOLE.format(name)}", 60)
        calls.append(max([0] + [int(n) for n in re.findall(r"RANDOM (\d{1,8}) calls", said)]))
    return calls


@pytest.mark.hospes_only
def test_random_calls(host):
    dom0 = host.get()
    live(dom0, 0, 2)
    before = in_use(dom0)
    seed = int(os.environ.get("SEED", time.time()))
    end, total = time.monotonic() + FUZZ_TIME, 0
    while time.monotonic() < end:
        calls = live(dom0, seed, ROUND)
        assert dom0.sh("xl list | wc -l; seq 100000 | md5sum", 60).split()[0] == "2"
        total += sum(calls)
        print(f"seed {seed}: {calls} calls, {total} altogether", flush=True)
        seed += 1
    after = in_use(dom0)
    assert after[:-1] == before[:-1]
    assert abs(after[-1] - before[-1]) <= SLABS
