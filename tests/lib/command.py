# SPDX-License-Identifier: BSD-2-Clause
"""`tapferry source` and `tapferry destination` under test: started on a
host, watched, ended; what they print, report and leave behind."""

import json
import signal
import subprocess
from pathlib import Path
from typing import Any, Dict, List

from lab.paths import Paths
from lab.process import Child

from .daemon import packets_of
from .hosts import Host
from .program import Monitor
from .site import Site
from .waiting import GENEROUS, wait_until

RUN_DIR = Path("/run/tapferry")


def run_tapferry(host: Host, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run the tool to its end."""
    with host.entered():
        return subprocess.run(
            [str(Paths().tapferry), *arguments], text=True, check=False,
            timeout=2 * GENEROUS, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE)


class Command:
    """A subcommand that lasts."""

    def __init__(self, site: Site, host: Host, name: str, *arguments: str
                 ) -> None:
        self.name = name
        self.report_path = site.directory / f"{name}.json"
        self._socket = site.directory / f"{name}.monitor"
        self._output = site.directory / f"{name}.out"
        with host.entered():
            self._child = Child(
                name, [str(Paths().tapferry), "--socket", str(self._socket),
                       name, *arguments], site.directory / f"{name}.err",
                stdout=self._output)
        site.on_exit(self._end)

    def _end(self) -> None:
        self._child.stop(timeout=20)
        print(f"--- {self.name}\n{self.errors}{self.output}")
        assert "Sanitizer" not in self.errors

    @property
    def output(self) -> str:
        """What it has printed."""
        return self._output.read_text(encoding="utf-8")

    @property
    def errors(self) -> str:
        """What it has said on the way."""
        return self._child.log.read_text(encoding="utf-8")

    @property
    def last_line(self) -> str:
        """The last thing that it said."""
        return self.errors.splitlines()[-1]

    @property
    def socket(self) -> str:
        """Its daemon's monitor."""
        return str(self._socket)

    def wait_said(self, text: str) -> None:
        """Wait until it has said something."""
        def said() -> bool:
            assert self._child.returncode is None or text in self.errors, \
                f"{self.name} ended: {self.errors}"
            return text in self.errors

        wait_until(said, f"{self.name} to say '{text}'")

    def wait_said_again(self, text: str) -> None:
        """Wait until it has said something twice."""
        wait_until(lambda: self.errors.count(text) == 2,
                   f"{self.name} to say '{text}' again")

    def wait_counter(self, name: str, value: int) -> None:
        """Wait until its redirector has counted so many packets."""
        wait_until(self._socket.exists, f"{self.name}'s monitor")
        monitor = Monitor(self._socket)
        try:
            wait_until(lambda: self._counters(monitor)[name] == value,
                       f"{self.name}: {name} = {value}")
        finally:
            print(self._counters(monitor))
            monitor.close()

    def wait_migration(self, state: str) -> None:
        """Wait until its daemon knows how far the migration is."""
        self._wait_property("vm0", "migration", state)

    def wait_exact(self) -> None:
        """Wait until its daemon can tell what the guest got."""
        self._wait_property("rd0", "exact", True)

    def _wait_property(self, name: str, prop: str, value: Any) -> None:
        monitor = Monitor(self._socket)
        try:
            wait_until(lambda: monitor.execute(
                "qom-get", path=f"/objects/{name}", property=prop) == value,
                f"{self.name}: {prop} {value}")
        finally:
            monitor.close()

    @staticmethod
    def _counters(monitor: Monitor) -> Dict[str, int]:
        return packets_of(monitor.execute("query-netfilter-stats")[0])

    def interrupt(self) -> None:
        """Press Ctrl-C."""
        self._child.send_signal(signal.SIGINT)

    def kill(self) -> None:
        """End it the hard way."""
        self._child.send_signal(signal.SIGKILL)
        self._child.wait(10)

    def wait(self) -> int:
        """Wait for its end; returns its exit status."""
        wait_until(lambda: self._child.returncode is not None,
                   f"{self.name} to end", 2 * GENEROUS)
        assert self._child.returncode is not None
        assert not self.left_behind(), "its directory is still there"
        return self._child.returncode

    def left_behind(self) -> List[Path]:
        """Its private directory, if it is there."""
        return list(RUN_DIR.glob(f"child-{self._child.pid}-*"))

    def report(self) -> Dict[str, Any]:
        """The report that it wrote."""
        report: Dict[str, Any] = json.loads(
            self.report_path.read_text(encoding="utf-8"))
        return report
