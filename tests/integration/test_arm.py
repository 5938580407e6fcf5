# SPDX-License-Identifier: BSD-2-Clause
"""When capture=undelivered begins to remember frames: with arm=auto when a
migration begins, where the virtual machine tells of that."""

import pytest

from lib.site import Site
from lib.switchover import Source, Switchover


def start(site: Site, events: bool = True, arm: str = "auto",
          migration: str = "") -> Source:
    """A source whose peer never comes."""
    source = Source(site)
    if migration:
        source.vmm.migration(migration)
    source.serve(events=events)
    source.vmm.read()
    source.start(f"socket,path={site.path('wire')},reconnect-ms=50", arm=arm)
    source.daemon.wait_log("the VM is running")
    return source


def test_captured_only_during_a_migration(site: Site) -> None:
    """Armed by the beginning of a migration, disarmed by its end."""
    source = start(site)
    source.wait_phase("idle")
    source.run_unseen(10)
    source.vmm.migration("setup")
    source.wait_phase("armed")
    source.run(10)
    source.vmm.migration("active")
    source.run(10)
    source.vmm.migration("cancelled")
    source.wait_phase("idle", 2)
    source.run_unseen(10)
    source.vmm.migration("setup")
    source.wait_phase("armed", 2)
    source.run(10)
    source.vmm.migration("failed")
    source.wait_phase("idle", 3)
    source.run_unseen(10)
    assert source.daemon.counters()["delivered"] == 30


def test_disarmed_when_the_queue_is_empty(site: Site) -> None:
    """What was pending when the migration ended is still followed."""
    source = start(site)
    source.wait_phase("idle")
    source.vmm.migration("setup")
    source.wait_phase("armed")
    source.vmm.read(False)
    source.send(10)
    source.wait_captured()
    source.vmm.migration("cancelled")
    source.daemon.wait_counters(pending=10)
    source.vmm.read()
    source.wait_phase("idle", 2)
    source.daemon.wait_counters(pending=0, delivered=10)


@pytest.mark.parametrize("events, arm", [(False, "auto"), (True, "always")])
def test_captured_from_the_start(site: Site, events: bool, arm: str) -> None:
    """Where a migration's beginning can't be known, or always."""
    source = start(site, events, arm)
    source.wait_phase("armed")
    source.run(10)


def test_migration_under_way(site: Site) -> None:
    """A migration that had begun before the daemon did."""
    source = start(site, migration="active")
    source.wait_phase("armed")
    source.run(10)


def test_events_switched_on_later(site: Site) -> None:
    """A management program switches the capability on: from the first
    event on it is known when a migration runs."""
    source = start(site, events=False)
    source.run(5)
    source.vmm.migration("setup")
    source.run(5)
    source.vmm.migration("cancelled")
    source.wait_phase("idle")
    source.run_unseen(5)


def test_switchover_when_armed_late(site: Site) -> None:
    """A daemon that looks only from the migration on is as exact."""
    pair = Switchover(site)
    pair.start("arm=auto")
    pair.source.wait_phase("idle")
    pair.source.run_unseen(50)
    pair.source.vmm.migration("setup")
    pair.source.wait_phase("armed")
    pair.source.calibrate()
    pair.source.vmm.migration("active")
    pair.source.vmm.read(False)
    first = pair.source.next
    pair.source.send(20)
    pair.source.vmm.swallow(2)
    pair.stop_source()
    pair.source.send(10)
    pair.wait_arrived()
    pair.source.vmm.migration("completed")
    pair.resume_destination()
    pair.destination.vmm.wait_count(30)
    assert pair.destination.vmm.numbers() == list(range(first, first + 30))


def test_stopped_without_a_migration(site: Site) -> None:
    """A virtual machine that is merely paused, by another kind of
    switchover: all that comes from then on is shipped."""
    pair = Switchover(site)
    pair.start("arm=auto")
    pair.source.wait_phase("idle")
    pair.source.run_unseen(5)
    pair.stop_source()
    first = pair.source.next
    pair.source.send(10)
    pair.wait_arrived()
    pair.resume_destination()
    pair.destination.vmm.wait_count(10)
    assert pair.destination.vmm.numbers() == list(range(first, first + 10))
