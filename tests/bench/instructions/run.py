# SPDX-License-Identifier: BSD-2-Clause
"""python3 -m bench.instructions.run [--store]: how many instructions the main
loops take, for a frame where nothing else is said, by callgrind, beside what
they took when stored.json was written (--store does).

A figure that has moved by more than the tolerance is marked, for whoever
reads it: a compiler or a C library moves figures, too.  Only what can't be
measured is a failure.
"""

import json
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Dict

from bench.figures import table
from lab.paths import Paths

STORED = Path(__file__).with_name("stored.json")
TOLERANCE = 0.02
_COUNTED = "loop_count"  # the function in main.c


def _loops(program: Path) -> Dict[str, int]:
    """What the figure of each loop is to be divided by, by its name."""
    lines = subprocess.run([program], text=True, check=True, timeout=60,
                           stdout=subprocess.PIPE).stdout.splitlines()
    pairs = [line.split(" ", 1) for line in lines]
    return {name: int(times) for times, name in pairs}


def _count(program: Path, loop: str) -> int:
    """The instructions of a loop."""
    with tempfile.TemporaryDirectory(prefix="tapferry-") as directory:
        done = subprocess.run(
            ["valgrind", "--tool=callgrind", f"--toggle-collect={_COUNTED}",
             f"--callgrind-out-file={directory}/out", program, loop],
            text=True, check=False, timeout=300, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT)
    match = re.search(r"Collected : (\d+)", done.stdout)
    if done.returncode or match is None or int(match[1]) == 0:
        raise ValueError(f"{loop}: {done.stdout[-500:]}")
    return int(match[1])


def compare(now: Dict[str, float], before: Dict[str, float]) -> str:
    """The table, changes marked."""
    rows = []
    for name, value in now.items():
        old = before.get(name)
        change = value / old - 1 if old else 0.0
        mark = "new" if old is None else \
            "changed" if abs(change) > TOLERANCE else ""
        rows.append((name, "-" if old is None else f"{old:.1f}",
                     f"{value:.1f}", f"{100 * change:+.1f}", mark))
    return table(("instructions", "stored", "now", "%", ""), rows)


def main() -> int:
    """Count all loops."""
    program = Paths().build / "tests" / "bench" / "bench-loops"
    if shutil.which("valgrind") is None:
        print("instructions: valgrind is not installed", file=sys.stderr)
        return 1
    try:
        now = {name: round(_count(program, name) / times, 1)
               for name, times in _loops(program).items()}
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        print(f"instructions: {error}", file=sys.stderr)
        return 1
    before = json.loads(STORED.read_text(encoding="utf-8")) \
        if STORED.exists() else {}
    print(compare(now, before))
    if "--store" in sys.argv[1:]:
        STORED.write_text(json.dumps(now, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
