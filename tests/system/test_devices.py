# SPDX-License-Identifier: MIT
"""dom0 drives the machine's own devices, and lends them to guests: disks, cards, the PCI bus."""
import hashlib
import os

import pytest

from conftest import LOGS, Guests, Stable

BLOCK = 1 << 20
SIZE = 16 * BLOCK

# name -> machine, disk's options, disk, card's model, where its driver has it
MACHINES = {
    "ide-e1000": ("pc", ["-drive", "file={disk},format=raw,if=ide,index=0"], "sda",
                  "e1000", "/sys/bus/pci/drivers/e1000"),
    "virtio": ("pc", ["-drive", "file={disk},format=raw,if=none,id=d0", "-device", "virtio-blk-pci,drive=d0"],
               "vda", "virtio-net-pci", "/sys/bus/virtio/drivers/virtio_net"),
    "q35-ahci-e1000e": ("q35", ["-device", "ich9-ahci,id=sata2", "-drive", "file={disk},format=raw,if=none,id=d0",
                                "-device", "ide-hd,drive=d0,bus=sata2.0"], "sda",
                        "e1000e", "/sys/bus/pci/drivers/e1000e"),
}


def pattern():
    """16 MB in which every block is different and known."""
    return b"".join(hashlib.sha256(str(n).encode()).digest() for n in range(SIZE // 32))


class Equipped:
    """A disk and a card, on a machine that others may be on."""

    def __init__(self, name, number):
        self.machine, options, self.disk, card, self.driver = MACHINES[name]
        self.path = os.path.join(LOGS, f"{name}.disk")
        with open(self.path, "wb") as file:
            file.write(pattern())
        self.net = f"10.0.{number + 2}"
        self.options = [option.format(disk=self.path) for option in options]
        self.options += ["-netdev", f"user,id=n{number},net={self.net}.0/24",
                         "-device", f"{card},netdev=n{number},romfile="]

    def get(self):
        return self.stable.get()

    def card(self):
        return self.get().sh(f"ls {self.driver}/*/net")


@pytest.fixture(scope="module")
def machines(built):
    every = {name: Equipped(name, number) for number, name in enumerate(MACHINES)}
    stables = []
    for machine in ("pc", "q35"):
        there = [one for one in every.values() if one.machine == machine]
        stables.append(Stable("devices." + machine, extra=[built],
                              devices=["-machine", machine] + sum((one.options for one in there), [])))
        for one in there:
            one.stable, one.last = stables[-1], one is there[-1]
    yield every
    for stable in stables:
        stable.close()
    for one in every.values():
        os.unlink(one.path)


@pytest.fixture(scope="module", params=MACHINES)
def equipped(request, machines):
    return machines[request.param]


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
    card = equipped.card()
    dom0.until(f"ip link show {card} | grep -q LOWER_UP", 30)
    dom0.sh(f"ip addr replace {equipped.net}.15/24 dev {card}")
    dom0.sh(f"ping -c 3 -W 5 {equipped.net}.2", 60)


def test_network_by_dhcp(equipped):
    dom0 = equipped.get()
    card = equipped.card()
    said = dom0.sh(f"ip link set {card} up; udhcpc -i {card} -n -q -f -t 10 -s /bin/true 2>&1", 60)
    assert f"lease of {equipped.net}." in said


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
        guest.sh("dd if=/dev/xvda of=/dev/xvda bs=64k count=16 skip=48 seek=224 conv=fsync 2>/dev/null", 120)
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
        assert file.read(BLOCK) == pattern()[3 * BLOCK:4 * BLOCK]
    dom0.until("! ls -d /sys/bus/xen-backend/devices/v* 2>/dev/null", 30)


def test_power_off(equipped):
    """The machine's own power switch, through ACPI."""
    if not equipped.last:
        pytest.skip("others need this machine")
    equipped.get().power_off(60)
    equipped.stable.close()
