# SPDX-License-Identifier: BSD-2-Clause
"""Our netdevs and QEMU's at the two ends of one connection.

    test ── w (stream) ═ peer ═ t (ours) ── q0 (QEMU) ═ hub ═ q1 ── test

A thousand frames of 1 byte up to what the connection takes go each way.
"""

import dataclasses
import socket
from typing import Any, Callable, Dict, List, Optional, Tuple

import pytest

from lib.daemon import Daemon
from lib.hosts import Host
from lib.netdevs import add_wired, inet, unix
from lib.packet_set import LARGEST, LARGEST_UDP, check_carries
from lib.qemu import Qemu, hub, needs_qemu
from lib.site import Site
from lib.wire import Pair, Peer, wait_carries

pytestmark = needs_qemu


@dataclasses.dataclass(frozen=True)
class Link:
    """One connection: our netdev's arguments, and QEMU's options."""

    ours: Dict[str, Any]
    theirs: str
    we_listen: bool = True
    largest: int = LARGEST
    datagrams: bool = False


def stream_link(site: Site, address: str, we_listen: bool) -> Link:
    """Our stream to QEMU's."""
    path = site.directory / "link"
    addresses = {
        "inet": (inet(7701), "type=inet,addr.host=127.0.0.1,addr.port=7701"),
        "inet6": (inet(7701, "::1"), "type=inet,addr.host=::1,addr.port=7701"),
        "unix": (unix(path), f"type=unix,addr.path={path}"),
        "abstract": (unix(path, abstract=True),
                     f"type=unix,addr.path={path},addr.abstract=on"),
    }
    ours, theirs = addresses[address]
    more = {} if we_listen else {"reconnect-ms": 20}
    return Link({"type": "stream", "server": we_listen, "addr": ours, **more},
                f"stream,server={'off' if we_listen else 'on'},addr.{theirs}",
                we_listen)


def socket_link(_site: Site, _address: str, we_listen: bool) -> Link:
    """Our socket to QEMU's."""
    ways = ["listen", "connect"] if we_listen else ["connect", "listen"]
    return Link({"type": "socket", ways[0]: "127.0.0.1:7701"},
                f"socket,{ways[1]}=127.0.0.1:7701", we_listen)


def mixed_link(_site: Site, _address: str, we_listen: bool) -> Link:
    """Our stream to QEMU's socket, and the other way round."""
    if we_listen:
        return Link({"type": "stream", "server": True, "addr": inet(7701)},
                    "socket,connect=127.0.0.1:7701")
    return Link({"type": "socket", "connect": "127.0.0.1:7701"},
                "stream,server=on,addr.type=inet,addr.host=127.0.0.1,"
                "addr.port=7701", False)


def datagram_link(site: Site, kind: str, _we_listen: bool) -> Link:
    """Datagrams between our netdev and QEMU's, of the older or the newer
    type."""
    links = {
        "socket-udp": Link(
            {"type": "socket", "udp": "127.0.0.1:7701",
             "localaddr": "127.0.0.1:7702"},
            "socket,udp=127.0.0.1:7702,localaddr=127.0.0.1:7701",
            largest=LARGEST_UDP, datagrams=True),
        "dgram-inet": Link(
            {"type": "dgram", "local": inet(7702), "remote": inet(7701)},
            "dgram,local.type=inet,local.host=127.0.0.1,local.port=7701,"
            "remote.type=inet,remote.host=127.0.0.1,remote.port=7702",
            largest=LARGEST_UDP, datagrams=True),
        "dgram-unix": Link(
            {"type": "dgram", "local": unix(site.directory / "ours"),
             "remote": unix(site.directory / "theirs")},
            f"dgram,local.type=unix,local.path={site.directory}/theirs,"
            f"remote.type=unix,remote.path={site.directory}/ours",
            datagrams=True),
    }
    return links[kind]


class Ends:
    """A daemon, a QEMU, and the wires at their far sides."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.host: Host = site.host()
        self.host.enable_ipv6("lo")
        self.far = Pair()

    def start_daemon(self, ours: Dict[str, Any], *arguments: str,
                     **options: Any) -> Tuple[Daemon, Peer]:
        """Our end, and its wire."""
        daemon = self.site.daemon(self.host, "tapferryd", *arguments,
                                  **options)
        return daemon, add_wired(daemon, self.site.directory, "t", **ours)

    def start_qemu(self, theirs: str, *fds: int) -> Qemu:
        """QEMU's end; its wire is there from the beginning."""
        kind, _, options = theirs.partition(",")
        return Qemu("-netdev", f"{kind},id=q0,{options}",
                    "-netdev", f"socket,id=q1,fd={self.far.fd}", *hub(2),
                    host=self.host, directory=self.site.directory,
                    pass_fds=[self.far.fd, *fds])

    def check(self, near: Peer, seed: int, count: int = 1000,
              largest: int = LARGEST, datagrams: bool = False) -> None:
        """Both ways."""
        # A unix socket takes 11 datagrams; then QEMU mixes up their order.
        burst = 10 if datagrams else 30
        wait_carries(near, self.far.wire)
        wait_carries(self.far.wire, near)
        check_carries(near, self.far.wire, seed, count, largest, burst=burst)
        check_carries(self.far.wire, near, seed + 1, count, largest,
                      burst=burst)


