# SPDX-License-Identifier: BSD-2-Clause
"""Runs blackouts by their seeds: see README.md.

    python3 tests/blackout --seed 7 --count 100 --jobs 2
"""

import argparse
import concurrent.futures
import json
import multiprocessing
import sys
import time
from pathlib import Path
from typing import Iterator, List, Optional

if __name__ == "__main__" and not __package__:
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
    __package__ = "blackout"  # pylint: disable=redefined-builtin

# pylint: disable=wrong-import-position
from lib.site import sweep_left_overs  # noqa: E402

from .check import LOSSY, Verdict  # noqa: E402
from .faults import FAULTS, KNOWN  # noqa: E402
from .run import MODES, blackout  # noqa: E402
from .scenario import Scenario, draw  # noqa: E402


def command(scenario: Scenario, long: bool = False) -> str:
    """What repeats a blackout."""
    faults = ",".join(sorted(scenario.faults)) or "none"
    return f"/usr/bin/python3 tests/blackout --seed {scenario.seed} " \
           f"--exactly {faults}{' --long' if long else ''}"


def _fault_set(text: str) -> List[str]:
    names = [name for name in text.split(",") if name not in ("", "none")]
    if text == "all":
        return sorted(KNOWN)
    if text == "exact":
        return sorted(name for name in KNOWN - LOSSY
                      if not FAULTS[name].repeats and not FAULTS[name].queue)
    for name in names:
        if name not in KNOWN:
            raise argparse.ArgumentTypeError(f"no fault '{name}'")
    return names


def _arguments(argv: Optional[List[str]]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="blackout", epilog="faults: " + "; ".join(
            f"{name}: {fault.what}" for name, fault in FAULTS.items()))
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count", type=int, default=1)
    parser.add_argument("--repeat", type=int, default=1,
                        help="each so many times")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--long", action="store_true",
                        help="downtimes of up to 30 s")
    parser.add_argument("--allow", type=_fault_set, default=sorted(KNOWN),
                        help="faults that may be drawn, 'all', or 'exact': "
                        "those in which nothing may be lost or come twice")
    parser.add_argument("--want", type=_fault_set, default=[],
                        help="faults that every blackout has")
    parser.add_argument("--exactly", type=_fault_set,
                        help="the faults of every blackout")
    parser.add_argument("--mode", choices=MODES, default="tapferry")
    parser.add_argument("--json", type=Path, help="a line for each")
    parser.add_argument("--verbose", action="store_true",
                        help="what the daemons logged, for each")
    return parser.parse_args(argv)


def _one(scenario: Scenario, mode: str) -> Verdict:
    return blackout(scenario, mode)


def run_all(scenarios: List[Scenario], mode: str, jobs: int
            ) -> Iterator[Verdict]:
    """Run blackouts, several at once, in the order in which they end."""
    if jobs == 1:
        for scenario in scenarios:
            yield _one(scenario, mode)
        return
    with concurrent.futures.ProcessPoolExecutor(
            jobs, multiprocessing.get_context("fork")) as pool:
        futures = [pool.submit(_one, scenario, mode)
                   for scenario in scenarios]
        for future in concurrent.futures.as_completed(futures):
            yield future.result()


def _report(verdict: Verdict, arguments: argparse.Namespace) -> None:
    line = verdict.summary()
    print(f"{'ok  ' if verdict.passed else 'FAIL'} "
          f"seed {line['seed']:<6} sent {line['sent']:<6} "
          f"lost {line['lost']:<4} repeated {line['repeated']:<4} "
          f"reordered {line['reordered']:<4} carried {line['carried']:<6} "
          f"downtime {line['downtime_ms']:>5} ms  {line['method'] or '-'}  "
          f"{','.join(line['faults']) or '-'}" +
          (f"  try {verdict.tries}" if verdict.tries > 1 else ""), flush=True)
    if not verdict.passed:
        for reason in verdict.reasons:
            print(f"     {reason}")
        print(f"     repeat: {command(verdict.scenario, arguments.long)}")
    if arguments.verbose:
        print(verdict.scenario, verdict.trace, verdict.output, sep="\n")
    if arguments.json:
        with open(arguments.json, "a", encoding="utf-8") as file:
            print(json.dumps(line | {"shape": verdict.scenario.describe()}),
                  file=file)


def main(argv: Optional[List[str]] = None) -> int:
    """The program."""
    arguments = _arguments(argv)
    sweep_left_overs()
    seeds = range(arguments.seed, arguments.seed + arguments.count)
    scenarios = [draw(seed, arguments.allow, arguments.want, arguments.long,
                      arguments.exactly)
                 for seed in seeds for _ in range(arguments.repeat)]
    begin, failed, clean, again = time.monotonic(), 0, 0, 0
    total = {"sent": 0, "lost": 0, "repeated": 0, "reordered": 0,
             "counted": 0, "merged": 0, "carried": 0}
    for verdict in run_all(scenarios, arguments.mode, arguments.jobs):
        _report(verdict, arguments)
        failed += not verdict.passed
        summary = verdict.summary()
        again += verdict.tries - 1
        clean += summary["lost"] == summary["repeated"] == 0
        for name in total:
            total[name] += summary[name]
    print(f"{arguments.mode}: {len(scenarios)} blackouts, {failed} failed, "
          f"{clean} without a loss or a repeat, {again} tried again, " +
          ", ".join(f"{value} {name}" for name, value in total.items()) +
          f", {time.monotonic() - begin:.0f} s")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
