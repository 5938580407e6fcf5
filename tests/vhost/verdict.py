# SPDX-License-Identifier: BSD-2-Clause
"""What one migration in the outer machine proves.

An emulated machine inside an emulated machine breaks now and then: an inner
guest dies, does not boot, or no longer keeps up with the stream.  Such a run
says nothing about tapferry and is ``BROKEN``: it is tried again in a fresh
outer machine.  A frame that is missing in a run that was healthy up to its
stop is a ``FAILED`` one, and nothing tries that again.
"""

import dataclasses
import enum
from typing import Any

# Frames lost earlier than this before the stop were lost by a guest that was
# overloaded or dead, not by the migration.
HEALTHY_BEFORE_STOP_MS = 500

# What comes again at most (docs/switchover.md).
OVERLAP = 8

_NO_FRAMES = {"lost": 0, "duplicated": 0, "in_pieces": 0}

# What the laboratory raises when it is tapferryd that has failed.
_OUR_ERRORS = ("DaemonError",)

# What it says when a guest fell silent after the migration.  That may be
# the emulation's fault, or tapferryd's.
SILENT_AFTERWARDS = "the guest does not answer at the end"

Record = dict[str, Any]


class Kind(enum.Enum):
    """How a run counts."""

    GOOD = "good"
    FAILED = "FAILED"
    BROKEN = "broken"


@dataclasses.dataclass(frozen=True)
class Verdict:
    """How a run counts, and why."""

    kind: Kind
    reasons: tuple[str, ...] = ()

    def __str__(self) -> str:
        return ": ".join([self.kind.value, *filter(None, [
            "; ".join(self.reasons)])])


def judge(record: Record) -> Verdict:
    """Judge a run by the record that the outer machine sent of it."""
    if "result" not in record:
        return _judge_error(record)
    result = record["result"]
    early = sum(lost["last"] - lost["first"] + 1
                for lost in result["lost_ranges"] if _is_early(lost))
    if early:
        return Verdict(Kind.BROKEN, (
            f"{early} frames lost long before the stop: overload",))
    reasons = _reasons(record, result)
    return Verdict(Kind.FAILED if reasons else Kind.GOOD, tuple(reasons))


def _judge_error(record: Record) -> Verdict:
    error, message = record["error"], record["message"]
    ours = error in _OUR_ERRORS or (
        record["mode"] == "tapferry" and message == SILENT_AFTERWARDS)
    return Verdict(Kind.FAILED if ours else Kind.BROKEN,
                   (f"{error}: {message}",))


def _is_early(lost: Record) -> bool:
    first = lost["first_ms"]
    return first is not None and first < -HEALTHY_BEFORE_STOP_MS


def _reasons(record: Record, result: Record) -> list[str]:
    """What is wrong with a run that was carried out."""
    stream = result["stream"]
    reasons = []
    if record["vhost_started"] is not True:
        reasons.append("vhost was not running")
    if record["mode"] == "none":
        if not stream["lost"]:
            reasons.append("nothing was lost without help, so this run "
                           "can't show what tapferry carries")
        return reasons
    large = result.get("super_frames") or _NO_FRAMES
    reasons += [f"{each['lost']} {what} lost" for what, each in (
        ("frames", stream), ("super-frames", large)) if each["lost"]]
    # A ping without an answer may just not have waited for it.
    repeats = {"frames": stream["duplicated"],
               "super-frames": large["duplicated"],
               "pings": result["pings"]["duplicated"]}
    if sum(repeats.values()) > _repeats_allowed(result):
        reasons += [f"{number} {what} duplicated"
                    for what, number in repeats.items() if number]
    if large["in_pieces"]:
        reasons.append(f"{large['in_pieces']} super-frames came in pieces")
    return reasons + _ledger_reasons(
        result["ledgers"], result.get("action", "migrate") == "migrate")


def _repeats_allowed(result: Record) -> int:
    """Where the used index could not tell what the guest got, some frames
    come again."""
    switchover = result.get("reports", {}).get("source", {}).get(
        "switchover") or {}
    return OVERLAP if switchover.get("method") == "counters" else 0


def _ledger_reasons(ledgers: list[Record], moved: bool) -> list[str]:
    """What is wrong with the two daemons' accounts."""
    if [each["side"] for each in ledgers] != ["source", "destination"]:
        return ["the accounts of both sides are not there"]
    reasons = [f"the {each['side']}'s ledger does not balance: "
               f"{each['received']} frames in, {each['accounted']} accounted"
               for each in ledgers if not each["balanced"]]
    shipped = ledgers[0]["counters"].get("outdev")
    arrived = ledgers[1]["counters"].get("indev")
    if shipped != arrived:
        reasons.append(f"{shipped} frames shipped, {arrived} arrived")
    if moved and not shipped:
        reasons.append("nothing was shipped")
    return reasons
