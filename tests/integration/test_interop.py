# SPDX-License-Identifier: BSD-2-Clause
"""Filters of the real QEMU at one end of a link and ours at the other: a
thousand frames of all sizes arrive byte for byte, however the stream is cut.
"""

import random
import socket
import threading
from pathlib import Path
from typing import Any, Iterator, List, Sequence

import pytest

from netdevs import (Daemon, Pair, Program, Wire, connect, encode, qemu,
                     wait_until)

FRAME_MAX = 4096 + 65536
COUNT = 1000
# What tapferry puts in front of a frame that has no offload: 12 zeros.
NO_OFFLOAD = bytes(12)

pytestmark = pytest.mark.skipif(not qemu(), reason="there is no QEMU here")


def frames(seed: int, count: int = COUNT) -> List[bytes]:
    """Frames of all sizes, the smallest and the largest among them."""
    dice = random.Random(seed)
    sizes = [1, 2, 13, 14, 59, 60, 1514, 1515, 4096, 65535, 65536, 65549,
             FRAME_MAX - 12]
    while len(sizes) < count:
        sizes.append(dice.choice([dice.randint(1, 128),
                                  dice.randint(60, 1514),
                                  dice.randint(1, 9000),
                                  dice.randint(1, FRAME_MAX - 12)]
                                 if dice.random() < 0.3
                                 else [dice.randint(60, 1514)]))
    dice.shuffle(sizes)
    return [dice.randbytes(size) for size in sizes]


def send_cut(wire: Wire, sent: Sequence[bytes], seed: int) -> threading.Thread:
    """Sends the frames' bytes in pieces that mean nothing."""
    dice = random.Random(seed)
    stream = memoryview(encode(sent))

    def run() -> None:
        at = 0
        while at < len(stream):
            size = dice.choice([1, 3, dice.randint(1, 64),
                                dice.randint(1, 4096),
                                dice.randint(1, 200000)])
            wire.socket.sendall(stream[at:at + size])
            at += size

    thread = threading.Thread(target=run)
    thread.start()
    return thread


class End:
    """A program with a netdev b0, whose other end is ours."""

    def __init__(self, program: Any) -> None:
        pair = Pair()
        # Both ends take the largest frame in one go.
        pair.end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
        self.wire = pair.wire
        self.program: Program = program(pair.fd)
        pair.passed()

    def chardev(self, name: str, path: Path, server: bool) -> None:
        """A chardev on a unix socket."""
        self.program.execute("chardev-add", id=name, backend={
            "type": "socket", "data": {
                "addr": {"type": "unix", "data": {"path": str(path)}},
                "server": server, **({"wait": False} if server else {})}})

    def add(self, kind: str, **properties: Any) -> None:
        """A filter on b0."""
        self.program.execute("object-add", qom_type=f"filter-{kind}",
                             id=kind, netdev="b0", **properties)


def tapferryd(fd: int) -> Program:
    """Ours."""
    return Daemon("-netdev", f"socket,id=b0,fd={fd}", pass_fds=[fd])


def qemu_nic(fd: int) -> Program:
    """QEMU with a NIC, without which its filters see nothing. Nobody reads
    from this one: a frame has to be taken before it gets there."""
    return Program([str(qemu()), "-machine", "pc", "-accel", "tcg", "-m", "16",
                    "-display", "none", "-nodefaults",
                    "-nic", f"socket,id=b0,fd={fd}",
                    "-global", "e1000.romfile=", "-qmp", "stdio"], [fd])


@pytest.fixture(name="pair")
def fixture_pair(request: Any) -> Iterator[List[End]]:
    """The two ends that the test asks for."""
    first, second = End(request.param[0]), End(request.param[1])
    with first.program, second.program:
        yield [first, second]


def carry(pair: List[End], path: Path, kind: str, vnet: bool,
          server: int) -> None:
    """What comes to the first end goes through its filter, the link, and the
    second end's redirector."""
    source, target = pair
    for which in (server, 1 - server):
        pair[which].chardev("link", path, which == server)
    source.add(kind, queue="tx", outdev="link", vnet_hdr_support=vnet)
    target.add("redirector", queue="rx", indev="link", vnet_hdr_support=vnet)
    for end in pair:
        end.program.execute("query-status")


