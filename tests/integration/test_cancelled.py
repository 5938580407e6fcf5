# SPDX-License-Identifier: BSD-2-Clause
"""A migration is cancelled: the virtual machine resumes where it was, and
its guest gets every frame exactly once."""

import threading
import time

import pytest

from lib.frames import numbered_range
from lib.site import Site
from lib.switchover import TAP, Switchover
from lib.waiting import wait_until

QUEUE = 20


def stop_with_overflow(pair: Switchover, swallowed: int) -> int:
    """Stop the virtual machine and send more than its TAP's queue holds;
    returns the number of the first frame that the guest did not get."""
    pair.source.vmm.read(False)
    first = pair.source.next
    pair.source.send(10)
    pair.source.vmm.swallow(swallowed)
    pair.stop_source()
    pair.source.send(40)
    pair.source.wait_captured()
    assert pair.source.tx_dropped() > 0
    return first


def check_all_once(pair: Switchover, stops: int = 1, repeats: int = 0,
                   more: int = 0) -> None:
    """The source's guest got every frame, exactly once but for so many of
    them, or some more, after it had been stopped so many times."""
    try:
        pair.source.vmm.wait_count(pair.source.next + repeats)
        pair.source.wait_phase("armed", stops + 1)
        pair.source.daemon.wait_counters(pending=0, queued=0)
    finally:
        numbers = pair.source.vmm.numbers()
        print("missing:", set(range(pair.source.next)) - set(numbers),
              pair.source.daemon.counters())
    assert set(numbers) == set(range(pair.source.next))
    assert 0 <= len(numbers) - pair.source.next - repeats <= more


@pytest.mark.parametrize("keeps", [True, False], ids=["user-space", "vhost"])
def test_guest_gets_all_once(site: Site, keeps: bool) -> None:
    """A user-space backend delivers later what it swallowed, vhost never:
    the used index tells, and what is missing is given back."""
    pair = Switchover(site, txqueuelen=QUEUE).start()
    pair.source.calibrate()
    pair.source.run(30)
    first = stop_with_overflow(pair, swallowed=2)
    pair.wait_arrived()
    pair.source.daemon.wait_counters(outdev=50)

    pair.source.vmm.resume()
    if keeps:
        pair.source.vmm.give_kept()
    check_all_once(pair)
    counters = pair.source.daemon.counters()
    assert counters["delivered"] == first
    assert counters["outdev"] == counters["reinjected"] == 50

    pair.destination.daemon.wait_counters(held=50)
    pair.destination.vmm.emit("SHUTDOWN", {"guest": False,
                                           "reason": "host-signal"})
    pair.destination.daemon.wait_counters(held=0, discarded=50)
    assert pair.destination.vmm.count() == 0


@pytest.mark.parametrize("later", [1, 2])
def test_swallowed_after_the_word_of_the_stop(site: Site, later: int) -> None:
    """The VMM takes one more when tapferry has heard of the stop already,
    and a vhost guest never gets it."""
    pair = Switchover(site, txqueuelen=QUEUE).start()
    pair.source.calibrate()
    pair.source.run(30)
    pair.source.vmm.read(False)
    pair.source.send(10)
    pair.source.vmm.swallow(1)
    pair.stop_source()
    pair.source.wait_phase("shipping")
    pair.source.vmm.swallow(later)
    pair.wait_arrived()
    pair.source.vmm.resume()
    check_all_once(pair)


@pytest.mark.parametrize("keeps", [True, False], ids=["user-space", "vhost"])
def test_works_again_afterwards(site: Site, keeps: bool) -> None:
    """Frames that come after the cancelled migration are delivered, not
    shipped, and the next migration is as exact as the first."""
    pair = Switchover(site, txqueuelen=QUEUE).start()
    pair.source.calibrate()
    stop_with_overflow(pair, swallowed=2)
    pair.wait_arrived()
    pair.source.vmm.resume()
    if keeps:
        pair.source.vmm.give_kept()
    check_all_once(pair)
    shipped = pair.source.daemon.counters()["outdev"]
    for _ in range(20):
        pair.source.send(1)
        pair.source.vmm.wait_count(pair.source.next)
        pair.source.daemon.wait_counters(
            pending=0, delivered=pair.source.next - shipped)
    assert pair.source.daemon.counters()["outdev"] == shipped
    pair.destination.vmm.emit("SHUTDOWN")
    pair.destination.daemon.wait_counters(held=0, discarded=shipped)
    pair.destination.start_anew()

    second = stop_with_overflow(pair, swallowed=1)
    pair.wait_arrived()
    pair.resume_destination()
    pair.destination.vmm.wait_count(50)
    assert pair.destination.vmm.numbers() == \
        list(range(second, pair.source.next))


