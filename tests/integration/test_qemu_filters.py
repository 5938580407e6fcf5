# SPDX-License-Identifier: BSD-2-Clause
"""Our filters and QEMU's at the two ends of one connection.

    test ── b0 (QEMU) ── redirector or mirror ═══► redirector ── b1 ── test
    test ── b1 (ours) ── redirector or mirror ═══► redirector ── b0 ── test

A thousand frames of 1 byte up to what the connection takes go each way.
What a guest does to them: test_qemu_guest.py.
"""

import struct
from typing import Any, Dict, List, Optional

import pytest

from lib.daemon import Daemon
from lib.packet_set import LARGEST, check_carries
from lib.program import Program
from lib.qemu import Qemu, needs_qemu, nic
from lib.site import Site
from lib.waiting import wait_until
from lib.wire import Pair, encode, wait_carries

pytestmark = needs_qemu



class Couple:
    """A QEMU and a daemon that redirect to each other."""

    def __init__(self, site: Site, we_listen: bool = True,
                 address: str = "unix") -> None:
        self.site = site
        self.host = site.host()
        self.we_listen = we_listen
        self.address = address
        self.qemu_pair, self.pair = Pair(), Pair()

    def start_daemon(self) -> Daemon:
        """Our end."""
        daemon = self.site.daemon(
            self.host, "tapferryd", "-netdev",
            f"socket,id=b1,fd={self.pair.fd}", pass_fds=[self.pair.fd])
        self.add_chardevs(daemon, self.we_listen)
        return daemon

    def start_qemu(self) -> Qemu:
        """The other end; a context manager."""
        qemu = Qemu("-accel", "tcg", "-m", "16",
                    *nic("b0", f"socket,fd={self.qemu_pair.fd}"),
                    machine="pc", host=self.host,
                    directory=self.site.directory,
                    pass_fds=[self.qemu_pair.fd])
        self.add_chardevs(qemu, not self.we_listen)
        return qemu

    def add_chardevs(self, program: Program, server: bool) -> None:
        """One for each way, named by where their frames come from."""
        more: Dict[str, Any] = {"wait": False} if server else {}
        for number, name in enumerate(("from-qemu", "from-us")):
            address: Dict[str, Any] = {
                "type": "unix", "data": {"path": self.site.path(name)}}
            if self.address == "inet":
                address = {"type": "inet", "data": {
                    "host": "127.0.0.1", "port": str(7700 + number)}}
            program.execute("chardev-add", id=name, backend={
                "type": "socket", "data": {"addr": address, "server": server,
                                           **more}})

    def add_filters(self, daemon: Daemon, qemu: Qemu, header: int = 0,
                    kind: str = "redirector") -> None:
        """A way there and a way back, with virtio-net headers of so many
        bytes from us."""
        add_ends(qemu, "b0", "from-us", "from-qemu", kind,
                 vnet_hdr_support=header > 0)
        more = {"vnet-hdr-len": header} if header else {}
        add_ends(daemon, "b1", "from-qemu", "from-us", kind, more,
                 vnet_hdr_support=header > 0)
        daemon.wait_connected()


def add_ends(program: Program, netdev: str, indev: str, outdev: str,
             kind: str = "redirector",
             out: Optional[Dict[str, Any]] = None, **both: Any) -> None:
    """What comes from the network goes to outdev, what comes from indev to
    the network."""
    program.add("filter-redirector", f"{netdev}-in", netdev=netdev,
                queue="rx", indev=indev, **both)
    program.add(f"filter-{kind}", f"{netdev}-out", netdev=netdev, queue="tx",
                outdev=outdev, **both, **(out or {}))
    if kind == "mirror":
        # Takes what QEMU's NIC, which nobody reads from, would not.
        program.execute("chardev-add", id="away",
                        backend={"type": "null", "data": {}})
        program.add("filter-redirector", f"{netdev}-taker", netdev=netdev,
                    queue="tx", outdev="away")


@pytest.mark.parametrize("address, we_listen", [
    ("unix", True), ("unix", False), ("inet", True), ("inet", False)])
@pytest.mark.parametrize("header", [0, 10, 12],
                         ids=["plain", "header10", "header12"])
