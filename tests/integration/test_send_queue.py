# SPDX-License-Identifier: BSD-2-Clause
"""What outdev owes a peer that is slow or absent: on-full and
send-queue-size, and every drop counted with its cause."""

from typing import List

import pytest

from lib.daemon import Daemon
from lib.frames import number_of, numbered_range
from lib.site import Site
from lib.switchover import TAP, Source
from lib.waiting import wait_until
from lib.wire import Listener, Peer

# Frames that a capture remembers while nobody takes them.
RING = 2048
SIZE = 1400
# More than wait in a socket.
FLOOD = 40000


class Capture:
    """A redirector that ships all that is sent to the guest."""

    def __init__(self, site: Site, properties: str,
                 connected: bool = True) -> None:
        self.host = site.host()
        self.guest = site.guest(self.host, TAP)
        self.guest.read()
        self.listener: Listener = site.listener("wire")
        if not connected:
            self.listener.close()
        self.daemon = site.daemon(
            self.host, "capture", "-netdev", f"tap,id=n0,ifname={TAP}",
            "-chardev",
            f"socket,id=out0,path={site.path('wire')},reconnect-ms=50",
            "-object", "filter-redirector,id=rd0,netdev=n0,in_netdev=n0,"
            f"outdev=out0,{properties}")
        self.sent = 0

    def accept(self) -> Peer:
        """The daemon's connection, which can hold little."""
        peer = self.listener.accept(receive_buffer=4096)
        self.daemon.wait_connected()
        return peer

    def send(self, count: int, burst: int = 500) -> None:
        """Send the next frames to the guest, as fast as it takes them."""
        end = self.sent + count
        while self.sent < end:
            first, self.sent = self.sent, min(end, self.sent + burst)
            self.host.sender(TAP).send(
                numbered_range(first, self.sent, SIZE))
            self.guest.wait_count(self.sent)


def receive_all(peer: Peer, daemon: Daemon, captured: int) -> List[int]:
    """The numbers of all frames that come out of so many captured."""
    numbers: List[int] = []

    def empty() -> bool:
        counters = daemon.counters()
        numbers.extend(receive(peer, counters["outdev"] - len(numbers)))
        return counters["queued"] == 0 and counters["in_netdev"] == captured

    wait_until(empty, "an empty queue")
    daemon.wait_counters(in_netdev=captured, outdev=len(numbers), queued=0)
    assert peer.is_silent()
    return numbers


def receive(peer: Peer, count: int) -> List[int]:
    """The numbers of so many frames."""
    return [number_of(frame) for frame in peer.receive(count)]


@pytest.mark.parametrize("properties", ["send-queue-size=64K",
                                        "send-queue-size=64K,"
                                        "on-full=drop-newest"])
def test_drop_newest(site: Site, properties: str) -> None:
    """The default of capture=all: what finds the queue full is lost."""
    capture = Capture(site, properties)
    peer = capture.accept()
    capture.send(1000)
    capture.daemon.wait_counters(in_netdev=1000)
    numbers = receive_all(peer, capture.daemon, 1000)
    dropped = capture.daemon.counters()["dropped-queue-full"]
    assert dropped > 0 and len(numbers) == 1000 - dropped
    assert numbers == sorted(set(numbers)) and numbers[-1] < 999

    capture.send(10)
    assert receive(peer, 10) == list(range(1000, 1010))


@pytest.mark.parametrize("policy", ["drop-newest", "drop-oldest"])
def test_peer_that_keeps_up(site: Site, policy: str) -> None:
    """A peer that takes everything at once gets everything, however small
    the queue is."""
    capture = Capture(site, f"send-queue-size=4K,on-full={policy}")
    peer = capture.accept()
    for first in range(0, 1000, 50):
        capture.send(50)
        assert receive(peer, 50) == list(range(first, first + 50))
    capture.daemon.wait_counters(dropped_queue_full=0)


def test_drop_oldest(site: Site) -> None:
    """The newest frames are worth more than the oldest."""
    capture = Capture(site, "send-queue-size=64K,on-full=drop-oldest")
    peer = capture.accept()
    capture.send(1000)
    capture.daemon.wait_counters(in_netdev=1000)
    numbers = receive_all(peer, capture.daemon, 1000)
    dropped = capture.daemon.counters()["dropped-queue-full"]
    assert dropped > 0 and len(numbers) == 1000 - dropped
    assert numbers == sorted(set(numbers)) and numbers[-1] == 999


