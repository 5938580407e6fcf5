# SPDX-License-Identifier: BSD-2-Clause
"""How much is measured, from the environment."""

import contextlib
import dataclasses
import os
import sys
from typing import Iterator, List

from lab.errors import LabError


@dataclasses.dataclass(frozen=True)
class Settings:
    """ROUNDS, SECONDS of each measurement, FULL=1 for all of it."""

    rounds: int = 5
    seconds: float = 0.5
    full: bool = False

    @property
    def brief(self) -> bool:
        """One round is a look at whether all of it works: the long things
        are made short."""
        return self.rounds == 1

    @classmethod
    def from_environment(cls) -> "Settings":
        """What was asked for."""
        return cls(int(os.environ.get("ROUNDS") or cls.rounds),
                   float(os.environ.get("SECONDS") or cls.seconds),
                   os.environ.get("FULL", "") not in ("", "0"))


@contextlib.contextmanager
def noted(problems: List[str], what: str) -> Iterator[None]:
    """A measurement that fails is a problem, and no reason to lose those
    that did not."""
    try:
        yield
    except (LabError, AssertionError) as why:
        problems.append(f"{what}: {why}")
        say(problems[-1])


def say(text: str) -> None:
    """How far it is, for who waits."""
    print(f"  {text}", file=sys.stderr, flush=True)
