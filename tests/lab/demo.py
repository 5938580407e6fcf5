#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""The demo: a real guest, live-migrated between two network namespaces
under a packet stream, without tapferry and then with it.

Environment: RATE packets a second (1000), SIZE of a frame in bytes (64),
RUNS migrations of each kind (1), DEMO_DIR for the reports (build/demo):
what ``tapferry report`` makes of both hosts of the last migration, and
measured.json, all that was seen of each packet.

Exit status 0: with tapferry nothing was lost, nothing came twice and every
frame is accounted for; 1: something was not; 2: the demo could not be
carried out; 128 + N: ended by signal N.
"""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Dict, List

if __package__ in (None, ""):
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

# pylint: disable=wrong-import-position
from lab.errors import LabError  # noqa: E402
from lab.migration import run_patiently  # noqa: E402
from lab.paths import Paths  # noqa: E402
from lab.process import Interrupted, interruptible  # noqa: E402
from lab.result import Result, Scenario  # noqa: E402
from lab.summary import (add_up, facts, passed,  # noqa: E402
                         sentence, table)

_TITLES = {"none": "without tapferry", "tapferry": "with tapferry"}
Results = Dict[str, List[Result]]


def _number(name: str, default: int, low: int, high: int) -> int:
    text = os.environ.get(name) or str(default)
    if not text.isdigit() or not low <= int(text) <= high:
        raise LabError(f"{name} must be {low}..{high}, not '{text}'")
    return int(text)


class _Progress:
    """Lines that say how far it is."""

    def __init__(self) -> None:
        self._start = time.monotonic()
        self.prefix = ""

    def __call__(self, text: str) -> None:
        elapsed = time.monotonic() - self._start
        print(f"  {elapsed:5.1f} s  {self.prefix}{text}", flush=True)


def _outcome(result: Result) -> str:
    return (f"{result.stream.lost:,} of {result.stream.sent:,} lost, "
            f"{result.stream.duplicated:,} twice, downtime "
            f"{result.downtime_ms or 0:.0f} ms")


def _carry_out(paths: Paths) -> Results:
    rate = _number("RATE", 1000, 1, 100000)
    size = _number("SIZE", 64, 58, 1514)
    runs = _number("RUNS", 1, 1, 1000)
    say = _Progress()
    results: Results = {mode: [] for mode in _TITLES}
    if not paths.tapferryd.exists():
        raise LabError(f"no daemon at {paths.tapferryd}: run make first")
    say("preparing the guest")
    paths.prepare()
    for number in range(1, runs + 1):
        for mode in _TITLES:
            count = f" {number}/{runs}" if runs > 1 else ""
            say.prefix = f"{_TITLES[mode]}{count}: "
            result = run_patiently(
                Scenario(mode=mode, pps=rate, size=size), paths, say)
            say(_outcome(result))
            results[mode].append(result)
    return results


def _report(paths: Paths, result: Result, directory: Path) -> str:
    """Have ``tapferry report`` tell of both hosts together."""
    sides = []
    for name, side in result.reports.items():
        path = directory / f"{name}.json"
        path.write_text(json.dumps({"sides": [side]}), encoding="utf-8")
        sides.append(path)
    for words, name in (((), "report.txt"), (("--json",), "report.json")):
        done = subprocess.run(
            [paths.tapferry, "report", *sides, *words, "--html",
             directory / "report.html"], text=True, check=False, timeout=30,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        if done.returncode:
            raise LabError(f"tapferry report: {done.stderr.strip()}")
        (directory / name).write_text(done.stdout, encoding="utf-8")
    return (directory / "report.txt").read_text(encoding="utf-8")


def _write_reports(paths: Paths, results: Results, directory: Path) -> str:
    """Leave the reports, return the text for the terminal."""
    without, with_ = results["none"], results["tapferry"]
    text = "\n".join([table(add_up(without), add_up(with_)), "",
                      sentence(without, with_), facts(with_[0])])
    directory.mkdir(parents=True, exist_ok=True)
    told = _report(paths, with_[-1], directory)
    (directory / "report.txt").write_text(f"{text}\n\n{told}",
                                          encoding="utf-8")
    (directory / "measured.json").write_text(json.dumps({
        "passed": passed(with_),
        "sentence": sentence(without, with_),
        "runs": {_TITLES[mode]: [result.to_json(packets=True)
                                 for result in results[mode]]
                 for mode in _TITLES}}) + "\n", encoding="utf-8")
    return text


def main() -> int:
    """The whole demo."""
    paths = Paths()
    directory = Path(os.environ.get("DEMO_DIR") or paths.build / "demo")
    print("A guest is live-migrated while packets stream to it.", flush=True)
    try:
        with interruptible():
            results = _carry_out(paths)
            text = _write_reports(paths, results, directory)
    except LabError as error:
        print(f"demo: {error}", file=sys.stderr)
        return 2
    except Interrupted as interrupted:
        print("demo: interrupted", file=sys.stderr)
        return 128 + interrupted.number
    print(f"\n{text}\n\n"
          f"Reports: {directory}/report.html, report.txt, report.json")
    return 0 if passed(results["tapferry"]) else 1


if __name__ == "__main__":
    sys.exit(main())
