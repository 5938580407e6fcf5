# SPDX-License-Identifier: BSD-2-Clause
"""The job inside the outer machine: the migrations, one after the other.

It writes one record per line of JSON to standard output and the runs' logs
as a tar archive to the disk ``/dev/vdc``.  The first run that is broken ends
it: a machine in which one guest broke is not trusted with another.

From the environment (the outer machine's kernel command line): RUNS, what to
do (``lab/plan.py``), with commas between them.
"""

import contextlib
import json
import os
import signal
import sys
import tarfile
import tempfile
import time
from pathlib import Path
from typing import Any, Iterator, Optional

from lab import migration
from lab.errors import LabError
from lab.guest import Machine
from lab.plan import Planned
from lab.qmp import Qmp
from lab.result import Scenario
from vhost.steady import steady_kernel
from vhost.verdict import Kind, judge

LOG_DISK = Path("/dev/vdc")
LOGS = Path("/tmp/logs")
# A migration at full speed would leave the guest too little of the two
# processors to keep up with the stream.
DIRTY_MB = 2
BANDWIDTH_MB = 40
BOOT_LIMIT_S = 40.0
MIGRATION_LIMIT_S = 30.0
RUN_LIMIT_S = 120
# So long the guest stands still before a migration is cancelled.
PAUSE_MS = 150
# Super-frames are to come whole, so that each can be accounted for.
WHOLE = ("vnet_hdr_support=on",)


class Overtime(LabError):
    """A run took too long."""


class VhostProbe:
    """Asks the source's QEMU whether its network device runs on vhost.

    The laboratory reports each step of a run; on the first report after
    the guest is up, its second monitor is not yet taken by a tapferryd.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self.started: Optional[bool] = None

    def __call__(self, step: str) -> None:
        print(f"INNER: {step}", file=sys.stderr)
        for monitor in self._directory.glob("*/hostA.monitor"):
            if self.started is None:
                self.started = self._ask(monitor)

    @staticmethod
    def _ask(monitor: Path) -> bool:
        qmp = Qmp(monitor)
        try:
            paths = [device["path"] for device in qmp.command("x-query-virtio")
                     if device["name"] == "virtio-net"]
            return bool(paths) and all(
                qmp.command("x-query-virtio-status",
                            {"path": path})["vhost-started"]
                for path in paths)
        finally:
            qmp.close()


@contextlib.contextmanager
def time_limit(seconds: int) -> Iterator[None]:
    """Raise Overtime where the block takes longer."""
    def on_alarm(_number: int, _frame: object) -> None:
        raise Overtime(f"not done after {seconds} s")

    signal.signal(signal.SIGALRM, on_alarm)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)


def migrate(run: Planned, directory: Path) -> dict[str, Any]:
    """One migration, its files in a directory, and the record of it."""
    directory.mkdir(parents=True)
    tempfile.tempdir = str(directory)
    machine = Machine(accelerator="kvm", vhost=True, dirty_mb=DIRTY_MB)
    scenario = Scenario(
        mode=run.mode, action=run.action, pps=run.pps, size=run.size,
        super_pps=run.super_pps, machine=machine,
        pause_ms=PAUSE_MS if run.action == "cancel-stopped" else 0,
        source_properties=WHOLE if run.super_pps else (),
        destination_properties=WHOLE if run.super_pps else (),
        bandwidth_mb=BANDWIDTH_MB, boot_timeout_s=BOOT_LIMIT_S,
        migration_timeout_s=MIGRATION_LIMIT_S, keep_logs=True)
    probe = VhostProbe(directory)
    record: dict[str, Any] = {"run": str(run), "mode": run.mode}
    begin = time.monotonic()
    try:
        with time_limit(RUN_LIMIT_S):
            result = migration.run(scenario, progress=probe)
        record["result"] = result.to_json()
    except LabError as error:
        record["error"] = type(error).__name__
        record["message"] = str(error)
    record["vhost_started"] = probe.started
    record["seconds"] = round(time.monotonic() - begin, 1)
    return record


def save_logs() -> None:
    """Write what was put aside to the log disk."""
    with tarfile.open(LOG_DISK, "w|") as archive:
        for file in sorted(LOGS.rglob("*")):
            if file.is_file():
                archive.add(file, file.relative_to(LOGS))


def main() -> int:
    """All runs that the environment asks for."""
    runs = [Planned.parse(text) for text in os.environ["RUNS"].split(",")]
    try:
        with steady_kernel():
            for number, run in enumerate(runs, 1):
                record = migrate(run, LOGS / f"{number:02}-{run.mode}")
                print(json.dumps(record), flush=True)
                if judge(record).kind is Kind.BROKEN:
                    return 1
    finally:
        save_logs()
    return 0


if __name__ == "__main__":
    sys.exit(main())
