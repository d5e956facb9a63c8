# SPDX-License-Identifier: MIT
"""Boots of many kinds: CPUs, CPU models, loaders; power-off and reboot."""
import os
import shutil
import subprocess

import pytest

import machine
from conftest import LOGS, UNPACKED, Guests
from machine import DEFAULT_CPU, Machine, build

NEW = "max"  # everything the emulator has: SMEP, SMAP, PKU, LA57, XSAVE...
# Two of each run most other tests: of the old conftest.py's, of the new test_hvm_guests.py's.
MODELS = [pytest.param(1, DEFAULT_CPU, id="1-old"),
          pytest.param(4, DEFAULT_CPU, id="4-old"),
          pytest.param(1, NEW, id="1-new", marks=pytest.mark.hospes_only),
          pytest.param(4, NEW, id="4-new", marks=pytest.mark.hospes_only)]


@pytest.mark.parametrize("cpus, model", MODELS)
def test_cpus(built, cpus, model):
    """Boots, has the CPUs it was given, runs a guest on all of them, powers off."""
    log = os.path.join(LOGS, f"cpus.{cpus}.{model[:4]}.log")
    with Machine(cpus=cpus, cpu=model, kernel=UNPACKED, extra=[built], log=log) as qemu:
        dom0 = qemu.boot_dom0()
        assert dom0.sh("nproc") == str(cpus)
        assert qemu.registers().count("RIP=") == cpus
        assert f"nr_cpus                : {cpus}" in dom0.sh("xl info")
        # Programs look at the CPU itself, so what it has the kernel must know and switch.
        knows_avx = "dmesg | grep -q 'x86/fpu: Enabled xstate features 0x7' && grep -q ' avx2 ' /proc/cpuinfo"
        assert (dom0.run(knows_avx).code == 0) == (model == NEW)
        Guests(dom0).linux("g", "vcpus=2")
        with dom0.console("g") as guest:
            assert guest.sh("nproc") == "2"
            assert (guest.run(knows_avx).code == 0) == (model == NEW)
            guest.sh("(seq 5000 | md5sum & seq 5000 | md5sum; wait) >/dev/null")
            guest.machine.qemu.send("poweroff\n")
            guest.ended()
        dom0.gone("g")
        dom0.power_off()


def test_command_line_and_reboot(built):
    """What it says dom0 has. With -no-reboot QEMU ends where a PC would start again."""
    with Machine(cpus=2, dom0_mem="600M", append="dom0_max_vcpus=1 loglvl=all no_such_option=7", kernel=UNPACKED,
                 log=os.path.join(LOGS, "cmdline.log")) as qemu:
        dom0 = qemu.boot_dom0()
        assert dom0.sh("nproc") == "1"
        assert dom0.sh("xl list 0 | tail -n 1").split()[2:4] == ["600", "1"]
        if not machine.is_stock(qemu.image):
            assert "no_such_option" in "\n".join(
                line for line in qemu.hypervisor_log if "ommand line:" not in line)
        qemu.qemu.send("reboot\n")
        assert qemu.wait_end(60) == 0


# By GRUB, from a CD, as on a PC ---------------------------------------------------------------

@pytest.fixture(scope="module")
def iso(built):
    """A CD with the hypervisor (gzipped, as it is installed), dom0's kernel and its initrd."""
    image = machine.hypervisor_image()
    path = os.path.join(LOGS, f"boot.{os.getpid()}.iso")
    packed = os.path.join(LOGS, f"boot.{os.getpid()}.gz")
    stock = os.path.join(build.CACHE, "stock/boot/xen-4.17-amd64.gz")
    shutil.copyfile(stock if machine.is_stock(image) else image + ".gz", packed)
    subprocess.run([os.path.join(build.TOP, "tools/make-iso"), "--out", path, "--image", packed,
                    "--append", "console=com1 com1=115200,8n1 dom0_mem=1G,max:1G",
                    "--kernel", os.path.join(build.OUT, "vmlinuz"), "--dom0-append",
                    "console=hvc0", "--initrd", os.path.join(build.OUT, "dom0.img")], check=True)
    yield path
    os.unlink(path)
    os.unlink(packed)


def boot_iso(iso, name, *firmware):
    with Machine(boot=["-cdrom", iso, *firmware],
                 log=os.path.join(LOGS, f"{name}.log")) as qemu:
        dom0 = qemu.boot_dom0(300)
        assert "4.17" in dom0.sh("xl info xen_version")
        said = dom0.sh("dmesg")
        dom0.power_off()
        return said


def test_grub_under_seabios(iso):
    boot_iso(iso, "seabios")


def test_grub_under_ovmf(iso):
    variables = os.path.join(LOGS, f"ovmf-vars.{os.getpid()}.fd")
    shutil.copyfile("/usr/share/OVMF/OVMF_VARS_4M.fd", variables)
    flash = "if=pflash,format=raw,file="
    said = boot_iso(iso, "ovmf", "-drive",
                    flash + "/usr/share/OVMF/OVMF_CODE_4M.fd,readonly=on", "-drive",
                    flash + variables)
    assert "ACPI: RSDP" in said
