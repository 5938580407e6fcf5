# SPDX-License-Identifier: BSD-2-Clause
"""python3 -m bench [SECTION...]: measures, prints tables and stores them in
build/bench, or in the directory that OUTPUT names: bench.json, and bench.svg,
a picture."""

import json
import os
import sys
from pathlib import Path
from typing import Any, List

from lab.paths import Paths
from lab.process import interruptible

from .backlog import Backlog
from .figures import Json
from .goals import goals_text
from .latency import Latency
from .many import Many
from .path import Throughput
from .picture import draw
from .profile import Profile
from .settings import Settings
from .store import about, machine
from .traffic import Traffic

SECTIONS: List[Any] = [Throughput, Latency, Backlog, Many, Traffic]
ON_REQUEST: List[Any] = [Profile]


def _write(stored: Json) -> None:
    output = Path(os.environ.get("OUTPUT") or Paths().build / "bench")
    output.mkdir(parents=True, exist_ok=True)
    (output / "bench.json").write_text(json.dumps(stored, indent=1) + "\n",
                                       encoding="utf-8")
    (output / "bench.svg").write_text(draw(stored), encoding="utf-8")
    print(f"stored: {output}/bench.json, bench.svg")


def main() -> int:
    """All sections, or those that are named."""
    settings = Settings.from_environment()
    known = {section.name: section for section in SECTIONS + ON_REQUEST}
    names = sys.argv[1:] or [section.name for section in SECTIONS]
    for name in names:
        if name not in known:
            print(f"bench: no section '{name}'; there are: "
                  f"{' '.join(known)}", file=sys.stderr)
            return 2
    stored: Json = {"machine": machine(), "rounds": settings.rounds,
                    "seconds": settings.seconds}
    problems: List[str] = []
    for name in names:
        section = known[name](settings)
        section.run()
        print(f"\n{section.text()}\n", flush=True)
        stored[name] = section.json()
        problems += section.problems()
    print(*about(stored["machine"]), "", goals_text(stored), "", sep="\n")
    _write(stored)
    for problem in problems:
        print(f"bench: {problem}", file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    with interruptible():
        sys.exit(main())
