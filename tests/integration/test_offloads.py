# SPDX-License-Identifier: BSD-2-Clause
"""Frames that a host leaves to its NIC to finish (TSO, USO, checksums), on
every way through the daemon: whole where the far end can take them, else as
the plain frames that they stand for, and never as something in between.

They are sent into a real TAP, with a virtio-net header; what comes out is
judged by scapy.
"""

import random
import socket
from typing import Any, Dict, List

import pytest
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.l2 import GRE, Ether
from scapy.layers.vxlan import VXLAN
from scapy.packet import Packet, Raw

from lib.capture_files import capinfos, capture_lines
from lib.daemon import Daemon
from lib.frames import Frame, completed, numbered
from lib.hosts import Host
from lib.offloads import (ALL_OFFLOADS, GSO_NONE, GSO_TCPV4, KINDS, Kind,
                          check_segments, check_sums, offloaded, super_frame)
from lib.site import Site
from lib.vmm import Vmm
from lib.waiting import wait_until
from lib.wire import Pair, Peer, encode_vnet

SIZE = 1400
PAYLOAD = random.Random(7).randbytes(20000)
LAST = numbered(7)

every_kind = pytest.mark.parametrize("kind", KINDS, ids=str)
vnet_or_not = pytest.mark.parametrize("vnet", [False, True],
                                      ids=["plain", "vnet"])


