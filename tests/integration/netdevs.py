# SPDX-License-Identifier: BSD-2-Clause
"""What the tests of socket netdevs and plain chardevs need: a daemon or a
QEMU with QMP on its standard input and output and descriptors of ours, and
the wire format.  Nothing here needs a network namespace."""

import json
import os
import select
import shutil
import socket
import struct
import subprocess
import time
from pathlib import Path
from typing import Any, Callable, Dict, List, Optional, Sequence

TOP = Path(__file__).resolve().parents[2]
TIMEOUT = 20.0


def tapferryd() -> str:
    """The daemon under test."""
    return os.environ.get("TAPFERRYD", str(TOP / "build/tapferryd"))


def qemu() -> Optional[str]:
    """The oracle, if it is here."""
    return shutil.which(os.environ.get("QEMU", "qemu-system-x86_64"))


class Failure(AssertionError):
    """A command failed."""

    def __init__(self, error: Dict[str, str]) -> None:
        super().__init__(f"{error['class']}: {error['desc']}")
        self.kind = error["class"]
        self.text = error["desc"]


class Program:
    """A program with a QMP monitor on its standard input and output."""

    def __init__(self, argv: Sequence[str], pass_fds: Sequence[int] = ()
                 ) -> None:
        # pylint: disable=consider-using-with
        self._process = subprocess.Popen(
            list(argv), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, pass_fds=pass_fds)
        assert self._process.stdout
        self.pid = self._process.pid
        self._buffer = b""
        self.events: List[Dict[str, Any]] = []
        self._read(TIMEOUT)
        self.execute("qmp_capabilities")

    def _read(self, timeout: float) -> Optional[Dict[str, Any]]:
        """The next message, or None if none comes in time."""
        fd = self._process.stdout.fileno()  # type: ignore[union-attr]
        end = time.monotonic() + timeout
        while b"\n" not in self._buffer:
            left = end - time.monotonic()
            if left < 0 or not select.select([fd], [], [], left)[0]:
                return None
            data = os.read(fd, 65536)
            if not data:
                _out, errors = self._process.communicate(timeout=TIMEOUT)
                raise AssertionError(errors.decode(errors="replace"))
            self._buffer += data
        line, self._buffer = self._buffer.split(b"\n", 1)
        message: Dict[str, Any] = json.loads(line)
        return message

    def execute(self, name: str, /, **arguments: Any) -> Any:
        """Execute a command; an underscore in an argument's name stands for
        a dash where the command is not netdev_add."""
        if name not in ("netdev_add", "object-add"):
            arguments = {key.replace("_", "-"): value
                         for key, value in arguments.items()}
        if name == "object-add":
            arguments["qom-type"] = arguments.pop("qom_type")
        assert self._process.stdin
        self._process.stdin.write(json.dumps(
            {"execute": name, "arguments": arguments}).encode() + b"\n")
        self._process.stdin.flush()
        while True:
            message = self._read(TIMEOUT)
            assert message, f"no reply to {name}"
            if "event" in message:
                self.events.append(message)
            elif "error" in message:
                raise Failure(message["error"])
            else:
                return message["return"]

    def hmp(self, line: str) -> str:
        """Execute a command of the human monitor."""
        text: str = self.execute("human-monitor-command", command_line=line)
        return text

    def wait_event(self, name: str, **data: Any) -> Dict[str, Any]:
        """The next event of this name (and with this data)."""
        end = time.monotonic() + TIMEOUT
        while True:
            for event in self.events:
                if event["event"] == name and \
                        data.items() <= event.get("data", {}).items():
                    self.events.remove(event)
                    return event
            message = self._read(end - time.monotonic())
            assert message, f"no event {name} {data}: {self.events}"
            if "event" in message:
                self.events.append(message)

    def info(self, netdev: str) -> str:
        """What `info network` says of a netdev."""
        for line in self.hmp("info network").splitlines():
            if line.startswith(f"{netdev}: "):
                return line
        raise AssertionError(f"no {netdev}")

    def wait_info(self, netdev: str, text: str) -> None:
        """Wait until `info network` says so."""
        wait_until(lambda: self.info(netdev) ==
                   f"{netdev}: index=0,{text}",
                   lambda: f"{self.info(netdev)}, not {text}")

    def counter(self, name: str, counter: str) -> int:
        """Packets of one of a filter's counters."""
        entry, = self.execute("query-netfilter-stats", name=name)
        if counter in entry:
            return int(entry[counter])
        return {each["name"]: each["packets"]
                for each in entry["counters"]}[counter]

    def __enter__(self) -> "Program":
        return self

    def __exit__(self, kind: Any, *_rest: Any) -> None:
        self.stop(check=kind is None)

    def stop(self, check: bool = True) -> None:
        """End it; it must not have complained."""
        self._process.terminate()
        try:
            _out, raw = self._process.communicate(timeout=TIMEOUT)
        except subprocess.TimeoutExpired:
            self._process.kill()
            _out, raw = self._process.communicate()
        errors = raw.decode(errors="replace")
        print(errors)
        if check:
            assert self._process.returncode == 0, errors
            assert "Sanitizer" not in errors and "CRITICAL" not in errors, \
                errors


