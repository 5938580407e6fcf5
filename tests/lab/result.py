# SPDX-License-Identifier: BSD-2-Clause
"""A run's knobs and what it measured."""

import dataclasses
from typing import Any, Dict, List, Optional, Tuple

from .daemon import Ledger
from .guest import Machine
from .superframes import SuperResult
from .traffic import PingResult, StreamResult

MODES = ("none", "replay", "tapferry")
ACTIONS = ("migrate", "cancel", "cancel-stopped", "stop-cont")


@dataclasses.dataclass(frozen=True)
class Scenario:
    """The knobs of a run.

    A downtime limit of 0 makes QEMU go over the memory once and send what
    was written meanwhile with the guest stopped: the guest's dirty memory
    decides how long that takes.  With a limit QEMU goes over it again and
    again until it can keep the limit, and each time asks TCG anew which
    memory was written to.  QEMU 7.2's TCG forgets some of it (its TLB is
    not told), and the guest crashes soon after it has arrived.
    """

    mode: str = "none"
    action: str = "migrate"
    pps: int = 1000
    size: int = 64
    super_pps: int = 0
    machine: Machine = Machine()
    bandwidth_mb: int = 300
    downtime_limit_ms: int = 0
    pause_ms: int = 0
    txqueuelen: Optional[int] = None
    quit_source: bool = False
    kill_daemon: bool = False
    announce: bool = False
    broadcast: bool = False
    source_properties: Tuple[str, ...] = ()
    destination_properties: Tuple[str, ...] = ()
    lead_s: float = 1.0
    settle_s: float = 1.5
    boot_timeout_s: float = 60.0
    migration_timeout_s: float = 60.0
    keep_logs: bool = False


# A packet sent this long before the stop, or this long after the resume when
# no backlog is left, has nothing to do with the switchover.
BEFORE_S, AFTER_S = 0.05, 1.0


@dataclasses.dataclass
class LostRange:
    """Datagrams lost in a row, and when they were sent, in milliseconds
    from the stop."""

    first: int
    last: int
    first_ms: Optional[float]
    last_ms: Optional[float]


@dataclasses.dataclass
class Result:
    """What a run measured."""

    mode: str
    action: str
    scenario: Scenario
    environment: Dict[str, str]
    stream: StreamResult
    pings: PingResult
    started: float
    stopped: Optional[float]
    resumed: Optional[float]
    migration: Dict[str, int]
    lost_ranges: List[LostRange]
    super_frames: Optional[SuperResult] = None
    carried: Optional[int] = None
    ledgers: List[Ledger] = dataclasses.field(default_factory=list)
    # What each side's command reports: switchover and stats.
    reports: Dict[str, Any] = dataclasses.field(default_factory=dict)

    @property
    def downtime_ms(self) -> Optional[float]:
        """From the STOP event to the RESUME event, by their own times."""
        if self.stopped is None or self.resumed is None:
            return None
        return round(1000 * (self.resumed - self.stopped), 1)

    @property
    def lost_elsewhere(self) -> int:
        """How many were lost away from the switchover."""
        if self.stopped is None or self.resumed is None:
            return self.stream.lost
        begin, end = self.stopped - BEFORE_S, self.resumed + AFTER_S
        return sum(not packet.replies and not begin <= packet.sent <= end
                   for packet in self.stream.packets)

    @property
    def balanced(self) -> bool:
        """Do the accounts of both daemons balance?"""
        return all(each.balanced for each in self.ledgers)

    @property
    def clean(self) -> bool:
        """Nothing lost, nothing twice, and the accounts balance."""
        return (self.stream.lost == 0 and self.stream.duplicated == 0 and
                self.balanced)

    def to_json(self, packets: bool = False) -> Dict[str, Any]:
        """Everything as plain data; each packet only on request."""
        data = dataclasses.asdict(self)
        if not packets:
            del data["stream"]["packets"]
        data["downtime_ms"] = self.downtime_ms
        data["lost_elsewhere"] = self.lost_elsewhere
        data["balanced"] = self.balanced
        for side, each in zip(data["ledgers"], self.ledgers):
            side["balanced"] = each.balanced
        return data


def lost_ranges(stream: StreamResult,
                stopped: Optional[float]) -> List[LostRange]:
    """What was lost, put together to ranges."""
    ranges: List[LostRange] = []
    for packet in stream.packets:
        if packet.replies:
            continue
        sent = None if stopped is None else \
            round(1000 * (packet.sent - stopped), 1)
        if ranges and ranges[-1].last == packet.sequence - 1:
            ranges[-1].last = packet.sequence
            ranges[-1].last_ms = sent
        else:
            ranges.append(LostRange(packet.sequence, packet.sequence,
                                    sent, sent))
    return ranges
