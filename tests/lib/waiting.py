# SPDX-License-Identifier: BSD-2-Clause
"""Waiting for something instead of assuming how long it takes."""

import os
import time
from typing import Callable, TypeVar, Union

T = TypeVar("T")

# Seconds; nothing takes so long unless it never happens.
GENEROUS = float(os.environ.get("PATIENCE", "30"))


def wait_until(condition: Callable[[], T], what: Union[str, Callable[[], str]],
               timeout: float = GENEROUS) -> T:
    """Wait until ``condition`` gives something true and return that;
    ``what`` says what was waited for in vain."""
    end = time.monotonic() + timeout
    pause = 0.001
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError("still waiting for "
                                 f"{what() if callable(what) else what}")
        time.sleep(pause)
        pause = min(pause * 2, 0.02)
