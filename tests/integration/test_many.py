# SPDX-License-Identifier: BSD-2-Clause
"""Fifty virtual machines move at the same time, through one daemon on each
host, under traffic, while others ask the daemons for this and that."""

import threading
import time
from typing import Any, Dict, Iterator, List

import pytest

from blackout.actors import DESTINATION, SOURCE, Vmm
from lib.daemon import Daemon, packets_of
from lib.frames import number_of, numbered
from lib.hosts import Host, Sender
from lib.program import Monitor
from lib.site import Site
from lib.waiting import wait_until

MACHINES = 50
RATE = 40  # frames a second for each
FRAMES_MAX = 4000  # made beforehand, the same for all
EACH = range(MACHINES)


class Traffic(threading.Thread):
    """Numbered frames to every machine, where it is or is taken to be."""

    def __init__(self, hosts: Dict[int, Host]) -> None:
        super().__init__(daemon=True)
        self._frames = [numbered(number) for number in range(FRAMES_MAX)]
        self._senders = {(mask, i): Sender(host, f"tap{i}")
                         for mask, host in hosts.items() for i in EACH}
        self._ended = threading.Event()
        self.where = [SOURCE] * MACHINES
        self.sent = [0] * MACHINES

    def run(self) -> None:
        """One for each in turn."""
        while not self._ended.is_set():
            for i in EACH:
                self._senders[self.where[i], i].send(
                    [self._frames[self.sent[i]]])
                self.sent[i] += 1
                time.sleep(1 / RATE / MACHINES)

    def close(self) -> None:
        """End it."""
        self._ended.set()
        self.join()
        for sender in self._senders.values():
            sender.close()


class Asker(threading.Thread):
    """Asks a daemon over a connection of its own, again and again."""

    def __init__(self, site: Site, daemon: Daemon) -> None:
        super().__init__(daemon=True)
        self._monitor = Monitor(site.directory / f"{daemon.name}.qmp")
        self._ended = threading.Event()
        self.answers: List[float] = []  # when
        self.slowest = 0.0  # how long it took
        self.error = ""

    def run(self) -> None:
        """Statistics and the state, in turn."""
        try:
            while not self._ended.wait(0.02):
                begin = time.monotonic()
                entries = self._monitor.execute("query-netfilter-stats")
                assert len(entries) == MACHINES
                self._monitor.execute("query-status")
                self.answers.append(time.monotonic())
                self.slowest = max(self.slowest, self.answers[-1] - begin)
        except AssertionError as error:
            self.error = str(error)

    def events(self) -> List[Dict[str, Any]]:
        """The data of all events SWITCHOVER."""
        return [event.data for event in self._monitor.events("SWITCHOVER")]

    def close(self) -> None:
        """End it."""
        self._ended.set()
        self.join()
        self._monitor.close()


class Side:
    """A host with its machines and its daemon."""

    def __init__(self, site: Site, name: str, status: str) -> None:
        self.host = site.host()
        self._site = site
        self._name = name
        self.vmms: List[Vmm] = []
        for i in EACH:
            self.host.add_tap(f"tap{i}")
            vmm = Vmm(self.host, f"tap{i}", site.directory, f"{name}{i}",
                      status=status)
            site.on_exit(vmm.close)
            self.vmms.append(vmm)
        self.host.set_up(*(f"tap{i}" for i in EACH))
        self.daemon: Daemon

    def start(self, chardev: str, redirector: str) -> None:
        """Start the daemon; the options of each machine's link and filter,
        in which # stands for its number."""
        options: List[str] = []
        for i, vmm in enumerate(self.vmms):
            options += [
                "-object", f"vm-qmp,id=vm{i},addr=unix:{vmm.monitor}",
                "-netdev", f"tap,id=n{i},ifname=tap{i},vm=vm{i}",
                "-chardev", "socket,id=link#,path="
                f"{self._site.path('wire#')},{chardev}".replace("#", str(i)),
                "-object", f"filter-redirector,id=rd#,netdev=n#,{redirector}"
                .replace("#", str(i))]
        self.daemon = self._site.daemon(self.host, self._name, *options)

    def stats(self) -> List[Dict[str, int]]:
        """Every redirector's counters, each ledger in balance."""
        return [packets_of(entry) for entry in self.daemon.entries()]


@pytest.fixture(name="sides")
def fixture_sides(site: Site) -> Iterator[List[Side]]:
    """Both hosts, connected, and every machine running at the source."""
    source = Side(site, "source", "running")
    destination = Side(site, "destination", "inmigrate")
    destination.start("server=on,wait=off", "indev=link#,out_netdev=n#")
    source.start("reconnect-ms=50", "in_netdev=n#,outdev=link#,"
                 "capture=undelivered,arm=always")
    for side in (source, destination):
        side.daemon.wait_connected()
        side.daemon.wait_log("the VM is", MACHINES)
    source.daemon.wait_log("reads what the guest got", MACHINES)
    for vmm in source.vmms:
        vmm.call("run", 1)
    yield [source, destination]


def switch_over(source: Side, destination: Side, traffic: Traffic) -> None:
    """All of them stop, then all of them resume; most swallow some frames,
    and the network learns late where it is."""
    for i, vmm in enumerate(source.vmms):
        vmm.migration("setup", "active", "device")
        vmm.call("stop", 0, i % 2, i % 3)
    for i, vmm in enumerate(destination.vmms):
        vmm.call("resume")
        source.vmms[i].migration("completed")
    time.sleep(0.1)
    traffic.where[:] = [DESTINATION] * MACHINES


def test_all_at_once(site: Site, sides: List[Side]) -> None:
    """None loses a frame or gets one twice, all books balance, and the
    daemons answer all the while."""
    source, destination = sides
    askers = [Asker(site, side.daemon) for side in sides]
    traffic = Traffic({SOURCE: source.host, DESTINATION: destination.host})
    for each in (*askers, traffic):
        each.start()
        site.on_exit(each.close)
    for i in EACH:
        source.daemon.wait_exact(f"rd{i}")
    begin = time.monotonic()
    switch_over(source, destination, traffic)
    end = time.monotonic()
    time.sleep(0.5)
    traffic.close()
    print(f"switched over in {end - begin:.2f} s, {sum(traffic.sent)} frames, "
          f"slowest answers {[round(each.slowest, 2) for each in askers]} s")

    def got(i: int) -> int:
        return source.vmms[i].count() + destination.vmms[i].count()

    wait_until(lambda: all(got(i) >= traffic.sent[i] for i in EACH),
               lambda: "frames at " + ", ".join(
                   f"{i}: {got(i)} of {traffic.sent[i]}" for i in EACH
                   if got(i) < traffic.sent[i]))
    for i in EACH:
        numbers = [number_of(frame.data) for side in sides
                   for frame in side.vmms[i].got()]
        assert sorted(numbers) == list(range(traffic.sent[i])), i
    for each, shipped in zip(destination.stats(), source.stats()):
        assert each["indev"] == shipped["outdev"] > 0
        assert each["out_netdev"] == each["indev"]
    for asker, phases in zip(askers, (("shipping",),
                                      ("holding", "releasing", "passing"))):
        asker.close()
        assert not asker.error
        assert any(begin < at < end + 0.5 for at in asker.answers)
        assert {(f"rd{i}", phase) for i in EACH for phase in phases} <= {
            (event["name"], event["phase"]) for event in asker.events()}
