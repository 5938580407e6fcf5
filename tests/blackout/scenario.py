# SPDX-License-Identifier: BSD-2-Clause
"""A blackout, drawn from a seed.

Each aspect has dice of its own, so that switching a fault on or off leaves
the others as they were.
"""

import dataclasses
import random
from typing import Dict, FrozenSet, Iterable, List, Optional, Tuple

from .faults import FAULTS, KNOWN, with_implied, without_conflicts

# Frames of one blackout, so that its generation takes no longer than itself.
FRAMES_MAX = 30000

# So long before a stop a daemon may not run already.
HICCUP_LEAD_MS = 10


@dataclasses.dataclass(frozen=True)
class Hiccup:
    """A daemon does not run for a while."""

    at_ms: float  # after the stop
    length_ms: float
    at_source: bool


@dataclasses.dataclass(frozen=True)
class Attempt:
    """One migration, or an attempt at it."""

    outcome: str  # "done", "cancelled-before", "cancelled", "crashed"
    precopy_ms: int
    downtime_ms: int
    swallow: int  # taken around the stop and never delivered
    later: int  # taken when the stop was said already
    destroy: int  # of a full queue, uncounted
    learn_ms: int  # when the network learns, after the RESUME
    flood_ms: int  # how long unicast then reaches both hosts
    completed_first: bool  # source's event before the destination's
    late_ms: int  # how long the daemons are late to hear of it all
    hiccups: Tuple[Hiccup, ...] = ()


@dataclasses.dataclass(frozen=True)
class Scenario:  # pylint: disable=too-many-instance-attributes
    """All that is drawn."""

    seed: int
    faults: FrozenSet[str]
    rate: int  # frames a second
    bursts: int  # as many at once
    queues: int
    txqueuelen: Tuple[int, int]  # source, destination
    guest_rate: int
    post_ms: int
    transport: str
    acknowledge: str  # the source's property
    attempts: List[Attempt]
    fault_ms: int  # when a daemon or the link fails, after the stop
    repair_ms: int  # how long that lasts

    def has(self, fault: str) -> bool:
        """Does it have this fault?"""
        return fault in self.faults

    @property
    def vnet(self) -> bool:
        """Do the TAPs have virtio-net headers?"""
        return self.has("vnet")

    @property
    def completes(self) -> bool:
        """Does the VM get to the destination in the end?"""
        return self.attempts[-1].outcome == "done"

    @property
    def duration_ms(self) -> int:
        """About how long it takes, in all."""
        return 800 + self.post_ms + self.repair_ms + sum(
            500 + each.precopy_ms + each.downtime_ms
            for each in self.attempts)

    def describe(self) -> Dict[str, object]:
        """For a report."""
        return dataclasses.asdict(self) | {"faults": sorted(self.faults)}


def _dice(seed: int, aspect: str) -> random.Random:
    return random.Random(f"{seed}/{aspect}")


def draw_faults(seed: int, allowed: Iterable[str] = KNOWN,
                wanted: Iterable[str] = ()) -> FrozenSet[str]:
    """The faults of a seed, of those that are allowed, and in any case
    those wanted."""
    wanted = with_implied(frozenset(wanted))
    chosen = {name for name in sorted(allowed)
              if _dice(seed, name).random() < FAULTS[name].probability}
    return with_implied(without_conflicts(
        with_implied(wanted | chosen), wanted))


def _downtime(dice: random.Random, long: bool) -> int:
    if long and dice.random() < 0.04:
        return int(1000 * 30 ** dice.random())
    return int(10 * 50 ** dice.random())


def _attempt(dice: random.Random, outcome: str, faults: FrozenSet[str],
             long: bool) -> Attempt:
    vhost = "vhost" in faults
    swallow = dice.choice([0, 1, 1, 2]) if vhost else \
        dice.choice([0, 1, 2, 3])
    return Attempt(
        outcome=outcome,
        precopy_ms=dice.randrange(180, 300),
        downtime_ms=_downtime(dice, long),
        swallow=swallow,
        later=dice.choice([0, 1]) if swallow < 2 or not vhost else 0,
        destroy=dice.randrange(8, 64)
        if "full-stop" in faults else 0,
        learn_ms=-dice.randrange(1, 6) if "early" in faults
        else int(50 * dice.random() ** 3),
        flood_ms=dice.randrange(1, 60) if "flood" in faults else 0,
        completed_first=dice.random() < 0.5,
        late_ms=dice.randrange(1, 20) if "late-word" in faults else 0)


