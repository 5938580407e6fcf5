# SPDX-License-Identifier: BSD-2-Clause
"""The source's daemon is killed when its VM has stopped, and another one goes
on in its place: what lies in the TAP's queue is not lost, and what the last one
had shipped of it does not come twice."""

from pathlib import Path
from typing import Any, Dict, List

import pytest

from lib.frames import numbered, numbered_range
from lib.offloads import ALL_OFFLOADS
from lib.relay import Relay
from lib.site import Site
from lib.switchover import TAP, Switchover
from lib.waiting import wait_until


def link_of(end: Any) -> Dict[str, Any]:
    """What query-switchover tells of the link."""
    entry, = end.daemon.execute("query-switchover")
    return entry["link"]


class World(Switchover):
    """A switchover whose source's daemon may be killed, and whose link may be
    cut before."""

    def __init__(self, site: Site, acknowledge: str = "on",
                 **options: Any) -> None:
        super().__init__(site, **options)
        self._properties = f"acknowledge={acknowledge}"
        front, back = site.path("front"), site.path("back")
        self._front = f"path={front}"
        self.destination.start(f"socket,path={back},server=on,wait=off")
        self.relay = Relay(Path(front), Path(back))
        site.on_exit(self.relay.close)
        self.start_source()
        self.wait_connected()
        self.source.calibrate()
        self.first = self.source.next

    def start_source(self, properties: str = "") -> None:
        """Start its daemon, the first or another one."""
        self.source.start(f"socket,{self._front},reconnect-ms=20",
                          properties or self._properties)

    def stop_unshipped(self, count: int) -> None:
        """The virtual machine stops, and nothing that comes then is
        shipped."""
        self.relay.cut()
        self.stop_source()
        self.source.send(count)
        self.source.wait_captured()

    def stop_shipped(self, count: int) -> None:
        """The virtual machine stops, and all that comes then is shipped."""
        self.stop_source()
        self.source.send(count)
        self.wait_arrived()

    def kill(self, unseen: int = 0) -> None:
        """kill -9 of the source's daemon; so many frames come before there
        is another one."""
        self.source.daemon.kill()
        self.source.send_unseen(unseen)

    def renew(self, found: int) -> None:
        """Another one in its place, which finds so many."""
        self.start_source()
        self.source.daemon.wait_log(f"takes in {found} frames")
        self.source.daemon.wait_log("the VM stopped")

    def send(self, *frames: bytes) -> None:
        """These reach the old host."""
        self.source.host.sender(TAP).send(frames)

    def send_numbered(self, count: int) -> None:
        """So do the next ones, with another daemon."""
        first, self.source.next = self.source.next, self.source.next + count
        self.send(*numbered_range(first, self.source.next))

    def check(self, count: int, captured: int, twice: int) -> None:
        """The guest gets so many at the new host, each once and in order;
        the source has taken in so many, and so many of these are told to have
        been there."""
        self.source.daemon.wait_counters(in_netdev=captured, queued=0)
        self.destination.daemon.wait_counters(duplicate=twice)
        self.resume_destination()
        self.destination.vmm.wait_count(count)
        assert self.destination.vmm.numbers() == \
            list(range(self.first, self.first + count))
        self.destination.daemon.wait_counters(out_netdev=count, held=0)

    def wait_missing(self, expected: int) -> None:
        """Both ends say that so many were lost with sources before this
        one."""
        for end in (self.source, self.destination):
            wait_until(lambda e=end: link_of(e).get("missing") == expected,
                       lambda e=end: str(link_of(e)))

    def resume(self) -> List[int]:
        """The virtual machine goes on where it is, and gets some more: all
        that it got."""
        self.source.vmm.resume()
        self.source.wait_phase("armed", 2)
        self.send_numbered(10)
        self.source.vmm.wait_count(self.source.next)
        return self.source.vmm.numbers()


