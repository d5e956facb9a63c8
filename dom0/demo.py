# SPDX-License-Identifier: MIT
"""What ./run does once this machine has what it needs: build, boot, show; see ./run --help."""
import argparse
import os
import re
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import machine  # noqa: E402
from machine import Machine, Trouble, build  # noqa: E402

START = float(os.environ.get("HOSPES_T0") or time.time())
TRY = """
This is dom0's shell. Try:
    xl list                         who is running
    xl create -c /etc/xen/pv.cfg 'name="second"'    another guest and its console (ctrl-] leaves it)
    xl console pv                   the first guest's console
    xl vcpu-list; xl info; xl dmesg; xentop
    poweroff                        the end
"""


class Steps:
    """A line a step, with the time since the start and the time the step took."""

    def __init__(self):
        self.name, self.begun, self.table = None, time.time(), []
        self.tty = sys.stdout.isatty()

    def begin(self, name):
        self.end()
        self.name, self.begun = name, time.time()
        if self.tty:
            print(f"[{self.begun - START:6.1f} s] {name} ...", end="\r", flush=True)

    def end(self, word="done"):
        if self.name:
            now = time.time()
            self.table.append((self.name, now - self.begun))
            print(f"[{now - START:6.1f} s] {self.name}: {word} in {now - self.begun:.1f} s"
                  f"{' ' * 20}", flush=True)
            self.name = None


def show(text):
    for line in text.strip("\n").splitlines():
        print("    | " + line.rstrip(), flush=True)


def options():
    parser = argparse.ArgumentParser(
        prog="./run", description="Build Hospes, boot it in QEMU with Debian as dom0, start a "
        "guest with Debian's xl, and leave a dom0 shell.")
    parser.add_argument("--check", action="store_true", help="do the same without a terminal, "
                        "power everything off, exit 0 only if all of it worked")
    parser.add_argument("--cpus", type=int, default=2, help="CPUs of the machine (2)")
    parser.add_argument("--mem", default="3G", help="its memory (3G)")
    parser.add_argument("--cpu", default=machine.DEFAULT_CPU, help="QEMU's CPU model "
                        f"({machine.DEFAULT_CPU})")
    parser.add_argument("--hypervisor", metavar="PATH", default=os.environ.get("HYPERVISOR"),
                        help='another image; "stock" is Debian\'s Xen. Also $HYPERVISOR')
    parser.add_argument("--append", default="", help="more for the hypervisor's command line")
    parser.add_argument("--log", default="build/run.log", help="where the whole console log goes")
    return parser.parse_args()


def prepare(options, steps):
    if not options.hypervisor:
        steps.begin("build the hypervisor")
        done = subprocess.run(["make", "-s", f"-j{os.cpu_count()}"], cwd=build.TOP, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        if done.returncode:
            steps.end("FAILED")
            raise SystemExit(done.stdout + "\nThe build failed; `make V=1` shows the commands.")
    steps.begin("build dom0 and the guest out of Debian packages")
    done = subprocess.run([os.path.join(build.HERE, "build.py")])
    if done.returncode:
        steps.end("FAILED")
        raise SystemExit(1)
    image = machine.hypervisor_image(options.hypervisor)
    if not os.path.exists(image):
        raise SystemExit(f"There is no hypervisor at {image}: name another with --hypervisor, or "
                         "leave the option out to build it.")
    steps.end()
    return image


def boot(options, image, steps):
    steps.begin(f"start QEMU: {options.cpus} CPUs, {options.mem}, {options.cpu}")
    gdb = os.path.join(build.TOP, "build/gdb.socket")
    qemu = Machine(image, cpus=options.cpus, mem=options.mem, cpu=options.cpu,
                   append=options.append, log=os.path.join(build.TOP, options.log),
                   qemu_args=["-gdb", f"unix:{gdb},server=on,wait=off"])
    qemu.wait_for(r"\((?:XEN|H[A-Za-z]+)\) [^\n]*\n|Hospes[^\n]*\n", 60,
                  "the hypervisor's first line", raw=True)
    steps.begin("the hypervisor boots")
    qemu.wait_for(r"Linux version", 180, "dom0's kernel", silence=True)
    steps.end()
    print("the hypervisor says:")
    show("\n".join(qemu.hypervisor_log[:60]))
    steps.begin("dom0's kernel comes up")
    qemu.wait_for_init("kernel ", what="dom0's first program")
    steps.begin("dom0's init starts Xen's daemons")
    dom0 = qemu.boot_dom0(first=False)
    steps.end()
    if "FAILED" in qemu.text:
        raise Trouble("a step of dom0's init failed", qemu)
    show("\n".join(re.findall(r"^dom0: .*", qemu.text, re.M)))
    return qemu, dom0


def show_off(dom0, steps):
    steps.begin("xl info")
    info = dom0.sh("xl info")
    steps.end()
    show(info)
    steps.begin("xl create /etc/xen/pv.cfg: Debian's kernel again, 256 MB, 2 VCPUs")
    dom0.sh("xl create /etc/xen/pv.cfg", 180)
    steps.begin("the guest comes to its prompt")
    guest = dom0.console("pv")
    steps.begin("a command in the guest")
    said = guest.sh("uname -a; nproc; cat /sys/hypervisor/uuid; free -m")
    steps.end()
    show(said)
    if int(said.splitlines()[1]) != 2:
        raise Trouble("the guest does not see its 2 VCPUs", guest.machine)
    return guest


def check_off(qemu, dom0, guest, steps):
    show(dom0_list(guest, dom0))
    steps.begin("the guest powers off")
    dom0.sh("xl shutdown -w pv", 120)
    dom0.gone("pv")
    steps.begin("dom0 powers off")
    dom0.power_off()
    steps.end()


def dom0_list(guest, dom0):
    guest.leave()
    return dom0.sh("xl list") + "\n" + dom0.sh("xl vcpu-list")


def main():
    choice = options()
    if not choice.check and not sys.stdin.isatty():
        raise SystemExit("There is no terminal to leave a shell on: use ./run --check")
    steps = Steps()
    if os.environ.get("HOSPES_T0"):
        steps.name, steps.begun = "install what is missing", START
        steps.end()
    image = prepare(choice, steps)
    qemu = None
    try:
        qemu, dom0 = boot(choice, image, steps)
        guest = show_off(dom0, steps)
        if choice.check:
            check_off(qemu, dom0, guest, steps)
        else:
            show(dom0_list(guest, dom0))
            print(TRY)
            dom0.interactive()
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            qemu.interact()
    except Trouble as trouble:
        steps.end("FAILED")
        print(trouble)
        print(f"\nThe whole log: {choice.log}")
        return 1
    except KeyboardInterrupt:
        print("\nstopped")
        return 130
    finally:
        if qemu:
            qemu.close()
    if choice.check:
        print("\nstage by stage:")
        for name, seconds in steps.table:
            print(f"  {seconds:6.1f} s  {name}")
        print(f"  {time.time() - START:6.1f} s  in all\nThe guest ran and powered off: all well.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
