# SPDX-License-Identifier: BSD-2-Clause
"""Socket netdevs from the outside: what goes in comes out, whole and in
order, whoever is at the other end."""

import random
import socket
import struct
from pathlib import Path
from typing import Any, Dict, List

import pytest

from netdevs import (Daemon, Failure, Pair, Wire, connect, encode, free_port,
                     listener)


def unix(path: Path, **more: Any) -> Dict[str, Any]:
    """The address of a unix socket."""
    return {"type": "unix", "path": str(path), **more}


def inet(port: int, host: str = "127.0.0.1") -> Dict[str, Any]:
    """A TCP or UDP address."""
    return {"type": "inet", "host": host, "port": str(port)}


def echo(daemon: Daemon, netdev: str, tmp_path: Path) -> None:
    """What comes from a netdev's network goes back there."""
    path = str(tmp_path / f"echo-{netdev}")
    for name, mode in (("s", {"server": True, "wait": False}),
                       ("c", {"server": False})):
        daemon.execute("chardev-add", id=f"{netdev}-{name}", backend={
            "type": "socket", "data": {
                "addr": {"type": "unix", "data": {"path": path}}, **mode}})
    daemon.execute("object-add", qom_type="filter-redirector",
                   id=f"{netdev}-out", netdev=netdev, queue="tx",
                   outdev=f"{netdev}-s")
    daemon.execute("object-add", qom_type="filter-redirector",
                   id=f"{netdev}-in", netdev=netdev, queue="rx",
                   indev=f"{netdev}-c")


# netdev stream

def test_stream_info_and_events(tmp_path: Path) -> None:
    """Two netdevs over TCP: texts and events as QEMU 7.2 has them."""
    port = free_port()
    with Daemon() as daemon:
        daemon.execute("netdev_add", type="stream", id="t1", server=True,
                       addr=inet(port))
        daemon.wait_info("t1", "type=stream,")
        daemon.execute("netdev_add", type="stream", id="t2", addr=inet(port))
        event = daemon.wait_event("NETDEV_STREAM_CONNECTED",
                                  **{"netdev-id": "t2"})
        assert event["data"]["addr"] == {
            "type": "inet", "host": "127.0.0.1", "port": str(port),
            "ipv4": True}
        event = daemon.wait_event("NETDEV_STREAM_CONNECTED",
                                  **{"netdev-id": "t1"})
        other = event["data"]["addr"]["port"]
        daemon.wait_info("t1", f"type=stream,tcp:127.0.0.1:{other}")
        daemon.wait_info("t2", f"type=stream,tcp:127.0.0.1:{port}")
        daemon.execute("netdev_del", id="t2")
        event = daemon.wait_event("NETDEV_STREAM_DISCONNECTED")
        assert event["data"] == {"netdev-id": "t1"}
        daemon.wait_info("t1", "type=stream,")

        path = tmp_path / "u"
        daemon.execute("netdev_add", type="stream", id="u1", server=True,
                       addr=unix(path))
        daemon.execute("netdev_add", type="stream", id="u2", addr=unix(path))
        for name in ("u1", "u2"):
            event = daemon.wait_event("NETDEV_STREAM_CONNECTED",
                                      **{"netdev-id": name})
            assert event["data"]["addr"] == unix(path)
            daemon.wait_info(name, f"type=stream,unix:{path}")
        for name in ("u2", "u1"):
            daemon.execute("netdev_del", id=name)
        assert not path.exists()


def test_stream_abstract(tmp_path: Path) -> None:
    """A name in the abstract name space."""
    path = tmp_path / "a"
    with Daemon() as daemon:
        for name, server in (("a1", True), ("a2", False)):
            daemon.execute("netdev_add", type="stream", id=name,
                           server=server, addr=unix(path, abstract=True))
        event = daemon.wait_event("NETDEV_STREAM_CONNECTED",
                                  **{"netdev-id": "a2"})
        assert event["data"]["addr"] == unix(path, abstract=True, tight=True)
        assert not path.exists()


def test_stream_fd_and_command_line() -> None:
    """An inherited descriptor, on the command line."""
    pair = Pair()
    with Daemon("-netdev", "stream,id=f,addr.type=fd,addr.str="
                f"{pair.fd}", pass_fds=[pair.fd]) as daemon:
        pair.passed()
        daemon.wait_info("f", "type=stream,unix:")
        pair.wire.send(b"x" * 60)
        pair.end.close()
        daemon.wait_event("NETDEV_STREAM_DISCONNECTED")
        daemon.wait_info("f", "type=stream,")


