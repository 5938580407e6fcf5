# SPDX-License-Identifier: BSD-2-Clause
"""What others read in capture files; they must not complain."""

import subprocess
from pathlib import Path
from typing import List, Optional


def _read(*argv: str) -> str:
    done = subprocess.run(argv, text=True, check=False, timeout=60,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    complaints = [line for line in done.stderr.splitlines()
                  if line and "Running as user" not in line]
    assert done.returncode == 0 and not complaints, complaints
    return done.stdout


def capture_lines(path: Path, *fields: str,
                  display: Optional[str] = None) -> List[List[str]]:
    """These fields of every frame in a capture file, as tshark reads it."""
    argv = ["tshark", "-n", "-r", str(path), "-T", "fields",
            *(word for field in fields for word in ("-e", field))]
    if display:
        argv += ["-Y", display]
    return [line.split("\t") for line in _read(*argv).splitlines()]


def capinfos(path: Path, *options: str) -> str:
    """What capinfos says of a capture file."""
    return _read("capinfos", *options, str(path))
