# SPDX-License-Identifier: BSD-2-Clause
"""VMMs without a QMP monitor: what they do is told by the daemon's own stop
and cont, by a script's words, or by Cloud Hypervisor's events."""

import random
import socket
from typing import Dict

import pytest

from lib.daemon import Daemon, QmpFailure, run_daemon
from lib.site import Site
from lib.switchover import Switchover
from lib.words import CLOUD_HYPERVISOR, SCRIPT, Words, event

QUEUE = 20
# Frames shipped again where nothing tells what the guest got.
DEFAULT_OVERLAP = 8

VOCABULARIES = pytest.mark.parametrize(
    "words", [SCRIPT, CLOUD_HYPERVISOR],
    ids=["script", "cloud-hypervisor"])


class Manual(Switchover):
    """Both ends with the daemon's own run state."""

    def __init__(self, site: Site, **options: int) -> None:
        super().__init__(site, follows_vm=False, **options)

    def resume_source(self) -> None:
        """The virtual machine goes on at the source."""
        self.source.vmm.read()
        self.source.daemon.execute("cont")


def stop(pair: Switchover, queued: int, late: int) -> int:
    """Stop the virtual machine with frames in its TAP's queue and send
    some more.  Returns the number of the first that its guest did not
    get."""
    pair.source.vmm.read(False)
    first = pair.source.next
    pair.source.send(queued)
    pair.stop_source()
    pair.source.send(late)
    pair.source.wait_captured()
    pair.source.daemon.wait_counters(queued=0)
    return first


def check_moves(pair: Switchover, first: int) -> None:
    """The virtual machine runs at the destination, and its guest gets all
    frames from a number on, first those that waited."""
    pair.destination.daemon.wait_counters(out_netdev=0)
    pair.resume_destination()
    pair.destination.vmm.wait_count(pair.source.next - first)
    pair.source.send(3)
    pair.destination.vmm.wait_count(pair.source.next - first)
    assert pair.destination.vmm.numbers() == \
        list(range(first, pair.source.next))


def check_stays(pair: Switchover, stops: int = 1, repeats: int = 0) -> None:
    """The source's guest got every frame once, but for so many that may have
    come twice, after so many stops."""
    pair.source.vmm.wait_count(pair.source.next)
    pair.source.wait_phase("armed", stops + 1)
    pair.source.daemon.wait_counters(pending=0, queued=0)
    numbers = pair.source.vmm.numbers()
    assert set(numbers) == set(range(pair.source.next))
    assert len(numbers) <= pair.source.next + repeats


# The daemon's own run state

@pytest.mark.parametrize("queued", [0, 1, 200])
def test_manual_move(site: Site, queued: int) -> None:
    """stop here, cont there: not one frame lost, none twice."""
    pair = Manual(site).start()
    assert pair.destination.daemon.execute("query-status")["status"] == \
        "prelaunch"
    pair.source.run(30)
    check_moves(pair, stop(pair, queued, late=10))
    assert pair.destination.daemon.execute("query-status")["running"]
    assert not pair.source.daemon.execute("query-status")["running"]


def test_manual_cancel(site: Site) -> None:
    """stop and cont on the source: its guest gets all once, those that
    found the queue full included; then the move succeeds after all."""
    pair = Manual(site, txqueuelen=QUEUE).start()
    pair.source.run(30)
    for stops in (1, 2):
        stop(pair, queued=10, late=3 * QUEUE)
        pair.resume_source()
        check_stays(pair, stops)
    # Nobody tells a destination that its VM does not come: it is made anew.
    pair.destination.daemon.stop()
    pair.start_destination()
    pair.wait_connected()
    first = stop(pair, queued=5, late=QUEUE)
    check_moves(pair, first)


def test_manual_overlap(site: Site) -> None:
    """Another overlap than none can be asked for."""
    pair = Manual(site).start("overlap=2")
    pair.source.run(30)
    check_moves(pair, stop(pair, queued=5, late=5) - 2)


# Words

@VOCABULARIES
def test_words_move(site: Site, words: Dict[str, str]) -> None:
    """A VMM that is known not to swallow frames: none lost, none twice."""
    pair = Words(site, words).start("overlap=0")
    pair.source.run(30)
    check_moves(pair, stop(pair, queued=20, late=10))


@VOCABULARIES
def test_words_overlap(site: Site, words: Dict[str, str]) -> None:
    """Another VMM may swallow some: a repeat rather than a loss."""
    pair = Words(site, words).start()
    pair.source.run(30)
    check_moves(pair, stop(pair, queued=20, late=10) - DEFAULT_OVERLAP)


@VOCABULARIES
def test_words_cancel(site: Site, words: Dict[str, str]) -> None:
    """It stops and goes on where it was."""
    pair = Words(site, words, txqueuelen=QUEUE).start()
    pair.source.run(30)
    stop(pair, queued=10, late=3 * QUEUE)
    pair.resume_source()
    check_stays(pair, repeats=10)


@pytest.mark.parametrize("gone", ["gone", "vm.shutdown", "vmm.shutdown",
                                  "vm.migration-receive-failed"])
def test_words_gone(site: Site, gone: str) -> None:
    """The VM never came: what was held for it is thrown away."""
    pair = Words(site, SCRIPT).start("overlap=0")
    pair.source.run(5)
    stop(pair, queued=3, late=2)
    pair.destination.daemon.wait_counters(held=5)
    pair.say(pair.destination, gone)
    pair.destination.daemon.wait_counters(held=0, discarded=5)


