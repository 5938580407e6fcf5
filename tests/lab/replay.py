# SPDX-License-Identifier: BSD-2-Clause
"""Plain capture and replay, for comparison: what reaches the old host's
interface from a moment on is held, and sent into the new host's from another
moment on (``tests/blackout/replay.c``)."""

import os
import socket
import subprocess
import threading
from pathlib import Path
from typing import Callable

from .errors import LabError
from .netns import TAPS, World, entered
from .paths import Paths
from .qmp import Qmp, QmpError

SOL_PACKET = 263
PACKET_VNET_HDR = 15
SO_RCVBUFFORCE = 33
ETH_P_ALL = 3
ROOM = 64 << 20
# How long a migration may take.
PATIENCE_S = 120.0


def packet_socket(namespace: str, ifname: str) -> socket.socket:
    """A packet socket with virtio-net headers, bound to an interface, that
    receives nothing."""
    with entered(namespace):
        packet = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    packet.setsockopt(SOL_PACKET, PACKET_VNET_HDR, 1)
    packet.bind((ifname, 0))
    return packet


class Replay:
    """From one interface to another, each in its namespace."""

    def __init__(self, source: str, source_ifname: str, destination: str,
                 destination_ifname: str) -> None:
        program = Paths().build / "tests" / "blackout" / "blackout-replay"
        if not program.exists():
            raise LabError(f"no {program}: run make first")
        self._ifname = source_ifname
        self._capture = packet_socket(source, source_ifname)
        self._capture.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, ROOM)
        theirs, self._control = os.pipe()
        with packet_socket(destination, destination_ifname) as inject:
            fds = [self._capture.fileno(), inject.fileno(), theirs]
            self._process = subprocess.Popen(
                [program, *map(str, fds)], stdin=subprocess.DEVNULL,
                pass_fds=fds)
        os.close(theirs)

    def start(self) -> None:
        """Capture from now on."""
        self._capture.bind((self._ifname, ETH_P_ALL))

    def release(self) -> None:
        """Send what was captured, and from now on as it comes."""
        os.write(self._control, b"x")

    def close(self) -> None:
        """End it."""
        self._process.kill()
        self._process.wait()
        os.close(self._control)
        self._capture.close()


class ReplayAround:
    """A replay that follows both virtual machines' monitors: it captures
    from the source's STOP on, and sends from the destination's RESUME on."""

    def __init__(self, world: World, source: Path, destination: Path
                 ) -> None:
        self._replay = Replay(world.name("hostA"), TAPS["hostA"],
                              world.name("hostB"), TAPS["hostB"])
        self._monitors = Qmp(source), Qmp(destination)
        self._threads = [
            threading.Thread(target=self._follow, args=each, daemon=True)
            for each in ((self._monitors[0], "STOP", self._replay.start),
                         (self._monitors[1], "RESUME",
                          self._replay.release))]
        for thread in self._threads:
            thread.start()

    @staticmethod
    def _follow(monitor: Qmp, event: str,
                action: Callable[[], None]) -> None:
        try:
            monitor.wait_event(event, PATIENCE_S)
        except QmpError:
            return  # it never happened
        action()

    def __enter__(self) -> "ReplayAround":
        return self

    def __exit__(self, *_error: object) -> None:
        for monitor in self._monitors:
            monitor.close()
        for thread in self._threads:
            thread.join()
        self._replay.close()
