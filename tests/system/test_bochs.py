# SPDX-License-Identifier: MIT
"""What Bochs' CPUs do and QEMU's does not: `make bochs`. It takes an hour; no part of ./test.

AMD's models have AMD-V: ryzen with nRIP, PAUSE filter, AVX, SMEP, SMAP, FSGSBASE; phenom without
all these. They have two CPUs, since a vcpu that spins with interrupts off keeps its CPU there
(docs/testing.md). Debian's kernel comes first, since the tests take most of the hour. The Intel model
has x2APIC and no AMD-V: PV guests only."""
import glob
import os

import pytest

import bochs
from conftest import LOGS, TEST_GUESTS
from machine import build
from test_guests import CONSOLE, complaints, names, verdicts

pytestmark = [pytest.mark.hospes_only,
              pytest.mark.skipif("BOCHS" not in os.environ, reason="only for `make bochs`"),
              pytest.mark.skipif(not bochs.available(), reason="no Bochs here")]

# It does not load CR2 on VMRUN, so what the emulator says of a page fault is lost; and where a vcpu
# keeps its CPU with interrupts off (docs/testing.md), as the second does in races, dom0 waits for ever.
BOCHS_CANNOT = {"attack_port_strings", "forced_faults"}
BOCHS_STOPS = {"races.c"}
# The Phenom has no PAUSE filter: a vcpu that waits for another with interrupts off keeps its CPU.
VCPUS = {"ryzen": 2, "phenom_8650_toliman": 1}
# It names POPCNT and does not know it: Debian's kernel dies of that on the bare machine, too.
FOR_LINUX = {"phenom_8650_toliman": "clearcpuid=popcnt"}


@pytest.fixture(scope="module")
def extra(built):
    image = build.Image()
    image.add("etc/xen/hvm.cfg", b'type = "pvh"\nkernel = "/boot/hvm"\nmemory = 64\nvcpus = 2\n'
              b'name = "hvm"\nextra = "all"\non_crash = "destroy"\non_reboot = "destroy"\n')
    image.add("etc/xen/debian.cfg", b'type = "pvh"\nkernel = "/boot/vmlinux"\nmemory = 128\n'
              b'ramdisk = "/boot/guest.img"\nvcpus = 2\n'
              b'name = "debian"\n')
    path = os.path.join(LOGS, "bochs.img")
    with open(path, "wb") as file:
        image.write(file)
    return [built, path]


def bochs_with(cpu, cpus, extra):
    return bochs.Bochs(cpu, cpus=cpus, extra=extra, append="loglvl=all guest_loglvl=all hvm_fep",
                       dom0_append=FOR_LINUX.get(cpu, ""), log=os.path.join(LOGS, f"bochs.{cpu}.{cpus}.log"))


def debian_runs(dom0, kind, cpu):
    dom0.sh(f"""xl create -q /etc/xen/debian.cfg 'type="{kind}"' """
            f"""'extra="console=hvc0 quiet {FOR_LINUX.get(cpu, '')}"'""", 300)
    with dom0.console("debian", 300) as guest:
        assert guest.sh("nproc").strip() == "2"
        guest.sh("(seq 2000 | md5sum & seq 2000 | md5sum; wait) >/dev/null")
        guest.machine.qemu.send("poweroff\n")
        guest.ended(120)
    dom0.gone("debian", 120)


@pytest.mark.parametrize("cpu, cpus", [("ryzen", 2), ("phenom_8650_toliman", 2)])
def test_pvh(extra, cpu, cpus):
    """Debian's kernel, then every test of tests/guests/hvm, a guest for each file of them."""
    with bochs_with(cpu, cpus, extra) as machine:
        dom0 = machine.boot_dom0()
        assert dom0.sh("nproc") == str(cpus)
        debian_runs(dom0, "pvh", cpu)
        wrong = []
        for path in sorted(glob.glob(os.path.join(TEST_GUESTS, "hvm/tests/*.c"))):
            if os.path.basename(path) in BOCHS_STOPS:
                continue
            wanted = set(names("TEST", path)) - BOCHS_CANNOT
            dom0.sh(f"rm -f {CONSOLE.format('hvm')}; xl create -q /etc/xen/hvm.cfg vcpus={VCPUS[cpu]} "
                    f"""'extra="{' '.join(sorted(wanted))} fep=1"'""", 300)
            dom0.gone("hvm", 120)
            said = dom0.sh(f"tr -d '\\r' <{CONSOLE.format('hvm')}", 120)
            found = verdicts(said)
            print(os.path.basename(path), found, flush=True)
            wrong += [f"{name}: {complaints(said, name)}" for name in wanted
                      if found.get(name, ("MISSING",))[0] not in ("PASS", "SKIP")]
        assert not wrong, "\n".join(wrong)
        assert dom0.sh("echo well") == "well"


@pytest.mark.parametrize("cpus", [1, 2])
def test_x2apic(extra, cpus):
    cpu = "corei7_skylake_x"
    with bochs_with(cpu, cpus, extra) as machine:
        dom0 = machine.boot_dom0()
        assert "APIC in x2APIC mode" in "\n".join(machine.hypervisor_log)
        assert dom0.sh("nproc") == str(cpus)
        debian_runs(dom0, "pv", cpu)
        dom0.power_off(120)
