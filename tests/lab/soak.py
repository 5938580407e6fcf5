#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""The laboratory's soak: many live migrations of a real guest, one in three
of them cancelled, each of them judged.

Environment: COUNT migrations (24), RATES packets a second ("1000 3000"),
SIZES of a frame in bytes ("64 1500"), MODE (tapferry; none or replay to
compare, which are measured and not judged).  Leaves a line of JSON for each
in build/soak-MODE.json.

A run is tried again, twice at the most, where the guest died or the machine
was so busy that the stream itself stood still and frames were lost away from
the switchover.  Exit status 0: nothing was lost, nothing came twice and every
frame is accounted for; 1: something was not; 2: it could not be carried out.
"""

import json
import os
import sys
import time
from pathlib import Path
from typing import List

if __package__ in (None, ""):
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

# pylint: disable=wrong-import-position
from lab.errors import GuestError, LabError  # noqa: E402
from lab.migration import run  # noqa: E402
from lab.paths import Paths  # noqa: E402
from lab.plan import Planned, plan  # noqa: E402
from lab.process import Interrupted, interruptible  # noqa: E402
from lab.result import MODES, Result, Scenario  # noqa: E402

# So long the guest stands still before a migration is cancelled.
PAUSE_MS = 100


# The sender stood still for so long: the machine is overloaded.
SLIPPED_MS = 50
TRIES = 3


def _numbers(name: str, default: str) -> List[int]:
    text = os.environ.get(name) or default
    if not all(word.isdigit() and int(word) for word in text.split()):
        raise LabError(f"{name} must be positive numbers, not '{text}'")
    return [int(word) for word in text.split()]


def _settings() -> List[Planned]:
    mode = os.environ.get("MODE") or "tapferry"
    if mode not in MODES:
        raise LabError(f"MODE must be one of {', '.join(MODES)}")
    count, = _numbers("COUNT", "24")
    return plan(mode, count, _numbers("RATES", "1000 3000"),
                _numbers("SIZES", "64 1500"))


def _run(planned: Planned, paths: Paths) -> Result:
    scenario = Scenario(
        mode=planned.mode, action=planned.action, pps=planned.pps,
        size=planned.size,
        pause_ms=PAUSE_MS if planned.action == "cancel-stopped" else 0)
    why = ""
    for _ in range(TRIES):
        try:
            result = run(scenario, paths)
        except GuestError as error:
            why = str(error)
        else:
            if not result.lost_elsewhere or \
                    result.stream.slipped_ms < SLIPPED_MS:
                return result
            why = f"the stream stood still for {result.stream.slipped_ms} ms"
        print(f"     {planned}: {why}; again", flush=True)
    raise GuestError(why)


def faults(result: Result) -> List[str]:
    """What is wrong with a run with tapferry.  A ping without an answer may
    just not have waited for it."""
    stream, pings = result.stream, result.pings
    found = [f"{number:,} {what}" for number, what in (
        (stream.lost, "lost"), (stream.duplicated, "twice"),
        (pings.duplicated, "pings twice"))
        if number]
    found += [f"the {each.side}'s ledger does not balance"
              for each in result.ledgers if not each.balanced]
    if len(result.ledgers) != 2:
        found.append("a side has no ledger")
    return found


def _line(number: int, planned: Planned, result: Result,
          wrong: List[str]) -> str:
    stream = result.stream
    return (f"{number:>3}  {planned.action:<14} {planned.pps:>5}/s "
            f"{planned.size:>4} B  downtime {result.downtime_ms or 0:>6.1f} "
            f"ms  sent {stream.sent:>6,}  lost {stream.lost:>4,}  twice "
            f"{stream.duplicated:>3,}  carried {result.carried or 0:>5,}  "
            f"{'; '.join(wrong) if wrong else 'ok'}")


def _carry_out(runs: List[Planned], paths: Paths) -> int:
    mode = runs[0].mode
    log = paths.build / f"soak-{mode}.json"
    log.unlink(missing_ok=True)
    failed = sent = lost = twice = 0
    begin = time.monotonic()
    for number, planned in enumerate(runs, 1):
        result = _run(planned, paths)
        wrong = faults(result) if mode == "tapferry" else ["not judged"]
        failed += mode == "tapferry" and bool(wrong)
        sent += result.stream.sent
        lost += result.stream.lost
        twice += result.stream.duplicated
        print(_line(number, planned, result, wrong), flush=True)
        with open(log, "a", encoding="utf-8") as file:
            print(json.dumps(result.to_json()), file=file)
    print(f"{mode}: {len(runs)} migrations, {failed} failed, {sent:,} sent, "
          f"{lost:,} lost, {twice:,} twice, "
          f"{time.monotonic() - begin:.0f} s; {log}")
    return 1 if failed else 0


def main() -> int:
    """The soak."""
    paths = Paths()
    try:
        runs = _settings()
        with interruptible():
            paths.prepare()
            return _carry_out(runs, paths)
    except LabError as error:
        print(f"soak: {error}", file=sys.stderr)
        return 2
    except Interrupted as interrupted:
        return 128 + interrupted.number


if __name__ == "__main__":
    sys.exit(main())
