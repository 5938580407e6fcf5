# SPDX-License-Identifier: BSD-2-Clause
"""The checker: of every frame that the network delivered to either host,
did the guest get exactly one?  And do the daemons' books say the same?"""

import collections
import dataclasses
import math
import time
from typing import Any, Deque, Dict, List, Tuple

from lib.daemon import Counters

from .actors import DESTINATION, SOURCE, Got
from .faults import ABORTED, repeats_allowed
from .mix import Key, keys_of, log_records
from .scenario import Scenario
from .stage import Stage

SHOWN = 8  # examples in a report
# Whom tapferry's bait is for: the VM may resume before it is taken back.
NOBODY = bytes.fromhex("027461706679")
# From a frame's arrival at a daemon to its injection: long enough for a daemon
# that has to wait for a processor in between.
ORDER_SLACK_NS = 250000000
# So long before or after another daemon is there it may drain a TAP that the VM
# begins to read (docs/switchover.md, "Limits").
RESTART_NS = 50000000
# Where frames may be lost, as long as they are counted.
LOSSY = {"slow", "slow-stop", "busy-arm", "kill-source"}
SLOW = {"slow", "slow-stop", "busy-arm"}
# What a daemon of the source that is killed takes along is not in the TAP's
# queue, or that can't be drained, or the VM takes it, and nobody knows then
# what it lacks.
NOT_FOUND = {"overflow", "full-stop", "exit-early", *ABORTED}


@dataclasses.dataclass
class Verdict:  # pylint: disable=too-many-instance-attributes
    """What came of a blackout."""

    scenario: Scenario
    sent: int = 0
    lost: int = 0
    repeated: int = 0
    reordered: int = 0
    counted: int = 0  # as dropped, by the daemons
    carried: int = 0
    merged: int = 0  # identical frames, counted as copies of each other
    method: str = ""
    examples: str = ""  # of lost frames
    late_ms: float = 0.0  # something happened later than it was to
    waited: float = 0.0  # of the daemons: seconds for one that they ran
    overloaded: bool = False  # so it fails for this
    tries: int = 1
    stop_ns: int = 0
    resume_ns: int = 0
    seconds: float = 0.0
    reasons: List[str] = dataclasses.field(default_factory=list)
    trace: str = ""
    output: str = ""

    @property
    def passed(self) -> bool:
        """Is all as it must be?"""
        return not self.reasons

    def summary(self) -> Dict[str, Any]:
        """Its figures."""
        return {"seed": self.scenario.seed,
                "faults": sorted(self.scenario.faults),
                "downtime_ms": (self.resume_ns - self.stop_ns) // 1000000,
                "sent": self.sent, "lost": self.lost,
                "repeated": self.repeated, "reordered": self.reordered,
                "counted": self.counted, "carried": self.carried,
                "merged": self.merged,
                "late_ms": round(self.late_ms, 1),
                "waited": round(self.waited, 2), "tries": self.tries,
                "method": self.method, "seconds": round(self.seconds, 2),
                "reasons": self.reasons}


def _offset_ns() -> float:
    """What the clock of the daemons' times is ahead of time.monotonic_ns()."""
    return time.time_ns() - time.monotonic_ns()


def _switchovers(stage: Stage) -> List[Dict[str, Any]]:
    """What both daemons tell of it, the source's first."""
    return [entry for end in stage.ends if end.daemon
            for entry in end.daemon.execute("query-switchover")]


def _begins_us(entry: Dict[str, Any], *names: str) -> List[int]:
    """When these phases began."""
    return [phase["start-us"] for phase in entry["phases"]
            if phase["phase"] in names]


