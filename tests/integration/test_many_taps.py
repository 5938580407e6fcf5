# SPDX-License-Identifier: BSD-2-Clause
"""Many machines on one daemon: what one of them costs does not grow with
their number, and one frame is one machine's alone."""

import os

import pytest

from lib.daemon import Daemon, QmpFailure, packets_of
from lib.frames import numbered_range
from lib.site import Site
from lib.waiting import wait_until

MACHINES = 100
# Descriptors of an armed machine: its capture, its chardev's socket.
DESCRIPTORS = 2


def add_machine(daemon: Daemon, number: int) -> None:
    """A TAP, armed from the start."""
    daemon.execute("netdev_add", type="tap", id=f"n{number}",
                   ifname=f"t{number}")
    daemon.execute("chardev-add", id=f"c{number}", backend={
        "type": "socket", "data": {
            "addr": {"type": "unix", "data": {
                "path": f"tapferry-many-{os.getpid()}-{number}",
                "abstract": True}},
            "server": True, "wait": False}})
    daemon.add("filter-redirector", f"r{number}", netdev=f"n{number}",
               in_netdev=f"n{number}", outdev=f"c{number}",
               capture="undelivered", arm="always")


def remove_machine(daemon: Daemon, number: int) -> None:
    """All of it."""
    daemon.execute("object-del", id=f"r{number}")
    daemon.execute("netdev_del", id=f"n{number}")
    daemon.execute("chardev-remove", id=f"c{number}")


def descriptors(daemon: Daemon) -> int:
    """How many the daemon has open."""
    return len(os.listdir(f"/proc/{daemon.pid}/fd"))


def wait_descriptors(daemon: Daemon, count: int) -> None:
    """Wait until it has no more than these; some are closed a little
    later."""
    wait_until(lambda: descriptors(daemon) <= count,
               lambda: f"{descriptors(daemon)} descriptors to be {count}")


def test_each_has_its_own(site: Site) -> None:
    """Frames at a few of many TAPs count there and nowhere else, all of
    them notice what happens to their interfaces, and none leaves anything
    behind."""
    host = site.host()
    names = [f"t{number}" for number in range(MACHINES)]
    host.ip(*(f"tuntap add {name} mode tap" for name in names))
    guests = site.vmm(host, *names)
    daemon = site.daemon(host, "many")
    add_machine(daemon, 0)
    before = descriptors(daemon)
    for number in range(1, MACHINES):
        add_machine(daemon, number)
    wait_descriptors(daemon, before + DESCRIPTORS * (MACHINES - 1))

    busy = range(0, MACHINES, 10)
    for number in busy:
        guests.read(ifname=names[number])
        host.sender(names[number]).send(numbered_range(0, number + 1))
    for number in busy:
        daemon.wait_counters(f"r{number}", in_netdev=number + 1,
                             delivered=number + 1)
    for entry in daemon.entries():
        number = int(entry["name"][1:])
        expected = number + 1 if number in busy else 0
        assert packets_of(entry)["in_netdev"] == expected, entry

    host.drop_senders()
    host.ip(*(f"link del {name}" for name in names[::2]))
    for name in names[::2]:
        daemon.wait_log(f"{name}: the interface is gone")
    assert daemon.log.count("is gone") == MACHINES // 2

    for number in range(1, MACHINES):
        remove_machine(daemon, number)
    wait_descriptors(daemon, before)


def test_too_few_descriptors(site: Site) -> None:
    """Where the limit on descriptors is reached, the object that needs one
    more is refused, and the error says what to do; nothing else suffers."""
    host = site.host()
    names = [f"t{number}" for number in range(60)]
    host.ip(*(f"tuntap add {name} mode tap" for name in names),
            *(f"link set {name} up" for name in names))
    daemon = site.daemon(host, "poor", inside=["prlimit", "--nofile=64:64"])
    with pytest.raises(QmpFailure, match="open files; raise the hard limit"):
        for number in range(60):
            add_machine(daemon, number)
    machines = len(daemon.entries())
    assert 10 < machines < 40
    remove_machine(daemon, 0)
    add_machine(daemon, 0)
    assert len(daemon.entries()) == machines
