# SPDX-License-Identifier: MIT
"""GRUB as a guest (Debian's grub-xen-host, unmodified): it reads the guest's own disk by way of
dom0's block back end, and boots the Debian kernel that it finds there. The 32-bit GRUB is a 32-bit
PAE guest, and comes to its menu; the PVH GRUB is one without paging, and boots the kernel, too.
GNU Mach is a 32-bit PAE guest that comes to the lack of a Hurd."""
import os
import subprocess

import pytest

from conftest import LOGS, Guests, Stable, build

GRUB = "/usr/lib/grub-xen/"
MACH = "gnumach-1.8-xen-486.gz"
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


@pytest.fixture(scope="module")
def grub_dom0(built):
    """A dom0 whose disk holds what a guest boots from, and that has GRUB to give to the guest."""
    tree = os.path.join(LOGS, f"pvgrub.{os.getpid()}")
    disk = tree + ".disk"
    os.makedirs(os.path.join(tree, "boot/grub"))
    with open(os.path.join(tree, "boot/grub/grub.cfg"), "w") as file:
        file.write(CONFIG)
    for name in ("vmlinuz", "guest.img"):
        os.link(os.path.join(build.OUT, name), os.path.join(tree, "boot", name))
    subprocess.run(["mke2fs", "-q", "-F", "-t", "ext2", "-d", tree, disk, "48M"], check=True)
    subprocess.run(["rm", "-r", tree], check=True)
    image = build.Image()
    for name, kind, kernel in (("grub", "pv", "grub-x86_64-xen.bin"), ("grub32", "pv", "grub-i386-xen.bin"),
                               ("grubpvh", "pvh", "grub-i386-xen_pvh.bin")):
        image.add_file("boot/" + kernel, GRUB + kernel)
        image.add(f"etc/xen/{name}.cfg",
                  (f'type = "{kind}"\nkernel = "/boot/{kernel}"\nmemory = 192\nvcpus = 2\n'
                   'disk = ["phy:/dev/vda,xvda,w"]\n').encode())
    mach = build.download_i386("gnumach-image-1.8-xen-486")
    subprocess.run(["dpkg-deb", "-x", mach, tree + ".mach"], check=True)
    image.add_file(f"boot/{MACH}", f"{tree}.mach/boot/{MACH}")
    image.add("etc/xen/mach.cfg", f'type = "pv"\nkernel = "/boot/{MACH}"\nmemory = 64\n'.encode())
    extra = tree + ".img"
    with open(extra, "wb") as file:
        image.write(file)
    subprocess.run(["rm", "-r", tree + ".mach"], check=True)
    # virtio: for each page that GRUB reads it spins until the disk has answered.
    stable = Stable("pvgrub", extra=[built, extra],
                    devices=["-nic", "none", "-drive", f"file={disk},format=raw,if=virtio"])
    yield stable.get()
    stable.close()
    os.unlink(disk)
    os.unlink(extra)


@pytest.mark.parametrize("name", ["grub", "grubpvh"])
def test_grub_boots_a_kernel_from_the_guests_disk(grub_dom0, name):
    Guests(grub_dom0).create(name, name)
    with grub_dom0.console(name, timeout=180) as guest:
        assert "found_by=grub" in guest.sh("cat /proc/cmdline")
        assert int(guest.sh("nproc")) == 2
        guest.until("[ -b /dev/xvda ]", 30)
        said = guest.sh("dd if=/dev/xvda bs=1M count=8 2>/dev/null | md5sum", 120).split()[0]
    assert said == grub_dom0.sh("dd if=/dev/vda bs=1M count=8 2>/dev/null | md5sum", 120).split()[0]
    grub_dom0.sh(f"xl shutdown -w {name}", 120)
    grub_dom0.gone(name)
    # Whatever GRUB granted and bound before Linux took over is gone, too.
    grub_dom0.until("! ls -d /sys/bus/xen-backend/devices/v* 2>/dev/null", 30)


def test_32_bit_grub_comes_to_its_menu(grub_dom0):
    Guests(grub_dom0).create("grub32", "grub32")
    log = "/var/log/xen/console/guest-grub32.log"
    grub_dom0.until(f"grep -q 'nothing to boot for i386' {log}", 120)
    assert "GNU GRUB" in grub_dom0.sh(f"cat {log}")
    assert int(grub_dom0.sh("xl list grub32 | wc -l")) == 2
    grub_dom0.sh("xl destroy grub32", 60)
    grub_dom0.gone("grub32")
    grub_dom0.until("! ls -d /sys/bus/xen-backend/devices/v* 2>/dev/null", 30)


def test_gnu_mach_comes_to_its_banner(grub_dom0):
    # Nobody is to remove it when it has ended (-e): its last words may not have been read yet.
    Guests(grub_dom0).create("mach", "mach", flags="-e")
    log = "/var/log/xen/console/guest-mach.log"
    grub_dom0.until(f"grep -q 'No bootstrap code loaded with the kernel' {log}", 60)
    said = grub_dom0.sh(f"cat {log}")
    assert "GNU Mach 1.8" in said
    assert "Running on xen-3.0-x86_32p" in said
    grub_dom0.sh("xl destroy mach", 60)
    grub_dom0.gone("mach")
