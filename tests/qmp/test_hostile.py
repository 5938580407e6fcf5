# SPDX-License-Identifier: BSD-2-Clause
"""Clients that mean no good: the daemon goes on, its memory stays small."""

import random
import select
import socket
import time
from pathlib import Path
from typing import Iterator, List, Tuple

import pytest
from lib.peer import Client, Peer, connect, tapferryd

# Of a daemon under AddressSanitizer; a plain one takes a tenth.
MEMORY_LIMIT = 512 << 20

Target = Tuple[Peer, Path]


def memory(peer: Peer) -> int:
    """What the daemon has in memory, in bytes."""
    status = Path(f"/proc/{peer.process.pid}/status").read_text("ascii")
    line, = [line for line in status.splitlines() if line.startswith("VmRSS")]
    return int(line.split()[1]) << 10


def processor_time(peer: Peer) -> float:
    """Seconds of CPU that it has used."""
    fields = Path(f"/proc/{peer.process.pid}/stat").read_text(
        "ascii").rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / 100


@pytest.fixture(name="target")
def fixture_target(tmp_path: Path) -> Iterator[Target]:
    """A daemon; afterwards it must still serve others."""
    path = tmp_path / "qmp"
    with Peer([tapferryd(), "-qmp", "stdio", "-qmp",
               f"unix:{path},server=on,wait=off", "-monitor",
               f"unix:{tmp_path}/hmp,server=on,wait=off"]) as peer:
        yield peer, path
        with Client(path) as client:
            assert client.command("query-status")["running"] is True
        assert peer.command("query-status")["running"] is True
        assert memory(peer) < MEMORY_LIMIT


def flood(path: Path, first: bytes, chunk: bytes, total: int) -> None:
    """Sends much, takes the answers, minds no end of the connection."""
    with connect(path) as client:
        client.setblocking(False)
        data = first + chunk
        sent = 0
        end = time.monotonic() + 60
        try:
            while sent < total and time.monotonic() < end:
                ready = select.select([client], [client], [], 1)
                if ready[0] and not client.recv(1 << 20):
                    return
                if ready[1]:
                    taken = client.send(data)
                    sent += taken
                    data = data[taken:] or chunk
        except OSError:
            pass


FLOODS = {
    # Without an end, and so nearly without an answer.
    "spaces": (b" " * 65536, 24 << 20), "brackets": (b"[" * 65536, 24 << 20),
    "string": (b"x" * 65536, 24 << 20), "digits": (b"1" * 65536, 24 << 20),
    "objects": (b'{"a":' * 8192, 24 << 20),
    "list": (b"{}," * 16384, 24 << 20),
    # With an answer to nearly every byte.
    "empty": (b"{}" * 2048, 256 << 10), "reset": (b"\xff" * 1024, 64 << 10),
    "quotes": (b"'" * 4096, 128 << 10), "close": (b"}" * 1024, 64 << 10),
}


@pytest.mark.parametrize("name", FLOODS)
def test_flood(target: Target, name: str) -> None:
    """Megabytes without a sensible request."""
    peer, path = target
    chunk, total = FLOODS[name]
    first = {"string": b'"', "list": b"["}.get(name, b"")
    flood(path, first, chunk, total)
    assert memory(peer) < MEMORY_LIMIT


def test_flood_human_monitor(target: Target) -> None:
    """A line without end."""
    _peer, path = target
    flood(path.with_name("hmp"), b"", b"x" * 65536, 16 << 20)


def test_large_request(target: Target) -> None:
    """A request that is only large is served, up to a limit."""
    _peer, path = target
    with Client(path) as client:
        replies = client.exchange(
            '{"execute": "query-status", "id": "' + "x" * (1 << 20) + '"}')
        assert len(replies[0]["id"]) == 1 << 20
        replies = client.exchange(
            '{"execute": "query-status", "id": "' + "x" * (5 << 20) + '"}')
        assert replies[0]["error"]["class"] == "GenericError"
        assert client.command("query-status")["running"] is True


def test_nesting(target: Target) -> None:
    """As deep as QEMU, and no deeper."""
    _peer, path = target
    with Client(path) as client:
        for depth, fine in ((1022, True), (1023, False), (100000, False)):
            replies = client.exchange(
                '{"execute": "query-status", "arguments": {"a": ' +
                "[" * depth + "]" * depth + "}}")
            assert ("nesting" not in replies[0]["error"]["desc"]) == fine


