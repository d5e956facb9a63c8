# SPDX-License-Identifier: MIT
"""Guests created, run and killed at random moments, again and again: nothing is lost. How often:
CYCLES, of which `make soak` makes a thousand."""
import os
import re
import time

import pytest

CYCLES = int(os.environ.get("CYCLES", "8"))
BATCH = 25
SUM = re.compile(r"sum: domains (\d+), pages (\d+), hypervisor pages (\d+), event ports (\d+), "
                 r"grant handles (\d+), small objects (\d+) in pages (\d+), free pages (\d+)")

# Every eighth is a Debian guest, the others do nothing; the moment is any, from the middle of its
# creation on. `xl destroy` of a guest that is not there yet, or not any more, is no mistake.
SCRIPT = ("for i in $(seq %d); do kind=tiny most=1; [ $((i %% 8)) != 0 ] || kind=linux most=5; "
          "xl create -q /etc/xen/$kind.cfg 'name=\"s\"' >/dev/null 2>&1 & "
          "sleep $((RANDOM %% most)).$((RANDOM %% 10)); xl destroy s >/dev/null 2>&1; wait $!; "
          "while xl domid s >/dev/null 2>&1; do xl destroy s >/dev/null 2>&1; done; done")
GUESTS = "xl list | sed 1,2d | cut -d' ' -f1"


def in_use(dom0):
    """What all domains hold, by the debug key that counts it: once it has come to rest."""
    last = None
    for _ in range(20):
        dom0.sh("xl debug-keys L; sleep 1")
        found = SUM.findall("\n".join(dom0.machine.hypervisor_log))
        if found and found[-1] == last:
            # How small objects lie in their pages is chance, how many there are is not.
            *counts, slabs, free = (int(n) for n in last)
            return (*counts, free + slabs)
        last = found[-1] if found else None
    pytest.fail(f"what is in use does not come to rest: {last}")


@pytest.mark.hospes_only
def test_nothing_is_lost(dom0):
    # dom0's own tables grow at the first use, and stay.
    dom0.sh(SCRIPT % 8, 600)
    before, guests = in_use(dom0), dom0.sh(GUESTS)  # one that other tests share may be there
    done, begun = 0, time.monotonic()
    while done < CYCLES:
        count = min(BATCH, CYCLES - done)
        dom0.sh(SCRIPT % count, 60 * count)
        done += count
        print(f"{done} of {CYCLES} after {time.monotonic() - begun:.0f} s")
    assert in_use(dom0) == before
    assert dom0.sh(GUESTS) == guests