def test_without_used_index(site: Site) -> None:
    """Nothing tells whether the VMM gives the guest what it swallowed: what
    was shipped for fear of that is given back, a repeat rather than a
    loss."""
    pair = Switchover(site, txqueuelen=QUEUE, virtio=False).start()
    pair.source.run(30)
    stop_with_overflow(pair, swallowed=2)
    pair.wait_arrived()
    pair.source.vmm.resume()
    pair.source.vmm.give_kept()
    # The VMM may have taken two before the word of the resume was heard.
    check_all_once(pair, repeats=8, more=2)


def test_nobody_at_the_other_end(site: Site) -> None:
    """What was never shipped is given back all the same, counts as
    delivered, and is not shipped when somebody comes later."""
    pair = Switchover(site, txqueuelen=QUEUE)
    pair.start_source()
    pair.source.calibrate()
    stop_with_overflow(pair, swallowed=2)
    pair.source.daemon.wait_counters(queued=50, outdev=0)
    pair.source.vmm.resume()
    pair.source.vmm.give_kept()
    check_all_once(pair)
    counters = pair.source.daemon.wait_counters(delivered=pair.source.next)
    assert counters["reinjected"] == 0

    pair.start_destination()
    pair.wait_connected()
    pair.source.run(5)
    pair.destination.daemon.wait_counters(indev=0)


def test_traffic_after_the_resume(site: Site) -> None:
    """Frames that come while others are given back are not lost or
    doubled either."""
    pair = Switchover(site, txqueuelen=QUEUE).start()
    pair.source.calibrate()
    first = stop_with_overflow(pair, swallowed=1)
    pair.source.vmm.resume()
    pair.source.vmm.give_kept()
    pair.source.vmm.wait_count(first + QUEUE)
    for _ in range(30):
        pair.source.send(1)
        pair.source.wait_captured()
    check_all_once(pair)


def test_own_run_state(site: Site) -> None:
    """The daemon's own stop and cont."""
    pair = Switchover(site, follows_vm=False, txqueuelen=QUEUE).start()
    pair.source.run(30)
    stop_with_overflow(pair, swallowed=0)
    pair.wait_arrived()
    pair.source.vmm.read()
    pair.source.daemon.execute("cont")
    check_all_once(pair)
    pair.source.daemon.wait_counters(outdev=50, reinjected=50)


@pytest.mark.parametrize("attempt", range(3))
def test_flood_while_stopped(site: Site, attempt: int) -> None:
    """Which frames found the queue full is told rightly even if samples
    are taken while it fills."""
    pair = Switchover(site, txqueuelen=2 * QUEUE + attempt).start()
    pair.source.calibrate()
    pair.stop_source()
    pair.source.send(100)
    pair.source.host.sender(TAP).send(
        numbered_range(pair.source.next, pair.source.next + 1800))
    pair.source.next += 1800
    pair.wait_arrived()
    pair.source.vmm.resume()
    check_all_once(pair)


def test_stopped_without_traffic(site: Site) -> None:
    """Nothing is shipped, nothing is given back."""
    pair = Switchover(site).start()
    pair.source.calibrate()
    pair.stop_source()
    pair.source.vmm.resume()
    check_all_once(pair)
    pair.source.run(10)
    pair.source.daemon.wait_counters(outdev=0, reinjected=0)


def test_stopped_and_resumed_many_times(site: Site) -> None:
    """Every short stop is as exact as the first."""
    pair = Switchover(site, txqueuelen=QUEUE).start()
    pair.source.calibrate()
    for stop in range(1, 6):
        stop_with_overflow(pair, swallowed=1)
        pair.wait_arrived()
        pair.source.vmm.resume()
        pair.source.vmm.give_kept()
        check_all_once(pair, stop)


@pytest.mark.parametrize("keeps", [True, False], ids=["user-space", "vhost"])
def test_under_traffic(site: Site, keeps: bool) -> None:
    """Frames keep coming while the machine stops and resumes."""
    pair = Switchover(site).start()
    pair.source.calibrate()
    over = threading.Event()
    sender = pair.source.host.sender(TAP)

    def send() -> None:
        while not over.wait(0.0002) and pair.source.next < 20000:
            sender.send(numbered_range(pair.source.next, pair.source.next + 1))
            pair.source.next += 1

    traffic = threading.Thread(target=send)
    traffic.start()
    for stop in range(1, 4):
        pair.source.vmm.wait_count(pair.source.vmm.count() + 200)
        pair.source.vmm.read(False)
        pair.source.vmm.swallow(2)
        pair.source.vmm.stop()
        pair.source.wait_phase("shipping", stop)
        pair.source.vmm.resume()
        if keeps:
            pair.source.vmm.give_kept()
        else:
            pair.source.vmm.forget_kept()
        pair.source.wait_phase("armed", stop + 1)
    over.set()
    traffic.join()
    check_all_once(pair, stops=3)


def resume_without_reading(pair: Switchover) -> None:
    """The virtual machine resumes, but its guest is busy."""
    pair.source.vmm.set_status("running")
    pair.source.vmm.emit("RESUME")
    pair.source.wait_phase("returning")


