# SPDX-License-Identifier: BSD-2-Clause
"""A tapferryd on one of the hosts, and the account it keeps."""

import dataclasses
import time
from pathlib import Path
from typing import Any, Dict, List, Mapping, Sequence

from .errors import DaemonError
from .netns import MANAGEMENT, TAPS, World
from .paths import Paths
from .process import Child
from .qmp import Qmp

PORT = 7700
REDIRECTOR = "rd0"

Counters = Dict[str, int]


@dataclasses.dataclass(frozen=True)
class Ledger:
    """One side's account, in frames; it balances if both sides agree."""

    side: str
    received: int
    accounted: int
    counters: Counters

    @property
    def balanced(self) -> bool:
        """Does every frame that came have its place?"""
        return self.received == self.accounted


# What a frame that came in can have become, besides dropped-CAUSE.
_FATES = {
    "source": ("in_netdev",
               ("delivered", "pending", "outdev", "queued")),
    "destination": ("indev",
                    ("out_netdev", "held", "duplicate", "discarded")),
}


def ledger(side: str, stats: Mapping[str, Any]) -> Ledger:
    """The account of a redirector's ``query-netfilter-stats`` entry."""
    counters = {counter["name"]: counter["packets"]
                for counter in stats["counters"]}
    entry, fates = _FATES[side]
    accounted = sum(packets for name, packets in counters.items()
                    if name in fates or name.startswith("dropped-"))
    return Ledger(side, counters.get(entry, 0), accounted, counters)


def source_arguments(monitor: Path, listens: bool,
                     properties: Sequence[str] = ()) -> List[str]:
    """The command line that captures what the guest did not get."""
    return _arguments(
        "hostA", monitor, "out0", listens, MANAGEMENT["hostA" if listens
                                                      else "hostB"],
        ["in_netdev=n0", "outdev=out0", "enable_when_stopped=on",
         "capture=undelivered", *properties])


def destination_arguments(monitor: Path, listens: bool,
                          properties: Sequence[str] = ()) -> List[str]:
    """The command line that injects what was captured elsewhere."""
    return _arguments(
        "hostB", monitor, "in0", listens, MANAGEMENT["hostB" if listens
                                                     else "hostA"],
        ["indev=in0", "out_netdev=n0", *properties])


def _arguments(role: str, monitor: Path, chardev: str, listens: bool,
               address: str, properties: Sequence[str]) -> List[str]:
    connect = "server=on,wait=off" if listens else "reconnect-ms=100"
    return [
        "-object", f"vm-qmp,id=vm0,addr=unix:{monitor}",
        "-chardev",
        f"socket,id={chardev},host={address},port={PORT},{connect}",
        "-netdev", f"tap,id=n0,ifname={TAPS[role]},vm=vm0",
        "-object", ",".join([f"filter-redirector,id={REDIRECTOR}",
                             "netdev=n0", *properties]),
    ]


class Daemon:
    """A running tapferryd."""

    def __init__(self, world: World, role: str, arguments: Sequence[str],
                 paths: Paths) -> None:
        self.role = role
        path = world.directory / f"{role}.tapferryd"
        self._child = Child(f"tapferryd on {role}", world.inside(
            role, paths.tapferryd, *arguments,
            "-qmp", f"unix:{path},server=on,wait=off"),
            world.directory / f"{role}.tapferryd.log")
        try:
            self.qmp = self._connect(path)
        except BaseException:
            self._child.stop()
            raise

    def __enter__(self) -> "Daemon":
        return self

    def __exit__(self, *_error: object) -> None:
        self.qmp.close()
        self._child.stop()

    def _connect(self, path: Path) -> Qmp:
        end = time.monotonic() + 10
        while not path.exists() and time.monotonic() < end:
            self.check()
            time.sleep(0.02)
        return Qmp(path)

    @property
    def pid(self) -> int:
        """The daemon's process."""
        return self._child.pid

    def check(self) -> None:
        """Complain if the daemon has ended."""
        if self._child.returncode is not None:
            raise DaemonError(f"{self._child.name} ended: "
                              f"{self._child.last_words()}")

    def stats(self) -> Dict[str, Any]:
        """The redirector's counters."""
        stats: List[Dict[str, Any]] = self.qmp.command(
            "query-netfilter-stats", {"name": REDIRECTOR})
        return stats[0]

    def switchover(self) -> List[Dict[str, Any]]:
        """What the daemon says of the switchover."""
        entries: List[Dict[str, Any]] = self.qmp.command("query-switchover")
        return entries

    def finish(self) -> str:
        """End the daemon; complain unless it ends cleanly.  Returns what
        it logged."""
        self.qmp.close()
        status = self._child.stop()
        if status:
            raise DaemonError(f"{self._child.name} ended with {status}: "
                              f"{self._child.last_words()}")
        return self._child.log.read_text(errors="replace")