def test_stream_reconnects(tmp_path: Path) -> None:
    """A client connects again, and the parser begins anew."""
    path = tmp_path / "u"
    with Daemon() as daemon:
        daemon.execute("netdev_add", type="stream", id="t", addr=unix(path),
                       **{"reconnect-ms": 50})
        echo(daemon, "t", tmp_path)
        daemon.wait_info("t", "type=stream,connection error")
        server = listener(path)
        for i in range(3):
            wire = Wire(server.accept()[0])
            frame = bytes([i]) * 100
            wire.send(frame)
            assert wire.receive() == frame
            # Cut inside a frame: the next connection begins with its own.
            wire.socket.sendall(encode([b"y" * 500])[:200 + i])
            wire.close()
        server.close()


def test_stream_server_listens_again(tmp_path: Path) -> None:
    """One peer after the other."""
    path = tmp_path / "u"
    with Daemon() as daemon:
        daemon.execute("netdev_add", type="stream", id="t", server=True,
                       addr=unix(path))
        echo(daemon, "t", tmp_path)
        for i in range(3):
            wire = connect(path)
            wire.send(bytes([i]) * 64)
            assert wire.receive() == bytes([i]) * 64
            wire.close()
            daemon.wait_event("NETDEV_STREAM_DISCONNECTED")


def test_stream_oversize(tmp_path: Path) -> None:
    """A length that can't be ends the connection, not the netdev."""
    path = tmp_path / "u"
    with Daemon() as daemon:
        daemon.execute("netdev_add", type="stream", id="t", server=True,
                       addr=unix(path))
        echo(daemon, "t", tmp_path)
        wire = connect(path)
        wire.send(b"a" * 60)
        assert wire.receive() == b"a" * 60
        wire.socket.sendall(encode([b"a" * 60]) + struct.pack(">I", 69633))
        assert wire.socket.recv(1) == b""
        daemon.wait_event("NETDEV_STREAM_DISCONNECTED")
        wire = connect(path)
        wire.send(b"b" * 69632)
        assert wire.receive() == b"b" * 69632


def sizes(rng: random.Random) -> List[int]:
    """Sizes of frames, the edges among them."""
    return [1, 2, 13, 14, 60, 1514, 4095, 4096, 65534, 65535,
            *(rng.randrange(1, 65536) for _ in range(20)),
            *(rng.randrange(1, 1600) for _ in range(200))]


@pytest.mark.parametrize("seed", range(3))
def test_stream_random_cuts(tmp_path: Path, seed: int) -> None:
    """Frames of all sizes, cut anywhere, come back whole."""
    rng = random.Random(seed)
    path = tmp_path / "u"
    frames = [rng.randbytes(size) for size in sizes(rng)]
    with Daemon() as daemon:
        daemon.execute("netdev_add", type="stream", id="t", server=True,
                       addr=unix(path))
        echo(daemon, "t", tmp_path)
        wire = connect(path)
        got: List[bytes] = []
        for frame in frames:
            data = encode([frame])
            while data:
                n = rng.choice((1, 3, 4, 5, 1000, 100000))
                wire.socket.sendall(data[:n])
                data = data[n:]
                if n < 10:
                    n = 1
            got.append(wire.receive())
        assert got == frames


REFUSED: List[Any] = [
    ({}, "Parameter 'addr' is missing"),
    ({"addr": {"type": "inet"}}, "Parameter 'addr.host' is missing"),
    ({"addr": {"type": "inet", "host": "a"}},
     "Parameter 'addr.port' is missing"),
    ({"addr": {"type": "unix"}}, "Parameter 'addr.path' is missing"),
    ({"addr": {"type": "fd"}}, "Parameter 'addr.str' is missing"),
    ({"addr": {"type": "fd", "str": "1", "path": "x"}},
     "Parameter 'addr.path' is unexpected"),
    ({"addr": "x"}, "Invalid parameter type for 'addr', expected: object"),
    ({"addr": {"type": "inet", "host": "a", "port": 5}},
     "Invalid parameter type for 'addr.port', expected: string"),
    ({"addr": inet(1), "server": "x"},
     "Invalid parameter type for 'server', expected: boolean"),
    ({"addr": {"type": "fd", "str": "99"}},
     "File descriptor '99' is not a socket"),
    ({"addr": inet(1), "server": True, "reconnect-ms": 5},
     "'reconnect-ms' option is incompatible with socket in server listen "
     "mode"),
    ({"addr": inet(1, "192.0.2.1"), "server": True}, "Failed to bind socket"),
]


@pytest.mark.parametrize("arguments, text", REFUSED,
                         ids=[text for _arguments, text in REFUSED])
def test_stream_refused(arguments: Dict[str, Any], text: str) -> None:
    """What can't be is refused and leaves no trace."""
    with Daemon() as daemon:
        with pytest.raises(Failure) as failure:
            daemon.execute("netdev_add", type="stream", id="t", **arguments)
        assert failure.value.kind == "GenericError"
        assert failure.value.text.startswith(text)
        with pytest.raises(Failure):
            daemon.execute("netdev_del", id="t")
