# SPDX-License-Identifier: BSD-2-Clause
"""Socket netdevs from the outside: what goes in comes out, whole and in
order, whoever is at the other end."""

import os
import socket
import struct
import subprocess
from pathlib import Path
from typing import Any, Dict, List

import pytest

from lib.daemon import Daemon, QmpFailure, alone
from lib.netdevs import add_wired, inet, unix
from lib.packet_set import check_carries
from lib.waiting import wait_until
from lib.wire import Listener, Pair, Peer, encode, free_port


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
    with alone() as daemon:
        daemon.execute("netdev_add", type="stream", id="t1", server=True,
                       addr=inet(port))
        daemon.wait_info("t1", "type=stream,")
        daemon.execute("netdev_add", type="stream", id="t2", addr=inet(port))
        event = daemon.take_event("NETDEV_STREAM_CONNECTED",
                                  **{"netdev-id": "t2"})
        assert event.data["addr"] == {
            "type": "inet", "host": "127.0.0.1", "port": str(port),
            "ipv4": True}
        event = daemon.take_event("NETDEV_STREAM_CONNECTED",
                                  **{"netdev-id": "t1"})
        other = event.data["addr"]["port"]
        daemon.wait_info("t1", f"type=stream,tcp:127.0.0.1:{other}")
        daemon.wait_info("t2", f"type=stream,tcp:127.0.0.1:{port}")
        daemon.execute("netdev_del", id="t2")
        event = daemon.take_event("NETDEV_STREAM_DISCONNECTED")
        assert event.data == {"netdev-id": "t1"}
        daemon.wait_info("t1", "type=stream,")

        path = tmp_path / "u"
        daemon.execute("netdev_add", type="stream", id="u1", server=True,
                       addr=unix(path))
        daemon.execute("netdev_add", type="stream", id="u2", addr=unix(path))
        for name in ("u1", "u2"):
            event = daemon.take_event("NETDEV_STREAM_CONNECTED",
                                      **{"netdev-id": name})
            assert event.data["addr"] == unix(path)
            daemon.wait_info(name, f"type=stream,unix:{path}")
        for name in ("u2", "u1"):
            daemon.execute("netdev_del", id=name)
        assert not path.exists()


def test_stream_abstract(tmp_path: Path) -> None:
    """A name in the abstract name space."""
    path = tmp_path / "a"
    with alone() as daemon:
        for name, server in (("a1", True), ("a2", False)):
            daemon.execute("netdev_add", type="stream", id=name,
                           server=server, addr=unix(path, abstract=True))
        event = daemon.take_event("NETDEV_STREAM_CONNECTED",
                                  **{"netdev-id": "a2"})
        assert event.data["addr"] == unix(path, abstract=True, tight=True)
        assert not path.exists()


def test_stream_fd_and_command_line() -> None:
    """An inherited descriptor, on the command line."""
    pair = Pair()
    with alone("-netdev", "stream,id=f,addr.type=fd,addr.str="
                f"{pair.fd}", pass_fds=[pair.fd]) as daemon:
        pair.passed()
        daemon.wait_info("f", "type=stream,unix:")
        pair.wire.send(b"x" * 60)
        pair.end.close()
        daemon.take_event("NETDEV_STREAM_DISCONNECTED")
        daemon.wait_info("f", "type=stream,")


def test_stream_reconnects(tmp_path: Path) -> None:
    """A client connects again, and the parser begins anew."""
    path = tmp_path / "u"
    with alone() as daemon:
        daemon.execute("netdev_add", type="stream", id="t", addr=unix(path),
                       **{"reconnect-ms": 50})
        echo(daemon, "t", tmp_path)
        daemon.wait_info("t", "type=stream,connection error")
        server = Listener(path)
        for i in range(3):
            wire = server.accept()
            frame = bytes([i]) * 100
            wire.send(frame)
            assert wire.receive_one() == frame
            # Cut inside a frame: the next connection begins with its own.
            wire.send_bytes(encode([b"y" * 500])[:200 + i])
            wire.close()
        server.close()


def test_stream_server_listens_again(tmp_path: Path) -> None:
    """One peer after the other."""
    path = tmp_path / "u"
    with alone() as daemon:
        daemon.execute("netdev_add", type="stream", id="t", server=True,
                       addr=unix(path))
        echo(daemon, "t", tmp_path)
        for i in range(3):
            wire = Peer.connect(path)
            wire.send(bytes([i]) * 64)
            assert wire.receive_one() == bytes([i]) * 64
            wire.close()
            daemon.take_event("NETDEV_STREAM_DISCONNECTED")


