# SPDX-License-Identifier: BSD-2-Clause
"""Hosts: one network namespace each, with TAPs, bridges and veths in it."""

import contextlib
import fcntl
import json
import os
import socket
import struct
import subprocess
from pathlib import Path
from typing import Any, Dict, Iterable, Iterator, List, Optional

from lab.netns import entered

from .frames import Frame
from .waiting import wait_until

_TUNSETIFF = 0x400454CA
_TUNSETPERSIST = 0x400454CB
_IFF_TAP = 0x0002
_IFF_NO_PI = 0x1000
_IFF_MULTI_QUEUE = 0x0100
_ETH_P_NONE = 0
_SOL_PACKET = 263
_PACKET_VNET_HDR = 15
_PACKET_QDISC_BYPASS = 20
VNET_HDR_LEN = 10
VNET_HDR_NONE = bytes(VNET_HDR_LEN)


def run(*argv: str, stdin: Optional[str] = None) -> str:
    """Run a short command; what it says when it fails is the error."""
    done = subprocess.run(argv, input=stdin, text=True, check=False,
                          timeout=30, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT)
    if done.returncode:
        raise AssertionError(f"{' '.join(argv)}: {done.stdout.strip()}")
    return done.stdout


class Sender:
    """Sends frames into an interface as any other program would: through
    its queueing discipline, so that a full TAP loses them in silence."""

    def __init__(self, host: "Host", ifname: str, vnet: bool = False) -> None:
        self._vnet = vnet
        with host.entered():
            self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW,
                                         _ETH_P_NONE)
            if vnet:
                self._socket.setsockopt(_SOL_PACKET, _PACKET_VNET_HDR, 1)
            self._socket.bind((ifname, _ETH_P_NONE))

    def send(self, frames: Iterable[bytes]) -> None:
        """Send plain frames."""
        prefix = VNET_HDR_NONE if self._vnet else b""
        for frame in frames:
            self._socket.send(prefix + frame)

    def send_offloaded(self, frame: Frame) -> None:
        """Send a frame with its virtio-net header."""
        assert self._vnet and frame.vnet is not None
        self._socket.send(frame.vnet + frame.data)

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()


