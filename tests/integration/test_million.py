# SPDX-License-Identifier: BSD-2-Clause
"""Backlogs that are larger than all queues and the hold: no frame of them
is lost in the TAP's queue, whatever its length and the guest's speed."""

import threading
from typing import List

import pytest

from blackout.actors import Vmm
from lib.daemon import Daemon
from lib.frames import ETHERTYPE, GUEST_MAC
from lib.site import Site
from lib.waiting import wait_until

TAP = "tap0"
SIZE = 60
LIVE = b"\x02\x01"  # begins the source address of what the network delivers
PATIENCE = 120.0


def frame(number: int, prefix: bytes = b"\x02\x00") -> bytes:
    """A small frame with a number."""
    return (GUEST_MAC + prefix + number.to_bytes(4, "big") +
            ETHERTYPE.to_bytes(2, "big")).ljust(SIZE, b"\0")


class Destination:
    """A destination with a VMM that is fast enough."""

    def __init__(self, site: Site, txqueuelen: int, queues: int = 1,
                 properties: str = "") -> None:
        self._site = site
        self.host = site.host()
        self.host.add_tap(TAP, txqueuelen, multi_queue=queues > 1)
        self.vmm = Vmm(self.host, TAP, site.directory, "destination",
                       queues=queues, status="inmigrate")
        site.on_exit(self.vmm.close)
        self.host.set_up(TAP)
        self.daemon: Daemon = site.daemon(
            self.host, "destination", "-object",
            f"vm-qmp,id=vm0,addr=unix:{self.vmm.monitor}",
            "-netdev", f"tap,id=n0,ifname={TAP},vm=vm0", "-chardev",
            f"socket,id=in0,path={site.path('wire')},server=on,wait=off",
            "-object", "filter-redirector,id=rd0,netdev=n0,indev=in0,"
            f"out_netdev=n0{properties}")
        self.daemon.wait_log("the VM is stopped")
        self.vmm.migration("active")
        if "off" not in properties and queues == 1:
            self.daemon.wait_log("txqueuelen is raised")
        self.dropped = self.host.tx_dropped(TAP)

    def feed(self, count: int) -> threading.Thread:
        """Send it so many frames over the link, as it takes them; returns
        when it holds what it can."""
        peer = self._site.peer("wire")
        peer.socket.settimeout(PATIENCE)

        def send() -> None:
            for first in range(0, count, 1000):
                peer.send_bytes(b"".join(
                    SIZE.to_bytes(4, "big") + frame(number) for number in
                    range(first, min(first + 1000, count))))

        thread = threading.Thread(target=send)
        thread.start()
        seen: List[int] = []

        def held() -> bool:
            seen.append(self.daemon.counter("rd0", "held"))
            return seen[-1] == count or \
                seen[-1] > 0 and seen[-8:] == [seen[-1]] * 8

        wait_until(held, "the hold to be full", PATIENCE)
        return thread

    def check(self, feeder: threading.Thread, count: int,
              live: int = 0) -> None:
        """The guest got all of it, in order, and nothing was dropped."""
        wait_until(lambda: self.vmm.count() >= count + live,
                   lambda: f"{count + live} frames at the guest, which has "
                   f"{self.vmm.count()}", PATIENCE)
        feeder.join()
        got = [each.data for each in self.vmm.got()]
        assert [int.from_bytes(data[8:12], "big") for data in got
                if data[6:8] != LIVE] == list(range(count))
        assert [int.from_bytes(data[8:12], "big") for data in got
                if data[6:8] == LIVE] == list(range(live))
        assert self.host.tx_dropped(TAP) == self.dropped
        self.daemon.wait_counters(indev=count, out_netdev=count, held=0)

    def wait_put_back(self, txqueuelen: int) -> None:
        """Wait until the TAP's queue is as it was."""
        wait_until(lambda: self.host.link(TAP)["txqlen"] == txqueuelen,
                   f"txqueuelen {txqueuelen}")


def test_a_million(site: Site) -> None:
    """More than the hold has room for: the rest waits with the sender until
    the guest takes it."""
    end = Destination(site, 1000)
    feeder = end.feed(1000000)
    assert end.daemon.counter("rd0", "held") < 1000000
    end.vmm.call("resume")
    end.check(feeder, 1000000)
    end.wait_put_back(1000)


@pytest.mark.parametrize("raised", ["on", "off"])
@pytest.mark.parametrize("txqueuelen, count", [
    (1000, 200000), (50, 100000), (10, 30000), (1, 5000)])
def test_tiny_queues(site: Site, txqueuelen: int, count: int, raised: str
                     ) -> None:
    """Whatever the TAP's queue holds, and whether or not it is raised."""
    end = Destination(site, txqueuelen, properties=f",raise-queue={raised}")
    feeder = end.feed(count)
    end.vmm.call("resume")
    end.check(feeder, count)
    end.wait_put_back(txqueuelen)


@pytest.mark.parametrize("txqueuelen", [1000, 50])
def test_slow_guest(site: Site, txqueuelen: int) -> None:
    """The guest takes 20,000 frames a second, and live ones come."""
    count, live = 40000, 200
    end = Destination(site, txqueuelen)
    feeder = end.feed(count)
    end.vmm.call("rate", 20000)
    end.vmm.call("resume")
    end.daemon.wait_log("releasing")
    sender = end.host.sender(TAP)
    for number in range(live):
        sender.send([frame(number, LIVE)])
        threading.Event().wait(0.002)
    end.check(feeder, count, live)
    end.wait_put_back(txqueuelen)


def test_queues(site: Site) -> None:
    """A TAP of four queues, whose length is left alone."""
    end = Destination(site, 100, queues=4)
    feeder = end.feed(20000)
    assert end.host.link(TAP)["txqlen"] == 100
    end.vmm.call("resume")
    end.check(feeder, 20000)
    assert end.host.link(TAP)["txqlen"] == 100
    assert "txqueuelen" not in end.daemon.log
