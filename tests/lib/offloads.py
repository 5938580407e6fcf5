# SPDX-License-Identifier: BSD-2-Clause
"""Super-frames of every kind as a host hands them to its NIC, and whether
what came of one is what a NIC makes of it, judged by scapy."""

import dataclasses
import struct
from typing import Any, List, Sequence, Tuple

from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Dot1AD, Dot1Q, Ether
from scapy.packet import Packet, Raw

from .frames import GUEST_IP, GUEST_MAC, SENDER_IP, SENDER_MAC, Frame, checksum

GSO_NONE, GSO_TCPV4, GSO_TCPV6, GSO_UDP_L4 = 0, 1, 4, 5
NEEDS_CSUM = 1
FIRST_SEQUENCE = 1000

# TUNSETOFFLOAD (linux/if_tun.h): CSUM, TSO4, TSO6, USO4, USO6.
ALL_OFFLOADS = 0x01 | 0x02 | 0x04 | 0x20 | 0x40


@dataclasses.dataclass(frozen=True)
class Kind:
    """What stands above and below the payload."""

    tcp: bool
    ipv6: bool
    tags: Tuple[Tuple[int, int], ...] = ()  # TPID and VLAN

    def __str__(self) -> str:
        return ("tcp" if self.tcp else "udp") + ("6" if self.ipv6 else "4") + \
            "".join(f"-{tpid:x}" for tpid, _vlan in self.tags)

    @property
    def gso_type(self) -> int:
        """VIRTIO_NET_HDR_GSO_..."""
        if not self.tcp:
            return GSO_UDP_L4
        return GSO_TCPV6 if self.ipv6 else GSO_TCPV4

    @property
    def transport(self) -> Any:
        """The transport's layer."""
        return TCP if self.tcp else UDP

    def headers(self) -> Packet:
        """All but the payload."""
        layers: Packet = Ether(src=SENDER_MAC.hex(":"), dst=GUEST_MAC.hex(":"))
        for tpid, vlan in self.tags:
            layers /= (Dot1AD if tpid == 0x88A8 else Dot1Q)(vlan=vlan)
        layers /= IPv6(src="fd00::1", dst="fd00::2") if self.ipv6 else \
            IP(src=SENDER_IP, dst=GUEST_IP, id=77)
        return layers / (TCP(sport=4000, dport=5000, seq=FIRST_SEQUENCE,
                             ack=1, flags="PA") if self.tcp else
                         UDP(sport=4000, dport=5000))


TAG, OUTER_TAG = (0x8100, 7), (0x88A8, 8)
KINDS = [Kind(tcp, ipv6, tags) for tcp in (True, False)
         for ipv6 in (False, True)
         for tags in ((), (TAG,), (OUTER_TAG, TAG))]


def _partial(network: Packet, transport: int, length: int) -> int:
    """The checksum of the pseudo-header, which the NIC goes on from."""
    if network.version == 6:
        raw = bytes(network)[8:40] + struct.pack(">II", length, transport)
    else:
        raw = bytes(network)[12:20] + struct.pack(">HH", transport, length)
    return checksum(raw) ^ 0xFFFF


def offloaded(packet: Packet, inner: Any, gso_type: int, size: int) -> Frame:
    """A packet whose layer @inner is left to the NIC, in segments of @size
    bytes unless that is 0."""
    transport = packet.getlayer(inner)
    network = transport.underlayer
    data = bytearray(bytes(packet))
    length = len(bytes(transport))
    start = len(data) - length
    number, offset = (6, 16) if inner is TCP else (17, 6)
    rebuilt = network.__class__(bytes(network))
    struct.pack_into(">H", data, start + offset,
                     _partial(rebuilt, number, length))
    header_len = start + length - len(bytes(transport.payload))
    return Frame(bytes(data), struct.pack(
        "<BBHHHH", NEEDS_CSUM, gso_type if size else GSO_NONE, header_len,
        size, start, offset))


def super_frame(kind: Kind, payload: bytes, size: int) -> Frame:
    """One that stands for segments with so many bytes of payload each."""
    return offloaded(kind.headers() / Raw(payload), kind.transport,
                     kind.gso_type, size)


def check_sums(frame: bytes) -> Packet:
    """Every length and checksum in it is as scapy would have it."""
    packet = Ether(frame)
    again = packet.copy()
    layer = again
    while layer:
        for field in ("chksum", "len", "plen"):
            if field in layer.fields and not isinstance(layer, Raw):
                delattr(layer, field)
        layer = layer.payload
    assert bytes(again) == frame, \
        f"wrong length or checksum: {packet.summary()}"
    return packet


def check_segments(kind: Kind, frames: Sequence[bytes], payload: bytes,
                   size: int) -> None:
    """They are what the super-frame stood for, each complete."""
    pieces = [payload[at:at + size] for at in range(0, len(payload), size)]
    assert len(frames) == len(pieces)
    for number, (frame, piece) in enumerate(zip(frames, pieces)):
        packet = check_sums(frame)
        assert bytes(packet[kind.transport].payload) == piece
        tags: List[Tuple[int, int]] = []
        layer = packet
        while isinstance(layer, (Ether, Dot1Q)):
            if isinstance(layer.payload, Dot1Q):
                tags.append((layer.type, layer.payload.vlan))
            layer = layer.payload
        assert tuple(tags) == kind.tags
        if not kind.ipv6:
            assert packet[IP].id == 77 + number
        if kind.tcp:
            assert packet[TCP].seq == FIRST_SEQUENCE + number * size
            last = number == len(pieces) - 1
            assert str(packet[TCP].flags) == ("PA" if last else "A")