def test_words_arm(site: Site) -> None:
    """Whoever says "idle" will say "migrating" before he says "stopped"."""
    pair = Words(site, SCRIPT)
    pair.source.start("null", follows_vm=False, arm="auto")
    source = pair.source
    source.wait_phase("armed")
    source.run(5)
    pair.say(source, "running", "idle")
    source.wait_phase("idle")
    source.run_unseen(5)
    pair.say(source, "migrating")
    source.wait_phase("armed", 2)
    source.run(5)
    pair.say(source, "stopped", "migrated", "gone")
    source.wait_phase("shipping")


def test_events_arm(site: Site) -> None:
    """A VM of Cloud Hypervisor may leave by a snapshot, of which no event
    warns: what is captured stays captured."""
    pair = Words(site, CLOUD_HYPERVISOR)
    pair.source.start("null", follows_vm=False, arm="auto")
    pair.source.wait_phase("armed")
    for number, name in enumerate(("vm.booted", "vm.migration-started",
                                   "vm.migration-failed",
                                   "vm.migration-started",
                                   "vm.migration-cancelled")):
        pair.say(pair.source, name)
        pair.source.daemon.wait_log(f"vm-lines: vm0: {name}",
                                    2 if number == 3 else 1)
        pair.source.run(5)
    assert pair.source.daemon.counters()["delivered"] == 25


def ignored(daemon: Daemon) -> int:
    """How many lines meant nothing to it."""
    count: int = daemon.execute("qom-get", path="/objects/vm0",
                                property="ignored-lines")
    return count


def test_other_lines_are_counted(site: Site) -> None:
    """One is logged, comments and events of no interest are none."""
    pair = Words(site, SCRIPT).start()
    daemon = pair.source.daemon
    pair.say(pair.source, "# a comment", "", "virtio-device.activated",
             "bogus\x01", "Running", "running for office", "running")
    daemon.wait_log("vm0: running")
    assert ignored(daemon) == 3
    assert daemon.log.count("ignores") == 1
    assert r"'bogus\001'" in daemon.log


@pytest.mark.parametrize("seed", range(3))
def test_hostile_writer(site: Site, seed: int) -> None:
    """Nothing that is written stops what comes after it."""
    dice = random.Random(seed)
    pair = Words(site, SCRIPT).start("overlap=0")
    pieces = [b"{", b"}", b'"source": "vm"', b",", b"\n", b"\0", b"[", b"]",
              b"\xff", b"x" * 3000, b'{"a":' * 500, b"#", b"\x1b[2J",
              event("vm.device-removed").encode()]
    for _ in range(20):
        pair.write(pair.source, b"".join(dice.choices(pieces, k=20)))
        pair.source.daemon.check()
    # An object that never ends swallows what follows, up to its bound.
    for _ in range(40):
        pair.write(pair.source, b"]}\n" + b"x" * 2000 + b"\n")
        pair.source.daemon.check()
    pair.source.run(5)
    check_moves(pair, stop(pair, queued=3, late=3))


def test_writer_comes_and_goes(site: Site) -> None:
    """Over a socket: the state stays when the writer goes, and half a line
    of one writer is no part of the next one's."""
    path = site.path("state")
    pair = Switchover(site, follows_vm=False)
    pair.source.run_state = [
        "-chardev", f"socket,id=state,path={path},server=on,wait=off",
        "-object", "vm-lines,id=vm0,chardev=state"]
    pair.source.start("null", "overlap=0", follows_vm=False)
    pair.source.run(5)

    def say(data: bytes) -> None:
        with socket.socket(socket.AF_UNIX) as writer:
            writer.connect(path)
            writer.send(data)

    say(b"running\nstop")
    pair.source.daemon.wait_log("lost its peer; until there is another the "
                                "VM counts as running")
    pair.source.run(5)
    pair.source.vmm.read(False)
    say(b"stopped\nrun")
    pair.source.wait_phase("shipping")
    pair.source.daemon.wait_log("the VM counts as stopped")
    pair.source.vmm.read()
    say(b"running\n")
    pair.source.wait_phase("armed", 2)
    assert ignored(pair.source.daemon) == 0


def test_refusals(site: Site) -> None:
    """What it needs must be there, be its own, and stay."""
    host = site.host()
    done = run_daemon(host, "-object", "vm-lines,id=vm0")
    assert "Parameter 'chardev' is missing" in done.stderr
    done = run_daemon(host, "-object", "vm-lines,id=vm0,chardev=c0")
    assert "Device 'c0' not found" in done.stderr
    done = run_daemon(host, "-chardev", "null,id=c0",
                      "-object", "vm-lines,id=vm0,chardev=c0",
                      "-object", "vm-lines,id=vm1,chardev=c0")
    assert "Device 'c0' is in use" in done.stderr
    site.guest(host)
    daemon = site.daemon(host, "daemon", "-netdev",
                         "tap,id=n0,ifname=tap0,vm=vm0", "-object",
                         "vm-lines,id=vm0,chardev=c0", "-chardev",
                         "null,id=c0")
    with pytest.raises(QmpFailure, match="Chardev 'c0' is busy"):
        daemon.execute("chardev-remove", id="c0")
    with pytest.raises(QmpFailure, match="'vm0' is in use"):
        daemon.execute("object-del", id="vm0")
    daemon.execute("netdev_del", id="n0")
    daemon.execute("object-del", id="vm0")
    daemon.execute("chardev-remove", id="c0")
