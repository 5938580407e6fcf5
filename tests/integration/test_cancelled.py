# SPDX-License-Identifier: BSD-2-Clause
"""A migration is cancelled: the virtual machine resumes where it was, and
its guest gets every frame exactly once."""

import threading

import pytest

from lib.frames import numbered_range
from lib.site import Site
from lib.switchover import TAP, Switchover
from lib.waiting import wait_until

QUEUE = 20


def stop_with_overflow(s: Switchover, swallowed: int) -> int:
    """Stop the virtual machine and send more than its TAP's queue holds;
    returns the number of the first frame that the guest did not get."""
    s.source.vmm.read(False)
    first = s.source.next
    s.source.send(10)
    s.source.vmm.swallow(swallowed)
    s.stop_source()
    s.source.send(40)
    s.source.wait_captured()
    assert s.source.tx_dropped() > 0
    return first


def check_all_once(s: Switchover, stops: int = 1) -> None:
    """The source's guest got every frame, exactly once, after it had been
    stopped so many times."""
    try:
        s.source.vmm.wait_count(s.source.next)
        s.source.wait_phase("armed", stops + 1)
        s.source.daemon.wait_counters(pending=0, queued=0)
    finally:
        numbers = s.source.vmm.numbers()
        print("missing:", set(range(s.source.next)) - set(numbers),
              s.source.daemon.counters())
    assert sorted(numbers) == list(range(s.source.next))


@pytest.mark.parametrize("keeps", [True, False], ids=["user-space", "vhost"])
def test_guest_gets_all_once(site: Site, keeps: bool) -> None:
    """A user-space backend delivers later what it swallowed, vhost never:
    the used index tells, and what is missing is given back."""
    s = Switchover(site, txqueuelen=QUEUE).start()
    s.source.calibrate()
    s.source.run(30)
    first = stop_with_overflow(s, swallowed=2)
    s.wait_arrived()
    s.source.daemon.wait_counters(outdev=50)

    s.source.vmm.resume()
    if keeps:
        s.source.vmm.give_kept()
    check_all_once(s)
    counters = s.source.daemon.counters()
    assert counters["delivered"] == first
    assert counters["outdev"] == counters["reinjected"] == 50

    s.destination.daemon.wait_counters(held=50)
    s.destination.vmm.emit("SHUTDOWN", {"guest": False,
                                        "reason": "host-signal"})
    s.destination.daemon.wait_counters(held=0, discarded=50)
    assert s.destination.vmm.count() == 0


@pytest.mark.parametrize("keeps", [True, False], ids=["user-space", "vhost"])
def test_works_again_afterwards(site: Site, keeps: bool) -> None:
    """Frames that come after the cancelled migration are delivered, not
    shipped, and the next migration is as exact as the first."""
    s = Switchover(site, txqueuelen=QUEUE).start()
    s.source.calibrate()
    stop_with_overflow(s, swallowed=2)
    s.wait_arrived()
    s.source.vmm.resume()
    if keeps:
        s.source.vmm.give_kept()
    check_all_once(s)
    shipped = s.source.daemon.counters()["outdev"]
    for _ in range(20):
        s.source.send(1)
        s.source.vmm.wait_count(s.source.next)
        s.source.daemon.wait_counters(
            pending=0, delivered=s.source.next - shipped)
    assert s.source.daemon.counters()["outdev"] == shipped
    s.destination.vmm.emit("SHUTDOWN")
    s.destination.daemon.wait_counters(held=0, discarded=shipped)

    second = stop_with_overflow(s, swallowed=1)
    s.wait_arrived()
    s.resume_destination()
    s.destination.vmm.wait_count(50)
    assert s.destination.vmm.numbers() == \
        list(range(second, s.source.next))


def test_without_used_index(site: Site) -> None:
    """A user-space backend gives the guest what it kept; nothing of it
    comes twice although it was shipped."""
    s = Switchover(site, txqueuelen=QUEUE, virtio=False).start()
    s.source.run(30)
    stop_with_overflow(s, swallowed=2)
    s.wait_arrived()
    s.source.vmm.resume()
    s.source.vmm.give_kept()
    check_all_once(s)


def test_nobody_at_the_other_end(site: Site) -> None:
    """What was never shipped is given back all the same, counts as
    delivered, and is not shipped when somebody comes later."""
    s = Switchover(site, txqueuelen=QUEUE)
    s.start_source()
    s.source.calibrate()
    stop_with_overflow(s, swallowed=2)
    s.source.daemon.wait_counters(queued=50, outdev=0)
    s.source.vmm.resume()
    s.source.vmm.give_kept()
    check_all_once(s)
    counters = s.source.daemon.wait_counters(delivered=s.source.next)
    assert counters["reinjected"] == 0

    s.start_destination()
    s.wait_connected()
    s.source.run(5)
    s.destination.daemon.wait_counters(indev=0)


