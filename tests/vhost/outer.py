# SPDX-License-Identifier: BSD-2-Clause
"""The outer machine: boots the image of ``build.sh`` and hears its job.

Two emulated processors (TCG) with AMD's virtualisation, which the kernel
inside uses for the inner guests.  Whatever KVM this machine itself may have
is not touched, so that it works the same everywhere.
"""

import dataclasses
import json
import tarfile
import time
from pathlib import Path
from typing import Any, Iterator

from lab.plan import Planned
from lab.process import Child

# cx16: later kernels' use of it is emulated wrongly by QEMU 7.2.
PROCESSOR = "max,-cx16,-la57"
COMMAND_LINE = ("console=ttyS0 quiet panic=-1 mitigations=off nokaslr "
                "tsc=reliable")
LOG_DISK_BYTES = 256 << 20


@dataclasses.dataclass(frozen=True)
class Job:
    """What to do inside."""

    runs: tuple[Planned, ...]

    def command_line(self) -> str:
        """The kernel hands unknown words on to init's environment."""
        return f"RUNS={','.join(map(str, self.runs))}"


class Frozen(Exception):
    """The machine no longer says anything."""


class OuterMachine:
    """One boot of the outer machine; its files are NAME.console (serial
    console), NAME.records (the job's records), NAME.qemu (QEMU's own
    words) and, once it has ended, NAME/ (the runs' logs)."""

    def __init__(self, image: Path, name: str, job: Job, qemu: str) -> None:
        self._records = image / f"{name}.records"
        self._log_disk = image / f"{name}.logs"
        self._logs = image / name
        console = image / f"{name}.console"
        for file in (console, self._records):
            file.write_bytes(b"")
        with open(self._log_disk, "wb") as disk:
            disk.truncate(LOG_DISK_BYTES)
        self._child = Child(f"the outer machine {name}", [
            qemu, "-machine", "q35", "-accel", "tcg,thread=multi,tb-size=512",
            "-cpu", PROCESSOR, "-smp", "2", "-m", "2048",
            "-nodefaults", "-no-user-config", "-display", "none",
            "-no-reboot", "-monitor", "none", "-nic", "none",
            "-kernel", image / "vmlinuz", "-initrd", image / "initrd.gz",
            "-append", f"{COMMAND_LINE} {job.command_line()}",
            "-serial", f"file:{console}", "-serial", f"file:{self._records}",
            *self._disk(image / "base.ext4", readonly=True),
            *self._disk(image / "payload.ext4", readonly=True),
            *self._disk(self._log_disk, readonly=False),
        ], image / f"{name}.qemu")

    def __enter__(self) -> "OuterMachine":
        return self

    def __exit__(self, *_error: object) -> None:
        self._child.stop()
        self._unpack_logs()

    @staticmethod
    def _disk(file: Path, readonly: bool) -> list[str]:
        return ["-drive", f"file={file},format=raw,if=virtio,"
                          f"readonly={'on' if readonly else 'off'}"]

    def records(self, silence: float) -> Iterator[dict[str, Any]]:
        """The job's records as they come, until the machine has ended;
        raises Frozen where the next one takes longer than ``silence``
        seconds."""
        heard = time.monotonic()
        with open(self._records, "rb") as stream:
            partial = b""
            while True:
                ended = self._child.returncode is not None
                partial += stream.read()
                *lines, partial = partial.split(b"\n")
                for line in filter(None, lines):
                    yield json.loads(line)
                    heard = time.monotonic()
                if ended:
                    return
                if time.monotonic() > heard + silence:
                    raise Frozen(f"no word for {silence:.0f} s")
                time.sleep(0.2)

    def _unpack_logs(self) -> None:
        try:
            with tarfile.open(self._log_disk, "r:") as archive:
                for member in archive:
                    if member.isfile() and ".." not in member.name:
                        archive.extract(member, self._logs)
        except tarfile.TarError:
            pass  # it did not come so far as to write them
        self._log_disk.unlink()
