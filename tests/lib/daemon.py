# SPDX-License-Identifier: BSD-2-Clause
"""The daemon under test: started on a host, asked, watched, ended.

Whenever its counters are read, the ledgers must balance; when it ends, it
must end cleanly and must not have complained about itself.
"""

import re
import signal
import subprocess
from pathlib import Path
from typing import Any, Dict, List, Optional, Sequence

from lab.paths import Paths
from lab.process import Child
from lab.qmp import Qmp, QmpError

from .hosts import Host
from .waiting import GENEROUS, wait_until

Counters = Dict[str, int]

# What a sanitizer, GLib or the C library says about a fault of the program.
_FAULTS = re.compile(r"Sanitizer|runtime error:|-CRITICAL \*\*|"
                     r"-WARNING \*\*|-ERROR \*\*|[Aa]ssertion|free\(\)|"
                     r"malloc|corrupted")

# What a frame that came in can have become, besides dropped-CAUSE.
_CAPTURED = ("delivered", "pending", "outdev", "queued")
_RECEIVED = ("out_netdev", "held", "duplicate", "discarded")


def program() -> Path:
    """The daemon's program."""
    return Paths().tapferryd


class QmpFailure(AssertionError):
    """A command failed; ``kind`` is the error's class."""

    def __init__(self, error: Dict[str, Any]) -> None:
        super().__init__(f"{error.get('class')}: {error.get('desc')}")
        self.kind: str = error.get("class", "")
        self.text: str = error.get("desc", "")


class Monitor(Qmp):
    """A QMP connection that keeps the errors whole."""

    _error: Optional[Dict[str, Any]] = None

    def _take(self, message: Dict[str, Any]) -> None:
        if "error" in message:
            self._error = message["error"]
        super()._take(message)

    def execute(self, command: str, /, **arguments: Any) -> Any:
        """Execute a command; an underscore stands for a dash in the names
        of its arguments where QMP has one."""
        self._error = None
        try:
            return self.command(command, {
                _ARGUMENT_NAMES.get(key, key): value
                for key, value in arguments.items()})
        except QmpError as error:
            if self._error is None:
                raise
            raise QmpFailure(self._error) from error


_ARGUMENT_NAMES = {"qom_type": "qom-type", "command_line": "command-line",
                   "hold_size": "hold-size"}


