# SPDX-License-Identifier: BSD-2-Clause
"""The laboratory's own arithmetic and words."""

import dataclasses
import sys
from pathlib import Path
from typing import List, Optional, Sequence

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

# pylint: disable=wrong-import-position
from lab import summary  # noqa: E402
from lab.daemon import Ledger, ledger  # noqa: E402
from lab.plan import Planned, plan  # noqa: E402
from lab.result import Result, Scenario, lost_ranges  # noqa: E402
from lab.superframes import account  # noqa: E402
from lab.traffic import (Packet, PingResult, StreamResult,  # noqa: E402
                         account_pings)

STOP, RESUME = 1000.0, 1000.1
BALANCED = [Ledger("source", 5, 5, {"in_netdev": 5}),
            Ledger("destination", 2, 2, {"indev": 2})]


def make_result(lost: Sequence[int] = (), twice: Sequence[int] = (),
                ledgers: Optional[List[Ledger]] = None) -> Result:
    """400 packets, one per millisecond, the first 200 ms before the stop."""
    packets = []
    for number in range(400):
        sent = STOP - 0.2 + number / 1000
        replies = 0 if number in lost else 2 if number in twice else 1
        packets.append(Packet(number, sent, sent + 0.001 if replies else None,
                              replies))
    stream = StreamResult(400, len(lost), len(twice), 0, 100.0, 0, 0.0,
                          (1.0, 1.0, 1.0), packets)
    return Result(
        mode="tapferry", action="migrate", scenario=Scenario(),
        environment={"qemu": "7.2.0", "kernel": "6.1", "cpus": "2"},
        stream=stream, pings=PingResult(20, 0, 0, 50.0), started=STOP - 0.1,
        stopped=STOP, resumed=RESUME, migration={},
        lost_ranges=lost_ranges(stream, STOP), carried=2,
        ledgers=ledgers if ledgers is not None else list(BALANCED))


def test_ledger_adds_up_fates_and_drops() -> None:
    """Only the fates of the side and the drops count."""
    counters = {"indev": 0, "outdev": 3, "in_netdev": 10, "delivered": 5,
                "pending": 1, "queued": 0, "held": 7, "reinjected": 2,
                "dropped-ring": 1}
    stats = {"counters": [{"name": name, "packets": packets, "bytes": 0}
                          for name, packets in counters.items()]}

    assert ledger("source", stats).balanced
    assert ledger("destination", stats).accounted == 8


def test_lost_packets_become_ranges() -> None:
    """Consecutive numbers are one range."""
    ranges = make_result(lost=[200, 201, 202, 390]).lost_ranges

    assert [(each.first, each.last) for each in ranges] == \
        [(200, 202), (390, 390)]
    assert ranges[0].first_ms == 0.0


def test_losses_away_from_the_switchover_are_told_apart() -> None:
    """100 ms before the stop is not the switchover's doing; 100 ms after
    the resume its backlog may be to blame."""
    assert make_result(lost=[100, 210, 399]).lost_elsewhere == 1


def test_a_clean_run_passes() -> None:
    """And the sentence says that nothing was lost."""
    with_, without = make_result(), make_result(lost=range(200, 300))

    assert summary.passed([with_])
    text = summary.sentence([without], [with_])
    assert "100 of 400 packets were lost" in text
    assert "none of 400 packets was lost" in text
    assert "every frame is accounted for" in text


def test_a_lost_packet_fails() -> None:
    """One is enough, and it is said."""
    with_ = make_result(lost=[210])

    assert not summary.passed([make_result(), with_])
    assert "with tapferry 1 of 400 packets was lost" in \
        summary.sentence([with_], [with_])


def test_a_packet_that_came_twice_fails() -> None:
    """Likewise."""
    with_ = make_result(twice=[210])

    assert not summary.passed([with_])
    assert "1 packet was answered twice" in summary.sentence([with_],
                                                             [with_])


def test_an_account_that_does_not_balance_fails() -> None:
    """Likewise; and no account is no proof."""
    wrong = [dataclasses.replace(BALANCED[0], accounted=4), BALANCED[1]]
    with_ = make_result(ledgers=wrong)

    assert not summary.passed([with_])
    assert "the source's account does not balance" in \
        summary.sentence([with_], [with_])
    assert not summary.passed([make_result(ledgers=[])])


def test_pings_are_counted() -> None:
    """The last one may have been on its way when ping was stopped."""
    text = "\n".join([
        "[1.0] 64 bytes from 10.0.0.2: icmp_seq=1 ttl=64 time=0.5 ms",
        "[1.2] 64 bytes from 10.0.0.2: icmp_seq=3 ttl=64 time=0.5 ms",
        "[1.3] 64 bytes from 10.0.0.2: icmp_seq=3 ttl=64 time=9 ms (DUP!)"])
    pings = account_pings(text, sent=4)

    assert (pings.sent, pings.lost, pings.duplicated) == (3, 1, 1)
    assert pings.longest_gap_ms == 200.0


def test_a_plan_has_some_of_everything() -> None:
    """One in three is cancelled; each rate meets each size; and a run's
    text stands for it."""
    runs = plan("tapferry", 24, (200, 400), (64, 1500), 10)

    assert [run.action for run in runs].count("migrate") == 16
    assert {(run.pps, run.size) for run in runs if run.super_pps} == \
        {(200, 64), (200, 1500), (400, 64), (400, 1500)}
    assert [Planned.parse(str(run)) for run in runs] == runs


def test_super_frames_are_accounted_for() -> None:
    """Whole, in pieces, lost and twice; a sequence number may wrap."""
    last = 0xFFFFFF00
    sent = [(0, 3000), (65536, 3000), (131072, 3000), (last, 3000)]
    acknowledged = {3000: 1, 65536 + 1448: 1, 65536 + 3000: 1,
                    last + 3000 - (1 << 32): 2}
    result = account(sent, acknowledged)

    assert (result.sent, result.lost, result.duplicated,
            result.in_pieces) == (4, 1, 1, 1)