class Host:
    """A network namespace."""

    def __init__(self, name: str) -> None:
        self.name = name
        run("ip", "netns", "add", name)
        self._senders: Dict[Any, Sender] = {}
        with self.entered():
            # Only the tests' own frames are to travel.
            for which in ("all", "default"):
                path = f"/proc/sys/net/ipv6/conf/{which}/disable_ipv6"
                if os.path.exists(path):
                    with open(path, "w", encoding="ascii") as file:
                        file.write("1")
        self.ip("link set lo up")

    def close(self) -> None:
        """Remove the namespace and all that is in it."""
        for sender in self._senders.values():
            sender.close()
        for page in self.pages():
            page.unlink()  # of daemons that were killed
        run("ip", "netns", "del", self.name)

    @contextlib.contextmanager
    def entered(self) -> Iterator[None]:
        """The calling thread is on this host: what it opens or starts
        belongs here."""
        with entered(self.name):
            yield

    def pages(self) -> List[Path]:
        """What daemons of this host keep for those that follow them."""
        with self.entered():
            space = Path("/proc/thread-self/ns/net").stat().st_ino
        return list(Path("/dev/shm").glob(f"tapferry-{space}-*"))

    def ip(self, *commands: str) -> None:
        """Run commands of ip(8), all of them in one go."""
        run("ip", "-n", self.name, "-batch", "-", stdin="\n".join(commands))

    def enable_ipv6(self, ifname: str) -> None:
        """Let one interface speak IPv6."""
        with self.entered(), open(
                f"/proc/sys/net/ipv6/conf/{ifname}/disable_ipv6", "w",
                encoding="ascii") as file:
            file.write("0")

    def link(self, ifname: str) -> Dict[str, Any]:
        """What ip(8) says about an interface."""
        text = run("ip", "-n", self.name, "-j", "-s", "link", "show", ifname)
        entry: Dict[str, Any] = json.loads(text)[0]
        return entry

    def wait_listening(self, address: str) -> None:
        """Wait until somebody listens at a socket address with this in it."""
        def listening() -> bool:
            with self.entered():
                lines = run("ss", "-Hlntx").splitlines()
            return any(address in word for line in lines
                       for word in line.split())

        wait_until(listening, f"somebody to listen at {address}")

    def tx_dropped(self, ifname: str) -> int:
        """How many frames found the interface's queue full."""
        dropped: int = self.link(ifname)["stats64"]["tx"]["dropped"]
        return dropped

    def tx_packets(self, ifname: str) -> int:
        """How many frames were taken out of the interface's queue."""
        packets: int = self.link(ifname)["stats64"]["tx"]["packets"]
        return packets

    def add_tap(self, ifname: str, txqueuelen: int = 1000,
                multi_queue: bool = False) -> None:
        """Make a TAP that outlives whoever opens it."""
        request = struct.pack("16sH22x", ifname.encode(),
                              _IFF_TAP | _IFF_NO_PI |
                              (_IFF_MULTI_QUEUE if multi_queue else 0))
        with self.entered():
            fd = os.open("/dev/net/tun", os.O_RDWR | os.O_CLOEXEC)
            try:
                fcntl.ioctl(fd, _TUNSETIFF, request)
                fcntl.ioctl(fd, _TUNSETPERSIST, 1)
            finally:
                os.close(fd)
        self.ip(f"link set {ifname} txqueuelen {txqueuelen}")

    def set_up(self, *ifnames: str) -> None:
        """Set TAPs up and wait until frames pass into them; somebody must
        have opened them."""
        self.ip(*(f"link set {ifname} up" for ifname in ifnames))
        for ifname in ifnames:
            self.wait_passing(ifname)

    def wait_passing(self, ifname: str) -> None:
        """Wait until an interface has a carrier and takes frames."""
        def passing() -> bool:
            link = self.link(ifname)
            return ("LOWER_UP" in link["flags"] and
                    link.get("qdisc") != "noop")

        wait_until(passing, f"{ifname} on {self.name} to pass frames")

    def sender(self, ifname: str, vnet: bool = False) -> Sender:
        """A sender on an interface, the same for all who ask.  It ends
        with the interface: after that drop_sender()."""
        key = (ifname, vnet)
        if key not in self._senders:
            self._senders[key] = Sender(self, ifname, vnet)
        return self._senders[key]

    def send_to_driver(self, ifname: str, frames: Iterable[bytes]) -> None:
        """Send plain frames as a program does that bypasses queueing: the
        driver sees, and counts, also what comes while nobody has the TAP
        open; none of it arrives then."""
        with self.entered(), socket.socket(
                socket.AF_PACKET, socket.SOCK_RAW, _ETH_P_NONE) as sender:
            sender.setsockopt(_SOL_PACKET, _PACKET_QDISC_BYPASS, 1)
            sender.bind((ifname, _ETH_P_NONE))
            for frame in frames:
                with contextlib.suppress(OSError):
                    sender.send(frame)

    def drop_senders(self) -> None:
        """Forget the senders, whose interface is another one now."""
        for sender in self._senders.values():
            sender.close()
        self._senders.clear()

    def add_bridge(self, bridge: str, *ports: str) -> None:
        """Make a bridge over interfaces that exist."""
        self.ip(f"link add {bridge} type bridge mcast_snooping 0",
                *(f"link set {port} master {bridge}" for port in ports),
                f"link set {bridge} up")


def connect(host: Host, ifname: str, other: Host, other_ifname: str) -> None:
    """Lay a cable between two hosts."""
    run("ip", "link", "add", ifname, "netns", host.name, "type", "veth",
        "peer", "name", other_ifname, "netns", other.name)
    for each, name in ((host, ifname), (other, other_ifname)):
        each.ip(f"link set {name} up")
