# SPDX-License-Identifier: MIT
"""dom0 drives the machine's own devices, and lends them to guests: disks, cards, the PCI bus."""
import hashlib
import os

import pytest

from conftest import LOGS, Guests, Stable

BLOCK = 1 << 20
SIZE = 16 * BLOCK

# name -> machine options, disk, PCI devices that have to be on the bus
MACHINES = {
    "ide-e1000": (["-drive", "file={disk},format=raw,if=ide,index=0",
                   "-netdev", "user,id=n0", "-device", "e1000,netdev=n0,romfile="], "sda"),
    "q35-ahci-e1000e": (["-machine", "q35", "-device", "ich9-ahci,id=sata2",
                         "-drive", "file={disk},format=raw,if=none,id=d0",
                         "-device", "ide-hd,drive=d0,bus=sata2.0",
                         "-netdev", "user,id=n0", "-device", "e1000e,netdev=n0,romfile="], "sda"),
    "virtio": (["-drive", "file={disk},format=raw,if=none,id=d0",
                "-device", "virtio-blk-pci,drive=d0",
                "-netdev", "user,id=n0", "-device", "virtio-net-pci,netdev=n0,romfile="], "vda"),
}


def pattern():
    """16 MB in which every block is different and known."""
    return b"".join(hashlib.sha256(str(n).encode()).digest() for n in range(SIZE // 32))


@pytest.fixture(scope="module", params=sorted(MACHINES))
def equipped(request, built):
    devices, disk = MACHINES[request.param]
    path = os.path.join(LOGS, f"{request.param}.disk")
    with open(path, "wb") as file:
        file.write(pattern())
    stable = Stable("devices." + request.param, extra=[built],
                    devices=[d.format(disk=path) for d in devices])
    stable.disk, stable.path = disk, path
    yield stable
    stable.close()
    os.unlink(path)


def test_pci_bus(equipped):
    dom0 = equipped.get()
    found = dom0.sh("cat /sys/bus/pci/devices/*/vendor").split()
    assert len(found) >= 4 and "0x8086" in found
    assert int(dom0.sh("ls -d /sys/bus/pci/devices/*/driver | wc -l")) >= 2


def test_disk_is_read(equipped):
    dom0 = equipped.get()
    assert int(dom0.sh(f"cat /sys/block/{equipped.disk}/size")) == SIZE // 512
    said = dom0.sh(f"md5sum </dev/{equipped.disk}", 120).split()[0]
    assert said == hashlib.md5(pattern()).hexdigest()


def test_disk_is_written(equipped):
    dom0 = equipped.get()
    dom0.sh(f"yes hospes | dd of=/dev/{equipped.disk} bs=1M count=4 seek=8 iflag=fullblock "
            "conv=fsync 2>/dev/null", 120)
    with open(equipped.path, "rb") as file:
        file.seek(8 * BLOCK)
        data = file.read(4 * BLOCK)
    assert data == (b"hospes\n" * BLOCK)[:4 * BLOCK]


def test_disk_interrupts_are_counted(equipped):
    """The driver works by interrupts, not by falling back to polling after time-outs."""
    dom0 = equipped.get()
    said = dom0.sh("dmesg")
    for complaint in ("lost interrupt", "nobody cared", "failed command", "Tx Unit Hang",
                      "NETDEV WATCHDOG"):
        assert complaint not in said
    assert "xen-pirq" in dom0.sh("cat /proc/interrupts")


def test_network(equipped):
    dom0 = equipped.get()
    dom0.until("ip link show eth0 | grep -q LOWER_UP", 30)
    dom0.sh("ip addr replace 10.0.2.15/24 dev eth0")
    dom0.sh("ping -c 3 -W 5 10.0.2.2", 60)


def test_network_by_dhcp(equipped):
    dom0 = equipped.get()
    said = dom0.sh("ip link set eth0 up; udhcpc -i eth0 -n -q -f -t 10 -s /bin/true 2>&1", 60)
    assert "lease of 10.0.2." in said


@pytest.mark.parametrize("equipped", ["ide-e1000"], indirect=True)
def test_guest_has_disk_and_network(equipped):
    """A guest's disk is dom0's, its card is on dom0's bridge: grants and events both ways."""
    dom0 = equipped.get()
    guests = Guests(dom0)
    dom0.sh("[ -e /sys/class/net/xenbr0 ] || { ip link add xenbr0 type bridge; "
            "ip addr add 192.168.7.1/24 dev xenbr0; ip link set xenbr0 up; }")
    guests.linux("g", f'disk=["phy:/dev/{equipped.disk},xvda,w"]', 'vif=["bridge=xenbr0"]')
    with dom0.console("g") as guest:
        guest.until("[ -b /dev/xvda ]", 30)
        assert int(guest.sh("cat /sys/block/xvda/size")) == SIZE // 512
        said = guest.sh("dd if=/dev/xvda bs=1M count=8 2>/dev/null | md5sum", 120).split()[0]
        assert said == hashlib.md5(pattern()[:8 * BLOCK]).hexdigest()
        guest.sh("yes guest | dd of=/dev/xvda bs=64k count=16 seek=224 iflag=fullblock "
                 "conv=fsync 2>/dev/null", 120)
        guest.sh("ip addr add 192.168.7.2/24 dev eth0; ip link set eth0 up")
        guest.until("ping -c 1 -W 5 192.168.7.1", 60)
        guest.sh("ping -c 3 -s 1400 192.168.7.1", 60)
        # More than fits one ring: 4 MB over TCP, summed at both ends.
        guest.sh("mkdir /tmp/www; dd if=/dev/xvda of=/tmp/www/f bs=1M count=4 2>/dev/null", 120)
        said = guest.sh("httpd -p 80 -h /tmp/www; md5sum </tmp/www/f", 120)
    assert dom0.sh("wget -q -O - http://192.168.7.2/f | md5sum", 180) == said
    dom0.sh("xl destroy g")
    dom0.gone("g")
    with open(equipped.path, "rb") as file:
        file.seek(14 * BLOCK)
        assert file.read(BLOCK) == (b"guest\n" * BLOCK)[:BLOCK]
    dom0.until("! ls -d /sys/bus/xen-backend/devices/v* 2>/dev/null", 30)


def test_power_off(equipped):
    """The machine's own power switch, through ACPI."""
    equipped.get().power_off(60)
    equipped.close()