class Daemon(Program):
    """The daemon under test."""

    def __init__(self, *arguments: str, pass_fds: Sequence[int] = (),
                 inside: Sequence[str] = ()) -> None:
        super().__init__([*inside, tapferryd(), *arguments, "-qmp", "stdio"],
                         pass_fds)


class Qemu(Program):
    """A QEMU without a machine."""

    def __init__(self, *arguments: str, pass_fds: Sequence[int] = ()) -> None:
        super().__init__([str(qemu()), "-machine", "none", "-nodefaults",
                          "-display", "none", "-qmp", "stdio", *arguments],
                         pass_fds)


def wait_until(condition: Callable[[], bool],
               otherwise: Callable[[], str]) -> None:
    """Wait until something holds."""
    end = time.monotonic() + TIMEOUT
    while not condition():
        assert time.monotonic() < end, otherwise()
        time.sleep(0.02)


class Wire:
    """The test's end of a stream of frames."""

    def __init__(self, end: socket.socket) -> None:
        self.socket = end
        end.settimeout(TIMEOUT)

    def send(self, *frames: bytes) -> None:
        """Send frames."""
        self.socket.sendall(encode(frames))

    def _exactly(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            more = self.socket.recv(size - len(data))
            assert more, "the peer closed the connection"
            data += more
        return data

    def receive(self) -> bytes:
        """The next frame."""
        return self._exactly(struct.unpack(">I", self._exactly(4))[0])

    def is_silent(self, seconds: float = 0.5) -> bool:
        """Nothing comes for so long."""
        return not select.select([self.socket], [], [], seconds)[0]

    def close(self) -> None:
        """Close it."""
        self.socket.close()


def encode(frames: Sequence[bytes]) -> bytes:
    """Frames as they go over a stream."""
    return b"".join(struct.pack(">I", len(frame)) + frame for frame in frames)


class Pair:
    """A socket pair: our end, and one to be passed on as a descriptor."""

    def __init__(self, kind: int = socket.SOCK_STREAM) -> None:
        self.end, self._other = socket.socketpair(socket.AF_UNIX, kind)
        self.end.settimeout(TIMEOUT)
        self.wire = Wire(self.end)
        self.fd = self._other.fileno()

    def passed(self) -> None:
        """The other program has it."""
        self._other.close()


def listener(path: Path) -> socket.socket:
    """Listens on a unix socket."""
    server = socket.socket(socket.AF_UNIX)
    server.settimeout(TIMEOUT)
    server.bind(str(path))
    server.listen(4)
    return server


def connect(path: Path) -> Wire:
    """Connects to a unix socket, which need not be there yet."""
    end = socket.socket(socket.AF_UNIX)
    wait_until(lambda: end.connect_ex(str(path)) == 0,
               lambda: f"nobody listens at {path}")
    return Wire(end)


def free_port(kind: int = socket.SOCK_STREAM) -> int:
    """A port of 127.0.0.1 that nobody has."""
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
