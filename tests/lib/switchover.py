# SPDX-License-Identifier: BSD-2-Clause
"""A virtual machine's switchover: a source host and a destination host,
each with a TAP, a scripted VMM and a daemon, and frames sent to the guest.
"""

import functools
import time
from typing import Any, Callable, Dict, List, Optional

from .daemon import Daemon
from .frames import numbered_range
from .hosts import Host, connect
from .site import Site
from .vmm import Vmm
from .waiting import wait_until

TAP = "tap0"
PORT = 7700
SOURCE_ADDRESS, DESTINATION_ADDRESS = "10.99.0.1", "10.99.0.2"
# Samples of the used index that make the daemon trust it, and some more.
CALIBRATION_ROUNDS = 8
# Meanwhile the daemon sees that the TAP's queue is empty.
START_S = 0.1


class End:
    """What the two ends have in common."""

    def __init__(self, site: Site, name: str, txqueuelen: int = 1000,
                 **vmm_options: Any) -> None:
        self.site = site
        self.name = name
        self.host: Host = site.host()
        self._burst = min(500, txqueuelen // 2)
        self.vmm: Vmm = site.guest(self.host, TAP, txqueuelen, **vmm_options)
        self.daemon: Daemon
        # What the daemon is started through, such as setpriv(1).
        self.inside: List[str] = []
        # Options that make the run-state object vm0, if it is none that
        # follows the VMM's monitor.
        self.run_state: List[str] = []
        self.more: List[str] = []  # options of its daemon

    @property
    def monitor(self) -> str:
        """Where the VMM's monitor is."""
        return self.site.path(f"{self.name}.vm")

    def serve(self, events: bool = True, virtio: bool = True) -> None:
        """Open the VMM's monitor."""
        self.vmm.serve(self.site.directory / f"{self.name}.vm", events,
                       virtio)

    def netdev(self, follows_vm: bool = True) -> List[str]:
        """The daemon's options for the TAP."""
        run_state = self.run_state
        if follows_vm:
            run_state = ["-object", f"vm-qmp,id=vm0,addr=unix:{self.monitor}"]
        return [*self.more, *run_state, "-netdev", f"tap,id=n0,ifname={TAP}" +
                (",vm=vm0" if run_state else "")]

    def tx_dropped(self) -> int:
        """Frames that found the TAP's queue full."""
        return self.host.tx_dropped(TAP)


class Source(End):
    """The host that the virtual machine leaves."""

    def __init__(self, site: Site, **options: Any) -> None:
        super().__init__(site, "source", **options)
        self.next = 0  # number of the next frame to be sent
        self.unseen = 0  # frames sent while the daemon did not look

    def start(self, chardev: str, properties: str = "",
              follows_vm: bool = True, arm: str = "always") -> Daemon:
        """Start its daemon: what the guest does not get goes to a chardev
        (its options without an id).  ``arm`` holds unless the properties
        say otherwise."""
        if "arm=" not in properties:
            properties = f"{properties},arm={arm}".strip(",")
        self.daemon = self.site.daemon(
            self.host, self.name, *self.netdev(follows_vm),
            "-chardev", f"{chardev},id=out0", "-object",
            "filter-redirector,id=rd0,netdev=n0,in_netdev=n0,outdev=out0,"
            f"capture=undelivered,{properties}", inside=self.inside)
        time.sleep(START_S)
        return self.daemon

    def send(self, count: int, size: int = 64) -> None:
        """Send the next frames to the guest, not faster than the daemon
        sees them."""
        self._send(count, size, 500, self.wait_captured)

    def send_unseen(self, count: int) -> None:
        """Send the next frames while there is no daemon."""
        self._send(count, 64, count, lambda: None)
        self.unseen += count

    def _send(self, count: int, size: int, burst: int,
              wait: Callable[[], None]) -> None:
        end = self.next + count
        while self.next < end:
            first, self.next = self.next, min(end, self.next + burst)
            self.host.sender(TAP).send(
                numbered_range(first, self.next, size))
            if self.next < end:
                wait()

    def wait_captured(self) -> None:
        """Wait until the daemon has seen all that was sent."""
        self.daemon.wait_counters(in_netdev=self.next - self.unseen)

    def run(self, count: int, size: int = 64) -> None:
        """The guest runs and gets the next frames; the daemon knows that
        it got them."""
        self.vmm.read()
        self._send(count, size, self._burst,
                   lambda: self.vmm.wait_count(self.next))
        self.vmm.wait_count(self.next)
        self.daemon.wait_counters(delivered=self.next - self.unseen,
                                  pending=0)

    def run_unseen(self, count: int) -> None:
        """The guest gets the next frames and the daemon does not look."""
        before = self.daemon.counters()["in_netdev"]
        self.vmm.read()
        self._send(count, 64, self._burst,
                   lambda: self.vmm.wait_count(self.next))
        self.vmm.wait_count(self.next)
        self.unseen += count
        assert self.daemon.counters()["in_netdev"] == before

    def rest(self) -> None:
        """The daemon sees that the TAP's queue is empty, and stays so."""
        self.daemon.wait_counters(pending=0)
        time.sleep(0.5)

    def calibrate(self) -> None:
        """The daemon learns to tell what the guest got: by the used index,
        if that can be read.  Sends a few frames."""
        if "x-query-virtio" in self.vmm.commands():
            self.daemon.wait_log("reads what the guest got")
        for _ in range(CALIBRATION_ROUNDS):
            self.run(1)
        if "x-query-virtio" in self.vmm.commands():
            self.daemon.wait_exact()

    def wait_phase(self, phase: str, count: int = 1) -> None:
        """Wait until the redirector is in a phase, for the so-manieth
        time."""
        self.daemon.wait_phase(phase, count)


class Destination(End):
    """The host that the virtual machine comes to."""

    def __init__(self, site: Site, **options: Any) -> None:
        super().__init__(site, "destination", **options)
        self.vmm.set_status("inmigrate")

    def start(self, chardev: str, properties: str = "",
              follows_vm: bool = True) -> Daemon:
        """Start its daemon: what comes from a chardev goes to the guest,
        which does not run yet."""
        properties = properties and "," + properties
        self.daemon = self.site.daemon(
            self.host, self.name, *([] if follows_vm else ["-S"]),
            *self.netdev(follows_vm), "-chardev", f"{chardev},id=in0",
            "-object", "filter-redirector,id=rd0,netdev=n0,indev=in0,"
            f"out_netdev=n0{properties}", inside=self.inside)
        if follows_vm:
            self.daemon.wait_log("the VM is")
        return self.daemon

    def resume(self) -> None:
        """The virtual machine runs here now."""
        self.vmm.resume()

    def start_anew(self) -> None:
        """Another VMM waits for the virtual machine here, with a monitor of
        its own in the place of the last one's."""
        known = self.daemon.log.count("the VM is stopped")
        self.vmm.unserve()
        self.serve()
        self.daemon.wait_log("the VM is stopped", known + 1)


def join(source: Source, destination: Destination) -> None:
    """Put a network for the link between the two hosts."""
    connect(source.host, "mgmt0", destination.host, "mgmt0")
    source.host.ip(f"addr add {SOURCE_ADDRESS}/24 dev mgmt0")
    destination.host.ip(f"addr add {DESTINATION_ADDRESS}/24 dev mgmt0")


def check_move(source: Source, destination: Destination) -> None:
    """The virtual machine moves between two daemons that are connected, and
    its guest gets what it was sent from the stop on."""
    source.wait_phase("armed")
    source.calibrate()
    source.vmm.read(False)
    first = source.next
    source.send(20)
    source.vmm.stop()
    source.wait_phase("shipping")
    source.send(10)
    destination.daemon.wait_counters(held=30)
    destination.resume()
    destination.vmm.wait_count(30)
    assert destination.vmm.numbers() == list(range(first, first + 30))


class Switchover:
    """Both ends, connected; made in steps so that a test can do something
    in between.  Options beyond those named here are those of both TAPs, but
    for what the destination has of its own."""

    def __init__(self, site: Site, transport: str = "unix",
                 follows_vm: bool = True, virtio: bool = True,
                 destination: Optional[Dict[str, Any]] = None,
                 **options: Any) -> None:
        self.site = site
        self._transport = transport
        self._follows_vm = follows_vm
        self.source = Source(site, **options)
        self.destination = Destination(site,
                                       **{**options, **(destination or {})})
        if follows_vm:
            self.source.serve(virtio=virtio)
            self.destination.serve(virtio=virtio)

    @functools.cached_property
    def addresses(self) -> str:
        """Where the destination listens, as a chardev's options."""
        if self._transport == "unix":
            return f"path={self.site.path('wire')}"
        join(self.source, self.destination)
        return f"host={DESTINATION_ADDRESS},port={PORT}"

    def start(self, source: str = "", destination: str = "") -> "Switchover":
        """Start both daemons with these properties of their redirectors,
        and wait until they are connected."""
        self.start_destination(destination)
        self.start_source(source)
        self.wait_connected()
        return self

    def start_source(self, properties: str = "") -> None:
        """Start the source's daemon."""
        self.source.start(f"socket,{self.addresses},reconnect-ms=50",
                          properties, self._follows_vm)

    def start_destination(self, properties: str = "") -> None:
        """Start the destination's daemon."""
        self.destination.start(f"socket,{self.addresses},server=on,wait=off",
                               properties, self._follows_vm)

    def wait_connected(self) -> None:
        """Wait until the daemons have found each other."""
        for daemon in (self.source.daemon, self.destination.daemon):
            daemon.wait_connected()

    def wait_arrived(self) -> None:
        """Wait until all that was sent is shipped and has arrived."""
        self.source.wait_captured()
        self.wait_equal()

    def wait_equal(self) -> None:
        """Wait until all that was captured is shipped and has arrived."""
        source = self.source.daemon.wait_counters(queued=0)
        self.destination.daemon.wait_counters(indev=source["outdev"])

    def wait_last(self, frame: bytes) -> None:
        """Wait until this frame is the last that the guest got at the
        destination."""
        def arrived() -> bool:
            frames = self.destination.vmm.frames()
            return bool(frames) and frames[-1].data == frame

        wait_until(arrived, "the last frame")

    def stop_source(self) -> None:
        """The virtual machine stops at the source."""
        if self._follows_vm:
            self.source.vmm.stop()
        else:
            self.source.vmm.read(False)
            self.source.daemon.execute("stop")
        self.source.wait_phase("shipping")

    def resume_destination(self) -> None:
        """The virtual machine runs at the destination."""
        self.destination.vmm.resume()
        if not self._follows_vm:
            self.destination.daemon.execute("cont")
