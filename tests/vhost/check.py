#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Proves the switchover with the kernel's real vhost-net.

Builds the outer machine, migrates guests with ``vhost=on`` in it under a
numbered stream of packets, once without and RUNS times with tapferry, and
demands that with tapferry not one frame is lost or seen twice.

From the environment: RUNS (3, and not fewer), RATE (400 frames per second),
SIZE (64 bytes per frame), BOOTS (how many outer machines it may take; 4, and
one more for every four runs beyond three), TAPFERRY_BUILD (build).  With
SOAK=1: RUNS (24), two rates up to RATE, two sizes, one run in three
cancelled, and TCP super-frames in half of the others.

Leaves results.json and the logs in build/vhost.  Exit status: 0 proven,
1 a frame was lost or duplicated or an account does not balance, 2 could not
be measured, 77 this machine can't (QEMU or the kernel package is missing).
"""

import dataclasses
import fcntl
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, TextIO

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
# pylint: disable=wrong-import-position
from lab.paths import Paths  # noqa: E402
from lab.plan import Planned, plan  # noqa: E402
from lab.process import Interrupted, interruptible  # noqa: E402
from vhost.outer import Frozen, Job, OuterMachine  # noqa: E402
from vhost.verdict import Kind, Verdict, judge  # noqa: E402

PASSED, FAILED, NOT_MEASURED, CANNOT = 0, 1, 2, 77
FEWEST_RUNS = 3
SOAK_RUNS = 24
SOAK_SIZES = (64, 1500)
SUPER_PPS = 10
RUNS_OF_A_BOOT = 8
# The job ends a run that takes longer than 120 s; when even that is not
# heard of, the outer machine itself stands still.
SILENCE_SECONDS = 150


@dataclasses.dataclass(frozen=True)
class Settings:
    """What the environment asks for."""

    runs: int
    rate: int
    size: int
    boots: int
    soak: bool

    @staticmethod
    def from_environment() -> "Settings":
        """Read them; raises ValueError on nonsense."""
        def number(name: str, default: int) -> int:
            text = os.environ.get(name) or str(default)
            if not text.isdigit() or int(text) < 1:
                raise ValueError(f"{name}={text} is not a positive number")
            return int(text)

        soak = os.environ.get("SOAK") == "1"
        runs = max(FEWEST_RUNS,
                   number("RUNS", SOAK_RUNS if soak else FEWEST_RUNS))
        return Settings(runs, number("RATE", 400), number("SIZE", 64),
                        number("BOOTS", 4 + (runs - FEWEST_RUNS) // 4), soak)

    def plan(self) -> list[Planned]:
        """All that is to be done: one migration without help first."""
        control = [Planned("none", "migrate", self.rate, self.size)]
        if self.soak:
            return control + plan(
                "tapferry", self.runs, (max(1, self.rate // 2), self.rate),
                SOAK_SIZES, SUPER_PPS)
        return control + self.runs * [
            Planned("tapferry", "migrate", self.rate, self.size)]


@dataclasses.dataclass
class Run:
    """One migration: the record of it and the verdict."""

    boot: int
    record: dict[str, Any]
    verdict: Verdict

    @property
    def mode(self) -> str:
        """With tapferry or without."""
        return self.record.get("mode", "-")

    def to_json(self) -> dict[str, Any]:
        """As plain data."""
        return {"boot": self.boot, "verdict": self.verdict.kind.value,
                "reasons": list(self.verdict.reasons), **self.record}


class Check:
    """The runs, over as many outer machines as they need."""

    def __init__(self, settings: Settings, directory: Path,
                 qemu: str) -> None:
        self._settings = settings
        self._directory = directory
        self._qemu = qemu
        self._todo = settings.plan()
        self.runs: list[Run] = []
        self.boots = 0

    def execute(self) -> int:
        """All runs; returns the exit status."""
        while self._todo and self.boots < self._settings.boots:
            self.boots += 1
            self._boot(Job(tuple(self._todo[:RUNS_OF_A_BOOT])))
        if any(run.verdict.kind is Kind.FAILED for run in self.runs):
            return FAILED
        return NOT_MEASURED if self._todo else PASSED

    def _boot(self, job: Job) -> None:
        """One outer machine: its runs, as far as it comes."""
        say(f"outer machine {self.boots}: booting, {len(job.runs)} of "
            f"{len(self._todo)} migrations to do")
        heard = 0
        reason = "the outer machine ended early"
        with OuterMachine(self._directory, f"boot-{self.boots}", job,
                          self._qemu) as machine:
            try:
                for record in machine.records(SILENCE_SECONDS):
                    heard += 1
                    self._add(Run(self.boots, record, judge(record)))
            except (Frozen, ValueError) as error:
                reason = f"the outer machine: {error}"
        complete = heard == len(job.runs) or (
            heard and self.runs[-1].verdict.kind is Kind.BROKEN)
        if not complete:
            self._add(Run(self.boots, {}, Verdict(Kind.BROKEN, (reason,))))

    def _add(self, run: Run) -> None:
        self.runs.append(run)
        if run.verdict.kind is not Kind.BROKEN:
            self._todo.remove(Planned.parse(run.record["run"]))
        stream = run.record.get("result", {}).get("stream")
        account = f"sent {stream['sent']}, lost {stream['lost']}, " \
                  f"duplicated {stream['duplicated']}; " if stream else ""
        say(f"  migration {len(self.runs)} ({run.record.get('run', '-')}): "
            f"{account}{run.verdict}")


def say(text: str) -> None:
    """Progress."""
    print(f"check-vhost: {text}", flush=True)


COLUMNS = ("run", "boot", "mode/action/pps/size/super", "sent", "lost",
           "dup", "reord", "super", "pings", "down ms", "carried",
           "balance", "vhost", "verdict")


def row(number: int, run: Run) -> tuple[str, ...]:
    """One line of the table."""
    verdict = run.verdict.kind.value
    result = run.record.get("result")
    if result is None:
        return (str(number), str(run.boot), run.record.get("run", "-"),
                *["-"] * (len(COLUMNS) - 4), verdict)
    stream, pings = result["stream"], result["pings"]
    with_help = run.mode == "tapferry"
    large = result["super_frames"]
    return (str(number), str(run.boot), run.record["run"],
            str(stream["sent"]), str(stream["lost"]),
            str(stream["duplicated"]), str(stream["reordered"]),
            f"-{large['lost']}+{large['duplicated']}/{large['sent']}"
            if large else "-", f"-{pings['lost']}/{pings['sent']}",
            str(result["downtime_ms"]),
            str(result["carried"]) if with_help else "-",
            ("yes" if result["balanced"] else "NO") if with_help else "-",
            "yes" if run.record["vhost_started"] else "NO", verdict)


def table(runs: list[Run]) -> str:
    """All runs, as text."""
    rows = [COLUMNS, *(row(number, run) for number, run in
                       enumerate(runs, 1))]
    widths = [max(map(len, column)) for column in zip(*rows)]
    return "\n".join("  ".join(
        cell.rjust(width) for cell, width in zip(line, widths)).rstrip()
        for line in rows)


def lock(directory: Path) -> TextIO:
    """One check at a time in a directory."""
    directory.mkdir(parents=True, exist_ok=True)
    file = open(directory / "check.lock", "w", encoding="ascii")
    fcntl.flock(file, fcntl.LOCK_EX)
    return file


def clear(directory: Path) -> None:
    """Remove what an earlier check left."""
    for old in directory.glob("boot-*"):
        if old.is_dir():
            shutil.rmtree(old)
        else:
            old.unlink()
    (directory / "results.json").unlink(missing_ok=True)


def prepare(paths: Paths, directory: Path) -> int:
    """Build the outer machine; returns an exit status."""
    if not paths.tapferryd.exists():
        say(f"there is no {paths.tapferryd}: build it first")
        return NOT_MEASURED
    build = Path(__file__).resolve().parent / "build.sh"
    done = subprocess.run([build, directory], text=True, check=False,
                          stderr=subprocess.PIPE)
    if done.returncode == 0:
        return PASSED
    lines = done.stderr.strip().splitlines() or ["no reason given"]
    for line in lines[:-1]:
        print(line)
    say(f"the outer machine can't be built: {lines[-1]}")
    return CANNOT if done.returncode == CANNOT else NOT_MEASURED


def report(check: Check, settings: Settings, directory: Path, status: int,
           seconds: float) -> None:
    """Print the table, write the JSON."""
    print(table(check.runs))
    for number, run in enumerate(check.runs, 1):
        for reason in run.verdict.reasons:
            print(f"run {number}: {run.verdict.kind.value}: {reason}")
    results = directory / "results.json"
    results.write_text(json.dumps({
        "passed": status == PASSED, "status": status,
        "settings": dataclasses.asdict(settings), "boots": check.boots,
        "seconds": round(seconds, 1),
        "runs": [run.to_json() for run in check.runs]}, indent=2) + "\n")
    outcome = {PASSED: "PASSED", FAILED: "FAILED",
               NOT_MEASURED: "could not be measured"}[status]
    say(f"{outcome}, {check.boots} outer machines, {seconds:.0f} s; "
        f"{results} and the logs beside it")


def main() -> int:
    """The whole check; returns the exit status."""
    try:
        settings = Settings.from_environment()
    except ValueError as error:
        say(str(error))
        return NOT_MEASURED
    begin = time.monotonic()
    paths = Paths()
    directory = paths.build / "vhost"
    with lock(directory):
        clear(directory)
        status = prepare(paths, directory)
        if status:
            return status
        say(f"the outer machine is built ({time.monotonic() - begin:.1f} s)")
        check = Check(settings, directory, paths.qemu)
        status = check.execute()
        report(check, settings, directory, status, time.monotonic() - begin)
    return status


if __name__ == "__main__":
    try:
        with interruptible():
            sys.exit(main())
    except Interrupted as interrupted:
        sys.exit(128 + interrupted.number)