def _all_in_ns(stage: Stage) -> float:
    """When the last frame that the destination's daemon had came to it, or
    the last of the backlog was injected (as time.monotonic_ns())."""
    if not stage.destination.daemon:
        return 0
    if stage.destination.name in stage.lost_counters:
        return float("inf")  # who had them took it along
    times = [time_us for entry in
             stage.destination.daemon.execute("query-switchover")
             for time_us in [entry.get("arrived-last-us", 0)] +
             _begins_us(entry, "passing")]
    return max(times, default=0) * 1000 - _offset_ns() + ORDER_SLACK_NS


class _Book:
    """Frames that are expected, and those that came."""

    def __init__(self, stage: Stage, verdict: Verdict) -> None:
        self._frames = stage.frames
        self._queues = stage.scenario.queues
        self._unseen = {"busy-arm", "kill-source"} <= stage.scenario.faults
        self._verdict = verdict
        self.sent = log_records(stage.network.log)
        self._expected: Dict[Key, Deque[int]] = \
            collections.defaultdict(collections.deque)
        self._last: Dict[Tuple[str, int, bool], int] = {}
        self._numbers: Dict[Key, int] = {}
        self._repeats: Dict[int, Dict[Key, int]] = {}
        self.aliens: List[str] = []
        self.late = 0
        self.wrong: List[str] = []
        self._until_ns = _all_in_ns(stage)
        daemon = stage.destination.daemon
        # It then hands out what it has drained when the guest reads already.
        self._drained_late = daemon is not None and \
            "has not said yet what its guest got" in daemon.log
        self._back_ns = stage.back_ns.get(stage.destination.name,
                                          -RESTART_NS - 1)
        for number, (_, mask, failed) in enumerate(self.sent):
            if mask & ~failed:
                verdict.sent += 1
                for key in self._frames[number].keys():
                    self._expected[key].append(number)
                    self._numbers[key] = number

    def name(self, number: int) -> str:
        """A frame, for a report: number, flow, where it was sent, and when
        (ms after the stop)."""
        time_ns, mask, _ = self.sent[number]
        at = (time_ns - self._verdict.stop_ns) / 1e6 \
            if self._verdict.stop_ns else 0
        return f"{number} ({self._frames[number].flow}, to " \
               f"{'?SDB'[mask]}, {at:+.1f} ms)"

    def take(self, got: Got, at_destination: bool) -> None:
        """The guest got this."""
        if got.data.startswith(NOBODY):
            return  # a NIC looks at the address
        for key in keys_of(got.vnet, got.data):
            numbers = self._expected.get(key)
            if numbers is None:
                self.aliens.append(f"{len(got.data)} bytes: "
                                   f"{got.data[:40].hex()}")
            elif not numbers:
                pieces = self._repeats.setdefault(self._numbers[key], {})
                pieces[key] = pieces.get(key, 0) + 1
            else:
                self._in_order(numbers.popleft(), at_destination)

    def _in_order(self, number: int, at_destination: bool) -> None:
        """A frame that is carried may come behind a live one of its flow
        only if that came before the daemon had it and could inject it; and
        behind younger ones that the guest got at the source, if it found
        the queue there full."""
        flow, way = self._frames[number].flow, self.sent[number][1]
        last, live = (self._last.get((flow, each, at_destination), -1)
                      for each in (way, DESTINATION))
        before = self._last.get((flow, way, False), -1)
        # Of a tagged frame that a packet socket sends, the kernel takes the
        # length for a part of the flow when it chooses a queue.
        one_queue = self._queues == 1 or "-8100" not in flow
        if number < max(last, live, before):
            self.late += 1
            behind_its_own = number < last and (
                way == SOURCE or way == DESTINATION and
                not self._came_anew(last) and not self._comes_late(number))
            if at_destination and one_queue and not self._found(number) and (
                    behind_its_own or way == SOURCE and number < live and
                    self.sent[live][0] > self._until_ns):
                self.wrong.append(f"{self.name(number)} after "
                                  f"{self.name(max(last, live))}")
        self._last[flow, way, at_destination] = max(last, number)

    def _found(self, number: int) -> bool:
        """May it have come before the first daemon of the source was armed,
        so that only the next one, which found it in a queue, has shipped
        it?"""
        return self._unseen and self.sent[number][0] <= self._verdict.stop_ns

    def _came_anew(self, number: int) -> bool:
        """Has the network brought this frame just when another daemon of the
        destination drained the TAP, which the VM reads already?"""
        time_ns, way, _ = self.sent[number]
        return way == DESTINATION and \
            0 <= time_ns - self._back_ns + RESTART_NS <= 2 * RESTART_NS

    def _comes_late(self, number: int) -> bool:
        """Was this frame drained, and the source had not said by the resume
        what its guest got?"""
        return self._drained_late and \
            self.sent[number][0] <= self._verdict.resume_ns

    def repeats(self) -> List[int]:
        """Frames that came again, as often as they did."""
        return [number for number, pieces in sorted(self._repeats.items())
                for _ in range(max(pieces.values()))]

    def lost(self) -> List[int]:
        """Frames of which the guest did not get everything."""
        return sorted({number for numbers in self._expected.values()
                       for number in numbers})

    def is_identical(self, number: int) -> bool:
        """Is it one of those that are the same byte for byte?"""
        return self._frames[number].flow.startswith("identical")