class Taps:
    """A host with the TAP tap0, whose guest has all offloads."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.host: Host = site.host()
        self.guest: Vmm = site.guest(self.host, "tap0", vnet=True,
                                     offloads=ALL_OFFLOADS)
        self.guest.read()

    def daemon(self, *arguments: str, **options: Any) -> Daemon:
        """A daemon with the netdev n0 on it."""
        return self.site.daemon(self.host, "tapferryd", "-netdev",
                                "tap,id=n0,ifname=tap0", *arguments,
                                **options)

    def chardev(self, name: str) -> List[str]:
        """The option for a chardev that listens."""
        return ["-chardev", f"socket,id={name},path={self.site.path(name)},"
                            "server=on,wait=off"]

    def send(self, kind: Kind) -> None:
        """A super-frame to the guest, and a plain frame behind it."""
        sender = self.host.sender("tap0", vnet=True)
        sender.send_offloaded(super_frame(kind, PAYLOAD, SIZE))
        sender.send([LAST])


def receive_until_last(wire: Peer) -> List[bytes]:
    """What comes in front of the plain frame."""
    frames: List[bytes] = []
    while True:
        frame = wire.receive_one()
        if frame == LAST:
            return frames
        frames.append(frame)


def check_whole(kind: Kind, header: bytes, data: bytes) -> None:
    """It is the super-frame that was sent."""
    sent = super_frame(kind, PAYLOAD, SIZE)
    assert sent.vnet is not None
    assert header[:2] == sent.vnet[:2] and header[4:10] == sent.vnet[4:10]
    assert data == sent.data


@every_kind
@vnet_or_not
@pytest.mark.parametrize("offloads", [0, ALL_OFFLOADS], ids=["none", "all"])
def test_from_tap_to_tap(site: Site, kind: Kind, vnet: bool, offloads: int
                         ) -> None:
    """Captured, shipped, injected: whole if headers travel and the other TAP
    takes it, else in segments."""
    taps = Taps(site)
    other = site.guest(taps.host, "tap1", vnet=True, offloads=offloads)
    other.read()
    path = site.path("link")
    daemon = taps.daemon("-netdev", "tap,id=n1,ifname=tap1", "-chardev",
                         f"socket,id=out,path={path},server=on,wait=off",
                         "-chardev", f"socket,id=in,path={path}")
    daemon.add("filter-redirector", "rd1", netdev="n1", indev="in",
               out_netdev="n1", vnet_hdr_support=vnet)
    daemon.add("filter-redirector", "rd0", in_netdev="n0", outdev="out",
               vnet_hdr_support=vnet)
    daemon.wait_connected()
    taps.send(kind)
    wait_until(lambda: any(frame.data == LAST for frame in other.frames()),
               "the last frame")
    frames = other.frames()[:-1]
    if vnet and offloads:
        frame, = frames
        assert frame.vnet is not None
        check_whole(kind, frame.vnet, frame.data)
        return
    assert {frame.gso_type for frame in frames} == {GSO_NONE}
    check_segments(kind, [completed(frame) for frame in frames], PAYLOAD,
                   SIZE)
    # The guest of the first one has it as it came.
    assert taps.guest.frames()[0].gso_type == kind.gso_type
    counters = daemon.counters("rd0")
    assert counters["in_netdev"] == counters["outdev"] == 2


@every_kind
@vnet_or_not
def test_mirror(site: Site, kind: Kind, vnet: bool) -> None:
    """A copy on a chardev, with headers or in segments."""
    taps = Taps(site)
    daemon = taps.daemon(*taps.chardev("c0"))
    daemon.add("filter-mirror", "m0", outdev="c0", queue="tx",
               vnet_hdr_support=vnet)
    peer = site.peer("c0")
    daemon.wait_connected()
    taps.send(kind)
    if vnet:
        frame = peer.receive_one(vnet=True)
        check_whole(kind, frame[:12], frame[12:])
        assert peer.receive_one(vnet=True) == bytes(12) + LAST
    else:
        check_segments(kind, receive_until_last(peer), PAYLOAD, SIZE)
    daemon.wait_counters("m0", dropped_oversize=0, packets_tx=2)


@every_kind
@pytest.mark.parametrize("form", ["pcap", "pcapng"])
def test_dump(site: Site, kind: Kind, form: str) -> None:
    """A capture file has a super-frame as the host sent it, like those of
    other tools on the same interface."""
    taps = Taps(site)
    daemon = taps.daemon()
    path = site.directory / "dump"
    daemon.add("filter-dump", "d0", file=str(path), format=form, queue="tx")
    taps.send(kind)
    daemon.wait_counters("d0", packets_tx=2)
    daemon.execute("object-del", id="d0")
    sent = super_frame(kind, PAYLOAD, SIZE).data
    assert capture_lines(path, "frame.len", "frame.cap_len") == [
        [str(len(sent))] * 2, [str(len(LAST))] * 2]
    assert sent in path.read_bytes()
    assert "Number of packets:   2" in capinfos(path)


@every_kind
@pytest.mark.parametrize("netdev", ["stream", "dgram", "socket"])
def test_netdevs_have_no_headers(site: Site, kind: Kind, netdev: str
                                 ) -> None:
    """The peer of a tap sends plain frames."""
    taps = Taps(site)
    pair = Pair(socket.SOCK_DGRAM if netdev == "dgram" else
                socket.SOCK_STREAM)
    option = {"stream": "stream,addr.type=fd,addr.str=",
              "dgram": "dgram,local.type=fd,local.str=",
              "socket": "socket,fd="}[netdev] + str(pair.fd)
    taps.daemon("-netdev", f"{option},id=n1,peer=n0", pass_fds=[pair.fd])
    pair.passed()
    taps.send(kind)
    if netdev == "dgram":
        frames = []
        while not frames or frames[-1] != LAST:
            frames.append(pair.end.recv(1 << 17))
        frames.pop()
    else:
        frames = receive_until_last(pair.wire)
    check_segments(kind, frames, PAYLOAD, SIZE)


class Link:
    """A daemon that takes frames with virtio-net headers from a peer, and
    what becomes of them: with headers, without, and at a netdev."""

    def __init__(self, site: Site) -> None:
        pair = Pair()
        self.wire = pair.wire
        names = ("in", "whole", "plain")
        self.daemon: Daemon = site.daemon(
            site.host(), "tapferryd", "-netdev", f"socket,id=n0,fd={pair.fd}",
            *(word for name in names for word in (
                "-chardev", f"socket,id={name},path={site.path(name)},"
                "server=on,wait=off")), pass_fds=[pair.fd])
        pair.passed()
        # The chain is walked from the tail: mirrors stand before.
        for name in ("plain", "whole"):
            self.daemon.add("filter-mirror", name, queue="rx", outdev=name,
                            vnet_hdr_support=name == "whole")
        self.daemon.add("filter-redirector", "in", queue="rx", indev="in",
                        vnet_hdr_support=True)
        self.peers: Dict[str, Peer] = {name: site.peer(name)
                                       for name in names}
        self.daemon.wait_connected()

    def send(self, frame: Frame) -> None:
        """A frame, and a plain one behind it."""
        self.peers["in"].send_bytes(encode_vnet([frame, Frame(LAST)]))

    def unsent(self) -> int:
        """Frames that the netdev could not send."""
        count: int = self.daemon.execute(
            "qom-get", path="/netdevs/n0", property="dropped-network-packets")
        return count


@every_kind
def test_from_a_peer(site: Site, kind: Kind) -> None:
    """Such frames from a peer's chardev."""
    link = Link(site)
    link.send(super_frame(kind, PAYLOAD, SIZE))
    whole = link.peers["whole"].receive_one(vnet=True)
    check_whole(kind, whole[:12], whole[12:])
    for wire in (link.wire, link.peers["plain"]):
        check_segments(kind, receive_until_last(wire), PAYLOAD, SIZE)


