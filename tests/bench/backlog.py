# SPDX-License-Identifier: BSD-2-Clause
"""How soon a backlog is in: frames that were held for a VM that stood, into
its TAP, from the moment when it runs, with a guest that takes a million a
second.  Beside it, a program that does nothing but send."""

import contextlib
import io
import subprocess
import time
from pathlib import Path
from typing import Dict, List

from lib.site import Site

from .figures import Json, Spread, table
from .programs import Started, own
from .settings import Settings, noted, say

SIZE = 64
GUEST_RATE = 1000000
FRAMES, FRAMES_BRIEF = 1000000, 100000
TAP = "t0"
_QUEUE = 1000


def _guest(site: Site, directory: Path, frames: int) -> Started:
    """Who reads the TAP."""
    host = site.host()
    host.add_tap(TAP, _QUEUE)
    guest = Started(host, directory, "guest", [
        own("tap-reader"), TAP, str(GUEST_RATE), str(frames)])
    guest.wait_output("ready")
    host.set_up(TAP)
    return guest


def _seconds(guest: Started, begin: float, frames: int) -> float:
    """From ``begin`` until the guest had the last frame."""
    result = guest.result(120)
    if result["frames"] != frames:
        raise AssertionError(f"the guest got {result['frames']} of {frames}")
    return float(result["last_ns"]) / 1e9 - begin


def _tapferry(site: Site, frames: int) -> float:
    directory = site.directory
    with _guest(site, directory, frames) as guest:
        path = directory / "link"
        daemon = site.daemon(
            guest.host, "sink", "-S", "-netdev", f"tap,id=n0,ifname={TAP}",
            "-chardev", f"socket,id=l0,path={path},server=on,wait=off",
            "-object", "filter-redirector,id=f0,netdev=n0,indev=l0,"
            "out_netdev=n0,hold-size=1G")
        subprocess.run([own("feed"), f"unix:{path}", str(SIZE), str(frames)],
                       check=True, timeout=120)
        daemon.wait_counters("f0", indev=frames, held=frames)
        begin = time.monotonic()
        daemon.execute("cont")
        seconds = _seconds(guest, begin, frames)
        daemon.wait_counters("f0", indev=frames, out_netdev=frames, held=0)
    return seconds


def _sendmmsg(site: Site, frames: int) -> float:
    with _guest(site, site.directory, frames) as guest:
        begin = time.monotonic()
        with Started(guest.host, site.directory, "flood", [
                own("flood"), TAP, str(SIZE), "120", "0", str(frames),
                "retry"]):
            return _seconds(guest, begin, frames)


PEERS = {"tapferry": _tapferry, "sendmmsg alone": _sendmmsg}


class Backlog:
    """Each in turn, in rounds."""

    name = "backlog"

    def __init__(self, settings: Settings) -> None:
        self._rounds = settings.rounds
        self._frames = FRAMES_BRIEF if settings.brief else FRAMES
        self._seconds: Dict[str, List[float]] = {}
        self._problems: List[str] = []

    def run(self) -> None:
        """Measure."""
        for _ in range(self._rounds):
            for name, peer in PEERS.items():
                with noted(self._problems, f"backlog, {name}"), \
                        contextlib.redirect_stdout(io.StringIO()), \
                        Site() as site:
                    seconds = peer(site, self._frames)
                    say(f"backlog, {name}: {seconds:.2f} s")
                    self._seconds.setdefault(name, []).append(seconds)

    def text(self) -> str:
        """The table."""
        return table((f"{self._frames:,} frames into a TAP", "s"), [
            (name, Spread.of(seconds).text())
            for name, seconds in self._seconds.items()])

    def json(self) -> Json:
        """All of it."""
        return {str(self._frames): {
            name: {"seconds": Spread.of(seconds).json(), "rounds": seconds}
            for name, seconds in self._seconds.items()}}

    def problems(self) -> List[str]:
        """Where a frame is missing."""
        return self._problems
