# SPDX-License-Identifier: BSD-2-Clause
"""The interface goes down, away, and comes back, under the daemon's feet:
it says so, lives on, and what it held is injected when it can be."""

from typing import Tuple

import pytest

from lib.frames import numbered, numbered_range
from lib.hosts import run
from lib.site import Site
from lib.switchover import TAP, Destination, End, Switchover
from lib.waiting import wait_until
from lib.wire import Peer


def holding(site: Site) -> Tuple[Destination, Peer]:
    """A destination that holds 30 frames."""
    end = Destination(site)
    end.serve()
    end.start(f"socket,path={site.path('wire')},server=on,wait=off")
    peer = site.peer("wire")
    peer.send(numbered_range(0, 30))
    end.daemon.wait_counters(held=30)
    return end, peer


def check_arrive(end: Destination, peer: Peer) -> None:
    """What was held and what comes now arrive, in order."""
    end.vmm.wait_count(30)
    peer.send(numbered_range(30, 40))
    end.vmm.wait_count(40)
    assert end.vmm.numbers() == list(range(40))
    end.daemon.wait_counters(out_netdev=40, held=0, dropped_inject=0)


def make_again(end: End) -> None:
    """Another interface of the same name; the VMM opens it."""
    end.host.drop_senders()
    end.host.add_tap(TAP)
    end.vmm.open(TAP)
    end.host.set_up(TAP)


def remove(end: End) -> None:
    """The interface is deleted."""
    end.vmm.close_tap()
    end.host.ip(f"link del {TAP}")
    end.daemon.wait_log(f"{TAP}: the interface is gone")


def test_down_and_up(site: Site) -> None:
    """While it is down nothing is injected, and nothing lost."""
    end, peer = holding(site)
    end.host.ip(f"link set {TAP} down")
    end.daemon.wait_log(f"{TAP}: the interface is down")
    end.vmm.set_status("running")
    end.vmm.emit("RESUME")
    peer.send(numbered_range(30, 31))
    end.daemon.wait_counters(held=31, out_netdev=0)
    end.host.set_up(TAP)
    end.vmm.read()
    end.vmm.wait_count(31)
    assert end.vmm.numbers() == list(range(31))


def test_down_while_passing(site: Site) -> None:
    """It goes down when the machine already runs."""
    end, peer = holding(site)
    end.resume()
    end.vmm.wait_count(30)
    end.vmm.read(False)
    end.host.ip(f"link set {TAP} down")
    end.daemon.wait_log(f"{TAP}: the interface is down")
    peer.send(numbered_range(30, 40))
    end.daemon.wait_counters(held=10)
    end.host.set_up(TAP)
    end.vmm.read()
    end.vmm.wait_count(40)
    assert end.vmm.numbers() == list(range(40))


@pytest.mark.parametrize("when", ["before", "after"])
def test_deleted_and_made_again(site: Site, when: str) -> None:
    """Another interface under its name takes its place, whether the
    machine resumes before that or after."""
    end, peer = holding(site)
    remove(end)
    if when == "before":
        end.vmm.set_status("running")
        end.vmm.emit("RESUME")
    make_again(end)
    end.daemon.wait_log(f"{TAP}: the interface is back")
    end.resume()
    end.vmm.read()
    check_arrive(end, peer)


@pytest.mark.parametrize("direction", ["away", "back"])
def test_renamed(site: Site, direction: str) -> None:
    """An interface is what bears its name."""
    end, peer = holding(site)
    end.host.ip(f"link set {TAP} down", f"link set {TAP} name other0",
                "link set other0 up")
    end.daemon.wait_log(f"{TAP}: the interface is gone")
    if direction == "back":
        end.resume()
        peer.send(numbered_range(30, 31))
        end.daemon.wait_counters(held=31)
        end.host.ip("link set other0 down", f"link set other0 name {TAP}")
        end.host.set_up(TAP)
        end.vmm.wait_count(31)
        assert end.vmm.numbers() == list(range(31))
    else:
        end.host.add_tap(TAP)
        newcomer = site.vmm(end.host, TAP)
        end.daemon.wait_log(f"{TAP}: the interface is back")
        end.vmm.set_status("running")
        end.vmm.emit("RESUME")
        newcomer.read()
        newcomer.wait_count(30)
        assert newcomer.numbers() == list(range(30))
        assert end.vmm.count() == 0


def test_moved_to_another_namespace(site: Site) -> None:
    """From here it is gone."""
    end, peer = holding(site)
    elsewhere = site.host()
    end.vmm.close_tap()
    run("ip", "-n", end.host.name, "link", "set", TAP, "netns",
        elsewhere.name)
    end.daemon.wait_log(f"{TAP}: the interface is gone")
    make_again(end)
    end.resume()
    check_arrive(end, peer)


