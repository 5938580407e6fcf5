# SPDX-License-Identifier: BSD-2-Clause
"""Frames: numbered ones, and such as only an offloading host makes.

A numbered frame carries its number in the source address, so that even a
frame of nothing but an Ethernet header has one; its payload follows from
the number, so that a receiver can tell that every byte is right.
"""

import dataclasses
import random
import struct
from typing import Iterable, List, Optional, Sequence, Tuple, Union

GUEST_MAC = bytes.fromhex("525400123456")
SENDER_MAC = bytes.fromhex("02fe00000001")
ETHERTYPE = 0x88B5  # IEEE 802: local experimental
ETH_HLEN = 14
IPV4_LEN = 20
TCP_LEN = 20
MTU = 1500

GUEST_IP = "10.0.0.2"
SENDER_IP = "10.0.0.1"

VIRTIO_NEEDS_CSUM = 1
VIRTIO_GSO_NONE = 0
VIRTIO_GSO_TCPV4 = 1


@dataclasses.dataclass(frozen=True)
class Frame:
    """A frame, and its virtio-net header where there is one."""

    data: bytes
    vnet: Optional[bytes] = None

    @property
    def needs_csum(self) -> bool:
        """Is its checksum still to be computed?"""
        return self.vnet is not None and \
            bool(self.vnet[0] & VIRTIO_NEEDS_CSUM)

    @property
    def gso_type(self) -> int:
        """VIRTIO_GSO_..."""
        return self.vnet[1] if self.vnet is not None else VIRTIO_GSO_NONE


def numbered(number: int, size: int = 64, tag: bytes = b"") -> bytes:
    """The frame with this number, ``size`` bytes without its tags."""
    header = GUEST_MAC + b"\x02\x00" + struct.pack(">I", number)
    payload = random.Random(number).randbytes(size - ETH_HLEN)
    return header + tag + struct.pack(">H", ETHERTYPE) + payload


def numbered_range(first: int, end: int, size: int = 64) -> List[bytes]:
    """The frames with the numbers from ``first`` up to ``end``."""
    return [numbered(number, size) for number in range(first, end)]


def vlan_tag(vlan: int, priority: int = 0, tpid: int = 0x8100) -> bytes:
    """An 802.1Q tag (or, by its TPID, an 802.1ad one)."""
    return struct.pack(">HH", tpid, priority << 13 | vlan)


def number_of(frame: bytes) -> int:
    """A numbered frame's number; complains about other frames and about
    every byte that is not as it was sent."""
    number: int = struct.unpack_from(">I", frame, 8)[0]
    size = len(frame)
    assert frame[6:8] == b"\x02\x00" and size >= ETH_HLEN, \
        f"not a numbered frame: {frame[:32].hex()}"
    assert frame == numbered(number, size), \
        f"frame {number} was changed: {frame[:64].hex()}"
    return number


def numbers_of(frames: Iterable[Frame]) -> List[int]:
    """The numbers of plain numbered frames, in the order they came."""
    return [number_of(frame.data) for frame in frames]


def checksum(data: Union[bytes, bytearray]) -> int:
    """The internet checksum of some bytes (RFC 1071)."""
    even = bytes(data) + b"\0" * (len(data) % 2)
    total: int = sum(struct.unpack(f">{len(even) // 2}H", even))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def _address(text: str) -> bytes:
    return bytes(int(part) for part in text.split("."))


def _pseudo(protocol: int, length: int) -> bytes:
    return _address(SENDER_IP) + _address(GUEST_IP) + \
        struct.pack(">BBH", 0, protocol, length)


def _ipv4(protocol: int, payload: bytes) -> bytes:
    def header(csum: int) -> bytes:
        return struct.pack(
            ">BBHHHBBH4s4s", 0x45, 0, IPV4_LEN + len(payload), 1, 0x4000, 64,
            protocol, csum, _address(SENDER_IP), _address(GUEST_IP))

    return header(checksum(header(0))) + payload


def udp(port: int, payload: bytes = b"x" * 32) -> bytes:
    """A UDP datagram to a port, without a checksum."""
    datagram = struct.pack(">HHHH", 4000, port, 8 + len(payload), 0) + payload
    return GUEST_MAC + SENDER_MAC + b"\x08\x00" + _ipv4(17, datagram)


def udp_to_complete(payload: bytes, port: int = 5000) -> Frame:
    """A UDP datagram whose checksum is left to the NIC."""
    length = 8 + len(payload)
    partial = checksum(_pseudo(17, length)) ^ 0xFFFF
    datagram = struct.pack(">HHHH", 4000, port, length, partial) + payload
    data = GUEST_MAC + SENDER_MAC + b"\x08\x00" + _ipv4(17, datagram)
    return Frame(data, struct.pack(
        "<BBHHHH", VIRTIO_NEEDS_CSUM, VIRTIO_GSO_NONE, 0, 0,
        ETH_HLEN + IPV4_LEN, 6))


def tcp_super_frame(payload: bytes, mss: int = 1448,
                    sequence: int = 1000) -> Frame:
    """A TCP super-frame as a host hands it to a NIC that segments."""
    length = TCP_LEN + len(payload)
    partial = checksum(_pseudo(6, length)) ^ 0xFFFF
    tcp = struct.pack(">HHIIBBHHH", 4000, 5000, sequence, 1, 0x50, 0x18,
                      0xFFFF, partial, 0) + payload
    data = GUEST_MAC + SENDER_MAC + b"\x08\x00" + _ipv4(6, tcp)
    vnet = struct.pack(
        "<BBHHHH", VIRTIO_NEEDS_CSUM,
        VIRTIO_GSO_TCPV4 if len(payload) > mss else VIRTIO_GSO_NONE,
        ETH_HLEN + IPV4_LEN + TCP_LEN,
        mss if len(payload) > mss else 0, ETH_HLEN + IPV4_LEN, 16)
    return Frame(data, vnet)


def completed(frame: Frame) -> bytes:
    """What a guest makes of a frame whose checksum it has to compute."""
    if not frame.needs_csum or frame.vnet is None:
        return frame.data
    start, offset = struct.unpack_from("<HH", frame.vnet, 6)
    data = bytearray(frame.data)
    struct.pack_into(">H", data, start + offset, checksum(data[start:]))
    return bytes(data)


def verify_ipv4(data: bytes) -> Tuple[int, bytes]:
    """Check an IPv4 frame's checksums; return its protocol and what the
    IP header carries."""
    packet = data[ETH_HLEN:]
    length: int = struct.unpack_from(">H", packet, 2)[0]
    protocol, payload = packet[9], packet[IPV4_LEN:length]
    assert checksum(packet[:IPV4_LEN]) == 0, "wrong IP header checksum"
    pseudo = packet[12:20] + struct.pack(">BBH", 0, protocol, len(payload))
    assert checksum(pseudo + payload) == 0, \
        f"wrong checksum of protocol {protocol}"
    return protocol, payload


def reassemble_tcp(frames: Sequence[bytes], sequence: int = 1000) -> bytes:
    """The payload that a run of TCP segments carries; complains about
    gaps, wrong checksums and oversize segments."""
    stream = b""
    for frame in frames:
        assert len(frame) <= ETH_HLEN + MTU, f"{len(frame)} bytes"
        protocol, segment = verify_ipv4(frame)
        assert protocol == 6
        position: int = struct.unpack_from(">I", segment, 4)[0]
        assert position == sequence + len(stream), "a gap"
        stream += segment[TCP_LEN:]
    return stream
