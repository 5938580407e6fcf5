# SPDX-License-Identifier: BSD-2-Clause
"""The stage of a blackout: two hosts with a TAP and a VMM each, the network
that sends to them, and two daemons with the link between them."""

import os
import time
from pathlib import Path
from typing import Dict, List, Optional

from lib.daemon import Counters, Daemon
from lib.hosts import Host, connect
from lib.relay import Relay
from lib.site import Site
from lib.waiting import wait_until

from .actors import TUN_F_CSUM, TUN_F_TSO4, Network, Vmm, program
from .mix import Prepared, prepare
from .scenario import Scenario

TAP = "tap0"
PORT = 7700
ADDRESSES = "10.99.0.1", "10.99.0.2"
# Of the daemons; a little less than those of VMM and network.
PRIORITY = -8
LINK_FAULTS = {"link-cut", "link-stall"}


class End:
    """One of the two hosts."""

    def __init__(self, stage: "Stage", name: str, txqueuelen: int,
                 status: str) -> None:
        self.name = name
        self.host: Host = stage.site.host()
        self.txqueuelen = txqueuelen
        self.daemon: Optional[Daemon] = None
        self._stage = stage
        self.host.add_tap(TAP, txqueuelen,
                          multi_queue=stage.scenario.queues > 1)
        self.vmm: Vmm
        self.open_vmm(status)
        self.host.set_up(TAP)
        stage.site.on_exit(lambda: self.vmm.close())

    def open_vmm(self, status: str) -> None:
        """Start a VMM, the first one or another in the place of one that
        is gone."""
        scenario = self._stage.scenario
        self.vmm = Vmm(
            self.host, TAP, self._stage.site.directory, self.name,
            queues=scenario.queues, vnet=scenario.vnet,
            offloads=TUN_F_CSUM | TUN_F_TSO4 if scenario.vnet else 0,
            vhost=scenario.has("vhost"), status=status,
            virtio=not scenario.has("counters"))
        if scenario.has("incoming-swallow") and status == "inmigrate":
            self.vmm.call("incoming", 1)
        elif status == "inmigrate":
            self.vmm.call("incoming", 0)

    def counters(self) -> Counters:
        """What the redirector counts, its ledger in balance."""
        assert self.daemon is not None
        return self.daemon.counters()

    def netdev(self) -> List[str]:
        """The daemon's options for the VM and the TAP."""
        return ["-object", f"vm-qmp,id=vm0,addr=unix:{self.vmm.monitor}",
                "-netdev", f"tap,id=n0,ifname={TAP},vm=vm0"]


