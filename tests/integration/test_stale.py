# SPDX-License-Identifier: BSD-2-Clause
"""What the network delivers to the new host's TAP before the VM runs there:
what its guest has had at the old host does not come again, and nothing is
lost or overtaken by that."""

from typing import Dict, List

import pytest

from lib.frames import numbered, numbered_range
from lib.site import Site
from lib.switchover import TAP, Switchover
from lib.waiting import wait_until

BROADCAST = b"\xff" * 6
DRAINS = f"drains {TAP} until the source's VM stops"


def group(number: int) -> bytes:
    """A numbered frame, as a broadcast."""
    return BROADCAST + numbered(number)[6:]


class World(Switchover):
    """A switchover whose network floods."""

    def flood(self, *frames: bytes) -> None:
        """These reach both hosts."""
        self.source.host.sender(TAP).send(frames)
        self.destination.host.sender(TAP).send(frames)

    def run_flooded(self, first: int, end: int) -> None:
        """The guest gets these at the old host, and they are flooded."""
        before = self.source.vmm.count()
        for number in range(first, end):
            self.flood(group(number))
            self.source.vmm.wait_count(before + number - first + 1)
            self.source.daemon.wait_counters(pending=0)

    def queue(self) -> Dict[str, int]:
        """What became of what was in the new TAP's queue."""
        entry, = self.destination.daemon.execute("query-switchover")
        found: Dict[str, int] = entry["tap-queue"]
        return found

    def wait_told(self) -> None:
        """Wait until the source's VM has stopped, and the destination has
        heard what its guest got."""
        self.source.vmm.stop()
        self.source.daemon.wait_phase("shipping")
        self.source.host.sender(TAP).send([numbered(99)])
        self.destination.daemon.wait_counters(held=1)

    def numbers(self) -> List[int]:
        """What the guest got at the new host."""
        return [int.from_bytes(frame.data[8:12], "big")
                for frame in self.destination.vmm.frames()]


def world(site: Site, acknowledge: str = "on", drains: bool = True,
          **options: object) -> World:
    """A source that knows what its guest gets, and says it."""
    pair = World(site, **options)
    pair.start(f"acknowledge={acknowledge}")
    pair.source.calibrate()
    if drains:
        pair.destination.daemon.wait_log(DRAINS)
    return pair


def test_had_at_the_source(site: Site) -> None:
    """Broadcasts that the guest had before it stopped; those after it come
    once, straight from the network."""
    pair = world(site)
    pair.run_flooded(100, 130)
    pair.wait_told()
    pair.flood(*map(group, range(130, 140)))
    pair.destination.daemon.wait_counters(indev=11, duplicate=10)
    pair.resume_destination()
    pair.destination.vmm.wait_count(11)
    assert sorted(pair.numbers()) == [99, *range(130, 140)]
    assert pair.queue() == {"drained": 30, "stale": 30, "put-back": 0,
                            "waiting": 0, "refused": 0, "left": 0, "lost": 0}


def test_before_the_source_looked(site: Site) -> None:
    """What came when the source's daemon was not there yet, the guest had."""
    pair = World(site)
    pair.destination.host.sender(TAP).send(map(group, range(20)))
    pair.start("acknowledge=on")
    pair.source.calibrate()
    pair.destination.daemon.wait_log(DRAINS)
    pair.run_flooded(100, 110)
    pair.wait_told()
    pair.resume_destination()
    pair.destination.vmm.wait_count(1)
    assert pair.numbers() == [99] and pair.queue()["stale"] == 30


def test_here_alone(site: Site) -> None:
    """What the network brought to the new host alone is the guest's, in
    order, and no later than what it brings behind it."""
    pair = world(site)
    pair.run_flooded(100, 110)
    pair.destination.host.sender(TAP).send(numbered_range(110, 120))
    pair.wait_told()
    pair.destination.host.sender(TAP).send(numbered_range(120, 130))
    assert pair.queue()["put-back"] == 10
    pair.resume_destination()
    pair.destination.vmm.wait_count(21)
    assert pair.numbers() == [*range(110, 130), 99]
    pair.destination.daemon.wait_counters(out_netdev=1, held=0)


def test_with_headers_and_tags(site: Site) -> None:
    """What is put back is what was there, to the byte."""
    pair = world(site, vnet=True)
    tagged = numbered(7, tag=bytes.fromhex("81000064"))
    pair.destination.host.sender(TAP).send([tagged, numbered(8, 1514)])
    pair.wait_told()
    pair.resume_destination()
    pair.destination.vmm.wait_count(3)
    assert [frame.data for frame in pair.destination.vmm.frames()] == [
        tagged, numbered(8, 1514), numbered(99)]


