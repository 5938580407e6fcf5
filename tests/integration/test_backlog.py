# SPDX-License-Identifier: BSD-2-Clause
"""Frames are held while the virtual machine stands still, and released at
the pace of its TAP: none overflows the queue, neither of those that were
held nor of those that the network delivers meanwhile."""

import threading
from typing import List

import pytest

from lib.frames import numbered_range
from lib.site import Site
from lib.switchover import TAP, Destination, Switchover
from lib.waiting import wait_until
from lib.wire import Peer, encode

# Live frames are told from others by their numbers.
LIVE = 1000000


def start(site: Site, properties: str = "", **options: int) -> Destination:
    """A destination that listens for a peer."""
    end = Destination(site, **options)
    end.serve()
    end.start(f"socket,path={site.path('wire')},server=on,wait=off",
              properties)
    return end


def hold(end: Destination, peer: Peer, count: int) -> None:
    """Have it hold so many frames."""
    peer.send(numbered_range(0, count))
    end.daemon.wait_counters(held=count)


@pytest.mark.parametrize("txqueuelen, count",
                         [(1000, 5000), (50, 2000), (50, 60), (1, 30)])
def test_released_in_order(site: Site, txqueuelen: int, count: int) -> None:
    """A backlog larger than the TAP's queue arrives whole and in order."""
    end = start(site, txqueuelen=txqueuelen)
    hold(end, site.peer("wire"), count)
    before = end.tx_dropped()
    end.resume()
    end.vmm.wait_count(count)
    assert end.vmm.numbers() == list(range(count))
    end.daemon.wait_counters(held=0, out_netdev=count, dropped_inject=0)
    assert end.tx_dropped() == before


