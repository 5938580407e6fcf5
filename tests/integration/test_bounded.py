# SPDX-License-Identifier: BSD-2-Clause
"""Whoever does not read, or talks nonsense without end, costs bounded memory
and few lines of log; the others' frames and the monitor go on, and what is
lost is counted."""

import socket
import struct
import time
from pathlib import Path
from typing import Iterator, List

import pytest

from chains import Chain
from lib.waiting import wait_until
from lib.wire import Peer, encode

SIZE = 60000
QUEUE = 4 << 20
OFFERED = 320 << 20
# Of a daemon under AddressSanitizer, which keeps what was freed; a plain one
# takes a tenth.
MEMORY_LIMIT = 512 << 20


@pytest.fixture(name="chain")
def fixture_chain(tmp_path: Path) -> Iterator[Chain]:
    """A chain without filters; its daemon must end cleanly."""
    with Chain(tmp_path) as chain:
        yield chain


def frame(number: int) -> bytes:
    """A large frame of one number."""
    return struct.pack(">I", number) * (SIZE // 4)


def memory(chain: Chain) -> int:
    """What the daemon has had in memory at most, in bytes."""
    status = Path(f"/proc/{chain.daemon.pid}/status").read_text("ascii")
    line, = [line for line in status.splitlines() if line.startswith("VmHWM")]
    return int(line.split()[1]) << 10


def receive(wire: Peer, count: int) -> List[int]:
    """The numbers of so many frames, each of them whole."""
    found = []
    for _ in range(count):
        data = wire.receive_one()
        assert data == data[:4] * (SIZE // 4)
        found.append(struct.unpack(">I", data[:4])[0])
    return found


def test_readers_that_stall(chain: Chain) -> None:
    """Mirrors with each policy, and nobody reads: the guest gets every frame,
    the monitor answers, each mirror owes at most its queue."""
    policies = ("drop-newest", "drop-oldest", "block")
    peers = {}
    for policy in policies:
        peers[policy] = chain.peer(policy)
        chain.add("mirror", f"m-{policy}", outdev=policy, queue="tx",
                  **{"send-queue-size": QUEUE, "on-full": policy})
    count = OFFERED // SIZE
    for number in range(count):
        chain.net.send(frame(number))
        assert receive(chain.guest, 1) == [number]
        if number % 500 == 0:
            chain.daemon.execute("query-status")
    assert memory(chain) < MEMORY_LIMIT
    for policy in policies:
        name = f"m-{policy}"
        assert chain.counter(name, "packets-tx") == count
        dropped = chain.counter(name, "dropped-queue-full")
        assert count - dropped <= 2 * QUEUE // SIZE + 20
        got = receive(peers[policy], count - dropped)
        assert got == sorted(set(got)) and got[0] == 0
        assert (got[-1] == count - 1) == (policy == "drop-oldest")
        assert chain.counter(name, "dropped-queue-full") == dropped
        assert peers[policy].is_silent(0.05)
    assert not chain.lines("warning")


def test_redirector_whose_reader_stalls(chain: Chain) -> None:
    """What it takes out of the chain is gone from there; what does not fit
    is counted, and what comes from the guest is not held up."""
    out = chain.peer("c0")
    chain.add("redirector", "r0", outdev="c0", queue="tx",
              **{"send-queue-size": QUEUE})
    count = OFFERED // 4 // SIZE
    for number in range(count):
        chain.net.send(frame(number))
    chain.wait("r0", "packets-tx", count)
    chain.pass_rx(b"x" * 60)
    assert chain.guest.is_silent(0.05)
    dropped = chain.counter("r0", "dropped-queue-full")
    got = receive(out, count - dropped)
    assert dropped > 0 and got == list(range(len(got)))
    chain.wait("r0", "outdev", count - dropped)
    assert chain.counter("r0", "queued") == 0
    # The peer goes: at once and without a line for each frame.
    out.close()
    chain.wait_disconnected("c0")
    for number in range(1000):
        chain.net.send(b"y" * 60)
    chain.wait("r0", "dropped-disconnected", 1000)
    assert memory(chain) < MEMORY_LIMIT
    assert not chain.lines("warning")


def test_guest_that_stalls(chain: Chain) -> None:
    """A netdev whose peer does not read: bounded, counted, and the other
    direction goes on."""
    count = OFFERED // 4 // SIZE
    for number in range(count):
        chain.net.send(frame(number))
    for _ in range(10):
        chain.pass_rx(b"x" * 60)
    assert memory(chain) < MEMORY_LIMIT
    got = []
    while not chain.guest.is_silent(0.5):
        got += receive(chain.guest, 1)
    dropped = chain.daemon.execute("qom-get", path="/netdevs/n1",
                                   property="dropped-network-packets")
    assert len(got) + dropped == count and dropped > 0
    assert got == sorted(set(got))


def test_peers_that_talk_nonsense(chain: Chain) -> None:
    """One after the other announces a frame that can't be: each is counted
    and closed, and the log has a few lines."""
    path = chain.chardev("c0")
    chain.add("redirector", "r0", indev="c0", queue="tx")
    count = 300
    for number in range(count):
        wire = Peer.connect(path)
        wire.send_bytes(encode([b"z" * 60]) + struct.pack(">I", 69633))
        assert chain.guest.receive_one() == b"z" * 60
        wire.wait_closed()
        wire.close()
        chain.wait("r0", "dropped-oversize", number + 1)
    assert chain.counter("r0", "indev") == 2 * count
    lines = chain.lines("which can not be")
    assert 1 <= len(lines) < count // 10


def test_one_byte_at_a_time(chain: Chain) -> None:
    """A writer that has no more than that: whole frames come out, and the
    empty ones among them are counted and harm nobody."""
    entry = chain.peer("c0")
    chain.add("redirector", "r0", indev="c0", queue="tx")
    chain.add("buffer", "b0", interval=1000)
    chain.add("dump", "d0", file="/dev/null", format="pcapng")
    chain.add("mirror", "m0", outdev=_ringbuf(chain))
    frames = [b"", b"a", b"", b"bc" * 30, b""]
    entry.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    for byte in encode(frames):
        entry.send_bytes(bytes([byte]))
    assert [chain.guest.receive_one() for _ in range(2)] == [b"a", b"bc" * 30]
    assert chain.guest.is_silent(0.1)
    assert chain.counter("r0", "indev") == 5
    assert chain.counter("m0", "packets-tx") == 5


def _ringbuf(chain: Chain) -> str:
    chain.daemon.execute("chardev-add", id="ring", backend={
        "type": "ringbuf", "data": {"size": 4096}})
    return "ring"


def test_largest_frame(chain: Chain) -> None:
    """69,632 bytes pass, in every state of the parser; one more does not."""
    entry = chain.peer("c0")
    chain.add("redirector", "r0", indev="c0", queue="tx")
    largest = b"L" * 69632
    message = encode([largest, b"s" * 60, largest])
    for cut in (1, 4, 5, 4096, 69635, 69636, 69640):
        entry.send_bytes(message[:cut])
        time.sleep(0.01)
        entry.send_bytes(message[cut:])
        assert [chain.guest.receive_one() for _ in range(3)] == \
            [largest, b"s" * 60, largest]
    entry.send_bytes(struct.pack(">I", 69633))
    entry.wait_closed()
    wait_until(lambda: chain.counter("r0", "dropped-oversize") == 1,
               lambda: "not counted")