def test_random(target: Target) -> None:
    """Random bytes, now and then with JSON in between."""
    _peer, path = target
    generator = random.Random(1)
    words: List[bytes] = [b'{"execute": "query-status"}', b'"', b"{", b"}",
                          b"[", b"\n", b":", b",", b'"id"', b"\xff"]
    with connect(path) as client:
        client.settimeout(0.01)
        for _round in range(300):
            data = b"".join(generator.choice(words) if generator.random() < 0.5
                            else generator.randbytes(8) for _ in range(50))
            try:
                client.sendall(data)
                client.recv(1 << 20)
            except socket.timeout:
                pass


def test_reader_that_does_not(target: Target) -> None:
    """Who takes no replies is read from no more; others are served."""
    peer, path = target
    with connect(path) as client:
        client.setblocking(False)
        client.send(b'{"execute": "qmp_capabilities"}')
        request = b'{"execute": "query-commands"}' * 1000
        end = time.monotonic() + 2
        sent = 0
        while time.monotonic() < end:
            try:
                sent += client.send(request)
            except BlockingIOError:
                time.sleep(0.05)
        assert sent < 16 << 20
        assert memory(peer) < MEMORY_LIMIT
        assert peer.command("query-status")["running"] is True


def test_listener_that_does_not(target: Target) -> None:
    """Who takes no events is cut off in the end."""
    peer, path = target
    with connect(path) as client:
        client.send(b'{"execute": "qmp_capabilities"}')
        for _round in range(60):
            peer.exchange('{"execute": "stop"}{"execute": "cont"}' * 1000)
        assert memory(peer) < MEMORY_LIMIT
        client.settimeout(5)
        received = 0
        try:
            while (chunk := client.recv(1 << 20)):
                received += len(chunk)
            closed = True
        except ConnectionResetError:
            closed = True
        except socket.timeout:
            closed = False
    assert closed
    assert received < 10 << 20


def test_chardev_listener_that_does_not(tmp_path: Path) -> None:
    """On a chardev as well; the next peer is served."""
    path = tmp_path / "m0"
    with Peer([tapferryd(), "-qmp", "stdio", "-chardev",
               f"socket,id=m0,path={path},server=on,wait=off", "-qmp",
               "chardev:m0"]) as peer:
        client = connect(path)
        client.send(b'{"execute": "qmp_capabilities"}')
        for _round in range(60):
            peer.exchange('{"execute": "stop"}{"execute": "cont"}' * 1000)
        with Client(path) as other:
            assert other.command("query-status")["running"] is True
        client.close()
        with Client(path) as other:
            assert other.command("query-status")["running"] is True


def test_thousand_connections(target: Target) -> None:
    """A thousand clients at once that say nothing."""
    peer, path = target
    clients = []
    try:
        for _number in range(1000):
            client = socket.socket(socket.AF_UNIX)
            client.settimeout(10)
            try:
                client.connect(str(path))
            except OSError:
                pass
            clients.append(client)
        assert peer.command("query-status")["running"] is True
    finally:
        for client in clients:
            client.close()


def test_no_descriptors_left(tmp_path: Path) -> None:
    """Clients beyond the limit are refused; the daemon does not spin."""
    path = tmp_path / "qmp"
    with Peer(["prlimit", "--nofile=64:64", tapferryd(), "-qmp", "stdio",
               "-qmp", f"unix:{path},server=on,wait=off"]) as peer:
        clients = []
        for _number in range(100):
            client = socket.socket(socket.AF_UNIX)
            client.setblocking(False)
            try:
                client.connect(str(path))
            except OSError:
                pass
            clients.append(client)
        time.sleep(0.5)
        before = processor_time(peer)
        time.sleep(1)
        assert processor_time(peer) - before < 0.3
        assert peer.command("query-status")["running"] is True
        for client in clients:
            client.close()
        # One may be refused while those before it are still being closed.
        end = time.monotonic() + 10
        while True:
            try:
                with Client(path) as client:
                    assert client.command("query-status")["running"] is True
                break
            except EOFError:
                assert time.monotonic() < end, "clients are refused for ever"
                time.sleep(0.05)


def test_come_and_go(target: Target) -> None:
    """Connections that are cut at any moment leave nothing behind."""
    peer, path = target
    descriptors = Path(f"/proc/{peer.process.pid}/fd")
    before = len(list(descriptors.iterdir()))
    for number in range(300):
        client = connect(path)
        client.send(b'{"execute": "qmp_capabilities"}'[:number % 32])
        if number % 3 == 0:
            client.shutdown(socket.SHUT_WR)
        client.close()
    with Client(path):
        pass
    end = time.monotonic() + 10
    while len(list(descriptors.iterdir())) > before and \
            time.monotonic() < end:
        time.sleep(0.05)
    assert len(list(descriptors.iterdir())) <= before
