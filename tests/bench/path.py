# SPDX-License-Identifier: BSD-2-Clause
"""The path: capture, framing, stream, injection; beside its peers."""

import contextlib
import dataclasses
import io
from typing import Dict, List, Sequence

from lab.errors import Unavailable

from .comparisons import COMPARISONS, Comparison
from .figures import Json, Spread, ratio, table
from .measure import Sample, measure
from .settings import Settings, noted, say
from .stage import Stage

class Throughput:
    """All comparisons, in rounds."""

    name = "path"

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._samples: Dict[str, Dict[str, List[Sample]]] = {}
        self._missing: Dict[str, str] = {}
        self._problems: List[str] = []

    def run(self) -> None:
        """Measure.  The order turns with the rounds, so that nobody always
        comes after the same one."""
        with contextlib.redirect_stdout(io.StringIO()), Stage() as stage:
            for number in range(self._settings.rounds):
                for comparison in COMPARISONS:
                    if self._settings.full or not comparison.full:
                        self._round(stage, comparison, number)

    def _round(self, stage: Stage, comparison: Comparison,
               number: int) -> None:
        names = list(comparison.peers)
        turn = number % len(names)
        for name in names[turn:] + names[:turn]:
            if name in self._missing:
                continue
            with noted(self._problems, f"{comparison.name}, {name}"):
                self._one(stage, comparison, name)

    def _one(self, stage: Stage, comparison: Comparison, name: str) -> None:
        try:
            sample = measure(comparison.peers[name](stage, comparison.load),
                             self._settings.seconds)
        except Unavailable as why:
            self._missing[name] = str(why)
            return
        say(f"{comparison.name}, {name}: {sample.pps:,.0f}/s")
        self._samples.setdefault(comparison.name, {}).setdefault(
            name, []).append(sample)

    def text(self) -> str:
        """The tables."""
        blocks = [_block(name, samples)
                  for name, samples in self._samples.items()]
        blocks += [f"left out: {name}: {why}"
                   for name, why in self._missing.items()]
        return "\n\n".join(blocks)

    def json(self) -> Json:
        """All of it."""
        return {name: {peer: _stored(samples, _first(peers))
                       for peer, samples in peers.items()}
                for name, peers in self._samples.items()}

    def problems(self) -> List[str]:
        """Where frames are missing in somebody's account, or none came."""
        return self._problems + [
            f"{name}, {peer}: {sample}"
                for name, peers in self._samples.items()
                for peer, samples in peers.items() for sample in samples
                if sample.unaccounted or not sample.delivered]


def _first(samples: Dict[str, List[Sample]]) -> List[Sample]:
    """Those that the others are compared with."""
    return next(iter(samples.values()))


def _block(name: str, samples: Dict[str, List[Sample]]) -> str:
    rows = []
    for peer, each in samples.items():
        relative = "" if each is _first(samples) else ratio(
            _of(_first(samples), "pps"), _of(each, "pps")).text(digits=2)
        rows.append((
            peer, Spread.of(_of(each, "pps")).text(1000),
            Spread.of(_of(each, "gbit_s")).text(),
            Spread.of(_of(each, "offered_pps")).text(1000),
            f"{100 * Spread.of(_of(each, 'loss')).median:.1f}",
            _cpu_text(each), relative))
    return table((name, "k/s", "Gbit/s", "offered k/s", "loss %",
                  "CPU us a frame", "ours is x"), rows)


def _cpu_text(samples: Sequence[Sample]) -> str:
    medians = {name: Spread.of([each.cpu_us[name] for each in samples]).median
               for name in sorted(samples[0].cpu_us, reverse=True)}
    return ", ".join(f"{name} {median:.2f}"
                     for name, median in medians.items()) or "-"


def _of(samples: Sequence[Sample], field: str) -> List[float]:
    return [float(getattr(sample, field)) for sample in samples]


def _stored(samples: Sequence[Sample], ours: Sequence[Sample]) -> Json:
    fields = ("pps", "gbit_s", "offered_pps", "loss")
    return {
        **{field: Spread.of(_of(samples, field)).json() for field in fields},
        "cpu_us": {name: Spread.of([each.cpu_us[name] for each in samples])
                   .json() for name in samples[0].cpu_us},
        "ours_is": ratio(_of(ours, "pps"), _of(samples, "pps")).json(),
        "rounds": [dataclasses.asdict(sample) for sample in samples],
    }
