# SPDX-License-Identifier: BSD-2-Clause
"""One blackout, from the first frame to the verdict."""

import contextlib
import io
import time
import traceback
from pathlib import Path
from typing import Callable, List, Optional, Tuple

from lab.replay import Replay
from lib.hosts import run as run_command
from lib.site import Site

from .actors import DESTINATION, SOURCE, processes_of
from .check import Verdict, check, slowest_delivery
from .hiccups import Hiccups
from .scenario import HICCUP_LEAD_MS, Attempt, Scenario
from .stage import TAP, End, Stage

Action = Tuple[float, Callable[[], object]]
MODES = ("tapferry", "nothing", "replay")

# The daemon trusts the used index when samples of it span some time.
CALIBRATION_S = 0.25
SETTLE_S = 0.3
# What happens so much later than it was to, is not what was drawn; nor if the
# source's TAP queue can't hold what comes in that time.
LATE_MS = 25
WAITED = 1.0
TRIES = 3


class Timeline:
    """Plays a scenario on a stage."""

    def __init__(self, stage: Stage, mode: str) -> None:
        self._stage = stage
        self._scenario = stage.scenario
        self._mode = mode
        self._replay: Optional[Replay] = None
        self.stop_ns = self.resume_ns = self.first_stop_ns = 0
        self.overslept = 0.0  # seconds
        self._incarnations = 1  # of the destination's VMM

    def play(self) -> None:
        """Play it all; afterwards everything is where it stays."""
        stage, scenario = self._stage, self._scenario
        if self._mode == "tapferry":
            stage.start_daemons()
        self._steer(SOURCE)
        stage.source.vmm.call("run", 1)
        stage.network.call("start")
        self._calibrate()
        for number, attempt in enumerate(scenario.attempts):
            if number > 0:
                self._sleep(SETTLE_S)
                self._renew_destination()
            self._attempt(attempt)
            stage.look()
        self._sleep(scenario.post_ms / 1000)
        stage.network.stop()
        stage.wait_quiet()
        self._end_replay()

    def _sleep(self, seconds: float) -> None:
        begin = time.monotonic()
        time.sleep(max(0.0, seconds))
        self.overslept = max(self.overslept, time.monotonic() - begin -
                             max(0.0, seconds))

    def _end_replay(self) -> None:
        if self._replay:
            self._replay.close()
            self._replay = None

    def _steer(self, unicast: int) -> None:
        group = SOURCE | DESTINATION if self._scenario.has("stale") \
            else unicast & -unicast if unicast == 3 else unicast
        self._stage.network.steer(unicast, group)

    def _calibrate(self) -> None:
        daemon = self._stage.source.daemon
        if daemon and not self._scenario.faults & {
                "counters", "auto-arm"}:
            daemon.wait_log("reads what the guest got")
            daemon.wait_exact()
        self._sleep(CALIBRATION_S)
        if self._scenario.has("reset"):
            self._stage.source.vmm.call("reset")
            self._sleep(CALIBRATION_S)

    def _renew_destination(self) -> None:
        """Another VMM waits for the next attempt."""
        end = self._stage.destination
        if end.vmm.process.poll() is None:
            return
        end.open_vmm("inmigrate")
        end.host.wait_passing(TAP)
        self._incarnations += 1
        if end.daemon:
            end.daemon.wait_log("the VM is stopped", self._incarnations)

    # One attempt

    def _attempt(self, attempt: Attempt) -> None:
        source = self._stage.source.vmm
        if self._scenario.has("busy-arm"):
            source.call("rate", self._scenario.guest_rate)
            self._sleep(0.02)
        source.migration("setup", "active")
        self._stage.destination.vmm.migration("active")
        if self._scenario.faults & {"slow", "slow-stop"}:
            self._wait_armed()
            source.call("rate", self._scenario.guest_rate)
        self._sleep(attempt.precopy_ms / 2000)
        if self._scenario.has("slow"):
            source.call("rate", 0)
        self._sleep(attempt.precopy_ms / 2000)
        if attempt.outcome == "cancelled-before":
            source.migration("cancelling", "cancelled")
            return
        if attempt.destroy:
            source.call("run", 0)
            # Of several queues one at least is full.
            self._sleep(2 * self._scenario.txqueuelen[0] *
                        self._scenario.queues / self._scenario.rate + 0.02)
        if self._mode == "replay":
            self._replay = Replay(self._stage.source.host.name, TAP,
                                  self._stage.destination.host.name, TAP)
        source.migration("device")
        lead = HICCUP_LEAD_MS / 1000 if attempt.hiccups else 0.0
        with Hiccups(self._stage, attempt, time.monotonic() + lead):
            self._sleep(lead)
            self._stop(attempt)

    def _stop(self, attempt: Attempt) -> None:
        """The VM stops, and what comes after that."""
        source = self._stage.source.vmm
        self._late(attempt, lambda: source.call(
            "stop", attempt.destroy, attempt.swallow, attempt.later))
        self.stop_ns = time.monotonic_ns()
        self.first_stop_ns = self.first_stop_ns or self.stop_ns
        if self._replay:
            self._replay.start()
        self._play(self._completion(attempt) if attempt.outcome == "done"
                   else self._failure(attempt), self._accidents())

    def _wait_armed(self) -> None:
        """It looks, and has seen the queue empty: see busy-arm."""
        if self._stage.source.daemon:
            self._stage.source.daemon.wait_phase("armed")
        self._sleep(0.02)

    def _late(self, attempt: Attempt, say: Callable[[], object]) -> None:
        """The VMM says something, and the daemons hear it late."""
        daemons = [end.daemon for end in self._stage.ends
                   if end.daemon and attempt.late_ms]
        for daemon in daemons:
            daemon.freeze(True)
        say()
        self._sleep(attempt.late_ms / 1000)
        for daemon in daemons:
            daemon.freeze(False)

    def _play(self, *lists: List[Action]) -> None:
        begin = time.monotonic()
        actions = [action for each in lists for action in each]
        for at_ms, action in sorted(actions, key=lambda pair: pair[0]):
            self._sleep(begin + at_ms / 1000 - time.monotonic())
            action()

    def _completion(self, attempt: Attempt) -> List[Action]:
        source = self._stage.source.vmm
        resume = attempt.downtime_ms
        learn = max(1, resume + attempt.learn_ms)
        actions: List[Action] = [
            (resume, lambda: self._late(attempt, self._resume_destination)),
            (resume + (-0.1 if attempt.completed_first else 0.1),
             lambda: source.migration("completed"))]
        if self._scenario.has("exit-early"):
            learn = resume + 20 + attempt.learn_ms
            actions.append((resume + 10, self._quit_source))
        if attempt.flood_ms:
            actions.append((learn, lambda: self._steer(SOURCE | DESTINATION)))
            learn += attempt.flood_ms
        actions.append((learn, lambda: self._steer(DESTINATION)))
        return actions

    def _quit_source(self) -> None:
        self._stage.quit_ns = time.monotonic_ns()
        self._stage.source.vmm.call("quit")

    def _resume_destination(self) -> None:
        self._stage.source.vmm.call("rate", 0)
        self._stage.destination.vmm.call("resume")
        if self._replay:
            self._replay.release()
        self.resume_ns = time.monotonic_ns()

    def _failure(self, attempt: Attempt) -> List[Action]:
        source, target = self._stage.source.vmm, self._stage.destination.vmm
        if attempt.outcome == "crashed":
            end = (attempt.downtime_ms - 1, target.kill)
            word = "failed"
        else:
            end = (attempt.downtime_ms + attempt.learn_ms / 5,
                   lambda: target.call("quit"))
            word = "cancelled"
        return [end, (attempt.downtime_ms, lambda: self._late(
            attempt, lambda: self._resume_source(word)))]

    def _resume_source(self, word: str) -> None:
        self._stage.source.vmm.call("rate", 0)
        self._end_replay()  # what it holds is of no use now
        self._stage.source.vmm.call("resume")
        self._stage.source.vmm.migration(word)
        self.resume_ns = time.monotonic_ns()

    # What goes wrong beside the VM

    def _accidents(self) -> List[Action]:
        stage, scenario = self._stage, self._scenario
        begin, end = scenario.fault_ms, scenario.fault_ms + scenario.repair_ms
        actions: List[Action] = []
        if stage.relay and scenario.has("link-cut"):
            actions += [(begin, stage.relay.cut), (end, stage.relay.restore)]
        elif stage.relay:
            actions += [(begin, stage.relay.stall),
                        (end, lambda: stage.relay and
                         stage.relay.stall(False))]
        for fault, who in (("kill-destination", stage.destination),
                           ("kill-source", stage.source)):
            if scenario.has(fault):
                actions += self._killing(who, begin, end)
        return actions

    def _killing(self, who: End, begin: int, end: int) -> List[Action]:
        return [(begin, lambda: self._stage.kill_daemon(who)),
                (end, lambda: self._stage.renew_daemon(who))]


