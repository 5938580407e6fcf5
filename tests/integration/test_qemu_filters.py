# SPDX-License-Identifier: BSD-2-Clause
"""Our filters and QEMU's at the two ends of one connection.

    test ── b0 (QEMU) ─► redirector ═ chardevs ═► redirector ─► b1 ── test
    test ── b1 ─► redirector or mirror ═ chardevs ═► redirector ─► b0 ── test

Each end has one redirector for each way.  A thousand frames of 1 byte up to
what the connection takes go each way.  QEMU's mirror needs a guest:
test_qemu_guest.py.
"""

import struct
from typing import Any, Dict, List

import pytest

from lib.daemon import Daemon
from lib.packet_set import LARGEST, check_carries
from lib.program import Program
from lib.qemu import Qemu, needs_qemu, nic
from lib.site import Site
from lib.waiting import wait_until
from lib.wire import Pair, encode, wait_carries

pytestmark = needs_qemu

# Ours sends this one; a socket netdev of QEMU's has none, so it comes out
# there in front of the frame.
HEADER = bytes(12)


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

    def add_filters(self, daemon: Daemon, qemu: Qemu, vnet: bool = False,
                    ours: str = "redirector") -> None:
        """A way there and a way back."""
        add_ends(qemu, "b0", "from-us", "from-qemu", vnet, "redirector")
        add_ends(daemon, "b1", "from-qemu", "from-us", vnet, ours)
        daemon.wait_connected()


def add_ends(program: Program, netdev: str, indev: str, outdev: str,
             vnet: bool, kind: str) -> None:
    """What comes from the network goes to outdev, what comes from indev to
    the network."""
    program.add("filter-redirector", f"{netdev}-in", netdev=netdev,
                queue="rx", indev=indev, vnet_hdr_support=vnet)
    program.add(f"filter-{kind}", f"{netdev}-out", netdev=netdev, queue="tx",
                outdev=outdev, vnet_hdr_support=vnet)


@pytest.mark.parametrize("address, we_listen", [
    ("unix", True), ("unix", False), ("inet", True), ("inet", False)])
@pytest.mark.parametrize("vnet", [False, True], ids=["plain", "vnet"])
@pytest.mark.parametrize("kind", ["redirector", "mirror"])
def test_both_ways(site: Site, address: str, we_listen: bool, vnet: bool,
                   kind: str) -> None:
    """QEMU's redirector to ours, and our redirector or mirror to QEMU's."""
    couple = Couple(site, we_listen, address)

    def check(daemon: Daemon, qemu: Qemu) -> None:
        couple.add_filters(daemon, qemu, vnet, kind)
        theirs, ours = couple.qemu_pair.wire, couple.pair.wire
        wait_carries(theirs, ours)
        check_carries(theirs, ours, 1)
        check_carries(ours, theirs, 2,
                      largest=LARGEST - len(HEADER) * vnet,
                      leaves=lambda frame: HEADER * vnet + frame)
        counters = daemon.counters("b1-out")
        assert sum(value for name, value in counters.items()
                   if name.startswith("dropped-")
                   and name != "dropped-disconnected") == 0, counters

    if we_listen:
        daemon = couple.start_daemon()
        with couple.start_qemu() as qemu:
            check(daemon, qemu)
    else:
        with couple.start_qemu() as qemu:
            check(couple.start_daemon(), qemu)


def test_vnet_flag_on_one_side(site: Site) -> None:
    """Ends that do not agree about vnet_hdr_support: whatever QEMU sends,
    ours says so, counts it, lives, and understands the next peer."""
    couple = Couple(site)
    daemon = couple.start_daemon()
    with couple.start_qemu() as qemu:
        add_ends(qemu, "b0", "from-us", "from-qemu", False, "redirector")
        add_ends(daemon, "b1", "from-qemu", "from-us", True, "redirector")
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
    add_ends(daemon, "b1", "from-qemu", "from-us", False, "redirector")
    for seed in range(3):
        couple.qemu_pair = Pair()
        with couple.start_qemu() as qemu:
            add_ends(qemu, "b0", "from-us", "from-qemu", False, "redirector")
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
        couple.add_filters(daemon, qemu, vnet=True)
        theirs, ours = couple.qemu_pair.wire, couple.pair.wire
        frames: List[bytes] = [b"a" * 60, b"b" * LARGEST,
                               b"c" * (LARGEST - 11),
                               b"d" * (LARGEST - 12), b"e" * 60]
        ours.send(frames)
        got = [theirs.receive_one() for _ in range(3)]
        assert got == [HEADER + frame for frame in frames
                       if len(frame) + 12 <= LARGEST]
        daemon.wait_counters("b1-out", dropped_oversize=2, outdev=3)
