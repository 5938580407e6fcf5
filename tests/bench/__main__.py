# SPDX-License-Identifier: BSD-2-Clause
"""python3 -m bench [SECTION...]: measures, prints tables and stores them in
build/bench/bench.json, or in the directory that OUTPUT names."""

import json
import os
import sys
from pathlib import Path
from typing import Any, List

from lab.paths import Paths
from lab.process import interruptible

from .backlog import Backlog
from .latency import Latency
from .many import Many
from .path import Throughput
from .profile import Profile
from .settings import Settings
from .store import machine
from .traffic import Traffic

SECTIONS: List[Any] = [Throughput, Latency, Backlog, Many, Traffic]
ON_REQUEST: List[Any] = [Profile]


def main() -> int:
    """All sections, or those that are named."""
    settings = Settings.from_environment()
    names = sys.argv[1:] or [section.name for section in SECTIONS]
    stored = {"machine": machine(), "rounds": settings.rounds,
              "seconds": settings.seconds}
    problems: List[str] = []
    for kind in SECTIONS + ON_REQUEST:
        if kind.name in names:
            section = kind(settings)
            section.run()
            print(f"\n{section.text()}\n", flush=True)
            stored[section.name] = section.json()
            problems += section.problems()
    output = Path(os.environ.get("OUTPUT") or Paths().build / "bench")
    output.mkdir(parents=True, exist_ok=True)
    (output / "bench.json").write_text(json.dumps(stored, indent=1) + "\n",
                                       encoding="utf-8")
    for problem in problems:
        print(f"bench: {problem}", file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    with interruptible():
        sys.exit(main())
