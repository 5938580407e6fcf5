# SPDX-License-Identifier: BSD-2-Clause
"""A set of frames of all sizes, and whether another end gets them byte for
byte however the stream of them is cut."""

import random
from typing import Callable, Iterator, List

from .wire import Peer, encode

# QEMU's NET_BUFSIZE: what any end of a link takes.
LARGEST = 69632
# The most in an IPv4 UDP datagram.
LARGEST_UDP = 65507

_EDGES = (1, 2, 3, 4, 5, 13, 14, 59, 60, 61, 1513, 1514, 1515, 4091, 4092,
          4095, 4096, 4097, 65507, 65534, 65535, 65536, 69627, 69628, 69631,
          69632)
# Less than any socket buffer on the way holds: nobody has to drop.
_BURST_BYTES = 60000


def packet_set(seed: int, count: int = 1000, largest: int = LARGEST
               ) -> List[bytes]:
    """So many frames: the edges, some of any size and many small ones."""
    dice = random.Random(seed)
    sizes = [size for size in _EDGES if size <= largest]
    sizes += [dice.randrange(1, largest + 1) for _ in range(count // 25)]
    sizes += [dice.randrange(1, 1600) for _ in range(count - len(sizes))]
    dice.shuffle(sizes)
    return [dice.randbytes(size) for size in sizes]


def cuts(message: bytes, dice: random.Random) -> Iterator[bytes]:
    """A byte stream in pieces of any size, which also cut headers."""
    while message:
        size = dice.choice((1, 3, 4, 5, 100, 1000, 4096, 65536))
        yield message[:size]
        message = message[size:]


def _bursts(frames: List[bytes], dice: random.Random, most: int
            ) -> Iterator[List[bytes]]:
    while frames:
        count, size = 1, len(frames[0])
        for each in frames[1:dice.randint(1, most)]:
            size += len(each)
            if size > _BURST_BYTES:
                break
            count += 1
        yield frames[:count]
        frames = frames[count:]


def check_carries(one: Peer, other: Peer, seed: int, count: int = 1000,
                  largest: int = LARGEST,
                  enters: Callable[[bytes], bytes] = lambda frame: frame,
                  leaves: Callable[[bytes], bytes] = lambda frame: frame,
                  vnet: bool = False, burst: int = 30) -> None:
    """What goes in at one end, cut anywhere, comes out at the other.
    ``enters`` and ``leaves`` say how a frame looks there; with ``vnet`` the
    other end's framing says how long the virtio-net header is.  ``burst``
    is how many may be under way together."""
    dice = random.Random(seed)
    for frames in _bursts(packet_set(seed, count, largest), dice, burst):
        message = encode(enters(frame) for frame in frames)
        for piece in cuts(message, dice):
            one.send_bytes(piece)
        for frame, got in zip(frames, other.receive(len(frames), vnet)):
            assert got == leaves(frame), \
                f"a frame of {len(frame)} bytes was changed, or another " \
                f"one of {len(got)} bytes came"