def test_block(site: Site) -> None:
    """The capture waits, its ring takes the frames meanwhile."""
    capture = Capture(site, "send-queue-size=64K,on-full=block")
    peer = capture.accept()
    capture.send(RING - 200)
    assert receive_all(peer, capture.daemon, RING - 200) == \
        list(range(RING - 200))


def test_block_until_the_ring_is_full(site: Site) -> None:
    """What the ring can't take is lost, and counted."""
    capture = Capture(site, "send-queue-size=64K,on-full=block")
    peer = capture.accept()
    capture.send(2 * RING)
    numbers = receive_all(peer, capture.daemon, 2 * RING)
    assert numbers == sorted(set(numbers)) and len(numbers) >= RING
    capture.daemon.wait_counters(dropped_ring=2 * RING - len(numbers))


def test_nobody_there(site: Site) -> None:
    """Without a peer a frame is dropped at once, as QEMU drops it."""
    capture = Capture(site, "send-queue-size=64K", connected=False)
    capture.send(100)
    capture.daemon.wait_counters(in_netdev=100, dropped_disconnected=100)


def start_undelivered(site: Site, properties: str) -> Source:
    """A source whose machine stands still and whose peer is absent."""
    source = Source(site)
    source.serve()
    source.vmm.stop()
    source.start(f"socket,path={site.path('wire')},reconnect-ms=50",
                 properties)
    source.wait_phase("shipping")
    return source


def test_undelivered_waits_for_its_peer(site: Site) -> None:
    """With capture=undelivered frames are queued for an absent peer, and
    wait in the ring when the queue is full."""
    source = start_undelivered(site, "send-queue-size=16K")
    source.host.sender(TAP).send(numbered_range(0, 1000))
    peer = site.listener("wire").accept()
    assert receive_all(peer, source.daemon, 1000) == list(range(1000))


def test_undelivered_fills_the_ring(site: Site) -> None:
    """Only when there is no room in the kernel either frames are lost."""
    source = start_undelivered(site, "send-queue-size=16K")
    sender = source.host.sender(TAP)
    for first in range(0, FLOOD, 500):
        sender.send(numbered_range(first, first + 500, SIZE))
    peer = site.listener("wire").accept()
    numbers = receive_all(peer, source.daemon, FLOOD)
    counters = source.daemon.counters()
    assert counters["dropped-ring"] == FLOOD - len(numbers) > 0
    assert len(numbers) >= RING
    assert numbers == sorted(set(numbers)) and numbers[0] == 0


@pytest.mark.parametrize("policy, expected",
                         [("drop-newest", 0), ("drop-oldest", 999)])
def test_undelivered_with_a_limit(site: Site, policy: str,
                                  expected: int) -> None:
    """The user may prefer a loss to a wait."""
    source = start_undelivered(site, f"send-queue-size=16K,on-full={policy}")
    source.send(1000)
    source.wait_captured()
    peer = site.listener("wire").accept()
    numbers = receive_all(peer, source.daemon, 1000)
    counters = source.daemon.counters()
    assert counters["dropped-queue-full"] == 1000 - len(numbers) > 0
    assert numbers == sorted(set(numbers)) and expected in numbers


def test_others_are_not_held_up(site: Site) -> None:
    """While one redirector waits for its peer, another one and the
    monitor go on."""
    host = site.host()
    guest = site.guest(host, TAP)
    guest.read()
    blocked, free = site.listener("blocked"), site.listener("free")
    daemon = site.daemon(
        host, "capture", "-netdev", f"tap,id=n0,ifname={TAP}",
        *(f"{word}" for name in ("blocked", "free") for word in (
            "-chardev", f"socket,id={name},path={site.path(name)},"
            "reconnect-ms=50",
            "-object", f"filter-redirector,id=rd-{name},netdev=n0,"
            f"in_netdev=n0,outdev={name},send-queue-size=4K,on-full=block")))
    silent = blocked.accept(receive_buffer=4096)
    peer = free.accept()
    for first in range(0, 3000, 100):
        host.sender(TAP).send(numbered_range(first, first + 100, SIZE))
        assert receive(peer, 100) == list(range(first, first + 100))
    assert daemon.counters("rd-free")["outdev"] == 3000
    assert daemon.counters("rd-blocked")["queued"] > 0
    silent.close()
