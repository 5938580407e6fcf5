# SPDX-License-Identifier: BSD-2-Clause
"""While a machine is on its way here, its TAP's queue is made longer, so that
a backlog goes in as a whole; it is put back in every ending."""

import os
import threading
import time
from typing import Callable, Dict

import pytest

from lib.frames import GUEST_MAC, numbered, numbered_range
from lib.site import Site
from lib.switchover import TAP, Destination
from lib.waiting import wait_until
from lib.wire import Peer

LIVE = 1000000  # numbers of frames that the network delivers
USUAL = 1000
RAISED = USUAL + 16384
NOTE = f"tapferry: txqueuelen was {USUAL}"
BACKLOG = 3000


def length(end: Destination) -> int:
    """The TAP's txqueuelen."""
    value: int = end.host.link(TAP)["txqlen"]
    return value


def alias(end: Destination) -> str:
    """What the TAP's alias says."""
    value: str = end.host.link(TAP).get("ifalias", "")
    return value


def wait_length(end: Destination, expected: int) -> None:
    """Wait until the queue has this length."""
    wait_until(lambda: length(end) == expected,
               lambda: f"txqueuelen {expected}; it is {length(end)}")


def start(site: Site, properties: str = "", txqueuelen: int = USUAL
          ) -> Destination:
    """A destination to which a machine begins to migrate."""
    end = Destination(site, txqueuelen=txqueuelen)
    end.serve()
    listen(end, properties)
    end.vmm.migration("active")
    return end


def start_raised(site: Site, usual: int = USUAL) -> Destination:
    """Likewise, with a queue that is raised."""
    end = start(site, txqueuelen=usual)
    wait_length(end, usual + 16384)
    return end


def listen(end: Destination, properties: str = "") -> None:
    """Start its daemon, or another one."""
    end.start(f"socket,path={end.site.path('wire')},server=on,wait=off",
              properties)


def hold(end: Destination, count: int = BACKLOG) -> Peer:
    """Have it hold so many frames."""
    peer = end.site.peer("wire")
    peer.send(numbered_range(0, count))
    end.daemon.wait_counters(held=count)
    return peer


def run_without_reading(end: Destination) -> None:
    """The machine runs, and its guest is busy with something else."""
    end.vmm.set_status("running")
    end.vmm.emit("RESUME")


def send_live(end: Destination, count: int) -> None:
    """The network delivers so many frames."""
    end.host.sender(TAP).send(numbered_range(LIVE, LIVE + count))


def check_order(end: Destination, count: int, live: int = 0) -> None:
    """The guest gets what was held, and then what the network sent."""
    end.vmm.wait_count(count + live)
    assert end.vmm.numbers() == [*range(count), *range(LIVE, LIVE + live)]


@pytest.mark.parametrize("usual", [1000, 50, 10])
def test_live_frames_land_behind(site: Site, usual: int) -> None:
    """The whole backlog goes in at once, before the guest takes any of it;
    what the network delivers from then on comes behind it, and finds as much
    room as ever."""
    end = start_raised(site, usual)
    hold(end)
    assert alias(end) == f"tapferry: txqueuelen was {usual}"
    before = end.tx_dropped()
    run_without_reading(end)
    end.daemon.wait_counters(held=0, out_netdev=BACKLOG)
    send_live(end, usual)
    end.vmm.read()
    check_order(end, BACKLOG, usual)
    assert end.tx_dropped() == before
    wait_length(end, usual)
    assert alias(end) == ""


def test_what_putting_it_back_costs(site: Site) -> None:
    """What comes in that moment is counted: as much as the TAP says, and
    nothing of what came before, when the VM ran elsewhere."""
    end = start_raised(site)
    end.resume()
    done = threading.Event()
    sender = end.host.sender(TAP)
    before = end.tx_dropped()

    def flood() -> None:
        number = LIVE
        while not done.is_set():
            time.sleep(0.05)  # long enough that it is taken for silent
            sender.send(numbered_range(number, number + 200))
            number += 200

    thread = threading.Thread(target=flood)
    thread.start()
    try:
        wait_length(end, USUAL)
    finally:
        done.set()
        thread.join()
    entry, = end.daemon.execute("query-switchover")
    assert entry["tap-queue"]["lost"] == end.tx_dropped() - before


