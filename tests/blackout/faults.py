# SPDX-License-Identifier: BSD-2-Clause
"""What can happen in a blackout beyond its being one: the one table of it."""

import dataclasses
from typing import Dict, FrozenSet, Tuple


@dataclasses.dataclass(frozen=True)
class Fault:
    """One class of faults.

    ``probability``  how often a seed has it
    ``repeats``      so many frames may come twice at each stop where it
                     happens, as the documentation says
    ``implies``      faults that it makes no sense without
    ``queue``        as many more as the source's TAP queue holds
    """

    what: str
    probability: float
    repeats: int = 0
    implies: Tuple[str, ...] = ()
    queue: bool = False


FAULTS: Dict[str, Fault] = {
    # The VMM
    "vhost": Fault("stops as vhost-net does: what it swallows is lost", 0.5),
    "full-stop": Fault("vhost: the stop destroys some of the oldest frames "
                       "of a full queue, uncounted", 0.3, 0,
                       ("vhost", "vnet")),
    "counters": Fault("does not tell where the used index lies", 0.1, 10),
    "slow": Fault("the guest is slower than its traffic for a while, and "
                  "catches up before the stop", 0.2),
    "slow-stop": Fault("the guest is too slow when it stops", 0.1, 20),
    "busy-arm": Fault("the guest is too slow already when the daemon begins "
                      "to look, and never empties its queue", 0.1, 63 + 20,
                      ("auto-arm",), queue=True),
    "reset": Fault("the guest is reset before the migration", 0.1, 10),
    "multi-queue": Fault("2 to 8 queues", 0.3),
    "exit-early": Fault("the old VMM ends before the network has learned",
                        0.3),
    "incoming-swallow": Fault("the new VMM loses the first frame that it "
                              "reads while it waits", 0.3, 0, ("early",)),
    # The migration
    "auto-arm": Fault("the daemon is armed by the migration's events", 0.3),
    "cancel": Fault("an attempt is cancelled before, during or after the "
                    "stop", 0.25),
    "destination-dies": Fault("an attempt fails because the new VMM "
                              "crashes", 0.1),
    "late-word": Fault("the daemons hear of a stop and a resume some "
                       "milliseconds late", 0.2),
    "hiccup": Fault("the daemons do not run for some milliseconds, now and "
                    "then around a stop and a resume", 0.2),
    "jitter": Fault("the daemons wait for a processor before and behind one "
                    "system call in 30, for up to 0.6 ms", 0.1),
    # The frames
    "overflow": Fault("more frames wait than either TAP queue holds", 0.4),
    "vnet": Fault("the TAPs have virtio-net headers", 0.5),
    "vnet-link": Fault("so has the link", 0.3, 0, ("vnet",)),
    "gso": Fault("some frames are super-frames of up to 64 KiB", 0.15, 0,
                 ("vnet",)),
    "identical": Fault("some frames are the same, byte for byte, and all "
                       "of them count", 0.3),
    # The network
    "early": Fault("the network has learned before the VM resumes", 0.15),
    # The first ones tell that they do.
    "flood": Fault("unicast frames reach both hosts for a while", 0.3, 2),
    "stale": Fault("broadcasts reach both hosts all the time", 0.3),
    # The daemons
    "link-cut": Fault("the link breaks, with frames under way", 0.2),
    "link-stall": Fault("the link stands still for a while", 0.2),
    # What it injected in the call that it died in.
    "kill-destination": Fault("kill -9 of the new host's daemon, and "
                              "another one", 0.2, 64),
    "kill-source": Fault("kill -9 of the old host's daemon, and another "
                         "one", 0.1),
}

KNOWN: FrozenSet[str] = frozenset(FAULTS)

# Of the VMM that stops here and resumes here.
ABORTED = ("cancel", "destination-dies")

# What can't be, or would say nothing, together.
_SENSELESS = {("full-stop", "slow"), ("full-stop", "slow-stop"),
              ("busy-arm", "slow"), ("busy-arm", "slow-stop"),
              ("busy-arm", "full-stop"), ("link-cut", "link-stall"),
              ("hiccup", "late-word"),
              *((name, "exit-early") for name in ABORTED)}

# So many more frames may come twice at each stop where these happen together,
# and, as above, as many more as the queues hold.
REPEATS_TOGETHER: Dict[FrozenSet[str], Tuple[int, bool]] = {
    # A full queue in which the stop makes room tells to within a millisecond
    # which frames it has turned away, and they are given back if the VM
    # resumes here.
    **{frozenset({"full-stop", name}): (40, False) for name in ABORTED},
    # One that overflowed turns live frames away until the VMM makes room, some
    # time between two samples: all that come between these are given back.
    **{frozenset({"overflow", name}): (40, False) for name in ABORTED},
    # A guest that takes a backlog of super-frames uses a whole ring of buffers
    # before anybody can look, and then it is not known whether it got what the
    # VMM had taken around the stop; nor, of several queues, which of them.
    **{frozenset({"gso", name}): (3, False) for name in ABORTED},
    **{frozenset({"multi-queue", "gso", name}): (8 * 5, False)
       for name in ABORTED},
    # Of several queues that become full within a millisecond it is not known
    # which was first: of each some 32 are given back that it may have had
    # room for; and it is not known whose frames the stop has destroyed.
    **{frozenset({"multi-queue", "overflow", name}): (8 * 32, False)
       for name in ABORTED},
    **{frozenset({"multi-queue", "slow-stop", name}): (8 * 32, False)
       for name in ABORTED},
    **{frozenset({"multi-queue", "full-stop", name}): (8 * (63 + 32), False)
       for name in ABORTED},
    # On a plain link there is no bait: QEMU may have lost what was taken of
    # each queue just before the resume was heard of.
    frozenset({"multi-queue", "flood"}): (8, False),
    # Without the used indices all that waits may wait in any of them.
    **{frozenset({"multi-queue", name}): (8 * (63 + 8), True)
       for name in ("counters", "reset", "busy-arm", "kill-source")},
    # The next one begins to look when the guest is late, as with busy-arm.
    **{frozenset({"kill-source", name}): (63 + 20, True) for name in ABORTED},
    # The next destination does not know what the last source had shipped.
    frozenset({"kill-source", "kill-destination"}): (0, True),
    # It is slow already when they are to be learned.
    frozenset({"multi-queue", "auto-arm", "slow-stop"}): (8 * (63 + 8), True)}


def with_implied(faults: FrozenSet[str]) -> FrozenSet[str]:
    """These faults and those that they make no sense without."""
    while True:
        more = faults | {implied for name in faults
                         for implied in FAULTS[name].implies}
        if more == faults:
            return faults
        faults = more


def without_conflicts(faults: FrozenSet[str], wanted: FrozenSet[str]
                      ) -> FrozenSet[str]:
    """These faults, but for such as do not go together; of two of those
    one that is wanted stays."""
    kept = set(faults)
    for name, other in sorted(_SENSELESS):
        if {name, other} <= kept and not {name, other} <= wanted:
            kept.discard(name if other in wanted else other)
    return frozenset(kept)


def repeats_allowed(faults: FrozenSet[str], txqueuelen: int) -> int:
    """So many frames may come twice in a blackout with these faults."""
    def most(repeats: int, queue: bool) -> int:
        return repeats + queue * txqueuelen

    return sum(most(FAULTS[name].repeats, FAULTS[name].queue)
               for name in faults) + max(
        (most(*more) for together, more in REPEATS_TOGETHER.items()
         if together <= faults), default=0)
