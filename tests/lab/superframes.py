# SPDX-License-Identifier: BSD-2-Clause
"""TCP super-frames (TSO) to the guest, each of which is accounted for.

They go to a port at which nobody listens, and carry no ACK: the guest's
kernel answers each with an RST that acknowledges its last byte (RFC 9293,
3.5.2).  A frame that comes in pieces is answered piece by piece, or as far as
the guest has put them together again: then the last byte stands for all, so
whoever wants to be sure of each has to see that they come whole.
"""

import collections
import ctypes
import dataclasses
import random
import socket
import struct
import threading
import time
from typing import Dict, List, Tuple

from .netns import CLIENT_ADDRESS, GUEST_ADDRESS, GUEST_MAC, World, entered

SOL_PACKET, PACKET_VNET_HDR = 263, 15
SO_ATTACH_FILTER = 26
ETH_P_IP = 0x0800
PORT, OUR_PORT = 4700, 4701
MSS = 1448
HEADERS = 14 + 20 + 20
SPACING = 1 << 16  # of their first bytes' sequence numbers
SMALLEST, LARGEST = 2000, 60000
LINGER_S = 1.0

# ip and tcp and src port PORT, without IP options
_FILTER = ((0x28, 0, 0, 12), (0x15, 0, 5, ETH_P_IP), (0x30, 0, 0, 23),
           (0x15, 0, 3, 6), (0x28, 0, 0, 34), (0x15, 0, 1, PORT),
           (0x06, 0, 0, 0xFFFF), (0x06, 0, 0, 0))


@dataclasses.dataclass
class SuperResult:
    """What became of them."""

    sent: int
    lost: int
    duplicated: int
    in_pieces: int


def _sum(data: bytes) -> int:
    total = sum(word for word, in struct.iter_unpack(">H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total


def frame(source_mac: bytes, sequence: int, size: int) -> bytes:
    """A super-frame of so many bytes, its virtio-net header in front."""
    addresses = socket.inet_aton(CLIENT_ADDRESS) + \
        socket.inet_aton(GUEST_ADDRESS)
    header = struct.pack(">BBHHHBBH", 0x45, 0, 40 + size, 0, 0x4000, 64,
                         socket.IPPROTO_TCP, 0) + addresses
    header = header[:10] + struct.pack(">H", 0xFFFF ^ _sum(header)) + \
        header[12:]
    pseudo = _sum(addresses + struct.pack(">HH", socket.IPPROTO_TCP,
                                          20 + size))
    tcp = struct.pack(">HHIIBBHHH", OUR_PORT, PORT, sequence, 0, 0x50, 0x08,
                      0xFFFF, pseudo, 0)
    vnet = struct.pack("<BBHHHH", 1, 1, HEADERS, MSS, 34, 16)
    return vnet + bytes.fromhex(GUEST_MAC.replace(":", "")) + source_mac + \
        struct.pack(">H", ETH_P_IP) + header + tcp + bytes(size)


def account(sent: List[Tuple[int, int]], acknowledged: Dict[int, int]
            ) -> SuperResult:
    """What became of frames (first sequence number, size), by how often
    each number was acknowledged."""
    result = SuperResult(len(sent), 0, 0, 0)
    for first, size in sent:
        ends = [(first + at) & 0xFFFFFFFF for at in
                (*range(MSS, size, MSS), size)]
        counts = [acknowledged.get(end, 0) for end in ends]
        result.in_pieces += any(counts[:-1])
        result.lost += not counts[-1]
        result.duplicated += max(counts) > 1
    return result


class SuperFrames:
    """Some of them every second, from the client."""

    def __init__(self, world: World, rate: int, seed: int = 1) -> None:
        self._interval = 1 / rate
        self._dice = random.Random(seed)
        self._sent: List[Tuple[int, int]] = []
        self._acknowledged: Dict[int, int] = collections.Counter()
        with entered(world.name("client")):
            self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        self._socket.setsockopt(SOL_PACKET, PACKET_VNET_HDR, 1)
        program = ctypes.create_string_buffer(
            b"".join(struct.pack("HBBI", *each) for each in _FILTER))
        self._socket.setsockopt(
            socket.SOL_SOCKET, SO_ATTACH_FILTER, struct.pack(
                "HL", len(_FILTER), ctypes.addressof(program)))
        self._socket.bind(("up0", ETH_P_IP))
        self._socket.settimeout(0.1)
        self._ended = threading.Event()
        self._threads = [threading.Thread(target=each, daemon=True)
                         for each in (self._send, self._receive)]

    def __enter__(self) -> "SuperFrames":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._end()
        self._socket.close()

    def _end(self) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join()

    def finish(self) -> SuperResult:
        """End it; what became of them."""
        self._end()
        return account(self._sent, self._acknowledged)

    def _send(self) -> None:
        mac = self._socket.getsockname()[4]
        while not self._ended.wait(self._interval):
            first = len(self._sent) * SPACING & 0xFFFFFFFF
            size = self._dice.randrange(SMALLEST, LARGEST)
            self._socket.send(frame(mac, first, size))
            self._sent.append((first, size))

    def _receive(self) -> None:
        end = None
        while end is None or time.monotonic() < end:
            if end is None and self._ended.is_set():
                end = time.monotonic() + LINGER_S
            try:
                data = self._socket.recv(256)
            except TimeoutError:
                continue
            number, = struct.unpack_from(">I", data, 10 + 14 + 20 + 8)
            self._acknowledged[number] += 1
