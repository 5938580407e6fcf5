# SPDX-License-Identifier: BSD-2-Clause
"""The benchmark measures: each section once, for a moment.  How fast
anything is does not matter here; that all arrive where they are counted
does."""

import json
import os
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any, Dict

import pytest

from bench.backlog import FRAMES_BRIEF, PEERS
from bench.comparisons import COMPARISONS
from bench.figures import ratio, short
from bench.goals import goals_text
from bench.instructions.run import compare
from bench.latency import LINKS, RATES
from bench.traffic import KINDS, ROADS
from lab.errors import Unavailable
from lab.paths import TOP, Paths


def run(section: str, directory: Path) -> Dict[str, Any]:
    """What a section stores; frames without a place make it fail."""
    done = subprocess.run(
        [sys.executable, "-m", "bench", section], cwd=TOP / "tests",
        env={**os.environ, "ROUNDS": "1", "SECONDS": "0.2", "FULL": "",
             "OUTPUT": str(directory)},
        text=True, check=False, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, timeout=600)
    assert done.returncode == 0, done.stdout
    stored: Dict[str, Any] = json.loads(
        (directory / "bench.json").read_text(encoding="utf-8"))
    ElementTree.parse(directory / "bench.svg")
    found: Dict[str, Any] = stored[section]
    return found


@pytest.fixture(name="guest", scope="module")
def fixture_guest() -> None:
    """The guest that QEMU's filters need."""
    try:
        Paths().prepare()
    except Unavailable as why:
        pytest.skip(str(why))


def test_path(guest: None, tmp_path: Path) -> None:
    """Everybody carries, and those who keep an account have it right."""
    del guest
    found = run("path", tmp_path)
    for comparison in COMPARISONS:
        if comparison.full:
            continue
        peers = found[comparison.name]
        assert set(peers) == set(comparison.peers)
        for name, figures in peers.items():
            sample, = figures["rounds"]
            assert 0 < sample["delivered"] <= sample["sent"], name
            assert figures["pps"]["median"] > 0, name
    ours, = found["64 B, unix"]["tapferry"]["rounds"]
    assert ours["unaccounted"] == 0
    assert set(ours["cpu_us"]) == {"source", "sink"}


def test_latency(tmp_path: Path) -> None:
    """Times at each rate, in their order."""
    found = run("latency", tmp_path)
    peers = {name for each in LINKS.values() for name in each}
    assert set(found) == {str(rate) for rate in RATES}
    for rates in found.values():
        assert set(rates) == peers
        for figures in rates.values():
            assert 0 < figures["p50"]["median"] <= \
                figures["p99"]["median"] <= figures["p99.9"]["median"]


def test_backlog(tmp_path: Path) -> None:
    """Every frame of it reaches the guest."""
    found = run("backlog", tmp_path)
    peers = found[str(FRAMES_BRIEF)]
    assert set(peers) == set(PEERS)
    assert all(peer["seconds"]["low"] > 0 for peer in peers.values())


def test_many(tmp_path: Path) -> None:
    """The curve begins."""
    found = run("many", tmp_path)
    assert set(found) == {"1", "10"}
    assert found["10"]["rss_mib"] > found["1"]["rss_mib"] > 0


def test_instructions() -> None:
    """What has moved is marked, what is new is told."""
    text = compare({"same": 100.0, "moved": 110.0, "fresh": 5.0},
                   {"same": 101.0, "moved": 100.0})
    marks = {line.split()[0]: line.split()[4:]
             for line in text.splitlines()[1:]}
    assert marks == {"same": [], "moved": ["changed"], "fresh": ["new"]}


def test_traffic(guest: None, tmp_path: Path) -> None:
    """iperf3 gets through past every daemon."""
    del guest
    found = run("traffic", tmp_path)
    assert set(found) == {f"{road}, {kind}" for road in ROADS
                          for kind in KINDS}
    for cases in found.values():
        assert {"without", "mirror", "capturing"} <= set(cases)
        assert all(case["rate"]["low"] > 0 for case in cases.values())


def test_figures() -> None:
    """Numbers as people read them, and ratios of medians."""
    assert [short(value) for value in (0, 0.01234, 0.996, 1.5, 99.96,
                                       1234.5, 1e6)] == \
        ["0", "0.0123", "0.996", "1.5", "100", "1,230", "1,000,000"]
    spread = ratio([2.0, 6.0, 4.0], [1.0, 2.0, 4.0])
    assert (spread.median, spread.low, spread.high) == (2.0, 1.0, 3.0)


def test_goals() -> None:
    """What was not measured is left out; a bound is a bound."""
    stored = {"many": {"1": {"rss_mib": 9.0}, "1000": {"rss_mib": 200.0}},
              "backlog": {"100000": {}}}
    assert [line.split()[-1] for line in
            goals_text(stored).splitlines()[1:]] == ["yes", "no"]
    assert not goals_text({})