def test_first_round_leaves_room(site: Site) -> None:
    """Live frames find room beside the first of those that are given back,
    whatever the guest takes meanwhile."""
    pair = Switchover(site, txqueuelen=400).start()
    pair.source.calibrate()
    pair.source.vmm.read(False)
    pair.stop_source()
    pair.source.send(1000)
    pair.source.wait_captured()
    dropped = pair.source.tx_dropped()
    pair.source.vmm.read()
    pair.source.vmm.wait_count(pair.source.next - dropped)
    pair.source.vmm.read(False)
    resume_without_reading(pair)
    pair.source.send(250)
    pair.source.wait_captured()
    assert pair.source.tx_dropped() == dropped
    pair.source.vmm.read()
    check_all_once(pair)


def test_guest_that_never_empties_its_queue(site: Site) -> None:
    """A guest that is slower than its traffic for good, from the resume on, is
    given back what it missed all the same, in some seconds; and once its
    queue gets empty nothing is pending."""
    pair = Switchover(site, txqueuelen=200).start()
    pair.source.calibrate()
    pair.source.vmm.read(False)
    pair.source.send(10)
    pair.stop_source()
    pair.source.send(250)
    pair.source.wait_captured()
    missed = pair.source.next
    over = threading.Event()

    def be_slow() -> None:
        while not over.is_set():
            pair.source.send(2)
            pair.source.vmm.swallow(1)
            pair.source.vmm.give_kept()

    guest = threading.Thread(target=be_slow)
    resume_without_reading(pair)
    guest.start()
    pair.source.wait_phase("armed", 2)
    over.set()
    guest.join()
    pair.source.vmm.read()
    pair.source.daemon.wait_counters(pending=0)
    assert set(range(missed)) <= set(pair.source.vmm.numbers())


def test_stopped_again_while_giving_back(site: Site) -> None:
    """The next migration begins before the guest has got back what it
    missed: that is shipped, too, and rather twice than never."""
    pair = Switchover(site, txqueuelen=QUEUE).start()
    pair.source.calibrate()
    first = stop_with_overflow(pair, swallowed=0)
    pair.wait_arrived()
    pair.destination.vmm.emit("SHUTDOWN")
    pair.destination.daemon.wait_counters(held=0, discarded=50)
    pair.destination.start_anew()
    resume_without_reading(pair)
    pair.source.send(5)
    pair.source.wait_captured()
    pair.source.vmm.stop()
    pair.source.wait_phase("shipping", 2)
    pair.source.send(5)
    # Frames that are shipped again count once at the source.
    pair.destination.daemon.wait_counters(
        held=pair.source.next - first, indev=50 + pair.source.next - first)
    pair.resume_destination()
    pair.destination.daemon.wait_counters(held=0)
    wait_until(lambda: set(range(first, pair.source.next)) <=
               set(pair.destination.vmm.numbers()),
               "every frame that was not delivered")


def test_resumed_again_while_giving_back(site: Site) -> None:
    """Stopped again for a moment only: what is still to be given back is
    given back once."""
    pair = Switchover(site, txqueuelen=QUEUE).start()
    pair.source.calibrate()
    stop_with_overflow(pair, swallowed=0)
    pair.wait_arrived()
    resume_without_reading(pair)
    pair.source.vmm.stop()
    pair.source.wait_phase("shipping", 2)
    pair.source.send(5)
    pair.source.wait_captured()
    pair.source.vmm.resume()
    check_all_once(pair)


def test_heard_of_when_it_ran_again(site: Site) -> None:
    """The word of a stop comes when the machine runs again, and its guest
    does not empty its queue then.  What may have found the queue full may
    have been lost otherwise, too: it is given back once, and the books
    balance all the time."""
    pair = Switchover(site, txqueuelen=QUEUE).start()
    pair.source.calibrate()
    pair.source.vmm.read(False)
    pair.source.send(QUEUE)
    pair.source.wait_captured()
    pair.source.daemon.freeze(True)
    pair.source.vmm.stop()
    time.sleep(0.01)
    pair.source.send(QUEUE)
    time.sleep(0.01)
    pair.source.vmm.resume()
    wait_until(lambda: pair.source.vmm.count() >= pair.source.next - 2 * QUEUE,
               "the guest to get what was queued")
    for _ in range(3):
        pair.source.send(QUEUE // 2)
        time.sleep(0.01)
    pair.source.vmm.read(False)
    pair.source.send(QUEUE // 2)
    pair.source.daemon.freeze(False)
    pair.source.wait_phase("returning")
    end = time.monotonic() + 1.5
    while time.monotonic() < end:
        pair.source.daemon.counters()
    pair.source.vmm.read()
    pair.source.wait_phase("armed", 2)
    pair.source.daemon.wait_counters(pending=0, queued=0)
    assert set(pair.source.vmm.numbers()) == set(range(pair.source.next))