def test_many_times(site: Site) -> None:
    """Down and up again and again, under traffic."""
    end, peer = holding(site)
    end.resume()
    end.vmm.wait_count(30)
    for i in range(30, 130, 10):
        end.host.ip(f"link set {TAP} down")
        peer.send(numbered_range(i, i + 10))
        end.daemon.wait_counters(indev=i + 10)
        end.host.set_up(TAP)
        end.vmm.wait_count(i + 10)
    assert end.vmm.numbers() == list(range(130))


def test_source_made_again_while_running(site: Site) -> None:
    """The capturing side goes on with the new interface, and a switchover
    then is as exact as ever."""
    pair = Switchover(site).start()
    pair.source.calibrate()
    pair.source.run(20)
    pair.source.vmm.read(False)
    pair.source.send(5)
    pair.source.daemon.wait_counters(pending=5)
    remove(pair.source)
    make_again(pair.source)
    pair.source.daemon.wait_log(f"{TAP}: the interface is back")
    pair.source.daemon.check()
    pair.source.vmm.read()
    before = pair.source.next
    for number in range(1, 11):
        pair.source.send(1)
        pair.source.vmm.wait_count(number)
        pair.source.daemon.wait_counters(in_netdev=pair.source.next, pending=0)
    pair.source.vmm.read(False)
    first = pair.source.next
    pair.source.send(20)
    pair.stop_source()
    pair.wait_arrived()
    pair.resume_destination()
    pair.destination.daemon.wait_counters(held=0)
    numbers = pair.destination.vmm.numbers()
    assert numbers == list(range(numbers[0], pair.source.next))
    # The VMM is another one; its used index was not read anew.
    assert first - 8 <= numbers[0] <= first and numbers[0] >= before


def queued_for_nobody(site: Site) -> Tuple[Switchover, int]:
    """A source that is to ship 50 frames, with nobody there yet; and the
    first of them."""
    pair = Switchover(site)
    pair.start_source()
    pair.source.calibrate()
    pair.stop_source()
    first = pair.source.next
    pair.source.send(50)
    pair.source.daemon.wait_counters(queued=50)
    return pair, first


def test_source_gone_while_shipping(site: Site) -> None:
    """The VMM ends after the migration and takes its TAP with it: what was
    captured is shipped all the same."""
    pair, first = queued_for_nobody(site)
    remove(pair.source)
    pair.start_destination()
    pair.source.daemon.wait_counters(outdev=50, queued=0)
    pair.destination.daemon.wait_counters(indev=50)
    pair.resume_destination()
    pair.destination.vmm.wait_count(50)
    assert pair.destination.vmm.numbers() == list(range(first, first + 50))


def test_source_down_while_shipping(site: Site) -> None:
    """Down, and up again: later frames are shipped too."""
    pair = Switchover(site).start()
    pair.source.calibrate()
    pair.stop_source()
    first = pair.source.next
    pair.source.send(5)
    pair.wait_arrived()
    pair.source.host.ip(f"link set {TAP} down")
    pair.source.daemon.wait_log(f"{TAP}: the interface is down")
    pair.source.host.set_up(TAP)
    pair.source.send(5)
    pair.wait_arrived()
    pair.resume_destination()
    pair.destination.vmm.wait_count(10)
    assert pair.destination.vmm.numbers() == list(range(first, first + 10))


def test_more_news_than_the_kernel_keeps(site: Site) -> None:
    """A storm of changes on the host, of which the kernel throws away what
    it has no room for: what happened to its own interface meanwhile is found
    out all the same."""
    end, peer = holding(site)
    end.resume()
    end.vmm.wait_count(30)
    end.daemon.freeze(True)
    end.vmm.close_tap()
    end.host.ip(f"link del {TAP}",
                *(f"link set lo mtu {60000 + i % 2}" for i in range(8000)))
    end.daemon.freeze(False)
    end.daemon.wait_log("notifications were lost")
    end.daemon.wait_log(f"{TAP}: the interface is gone")
    peer.send(numbered_range(30, 40))
    make_again(end)
    end.vmm.read()
    end.vmm.wait_count(10)
    assert end.vmm.numbers() == list(range(30, 40))


def changes(end: End) -> int:
    """How often the interface has changed, as the daemon counts."""
    count: int = end.daemon.execute("qom-get", path="/netdevs/n0",
                                    property="link-changes")
    return count


