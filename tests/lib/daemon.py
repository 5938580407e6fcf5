# SPDX-License-Identifier: BSD-2-Clause
"""The daemon under test: started on a host, asked, watched, ended.

Whenever its counters are read, the ledgers must balance; when it ends, it
must end cleanly and must not have complained about itself.
"""

import re
import os
import signal
import subprocess
from pathlib import Path
from typing import Any, Dict, List, Optional, Sequence

from lab.paths import Paths

from .hosts import Host
from .program import Program, QmpFailure
from .waiting import GENEROUS, wait_until

__all__ = ["Daemon", "QmpFailure", "alone", "packets_of", "program",
           "run_daemon"]

Counters = Dict[str, int]

# What a frame that came in can have become, besides dropped-CAUSE.
_CAPTURED = ("delivered", "pending", "outdev", "queued")
_RECEIVED = ("out_netdev", "held", "duplicate", "discarded")


# What it says when it has heard a SIGHUP.
_REOPENED = "SIGHUP: log and dump files are opened anew"


def program() -> Path:
    """The daemon's program."""
    return Paths().tapferryd


def _on_iothread(arguments: Sequence[str]) -> List[str]:
    """With TAPFERRY_TEST_IOTHREAD=1 every netdev of the command line is on an
    iothread, so that any test can be run that way."""
    if not os.environ.get("TAPFERRY_TEST_IOTHREAD"):
        return list(arguments)
    return ["-object", "iothread,id=test-io", *(
        f"{argument},iothread=test-io"
        if before == "-netdev" and "iothread" not in argument
        and "=" in argument and not argument.startswith("{") else argument
        for before, argument in zip(["", *arguments], arguments))]


class Daemon(Program):
    """A running tapferryd with a monitor."""

    def __init__(self, host: Optional[Host], directory: Optional[Path],
                 name: str, arguments: Sequence[str],
                 inside: Sequence[str] = (), pass_fds: Sequence[int] = ()
                 ) -> None:
        super().__init__(name, [*inside, str(program()),
                                *_on_iothread(arguments)],
                         host, directory, pass_fds)

    def hang_up(self) -> None:
        """SIGHUP, and until it has been heard."""
        count = self.log.count(_REOPENED)
        self._child.send_signal(signal.SIGHUP)
        self.wait_log(_REOPENED, count + 1)

    def freeze(self, frozen: bool) -> None:
        """Let it stand still as on a host that is overloaded, or go on."""
        self._child.send_signal(signal.SIGSTOP if frozen else signal.SIGCONT)

    def kill(self) -> None:
        """End it as a crash does."""
        self._ended = True
        self._child.send_signal(signal.SIGKILL)
        self._child.wait(10)
        self.qmp.close()
        self._clean_up()

    # Counters

    def entries(self) -> List[Dict[str, Any]]:
        """All of query-netfilter-stats, every ledger in balance."""
        entries: List[Dict[str, Any]] = self.execute("query-netfilter-stats")
        for entry in entries:
            if entry["type"] == "filter-redirector":
                self._check_balance(entry)
        return entries

    def _check_balance(self, entry: Dict[str, Any]) -> None:
        counters = packets_of(entry)
        assert all(counter["packets"] >= 0 and counter["bytes"] >= 0
                   for counter in entry["counters"]), \
            f"{self.name}: negative: {entry}"
        dropped = sum(value for name, value in counters.items()
                      if name.startswith("dropped-"))
        for way_in, way_out, fates in (
                ("in_netdev", "outdev", _CAPTURED),
                ("indev", "out_netdev", _RECEIVED)):
            if self._uses(entry["name"], way_in, way_out):
                accounted = dropped + sum(counters[fate] for fate in fates)
                assert counters[way_in] == accounted, \
                    f"{self.name}: {way_in} {counters[way_in]} is not " \
                    f"{accounted}: {counters}"

    def _uses(self, name: str, *properties: str) -> bool:
        return all(self.execute("qom-get", path=f"/objects/{name}",
                                property=each) for each in properties)

    def counters(self, name: str = "rd0") -> Counters:
        """A filter's counters, in packets, with packets-tx and the like."""
        for entry in self.entries():
            if entry["name"] == name:
                return packets_of(entry)
        raise AssertionError(f"{self.name} has no filter {name}")

    def counter(self, name: str, counter: str) -> int:
        """One of a filter's counters, in packets."""
        entry, = self.execute("query-netfilter-stats", name=name)
        return packets_of(entry)[counter]

    def wait_counters(self, name: str = "rd0", timeout: float = GENEROUS,
                      **expected: int) -> Counters:
        """Wait until counters have these values; an underscore stands for
        a dash in dropped-CAUSE."""
        wanted = {_counter_name(key): value
                  for key, value in expected.items()}
        seen: Counters = {}

        def reached() -> bool:
            seen.update(self.counters(name))
            return all(seen[key] == value for key, value in wanted.items())

        try:
            wait_until(reached, "", timeout)
        except AssertionError as error:
            if reached():
                return seen
            raise AssertionError(
                f"{self.name}: {name} never had {wanted}: {seen}") from error
        return seen

    def wait_counter(self, name: str, counter: str, value: int) -> None:
        """Wait until one counter has this value."""
        self.wait_counters(name, **{counter: value})

    def wait_exact(self, name: str = "rd0") -> None:
        """Wait until the used index tells what the guest got."""
        wait_until(lambda: self.execute("qom-get", path=f"/objects/{name}",
                                        property="exact"),
                   f"{name} to know what the guest got")

    def phases(self, name: str = "rd0") -> List[str]:
        """The phases that a redirector has gone through."""
        return re.findall(rf"switchover: {name}: (\w+)$", self.log,
                          re.MULTILINE)

    def wait_phase(self, phase: str, count: int = 1, name: str = "rd0"
                   ) -> None:
        """Wait until a redirector is in a phase, for the so-manieth
        time."""
        def reached() -> bool:
            phases = self.phases(name)
            return phases[-1:] == [phase] and phases.count(phase) >= count

        wait_until(reached, f"{self.name} to be {phase}")

    def check(self) -> None:
        """The daemon lives and its ledgers balance."""
        super().check()
        self.entries()


def alone(*arguments: str, pass_fds: Sequence[int] = (),
          inside: Sequence[str] = ()) -> Daemon:
    """A daemon in the tests' own network, or where ``inside`` leads."""
    return Daemon(None, None, "tapferryd", arguments, inside, pass_fds)


def packets_of(entry: Dict[str, Any]) -> Counters:
    """The counters of an entry of query-netfilter-stats."""
    counters = {counter["name"]: counter["packets"]
                for counter in entry.get("counters", ())}
    for base in ("packets-tx", "packets-rx", "bytes-tx", "bytes-rx"):
        counters[base] = entry[base]
    return counters


def _counter_name(key: str) -> str:
    prefix = "dropped_"
    if key.startswith(prefix):
        return "dropped-" + key[len(prefix):].replace("_", "-")
    return key.replace("packets_", "packets-")


Ended = subprocess.CompletedProcess


def run_daemon(host: Host, *arguments: str,
               inside: Sequence[str] = ()) -> "Ended[str]":
    """Run the daemon with a command line that it is to refuse."""
    with host.entered():
        return subprocess.run(
            [*inside, str(program()), *arguments], text=True, check=False,
            timeout=GENEROUS, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE)
