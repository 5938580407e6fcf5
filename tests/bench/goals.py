# SPDX-License-Identifier: BSD-2-Clause
"""What is to be reached, and what this run reached of it."""

import dataclasses
from typing import Any, List, Optional, Tuple

from .figures import Json, short, table

OURS = "tapferry"
REFERENCE = "reference, batches"
MIRROR = "QEMU filter-mirror"
Way = Tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class Goal:
    """A figure, found by its way through what is stored, and its bound."""

    what: str
    way: Way
    bound: float
    at_least: bool = False
    per: Way = ()  # what it is divided by, if anything

    def reached(self, stored: Json) -> Optional[float]:
        """The figure; None if it was not measured."""
        value = _find(stored, self.way)
        if value is None or not self.per:
            return value
        other = _find(stored, self.per)
        return value / other if other else None

    def row(self, stored: Json) -> Optional[List[str]]:
        """As a line of the table."""
        value = self.reached(stored)
        if value is None:
            return None
        met = value >= self.bound if self.at_least else value <= self.bound
        return [self.what, f"{'>=' if self.at_least else '<='} "
                f"{self.bound:g}", short(value), "yes" if met else "no"]


def _find(stored: Any, way: Way) -> Optional[float]:
    for name in way:
        if not isinstance(stored, dict) or name not in stored:
            return None
        stored = stored[name]
    return float(stored)


def _faster(size: str, peer: str, bound: float) -> Goal:
    return Goal(f"{size}: times {peer}",
                ("path", f"{size}, unix", peer, "ours_is", "median"), bound,
                True)


_SOURCE_CPU = ("cpu_us", "source", "median")
_AT_50K = ("latency", "50000", OURS)
GOALS = [
    _faster("64 B", REFERENCE, 1.3),
    _faster("64 B", MIRROR, 2),
    _faster("64 B", "nft fwd", 0.6),
    _faster("1,500 B", REFERENCE, 1.3),
    _faster("1,500 B", MIRROR, 2),
    _faster("60,000 B", REFERENCE, 1.2),
    Goal("64 B: source, CPU us a frame",
         ("path", "64 B, unix", OURS, *_SOURCE_CPU), 0.45),
    Goal("64 B: source, CPU of the reference's",
         ("path", "64 B, unix", OURS, *_SOURCE_CPU), 0.5,
         per=("path", "64 B, unix", REFERENCE, *_SOURCE_CPU)),
    Goal("latency at 50,000/s, p50 us", (*_AT_50K, "p50", "median"), 30),
    Goal("latency at 50,000/s, p99 us", (*_AT_50K, "p99", "median"), 100),
    Goal("likewise, with a processor whenever it needs one",
         ("latency", "50000", f"{OURS}, real-time", "p99", "median"), 100),
    Goal("a backlog of a million, s",
         ("backlog", "1000000", OURS, "seconds", "median"), 1.5),
    Goal("1,000 TAPs: idle % of a core", ("many", "1000", "idle_percent"), 1),
    Goal("1,000 TAPs: RSS MiB", ("many", "1000", "rss_mib"), 256),
    Goal("1,000 TAPs: start s", ("many", "1000", "start_s"), 2),
    Goal("1,000 TAPs: statistics ms", ("many", "1000", "stats_ms"), 10),
    Goal("1 TAP: RSS MiB", ("many", "1", "rss_mib"), 8),
    Goal("mirrored guest, TCP of without",
         ("traffic", "guest, TCP", "mirror", "of_without", "median"), 0.97,
         True),
    Goal("mirrored guest, UDP of without",
         ("traffic", "guest, UDP, 64 B", "mirror", "of_without", "median"),
         0.95, True),
]


def goals_text(stored: Json) -> str:
    """The table of those that were measured."""
    rows = [row for row in (goal.row(stored) for goal in GOALS) if row]
    return table(("goal", "", "reached", "met"), rows) if rows else ""
