# SPDX-License-Identifier: BSD-2-Clause
"""The packets that a run counts: a numbered UDP stream, and pings."""

import dataclasses
import json
import re
import signal
from typing import List, Optional, Tuple

from .errors import LabError
from .netns import GUEST_ADDRESS, World
from .paths import Paths
from .process import Child

LONGEST_SECONDS = 120
LINGER_MS = 1500


@dataclasses.dataclass(frozen=True)
class Packet:
    """One datagram of the stream; times are wall-clock seconds."""

    sequence: int
    sent: float
    first_reply: Optional[float]
    replies: int


@dataclasses.dataclass
class StreamResult:
    """What became of the stream."""

    sent: int
    lost: int
    duplicated: int
    reordered: int
    longest_gap_ms: float
    send_errors: int
    slipped_ms: float  # the sender was not scheduled in time by so much
    round_trip_ms: Tuple[float, float, float]  # median, 99 %, longest
    packets: List[Packet] = dataclasses.field(repr=False,
                                              default_factory=list)

    def answered(self, begin: float, end: float) -> bool:
        """Was any datagram sent in this time answered?  True if none was
        sent."""
        some = [packet.replies for packet in self.packets
                if begin <= packet.sent <= end]
        return not some or any(some)


@dataclasses.dataclass
class PingResult:
    """What became of the pings."""

    sent: int
    lost: int
    duplicated: int
    longest_gap_ms: float


def _percentiles(packets: List[Packet]) -> Tuple[float, float, float]:
    times = sorted(1000 * (packet.first_reply - packet.sent)
                   for packet in packets if packet.first_reply is not None)
    if not times:
        return (0.0, 0.0, 0.0)
    return (round(times[len(times) // 2], 3),
            round(times[int(len(times) * 0.99)], 3), round(times[-1], 3))


def _read_packet(line: str) -> Packet:
    sequence, sent, reply, replies = map(int, line.split())
    return Packet(sequence, sent * 1e-9, reply * 1e-9 if reply else None,
                  replies)


class Stream:
    """A running ``udpstream`` in the client's namespace."""

    def __init__(self, world: World, paths: Paths, rate: int, size: int,
                 seconds: int = LONGEST_SECONDS,
                 linger_ms: int = LINGER_MS,
                 server: str = GUEST_ADDRESS) -> None:
        self._summary = world.directory / "stream.json"
        self._packets = world.directory / "stream.txt"
        self._child = Child("udpstream", world.inside(
            "client", paths.udpstream, "--server", server,
            "--rate", str(rate), "--frame", str(size),
            "--seconds", str(seconds), "--linger", str(linger_ms),
            "--output", self._packets),
            world.directory / "stream.log", stdout=self._summary)

    def __enter__(self) -> "Stream":
        return self

    def __exit__(self, *_error: object) -> None:
        self._child.stop()

    def finish(self, stop: bool = True) -> StreamResult:
        """End the stream (or wait for its end), return its account."""
        if stop:
            self._child.send_signal(signal.SIGTERM)
        if self._child.wait(LONGEST_SECONDS + 10):
            raise LabError(f"udpstream failed: {self._child.last_words()}")
        summary = json.loads(self._summary.read_text())
        with open(self._packets, encoding="ascii") as lines:
            packets = [_read_packet(line) for line in lines]
        return StreamResult(
            sent=summary["sent"], lost=summary["lost"],
            duplicated=summary["duplicated"], reordered=summary["reordered"],
            longest_gap_ms=round(summary["longest-gap-ns"] / 1e6, 1),
            send_errors=summary["send-errors"],
            slipped_ms=round(summary["slipped-ns"] / 1e6, 1),
            round_trip_ms=_percentiles(packets), packets=packets)


_PING_REPLY = re.compile(r"^\[(\d+\.\d+)\] .*icmp_seq=(\d+) .*time=")
_PING_SUMMARY = re.compile(r"^(\d+) packets transmitted", re.MULTILINE)


def account_pings(text: str, sent: int) -> PingResult:
    """The account of what ``ping -D`` has printed."""
    replies = [(float(match[1]), int(match[2])) for match in
               map(_PING_REPLY.match, text.splitlines()) if match]
    answered = {sequence for _, sequence in replies}
    # The signal may catch the last one on its way: it is not lost.
    if sent not in answered:
        sent -= 1
    times = [time for time, _ in replies]
    gaps = [after - before for before, after in zip(times, times[1:])]
    return PingResult(
        sent=sent, lost=sent - len(answered),
        duplicated=len(replies) - len(answered),
        longest_gap_ms=round(1000 * max(gaps, default=0.0), 1))


class Pings:
    """A running ``ping`` in the client's namespace."""

    def __init__(self, world: World, interval: float = 0.05,
                 seconds: int = LONGEST_SECONDS) -> None:
        self._output = world.directory / "ping.txt"
        self._child = Child("ping", world.inside(
            "client", "ping", "-n", "-D", "-i", str(interval),
            "-w", str(seconds), GUEST_ADDRESS),
            world.directory / "ping.log", stdout=self._output)

    def __enter__(self) -> "Pings":
        return self

    def __exit__(self, *_error: object) -> None:
        self._child.stop()

    def finish(self) -> PingResult:
        """End the pings, return their account."""
        self._child.send_signal(signal.SIGINT)
        self._child.wait(5.0)
        text = self._output.read_text()
        summary = _PING_SUMMARY.search(text)
        if summary is None:
            raise LabError(f"ping failed: {self._child.last_words()}")
        return account_pings(text, int(summary[1]))