def check(pair: List[End], seed: int, header: bytes = b"") -> None:
    """Sends and compares."""
    sent = frames(seed)
    sender = send_cut(pair[0].wire, sent, seed)
    for i, frame in enumerate(sent):
        got = pair[1].wire.receive()
        assert got == header + frame, f"frame {i} of {len(frame)} bytes"
    sender.join()
    assert pair[1].wire.is_silent(0.1)


@pytest.mark.parametrize("server", [0, 1])
@pytest.mark.parametrize("vnet", [False, True])
@pytest.mark.parametrize("pair, kind", [
    ([qemu_nic, tapferryd], "redirector"),
    ([qemu_nic, tapferryd], "mirror"),
], indirect=["pair"])
def test_from_qemu(pair: List[End], tmp_path: Path, kind: str, vnet: bool,
                   server: int) -> None:
    """QEMU's filters feed our redirector."""
    carry(pair, tmp_path / "link", kind, vnet, server)
    if kind == "mirror":
        # Takes what the NIC would not.
        pair[0].program.execute("chardev-add", id="away", backend={
            "type": "null", "data": {}})
        pair[0].program.execute("object-add", qom_type="filter-redirector",
                                id="taker", netdev="b0", queue="tx",
                                outdev="away")
    check(pair, 1)


@pytest.mark.parametrize("server", [0, 1])
@pytest.mark.parametrize("vnet", [False, True])
@pytest.mark.parametrize("pair", [[tapferryd, qemu_nic]], indirect=True)
@pytest.mark.parametrize("kind", ["redirector", "mirror"])
def test_to_qemu(pair: List[End], tmp_path: Path, kind: str, vnet: bool,
                 server: int) -> None:
    """Our filters feed QEMU's redirector, which passes a header on as part
    of the frame."""
    carry(pair, tmp_path / "link", kind, vnet, server)
    if kind == "mirror":
        # A chain does not wait for a copy's reader: the queue takes all.
        pair[0].program.execute("object-del", id="mirror")
        pair[0].add("mirror", queue="tx", outdev="link",
                    vnet_hdr_support=vnet, **{"send-queue-size": 1 << 30})
    check(pair, 2, NO_OFFLOAD if vnet else b"")


@pytest.mark.parametrize("vnet", [False, True])
@pytest.mark.parametrize("pair", [[tapferryd, tapferryd]], indirect=True)
@pytest.mark.parametrize("kind", ["redirector", "mirror"])
def test_between_ours(pair: List[End], tmp_path: Path, kind: str,
                      vnet: bool) -> None:
    """Ours at both ends: the header is taken off again."""
    carry(pair, tmp_path / "link", kind, vnet, 1)
    if kind == "mirror":
        pair[0].program.execute("object-del", id="mirror")
        pair[0].add("mirror", queue="tx", outdev="link",
                    vnet_hdr_support=vnet, **{"send-queue-size": 1 << 30})
    check(pair, 3)


@pytest.mark.parametrize("vnet", [False, True])
@pytest.mark.parametrize("pair", [[qemu_nic, qemu_nic]], indirect=True)
def test_reference(pair: List[End], tmp_path: Path, vnet: bool) -> None:
    """QEMU at both ends: what the tests above expect is what it does."""
    carry(pair, tmp_path / "link", "redirector", vnet, 1)
    check(pair, 4)


@pytest.mark.parametrize("pair", [[qemu_nic, tapferryd]], indirect=True)
def test_new_peer(pair: List[End], tmp_path: Path) -> None:
    """One peer of indev leaves, and QEMU's filter is the next."""
    source, target = pair
    target.chardev("link", tmp_path / "link", True)
    target.add("redirector", queue="rx", indev="link")
    first = connect(tmp_path / "link")
    first.socket.sendall(encode([b"whole"]) + b"\0\0\0\x10half")
    assert target.wire.receive() == b"whole"
    first.close()
    source.chardev("link", tmp_path / "link", False)
    source.add("redirector", queue="tx", outdev="link")
    wait_until(lambda: "disconnected" not in str(
        [entry for entry in target.program.execute("query-chardev")
         if entry["label"] == "link"]), lambda: "QEMU did not connect")
    check(pair, 5)