def _dropped(counters: Counters) -> Dict[str, int]:
    return {name: value for name, value in counters.items()
            if name.startswith("dropped-") and value}


def _some(names: List[str]) -> str:
    more = f" … and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return "; ".join(names[:SHOWN]) + more


def _missing(stage: Stage) -> List[int]:
    """What the destination's daemon says was lost with the source's: one
    figure, or none if that is not known."""
    return [entry["link"]["missing"] for entry in _switchovers(stage)
            if entry["side"] == "destination" and "missing" in entry["link"]]


def _dropped_by_both(stage: Stage) -> Dict[str, int]:
    return {f"{end.name} {name}": value for end in stage.ends if end.daemon
            for name, value in _dropped(end.counters()).items()} | \
        {"missing": value for value in _missing(stage) if value}


def _unheard(stage: Stage, verdict: Verdict) -> int:
    """So many frames more may come twice if the source heard of its VM's stop
    when that ran there again: all that came between, and what the queue
    held."""
    scenario = stage.scenario
    if scenario.completes or not any(
            max(_begins_us(entry, "shipping"), default=0) >=
            entry.get("resume-us", math.inf) for entry in
            _switchovers(stage) if entry["side"] == "source"):
        return 0
    return (scenario.txqueuelen[0] + 63) * scenario.queues + sum(
        verdict.stop_ns <= time_ns <= verdict.resume_ns
        for time_ns, _, _ in log_records(stage.network.log))


def _unseen(stage: Stage, book: "_Book", lost: List[int]) -> int:
    """So many of the lost frames came before the source's daemon was armed: a
    guest that is too slow may leave them in a queue until it stops, and
    nobody knows of them.  Of identical ones it can't be told which they
    were."""
    if not stage.scenario.has("busy-arm"):
        return 0
    armed_us = max((begin for entry in _switchovers(stage)
                    if entry["side"] == "source"
                    for begin in _begins_us(entry, "armed")), default=0)
    return sum(book.is_identical(number) or
               book.sent[number][0] < armed_us * 1000 - _offset_ns()
               for number in lost)


def _most_lost(scenario: Scenario) -> float:
    """So many frames may be lost."""
    faults = scenario.faults
    if scenario.has("kill-source") and not faults & (SLOW | NOT_FOUND):
        # The VMM took them around the stop.
        return sum(attempt.swallow + attempt.later
                   for attempt in scenario.attempts)
    return math.inf if faults & LOSSY else 0