@pytest.mark.parametrize("kind", ["redirector", "mirror"])
def test_both_ways(site: Site, address: str, we_listen: bool, header: int,
                   kind: str) -> None:
    """QEMU's filter to our redirector, and ours to QEMU's.  A socket netdev
    of QEMU's has no virtio-net header: it sends one of 0 bytes, and hands
    ours on in front of the frame."""
    couple = Couple(site, we_listen, address)

    def check(daemon: Daemon, qemu: Qemu) -> None:
        couple.add_filters(daemon, qemu, header, kind)
        theirs, ours = couple.qemu_pair.wire, couple.pair.wire
        wait_carries(theirs, ours)
        check_carries(theirs, ours, 1)
        check_carries(ours, theirs, 2, largest=LARGEST - header,
                      leaves=lambda frame: bytes(header) + frame)
        counters = daemon.counters("b1-out")
        assert not any(value for name, value in counters.items()
                       if name.startswith("dropped-")), counters

    if we_listen:
        daemon = couple.start_daemon()
        with couple.start_qemu() as qemu:
            check(daemon, qemu)
    else:
        with couple.start_qemu() as qemu:
            check(couple.start_daemon(), qemu)


@pytest.mark.parametrize("header", [0, 10, 12],
                         ids=["plain", "header10", "header12"])
@pytest.mark.parametrize("kind", ["redirector", "mirror"])
def test_between_ours(site: Site, header: int, kind: str) -> None:
    """Between two of ours the header goes again where it came."""
    couple = Couple(site)
    more = {"vnet-hdr-len": header} if header else {}
    first = couple.start_daemon()
    second = site.daemon(couple.host, "second", "-netdev",
                         f"socket,id=b0,fd={couple.qemu_pair.fd}",
                         pass_fds=[couple.qemu_pair.fd])
    couple.add_chardevs(second, server=False)
    for daemon, names in ((first, ("b1", "from-qemu", "from-us")),
                          (second, ("b0", "from-us", "from-qemu"))):
        add_ends(daemon, *names, kind, more, vnet_hdr_support=header > 0)
    for daemon in (first, second):
        daemon.wait_connected()
    theirs, ours = couple.qemu_pair.wire, couple.pair.wire
    check_carries(ours, theirs, 3, largest=LARGEST - header)
    check_carries(theirs, ours, 4, largest=LARGEST - header)


def test_vnet_flag_on_one_side(site: Site) -> None:
    """Ends that do not agree about vnet_hdr_support: whatever QEMU sends,
    ours says so, counts it, lives, and understands the next peer."""
    couple = Couple(site)
    daemon = couple.start_daemon()
    with couple.start_qemu() as qemu:
        add_ends(qemu, "b0", "from-us", "from-qemu")
        add_ends(daemon, "b1", "from-qemu", "from-us", vnet_hdr_support=True)
        daemon.wait_connected()
        # Its first four bytes would be the header's length.
        couple.qemu_pair.wire.send(struct.pack(">I", 1 << 20) + bytes(60))
        daemon.wait_log("vnet_hdr_support")
        assert couple.pair.wire.is_silent()
        wait_until(lambda: daemon.counters("b1-in")["dropped-oversize"] == 1,
                   "the frame to be counted")


def test_qemu_is_started_anew(site: Site) -> None:
    """The next QEMU gets whole frames, and so do we."""
    couple = Couple(site)
    daemon = couple.start_daemon()
    add_ends(daemon, "b1", "from-qemu", "from-us")
    for seed in range(3):
        couple.qemu_pair = Pair()
        with couple.start_qemu() as qemu:
            add_ends(qemu, "b0", "from-us", "from-qemu")
            daemon.wait_connected()
            theirs, ours = couple.qemu_pair.wire, couple.pair.wire
            wait_carries(theirs, ours)
            wait_carries(ours, theirs)
            check_carries(theirs, ours, seed, 200)
            check_carries(ours, theirs, seed, 200)
            # QEMU ends in the middle of something.
            theirs.send_bytes(encode([bytes(60000)] * 20)[:-1000])
        wait_until(lambda: all("disconnected" in each["filename"] for each
                               in daemon.execute("query-chardev")),
                   "QEMU to be gone")
        while not ours.is_silent():
            ours.receive_one()
        couple.qemu_pair.close()


def test_too_large_with_its_header(site: Site) -> None:
    """A frame that fits the wire, but not with a virtio-net header in front
    of it, is dropped and counted: QEMU would read nothing behind it."""
    couple = Couple(site)
    daemon = couple.start_daemon()
    with couple.start_qemu() as qemu:
        couple.add_filters(daemon, qemu, 12)
        theirs, ours = couple.qemu_pair.wire, couple.pair.wire
        frames: List[bytes] = [b"a" * 60, b"b" * LARGEST,
                               b"c" * (LARGEST - 11),
                               b"d" * (LARGEST - 12), b"e" * 60]
        ours.send(frames)
        got = [theirs.receive_one() for _ in range(3)]
        assert got == [bytes(12) + frame for frame in frames
                       if len(frame) + 12 <= LARGEST]
        daemon.wait_counters("b1-out", dropped_oversize=2, outdev=3)
