# SPDX-License-Identifier: BSD-2-Clause
"""What can happen in a blackout beyond its being one: the one table of it.

A fault that is not in ENABLED is not drawn unless it is asked for by name:
the daemon does not promise it yet (docs/switchover.md, Limits).
"""

import dataclasses
from typing import Dict, FrozenSet, Tuple


@dataclasses.dataclass(frozen=True)
class Fault:
    """One class of faults.

    ``probability``  how often a seed has it
    ``repeats``      so many frames may come twice where it happens, as the
                     documentation says
    ``excludes``     faults that make no sense beside it
    """

    what: str
    probability: float
    repeats: int = 0
    excludes: Tuple[str, ...] = ()


FAULTS: Dict[str, Fault] = {
    # The VMM
    "vhost": Fault("stops as vhost-net does: what it swallows is lost", 0.5),
    "full-stop": Fault("vhost: the stop destroys some of the oldest frames "
                       "of a full queue, uncounted", 0.3,
                       excludes=("cancel", "destination-dies", "slow")),
    "full-cancel": Fault("the same, and the migration is cancelled", 0.2,
                         excludes=("slow",)),
    "counters": Fault("does not tell where the used index lies", 0.1,
                      repeats=8, excludes=("cancel", "full-cancel",
                                           "destination-dies")),
    "counters-cancel": Fault("the same, and the migration is cancelled", 0.1,
                             repeats=8),
    "slow": Fault("the guest is slower than its traffic for a while, and "
                  "catches up before the stop", 0.2),
    "slow-stop": Fault("the guest is too slow when it stops", 0.1,
                       repeats=20, excludes=("cancel", "full-cancel")),
    "busy-arm": Fault("the guest is too slow already when the daemon begins "
                      "to look, and never empties its queue", 0.1,
                      repeats=20, excludes=("cancel", "full-cancel",
                                            "destination-dies")),
    "reset": Fault("the guest is reset before the migration", 0.1,
                   repeats=8),
    "multi-queue": Fault("2 to 8 queues", 0.3),
    "exit-early": Fault("the old VMM ends before the network has learned",
                        0.3, excludes=("cancel", "full-cancel")),
    "incoming-swallow": Fault("the new VMM loses the first frame that it "
                              "reads while it waits", 0.3),
    # The migration
    "auto-arm": Fault("the daemon is armed by the migration's events", 0.3),
    "cancel": Fault("an attempt is cancelled before, during or after the "
                    "stop", 0.25),
    "destination-dies": Fault("an attempt fails because the new VMM "
                              "crashes", 0.1),
    "late-word": Fault("the daemons hear of a stop and a resume some "
                       "milliseconds late", 0.2),
    # The frames
    "overflow": Fault("more frames wait than either TAP queue holds", 0.4),
    "vnet": Fault("the TAPs have virtio-net headers", 0.5),
    "gso": Fault("some frames are super-frames of up to 64 KiB", 0.15,
                 repeats=8),
    "identical": Fault("some frames are the same, byte for byte, and all "
                       "of them count", 0.3),
    # The network
    "early": Fault("the network has learned before the VM resumes", 0.15),
    "flood": Fault("unicast frames reach both hosts for a while", 0.3),
    "stale": Fault("broadcasts reach both hosts all the time", 0.3),
    "order": Fault("frames of a flow may not overtake each other, late "
                   "ones and live ones included", 1.0),
    # The daemons
    "link-cut": Fault("the link breaks, with frames under way", 0.25),
    "link-stall": Fault("the link stands still for a while", 0.25),
    "kill-destination": Fault("kill -9 of the new host's daemon, and "
                              "another one", 0.2),
    "kill-source": Fault("kill -9 of the old host's daemon, and another "
                         "one", 0.1, excludes=("cancel", "full-cancel")),
}

# What the daemon is to stand today.  A class moves up here when it is built.
ENABLED: FrozenSet[str] = frozenset({
    "vhost", "full-stop", "counters", "slow", "slow-stop", "reset",
    "auto-arm", "cancel", "destination-dies", "overflow", "vnet", "gso",
    "identical", "link-stall",
})

# Not yet: "busy-arm", "late-word", "counters-cancel", "full-cancel", "multi-queue", "exit-early", "incoming-swallow",
# "early", "flood", "stale", "order", "link-cut", "kill-destination",
# "kill-source".

KNOWN: FrozenSet[str] = frozenset(FAULTS)


def repeats_allowed(faults: FrozenSet[str]) -> int:
    """So many frames may come twice in a blackout with these faults."""
    return sum(FAULTS[name].repeats for name in faults)