@pytest.mark.parametrize("acknowledge", ["auto", "on", "off"])
def test_nothing_was_shipped(site: Site, acknowledge: str) -> None:
    """All is in the queue."""
    pair = World(site, acknowledge)
    pair.stop_unshipped(100)
    pair.kill(50)
    pair.relay.restore()
    pair.renew(150)
    pair.send_numbered(30)
    pair.check(180, 180, 0)


@pytest.mark.parametrize("acknowledge", ["auto", "on"])
def test_half_was_shipped(site: Site, acknowledge: str) -> None:
    """What was comes once, whoever ships it, and however often."""
    pair = World(site, acknowledge)
    pair.stop_shipped(100)
    pair.kill(50)
    pair.renew(150)
    pair.send_numbered(30)
    pair.source.daemon.wait_counters(outdev=180)
    if acknowledge == "on":
        pair.wait_missing(0)
    pair.kill(20)
    pair.renew(200)
    pair.check(200, 200, 100 + 180)
    pair.wait_missing(0)


def test_no_room_while_nobody_looked(site: Site) -> None:
    """What found the queue full then is lost, and counted, at each time."""
    pair = World(site, txqueuelen=100)
    pair.stop_shipped(40)
    dropped = pair.source.tx_dropped()
    pair.kill(150)
    first = pair.source.tx_dropped() - dropped
    assert first >= 90
    pair.renew(190 - first)
    pair.wait_missing(first)
    pair.send_numbered(30)
    pair.destination.daemon.wait_counters(held=190 - first + 30)
    dropped = pair.source.tx_dropped()
    pair.kill(7)
    second = pair.source.tx_dropped() - dropped
    pair.start_source()
    pair.wait_missing(first + second)
    pair.resume_destination()
    pair.destination.vmm.wait_count(220 - first + 7 - second)


def test_swallowed_while_nobody_looked(site: Site) -> None:
    """So is what the VMM took, and nobody had shipped."""
    pair = World(site)
    pair.stop_shipped(0)
    pair.kill(20)
    pair.source.vmm.swallow(2)
    pair.renew(18)
    pair.wait_missing(2)
    pair.first += 2
    pair.check(18, 18, 0)


def test_the_last_one_took_its_leave(site: Site) -> None:
    """A daemon that is ended and started anew is no other case."""
    pair = World(site, txqueuelen=100)
    pair.stop_shipped(40)
    dropped = pair.source.tx_dropped()
    pair.source.daemon.stop()
    pair.source.send_unseen(150)
    dropped = pair.source.tx_dropped() - dropped
    pair.renew(190 - dropped)
    pair.wait_missing(dropped)
    assert link_of(pair.destination)["vanished"] == 0


def test_half_was_shipped_to_a_plain_peer(site: Site) -> None:
    """Nobody tells what was: it comes twice rather than never."""
    pair = World(site, "off")
    pair.stop_shipped(100)
    pair.kill(50)
    pair.renew(150)
    pair.source.daemon.wait_counters(outdev=150)
    pair.resume_destination()
    pair.destination.vmm.wait_count(250)


def test_all_was_injected(site: Site) -> None:
    """The virtual machine runs elsewhere already, and what is found at the
    old host it has got."""
    pair = World(site)
    pair.stop_shipped(100)
    pair.resume_destination()
    pair.destination.vmm.wait_count(100)
    pair.kill(50)
    pair.renew(150)
    pair.check(150, 150, 100)


def test_the_link_is_cut(site: Site) -> None:
    """Half of what was found is under way: it goes on where it was."""
    pair = World(site)
    pair.stop_shipped(100)
    pair.kill(50)
    pair.relay.stall()
    pair.renew(150)
    pair.relay.cut()
    pair.relay.stall(False)
    pair.relay.restore()
    pair.check(150, 150, 100)