def _attempts(seed: int, faults: FrozenSet[str], long: bool
              ) -> List[Attempt]:
    dice = _dice(seed, "attempts")
    outcomes: List[str] = []
    if "cancel" in faults:
        outcomes += dice.choices(["cancelled-before", "cancelled"], [1, 3])
    if "destination-dies" in faults:
        outcomes.append("crashed")
    if not outcomes or dice.random() < 0.5:
        outcomes.append("done")
    attempts = [_attempt(dice, outcome, faults, long) for outcome in outcomes]
    if "hiccup" in faults:
        dice = _dice(seed, "hiccups")
        attempts = [dataclasses.replace(each, hiccups=_hiccups(
            dice, each.downtime_ms)) for each in attempts]
    return attempts


def _hiccups(dice: random.Random, downtime_ms: int) -> Tuple[Hiccup, ...]:
    """For each daemon one around the stop and one around the resume, and some
    time in between in which it runs: it hears of the one before the other."""
    half = downtime_ms / 2
    most = min(15.0, max(1.0, half - 3))
    return tuple(Hiccup(
        at_ms=dice.uniform(-HICCUP_LEAD_MS, 2) if stop else
        dice.uniform(max(half + 8, downtime_ms - 8), downtime_ms + 12),
        length_ms=(most if stop else 15.0) ** dice.random(),
        at_source=at_source)
                 for at_source in (True, False) for stop in (True, False))


def _queue_lengths(dice: random.Random, faults: FrozenSet[str], rate: int
                   ) -> Tuple[int, int]:
    lengths = _queue_lengths_drawn(dice, faults, rate)
    # That of several queues is not raised: it has to hold by itself what the
    # network brings to the new host before the VM runs.
    return lengths[0], max(lengths[1], 5000) if "multi-queue" in faults \
        else lengths[1]


def _queue_lengths_drawn(dice: random.Random, faults: FrozenSet[str],
                         rate: int) -> Tuple[int, int]:
    # A queue is to hold what comes in 30 ms, since the scripted VMM shares
    # its processors with others.
    choices = [length for length in (10, 100, 1000, 5000)
               if length * 1000 >= rate * 30]
    if faults & {"overflow", "slow", "slow-stop", "busy-arm"}:
        choices = choices[:1]
    if "full-stop" in faults:
        return 100, dice.choice(choices)
    lengths = dice.choice(choices), dice.choice(choices)
    if "overflow" not in faults:
        return max(lengths[0], 5000), max(lengths[1], 5000)
    return lengths


def draw(seed: int, allowed: Iterable[str] = KNOWN,
         wanted: Iterable[str] = (), long: bool = False,
         exactly: Optional[Iterable[str]] = None) -> Scenario:
    """The blackout with this seed.  ``long``: its downtimes may be;
    ``exactly``: its faults, instead of what the seed says."""
    faults = draw_faults(seed, allowed, wanted) if exactly is None \
        else frozenset(exactly)
    faults = with_implied(faults)
    dice = _dice(seed, "shape")
    attempts = _attempts(seed, faults, long)
    rate = int(100 * 80 ** dice.random())
    if faults & {"full-stop", "slow", "slow-stop", "busy-arm"}:
        rate = max(rate, 2500)
    scenario = Scenario(
        seed=seed,
        faults=faults,
        rate=rate,
        bursts=dice.choice([1, 1, 1, 4, 16])
        if "overflow" not in faults else dice.choice([1, 4]),
        queues=dice.choice([2, 4, 8]) if "multi-queue" in faults else 1,
        txqueuelen=_queue_lengths(dice, faults, rate),
        guest_rate=rate // dice.choice([2, 3, 4]),
        post_ms=dice.randrange(50, 150),
        transport=dice.choice(["unix", "tcp"]),
        # A daemon that takes over tells the others what was settled, and a
        # source what its guest got.
        acknowledge="on" if faults & {"kill-destination", "stale",
                                      "incoming-swallow"} else
        _dice(seed, "acknowledge").choice(["auto", "on"]),
        attempts=attempts,
        fault_ms=dice.randrange(0, 120),
        repair_ms=dice.randrange(10, 300) if faults & {
            "link-cut", "link-stall", "kill-destination", "kill-source"}
        else 0)
    most = FRAMES_MAX * 1000 // scenario.duration_ms
    return dataclasses.replace(scenario, rate=min(rate, most))