def test_traffic_after_the_resume(site: Site) -> None:
    """Frames that come while others are given back are not lost or
    doubled either."""
    s = Switchover(site, txqueuelen=QUEUE).start()
    s.source.calibrate()
    first = stop_with_overflow(s, swallowed=1)
    s.source.vmm.resume()
    s.source.vmm.give_kept()
    s.source.vmm.wait_count(first + QUEUE)
    for _ in range(30):
        s.source.send(1)
        s.source.wait_captured()
    check_all_once(s)


def test_own_run_state(site: Site) -> None:
    """The daemon's own stop and cont."""
    s = Switchover(site, follows_vm=False, txqueuelen=QUEUE).start()
    s.source.run(30)
    stop_with_overflow(s, swallowed=0)
    s.wait_arrived()
    s.source.vmm.read()
    s.source.daemon.execute("cont")
    check_all_once(s)
    s.source.daemon.wait_counters(outdev=50, reinjected=50)


@pytest.mark.parametrize("attempt", range(3))
def test_flood_while_stopped(site: Site, attempt: int) -> None:
    """Which frames found the queue full is told rightly even if samples
    are taken while it fills."""
    s = Switchover(site, txqueuelen=2 * QUEUE + attempt).start()
    s.source.calibrate()
    s.stop_source()
    s.source.send(100)
    s.source.host.sender(TAP).send(
        numbered_range(s.source.next, s.source.next + 1800))
    s.source.next += 1800
    s.wait_arrived()
    s.source.vmm.resume()
    check_all_once(s)


def test_stopped_without_traffic(site: Site) -> None:
    """Nothing is shipped, nothing is given back."""
    s = Switchover(site).start()
    s.source.calibrate()
    s.stop_source()
    s.source.vmm.resume()
    check_all_once(s)
    s.source.run(10)
    s.source.daemon.wait_counters(outdev=0, reinjected=0)


def test_stopped_and_resumed_many_times(site: Site) -> None:
    """Every short stop is as exact as the first."""
    s = Switchover(site, txqueuelen=QUEUE).start()
    s.source.calibrate()
    for stop in range(1, 6):
        stop_with_overflow(s, swallowed=1)
        s.wait_arrived()
        s.source.vmm.resume()
        s.source.vmm.give_kept()
        check_all_once(s, stop)


@pytest.mark.parametrize("keeps", [True, False], ids=["user-space", "vhost"])
def test_under_traffic(site: Site, keeps: bool) -> None:
    """Frames keep coming while the machine stops and resumes."""
    s = Switchover(site).start()
    s.source.calibrate()
    over = threading.Event()
    sender = s.source.host.sender(TAP)

    def send() -> None:
        while not over.wait(0.0002) and s.source.next < 20000:
            sender.send(numbered_range(s.source.next, s.source.next + 1))
            s.source.next += 1

    traffic = threading.Thread(target=send)
    traffic.start()
    for stop in range(1, 4):
        s.source.vmm.wait_count(s.source.vmm.count() + 200)
        s.source.vmm.read(False)
        s.source.vmm.swallow(2)
        s.source.vmm.stop()
        s.source.wait_phase("shipping", stop)
        s.source.vmm.resume()
        if keeps:
            s.source.vmm.give_kept()
        else:
            s.source.vmm.forget_kept()
        s.source.wait_phase("armed", stop + 1)
    over.set()
    traffic.join()
    check_all_once(s, stops=3)


def resume_without_reading(s: Switchover) -> None:
    """The virtual machine resumes, but its guest is busy."""
    s.source.vmm.set_status("running")
    s.source.vmm.emit("RESUME")
    s.source.wait_phase("returning")


def test_stopped_again_while_giving_back(site: Site) -> None:
    """The next migration begins before the guest has got back what it
    missed: that is shipped, too, and rather twice than never."""
    s = Switchover(site, txqueuelen=QUEUE).start()
    s.source.calibrate()
    first = stop_with_overflow(s, swallowed=0)
    s.wait_arrived()
    s.destination.vmm.emit("SHUTDOWN")
    s.destination.daemon.wait_counters(held=0, discarded=50)
    resume_without_reading(s)
    s.source.send(5)
    s.source.wait_captured()
    s.source.vmm.stop()
    s.source.wait_phase("shipping", 2)
    s.source.send(5)
    # Frames that are shipped again count once at the source.
    s.destination.daemon.wait_counters(
        held=s.source.next - first, indev=50 + s.source.next - first)
    s.resume_destination()
    s.destination.daemon.wait_counters(held=0)
    wait_until(lambda: set(range(first, s.source.next)) <=
               set(s.destination.vmm.numbers()),
               "every frame that was not delivered")


def test_resumed_again_while_giving_back(site: Site) -> None:
    """Stopped again for a moment only: what is still to be given back is
    given back once."""
    s = Switchover(site, txqueuelen=QUEUE).start()
    s.source.calibrate()
    stop_with_overflow(s, swallowed=0)
    s.wait_arrived()
    resume_without_reading(s)
    s.source.vmm.stop()
    s.source.wait_phase("shipping", 2)
    s.source.send(5)
    s.source.wait_captured()
    s.source.vmm.resume()
    check_all_once(s)
