# SPDX-License-Identifier: BSD-2-Clause
"""The frames that a blackout's network sends, and how to know them again.

Every frame is one of a flow and, but for those that are identical on
purpose, differs from every other.  A frame is known by its bytes with its
checksum completed; a TCP super-frame by its segments, so that it does not
matter whether it comes whole or in pieces.
"""

import random
import struct
from pathlib import Path
from typing import BinaryIO, Hashable, List, Tuple

from lib.frames import ETH_HLEN, ETHERTYPE, GUEST_MAC, checksum

from .scenario import Scenario

UNICAST, GROUP = range(2)  # classes of struct Prepared
VNET_HDR_LEN = 10
NO_OFFLOAD = bytes(VNET_HDR_LEN)
NEEDS_CSUM, GSO_TCPV4 = 1, 1
GSO_PORT = 4700
MSS = 1448
TCP4_HEADERS = ETH_HLEN + 20 + 20
BROADCAST = b"\xff" * 6
MULTICAST4 = bytes.fromhex("01005e000102")
MULTICAST6 = bytes.fromhex("333300000001")
SENDER = bytes.fromhex("02fe00000001")
IPV4 = bytes([10, 0, 0, 1, 10, 0, 0, 2])
IPV6 = bytes(15) + b"\1" + bytes(15) + b"\2"
UDP, TCP, ICMP, ICMPV6 = 17, 6, 1, 58

_PATTERN = random.Random(1).randbytes(1 << 17)
Key = Hashable


class Prepared:
    """A frame that is to be sent."""

    __slots__ = ("flow", "group", "vnet", "data")

    def __init__(self, flow: str, group: int, data: bytes,
                 vnet: bytes = NO_OFFLOAD) -> None:
        self.flow = flow
        self.group = group
        self.vnet = vnet
        self.data = data

    def keys(self) -> List[Key]:
        """What it is known by, in order."""
        return keys_of(self.vnet, self.data)


def _complete(vnet: bytes, data: bytes) -> bytes:
    start, offset = struct.unpack_from("<HH", vnet, 6)
    whole = bytearray(data)
    value = checksum(whole[start:]) or 0xFFFF  # as the kernel writes it
    struct.pack_into(">H", whole, start + offset, value)
    return bytes(whole)


def _is_segmentable(data: bytes) -> bool:
    return len(data) > TCP4_HEADERS and data[12:14] == b"\x08\x00" and \
        data[23] == TCP and data[34:36] == struct.pack(">H", GSO_PORT)


def keys_of(vnet: bytes, data: bytes) -> List[Key]:
    """What a frame with this header is known by."""
    if _is_segmentable(data):
        length, = struct.unpack_from(">H", data, 16)
        first, = struct.unpack_from(">I", data, 38)
        payload = data[TCP4_HEADERS:ETH_HLEN + length] \
            if length else data[TCP4_HEADERS:]
        return [(first + at, payload[at:at + MSS])
                for at in range(0, len(payload), MSS)]
    if vnet and vnet[0] & NEEDS_CSUM:
        data = _complete(vnet, data)
    return [data]


def _ipv4(protocol: int, payload: bytes, number: int) -> bytes:
    header = struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(payload),
                         number & 0xFFFF, 0x4000, 64, protocol, 0) + IPV4
    header = header[:10] + struct.pack(">H", checksum(header)) + header[12:]
    return b"\x08\x00" + header + payload


def _ipv6(protocol: int, payload: bytes) -> bytes:
    return b"\x86\xdd" + struct.pack(">IHBB", 6 << 28, len(payload),
                                     protocol, 64) + IPV6 + payload


def _transport(protocol: int, port: int, number: int) -> bytes:
    if protocol == UDP:
        return struct.pack(">HHHH", port, 5000, 0, 0)
    if protocol == TCP:
        return struct.pack(">HHIIBBHHH", port, 5001, number, 1, 0x50, 0x18,
                           0xFFFF, 0, 0)
    return struct.pack(">BBHHH", 8 if protocol == ICMP else 128, 0, 0, port,
                       number & 0xFFFF)


