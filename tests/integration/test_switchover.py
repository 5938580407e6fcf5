# SPDX-License-Identifier: BSD-2-Clause
"""capture=undelivered: exactly the frames that the guest never got arrive
at the other host, in order, and every byte is right."""

import random
import threading
from typing import List

import pytest

from lib.frames import numbered_range
from lib.site import Site
from lib.switchover import TAP, Switchover
from lib.waiting import wait_until

# Frames shipped again where nothing tells what the guest got.
DEFAULT_OVERLAP = 8


def migrate(pair: Switchover, queued: int, swallowed: int, late: int) -> int:
    """Stop the virtual machine with frames in its TAP's queue, of which
    the VMM swallows some, send some more, and let it run at the
    destination.  Returns the number of the first frame that the guest did
    not get at the source."""
    pair.source.vmm.read(False)
    first = pair.source.next
    pair.source.send(queued)
    pair.source.vmm.swallow(swallowed)
    pair.stop_source()
    pair.source.send(late)
    pair.wait_arrived()
    pair.resume_destination()
    pair.destination.daemon.wait_counters(held=0)
    return first


def check_arrived(pair: Switchover, first: int) -> None:
    """The destination's guest got all frames from a number on."""
    pair.wait_arrived()
    pair.destination.vmm.wait_count(pair.source.next - first)
    assert pair.destination.vmm.numbers() == \
        list(range(first, pair.source.next))


def method(pair: Switchover) -> str:
    """How the source found out what the guest had got."""
    entry, = pair.source.daemon.execute("query-switchover")
    found: str = entry["method"]
    return found


@pytest.mark.parametrize("transport", ["unix", "tcp"])
def test_undelivered_frames_arrive(site: Site, transport: str) -> None:
    """What was in the queue, what was swallowed and what came later;
    nothing while the guest runs, and nothing before it runs again."""
    pair = Switchover(site, transport).start()
    pair.source.calibrate()
    pair.source.run(30)
    assert pair.source.daemon.counters()["outdev"] == 0

    pair.source.vmm.read(False)
    first = pair.source.next
    pair.source.send(20)
    pair.source.vmm.swallow(3)
    pair.stop_source()
    pair.source.send(10)
    counters = pair.source.daemon.wait_counters(outdev=30)
    assert counters["delivered"] == first
    pair.destination.daemon.wait_counters(held=30, out_netdev=0)
    assert pair.destination.vmm.count() == 0

    pair.resume_destination()
    pair.destination.vmm.wait_count(30)
    pair.source.send(5)
    pair.destination.vmm.wait_count(35)
    assert pair.destination.vmm.numbers() == list(range(first, first + 35))
    pair.destination.daemon.wait_counters(out_netdev=35, held=0)
    assert method(pair) == "used-index"


@pytest.mark.parametrize("queued, swallowed",
                         [(0, 0), (1, 0), (1, 1), (4, 4), (300, 2)])
def test_exact_with_used_index(site: Site, queued: int,
                               swallowed: int) -> None:
    """However many there were in the queue and were swallowed."""
    pair = Switchover(site).start()
    pair.source.calibrate()
    check_arrived(pair, migrate(pair, queued, swallowed, late=3))
    assert method(pair) == "used-index"


def test_swallowed_after_the_stop_event(site: Site) -> None:
    """A VMM takes frames out of its TAP even after it said STOP."""
    pair = Switchover(site).start()
    pair.source.calibrate()
    pair.source.vmm.read(False)
    first = pair.source.next
    pair.source.send(10)
    pair.source.vmm.swallow(1)
    pair.stop_source()
    pair.source.vmm.swallow(2)
    pair.source.send(3)
    pair.resume_destination()
    check_arrived(pair, first)


def test_overlap_without_used_index(site: Site) -> None:
    """Where nothing tells, a few frames come twice rather than never."""
    pair = Switchover(site, virtio=False).start()
    pair.source.run(30)
    pair.source.rest()
    first = migrate(pair, queued=20, swallowed=3, late=10)
    check_arrived(pair, first + 3 - DEFAULT_OVERLAP)
    assert method(pair) == "counters"


@pytest.mark.parametrize("overlap", [0, 3, 5, 64])
def test_fixed_overlap(site: Site, overlap: int) -> None:
    """As many of the frames that the VMM took as the user says, whatever
    the used index says."""
    pair = Switchover(site).start(f"overlap={overlap}")
    pair.source.calibrate()
    pair.source.run(92)
    first = migrate(pair, queued=20, swallowed=3, late=10)
    check_arrived(pair, first + 3 - overlap)
    assert method(pair) == "counters"


def test_overlap_longer_than_the_history(site: Site) -> None:
    """No more frames are shipped again than there were."""
    pair = Switchover(site).start("overlap=64")
    pair.source.run(5)
    migrate(pair, queued=2, swallowed=0, late=1)
    check_arrived(pair, 0)