@pytest.mark.parametrize("txqueuelen, count", [(1000, 5000), (50, 60)])
def test_guest_that_does_not_read(site: Site, txqueuelen: int,
                                  count: int) -> None:
    """While the guest takes nothing out of its TAP, room is left there for
    what the network delivers."""
    end = start(site, txqueuelen=txqueuelen)
    hold(end, site.peer("wire"), count)
    before = end.tx_dropped()
    end.vmm.set_status("running")
    end.vmm.emit("RESUME")
    end.daemon.wait_log("releasing")
    live = numbered_range(LIVE, LIVE + txqueuelen // 4)
    end.host.sender(TAP).send(live)
    end.vmm.read()
    end.vmm.wait_count(count + len(live))
    numbers = end.vmm.numbers()
    assert [n for n in numbers if n < LIVE] == list(range(count))
    assert [n - LIVE for n in numbers if n >= LIVE] == \
        list(range(len(live)))
    assert end.tx_dropped() == before


@pytest.mark.parametrize("txqueuelen, count", [(1000, 5000), (50, 2000)])
def test_live_frames_during_the_release(site: Site, txqueuelen: int,
                                        count: int) -> None:
    """What the network delivers while the backlog is released is neither
    lost nor reordered."""
    end = start(site, txqueuelen=txqueuelen)
    hold(end, site.peer("wire"), count)
    before = end.tx_dropped()
    sender = end.host.sender(TAP)
    over = threading.Event()
    sent: List[int] = []

    def send() -> None:
        while not over.wait(0.0005) and len(sent) < 5000:
            sender.send(numbered_range(LIVE + len(sent),
                                       LIVE + len(sent) + 1))
            sent.append(LIVE + len(sent))

    live = threading.Thread(target=send)
    end.resume()
    live.start()
    end.daemon.wait_counters(held=0)
    over.set()
    live.join()
    end.vmm.wait_count(count + len(sent))
    numbers = end.vmm.numbers()
    assert [n for n in numbers if n < LIVE] == list(range(count))
    assert [n for n in numbers if n >= LIVE] == sent
    assert end.tx_dropped() == before


def test_late_frames_come_behind_the_backlog(site: Site) -> None:
    """A frame that arrives during the release does not overtake."""
    end = start(site, txqueuelen=50)
    peer = site.peer("wire")
    hold(end, peer, 1000)
    end.resume()
    peer.send(numbered_range(1000, 3000))
    end.vmm.wait_count(3000)
    assert end.vmm.numbers() == list(range(3000))


@pytest.mark.parametrize("txqueuelen", [1000, 50])
def test_whole_way(site: Site, txqueuelen: int) -> None:
    """From one host to the other: what overflowed the source's queue and
    would overflow the destination's."""
    pair = Switchover(site, txqueuelen=txqueuelen).start()
    pair.source.calibrate()
    before = pair.destination.tx_dropped()
    pair.stop_source()
    first = pair.source.next
    pair.source.send(5000)
    pair.wait_arrived()
    pair.resume_destination()
    pair.destination.vmm.wait_count(5000)
    assert pair.destination.vmm.numbers() == list(range(first, first + 5000))
    assert pair.destination.tx_dropped() == before
    assert pair.source.tx_dropped() > 0


def test_full_hold_stops_reading(site: Site) -> None:
    """What does not fit into the hold stays with the sender, and nothing
    is lost."""
    count, size, hold_size = 6000, 1000, 100000
    end = start(site, f"hold-size={hold_size}")
    peer = site.peer("wire")
    message = encode(numbered_range(0, count, size))
    sent = peer.send_some(message)
    counters = end.daemon.counters()
    while (more := peer.send_some(message[sent:])) or \
            end.daemon.counters() != counters:
        sent += more
        counters = end.daemon.counters()
    assert sent < len(message)
    # A batch more may have been read when the limit was reached.
    assert counters["held"] * size <= hold_size + 64 * size
    assert counters["indev"] == counters["held"]

    end.resume()
    peer.send_bytes(message[sent:])
    end.vmm.wait_count(count)
    assert end.vmm.numbers() == list(range(count))
    end.daemon.wait_counters(indev=count, out_netdev=count, held=0)


def test_enabled_when_stopped(site: Site) -> None:
    """With enable_when_stopped nothing is held: the TAP's queue takes what
    fits, the rest waits for the guest."""
    end = start(site, "enable_when_stopped=on", txqueuelen=20)
    peer = site.peer("wire")
    before = end.tx_dropped()
    peer.send(numbered_range(0, 5))
    end.daemon.wait_counters(out_netdev=5, held=0)
    peer.send(numbered_range(5, 100))
    end.daemon.wait_counters(indev=100)
    end.resume()
    end.vmm.wait_count(100)
    assert end.vmm.numbers() == list(range(100))
    assert end.tx_dropped() == before


def test_enabled_while_it_holds(site: Site) -> None:
    """enable_when_stopped set by qom-set lets go what is held; taken back,
    later frames are held again."""
    end = start(site)
    peer = site.peer("wire")
    hold(end, peer, 30)
    for value, last in ((True, 40), (False, 50)):
        end.daemon.execute("qom-set", path="/objects/rd0",
                           property="enable_when_stopped", value=value)
        peer.send(numbered_range(last - 10, last))
        end.daemon.wait_counters(indev=last, out_netdev=40,
                                 held=last - 40)
    end.resume()
    end.vmm.wait_count(50)
    assert end.vmm.numbers() == list(range(50))


def test_shut_down(site: Site) -> None:
    """The machine never ran: what was held for it is discarded."""
    end = start(site)
    peer = site.peer("wire")
    hold(end, peer, 30)
    end.vmm.emit("SHUTDOWN", {"guest": True, "reason": "guest-shutdown"})
    end.daemon.wait_counters(held=0, discarded=30)
    end.daemon.wait_log("discarded")
    # So is what was still on its way, until a machine is heard of again.
    peer.send(numbered_range(30, 40))
    end.daemon.wait_counters(held=0, discarded=40)
    assert end.vmm.count() == 0
    end.resume()
    wait_until(lambda: end.daemon.execute("qom-get", path="/objects/vm0",
                                          property="state") == "running",
               "the daemon to hear of the machine")
    peer.send(numbered_range(40, 45))
    end.vmm.wait_count(5)
    assert end.vmm.numbers() == list(range(40, 45))


def test_stopped_again(site: Site) -> None:
    """Frames that come while the machine is paused later are held too."""
    end = start(site)
    peer = site.peer("wire")
    hold(end, peer, 10)
    end.resume()
    end.daemon.wait_counters(out_netdev=10)
    end.vmm.wait_count(10)
    end.vmm.stop()
    wait_until(lambda: "stop-us" in
               end.daemon.execute("query-switchover")[0],
               "the daemon to hear of the stop")
    peer.send(numbered_range(10, 20))
    end.daemon.wait_counters(indev=20, held=10, out_netdev=10)
    end.resume()
    end.vmm.wait_count(20)
    assert end.vmm.numbers() == list(range(20))
