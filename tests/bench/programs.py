# SPDX-License-Identifier: BSD-2-Clause
"""The benchmark's own programs, and what it starts from others."""

import json
import shutil
from pathlib import Path
from typing import Any, Dict, Sequence

from lab.errors import LabError, Unavailable
from lab.paths import Paths
from lab.process import Child
from lib.hosts import Host
from lib.waiting import wait_until


def own(name: str) -> str:
    """Where one of tests/bench/tools lies."""
    return str(Paths().build / "tests" / "bench" / f"bench-{name}")


def needed(name: str) -> str:
    """Where a program that others made lies; Unavailable if nowhere."""
    path = shutil.which(name)
    if path is None:
        raise Unavailable(f"{name} is not installed")
    return path


class Started:
    """A program on a host; what it prints is in ``output``."""

    def __init__(self, host: Host, directory: Path, name: str,
                 argv: Sequence[str], **environment: str) -> None:
        self.name = name
        self.host = host
        self.output = directory / f"{name}.out"
        words = [f"{key}={value}" for key, value in environment.items()]
        with host.entered():
            self._child = Child(name, [*(["env", *words] if words else []),
                                       *argv],
                                directory / f"{name}.log",
                                stdout=self.output)

    def __enter__(self) -> "Started":
        return self

    def __exit__(self, *_error: object) -> None:
        self._child.stop()

    @property
    def pid(self) -> int:
        """The process id."""
        return self._child.pid

    def wait_output(self, text: str) -> None:
        """Wait until it has printed something."""
        wait_until(lambda: self.check() and text in self.output.read_text(),
                   f"{self.name} to print '{text}'")

    def wait_log(self, text: str) -> None:
        """Wait until it has said something on its standard error."""
        wait_until(lambda: self.check() and
                   text in self._child.log.read_text(errors="replace"),
                   f"{self.name} to say '{text}'")

    def check(self) -> bool:
        """Complain if it has ended."""
        if self._child.returncode is not None:
            raise LabError(f"{self.name} ended: {self._child.last_words()}")
        return True

    def result(self, timeout: float = 30) -> Dict[str, Any]:
        """Wait for its end; the JSON that it printed last."""
        if self._child.wait(timeout):
            raise LabError(f"{self.name} failed: {self._child.last_words()}")
        found: Dict[str, Any] = json.loads(
            self.output.read_text().splitlines()[-1])
        return found

    def stop(self) -> Dict[str, Any]:
        """End it; the JSON that it printed last."""
        self._child.stop()
        return self.result()