def test_small_backlog(site: Site) -> None:
    """What fits into half of the queue goes in at once without that."""
    end = start(site, "raise-queue=off")
    hold(end, USUAL // 2)
    run_without_reading(end)
    end.daemon.wait_counters(held=0)
    send_live(end, USUAL // 2)
    end.vmm.read()
    check_order(end, USUAL // 2, USUAL // 2)
    assert length(end) == USUAL


def test_not_before_the_migration(site: Site) -> None:
    """It is not raised while the VMM just waits, nor once frames are held:
    frames could be lost by then."""
    end = Destination(site)
    end.serve()
    listen(end)
    hold(end)
    end.vmm.migration("active")
    time.sleep(0.5)
    assert length(end) == USUAL
    end.resume()
    check_order(end, BACKLOG)
    assert "txqueuelen" not in end.daemon.log


def test_switched_off(site: Site) -> None:
    """Without it the backlog is paced."""
    end = start(site, "raise-queue=off")
    hold(end)
    assert length(end) == USUAL
    run_without_reading(end)
    end.daemon.wait_counters(out_netdev=USUAL // 4)
    send_live(end, USUAL // 4)
    end.vmm.read()
    end.vmm.wait_count(BACKLOG + USUAL // 4)
    numbers = end.vmm.numbers()
    assert [n for n in numbers if n < LIVE] == list(range(BACKLOG))
    assert "txqueuelen" not in end.daemon.log


def test_long_enough(site: Site) -> None:
    """A queue that is long already stays as it is."""
    end = start(site, txqueuelen=20000)
    time.sleep(0.3)
    hold(end, 12000)
    end.resume()
    check_order(end, 12000)
    assert length(end) == 20000
    assert "txqueuelen" not in end.daemon.log


def test_without_the_right(site: Site) -> None:
    """Who may not change it says so once, and paces."""
    end = Destination(site)
    end.serve()
    end.daemon = site.daemon(
        end.host, "destination", *end.netdev(), "-chardev",
        f"socket,id=in0,path={site.path('wire')},server=on,wait=off",
        "-object", "filter-redirector,id=rd0,netdev=n0,indev=in0,"
        "out_netdev=n0",
        inside=["setpriv", "--bounding-set", "-net_admin", "--inh-caps",
                "-net_admin"])
    end.daemon.wait_log("the VM is")
    end.vmm.migration("active")
    end.daemon.wait_log("can not set txqueuelen")
    hold(end)
    assert length(end) == USUAL
    end.resume()
    check_order(end, BACKLOG)
    assert end.daemon.log.count("can not set txqueuelen") == 1


def terminate(end: Destination) -> None:
    """SIGTERM."""
    end.daemon.stop()


def delete(end: Destination) -> None:
    """The redirector goes away."""
    end.daemon.execute("object-del", id="rd0")


def shut_down(end: Destination) -> None:
    """The machine never runs."""
    end.vmm.emit("SHUTDOWN", {"guest": True, "reason": "guest-shutdown"})


def close(end: Destination) -> None:
    """The VMM is gone."""
    end.vmm.close_tap()
    end.daemon.execute("object-del", id="rd0")


def resume(end: Destination) -> None:
    """The machine runs here."""
    end.resume()


ENDINGS: Dict[str, Callable[[Destination], None]] = {
    "terminated": terminate, "deleted": delete, "shut-down": shut_down,
    "closed": close, "resumed": resume}


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("held, broadcasts", [(0, 0), (0, 5), (BACKLOG, 5)])
def test_ended_before_it_runs(site: Site, ending: str, held: int,
                              broadcasts: int) -> None:
    """It ends before the machine runs here, or as soon as it does, and there
    may be frames in the TAP's queue that reach every host."""
    end = start_raised(site)
    end.host.sender(TAP).send([b"\xff" * 6 + frame[6:] for frame in
                               numbered_range(0, broadcasts)])
    if held:
        hold(end, held)
    ENDINGS[ending](end)
    wait_length(end, USUAL)
    assert alias(end) == ""


@pytest.mark.parametrize("ending", ["terminated", "deleted", "closed"])
def test_ended_after_the_release(site: Site, ending: str) -> None:
    """It ends when everything is over, before it is put back by itself."""
    end = start_raised(site)
    hold(end)
    end.resume()
    check_order(end, BACKLOG)
    ENDINGS[ending](end)
    wait_length(end, USUAL)
    assert alias(end) == ""


def test_guest_that_never_reads(site: Site) -> None:
    """Frames lie in the longer queue: putting it back would lose them, so
    it stays, and the daemon says how to put it back."""
    end = start_raised(site)
    hold(end)
    run_without_reading(end)
    end.daemon.wait_counters(held=0)
    end.daemon.stop()
    assert length(end) == RAISED
    assert f"'ip link set {TAP} txqueuelen {USUAL} alias" in end.daemon.log
    end.vmm.read()
    check_order(end, BACKLOG)


def test_busy_network(site: Site) -> None:
    """While frames come all the time nothing is changed: that would lose
    some.  It is put back when there is silence."""
    end = start_raised(site)
    hold(end)
    before = end.tx_dropped()
    end.resume()
    sender = end.host.sender(TAP)
    over = threading.Event()
    sent = [time.monotonic()]

    def send() -> None:
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), -15)
        while not over.wait(0.0005):
            sender.send([numbered(LIVE + len(sent) - 1)])
            sent.append(time.monotonic())

    live = threading.Thread(target=send)
    live.start()
    time.sleep(1.5)
    busy = length(end)
    over.set()
    live.join()
    wait_length(end, USUAL)
    if max(b - a for a, b in zip(sent, sent[1:])) > 0.015:
        pytest.skip("this host is too busy to send all the time")
    assert busy == RAISED
    end.vmm.wait_count(BACKLOG + len(sent) - 1)
    assert [n for n in end.vmm.numbers() if n >= LIVE] == \
        list(range(LIVE, LIVE + len(sent) - 1))
    assert end.tx_dropped() == before


def test_network_that_has_learned(site: Site) -> None:
    """While the network sends the machine frames of its own, which are lost
    in a change, nothing is changed."""
    end = Destination(site)
    end.serve()
    listen(end)
    sender = end.host.sender(TAP)
    over = threading.Event()

    def send() -> None:
        while not over.wait(0.002):
            sender.send([GUEST_MAC + bytes(60)])

    live = threading.Thread(target=send)
    live.start()
    end.vmm.migration("active")
    time.sleep(1.5)
    busy = length(end)
    over.set()
    live.join()
    assert busy == USUAL
    wait_length(end, RAISED)


def test_somebody_elses_value(site: Site) -> None:
    """A length that is set meanwhile by somebody else stays."""
    end = start_raised(site)
    hold(end)
    end.host.ip(f"link set {TAP} txqueuelen 7000")
    end.resume()
    check_order(end, BACKLOG)
    end.daemon.wait_log("somebody else has set txqueuelen to 7000")
    assert length(end) == 7000
    assert alias(end) == ""


def test_somebody_elses_alias(site: Site) -> None:
    """An alias that the interface has is left alone."""
    end = Destination(site)
    end.serve()
    end.host.ip(f"link set {TAP} alias 'of the tenant'")
    listen(end)
    end.vmm.migration("active")
    wait_length(end, RAISED)
    hold(end)
    assert alias(end) == "of the tenant"
    end.resume()
    check_order(end, BACKLOG)
    wait_length(end, USUAL)
    assert alias(end) == "of the tenant"


@pytest.mark.parametrize("released", [False, True])
def test_killed(site: Site, released: bool) -> None:
    """The next daemon takes over from one that was killed, and does not take
    the longer queue for the usual one."""
    end = start_raised(site)
    hold(end)
    if released:
        end.resume()
        check_order(end, BACKLOG)
    end.daemon.kill()
    assert length(end) == RAISED
    assert alias(end) == NOTE
    listen(end)
    end.daemon.wait_log("txqueuelen was raised by another daemon")
    if not released:
        peer = site.peer("wire")
        peer.send(numbered_range(0, BACKLOG))
        end.daemon.wait_counters(held=BACKLOG)
        end.resume()
        check_order(end, BACKLOG)
    wait_length(end, USUAL)
    assert alias(end) == ""


def test_made_anew(site: Site) -> None:
    """Another interface of that name has a length of its own."""
    end = start_raised(site)
    hold(end)
    end.vmm.close_tap()
    end.host.ip(f"link del {TAP}")
    end.daemon.wait_log("the interface is gone")
    end.host.drop_senders()
    end.host.add_tap(TAP, 700)
    end.vmm.open(TAP)
    end.host.set_up(TAP)
    end.resume()
    check_order(end, BACKLOG)
    wait_length(end, 700)


def replace_reader(end: Destination) -> None:
    """Another VMM opens the TAP as soon as the last one has ended, and the
    notification that there was nobody in between is lost."""
    end.daemon.freeze(True)
    end.host.ip(*(f"link set lo mtu {60000 + i % 2}" for i in range(8000)))
    end.vmm.close_tap()
    end.vmm.open(TAP)
    end.daemon.freeze(False)
    end.daemon.wait_log("notifications were lost")


@pytest.mark.parametrize("ending", ["terminated", "resumed"])
def test_reader_replaced(site: Site, ending: str) -> None:
    """What the queue held when the VMM ended does not count for the next
    one's."""
    end = start_raised(site)
    hold(end)
    run_without_reading(end)
    end.daemon.wait_counters(held=0)
    replace_reader(end)
    end.vmm.set_status("inmigrate")
    end.vmm.emit("STOP")
    ENDINGS[ending](end)
    wait_length(end, USUAL)
    assert alias(end) == ""


def test_backlog_of_a_replaced_reader(site: Site) -> None:
    """What waits goes on to the next VMM."""
    end = start(site, "raise-queue=off")
    hold(end)
    run_without_reading(end)
    end.daemon.wait_counters(out_netdev=USUAL // 4)
    replace_reader(end)
    end.vmm.read()
    end.daemon.wait_counters(held=0)
    end.vmm.wait_count(BACKLOG - USUAL // 4)
    assert end.vmm.numbers() == list(range(USUAL // 4, BACKLOG))


def test_renamed(site: Site) -> None:
    """It is put back on an interface that has another name by then."""
    end = start_raised(site)
    end.host.ip(f"link set {TAP} down")
    end.host.ip(f"link set {TAP} name other0")
    end.daemon.wait_log("the interface is gone")
    wait_until(lambda: end.host.link("other0")["txqlen"] == USUAL,
               lambda: f"txqueuelen {USUAL}")
    assert end.host.link("other0").get("ifalias", "") == ""


def test_moved(site: Site) -> None:
    """Where it can't be put back any more a line has the command."""
    end = start_raised(site)
    end.host.ip(f"link set {TAP} netns {site.host().name}")
    end.daemon.wait_log("the interface is gone")
    end.daemon.wait_log(f"txqueuelen {USUAL} alias")
