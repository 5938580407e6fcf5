# SPDX-License-Identifier: BSD-2-Clause
"""The world a migration happens in: four network namespaces.

::

    client ──── switch (bridge) ──┬── hostA: bridge ── tapA   (source)
    10.0.0.1                      │     │ mgmt0 10.99.0.1
                                  │     │ mgmt0 10.99.0.2
                                  └── hostB: bridge ── tapB   (destination)

The guest is 10.0.0.2.  The two hosts reach each other over a link of their
own, as over a management network.

The namespaces' names carry the process id and a running number, so that
parallel runs never meet; what a killed run left behind is swept away by
the next one.  Interfaces live inside the namespaces and vanish with them.
"""

import contextlib
import ctypes
import itertools
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Iterator, List, Optional

from .errors import LabError
from .process import Argument, uninterrupted

CLIENT_ADDRESS = "10.0.0.1"
GUEST_ADDRESS = "10.0.0.2"
BROADCAST_ADDRESS = "10.0.0.255"
GUEST_MAC = "52:54:00:12:34:56"
MANAGEMENT = {"hostA": "10.99.0.1", "hostB": "10.99.0.2"}
TAPS = {"hostA": "tapA", "hostB": "tapB"}
NAMESPACES = ("client", "switch", "hostA", "hostB")

_CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)
_PREFIX = "tapferry-lab"
_LEFT_OVER = re.compile(rf"{_PREFIX}-(\d+)-")
_numbers = itertools.count(1)


def _run(*argv: str, check: bool = True) -> str:
    done = subprocess.run(argv, text=True, check=False, timeout=30,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if check and done.returncode:
        raise LabError(f"{' '.join(argv)}: {done.stdout.strip()}")
    return done.stdout


@contextlib.contextmanager
def _open(path: str) -> Iterator[int]:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        yield fd
    finally:
        os.close(fd)


def _setns(fd: int) -> None:
    if _libc.setns(fd, _CLONE_NEWNET) < 0:
        raise OSError(ctypes.get_errno(), "setns")


@contextlib.contextmanager
def entered(namespace: str) -> Iterator[None]:
    """The calling thread is in a network namespace: what it opens or
    starts belongs there."""
    with _open("/proc/thread-self/ns/net") as home, \
            _open(f"/run/netns/{namespace}") as there:
        _setns(there)
        try:
            yield
        finally:
            _setns(home)


def _is_left_over(name: str) -> bool:
    match = _LEFT_OVER.match(name)
    return match is not None and not Path(f"/proc/{match[1]}").exists()


def sweep() -> None:
    """Remove what runs left behind that no longer exist."""
    for line in _run("ip", "netns", "list", check=False).splitlines():
        name = line.split()[0] if line.split() else ""
        if _is_left_over(name):
            _run("ip", "netns", "del", name, check=False)
    for directory in Path(tempfile.gettempdir()).glob(f"{_PREFIX}-*"):
        if _is_left_over(directory.name):
            shutil.rmtree(directory, ignore_errors=True)


class World:
    """The namespaces and a directory for sockets and logs; a context
    manager that removes all of it."""

    def __init__(self, txqueuelen: Optional[int] = None,
                 keep_directory: bool = False, queues: int = 1) -> None:
        self.prefix = f"{_PREFIX}-{os.getpid()}-{next(_numbers)}"
        self.directory = Path(tempfile.gettempdir()) / self.prefix
        self._txqueuelen = txqueuelen
        self._queues = queues
        self._keep_directory = keep_directory

    @property
    def kept_directory(self) -> Path:
        """Where the logs are afterwards, if they are to be kept."""
        return self.directory.with_name(
            self.directory.name.replace(_PREFIX, f"{_PREFIX}-logs"))

    def __enter__(self) -> "World":
        sweep()
        try:
            self.directory.mkdir(mode=0o700)
            self._create()
        except BaseException:
            self._remove()
            raise
        return self

    def __exit__(self, *_error: object) -> None:
        self._remove()

    def name(self, role: str) -> str:
        """The full name of the namespace with this role."""
        return f"{self.prefix}-{role}"

    def inside(self, role: str, *argv: Argument) -> List[str]:
        """The command line that runs ``argv`` inside a namespace."""
        return ["ip", "netns", "exec", self.name(role),
                *(os.fspath(argument) for argument in argv)]

    def run(self, role: str, *argv: str) -> str:
        """Run a short command inside a namespace."""
        return _run(*self.inside(role, *argv))

    def _ip(self, role: str, command: str) -> None:
        _run("ip", "-n", self.name(role), *command.split())

    def _create(self) -> None:
        for role in NAMESPACES:
            _run("ip", "netns", "add", self.name(role))
            # No autoconfiguration: only the runs' own packets travel.
            self.run(role, "sh", "-c",
                     "for f in /proc/sys/net/ipv6/conf/*/disable_ipv6; do"
                     " [ -e $f ] && echo 1 > $f; done; true")
            self._ip(role, "link set lo up")
        self._create_bridge("switch")
        for role in ("client", "hostA", "hostB"):
            self._create_uplink(role)
        self._ip("client", f"addr add {CLIENT_ADDRESS}/24 dev up0")
        self._ip("client", f"neigh add {GUEST_ADDRESS} lladdr {GUEST_MAC}"
                           " dev up0 nud permanent")
        for role in ("hostA", "hostB"):
            self._create_bridge(role)
            self._ip(role, "link set up0 master br0")
            self._create_tap(role)
        self._create_management()

    def _create_bridge(self, role: str) -> None:
        self._ip(role, "link add br0 type bridge mcast_snooping 0")
        self._ip(role, "link set br0 up")

    def _create_uplink(self, role: str) -> None:
        _run("ip", "link", "add", role, "netns", self.name("switch"),
             "type", "veth", "peer", "name", "up0", "netns", self.name(role))
        self._ip("switch", f"link set {role} master br0 up")
        self._ip(role, "link set up0 up")

    def _create_tap(self, role: str) -> None:
        tap = TAPS[role]
        self._ip(role, f"tuntap add {tap} mode tap vnet_hdr" +
                 (" multi_queue" if self._queues > 1 else ""))
        if self._txqueuelen is not None:
            self._ip(role, f"link set {tap} txqueuelen {self._txqueuelen}")
        self._ip(role, f"link set {tap} master br0 up")

    def _create_management(self) -> None:
        _run("ip", "link", "add", "mgmt0", "netns", self.name("hostA"),
             "type", "veth", "peer", "name", "mgmt0",
             "netns", self.name("hostB"))
        for role, address in MANAGEMENT.items():
            self._ip(role, f"addr add {address}/24 dev mgmt0")
            self._ip(role, "link set mgmt0 up")

    def _remove(self) -> None:
        with uninterrupted():
            for role in NAMESPACES:
                _run("ip", "netns", "del", self.name(role), check=False)
            if self._keep_directory and self.directory.exists():
                self.directory.rename(self.kept_directory)
            shutil.rmtree(self.directory, ignore_errors=True)
