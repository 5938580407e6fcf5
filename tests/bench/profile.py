# SPDX-License-Identifier: BSD-2-Clause
"""Where the processor's time goes on the path, by perf's clock: for whoever
makes it faster.  Only on request: make bench SECTIONS=profile."""

import contextlib
import io
import re
import subprocess
from typing import Dict, List, Tuple

from lab.errors import LabError

from .figures import Json, table
from .peers.peer import Load
from .peers.tapferry import Tapferry
from .programs import needed
from .settings import Settings, say
from .stage import Stage

SIZES = (64, 1500, 60000)
SHOWN = 15
_LINE = re.compile(r"\s*([\d.]+)%\s+(\S+)\s+\[.\]\s+(\S+)")
Symbols = List[Tuple[float, str, str]]  # percent, where, what


class Profile:
    """Symbols of each daemon while it is flooded."""

    name = "profile"

    def __init__(self, settings: Settings) -> None:
        self._seconds = max(4 * settings.seconds, 1)
        self._symbols: Dict[str, Symbols] = {}

    def run(self) -> None:
        """Measure."""
        with contextlib.redirect_stdout(io.StringIO()), Stage() as stage:
            for size in SIZES:
                say(f"profile, {size} B")
                self._flooded(stage, Tapferry(stage, Load(size)))

    def _flooded(self, stage: Stage, peer: Tapferry) -> None:
        with peer, stage.flood(peer.entrance, peer.load.size,
                               self._seconds + 0.5):
            recorders = {}
            for name, pid in peer.processes.items():
                path = peer.directory / f"{name}.perf"
                recorders[path] = (name, subprocess.Popen([
                    needed("perf"), "record", "-q", "-e", "cpu-clock", "-F",
                    "4000", "-o", str(path), "-p", str(pid), "--", "sleep",
                    f"{self._seconds:.1f}"], stderr=subprocess.DEVNULL))
            for path, (name, recorder) in recorders.items():
                if recorder.wait(60):
                    raise LabError("perf can't record here")
                self._symbols[f"{peer.load.size} B, {name}"] = _read(
                    str(path))

    def text(self) -> str:
        """The tables."""
        return "\n\n".join(_block(name, symbols)
                           for name, symbols in self._symbols.items())

    def json(self) -> Json:
        """All of it."""
        return {name: symbols for name, symbols in self._symbols.items()}

    def problems(self) -> List[str]:
        """Where perf saw nothing."""
        return [f"profile, {name}: no samples"
                for name, symbols in self._symbols.items() if not symbols]


def _read(path: str) -> Symbols:
    done = subprocess.run(
        [needed("perf"), "report", "-i", path, "--stdio", "--no-children",
         "-F", "overhead,dso,symbol"], text=True, check=False, timeout=120,
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    return [(float(match[1]), match[2], match[3])
            for match in map(_LINE.match, done.stdout.splitlines()) if match]


def _block(name: str, symbols: Symbols) -> str:
    shares: Dict[str, float] = {}
    for percent, where, _ in symbols:
        shares[where] = shares.get(where, 0) + percent
    rows = [(f"all of {where}", f"{share:.1f}", "")
            for where, share in shares.items() if share >= 1]
    rows += [(what, f"{percent:.1f}", where)
             for percent, where, what in symbols[:SHOWN]]
    return table((name, "% of its time", "in"), rows)
