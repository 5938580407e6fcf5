# SPDX-License-Identifier: BSD-2-Clause
"""What a peer is, and what it is asked to carry."""

import contextlib
import dataclasses
import shutil
import time
from pathlib import Path
from typing import Any, Dict

from bench.stage import Stage
from lib.waiting import wait_until

LARGEST_PLAIN = 1514
QUIET_S = 0.1


@dataclasses.dataclass(frozen=True)
class Load:
    """Frames of one size over one kind of stream."""

    size: int = 64
    link: str = "unix"
    tls: bool = False

    @property
    def offloaded(self) -> bool:
        """Are they super-frames, with their virtio-net header?"""
        return self.size > LARGEST_PLAIN


class Peer:
    """Carries frames while its context lasts.  ``processes`` are those
    that work for it, by what they do."""

    entrance = "a0"
    exit = "b1"

    def __init__(self, stage: Stage, load: Load) -> None:
        self.stage = stage
        self.load = load
        self.directory: Path = stage.run_directory()
        self.processes: Dict[str, int] = {}
        self.stack = contextlib.ExitStack()

    def start(self) -> None:
        """Begin to carry."""
        raise NotImplementedError

    def delivered(self) -> int:
        """Frames that have come out at the far end so far."""
        return self.stage.received(self.exit)

    def settle(self, sent: int) -> None:
        """Wait until all of the frames that were sent have had their fate;
        here, until none has come out for a moment."""
        del sent
        last = (-1, 0.0)

        def quiet() -> bool:
            nonlocal last
            now = time.monotonic()
            delivered = self.delivered()
            if delivered != last[0]:
                last = (delivered, now)
            return now - last[1] > QUIET_S

        wait_until(quiet, "the frames to stop coming")

    def finish(self) -> Dict[str, int]:
        """End it.  Returns its own account: ``seen`` frames at the
        entrance, ``lost``, ``delivered``; empty if it keeps none."""
        return {}

    def __enter__(self) -> Any:
        try:
            self.start()
        except BaseException:
            self.stack.close()
            raise
        return self

    def __exit__(self, *_error: object) -> None:
        self.stack.close()
        shutil.rmtree(self.directory, ignore_errors=True)