class Daemon:
    """A running tapferryd with a monitor."""

    def __init__(self, host: Host, directory: Path, name: str,
                 arguments: Sequence[str], inside: Sequence[str] = ()
                 ) -> None:
        self.name = name
        self._monitor_path = directory / f"{name}.qmp"
        self._monitor_path.unlink(missing_ok=True)
        with host.entered():
            self._child = Child(
                f"tapferryd {name}",
                [*inside, str(program()), *arguments, "-qmp",
                 f"unix:{self._monitor_path},server=on,wait=off"],
                directory / f"{name}.log")
        try:
            wait_until(self._has_begun, f"{name} to open its monitor")
            self.qmp = Monitor(self._monitor_path)
        except BaseException:
            self._child.stop()
            print(self.log)
            raise
        self._ended = False

    def _has_begun(self) -> bool:
        assert self._child.returncode is None, \
            f"{self.name} ended: {self._child.last_words()}"
        return self._monitor_path.exists()

    @property
    def pid(self) -> int:
        """The process id."""
        return self._child.pid

    @property
    def log(self) -> str:
        """What it has logged so far."""
        return self._child.log.read_text(errors="replace")

    def wait_log(self, text: str, count: int = 1) -> None:
        """Wait until it has logged something (so many times)."""
        wait_until(lambda: self.log.count(text) >= count,
                   f"{self.name} to log '{text}'")

    def execute(self, command: str, /, **arguments: Any) -> Any:
        """Execute a QMP command."""
        return self.qmp.execute(command, **arguments)

    def hmp(self, line: str) -> str:
        """Execute a command of the human monitor."""
        text: str = self.execute("human-monitor-command", command_line=line)
        return text

    def add(self, qom_type: str, name: str, **properties: Any) -> None:
        """Make an object."""
        self.execute("object-add", qom_type=qom_type, id=name, **properties)

    def set_status(self, name: str, status: str) -> None:
        """Switch a filter on or off."""
        self.execute("qom-set", path=f"/objects/{name}", property="status",
                     value=status)

    def wait_connected(self, name: str = "") -> None:
        """Wait until a chardev, or all of them, have a peer."""
        def connected() -> bool:
            entries = self.execute("query-chardev")
            return all("disconnected" not in entry["filename"]
                       for entry in entries
                       if name in ("", entry["label"]))

        wait_until(connected, f"{self.name} to be connected")

    # Counters

    def entries(self) -> List[Dict[str, Any]]:
        """All of query-netfilter-stats, every ledger in balance."""
        entries: List[Dict[str, Any]] = self.execute("query-netfilter-stats")
        for entry in entries:
            if entry["type"] == "filter-redirector":
                self._check_balance(entry)
        return entries

    def _check_balance(self, entry: Dict[str, Any]) -> None:
        counters = packets_of(entry)
        assert all(counter["packets"] >= 0 and counter["bytes"] >= 0
                   for counter in entry["counters"]), \
            f"{self.name}: negative: {entry}"
        dropped = sum(value for name, value in counters.items()
                      if name.startswith("dropped-"))
        for way_in, way_out, fates in (
                ("in_netdev", "outdev", _CAPTURED),
                ("indev", "out_netdev", _RECEIVED)):
            if self._uses(entry["name"], way_in, way_out):
                accounted = dropped + sum(counters[fate] for fate in fates)
                assert counters[way_in] == accounted, \
                    f"{self.name}: {way_in} {counters[way_in]} is not " \
                    f"{accounted}: {counters}"

    def _uses(self, name: str, *properties: str) -> bool:
        return all(self.execute("qom-get", path=f"/objects/{name}",
                                property=each) for each in properties)

    def counters(self, name: str = "rd0") -> Counters:
        """A filter's counters, in packets, with packets-tx and the like."""
        for entry in self.entries():
            if entry["name"] == name:
                return packets_of(entry)
        raise AssertionError(f"{self.name} has no filter {name}")

    def wait_counters(self, name: str = "rd0", timeout: float = GENEROUS,
                      **expected: int) -> Counters:
        """Wait until counters have these values; an underscore stands for
        a dash in dropped-CAUSE."""
        wanted = {_counter_name(key): value
                  for key, value in expected.items()}
        seen: Counters = {}

        def reached() -> bool:
            seen.update(self.counters(name))
            return all(seen[key] == value for key, value in wanted.items())

        try:
            wait_until(reached, "", timeout)
        except AssertionError as error:
            if reached():
                return seen
            raise AssertionError(
                f"{self.name}: {name} never had {wanted}: {seen}") from error
        return seen

    # The end

    def check(self) -> None:
        """The daemon lives and its ledgers balance."""
        assert self._child.returncode is None, \
            f"{self.name} ended: {self._child.last_words()}"
        self.entries()

    def freeze(self, frozen: bool) -> None:
        """Let it stand still as on a host that is overloaded, or go on."""
        self._child.send_signal(signal.SIGSTOP if frozen else signal.SIGCONT)

    def kill(self) -> None:
        """End it as a crash does."""
        self._ended = True
        self._child.send_signal(signal.SIGKILL)
        self._child.wait(10)
        self.qmp.close()

    def stop(self) -> None:
        """End it; it must end cleanly.  A second time does nothing."""
        if self._ended:
            return
        self._ended = True
        try:
            self.check()
        finally:
            self.qmp.close()
            status = self._child.stop(timeout=20)
            print(f"--- {self.name}\n{self.log}")
        assert status == 0, f"{self.name} ended with {status}"
        assert not _FAULTS.search(self.log), f"{self.name} complained"


def packets_of(entry: Dict[str, Any]) -> Counters:
    """The counters of an entry of query-netfilter-stats."""
    counters = {counter["name"]: counter["packets"]
                for counter in entry.get("counters", ())}
    for base in ("packets-tx", "packets-rx", "bytes-tx", "bytes-rx"):
        counters[base] = entry[base]
    return counters


def _counter_name(key: str) -> str:
    prefix = "dropped_"
    if key.startswith(prefix):
        return "dropped-" + key[len(prefix):].replace("_", "-")
    return key.replace("packets_", "packets-")


Ended = subprocess.CompletedProcess


def run_daemon(host: Host, *arguments: str,
               inside: Sequence[str] = ()) -> "Ended[str]":
    """Run the daemon with a command line that it is to refuse."""
    with host.entered():
        return subprocess.run(
            [*inside, str(program()), *arguments], text=True, check=False,
            timeout=GENEROUS, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE)
