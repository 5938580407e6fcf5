# SPDX-License-Identifier: BSD-2-Clause
"""Several runs added up: the demo's table, its sentence and its verdict.

Nothing here knows what ought to come out; every word follows from the
figures.
"""

import dataclasses
from typing import Callable, List, Optional, Sequence, Tuple

from .result import Result


@dataclasses.dataclass(frozen=True)
class Column:
    """Runs of one kind: counts added up, times the longest."""

    runs: int
    sent: int
    lost: int
    lost_elsewhere: int
    duplicated: int
    reordered: int
    longest_gap_ms: float
    downtime_ms: float
    pings_sent: int
    pings_lost: int
    carried: Optional[int]


def add_up(results: Sequence[Result]) -> Column:
    """One column of the table."""
    carried = [result.carried for result in results
               if result.carried is not None]
    return Column(
        runs=len(results),
        sent=sum(result.stream.sent for result in results),
        lost=sum(result.stream.lost for result in results),
        lost_elsewhere=sum(result.lost_elsewhere for result in results),
        duplicated=sum(result.stream.duplicated for result in results),
        reordered=sum(result.stream.reordered for result in results),
        longest_gap_ms=max(result.stream.longest_gap_ms
                           for result in results),
        downtime_ms=max(result.downtime_ms or 0.0 for result in results),
        pings_sent=sum(result.pings.sent for result in results),
        pings_lost=sum(result.pings.lost for result in results),
        carried=sum(carried) if carried else None)


_ROWS: Tuple[Tuple[str, Callable[[Column], str]], ...] = (
    ("packets sent", lambda column: f"{column.sent:,}"),
    ("lost", lambda column: f"{column.lost:,}"),
    ("duplicated", lambda column: f"{column.duplicated:,}"),
    ("out of order", lambda column: f"{column.reordered:,}"),
    ("longest gap", lambda column: f"{column.longest_gap_ms:.0f} ms"),
    ("pings lost",
     lambda column: f"{column.pings_lost} of {column.pings_sent}"),
    ("VM downtime", lambda column: f"{column.downtime_ms:.0f} ms"),
    ("frames carried", lambda column:
     "–" if column.carried is None else f"{column.carried:,}"),
)


def rows(without: Column, with_: Column) -> List[Tuple[str, str, str]]:
    """The table: a name, without and with tapferry."""
    return [(name, show(without), show(with_)) for name, show in _ROWS]


def table(without: Column, with_: Column) -> str:
    """The table as text."""
    lines = [("", "without tapferry", "with tapferry"),
             *rows(without, with_)]
    widths = [max(len(line[i]) for line in lines) for i in range(3)]
    text = [f"  {name:<{widths[0]}}  {a:>{widths[1]}}  {b:>{widths[2]}}"
            for name, a, b in lines]
    text.insert(1, "  " + "  ".join("─" * width for width in widths))
    if with_.runs > 1:
        text.append(f"  ({with_.runs} migrations each: counts added up, "
                    "times the longest)")
    return "\n".join(text)


def _packets(number: int) -> str:
    return f"{number:,} packet" + ("" if number == 1 else "s")


def _frames(number: int) -> str:
    return f"{number:,} frame" + (" was" if number == 1 else "s were")


def _losses(column: Column) -> str:
    if column.lost == 0:
        text = f"none of {_packets(column.sent)} was lost"
    else:
        verb = "was" if column.lost == 1 else "were"
        text = f"{column.lost:,} of {_packets(column.sent)} {verb} lost"
    if column.lost_elsewhere:
        text += (f" ({column.lost_elsewhere:,} of them away from the "
                 "switchover)")
    if column.duplicated:
        verb = "was" if column.duplicated == 1 else "were"
        text += f" and {_packets(column.duplicated)} {verb} answered twice"
    if column.reordered:
        text += f", {column.reordered:,} came after later ones"
    return text


def unbalanced(results: Sequence[Result]) -> List[str]:
    """The accounts that do not balance, in words."""
    return [f"the {each.side}'s account does not balance: "
            f"{_packets(each.received)} came in, {each.accounted:,} are "
            "accounted for"
            for result in results for each in result.ledgers
            if not each.balanced]


def sentence(without: Sequence[Result], with_: Sequence[Result]) -> str:
    """What was seen, in one sentence."""
    a, b = add_up(without), add_up(with_)
    up_to = "up to " if a.runs > 1 else ""
    text = (f"Without tapferry {_losses(a)} while the guest stood still for "
            f"{up_to}{a.downtime_ms:.0f} ms; with tapferry {_losses(b)} "
            f"(downtime {up_to}{b.downtime_ms:.0f} ms), "
            f"{_frames(b.carried or 0)} carried across")
    faults = unbalanced(with_)
    text += "; " + "; ".join(faults) if faults else \
        ", and every frame is accounted for on both sides"
    return text + "."


def passed(with_: Sequence[Result]) -> bool:
    """Did every run with tapferry come out clean?"""
    return bool(with_) and all(result.clean and len(result.ledgers) == 2
                               for result in with_)


def facts(result: Result) -> str:
    """What the runs had in common."""
    scenario, machine = result.scenario, result.scenario.machine
    return (f"{scenario.pps:,} packets/s of {scenario.size} bytes to a "
            f"{machine.memory_mb} MB guest that keeps writing to "
            f"{machine.dirty_mb} MB; QEMU {result.environment['qemu']} "
            f"({machine.accelerator}), Linux "
            f"{result.environment['kernel']}, "
            f"{result.environment['cpus']} CPUs.")