def test_own_run_state(site: Site) -> None:
    """Where the daemon's own stop and cont rule nothing is swallowed."""
    pair = Switchover(site, follows_vm=False).start()
    pair.source.run(30)
    check_arrived(pair, migrate(pair, queued=20, swallowed=0, late=10))
    assert method(pair) == "counters"


def test_frames_of_several_buffers(site: Site) -> None:
    """Frames that take several receive buffers each make the used index run
    ahead; the used ring tells how far."""
    pair = Switchover(site).start()
    pair.source.host.ip(f"link set {TAP} mtu 9000")
    pair.source.calibrate()
    pair.source.run(20, size=6000)  # at once, so no more than the ring holds
    pair.source.run(40)
    pair.source.run(20, size=9000)
    check_arrived(pair, migrate(pair, queued=5, swallowed=2, late=5))
    assert method(pair) == "used-index"


def test_used_ring_without_all_lengths(site: Site) -> None:
    """Where the ring does not tell how many buffers a frame took, the used
    index is not trusted until it was learnt anew."""
    pair = Switchover(site)
    pair.source.vmm.set_features("VIRTIO_F_IN_ORDER")
    pair.start()
    pair.source.host.ip(f"link set {TAP} mtu 9000")
    pair.source.calibrate()
    pair.source.run(3, size=6000)
    pair.source.vmm.read(False)
    first = pair.source.next
    pair.source.send(3)
    pair.stop_source()
    pair.wait_arrived()
    pair.resume_destination()
    pair.destination.vmm.wait_count(3)
    assert method(pair) == "counters"
    shipped = pair.source.daemon.counters()["outdev"]
    # What is larger than the destination's interface takes stays behind.
    assert 3 <= shipped <= 3 + DEFAULT_OVERLAP
    assert pair.destination.vmm.numbers()[-3:] == \
        list(range(first, first + 3))


def test_used_index_is_learnt_anew(site: Site) -> None:
    """Frames of one buffer each tell it again."""
    pair = Switchover(site)
    pair.source.vmm.set_features("VIRTIO_F_IN_ORDER")
    pair.start()
    pair.source.host.ip(f"link set {TAP} mtu 9000")
    pair.source.calibrate()
    pair.source.run(3, size=6000)
    pair.source.calibrate()
    check_arrived(pair, migrate(pair, queued=5, swallowed=2, late=5))
    assert method(pair) == "used-index"


@pytest.mark.parametrize("seed", range(4))
def test_any_numbers(site: Site, seed: int) -> None:
    """A few switchovers of arbitrary shape."""
    dice = random.Random(seed)
    pair = Switchover(site).start()
    pair.source.calibrate()
    pair.source.run(dice.randrange(200))
    queued = dice.randrange(600)
    check_arrived(pair, migrate(pair, queued, min(queued, dice.randrange(10)),
                                late=dice.randrange(1500)))


def test_stop_under_traffic(site: Site) -> None:
    """Frames keep coming while the virtual machine stops: the two guests
    together got each of them exactly once."""
    total = 4000
    pair = Switchover(site).start()
    pair.source.calibrate()
    first, pair.source.next = pair.source.next, pair.source.next + total
    sender = pair.source.host.sender(TAP)

    def send() -> None:
        for frame in numbered_range(first, first + total):
            sender.send([frame])
            pause.wait(0.0001)

    pause = threading.Event()
    traffic = threading.Thread(target=send)
    traffic.start()
    pair.source.vmm.wait_count(first + 1000)
    pair.stop_source()
    pair.source.daemon.wait_log("the VM stopped")
    pair.destination.vmm.resume()
    while traffic.is_alive():
        # The ledgers balance at any moment.
        pair.source.daemon.check()
        pair.destination.daemon.check()
    pair.wait_arrived()
    stayed = pair.source.vmm.numbers()
    pair.destination.vmm.wait_count(pair.source.next - len(stayed))
    assert stayed + pair.destination.vmm.numbers() == \
        list(range(pair.source.next))


def test_queue_overflowed_before_the_stop(site: Site) -> None:
    """Frames that found the queue full while the guest was slow count as
    not delivered, and are shipped where it stops now."""
    pair = Switchover(site, txqueuelen=20).start()
    pair.source.calibrate()
    pair.source.vmm.read(False)
    first = pair.source.next
    pair.source.send(50)
    pair.source.wait_captured()
    pair.stop_source()
    pair.source.send(5)
    pair.resume_destination()
    check_arrived(pair, first)
    assert pair.source.daemon.counters()["dropped-tap-full"] == 0


def test_slow_guest_overflows_its_queue(site: Site) -> None:
    """What a running guest is too slow for is lost, and counted so; it
    does not disturb the switchover that follows."""
    pair = Switchover(site, txqueuelen=20).start()
    pair.source.calibrate()
    pair.source.vmm.read(False)
    before = pair.source.next
    pair.source.send(50)
    pair.source.wait_captured()
    dropped = pair.source.tx_dropped()
    assert dropped > 0
    pair.source.vmm.read()
    pair.source.daemon.wait_counters(dropped_tap_full=dropped, pending=0,
                                     delivered=before + 50 - dropped)
    for _ in range(8):
        pair.source.vmm.wait_count(pair.source.next - dropped)
        pair.source.send(1)
        pair.source.daemon.wait_counters(
            pending=0, delivered=pair.source.next - dropped)
    pair.source.vmm.wait_count(pair.source.next - dropped)
    check_arrived(pair, migrate(pair, queued=6, swallowed=2, late=6))
    assert pair.source.daemon.counters()["dropped-tap-full"] == dropped


