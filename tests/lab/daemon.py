# SPDX-License-Identifier: BSD-2-Clause
"""``tapferry source`` or ``destination`` on one of the hosts, and the
account of it that its report gives."""

import dataclasses
import json
import os
import signal
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
ROLES = {"source": "hostA", "destination": "hostB"}
# How long one may take to see that all is over.
END_TIMEOUT = 60.0

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


class Daemon:
    """One side's command; its monitor can be asked while it runs."""

    def __init__(self, world: World, side: str, monitor: Path, paths: Paths,
                 properties: Sequence[str] = ()) -> None:
        self.side = side
        role = ROLES[side]
        self._report = world.directory / f"{side}.json"
        self._socket = world.directory / f"{side}.tapferryd"
        destination = MANAGEMENT[ROLES["destination"]]
        address = ["--to" if side == "source" else "--listen",
                   f"{destination}:{PORT}"]
        self._child = Child(f"tapferry {side}", world.inside(
            role, paths.tapferry, "--socket", self._socket, side,
            "--tap", TAPS[role], "--vm", f"unix:{monitor}", *address,
            "--report", self._report,
            "--log", world.directory / f"{side}.tapferryd.log",
            *(word for each in properties for word in ("--property", each))),
            world.directory / f"{side}.tapferry.log")
        try:
            self.qmp = self._connect()
        except BaseException:
            self._child.stop()
            raise

    def __enter__(self) -> "Daemon":
        return self

    def __exit__(self, *_error: object) -> None:
        self.qmp.close()
        self._child.stop()

    def _connect(self) -> Qmp:
        end = time.monotonic() + 10
        while not self._socket.exists() and time.monotonic() < end:
            self.check()
            time.sleep(0.02)
        return Qmp(self._socket)

    @property
    def pid(self) -> int:
        """The process of its tapferryd."""
        children = Path(f"/proc/{self._child.pid}/task/{self._child.pid}"
                        "/children").read_text(encoding="ascii")
        return int(children.split()[0])

    def kill(self) -> None:
        """kill -9 of its tapferryd; the command ends with it."""
        os.kill(self.pid, signal.SIGKILL)
        self._child.wait(END_TIMEOUT)
        self.qmp.close()
        self._socket.unlink(missing_ok=True)

    def check(self) -> None:
        """Complain if it has ended and was not content."""
        if self._child.returncode:
            raise DaemonError(f"{self._child.name} ended: "
                              f"{self._child.last_words()}")

    def announce(self, mac: str) -> None:
        """Have it tell the network when this guest runs here."""
        netdev = self.qmp.command("query-netfilter-stats")[0]["netdev"]
        self.qmp.command("object-add", {
            "qom-type": "announce", "id": "announce0", "netdev": netdev,
            "mac": mac})

    def wait_ready(self) -> None:
        """Wait until it says that the migration may begin."""
        end = time.monotonic() + 10
        while "ready; migrate" not in self._child.log.read_text():
            self.check()
            if time.monotonic() > end:
                raise DaemonError(f"{self._child.name} is not ready: "
                                  f"{self._child.last_words()}")
            time.sleep(0.02)

    @property
    def report_path(self) -> Path:
        """Where its report is, once it has ended."""
        return self._report

    def finish(self, wait: bool = True) -> Dict[str, Any]:
        """Wait until it sees that all is over, or end it.  Returns the
        side that it reports."""
        self.qmp.close()
        if not wait:
            self._child.send_signal(signal.SIGINT)
        self._child.wait(END_TIMEOUT)
        if not self._report.exists():
            raise DaemonError(f"{self._child.name} left no report: "
                              f"{self._child.last_words()}")
        sides: List[Dict[str, Any]] = json.loads(
            self._report.read_text(encoding="utf-8"))["sides"]
        return sides[0]
