# SPDX-License-Identifier: BSD-2-Clause
"""What a soak does, run by run."""

import dataclasses
import itertools
from typing import List, Sequence

# One in three: cancelled when the guest has stopped, or while it still runs.
_ENDS = ("migrate", "migrate", "cancel-stopped",
         "migrate", "migrate", "cancel")


@dataclasses.dataclass(frozen=True)
class Planned:
    """One run; as text "tapferry/migrate/1000/64/0"."""

    mode: str
    action: str
    pps: int
    size: int
    super_pps: int = 0

    def __str__(self) -> str:
        return "/".join(map(str, dataclasses.astuple(self)))

    @staticmethod
    def parse(text: str) -> "Planned":
        """The run that this text stands for."""
        mode, action, *numbers = text.split("/")
        pps, size, super_pps = map(int, numbers)
        return Planned(mode, action, pps, size, super_pps)


def plan(mode: str, runs: int, rates: Sequence[int], sizes: Sequence[int],
         super_pps: int = 0) -> List[Planned]:
    """So many runs, at each rate with each size in turn; one in three is
    cancelled, and half of the others have super-frames beside the stream."""
    streams = itertools.cycle(itertools.product(rates, sizes))
    return [Planned(mode, action, pps, size,
                    super_pps if action == "migrate" and number // 4 % 2
                    else 0)
            for number, action, (pps, size)
            in zip(range(runs), itertools.cycle(_ENDS), streams)]
