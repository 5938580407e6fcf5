# SPDX-License-Identifier: BSD-2-Clause
"""Medians with their spread, ratios, and how figures are written."""

import dataclasses
import math
import statistics
from typing import Any, Dict, List, Sequence


@dataclasses.dataclass(frozen=True)
class Spread:
    """What several rounds gave."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> "Spread":
        """The spread of some values, at least one."""
        return cls(statistics.median(values), min(values), max(values))

    def text(self, scale: float = 1, digits: int = 3) -> str:
        """Median and range, in units of ``scale``."""
        words = [short(value / scale, digits)
                 for value in (self.median, self.low, self.high)]
        return f"{words[0]} ({words[1]}..{words[2]})"

    def json(self) -> Dict[str, float]:
        """As it is stored."""
        return dataclasses.asdict(self)


def short(value: float, digits: int = 3) -> str:
    """A number with so many significant digits, without an exponent."""
    if value == 0:
        return "0"
    before = math.floor(math.log10(abs(value))) + 1
    rounded = round(value, digits - before)
    text = f"{rounded:,.{max(digits - before, 0)}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def ratio(ours: Sequence[float], theirs: Sequence[float]) -> Spread:
    """The ratio of the medians, and the range of the rounds' ratios."""
    rounds = [a / b for a, b in zip(ours, theirs) if b > 0]
    median = statistics.median(theirs)
    if not rounds or median == 0:
        return Spread(0, 0, 0)
    return Spread(statistics.median(ours) / median, min(rounds), max(rounds))


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns, the first to the left, the others to the right."""
    lines: List[Sequence[str]] = [head, *rows]
    widths = [max(len(line[i]) for line in lines) for i in range(len(head))]
    return "\n".join(
        "  ".join(cell.rjust(width) if i else cell.ljust(width)
                  for i, (cell, width) in enumerate(zip(line, widths)))
        .rstrip() for line in lines)


Json = Dict[str, Any]
