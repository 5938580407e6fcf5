# SPDX-License-Identifier: BSD-2-Clause
"""A capture has a ring while there is much to capture, and not a frame is
lost, repeated or out of order when it gets one and when that goes again."""

import time
from pathlib import Path

from lib.daemon import Daemon
from lib.frames import number_of, numbered_range
from lib.hosts import Host
from lib.site import Site
from lib.wire import Peer

TAP = "tap0"
# Less than a ring holds, whenever the daemon gets its turn.
BURST = 2000


def rings(daemon: Daemon) -> int:
    """How many rings the daemon has mapped."""
    maps = Path(f"/proc/{daemon.pid}/maps").read_text(encoding="ascii")
    return sum("socket:[" in line for line in maps.splitlines())


class Stream:
    """Numbered frames into a TAP, and out of the daemon's outdev."""

    def __init__(self, site: Site) -> None:
        self.host: Host = site.host()
        self.guest = site.guest(self.host, TAP)
        self.guest.read()
        listener = site.listener("wire")
        self.daemon = site.daemon(
            self.host, "capture", "-netdev", f"tap,id=n0,ifname={TAP}",
            "-chardev", f"socket,id=out0,path={site.path('wire')}",
            "-object", "filter-redirector,id=rd0,netdev=n0,in_netdev=n0,"
            "outdev=out0")
        self.peer: Peer = listener.accept()
        self.daemon.wait_connected()
        self.sent = 0

    def send(self, count: int) -> None:
        """Send so many frames and receive them."""
        first = self.sent
        self.sent += count
        self.host.sender(TAP).send(numbered_range(first, self.sent))
        numbers = [number_of(frame) for frame in
                   self.peer.receive(count)]
        assert numbers == list(range(first, self.sent))


def send_until(stream: Stream, count: int, there: int) -> None:
    """Send again and again until so many rings are there."""
    deadline = time.monotonic() + 60
    while rings(stream.daemon) != there:
        assert time.monotonic() < deadline
        stream.send(count)
        time.sleep(0 if there else 0.05)


def test_ring_comes_and_goes(site: Site) -> None:
    """Exactly once, in order, all the way; and no memory while idle."""
    stream = Stream(site)
    stream.send(10)
    assert rings(stream.daemon) == 0
    send_until(stream, BURST, 1)
    # Some traffic goes on while it is given up.
    send_until(stream, 5, 0)
    send_until(stream, BURST, 1)
    assert stream.peer.is_silent()
    counters = stream.daemon.counters()
    assert counters["in_netdev"] == counters["outdev"] == stream.sent
    assert counters["dropped-ring"] == 0
