# SPDX-License-Identifier: BSD-2-Clause
"""The connection between the hosts breaks, ends in the middle of a frame,
or carries something that is no frame."""

import random
import struct
from typing import List

import pytest

from lib.frames import number_of, numbered, numbered_range
from lib.hosts import VNET_HDR_NONE
from lib.site import Site
from lib.switchover import Destination, Source, Switchover
from lib.waiting import wait_until
from lib.wire import Peer, encode

OVERSIZE = 1 << 20


def start(site: Site, properties: str = "") -> Destination:
    """A destination whose machine runs and that listens for a peer."""
    end = Destination(site)
    end.serve()
    end.vmm.set_status("running")
    end.vmm.read()
    end.start(f"socket,path={site.path('wire')},server=on,wait=off",
              properties)
    return end


def check_good_peer(site: Site, end: Destination, before: int = 0) -> None:
    """Somebody who talks sense is understood."""
    peer = site.peer("wire")
    peer.send(numbered_range(before, before + 10))
    end.vmm.wait_count(before + 10)
    assert end.vmm.numbers() == list(range(before + 10))
    peer.close()


def oversize(length: int) -> bytes:
    """The beginning of a frame that can't be."""
    return struct.pack(">I", length) + b"x" * 100


@pytest.mark.parametrize("length", [OVERSIZE, 0xFFFFFFFF, 0x80000000])
def test_oversize_length(site: Site, length: int) -> None:
    """The connection is closed, the frame counted; the next peer is as
    welcome as ever."""
    end = start(site)
    peer = site.peer("wire")
    peer.send(numbered_range(0, 5))
    peer.send_bytes(oversize(length))
    peer.wait_closed()
    end.daemon.wait_counters(indev=6, out_netdev=5, dropped_oversize=1)
    end.vmm.wait_count(5)
    check_good_peer(site, end, before=5)


def test_oversize_length_while_held(site: Site) -> None:
    """It happens to a machine that does not run as well: what came before
    stays held."""
    end = Destination(site)
    end.serve()
    end.start(f"socket,path={site.path('wire')},server=on,wait=off")
    peer = site.peer("wire")
    peer.send(numbered_range(0, 5))
    peer.send_bytes(oversize(OVERSIZE))
    peer.wait_closed()
    end.daemon.wait_counters(held=5, dropped_oversize=1)
    end.resume()
    end.vmm.wait_count(5)
    check_good_peer(site, end, before=5)


@pytest.mark.parametrize("seed", range(3))
def test_garbage(site: Site, seed: int) -> None:
    """Random bytes do no harm."""
    end = start(site)
    for piece in range(5):
        peer = site.peer("wire")
        dice = random.Random(seed * 100 + piece)
        try:
            peer.send_bytes(dice.randbytes(dice.randrange(1, 5000)))
        except (BrokenPipeError, ConnectionResetError):
            pass
        peer.close()
    end.daemon.check()
    peer = site.peer("wire")
    peer.send(numbered_range(0, 10))
    end.vmm.wait_count(10)
    assert [number_of(frame.data) for frame in end.vmm.frames()[-10:]] == \
        list(range(10))


@pytest.mark.parametrize("cut", [1, 3, 4, 5, 40, 67])
def test_half_a_frame(site: Site, cut: int) -> None:
    """A peer hangs up in the middle of a frame; the next one's first byte
    begins a frame."""
    end = start(site)
    peer = site.peer("wire")
    peer.send(numbered_range(0, 3))
    peer.send_bytes(encode([numbered(3)])[:cut])
    end.vmm.wait_count(3)
    peer.close()
    check_good_peer(site, end, before=3)
    end.daemon.wait_counters(indev=13, out_netdev=13)


def test_byte_by_byte(site: Site) -> None:
    """Frames need not arrive in one piece."""
    end = start(site)
    peer = site.peer("wire")
    for byte in encode(numbered_range(0, 4)):
        peer.send_bytes(bytes([byte]))
    end.vmm.wait_count(4)
    assert end.vmm.numbers() == list(range(4))


@pytest.mark.parametrize("length", [0, 1, 13])
def test_frame_too_short_for_ethernet(site: Site, length: int) -> None:
    """The interface does not take it: counted, and nothing else suffers."""
    end = start(site)
    peer = site.peer("wire")
    peer.send([numbered(0), bytes(length), numbered(1)])
    end.vmm.wait_count(2)
    assert end.vmm.numbers() == [0, 1]
    end.daemon.wait_counters(indev=3, out_netdev=2, dropped_inject=1)


def test_frame_too_large_for_the_interface(site: Site) -> None:
    """More than its MTU allows: counted, and nothing else suffers."""
    end = start(site)
    peer = site.peer("wire")
    peer.send([numbered(0), numbered(1, 9000), numbered(2)])
    end.vmm.wait_count(2)
    assert end.vmm.numbers() == [0, 2]
    end.daemon.wait_counters(indev=3, out_netdev=2, dropped_oversize=1)


@pytest.mark.parametrize("header_len", [0, 10, 12])
def test_virtio_header_lengths(site: Site, header_len: int) -> None:
    """With vnet_hdr_support the peer says how long its header is."""
    end = start(site, "vnet_hdr_support=on")
    peer = site.peer("wire")
    header = (VNET_HDR_NONE + bytes(2))[:header_len]
    for frame in numbered_range(0, 10):
        payload = header + frame
        peer.send_bytes(struct.pack(">II", len(payload), header_len) +
                        payload)
    end.vmm.wait_count(10)
    assert end.vmm.numbers() == list(range(10))