def test_more_than_the_queue_holds(site: Site) -> None:
    """The queue is emptied all the time: what is stale takes no room; what
    has none when it is put back is counted."""
    pair = world(site, txqueuelen=10)
    host = pair.destination.host
    taken = host.tx_packets(TAP)
    for number in range(100):
        host.sender(TAP).send([numbered(100 + number)])
        wait_until(lambda n=number: host.tx_packets(TAP) > taken + n,
                   "it to be drained")
    pair.wait_told()
    queue = pair.queue()
    assert queue["put-back"] + queue["refused"] == 100
    pair.resume_destination()
    pair.destination.vmm.wait_count(queue["put-back"] + 1)
    assert pair.numbers() == [*range(100, 100 + queue["put-back"]), 99]


def test_the_vm_runs_first(site: Site) -> None:
    """The source can't say it in time: what may have come here alone is
    given to the guest at once, and what is stale still does not come."""
    pair = world(site)
    pair.run_flooded(100, 110)
    pair.destination.host.sender(TAP).send(numbered_range(110, 115))
    pair.source.daemon.freeze(True)
    pair.source.vmm.stop()
    pair.resume_destination()
    pair.destination.daemon.wait_log("has not said yet")
    pair.destination.vmm.wait_count(5)
    pair.source.daemon.freeze(False)
    pair.source.daemon.wait_phase("shipping")
    pair.source.host.sender(TAP).send([numbered(99)])
    pair.destination.vmm.wait_count(6)
    assert pair.numbers() == [*range(110, 115), 99]


def test_source_that_says_nothing(site: Site) -> None:
    """A plain link: the queue is left alone, and what is in it is counted."""
    pair = world(site, "off", drains=False)
    pair.run_flooded(100, 110)
    pair.wait_told()
    pair.resume_destination()
    pair.destination.vmm.wait_count(11)
    assert sorted(pair.numbers()) == [99, *range(100, 110)]
    # The VMM may have lost one, for all that is known.
    assert pair.queue()["left"] in (9, 10) and pair.queue()["drained"] == 0


def test_without_rights(site: Site) -> None:
    """So it is without the right to look into the VMM, and a line says so."""
    pair = World(site)
    pair.destination.inside = ["setpriv", "--bounding-set", "-sys_ptrace",
                               "--inh-caps", "-sys_ptrace"]
    pair.start("acknowledge=on")
    pair.source.calibrate()
    pair.destination.daemon.wait_log("may come to it twice")
    pair.run_flooded(100, 110)
    pair.wait_told()
    pair.resume_destination()
    pair.destination.vmm.wait_count(11)
    assert pair.queue()["left"] in (9, 10)


@pytest.mark.parametrize("told", [False, True])
def test_vmm_that_ends(site: Site, told: bool) -> None:
    """Its TAP is let go, for another VMM to open."""
    pair = world(site)
    pair.run_flooded(100, 110)
    if told:
        pair.wait_told()
    pair.destination.vmm.kill()
    pair.destination.daemon.wait_log("has ended")
    wait_until(lambda: "LOWER_UP" not in
               pair.destination.host.link(TAP)["flags"], "no carrier")
    site.vmm(pair.destination.host, TAP)


def test_cancelled(site: Site) -> None:
    """The VM resumes at the old host, and moves a moment later: what it had
    there in between does not come again."""
    pair = world(site)
    pair.wait_told()
    pair.flood(*map(group, range(100, 110)))
    pair.destination.daemon.wait_counters(duplicate=10)
    pair.source.vmm.resume()
    pair.source.daemon.wait_phase("armed", 2)
    pair.destination.daemon.wait_counters(held=0, discarded=1)
    number = 110
    while not pair.source.daemon.execute("qom-get", path="/objects/rd0",
                                         property="exact"):
        pair.run_flooded(number, number + 1)
        number += 1
    pair.source.vmm.stop()
    pair.source.daemon.wait_phase("shipping", 2)
    pair.source.host.sender(TAP).send([group(number)])
    pair.destination.daemon.wait_counters(held=1)
    pair.resume_destination()
    pair.destination.vmm.wait_count(1)
    assert pair.numbers() == [number]


def test_source_daemon_that_dies(site: Site) -> None:
    """Without a source the queue is as it would be; the next one tells what
    of it is stale."""
    pair = world(site)
    pair.run_flooded(100, 110)
    pair.source.daemon.kill()
    pair.flood(*map(group, range(110, 120)))
    pair.start_source("acknowledge=on")
    pair.wait_connected()
    pair.source.daemon.wait_log("reads what the guest got")
    pair.run_flooded(120, 130)
    pair.wait_told()
    pair.resume_destination()
    pair.destination.vmm.wait_count(1)
    assert pair.numbers() == [99] and pair.queue()["stale"] == 30


def test_daemon_that_ends(site: Site) -> None:
    """What it has taken out and not decided, it puts back."""
    pair = world(site)
    host = pair.destination.host
    taken = host.tx_packets(TAP)
    host.sender(TAP).send(numbered_range(100, 110))
    wait_until(lambda: host.tx_packets(TAP) >= taken + 10,
               "all to be drained")
    pair.destination.daemon.stop()
    pair.resume_destination()
    pair.destination.vmm.wait_count(10)
    assert sorted(pair.numbers()) == list(range(100, 110))