def _left_overs(site: Site, names: List[str]) -> List[str]:
    spaces = run_command("ip", "netns", "list").split()
    return [f"left behind: {each}" for each in
            [name for name in names if name in spaces] +
            processes_of(site.directory)]


def _queue_lengths(stage: Stage) -> List[str]:
    wrong = []
    for end in stage.ends:
        length = end.host.link(TAP)["txqlen"]
        if end.name in stage.lost_counters:
            continue  # a daemon that is killed leaves it as it is
        if length != end.txqueuelen:
            wrong.append(f"{end.name}'s txqueuelen is {length}, was "
                         f"{end.txqueuelen}")
    return wrong


def _waited(stage: Stage) -> float:
    """How long the daemons have waited for a processor, for each second
    that they had one (Linux, Documentation/scheduler/sched-stats)."""
    ran = waited = 0
    for end in stage.ends:
        if end.daemon:
            ran_ns, waited_ns, _ = Path(
                f"/proc/{end.daemon.pid}/schedstat").read_text(
                    encoding="ascii").split()
            ran, waited = ran + int(ran_ns), waited + int(waited_ns)
    return waited / max(ran, 1)


def _lateness_ms(stage: Stage, timeline: Timeline) -> float:
    """How much later something happened than it was to, at the most."""
    return 1000 * max(timeline.overslept, stage.network.slowest_answer,
                      *(end.vmm.slowest_answer for end in stage.ends),
                      slowest_delivery(stage, timeline.first_stop_ns))


