# SPDX-License-Identifier: BSD-2-Clause
"""Programs under test, spoken to byte by byte.

For tests that want to see every reply as it came, malformed requests
included; lab.qmp is the client for those that just want things done.
"""

import json
import os
import shutil
import socket
import subprocess
import threading
import time
from pathlib import Path
from typing import Any, Dict, List, Optional, Sequence, Union

import pytest

TOP = Path(__file__).resolve().parents[2]
TIMEOUT = 20.0

Message = Dict[str, Any]


def program(variable: str, name: str) -> str:
    """A program of the project; the environment may name another one."""
    return os.environ.get(variable) or str(TOP / "build" / name)


def tapferryd() -> str:
    """The daemon."""
    return program("TAPFERRYD", "tapferryd")


def tapferry() -> str:
    """The command line tool."""
    return program("TAPFERRY", "tapferry")


def qemu() -> Optional[str]:
    """The oracle, if it is here."""
    return shutil.which(os.environ.get("QEMU", "qemu-system-x86_64"))


def bare_programs() -> Dict[str, List[str]]:
    """The daemon and the oracle, with nothing in them but a monitor to be."""
    oracle = qemu()
    if not oracle:
        pytest.skip("no QEMU to compare with")
    return {"ours": [tapferryd()],
            "theirs": [oracle, "-machine", "none", "-nodefaults",
                       "-display", "none"]}


def in_namespace(*argv: str) -> List[str]:
    """Runs @argv in a network of its own with the veth pair v0, v1, which
    goes when the program does; without IPv6 nobody sends on it by himself.
    Needs root."""
    script = ("for all in /proc/sys/net/ipv6/conf/*/disable_ipv6; do "
              "echo 1 2>/dev/null >\"$all\"; done; "
              "ip link add v0 type veth peer name v1 && ip link set v0 up && "
              "ip link set v1 up && ip link set lo up && exec \"$@\"")
    return ["unshare", "--net", "sh", "-c", script, "sh", *argv]


def needs_root() -> None:
    """Skips a test that makes interfaces."""
    if os.geteuid() != 0:
        pytest.skip("interfaces need root")


def chardevs(directory: Path) -> List[str]:
    """Options for two chardevs that nobody has connected to."""
    return [word for name in ("c0", "c1") for word in (
        "-chardev",
        f"socket,id={name},path={directory}/{name},server=on,wait=off")]


class Stream:
    """QMP over something that can be written to and read from."""

    def __init__(self, reader: Any, writer: Any) -> None:
        self._reader = reader
        self._writer = writer
        self._marks = 0

    def write(self, data: Union[str, bytes]) -> None:
        """Sends bytes as they are."""
        self._writer.write(data.encode() if isinstance(data, str) else data)
        self._writer.flush()

    def line(self) -> bytes:
        """The next line as it came."""
        line: bytes = self._reader.readline()
        return line

    def read(self) -> Message:
        """The next message."""
        line = self.line()
        if not line:
            raise EOFError("the peer closed the connection")
        assert line.endswith(b"\r\n"), line
        message: Message = json.loads(line.decode("ascii"))
        return message

    def exchange(self, data: Union[str, bytes]) -> List[Message]:
        """Sends bytes; all that comes back for them, events included."""
        self._marks += 1
        mark = f"mark {self._marks}"
        # At once: the last command may end the peer.
        self.write((data.encode() if isinstance(data, str) else data) +
                   f'\n{{"execute": "mark", "id": "{mark}"}}\n'.encode())
        messages: List[Message] = []
        while True:
            message = self.read()
            if message.get("id") == mark:
                return messages
            messages.append(message)

    def request(self, execute: str, **arguments: Any) -> Message:
        """Executes a command; its reply."""
        replies = [message for message in self.exchange(json.dumps(
            {"execute": execute, "arguments": arguments}))
            if "event" not in message]
        assert len(replies) == 1, replies
        return replies[0]

    def command(self, execute: str, **arguments: Any) -> Any:
        """Executes a command that must succeed; what it returns."""
        reply = self.request(execute, **arguments)
        assert "return" in reply, reply
        return reply["return"]

    def chardevs(self) -> List[Any]:
        """query-chardev, without monitors."""
        return [entry for entry in self.command("query-chardev")
                if not entry["label"].startswith("compat_monitor")]

    def hmp(self, line: str) -> str:
        """Executes a command of the human monitor."""
        text: str = self.command("human-monitor-command",
                                 **{"command-line": line})
        return text


class Peer(Stream):
    """A program with a QMP monitor on its standard input and output."""

    def __init__(self, argv: Sequence[str], negotiate: bool = True,
                 cwd: Optional[Path] = None) -> None:
        self.process = subprocess.Popen(
            list(argv), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, cwd=cwd)
        self._killer = threading.Timer(15 * TIMEOUT, self.process.kill)
        self._killer.start()
        super().__init__(self.process.stdout, self.process.stdin)
        try:
            self.greeting = self.read()
        except EOFError:
            self.stop()
            raise AssertionError(self.errors) from None
        if negotiate:
            self.exchange('{"execute": "qmp_capabilities"}')

    errors = ""

    def __enter__(self) -> "Peer":
        return self

    def __exit__(self, *_error: object) -> None:
        self.stop()

    def wait(self) -> int:
        """Waits for the end of the program; its exit status."""
        status = self.process.wait(TIMEOUT)
        self._killer.cancel()
        return status

    def stop(self) -> int:
        """Ends the program, if it still runs; its exit status."""
        self.process.terminate()
        try:
            _output, errors = self.process.communicate(timeout=TIMEOUT)
        except subprocess.TimeoutExpired:
            self.process.kill()
            _output, errors = self.process.communicate()
        self._killer.cancel()
        self.errors = errors.decode(errors="replace")
        for word in ("Sanitizer", "runtime error", "CRITICAL"):
            assert word not in self.errors, self.errors
        return self.process.returncode


class Client(Stream):
    """A connection to a QMP monitor on a unix socket."""

    def __init__(self, path: Path, negotiate: bool = True) -> None:
        self.socket = connect(path)
        file = self.socket.makefile("rwb")
        super().__init__(file, file)
        self.greeting = self.read()
        if negotiate:
            self.exchange('{"execute": "qmp_capabilities"}')

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes the connection."""
        self._reader.close()
        self.socket.close()


def connect(path: Path, timeout: float = TIMEOUT) -> socket.socket:
    """Connects to a unix socket, which need not be there yet."""
    end = time.monotonic() + timeout
    while True:
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(timeout)
        try:
            connection.connect(str(path))
            return connection
        except OSError:
            connection.close()
            if time.monotonic() > end:
                raise
            time.sleep(0.02)
