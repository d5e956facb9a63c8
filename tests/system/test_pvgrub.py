# SPDX-License-Identifier: MIT
"""GRUB as a guest (Debian's grub-xen-host, unmodified): it reads the guest's own disk by way of
dom0's block back end, and boots the Debian kernel that it finds there. The 32-bit GRUB is a 32-bit
PAE guest, and comes to its menu; the PVH GRUB is one without paging, and boots the kernel, too.
GNU Mach is a 32-bit PAE guest that comes to the lack of a Hurd."""
import os
import subprocess

import pytest

from conftest import LOGS
from machine import build

GRUB = "/usr/lib/grub-xen/"
MACH = "gnumach-1.8-xen-486.gz"
KERNELS = {"grub": ("pv", "grub-x86_64-xen.bin"), "grub32": ("pv", "grub-i386-xen.bin"),
           "grubpvh": ("pvh", "grub-i386-xen_pvh.bin")}
DISK = "/dev/loop4"
CONFIG = """\
if [ "$grub_cpu-$grub_platform" = i386-xen ]; then
    set timeout=-1
    menuentry "nothing to boot for $grub_cpu" { true }
else
    set timeout=0
fi
menuentry "Debian, from the disk" {
    linux /boot/vmlinuz console=hvc0 quiet found_by=grub
    initrd /boot/guest.img
}
"""


def put_into(image):
    """GRUB and Mach, and a disk that holds what GRUB boots from."""
    if not os.path.isdir(GRUB):
        return
    tree = os.path.join(LOGS, f"pvgrub.{os.getpid()}")
    os.makedirs(os.path.join(tree, "disk/boot/grub"))
    with open(os.path.join(tree, "disk/boot/grub/grub.cfg"), "w") as file:
        file.write(CONFIG)
    for name in ("vmlinuz", "guest.img"):
        os.link(os.path.join(build.OUT, name), os.path.join(tree, "disk/boot", name))
    subprocess.run(["mke2fs", "-q", "-F", "-t", "ext2", "-d", tree + "/disk", tree + "/ext2", "16M"], check=True)
    image.add_file("boot/grub.disk", tree + "/ext2")
    for name, (kind, kernel) in KERNELS.items():
        image.add_file("boot/" + kernel, GRUB + kernel)
        image.add(f"etc/xen/{name}.cfg",
                  (f'type = "{kind}"\nkernel = "/boot/{kernel}"\nmemory = 192\nvcpus = 2\n'
                   f'cpus = "1"\ndisk = ["phy:{DISK},xvda,w"]\n').encode())
    try:
        mach = build.download_i386("gnumach-image-1.8-xen-486")
        subprocess.run(["dpkg-deb", "-x", mach, tree], check=True)
        image.add_file(f"boot/{MACH}", f"{tree}/boot/{MACH}")
        image.add("etc/xen/mach.cfg", f'type = "pv"\nkernel = "/boot/{MACH}"\nmemory = 64\n'.encode())
    except build.BuildError as trouble:
        print(f"there is no GNU Mach to be had: {trouble}")  # its test will fail, and only that
    subprocess.run(["rm", "-r", tree], check=True)


@pytest.fixture
def with_disk(dom0):
    """A disk in dom0's memory. For each page that GRUB reads it spins until the disk has answered: on
    dom0's own CPU it does not take so much of the host's. Not the first CPU (docs/hvm.md)."""
    dom0.sh(f"losetup {DISK} 2>/dev/null || losetup {DISK} /boot/grub.disk; xl vcpu-pin Domain-0 all 1")
    yield dom0
    if dom0.machine.alive():
        dom0.run("xl vcpu-pin Domain-0 all all")


@pytest.mark.parametrize("name", ["grub", "grubpvh"])
def test_grub_boots_a_kernel_from_the_guests_disk(with_disk, guests, name):
    dom0 = with_disk
    guests.create(name, name)
    with dom0.console(name, timeout=180) as guest:
        assert "found_by=grub" in guest.sh("cat /proc/cmdline")
        assert int(guest.sh("nproc")) == 2
        guest.until("[ -b /dev/xvda ]", 30)
        said = guest.sh("dd if=/dev/xvda bs=1M count=8 2>/dev/null | md5sum", 120).split()[0]
    assert said == dom0.sh(f"dd if={DISK} bs=1M count=8 2>/dev/null | md5sum", 120).split()[0]
    dom0.sh(f"xl shutdown -w {name}", 120)
    dom0.gone(name)
    # Whatever GRUB granted and bound before Linux took over is gone, too.
    dom0.until("! ls -d /sys/bus/xen-backend/devices/v* 2>/dev/null", 30)


def test_32_bit_grub_comes_to_its_menu(with_disk, guests):
    dom0 = with_disk
    guests.create("grub32", "grub32")
    log = "/var/log/xen/console/guest-grub32.log"
    dom0.until(f"grep -q 'nothing to boot for i386' {log}", 120)
    assert "GNU GRUB" in dom0.sh(f"cat {log}")
    assert int(dom0.sh("xl list grub32 | wc -l")) == 2
    dom0.sh("xl destroy grub32", 60)
    dom0.gone("grub32")
    dom0.until("! ls -d /sys/bus/xen-backend/devices/v* 2>/dev/null", 30)


def test_gnu_mach_comes_to_its_banner(dom0, guests):
    # Nobody is to remove it when it has ended (-e): its last words may not have been read yet.
    guests.create("mach", "mach", flags="-e")
    log = "/var/log/xen/console/guest-mach.log"
    dom0.until(f"grep -q 'No bootstrap code loaded with the kernel' {log}", 60)
    said = dom0.sh(f"cat {log}")
    assert "GNU Mach 1.8" in said
    assert "Running on xen-3.0-x86_32p" in said
    dom0.sh("xl destroy mach", 60)
    dom0.gone("mach")
