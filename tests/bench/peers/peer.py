# SPDX-License-Identifier: BSD-2-Clause
"""What a peer is, and what it is asked to carry."""

import contextlib
import dataclasses
import shutil
from pathlib import Path
from typing import Any, Dict

from bench.stage import Stage

LARGEST_PLAIN = 1514


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
