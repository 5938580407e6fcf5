# SPDX-License-Identifier: BSD-2-Clause
"""Measurements: real migrations with and without tapferry, and what an armed
daemon costs while nothing happens.

Prints a table and stores build/bench/migration.json.  RUNS=10 is how many
migrations of each kind with tapferry; without it there are a third as many.
SCENARIO="5,000/s" leaves out the others.
"""

import dataclasses
import json
import os
import re
import statistics
import sys
import time
from pathlib import Path
from typing import Any, Dict, List, Optional, Sequence

from lab.daemon import Daemon
from lab.errors import LabError
from lab.guest import Guest, Machine
from lab.migration import run_patiently
from lab.netns import World
from lab.paths import Paths
from lab.result import Result, Scenario

SCENARIOS = {
    "1,000/s": Scenario(pps=1000),
    "5,000/s": Scenario(pps=5000),
    "5,000/s, 250 ms": Scenario(pps=5000, pause_ms=150),
}
IDLE_SECONDS = 20


@dataclasses.dataclass
class Row:
    """Some runs of one scenario."""

    name: str
    mode: str
    results: List[Result]

    def figures(self) -> Dict[str, Any]:
        """What is printed and stored."""
        downtimes = [result.downtime_ms or 0 for result in self.results]
        first = [entry["first-us"] - entry["resume-us"]
                 for result in self.results
                 for entry in sides(result, "destination")
                 if "first-us" in entry and "resume-us" in entry]
        return {
            "scenario": self.name,
            "mode": self.mode,
            "runs": len(self.results),
            "lost": [result.stream.lost for result in self.results],
            "lost_ranges": [[dataclasses.asdict(lost) for lost in
                             result.lost_ranges] for result in self.results],
            "duplicated": [r.stream.duplicated for r in self.results],
            "reordered": [r.stream.reordered for r in self.results],
            "downtime_ms": [round(value, 1) for value in downtimes],
            "carried": [result.carried or 0 for result in self.results],
            "gap_over_downtime_ms": [
                round(result.stream.longest_gap_ms - downtime, 1)
                for result, downtime in zip(self.results, downtimes)],
            "first_injected_us": first,
            "balanced": all(result.balanced for result in self.results),
            "methods": sorted({entry.get("method", "-")
                               for result in self.results
                               for entry in sides(result, "source")}),
        }


def sides(result: Result, side: str) -> List[Dict[str, Any]]:
    """What a side tells of the switchover, if it took part."""
    entry = result.reports.get(side, {}).get("switchover")
    return [entry] if entry else []


def spread(values: Sequence[float]) -> str:
    """Median and range."""
    if not values:
        return "-"
    return (f"{statistics.median(values):g} "
            f"({min(values):g}..{max(values):g})")


def print_rows(rows: Sequence[Dict[str, Any]]) -> None:
    """The table."""
    head = ("scenario", "mode", "runs", "lost", "twice", "reordered",
            "downtime ms", "carried", "first injected us")
    table = [head] + [
        (row["scenario"], row["mode"], str(row["runs"]), spread(row["lost"]),
         spread(row["duplicated"]), spread(row["reordered"]),
         spread(row["downtime_ms"]), spread(row["carried"]),
         spread(row["first_injected_us"])) for row in rows]
    widths = [max(len(line[i]) for line in table) for i in range(len(head))]
    for line in table:
        print("  ".join(cell.ljust(width)
                        for cell, width in zip(line, widths)).rstrip())


def where_lost(result: Result) -> str:
    """When what was lost was sent, in milliseconds from the stop; and what
    the source counts as turned away while the guest ran."""
    if result.mode == "none" or not result.stream.lost:
        return ""
    ranges = ", ".join(f"{lost.first_ms:.0f}..{lost.last_ms:.0f}"
                       for lost in result.lost_ranges[:4]
                       if lost.first_ms is not None
                       and lost.last_ms is not None)
    return (f" (sent at {ranges} ms from the stop, downtime "
            f"{result.downtime_ms or 0:.0f} ms)")


def switchovers(paths: Paths, runs: int, only: Optional[str]) -> List[Dict[str, Any]]:
    """Migrations of a real guest."""
    rows = []
    for name, scenario in SCENARIOS.items():
        if only not in (None, name):
            continue
        for mode, count in (("none", max(runs // 3, 1)), ("tapferry", runs)):
            results = []
            for number in range(1, count + 1):
                print(f"  {name}, {mode} {number}/{count}", end="",
                      flush=True)
                result = run_patiently(
                    dataclasses.replace(scenario, mode=mode), paths)
                print(f": {result.stream.lost} lost, "
                      f"{result.stream.duplicated} twice"
                      f"{where_lost(result)}", flush=True)
                results.append(result)
            rows.append(Row(name, mode, results).figures())
    return rows


def process_figures(pid: int) -> Dict[str, float]:
    """CPU seconds so far and resident memory in MiB of a process."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii")
    ticks = sum(int(value) for value in fields.rsplit(")", 1)[1].split()[11:13])
    resident = re.search(r"VmRSS:\s+(\d+) kB", status)
    return {"cpu_s": ticks / os.sysconf("SC_CLK_TCK"),
            "rss_mib": int(resident[1]) / 1024 if resident else 0.0}


def idle(paths: Paths) -> Dict[str, float]:
    """A daemon armed on the TAP of a running guest, without traffic."""
    paths.prepare()
    with World() as world, Guest(world, "hostA", Machine(), paths) as guest:
        guest.wait_boot(60)
        with Daemon(world, "source", guest.monitor_path, paths,
                    ["arm=always"]) as daemon:
            time.sleep(2)
            before = process_figures(daemon.pid)
            time.sleep(IDLE_SECONDS)
            after = process_figures(daemon.pid)
    return {"cpu_percent": 100 * (after["cpu_s"] - before["cpu_s"])
            / IDLE_SECONDS, "rss_mib": after["rss_mib"]}


def main() -> int:
    """All measurements."""
    runs = int(os.environ.get("RUNS") or 10)
    only = os.environ.get("SCENARIO")
    paths = Paths()
    try:
        rows = switchovers(paths, runs, only)
        armed = idle(paths)
    except LabError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 2
    print()
    print_rows(rows)
    print(f"\narmed, no traffic: {armed['cpu_percent']:.2f} % of a core over "
          f"{IDLE_SECONDS} s, {armed['rss_mib']:.1f} MiB resident")
    output = paths.build / "bench"
    output.mkdir(exist_ok=True)
    (output / "migration.json").write_text(
        json.dumps({"switchovers": rows, "armed": armed}, indent=1) + "\n",
        encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
