# SPDX-License-Identifier: BSD-2-Clause
"""A QMP client: commands from any thread, events with their times."""

import dataclasses
import json
import socket
import threading
import time
from pathlib import Path
from typing import Any, Dict, List, Optional

from .errors import LabError


class QmpError(LabError):
    """The peer answered with an error, or not at all."""


@dataclasses.dataclass(frozen=True)
class Event:
    """One event: when the peer says it happened, when it was heard."""

    name: str
    time: float
    received: float
    data: Dict[str, Any]


class Qmp:
    """A connection to a QMP monitor on a unix socket."""

    def __init__(self, path: Path, timeout: float = 10.0) -> None:
        self._path = path
        self._changed = threading.Condition()
        self._replies: Dict[int, Dict[str, Any]] = {}
        self._events: List[Event] = []
        self._next_id = 0
        self._closed = False
        self._socket = self._connect(timeout)
        self._input = self._socket.makefile("r", encoding="utf-8")
        self.greeting = json.loads(self._input.readline() or "{}")
        self._socket.settimeout(None)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self.command("qmp_capabilities")

    def _connect(self, timeout: float) -> socket.socket:
        end = time.monotonic() + timeout
        while True:
            connection = socket.socket(socket.AF_UNIX)
            connection.settimeout(timeout)
            try:
                connection.connect(str(self._path))
                return connection
            except OSError as error:
                connection.close()
                if time.monotonic() > end:
                    raise QmpError(f"{self._path}: {error}") from error
                time.sleep(0.02)

    def _read(self) -> None:
        try:
            for line in self._input:
                self._take(json.loads(line))
        except (OSError, ValueError):
            pass
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _take(self, message: Dict[str, Any]) -> None:
        now = time.time()
        with self._changed:
            if "event" in message:
                stamp = message["timestamp"]
                self._events.append(Event(
                    message["event"],
                    stamp["seconds"] + stamp["microseconds"] * 1e-6, now,
                    message.get("data", {})))
            else:
                self._replies[message.get("id", -1)] = message
            self._changed.notify_all()

    def command(self, name: str, arguments: Optional[Dict[str, Any]] = None,
                timeout: float = 20.0) -> Any:
        """Execute a command, return what it returns."""
        with self._changed:
            number = self._next_id = self._next_id + 1
            request: Dict[str, Any] = {"execute": name, "id": number}
            if arguments is not None:
                request["arguments"] = arguments
            try:
                self._socket.sendall(json.dumps(request).encode() + b"\n")
            except OSError as error:
                raise QmpError(f"{name}: {error}") from error
            self._changed.wait_for(
                lambda: number in self._replies or self._closed, timeout)
            reply = self._replies.pop(number, None)
        if reply is None:
            raise QmpError(f"{name}: no answer from {self._path.name}")
        if "error" in reply:
            raise QmpError(f"{name}: {reply['error'].get('desc')}")
        return reply["return"]

    def events(self, name: Optional[str] = None) -> List[Event]:
        """The events so far, all of them or those with this name."""
        with self._changed:
            return [event for event in self._events
                    if name is None or event.name == name]

    def wait_event(self, name: str, timeout: float, after: float = 0.0,
                   **data: Any) -> Event:
        """Wait for an event with this name and these data that happened
        after a time; one that has come already counts."""
        def found() -> Optional[Event]:
            for event in self._events:
                if event.name == name and event.time >= after and all(
                        event.data.get(k) == v for k, v in data.items()):
                    return event
            return None

        with self._changed:
            self._changed.wait_for(
                lambda: found() is not None or self._closed, timeout)
            event = found()
        if event is None:
            detail = "".join(f" {k}={v}" for k, v in data.items())
            raise QmpError(f"no event {name}{detail} from {self._path.name}")
        return event

    def close(self) -> None:
        """Close the connection."""
        try:
            self._socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self._reader.join(5.0)
        self._socket.close()