def test_virtio_header_longer_than_the_frame(site: Site) -> None:
    """Peers that do not agree about vnet_hdr_support find out."""
    end = start(site, "vnet_hdr_support=on")
    peer = site.peer("wire")
    peer.send(numbered_range(0, 3))
    peer.wait_closed()
    end.daemon.wait_log("vnet_hdr_support")
    peer = site.peer("wire")
    payload = VNET_HDR_NONE + numbered(0)
    peer.send_bytes(struct.pack(">II", len(payload), 10) + payload)
    end.vmm.wait_count(1)
    assert end.vmm.numbers() == [0]


def test_peer_waits_for_its_turn(site: Site) -> None:
    """A second peer is served when the first has gone."""
    end = start(site)
    first, second = site.peer("wire"), site.peer("wire")
    second.send(numbered_range(10, 20))
    first.send(numbered_range(0, 10))
    end.vmm.wait_count(10)
    first.close()
    end.vmm.wait_count(20)
    assert end.vmm.numbers() == list(range(20))


def test_peer_that_left_while_all_is_held(site: Site) -> None:
    """A source that has shipped all and gone is not forgotten, even where
    the hold was full."""
    end = Destination(site)
    end.serve()
    end.start(f"socket,path={site.path('wire')},server=on,wait=off",
              "hold-size=4K")
    peer = site.peer("wire")
    peer.send(numbered_range(0, 200))
    peer.close()
    end.resume()
    end.vmm.wait_count(200)
    assert end.vmm.numbers() == list(range(200))


def test_destination_restarted(site: Site) -> None:
    """The next daemon gets what the last one had held, too."""
    pair = Switchover(site).start()
    pair.stop_source()
    pair.source.send(20)
    pair.wait_arrived()
    pair.destination.daemon.stop()
    pair.source.send(20)
    pair.source.daemon.wait_counters(in_netdev=40, queued=20)
    pair.start_destination()
    pair.destination.daemon.wait_counters(held=40)
    pair.source.send(20)
    pair.destination.daemon.wait_counters(held=60)
    pair.source.daemon.wait_counters(outdev=60, queued=0)
    pair.resume_destination()
    pair.destination.vmm.wait_count(60)
    assert pair.destination.vmm.numbers() == list(range(60))


def test_destination_killed_under_load(site: Site) -> None:
    """A destination that ends in the middle of the stream: the next one
    gets all frames, in order."""
    pair = Switchover(site, "tcp").start()
    pair.stop_source()
    pair.source.send(1000, size=1400)
    pair.destination.daemon.stop()
    pair.source.send(1000, size=1400)
    pair.source.wait_captured()
    pair.start_destination()
    pair.source.daemon.wait_counters(queued=0)
    pair.resume_destination()
    pair.destination.vmm.wait_count(2000)
    assert pair.destination.vmm.numbers() == list(range(2000))


def test_source_started_at_a_full_queue(site: Site) -> None:
    """What finds no room before the daemon has heard that the machine
    stands is shipped, as what lay in the queue before, and what comes
    later."""
    pair = Switchover(site, txqueuelen=10)
    pair.source.vmm.stop()
    pair.source.send_unseen(20)
    pair.source.vmm.unserve()
    pair.start_source()
    pair.source.send(8)
    pair.source.daemon.wait_counters(in_netdev=8, dropped_tap_full=8)
    pair.source.serve()
    pair.source.wait_phase("shipping")
    pair.source.send(5)
    pair.source.daemon.wait_counters(in_netdev=23, dropped_tap_full=0,
                                     queued=23)


def test_source_restarted(site: Site) -> None:
    """A new source's daemon takes over from where it is."""
    pair = Switchover(site).start()
    pair.stop_source()
    pair.source.send(20)
    pair.wait_arrived()
    pair.source.daemon.stop()
    pair.start_source()
    pair.wait_connected()
    pair.source.wait_phase("shipping")
    pair.source.host.sender("tap0").send(numbered_range(20, 30))
    pair.destination.daemon.wait_counters(held=30)
    pair.resume_destination()
    pair.destination.vmm.wait_count(30)
    assert pair.destination.vmm.numbers() == list(range(30))


def test_partly_sent_frame_is_sent_again(site: Site) -> None:
    """A peer that leaves in the middle of a frame: the next one begins
    with a whole one, and none is skipped that nobody has taken."""
    source = Source(site)
    source.serve()
    source.vmm.stop()
    listener = site.listener("wire")
    source.start(f"socket,path={site.path('wire')},reconnect-ms=50")
    peer = listener.accept(receive_buffer=4096)
    source.wait_phase("shipping")
    source.send(1000, size=1400)
    source.wait_captured()
    assert _numbers(peer, 3) == [0, 1, 2]
    peer.receive_bytes(700)
    taken = source.daemon.counters()["outdev"]
    peer.close()
    peer = listener.accept()
    first = _numbers(peer, 1)[0]
    # The kernel may have taken more while the first peer read.
    assert taken <= first < 1000
    assert _numbers(peer, 999 - first) == list(range(first + 1, 1000))
    source.daemon.wait_counters(outdev=1000, queued=0)


def _numbers(peer: Peer, count: int) -> List[int]:
    return [number_of(frame) for frame in peer.receive(count)]
