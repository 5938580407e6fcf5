# SPDX-License-Identifier: BSD-2-Clause
"""One live migration of a real guest, under a counted stream of packets.

    /usr/bin/python3 -m lab.migration --mode tapferry --pps 1000 --size 64

prints the result as JSON; ``lab/cli.py`` has the options.
"""

import contextlib
import os
import sys
import time
from typing import Callable, Dict, Optional

from .daemon import Daemon, ledger
from .errors import GuestError, LabError, MigrationError
from .guest import Guest
from .netns import (BROADCAST_ADDRESS, GUEST_ADDRESS, GUEST_MAC, MANAGEMENT,
                    World)
from .paths import Paths
from .qmp import QmpError
from .replay import ReplayAround
from .result import Result, Scenario, lost_ranges
from .superframes import SuperFrames
from .traffic import PingResult, Pings, Stream, StreamResult

MIGRATION_PORT = 7800
MIGRATION_URI = f"tcp:{MANAGEMENT['hostB']}:{MIGRATION_PORT}"

Progress = Callable[[str], None]


def _quiet(_text: str) -> None:
    pass


def run(scenario: Scenario, paths: Optional[Paths] = None,
        progress: Progress = _quiet) -> Result:
    """Carry out one run; raises LabError where that is not possible."""
    paths = paths or Paths()
    if scenario.mode == "tapferry":
        for program in (paths.tapferry, paths.tapferryd):
            if not program.exists():
                raise LabError(f"no {program}: run make first")
    paths.prepare()
    stack = contextlib.ExitStack()
    try:
        return _Run(scenario, paths, progress, stack).execute()
    finally:
        stack.close()


def run_patiently(scenario: Scenario, paths: Optional[Paths] = None,
                  progress: Progress = _quiet) -> Result:
    """Carry out one run; if its guest dies, which says nothing about
    packets, try once more."""
    try:
        return run(scenario, paths, progress)
    except GuestError as error:
        progress(f"{error}; trying again")
        return run(scenario, paths, progress)


