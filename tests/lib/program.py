# SPDX-License-Identifier: BSD-2-Clause
"""A program with a QMP monitor, the daemon under test or a QEMU: started,
asked, watched, ended."""

import re
import tempfile
import time
from pathlib import Path
from typing import Any, Dict, Optional, Sequence

from lab.process import Child
from lab.qmp import Event, Qmp, QmpError

from .hosts import Host
from .waiting import GENEROUS, wait_until

# What a sanitizer, GLib or the C library says about a fault of the program.
_FAULTS = re.compile(r"Sanitizer|runtime error:|-CRITICAL \*\*|"
                     r"-WARNING \*\*|-ERROR \*\*|[Aa]ssertion|free\(\)|"
                     r"malloc|corrupted")

_ARGUMENT_NAMES = {"qom_type": "qom-type", "command_line": "command-line",
                   "hold_size": "hold-size"}


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

    def take_event(self, name: str, **data: Any) -> Event:
        """Wait for an event with this name and these data; it does not
        count a second time."""
        event = self.wait_event(name, GENEROUS, **data)
        with self._changed:
            self._events.remove(event)
        return event


class Program:
    """A running program.  Without a host it has the tests' own network,
    without a directory one of its own that goes with it."""

    def __init__(self, name: str, argv: Sequence[str],
                 host: Optional[Host] = None,
                 directory: Optional[Path] = None,
                 pass_fds: Sequence[int] = ()) -> None:
        self.name = name
        self._own_directory = None
        if directory is None:
            self._own_directory = tempfile.TemporaryDirectory(
                prefix="tapferry-")
            directory = Path(self._own_directory.name)
        self._monitor_path = directory / f"{name}.qmp"
        self._monitor_path.unlink(missing_ok=True)
        argv = [*argv, "-qmp", f"unix:{self._monitor_path},server=on,wait=off"]
        log = directory / f"{name}.log"
        if host is None:
            self._child = Child(name, argv, log, pass_fds=pass_fds)
        else:
            with host.entered():
                self._child = Child(name, argv, log, pass_fds=pass_fds)
        self._ended = False
        try:
            wait_until(self._has_begun, f"{name} to open its monitor")
            self.qmp = Monitor(self._monitor_path)
        except BaseException:
            self._child.stop()
            print(self.log)
            self._clean_up()
            raise

    def _has_begun(self) -> bool:
        self._check_alive()
        return self._monitor_path.exists()

    def _check_alive(self) -> None:
        assert self._child.returncode is None, \
            f"{self.name} ended: {self._child.last_words()}"

    def _clean_up(self) -> None:
        if self._own_directory is not None:
            self._own_directory.cleanup()

    def __enter__(self) -> Any:
        return self

    def __exit__(self, *_error: Any) -> None:
        self.stop()

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

    def take_event(self, name: str, **data: Any) -> Event:
        """Wait for the next event with this name and these data."""
        return self.qmp.take_event(name, **data)

    # What both have

    def add(self, qom_type: str, name: str, **properties: Any) -> None:
        """Make an object; a filter stands on n0 unless told otherwise."""
        if qom_type.startswith("filter-"):
            properties.setdefault("netdev", "n0")
        self.execute("object-add", qom_type=qom_type, id=name, **properties)

    def set(self, name: str, prop: str, value: Any) -> None:
        """Change a property of an object."""
        self.execute("qom-set", path=f"/objects/{name}", property=prop,
                     value=value)

    def get(self, name: str, prop: str) -> Any:
        """A property of an object."""
        return self.execute("qom-get", path=f"/objects/{name}", property=prop)

    def set_status(self, name: str, status: str) -> None:
        """Switch a filter on or off."""
        self.set(name, "status", status)

    def add_chardev(self, name: str, path: Path, server: bool,
                    **data: Any) -> None:
        """Make a chardev on a unix socket; a server waits for nobody."""
        if server:
            data["wait"] = False
        self.execute("chardev-add", id=name, backend={
            "type": "socket", "data": {
                "addr": {"type": "unix", "data": {"path": str(path)}},
                "server": server, **data}})

    def wait_connected(self, name: str = "") -> None:
        """Wait until a chardev, or all of them, have a peer."""
        def connected() -> bool:
            entries = self.execute("query-chardev")
            return all("disconnected" not in entry["filename"]
                       for entry in entries
                       if name in ("", entry["label"]))

        wait_until(connected, f"{self.name} to be connected")

    def info(self, netdev: str) -> str:
        """What `info network` says of a netdev."""
        for line in self.hmp("info network").splitlines():
            line = line.lstrip(" \\")
            if line.startswith(f"{netdev}: "):
                return line
        raise AssertionError(f"no {netdev}")

    def wait_info(self, netdev: str, text: str) -> None:
        """Wait until `info network` says so."""
        wait_until(lambda: self.info(netdev) == f"{netdev}: index=0,{text}",
                   lambda: f"{self.info(netdev)} to be {text}")

    # The end

    def check(self) -> None:
        """It lives."""
        self._check_alive()

    def stop(self) -> None:
        """End it; it must end cleanly and must not have complained about
        itself.  A second time does nothing."""
        if not self._ended:
            try:
                self.check()
            finally:
                self._child.stop(timeout=20)
                self.wait_end()

    def wait_end(self) -> None:
        """Wait for its end, which must be as clean, where it ends by
        itself."""
        self._ended = True
        status = self._child.wait(20)
        self.qmp.close()
        log = self.log
        print(f"--- {self.name}\n{log}")
        self._clean_up()
        assert status == 0, f"{self.name} ended with {status}"
        assert not _FAULTS.search(log), f"{self.name} complained"
