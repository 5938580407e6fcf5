# SPDX-License-Identifier: BSD-2-Clause
"""Waiting for something instead of assuming how long it takes."""

import os
import time
from typing import Callable, TypeVar

T = TypeVar("T")

# Seconds; nothing takes so long unless it never happens.
GENEROUS = float(os.environ.get("PATIENCE", "30"))


def wait_until(condition: Callable[[], T], what: str,
               timeout: float = GENEROUS) -> T:
    """Wait until ``condition`` gives something true and return that."""
    end = time.monotonic() + timeout
    pause = 0.001
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"still waiting for {what}")
        time.sleep(pause)
        pause = min(pause * 2, 0.02)
