# SPDX-License-Identifier: BSD-2-Clause
"""Netdevs on threads of their own.  Meant for a build with ThreadSanitizer,
where any test can be run with TAPFERRY_TEST_IOTHREAD=1; these make the
threads and the control plane meet as often as they can."""

import contextlib
import itertools
import threading
from pathlib import Path
from typing import Dict, Iterator, List

import pytest

from lib.daemon import Daemon, QmpFailure
from lib.frames import numbered_range
from lib.site import Site
from lib.switchover import Switchover

THREADS = 3
ROUNDS = 25
UNTRACED = ("env", "ASAN_OPTIONS=detect_leaks=0")


def threads_of(daemon: Daemon) -> Dict[str, Path]:
    """The process's threads by name."""
    tasks = Path(f"/proc/{daemon.pid}/task").iterdir()
    return {(task / "comm").read_text().strip(): task for task in tasks}


def status_of(task: Path) -> Dict[str, str]:
    """What the kernel says of a thread."""
    lines = (task / "status").read_text().splitlines()
    return dict(line.split(":\t", 1) for line in lines if ":\t" in line)


class Flood:
    """Sends into TAPs, from a thread, until it is told to stop."""

    def __init__(self, site: Site, taps: List[str]) -> None:
        host = site.host()
        self._site, self.host, self.taps = site, host, taps
        for tap in taps:
            host.add_tap(tap)
        self.guests = site.vmm(host, *taps)
        for tap in taps:
            self.guests.read(ifname=tap)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        senders = [self.host.sender(tap) for tap in self.taps]
        for number in itertools.count():
            for sender in senders:
                with contextlib.suppress(OSError):  # it may be down
                    sender.send(numbered_range(20 * number, 20 * number + 20))
            if self._stop.wait(0.002):
                return

    def __enter__(self) -> "Flood":
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._stop.set()
        self._thread.join()