def _most_repeats(stage: Stage, verdict: Verdict) -> int:
    """So many frames may come twice in all."""
    scenario = stage.scenario
    stops = sum(attempt.outcome != "cancelled-before"
                for attempt in scenario.attempts)
    # One that was armed so late, or had to wait so long then, that it could
    # not learn the used index, is as one that is not told it.
    counters = {"counters"} if scenario.has("auto-arm") and \
        verdict.method == "counters" else set()
    return stops * repeats_allowed(
        scenario.faults | counters,
        scenario.txqueuelen[0] * scenario.queues) + _unheard(stage, verdict)


def _hidden(stage: Stage, verdict: Verdict) -> int:
    """So many repeats may not be seen, since an identical frame that came
    twice stands for another that did not come."""
    return _most_repeats(stage, verdict) \
        if stage.scenario.has("identical") else 0


def _set_merged_apart(stage: Stage, verdict: Verdict, lost: List[int]
                      ) -> List[int]:
    """Of the lost frames those that are not one of two that are the same and
    have no third: of each kind the first that was carried, which the
    destination counts as a copy of the first that the network brought."""
    if not stage.destination.daemon:
        return lost
    excess = len(lost) - sum(_dropped_by_both(stage).values())
    # A daemon that was killed has counted some as well.
    copies = stage.destination.counters()["duplicate"] + \
        stage.lost_counters.get(stage.destination.name, {}).get("duplicate", 0)
    most = min(copies, max(0, excess))
    flows = {stage.frames[each].flow: each for each in lost
             if stage.frames[each].flow.startswith("identical")}
    merged = list(flows.values())[:most]
    verdict.merged = len(merged)
    return [each for each in lost if each not in merged]


def _set_unknown_apart(stage: Stage, book: _Book, repeats: List[int]
                       ) -> List[int]:
    """Of the frames that came twice those that the network did not deliver
    to both hosts before a new daemon looked at the destination's TAP: what
    the last one had seen there it took along."""
    back_ns = stage.back_ns.get(stage.destination.name, 0) + ORDER_SLACK_NS
    if stage.destination.name not in stage.back_ns:
        return repeats
    return [number for number in repeats
            if book.sent[number][0] > back_ns or
            book.sent[number][1] != SOURCE | DESTINATION]


def _counts_missing(stage: Stage) -> bool:
    """Is it known how many frames were lost with a source's daemon?  Not what
    a guest that resumes there has lost, or one so slow that it lost some while
    that daemon lived."""
    return bool(_missing(stage)) and \
        not stage.scenario.faults & (SLOW | {*ABORTED})


def _check_books(stage: Stage, verdict: Verdict, unseen: int) -> None:
    """What the daemons have counted; nobody knows of so many that are
    ``unseen``."""
    dropped = _dropped_by_both(stage)
    switchovers = _switchovers(stage)
    changed = sum(entry.get("tap-queue", {}).get("lost", 0)
                  for entry in switchovers)
    if changed:
        dropped["by a change of txqueuelen"] = changed
    source, target = stage.source.counters(), stage.destination.counters()
    verdict.counted = sum(dropped.values())
    verdict.carried = target["out_netdev"]
    hidden = _hidden(stage, verdict)
    may_lose = stage.scenario.faults & LOSSY
    # Where a full queue makes it uncertain which frames were dropped, those
    # that come twice stand for others that did not come.
    unsure = verdict.repeated if stage.scenario.faults & {
        "slow-stop", "busy-arm", "multi-queue"} else 0
    if stage.scenario.faults & {"flood", "stale"}:
        # The network may have brought these as well.
        hidden += sum(_missing(stage))
    if not -hidden <= verdict.lost - verdict.counted <= unsure + unseen and (
            not stage.scenario.has("kill-source") or
            _counts_missing(stage)):
        verdict.reasons.append(
            f"{verdict.lost} lost, but counted as dropped: {dropped or 0} "
            f"({verdict.examples})")
    elif verdict.lost and not may_lose:
        verdict.reasons.append(f"lost, though counted: {dropped}")
    for entry in switchovers:
        queue = dict(entry.get("tap-queue", {"drained": 0}))
        fates = sum(queue.get(name, 0) for name in (
            "stale", "put-back", "refused", "waiting"))
        if queue["drained"] != fates:
            verdict.reasons.append(f"drained is not what became of it: "
                                   f"{queue}")
    if not stage.scenario.faults & {"auto-arm", "kill-source"}:
        _check_delivered(stage, verdict, source)


