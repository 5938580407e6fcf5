# SPDX-License-Identifier: BSD-2-Clause
"""QEMU's filters at a guest that runs, ours at the other end.

The guest has three NICs: one whose virtio-net header is of 12 bytes (modern)
and one of 10 (legacy, without mergeable receive buffers), each on a TAP, and
one on a socket netdev, which has none.
"""

import random
import socket
import struct
from typing import Any, Dict, Iterator, List

import pytest

from lab.errors import Unavailable
from lab.paths import Paths
from lib.daemon import Daemon
from lib.frames import (GUEST_IP, GUEST_MAC, SENDER_IP, SENDER_MAC,
                        VIRTIO_GSO_TCPV4, numbered, reassemble_tcp,
                        tcp_super_frame, udp_to_complete)
from lib.hosts import Host
from lib.packet_set import check_carries
from lib.qemu import Qemu, needs_qemu
from lib.site import Site
from lib.waiting import wait_until
from lib.wire import Pair, Peer

pytestmark = needs_qemu

BOOT_SECONDS = 180.0
ETHERTYPE_ARP = 0x0806
# The netdev of each NIC, by the length of its header.
NETDEVS = {12: "modern", 10: "legacy", 0: "plain"}


class Machine:
    """A guest with its NICs, and our wire to the one without a header."""

    def __init__(self, site: Site, paths: Paths) -> None:
        self.site = site
        self.host: Host = site.host()
        for length in (12, 10):
            self.host.add_tap(NETDEVS[length])
        pair = Pair()
        self.wire = pair.wire
        serial = site.directory / "serial"
        self.qemu = Qemu(
            "-accel", "tcg", "-cpu", "max", "-m", "256", "-smp", "1",
            "-kernel", str(paths.kernel), "-initrd", str(paths.initrd),
            "-append", "console=ttyS0 quiet panic=-1 tsc=reliable "
            f"ipv6.disable=1 gip={GUEST_IP}/24", "-serial", f"file:{serial}",
            *self._nic(12, f",mac={GUEST_MAC.hex(':')}"),
            *self._nic(10, ",disable-modern=on,mrg_rxbuf=off"),
            "-netdev", f"socket,id=plain,fd={pair.fd}",
            "-device", "virtio-net-pci,netdev=plain,romfile=",
            machine="q35", host=self.host, directory=site.directory,
            pass_fds=[pair.fd])
        pair.passed()
        wait_until(lambda: b"GUEST-UP" in (
            serial.read_bytes() if serial.exists() else b""),
            lambda: f"the guest to boot: {serial.read_bytes()[-500:]!r}",
            BOOT_SECONDS)
        self.host.set_up(NETDEVS[12], NETDEVS[10])

    @staticmethod
    def _nic(length: int, more: str) -> List[str]:
        name = NETDEVS[length]
        return ["-netdev", f"tap,id={name},ifname={name},script=no,"
                "downscript=no,vnet_hdr=on", "-device",
                f"virtio-net-pci,netdev={name},romfile={more}"]


@pytest.fixture(name="machine", scope="module")
def fixture_machine(_swept: None) -> Iterator[Machine]:
    """One guest for all tests here: to boot it takes the longest."""
    paths = Paths()
    try:
        paths.prepare()
    except Unavailable as why:
        pytest.skip(str(why))
    with Site() as site:
        machine = Machine(site, paths)
        with machine.qemu:
            yield machine


class Ends:
    """A daemon that gets what a filter of the machine's sends, and two of
    our ends: the wire, and a chardev with virtio-net headers."""

    def __init__(self, machine: Machine, length: int) -> None:
        self.machine = machine
        self.netdev = NETDEVS[length]
        self.vnet = length > 0
        pair = Pair()
        self.wire = pair.wire
        site = machine.site
        self.daemon: Daemon = site.daemon(
            machine.host, "tapferryd", "-netdev", f"socket,id=n0,fd={pair.fd}",
            pass_fds=[pair.fd])
        pair.passed()
        self._names: List[str] = []
        self._paths = [site.directory / f"link{i}" for i in range(2)]

    def link(self, number: int) -> str:
        """A connection to QEMU; the name that its ends have."""
        path = self._paths[number]
        name = f"link{number}"
        for program, server in ((self.daemon, True),
                                (self.machine.qemu, False)):
            program.add_chardev(name, path, server)
        self._names.append(name)
        self.daemon.wait_connected(name)
        return name

    def add_theirs(self, kind: str, **properties: Any) -> None:
        """A filter of QEMU's."""
        name = f"their-{kind}"
        self.machine.qemu.add(f"filter-{kind}", name, netdev=self.netdev,
                              vnet_hdr_support=self.vnet, **properties)
        self._names.insert(0, name)

    def add_ours(self, kind: str, name: str, **properties: Any) -> None:
        """A filter of ours."""
        self.daemon.add(f"filter-{kind}", name, **properties)

    def peer(self) -> Peer:
        """What our mirror sends, with its virtio-net headers."""
        path = self.machine.site.directory / "copies"
        self.daemon.add_chardev("copies", path, server=True)
        self.add_ours("mirror", "copier", outdev="copies", queue="rx",
                      vnet_hdr_support=True)
        peer = Peer.connect(path)
        self.daemon.wait_connected("copies")
        return peer

    def close(self) -> None:
        """QEMU has none of it any more."""
        for name in self._names:
            self.machine.qemu.execute(
                "object-del" if name.startswith("their") else
                "chardev-remove", id=name)
        self.daemon.stop()
        self.wire.close()


