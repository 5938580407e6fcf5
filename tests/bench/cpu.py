# SPDX-License-Identifier: BSD-2-Clause
"""What the processor did for whom."""

import os
import re
from pathlib import Path


def cpu_ns(pid: int) -> int:
    """The processor time of all threads of a process, user and system, in
    ns.  Interrupts that hit it are in it."""
    total = 0
    for task in os.listdir(f"/proc/{pid}/task"):
        text = Path(f"/proc/{pid}/task/{task}/schedstat").read_text(
            encoding="ascii")
        total += int(text.split()[0])
    return total


def resident_mib(pid: int) -> float:
    """Resident memory."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    match = re.search(r"VmRSS:\s+(\d+) kB", status)
    return int(match[1]) / 1024 if match else 0.0
