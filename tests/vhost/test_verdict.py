# SPDX-License-Identifier: BSD-2-Clause
"""Which runs prove something: ``verdict.judge``."""

import copy
import inspect
from typing import Any

import pytest

from lab import migration
from vhost.verdict import SILENT_AFTERWARDS, Kind, Record, judge

ACCOUNT = {"lost": 0, "duplicated": 0}
GOOD: Record = {
    "mode": "tapferry", "vhost_started": True,
    "result": {
        "stream": dict(ACCOUNT), "pings": dict(ACCOUNT),
        "lost_ranges": [],
        "ledgers": [
            {"side": "source", "balanced": True, "received": 9,
             "accounted": 9, "counters": {"outdev": 5}},
            {"side": "destination", "balanced": True, "received": 5,
             "accounted": 5, "counters": {"indev": 5}}]}}


def changed(*path: Any, value: Any) -> Record:
    """A good record with one value changed."""
    record = copy.deepcopy(GOOD)
    target: Any = record
    for key in path[:-1]:
        target = target[key]
    target[path[-1]] = value
    return record


def repeated(frames: int, method: str) -> Record:
    """A record of a run with super-frames that got some frames twice."""
    record = changed("result", "stream", "duplicated", value=frames)
    record["result"]["super_frames"] = {"lost": 0, "duplicated": 1,
                                        "in_pieces": 0}
    record["result"]["reports"] = {
        "source": {"switchover": {"method": method}}}
    return record


def lost(first_ms: float, frames: int, mode: str = "tapferry") -> Record:
    """A record of a run that lost frames in a row."""
    record = changed("mode", value=mode)
    record["result"]["stream"]["lost"] = frames
    record["result"]["lost_ranges"] = [{
        "first": 100, "last": 99 + frames, "first_ms": first_ms,
        "last_ms": first_ms + 1}]
    return record


def test_nothing_lost_is_good() -> None:
    assert judge(GOOD).kind is Kind.GOOD


@pytest.mark.parametrize("record, reason", [
    (lost(-8.0, 1), "1 frames lost"),
    (lost(-499.0, 1), "1 frames lost"),
    (lost(300.0, 7), "7 frames lost"),
    (changed("result", "stream", "duplicated", value=2),
     "2 frames duplicated"),
    (changed("result", "pings", "duplicated", value=1),
     "1 pings duplicated"),
    (repeated(7, "used-index"), "7 frames duplicated"),
    (repeated(8, "counters"), "1 super-frames duplicated"),
    (changed("vhost_started", value=False), "vhost was not running"),
    (changed("vhost_started", value=None), "vhost was not running"),
    (changed("result", "ledgers", 0, "balanced", value=False),
     "the source's ledger does not balance: 9 frames in, 9 accounted"),
    (changed("result", "ledgers", value=[]),
     "the accounts of both sides are not there"),
    (changed("result", "ledgers", 1, "counters", "indev", value=4),
     "5 frames shipped, 4 arrived"),
    (lost(0.0, 0, mode="none"), "nothing was lost without help"),
    ({"mode": "tapferry", "error": "DaemonError", "message": "it died"},
     "DaemonError: it died"),
    ({"mode": "tapferry", "error": "GuestError",
      "message": SILENT_AFTERWARDS}, SILENT_AFTERWARDS),
])
def test_failures(record: Record, reason: str) -> None:
    verdict = judge(record)
    assert verdict.kind is Kind.FAILED
    assert reason in "; ".join(verdict.reasons)


@pytest.mark.parametrize("record", [
    {"mode": "none", "error": "GuestError", "message": "did not boot"},
    {"mode": "none", "error": "GuestError", "message": SILENT_AFTERWARDS},
    {"mode": "tapferry", "error": "MigrationError", "message": "failed"},
    {"mode": "tapferry", "error": "Overtime", "message": "100 s"},
    lost(-2231.8, 781),
    lost(-2231.8, 781, mode="none"),
])
def test_broken_machines(record: Record) -> None:
    assert judge(record).kind is Kind.BROKEN


def test_repeats_without_the_used_index() -> None:
    assert judge(repeated(7, "counters")).kind is Kind.GOOD


def test_a_ping_may_still_be_under_way() -> None:
    assert judge(changed("result", "pings", "lost", value=3)).kind \
        is Kind.GOOD


def test_without_help_losses_are_expected() -> None:
    assert judge(lost(-8.0, 90, mode="none")).kind is Kind.GOOD


def test_the_laboratory_still_says_so() -> None:
    assert SILENT_AFTERWARDS in inspect.getsource(migration)