def _check_delivered(stage: Stage, verdict: Verdict, source: Counters
                     ) -> None:
    """The source counts as delivered what its guest got, but for what is
    shipped again all the same."""
    got = stage.source.vmm.count()
    counted = source["delivered"] + source["reinjected"]
    hidden = _hidden(stage, verdict) + verdict.merged
    if not counted <= got <= counted + verdict.repeated + hidden:
        verdict.reasons.append(
            f"the source counts {source['delivered']} delivered and "
            f"{source['reinjected']} reinjected, its guest got {got} "
            f"({verdict.repeated} repeats)")


def slowest_delivery(stage: Stage, stop_ns: int) -> float:
    """How long a frame took to the guest before it first stopped, at the
    most, in seconds; 0 where the guest is to be slow."""
    if stage.scenario.faults & SLOW:
        return 0.0
    sent = {key: time_ns for (time_ns, _, _), frame in
            zip(log_records(stage.network.log), stage.frames)
            for key in frame.keys() if not frame.flow.startswith("identical")}
    return max((got.time_ns - sent[key] for got in stage.source.vmm.got()
                if got.time_ns < stop_ns
                for key in keys_of(got.vnet, got.data) if key in sent),
               default=0) / 1e9


def check(stage: Stage, verdict: Verdict, mode: str) -> None:
    """Fill in the verdict."""
    book = _Book(stage, verdict)
    for end in stage.ends:
        for got in end.vmm.got():
            book.take(got, end is stage.destination)
    lost = book.lost()
    repeats = book.repeats()
    lost = _set_merged_apart(stage, verdict, lost)
    verdict.lost, verdict.repeated = len(lost), len(repeats)
    verdict.reordered = book.late
    if mode != "tapferry":
        return
    scenario = stage.scenario
    verdict.method = next((entry["method"] for entry in _switchovers(stage)
                           if "method" in entry), "")
    verdict.examples = _some([book.name(number) for number in lost])
    # Of identical frames it can't be told which of them were lost.
    back_ns = stage.back_ns.get(stage.source.name, 0)
    # The TAP of a VMM that has ended goes with the daemon that kept it.
    end_ns = stage.quit_ns or math.inf
    late = [number for number in lost if back_ns and
            back_ns < book.sent[number][0] < end_ns and
            not stage.frames[number].flow.startswith("identical")]
    if late and not scenario.faults & (SLOW | {"overflow"}):
        verdict.reasons.append(
            f"{len(late)} lost with a new daemon at the source: "
            f"{_some([book.name(number) for number in late])}")
    if len(lost) > _most_lost(scenario):
        verdict.reasons.append(f"{len(lost)} lost: {verdict.examples}")
    repeats = _set_unknown_apart(stage, book, repeats)
    if len(repeats) > _most_repeats(stage, verdict):
        verdict.reasons.append(
            f"{len(repeats)} repeated: "
            f"{_some([book.name(n) for n in repeats])}")
    if book.aliens:
        verdict.reasons.append(
            f"{len(book.aliens)} never sent: {_some(book.aliens)}")
    if book.wrong:
        verdict.reasons.append(
            f"{len(book.wrong)} out of order: {_some(book.wrong)}")
    if len(book.sent) == len(stage.frames):
        verdict.reasons.append("the network ran out of frames")
    if stage.source.daemon and stage.destination.daemon:
        _check_books(stage, verdict, _unseen(stage, book, lost))


__all__ = ["Verdict", "check", "DESTINATION", "SOURCE"]