def _late_most_ms(scenario: Scenario) -> float:
    return min(LATE_MS, 1000 * scenario.txqueuelen[0] / scenario.rate)


def _play(stage: Stage, mode: str, verdict: Verdict) -> None:
    timeline = Timeline(stage, mode)
    try:
        timeline.play()
    except Exception as error:  # pylint: disable=broad-except
        verdict.reasons.append(f"{type(error).__name__}: {error}")
        verdict.trace = traceback.format_exc()
    verdict.stop_ns, verdict.resume_ns = timeline.stop_ns, timeline.resume_ns
    check(stage, verdict, mode)
    verdict.late_ms = _lateness_ms(stage, timeline)
    verdict.waited = _waited(stage)
    others = _stop_daemons(stage) + _queue_lengths(stage)
    verdict.overloaded = not others and not verdict.trace and (
        verdict.late_ms > _late_most_ms(stage.scenario) or
        verdict.waited > WAITED)
    verdict.reasons += others


def _stop_daemons(stage: Stage) -> List[str]:
    reasons = []
    for end in stage.ends:
        if end.daemon:
            try:
                end.daemon.stop()
            except AssertionError as error:
                reasons.append(str(error))
    return reasons


def blackout(scenario: Scenario, mode: str = "tapferry") -> Verdict:
    """Run one blackout; what came of it.  If it failed and was not what was
    drawn, because the machine is overloaded, run it again."""
    tries = 1
    while True:
        verdict = _blackout(scenario, mode)
        verdict.tries = tries
        if verdict.passed or not verdict.overloaded or tries == TRIES:
            return verdict
        tries += 1


def _blackout(scenario: Scenario, mode: str) -> Verdict:
    verdict = Verdict(scenario)
    output = io.StringIO()
    names: List[str] = []
    begin = time.monotonic()
    with contextlib.redirect_stdout(output):
        try:
            with Site() as site:
                stage = Stage(site, scenario)
                names += [end.host.name for end in stage.ends]
                _play(stage, mode, verdict)
            left = _left_overs(site, names)
            verdict.overloaded = verdict.overloaded and not left
            verdict.reasons += left
        except Exception as error:  # pylint: disable=broad-except
            verdict.reasons.append(f"{type(error).__name__}: {error}")
            verdict.trace = traceback.format_exc()
    verdict.output = output.getvalue()
    verdict.seconds = time.monotonic() - begin
    return verdict