class _Run:
    """The steps of a run, in their order."""

    _source: Guest
    _destination: Guest
    _migration: Dict[str, int]

    def __init__(self, scenario: Scenario, paths: Paths, progress: Progress,
                 stack: contextlib.ExitStack) -> None:
        self._scenario = scenario
        self._paths = paths
        self._progress = progress
        self._stack = stack
        self._world = stack.enter_context(
            World(scenario.txqueuelen, scenario.keep_logs,
                  scenario.machine.queues))
        self._daemons: Dict[str, Daemon] = {}
        if scenario.keep_logs:
            progress(f"logs will be in {self._world.kept_directory}")

    def execute(self) -> Result:
        """All of it."""
        scenario = self._scenario
        self._progress("booting the guest")
        self._boot()
        if scenario.mode == "tapferry":
            self._progress("starting tapferry on both hosts")
            self._start_daemons()
        elif scenario.mode == "replay":
            self._stack.enter_context(ReplayAround(
                self._world, self._source.monitor_path,
                self._destination.monitor_path))
        self._progress(f"streaming {scenario.pps} packets/s of "
                       f"{scenario.size} bytes")
        pings = self._stack.enter_context(Pings(self._world))
        stream = self._stack.enter_context(
            Stream(self._world, self._paths, scenario.pps, scenario.size,
                   server=BROADCAST_ADDRESS if scenario.broadcast
                   else GUEST_ADDRESS))
        super_frames = self._stack.enter_context(
            SuperFrames(self._world, scenario.super_pps)) \
            if scenario.super_pps else None
        time.sleep(scenario.lead_s)
        self._progress({"migrate": "live-migrating the guest"}.get(
            scenario.action, scenario.action))
        started = time.time()
        self._act()
        self._migration = self._migration_info()
        if scenario.quit_source:
            self._source.quit()
        time.sleep(scenario.settle_s)
        self._progress("counting")
        ping_result = pings.finish()
        stream_result = stream.finish()
        result = self._collect(started, stream_result, ping_result)
        if super_frames:
            result.super_frames = super_frames.finish()
        return result

    # Setting up

    def _boot(self) -> None:
        self._source = self._guest("hostA")
        self._source.wait_boot(self._scenario.boot_timeout_s)
        self._wait_echo()
        # Only now: what comes while the switch has not yet learned where
        # the guest is would wait in the destination's TAP.
        self._destination = self._guest("hostB", MIGRATION_URI)
        for guest in (self._source, self._destination):
            guest.qmp.command("migrate-set-capabilities", {
                "capabilities": [{"capability": "events", "state": True}]})

    def _guest(self, role: str, incoming: Optional[str] = None) -> Guest:
        return self._stack.enter_context(
            Guest(self._world, role, self._scenario.machine, self._paths,
                  incoming))

    def _wait_echo(self) -> None:
        end = time.monotonic() + self._scenario.boot_timeout_s
        while time.monotonic() < end:
            with Stream(self._world, self._paths, rate=20, size=64,
                        seconds=1, linger_ms=200) as probe:
                if probe.finish(stop=False).lost == 0:
                    return
            self._source.check()
        raise GuestError("the guest booted but does not answer")

    def _start_daemon(self, side: str) -> None:
        guest, properties = {
            "source": (self._source, self._scenario.source_properties),
            "destination": (self._destination,
                            self._scenario.destination_properties)}[side]
        self._daemons[side] = self._stack.enter_context(Daemon(
            self._world, side, guest.monitor_path, self._paths, properties))

    def _start_daemons(self) -> None:
        scenario = self._scenario
        for side in ("source", "destination"):
            self._start_daemon(side)
        for daemon in self._daemons.values():
            daemon.wait_ready()
        if scenario.announce:
            self._destination.qmp.command("migrate-set-parameters",
                                          {"announce-rounds": 0})
            self._daemons["destination"].announce(GUEST_MAC)

    # The actions

    def _act(self) -> None:
        {"migrate": self._migrate,
         "cancel": self._cancel,
         "cancel-stopped": self._cancel_stopped,
         "stop-cont": self._stop_cont}[self._scenario.action]()

    def _start_migration(self, pause: bool = False,
                         bandwidth_mb: Optional[int] = None) -> None:
        scenario = self._scenario
        qmp = self._source.qmp
        qmp.command("migrate-set-parameters", {
            "max-bandwidth": (bandwidth_mb or scenario.bandwidth_mb) << 20,
            "downtime-limit": scenario.downtime_limit_ms})
        if pause:
            qmp.command("migrate-set-capabilities", {"capabilities": [
                {"capability": "pause-before-switchover", "state": True}]})
        qmp.command("migrate", {"uri": MIGRATION_URI})

    def _wait_status(self, status: str) -> None:
        try:
            self._source.qmp.wait_event(
                "MIGRATION", self._scenario.migration_timeout_s,
                status=status)
        except QmpError as error:
            state = self._source.qmp.command("query-migrate")
            raise MigrationError(
                f"the migration did not become '{status}': "
                f"{state.get('status')} {state.get('error-desc', '')}") \
                from error

    def _pause(self) -> None:
        self._wait_status("pre-switchover")
        pause_s = self._scenario.pause_ms / 1000
        if self._scenario.kill_daemon:
            time.sleep(pause_s / 3)
            self._daemons["source"].kill()
            self._start_daemon("source")
            pause_s /= 3
        time.sleep(pause_s)

    def _migrate(self) -> None:
        pause = self._scenario.pause_ms > 0
        self._start_migration(pause)
        if pause:
            self._pause()
            self._source.qmp.command("migrate-continue",
                                     {"state": "pre-switchover"})
        self._wait_status("completed")
        self._destination.check()
        self._destination.qmp.wait_event("RESUME", 10.0)

    def _cancel(self) -> None:
        # Too slow to be over before it is cancelled.
        self._start_migration(bandwidth_mb=1)
        self._wait_status("active")
        time.sleep(0.5)
        self._source.qmp.command("migrate_cancel")
        self._wait_status("cancelled")

    def _cancel_stopped(self) -> None:
        self._start_migration(pause=True)
        self._pause()
        self._source.qmp.command("migrate_cancel")
        self._wait_status("cancelled")
        self._source.qmp.wait_event("RESUME", 10.0)

    def _stop_cont(self) -> None:
        qmp = self._source.qmp
        qmp.command("stop")
        time.sleep(max(self._scenario.pause_ms, 100) / 1000)
        qmp.command("cont")
        qmp.wait_event("RESUME", 10.0)

    # The account

    def _collect(self, started: float, stream: StreamResult,
                 pings: PingResult) -> Result:
        scenario = self._scenario
        stopped = self._time_of(self._source, "STOP", started)
        resumed_on = self._destination if scenario.action == "migrate" \
            else self._source
        resumed = self._time_of(resumed_on, "RESUME", started)
        self._check_guest(stream, stopped)
        result = Result(
            mode=scenario.mode, action=scenario.action, scenario=scenario,
            environment={"qemu": self._source.version,
                         "kernel": os.uname().release,
                         "cpus": str(os.cpu_count())},
            stream=stream, pings=pings, started=started, stopped=stopped,
            resumed=resumed, migration=self._migration,
            lost_ranges=lost_ranges(stream, stopped))
        self._collect_daemons(result)
        return result

    def _migration_info(self) -> Dict[str, int]:
        """QEMU's own figures; dirty-sync-count is how often it asked which
        memory the guest had written to."""
        info = self._source.qmp.command("query-migrate")
        figures = {name: info[name] for name in
                   ("total-time", "downtime", "setup-time") if name in info}
        if "ram" in info:
            figures["dirty-sync-count"] = info["ram"]["dirty-sync-count"]
        return figures

    @staticmethod
    def _time_of(guest: Guest, event: str, after: float) -> Optional[float]:
        times = [each.time for each in guest.qmp.events(event)
                 if each.time >= after]
        return times[0] if times else None

    @staticmethod
    def _check_guest(stream: StreamResult, stopped: Optional[float]) -> None:
        """A guest that died is not a packet that was lost."""
        if stopped and not stream.answered(stopped - 0.5, stopped - 0.05):
            raise GuestError("the guest did not answer before the stop")
        last = stream.packets[-1].sent
        if not stream.answered(last - 0.5, last):
            raise GuestError("the guest does not answer at the end")

    def _collect_daemons(self, result: Result) -> None:
        # Where nothing moved they would wait for it to happen.
        moved = self._scenario.action != "stop-cont"
        for side, daemon in self._daemons.items():
            told = daemon.finish(wait=moved)
            result.reports[side] = told
            result.ledgers.append(ledger(side, told["stats"]))
        if self._daemons:
            result.carried = \
                result.ledgers[1].counters.get("out_netdev", 0)


if __name__ == "__main__":
    from .cli import main
    sys.exit(main())