class Stage:
    """All of it, made from a scenario."""

    def __init__(self, site: Site, scenario: Scenario) -> None:
        self.site = site
        self.scenario = scenario
        frames_path = site.directory / "frames"
        self.frames: List[Prepared] = prepare(scenario, frames_path)
        self.source = End(self, "source", scenario.txqueuelen[0], "running")
        self.destination = End(self, "destination", scenario.txqueuelen[1],
                               "inmigrate")
        self.network = Network(frames_path, len(self.frames),
                               self.source.host, self.destination.host, TAP)
        site.on_exit(self.network.close)
        self.relay: Optional[Relay] = None
        self.lost_counters: Dict[str, Counters] = {}  # of daemons killed
        self.back_ns: Dict[str, int] = {}  # when another daemon was there
        self.quit_ns: Optional[int] = None  # when the source's VMM ended

    @property
    def ends(self) -> List[End]:
        """Source and destination."""
        return [self.source, self.destination]

    def start_daemons(self) -> None:
        """Start both daemons and wait until they have found each other and
        their VMs."""
        self._front = self._back = self._link()
        if self.scenario.faults & LINK_FAULTS:
            self._front = f"path={self.site.path('front')}"
            self._back = f"path={self.site.path('back')}"
            self.relay = Relay(Path(self.site.path("front")),
                               Path(self.site.path("back")))
            self.site.on_exit(self.relay.close)
        self.destination.daemon = self._start_destination()
        self.source.daemon = self._start_source()
        for end in self.ends:
            assert end.daemon is not None
            end.daemon.wait_connected()
            end.daemon.wait_log("the VM is")

    def _link(self) -> str:
        if self.scenario.transport == "unix":
            return f"path={self.site.path('wire')}"
        source, destination = self.source.host, self.destination.host
        connect(source, "mgmt0", destination, "mgmt0")
        source.ip(f"addr add {ADDRESSES[0]}/24 dev mgmt0")
        destination.ip(f"addr add {ADDRESSES[1]}/24 dev mgmt0")
        return f"host={ADDRESSES[1]},port={PORT}"

    @property
    def _vnet(self) -> str:
        return ",vnet_hdr_support=on" if self.scenario.has("vnet-link") \
            else ""

    def _start(self, end: End, *options: str) -> Daemon:
        # LeakSanitizer, if there is one, would trace, and the sandbox
        # forbids it.
        sanitizer = "detect_leaks=0"
        environment = []
        if self.scenario.has("jitter"):
            # AddressSanitizer does not mind who is preloaded before it.
            sanitizer += ":verify_asan_link_order=0"
            environment.append(f"LD_PRELOAD={program('jitter.so')}")
        daemon = self.site.daemon(
            end.host, end.name, "-sandbox", "on", *options,
            inside=["/usr/bin/env", f"ASAN_OPTIONS={sanitizer}",
                    *environment])
        os.setpriority(os.PRIO_PROCESS, daemon.pid, PRIORITY)
        return daemon

    def _start_source(self) -> Daemon:
        arm = "auto" if self.scenario.has("auto-arm") else "always"
        return self._start(
            self.source, *self.source.netdev(),
            "-chardev", f"socket,id=out0,{self._front},reconnect-ms=20",
            "-object", "filter-redirector,id=rd0,netdev=n0,in_netdev=n0,"
            f"outdev=out0,capture=undelivered,arm={arm},"
            f"acknowledge={self.scenario.acknowledge}{self._vnet}")

    def _start_destination(self) -> Daemon:
        return self._start(
            self.destination, *self.destination.netdev(),
            "-chardev", f"socket,id=in0,{self._back},server=on,wait=off",
            "-object", "filter-redirector,id=rd0,netdev=n0,indev=in0,"
            f"out_netdev=n0{self._vnet}")

    def kill_daemon(self, end: End) -> None:
        """kill -9 of a daemon."""
        assert end.daemon is not None
        self.lost_counters[end.name] = end.counters()
        end.daemon.kill()
        end.daemon = None

    def renew_daemon(self, end: End) -> None:
        """Another one in its place."""
        if end is self.source:
            end.daemon = self._start_source()
        else:
            end.daemon = self._start_destination()
        self.back_ns[end.name] = time.monotonic_ns()

    def look(self) -> None:
        """Both daemons live, and their ledgers balance."""
        for end in self.ends:
            if end.daemon is not None:
                end.daemon.check()

    def wait_quiet(self) -> None:
        """Nothing moves any more: all is where it will stay."""
        seen: List[object] = []

        def quiet() -> bool:
            state = [end.vmm.count() for end in self.ends]
            settled = True
            if self.source.daemon and self.destination.daemon:
                source = self.source.counters()
                target = self.destination.counters()
                state += [source["in_netdev"], target["indev"]]
                settled = source["queued"] == 0 and target["held"] == 0 and (
                    source["pending"] == 0 or self.scenario.completes)
            seen.append(state)
            return settled and len(seen) > 6 and \
                all(each == state for each in seen[-6:])

        try:
            wait_until(quiet, "", 15)
        except AssertionError as error:
            books = {end.name: {name: value
                                for name, value in end.counters().items()
                                if value} for end in self.ends if end.daemon}
            raise AssertionError(f"never settled: {books}") from error