class Mix:
    """Draws frames of many kinds."""

    def __init__(self, scenario: Scenario) -> None:
        self._scenario = scenario
        self._dice = random.Random(f"{scenario.seed}/mix")
        self._sequence = 1  # of the TCP stream that is sent in super-frames
        makers = [(self._ip, 10), (self._raw, 3), (self._arp, 1),
                  (self._many, 2)]
        if scenario.has("gso"):
            makers.append((self._super, 2))
        if scenario.has("identical"):
            makers.append((self._identical, 2))
        self._makers = [maker for maker, _ in makers]
        self._weights = [weight for _, weight in makers]
        self._large = self._dice.random()

    def frame(self, number: int) -> Prepared:
        """The frame with this number."""
        maker, = self._dice.choices(self._makers, self._weights)
        return maker(number)

    def _filler(self, number: int, room: int) -> bytes:
        at = number * 7 % 65536
        return struct.pack(">Q", number) + _PATTERN[at:at + max(0, room - 8)]

    def _room(self, headers: int) -> int:
        size = 1514 if self._dice.random() < self._large / 2 else \
            self._dice.randrange(headers + 8, 1515)
        return max(8, min(size, 1514) - headers)

    def _ip(self, number: int) -> Prepared:
        """Unicast IPv4 and IPv6, some of it tagged, some of it with its
        checksum still to be computed."""
        dice = self._dice
        six = dice.random() < 0.3
        protocol = dice.choice([UDP, TCP, ICMPV6 if six else ICMP])
        port = dice.randrange(4000, 4006)
        tag = b"\x81\x00" + struct.pack(">H", 100 + port % 2) \
            if dice.random() < 0.15 else b""
        header = _transport(protocol, port, number)
        headers = ETH_HLEN + (40 if six else 20) + len(header)
        payload = header + self._filler(number, self._room(headers))
        body = _ipv6(protocol, payload) if six else \
            _ipv4(protocol, payload, number)
        flow = f"{'v6' if six else 'v4'}-{protocol}-{port}-{tag.hex()}"
        vnet = NO_OFFLOAD
        if self._scenario.vnet and protocol == TCP and not tag and \
                dice.random() < 0.3:
            vnet = struct.pack("<BBHHHH", NEEDS_CSUM, 0, 0, 0,
                               headers - len(header), 16)
        return Prepared(flow, UNICAST, GUEST_MAC + SENDER + tag + body, vnet)

    def _raw(self, number: int) -> Prepared:
        """An ethertype that nobody knows, from 14 bytes on."""
        size = self._dice.choice([0, 0, 1, 20, 46, 300, 1500])
        return Prepared("raw", UNICAST, GUEST_MAC + self._source(number) +
                        struct.pack(">H", ETHERTYPE) + _PATTERN[:size])

    def _source(self, number: int) -> bytes:
        return b"\x02\x00" + struct.pack(">I", number)

    def _arp(self, number: int) -> Prepared:
        """Who has the guest's address?"""
        source = self._source(number)
        return Prepared("arp", GROUP, BROADCAST + source + b"\x08\x06" +
                        struct.pack(">HHBBH", 1, 0x0800, 6, 4, 1) + source +
                        IPV4[:4] + bytes(6) + IPV4[4:])

    def _many(self, number: int) -> Prepared:
        """Broadcasts and multicasts."""
        six = self._dice.random() < 0.5
        payload = _transport(UDP, 4100, number) + \
            self._filler(number, self._dice.randrange(8, 400))
        body = _ipv6(UDP, payload) if six else _ipv4(UDP, payload, number)
        target = MULTICAST6 if six else \
            self._dice.choice([MULTICAST4, BROADCAST])
        return Prepared(f"many-{target.hex()}", GROUP,
                        target + SENDER + body)

    def _identical(self, _number: int) -> Prepared:
        """One of a few frames that are sent again and again."""
        which = self._dice.randrange(3)
        data = GUEST_MAC + SENDER + _ipv4(
            UDP, _transport(UDP, 4200 + which, 0) + _PATTERN[:50], which)
        return Prepared(f"identical-{which}", UNICAST, data)

    def _super(self, number: int) -> Prepared:
        """A TCP super-frame."""
        size = int(2000 * 30 ** self._dice.random())
        at = number % 60000
        payload = _PATTERN[at:at + size]
        tcp = struct.pack(">HHIIBBHHH", GSO_PORT, 5001, self._sequence, 1,
                          0x50, 0x18, 0xFFFF, 0, 0) + payload
        self._sequence += size
        vnet = struct.pack("<BBHHHH", NEEDS_CSUM, GSO_TCPV4, TCP4_HEADERS,
                           MSS, ETH_HLEN + 20, 16)
        return Prepared("super", UNICAST, GUEST_MAC + SENDER +
                        _ipv4(TCP, tcp, number), vnet)


def prepare(scenario: Scenario, path: Path) -> List[Prepared]:
    """Write all frames of a blackout for the network to send."""
    mix = Mix(scenario)
    count = scenario.rate * (scenario.duration_ms + 3000) // 1000 + 1
    step = 1_000_000_000 * scenario.bursts // scenario.rate
    frames = [mix.frame(number) for number in range(count)]
    with open(path, "wb") as file:
        for number, frame in enumerate(frames):
            _write(file, number // scenario.bursts * step, frame)
    return frames


def _write(file: BinaryIO, due_ns: int, frame: Prepared) -> None:
    data = frame.vnet + frame.data
    file.write(struct.pack("=QII", due_ns, frame.group, len(data)))
    file.write(data)
    file.write(bytes(-len(data) % 8))


def log_records(path: Path) -> List[Tuple[int, int, int]]:
    """What the network has sent: when (ns), where to, where it failed."""
    return [(time_ns, mask, failed) for time_ns, mask, failed, done in
            struct.iter_unpack("=QBBB5x", path.read_bytes()) if done]
