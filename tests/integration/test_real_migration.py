# SPDX-License-Identifier: BSD-2-Clause
"""A real guest is live-migrated under a packet stream.

Without tapferry packets must be lost, or the measurement would prove
nothing; with it none may be, none may come twice, and both daemons must
account for every frame.
"""

import json
import os
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

# pylint: disable=wrong-import-position
from lab.errors import Unavailable  # noqa: E402
from lab.migration import run_patiently  # noqa: E402
from lab.paths import Paths  # noqa: E402
from lab.result import Result, Scenario  # noqa: E402


@pytest.fixture(scope="module", name="paths")
def fixture_paths() -> Paths:
    """The programs and the guest, made if need be."""
    if os.geteuid() != 0:
        pytest.skip("network namespaces need root")
    paths = Paths()
    try:
        paths.prepare()
    except Unavailable as error:
        pytest.skip(str(error))
    return paths


def measure(paths: Paths, **knobs: object) -> Result:
    """One run; prints what it measured, for the case that a test fails."""
    result = run_patiently(Scenario(**knobs), paths)  # type: ignore
    print(json.dumps(result.to_json(), indent=2))
    return result


def counter(result: Result, side: int, name: str) -> int:
    """A counter of the source's (0) or the destination's (1) daemon."""
    return result.ledgers[side].counters[name]


def test_without_tapferry_packets_are_lost(paths: Paths) -> None:
    """The measurement sees losses, and they are those of the stop."""
    result = measure(paths, mode="none")

    assert result.downtime_ms is not None and result.downtime_ms > 0
    assert result.stream.lost >= 1
    assert result.stream.duplicated == 0
    assert result.stream.longest_gap_ms > result.downtime_ms / 2


def test_broadcasts_come_once(paths: Paths) -> None:
    """Each packet reaches both hosts all the time, and what the new TAP's
    queue collects before the stop the guest has had."""
    result = measure(paths, mode="tapferry", broadcast=True, pps=500)

    assert result.stream.lost == 0
    assert result.stream.duplicated == 0
    assert [each.side for each in result.ledgers if not each.balanced] == []


def test_with_tapferry_none_is_lost(paths: Paths) -> None:
    """Nothing lost, nothing twice, every frame accounted for."""
    result = measure(paths, mode="tapferry")

    assert result.stream.lost == 0
    assert result.stream.duplicated == 0
    assert result.pings.lost == 0
    assert [each.side for each in result.ledgers if not each.balanced] == []
    assert counter(result, 0, "outdev") == counter(result, 1, "indev")
    assert result.carried is not None and result.carried >= 1
