# SPDX-License-Identifier: BSD-2-Clause
"""Flooding reaches both hosts: what the network delivers to the new TAP by
itself is not injected there a second time, and two identical frames stay
two."""

import time
from typing import List

import pytest

from lib.frames import numbered, numbered_range
from lib.site import Site
from lib.switchover import TAP, Destination
from lib.waiting import wait_until
from lib.wire import Peer

# By then the daemon has heard what became of the TAP.
HEARD_S = 0.1


def start(site: Site, properties: str = "", follows_vm: bool = True,
          **options: int) -> Destination:
    """A destination that listens for a peer."""
    end = Destination(site, **options)
    if follows_vm:
        end.serve()
    end.start(f"socket,path={site.path('wire')},server=on,wait=off",
              properties, follows_vm)
    return end


def flood(end: Destination, frames: List[bytes]) -> None:
    """The network delivers frames to the TAP."""
    end.host.sender(TAP).send(frames)


def send(end: Destination, peer: Peer, frames: List[bytes]) -> None:
    """Frames come over the link, and have come."""
    before = end.daemon.counters()["indev"]
    peer.send(frames)
    end.daemon.wait_counters(indev=before + len(frames))


@pytest.mark.parametrize("follows_vm", [True, False])
def test_flooded_while_stopped(site: Site, follows_vm: bool) -> None:
    """Each frame comes once, be it from the link, the network, or both."""
    end = start(site, follows_vm=follows_vm)
    peer = site.peer("wire")
    flood(end, numbered_range(0, 10))
    send(end, peer, numbered_range(0, 5) + numbered_range(20, 25))
    counters = end.daemon.counters()
    assert (counters["duplicate"], counters["held"]) == (5, 5)
    if follows_vm:
        end.resume()
    else:
        end.vmm.read()
        end.daemon.execute("cont")
    end.vmm.wait_count(15)
    assert end.vmm.numbers() == list(range(10)) + list(range(20, 25))


def test_flooded_while_running(site: Site) -> None:
    """Late frames, too; nobody is asked first."""
    end = start(site)
    end.resume()
    peer = site.peer("wire")
    send(end, peer, numbered_range(100, 101))
    flood(end, numbered_range(0, 5))
    send(end, peer, numbered_range(0, 5) + numbered_range(5, 7))
    end.vmm.wait_count(8)
    assert end.vmm.numbers() == [100] + list(range(7))
    end.daemon.wait_counters(duplicate=5, out_netdev=3)


def test_identical_frames_stay(site: Site) -> None:
    """It is a multiset: while frames that have no like are found at both
    hosts one delivery stands for one frame."""
    end = start(site)
    peer = site.peer("wire")
    flood(end, [numbered(0)] + [numbered(1)] * 2)
    send(end, peer, [numbered(0)] + [numbered(1)] * 3)
    assert end.daemon.counters()["duplicate"] == 3
    end.resume()
    end.vmm.wait_count(4)
    assert end.vmm.numbers() == [0, 1, 1, 1]


@pytest.mark.parametrize("runs", [False, True])
def test_identical_frames_that_are_not_flooded(site: Site, runs: bool) -> None:
    """The network has learned while some are under way: what it delivers is
    the like of those, and none of them."""
    end = start(site)
    if runs:
        end.resume()
    peer = site.peer("wire")
    flood(end, [numbered(0)])
    send(end, peer, [numbered(0), numbered(2), numbered(1), numbered(1)])
    flood(end, [numbered(3), numbered(1), numbered(1)])
    send(end, peer, [numbered(4), numbered(1), numbered(1)])
    assert end.daemon.counters()["duplicate"] == 1
    if not runs:
        end.resume()
    end.vmm.wait_count(10)
    assert sorted(end.vmm.numbers()) == [0, 1, 1, 1, 1, 1, 1, 2, 3, 4]


def test_full_queue_delivers_nothing(site: Site) -> None:
    """What found the TAP's queue full has to come over the link."""
    end = start(site, txqueuelen=10)
    peer = site.peer("wire")
    flood(end, numbered_range(0, 30))
    assert end.tx_dropped() >= 19
    send(end, peer, numbered_range(0, 30))
    end.resume()
    end.vmm.wait_count(30)
    assert sorted(end.vmm.numbers()) == list(range(30))


def test_dropped_while_nobody_had_it(site: Site) -> None:
    """What the TAP dropped while no VMM had it open says nothing of what the
    next one got."""
    end = start(site)
    end.resume()
    peer = site.peer("wire")
    send(end, peer, numbered_range(100, 101))
    end.vmm.wait_count(1)
    dropped = end.tx_dropped()
    end.vmm.close_tap()
    wait_until(lambda: "LOWER_UP" not in end.host.link(TAP)["flags"],
               "the TAP to lose its carrier")
    end.host.send_to_driver(TAP, numbered_range(200, 210))
    assert end.tx_dropped() >= dropped + 10
    end.vmm.open(TAP)
    end.host.wait_passing(TAP)
    end.vmm.read()
    time.sleep(HEARD_S)
    flood(end, numbered_range(0, 5))
    send(end, peer, numbered_range(0, 6))
    end.vmm.wait_count(6)
    assert end.vmm.numbers() == list(range(6))
    end.daemon.wait_counters(duplicate=5, out_netdev=2)


def test_swallowed_by_the_incoming_vmm(site: Site) -> None:
    """What the VMM reads before its guest runs, the guest never gets."""
    end = start(site)
    peer = site.peer("wire")
    flood(end, numbered_range(0, 5))
    end.vmm.swallow(1)
    send(end, peer, numbered_range(0, 5))
    assert end.daemon.counters()["duplicate"] == 4
    end.resume()
    end.vmm.wait_count(5)
    assert sorted(end.vmm.numbers()) == list(range(5))


def test_off(site: Site) -> None:
    """Without it both come."""
    end = start(site, "dedup=off")
    assert end.daemon.execute("qom-get", path="/objects/rd0",
                              property="dedup") is False
    peer = site.peer("wire")
    flood(end, numbered_range(0, 5))
    send(end, peer, numbered_range(0, 5))
    assert end.daemon.counters()["duplicate"] == 0
    end.resume()
    end.vmm.wait_count(10)
