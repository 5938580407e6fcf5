# SPDX-License-Identifier: BSD-2-Clause
"""A host with TAPs, a daemon on it, and both ends of every frame's way: the
test is the guest (it holds the TAP's queue), the network (it sends into the
TAP as a bridge does) and the peer of the daemon's chardevs."""

import contextlib
import fcntl
import itertools
import os
import struct
import time
from pathlib import Path
from typing import ContextManager, List

from . import hosts
from .daemon import Daemon, QmpFailure
from .frames import Frame, numbered, udp
from .site import Site
from .capture_files import capture_lines
from .waiting import wait_until
from .wire import Peer

__all__ = ["Host", "Peer", "QmpFailure", "Tap", "capture_lines", "frame",
           "udp", "wait_until"]

_TUNSETIFF = 0x400454CA
_IFF_TAP_NO_PI = 0x1002
frame = numbered


class Tap:
    """A TAP whose guest, and whose network, is the test."""

    def __init__(self, host: hosts.Host, ifname: str) -> None:
        self.ifname = ifname
        with host.entered():
            self._queue = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
            fcntl.ioctl(self._queue, _TUNSETIFF, struct.pack(
                "16sH22x", ifname.encode(), _IFF_TAP_NO_PI))
        host.set_up(ifname)
        self._network = host.sender(ifname)
        self._offloading = host.sender(ifname, vnet=True)

    def send(self, *frames: bytes) -> None:
        """The network sends toward the guest."""
        self._network.send(frames)

    def send_offloaded(self, vnet: bytes, data: bytes) -> None:
        """Likewise, with a virtio-net header."""
        self._offloading.send_offloaded(Frame(data, vnet))

    def guest_send(self, *frames: bytes) -> None:
        """The guest sends."""
        for each in frames:
            os.write(self._queue, each)

    def guest_receive(self, quiet: float = 0.0) -> List[bytes]:
        """What the guest has got; waits @quiet seconds for it first."""
        time.sleep(quiet)
        frames: List[bytes] = []
        while True:
            try:
                frames.append(os.read(self._queue, 1 << 17))
            except BlockingIOError:
                return frames

    def guest_wait(self, count: int) -> List[bytes]:
        """Waits until the guest has got so many frames."""
        frames: List[bytes] = []
        wait_until(lambda: frames.extend(self.guest_receive()) or
                   len(frames) >= count,
                   lambda: f"{count} frames, got {len(frames)}")
        return frames

    def close(self) -> None:
        """The guest goes, and the TAP with it."""
        os.close(self._queue)


class Host:
    """A host of a site of its own; all of it goes at the end."""

    def __init__(self) -> None:
        self._stack = contextlib.ExitStack()
        self._site = self._stack.enter_context(Site())
        self._host = self._site.host()
        self._daemons = itertools.count()
        self.directory = self._site.directory

    @staticmethod
    def run(*argv: str) -> str:
        """Runs a short command."""
        return hosts.run(*argv)

    def entered(self) -> ContextManager[None]:
        """What is opened or started inside belongs to this host."""
        return self._host.entered()

    def tap(self, ifname: str = "tap0") -> Tap:
        """A new TAP."""
        tap = Tap(self._host, ifname)
        self._stack.callback(tap.close)
        return tap

    def daemon(self, *arguments: str) -> Daemon:
        """A daemon with the netdev n0 on tap0."""
        daemon = self._site.daemon(
            self._host, f"daemon{next(self._daemons)}",
            "-netdev", "tap,id=n0,ifname=tap0", *arguments)
        self._stack.callback(daemon.stop)
        return daemon

    def chardev(self, name: str) -> List[str]:
        """Arguments for a chardev that listens."""
        return ["-chardev", f"socket,id={name},path={self.path(name)},"
                            "server=on,wait=off"]

    def peer(self, name: str) -> Peer:
        """Connects to a chardev that listens."""
        return self._site.peer(name)

    def path(self, name: str) -> Path:
        """A file of this test."""
        return self.directory / name

    def close(self) -> None:
        """All of it goes, in the opposite order."""
        self._stack.close()