LINKS: List[Any] = [
    *(pytest.param(stream_link, address, we_listen,
                   id=f"stream-{address}-{'server' if we_listen else 'client'}"
                   ) for address in ("inet", "inet6", "unix", "abstract")
      for we_listen in (True, False)),
    *(pytest.param(make, "", we_listen,
                   id=f"{name}-{'server' if we_listen else 'client'}")
      for name, make in (("socket", socket_link), ("mixed", mixed_link))
      for we_listen in (True, False)),
    *(pytest.param(datagram_link, kind, True, id=kind)
      for kind in ("socket-udp", "dgram-inet", "dgram-unix")),
]


@pytest.mark.parametrize("make, kind, we_listen", LINKS)
def test_carries(site: Site, make: Callable[[Site, str, bool], Link],
                 kind: str, we_listen: bool) -> None:
    """A thousand frames each way."""
    link = make(site, kind, we_listen)
    ends = Ends(site)
    if link.we_listen:
        _daemon, wire = ends.start_daemon(link.ours)
        with ends.start_qemu(link.theirs):
            ends.check(wire, 10, largest=link.largest,
                       datagrams=link.datagrams)
        return
    with ends.start_qemu(link.theirs):
        if link.ours["type"] == "socket":
            # Ours tries once, and QEMU's begins to listen in its own time.
            ends.host.wait_listening(":7701")
        _daemon, wire = ends.start_daemon(link.ours)
        ends.check(wire, 20, largest=link.largest)


@pytest.mark.parametrize("kind", ["stream", "socket", "socket-datagrams",
                                  "dgram"])
def test_carries_over_inherited_sockets(site: Site, kind: str) -> None:
    """Each has one end of a socket pair."""
    one, other = socket.socketpair(
        socket.AF_UNIX, socket.SOCK_STREAM if kind in ("stream", "socket")
        else socket.SOCK_DGRAM)
    ours: Dict[str, Any] = {"type": kind.partition("-")[0]}
    theirs = f"socket,fd={other.fileno()}"
    if ours["type"] == "socket":
        ours["fd"] = str(one.fileno())
    else:
        member = "addr" if kind == "stream" else "local"
        ours[member] = {"type": "fd", "str": str(one.fileno())}
        theirs = f"{kind},{member}.type=fd,{member}.str={other.fileno()}"
    ends = Ends(site)
    _daemon, wire = ends.start_daemon(ours, pass_fds=[one.fileno()])
    with ends.start_qemu(theirs, other.fileno()):
        one.close()
        datagrams = other.type == socket.SOCK_DGRAM
        other.close()
        ends.check(wire, 30, datagrams=datagrams)


@pytest.mark.parametrize("kind", ["stream", "socket"])
def test_multicast(site: Site, kind: str) -> None:
    """Both are members of a group; who sends gets his own frame, too."""
    ends = Ends(site)
    ours: Dict[str, Any] = {
        "type": "socket", "mcast": "230.0.0.1:7703", "localaddr": "127.0.0.1"
    } if kind == "socket" else {
        "type": "dgram", "remote": inet(7703, "230.0.0.1"), "local": inet(0)}
    theirs = "socket,mcast=230.0.0.1:7703,localaddr=127.0.0.1" \
        if kind == "socket" else \
        "dgram,remote.type=inet,remote.host=230.0.0.1,remote.port=7703," \
        "local.type=inet,local.host=127.0.0.1,local.port=0"
    _daemon, near = ends.start_daemon(ours)
    with ends.start_qemu(theirs):
        for one, other in ((near, ends.far.wire), (ends.far.wire, near)):
            one.send(b"to all" * 10)
            assert other.receive_one() == b"to all" * 10
            assert one.receive_one() == b"to all" * 10


@pytest.mark.parametrize("address", ["inet", "unix"])
def test_qemu_comes_back(site: Site, address: str) -> None:
    """Our client connects again when QEMU has been started anew."""
    link = stream_link(site, address, we_listen=False)
    ends = Ends(site)
    daemon: Optional[Daemon] = None
    for seed in range(3):
        ends.far = Pair()
        with ends.start_qemu(link.theirs):
            if daemon is None:
                daemon, wire = ends.start_daemon(link.ours)
            daemon.take_event("NETDEV_STREAM_CONNECTED",
                              **{"netdev-id": "t"})
            ends.check(wire, seed, count=200)
        daemon.take_event("NETDEV_STREAM_DISCONNECTED", **{"netdev-id": "t"})


@pytest.mark.parametrize("address", ["inet", "unix"])
def test_qemu_returns_to_our_server(site: Site, address: str) -> None:
    """Our server takes one QEMU after the other."""
    link = stream_link(site, address, we_listen=True)
    ends = Ends(site)
    daemon, wire = ends.start_daemon(link.ours)
    for seed in range(3):
        ends.far = Pair()
        with ends.start_qemu(link.theirs):
            daemon.take_event("NETDEV_STREAM_CONNECTED",
                              **{"netdev-id": "t"})
            ends.check(wire, seed, count=200)
        daemon.take_event("NETDEV_STREAM_DISCONNECTED", **{"netdev-id": "t"})


@pytest.mark.parametrize("make, address", [(stream_link, "unix"),
                                           (stream_link, "inet"),
                                           (socket_link, "")])
def test_we_come_back(site: Site, make: Callable[[Site, str, bool], Link],
                      address: str) -> None:
    """QEMU's server takes one daemon after the other."""
    link = make(site, address, False)
    ends = Ends(site)
    with ends.start_qemu(link.theirs):
        for seed in range(3):
            if link.ours["type"] == "socket":
                ends.host.wait_listening(":7701")
            daemon, wire = ends.start_daemon(link.ours)
            ends.check(wire, seed, count=200)
            daemon.stop()
