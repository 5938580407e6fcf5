# SPDX-License-Identifier: BSD-2-Clause
"""What the path adds to a frame's way, one way, at a steady rate.

A time goes from just before the call that sends the frame until the kernel
has it at the far end.  "nft fwd" in the same rounds is what is not the
relay's.
"""

import contextlib
import dataclasses
import io
from typing import Any, Dict, List, Tuple

from lab.errors import Unavailable

from .comparisons import Peers
from .figures import Json, Spread, table
from .peers.kernel import Kernel
from .peers.peer import Load, Peer
from .peers.qemu import QemuHub
from .peers.reference import Reference
from .peers.tapferry import RealTime, Tapferry
from .programs import Started, own
from .settings import Settings, noted, say
from .stage import Stage

RATES = (1000, 50000, 200000)
PEERS: Peers = {"tapferry": Tapferry, "tapferry, real-time": RealTime,
                "reference, batches": Reference,
                "QEMU hub": QemuHub, "nft fwd": Kernel}
LINKS = {"unix": PEERS, "TCP": {"tapferry, TCP": Tapferry}}
FIGURES = ("p50", "p99", "p99.9")
_WARM_UP_S = 0.1


@dataclasses.dataclass(frozen=True)
class _Case:
    rate: int
    name: str
    link: str


def _measure(stage: Stage, peer: Peer, rate: int,
             seconds: float) -> Dict[str, Any]:
    with peer:
        with stage.flood(peer.entrance, 64, _WARM_UP_S, "1000") as warm_up:
            warm_up.result()
        program = Started(
            stage.host, peer.directory, "latency",
            [own("latency"), peer.entrance, peer.exit, "64", str(rate),
             f"{seconds:.3f}"])
        with program:
            return program.result()


class Latency:
    """Every peer at every rate, in rounds."""

    name = "latency"

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._samples: Dict[Tuple[int, str], List[Dict[str, Any]]] = {}
        self._missing: Dict[str, str] = {}
        self._problems: List[str] = []

    def run(self) -> None:
        """Measure."""
        cases = [_Case(rate, name, link) for rate in RATES
                 for link, peers in LINKS.items() for name in peers]
        with contextlib.redirect_stdout(io.StringIO()), Stage() as stage:
            for _ in range(self._settings.rounds):
                for case in cases:
                    if case.name not in self._missing:
                        with noted(self._problems, f"latency, {case}"):
                            self._one(stage, case)

    def _one(self, stage: Stage, case: _Case) -> None:
        maker = LINKS[case.link][case.name]
        try:
            sample = _measure(stage, maker(stage, Load(
                link=case.link.lower())), case.rate,
                2 * self._settings.seconds)
        except Unavailable as why:
            self._missing[case.name] = str(why)
            return
        say(f"latency, {case.rate:,}/s, {case.name}: {sample['p50']} us")
        self._samples.setdefault((case.rate, case.name), []).append(sample)

    def text(self) -> str:
        """The table."""
        rows = [(f"{rate:,}/s, {name}",
                 *(Spread.of([each[figure] for each in samples]).text()
                   for figure in FIGURES), f"{100 * _lost(samples):.2f}")
                for (rate, name), samples in self._samples.items()]
        return table(("one way, us", *FIGURES, "lost %"), rows)

    def json(self) -> Json:
        """All of it."""
        found: Json = {}
        for (rate, name), samples in self._samples.items():
            found.setdefault(str(rate), {})[name] = {
                **{figure: Spread.of([each[figure] for each in samples])
                   .json() for figure in FIGURES},
                "rounds": samples}
        return found

    def problems(self) -> List[str]:
        """Who delivered nothing, or more than was sent."""
        return self._problems + [
            f"latency, {rate}/s, {name}: {sample}"
                for (rate, name), samples in self._samples.items()
                for sample in samples
                if not 0 < sample["received"] <= sample["sent"]]


def _lost(samples: List[Dict[str, Any]]) -> float:
    sent = sum(each["sent"] for each in samples)
    received = sum(each["received"] for each in samples)
    return 1 - received / sent if sent else 0.0