def test_tags_and_headers(site: Site) -> None:
    """What is found is what was there, to the byte, and what is captured
    besides is not found."""
    pair = World(site, vnet=True, offloads=ALL_OFFLOADS)
    tagged = numbered(7, tag=bytes.fromhex("81000064"))
    pair.stop_unshipped(0)
    pair.send(tagged, numbered(8, 1514))
    pair.kill()
    pair.relay.restore()
    pair.renew(2)
    pair.send(numbered(9), tagged)
    pair.source.daemon.wait_counters(in_netdev=4, outdev=4)
    pair.resume_destination()
    pair.destination.vmm.wait_count(4)
    assert [frame.data for frame in pair.destination.vmm.frames()] == \
        [tagged, numbered(8, 1514), numbered(9), tagged]


def test_resumes(site: Site) -> None:
    """The guest gets all from its queue, and nothing twice."""
    pair = World(site)
    pair.stop_shipped(100)
    pair.kill(50)
    pair.renew(150)
    pair.send_numbered(30)
    pair.source.daemon.wait_counters(in_netdev=180, outdev=180)
    assert pair.resume() == list(range(pair.source.next))
    pair.destination.daemon.wait_counters(held=0, discarded=80 + 100)


def test_resumes_with_a_full_queue(site: Site) -> None:
    """What found no room while somebody looked is given back; what did
    while nobody did is lost."""
    pair = World(site, txqueuelen=100)
    pair.stop_shipped(40)
    pair.kill(50)
    pair.renew(90)
    pair.send_numbered(30)
    pair.source.daemon.wait_counters(in_netdev=120, outdev=120)
    dropped = pair.source.tx_dropped()
    assert dropped > 0
    assert sorted(pair.resume()) == list(range(pair.source.next))
    pair.kill(0)
    # Again, and now it is full before another one comes.
    pair.source.vmm.stop()
    dropped = pair.source.tx_dropped()
    pair.source.send_unseen(150)
    dropped = pair.source.tx_dropped() - dropped
    lost = pair.source.next - dropped
    pair.renew(150 - dropped)
    pair.send_numbered(30)
    pair.source.daemon.wait_counters(in_netdev=180 - dropped)
    pair.source.vmm.resume()
    pair.source.wait_phase("armed", 2)
    expected = [*range(lost), *range(lost + dropped, pair.source.next)]
    pair.source.vmm.wait_count(len(expected))
    assert sorted(pair.source.vmm.numbers()) == expected


def test_swallowed_since(site: Site) -> None:
    """The VMM takes one more, and keeps it."""
    pair = World(site)
    pair.stop_unshipped(20)
    pair.kill()
    pair.relay.restore()
    pair.renew(20)
    pair.source.vmm.swallow(1)
    pair.check(20, 20, 0)


def test_runs(site: Site) -> None:
    """Beside a VM that runs nothing is taken out of its TAP, even if its
    guest does not take it."""
    pair = World(site)
    pair.kill()
    pair.source.vmm.read(False)
    pair.source.send_unseen(20)
    before = pair.source.host.tx_packets(TAP)
    pair.start_source()
    pair.source.daemon.wait_log("the VM is running")
    pair.stop_source()
    assert pair.source.host.tx_packets(TAP) == before
    assert "takes in" not in pair.source.daemon.log


def test_incoming(site: Site) -> None:
    """So it is beside one that waits for a virtual machine to come: its queue
    is the destination's."""
    pair = World(site)
    pair.kill()
    pair.source.vmm.read(False)
    pair.source.vmm.set_status("inmigrate")
    pair.source.send_unseen(20)
    before = pair.source.host.tx_packets(TAP)
    pair.start_source()
    pair.source.daemon.wait_log("the VM stopped")
    assert pair.source.host.tx_packets(TAP) == before


def test_without_rights(site: Site) -> None:
    """Without the right to look into the VMM a line says what is lost."""
    pair = World(site)
    pair.stop_unshipped(20)
    pair.kill()
    pair.source.inside = ["setpriv", "--bounding-set", "-sys_ptrace",
                          "--inh-caps", "-sys_ptrace"]
    pair.relay.restore()
    pair.start_source()
    pair.source.daemon.wait_log("is lost if the VM moves now")
    pair.source.daemon.wait_log("the VM stopped")
    pair.first = pair.source.next
    pair.send_numbered(30)
    pair.check(30, 30, 0)