@pytest.fixture(name="on_iothread")
def fixture_on_iothread(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Both ends of a switchover are on iothreads."""
    monkeypatch.setenv("TAPFERRY_TEST_IOTHREAD", "1")
    yield


def make_netdevs(daemon: Daemon, taps: List[str]) -> None:
    """Each on a thread of its own, with a mirror to a peer."""
    for number, tap in enumerate(taps):
        daemon.execute("object-add", qom_type="iothread", id=f"io{number}")
        daemon.execute("netdev_add", type="tap", id=f"n{number}", ifname=tap,
                       iothread=f"io{number}")


def test_commands_under_traffic(site: Site, tmp_path: Path) -> None:
    """Filters come and go, are switched and asked, netdevs are removed and
    made again, while each thread has frames to handle."""
    taps = [f"tap{number}" for number in range(THREADS)]
    with Flood(site, taps) as flood:
        daemon = site.daemon(flood.host, "threads")
        make_netdevs(daemon, taps)
        for number in range(THREADS):
            daemon.add_chardev(f"c{number}", Path(site.path(f"c{number}")),
                               server=True)
            daemon.add("filter-mirror", f"m{number}", netdev=f"n{number}",
                       outdev=f"c{number}")
        peers = [site.peer(f"c{number}") for number in range(THREADS)]
        for peer in peers:
            peer.receive(1)
            peer.close()
        for turn in range(ROUNDS):
            netdev = f"n{turn % THREADS}"
            daemon.add("filter-buffer", "b0", netdev=netdev, interval=1000)
            daemon.add("filter-dump", "d0", netdev=netdev,
                       file=str(tmp_path / "dump.pcap"))
            daemon.set_status("d0", "off")
            daemon.set_status("d0", "on")
            daemon.set("d0", "bpf", "udp")
            daemon.entries()
            daemon.hmp("info network")
            daemon.hang_up()
            daemon.execute("object-del", id="b0")
            daemon.execute("object-del", id="d0")
        daemon.execute("netdev_del", id="n0")
        daemon.execute("object-del", id="io0")
        for number in range(1, THREADS):
            assert daemon.counters(f"m{number}")["packets-tx"] > 0


def test_capture_under_traffic(site: Site) -> None:
    """Machines stop and go on, the peers come and go, interfaces go down and
    up, and every ledger balances."""
    taps = [f"tap{number}" for number in range(THREADS)]
    with Flood(site, taps) as flood:
        daemon = site.daemon(flood.host, "threads")
        make_netdevs(daemon, taps)
        for number in range(THREADS):
            daemon.add_chardev(f"c{number}", Path(site.path(f"c{number}")),
                               server=True)
            daemon.add("filter-redirector", f"r{number}", netdev=f"n{number}",
                       in_netdev=f"n{number}", outdev=f"c{number}",
                       capture="undelivered")
        for turn in range(5):
            peer = site.peer(f"c{turn % THREADS}")
            daemon.execute("stop")
            daemon.entries()
            peer.receive(1)
            peer.close()
            daemon.execute("cont")
            flood.host.ip(f"link set {taps[turn % THREADS]} down",
                          f"link set {taps[turn % THREADS]} up")
            daemon.entries()
            daemon.execute("query-switchover")
    for number in range(THREADS):
        assert daemon.counters(f"r{number}")["outdev"] > 0


def test_switchover(site: Site, on_iothread: None) -> None:
    """The main thing, on a thread at either end."""
    pair = Switchover(site).start()
    for end in (pair.source, pair.destination):
        assert "IO test-io" in threads_of(end.daemon)
    pair.source.calibrate()
    pair.source.run(30)
    pair.source.vmm.read(False)
    first = pair.source.next
    pair.source.send(20)
    pair.source.vmm.swallow(3)
    pair.stop_source()
    pair.source.send(10)
    pair.source.daemon.wait_counters(outdev=30, delivered=first)
    pair.destination.daemon.wait_counters(held=30, out_netdev=0)
    pair.resume_destination()
    pair.source.send(5)
    pair.destination.vmm.wait_count(35)
    assert pair.destination.vmm.numbers() == list(range(first, first + 35))


def test_cancelled(site: Site, on_iothread: None) -> None:
    """The machine goes on where it was, on a thread."""
    pair = Switchover(site).start()
    pair.source.calibrate()
    pair.source.run(30)
    pair.source.vmm.read(False)
    pair.source.send(20)
    pair.stop_source()
    pair.source.send(10)
    pair.source.vmm.resume()
    pair.source.vmm.read()
    pair.source.vmm.wait_count(pair.source.next)
    assert pair.source.vmm.numbers() == list(range(pair.source.next))


def test_who_is_on_which(site: Site) -> None:
    """What can't work on two threads is refused; what goes back to nobody
    lets its thread go."""
    host = site.host()
    host.add_tap("tap0")
    host.add_tap("tap1")
    guests = site.vmm(host, "tap0", "tap1")
    guests.read(ifname="tap0")
    daemon = site.daemon(host, "threads")
    make_netdevs(daemon, ["tap0", "tap1"])
    daemon.add_chardev("c0", Path(site.path("c0")), server=True)
    thread, = [entry["thread-id"] for entry in
               daemon.execute("query-iothreads") if entry["id"] == "io1"]
    assert threads_of(daemon)["IO io1"].name == str(thread)

    for command, text in {
            "netdev_add dgram,id=d0,iothread=n0,peer=n1,local.type=inet,"
            "local.host=127.0.0.1,local.port=0": "the id of an iothread",
            "netdev_add tap,id=n2,ifname=tap0,peer=n0":
                "'n2' and 'n0' must be on the same iothread",
            "object_add filter-redirector,id=r0,netdev=n0,in_netdev=n1,"
            "outdev=c0": "'n0' and 'n1' must be on the same iothread",
            "object_del io0": "object 'io0' is in use"}.items():
        assert text in daemon.hmp(command), command

    daemon.add("filter-mirror", "m0", netdev="n1", outdev="c0")
    daemon.execute("netdev_del", id="n1")
    daemon.execute("object-del", id="io1")
    assert "IO io1" not in threads_of(daemon)
    daemon.add("filter-mirror", "m0", netdev="n0", outdev="c0")
    host.sender("tap0").send(numbered_range(0, 1))
    peer = site.peer("c0")
    daemon.wait_connected("c0")
    host.sender("tap0").send(numbered_range(1, 3))
    assert peer.receive(2) == numbered_range(1, 3)
    with pytest.raises(QmpFailure, match="same iothread"):
        daemon.execute("netdev_add", type="tap", id="n2", ifname="tap0",
                       peer="n0")


def test_threads_have_no_more_rights(site: Site) -> None:
    """Neither those from the start nor those made later can do what the
    process can't."""
    host = site.host()
    daemon = site.daemon(host, "confined", "-user", "nobody", "-sandbox",
                         "on", "-object", "iothread,id=first",
                         inside=UNTRACED)
    daemon.execute("object-add", qom_type="iothread", id="later")
    own = status_of(Path(f"/proc/{daemon.pid}"))
    assert own["Seccomp"] == "2"
    for name in ("IO first", "IO later"):
        status = status_of(threads_of(daemon)[name])
        for key in ("CapEff", "CapPrm", "CapInh", "CapBnd", "Seccomp",
                    "NoNewPrivs", "Uid", "Gid"):
            assert status[key] == own[key], f"{name}: {key}"
