# SPDX-License-Identifier: BSD-2-Clause
"""The scripted VMM and the scripted network, seen from the test: programs
that are told what to do over a socket (vmm/main.c, network.c)."""

import json
import os
import socket
import struct
import subprocess
import time
from pathlib import Path
from typing import List, NamedTuple, Optional

from lab.paths import Paths
from lab.replay import packet_socket
from lib.hosts import Host

TUN_F_CSUM, TUN_F_TSO4 = 0x01, 0x02
SOURCE, DESTINATION = 1, 2  # as a network's mask
LENGTH_LIMIT = 1 << 16


class Got(NamedTuple):
    """A frame that a guest got."""

    time_ns: int
    queue: int
    vnet: bytes
    data: bytes


def program(name: str) -> str:
    """One of the laboratory's programs."""
    return str(Paths().build / "tests" / "blackout" / f"blackout-{name}")


class Actor:
    """A program with a control socket; it ends when that is closed."""

    def __init__(self, name: str, *arguments: object,
                 fds: Optional[List[int]] = None) -> None:
        self._socket, theirs = socket.socketpair(socket.AF_UNIX,
                                                 socket.SOCK_SEQPACKET)
        self._socket.settimeout(20)
        self.slowest_answer = 0.0  # seconds, at the most
        with theirs:
            fds = [theirs.fileno(), *(fds or [])]
            self.process = subprocess.Popen(
                [program(name), str(theirs.fileno()), *map(str, arguments)],
                stdin=subprocess.DEVNULL, pass_fds=fds)

    def call(self, *request: object) -> int:
        """Make a request; the number of its answer."""
        begin = time.monotonic()
        self._socket.send(" ".join(map(str, request)).encode())
        number = self._answer()
        self.slowest_answer = max(self.slowest_answer,
                                  time.monotonic() - begin)
        return number

    def _answer(self) -> int:
        answer = self._socket.recv(256).split()
        assert answer and answer[0] == b"ok", \
            f"{self.process.args}: {answer or 'has ended'}"
        return int(answer[1])

    def kill(self) -> None:
        """End it as a crash does."""
        self.process.kill()
        self.process.wait()

    def close(self) -> None:
        """End it."""
        self._socket.close()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.kill()


class Vmm(Actor):
    """A scripted VMM with one TAP; opened anew after a crash, it goes on
    with the record of what the guest got."""

    def __init__(self, host: Host, ifname: str, directory: Path, name: str,
                 queues: int = 1, vnet: bool = False, offloads: int = 0,
                 vhost: bool = False, status: str = "running",
                 virtio: bool = True) -> None:
        self.monitor = directory / f"{name}.vm"
        self.monitor.unlink(missing_ok=True)
        self._record = directory / f"{name}.record"
        with host.entered():
            super().__init__(
                "vmm", ifname, queues, int(vnet), offloads,
                "vhost" if vhost else "user", self.monitor, self._record,
                status, int(virtio), 1)
        self._answer()

    def migration(self, *states: str) -> None:
        """A migration goes through these states."""
        for state in states:
            self.call("emit", "MIGRATION", json.dumps({"status": state}))

    def count(self) -> int:
        """How many frames the guest has got."""
        with open(self._record, "rb") as file:
            frames, = struct.unpack("=Q", file.read(8))
        return int(frames)

    def got(self) -> List[Got]:
        """What the guest has got."""
        with open(self._record, "rb") as file:
            _, size = struct.unpack("=QQ", file.read(16))
            data = file.read(size)
        frames, at = [], 0
        while at < size:
            time_ns, queue, vnet_len, length = \
                struct.unpack_from("=QHHI", data, at)
            at += 16
            frames.append(Got(time_ns, queue, data[at:at + vnet_len],
                              data[at + vnet_len:at + length]))
            at += length + -length % 8
        return frames


class Network(Actor):
    """The scripted network between everybody and the two hosts' TAPs."""

    def __init__(self, frames: Path, count: int, source: Host,
                 destination: Host, ifname: str) -> None:
        self.log = frames.with_suffix(".sent")
        self.log.write_bytes(bytes(16 * count))
        sockets = [packet_socket(host.name, ifname)
                   for host in (source, destination)]
        fds = [each.fileno() for each in sockets]
        super().__init__("network", frames, self.log, *fds, fds=fds)
        for each in sockets:
            each.close()

    def steer(self, unicast: int, group: int) -> int:
        """Where frames go from now on; the number of the first one."""
        self.call("steer", 0, unicast)
        return self.call("steer", 1, group)

    def stop(self) -> int:
        """Send nothing any more; how many were sent."""
        return self.call("until", 0)


def processes_of(directory: Path) -> List[str]:
    """Processes whose command lines name a directory."""
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                line = Path(f"/proc/{entry}/cmdline").read_bytes()
            except OSError:
                continue
            if str(directory).encode() in line:
                found.append(line.replace(b"\0", b" ").decode())
    return found