@pytest.fixture(name="ends")
def fixture_ends(machine: Machine, request: pytest.FixtureRequest
                 ) -> Iterator[Ends]:
    """The ends at the NIC whose header has this length."""
    ends = Ends(machine, request.param)
    try:
        yield ends
    finally:
        ends.close()


@pytest.mark.parametrize("ends", [0], indirect=True)
@pytest.mark.parametrize("vnet", [False, True], ids=["plain", "vnet"])
def test_mirror(ends: Ends, vnet: bool) -> None:
    """QEMU's mirror of all that a running guest gets, to our redirector."""
    ends.vnet = vnet
    ends.add_theirs("mirror", queue="tx", outdev=ends.link(0))
    ends.add_ours("redirector", "in", queue="rx", indev="link0",
                  vnet_hdr_support=vnet)
    check_carries(ends.machine.wire, ends.wire, 1)
    assert ends.daemon.counter("in", "indev") == 1000


def send_all_kinds(machine: Machine, ifname: str) -> Dict[str, Any]:
    """Plain frames and super-frames into a TAP."""
    sender = machine.host.sender(ifname, vnet=True)
    plain = [numbered(number, size) for number, size in enumerate(
        [*range(14, 1514, 50), 1514])]
    payloads = [random.Random(size).randbytes(size)
                for size in (1449, 2896, 20000, 60000)]
    sender.send(plain)
    sequence = 1000
    for payload in payloads:
        sender.send_offloaded(tcp_super_frame(payload, sequence=sequence))
        sequence += len(payload)
    sender.send_offloaded(udp_to_complete(b"the last one"))
    return {"plain": plain, "payloads": payloads}


@pytest.mark.parametrize("kind", ["mirror", "redirector"])
@pytest.mark.parametrize("ends", [12, 10], indirect=True)
def test_header_from_qemu(ends: Ends, kind: str) -> None:
    """Frames with offloads, under QEMU's header of 12 or 10 bytes: with one
    of ours they go on as they are, without one as the plain frames that they
    stand for."""
    copies = ends.peer()
    ends.add_theirs(kind, queue="tx", outdev=ends.link(0))
    ends.add_ours("redirector", "in", queue="rx", indev="link0",
                  vnet_hdr_support=True)
    sent = send_all_kinds(ends.machine, ends.netdev)
    count = len(sent["plain"]) + len(sent["payloads"]) + 1
    whole = [copies.receive_one(vnet=True) for _ in range(count)]
    plain = len(sent["plain"])
    assert [each[12:] for each in whole[:plain]] == sent["plain"]
    for each, payload in zip(whole[plain:-1], sent["payloads"]):
        assert each[1] == VIRTIO_GSO_TCPV4
        assert each[12 + 54:] == payload
    assert whole[-1][0] == 1 and whole[-1].endswith(b"the last one")

    assert ends.wire.receive(plain) == sent["plain"]
    stream, segments = b"".join(sent["payloads"]), []
    while sum(len(each) - 54 for each in segments) < len(stream):
        segments.append(ends.wire.receive_one())
    assert reassemble_tcp(segments) == stream
    assert ends.wire.receive_one().endswith(b"the last one")


def ask() -> bytes:
    """Who has the guest's address?  Linux answers on any interface."""
    return b"\xff" * 6 + SENDER_MAC + struct.pack(
        ">HHHBBH6s4s6s4s", ETHERTYPE_ARP, 1, 0x0800, 6, 4, 1, SENDER_MAC,
        socket.inet_aton(SENDER_IP), bytes(6), socket.inet_aton(GUEST_IP)
        ) + bytes(18)


@pytest.mark.parametrize("ends, length, fits", [
    (12, 12, True), (10, 10, True), (10, 12, False)], indirect=["ends"])
def test_header_to_qemu(ends: Ends, length: int, fits: bool) -> None:
    """The guest gets, and answers, what our redirector sends with a header
    of the length that it expects, which QEMU does not look at."""
    host = ends.machine.host
    with host.entered(), socket.socket(
            socket.AF_PACKET, socket.SOCK_RAW, 0) as network:
        network.bind((ends.netdev, ETHERTYPE_ARP))
        network.settimeout(20 if fits else 1)
        ends.add_theirs("redirector", queue="tx", indev=ends.link(0))
        ends.add_ours("redirector", "out", queue="tx", outdev="link0",
                      vnet_hdr_support=True, **{"vnet-hdr-len": length})
        for _ in range(20):
            ends.wire.send(ask())
            if fits:
                answer = network.recv(100)
                assert answer[:6] == SENDER_MAC
                assert answer[20:22] == b"\0\2"
                assert answer[28:32] == socket.inet_aton(GUEST_IP)
        if not fits:
            with pytest.raises(TimeoutError):
                network.recv(100)
