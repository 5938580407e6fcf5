# SPDX-License-Identifier: BSD-2-Clause
"""Daemons that do not run for some milliseconds, as on a host that has much
else to do."""

import threading
import time
from typing import List

from .scenario import Attempt, Hiccup
from .stage import Stage


class Hiccups:
    """Those of one attempt, beside what else happens."""

    def __init__(self, stage: Stage, attempt: Attempt, stop: float) -> None:
        """``stop``: when the VM stops, as time.monotonic()."""
        self._stage = stage
        self._stop = stop
        self._threads: List[threading.Thread] = [
            threading.Thread(target=self._play, args=(each,))
            for each in attempt.hiccups]

    def __enter__(self) -> "Hiccups":
        for each in self._threads:
            each.start()
        return self

    def __exit__(self, *_: object) -> None:
        for each in self._threads:
            each.join()

    def _play(self, hiccup: Hiccup) -> None:
        begin = self._stop + hiccup.at_ms / 1000
        time.sleep(max(0.0, begin - time.monotonic()))
        daemon = (self._stage.source if hiccup.at_source
                  else self._stage.destination).daemon
        if daemon:
            daemon.freeze(True)
            time.sleep(hiccup.length_ms / 1000)
            daemon.freeze(False)
