# SPDX-License-Identifier: BSD-2-Clause
"""What many VMs cost one daemon: 1 to 1,000 TAPs, each armed and idle."""

import contextlib
import fcntl
import io
import json
import os
import resource
import socket
import statistics
import struct
import time
from pathlib import Path
from typing import Dict, Iterator, List

from lab.paths import Paths
from lab.process import Child
from lib.hosts import Host
from lib.site import Site
from lib.waiting import wait_until

from .cpu import cpu_ns, resident_mib
from .figures import Json, short, table
from .settings import Settings, noted, say

COUNTS = (1, 10, 100, 1000)
IDLE_OF_SECONDS = 4  # times SECONDS
QUERIES = 7
_TUNSETIFF = 0x400454CA
_TAP_NO_PI = 0x1002
_START_S = 300.0


@contextlib.contextmanager
def _taps(host: Host, count: int) -> Iterator[None]:
    """TAPs with a carrier, that go with their descriptors."""
    with contextlib.ExitStack() as stack:
        with host.entered():
            for number in range(count):
                fd = os.open("/dev/net/tun", os.O_RDWR | os.O_CLOEXEC)
                stack.callback(os.close, fd)
                fcntl.ioctl(fd, _TUNSETIFF, struct.pack(
                    "16sH22x", f"t{number}".encode(), _TAP_NO_PI))
        host.ip(*(f"link set t{number} up" for number in range(count)))
        yield


def _options(count: int) -> List[str]:
    words = []
    for number in range(count):
        words += [
            "-netdev", f"tap,id=n{number},ifname=t{number}",
            "-chardev", f"null,id=l{number}",
            "-object", f"filter-redirector,id=f{number},netdev=n{number},"
            f"in_netdev=n{number},outdev=l{number},capture=undelivered,"
            "arm=always"]
    return words


class _Asked:
    """A monitor whose answers are timed, not read."""

    def __init__(self, path: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(_START_S)
        self._connect(path)
        self._line()
        self.ask("qmp_capabilities")

    def _connect(self, path: Path) -> None:
        def connected() -> bool:
            try:
                self._socket.connect(str(path))
            except (FileNotFoundError, ConnectionRefusedError):
                return False
            return True

        wait_until(connected, "the daemon to start", _START_S)

    def _line(self) -> bytes:
        pieces = []
        while not pieces or not pieces[-1].endswith(b"\n"):
            piece = self._socket.recv(1 << 20)
            if not piece:
                raise AssertionError("the monitor hung up")
            pieces.append(piece)
        return b"".join(pieces)

    def ask(self, command: str) -> bytes:
        """The answer to a command."""
        self._socket.sendall(json.dumps({"execute": command}).encode())
        return self._line()

    def time(self, command: str) -> float:
        """How long an answer takes, in s."""
        begin = time.monotonic()
        self.ask(command)
        return time.monotonic() - begin

    def close(self) -> None:
        """Hang up."""
        self._socket.close()


def _measure(site: Site, count: int, idle_s: float) -> Dict[str, float]:
    host = site.host()
    path = site.directory / "qmp"
    with _taps(host, count), contextlib.ExitStack() as stack:
        argv = [str(Paths().tapferryd), *_options(count), "-qmp",
                f"unix:{path},server=on,wait=off"]
        begin = time.monotonic()
        with host.entered():
            child = Child("tapferryd", argv, site.directory / "log")
        stack.callback(child.stop, 60)
        monitor = _Asked(path)
        stack.callback(monitor.close)
        started = time.monotonic() - begin
        entries = json.loads(monitor.ask("query-netfilter-stats"))["return"]
        if len(entries) != count:
            raise AssertionError(f"{len(entries)} filters of {count}")
        before = cpu_ns(child.pid)
        time.sleep(idle_s)
        idle = (cpu_ns(child.pid) - before) / 1e7 / idle_s
        return {
            "start_s": started, "rss_mib": resident_mib(child.pid),
            "idle_percent": idle,
            "stats_ms": 1000 * statistics.median(
                monitor.time("query-netfilter-stats")
                for _ in range(QUERIES))}


class Many:
    """The curve, once."""

    name = "many"

    def __init__(self, settings: Settings) -> None:
        self._idle_s = IDLE_OF_SECONDS * settings.seconds
        self._counts = COUNTS[:2] if settings.brief else COUNTS
        self._figures: Dict[int, Dict[str, float]] = {}
        self._problems: List[str] = []

    def run(self) -> None:
        """Measure."""
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        for count in self._counts:
            with noted(self._problems, f"{count} TAPs"), \
                    contextlib.redirect_stdout(io.StringIO()), Site() as site:
                self._figures[count] = _measure(site, count, self._idle_s)
                say(f"{count} TAPs: {self._figures[count]}")

    def text(self) -> str:
        """The table."""
        return table(
            ("armed TAPs", "start s", "RSS MiB", "idle % of a core",
             "query-netfilter-stats ms"),
            [(f"{count:,}", *(short(figures[name]) for name in (
                "start_s", "rss_mib", "idle_percent", "stats_ms")))
             for count, figures in self._figures.items()])

    def json(self) -> Json:
        """All of it."""
        return {str(count): figures
                for count, figures in self._figures.items()}

    def problems(self) -> List[str]:
        """Where a daemon did not start or did not answer."""
        return self._problems