def test_stream_oversize(tmp_path: Path) -> None:
    """A length that can't be ends the connection, not the netdev."""
    path = tmp_path / "u"
    with alone() as daemon:
        daemon.execute("netdev_add", type="stream", id="t", server=True,
                       addr=unix(path))
        echo(daemon, "t", tmp_path)
        wire = Peer.connect(path)
        wire.send(b"a" * 60)
        assert wire.receive_one() == b"a" * 60
        wire.send_bytes(encode([b"a" * 60]) + struct.pack(">I", 69633))
        wire.wait_closed()
        daemon.take_event("NETDEV_STREAM_DISCONNECTED")
        wire = Peer.connect(path)
        wire.send(b"b" * 69632)
        assert wire.receive_one() == b"b" * 69632


@pytest.mark.parametrize("seed", range(3))
def test_stream_random_cuts(tmp_path: Path, seed: int) -> None:
    """Frames of all sizes, cut anywhere, come back whole."""
    path = tmp_path / "u"
    with alone() as daemon:
        daemon.execute("netdev_add", type="stream", id="t", server=True,
                       addr=unix(path))
        echo(daemon, "t", tmp_path)
        wire = Peer.connect(path)
        check_carries(wire, wire, seed)


def test_stream_slow_peer(tmp_path: Path) -> None:
    """Who does not read costs bounded memory, and what he gets is whole."""
    path = tmp_path / "u"
    pair = Pair()
    with alone("-netdev", "stream,id=b,peer=t,addr.type=fd,"
                f"addr.str={pair.fd}", "-netdev",
                f"stream,id=t,server=on,addr.type=unix,addr.path={path}",
                pass_fds=[pair.fd]) as daemon:
        pair.passed()
        wire = Peer.connect(path)
        daemon.take_event("NETDEV_STREAM_CONNECTED", **{"netdev-id": "t"})
        n, size = 1000, 60000
        for i in range(n):
            pair.wire.send(struct.pack(">I", i) * (size // 4))
        daemon.execute("query-status")
        numbers = []
        while not wire.is_silent(1):
            frame = wire.receive_one()
            assert len(frame) == size and frame == frame[:4] * (size // 4)
            numbers.append(struct.unpack(">I", frame[:4])[0])
        assert numbers == sorted(set(numbers))
        dropped = daemon.execute("qom-get", path="/netdevs/t",
                                 property="dropped-network-packets")
        assert len(numbers) + dropped == n and dropped > 0


REFUSED: List[Any] = [
    ({}, "Parameter 'addr' is missing"),
    ({"addr": {"type": "inet"}}, "Parameter 'addr.host' is missing"),
    ({"addr": {"type": "inet", "host": "a"}},
     "Parameter 'addr.port' is missing"),
    ({"addr": {"type": "inet", "host": "a", "port": "1", "ipv4": False,
               "ipv6": False}}, "Cannot disable IPv4 and IPv6 at same time"),
    ({"addr": {"type": "unix", "path": "x", "ipv6": True}},
     "Parameter 'addr.ipv6' is unexpected"),
    ({"addr": {"type": "inet", "host": "127.0.0.1", "port": "1",
               "ipv6": True}, "server": True}, "address resolution failed"),
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
    with alone() as daemon:
        with pytest.raises(QmpFailure) as failure:
            daemon.execute("netdev_add", type="stream", id="t", **arguments)
        assert failure.value.kind == "GenericError"
        assert failure.value.text.startswith(text)
        with pytest.raises(QmpFailure):
            daemon.execute("netdev_del", id="t")


# peer

class Two:
    """A daemon with two stream netdevs, a and b, on socket pairs."""

    def __init__(self, peer_a: str = "", peer_b: str = "") -> None:
        self.pairs = {"a": Pair(), "b": Pair()}
        self.peers = {"a": peer_a, "b": peer_b}
        self.wires = {name: pair.wire for name, pair in self.pairs.items()}
        fds = [pair.fd for pair in self.pairs.values()]
        self.daemon = alone(pass_fds=fds)
        for pair in self.pairs.values():
            pair.passed()

    def add(self, name: str) -> None:
        """Make one of them."""
        more = {"peer": self.peers[name]} if self.peers[name] else {}
        self.daemon.execute(
            "netdev_add", type="stream", id=name,
            addr={"type": "fd", "str": str(self.pairs[name].fd)}, **more)

    def dropped(self, name: str) -> int:
        """Frames that reached the NIC end and had nowhere to go."""
        count: int = self.daemon.execute("qom-get", path=f"/netdevs/{name}",
                                         property="dropped-nic-packets")
        return count

    def check(self) -> None:
        """Frames go from a to b and from b to a."""
        for one, other in (("a", "b"), ("b", "a")):
            frames = [one.encode() * size for size in (1, 60, 1514, 65535)]
            self.wires[one].send(*frames)
            assert [self.wires[other].receive_one() for _ in frames] == frames


@pytest.mark.parametrize("order", ["ab", "ba"])
@pytest.mark.parametrize("peers", [("b", ""), ("", "a"), ("b", "a")])
def test_peer(order: str, peers: Any) -> None:
    """Either names the other, or both, and either comes first."""
    two = Two(*peers)
    with two.daemon:
        for name in order:
            two.add(name)
        two.check()
        assert two.dropped("a") == two.dropped("b") == 0


def test_no_peer() -> None:
    """Frames that reach the NIC end without a peer are counted."""
    two = Two()
    with two.daemon:
        two.add("a")
        two.wires["a"].send(*[b"x" * 60] * 5)
        wait_until(lambda: two.dropped("a") == 5,
                   lambda: str(two.dropped("a")))


def test_peer_comes_and_goes(tmp_path: Path) -> None:
    """Deletion of one unwires, its return wires again."""
    two = Two("b")
    path = tmp_path / "u"
    with two.daemon as daemon:
        two.add("a")
        two.add("b")
        two.check()
        daemon.execute("netdev_del", id="b")
        two.wires["a"].send(b"x" * 60)
        wait_until(lambda: two.dropped("a") == 1,
                   lambda: str(two.dropped("a")))
        daemon.execute("netdev_add", type="stream", id="b", server=True,
                       addr=unix(path))
        two.wires["b"] = Peer.connect(path)
        daemon.take_event("NETDEV_STREAM_CONNECTED",
                          **{"netdev-id": "b",
                             "addr": unix(path)})
        two.check()
        daemon.execute("netdev_del", id="a")
        two.wires["b"].send(b"x" * 60)
        wait_until(lambda: two.dropped("b") == 1,
                   lambda: str(two.dropped("b")))


def test_peer_filters() -> None:
    """A frame passes the one's filters as tx, the other's as rx."""
    two = Two("b")
    with two.daemon as daemon:
        two.add("a")
        two.add("b")
        for name in "ab":
            # Without a peer of its own the chardev takes nothing: with
            # queue=rx nothing else is touched.
            path = f"/nowhere-{name}"
            daemon.execute("chardev-add", id=f"c{name}", backend={
                "type": "socket", "data": {"server": True, "wait": False,
                                           "addr": {"type": "unix", "data": {
                                               "path": path,
                                               "abstract": True}}}})
        daemon.execute("object-add", qom_type="filter-redirector", id="fb",
                       netdev="b", queue="rx", outdev="cb")
        two.wires["b"].send(b"y" * 70)
        assert two.wires["a"].receive_one() == b"y" * 70
        two.wires["a"].send(b"x" * 60)
        wait_until(lambda: daemon.counters("fb")["packets-rx"] == 1,
                   lambda: "no packet")
        assert daemon.counters("fb")["dropped-disconnected"] == 1
        assert daemon.counters("fb")["packets-tx"] == 0
        daemon.execute("object-del", id="fb")
        daemon.execute("object-add", qom_type="filter-redirector", id="fa",
                       netdev="a", queue="tx", outdev="ca")
        two.wires["a"].send(b"x" * 60)
        wait_until(lambda: daemon.counters("fa")["packets-tx"] == 1,
                   lambda: "no packet")
        assert two.wires["b"].is_silent(0.1)


def in_namespace() -> List[str]:
    """Runs a program in a network of its own with a veth pair v0, v1."""
    script = ("ip link add v0 type veth peer name v1 && ip link set v0 up && "
              "ip link set v1 up && exec \"$@\"")
    return ["unshare", "--net", "sh", "-c", script, "sh"]


@pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces need root")
def test_peer_of_tap() -> None:
    """The peer of a tap gets copies of what goes to the guest; what it sends
    has no way out at the tap's network end and is counted."""
    pair = Pair()
    send = ("import socket; s = socket.socket(socket.AF_PACKET, "
            "socket.SOCK_RAW); s.bind(('v0', 0)); "
            "[s.send(b'\\x02' * 12 + b'\\x88\\xb5' + bytes([i]) * 100) "
            "for i in range(5)]")
    with alone("-netdev", "tap,id=t,ifname=v0,peer=s", "-netdev",
                f"stream,id=s,addr.type=fd,addr.str={pair.fd}",
                pass_fds=[pair.fd], inside=in_namespace()) as daemon:
        pair.passed()
        subprocess.run(["nsenter", "-t", str(daemon.pid), "--net",
                        "/usr/bin/python3", "-c", send], check=True)
        ours: List[bytes] = []
        while len(ours) < 5:
            frame = pair.wire.receive_one()
            if frame[12:14] == b"\x88\xb5":
                ours.append(frame)
        assert [frame[14:] for frame in ours] == \
            [bytes([i]) * 100 for i in range(5)]
        pair.wire.send(*[b"x" * 60] * 3)
        wait_until(lambda: daemon.execute(
            "qom-get", path="/netdevs/t",
            property="dropped-nic-packets") == 3, lambda: "not dropped")


def test_peer_refused() -> None:
    """Itself, or one that has another."""
    with alone() as daemon:
        def add(name: str, peer: str = "") -> str:
            more = {"peer": peer} if peer else {}
            try:
                daemon.execute("netdev_add", type="stream", id=name,
                               server=True, addr=unix(Path(name),
                                                      abstract=True), **more)
            except QmpFailure as failure:
                assert failure.kind == "GenericError"
                return failure.text
            return ""

        assert add("a", "a") == "netdev 'a' can not be its own peer"
        assert not add("a", "b")
        assert add("c", "b") == "netdev 'b' already has the peer 'a'"
        assert add("c", "a") == "netdev 'a' has 'b' as its peer, not 'c'"
        assert add("b", "c") == "netdev 'a' waits for 'b' as its peer"
        assert not add("b")
        assert add("c", "b") == "netdev 'b' already has the peer 'a'"
        assert add("c", "a") == "netdev 'a' already has the peer 'b'"
        assert not add("c")
        with pytest.raises(QmpFailure):
            daemon.execute("netdev_add", type="stream", id="d", addr=inet(1),
                           **{"dropped-nic-packets": 5})


# netdev socket

def test_socket_info() -> None:
    """Texts as QEMU 7.2 has them."""
    stream, dgram = Pair(), Pair(socket.SOCK_DGRAM)
    port = free_port()
    with alone(pass_fds=[stream.fd, dgram.fd]) as daemon:
        def add(name: str, **arguments: str) -> None:
            daemon.execute("netdev_add", type="socket", id=name, **arguments)

        add("s1", fd=str(stream.fd))
        daemon.wait_info("s1", f"type=socket,socket: fd={stream.fd}")
        add("s2", fd=str(dgram.fd))
        daemon.wait_info("s2", f"type=socket,socket: fd={dgram.fd} unix")
        add("s3", listen=f"127.0.0.1:{port}")
        daemon.wait_info("s3", "type=socket,")
        add("s4", connect=f"127.0.0.1:{port}")
        daemon.wait_info("s4", "type=socket,socket: connect to "
                         f"127.0.0.1:{port}")
        assert daemon.info("s3").startswith(
            "s3: index=0,type=socket,socket: connection from 127.0.0.1:")
        daemon.execute("netdev_del", id="s4")
        daemon.wait_info("s3", "type=socket,")
        add("s5", mcast="230.0.0.1:1234", localaddr="127.0.0.1")
        daemon.wait_info("s5", "type=socket,socket: mcast=230.0.0.1:1234")
        add("s6", udp="127.0.0.1:1235",
            localaddr=f"127.0.0.1:{free_port(socket.SOCK_DGRAM)}")
        daemon.wait_info("s6", "type=socket,socket: udp=127.0.0.1:1235")
        assert not daemon.qmp.events()


ONE_OF = "exactly one of listen=, connect=, mcast= or udp= is required"
NO_PORT = "doesn't contain ':' separating host from port"

SOCKET_REFUSED: List[Any] = [
    ({}, ONE_OF), ({"listen": ":1", "connect": ":2"}, ONE_OF),
    ({"localaddr": "127.0.0.1:1"}, ONE_OF),
    ({"listen": "x"}, f"host address 'x' {NO_PORT}"),
    ({"connect": "127.0.0.1"}, f"host address '127.0.0.1' {NO_PORT}"),
    ({"mcast": "230.0.0.1"}, f"host address '230.0.0.1' {NO_PORT}"),
    ({"mcast": "127.0.0.1:1"}, "specified mcastaddr 127.0.0.1"),
    ({"udp": "127.0.0.1:1"}, "localaddr= is mandatory with udp="),
    ({"listen": ":1", "localaddr": "127.0.0.1:1"},
     "localaddr= is only valid with mcast= or udp="),
    ({"fd": "nosuch"}, "File descriptor named 'nosuch' has not been found"),
    ({"fd": "99"}, "s: Can't use file descriptor 99: Bad file descriptor"),
    ({"fd": "0"}, "can't get socket option SO_TYPE"),
    ({"fd": 5}, "Invalid parameter type for 'fd', expected: string"),
    ({"udp": "127.0.0.1:1", "localaddr": "192.0.2.1:1"},
     "can't bind ip=192.0.2.1 to socket: "),
]


@pytest.mark.parametrize("arguments, text", SOCKET_REFUSED)
def test_socket_refused(arguments: Dict[str, Any], text: str) -> None:
    """What can't be is refused and leaves no trace."""
    with alone() as daemon:
        with pytest.raises(QmpFailure) as failure:
            daemon.execute("netdev_add", type="socket", id="s", **arguments)
        assert text in failure.value.text
        with pytest.raises(QmpFailure):
            daemon.execute("netdev_del", id="s")


def test_socket_datagrams(tmp_path: Path) -> None:
    """A frame is a datagram, on an inherited socket and on UDP."""
    pair = Pair(socket.SOCK_DGRAM)
    with alone(pass_fds=[pair.fd]) as daemon:
        daemon.execute("netdev_add", type="socket", id="s", fd=str(pair.fd))
        pair.passed()
        echo(daemon, "s", tmp_path)
        for size in (1, 14, 60, 1514, 65535):
            pair.end.send(b"x" * size)
            assert pair.end.recv(100000) == b"x" * size
        pair.end.send(b"")
        # A receiver that does not read: all that is owed comes later.
        for i in range(200):
            pair.end.send(struct.pack(">I", i) * 100)
        got = [struct.unpack(">I", pair.end.recv(1000)[:4])[0]
               for _ in range(200)]
        assert got == list(range(200))

        ours = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        ours.bind(("127.0.0.1", 0))
        ours.settimeout(20)
        port = free_port(socket.SOCK_DGRAM)
        daemon.execute("netdev_add", type="socket", id="u",
                       udp=f"127.0.0.1:{ours.getsockname()[1]}",
                       localaddr=f"127.0.0.1:{port}")
        echo(daemon, "u", tmp_path)
        for size in (1, 60, 1514, 65507):
            ours.sendto(b"y" * size, ("127.0.0.1", port))
            assert ours.recv(100000) == b"y" * size
        ours.close()


def test_socket_to_stream(tmp_path: Path) -> None:
    """A socket netdev wired to a stream netdev."""
    pair = Pair()
    path = tmp_path / "u"
    with alone("-netdev", f"socket,id=a,fd={pair.fd},peer=b", "-netdev",
                f"stream,id=b,server=on,addr.type=unix,addr.path={path}",
                pass_fds=[pair.fd]) as daemon:
        pair.passed()
        wire = Peer.connect(path)
        daemon.take_event("NETDEV_STREAM_CONNECTED")
        check_carries(pair.wire, wire, 1)
        check_carries(wire, pair.wire, 2)


# netdev dgram

def test_dgram_info(tmp_path: Path) -> None:
    """Texts as QEMU 7.2 has them; no file is left behind."""
    pair = Pair(socket.SOCK_DGRAM)
    port = free_port(socket.SOCK_DGRAM)
    one, other = tmp_path / "a", tmp_path / "b"
    cases: List[Any] = [
        ({"local": inet(port), "remote": inet(9)},
         f"udp=127.0.0.1:{port}/127.0.0.1:9"),
        ({"remote": inet(9914, "230.0.0.1"), "local": inet(0)},
         "mcast=230.0.0.1:9914"),
        ({"local": unix(one), "remote": unix(other)}, f"udp={one}:{other}"),
        ({"local": {"type": "fd", "str": str(pair.fd)}},
         f"fd={pair.fd} unix"),
    ]
    with alone(pass_fds=[pair.fd]) as daemon:
        for arguments, text in cases:
            daemon.execute("netdev_add", type="dgram", id="d", **arguments)
            daemon.wait_info("d", f"type=dgram,{text}")
            daemon.execute("netdev_del", id="d")
        assert not one.exists()


NO_REMOTE = "type=inet or type=unix requires remote parameter"

DGRAM_REFUSED: List[Any] = [
    ({}, "dgram requires local= parameter"),
    ({"remote": inet(1)}, "dgram requires local= parameter"),
    ({"local": inet(1)}, NO_REMOTE),
    ({"local": unix(Path("/tmp/x"))}, NO_REMOTE),
    ({"local": {"type": "fd", "str": "99"}, "remote": inet(1)},
     "don't set remote with local.fd"),
    ({"local": {"type": "fd", "str": "98"}},
     "d: Can't use file descriptor 98: Bad file descriptor"),
    ({"local": inet(0), "remote": unix(Path("/tmp/x"))},
     "remote and local types must be the same"),
    ({"local": inet(0), "remote": {"type": "fd", "str": "1"}},
     "remote and local types must be the same"),
    ({"local": inet(1, "192.0.2.1"), "remote": inet(1)},
     "can't bind ip=192.0.2.1 to socket: "),
    ({"local": inet(70000), "remote": inet(1)}, "can't resolve host address"),
]


@pytest.mark.parametrize("arguments, text", DGRAM_REFUSED)
def test_dgram_refused(arguments: Dict[str, Any], text: str) -> None:
    """What can't be is refused and leaves no trace."""
    with alone() as daemon:
        with pytest.raises(QmpFailure) as failure:
            daemon.execute("netdev_add", type="dgram", id="d", **arguments)
        assert failure.value.text.startswith(text)
        with pytest.raises(QmpFailure):
            daemon.execute("netdev_del", id="d")


def test_dgram_slow_receiver(tmp_path: Path) -> None:
    """A unix receiver that is not there costs frames, one that is slow
    none."""
    pair = Pair()
    with alone("-netdev", f"socket,id=s,fd={pair.fd},peer=d", "-netdev",
                f"dgram,id=d,local.type=unix,local.path={tmp_path}/d,"
                f"remote.type=unix,remote.path={tmp_path}/r",
                pass_fds=[pair.fd]) as daemon:
        pair.passed()
        pair.wire.send(b"x" * 60)
        wait_until(lambda: daemon.execute(
            "qom-get", path="/netdevs/d",
            property="dropped-network-packets") == 1, lambda: "not counted")
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
            receiver.bind(f"{tmp_path}/r")
            receiver.settimeout(20)
            for i in range(1000):
                pair.wire.send(struct.pack(">I", i) * 100)
            got = [struct.unpack(">I", receiver.recv(1000)[:4])[0]
                   for _ in range(1000)]
            assert got == list(range(1000))
            receiver.sendto(b"y" * 65535, f"{tmp_path}/d")
            assert pair.wire.receive_one() == b"y" * 65535


@pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces need root")
@pytest.mark.parametrize("kind", ["socket", "dgram"])
def test_multicast(tmp_path: Path, kind: str) -> None:
    """All members of a group get a frame, the sender included."""
    script = "ip link set lo up && exec \"$@\""
    group = {"mcast": "230.0.0.1:4444", "localaddr": "127.0.0.1"} \
        if kind == "socket" else \
        {"remote": inet(4444, "230.0.0.1"), "local": inet(0)}
    with alone(inside=["unshare", "--net", "sh", "-c", script, "sh"]) \
            as daemon:
        wires = [add_wired(daemon, tmp_path, name, type=kind, **group)
                 for name in "abc"]
        wires[0].send(b"to all" * 10)
        for wire in wires:
            assert wire.receive_one() == b"to all" * 10
