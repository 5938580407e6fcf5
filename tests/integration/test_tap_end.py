# SPDX-License-Identifier: BSD-2-Clause
"""The old VMM ends before the network has learned where its guest is: the
daemon keeps the TAP, and with it the late frames, for as long as they come,
and leaves nothing behind."""

from typing import Iterator

import pytest

from lib.frames import numbered
from lib.site import Site
from lib.switchover import TAP, Switchover
from lib.waiting import wait_until

BROADCAST = b"\xff" * 6
KEPT = f"keeps {TAP}"
LET_GO = f"lets go of {TAP}: "


def moved(site: Site, keep: str = "keep-tap-ms=1500",
          **options: object) -> Switchover:
    """The VM has moved, its guest has got everything, and the old VMM ends
    before the network has learned."""
    pair = Switchover(site, **options).start(keep)
    pair.source.calibrate()
    pair.source.vmm.migration("active")
    pair.stop_source()
    pair.source.send(10)
    pair.wait_arrived()
    pair.resume_destination()
    pair.source.vmm.migration("completed")
    pair.source.vmm.kill()
    pair.source.daemon.wait_log("has ended")
    return pair


def carrier(pair: Switchover) -> bool:
    """Has the old TAP one?"""
    return "LOWER_UP" in pair.source.host.link(TAP)["flags"]


def check_late(pair: Switchover) -> None:
    """Late frames come to the guest as all others did."""
    first = pair.source.next - 10
    pair.source.send(40)
    pair.wait_arrived()
    pair.destination.vmm.wait_count(50)
    assert pair.destination.vmm.numbers() == \
        list(range(first, pair.source.next))


def check_let_go(pair: Switchover, why: str) -> None:
    """The TAP is nobody's any more."""
    pair.source.daemon.wait_log(LET_GO + why)
    wait_until(lambda: not carrier(pair), "the TAP to lose its carrier")


def test_late_frames(site: Site) -> None:
    """They are carried while they come; then the TAP is let go."""
    pair = moved(site)
    check_late(pair)
    check_let_go(pair, "no frame comes any more")


def test_nothing_is_left(site: Site) -> None:
    """A TAP that is not persistent vanishes; another VMM has its name."""
    pair = moved(site, persistent=False)
    check_late(pair)
    pair.source.daemon.wait_log(LET_GO + "no frame comes any more")
    pair.source.daemon.wait_log(f"{TAP}: the interface is gone")
    pair.source.host.drop_senders()
    site.vmm(pair.source.host, TAP)
    pair.source.daemon.wait_log(f"{TAP}: the interface is back")


def test_full_queue(site: Site) -> None:
    """Nobody reads it any more, and nothing is lost for all that."""
    pair = moved(site, "keep-tap-ms=10000", txqueuelen=10)
    check_late(pair)
    assert pair.source.tx_dropped() > 0
    assert pair.source.daemon.counters()["dropped-tap-full"] == 0


def test_broadcasts_do_not_count(site: Site) -> None:
    """There is always somebody who sends them."""
    pair = moved(site, "keep-tap-ms=300")
    source = pair.source

    def let_go() -> bool:
        if carrier(pair):
            source.host.sender(TAP).send([BROADCAST + numbered(0)[6:]])
        return LET_GO in source.daemon.log

    wait_until(let_go, "the TAP to be let go")


def test_not_kept(site: Site) -> None:
    """Switched off."""
    pair = moved(site, "keep-tap-ms=0")
    wait_until(lambda: not carrier(pair), "the TAP to lose its carrier")
    assert KEPT not in pair.source.daemon.log


@pytest.mark.parametrize("how", ["deleted", "renamed", "down"])
def test_taken_away(site: Site, how: str) -> None:
    """Somebody cleans up behind the VMM: the daemon is not in the way."""
    pair = moved(site, "keep-tap-ms=600000")
    pair.source.host.drop_senders()
    pair.source.host.ip(*{
        "deleted": [f"link del {TAP}"],
        "renamed": [f"link set {TAP} down", f"link set {TAP} name old0"],
        "down": [f"link set {TAP} down"]}[how])
    pair.source.daemon.wait_log(LET_GO + "it was taken away")
    if how == "down":
        pair.source.host.ip(f"link set {TAP} up")
        wait_until(lambda: not carrier(pair), "no carrier")
    else:
        site.vmm(pair.source.host, TAP)
        pair.source.daemon.wait_log(f"{TAP}: the interface is back")


def cancelled(pair: Switchover) -> None:
    """The VM runs here again."""
    pair.source.vmm.resume()
    pair.source.vmm.migration("cancelled")
    pair.source.wait_phase("armed", 2)


def test_cancelled(site: Site) -> None:
    """The VM stays: its TAP is none of the daemon's business."""
    pair = Switchover(site).start("keep-tap-ms=600000")
    pair.source.calibrate()
    pair.source.vmm.migration("active")
    pair.stop_source()
    pair.source.daemon.wait_log(KEPT)
    cancelled(pair)
    pair.source.daemon.wait_log(LET_GO + "the VM stays here")
    pair.source.vmm.kill()
    wait_until(lambda: not carrier(pair), "the TAP to lose its carrier")


def test_crash_on_the_way(site: Site) -> None:
    """The VMM ends in a migration, and the VM with it."""
    pair = Switchover(site).start("keep-tap-ms=600000")
    pair.source.calibrate()
    pair.source.vmm.migration("active")
    pair.source.daemon.wait_log(KEPT)
    pair.source.vmm.kill()
    check_let_go(pair, "the VM has not moved")


def test_plain_stop(site: Site) -> None:
    """Without a migration nothing is kept."""
    pair = Switchover(site).start("keep-tap-ms=600000")
    pair.source.calibrate()
    pair.source.vmm.migration("none")
    pair.stop_source()
    pair.source.vmm.kill()
    wait_until(lambda: not carrier(pair), "the TAP to lose its carrier")
    assert KEPT not in pair.source.daemon.log


def switch_off(pair: Switchover) -> None:
    """The redirector's status."""
    pair.source.daemon.execute("qom-set", path="/objects/rd0",
                               property="status", value="off")


def delete(pair: Switchover) -> None:
    """The redirector."""
    pair.source.daemon.execute("object-del", id="rd0")


@pytest.mark.parametrize("act, why", [
    (switch_off, "the redirector is off"),
    (delete, "the redirector is deleted")])
def test_by_hand(site: Site, act: object, why: str) -> None:
    """An operator ends it."""
    pair = moved(site, "keep-tap-ms=600000")
    assert callable(act)
    act(pair)
    check_let_go(pair, why)


@pytest.fixture(name="without_rights")
def fixture_without_rights(site: Site) -> Iterator[Switchover]:
    """A source whose daemon may not look into the VMM."""
    pair = Switchover(site)
    pair.source.inside = ["setpriv", "--bounding-set", "-sys_ptrace",
                          "--inh-caps", "-sys_ptrace"]
    yield pair.start()


def test_without_rights(without_rights: Switchover) -> None:
    """One line, and on it goes as far as it gets."""
    pair = without_rights
    pair.source.vmm.read()
    pair.source.vmm.migration("active")
    pair.source.daemon.wait_log(f"{TAP} can not be kept")
    pair.stop_source()
    pair.source.send(10)
    pair.wait_arrived()
    pair.source.vmm.kill()
    wait_until(lambda: not carrier(pair), "the TAP to lose its carrier")
    assert pair.source.daemon.log.count("can not be kept") == 1