def rename(end: End, name: str, other: str) -> None:
    """Give the interface another name."""
    end.host.ip(f"link set {name} down", f"link set {name} name {other}",
                f"link set {other} up")
    end.host.wait_passing(other)


def test_changes_are_counted(site: Site) -> None:
    """Down, up, renamed, back, deleted, made again."""
    end, _ = holding(site)
    assert changes(end) == 0
    end.host.ip(f"link set {TAP} down")
    wait_until(lambda: changes(end) == 1, "down to be counted")
    end.host.ip(f"link set {TAP} up", f"link set {TAP} down",
                f"link set {TAP} name other0", f"link set other0 name {TAP}")
    wait_until(lambda: changes(end) == 5, "a new name to be counted")
    remove(end)
    assert changes(end) == 6
    end.host.add_tap(TAP)
    wait_until(lambda: changes(end) == 7, "another one to be counted")


@pytest.mark.parametrize("phase", ["armed", "shipping"])
def test_source_renamed(site: Site, phase: str) -> None:
    """What bears another name is another's; back under its own it is
    captured as before."""
    pair = Switchover(site).start()
    source = pair.source
    source.calibrate()
    if phase == "shipping":
        pair.stop_source()
    rename(source, TAP, "other0")
    source.daemon.wait_log(f"{TAP}: the interface is gone")
    before = source.daemon.counters()
    source.host.sender("other0").send(numbered_range(1000, 1010))
    rename(source, "other0", TAP)
    source.daemon.wait_log(f"{TAP}: the interface is back")
    assert source.daemon.counters() == before
    if phase == "armed":
        source.vmm.wait_count(source.next + 10)
        source.vmm.read(False)
        source.send(5)
        pair.stop_source()
        first = source.next - 5
    else:
        first = source.next
        source.send(5)
    pair.wait_arrived()
    pair.resume_destination()
    pair.destination.daemon.wait_counters(held=0)
    pair.wait_last(numbered(source.next - 1))
    numbers = pair.destination.vmm.numbers()
    assert [each for each in numbers if first <= each < 1000] == \
        list(range(first, source.next))


def test_source_moved_to_another_namespace(site: Site) -> None:
    """From here it is gone, and what was captured is shipped."""
    pair, first = queued_for_nobody(site)
    pair.source.host.drop_senders()
    run("ip", "-n", pair.source.host.name, "link", "set", TAP, "netns",
        site.host().name)
    pair.source.daemon.wait_log(f"{TAP}: the interface is gone")
    pair.start_destination()
    pair.wait_equal()
    pair.resume_destination()
    pair.destination.vmm.wait_count(50)
    assert pair.destination.vmm.numbers() == list(range(first, first + 50))


def come_back(pair: Switchover) -> None:
    """Another VMM with another TAP waits at the old host; then the VM runs
    in it."""
    source = pair.source
    known = source.daemon.log.count("the VM is stopped")
    source.host.drop_senders()
    source.vmm = source.site.vmm(source.host, TAP)
    source.daemon.wait_log(f"{TAP}: the interface is back")
    source.vmm.set_status("inmigrate")
    (source.site.directory / f"{source.name}.vm").unlink()
    source.serve()
    source.daemon.wait_log("the VM is stopped", known + 1)
    source.vmm.resume()
    source.wait_phase("armed", source.daemon.log.count("rd0: armed") + 1)


def test_there_and_back_and_there(site: Site) -> None:
    """One daemon sees its VM leave, the VMM end and take its TAP along, the
    VM come back in another VMM, and leave again, as exactly as before."""
    pair = Switchover(site, persistent=False).start("keep-tap-ms=100")
    source, target = pair.source, pair.destination
    source.calibrate()
    source.vmm.migration("active")
    pair.stop_source()
    source.send(10)
    pair.wait_arrived()
    pair.resume_destination()
    source.vmm.migration("completed")
    source.vmm.kill()
    source.daemon.wait_log(f"{TAP}: the interface is gone")
    target.vmm.wait_count(10)
    target.vmm.stop()
    come_back(pair)
    assert source.vmm.count() == 0
    before = source.next
    for number in range(1, 11):
        source.send(1)
        source.vmm.wait_count(number)
        source.daemon.wait_counters(pending=0)
    source.daemon.wait_exact()
    first = source.next
    pair.stop_source()
    source.send(10)
    pair.wait_arrived()
    pair.resume_destination()
    target.vmm.wait_count(20)
    assert source.vmm.numbers() == list(range(before, first))
    assert target.vmm.numbers()[10:] == list(range(first, source.next))