def be_slow(pair: Switchover) -> None:
    """The source's guest takes nothing until its queue has overflowed."""
    pair.source.vmm.read(False)
    seen = pair.source.daemon.counters()["in_netdev"]
    wait_until(lambda: pair.source.daemon.counters()["in_netdev"] > seen + 40,
               "the queue to overflow")


@pytest.mark.parametrize("seed", range(4))
def test_stop_while_the_queue_overflows(site: Site, seed: int) -> None:
    """A guest that is too slow loses frames anyway; but what sits in its
    queue when it stops, and all that comes later, is not lost."""
    dice = random.Random(seed)
    pair = Switchover(site, txqueuelen=20).start()
    pair.source.calibrate()
    sender = pair.source.host.sender(TAP)
    over = threading.Event()

    def send() -> None:
        while pair.source.next < 20000 and not over.wait(0.0005):
            number = pair.source.next
            sender.send(numbered_range(number, number + 10))
            pair.source.next += 10

    traffic = threading.Thread(target=send)
    traffic.start()
    for _ in range(5):
        be_slow(pair)
        pair.source.vmm.read()
        pair.source.vmm.wait_count(pair.source.vmm.count() +
                                   dice.randrange(100))
    if seed % 2:
        be_slow(pair)
    pair.stop_source()
    got = set(pair.source.vmm.numbers())
    assert pair.source.tx_dropped() > 0
    over.set()
    traffic.join()
    pair.wait_arrived()
    pair.resume_destination()
    pair.destination.daemon.wait_counters(held=0)
    end = pair.source.next
    wait_until(lambda: pair.destination.vmm.numbers()[-1:] == [end - 1],
               "the last frame")
    arrived = pair.destination.vmm.numbers()
    assert arrived == list(range(arrived[0], end))
    queued = {number for number in take_queue(pair) if number < end} - got
    assert queued <= set(arrived)
    assert len(got & set(arrived)) <= 20


def take_queue(pair: Switchover) -> List[int]:
    """Everything that the source's guest got, or would have got if it had
    not been stopped: what its TAP's queue holds, nobody else has taken."""
    pair.source.vmm.read()

    def empty() -> bool:
        pair.source.send(1)
        return pair.source.vmm.numbers()[-1] == pair.source.next - 1

    wait_until(empty, "the queue to be empty")
    return pair.source.vmm.numbers()


def test_stopped_before_the_daemon_starts(site: Site) -> None:
    """A daemon that comes when the machine stands still ships all that
    comes from then on."""
    pair = Switchover(site)
    pair.source.vmm.stop()
    pair.start()
    pair.source.daemon.wait_log("the VM stopped")
    pair.source.send(10)
    pair.wait_arrived()
    pair.resume_destination()
    check_arrived(pair, 0)


def test_vmm_is_only_asked(site: Site) -> None:
    """Nothing is changed at the VMM: every command only reads."""
    pair = Switchover(site).start()
    pair.source.calibrate()
    migrate(pair, queued=3, swallowed=1, late=1)
    for end in (pair.source, pair.destination):
        assert set(end.vmm.commands()) <= {
            "qmp_capabilities", "query-status", "query-migrate",
            "query-migrate-capabilities", "human-monitor-command",
            "x-query-virtio", "x-query-virtio-status",
            "x-query-virtio-queue-status", "qom-get"}


def test_report(site: Site) -> None:
    """query-switchover tells what happened on both sides."""
    pair = Switchover(site).start()
    pair.source.calibrate()
    migrate(pair, queued=20, swallowed=2, late=10)
    pair.destination.vmm.wait_count(30)
    pair.destination.daemon.wait_counters(out_netdev=30)
    source, = pair.source.daemon.execute("query-switchover")
    target, = pair.destination.daemon.execute("query-switchover")
    assert (source["name"], source["side"]) == ("rd0", "source")
    assert target["side"] == "destination"
    assert (source["phase"], target["phase"]) == ("shipping", "passing")
    assert source["packets"] == target["packets"] == 30
    assert source["bytes"] == target["bytes"] == 30 * 64
    assert target["held-packets-most"] == 30
    assert source["stop-us"] <= source["first-us"] <= source["last-us"]
    assert target["resume-us"] <= target["first-us"] <= target["last-us"]
    assert set(source["dropped"].values()) == {0}
    phases = [event.data["phase"] for event in
              pair.destination.daemon.qmp.events("SWITCHOVER")]
    assert phases == ["holding", "releasing", "passing"]