@every_kind
@pytest.mark.parametrize("size", [1, 2, 1399])
def test_checksum_from_a_peer(site: Site, kind: Kind, size: int) -> None:
    """Frames that lack their checksum alone, of odd and even sizes."""
    link = Link(site)
    link.send(super_frame(kind, PAYLOAD[:size], 0))
    for wire in (link.wire, link.peers["plain"]):
        check_segments(kind, receive_until_last(wire), PAYLOAD[:size], SIZE)


def tunnels() -> Dict[str, Packet]:
    """What carries a frame or a packet of somebody else's."""
    outer = Ether(src="02:fe:00:00:00:01", dst="52:54:00:12:34:56") / \
        IP(src="192.0.2.1", dst="192.0.2.2")
    inner = IP(src="10.0.0.1", dst="10.0.0.2")
    return {
        # Without a checksum of its own, as most of them (RFC 7348).
        "vxlan": outer / UDP(sport=4000, dport=4789, chksum=0) /
        VXLAN(vni=5, flags=8) / Ether() / inner,
        "gre": outer / GRE() / inner,
        "ipip": outer / inner,
    }


@pytest.mark.parametrize("name", list(tunnels()))
def test_super_frame_in_a_tunnel(site: Site, name: str) -> None:
    """The header does not say where the outer ones end, so software can't
    take it apart: it passes whole, and is refused and counted where it would
    have to be plain."""
    link = Link(site)
    packet = tunnels()[name] / TCP(sport=4000, dport=5000, flags="PA") / \
        Raw(PAYLOAD)
    frame = offloaded(packet, TCP, GSO_TCPV4, SIZE)
    link.send(frame)
    assert frame.vnet is not None
    assert link.peers["whole"].receive_one(vnet=True) == \
        frame.vnet + bytes(2) + frame.data
    for wire in (link.wire, link.peers["plain"]):
        assert receive_until_last(wire) == []
    link.daemon.wait_counters("plain", dropped_oversize=1, packets_rx=2)
    wait_until(lambda: link.unsent() == 1, "the frame to be counted")


@pytest.mark.parametrize("name", list(tunnels()))
def test_checksum_in_a_tunnel(site: Site, name: str) -> None:
    """To complete a checksum needs no headers but its own."""
    link = Link(site)
    packet = tunnels()[name] / TCP(sport=4000, dport=5000, flags="PA") / \
        Raw(PAYLOAD[:1000])
    link.send(offloaded(packet, TCP, GSO_TCPV4, 0))
    for wire in (link.wire, link.peers["plain"]):
        got, = receive_until_last(wire)
        if name == "vxlan":
            # scapy would compute the outer checksum, too.
            assert got[40:42] == b"\0\0"
            check_sums(got[14 + 20 + 8 + 8:])
        else:
            check_sums(got)
        assert got.endswith(PAYLOAD[:1000])
